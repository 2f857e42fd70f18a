//! A line at the bottom of a terminal that says what a long action waits for. A thread asks the daemon on a connection of its
//! own; the line disappears with the action.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::client::RpcClient;
use super::error::CtlError;
use super::printable;
use super::reply::ProcessInfo;
use super::screen;
use crate::api::xmlrpc::RpcValue;
use crate::domain::ProcessState;

/// How long an action takes before the line appears.
const FIRST_AFTER: Duration = Duration::from_secs(1);
/// Pause between two lines.
const PAUSE: Duration = Duration::from_millis(500);
/// Maximum number of processes that the line names.
const NAMED_MAX: usize = 2;
/// The members that the line needs.
const MEMBERS: [&str; 6] = ["name", "group", "start", "state", "statename", "progress"];

/// What an action waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Processes are up, or their start has failed.
    Start,
    /// Processes have exited.
    Stop,
    /// Processes are up again.
    Restart,
}

impl Goal {
    /// The participle for people, such as `stopping`.
    pub(super) const fn doing(self) -> &'static str {
        match self {
            Self::Start => "starting",
            Self::Stop => "stopping",
            Self::Restart => "restarting",
        }
    }

    /// Whether a process still has to do something. `before`: when it had been started as the action began.
    fn is_pending(self, process: &ProcessInfo, before: i64) -> bool {
        let Some(state) = ProcessState::from_code(process.state) else {
            return false;
        };
        match self {
            Self::Stop => !state.is_stopped(),
            Self::Start => !matches!(
                state,
                ProcessState::Running | ProcessState::Exited | ProcessState::Fatal
            ),
            Self::Restart => process.start == before || state != ProcessState::Running,
        }
    }
}

#[derive(Debug, Default)]
struct Drawn {
    /// Whether the line is on the screen.
    is_shown: bool,
    is_over: bool,
}

#[derive(Debug, Default)]
struct Shared {
    drawn: Mutex<Drawn>,
    over: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Drawn> {
        // No code panics while it holds the lock.
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line. Dropping it removes it from the screen.
#[derive(Debug)]
pub(super) struct ProgressLine {
    shared: Arc<Shared>,
}

/// While it exists, the line is not on the screen.
pub(super) struct HiddenLine<'a>(#[expect(dead_code, reason = "it is held")] MutexGuard<'a, Drawn>);

impl ProgressLine {
    /// Starts to watch the processes that `names` select. Empty: all. `None`: no thread can be started, and there is no line.
    pub(super) fn start(client: RpcClient, goal: Goal, names: &[&str]) -> Option<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || show(&of_thread, client, goal, &names))
            .ok()?;
        Some(Self { shared })
    }

    /// Removes the line until the returned value is dropped, for other output.
    pub(super) fn hide(&self) -> HiddenLine<'_> {
        let mut drawn = self.shared.lock();
        erase(&mut drawn);
        HiddenLine(drawn)
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        let mut drawn = self.shared.lock();
        drawn.is_over = true;
        erase(&mut drawn);
        self.shared.over.notify_all();
    }
}

fn erase(drawn: &mut Drawn) {
    if std::mem::take(&mut drawn.is_shown) {
        // The next write reports a closed terminal.
        let _ = io::stdout().write_all(b"\r\x1b[K");
        let _ = io::stdout().flush();
    }
}

