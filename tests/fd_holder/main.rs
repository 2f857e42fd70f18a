//! The fd holder as a process: its attributes, the signals that it ignores, and how the next daemon finds it.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use supervisord::domain::{ExitStatus, FdName, InstanceId, Signal};
use supervisord::fd_holder::{FdHolder, FdHolderError, FdStore, NAME, StartedFdHolder, VERSION};
use supervisord::sys;
use support::runner::{Outcome, Trial};
use support::{LIMIT, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_supervisord");
/// This program as a daemon: it starts an fd holder, stores a pipe, prints the fd holder's PID, and waits.
const DAEMON: &str = "be-a-daemon";
/// This program as a false fd holder: it has the name and a descriptor 4, but never answers.
const LIAR: &str = "be-a-liar";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some(DAEMON) => return be_a_daemon(),
        Some(LIAR) => return be_a_liar(),
        _ => {}
    }
    if std::env::args().next().as_deref() == Some(NAME) {
        return supervisord::fd_holder::run();
    }
    type Run = fn() -> Result<Outcome, String>;
    let trials: [(&str, Run); 9] = [
        ("fd_holder_inherits_nothing_from_its_starter", settled),
        ("fd_holder_exits_only_by_its_own_signals", endings),
        ("fd_holder_outlives_a_killed_daemon", outlives),
        ("fd_holder_that_dies_is_replaced", replaced),
        (
            "fd_holder_is_found_by_pid_and_other_processes_are_refused",
            found,
        ),
        ("fd_holder_stays_small", small),
        (
            "fd_store_keeps_the_descriptors_of_an_instance_under_one_name",
            instances,
        ),
        (
            "fd_store_accepts_the_names_of_earlier_versions",
            earlier_names,
        ),
        (
            "fd_store_moves_all_descriptors_to_another_fd_holder",
            given_again,
        ),
    ];
    let trials = trials.map(|(name, run)| Trial::new(name, run));
    support::runner::run(trials.into())
}

fn be_a_daemon() -> ExitCode {
    let StartedFdHolder { pid, client, .. } =
        FdHolder::start_program(Path::new(BINARY)).expect("started");
    let (reader, writer) = io::pipe().expect("pipe");
    client.store("o1", &[reader.as_fd()]).expect("room");
    client.store("w1", &[writer.as_fd()]).expect("room");
    // Without a barrier: a stored descriptor is safe immediately.
    File::from(OwnedFd::from(writer))
        .write_all(b"read me")
        .expect("room");
    println!("{pid}");
    let _ = io::stdin().read(&mut [0]);
    ExitCode::SUCCESS
}

fn be_a_liar() -> ExitCode {
    let (_server, client) = sys::packet_pair().expect("pair");
    // One of these descriptors gets the number 4.
    let mut held = vec![client];
    while held.last().expect("one").as_raw_fd() < 4 {
        held.push(held[0].try_clone().expect("room"));
    }
    println!("{}", std::process::id());
    let _ = io::stdin().read(&mut [0]);
    ExitCode::SUCCESS
}

/// An fd holder that is killed on drop.
struct Running(StartedFdHolder);

impl Running {
    fn start() -> Result<Self, String> {
        FdHolder::start_program(Path::new(BINARY))
            .map(Self)
            .map_err(|error| error.to_string())
    }

    fn signal(&self, name: &str) {
        let signal = Signal::parse(name).expect("a signal");
        sys::send_signal(&self.0.pidfd, signal).expect("it is there");
    }

