//! Audit lines of requests: they go to the activity log, and the last ones are remembered for clients.

use serde::Serialize;

use super::audit_trail::{RECORDS_MAX, is_about};
use super::rights::{not_permitted, whole};
use super::{Action, Actions, AuditLine, Fleet};
use crate::api::{AccessScope, AuditEntry, AuditRecord, Caller, Fault, Reply, audit_line};
use crate::domain::{Namespec, Now, Wall};

/// A change with its time in the zone of the daemon.
#[derive(Serialize)]
struct ShownRecord<'a> {
    #[serde(flatten)]
    record: &'a AuditRecord,
    local: String,
}

#[derive(Serialize)]
struct ShownTrail<'a> {
    requests: Vec<ShownRecord<'a>>,
}

impl Fleet {
    /// Writes the audit line of a request and remembers it. Requests that change nothing have no entry.
    pub(super) fn audit(
        &mut self,
        caller: Caller,
        entry: Option<AuditEntry>,
        fault: Option<Fault>,
        now: Now,
        out: &mut Actions,
    ) {
        let Some(entry) = entry else {
            return;
        };
        let line = audit_line(&caller, entry.clone(), fault.as_ref());
        if let Some(record) = AuditRecord::of(&line, now.wall.secs()) {
            self.audit_trail.push(record);
        }
        out.push(Action::Audit(AuditLine {
            caller,
            entry,
            fault,
        }));
    }

    /// Returns the newest `most` (0: all) changes of the processes that `names` mean, as JSON. No names: all changes.
    ///
    /// # Errors
    /// FAILED: the caller may not read about all of these processes.
    pub(super) fn audit_json(
        &self,
        names: &[String],
        most: u32,
        scope: &AccessScope,
    ) -> Result<Reply, Fault> {
        let specs: Vec<Namespec> = names.iter().map(|name| Namespec::parse(name)).collect();
        if specs.is_empty() {
            whole(scope)?;
        }
        for (spec, name) in specs.iter().zip(names) {
            let is_covered = match &spec.process {
                Some(process) => scope.covers(&spec.group, process),
                None => scope.covers_group(&spec.group),
            };
            if !is_covered {
                return Err(not_permitted(name));
            }
        }
        let is_asked = |record: &&AuditRecord| {
            specs.is_empty() || specs.iter().any(|spec| is_about(record, spec))
        };
        let most = if most == 0 {
            RECORDS_MAX
        } else {
            most as usize
        };
        let newest = self.audit_trail.records().rev().filter(is_asked).take(most);
        let zone = (self.schedules.zone_of)(None);
        let mut requests: Vec<ShownRecord<'_>> = newest
            .map(|record| ShownRecord {
                record,
                local: zone.show(Wall(record.at.saturating_mul(1_000_000_000))),
            })
            .collect();
        requests.reverse();
        // Strings and numbers are always serialized.
        let text = serde_json::to_string(&ShownTrail { requests }).unwrap_or_default();
        Ok(Reply::Text(text))
    }
}
