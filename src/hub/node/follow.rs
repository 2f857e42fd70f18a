//! Follows a supervisord of ours by its event stream. Events change states at once; what they do not tell, such as exit
//! statuses, is asked for a moment later, for all changes of that moment together.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::client::parse_aside;
use super::event_stream::{StateEvent, StreamBlock, StreamEvent, StreamReader};
use super::failure::{CallFailure, NodeFailure};
use super::process_row::{MergedProcesses, ProcessRow, ProcessRows, merge_some};
use super::task::{Never, NodeTask};
use super::view::{NodeKind, NodeState, ProcessView};
use crate::agent::http::OpenAnswer;
use crate::agent::server_url::encode_fields;
use crate::domain::ProcessState;

const TABLE_PATH: &str = "/api/v1/process-table";
/// How long the stream may be silent. It has a heartbeat every 15 seconds.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// How long changes are collected before the node is asked about them.
const DETAILS_AFTER: Duration = Duration::from_millis(300);
/// Maximum number of processes that are asked about by name. More: all are.
const DETAILS_MAX: usize = 50;
/// How often the whole list is compared, in case an event is missing in our understanding of it.
const COMPARE_EVERY: Duration = Duration::from_secs(300);
/// Maximum number of events of one node in a second. A node that sends more waits, so that others get their turn.
const EVENTS_PER_SECOND_MAX: u32 = 1000;

/// What has to be asked for, and when.
#[derive(Debug)]
struct PendingDetails {
    /// Groups and names.
    names: HashSet<(String, String)>,
    needs_all: bool,
    /// `None`: nothing has to be asked for before the next comparison.
    at: Option<Instant>,
    compare_at: Instant,
}

/// Events of the present second.
#[derive(Debug)]
struct EventPace {
    began: Instant,
    count: u32,
}

impl NodeTask {
    /// Follows the stream until it fails.
    pub(super) async fn follow(
        &mut self,
        mut stream: OpenAnswer,
        version: &str,
    ) -> Result<Never, NodeFailure> {
        let mut reader = StreamReader::default();
        let (mut blocks, limit) = (Vec::new(), self.client().limit());
        let begins = async {
            // The first block says from where on the stream goes.
            while blocks.is_empty() {
                read_blocks(&mut stream, &mut reader, &mut blocks).await?;
            }
            Ok(())
        };
        let begun = timeout(limit, begins).await;
        begun.map_err(|_| failure("its event stream does not begin"))??;
        let resumes = self.last_event.is_some() && blocks[0].id == self.last_event;
        match resumes {
            true => self.node.show_connected(NodeKind::Ours, version, None),
            false => self.ask_all(version).await?,
        }
        self.pauses.reset();
        self.followed_since = Some(Instant::now());
        let mut pending = PendingDetails::new(self.compare_after());
        if resumes && self.lacks_details {
            pending.add_all();
        }
        let mut pace = EventPace::new(Instant::now());
        loop {
            let batch = std::mem::take(&mut blocks);
            if let Some(until) = pace.add(Instant::now(), batch.len()) {
                sleep_until(until).await;
            }
            self.apply(&batch, &mut pending);
            let due = pending.due();
            tokio::select! {
                read = timeout(SILENCE_MAX, read_blocks(&mut stream, &mut reader, &mut blocks)) => {
                    read.map_err(|_| failure("its event stream is silent"))??;
                    self.node.record_success();
                }
                () = sleep_until(due) => self.ask_pending(&mut pending, version).await?,
                () = self.node.refresh_requested() => {}
            }
        }
    }

    fn compare_after(&mut self) -> Instant {
        Instant::now() + self.jitter.vary(COMPARE_EVERY)
    }

