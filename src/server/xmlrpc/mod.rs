//! The endpoint XML-RPC: reads calls, executes them and renders their results as XML-RPC values.

mod handle_rpc;
mod list_reply;
mod perform_call;
pub(super) mod render;

pub(super) use handle_rpc::handle_rpc;
