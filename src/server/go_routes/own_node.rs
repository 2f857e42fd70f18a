//! This node: its name, and how busy it is.

use std::sync::{Mutex, PoisonError};

/// This node.
#[derive(Debug)]
pub(in crate::server) struct OwnNode {
    /// Its name in addresses.
    pub(super) name: String,
    /// The CPU times of the last request, and what they showed.
    last_cpu: Mutex<(CpuTimes, f64)>,
}

/// CPU time since the boot, in clock ticks of all CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CpuTimes {
    total: u64,
    idle: u64,
}

/// Minimum number of clock ticks between two samples. Fewer say nothing.
const SAMPLE_TICKS_MIN: u64 = 20;

impl OwnNode {
    pub(in crate::server) fn new(name: String) -> Self {
        Self {
            name,
            last_cpu: Mutex::default(),
        }
    }

    /// Whether `node` in an address means this node.
    pub(super) fn is_named(&self, node: &str) -> bool {
        node.is_empty() || node == self.name
    }

    /// Returns the share of CPU time in percent since the last request.
    // Differs: the Go project waits a second for it in each request.
    pub(super) fn cpu_percent(&self, now: CpuTimes) -> f64 {
        let mut last = self.last_cpu.lock().unwrap_or_else(PoisonError::into_inner);
        let total = now.total.saturating_sub(last.0.total);
        if total >= SAMPLE_TICKS_MIN {
            *last = (
                now,
                percent(
                    total.saturating_sub(now.idle.saturating_sub(last.0.idle)),
                    total,
                ),
            );
        }
        last.1
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no exact numbers")]
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => part as f64 * 100.0 / whole as f64,
    }
}

/// # Source
/// proc_stat(5): the fields of the first line. The time of guests is also part of `user`.
pub(super) fn parse_cpu(stat: &str) -> CpuTimes {
    let line = stat.lines().next().unwrap_or_default();
    let fields = line.split_ascii_whitespace().skip(1).take(8);
    let ticks: Vec<u64> = fields.filter_map(|text| text.parse().ok()).collect();
    let at = |index: usize| ticks.get(index).copied().unwrap_or(0);
    CpuTimes {
        total: ticks.iter().sum(),
        idle: at(3) + at(4),
    }
}

/// Returns all memory and the available memory in bytes.
///
/// # Source
/// proc_meminfo(5).
pub(super) fn parse_memory(meminfo: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_ascii_whitespace().next());
        number
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
            << 10
    };
    (field("MemTotal:"), field("MemAvailable:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g50_the_usage_of_a_node_is_read() {
        let times = parse_cpu("cpu  10 0 20 60 10 0 0 0 5 5\ncpu0 1 2 3\n");
        let expected = CpuTimes {
            total: 100,
            idle: 70,
        };
        assert_eq!(times, expected);
        assert_eq!(parse_cpu(""), CpuTimes::default());
        let memory = parse_memory("MemTotal:  2 kB\nMemFree: 9 kB\nMemAvailable:   1 kB\n");
        assert_eq!(memory, (2048, 1024));
        let node = OwnNode::new("me".to_owned());
        let sample = |total, idle| node.cpu_percent(CpuTimes { total, idle });
        assert!((sample(100, 75) - 25.0).abs() < 1e-9);
        // Too soon after the last one.
        assert!((sample(101, 75) - 25.0).abs() < 1e-9);
        assert!((sample(200, 75) - 100.0).abs() < 1e-9);
        assert!(node.is_named("") && node.is_named("me") && !node.is_named("you"));
    }
}
