//! Resource limits per process (RLIMIT_…), with their names in keys, messages and the kernel.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A limited resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    /// Open files (`minfds`).
    Files,
    /// Processes of the real user (`minprocs`).
    Processes,
    /// Size of a core dump.
    Core,
    /// Size of the address space.
    AddressSpace,
    /// Memory locked into RAM.
    LockedMemory,
    /// Size of the stack.
    Stack,
    /// CPU time in seconds.
    Processor,
    /// Size of a written file.
    FileSize,
    /// Size of the data segment.
    Data,
    /// Size of resident memory. The kernel no longer enforces it.
    Resident,
    /// Real-time priority.
    RealTimePriority,
    /// Microseconds of real-time scheduling without a blocking call.
    RealTimeTime,
    /// How far `nice` may be lowered, as 20 minus the nice value.
    Nice,
    /// Queued signals of the real user.
    PendingSignals,
    /// Bytes in POSIX message queues of the real user.
    MessageQueues,
    /// File locks. The kernel no longer enforces it.
    Locks,
}

/// The unit of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count or a time.
    Plain,
    /// Bytes.
    Bytes,
    /// Nice levels.
    Nice,
}

impl Resource {
    /// All resources, in the order of the keys.
    pub const ALL: [Self; 16] = [
        Self::Files,
        Self::Processes,
        Self::Core,
        Self::AddressSpace,
        Self::LockedMemory,
        Self::Stack,
        Self::Processor,
        Self::FileSize,
        Self::Data,
        Self::Resident,
        Self::RealTimePriority,
        Self::RealTimeTime,
        Self::Nice,
        Self::PendingSignals,
        Self::MessageQueues,
        Self::Locks,
    ];

    /// Returns the key, the kernel's name and the unit.
    const fn row(self) -> (&'static str, &'static str, Unit) {
        match self {
            Self::Files => ("limit_nofile", "RLIMIT_NOFILE", Unit::Plain),
            Self::Processes => ("limit_nproc", "RLIMIT_NPROC", Unit::Plain),
            Self::Core => ("limit_core", "RLIMIT_CORE", Unit::Bytes),
            Self::AddressSpace => ("limit_as", "RLIMIT_AS", Unit::Bytes),
            Self::LockedMemory => ("limit_memlock", "RLIMIT_MEMLOCK", Unit::Bytes),
            Self::Stack => ("limit_stack", "RLIMIT_STACK", Unit::Bytes),
            Self::Processor => ("limit_cpu", "RLIMIT_CPU", Unit::Plain),
            Self::FileSize => ("limit_fsize", "RLIMIT_FSIZE", Unit::Bytes),
            Self::Data => ("limit_data", "RLIMIT_DATA", Unit::Bytes),
            Self::Resident => ("limit_rss", "RLIMIT_RSS", Unit::Bytes),
            Self::RealTimePriority => ("limit_rtprio", "RLIMIT_RTPRIO", Unit::Plain),
            Self::RealTimeTime => ("limit_rttime", "RLIMIT_RTTIME", Unit::Plain),
            Self::Nice => ("limit_nice", "RLIMIT_NICE", Unit::Nice),
            Self::PendingSignals => ("limit_sigpending", "RLIMIT_SIGPENDING", Unit::Plain),
            Self::MessageQueues => ("limit_msgqueue", "RLIMIT_MSGQUEUE", Unit::Bytes),
            Self::Locks => ("limit_locks", "RLIMIT_LOCKS", Unit::Plain),
        }
    }

    /// Returns the configuration key for programs.
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.row().0
    }

    /// Returns the kernel's name, which the log and messages use too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    /// Returns the unit.
    #[must_use]
    pub const fn unit(self) -> Unit {
        self.row().2
    }
}

/// A soft and a hard limit. `u64::MAX`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Limit {
    /// The limit in force.
    pub soft: u64,
    /// The maximum to which a process may raise the soft limit.
    pub hard: u64,
}

impl Limit {
    /// No limit.
    pub const NONE: u64 = u64::MAX;
}

impl fmt::Display for Limit {
    /// Writes the limit in the syntax of the configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |f: &mut fmt::Formatter<'_>, number| match number {
            Self::NONE => f.write_str("infinity"),
            number => write!(f, "{number}"),
        };
        one(f, self.soft)?;
        if self.soft != self.hard {
            f.write_str(":")?;
            one(f, self.hard)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resource_is_listed_once() {
        for resource in Resource::ALL {
            let same = Resource::ALL
                .iter()
                .filter(|other| other.key() == resource.key() || other.name() == resource.name());
            assert_eq!(same.count(), 1, "{resource:?}");
            let word = resource.key().strip_prefix("limit_").expect("a limit");
            assert_eq!(
                resource.name(),
                format!("RLIMIT_{}", word.to_uppercase()),
                "{resource:?}"
            );
        }
    }

    #[test]
    fn limits_are_shown_in_configuration_syntax() {
        for (soft, hard, text) in [
            (1, 1, "1"),
            (1, 2, "1:2"),
            (0, Limit::NONE, "0:infinity"),
            (Limit::NONE, Limit::NONE, "infinity"),
        ] {
            assert_eq!(Limit { soft, hard }.to_string(), text);
        }
    }
}
