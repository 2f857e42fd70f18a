//! `supervisorctl top` and `security`: at a real terminal, in tmux, and as text.

use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use serde_json::Value as Json;

use crate::host::Host;
use crate::support::daemon::{Finished, Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};
use crate::trust::terminal::Terminal;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("top::one_table_and_json", once),
        Trial::new("top::the_screen_acts_after_a_question", acts),
        Trial::new("top::the_terminal_is_restored", restores),
        Trial::new("top::it_works_in_tmux", in_tmux),
        Trial::new("top::programs_have_a_security_score", security),
    ]
}

const PROGRAMS: &str = "[program:api]\ncommand=sh -c \"echo hello from api; exec sleep 1000\"\nstartsecs=0\n\
    [program:job]\ncommand=sleep 1000\nprocess_name=%(program_name)s_%(process_num)d\nnumprocs=3\nstartsecs=0\n\
    [program:off]\ncommand=sleep 1000\nautostart=false\n";
/// Leaves the other screen.
const LEAVE: &str = "\x1b[?1049l";

fn host() -> Result<Host, String> {
    let host = Host::start(PROGRAMS)?;
    for name in ["api", "job:job_0", "job:job_1", "job:job_2"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    Ok(host)
}

fn json(got: &Finished) -> Result<Json, String> {
    let value: Json =
        serde_json::from_str(&got.stdout).map_err(|error| format!("{error}: {got:?}"))?;
    expect(value["schema"] == 1, format!("{got:?}"))?;
    Ok(value)
}

fn once() -> Result<Outcome, String> {
    let mut host = host()?;
    // Without a terminal it is one table, with or without the option.
    for args in [&["top"][..], &["top", "--once"]] {
        let got = host.ctl(args)?;
        let lines: Vec<&str> = got.stdout.lines().collect();
        let begins = [
            "NAME ",
            "  api ",
            "- job ",
            "    job_0 ",
            "    job_1 ",
            "    job_2 ",
            "  off ",
        ];
        expect(
            got.code == 0
                && lines.len() == begins.len()
                && lines
                    .iter()
                    .zip(begins)
                    .all(|(line, begin)| line.starts_with(begin))
                && lines[2].contains(" 3/3 ")
                && lines[6].contains("STOPPED")
                && !got.stdout.contains('\x1b'),
            format!("{got:?}"),
        )?;
    }
    let got = json(&host.ctl(&["top", "--json", "job:job_1", "off"])?)?;
    let processes = got["processes"].as_array().ok_or("no processes")?;
    expect(
        processes.len() == 2
            && processes[0]["namespec"] == "job:job_1"
            && processes[0]["memory_bytes"].as_u64() > Some(0)
            && processes[0]["cpu_permille"].is_u64()
            && processes[1]["memory_bytes"].is_null(),
        got.to_string(),
    )?;
    host.expect_ctl(&["top", "-d", "x"], 2, &["-d requires a time"])?;
    host.expect_ctl(&["top", "-d", "1d"], 2, &["-d takes at most an hour"])?;
    host.expect_ctl(&["top", "--twice"], 2, &["top has no option --twice"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn acts() -> Result<Outcome, String> {
    if !has_tmux() {
        return Ok(Outcome::Skipped("tmux is not installed".to_owned()));
    }
    let mut host = host()?;
    let tmux = Tmux::start(&host, "top -d 1")?;
    tmux.wait("5 processes, 4 RUNNING")?;
    tmux.press("l")?;
    tmux.wait("hello from api")?;
    tmux.press("x")?;
    tmux.wait("stop api? (y/N)")?;
    tmux.press("n")?;
    tmux.wait("nothing was done")?;
    expect(host.daemon()?.state("api") == "RUNNING", "it was stopped")?;
    tmux.press("xy")?;
    host.daemon()?.wait_state("api", "STOPPED")?;
    tmux.wait("stop api: done")?;
    tmux.press("/off")?;
    tmux.wait("/off")?;
    tmux.key("Enter")?;
    tmux.wait("filter: off")?;
    tmux.press("sy")?;
    host.daemon()?.wait_state("off", "RUNNING")?;
    tmux.wait("start off: done")?;
    // A group: its first row, then the question names it.
    tmux.key("Escape")?;
    tmux.wait("q quit")?;
    tmux.press("/job")?;
    tmux.key("Enter")?;
    tmux.wait("filter: job")?;
    tmux.press("gx")?;
    tmux.wait("stop job:*? (y/N)")?;
    tmux.press("y")?;
    host.daemon()?.wait_state("job:job_2", "STOPPED")?;
    tmux.press("?")?;
    tmux.wait("collapse or expand a group")?;
    tmux.press("q")?;
    tmux.press("q")?;
    tmux.wait("before\nafter")?;
    drop(tmux);
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn restores() -> Result<Outcome, String> {
    let host = host()?;
    let ends: [(Option<Signal>, i32); 5] = [
        (None, 0),
        (Some(Signal::SIGINT), 130),
        (Some(Signal::SIGTERM), 143),
        (Some(Signal::SIGHUP), 129),
        (Some(Signal::SIGQUIT), 131),
    ];
    let fresh = nix::pty::openpty(None, None).map_err(|error| error.to_string())?;
    let before = nix::sys::termios::tcgetattr(&fresh.master).map_err(|error| error.to_string())?;
    for (signal, code) in ends {
        let mut terminal = Terminal::start_sized(&host, &["top"], (24, 80))?;
        // Only cells that change are written, so the test waits for a text in a place that was empty.
        terminal.wait("job_2")?;
        expect(
            terminal.settings()?.local_flags != before.local_flags,
            "not in raw mode",
        )?;
        match signal {
            Some(signal) => {
                let _ = kill(terminal.pid(), signal);
            }
            // Ctrl-C is a key in raw mode.
            None => terminal.press("\x03")?,
        }
        let ended = terminal.end()?;
        terminal.wait(LEAVE)?;
        // No mouse capture: people select names with the mouse.
        expect(!terminal.screen().contains("\x1b[?100"), terminal.screen())?;
        let after = terminal.settings()?;
        expect(
            ended == code
                && after.local_flags == before.local_flags
                && after.input_flags == before.input_flags
                && after.output_flags == before.output_flags,
            format!("{signal:?}: {ended}"),
        )?;
    }
    // A daemon that is gone is told on the screen, and the screen goes on.
    let mut host = host;
    let mut terminal = Terminal::start_sized(&host, &["top", "-d", "1"], (24, 100))?;
    terminal.wait("job_2")?;
    drop(host.daemon.take());
    terminal.wait("NO ANSWER (")?;
    terminal.press("q")?;
    expect(terminal.end()? == 0, terminal.screen())?;
    Ok(Outcome::Passed)
}

fn has_tmux() -> bool {
    let got = Command::new("tmux").arg("-V").output();
    got.is_ok_and(|got| got.status.success())
}

/// A tmux server of its own with one window, which ends with the value.
struct Tmux<'a> {
    host: &'a Host,
    socket: String,
}

impl<'a> Tmux<'a> {
    /// Runs an action of supervisorctl in a window, between two lines.
    fn start(host: &'a Host, action: &str) -> Result<Self, String> {
        let tmux = Self {
            host,
            socket: host.place.join("tmux").display().to_string(),
        };
        let ctl = program(Side::Ours, "supervisorctl")?;
        let line = format!(
            "echo before; {} -c conf {action}; echo after; exec cat",
            ctl.display()
        );
        let got = tmux.run(&[
            "new-session",
            "-d",
            "-s",
            "it",
            "-x",
            "100",
            "-y",
            "30",
            &line,
        ])?;
        expect(got.code == 0, format!("{got:?}"))?;
        Ok(tmux)
    }

    fn run(&self, args: &[&str]) -> Result<Finished, String> {
        let place = self.host.place.path();
        let mut command = self.host.marked.command(Path::new("/usr/bin/env"), place);
        command.args(["tmux", "-f", "/dev/null", "-S", &self.socket]);
        command.args(args);
        run(command, place, None, LIMIT)
    }

    /// Presses keys that are characters.
    fn press(&self, keys: &str) -> Result<(), String> {
        self.run(&["send-keys", "-t", "it", "-l", keys]).map(drop)
    }

    /// Presses a key with a name.
    fn key(&self, name: &str) -> Result<(), String> {
        self.run(&["send-keys", "-t", "it", name]).map(drop)
    }

    /// Waits until the window shows this text.
    fn wait(&self, text: &str) -> Result<(), String> {
        let mut shown = String::new();
        wait_for(&format!("tmux shows {text:?}"), LIMIT, || {
            if let Ok(got) = self.run(&["capture-pane", "-p", "-t", "it"]) {
                shown = got.stdout;
            }
            shown.contains(text)
        })
        .map_err(|why| format!("{why}; it shows {shown}"))
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        drop(self.run(&["kill-server"]));
    }
}

fn in_tmux() -> Result<Outcome, String> {
    if !has_tmux() {
        return Ok(Outcome::Skipped("tmux is not installed".to_owned()));
    }
    let host = host()?;
    let tmux = Tmux::start(&host, "top")?;
    tmux.wait("    job_2 ")?;
    tmux.key("Down")?;
    tmux.key("Enter")?;
    tmux.wait("+ job")?;
    tmux.run(&["resize-window", "-t", "it", "-x", "70", "-y", "12"])?;
    tmux.key("Enter")?;
    tmux.wait("    job_2 ")?;
    tmux.press("q")?;
    // The screen from before is back.
    tmux.wait("before\nafter")?;
    Ok(Outcome::Passed)
}

fn security() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:plain]\ncommand=sleep 1000\nstartsecs=0\nautostart=false\n\
         [program:tight]\ncommand=sleep 1000\nstartsecs=0\nautostart=false\nnumprocs=2\n\
         process_name=%(process_num)d\nuser=nobody\nno_new_privileges=true\nmemory_max=1G\npids_max=64\n",
    )?;
    let is_root = nix::unistd::geteuid().is_root();
    let plain = if is_root { 0 } else { 60 };
    let got = host.ctl(&["security"])?;
    let lines: Vec<&str> = got.stdout.lines().collect();
    let next = if is_root {
        "user=nobody (40)"
    } else {
        "no_new_privileges=true (80)"
    };
    expect(
        got.code == 0
            && lines.len() == 2
            && lines[0].starts_with("plain ")
            && lines[0].contains(&format!("  {plain:>3}/100  next: {next}"))
            && lines[1].ends_with("100/100  nothing left to set"),
        format!("{got:?}"),
    )?;
    host.expect_ctl(
        &["security", "plain"],
        0,
        &[
            "plain [program:plain]: ",
            "  - ",
            " no_new_privileges: ",
            "  next: ",
        ],
    )?;
    let got = json(&host.ctl(&["security", "--json", "tight:1"])?)?;
    let tight = &got["programs"][0];
    expect(
        tight["score"] == 100
            && tight["processes"] == 2
            && tight["section"] == "program:tight"
            && tight["checks"][0]["met"] == true
            && got["programs"][1].is_null(),
        got.to_string(),
    )?;
    host.expect_ctl(
        &["security", "nosuch"],
        1,
        &["nosuch: ERROR (no such process)"],
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