    fn status(&self) -> Result<ExitStatus, String> {
        let mut result = Ok(None);
        wait_for("the fd holder ends", LIMIT, || {
            result = sys::reap(&self.0.pidfd);
            !matches!(result, Ok(None))
        })?;
        match result {
            Ok(Some((_, status))) => Ok(status),
            other => Err(format!("{other:?}")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = sys::send_signal(&self.0.pidfd, Signal::KILL);
        let _ = self.status();
    }
}

fn text(pid: i32, name: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{name}")).expect("readable");
    String::from_utf8_lossy(&bytes).into_owned()
}

fn field(pid: i32, name: &str) -> String {
    let status = text(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.expect("a field").trim().to_owned()
}

fn settled() -> Result<Outcome, String> {
    let _inherited = File::open("/dev/zero").expect("there");
    let running = Running::start()?;
    let pid = running.0.pid;
    assert_eq!(text(pid, "cmdline"), format!("{NAME}\0"));
    assert_eq!(text(pid, "comm"), "supervisord-fd-\n");
    assert_eq!(text(pid, "environ"), "");
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).expect("a link");
    assert_eq!(link("cwd"), Path::new("/"));
    let mut open = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).expect("readable") {
        let number: i32 = entry
            .expect("entry")
            .file_name()
            .to_string_lossy()
            .parse()
            .expect("a number");
        let name = link(&format!("fd/{number}")).display().to_string();
        open.push((
            number,
            name.split(':').next().unwrap_or_default().to_owned(),
        ));
    }
    open.sort();
    let expected = [
        (0, "/dev/null"),
        (1, "/dev/null"),
        (2, "/dev/null"),
        (3, "socket"),
        (4, "socket"),
    ];
    assert_eq!(
        open,
        expected.map(|(number, name)| (number, name.to_owned()))
    );
    assert_eq!(field(pid, "Umask:"), "0077");
    assert_eq!(field(pid, "Threads:"), "1");
    assert_eq!(field(pid, "SigBlk:"), "0000000000000000");
    // HUP 1, INT 2, QUIT 3, USR1 10, USR2 12, PIPE 13. Some signals from 32 on belong to the C library.
    let ignored = u64::from_str_radix(&field(pid, "SigIgn:"), 16).expect("hex");
    assert_eq!(ignored & 0x7fff_ffff, 0x1a07, "{ignored:#x}");
    let stat = text(pid, "stat");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("some")
        .split_whitespace()
        .collect();
    // The fields after the name: state, parent, group, session.
    assert_eq!(fields[3], pid.to_string());
    let limits = text(pid, "limits");
    let limit = |name: &str| {
        let line = limits
            .lines()
            .find(|line| line.starts_with(name))
            .expect("a line");
        let words: Vec<&str> = line[name.len()..].split_whitespace().collect();
        (words[0].to_owned(), words[1].to_owned())
    };
    assert_eq!(
        limit("Max core file size"),
        ("0".to_owned(), "0".to_owned())
    );
    let (soft, hard) = limit("Max open files");
    assert_eq!(soft, hard);
    let may =
        |bit: u32| u64::from_str_radix(&field(pid, "CapEff:"), 16).expect("hex") & (1 << bit) != 0;
    if may(24) {
        assert_eq!(text(pid, "oom_score_adj"), "-900\n");
    }
    // Files in /proc of an undumpable process always belong to root, so only other users see a difference.
    if !may(19) && sys::effective_uid() != 0 {
        let meta = fs::metadata(format!("/proc/{pid}/environ")).expect("there");
        assert_eq!(
            std::os::unix::fs::MetadataExt::uid(&meta),
            sys::effective_uid()
        );
    }
    Ok(Outcome::Passed)
}

fn endings() -> Result<Outcome, String> {
    let running = Running::start()?;
    for name in ["HUP", "INT", "QUIT", "PIPE", "USR1", "USR2"] {
        running.signal(name);
    }
    let client = &running.0.client;
    let hello = client.hello(LIMIT).map_err(|error| error.to_string())?;
    assert_eq!((hello.version, hello.pid), (VERSION, running.0.pid));
    running.signal("TERM");
    assert_eq!(
        running.status()?,
        ExitStatus::Signalled {
            signal: Signal::TERM,
            dumped: false
        }
    );
    let running = Running::start()?;
    running.0.client.quit().expect("room");
    assert_eq!(running.status()?, ExitStatus::Exited(0));
    // An fd holder that another program started prints an error and exits.
    let output = Command::new(BINARY)
        .arg0(NAME)
        .stdin(Stdio::null())
        .output()
        .expect("started");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("only supervisord starts this program"),
        "{said}"
    );
    // A program that is no fd holder is not left running.
    let error = FdHolder::start_program(Path::new("/bin/true")).expect_err("no fd holder");
    assert!(matches!(error, FdHolderError::Io(_)), "{error}");
    assert!(FdHolder::start_program(Path::new("/nosuch")).is_err());
    Ok(Outcome::Passed)
}

/// Starts this program as a daemon or as a false fd holder. Returns the PID that it prints.
fn other(part: &str, arg0: &str) -> (Child, i32) {
    let mut child = Command::new(std::env::current_exe().expect("exists"))
        .arg0(arg0)
        .arg(part)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut line = String::new();
    let stdout = child.stdout.as_mut().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("told");
    (child, line.trim().parse().expect("a pid"))
}

