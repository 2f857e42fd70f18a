//! The audit line of a change that is refused because its password is missing or wrong. The output thread limits the
//! number of such lines.

use hyper::Method;
use hyper::header;
use hyper::http::request::Parts;

use super::connection::HttpConnection;
use crate::api::Transport;
use crate::domain::Line;

/// Writes the line, if the request could be a change: its method is none of those that only read.
pub(super) fn audit_refused_login(connection: &HttpConnection, head: &Parts) {
    if matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return;
    }
    let why = match head.headers.contains_key(header::AUTHORIZATION) {
        true => "wrong user name, password or token",
        false => "no user name and password",
    };
    let address = connection.peer.rsplit_once(':').map(|(ip, _)| ip);
    let address = address.filter(|_| connection.caller.transport == Transport::Inet);
    (connection.shared.log)(Line::AuditRefused {
        source: connection.caller.rate_limit_key(),
        who: connection.caller.identity(),
        verb: head.method.as_str().to_lowercase(),
        target: head.uri.path().to_owned(),
        result: match address {
            Some(address) => format!("{why} from {address}"),
            None => why.to_owned(),
        },
    });
}
