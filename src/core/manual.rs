//! What the manual and the documentation say about stages and states, generated from the table of transitions.

use super::stage::StageKind;
use super::transitions::{Step, Trigger};
use crate::domain::ProcessState;
use crate::domain::roff::{Example, Page};

const STATES: &str = "\
Each process has one of these states, which `supervisorctl status`, events and the web page show. The picture has the usual
changes; the entries list all of them.";

/// The meaning of a state.
const fn meaning(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Stopped => {
            "A request stopped the process, the process was never started, or it waits for what it depends on (`depends_on`), as `status` says."
        }
        ProcessState::Starting => {
            "The process was started, but has not been up for `startsecs` seconds; with `notify` or `ready_fd`, it has not reported readiness."
        }
        ProcessState::Running => "The process runs. With `startsecs=0`, it is RUNNING at once.",
        ProcessState::Backoff => {
            "The process exited too early, could not be started, or reached its readiness timeout. The next attempt follows; the delay grows by one second with each failure, unless `restart_delay` or a key like it is set. `stop` ends the attempts."
        }
        ProcessState::Stopping => {
            "The process received `stopsignal` and has not exited. After `stopwaitsecs` seconds it receives the next signal of `stopsignal`, and after the last one SIGKILL."
        }
        ProcessState::Exited => {
            "The process exited from RUNNING, and `autorestart` does not restart it. `start` starts it again."
        }
        ProcessState::Fatal => {
            "The start failed and all `startretries` attempts failed too. `start` tries again."
        }
        ProcessState::Unknown => {
            "The kernel refused to deliver a signal to the process. `start` fails, because the old process may still run."
        }
    }
}

/// Returns the words for a step that changes the state.
const fn words(step: Step) -> &'static str {
    match (step.on, step.from) {
        (Trigger::Start | Trigger::Deadline, _) if matches!(step.to, StageKind::Waiting) => {
            "start that waits for a dependency"
        }
        (Trigger::Start | Trigger::DependenciesMet, _) => "start",
        (Trigger::Stop, _) => "stop",
        (Trigger::Shutdown, _) => "exit of the daemon",
        (Trigger::Deadline, StageKind::Exited) => "autorestart",
        (Trigger::Deadline, StageKind::Backoff) => "next attempt",
        (Trigger::Spawned, _)
        | (Trigger::Deadline, StageKind::Starting)
        | (Trigger::Drained | Trigger::Deadline, StageKind::ReapedUnpromoted) => "up for startsecs",
        (Trigger::Drained | Trigger::Deadline, _) => "exit",
        (Trigger::SpawnFailed, StageKind::StopPending) | (Trigger::Cancelled, _) => {
            "stop before the process existed"
        }
        (Trigger::SpawnFailed | Trigger::HookEnded, _) => "failure to start",
        (Trigger::SignalRefused, _) => "refused signal",
        (Trigger::Notified | Trigger::Checked, StageKind::AwaitingReady) => "ready",
        (Trigger::Checked, _) => "on_unhealthy=stop",
        (Trigger::Adopted, _) => "found running when the daemon started",
        (Trigger::Resumed, _) => "restart of the daemon",
        (Trigger::RetriesSpent, _) => "startretries used up",
        // These triggers do not change the state.
        (
            Trigger::Resolved
            | Trigger::Prepared
            | Trigger::Exited
            | Trigger::Emptied
            | Trigger::SignalSent
            | Trigger::DependencyFailed
            | Trigger::Notified
            | Trigger::Other,
            _,
        ) => "",
    }
}

/// Returns why a process may change from one state to another, each reason once. Empty: it never does.
fn reasons(from: ProcessState, to: ProcessState) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    for step in Step::all() {
        if (step.from.state(), step.to.state()) == (from, to) && !reasons.contains(&words(step)) {
            reasons.push(words(step));
        }
    }
    reasons
}

/// Returns the states that can follow, each with the reasons.
fn next_states(from: ProcessState) -> String {
    let next: Vec<String> = ProcessState::ALL
        .into_iter()
        .filter(|&to| to != from)
        .map(|to| (to, reasons(from, to)))
        .filter(|(_, reasons)| !reasons.is_empty())
        .map(|(to, reasons)| format!("`{to}` ({})", reasons.join(", ")))
        .collect();
    format!("Next: {}.", next.join("; "))
}

/// A column and a line of the picture.
type Point = (usize, usize);

/// Where the picture has each state.
const PLACES: &[(ProcessState, Point)] = &[
    (ProcessState::Stopped, (0, 3)),
    (ProcessState::Starting, (11, 3)),
    (ProcessState::Running, (51, 3)),
    (ProcessState::Exited, (63, 3)),
    (ProcessState::Backoff, (11, 7)),
    (ProcessState::Stopping, (51, 7)),
    (ProcessState::Fatal, (12, 11)),
];

