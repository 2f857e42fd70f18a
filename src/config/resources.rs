//! The limits of a process's cgroup, and what happens to processes it leaves behind: the types and their parsers. Every
//! default changes nothing.

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::confinement::bytes;
use super::interned_default::InternedDefault;
use crate::domain::python_repr;

/// Maximum weight in the kernel; 100 is the default of a cgroup.
pub const WEIGHT_MAX: i64 = 10_000;
/// The period for a CPU limit in percent, in microseconds: the kernel's default.
const PERIOD_MICROS: u64 = 100_000;
/// Minimum quota and period in the kernel, in microseconds.
const MICROS_MIN: u64 = 1000;
/// Maximum period in the kernel, in microseconds.
const PERIOD_MICROS_MAX: u64 = 1_000_000;
/// Maximum percentage of one CPU: more CPUs than Linux supports.
const PERCENT_MAX: u64 = 1_000_000;

/// A limit. `None`: unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LimitAmount(pub Option<u64>);

impl fmt::Display for LimitAmount {
    /// The value in the kernel's syntax.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(amount) => amount.fmt(f),
            None => f.write_str("max"),
        }
    }
}

/// CPU time per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CpuMax {
    /// In microseconds, summed over all CPUs.
    pub quota: LimitAmount,
    /// In microseconds.
    pub period: u64,
}

impl fmt::Display for CpuMax {
    /// The value in the kernel's syntax.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.quota, self.period)
    }
}

/// What happens to processes that a process leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum KillMode {
    /// They keep running, as in Supervisor.
    #[default]
    Process,
    /// They are killed when the process has exited. It counts as stopped only when they are gone.
    ControlGroup,
}

/// The limits of a process's cgroup. All of them can be changed while the process runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct CgroupLimits {
    /// Memory in bytes at which the kernel kills.
    pub memory_max: Option<LimitAmount>,
    /// Memory in bytes at which the kernel throttles and reclaims.
    pub memory_high: Option<LimitAmount>,
    /// CPU time.
    pub cpu_max: Option<CpuMax>,
    /// CPU weight relative to other cgroups, 1 to 10000.
    pub cpu_weight: Option<u16>,
    /// I/O weight relative to other cgroups, 1 to 10000.
    pub io_weight: Option<u16>,
    /// Maximum number of processes and threads.
    pub pids_max: Option<LimitAmount>,
    /// What happens to processes it leaves behind.
    pub kill_mode: KillMode,
}

/// One limit in the kernel's syntax.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupSetting {
    /// The configuration key.
    pub key: &'static str,
    /// The cgroup controller.
    pub controller: &'static str,
    /// The file in the cgroup.
    pub file: &'static str,
    /// The value to write. `None`: not configured.
    pub value: Option<String>,
    /// The value in a new cgroup.
    pub default: &'static str,
}

impl InternedDefault for CgroupLimits {
    fn interned_default() -> Arc<Self> {
        static NONE: LazyLock<Arc<CgroupLimits>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }
}

impl CgroupLimits {
    /// Whether any key is set. If so, the daemon examines the exit more closely than Supervisor does.
    #[must_use]
    pub fn is_some(&self) -> bool {
        *self != Self::default()
    }

    /// Every limit, configured or not.
    ///
    /// # Source
    /// The kernel's Documentation/admin-guide/cgroup-v2.rst, "Controllers".
    #[must_use]
    pub fn settings(&self) -> [CgroupSetting; 6] {
        // All fields are listed, so that a new one cannot be forgotten.
        let Self {
            memory_max,
            memory_high,
            cpu_max,
            cpu_weight,
            io_weight,
            pids_max,
            kill_mode: _,
        } = self;
        let setting = |key, controller, file, value, default| CgroupSetting {
            key,
            controller,
            file,
            value,
            default,
        };
        let amount = |amount: &Option<LimitAmount>| amount.map(|amount| amount.to_string());
        let weight = |weight: &Option<u16>| weight.map(|weight| weight.to_string());
        [
            setting(
                "memory_max",
                "memory",
                "memory.max",
                amount(memory_max),
                "max",
            ),
            setting(
                "memory_high",
                "memory",
                "memory.high",
                amount(memory_high),
                "max",
            ),
            setting(
                "cpu_max",
                "cpu",
                "cpu.max",
                cpu_max.map(|max| max.to_string()),
                "max 100000",
            ),
            setting("cpu_weight", "cpu", "cpu.weight", weight(cpu_weight), "100"),
            setting(
                "io_weight",
                "io",
                "io.weight",
                weight(io_weight).map(|weight| format!("default {weight}")),
                "default 100",
            ),
            setting("pids_max", "pids", "pids.max", amount(pids_max), "max"),
        ]
    }

