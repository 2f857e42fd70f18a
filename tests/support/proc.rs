//! Information about processes from /proc, and the kill of all processes of a test. A mark in their environment
//! identifies them, so that no other process is ever touched.

use std::collections::BTreeMap;
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The variable that marks the processes of one test.
pub const MARK: &str = "SUPERVISORD_TEST_MARK";

/// All pids.
pub fn pids() -> Vec<i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The processes whose environment carries `MARK=mark`.
pub fn marked(mark: &str) -> Vec<i32> {
    let wanted = format!("{MARK}={mark}");
    pids()
        .into_iter()
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
                environ
                    .split(|byte| *byte == 0)
                    .any(|entry| entry == wanted.as_bytes())
            })
        })
        .collect()
}

/// Kills the processes with `mark` until none is left. A supervisor that is exiting may still spawn.
pub fn kill_marked(mark: &str) {
    for _ in 0..200 {
        let left = marked(mark);
        if left.is_empty() {
            return;
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The environment of a process.
pub fn environ(pid: i32) -> BTreeMap<String, String> {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/environ")).unwrap_or_default())
        .split('\0')
        .filter_map(|entry| entry.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// A field of /proc/PID/status.
pub fn status(pid: i32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A field of /proc/PID/stat by its number in proc(5), from 3.
pub fn stat(pid: i32, number: usize) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = &text[text.rfind(')')? + 1..];
    rest.split_whitespace().nth(number - 3).map(str::to_owned)
}

/// The children of a process with their state letters.
pub fn children(parent: i32) -> Vec<(i32, String)> {
    pids()
        .into_iter()
        .filter(|pid| stat(*pid, 4) == Some(parent.to_string()))
        .filter_map(|pid| Some((pid, stat(pid, 3)?)))
        .collect()
}

/// The zombies among the children of a process.
pub fn zombies(parent: i32) -> usize {
    children(parent)
        .into_iter()
        .filter(|(_, state)| state == "Z")
        .count()
}

/// How many descriptors a process holds.
pub fn descriptors(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The numbers of the descriptors of a process.
pub fn descriptor_numbers(pid: i32) -> Vec<u32> {
    let mut numbers: Vec<u32> = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Resident memory in KiB.
pub fn resident_kib(pid: i32) -> u64 {
    status(pid, "VmRSS")
        .and_then(|value| value.split(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// Whether the process exists and is not a zombie.
pub fn alive(pid: i32) -> bool {
    stat(pid, 3).is_some_and(|state| state != "Z" && state != "X")
}

/// Processor time used so far, in clock ticks (1/100 s).
pub fn ticks(pid: i32) -> u64 {
    let of = |number| {
        stat(pid, number)
            .and_then(|v| v.parse::<u64>().ok())
            .unwrap_or(0)
    };
    of(14) + of(15)
}
