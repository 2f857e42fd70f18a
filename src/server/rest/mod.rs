//! The REST interface below `/api/v1`. The routes are those of METHODS, with a stream of events and an OpenAPI document.
//!
//! A call is bound, permitted, audited and executed like a call of XML-RPC. What differs is the form: named parameters,
//! JSON, the status of a fault.

mod arguments;
mod document;
mod event_streams;
mod events;
mod handle_rest;
mod json;
mod problem;
mod process_query;
mod process_writer;
mod query;
mod render;
mod routes;
mod schemas;

pub(super) use event_streams::EventStreams;
pub(super) use handle_rest::handle_rest;
pub(super) use problem::{CONTENT_TYPE as PROBLEM_TYPE, fault_text, login_problem};
pub(super) use routes::is_below;
