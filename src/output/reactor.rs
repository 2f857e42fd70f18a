//! The loop of the output thread: every pipe of every process, and what the engine asks.
//!
//! In each turn, every ready descriptor is read once, so that a flooding process cannot starve another, and a bounded
//! number of commands is handled. A pipe whose log waits for a slow reader is not in the set until the log has caught up.
//!
//! Tokens name a life, not a descriptor, and descriptors leave the set before they are closed. Both together make it
//! impossible that an event is taken for that of a descriptor, or of a life, that came later (Supervisor#807).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::file::{self};
use super::handover::Estate;
use super::intake::Intake;
use super::journal::Journal;
use super::ledger::Ledger;
use super::prepare::spawn_error;
use super::run::{
    Role, Run, close_stdin, index, is_waiting, remove_pipes, settle_stdin, shut, token,
    unpoll_pipe, unpoll_sink,
};
use super::sink::Sink;
use super::stream::Shared;
use super::syslog::Syslog;
use super::thread::Orders;
use super::{Activity, Command, Report};
use crate::domain::{Channel, Envelope, Errno, Life, Line, LogPaths, OutputEvents};
use crate::keeper::Vault;
use crate::sys::place::errno;
use crate::sys::{self, Interest, Poller, Ready};

/// One read takes at most this; as much as a pipe holds unless somebody grew it, so more gains nothing.
pub(super) const READ_BYTES: usize = 64 << 10;
/// Commands handled before descriptors get their turn again.
const COMMANDS_PER_TURN: usize = 256;
/// How long the log of an ended life may take to catch up with a slow reader before the rest is given up.
const DRAIN_WAIT: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 5000 });
/// The same for the whole thread when it ends.
const STOP_WAIT: Duration = Duration::from_secs(1);
/// When to try again what cannot be waited for.
const RETRY: Duration = Duration::from_millis(50);
/// When to read again from a pipe that failed.
const READ_RETRY: Duration = Duration::from_secs(1);

/// The token of the journal's socket; no life has it.
const JOURNAL: u64 = u64::MAX - 1;

/// Everything the thread owns.
pub(super) struct Reactor {
    pub(super) poller: Poller,
    waker: u64,
    pub(super) shared: Shared,
    intake: Intake,
    pub(super) runs: Vec<Option<Run>>,
    pub(super) free: Vec<u32>,
    pub(super) places: BTreeMap<Life, u32>,
    pub(super) generation: u32,
    /// Places of lives in `draining`.
    draining: Vec<u32>,
    /// Pipes to be read again, with when.
    resting: Vec<(Instant, u64)>,
    /// Whose log was told not to rotate, so that it is said once and not at each spawn.
    pub(super) told: std::collections::BTreeSet<(u32, bool)>,
    /// Tokens of the pipes of streams that wait for the journal, in the order of their turns.
    queue: VecDeque<u64>,
}

impl Reactor {
    pub(super) fn new(
        poller: Poller,
        waker: u64,
        activity: Activity,
        strip_ansi: bool,
        vault: Option<Arc<Vault>>,
        ledger: Option<Ledger>,
        report: Box<dyn Fn(Report) + Send>,
    ) -> Self {
        Self {
            poller,
            waker,
            shared: Shared {
                activity,
                report,
                syslog: Syslog::new(),
                journal: Journal::new(),
                strip_ansi,
                vault,
                events: OutputEvents::default(),
            },
            intake: match ledger {
                Some(ledger) => Intake::Kept(ledger),
                None => Intake::Own(vec![0; READ_BYTES]),
            },
            runs: Vec::new(),
            free: Vec::new(),
            places: BTreeMap::new(),
            generation: 0,
            draining: Vec::new(),
            resting: Vec::new(),
            told: std::collections::BTreeSet::new(),
            queue: VecDeque::new(),
        }
    }

