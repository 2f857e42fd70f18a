//! Unit tests of the core: scripts of times and inputs, with the expected actions and the next deadline for each.

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
mod stage_record;
mod status;
mod stop;
mod transitions;
