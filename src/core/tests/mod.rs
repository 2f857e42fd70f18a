//! Unit tests of the core: a script of moments and inputs, and for each the actions and the next deadline.

mod adopt;
pub(super) mod bench;
mod cgroups;
mod daemon;
mod events;
mod handoff;
mod lifecycle;
mod live;
mod next_attempt;
mod notify;
mod record;
mod requests;
mod rolling;
mod sockets;
mod status;
mod stop;
