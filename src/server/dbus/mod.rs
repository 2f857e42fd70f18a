//! D-Bus: the Manager, Group and Process objects of `org.supervisord.Supervisor1`, a thin layer over the Control API.
//!
//! `interface` holds the tables of methods, properties and signals. `connection` connects to a bus (`reconnect`
//! decides when), `serve` receives messages, `perform` executes calls, `authorise` asks polkit for permission, and
//! `signals` sends signals. Objects are not stored: a path is an encoded name, and the engine knows whether the named
//! process or group exists.

mod authorise;
mod bus;
mod connection;
mod context;
mod convert;
mod error;
mod interface;
mod introspect;
mod limits;
mod manual;
mod objects;
mod path;
mod perform;
mod polkit;
mod reconnect;
mod sender;
mod serve;
mod signals;

pub(super) use connection::stay_connected;
pub(super) use context::BusContext;
pub use manual::{bus_policy, page, polkit_policy};
