//! The number of descriptors that the daemon needs when all configured processes run.

use crate::config::spec::{Config, LogTarget, ProcessKind, ProcessSpec};
use crate::sys;

/// Descriptors of the daemon itself, of its clients, and of restarts, in which two instances of a process overlap for a
/// moment.
const OTHERS: u64 = 64;

/// Enlarges the descriptor table for all configured processes. A failure only costs time later, when the kernel
/// enlarges the table itself.
pub fn reserve_descriptors(config: &Config) {
    let _ = sys::reserve_descriptors(needed(config));
}

fn needed(config: &Config) -> u64 {
    let groups = config.groups.iter();
    let processes = groups.flat_map(|group| &group.processes);
    let all = processes.map(|process| of_process(process)).sum::<u64>();
    all.saturating_add(OTHERS)
}

fn of_process(spec: &ProcessSpec) -> u64 {
    let is_file = |target: &LogTarget| {
        matches!(
            target,
            LogTarget::Auto | LogTarget::File(_) | LogTarget::Memory
        )
    };
    let held = [
        // The pidfd, and the pipe of standard output.
        true,
        true,
        !matches!(spec.kind, ProcessKind::Fcgi(_)),
        !spec.redirect_stderr,
        is_file(&spec.stdout.target),
        is_file(&spec.stderr.target),
        spec.notify.socket,
        spec.notify.ready_fd.is_some(),
    ];
    let more = spec.stdout.more_files.len() + spec.stderr.more_files.len();
    held.into_iter().map(u64::from).sum::<u64>() + more as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::spec::NotifySpec;
    use crate::config::testing::program;

    #[test]
    fn each_pipe_log_pidfd_and_channel_counts() {
        let mut spec = program("team", "one");
        spec.stdout.target = LogTarget::None;
        spec.stderr.target = LogTarget::None;
        assert_eq!(of_process(&spec), 4);
        spec.stdout.target = LogTarget::Auto;
        spec.redirect_stderr = true;
        assert_eq!(of_process(&spec), 4);
        spec.stderr.target = LogTarget::File(Arc::from(std::path::Path::new("/log")));
        spec.notify = NotifySpec {
            socket: true,
            ready_fd: Some(5),
            ..NotifySpec::default()
        };
        assert_eq!(of_process(&spec), 7);
    }
}
