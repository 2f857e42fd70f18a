//! What comes into the engine.

use crate::api::{Caller, Fault, Grant, Reply, Request};

/// A question, with the way to answer it.
pub struct Asked {
    /// Who asks.
    pub caller: Caller,
    /// What they may touch.
    pub grant: Grant,
    /// What they want.
    pub request: Request,
    /// Called when the engine has taken the question out of its inbox.
    pub taken: Box<dyn FnOnce() + Send>,
    /// Called exactly once, perhaps much later. Must not block.
    pub answer: Box<dyn FnOnce(Result<Reply, Fault>) + Send>,
}