fn outlives() -> Result<Outcome, String> {
    let (mut daemon, pid) = other(DAEMON, "daemon");
    daemon.kill().expect("killed");
    daemon.wait().expect("reaped");
    let pidfd = sys::open_pidfd(pid).map_err(|error| format!("it died too: {error}"))?;
    let (client, hello) = FdHolder::find(pid).map_err(|error| error.to_string())?;
    assert_eq!((hello.pid, hello.names), (pid, 2));
    let list = client.list(LIMIT).map_err(|error| error.to_string())?;
    let names: Vec<&str> = list.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["o1", "w1"]);
    for fd in list.iter().flat_map(|(_, fds)| fds) {
        let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).expect("open");
        assert_eq!(flags & 1, 1, "close-on-exec");
    }
    // The fd holder also has the writing end, so the pipe has not ended.
    let mut pipe = File::from(list[0].1[0].try_clone().expect("room"));
    let mut bytes = [0; 7];
    pipe.read_exact(&mut bytes).expect("read");
    assert_eq!(&bytes, b"read me");
    // The next daemon also dies. Another one continues with the copy of the client's end in a service manager.
    let stored = client.as_fd().try_clone_to_owned().expect("room");
    drop(client);
    let (client, _) = FdHolder::from_fd(stored).map_err(|error| error.to_string())?;
    client.remove("o1").expect("room");
    client.barrier(LIMIT).map_err(|error| error.to_string())?;
    assert_eq!(client.hello(LIMIT).expect("answered").names, 1);
    client.quit().expect("room");
    let mut ended = nix::poll::PollFd::new(pidfd.as_fd(), nix::poll::PollFlags::POLLIN);
    let wait = nix::poll::PollTimeout::from(20_000_u16);
    assert_eq!(
        nix::poll::poll(std::slice::from_mut(&mut ended), wait),
        Ok(1)
    );
    Ok(Outcome::Passed)
}

fn replaced() -> Result<Outcome, String> {
    let first = Running::start()?;
    let null = File::open("/dev/null").expect("there");
    first.0.client.store("a", &[null.as_fd()]).expect("room");
    first.signal("KILL");
    first.status()?;
    let client = &first.0.client;
    // A process that another test starts at this moment may have a copy of the socket until its exec.
    wait_for("the socket has no other end", LIMIT, || {
        client.store("a", &[null.as_fd()]).is_err()
    })?;
    assert!(client.next_event().is_err());
    assert!(matches!(client.barrier(LIMIT), Err(FdHolderError::Io(_))));
    assert!(matches!(client.list(LIMIT), Err(FdHolderError::Io(_))));
    let error = FdHolder::find(first.0.pid).expect_err("dead");
    assert!(matches!(error, FdHolderError::NotOurs), "{error}");
    // Starts it from the binary of this process, even if that binary was renamed.
    let second = Running(FdHolder::start().map_err(|error| error.to_string())?);
    assert_eq!(text(second.0.pid, "cmdline"), format!("{NAME}\0"));
    second.0.client.store("a", &[null.as_fd()]).expect("room");
    let refused = second.0.client.barrier(LIMIT);
    assert_eq!(refused.map_err(|error| error.to_string())?, []);
    Ok(Outcome::Passed)
}

fn found() -> Result<Outcome, String> {
    let own = i32::try_from(std::process::id()).expect("small");
    let mut strangers = vec![own, 1, 0, -1, i32::MAX];
    let mut sleeper = Command::new("/bin/sleep")
        .arg0(NAME)
        .arg("1000")
        .stdin(Stdio::null())
        .spawn()
        .expect("started");
    let named = i32::try_from(sleeper.id()).expect("small");
    let (mut other_name, pid) = other(LIAR, "something-else");
    strangers.push(pid);
    let results: Vec<_> = strangers
        .into_iter()
        .map(|pid| (pid, FdHolder::find(pid)))
        .collect();
    let (mut liar, pid) = other(LIAR, NAME);
    let (lied, bare) = (FdHolder::find(pid), FdHolder::find(named));
    for child in [&mut sleeper, &mut other_name, &mut liar] {
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }
    for (pid, result) in results {
        assert!(
            matches!(result, Err(FdHolderError::NotOurs)),
            "{pid}: {result:?}"
        );
    }
    assert!(matches!(lied, Err(FdHolderError::Late)), "{lied:?}");
    assert!(bare.is_err(), "it has no such descriptor");
    if sys::effective_uid() != 0 {
        return Ok(Outcome::Passed);
    }
    // A process of another user that has every attribute of an fd holder except the owner.
    let mut command = Command::new(std::env::current_exe().expect("exists"));
    command.arg0(NAME).arg(LIAR).uid(65534).gid(65534);
    let foreign = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut foreign) = foreign else {
        return Ok(Outcome::Skipped(
            "other users may not run this program".to_owned(),
        ));
    };
    let mut line = String::new();
    let stdout = foreign.stdout.as_mut().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("told");
    let result = FdHolder::find(line.trim().parse().expect("a pid"));
    foreign.kill().expect("killed");
    foreign.wait().expect("reaped");
    assert!(matches!(result, Err(FdHolderError::NotOurs)), "{result:?}");
    Ok(Outcome::Passed)
}

