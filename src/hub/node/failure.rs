//! Why a node is not connected, from what a call led to.

use hyper::HeaderMap;

use super::process_row::one_line;
use super::view::NodeState;
use crate::agent::http::HttpError;
use crate::api::{FaultCode, PERMISSION_DENIED};

/// Maximum length of a reason in characters.
const REASON_CHARS_MAX: usize = 300;

/// Why a node is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeFailure {
    pub(super) state: NodeState,
    /// In one line, bounded.
    pub(super) reason: String,
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallFailure {
    /// The node answers with a fault of XML-RPC.
    Fault { code: i64, text: String },
    /// There is no answer in time.
    TimedOut(NodeFailure),
    /// There is no answer, or it is none.
    NoAnswer(NodeFailure),
}

impl NodeFailure {
    /// A failure with what its reason is cut to.
    pub(super) fn new(state: NodeState, reason: impl AsRef<str>) -> Self {
        Self {
            state,
            reason: one_line(reason.as_ref(), REASON_CHARS_MAX),
        }
    }

    /// The failure of a connection.
    pub(super) fn of_http(error: &HttpError) -> Self {
        let state = match error {
            HttpError::Lookup(_)
            | HttpError::Connect(_)
            | HttpError::Tls(_)
            | HttpError::TimedOut(_)
            | HttpError::Broken(_) => NodeState::Unreachable,
            HttpError::TooLarge(_) | HttpError::NotHttp => NodeState::NotASupervisor,
        };
        Self::new(state, error.to_string())
    }

    /// The failure of an answer whose status is not 200. `path`: what was asked for.
    pub(super) fn of_status(status: u16, path: &str) -> Self {
        let (state, reason) = match status {
            401 => (
                NodeState::Unauthorized,
                "it refuses the user name and the password or the token (401)".to_owned(),
            ),
            403 => (
                NodeState::Unauthorized,
                "it forbids the request (403)".to_owned(),
            ),
            502..=504 => (
                NodeState::Unreachable,
                format!("a proxy answers for it: it does not reach the supervisord ({status})"),
            ),
            300..=399 => (
                NodeState::NotASupervisor,
                format!("it redirects {path} to another place ({status})"),
            ),
            404 => (NodeState::NotASupervisor, format!("it has no {path} (404)")),
            _ => (
                NodeState::NotASupervisor,
                format!("it answers {path} with status {status}"),
            ),
        };
        Self::new(state, reason)
    }

    /// The failure of an answer that is no XML-RPC.
    pub(super) fn of_foreign_answer(headers: &HeaderMap, error: &str) -> Self {
        let kind = headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok());
        let is_xml = kind.is_some_and(|kind| kind.contains("xml"));
        let reason = match kind {
            Some(kind) if !is_xml => format!("its answer is {kind}, not XML-RPC"),
            Some(_) | None => format!("its answer is not XML-RPC: {error}"),
        };
        Self::new(NodeState::NotASupervisor, reason)
    }

    /// The failure of a node that answers a question about its state with a fault.
    pub(super) fn of_fault(code: i64, text: &str) -> Self {
        let is = |known: FaultCode| code == i64::from(known.code());
        if is(FaultCode::UnknownMethod) {
            let reason = "its configuration has no [rpcinterface:supervisor]";
            return Self::new(NodeState::NoRpcInterface, reason);
        }
        if is(FaultCode::ShutdownState) {
            return Self::new(NodeState::Unreachable, "it is shutting down");
        }
        let state = match text.contains(PERMISSION_DENIED) {
            true => NodeState::Unauthorized,
            false => NodeState::NotASupervisor,
        };
        Self::new(state, format!("it refuses to list its processes: {text}"))
    }
}

impl CallFailure {
    /// What it means for a node that was asked about its state.
    pub(super) fn into_node_failure(self) -> NodeFailure {
        match self {
            Self::Fault { code, text } => NodeFailure::of_fault(code, &text),
            Self::TimedOut(failure) | Self::NoAnswer(failure) => failure,
        }
    }
}

impl From<HttpError> for CallFailure {
    fn from(error: HttpError) -> Self {
        let failure = NodeFailure::of_http(&error);
        match error {
            HttpError::TimedOut(_) => Self::TimedOut(failure),
            _ => Self::NoAnswer(failure),
        }
    }
}

impl From<NodeFailure> for CallFailure {
    fn from(failure: NodeFailure) -> Self {
        Self::NoAnswer(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_state_and_a_short_reason() {
        use NodeState::{NoRpcInterface, NotASupervisor, Unauthorized, Unreachable};
        let status = |status| NodeFailure::of_status(status, "/RPC2").state;
        for (code, state) in [
            (401, Unauthorized),
            (403, Unauthorized),
            (404, NotASupervisor),
            (302, NotASupervisor),
            (400, NotASupervisor),
            (502, Unreachable),
            (504, Unreachable),
        ] {
            assert_eq!(status(code), state, "{code}");
        }
        for (code, text, state) in [
            (1, "UNKNOWN_METHOD", NoRpcInterface),
            (6, "SHUTDOWN_STATE", Unreachable),
            (
                30,
                "FAILED: permission denied: user u has no permission status",
                Unauthorized,
            ),
            (30, "FAILED", NotASupervisor),
        ] {
            assert_eq!(NodeFailure::of_fault(code, text).state, state, "{text}");
        }
        let long = NodeFailure::new(Unreachable, format!("a\n\u{202e}{}", "x".repeat(10_000)));
        assert_eq!(long.reason.chars().count(), REASON_CHARS_MAX);
        assert!(!long.reason.contains(['\n', '\u{202e}']));
        let not_http = NodeFailure::of_http(&HttpError::NotHttp);
        assert_eq!(not_http.state, NotASupervisor);
        assert_eq!(
            NodeFailure::of_http(&HttpError::TooLarge(7)).state,
            NotASupervisor
        );
    }
}
