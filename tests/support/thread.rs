//! Threads of other processes: find them by name, and end them from outside.

use std::fs;

use super::{LIMIT, wait_for};

/// The threads of a process: ID and name.
pub fn all(pid: i32) -> Vec<(i32, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let ids = tasks.into_iter().flatten().flatten();
    ids.filter_map(|entry| {
        let id = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((id, name.trim_end().to_owned()))
    })
    .collect()
}

/// How often the threads of a process were scheduled in total.
pub fn switches(pid: i32) -> u64 {
    let of = |id: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/task/{id}/status")).ok()?;
        let lines = status.lines();
        let counts = lines.filter_map(|line| line.split_once("_ctxt_switches:"));
        Some(
            counts
                .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
                .sum::<u64>(),
        )
    };
    all(pid).into_iter().filter_map(|(id, _)| of(id)).sum()
}

/// Ends the thread of this name (`main`: the first one) with a forced call of `exit`, as a fault in the thread would.
///
/// # Errors
/// There is no such thread, or it cannot be traced.
pub fn end(pid: i32, name: &str) -> Result<(), String> {
    let is_it = |(id, its): &(i32, String)| match name {
        "main" => *id == pid,
        name => its == name,
    };
    let found = all(pid).into_iter().find(is_it);
    let (id, _) = found.ok_or_else(|| format!("{pid} has no thread {name}"))?;
    let mut why = String::new();
    // A thread outside of a system call is tried again.
    wait_for(&format!("the end of {name}"), LIMIT, || {
        match inject_exit(id) {
            Ok(done) => done,
            Err(error) => {
                why = error;
                false
            }
        }
    })
    .map_err(|late| format!("{late} {why}"))
}

#[cfg(target_arch = "x86_64")]
fn inject_exit(thread: i32) -> Result<bool, String> {
    use nix::sys::ptrace;
    use nix::sys::wait::{WaitPidFlag, waitpid};
    use nix::unistd::Pid;

    /// `syscall`
    const CALL: i64 = 0x050f;
    /// `SYS_exit`, which ends one thread.
    const EXIT: u64 = 60;

    let thread = Pid::from_raw(thread);
    let text = |error: nix::errno::Errno| error.to_string();
    ptrace::attach(thread).map_err(text)?;
    waitpid(thread, Some(WaitPidFlag::__WALL)).map_err(text)?;
    let inject = || {
        let mut registers = ptrace::getregs(thread).map_err(text)?;
        let before = registers.rip - 2;
        let word = ptrace::read(thread, before as ptrace::AddressType).map_err(text)?;
        if word & 0xffff != CALL {
            return Ok(false);
        }
        registers.rip = before;
        registers.rax = EXIT;
        registers.orig_rax = u64::MAX;
        registers.rdi = 0;
        ptrace::setregs(thread, registers).map_err(text)?;
        Ok(true)
    };
    let done = inject();
    ptrace::detach(thread, None).map_err(text)?;
    done
}

#[cfg(not(target_arch = "x86_64"))]
fn inject_exit(_: i32) -> Result<bool, String> {
    Err("not on this processor".to_owned())
}
