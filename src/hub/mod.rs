//! The hub: shows and controls the processes of many supervisords. [`node`] is one of them: its settings, what is known
//! of it, and the calls; [`fleet`] is all of them, each with a task of its own. [`settings`] reads Cesi's file, `users` keeps
//! users and sessions, `activity` who did what; `server` speaks HTTP, `api` has the table of routes and the interfaces,
//! `pages` the pages for people.
//!
//! The nodes are the truth and the hub is a cache: it stores nothing about them.

mod activity;
mod api;
mod command_line;
pub mod fleet;
pub mod manual;
pub mod node;
mod operations;
mod pages;
mod program;
mod server;
pub mod settings;
pub mod users;

pub use program::run_if_named;
