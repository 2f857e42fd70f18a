//! Actions on the daemon itself: `shutdown`, `reload`, `open`, `version`.

use nix::errno::Errno;
use serde::Serialize;

use super::error::CtlError;
use super::problems::report_refusal;
use super::session::CtlSession;
use super::{exit, process, render, reply, status};
use crate::api::FaultCode;

/// The action `shutdown`.
pub(super) fn shutdown(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !arguments.is_empty() {
        return session.refuse_arguments(exit::GENERIC);
    }
    if !session.confirm("Really shut the remote supervisord process down y/N? ")? {
        return Ok(());
    }
    let failure = match session.call("supervisor.shutdown", Vec::new()) {
        Ok(_) => return session.say("Shut down"),
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
