//! Real processes of `sys::Spawner`: what they inherit, what they do not inherit, and what remains in this process.
//!
//! The tests count descriptors, threads and children of this process, so only one of them runs at a time.

mod bounds;
mod ready;

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use supervisord::domain::{ExitStatus, Signal};
use supervisord::sys::{
    CStrings, ChildBounds, ChildIds, ChildStdio, FdTableMode, Interest, Limit, Poller, RawPlan,
    Resource, Spawner, become_subreaper, peek_ended, reap, reap_stranger, send_group_signal,
    send_signal,
};

const TABLES: [FdTableMode; 3] = [
    FdTableMode::Shared,
    FdTableMode::Copied,
    FdTableMode::Inherited,
];
/// Time limit of every wait.
const LIMIT: Duration = Duration::from_secs(20);

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_root() -> bool {
    let root = nix::unistd::getuid().is_root();
    if !root {
        eprintln!("skipped: needs root");
    }
    root
}

fn strings(list: &[&str]) -> CStrings {
    let mut strings = CStrings::default();
    for text in list {
        strings.push(&[text.as_bytes()]).expect("no NUL");
    }
    strings
}

fn plan(argv: &[&str]) -> RawPlan {
    RawPlan {
        path: CString::new(argv[0]).expect("no NUL"),
        argv: strings(argv),
        envp: strings(&["PATH=/bin:/usr/bin"]),
        directory: None,
        umask: None,
        limits: Vec::new(),
        ids: ChildIds::Keep,
        bounds: ChildBounds::default(),
        has_session: false,
        has_keyring: false,
    }
}

fn shell(script: &str) -> RawPlan {
    plan(&["/bin/sh", "-c", script])
}

/// A field in a text of /proc/PID/status.
fn field(status: &str, name: &str) -> String {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}:")));
    let words: Vec<&str> = line.expect(name).split_whitespace().collect();
    words.join(" ")
}

struct Running {
    pid: i32,
    pidfd: OwnedFd,
    stdin: PipeWriter,
    stdout: PipeReader,
    stderr: PipeReader,
}

fn start(spawner: &mut Spawner, plan: &RawPlan) -> Running {
    let (child_stdin, stdin) = std::io::pipe().expect("pipe");
    let (stdout, child_stdout) = std::io::pipe().expect("pipe");
    let (stderr, child_stderr) = std::io::pipe().expect("pipe");
    let ends = ChildStdio {
        stdin: Some(child_stdin.into()),
        stdout: child_stdout.into(),
        stderr: Some(child_stderr.into()),
        ready: None,
    };
    let (pid, pidfd) = spawner.spawn(plan, ends).expect("spawned");
    Running {
        pid,
        pidfd,
        stdin,
        stdout,
        stderr,
    }
}

fn wait(pidfd: &OwnedFd) -> ExitStatus {
    let mut poller = Poller::new().expect("epoll");
    poller.add(pidfd, 1, Interest::Read).expect("added");
    let ready = poller.wait(Some(LIMIT)).expect("waited").count();
    assert_eq!(ready, 1, "the process did not end in time");
    reap(pidfd).expect("reaped").expect("ended").1
}

impl Running {
    /// Waits for the exit. Returns stdout, stderr and the status. Reading to the end also proves that this process
    /// holds no end of a pipe.
    fn finish(mut self) -> (String, String, ExitStatus) {
        drop(self.stdin);
        let mut poller = Poller::new().expect("epoll");
        for (token, end) in [&self.stdout, &self.stderr].into_iter().enumerate() {
            poller
                .add(end, token as u64, Interest::Hangup)
                .expect("added");
            let ended = poller.wait(Some(LIMIT)).expect("waited").count();
            assert_eq!(ended, 1, "an end of a pipe is still open somewhere");
            poller.remove(end).expect("removed");
        }
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).expect("read");
        self.stderr.read_to_string(&mut err).expect("read");
        (out, err, wait(&self.pidfd))
    }

    /// Waits until a `cat` runs. The clone returns when the child has released our memory, which is a little before
    /// exec closes descriptors.
    fn settle(&mut self) {
        self.stdin.write_all(b"x").expect("written");
        self.stdout.read_exact(&mut [0]).expect("echoed");
    }

    fn status(&self, field: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("status");
        self::field(&text, field)
    }

    fn descriptors(&self) -> BTreeSet<u32> {
        descriptors(&self.pid.to_string())
    }
}

