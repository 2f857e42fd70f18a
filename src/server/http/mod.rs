//! HTTP: `router` checks access and gives a request to its endpoint: XML-RPC, metrics, the web page, or `logtail`.

mod authenticate;
pub(super) mod connection;
pub(super) mod endpoint_logins;
pub(super) mod logtail;
pub(super) mod open_stream;
mod refused_login;
pub(super) mod response;
pub(super) mod router;
pub(super) mod throttle;
pub(super) mod token_store;
pub(super) mod wrong_password;
