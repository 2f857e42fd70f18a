//! D-Bus: the Manager, Group and Process objects of `org.supervisord.Supervisor1`, thin over the Control API.
//!
//! What there is stands in `interface`. `connection` finds a bus and comes back to it (`reconnect` says when), `serve` takes messages, `perform` carries calls
//! out, `authorise` asks polkit who may, `signals` tells of changes. No object is kept: a path is a name, and whether
//! something stands behind it the engine knows.

mod authorise;
mod bus;
mod connection;
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
mod serve;
mod signals;
mod update;

pub(super) use connection::{BusContext, stay_connected};
pub use manual::{bus_policy, page, polkit_policy};