/// Draws the line until the action is over. Gives up if the daemon does not answer: the action itself reports that.
fn show(shared: &Shared, mut client: RpcClient, goal: Goal, names: &[String]) {
    let Ok(before) = table(&mut client, names) else {
        return;
    };
    let starts: BTreeMap<String, i64> = before
        .iter()
        .map(|process| (process.namespec(), process.start))
        .collect();
    let concerned = |process: &ProcessInfo| {
        let start = starts.get(&process.namespec()).copied().unwrap_or(0);
        match goal {
            // Processes that are stopped already do not count.
            Goal::Stop | Goal::Start => goal.is_pending(process, start),
            Goal::Restart => ProcessState::from_code(process.state) == Some(ProcessState::Running),
        }
    };
    // While the daemon shuts down, it answers only about named processes.
    let named: Vec<String> = match names {
        [] => starts.keys().cloned().collect(),
        names => names.to_vec(),
    };
    let total = before.iter().filter(|process| concerned(process)).count();
    let mut pause = FIRST_AFTER;
    loop {
        let drawn = shared.lock();
        let (drawn, _) = shared
            .over
            .wait_timeout_while(drawn, pause, |drawn| !drawn.is_over)
            .unwrap_or_else(PoisonError::into_inner);
        if drawn.is_over {
            return;
        }
        drop(drawn);
        let Ok(processes) = table(&mut client, &named) else {
            return;
        };
        let pending: Vec<&ProcessInfo> = processes
            .iter()
            .filter(|process| {
                let start = starts.get(&process.namespec()).copied().unwrap_or(0);
                goal.is_pending(process, start)
            })
            .collect();
        let line = line(goal, &pending, total);
        let columns = screen::size().map_or(80, |(columns, _)| columns);
        let mut drawn = shared.lock();
        if drawn.is_over {
            return;
        }
        drawn.is_shown = true;
        let text = format!("\r{}\x1b[K", screen::cut(&line, columns.saturating_sub(1)));
        let _ = io::stdout().write_all(text.as_bytes());
        let _ = io::stdout().flush();
        pause = PAUSE;
    }
}

/// The processes that `names` select.
fn table(client: &mut RpcClient, names: &[String]) -> Result<Vec<ProcessInfo>, CtlError> {
    let texts = |texts: Vec<&str>| RpcValue::Array(texts.into_iter().map(RpcValue::text).collect());
    let names = texts(names.iter().map(String::as_str).collect());
    let params = vec![names, texts(MEMBERS.to_vec())];
    ProcessInfo::read_table(&client.call("supervisord.getProcessTable", params)?)
}

/// The line about the processes that still have to do something, such as `stopping 3 of 7, api: SIGKILL in 6 s`.
fn line(goal: Goal, pending: &[&ProcessInfo], total: usize) -> String {
    let mut line = format!(
        "{} {} of {}",
        goal.doing(),
        pending.len(),
        total.max(pending.len())
    );
    let busy = pending
        .iter()
        .filter(|process| !process.progress.is_empty());
    for process in busy.take(NAMED_MAX) {
        line.push_str(&format!(
            ", {}: {}",
            printable::line(&process.namespec()),
            process.progress
        ));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(name: &str, state: ProcessState, progress: &str) -> ProcessInfo {
        ProcessInfo {
            name: name.to_owned(),
            group: name.to_owned(),
            state: i64::from(state.code()),
            progress: progress.to_owned(),
            ..ProcessInfo::default()
        }
    }

    #[test]
    fn the_line_counts_and_names_the_slow_ones() {
        let processes = [
            process("a", ProcessState::Stopping, ""),
            process("api", ProcessState::Stopping, "SIGKILL in 6 s"),
            process("web", ProcessState::Stopping, "SIGKILL in 7 s"),
            process("x", ProcessState::Stopping, "SIGKILL in 8 s"),
        ];
        let pending: Vec<&ProcessInfo> = processes.iter().collect();
        assert_eq!(
            line(Goal::Stop, &pending, 7),
            "stopping 4 of 7, api: SIGKILL in 6 s, web: SIGKILL in 7 s"
        );
        assert_eq!(line(Goal::Start, &[], 7), "starting 0 of 7");
    }

    #[test]
    fn a_goal_says_what_is_left_to_do() {
        use ProcessState::{Backoff, Exited, Running, Starting, Stopped, Stopping};
        for (goal, state, is_pending) in [
            (Goal::Stop, Stopping, true),
            (Goal::Stop, Stopped, false),
            (Goal::Start, Starting, true),
            (Goal::Start, Backoff, true),
            (Goal::Start, Running, false),
            (Goal::Start, Exited, false),
            (Goal::Restart, Running, true),
        ] {
            let process = process("a", state, "");
            assert_eq!(
                goal.is_pending(&process, 0),
                is_pending,
                "{goal:?} {state:?}"
            );
        }
        let mut restarted = process("a", Running, "");
        restarted.start = 5;
        assert!(!Goal::Restart.is_pending(&restarted, 4));
    }
}
