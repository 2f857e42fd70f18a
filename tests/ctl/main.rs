//! Compares `supervisorctl` with the reference client: the same command lines give the same output and exit status.
//!
//! Needs the variable `SUPERVISOR_ORACLE`, a virtual environment with Supervisor 4.3.0. Without it those tests print
//! that they are skipped, and pass. Every process that a test starts exits with the test.

mod fake;
#[path = "../support/help.rs"]
mod help;
mod side;
mod table;

use std::path::{Path, PathBuf};

use side::{LIMIT, Outcome, Side, normal};
use table::{CONF, Expect, STEPS, Step};

/// Our client.
fn ours() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_supervisorctl"))
}

/// The directory of the reference programs. `None`: they are not installed.
fn oracle() -> Option<PathBuf> {
    let found = std::env::var_os("SUPERVISOR_ORACLE").map(PathBuf::from);
    if found.is_none() {
        eprintln!("skipped: SUPERVISOR_ORACLE names no virtual environment with Supervisor 4.3.0");
    }
    found
}

/// The arguments of a step.
fn words(line: &'static str) -> Vec<String> {
    line.split_whitespace()
        .map(|word| match word {
            "@" => String::new(),
            "g:*" | "x:*" => word.to_owned(),
            _ if word.contains('{') => word.to_owned(),
            _ if word.starts_with('-') || word.contains(':') || word.contains("://") => {
                word.to_owned()
            }
            _ => word.replace('_', " "),
        })
        .collect()
}

fn play(side: &Side, step: &Step) -> Option<Outcome> {
    let conf = ["-c".to_owned(), "{dir}/s.conf".to_owned()];
    let all = |line, with_file: bool| -> Vec<String> {
        let prefix = if with_file { conf.to_vec() } else { Vec::new() };
        prefix.into_iter().chain(words(line)).collect()
    };
    fn slices(words: &[String]) -> Vec<&str> {
        words.iter().map(String::as_str).collect()
    }
    match step {
        Step::Ctl(line, _) => Some(side.run(&slices(&all(line, true)), "")),
        Step::Bare(line, _) => Some(side.run(&slices(&all(line, false)), "")),
        Step::Shell(line, input) => Some(side.run(&slices(&all(line, true)), input)),
        // Sometimes SIGINT interrupts the reference client inside its own error handling, and it prints that on
        // standard error. Such an answer cannot be compared, so the step runs again.
        Step::Follow(line, text) => (0..5)
            .map(|_| side.follow(&slices(&all(line, true)), text))
            .find(|outcome| !outcome.stderr.contains("KeyboardInterrupt")),
        Step::Edit(from, to) => {
            side.edit(from, to);
            None
        }
    }
}

fn name(step: &Step) -> String {
    match step {
        Step::Ctl(line, _) | Step::Bare(line, _) => (*line).to_owned(),
        Step::Shell(line, input) => format!("shell {line} {input:?}"),
        Step::Follow(line, _) => format!("following {line}"),
        Step::Edit(from, _) => format!("edit {from:?}"),
    }
}