fn descriptors(pid: &str) -> BTreeSet<u32> {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("fds")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .parse()
                .expect("number")
        })
        .collect()
}

/// A descriptor with this number or above that is *not* close-on-exec.
fn careless(number: i32) -> i32 {
    let null = File::open("/dev/null").expect("null");
    nix::fcntl::fcntl(&null, nix::fcntl::FcntlArg::F_DUPFD(number)).expect("dup")
}

#[test]
fn prc_16_17_a_child_has_its_own_group_three_descriptors_and_clean_signals() {
    let _turn = turn();
    let (low, high) = (careless(3), careless(5000));
    assert!(low >= 3 && high >= 5000);
    let session = nix::unistd::getsid(None).expect("session").as_raw();
    // Like a daemon.
    let ignore = |name| {
        let signal = Signal::parse(name).expect("signal");
        supervisord::sys::ignore_signals(&[signal]).expect("ignored");
    };
    ignore("PIPE");
    for (table, late) in TABLES.into_iter().zip(["XFSZ", "WINCH", "URG"]) {
        let mut spawner = Spawner::with_table(table).expect("spawner");
        // The spawner has already read the signal settings.
        ignore(late);
        let mut child = start(&mut spawner, &plan(&["/bin/cat"]));
        child.settle();
        assert_eq!(child.descriptors(), BTreeSet::from([0, 1, 2]), "{table:?}");
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.pid)).expect("stat");
        let fields: Vec<i32> = stat
            .rsplit(") ")
            .next()
            .expect("after the name")
            .split(' ')
            .skip(1)
            .take(3)
            .map(|field| field.parse().expect("number"))
            .collect();
        let parent = std::process::id().cast_signed();
        assert_eq!(
            fields,
            [parent, child.pid, session],
            "parent, group, session"
        );
        for field in ["SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd"] {
            assert_eq!(child.status(field), "0000000000000000", "{field} {table:?}");
        }
        child.stdin.write_all(b"hello").expect("written");
        assert_eq!(
            child.finish(),
            ("hello".into(), String::new(), ExitStatus::Exited(0))
        );
    }
    nix::unistd::close(low).expect("closed");
    nix::unistd::close(high).expect("closed");
}

