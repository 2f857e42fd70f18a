//! The activity log: who did what where, from which address, with which result.

mod event;
mod file;
mod journal;
mod log;
mod record;

pub(in crate::hub) use event::ActivityEvent;
pub(in crate::hub) use log::{ActivityLog, ActivityLogSettings};
pub(in crate::hub) use record::ActivityRecord;
