//! Completion in real shells with a running daemon, and with daemons that do not answer.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, wait_for};
use crate::{Scene, installed, root};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("completion::bash_completes", || bash(None)),
        Trial::new("completion::bash_completes_with_bash_completion", || {
            bash(Some(BASH_COMPLETION.into()))
        }),
        Trial::new("completion::bash_completes_at_a_terminal", || {
            at_a_terminal(None)
        }),
        Trial::new(
            "completion::bash_completes_at_a_terminal_with_bash_completion",
            || at_a_terminal(Some(BASH_COMPLETION.into())),
        ),
        Trial::new("completion::fish_completes", fish),
        Trial::new("completion::zsh_completes", zsh),
        Trial::new(
            "completion::a_daemon_that_does_not_answer_delays_nothing",
            silent,
        ),
        Trial::new(
            "completion::a_configured_password_is_used_without_a_prompt",
            password,
        ),
    ]
}

/// The library that makes bash complete more than it does alone.
const BASH_COMPLETION: &str = "/usr/share/bash-completion/bash_completion";

const PROGRAMS: &str = "\
[program:cat]
command=/bin/sleep 1000
[program:num]
command=/bin/sleep 1000
process_name=%(program_name)s_%(process_num)02d
numprocs=2
[program:off]
command=/bin/sleep 1000
autostart=false
";

/// The line, the words into which bash splits it, the candidates of bash for the rest of the last word, and the
/// candidates of the other shells for the whole word.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

const NUM: &[&str] = &["num:*", "num:num_00", "num:num_01"];

const CASES: &[Case] = &[
    (
        "supervisorctl sta",
        &["supervisorctl", "sta"],
        &["start", "status"],
        &["start", "status"],
    ),
    (
        "supervisorctl start ",
        &["supervisorctl", "start", ""],
        &["all", "cat", "num:\\*", "num:num_00", "num:num_01", "off"],
        &["all", "cat", "num:*", "num:num_00", "num:num_01", "off"],
    ),
    (
        "supervisorctl stop num",
        &["supervisorctl", "stop", "num"],
        &["num:\\*", "num:num_00", "num:num_01"],
        NUM,
    ),
    // bash ends a word at a colon.
    (
        "supervisorctl stop num:",
        &["supervisorctl", "stop", "num", ":"],
        &["\\*", "num_00", "num_01"],
        NUM,
    ),
    (
        "supervisorctl restart cat num:num_01",
        &["supervisorctl", "restart", "cat", "num", ":", "num_01"],
        &["num_01"],
        &["num:num_01"],
    ),
    (
        "supervisorctl -c supervisord.conf tail num:num_00 ",
        &[
            "supervisorctl",
            "-c",
            "supervisord.conf",
            "tail",
            "num",
            ":",
            "num_00",
            "",
        ],
        &["stdout", "stderr"],
        &["stdout", "stderr"],
    ),
    (
        "supervisorctl --configuration=supervisord.conf signal HUP c",
        &[
            "supervisorctl",
            "--configuration",
            "=",
            "supervisord.conf",
            "signal",
            "HUP",
            "c",
        ],
        &["cat"],
        &["cat"],
    ),
    (
        "supervisorctl signal US",
        &["supervisorctl", "signal", "US"],
        &["USR1", "USR2"],
        &["USR1", "USR2"],
    ),
    (
        "supervisorctl scale n",
        &["supervisorctl", "scale", "n"],
        &["num"],
        &["num"],
    ),
    (
        "supervisorctl status --",
        &["supervisorctl", "status", "--"],
        &["--json", "--watch"],
        &["--json", "--watch"],
    ),
    (
        "supervisorctl --conf",
        &["supervisorctl", "--conf"],
        &["--configuration"],
        &["--configuration"],
    ),
    (
        "supervisorctl nosuch ",
        &["supervisorctl", "nosuch", ""],
        &[],
        &[],
    ),
    (
        "supervisorctl -c supervisord.c",
        &["supervisorctl", "-c", "supervisord.c"],
        &["supervisord.conf"],
        &["supervisord.conf"],
    ),
    (
        "supervisord -n --che",
        &["supervisord", "-n", "--che"],
        &["--check"],
        &["--check"],
    ),
    (
        "supervisord service sta",
        &["supervisord", "service", "sta"],
        &["start", "status"],
        &["start", "status"],
    ),
    (
        "supervisord -e inf",
        &["supervisord", "-e", "inf"],
        &["info"],
        &["info"],
    ),
    (
        "supervisord -u roo",
        &["supervisord", "-u", "roo"],
        &["root"],
        &["root"],
    ),
    (
        "supervisord -d bi",
        &["supervisord", "-d", "bi"],
        &["bin"],
        &["bin"],
    ),
    (
        "pidproxy -exit",
        &["pidproxy", "-exit"],
        &["-exit-daemon-stop"],
        &["-exit-daemon-stop"],
    ),
    (
        "pidproxy supervisord.c",
        &["pidproxy", "supervisord.c"],
        &["supervisord.conf"],
        &["supervisord.conf"],
    ),
    (
        "pidproxy x.pid supervisord.c",
        &["pidproxy", "x.pid", "supervisord.c"],
        &["supervisord.conf"],
        &["supervisord.conf"],
    ),
    (
        "echo_supervisord_conf ",
        &["echo_supervisord_conf", ""],
        &[],
        &[],
    ),
];