fn small() -> Result<Outcome, String> {
    let running = Running::start()?;
    let client = &running.0.client;
    let resident = || {
        let of = |name| {
            field(running.0.pid, name)
                .trim_end_matches(" kB")
                .trim()
                .parse::<u64>()
        };
        of("RssAnon:").expect("a number")
    };
    let before = resident();
    let null = File::open("/dev/null").expect("there");
    for round in 0..200 {
        for number in 0..100 {
            let name = format!("o{number}");
            let full = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
            while client
                .store(&name, &[null.as_fd()])
                .is_err_and(|error| full(&error))
            {
                client.barrier(LIMIT).map_err(|error| error.to_string())?;
            }
        }
        if round % 20 == 0 {
            drop(client.list(LIMIT).map_err(|error| error.to_string())?);
        }
    }
    assert_eq!(
        client
            .barrier(Duration::from_secs(40))
            .map_err(|e| e.to_string())?,
        []
    );
    let grown = resident().saturating_sub(before);
    // 20,000 store requests with a hundred names need no more memory than a hundred names.
    assert!(grown <= 256, "{grown} KiB more");
    Ok(Outcome::Passed)
}

const INSTANCE: InstanceId = InstanceId {
    slot: 3,
    incarnation: 17,
};

/// The reading end of a pipe. The bytes in the pipe identify it in an fd holder.
fn pipe_with(bytes: &[u8]) -> Arc<OwnedFd> {
    let (reader, mut writer) = io::pipe().expect("pipe");
    writer.write_all(bytes).expect("room");
    Arc::new(reader.into())
}

/// The content of the fd holder behind an FD store: names, and the number of descriptors of each.
fn stored(fd_store: &FdStore) -> Result<Vec<(String, usize)>, String> {
    assert!(fd_store.barrier().is_none());
    let list = fd_store.client().list(LIMIT).map_err(|e| e.to_string())?;
    let count = |(name, fds): (String, Vec<OwnedFd>)| (name, fds.len());
    Ok(list.into_iter().map(count).collect())
}

fn names(expected: &[(&str, usize)]) -> Vec<(String, usize)> {
    let own = |&(name, count): &(&str, usize)| (name.to_owned(), count);
    expected.iter().map(own).collect()
}

/// Stops the fd holder of an FD store on drop.
struct Ends<'a>(&'a FdStore);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.quit();
    }
}

fn new_fd_store() -> Result<FdStore, String> {
    let started = FdHolder::start_program(Path::new(BINARY)).map_err(|e| e.to_string())?;
    Ok(FdStore::new(started.client))
}

fn instances() -> Result<Outcome, String> {
    let fd_store = new_fd_store()?;
    let _ends = Ends(&fd_store);
    let (stdin, stdout, pidfd) = (pipe_with(b"i"), pipe_with(b"o"), pipe_with(b"p"));
    let pipes = [Some(stdin), Some(stdout), None];
    assert!(fd_store.store_pipes(INSTANCE, pipes.clone()).is_none());
    assert_eq!(stored(&fd_store)?, names(&[("iop17", 2)]));
    // A second call sends nothing, as after an adoption.
    assert!(fd_store.store_pipes(INSTANCE, pipes).is_none());
    assert!(fd_store.store_pidfd(INSTANCE, &pidfd).is_none());
    assert!(fd_store.store_pidfd(INSTANCE, &pidfd).is_none());
    assert_eq!(stored(&fd_store)?, names(&[("iop17", 3)]));
    let list = fd_store.client().list(LIMIT).map_err(|e| e.to_string())?;
    let order: Vec<u8> = list[0].1.iter().map(first_byte).collect();
    assert_eq!(order, b"iop");
    // The pidfd stays with the pipes, and is removed with them.
    assert!(fd_store.remove_pidfd(INSTANCE).is_none());
    assert_eq!(stored(&fd_store)?, names(&[("iop17", 3)]));
    assert!(fd_store.remove_instance(INSTANCE.incarnation).is_none());
    assert_eq!(stored(&fd_store)?, []);
    // An instance without pipes: adopted with its pidfd only.
    assert!(fd_store.store_pidfd(INSTANCE, &pidfd).is_none());
    assert_eq!(stored(&fd_store)?, names(&[("p17", 1)]));
    assert!(fd_store.remove_pidfd(INSTANCE).is_none());
    assert_eq!(stored(&fd_store)?, []);
    assert!(fd_store.remove_instance(INSTANCE.incarnation).is_none());
    Ok(Outcome::Passed)
}

