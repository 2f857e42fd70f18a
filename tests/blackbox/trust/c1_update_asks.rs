//! A configuration without any program is taken over after a question, where somebody can answer it.

use super::terminal::Terminal;
use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// All of them.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::c1_update_asks_before_it_removes_everything", asks),
        Trial::new("trust::c1_update_of_a_script_does_not_ask", does_not_ask),
    ]
}

const TWO: &str = "[program:a]\ncommand={test_child} forever\nstartsecs=0\n[program:b]\ncommand={test_child} forever\nstartsecs=0\n";
const QUESTION: &str = "The configuration has no programs. Really stop and remove a, b y/N? ";

fn asks() -> Result<Outcome, String> {
    let mut host = Host::start(TWO)?;
    for name in ["a", "b"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let pid = host.daemon()?.pid_of("a");
    host.configure("")?;
    // Enter, no, and the end of input are all no consent.
    for keys in ["\n", "n\n", "\x04"] {
        let mut terminal = Terminal::start(&host, &["update"])?;
        terminal.wait(QUESTION)?;
        terminal.press(keys)?;
        let code = terminal.end()?;
        terminal.wait("update: cancelled, nothing changed")?;
        expect(code == 1, format!("{keys:?}: exit {code}"))?;
        let now = host.daemon()?.pid_of("a");
        expect(now == pid, format!("{keys:?}: {pid} became {now}"))?;
    }
    let mut terminal = Terminal::start(&host, &["update"])?;
    terminal.wait(QUESTION)?;
    terminal.press("y\n")?;
    let code = terminal.end()?;
    terminal.wait("b: removed process group")?;
    expect(code == 0, format!("exit {code}"))?;
    host.expect_ctl(&["status"], 0, &[])?;
    // Where a program is left, nobody is asked.
    host.configure(TWO)?;
    host.expect_ctl(&["update"], 0, &["a: added process group"])?;
    host.configure("[program:a]\ncommand={test_child} forever\nstartsecs=0\n")?;
    let mut terminal = Terminal::start(&host, &["update"])?;
    terminal.end()?;
    terminal.wait("b: removed process group")?;
    // With --yes nobody is asked either.
    host.configure("")?;
    let mut terminal = Terminal::start(&host, &["update", "--yes"])?;
    terminal.end()?;
    terminal.wait("a: removed process group")?;
    expect(
        !terminal.screen().contains("y/N"),
        format!("{:?}", terminal.screen()),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn does_not_ask() -> Result<Outcome, String> {
    let mut host = Host::start(TWO)?;
    host.configure("")?;
    let got = host.ctl(&["update"])?;
    expect(
        got.code == 0
            && got.stdout
                == "a: stopped\na: removed process group\nb: stopped\nb: removed process group\n",
        format!("{got:?}"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
