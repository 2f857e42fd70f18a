//! The functional core: a state machine that takes the time and an input, changes its state and returns actions. It does no
//! I/O, reads no clock, starts no process and knows no async runtime. The "shell" around it is the engine and its worker
//! threads, which perform the actions and send the inputs.
//!
//! The files use each other in one direction, which `tests/tidy/structure.rs` checks. From the bottom: the types that a
//! process holds (`stage`, `ticket`, `notify_state`), the process, its steps (`start`, `stop`, `exit`, `notify`) and the
//! tables of the fleet (`slots`, `requests`), the fleet, and the files with steps of the fleet (`admit`, `batch`,
//! `groups`). A lower file reaches a step in a higher one only through a method.

mod action;
mod admit;
mod adopt;
mod adopted_process;
mod audit;
mod audit_trail;
mod auto_log_names;
mod batch;
mod change_state;
mod checkpoint;
mod daemon_control;
mod daemon_run;
mod dead_instances;
mod deadlines;
mod dependencies;
mod dependency_facts;
mod dependency_index;
mod dependency_order;
mod dependency_start;
mod dependency_stop;
mod dependency_view;
mod essential;
mod event_queues;
mod exit;
mod fatal_script;
mod fleet;
mod fleet_changes;
mod group_change;
mod groups;
mod handoff;
mod health;
mod health_state;
mod hold;
mod hold_state;
mod hook;
mod hooks;
mod input;
mod instance_input;
mod last_stderr;
mod limits;
mod listener;
mod listener_pool;
mod listener_stage;
pub mod manual;
mod notification_state;
mod notification_table;
mod notifications;
mod notify;
mod notify_message;
mod notify_state;
mod outcomes;
mod pending;
mod process;
mod process_details;
mod process_record;
mod progress;
mod read_config;
mod record;
mod record_bytes;
mod rejection;
mod reload;
mod report;
mod request_targets;
mod requests;
mod restart_policy;
mod restart_progress;
mod rights;
mod rolling;
mod rolling_restart;
mod rolling_update;
mod run_script;
mod scale;
mod scaling;
mod schedule;
mod schedules;
mod scheduling;
mod script_runs;
mod shutdown;
mod shutdown_state;
mod slots;
mod snapshot;
mod stage;
mod stage_codes;
mod stage_record;
mod start;
mod state_history;
mod status;
mod stop;
mod tick;
mod ticket;
mod transitions;
mod waiters;
mod watch_table;
mod watching;

pub use action::{Action, Actions, AuditLine, DaemonOutcome, SignalScope};
pub use adopted_process::AdoptedProcess;
pub use daemon_run::Identity;
pub use fleet::Fleet;
pub use input::{DaemonSignal, Input, ResumeKind};
pub use notify_message::{
    IgnoredNotify, NOTIFY_BYTES_MAX, NotifiedState, NotifyMessage, STATUS_CHARS_MAX, WatchdogNotify,
};
pub use process_record::ProcessRecord;
pub use snapshot::Snapshot;
pub use status::{FleetStatus, Phase};

#[cfg(test)]
mod tests;
