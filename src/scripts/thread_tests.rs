//! Tests of the thread with real processes and servers.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::*;
use crate::cgroup::CgroupManager;
use crate::config::spec::ProcessSpec;
use crate::config::testing::program;
use crate::domain::{ExitStatus, Seconds, Signal};
use crate::spawn::{self, SpawnBase, SpawnHandle, SpawnOptions};
use crate::sys::StagingFds;

const LIMIT: Duration = Duration::from_secs(20);

fn heartbeats() -> Heartbeats {
    static BEATS: OnceLock<Heartbeats> = OnceLock::new();
    let beats = BEATS.get_or_init(|| Heartbeats::start(|_| {}).expect("started"));
    beats.clone()
}

/// The threads, and the outcomes.
struct Bench {
    scripts: Option<ScriptsHandle>,
    outcomes: Receiver<ScriptOutcome>,
    spawn: SpawnHandle,
    next: u64,
    input: String,
}

impl Bench {
    fn new() -> Self {
        let base = SpawnBase::new([("PATH".into(), "/usr/bin:/bin".into())], None, Vec::new());
        let spawn = spawn::start(
            SpawnOptions {
                base,
                cgroup_manager: CgroupManager::default(),
                inherited: Vec::new(),
                fd_store: None,
                heartbeats: heartbeats(),
                staging: std::array::from_fn(|_| StagingFds::reserve().expect("reserved")),
            },
            |_| {},
            |_| {},
        )
        .expect("started");
        let (sender, outcomes) = channel();
        let done = move |outcome| {
            let _ = sender.send(outcome);
        };
        let scripts = start(heartbeats(), spawn.command_sender(), done).expect("started");
        Self {
            scripts: Some(scripts),
            outcomes,
            spawn,
            next: 0,
            input: String::new(),
        }
    }

    fn send(&self, effect: ScriptEffect) {
        self.scripts.as_ref().expect("started").send(effect);
    }

    fn begin(&mut self, script: &str, limit: i64) -> ScriptId {
        let mut spec: ProcessSpec = program("team", "proc");
        spec.environment = [("A".to_owned(), "1".to_owned())].into();
        self.next += 1;
        let id = ScriptId(self.next);
        self.send(ScriptEffect::Run(Box::new(ScriptRun {
            id,
            script: Script::parse(script).expect(script),
            spec: Arc::new(spec),
            variables: vec![("B".to_owned(), "2".to_owned())],
            input: self.input.clone(),
            limit: Seconds(limit),
        })));
        id
    }

    fn ended(&self) -> (ScriptId, Option<ScriptFailure>, String) {
        let ScriptOutcome::Ended {
            id,
            failure,
            output,
        } = self
            .outcomes
            .recv_timeout(LIMIT)
            .expect("an answer in time");
        (id, failure, output)
    }

    fn run(&mut self, script: &str, limit: i64) -> (Option<ScriptFailure>, String) {
        let id = self.begin(script, limit);
        let (of, failure, output) = self.ended();
        assert_eq!(of, id);
        (failure, output)
    }

    fn stop(mut self) {
        drop(self.scripts.take());
        self.spawn.join();
    }
}

