//! The action `why`: what happened to a process, in order of time. Only our own server supports it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::CtlError;
use super::history::{self, AuditedRequest};
use super::reply::{as_text, unexpected};
use super::rolling::print_refusal;
use super::session::CtlSession;
use super::{exit, printable, render};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::domain::{Namespec, ResourceEvents};

/// Maximum number of requests in a time line.
const REQUESTS_MAX: u32 = 50;
/// Maximum number of requests from before the first state.
const EARLY_REQUESTS_MAX: usize = 5;
/// Maximum number of lines of standard error that are shown of a process.
const STDERR_LINES_MAX: usize = 10;

/// What `supervisord.getProcessDetails` tells, as far as this action shows it.
#[derive(Debug, Deserialize)]
struct DetailsAnswer {
    group: String,
    name: String,
    statename: String,
    description: String,
    spawnerr: String,
    restarts: i64,
    #[serde(default)]
    exits: BTreeMap<String, u64>,
    history: Vec<StateAnswer>,
    last_stderr: Vec<StderrAnswer>,
}

#[derive(Debug, Clone, Deserialize)]
struct StateAnswer {
    at: i64,
    #[serde(default)]
    local: String,
    statename: String,
    pid: i64,
    #[serde(default = "once")]
    times: u64,
    #[serde(default)]
    since_local: String,
    lived_milliseconds: Option<u64>,
    exit: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    limits_hit: Option<Vec<String>>,
}

const fn once() -> u64 {
    1
}

#[derive(Debug, Deserialize, Serialize)]
struct StderrAnswer {
    pid: i64,
    exited: i64,
    #[serde(default)]
    local: String,
    exit: String,
    stderr: String,
}

/// One line of the time line.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct TimelineEntry {
    /// In seconds since the epoch.
    at: i64,
    /// The same time in the zone of the daemon.
    local: String,
    /// `request` or a state.
    what: String,
    text: String,
}

/// One process in the answer.
#[derive(Serialize)]
struct WhyJson {
    group: String,
    name: String,
    namespec: String,
    state: String,
    description: String,
    spawnerr: String,
    restarts: i64,
    exits: BTreeMap<String, u64>,
    timeline: Vec<TimelineEntry>,
    laststderr: Vec<StderrAnswer>,
}

/// The action `why name…`.
pub(super) fn why(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct ProcessesJson {
        processes: Vec<WhyJson>,
    }
    let names = session.words(arguments);
    if !session.is_up()? {
        return Ok(());
    }
    if names.is_empty() {
        return session.usage(
            "Error: why requires a process name",
            exit::INVALID_ARGUMENTS,
        );
    }
    let mut found = Vec::new();
    for name in names {
        if let Some(process) = ask(session, name)? {
            found.push(process);
        }
    }
    if session.json {
        return session.say(&render::json(&ProcessesJson { processes: found }));
    }
    for (at, process) in found.iter().enumerate() {
        if at > 0 {
            session.say("")?;
        }
        for line in lines_of(process) {
            session.say(&line)?;
        }
    }
    Ok(())
}

/// Asks about one process. `None`: there is none of this name, which was said.
fn ask(session: &mut CtlSession, name: &str) -> Result<Option<WhyJson>, CtlError> {
    let answer = session.call("supervisord.getProcessDetails", vec![RpcValue::text(name)]);
    let text = match answer {
        Err(failure) if failure.is_fault(FaultCode::BadName) => {
            session.refuse(&format!("{name}: ERROR (no such process)"))?;
            return Ok(None);
        }
        Err(failure) => {
            print_refusal(session, name, failure)?;
            return Ok(None);
        }
        Ok(answer) => as_text(&answer)?,
    };
    let details: DetailsAnswer = serde_json::from_str(&text).map_err(|_| unexpected("details"))?;
    let full = format!("{}:{}", details.group, details.name);
    let requests = match history::requests(session, &[&full], REQUESTS_MAX) {
        // The caller may not read the log, or the daemon is older. The states alone are an answer too.
        Err(CtlError::Fault(_)) => Vec::new(),
        requests => requests?,
    };
    let requests = requests
        .iter()
        .map(|request| (request, request.described(session)))
        .collect::<Vec<_>>();
    Ok(Some(WhyJson {
        namespec: Namespec::print(&details.group, &details.name),
        timeline: timeline(&details.history, &requests),
        group: details.group,
        name: details.name,
        state: details.statename,
        description: details.description,
        spawnerr: details.spawnerr,
        restarts: details.restarts,
        exits: details.exits,
        laststderr: details.last_stderr,
    }))
}

/// States and requests in order of time. Of the requests from before the first state that is known, only the last ones are
/// shown.
fn timeline(states: &[StateAnswer], requests: &[(&AuditedRequest, String)]) -> Vec<TimelineEntry> {
    let first = states.iter().map(|state| state.at).min();
    let is_early = |request: &AuditedRequest| first.is_none_or(|first| request.at < first);
    let early = requests.iter().filter(|(request, _)| is_early(request));
    let surplus = early.count().saturating_sub(EARLY_REQUESTS_MAX);
    let mut entries: Vec<TimelineEntry> = requests
        .iter()
        .skip(surplus)
        .map(|(request, text)| TimelineEntry {
            at: request.at,
            local: request.local.clone(),
            what: match request.is_accepted() {
                true => "request".to_owned(),
                false => "refused".to_owned(),
            },
            text: text.clone(),
        })
        .collect();
    entries.extend(states.iter().map(|state| TimelineEntry {
        at: state.at,
        local: state.local.clone(),
        what: state.statename.clone(),
        text: described(state),
    }));
    // The sort is stable: a request comes before the states of the same second.
    entries.sort_by_key(|entry| entry.at);
    entries
}

