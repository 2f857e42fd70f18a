//! Actions on the daemon itself: `shutdown`, `reload`, `open`, `version`, `source`.

use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::error::CtlError;
use super::problems::report_refusal;
use super::progress_line::Goal;
use super::reply::ProcessInfo;
use super::session::CtlSession;
use super::{exit, process, render, reply, status};
use crate::api::FaultCode;

/// Pause between two questions whether the daemon has exited.
const SHUTDOWN_PAUSE: Duration = Duration::from_millis(50);

/// The action `shutdown`.
pub(super) fn shutdown(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !arguments.is_empty() {
        return session.refuse_arguments(exit::GENERIC);
    }
    if !session.confirm("Really shut the remote supervisord process down y/N? ")? {
        return Ok(());
    }
    let waits = session.screen.has_cursor && !session.json;
    // While it shuts down, the daemon answers only about named processes.
    let names = match waits {
        true => status::all_processes(session).unwrap_or_default(),
        false => Vec::new(),
    };
    let failure = match session.call("supervisor.shutdown", Vec::new()) {
        Ok(_) => {
            if waits {
                wait_until_gone(session, &names)?;
            }
            return session.say("Shut down");
        }
        Err(failure) => failure,
    };
    if failure.is_fault(FaultCode::ShutdownState) {
        return session.say("ERROR: already shutting down");
    }
    let what = match failure.errno() {
        Some(Errno::ECONNREFUSED) => "refused connection",
        Some(Errno::ENOENT) => "no such file",
        _ => return Err(failure),
    };
    let line = format!(
        "ERROR: {} {what} (already shut down?)",
        session.client.url()
    );
    session.complain(&line)?;
    session.exit = exit::GENERIC;
    Ok(())
}

/// Waits until the daemon does not shut down any more: it has exited, or another one answers.
// Differs: Supervisor's client does not wait.
fn wait_until_gone(session: &mut CtlSession, processes: &[ProcessInfo]) -> Result<(), CtlError> {
    let names: Vec<String> = processes.iter().map(ProcessInfo::namespec).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    session.with_progress(Goal::Stop, &names, |session| {
        let mut client = session.client.new_connection();
        loop {
            match client.call("supervisor.getState", Vec::new()) {
                Err(failure) if failure.is_fault(FaultCode::ShutdownState) => {
                    std::thread::sleep(SHUTDOWN_PAUSE);
                }
                Ok(_) | Err(_) => return Ok(()),
            }
        }
    })
}

/// The action `reload`.
pub(super) fn reload(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    // Differs: the original refuses arguments.
    if !arguments.is_empty() {
        return process::reload(session, arguments);
    }
    if !session.confirm("Really restart the remote supervisord process y/N? ")? {
        return Ok(());
    }
    match session.call("supervisor.restart", Vec::new()) {
        Ok(_) => session.say("Restarted supervisord"),
        Err(failure) if failure.is_fault(FaultCode::ShutdownState) => {
            session.refuse("ERROR: already shutting down")
        }
        Err(failure) => report_refusal(session, failure),
    }
}

/// The action `open url`: switches to another server and shows its status. The status does not affect the exit
/// status.
pub(super) fn open(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !["http:", "unix:"].iter().any(|scheme| {
        arguments.len() >= scheme.len()
            && arguments.is_char_boundary(scheme.len())
            && arguments[..scheme.len()].eq_ignore_ascii_case(scheme)
    }) {
        return session.refuse("ERROR: url must be http:// or unix://");
    }
    session.client.set_url(arguments);
    session.has_tables = true;
    let before = session.exit;
    status::status(session, "")?;
    session.exit = before;
    Ok(())
}

/// The action `version`.
pub(super) fn version(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct DaemonJson {
        version: String,
    }

    if !session.words(arguments).is_empty() {
        return session.refuse_arguments(exit::GENERIC);
    }
    if !session.is_up()? {
        return Ok(());
    }
    let answer = session.call("supervisor.getSupervisorVersion", Vec::new())?;
    let version = reply::as_text(&answer)?;
    let line = if session.json {
        render::json(&DaemonJson { version })
    } else {
        version
    };
    session.say(&line)
}

/// The answer of `supervisord.getSource`. Daemons of other versions may lack members.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct SourceState {
    kind: String,
    item: String,
    server: String,
    md5: String,
    newest_md5: String,
    up: bool,
    rejected: bool,
    error: String,
    read_at: i64,
    applied_at: i64,
    now: i64,
    needs_restart: bool,
}

/// The action `source`.
pub(super) fn source(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.words(arguments).is_empty() {
        return session.refuse_arguments(exit::GENERIC);
    }
    if !session.is_up()? {
        return Ok(());
    }
    let answer = match session.call("supervisord.getSource", Vec::new()) {
        Ok(answer) => reply::as_text(&answer)?,
        Err(failure) => return report_refusal(session, failure),
    };
    let state: SourceState = serde_json::from_str(&answer).unwrap_or_default();
    if state.rejected || !state.up {
        session.exit = exit::GENERIC;
    }
    if session.json {
        return session.say(&render::json(&state));
    }
    for line in source_lines(&state) {
        session.say(&line)?;
    }
    Ok(())
}

/// The state for people.
fn source_lines(state: &SourceState) -> Vec<String> {
    if state.kind == "files" {
        return vec!["local files".to_owned()];
    }
    let ago = |time: i64| match time {
        0 => "not in this run".to_owned(),
        time => format!("{} seconds ago", (state.now - time).max(0)),
    };
    let mut lines = vec![
        format!("{}: {}", state.kind, state.item),
        format!("applied: MD5 {}, {}", state.md5, ago(state.applied_at)),
    ];
    let from = match state.server.as_str() {
        "" => String::new(),
        server => format!(", from {server}"),
    };
    lines.push(format!("read: {}{from}", ago(state.read_at)));
    if state.newest_md5 != state.md5 {
        let fate = if state.rejected {
            "refused"
        } else {
            "not applied"
        };
        lines.push(format!("newest: MD5 {}, {fate}", state.newest_md5));
    }
    if !state.error.is_empty() {
        lines.push(format!("error: {}", state.error));
    }
    if state.needs_restart {
        lines.push(
            "changes in [supervisord] and of HTTP servers take effect after reload".to_owned(),
        );
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_the_source_is_told_in_lines() {
        let files = SourceState {
            kind: "files".to_owned(),
            ..SourceState::default()
        };
        assert_eq!(source_lines(&files), ["local files"]);
        let state = SourceState {
            kind: "command".to_owned(),
            item: "command:git".to_owned(),
            server: "/usr/bin/git".to_owned(),
            md5: "aa".to_owned(),
            newest_md5: "bb".to_owned(),
            rejected: true,
            error: "git: exit status 1".to_owned(),
            read_at: 90,
            applied_at: 40,
            now: 100,
            ..SourceState::default()
        };
        assert_eq!(
            source_lines(&state),
            [
                "command: command:git",
                "applied: MD5 aa, 60 seconds ago",
                "read: 10 seconds ago, from /usr/bin/git",
                "newest: MD5 bb, refused",
                "error: git: exit status 1",
            ]
        );
    }
}
