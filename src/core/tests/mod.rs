//! Unit tests of the core: scripts of times and inputs, with the expected actions and the next deadline for each.

mod adopt;
pub(super) mod bench;
mod cgroups;
mod daemon;
mod events;
mod grants;
mod group_change;
mod handoff;
mod health;
mod hooks;
mod lifecycle;
mod next_attempt;
mod notify;
mod plan;
mod record;
mod rejected_events;
mod requests;
mod restart_policy;
mod rolling;
mod scaling;
mod sockets;
mod stage_record;
mod start_stop_requests;
mod status;
mod stop;
mod transitions;
mod watching;