#[test]
fn prc_20_failures_are_written_to_stderr_and_exit_with_127() {
    let _turn = turn();
    let home = std::env::temp_dir().join(format!("supervisord-spawn-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("directory");
    let script = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        let path = home.join(name);
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("mode");
        path.to_str().expect("utf-8").to_owned()
    };
    let interpreter = script("interpreter", "#!/nonexistent/interpreter\n");
    let text = script("text", "echo hello\n");
    let mut chdir = plan(&["/bin/cat"]);
    chdir.directory = Some(c"/nonexistent/\xc3\xa9".to_owned());
    let mut refused = plan(&["/bin/cat"]);
    refused.ids = ChildIds::Refused {
        uid: 1,
        reason: "Can't drop privilege as nonroot user".into(),
    };
    // The setuid comes before the chdir.
    refused.directory = chdir.directory.clone();
    let mut limits = plan(&["/bin/cat"]);
    limits.limits = vec![(Resource::Files, Limit { soft: 9, hard: 8 })];
    let mut table = vec![
        (
            plan(&[&interpreter, "a"]),
            format!("exec {interpreter}: ENOENT"),
        ),
        (plan(&[&text, "a"]), format!("exec {text}: ENOEXEC")),
        (
            plan(&["/nonexistent/command"]),
            "exec /nonexistent/command: ENOENT".into(),
        ),
        (plan(&["/"]), "exec /: EACCES".into()),
        (chdir, "chdir to /nonexistent/é: ENOENT".into()),
        (
            refused,
            "setuid to 1: Can't drop privilege as nonroot user".into(),
        ),
        (limits, "set RLIMIT_NOFILE: EINVAL".into()),
    ];
    if is_root() {
        let mut uid = plan(&["/bin/cat"]);
        uid.ids = ChildIds::Become {
            uid: u32::MAX,
            gid: 65534,
            groups: vec![],
        };
        table.push((
            uid,
            format!(
                "setuid to {}: Could not set user id of effective user",
                u32::MAX
            ),
        ));
        let mut gid = plan(&["/bin/cat"]);
        gid.ids = ChildIds::Become {
            uid: 65534,
            gid: u32::MAX,
            groups: vec![],
        };
        table.push((
            gid,
            "setuid to 65534: Could not set group id of effective user".into(),
        ));
        let mut groups = plan(&["/bin/cat"]);
        groups.ids = ChildIds::Become {
            uid: 65534,
            gid: 65534,
            groups: vec![u32::MAX],
        };
        table.push((
            groups,
            "setuid to 65534: Could not set groups of effective user".into(),
        ));
    }
    for kind in TABLES {
        let mut spawner = Spawner::with_table(kind).expect("spawner");
        for (plan, what) in &table {
            let (out, err, status) = start(&mut spawner, plan).finish();
            let expected =
                format!("supervisor: couldn't {what}\nsupervisor: child process was not spawned\n");
            assert_eq!((out.as_str(), err), ("", expected), "{kind:?}");
            assert_eq!(status, ExitStatus::Exited(127), "{kind:?} {what}");
        }
    }
    std::fs::remove_dir_all(&home).expect("removed");
}

#[test]
fn prc_20_a_failure_without_a_reader_still_exits_with_127() {
    let _turn = turn();
    let mut spawner = Spawner::new().expect("spawner");
    let (_, writer) = std::io::pipe().expect("pipe");
    let ends = ChildStdio {
        stdin: None,
        stdout: writer.into(),
        stderr: None,
        ready: None,
    };
    let (_, pidfd) = spawner
        .spawn(&plan(&["/nonexistent"]), ends)
        .expect("spawned");
    assert_eq!(wait(&pidfd), ExitStatus::Exited(127));
}

#[test]
fn prc_18_19_21_a_child_has_the_planned_environment_umask_directory_and_limits() {
    let _turn = turn();
    let mut plan = shell(
        "tr '\\0' '\\n' </proc/$$/environ; umask; pwd; ulimit -Sn; ulimit -Hn; exec /bin/sh -c 'echo \"$0\"' 'a  b'",
    );
    plan.envp = strings(&["PATH=/bin:/usr/bin", "B=2", "A=x y"]);
    plan.umask = Some(0o027);
    plan.directory = Some(c"/usr".to_owned());
    plan.limits = vec![(Resource::Files, Limit { soft: 77, hard: 99 })];
    for table in TABLES {
        let mut spawner = Spawner::with_table(table).expect("spawner");
        let before = (
            std::env::current_dir().expect("cwd"),
            supervisord::sys::get_limit(Resource::Files).expect("limit"),
        );
        let (out, err, status) = start(&mut spawner, &plan).finish();
        assert_eq!(
            out, "PATH=/bin:/usr/bin\nB=2\nA=x y\n0027\n/usr\n77\n99\na  b\n",
            "{err}"
        );
        assert_eq!(status, ExitStatus::Exited(0));
        let after = (
            std::env::current_dir().expect("cwd"),
            supervisord::sys::get_limit(Resource::Files).expect("limit"),
        );
        assert_eq!(before, after, "our own values stay");
    }
}

/// The process has no privilege of root, and the daemon does not change.
#[test]
fn dmn_11_another_users_process_has_its_ids_and_groups_and_no_capability() {
    let _turn = turn();
    if !is_root() {
        return;
    }
    let (nobody, groups) = (65534, vec![65534, 7, 4]);
    let mut plan = plan(&["/bin/cat"]);
    plan.ids = ChildIds::Become {
        uid: nobody,
        gid: nobody,
        groups,
    };
    for table in TABLES {
        let mut spawner = Spawner::with_table(table).expect("spawner");
        nix::sys::prctl::set_dumpable(true).expect("dumpable");
        let child = start(&mut spawner, &plan);
        assert!(nix::sys::prctl::get_dumpable().expect("asked"), "set back");
        assert_eq!(child.status("Uid"), "65534 65534 65534 65534");
        assert_eq!(child.status("Gid"), "65534 65534 65534 65534");
        let groups: BTreeSet<String> = child
            .status("Groups")
            .split(' ')
            .map(str::to_owned)
            .collect();
        assert_eq!(groups, ["4", "7", "65534"].map(str::to_owned).into());
        for field in ["CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(child.status(field), "0000000000000000", "{field}");
        }
        assert!(
            nix::unistd::getresuid().is_ok_and(|ids| ids.saved.is_root()),
            "our own values stay"
        );
        assert_eq!(child.finish().2, ExitStatus::Exited(0));
    }
    // An undumpable process stays undumpable.
    nix::sys::prctl::set_dumpable(false).expect("undumpable");
    let mut spawner = Spawner::new().expect("spawner");
    start(&mut spawner, &plan).finish();
    assert!(!nix::sys::prctl::get_dumpable().expect("asked"));
    nix::sys::prctl::set_dumpable(true).expect("dumpable");
}

#[test]
fn dmn_11_groups_are_set_for_the_same_user() {
    let _turn = turn();
    if !is_root() {
        return;
    }
    let mut plan = plan(&["/bin/cat"]);
    plan.ids = ChildIds::Groups {
        gid: 7,
        groups: vec![7, 4],
    };
    let mut spawner = Spawner::new().expect("spawner");
    let child = start(&mut spawner, &plan);
    assert_eq!(child.status("Uid"), "0 0 0 0");
    assert_eq!(child.status("Gid"), "7 7 7 7");
    let groups: BTreeSet<String> = child
        .status("Groups")
        .split(' ')
        .map(str::to_owned)
        .collect();
    assert_eq!(groups, ["4", "7"].map(str::to_owned).into());
    child.finish();
}

#[test]
fn prc_21_the_directory_is_entered_as_the_user() {
    use std::os::unix::fs::PermissionsExt;
    let _turn = turn();
    if !is_root() {
        return;
    }
    let home = std::env::temp_dir().join(format!("supervisord-closed-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("directory");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o700)).expect("mode");
    let name = home.to_str().expect("utf-8");
    let mut plan = plan(&["/bin/cat"]);
    plan.directory = Some(CString::new(name).expect("no NUL"));
    plan.ids = ChildIds::Become {
        uid: 65534,
        gid: 65534,
        groups: vec![65534],
    };
    let (_, err, _) = start(&mut Spawner::new().expect("spawner"), &plan).finish();
    assert_eq!(
        err,
        format!(
            "supervisor: couldn't chdir to {name}: EACCES\nsupervisor: child process was not spawned\n"
        )
    );
    std::fs::remove_dir_all(&home).expect("removed");
}

#[test]
fn a_thousand_spawns_leave_nothing_behind() {
    let _turn = turn();
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .expect("threads")
            .count()
    };
    for (table, times) in [
        (FdTableMode::Shared, 1000),
        (FdTableMode::Copied, 100),
        (FdTableMode::Inherited, 100),
    ] {
        let mut spawner = Spawner::with_table(table).expect("spawner");
        let (true_, missing) = (plan(&["/bin/true"]), plan(&["/nonexistent"]));
        start(&mut spawner, &true_).finish();
        let before = descriptors("self");
        for turn in 0..times {
            let (plan, status) = if turn % 10 == 0 {
                (&missing, 127)
            } else {
                (&true_, 0)
            };
            assert_eq!(
                start(&mut spawner, plan).finish().2,
                ExitStatus::Exited(status)
            );
        }
        assert_eq!(descriptors("self"), before, "{table:?}");
        // The harness creates and ends its own threads. A leak of the spawner would be hundreds.
        assert!(threads() < 50);
        assert_eq!(peek_ended().expect("asked"), None, "no zombie");
    }
}

/// The child shares the descriptor table for a moment: it must not inherit descriptors of other threads, or close them.
#[test]
fn descriptors_opened_during_a_spawn_do_not_leak() {
    let _turn = turn();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut kept = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let (mut reader, mut writer) = std::io::pipe().expect("pipe");
                    writer
                        .write_all(b"x")
                        .expect("our descriptor is still open");
                    let mut byte = [0];
                    reader
                        .read_exact(&mut byte)
                        .expect("our descriptor is still open");
                    kept.push((reader, writer));
                    if kept.len() == 100 {
                        kept.clear();
                    }
                }
            });
        }
        let result = std::panic::catch_unwind(|| {
            for table in TABLES {
                let mut spawner = Spawner::with_table(table).expect("spawner");
                for _ in 0..200 {
                    let mut child = start(&mut spawner, &plan(&["/bin/cat"]));
                    child.settle();
                    assert_eq!(child.descriptors(), BTreeSet::from([0, 1, 2]), "{table:?}");
                    assert_eq!(child.finish().2, ExitStatus::Exited(0));
                }
            }
        });
        stop.store(true, Ordering::Relaxed);
        assert!(result.is_ok());
    });
}

