//! The agent: the unprivileged program that connects to foreign servers for the daemon. [`protocol`] is what both say.
//!
//! The daemon runs as root and reads no answer of a foreign server itself: HTTP and TLS are in the agent, which runs as
//! `nobody` without any capability. A hostile server can at worst make the agent report a wrong text, which the daemon
//! checks like any configuration.

pub mod protocol;
