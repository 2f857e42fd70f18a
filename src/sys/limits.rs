//! Resource limits of processes, and the daemon's own limits of open files and processes.

use std::{fmt, io};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::resource::{getrlimit, setrlimit};
use nix::unistd::close;

pub use crate::domain::{Limit, Resource};

/// Converts to nix's type.
const fn nix_resource(resource: Resource) -> nix::sys::resource::Resource {
    use nix::sys::resource::Resource as Nix;
    match resource {
        Resource::Files => Nix::RLIMIT_NOFILE,
        Resource::Processes => Nix::RLIMIT_NPROC,
        Resource::Core => Nix::RLIMIT_CORE,
        Resource::AddressSpace => Nix::RLIMIT_AS,
        Resource::LockedMemory => Nix::RLIMIT_MEMLOCK,
        Resource::Stack => Nix::RLIMIT_STACK,
        Resource::Processor => Nix::RLIMIT_CPU,
        Resource::FileSize => Nix::RLIMIT_FSIZE,
        Resource::Data => Nix::RLIMIT_DATA,
        Resource::Resident => Nix::RLIMIT_RSS,
        Resource::RealTimePriority => Nix::RLIMIT_RTPRIO,
        Resource::RealTimeTime => Nix::RLIMIT_RTTIME,
        Resource::Nice => Nix::RLIMIT_NICE,
        Resource::PendingSignals => Nix::RLIMIT_SIGPENDING,
        Resource::MessageQueues => Nix::RLIMIT_MSGQUEUE,
        Resource::Locks => Nix::RLIMIT_LOCKS,
    }
}

/// The kernel's number of a resource.
pub(super) const fn resource_number(resource: Resource) -> usize {
    nix_resource(resource) as usize
}

/// Converts to the kernel's struct.
pub(super) const fn to_rlimit(limit: Limit) -> libc::rlimit64 {
    libc::rlimit64 {
        rlim_cur: limit.soft,
        rlim_max: limit.hard,
    }
}

/// A minimum cannot be reached. The `Display` texts are Supervisor's, which show the hard limit that was tried as the
/// environment's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitTooLow {
    /// The resource.
    pub resource: Resource,
    /// The required minimum.
    pub minimum: u64,
    /// The hard limit that was tried.
    pub hard: u64,
}

impl std::error::Error for LimitTooLow {}

impl fmt::Display for LimitTooLow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { minimum, hard, .. } = self;
        match self.resource {
            Resource::Files => write!(
                f,
                "The minimum number of file descriptors required to run this process is {minimum} as per the \"minfds\" \
                 command-line argument or config file setting. The current environment will only allow you to open {hard} \
                 file descriptors.  Either raise the number of usable file descriptors in your environment (see \
                 README.rst) or lower the minfds setting in the config file to allow the process to start."
            ),
            Resource::Processes => write!(
                f,
                "The minimum number of available processes required to run this program is {minimum} as per the \
                 \"minprocs\" command-line argument or config file setting. The current environment will only allow you \
                 to open {hard} processes.  Either raise the number of usable processes in your environment (see \
                 README.rst) or lower the minprocs setting in the config file to allow the program to start."
            ),
            // Supervisor has no other minimum.
            other => write!(f, "{} of {minimum} is above {hard}", other.name()),
        }
    }
}

/// Returns the current limit.
///
/// # Errors
/// None that a correct caller can cause.
pub fn get_limit(resource: Resource) -> io::Result<Limit> {
    let (soft, hard) = getrlimit(nix_resource(resource))?;
    Ok(Limit { soft, hard })
}

/// Sets a limit.
///
/// # Errors
/// EPERM: raising the hard limit needs CAP_SYS_RESOURCE, or RLIMIT_NOFILE exceeds `fs.nr_open`. EINVAL: the soft
/// limit exceeds the hard limit.
pub fn set_limit(resource: Resource, limit: Limit) -> io::Result<()> {
    Ok(setrlimit(nix_resource(resource), limit.soft, limit.hard)?)
}

/// Raises the soft limit to `minimum`, and the hard limit if that is lower. Returns the new soft limit. `None`:
/// nothing had to change.
///
/// # Errors
/// The kernel refuses.
///
/// # Source
/// Supervisor 4 manual, `[supervisord]`, minfds and minprocs.
pub fn raise_to_minimum(resource: Resource, minimum: i64) -> Result<Option<u64>, LimitTooLow> {
    let minimum = u64::try_from(minimum).unwrap_or(0);
    let found = get_limit(resource).unwrap_or(Limit { soft: 0, hard: 0 });
    // "Unlimited" is the greatest number, so it needs no case of its own.
    if found.soft >= minimum {
        return Ok(None);
    }
    let hard = found.hard.max(minimum);
    set_limit(
        resource,
        Limit {
            soft: minimum,
            hard,
        },
    )
    .map(|()| Some(minimum))
    .map_err(|_| LimitTooLow {
        resource,
        minimum,
        hard,
    })
}

/// Raises our own soft limit of open files to the hard limit, because a daemon needs several descriptors per process.
/// Returns the previous limit, which child processes get.
///
/// # Errors
/// None that a correct caller can cause.
pub fn raise_own_files() -> io::Result<Limit> {
    let found = get_limit(Resource::Files)?;
    if found.soft < found.hard {
        set_limit(
            Resource::Files,
            Limit {
                soft: found.hard,
                hard: found.hard,
            },
        )?;
    }
    Ok(found)
}