    /// Applies the events of some blocks.
    fn apply(&mut self, blocks: &[StreamBlock], pending: &mut PendingDetails) {
        let view = self.node.view();
        let mut merged = MergedProcesses {
            processes: view.processes.to_vec(),
            ..MergedProcesses::default()
        };
        for block in blocks {
            match block.meaning() {
                StreamEvent::Silent => {}
                StreamEvent::Unknown => pending.add_all(),
                StreamEvent::State(event) => {
                    let StateEvent { group, process, .. } = &event;
                    let is_known = merged.replace(group, process, |known| after(known, &event));
                    pending.add(event.group, event.process, is_known);
                }
                StreamEvent::Health {
                    group,
                    process,
                    is_healthy,
                } => {
                    let word = if is_healthy { "healthy" } else { "unhealthy" };
                    let health = self.client().context().interner.intern(word);
                    let is_known = merged.replace(&group, &process, |known| ProcessView {
                        health,
                        ..known.clone()
                    });
                    pending.add(group, process, is_known);
                }
            }
            if block.id.is_some() {
                self.last_event.clone_from(&block.id);
            }
        }
        if !merged.changed.is_empty() {
            self.node.show_processes(merged, None);
        }
        self.lacks_details = pending.at.is_some();
    }

    async fn ask_pending(
        &mut self,
        pending: &mut PendingDetails,
        version: &str,
    ) -> Result<(), NodeFailure> {
        let compares = Instant::now() >= pending.compare_at;
        if compares || pending.needs_all || pending.names.len() > DETAILS_MAX {
            *pending = PendingDetails::new(match compares {
                true => self.compare_after(),
                false => pending.compare_at,
            });
            self.ask_all(version).await?;
            self.lacks_details = false;
            return Ok(());
        }
        let asked = std::mem::take(&mut pending.names);
        pending.at = None;
        let names: Vec<String> = asked
            .iter()
            .map(|(group, name)| format!("{group}:{name}"))
            .collect();
        let rows = self.ask_table(&names).await?;
        let merged = {
            let view = self.node.view();
            let interner = &self.client().context().interner;
            merge_some(&view.processes, &rows.rows, &asked, interner)
        };
        self.node.show_processes(merged, None);
        self.lacks_details = false;
        Ok(())
    }

    async fn ask_all(&self, version: &str) -> Result<(), NodeFailure> {
        let rows = self.ask_table(&[]).await?;
        self.show_all(&rows, NodeKind::Ours, version);
        Ok(())
    }

    /// Asks for some processes. Empty: for all.
    async fn ask_table(&self, names: &[String]) -> Result<ProcessRows, NodeFailure> {
        let members = ProcessRow::MEMBERS
            .iter()
            .map(|member| ("members", *member));
        let names = names.iter().map(|name| ("names", name.as_str()));
        let query = encode_fields(names.chain(members));
        let answer = self.client().get(TABLE_PATH, query).await;
        let answer = answer.map_err(CallFailure::into_node_failure)?;
        if answer.status != 200 {
            return Err(NodeFailure::of_status(answer.status, TABLE_PATH));
        }
        let rows = parse_aside(answer.body, |body| ProcessRows::of_json(&body)).await;
        rows.map_err(|reason| NodeFailure::new(NodeState::NotASupervisor, reason))
    }
}

/// Reads the next part of the stream. Cancel safe.
async fn read_blocks(
    stream: &mut OpenAnswer,
    reader: &mut StreamReader,
    blocks: &mut Vec<StreamBlock>,
) -> Result<(), NodeFailure> {
    let part = stream.next_part().await;
    match part.map_err(|error| NodeFailure::of_http(&error))? {
        Some(part) => reader
            .read(&part, blocks)
            .map_err(|error| NodeFailure::new(NodeState::NotASupervisor, error.to_string())),
        None => Err(failure("it ended its event stream")),
    }
}

fn failure(reason: &str) -> NodeFailure {
    NodeFailure::new(NodeState::Unreachable, reason)
}

/// A process after an event.
fn after(known: &ProcessView, event: &StateEvent) -> ProcessView {
    use ProcessState::{Backoff, Exited, Fatal, Running, Starting, Stopped, Stopping, Unknown};
    let mut view = known.clone();
    view.state = event.to;
    view.note = "".into();
    view.next_attempt = 0;
    match event.to {
        Starting => {
            view.start = event.when;
            view.spawn_error = "".into();
            view.pid = event.pid;
        }
        Running | Stopping => view.pid = event.pid,
        Backoff | Exited | Stopped => {
            view.stop = event.when;
            view.pid = 0;
        }
        Fatal => view.pid = 0,
        Unknown => {}
    }
    view
}

