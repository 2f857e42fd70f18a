//! Runs the examples of the manual pages: the text between `.EX` and `.EE` of the committed files.

use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use supervisord::api::METHODS;
use supervisord::domain::roff::{Example, PAGES};

use crate::pages::{plain, source};
use crate::support::daemon::wait_exit;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, wait_for};
use crate::{Scene, installed};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        Trial::new("examples::configurations_are_valid", configurations),
        Trial::new(
            "examples::examples_for_machines_name_existing_options_and_files",
            machines,
        ),
        Trial::new("examples::supervisorctl_examples_work", client),
    ];
    for page in ["supervisord.8", "echo_supervisord_conf.1", "pidproxy.1"] {
        tests.push(Trial::new(format!("examples::{page}"), move || {
            shells(page)
        }));
    }
    tests
}

/// The examples of a page, each with the keyword of its kind.
fn examples(file: &str) -> Result<Vec<(String, String)>, String> {
    let source = source(file)?;
    let mut found = Vec::new();
    for part in source.split(".\\\" example: ").skip(1) {
        let (word, rest) = part.split_once('\n').unwrap_or((part, ""));
        let text = rest
            .strip_prefix(".RS 4\n.EX\n")
            .and_then(|rest| rest.split_once(".EE\n.RE\n"))
            .ok_or_else(|| format!("{file}: an example without its end"))?;
        found.push((word.to_owned(), plain(text.0)));
    }
    if source.matches(".EX\n").count() != found.len() {
        return Err(format!("{file}: an example without a kind"));
    }
    Ok(found)
}

fn of_kind(file: &str, kind: Example) -> Result<Vec<String>, String> {
    let of_kind = |(word, text): (String, String)| (word == kind.word()).then_some(text);
    Ok(examples(file)?.into_iter().filter_map(of_kind).collect())
}

/// Replaces the paths of a packaged installation with those of the directory `here`.
fn at_home(text: &str, here: &str) -> String {
    text.replace("/run/supervisor/", &format!("{here}/"))
        .replace("/var/log/supervisor", here)
        .replace("/etc/supervisor/", &format!("{here}/"))
        .replace("root:supervisor", "root")
        .replace("user=www-data", "user=nobody")
}

/// Sections that every file needs.
const AROUND: &str = "[supervisord]\nlogfile=%(here)s/main.log\npidfile=%(here)s/main.pid\n[rpcinterface:supervisor]\n\
    supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n";

fn configurations() -> Result<Outcome, String> {
    let scene = Scene::new()?;
    let here = scene.place.text();
    std::fs::create_dir(scene.place.join("conf.d")).map_err(|e| e.to_string())?;
    let mut checked = 0;
    for page in PAGES {
        for (word, text) in examples(&page.file())? {
            let text = match word.as_str() {
                word if word == Example::Configuration.word() => text,
                word if word == Example::Sections.word() => format!("{AROUND}{text}"),
                _ => continue,
            };
            let conf = scene.place.write("example.conf", &at_home(&text, &here))?;
            let mut command = scene.command(&scene.place.join("bin/supervisord"));
            command
                .env("WEB_PORT", "8080")
                .args(["--check", "--strict", "--any-host", "-c"])
                .arg(conf);
            let end = crate::run(command, scene.place.path(), None, LIMIT)?;
            if end.code != 0 {
                return Err(format!("{}: {text}\n{}", page.file(), end.stderr));
            }
            checked += 1;
        }
    }
    // At least as many as when this test was written. A broken parser of roff would find fewer.
    match checked >= 7 {
        true => Ok(Outcome::Passed),
        false => Err(format!("only {checked} examples were found")),
    }
}

/// Runs the shell examples of a page. Each line runs beside the configuration of the example before it.
fn shells(file: &'static str) -> Result<Outcome, String> {
    let mut ran = 0;
    let scene = Scene::new()?;
    for (word, text) in examples(file)? {
        if word == Example::Configuration.word() {
            scene.place.write("supervisord.conf", &text)?;
        } else if word == Example::Shell.word() {
            for line in text.lines() {
                let end = scene.run("sh", &["-c", line])?;
                // A program that has just been started is not RUNNING yet, and `status` exits with 3.
                let may_be = if line.ends_with(" status") {
                    [0, 3]
                } else {
                    [0, 0]
                };
                if !may_be.contains(&end.code) {
                    return Err(format!("{line}: {end:?}"));
                }
            }
            ran += 1;
        }
    }
    match ran > 0 {
        true => Ok(Outcome::Passed),
        false => Err("no example was found".to_owned()),
    }
}

/// The programs that the examples of supervisorctl(1) name. A signal does not stop the program.
const PROGRAMS: &str = "\
[program:web]
command=/bin/sh -c 'trap : USR1; echo up; echo up >&2; while :; do sleep 1; done'
startsecs=0
restart_floor=0
[program:worker]
command=/bin/sleep 1000
process_name=%(program_name)s_%(process_num)d
numprocs=3
startsecs=0
restart_floor=0
[group:jobs]
programs=worker
";