fn first_byte(fd: &OwnedFd) -> u8 {
    let mut pipe = File::from(fd.try_clone().expect("room"));
    let mut byte = [0];
    pipe.read_exact(&mut byte).expect("read");
    byte[0]
}

/// Version 5.0 stored each descriptor under its own name.
fn earlier_names() -> Result<Outcome, String> {
    let started = FdHolder::start_program(Path::new(BINARY)).map_err(|e| e.to_string())?;
    let client = started.client;
    let (stdin, stdout, stderr) = (pipe_with(b"i"), pipe_with(b"o"), pipe_with(b"e"));
    let pidfd = pipe_with(b"p");
    let all = [
        ("i17", &stdin),
        ("o17", &stdout),
        ("e17", &stderr),
        ("p17", &pidfd),
        ("o18", &stdout),
        ("p18", &pidfd),
        ("state", &stdout),
    ];
    for (name, fd) in all {
        client.store(name, &[fd.as_fd()]).expect("room");
    }
    let fd_store = FdStore::from_running(client);
    let _ends = Ends(&fd_store);
    let before = all.map(|(name, _)| (name, 1));
    let mut before = names(&before);
    before.sort();
    assert_eq!(stored(&fd_store)?, before);
    // The daemon stores the pidfd first, then it adopts the streams.
    assert!(fd_store.store_pidfd(INSTANCE, &pidfd).is_none());
    let pipes = [Some(stdin), Some(stdout), Some(stderr)];
    assert!(fd_store.store_pipes(INSTANCE, pipes).is_none());
    let adopted = names(&[("ioep17", 4), ("o18", 1), ("p18", 1), ("state", 1)]);
    assert_eq!(stored(&fd_store)?, adopted);
    // The other instance is unknown, so its names are removed, in any order.
    for name in ["p18", "o18"] {
        assert!(fd_store.remove_named(name).is_none());
    }
    assert!(fd_store.remove_instance(INSTANCE.incarnation).is_none());
    assert_eq!(stored(&fd_store)?, names(&[("state", 1)]));
    assert!(fd_store.remove(FdName::State).is_none());
    assert_eq!(stored(&fd_store)?, []);
    Ok(Outcome::Passed)
}

fn given_again() -> Result<Outcome, String> {
    let fd_store = new_fd_store()?;
    let first = fd_store.client();
    let _ends = Ends(&fd_store);
    let other = InstanceId {
        slot: 4,
        incarnation: 18,
    };
    assert!(
        fd_store
            .store_pipes(INSTANCE, [None, Some(pipe_with(b"o")), None])
            .is_none()
    );
    assert!(fd_store.store_pidfd(INSTANCE, &pipe_with(b"p")).is_none());
    first.kill();
    fd_store.mark_lost();
    // A change in the meantime goes to the next fd holder.
    assert!(
        fd_store
            .store_pipes(other, [None, Some(pipe_with(b"o")), None])
            .is_none()
    );
    let started = FdHolder::start_program(Path::new(BINARY)).map_err(|e| e.to_string())?;
    let count = fd_store
        .replace(started.client)
        .map_err(|e| e.to_string())?;
    assert_eq!(count, 2);
    assert_eq!(stored(&fd_store)?, names(&[("op17", 2), ("op18", 1)]));
    assert!(fd_store.store_pidfd(other, &pipe_with(b"p")).is_none());
    assert!(fd_store.remove_instance(INSTANCE.incarnation).is_none());
    assert_eq!(stored(&fd_store)?, names(&[("op18", 2)]));
    Ok(Outcome::Passed)
}