    /// The configured keys that need a cgroup.
    #[must_use]
    pub fn keys(&self) -> Vec<&'static str> {
        let limits = self.settings().into_iter();
        let mut keys: Vec<_> = limits
            .filter(|setting| setting.value.is_some())
            .map(|setting| setting.key)
            .collect();
        if self.kill_mode == KillMode::ControlGroup {
            keys.push("kill_mode=control-group");
        }
        keys
    }
}

/// Parses bytes with a suffix, or `infinity`.
///
/// # Errors
/// It is neither, or zero bytes.
///
/// # Source
/// systemd.resource-control(5), `MemoryMax=`.
pub fn memory(key: &'static str) -> impl Fn(&str) -> Result<LimitAmount, String> {
    move |text| match text.trim() {
        word if word.eq_ignore_ascii_case("infinity") => Ok(LimitAmount(None)),
        number => bytes(number)
            .filter(|&bytes| bytes > 0)
            .map(|bytes| LimitAmount(Some(bytes)))
            .ok_or_else(|| invalid(key, text)),
    }
}

/// Parses a number of processes, or `infinity`.
///
/// # Errors
/// It is neither, or zero, with which no process could start.
pub fn pids_max(text: &str) -> Result<LimitAmount, String> {
    match text.trim() {
        word if word.eq_ignore_ascii_case("infinity") => Ok(LimitAmount(None)),
        digits => number(digits)
            .filter(|number| (1..=1 << 22).contains(number))
            .map(|number| LimitAmount(Some(number)))
            .ok_or_else(|| invalid("pids_max", text)),
    }
}

/// Parses a percentage of one CPU, `infinity`, or the kernel's `QUOTA PERIOD` in microseconds.
///
/// # Errors
/// It is none of these, or out of the kernel's range.
///
/// # Source
/// systemd.resource-control(5), `CPUQuota=`; the kernel's cgroup-v2.rst, `cpu.max`.
pub fn cpu_max(text: &str) -> Result<CpuMax, String> {
    let refused = || invalid("cpu_max", text);
    let trimmed = text.trim();
    if let Some(percent) = trimmed.strip_suffix('%') {
        let percent = number(percent.trim_end())
            .filter(|percent| (1..=PERCENT_MAX).contains(percent))
            .ok_or_else(refused)?;
        return Ok(CpuMax {
            quota: LimitAmount(Some(percent * PERIOD_MICROS / 100)),
            period: PERIOD_MICROS,
        });
    }
    let mut words = trimmed.split_ascii_whitespace();
    let quota = match words.next().ok_or_else(refused)? {
        word if ["max", "infinity"]
            .iter()
            .any(|max| word.eq_ignore_ascii_case(max)) =>
        {
            LimitAmount(None)
        }
        digits => LimitAmount(Some(
            number(digits)
                .filter(|&quota| quota >= MICROS_MIN)
                .ok_or_else(refused)?,
        )),
    };
    let period = match words.next() {
        Some(digits) => number(digits)
            .filter(|period| (MICROS_MIN..=PERIOD_MICROS_MAX).contains(period))
            .ok_or_else(refused)?,
        // A number without a period could be meant as a percentage.
        None if quota.0.is_some() => return Err(refused()),
        None => PERIOD_MICROS,
    };
    match words.next() {
        None => Ok(CpuMax { quota, period }),
        Some(_) => Err(refused()),
    }
}

