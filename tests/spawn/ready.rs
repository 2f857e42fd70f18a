//! An additional descriptor of a process, under any number, including numbers that the daemon uses at that moment.

use super::*;

/// Spawns `plan` with the writing end of a pipe as descriptor `number`. Returns stdout, the reading end and the pidfd.
fn start_with(
    spawner: &mut Spawner,
    plan: &RawPlan,
    number: u16,
) -> (PipeReader, PipeReader, OwnedFd) {
    let (stdout, child_stdout) = std::io::pipe().expect("pipe");
    let (ready, child_ready) = std::io::pipe().expect("pipe");
    let ends = ChildStdio {
        stdin: None,
        stdout: child_stdout.into(),
        stderr: None,
        ready: Some((child_ready.into(), number)),
    };
    let (_, pidfd) = spawner.spawn(plan, ends).expect("spawned");
    (stdout, ready, pidfd)
}

fn all_of(mut reader: PipeReader) -> String {
    let mut poller = Poller::new().expect("epoll");
    poller.add(&reader, 1, Interest::Hangup).expect("added");
    let ended = poller.wait(Some(LIMIT)).expect("waited").count();
    assert_eq!(ended, 1, "an end of a pipe is still open somewhere");
    poller.remove(&reader).expect("removed");
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("read");
    text
}

#[test]
fn a_process_has_only_its_ready_descriptor() {
    let _turn = turn();
    for table in TABLES {
        let mut spawner = Spawner::with_table(table).expect("spawner");
        // The numbers of the staging descriptors are among these, in any order.
        for number in (3..40).chain([1023]) {
            let script = format!(
                "echo >/proc/$$/fd/{number}; for fd in /proc/$$/fd/*; do [ -e $fd ] && echo ${{fd##*/}}; done; readlink /proc/$$/fd/0"
            );
            let (stdout, ready, pidfd) = start_with(&mut spawner, &shell(&script), number);
            let told = all_of(stdout);
            // The shell has closed the descriptor of its directory listing when it checks the names.
            let open: BTreeSet<u32> = told.lines().filter_map(|line| line.parse().ok()).collect();
            let expected = BTreeSet::from([0, 1, 2, u32::from(number)]);
            assert_eq!(open, expected, "{table:?}");
            assert!(told.ends_with("/dev/null\n"), "{table:?} {number}: {told}");
            assert_eq!(all_of(ready), "\n", "{table:?} {number}");
            assert_eq!(wait(&pidfd), ExitStatus::Exited(0));
        }
    }
}

#[test]
fn a_ready_fd_beyond_the_limit_is_an_error() {
    let _turn = turn();
    let mut spawner = Spawner::new().expect("spawner");
    let own = supervisord::sys::get_limit(Resource::Files).expect("known");
    if own.soft > u64::from(u16::MAX) {
        eprintln!("skipped: {} descriptors are allowed here", own.soft);
        return;
    }
    let number = u16::try_from(own.soft).unwrap_or(u16::MAX);
    let (stdout, ready, pidfd) = start_with(&mut spawner, &shell("true"), number);
    assert_eq!(
        all_of(stdout),
        "supervisor: couldn't set up ready_fd: EBADF\nsupervisor: child process was not spawned\n"
    );
    assert_eq!(all_of(ready), "");
    assert_eq!(wait(&pidfd), ExitStatus::Exited(127));
}
