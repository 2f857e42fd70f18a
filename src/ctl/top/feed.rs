//! Asks the server on a thread of its own, so that a slow server never delays a key.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::super::client::RpcClient;
use super::super::error::CtlError;
use super::super::printable;
use super::super::reply;
use super::super::status::ask_table;
use super::model::{TopProcess, namespec, sort};
use crate::api::xmlrpc::RpcValue;

/// Number of commands that may wait. Further ones are refused.
const COMMANDS_MAX: usize = 16;
/// Number of answers that may wait. The thread waits until the screen has taken one.
const ANSWERS_MAX: usize = 4;
/// How much of the end of a log is read, in bytes.
const LOG_BYTES: i64 = 16 << 10;
/// The members that the table shows.
const MEMBERS: &[&str] = &["name", "group", "state", "statename", "pid", "description"];

/// What the screen asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FeedCommand {
    /// Ask now.
    Refresh,
    /// Read the end of this log with each answer. `None`: of none.
    Watch(Option<WatchedLog>),
    /// Do this with a process or `group:*`.
    Act(TopVerb, String),
}

/// A log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WatchedLog {
    pub(super) name: String,
    pub(super) is_stderr: bool,
}

/// What can be done with a process from the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopVerb {
    Start,
    Stop,
    Restart,
    Hold,
    Release,
}

impl TopVerb {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Hold => "hold",
            Self::Release => "release",
        }
    }
}

/// What the server answered.
#[derive(Debug)]
pub(super) enum FeedAnswer {
    Processes(Vec<TopProcess>),
    /// The end of the watched log, or why it cannot be read.
    Log(WatchedLog, Result<String, String>),
    /// The result of an action.
    Done(String),
    /// The server does not answer.
    Failed(String),
}

/// The end of the screen.
pub(super) struct Feed {
    commands: SyncSender<FeedCommand>,
    pub(super) answers: Receiver<FeedAnswer>,
}

impl Feed {
    /// Starts the thread. It ends when this value drops.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start(
        client: RpcClient,
        names: Vec<String>,
        interval: Duration,
    ) -> std::io::Result<Self> {
        let (commands, taken) = sync_channel(COMMANDS_MAX);
        let (answer, answers) = sync_channel(ANSWERS_MAX);
        let mut source = TopSource::new(client, names);
        std::thread::Builder::new()
            .name("feed".to_owned())
            .spawn(move || serve(&mut source, interval, &taken, &answer))?;
        Ok(Self { commands, answers })
    }

    /// Sends a command. Returns whether it will be done.
    pub(super) fn send(&self, command: FeedCommand) -> bool {
        self.commands.try_send(command).is_ok()
    }
}