/// What a state says besides its name.
fn described(state: &StateAnswer) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(reason) = &state.reason {
        let how = match reason.as_str() {
            "exited" => "",
            "stopped" => "stopped on request",
            "too-quick" => "exited before startsecs",
            "not-ready" => "was not ready in time",
            "watchdog" => "watchdog timeout",
            "unhealthy" => "health check failed",
            "not-spawned" => "could not be started",
            other => other,
        };
        parts.extend((!how.is_empty()).then(|| how.to_owned()));
    }
    parts.extend(state.exit.clone());
    let every = ResourceEvents {
        oom_kill: true,
        pids_max: true,
        memory_high: true,
    };
    for word in state.limits_hit.iter().flatten() {
        let known = every.each().find(|(known, _)| known == word);
        parts.push(known.map_or_else(|| word.clone(), |(_, text)| text.to_owned()));
    }
    if let Some(millis) = state.lived_milliseconds {
        parts.push(format!("after {}", span(millis)));
    }
    if state.pid > 0 {
        parts.push(format!("pid {}", state.pid));
    }
    if state.times > 1 {
        let since = match state.since_local.is_empty() {
            true => String::new(),
            false => format!(" since {}", state.since_local),
        };
        parts.push(format!("the same end {} times{since}", state.times));
    }
    parts.join(", ")
}

/// A duration for people: `20 ms`, `1.5 s`, `2 min 5 s`, `3 h 20 min`.
fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds}.{} s", millis % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn lines_of(process: &WhyJson) -> Vec<String> {
    let mut lines = vec![printable::all(
        format!(
            "{}: {}  {}",
            process.namespec, process.state, process.description
        )
        .trim_end(),
    )];
    if !process.spawnerr.is_empty() && !process.description.starts_with(&process.spawnerr) {
        lines.push(format!("last error: {}", printable::all(&process.spawnerr)));
    }
    if !process.exits.is_empty() {
        let counts = process.exits.iter();
        let counts: Vec<String> = counts
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        lines.push(format!(
            "restarts: {}, ends: {}",
            process.restarts,
            counts.join(", ")
        ));
    }
    for entry in &process.timeline {
        let line = format!("{}  {:8}  {}", entry.local, entry.what, entry.text);
        lines.push(printable::all(line.trim_end()));
    }
    if process.timeline.is_empty() {
        lines.push("nothing has happened to it since its group was added".to_owned());
    }
    if let Some(last) = process.laststderr.last() {
        lines.push(format!(
            "last stderr, of pid {} ({}, {}):",
            last.pid,
            printable::all(&last.exit),
            last.local
        ));
        let text = printable::all(last.stderr.trim_end());
        let all: Vec<&str> = text.lines().collect();
        let shown = &all[all.len().saturating_sub(STDERR_LINES_MAX)..];
        lines.extend(shown.iter().map(|line| format!("  {line}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(at: i64, name: &str, end: Option<(&str, &str)>) -> StateAnswer {
        StateAnswer {
            at,
            local: format!("T{at}"),
            statename: name.to_owned(),
            pid: 0,
            times: 1,
            since_local: String::new(),
            lived_milliseconds: end.map(|_| 20),
            exit: end.map(|(_, exit)| exit.to_owned()),
            reason: end.map(|(reason, _)| reason.to_owned()),
            limits_hit: None,
        }
    }

    #[test]
    fn requests_come_before_the_states_of_their_second() {
        let request = |at: i64| AuditedRequest {
            at,
            local: format!("T{at}"),
            who: "unix uid=0".to_owned(),
            verb: "start".to_owned(),
            target: "web".to_owned(),
            result: "accepted".to_owned(),
        };
        let (old, new) = (request(3), request(10));
        let mut requests = vec![(&old, "older".to_owned())];
        requests.extend((0..EARLY_REQUESTS_MAX).map(|_| (&old, "old".to_owned())));
        requests.push((&new, "new".to_owned()));
        let states = [
            state(10, "STARTING", None),
            state(11, "BACKOFF", Some(("too-quick", "exit status 14"))),
        ];
        let found = timeline(&states, &requests);
        let shown: Vec<(&str, &str)> = found
            .iter()
            .map(|entry| (&*entry.what, &*entry.text))
            .collect();
        let (early, rest) = shown.split_at(EARLY_REQUESTS_MAX);
        assert!(early.iter().all(|(_, text)| *text == "old"), "{early:?}");
        assert_eq!(
            rest,
            [
                ("request", "new"),
                ("STARTING", ""),
                (
                    "BACKOFF",
                    "exited before startsecs, exit status 14, after 20 ms"
                ),
            ]
        );
    }

    #[test]
    fn an_end_is_described() {
        let mut end = state(1, "EXITED", Some(("exited", "terminated by SIGKILL")));
        end.limits_hit = Some(vec!["oom_kill".to_owned(), "other".to_owned()]);
        end.times = 14;
        end.since_local = "T0".to_owned();
        end.pid = 7;
        end.lived_milliseconds = Some(125_400);
        assert_eq!(
            described(&end),
            "terminated by SIGKILL, killed by the OOM killer, other, after 2 min 5 s, pid 7, the same end 14 times since T0"
        );
        assert_eq!(span(1500), "1.5 s");
        assert_eq!(span(7_260_000), "2 h 1 min");
    }
}