#[test]
fn prc_12_exit_statuses_are_reported_exactly() {
    let _turn = turn();
    let mut spawner = Spawner::new().expect("spawner");
    let killed = |name: &str| ExitStatus::Signalled {
        signal: Signal::parse(name).expect("signal"),
        dumped: false,
    };
    for (script, status) in [
        ("exit 0", ExitStatus::Exited(0)),
        ("exit 255", ExitStatus::Exited(255)),
        ("kill -KILL $$", killed("KILL")),
        ("kill -TERM $$", killed("TERM")),
        // Most libraries have no names for real-time signals, but such a signal can kill a program.
        ("kill -40 $$", killed("40")),
    ] {
        assert_eq!(
            start(&mut spawner, &shell(script)).finish().2,
            status,
            "{script}"
        );
    }
}

#[test]
fn prc_22_signals_reach_the_process_or_its_group() {
    let _turn = turn();
    let mut spawner = Spawner::new().expect("spawner");
    let mut one = start(
        &mut spawner,
        &shell("trap 'exit 9' TERM; echo up; read line"),
    );
    one.stdout.read_exact(&mut [0; 3]).expect("up");
    assert_eq!(reap(&one.pidfd).expect("asked"), None, "still running");
    send_signal(&one.pidfd, Signal::TERM).expect("sent");
    // The trap ends the shell's `read`.
    assert_eq!(wait(&one.pidfd), ExitStatus::Exited(9));
    let gone = |result: std::io::Result<()>| result.expect_err("gone").raw_os_error();
    assert_eq!(
        gone(send_signal(&one.pidfd, Signal::TERM)),
        Some(libc::ESRCH)
    );
    assert_eq!(
        gone(send_group_signal(&one.pidfd, one.pid, Signal::TERM)),
        Some(libc::ESRCH)
    );
    assert_eq!(
        gone(send_group_signal(&one.pidfd, 0, Signal::TERM)),
        Some(libc::ESRCH)
    );

    // The grandchild also holds standard output, so its end comes after both have exited.
    let mut two = start(&mut spawner, &shell("/bin/sleep 1000 & echo up; exit 0"));
    two.stdout.read_exact(&mut [0; 3]).expect("up");
    let mut poller = Poller::new().expect("epoll");
    poller.add(&two.pidfd, 1, Interest::Read).expect("added");
    assert_eq!(poller.wait(Some(LIMIT)).expect("waited").count(), 1);
    // The leader is a zombie now, so its group exists and its PID is not reused.
    send_group_signal(&two.pidfd, two.pid, Signal::KILL).expect("sent");
    assert_eq!(two.finish().2, ExitStatus::Exited(0));
}