/// Answers until the screen is gone.
fn serve(
    source: &mut TopSource,
    interval: Duration,
    commands: &Receiver<FeedCommand>,
    answers: &SyncSender<FeedAnswer>,
) {
    let mut watched = None;
    let mut next = Instant::now();
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let mut is_due = false;
        let sent = match commands.recv_timeout(left) {
            Ok(FeedCommand::Watch(log)) => {
                watched = log;
                send_log(source, watched.as_ref(), answers)
            }
            Ok(FeedCommand::Act(verb, name)) => {
                is_due = true;
                answers.send(FeedAnswer::Done(source.act(verb, &name)))
            }
            Ok(FeedCommand::Refresh) | Err(RecvTimeoutError::Timeout) => {
                is_due = true;
                Ok(())
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if sent.is_err() {
            return;
        }
        if is_due {
            let answer = match source.processes() {
                Ok(processes) => FeedAnswer::Processes(processes),
                Err(failure) => FeedAnswer::Failed(failure.to_string()),
            };
            if answers.send(answer).is_err() || send_log(source, watched.as_ref(), answers).is_err()
            {
                return;
            }
            next = Instant::now() + interval;
        }
    }
}

fn send_log(
    source: &mut TopSource,
    watched: Option<&WatchedLog>,
    answers: &SyncSender<FeedAnswer>,
) -> Result<(), std::sync::mpsc::SendError<FeedAnswer>> {
    match watched {
        Some(log) => answers.send(FeedAnswer::Log(log.clone(), source.log_end(log))),
        None => Ok(()),
    }
}

/// Totals of pressure in microseconds, and when they were read.
type Pressures = (Instant, [Option<u64>; 3]);

/// What the server tells, with what is needed for differences.
pub(super) struct TopSource {
    client: RpcClient,
    names: Vec<String>,
    /// By name and PID. It has the processes of the last answer only.
    pressures: HashMap<(String, i64), Pressures>,
}

impl TopSource {
    pub(super) fn new(client: RpcClient, names: Vec<String>) -> Self {
        Self {
            client,
            names,
            pressures: HashMap::new(),
        }
    }

    /// Asks for the processes and their use.
    pub(super) fn processes(&mut self) -> Result<Vec<TopProcess>, CtlError> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let table = ask_table(&mut self.client, &names, MEMBERS)?;
        let wanted = names.iter().map(|name| RpcValue::text(*name)).collect();
        let params = vec![RpcValue::Array(wanted)];
        let usage = self.client.call("supervisord.getUsage", params)?;
        let usages: Vec<UsageLine> = reply::all(&usage, UsageLine::read)?;
        let now = Instant::now();
        let mut before = std::mem::take(&mut self.pressures);
        let mut by_name: HashMap<String, UsageLine> = HashMap::with_capacity(usages.len());
        for line in usages {
            by_name.insert(line.name.clone(), line);
        }
        let mut processes = Vec::with_capacity(table.len());
        for one in table {
            let mut process = TopProcess {
                namespec: namespec(&one.group, &one.name),
                state: one.statename,
                statecode: one.state,
                pid: one.pid,
                description: printable::all(&one.description),
                ..TopProcess::default()
            };
            let full = format!("{}:{}", one.group, one.name);
            if let Some(used) = by_name.remove(&full).filter(|used| used.pid == one.pid) {
                process.cpu_permille = used.cpu_permille;
                process.memory_bytes = used.memory_bytes;
                process.pids = used.pids;
                let key = (full, one.pid);
                if let Some((at, totals)) = before.remove(&key) {
                    let micros = u64::try_from(now.duration_since(at).as_micros());
                    let micros = micros.unwrap_or(u64::MAX).max(1);
                    for (share, (old, new)) in process
                        .pressure_permille
                        .iter_mut()
                        .zip(totals.into_iter().zip(used.pressures))
                    {
                        *share = old.zip(new).map(|(old, new)| {
                            (new.saturating_sub(old).saturating_mul(1000) / micros).min(1000)
                        });
                    }
                }
                self.pressures.insert(key, (now, used.pressures));
            }
            process.group = one.group;
            process.name = one.name;
            processes.push(process);
        }
        sort(&mut processes);
        Ok(processes)
    }

    /// The end of a log.
    fn log_end(&mut self, log: &WatchedLog) -> Result<String, String> {
        let method = match log.is_stderr {
            true => "supervisor.readProcessStderrLog",
            false => "supervisor.readProcessStdoutLog",
        };
        let params = vec![
            RpcValue::text(log.name.as_str()),
            RpcValue::Int(-LOG_BYTES),
            RpcValue::Int(0),
        ];
        let answer = self.client.call(method, params);
        let text = answer.and_then(|answer| reply::as_text(&answer));
        match text {
            Ok(text) => Ok(printable::all(&text)),
            Err(failure) => Err(failure.to_string()),
        }
    }

    /// Does something with a process or a group. Returns what to tell.
    fn act(&mut self, verb: TopVerb, name: &str) -> String {
        let is_group = name.ends_with(":*");
        let group = name.trim_end_matches(":*");
        let wait = RpcValue::Bool(false);
        let mut call = |method: &str, name: &str, more: Vec<RpcValue>| {
            let mut params = vec![RpcValue::text(name)];
            params.extend(more);
            self.client.call(method, params)
        };
        let result = match (verb, is_group) {
            (TopVerb::Start, false) => call("supervisor.startProcess", name, vec![wait]),
            (TopVerb::Start, true) => call("supervisor.startProcessGroup", group, vec![wait]),
            (TopVerb::Stop, false) => call("supervisor.stopProcess", name, vec![wait]),
            (TopVerb::Stop, true) => call("supervisor.stopProcessGroup", group, vec![wait]),
            (TopVerb::Restart, _) => call("supervisord.rollingRestart", name, Vec::new()),
            (TopVerb::Hold, _) => call("supervisord.holdProcess", name, vec![RpcValue::Int(0)]),
            (TopVerb::Release, _) => call("supervisord.releaseProcess", name, Vec::new()),
        };
        let word = verb.word();
        match result {
            Ok(_) => format!("{word} {name}: done"),
            Err(failure) => format!("{word} {name}: {failure}"),
        }
    }
}

/// A line of `supervisord.getUsage`.
#[derive(Debug, PartialEq, Eq)]
struct UsageLine {
    name: String,
    pid: i64,
    cpu_permille: Option<u64>,
    memory_bytes: Option<u64>,
    pids: Option<u64>,
    pressures: [Option<u64>; 3],
}

impl UsageLine {
    fn read(value: &RpcValue) -> Result<Self, CtlError> {
        let line = reply::as_text(value)?;
        let members: Vec<&str> = line.split('\t').collect();
        let [name, pid, cpu, memory, pids, on_cpu, on_memory, on_io, ..] = members.as_slice()
        else {
            return Err(reply::unexpected("eight members"));
        };
        let number = |text: &str| text.parse().ok();
        Ok(Self {
            name: (*name).to_owned(),
            pid: pid.parse().map_err(|_| reply::unexpected("a number"))?,
            cpu_permille: number(cpu),
            memory_bytes: number(memory),
            pids: number(pids),
            pressures: [number(on_cpu), number(on_memory), number(on_io)],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_use_may_lack_figures() {
        let read = |line: &str| UsageLine::read(&RpcValue::text(line)).ok();
        let full = read("g:a\t7\t12\t4096\t3\t1\t2\t3\tlater").expect("a line");
        assert_eq!(
            (full.cpu_permille, full.memory_bytes, full.pressures),
            (Some(12), Some(4096), [Some(1), Some(2), Some(3)])
        );
        let bare = read("g:a\t7\t\t\t\t\t\t").expect("a line");
        assert_eq!((bare.cpu_permille, bare.pids), (None, None));
        assert_eq!(read("g:a\t7"), None);
        assert_eq!(read("g:a\tx\t\t\t\t\t\t"), None);
    }
}
