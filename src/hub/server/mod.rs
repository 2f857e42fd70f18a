//! HTTP: accepts connections, reads requests, finds out who sends them, and writes responses.

mod accept;
mod context;
mod cross_site;
mod looks;
mod principal;
mod request;
mod response;

pub(in crate::hub) use crate::http_server::response::{HttpBody, HttpResponse};
pub(in crate::hub) use accept::{HubListener, serve_listener};
pub(in crate::hub) use context::{HubContext, HubParts};
pub(in crate::hub) use cross_site::{is_foreign_host, is_foreign_site};
pub(in crate::hub) use principal::{LoginProof, Principal, SESSION_COOKIE, authenticate};
pub(in crate::hub) use request::HubRequest;