fn client() -> Result<Outcome, String> {
    let scene = Scene::new()?;
    let daemon = scene.daemon(PROGRAMS)?;
    daemon.wait_state("web", "RUNNING")?;
    daemon.wait_state("jobs:worker_2", "RUNNING")?;
    let mut ran = 0;
    for line in of_kind("supervisorctl.1", Example::Shell)?
        .iter()
        .flat_map(|text| text.lines())
    {
        ran += 1;
        if line.contains("tail -f") {
            followed(&scene, line)?;
            continue;
        }
        let line = match line.split_once(" | jq ") {
            Some((before, _)) if installed("jq").is_none() => before,
            _ => line,
        };
        let end = scene.run("sh", &["-c", line])?;
        if end.code != 0 || !end.stderr.is_empty() || end.stdout.contains("ERROR") {
            return Err(format!("{line}: {end:?}"));
        }
        if line.contains("echo it runs") && end.stdout != "it runs\n" {
            return Err(format!("{line}: {end:?}"));
        }
    }
    let workers = scene.run("supervisorctl", &["status", "jobs:*"])?.stdout;
    match (ran, workers.lines().count()) {
        (9.., 6) => Ok(Outcome::Passed),
        _ => Err(format!("{ran} lines were run, and left {workers}")),
    }
}

/// Runs a command with endless output until it has printed something.
fn followed(scene: &Scene, line: &str) -> Result<(), String> {
    let out = scene.place.join("followed");
    let mut words = line.split_whitespace();
    let program = scene
        .place
        .join("bin")
        .join(words.next().unwrap_or_default());
    let mut command = scene.command(&program);
    let file = std::fs::File::create(&out).map_err(|e| e.to_string())?;
    command.args(words).stdout(file).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let shown = wait_for(line, LIMIT, || scene.place.read("followed").contains("up"));
    let pid = i32::try_from(child.id()).map_err(|e| e.to_string())?;
    let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGINT);
    let ended = wait_exit(&mut child, LIMIT);
    if ended.is_err() {
        drop(child.kill());
        drop(child.wait());
    }
    shown.and(ended.map(drop))
}

/// Checks that examples that need a machine name only existing options and files. It does not run them.
fn machines() -> Result<Outcome, String> {
    let scene = Scene::new()?;
    let offered =
        |word: &str| scene.run("supervisorctl", &["--complete", "1", "supervisorctl", word]);
    let (actions, flags) = (offered("")?.stdout, offered("-")?.stdout);
    let known = |list: &str, word: &str| {
        list.lines()
            .any(|line| line.split('\t').next() == Some(word))
    };
    let mut looked_at = 0;
    for page in PAGES {
        let text = plain(&source(&page.file())?);
        for example in of_kind(&page.file(), Example::Machine)? {
            for line in example.replace("\\\n", " ").lines() {
                looked_at += 1;
                let wrong =
                    |word: &str| Err(format!("{}: {line}: {word} does not exist", page.file()));
                let words: Vec<&str> = line.split_whitespace().collect();
                match words.first().copied().unwrap_or_default() {
                    "supervisorctl" => {
                        if let Some(flag) = words
                            .iter()
                            .find(|word| word.starts_with('-') && !known(&flags, word))
                        {
                            return wrong(flag);
                        }
                        let action = words.last().copied().unwrap_or_default();
                        if !known(&actions, action) {
                            return wrong(action);
                        }
                    }
                    "journalctl" => {
                        for word in words.iter().filter_map(|word| word.split('=').next()) {
                            let is_field =
                                word.starts_with("SUPERVISOR_") || word.starts_with("SYSLOG_");
                            if is_field && !text.contains(&format!(".TP\n{word}\n")) {
                                return wrong(word);
                            }
                        }
                    }
                    "busctl" if words.get(1) == Some(&"call") => {
                        let method = words.get(5).copied().unwrap_or_default();
                        if !text.contains(&format!(".TP\n{method}(")) {
                            return wrong(method);
                        }
                    }
                    "gdbus" => {
                        let method = words.iter().skip_while(|word| **word != "-m").nth(1);
                        let method = method
                            .and_then(|word| word.rsplit('.').next())
                            .unwrap_or_default();
                        if !text.contains(&format!(".TP\n{method}(")) {
                            return wrong(method);
                        }
                    }
                    "curl" => {
                        let called = line
                            .split("<methodName>")
                            .nth(1)
                            .and_then(|rest| rest.split('<').next());
                        let path = line.split("/api/v1").nth(1);
                        let path = path.and_then(|rest| rest.split([' ', '?', '"']).next());
                        if let (None, Some(path)) = (called, path) {
                            let route = format!("GET {path}");
                            if !METHODS.iter().any(|method| method.route == route) {
                                return wrong(path);
                            }
                            continue;
                        }
                        if !called.is_some_and(|name| text.contains(&format!(".TP\n{name}("))) {
                            return wrong("its method");
                        }
                    }
                    "supervisord" => {
                        let verb = words.get(1).copied().unwrap_or_default();
                        let ask = |index: &str, words: &[&str]| {
                            let arguments = [&["--complete", index, "supervisord"], words].concat();
                            scene.run("supervisord", &arguments)
                        };
                        if !known(&ask("1", &[""])?.stdout, verb) {
                            return wrong(verb);
                        }
                        // The arguments of a verb that accepts only a fixed list.
                        let all = ask("2", &[verb, ""])?.stdout;
                        let word = words.get(2).copied().unwrap_or_default();
                        if !all.starts_with('\t') && !known(&all, word) {
                            return wrong(word);
                        }
                    }
                    "busctl" | "systemctl" => {}
                    other => return wrong(other),
                }
            }
        }
    }
    match looked_at >= 10 {
        true => Ok(Outcome::Passed),
        false => Err(format!("only {looked_at} lines were found")),
    }
}
