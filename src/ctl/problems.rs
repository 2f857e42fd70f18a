//! The errors and warnings of the configuration that the daemon read.

use super::error::CtlError;
use super::reply;
use super::session::CtlSession;
use crate::api::FaultCode;

/// Prints the errors of the last configuration that the daemon read, with their positions, on standard error. The
/// fault contains only the first one, and a successful response none. Supervisor has no such method, and callers
/// without the permission get nothing.
// Differs: Supervisor prints nothing on standard error.
pub(super) fn report_problems(session: &mut CtlSession) -> Result<(), CtlError> {
    session.flush()?;
    let Ok(answer) = session.call("supervisord.getConfigProblems", Vec::new()) else {
        return Ok(());
    };
    for problem in reply::all(&answer, reply::as_text).unwrap_or_default() {
        session.warn(&problem)?;
    }
    Ok(())
}

/// Reports a failed action with Supervisor's text. If the configuration was refused, also prints its errors.
pub(super) fn report_refusal(session: &mut CtlSession, failure: CtlError) -> Result<(), CtlError> {
    let is_refused = failure.is_fault(FaultCode::CantReread);
    session.report(failure)?;
    if is_refused {
        report_problems(session)?;
    }
    Ok(())
}
