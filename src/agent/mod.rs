//! The agent: the unprivileged program that connects to foreign servers for the daemon. [`protocol`] is what both say,
//! [`client`] the daemon's side; the other files are the program `supervisord-agent`, which starts in `program`.
//!
//! The daemon runs as root and reads no answer of a foreign server itself: HTTP and TLS are in the agent, which runs as
//! `nobody` without any capability. A hostile server can at worst make the agent report a wrong text, which the daemon
//! checks like any configuration.

pub mod client;
mod command_line;
mod find;
pub(crate) mod http;
mod link;
pub mod manual;
mod nacos;
pub(crate) mod pauses;
mod program;
pub mod protocol;
mod request;
mod serve;
pub(crate) mod server_url;
pub(crate) mod tls;

pub use client::{AgentOptions, AgentProcess};
pub use find::find_program;
pub use link::{AgentLink, Asker, LinkEvent, no_agent};
pub(crate) use pauses::{Jitter, Pauses};
pub use program::run;
pub use server_url::ServerUrl;