fn script(name: &str) -> String {
    root("packaging/completion")
        .join(name)
        .display()
        .to_string()
}

/// Runs every case with a daemon, and compares the answers of `complete`.
fn cases(
    of_bash: bool,
    complete: impl Fn(&Scene, &Case) -> Result<String, String>,
) -> Result<Outcome, String> {
    let scene = Scene::new()?;
    let _daemon = scene.daemon(PROGRAMS)?;
    let mut wrong = Vec::new();
    for case in CASES {
        let answer = complete(&scene, case)?;
        let mut found: Vec<&str> = answer
            .lines()
            // Without the description, and without the slash after a directory.
            .map(|line| {
                line.split('\t')
                    .next()
                    .unwrap_or_default()
                    .trim_end_matches('/')
            })
            .filter(|word| !word.is_empty())
            .collect();
        let mut expected = if of_bash { case.2 } else { case.3 }.to_vec();
        found.sort_unstable();
        found.dedup();
        expected.sort_unstable();
        if found != expected {
            wrong.push(format!("{:?}: {found:?}, not {expected:?}", case.0));
        }
    }
    match wrong.is_empty() {
        true => Ok(Outcome::Passed),
        false => Err(wrong.join("\n")),
    }
}

fn bash(library: Option<PathBuf>) -> Result<Outcome, String> {
    let Some(bash) = installed("bash") else {
        return Ok(Outcome::Skipped("bash is not installed".to_owned()));
    };
    if library.as_ref().is_some_and(|library| !library.exists()) {
        return Ok(Outcome::Skipped(
            "bash-completion is not installed".to_owned(),
        ));
    }
    cases(true, |scene, (line, words, ..)| {
        let mut command = scene.command(&bash);
        if let Some(library) = &library {
            command.env("BASH_COMPLETION", library);
        }
        command
            .arg("--norc")
            .arg(root("tests/manual/completion.bash"))
            .args([&script("supervisorctl.bash"), *line])
            .args(*words);
        let end = crate::run(command, scene.place.path(), None, LIMIT)?;
        match end.stderr.is_empty() {
            true => Ok(end.stdout),
            false => Err(format!("{line}: {}", end.stderr)),
        }
    })
}

/// The typed keys, and the line after the tab key.
const TYPED: &[(&str, &str)] = &[
    ("supervisorctl stop c", "supervisorctl stop cat "),
    ("supervisorctl   stop   c", "supervisorctl   stop   cat "),
    ("supervisorctl stop num", "supervisorctl stop num:"),
    (
        "supervisorctl stop num:num_01",
        "supervisorctl stop num:num_01 ",
    ),
    ("supervisorctl stop num:\\*", "supervisorctl stop num:\\* "),
    (
        "supervisorctl stop \"num:num_01",
        "supervisorctl stop \"num:num_01\" ",
    ),
    (
        "supervisorctl --configuration=supervisord.c",
        "supervisorctl --configuration=supervisord.conf ",
    ),
    ("true; supervisorctl shutd", "true; supervisorctl shutdown "),
    (
        "./bin/supervisorctl stop of",
        "./bin/supervisorctl stop off ",
    ),
    (
        "~/bin/supervisorctl stop of",
        "~/bin/supervisorctl stop off ",
    ),
    ("supervisord -d bi", "supervisord -d bin/"),
];

/// Runs bash as a user does, at a terminal: bash splits and joins the line itself.
fn at_a_terminal(library: Option<PathBuf>) -> Result<Outcome, String> {
    let Some(bash) = installed("bash") else {
        return Ok(Outcome::Skipped("bash is not installed".to_owned()));
    };
    if library.as_ref().is_some_and(|library| !library.exists()) {
        return Ok(Outcome::Skipped(
            "bash-completion is not installed".to_owned(),
        ));
    }
    let scene = Scene::new()?;
    let _daemon = scene.daemon(PROGRAMS)?;
    let terminal = nix::pty::openpty(None, None).map_err(|e| e.to_string())?;
    let end = || terminal.slave.try_clone().map_err(|e| e.to_string());
    let mut command = scene.command(&bash);
    command.args(["--norc", "-i"]);
    command.stdin(end()?).stdout(end()?).stderr(end()?);
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    drop(command);
    let mut keys = File::from(terminal.master);
    let mut screen = keys.try_clone().map_err(|e| e.to_string())?;
    // Reads the screen, because bash blocks when the terminal is full.
    std::thread::spawn(move || while screen.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {});
    let before = library.map_or_else(String::new, |library| {
        format!("source {}; ", library.display())
    });
    let mut typed = |text: &str, file: &str| -> Result<String, String> {
        keys.write_all(text.as_bytes()).map_err(|e| e.to_string())?;
        let path = scene.place.join(file);
        wait_for(text, LIMIT, || path.exists())?;
        let shown = scene.place.read(file);
        std::fs::remove_file(path).map_err(|e| e.to_string())?;
        Ok(shown)
    };
    // Ctrl-T writes the line to a file and clears it.
    let result = typed(
        &format!(
            "{before}source {}; told() {{ printf %s \"$READLINE_LINE\" >told; mv told line; READLINE_LINE= READLINE_POINT=0; }}; \
             bind -x '\"\\C-t\": told'; touch ready\n",
            script("supervisorctl.bash")
        ),
        "ready",
    )
    .and_then(|_| {
        let mut wrong = Vec::new();
        for (text, expected) in TYPED {
            let line = typed(&format!("{text}\t\x14"), "line")?;
            if line != *expected {
                wrong.push(format!("{text:?}: {line:?}"));
            }
        }
        Ok(wrong)
    });
    drop(child.kill());
    drop(child.wait());
    match result?.as_slice() {
        [] => Ok(Outcome::Passed),
        wrong => Err(wrong.join("\n")),
    }
}