    /// Works until [`Command::Stop`], or [`Command::HandOver`]: then it answers what it leaves.
    pub(super) fn run(&mut self, orders: &Orders) -> Option<Estate> {
        let mut ready = Vec::new();
        let mut more = false;
        loop {
            let timeout = if more {
                Some(Duration::ZERO)
            } else {
                orders.timeout(self.timeout())
            };
            ready.clear();
            match self.poller.wait(timeout) {
                Ok(events) => ready.extend(events),
                // Nothing that we do can cause it; not to spin is all that can be done.
                Err(_) => std::thread::sleep(RETRY),
            }
            for event in &ready {
                if event.token == self.waker {
                    orders.awake();
                } else {
                    self.on_ready(*event);
                }
            }
            more = false;
            for turn in 1..=COMMANDS_PER_TURN {
                let Some(command) = orders.next() else { break };
                let lost = orders.lines_lost();
                if lost > 0 {
                    self.shared.log(&Line::LinesDropped { lost });
                }
                if matches!(command, Command::Stop | Command::HandOver) {
                    self.shared.log_all(orders.refusals(true));
                }
                match command {
                    Command::Stop => {
                        self.stop();
                        return None;
                    }
                    Command::HandOver => return Some(self.hand_over()),
                    command => self.on_command(command),
                }
                more = turn == COMMANDS_PER_TURN;
            }
            self.shared.log_all(orders.refusals(false));
            self.on_time();
        }
    }

    fn timeout(&self) -> Option<Duration> {
        let looking = !self.queue.is_empty() && !self.shared.journal.polled;
        if looking || self.shared.activity.is_waiting() || self.shared.syslog.is_waiting() {
            return Some(RETRY);
        }
        let now = Instant::now();
        let drains = self.draining.iter().filter_map(|&place| {
            self.runs[place as usize]
                .as_ref()
                .and_then(|run| run.draining)
        });
        let rests = self.resting.iter().map(|&(when, _)| when);
        drains
            .chain(rests)
            .min()
            .map(|when| when.saturating_duration_since(now))
    }

    /// What is due without an event.
    fn on_time(&mut self) {
        if self.shared.activity.is_waiting() {
            self.shared.activity.flush();
        }
        if self.shared.syslog.is_waiting() {
            self.shared.syslog.flush();
            self.shared.check_syslog();
        }
        self.await_journal();
        if self.draining.is_empty() && self.resting.is_empty() {
            return;
        }
        let now = Instant::now();
        for place in self.draining.clone() {
            let late = self.runs[place as usize]
                .as_ref()
                .and_then(|run| run.draining)
                .is_some_and(|limit| limit <= now);
            if late {
                self.close(place);
            }
        }
        let (due, resting) = std::mem::take(&mut self.resting)
            .into_iter()
            .partition(|&(when, _)| when <= now);
        self.resting = resting;
        let due: Vec<(Instant, u64)> = due;
        for (_, token) in due {
            if let Some((place, Role::Pipe(channel))) = self.find(token) {
                self.settle(place, channel);
            }
        }
    }

    /// The life and role that `token` means, if it is still that one.
    fn find(&self, token: u64) -> Option<(u32, Role)> {
        let place = u32::try_from(token & u64::from(u32::MAX)).ok()?;
        let run = self.runs.get(place as usize)?.as_ref()?;
        let role = Role::ALL
            .into_iter()
            .find(|&role| self::token(place, run.generation, role) == token)?;
        Some((place, role))
    }

    /// Makes the set fit what streams wait for: room in the journal's socket; or, while there is none to be waited for,
    /// looks for it.
    fn await_journal(&mut self) {
        let journal = &mut self.shared.journal;
        if self.queue.is_empty() || journal.polled {
            return;
        }
        if journal.is_full()
            && let Some(fd) = journal.fd()
            && self.poller.add(fd, JOURNAL, Interest::Write).is_ok()
        {
            journal.polled = true;
            return;
        }
        self.serve_journal();
    }

    /// The streams that wait for the journal send, each in its turn, until it is full again.
    fn serve_journal(&mut self) {
        let journal = &mut self.shared.journal;
        if std::mem::take(&mut journal.polled)
            && let Some(fd) = journal.fd()
        {
            let _ = self.poller.remove(fd);
        }
        for _ in 0..self.queue.len() {
            let Some(token) = self.queue.pop_front() else {
                return;
            };
            let Some((place, Role::Pipe(channel))) = self.find(token) else {
                continue;
            };
            let mut waits = false;
            if let Some(run) = &mut self.runs[place as usize]
                && let Some(stream) = &mut run.streams[index(channel)]
            {
                stream.queued = false;
                stream.flush_journal(&mut self.shared);
                waits = stream.journal_waits();
            }
            self.settle(place, channel);
            if waits {
                return;
            }
        }
    }

