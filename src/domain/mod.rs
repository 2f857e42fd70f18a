//! Basic types that all other modules use: names, states, events, log lines, times, schedules. No I/O, and few
//! dependencies: serde's derives, and the calendar of `cron`.

mod bytes;
mod capability;
mod change;
mod change_value;
pub mod counter;
mod cron;
mod diagnostics;
mod envelope;
mod errno;
mod event;
mod exit;
mod fd_name;
mod foreign;
mod health;
mod instance;
mod line;
mod line_pattern;
mod listener;
mod log_calendar;
mod name;
mod percent;
mod permission;
mod program_run;
mod python;
mod resource;
pub mod roff;
mod signal;
mod state;
mod time;

pub use bytes::{byte_of, from_bytes, to_bytes};
pub use capability::Capabilities;
pub use change::{Change, StatusChange, TickPeriod};
pub use change_value::ChangeValue;
pub use cron::{CronExpression, CronZone, ZoneOf};
pub use diagnostics::{DiagnosticsFilter, DiagnosticsLevel};
pub use envelope::Envelope;
pub use errno::Errno;
pub use event::{Channel, EVENT_VALUES, EVENTS, EventType, OutputEvents, Payload};
pub use exit::{ExitCounts, ExitReason, ExitStatus, ResourceEvents, SpawnError};
pub use fd_name::{FdName, INSTANCE_LETTERS};
pub use foreign::{Escaped, FOREIGN_CHARS_MAX, Foreign, is_deceptive};
pub use health::ProcessHealth;
pub use instance::{InstanceId, LogPaths};
pub use line::{LINES, Level, Line, LineDoc};
pub use line_pattern::LinePattern;
pub use listener::{ListenerOutput, ListenerState, Verdict};
pub use log_calendar::{DATE_TOKEN, LogCalendar, LogPeriod};
pub use name::{GroupName, InvalidName, Namespec, ProcessName, QualifiedName};
pub use percent::percent_encoded;
pub use permission::Permission;
pub use program_run::{PROGRAM_RUNS_MAX, ProgramRun, ProgramRuns};
pub use python::{decoded, python_bytes, python_repr};
pub use resource::{Limit, Resource, Unit};
pub use signal::{InvalidSignal, Signal};
pub use state::{ProcessState, SupervisorState};
pub use time::{Bytes, Now, Seconds, Tick, Wall};

/// The version of the product, as shown by `-v`, `supervisorctl version` and `getSupervisorVersion`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that this was built from, if the builder named it in SUPERVISORD_COMMIT.
pub const COMMIT: &str = match option_env!("SUPERVISORD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// The version of the XML-RPC interface. It is Supervisor's, since its clients check for exactly this value.
pub const API_VERSION: &str = "3.0";