fn fish() -> Result<Outcome, String> {
    if installed("fish").is_none() {
        return Ok(Outcome::Skipped("fish is not installed".to_owned()));
    }
    cases(false, |scene, (line, ..)| {
        // fish reads both files when both commands are completed.
        let code = format!(
            "source {}; source {}; complete -C '{line}'",
            script("supervisorctl.fish"),
            script("supervisorctl.fish")
        );
        let end = scene.run("fish", &["--no-config", "-c", &code])?;
        match end.stderr.is_empty() {
            true => Ok(end.stdout),
            false => Err(format!("{line}: {}", end.stderr)),
        }
    })
}

fn zsh() -> Result<Outcome, String> {
    if installed("zsh").is_none() {
        return Ok(Outcome::Skipped("zsh is not installed".to_owned()));
    }
    let driver = root("tests/manual/completion.zsh").display().to_string();
    let functions = root("packaging/completion").display().to_string();
    cases(false, |scene, (line, ..)| {
        let end = scene.run("zsh", &["-f", &driver, &functions, line])?;
        Ok(end.stdout)
    })
}

/// The candidates of `supervisorctl --complete` for `start`. The command must succeed without a message.
fn started(scene: &Scene, options: &[&str]) -> Result<String, String> {
    let index = (options.len() + 2).to_string();
    let mut words = vec!["--complete", &index, "supervisorctl"];
    words.extend(options);
    words.extend(["start", ""]);
    let end = scene.run("supervisorctl", &words)?;
    if end.code != 0 || !end.stderr.is_empty() {
        return Err(format!("{options:?}: {end:?}"));
    }
    Ok(end.stdout)
}

fn silent() -> Result<Outcome, String> {
    let scene = Scene::new()?;
    let here = scene.place.text();
    // A daemon that accepts connections and does not answer.
    let _mute = UnixListener::bind(scene.place.join("mute.sock")).map_err(|e| e.to_string())?;
    // A daemon with a full backlog, so that it accepts no connection.
    let full = UnixListener::bind(scene.place.join("full.sock")).map_err(|e| e.to_string())?;
    nix::sys::socket::listen(
        &full,
        nix::sys::socket::Backlog::new(0).map_err(|e| e.to_string())?,
    )
    .map_err(|e| e.to_string())?;
    let _waiting = std::os::unix::net::UnixStream::connect(scene.place.join("full.sock"))
        .map_err(|e| e.to_string())?;
    // A daemon that has exited.
    drop(UnixListener::bind(scene.place.join("gone.sock")).map_err(|e| e.to_string())?);
    scene
        .place
        .write("wrong.conf", "[supervisorctl\nserverurl")?;
    for options in [
        &["-s", &format!("unix://{here}/mute.sock")][..],
        &["-s", &format!("unix://{here}/full.sock")],
        &["-s", &format!("unix://{here}/gone.sock")],
        &["-s", &format!("unix://{here}/never.sock")],
        &["-s", "http://127.0.0.1:1"],
        &["-s", "nonsense"],
        &["-c", &format!("{here}/wrong.conf")],
        &["-c", "/no/such/file"],
        &["--nosuch"],
    ] {
        let answer = started(&scene, options)?;
        if answer != "all\tall processes\n" {
            return Err(format!("{options:?}: {answer:?}"));
        }
    }
    Ok(Outcome::Passed)
}

fn password() -> Result<Outcome, String> {
    let scene = Scene::new()?;
    let _daemon = scene.daemon(&format!(
        "{PROGRAMS}[unix_http_server:guarded]\nfile=%(here)s/g.sock\nusername=me\npassword=secret\n"
    ))?;
    let url = format!("unix://{}/g.sock", scene.place.text());
    for (options, is_told) in [
        (&["-s", &url, "-u", "me", "-p", "secret"][..], true),
        (&["-s", &url, "-u", "me", "-p", "wrong"], false),
        (&["-s", &url], false),
        (&["-i", "-s", &url], false),
    ] {
        let answer = started(&scene, options)?;
        if answer.contains("num:num_00") != is_told {
            return Err(format!("{options:?}: {answer:?}"));
        }
    }
    Ok(Outcome::Passed)
}