/// Supervisor/supervisor#936: an orphan that exits below PID 1.
#[test]
fn orphans_are_reaped_separately() {
    let _turn = turn();
    become_subreaper().expect("subreaper");
    let mut spawner = Spawner::new().expect("spawner");
    // The orphan exits after its parent: it waits for the end of its standard input.
    let child = start(
        &mut spawner,
        &shell("exec 3<&0; (read line <&3; exit 5) & exit 0"),
    );
    let deadline = Instant::now() + LIMIT;
    let peek = || loop {
        if let Some(pid) = peek_ended().expect("asked") {
            break pid;
        }
        assert!(Instant::now() < deadline, "no child exited");
        std::thread::yield_now();
    };
    assert_eq!(peek(), child.pid);
    assert_eq!(peek(), child.pid, "peeking reaps no child");
    assert_eq!(
        reap(&child.pidfd).expect("asked"),
        Some((child.pid, ExitStatus::Exited(0)))
    );
    drop(child.stdin);
    let stranger = peek();
    assert_ne!(stranger, child.pid);
    assert_eq!(
        reap_stranger(stranger).expect("asked"),
        Some(ExitStatus::Exited(5))
    );
    assert!(reap_stranger(stranger).is_err(), "once only");
    assert_eq!(peek_ended().expect("asked"), None);
    assert!(!Path::new(&format!("/proc/{stranger}")).exists());
}
