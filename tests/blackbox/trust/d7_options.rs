//! Options: an action refuses an unknown option before it does anything, and `--help` prints help.

use super::terminal::Terminal;
use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::d7_unknown_options_do_nothing", unknown),
        Trial::new("trust::d7_the_history_file_is_written", history),
    ]
}

fn unknown() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:web]\ncommand={test_child} forever\nstartsecs=0\n[program:-x]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    let pid = host.daemon()?.pid_of("web");
    for line in [
        "stop web --jsn",
        "stop --jsn web",
        "restart web --force",
        "start web -f",
        "signal TERM web --jsn",
        "clear web --all",
        "remove web --yes",
        "update web --yess",
        "add web --jsn",
        "serialrestart web --jsn",
        "serialrestart -x2 web",
        "status --jsn",
        "pid --jsn",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let got = host.ctl(&words)?;
        expect(
            got.code == 2 && got.stdout.contains("nothing changed"),
            format!("{line}: {got:?}"),
        )?;
        let now = host.daemon()?.pid_of("web");
        expect(now == pid, format!("{line}: {pid} became {now}"))?;
    }
    for line in [
        "stop web --help",
        "stop -h",
        "restart --help web",
        "update -h",
        "shutdown --help",
        "reload -h",
        "signal -h",
        "tail -h",
        "open --help",
        "scale --help",
        "reread --help",
        "exit -h",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let help = host.ctl(&["help", words[0]])?;
        let got = host.ctl(&words)?;
        expect(
            got.code == 0 && got.stdout == help.stdout && got.stderr.is_empty(),
            format!("{line}: {got:?}"),
        )?;
    }
    let now = host.daemon()?.pid_of("web");
    expect(now == pid, format!("{pid} became {now}"))?;
    // A name that begins with a dash is a name.
    host.expect_ctl(&["stop", "-x"], 0, &["-x: stopped"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn history() -> Result<Outcome, String> {
    let mut host = Host::start("[program:web]\ncommand={test_child} forever\nstartsecs=0\n")?;
    let mut terminal = Terminal::start(&host, &["--history-file", "lines"])?;
    terminal.wait("supervisor> ")?;
    terminal.press("version\r")?;
    host.wait_file("lines", "version\n")?;
    terminal.press("exit\r")?;
    terminal.end()?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