    fn on_ready(&mut self, event: Ready) {
        if event.token == JOURNAL {
            return self.serve_journal();
        }
        match self.find(event.token) {
            None => {}
            Some((place, Role::Pipe(channel))) => self.read_once(place, channel),
            Some((place, Role::Sink(channel))) => self.on_room(place, channel),
            Some((place, Role::Stdin)) => {
                if let Some(run) = &mut self.runs[place as usize] {
                    if run.stdin.flush().is_err() {
                        close_stdin(&self.poller, run);
                    }
                    settle_stdin(&self.poller, place, run);
                }
            }
        }
    }

    /// One read of one pipe.
    fn read_once(&mut self, place: u32, channel: Channel) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        let Some(stream) = &mut run.streams[index(channel)] else {
            return;
        };
        let Some(pipe) = &stream.pipe else { return };
        match self.intake.read(pipe, || stream.entry(&self.shared)) {
            Ok(0) => {
                stream.finish(&mut self.shared);
                shut(&self.poller, stream, &mut self.shared);
                self.settle(place, channel);
            }
            Ok(count) => {
                stream.read_failed = false;
                stream.take(self.intake.data(count), &mut self.shared);
                self.intake.settle();
                if stream.is_waiting() {
                    self.settle(place, channel);
                }
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => {}
            Err(error) => {
                // Readiness would report it again at once: rest a while, and never give up (Supervisor#1554).
                if !std::mem::replace(&mut stream.read_failed, true) {
                    let line = stream.failed_line(errno(error));
                    self.shared.log(&line);
                }
                unpoll_pipe(&self.poller, stream);
                let token = token(place, run.generation, Role::Pipe(channel));
                self.resting.push((Instant::now() + READ_RETRY, token));
            }
        }
    }