/// Enlarges the descriptor table to `count` descriptors, or to as many as the limit allows.
///
/// The kernel doubles the table as it fills. If threads share the table, each doubling waits for an RCU grace period:
/// 10 ms in which no thread can get a new descriptor. One call before there are threads costs microseconds. With
/// threads, the calling thread waits once, and the others only if they need the room too.
///
/// # Errors
/// ENOMEM, EMFILE. Nothing is lost: the table grows as it fills.
///
/// # Source
/// Linux, fs/file.c, `expand_fdtable`; fcntl(2), F_DUPFD_CLOEXEC.
pub fn reserve_descriptors(count: u64) -> io::Result<()> {
    let count = count.min(get_limit(Resource::Files)?.soft);
    let Some(highest) = count
        .checked_sub(1)
        .and_then(|highest| i32::try_from(highest).ok())
    else {
        return Ok(());
    };
    let null = std::fs::File::open("/dev/null")?;
    let number = fcntl(&null, FcntlArg::F_DUPFD_CLOEXEC(highest))?;
    close(number)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dmn_12_a_minimum_below_the_soft_limit_changes_nothing() {
        let before = get_limit(Resource::Files).expect("limit");
        assert_eq!(raise_to_minimum(Resource::Files, 3), Ok(None));
        assert_eq!(raise_to_minimum(Resource::Files, -3), Ok(None));
        assert_eq!(get_limit(Resource::Files).expect("limit"), before);
    }

    #[test]
    fn dmn_12_a_soft_limit_below_the_minimum_is_raised() {
        crate::sys::test_fork::run_forked(|_file| {
            let files = |soft, hard| set_limit(Resource::Files, Limit { soft, hard }).expect("set");
            let found = || {
                get_limit(Resource::Files)
                    .map(|limit| (limit.soft, limit.hard))
                    .expect("limit")
            };
            // Open it before the limits are lowered: the descriptors of other tests may exceed them.
            let status = std::fs::read_to_string("/proc/self/status").expect("status");
            files(50, 60);
            assert_eq!(raise_to_minimum(Resource::Files, 55), Ok(Some(55)));
            assert_eq!(found(), (55, 60));
            let before = raise_own_files().expect("raised");
            assert_eq!((before.soft, before.hard), (55, 60));
            assert_eq!(found(), (60, 60));
            let beyond = raise_to_minimum(Resource::Files, 70);
            // Without CAP_SYS_RESOURCE, which containers often lack, the hard limit cannot be raised.
            let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
            let capabilities = u64::from_str_radix(line.expect("field").trim(), 16).expect("hex");
            if capabilities & (1 << 24) != 0 {
                assert_eq!((beyond, found()), (Ok(Some(70)), (70, 70)));
            } else {
                let refused = LimitTooLow {
                    resource: Resource::Files,
                    minimum: 70,
                    hard: 70,
                };
                assert_eq!((beyond, found()), (Err(refused), (60, 60)));
            }
        });
    }

    /// FDSize of proc_pid_status(5) shows the size of the table.
    #[test]
    fn the_descriptor_table_has_room_for_the_limit() {
        crate::sys::test_fork::run_forked(|_file| {
            let size = || {
                let status = std::fs::read_to_string("/proc/self/status").expect("status");
                let line = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
                line.expect("field").trim().parse::<u64>().expect("number")
            };
            let count = || std::fs::read_dir("/proc/self/fd").expect("listed").count();
            let (before, open) = (size(), count());
            reserve_descriptors(0).expect("nothing to do");
            assert_eq!(size(), before);
            let hard = get_limit(Resource::Files).expect("limit").hard;
            let soft = (before * 4).min(hard);
            set_limit(Resource::Files, Limit { soft, hard }).expect("set");
            reserve_descriptors(u64::MAX).expect("as many as there may be");
            assert!(size() >= soft, "{} of {soft}", size());
            assert_eq!(count(), open, "none of them stays open");
        });
    }

    #[test]
    fn dmn_12_failures_have_supervisors_messages() {
        // Above the maximum that the kernel has for every process.
        let minimum = i64::MAX;
        let error = raise_to_minimum(Resource::Files, minimum).expect_err("too many");
        assert_eq!(
            error.to_string(),
            format!(
                "The minimum number of file descriptors required to run this process is {minimum} as per the \"minfds\" command-line argument or config file setting. The current environment will only allow you to open {minimum} file descriptors.  Either raise the number of usable file descriptors in your environment (see README.rst) or lower the minfds setting in the config file to allow the process to start."
            )
        );
        let error = LimitTooLow {
            resource: Resource::Processes,
            minimum: 9,
            hard: 9,
        };
        assert_eq!(
            error.to_string(),
            "The minimum number of available processes required to run this program is 9 as per the \"minprocs\" command-line argument or config file setting. The current environment will only allow you to open 9 processes.  Either raise the number of usable processes in your environment (see README.rst) or lower the minprocs setting in the config file to allow the program to start."
        );
    }
}
