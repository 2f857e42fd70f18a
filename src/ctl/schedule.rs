//! Actions about programs with `cron`: `next`, `run`, `runs`. Only our own server supports them.

use serde::Serialize;

use super::error::CtlError;
use super::reply;
use super::session::CtlSession;
use super::{exit, process, render, rolling};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::domain::Namespec;

/// The schedule of one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ScheduleInfo {
    namespec: String,
    /// In seconds since the epoch. 0: never.
    next: i64,
    /// The same time in the zone of the schedule.
    next_local: String,
    skipped: i64,
    missed: i64,
    cron: String,
}

impl ScheduleInfo {
    /// Reads a line of `supervisord.getSchedules`.
    fn read(value: &RpcValue) -> Result<Self, CtlError> {
        let line = reply::as_text(value)?;
        let mut members = line.splitn(6, '\t');
        let mut next = || members.next().map(str::to_owned);
        let info = (|| {
            Some(Self {
                namespec: next()?,
                next: next()?.parse().ok()?,
                next_local: next()?,
                skipped: next()?.parse().ok()?,
                missed: next()?.parse().ok()?,
                cron: next()?,
            })
        })();
        info.ok_or_else(|| CtlError::Garbage("a schedule expected".to_owned()))
    }

    fn is_in(&self, spec: &Namespec) -> bool {
        let own = Namespec::parse(&self.namespec);
        let is_same = spec.process.is_none() || own.process == spec.process;
        own.group == spec.group && is_same
    }
}

/// One run of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct RunInfo {
    /// In seconds since the epoch.
    start: i64,
    start_local: String,
    /// In seconds since the epoch. 0: not ended.
    end: i64,
    end_local: String,
    result: String,
}

impl RunInfo {
    /// Reads a line of `supervisord.getRuns`.
    fn read(value: &RpcValue) -> Result<Self, CtlError> {
        let line = reply::as_text(value)?;
        let mut members = line.splitn(5, '\t');
        let mut next = || members.next().map(str::to_owned);
        let info = (|| {
            Some(Self {
                start: next()?.parse().ok()?,
                start_local: next()?,
                end: next()?.parse().ok()?,
                end_local: next()?,
                result: next()?,
            })
        })();
        info.ok_or_else(|| CtlError::Garbage("a run expected".to_owned()))
    }
}

/// The schedules of the processes that `names` select. Empty: all.
fn schedules(session: &mut CtlSession, names: &[&str]) -> Result<Vec<ScheduleInfo>, CtlError> {
    let names = names.iter().map(|name| RpcValue::text(*name)).collect();
    let answer = session.call("supervisord.getSchedules", vec![RpcValue::Array(names)])?;
    reply::all(&answer, ScheduleInfo::read)
}

/// Reports names that select no schedule. Returns whether there is one.
fn refuse_others(
    session: &mut CtlSession,
    names: &[&str],
    found: &[ScheduleInfo],
) -> Result<bool, CtlError> {
    let mut is_refused = false;
    for name in names {
        let spec = Namespec::parse(name);
        // A word that names no process means its group.
        let is_known = found
            .iter()
            .any(|one| one.is_in(&spec) || Namespec::parse(&one.namespec).group == *name);
        if !is_known {
            session.refuse(&format!("{name}: ERROR (no such program with cron)"))?;
            is_refused = true;
        }
    }
    Ok(is_refused)
}

/// The action `next [name…]`.
pub(super) fn next(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct SchedulesJson {
        schedules: Vec<ScheduleInfo>,
    }
    let names = session.words(arguments);
    if !session.is_up()? {
        return Ok(());
    }
    let mut found = match schedules(session, &names) {
        Ok(found) => found,
        Err(failure) => return rolling::print_refusal(session, "next", failure),
    };
    refuse_others(session, &names, &found)?;
    // Those that never run again come last.
    found.sort_by_key(|one| (one.next == 0, one.next));
    if session.json {
        return session.say(&render::json(&SchedulesJson { schedules: found }));
    }
    let width = found.iter().map(|one| one.namespec.chars().count()).max();
    let width = width.unwrap_or(0);
    for one in &found {
        let next = match one.next {
            0 => "never",
            _ => &one.next_local,
        };
        let mut line = format!("{:width$}   {next:19}   {}", one.namespec, one.cron);
        for (count, what) in [(one.skipped, "skipped"), (one.missed, "missed")] {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        session.say(&line)?;
    }
    Ok(())
}

/// The action `run name…`.
pub(super) fn run(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let names: Vec<&str> = arguments.split_whitespace().collect();
    if names.is_empty() {
        return process::no_names(session, exit::INVALID_ARGUMENTS);
    }
    let found = match schedules(session, &names) {
        Ok(found) => found,
        Err(failure) => return rolling::print_refusal(session, "run", failure),
    };
    if refuse_others(session, &names, &found)? {
        return Ok(());
    }
    process::start(session, arguments)
}

/// The action `runs name`.
pub(super) fn runs(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct RunsJson {
        runs: Vec<RunInfo>,
    }
    let names = session.words(arguments);
    if !session.is_up()? {
        return Ok(());
    }
    let [name] = names.as_slice() else {
        return session.usage(
            "Error: runs requires one process name",
            exit::INVALID_ARGUMENTS,
        );
    };
    let answer = match session.call("supervisord.getRuns", vec![RpcValue::text(*name)]) {
        Err(failure) if failure.is_fault(FaultCode::BadName) => {
            return session.refuse(&format!("{name}: ERROR (no such process)"));
        }
        Err(failure) => return rolling::print_refusal(session, name, failure),
        Ok(answer) => answer,
    };
    let found = reply::all(&answer, RunInfo::read)?;
    if session.json {
        return session.say(&render::json(&RunsJson { runs: found }));
    }
    for run in &found {
        let line = format!(
            "{:19}   {:19}   {}",
            run.start_local, run.end_local, run.result
        );
        session.say(line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_malformed_ones_refused() {
        let read = |line: &str| ScheduleInfo::read(&RpcValue::text(line)).ok();
        let info = read("g:a\t60\t1970-01-01 00:01:00\t2\t0\t*/5 * * * *").expect("a schedule");
        assert_eq!(
            (info.next, info.skipped, &*info.cron),
            (60, 2, "*/5 * * * *")
        );
        for (spec, is_in) in [("g:a", true), ("g:*", true), ("g:b", false), ("a", false)] {
            assert_eq!(info.is_in(&Namespec::parse(spec)), is_in, "{spec}");
        }
        for line in ["", "a\tx\t\t0\t0\t@daily", "a\t1\t\t0"] {
            assert_eq!(read(line), None, "{line}");
        }
        let read = |line: &str| RunInfo::read(&RpcValue::text(line)).ok();
        let run = read("60\tstart\t0\t\trunning").expect("a run");
        assert_eq!((run.end, &*run.result), (0, "running"));
        assert_eq!(read("60\tstart\t0"), None);
    }
}