    /// A slow log has room again.
    fn on_room(&mut self, place: u32, channel: Channel) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        if let Some(stream) = &mut run.streams[index(channel)] {
            // Writing may open the log anew, with another descriptor.
            unpoll_sink(&self.poller, stream);
            stream.flush(&mut self.shared);
        }
        self.settle(place, channel);
    }

    /// Makes the set fit what the stream waits for: its pipe, or room in its log.
    pub(super) fn settle(&mut self, place: u32, channel: Channel) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        let generation = run.generation;
        let (draining, reading) = (run.draining.is_some(), run.reading);
        if let Some(stream) = &mut run.streams[index(channel)] {
            if stream.journal_waits() && !std::mem::replace(&mut stream.queued, true) {
                let token = token(place, generation, Role::Pipe(channel));
                self.queue.push_back(token);
            }
            if stream.sink_waits() && !stream.sink_polled {
                let token = token(place, generation, Role::Sink(channel));
                let fd = stream.sink.as_ref().and_then(Sink::fd);
                stream.sink_polled =
                    fd.is_some_and(|fd| self.poller.add(fd, token, Interest::Write).is_ok());
                if !stream.sink_polled {
                    // What cannot be waited for is asked again and again.
                    stream.flush(&mut self.shared);
                    if stream.sink_waits() {
                        let token = self::token(place, generation, Role::Pipe(channel));
                        self.resting.push((Instant::now() + RETRY, token));
                    }
                }
            }
            if !stream.sink_waits() {
                unpoll_sink(&self.poller, stream);
            }
            if stream.is_waiting() {
                unpoll_pipe(&self.poller, stream);
            } else if reading
                && !stream.pipe_polled
                && let Some(pipe) = stream.pipe_fd()
            {
                let token = token(place, generation, Role::Pipe(channel));
                match self.poller.add(pipe, token, Interest::Read) {
                    Ok(()) => stream.pipe_polled = true,
                    Err(_) => self.resting.push((Instant::now() + READ_RETRY, token)),
                }
            }
        }
        if draining && !is_waiting(run) {
            self.close(place);
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Prepare(life, spec, paths) => {
                let report = match self.prepare(life, &spec, &paths) {
                    Ok(ends) => Report::Prepared(life, ends),
                    Err(error) => Report::PrepareFailed(life, spawn_error(&spec, error)),
                };
                (self.shared.report)(report);
            }
            Command::Read(life, pid) => {
                if let Some(&place) = self.places.get(&life)
                    && let Some(run) = &mut self.runs[place as usize]
                {
                    run.reading = true;
                    for stream in run.streams.iter_mut().flatten() {
                        if let Some(entries) = &mut stream.journal {
                            entries.of_pid(pid);
                        }
                    }
                    for channel in [Channel::Stdout, Channel::Stderr] {
                        self.settle(place, channel);
                    }
                }
            }
            Command::Drain(life) => match self.places.get(&life) {
                Some(&place) => self.drain(place),
                None => (self.shared.report)(Report::Drained(life)),
            },
            Command::CreateLogs(paths) => {
                for path in paths {
                    if let Err(error) = file::create_private(&path) {
                        self.shared.log(&Line::CannotCreateLog {
                            path: path.display().to_string(),
                            error,
                        });
                    }
                }
            }
            Command::ClearLogs { ticket, slot, logs } => {
                let result = self.clear_logs(slot, &logs);
                (self.shared.report)(Report::Cleared(ticket, slot, result));
            }
            Command::ClearDaemonLog(ticket) => {
                let result = self.shared.activity.clear(sys::now().wall);
                (self.shared.report)(Report::DaemonLogCleared(ticket, result));
            }
            Command::ReopenLogs => self.reopen_logs(),
            Command::WriteStdin { ticket, life, data } => {
                let result = self.write_stdin(life, data);
                (self.shared.report)(Report::StdinTaken(ticket, result));
            }
            Command::Deliver(life, envelope) => {
                if let Err(error) = self.deliver(life, &envelope) {
                    (self.shared.report)(Report::NotDelivered(life, error));
                }
            }
            Command::Report(events) => self.shared.events = events,
            Command::Log(wall, line) => self.shared.activity.write(wall, &line),
            Command::StripAnsi(on) => self.shared.strip_ansi = on,
            Command::Adopt(adoption) => self.adopt(*adoption),
            // Handled by the loop, which ends with them.
            Command::Stop | Command::HandOver => {}
        }
    }

    /// Takes what the pipes hold at this moment, then closes them. Not until their end: a grandchild that lives on may
    /// hold them open, or never stop writing.
    pub(super) fn drain(&mut self, place: u32) {
        let Some(run) = &mut self.runs[place as usize] else {
            return;
        };
        close_stdin(&self.poller, run);
        for stream in run.streams.iter_mut().flatten() {
            unpoll_pipe(&self.poller, stream);
            let Some(pipe) = stream.pipe.take() else {
                continue;
            };
            let mut left = sys::unread(&pipe).unwrap_or(0);
            loop {
                match self.intake.read(&pipe, || stream.entry(&self.shared)) {
                    Ok(0) => break,
                    Ok(count) => {
                        left = left.saturating_sub(count);
                        stream.take(self.intake.data(count), &mut self.shared);
                        self.intake.settle();
                    }
                    Err(nix::errno::Errno::EINTR) => continue,
                    Err(_) => break,
                }
                if left == 0 {
                    break;
                }
            }
            stream.pipe = Some(pipe);
        }
        for stream in run.streams.iter_mut().flatten() {
            stream.finish(&mut self.shared);
            shut(&self.poller, stream, &mut self.shared);
        }
        if run.draining.is_none() {
            run.draining = Some(Instant::now() + DRAIN_WAIT);
            self.draining.push(place);
        }
        for channel in [Channel::Stdout, Channel::Stderr] {
            self.settle(place, channel);
        }
    }

    /// Closes everything of a life and reports it.
    fn close(&mut self, place: u32) {
        if let Some(life) = self.discard(place) {
            (self.shared.report)(Report::Drained(life));
        }
    }

    /// Closes everything of a life.
    pub(super) fn discard(&mut self, place: u32) -> Option<Life> {
        let mut run = self.runs[place as usize].take()?;
        self.places.remove(&run.life);
        self.shared.forget(run.life);
        self.free.push(place);
        self.draining.retain(|&other| other != place);
        close_stdin(&self.poller, &mut run);
        remove_pipes(&self.poller, &mut run);
        for stream in run.streams.into_iter().flatten() {
            stream.close(&mut self.shared);
        }
        if !self.queue.is_empty() {
            let ours = [Channel::Stdout, Channel::Stderr]
                .map(|channel| token(place, run.generation, Role::Pipe(channel)));
            self.queue.retain(|token| !ours.contains(token));
        }
        Some(run.life)
    }

    /// Removes the logs of a slot.
    // Differs: the original does nothing, and says that it did, when the process is not running.
    fn clear_logs(&mut self, slot: u32, logs: &LogPaths) -> Result<(), Errno> {
        let mut result = Ok(());
        let live: Vec<u32> = self.places_of(slot);
        for place in live {
            let Some(run) = &mut self.runs[place as usize] else {
                continue;
            };
            for stream in run.streams.iter_mut().flatten() {
                unpoll_sink(&self.poller, stream);
                result = result.and(stream.clear(&mut self.shared));
            }
            for channel in [Channel::Stdout, Channel::Stderr] {
                self.settle(place, channel);
            }
        }
        if self.places_of(slot).is_empty() {
            for path in [&logs.stdout, &logs.stderr].into_iter().flatten() {
                result = result.and(file::remove(path));
            }
        }
        result
    }

    fn places_of(&self, slot: u32) -> Vec<u32> {
        let first = Life {
            slot,
            incarnation: 0,
        };
        let last = Life {
            slot,
            incarnation: u64::MAX,
        };
        self.places
            .range(first..=last)
            .map(|(_, &place)| place)
            .collect()
    }

    fn reopen_logs(&mut self) {
        self.shared.activity.reopen(sys::now().wall);
        for place in self.places.values().copied().collect::<Vec<_>>() {
            let Some(run) = &mut self.runs[place as usize] else {
                continue;
            };
            let mut lines = Vec::new();
            for stream in run.streams.iter_mut().flatten() {
                unpoll_sink(&self.poller, stream);
                if let Some(sink) = &mut stream.sink {
                    sink.reopen(&mut lines);
                }
            }
            self.shared.log_all(lines);
            for channel in [Channel::Stdout, Channel::Stderr] {
                self.settle(place, channel);
            }
        }
    }

    fn write_stdin(&mut self, life: Life, data: Vec<u8>) -> Result<(), Errno> {
        let gone = errno(nix::errno::Errno::EPIPE);
        let &place = self.places.get(&life).ok_or(gone)?;
        let run = self.runs[place as usize].as_mut().ok_or(gone)?;
        let result = run.stdin.put(data);
        if result == Err(gone) {
            close_stdin(&self.poller, run);
        }
        settle_stdin(&self.poller, place, run);
        result
    }

    /// Writes an event to a listener. One that has broken the protocol meanwhile, which was reported, gets none.
    fn deliver(&mut self, life: Life, envelope: &Envelope) -> Result<(), Errno> {
        let gone = errno(nix::errno::Errno::EPIPE);
        let &place = self.places.get(&life).ok_or(gone)?;
        let run = self.runs[place as usize].as_ref().ok_or(gone)?;
        let waits = |run: &Run| {
            let stdout = run.streams[index(Channel::Stdout)].as_ref();
            let protocol = stdout.and_then(|stream| stream.protocol.as_ref());
            protocol.is_some_and(|protocol| protocol.is_ready())
        };
        if !waits(run) {
            return Err(gone);
        }
        self.write_stdin(life, envelope.text().into_bytes())?;
        if let Some(run) = &mut self.runs[place as usize]
            && let Some(stream) = &mut run.streams[index(Channel::Stdout)]
            && let Some(protocol) = &mut stream.protocol
        {
            protocol.event_written();
        }
        Ok(())
    }

    /// Writes out what is there, for a bounded time.
    fn stop(&mut self) {
        for place in self.places.values().copied().collect::<Vec<_>>() {
            self.drain(place);
        }
        let limit = Instant::now() + STOP_WAIT;
        while self.shared.activity.is_waiting()
            || self.shared.syslog.is_waiting()
            || !self.places.is_empty()
        {
            if Instant::now() >= limit {
                break;
            }
            let ready: Vec<Ready> = match self.poller.wait(Some(RETRY)) {
                Ok(events) => events.filter(|event| event.token != self.waker).collect(),
                Err(_) => break,
            };
            for event in ready {
                self.on_ready(event);
            }
            self.on_time();
        }
        for place in self.places.values().copied().collect::<Vec<_>>() {
            self.close(place);
        }
        self.shared.activity.flush();
    }
}

#[cfg(test)]
#[path = "reactor_tests.rs"]
mod tests;