/// Parses a weight.
///
/// # Errors
/// It is not a number from 1 to 10000.
pub fn weight(text: &str) -> Result<u16, String> {
    super::confinement::within(text, 1, WEIGHT_MAX)
}

/// Parses `process` or `control-group`.
///
/// # Errors
/// It is neither.
///
/// # Source
/// systemd.kill(5), `KillMode=`.
pub fn kill_mode(text: &str) -> Result<KillMode, String> {
    match text.trim() {
        "process" => Ok(KillMode::Process),
        "control-group" => Ok(KillMode::ControlGroup),
        _ => Err(invalid("kill_mode", text)),
    }
}

fn invalid(key: &str, text: &str) -> String {
    format!("invalid {key} value {}", python_repr(text))
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_systemds_forms() {
        let memory = memory("memory_max");
        for (text, amount) in [
            ("1", Some(1)),
            ("512KB", Some(512 << 10)),
            (" 50MB ", Some(50 << 20)),
            ("1g", Some(1 << 30)),
            ("Infinity", None),
        ] {
            assert_eq!(memory(text), Ok(LimitAmount(amount)), "{text}");
        }
        for text in ["", "0", "-1", "1.5G", "max", "50%", "infinite"] {
            let error = memory(text).expect_err(text);
            assert_eq!(
                error,
                format!("invalid memory_max value {}", python_repr(text))
            );
        }
        assert_eq!(pids_max("100"), Ok(LimitAmount(Some(100))));
        assert_eq!(pids_max("infinity"), Ok(LimitAmount(None)));
        for text in ["", "0", "-1", "1K", "4194305", "max"] {
            assert!(pids_max(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cpu_max_is_a_percentage_or_in_the_kernels_form() {
        for (text, words) in [
            ("50%", "50000 100000"),
            ("200 %", "200000 100000"),
            ("1%", "1000 100000"),
            ("infinity", "max 100000"),
            ("max 50000", "max 50000"),
            (" 25000  50000 ", "25000 50000"),
        ] {
            assert_eq!(
                cpu_max(text).map(|max| max.to_string()),
                Ok(words.to_owned())
            );
        }
        for text in [
            "",
            "%",
            "0%",
            "-5%",
            "1.5%",
            "50",
            "999 100000",
            "1000 999",
            "1000 1000001",
            "1000 1000 1000",
            "1000001%",
            "50% 1000",
        ] {
            assert!(cpu_max(text).is_err(), "{text}");
        }
    }

    #[test]
    fn weights_and_kill_modes_are_systemds() {
        assert_eq!((weight("1"), weight("10000")), (Ok(1), Ok(10_000)));
        assert_eq!(weight("0"), Err("0 is below lower bound (1)".to_owned()));
        assert_eq!(
            weight("10001"),
            Err("10001 is above upper bound (10000)".to_owned())
        );
        assert!(weight("idle").is_err());
        assert_eq!(kill_mode("process"), Ok(KillMode::Process));
        assert_eq!(kill_mode(" control-group"), Ok(KillMode::ControlGroup));
        assert_eq!(
            kill_mode("mixed"),
            Err("invalid kill_mode value 'mixed'".to_owned())
        );
    }

    #[test]
    fn default_limits_are_interned_and_need_no_controller() {
        let none = CgroupLimits::default().into_shared();
        assert!(Arc::ptr_eq(&none, &CgroupLimits::interned_default()));
        assert!(!none.is_some() && none.keys().is_empty());
        let some = CgroupLimits {
            cpu_weight: Some(50),
            io_weight: Some(7),
            kill_mode: KillMode::ControlGroup,
            ..CgroupLimits::default()
        };
        assert!(some.is_some());
        assert_eq!(
            some.keys(),
            ["cpu_weight", "io_weight", "kill_mode=control-group"]
        );
        let values: Vec<_> = some
            .settings()
            .into_iter()
            .filter_map(|one| one.value)
            .collect();
        assert_eq!(values, ["50", "default 7"]);
    }
}