/// An arrow of the picture.
struct Arrow {
    from: ProcessState,
    to: ProcessState,
    /// Corners of the line, from its beginning to its head.
    path: &'static [Point],
    /// The reasons that it shows, separated by ", or ", and their place.
    label: (&'static str, Point),
}

const fn arrow(
    from: ProcessState,
    to: ProcessState,
    path: &'static [Point],
    label: &'static str,
    at: Point,
) -> Arrow {
    Arrow {
        from,
        to,
        path,
        label: (label, at),
    }
}

#[rustfmt::skip]
const ARROWS: &[Arrow] = &[
    arrow(ProcessState::Stopped, ProcessState::Starting, &[(8, 3), (9, 3)], "start", (2, 2)),
    arrow(ProcessState::Starting, ProcessState::Running, &[(20, 3), (49, 3)], "up for startsecs, or ready", (21, 2)),
    arrow(ProcessState::Running, ProcessState::Exited, &[(59, 3), (61, 3)], "exit", (56, 2)),
    arrow(ProcessState::Exited, ProcessState::Starting, &[(66, 2), (66, 0), (12, 0), (12, 2)], "autorestart", (34, 0)),
    arrow(ProcessState::Starting, ProcessState::Backoff, &[(12, 4), (12, 6)], "exit", (7, 5)),
    arrow(ProcessState::Backoff, ProcessState::Starting, &[(17, 6), (17, 4)], "next attempt", (19, 5)),
    arrow(ProcessState::Backoff, ProcessState::Fatal, &[(14, 8), (14, 10)], "startretries used up", (16, 9)),
    arrow(ProcessState::Running, ProcessState::Stopping, &[(54, 4), (54, 6)], "stop", (56, 5)),
    arrow(ProcessState::Stopping, ProcessState::Stopped, &[(54, 8), (54, 12), (2, 12), (2, 4)], "exit", (56, 9)),
];

/// The size of the picture in columns and lines.
const SIZE: Point = (69, 13);

/// Draws the usual changes of states. Panics if an arrow or a label is not in the table of transitions.
fn picture() -> String {
    let mut lines = vec![vec![' '; SIZE.0]; SIZE.1];
    for arrow in ARROWS {
        let known = reasons(arrow.from, arrow.to);
        for reason in arrow.label.0.split(", or ") {
            assert!(
                known.contains(&reason),
                "the table has no step from {} to {} by {reason}",
                arrow.from,
                arrow.to
            );
        }
        draw_path(&mut lines, arrow.path);
        let (text, at) = arrow.label;
        if arrow.path.iter().any(|corner| corner.1 == at.1) {
            write(&mut lines, (at.0 - 1, at.1), &format!(" {text} "));
        } else {
            write(&mut lines, at, text);
        }
    }
    for (state, place) in PLACES {
        write(&mut lines, *place, state.name());
    }
    let lines: Vec<String> = lines.into_iter().map(String::from_iter).collect();
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n")
}

fn write(lines: &mut [Vec<char>], (x, y): Point, text: &str) {
    for (place, c) in (x..).zip(text.chars()) {
        lines[y][place] = c;
    }
}

fn draw_path(lines: &mut [Vec<char>], path: &[Point]) {
    for ends in path.windows(2) {
        let ((x1, y1), (x2, y2)) = (ends[0], ends[1]);
        for line in &mut lines[y1.min(y2)..=y1.max(y2)] {
            for c in &mut line[x1.min(x2)..=x1.max(x2)] {
                *c = if *c == ' ' && y1 == y2 {
                    '-'
                } else if *c == ' ' {
                    '|'
                } else {
                    '+'
                };
            }
        }
        lines[y2][x2] = match (x2 > x1, y2 > y1, y1 == y2) {
            (true, _, true) => '>',
            (false, _, true) => '<',
            (_, true, false) => 'v',
            (_, false, false) => '^',
        };
    }
}

/// Writes the chapter STATES of supervisord.conf(5).
pub fn states(page: &mut Page) {
    page.section("STATES");
    page.prose(STATES);
    page.example(Example::Text, &picture());
    for state in ProcessState::ALL {
        let text = format!("{} {}", meaning(state), next_states(state));
        page.entry(&format!("`{state}`"), &text);
    }
}

/// Returns the table of transitions for the documentation of stages, in Markdown.
#[must_use]
pub fn stages() -> String {
    let mut text = "```text\n".to_owned();
    let mut last = None;
    for step in Step::all() {
        let (from, on) = (format!("{:?}", step.from), format!("{:?}", step.on));
        match last.replace((step.from, step.on)) {
            Some(before) if before == (step.from, step.on) => {
                text.pop();
                text.push_str(&format!(" | {:?}\n", step.to));
                continue;
            }
            Some((before, _)) if before == step.from => text.push_str(&" ".repeat(21)),
            _ => text.push_str(&format!("{from:<21}")),
        }
        text.push_str(&format!("{on:<17}→ {:?}\n", step.to));
    }
    text + "```\n"
}