/// Waits until the process that wrote its PID to `file` is gone.
fn wait_until_gone(pid: &str) {
    let until = Instant::now() + LIMIT;
    while std::path::Path::new(&format!("/proc/{pid}")).exists() {
        assert!(Instant::now() < until, "{pid} is alive");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Reads the PID that a command writes to a file.
fn pid_in(path: &std::path::Path) -> String {
    let until = Instant::now() + LIMIT;
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.ends_with('\n') {
            return text.trim().to_owned();
        }
        assert!(Instant::now() < until, "it did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn scratch(name: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("supervisord-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn a_command_has_the_environment_of_its_program_and_its_result_is_told() {
    let mut bench = Bench::new();
    let (failure, output) = bench.run("sh -c 'echo $A$B $SUPERVISOR_PROCESS_NAME; echo e >&2'", 20);
    assert_eq!((failure, output.as_str()), (None, "12 proc\ne\n"));
    let (failure, _) = bench.run("sh -c 'exit 3'", 20);
    assert_eq!(failure, Some(ScriptFailure::Ended(ExitStatus::Exited(3))));
    let (failure, _) = bench.run("sh -c 'kill -9 $$'", 20);
    let killed = ExitStatus::Signalled {
        signal: Signal::KILL,
        dumped: false,
    };
    assert_eq!(failure, Some(ScriptFailure::Ended(killed)));
    let (failure, _) = bench.run("/nosuch/command", 20);
    let shown = failure.expect("failed").to_string();
    assert_eq!(shown, "not started: can't find command '/nosuch/command'");
    bench.stop();
}

#[test]
fn a_flood_of_output_is_bounded_and_a_child_in_the_background_is_not_waited_for() {
    let mut bench = Bench::new();
    let (failure, output) = bench.run(
        "sh -c 'head -c 300000 /dev/zero | tr \"\\\\0\" x; echo end'",
        20,
    );
    assert_eq!(failure, None);
    assert_eq!(output.len(), crate::effects::SCRIPT_OUTPUT_MAX);
    assert!(output.ends_with("xend\n"), "{output}");
    let (failure, output) = bench.run("sh -c 'sleep 1000 & echo $!'", 20);
    assert_eq!(failure, None);
    let pid = output.trim().parse().expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL)
        .expect("alive");
    bench.stop();
}

#[test]
fn g44_a_command_that_takes_too_long_is_killed_with_its_group() {
    let mut bench = Bench::new();
    let file = scratch("timeout");
    let command = format!("sh -c 'sleep 1000 & echo $! > {}; wait'", file.display());
    let (failure, _) = bench.run(&command, 1);
    assert_eq!(failure, Some(ScriptFailure::TimedOut(Seconds(1))));
    wait_until_gone(&pid_in(&file));
    // The same for one that is cancelled, and for one that runs at the end.
    std::fs::remove_file(&file).expect("written");
    let id = bench.begin(&command, 1000);
    let pid = pid_in(&file);
    bench.send(ScriptEffect::Cancel(id));
    assert_eq!(bench.ended().1, Some(ScriptFailure::Cancelled));
    wait_until_gone(&pid);
    std::fs::remove_file(&file).expect("written");
    bench.begin(&command, 1000);
    let pid = pid_in(&file);
    bench.stop();
    wait_until_gone(&pid);
    std::fs::remove_file(&file).expect("written");
}

#[test]
fn g45_tcp_and_http_checks_tell_good_servers_from_bad_ones() {
    let mut bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = listener.local_addr().expect("bound").port();
    assert_eq!(bench.run(&format!("tcp://127.0.0.1:{port}"), 20).0, None);
    drop(listener.accept().expect("connected"));
    for (answer, expected) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            "HTTP/1.1 503 Busy\r\nA: b\r\n\r\n",
            Some("HTTP status 503".to_owned()),
        ),
        (
            "hello\n\n\n\n",
            Some(format!("127.0.0.1:{port} did not answer with HTTP")),
        ),
        (
            "",
            Some(format!("127.0.0.1:{port} did not answer with HTTP")),
        ),
    ] {
        bench.begin(&format!("http://127.0.0.1:{port}/a -d data"), 20);
        let (mut client, _) = listener.accept().expect("connected");
        let mut request = Vec::new();
        while !request.ends_with(b"data") {
            let mut chunk = [0; 1024];
            let bytes = client.read(&mut chunk).expect("read");
            request.extend_from_slice(&chunk[..bytes]);
        }
        assert!(request.starts_with(b"POST /a HTTP/1.1\r\n"));
        client.write_all(answer.as_bytes()).expect("written");
        drop(client);
        let failure = bench.ended().1.map(|failure| failure.to_string());
        assert_eq!(failure, expected, "{answer}");
    }
    // A server that accepts and never answers.
    let (failure, _) = bench.run(&format!("http://127.0.0.1:{port}/"), 1);
    assert_eq!(failure, Some(ScriptFailure::TimedOut(Seconds(1))));
    drop(listener);
    let failure = bench.run(&format!("tcp://127.0.0.1:{port}"), 20).0;
    let shown = failure.expect("refused").to_string();
    assert!(shown.starts_with(&format!(
        "cannot connect to 127.0.0.1:{port}: Connection refused"
    )));
    bench.stop();
}

#[test]
fn a_command_reads_its_input_to_the_end() {
    let mut bench = Bench::new();
    bench.input = "line\n".repeat(50_000);
    let (failure, output) = bench.run("wc -c", 10);
    assert_eq!((failure, output.trim()), (None, "250000"));
    // A command that reads nothing is no failure.
    assert_eq!(bench.run("true", 10), (None, String::new()));
    bench.stop();
}