fn sorted(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

#[test]
fn ctl_01_to_25_actions_match_the_reference() {
    let Some(oracle) = oracle() else {
        return;
    };
    let reference_client = oracle.join("bin/supervisorctl");
    let (reference, mine) = std::thread::scope(|scope| {
        let reference = scope.spawn(|| Side::start(&oracle, &reference_client, "reference", CONF));
        let mine = Side::start(&oracle, ours(), "ours", CONF);
        (reference.join().expect("it starts"), mine)
    });
    let mut wrong = Vec::new();
    let mut compared = 0;
    for step in STEPS {
        let (theirs, own) = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| play(&reference, step));
            let own = play(&mine, step);
            (theirs.join().expect("it ends"), own)
        });
        let (Some(theirs), Some(own)) = (theirs, own) else {
            assert!(
                matches!(step, Step::Edit(..)),
                "no result of {}",
                name(step)
            );
            continue;
        };
        compared += 1;
        let shape = |outcome: &Outcome, side: &Side| Outcome {
            stdout: normal(&outcome.stdout, side),
            // The lines after Supervisor's two lines about an error in the file are our own.
            stderr: normal(&outcome.stderr, side),
            status: outcome.status,
        };
        let (theirs, own) = (shape(&theirs, &reference), shape(&own, &mine));
        let expect = match step {
            Step::Ctl(_, expect) | Step::Bare(_, expect) => expect,
            _ => &Expect::Same,
        };
        let right = match expect {
            Expect::Any => true,
            Expect::Same => own == theirs,
            Expect::Sorted => {
                own.status == theirs.status
                    && own.stderr == theirs.stderr
                    && sorted(&own.stdout) == sorted(&theirs.stdout)
            }
            Expect::Differs(stdout, status) => {
                own.stdout == *stdout && own.status == Some(*status) && own != theirs
            }
        };
        if !right {
            wrong.push(format!(
                "=== {}\n--- theirs {theirs:#?}\n--- ours {own:#?}",
                name(step)
            ));
        }
    }
    assert!(compared >= 120, "only {compared} compared");
    assert!(
        wrong.is_empty(),
        "{} of {compared} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn ctl_17_foreground_passes_lines_and_shows_both_logs() {
    let Some(oracle) = oracle() else {
        return;
    };
    let conf = CONF.replace(
        "command=/bin/cat\nstartsecs=0",
        "command=/bin/sh -c \"while read x; do echo out $x; echo err $x >&2; done\"\nstartsecs=0",
    );
    let side = Side::start(&oracle, ours(), "fg", &conf);
    let mut child = side
        .command(&["-c", "{dir}/s.conf", "fg", "cat"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the client starts");
    let mut input = child.stdin.take().expect("piped");
    let mut out = child.stdout.take().expect("piped");
    std::io::Write::write_all(&mut input, b"hello\n").expect("it reads");
    let mut seen = String::new();
    let end = std::time::Instant::now() + LIMIT;
    while !(seen.contains("out hello") && seen.contains("err hello")) {
        assert!(std::time::Instant::now() < end, "only {seen:?}");
        let mut piece = [0; 4096];
        let count = std::io::Read::read(&mut out, &mut piece).expect("it writes");
        assert!(count > 0, "ended after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&piece[..count]));
    }
    assert!(
        seen.starts_with("==> Press Ctrl-C to exit <==\n"),
        "{seen:?}"
    );
    side::interrupt(&child);
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).expect("it ends");
    child.stdout = Some(out);
    let outcome = side::collect(child);
    assert!(rest.ends_with("Exiting foreground\n"), "{rest:?}");
    assert_eq!((outcome.status, outcome.stderr.as_str()), (Some(0), ""));
    assert_ne!(side.daemon(), 0);
}

#[test]
fn ctl_08_json_has_the_same_exit_status_and_one_line() {
    let Some(oracle) = oracle() else {
        return;
    };
    let side = Side::start(&oracle, ours(), "json", CONF);
    let json = |line: &str| {
        let words: Vec<&str> = ["-c", "{dir}/s.conf"]
            .into_iter()
            .chain(line.split(' '))
            .collect();
        let outcome = side.run(&words, "");
        assert_eq!(outcome.stderr, "", "{line}");
        assert_eq!(outcome.stdout.lines().count(), 1, "{line}");
        let value: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
        assert_eq!(value["schema"], 1, "{line}");
        (value, outcome.status)
    };
    let (status, code) = json("status --json");
    assert_eq!(code, Some(3));
    let cat = status["processes"]
        .as_array()
        .and_then(|all| all.iter().find(|process| process["namespec"] == "cat"))
        .expect("cat");
    assert_eq!(cat["state"], "RUNNING");
    assert_eq!(cat["statecode"], 20);
    assert!(cat["pid"].as_i64().is_some_and(|pid| pid > 0));
    assert!(cat["logs"]["stdout"].is_string());
    assert!(status.get("errors").is_none());
    let (status, code) = json("status cat nosuch --json");
    assert_eq!(code, Some(4));
    assert_eq!(status["errors"][0]["error"], "no such process");
    assert_eq!(json("pid --json").0["pid"], side.daemon());
    assert_eq!(json("pid cat --json").0["pids"][0]["pid"], cat["pid"]);
    assert_eq!(json("version --json").0["version"], "4.3.0");
    assert_eq!(json("reread --json").0["added"], serde_json::json!([]));
    assert_eq!(json("avail --json").0["configs"][2]["namespec"], "cat");
    let down = side.run(&["-s", "unix:///nonexist", "status", "--json"], "");
    assert_eq!(
        (down.stdout.as_str(), down.stderr.as_str(), down.status),
        (
            "{\"schema\":1,\"action\":\"status\",\"results\":[],\"errors\":[{\"code\":\"ENOENT\",\"text\":\"cannot reach supervisord at unix:///nonexist: the socket does not exist (ENOENT)\"}]}\n",
            "cannot reach supervisord at unix:///nonexist: the socket does not exist (ENOENT)\n",
            Some(4)
        )
    );
}
