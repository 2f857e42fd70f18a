//! The doors: each only translates between its protocol and the Control API.

mod bind;
mod view;

pub use bind::{BindError, BoundServer};
