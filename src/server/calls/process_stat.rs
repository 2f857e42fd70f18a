//! Reads `/proc/⟨pid⟩/stat` and `schedstat` of one process.

use std::io::Read as _;

/// Maximum number of bytes read of `/proc/⟨pid⟩/stat`; the kernel's line has less than 400.
const STAT_BYTES_MAX: usize = 1024;

/// The fields read from `/proc/⟨pid⟩/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcStat {
    /// Start time.
    pub(super) began: u64,
    /// CPU time so far, in clock ticks.
    pub(super) ticks: u64,
    /// CPU time of children that have ended and were waited for, in clock ticks.
    pub(super) children_ticks: u64,
    /// Number of threads.
    pub(super) threads: u64,
    /// Resident pages.
    pub(super) pages: u64,
}

/// Reads it. `None`: the process is gone.
pub(super) fn read_stat(pid: i32) -> Option<ProcStat> {
    let mut text = [0; STAT_BYTES_MAX];
    let mut file = std::fs::File::open(format!("/proc/{pid}/stat")).ok()?;
    // The kernel returns the line in one read.
    let length = file.read(&mut text).ok()?;
    parse_stat(&text[..length])
}

/// Reads how long the first thread of a process has run, in nanoseconds. It differs after each moment of running. `None`: the
/// process is gone, or the kernel does not tell (`CONFIG_SCHED_INFO`).
///
/// # Source
/// `Documentation/scheduler/sched-stats.rst` of Linux: the first number of `/proc/⟨pid⟩/schedstat`.
pub(super) fn read_run_nanos(pid: i32) -> Option<u64> {
    let mut text = [0; 64];
    let mut file = std::fs::File::open(format!("/proc/{pid}/schedstat")).ok()?;
    let length = file.read(&mut text).ok()?;
    let text = std::str::from_utf8(&text[..length]).ok()?;
    // Zero: nothing is counted.
    let nanos = text.split_ascii_whitespace().next()?.parse().ok()?;
    (nanos != 0).then_some(nanos)
}

/// # Source
/// proc_pid_stat(5).
fn parse_stat(stat: &[u8]) -> Option<ProcStat> {
    // The name is in parentheses and may contain anything, also parentheses.
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Fields are counted from 1; `rest` starts with the third.
    let number = |n: usize| fields.get(n - 3)?.parse::<u64>().ok();
    Some(ProcStat {
        began: number(22)?,
        ticks: number(14)? + number(15)?,
        children_ticks: number(16)? + number(17)?,
        threads: number(20)?,
        pages: number(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_parsed_for_any_process_name() {
        let line = b"7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 12 30 3 4 20 0 1 0 5000 9000000 250 18446744073709551615\n";
        let stat = ProcStat {
            began: 5000,
            ticks: 42,
            children_ticks: 7,
            threads: 1,
            pages: 250,
        };
        assert_eq!(parse_stat(line), Some(stat));
        assert_eq!(parse_stat(b"7 (a) S 1"), None);
        assert_eq!(parse_stat(b""), None);
    }
}