impl MergedProcesses {
    /// Replaces a process. `false`: it is not known.
    fn replace(
        &mut self,
        group: &str,
        name: &str,
        change: impl FnOnce(&ProcessView) -> ProcessView,
    ) -> bool {
        let found = self
            .processes
            .binary_search_by(|process| process.key().cmp(&(group, name)));
        let Ok(at) = found else {
            return false;
        };
        let changed = Arc::new(change(&self.processes[at]));
        self.processes[at] = changed.clone();
        self.changed.push(changed);
        true
    }
}

impl PendingDetails {
    fn new(compare_at: Instant) -> Self {
        Self {
            names: HashSet::new(),
            needs_all: false,
            at: None,
            compare_at,
        }
    }

    /// When the node is asked next.
    fn due(&self) -> Instant {
        self.at
            .map_or(self.compare_at, |at| at.min(self.compare_at))
    }

    fn add_all(&mut self) {
        self.needs_all = true;
        self.at
            .get_or_insert_with(|| Instant::now() + DETAILS_AFTER);
    }

    fn add(&mut self, group: String, name: String, is_known: bool) {
        if !is_known || self.names.len() > DETAILS_MAX {
            return self.add_all();
        }
        self.names.insert((group, name));
        self.at
            .get_or_insert_with(|| Instant::now() + DETAILS_AFTER);
    }
}

impl EventPace {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            count: 0,
        }
    }

    /// Counts events. Returns until when the next ones are not read, if there were too many. The node waits then too: nobody
    /// reads what it sends.
    fn add(&mut self, now: Instant, count: usize) -> Option<Instant> {
        if now.saturating_duration_since(self.began) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.count = self
            .count
            .saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        let seconds = self.count / EVENTS_PER_SECOND_MAX;
        (seconds > 0).then(|| self.began + Duration::from_secs(seconds.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::node::view::tests::running;

    fn event(to: ProcessState, pid: i32) -> StateEvent {
        StateEvent {
            group: "web".to_owned(),
            process: "a".to_owned(),
            to,
            pid,
            when: 5000,
        }
    }

    #[test]
    fn an_event_changes_what_it_tells() {
        use ProcessState::{Exited, Running, Starting, Stopping};
        let known = running("a");
        let exited = after(&known, &event(Exited, 7));
        assert_eq!(
            (exited.state, exited.pid, exited.stop, exited.start),
            (Exited, 0, 5000, 1000)
        );
        let starting = after(&exited, &event(Starting, 0));
        assert_eq!((starting.start, starting.pid), (5000, 0));
        let up = after(&starting, &event(Running, 9));
        assert_eq!((up.start, up.pid), (5000, 9));
        assert_eq!(after(&up, &event(Stopping, 9)).pid, 9);
    }

    #[test]
    fn an_event_about_an_unknown_process_needs_the_whole_list() {
        let mut merged = MergedProcesses {
            processes: vec![Arc::new(running("a")), Arc::new(running("b"))],
            ..MergedProcesses::default()
        };
        let stopped = event(ProcessState::Stopped, 7);
        assert!(merged.replace("web", "a", |known| after(known, &stopped)));
        assert!(!merged.replace("web", "c", |known| after(known, &stopped)));
        assert_eq!(merged.changed.len(), 1);
        assert!(Arc::ptr_eq(&merged.changed[0], &merged.processes[0]));
        let later = Instant::now() + COMPARE_EVERY;
        let mut pending = PendingDetails::new(later);
        assert_eq!(pending.due(), later);
        pending.add("web".to_owned(), "a".to_owned(), true);
        assert!(!pending.needs_all && pending.due() < later);
        pending.add("web".to_owned(), "c".to_owned(), false);
        assert!(pending.needs_all);
    }

    #[test]
    fn a_flood_of_events_waits() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut pace = EventPace::new(began);
        assert_eq!(pace.add(began, 999), None);
        assert_eq!(pace.add(began, 1), Some(after(1)));
        assert_eq!(pace.add(after(1), 3500), Some(after(4)));
        assert_eq!(pace.add(after(4), 7), None);
    }
}
