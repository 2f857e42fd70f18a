//! A program's output does not control the terminal of a user who follows its log.

use super::terminal::Terminal;
use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "trust::a8_tail_on_a_terminal_shows_no_control_characters",
        tail,
    )]
}

/// A title, a cleared screen (C0 and C1), and the end of the test.
const HOSTILE: &str = "1b5d303b6f776e656407411b5b324a42c29b324a43 ";

fn tail() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:evil]\ncommand={{test_child}} hex {HOSTILE} say end forever\nstartsecs=0\n"
    ))?;
    let shown = "\u{fffd}]0;owned\u{fffd}A\u{fffd}[2JB\u{fffd}2JCend";
    host.daemon()?.wait_state("evil", "RUNNING")?;
    for action in ["tail -f", "fg", "tail"] {
        let mut words: Vec<&str> = action.split(' ').collect();
        words.push("evil");
        let mut terminal = Terminal::start(&host, &words)?;
        terminal.wait("end")?;
        let screen = terminal.screen();
        expect(screen.contains(shown), format!("{action}: {screen:?}"))?;
        expect(
            !screen.contains(['\u{1b}', '\u{9b}', '\u{7}']),
            format!("{action}: {screen:?}"),
        )?;
        if action != "tail" {
            terminal.interrupt();
        }
        terminal.end()?;
    }
    // A program that reads the output gets every byte.
    let out = followed(&host)?;
    expect(
        out.contains("\u{1b}]0;owned\u{7}A\u{1b}[2JB\u{9b}2JCend"),
        format!("{out:?}"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The output of `tail -f` into a file.
fn followed(host: &Host) -> Result<String, String> {
    use crate::support::daemon::{Side, program};
    let file = std::fs::File::create(host.place.join("evil.raw")).map_err(|e| e.to_string())?;
    let mut command = host
        .marked
        .command(&program(Side::Ours, "supervisorctl")?, host.place.path());
    command
        .args(["-c", "conf", "tail", "-f", "evil"])
        .stdout(file);
    let mut child = command.spawn().map_err(|e| e.to_string())?;
    let waited = host.wait_file("evil.raw", "end");
    drop(child.kill());
    drop(child.wait());
    waited?;
    Ok(host.place.read("evil.raw"))
}
