//! Passes the outcomes of effects to the process, the request or the listener concerned.

use super::hooks::described;
use super::pending::Pending;
use super::process::Process;
use super::script_runs::ScriptPurpose;
use super::transitions::Trigger;
use super::{Actions, Fleet};
use crate::domain::Now;
use crate::effects::{LoaderOutcome, OutputOutcome, ScriptOutcome, SpawnerOutcome, WatchId};

impl Fleet {
    pub(super) fn output_outcome(&mut self, outcome: OutputOutcome, now: Now, out: &mut Actions) {
        match outcome {
            OutputOutcome::Prepared(instance) => self.prepared(instance, now, out),
            OutputOutcome::PrepareFailed(instance, error) => {
                self.spawn_failed(instance, error, now, out);
            }
            OutputOutcome::LastStderr { instance, data } => {
                self.keep_last_stderr(instance, &data);
            }
            OutputOutcome::Drained(instance) => self.drained(instance, now, out),
            OutputOutcome::Answered { ticket, result } => {
                match self.requests.pending.get(&ticket) {
                    Some(Pending::ClearDaemonLog) => self.daemon_log_cleared(ticket, result, out),
                    Some(Pending::Stdin(_)) => self.stdin_taken(ticket, result, out),
                    // `None`: the request was answered when the daemon stopped.
                    _ => self.cleared(ticket, result, now, out),
                }
            }
            OutputOutcome::Wrote {
                instance,
                channel,
                data,
                captured,
            } => self.wrote(instance, channel, data, captured, out),
            OutputOutcome::LineMatched {
                instance,
                kind,
                line,
            } => {
                self.update_instance(instance, Trigger::Checked, now, out, |process, ctx| {
                    process.line_matched(kind, &line, ctx);
                });
            }
            OutputOutcome::ListenerOutput(instance, output) => {
                self.listener_output(instance, output, now, out);
            }
            OutputOutcome::NotDelivered(instance, error) => {
                self.not_delivered(instance, error, out);
            }
        }
    }

    pub(super) fn spawner_outcome(&mut self, outcome: SpawnerOutcome, now: Now, out: &mut Actions) {
        match outcome {
            SpawnerOutcome::Resolved(instance) => self.resolved(instance, now, out),
            SpawnerOutcome::Held { instance, why } => self.spawn_held(instance, why, now, out),
            SpawnerOutcome::Failed { instance, error } => {
                self.spawn_failed(instance, error, now, out);
            }
            SpawnerOutcome::Spawned { instance, pid } => self.spawned(instance, pid, now, out),
            SpawnerOutcome::Answered { ticket, result } => match self.requests.pending.get(&ticket)
            {
                Some(Pending::AddGroup(_)) => self.sockets_tried(ticket, result, now, out),
                _ => self.checked(ticket, result, now, out),
            },
        }
    }

    pub(super) fn script_outcome(&mut self, outcome: ScriptOutcome, now: Now, out: &mut Actions) {
        let ScriptOutcome::Ended {
            id,
            failure,
            output,
        } = outcome;
        let Some(owner) = self.requests.scripts.take(id) else {
            self.report_ended(id, failure.as_ref(), &output, out);
            return;
        };
        if let ScriptPurpose::Changed {
            kind,
            watch_slot,
            watch_generation,
        } = owner.purpose
        {
            let watch = WatchId {
                slot: watch_slot,
                slot_generation: watch_generation,
            };
            let result = (failure, output.as_str());
            return self.change_script_ended((id, owner), (kind, watch), result, now, out);
        }
        // The client gets an answer even if the process is gone.
        if let ScriptPurpose::Reload(ticket) = owner.purpose {
            let why = failure.map(|failure| described(&failure, &output));
            return self.reload_ended(ticket, why, now, out);
        }
        let is_there = |process: &Process| process.slot_generation == owner.slot_generation;
        if !self.slots.get(owner.slot).is_some_and(is_there) {
            return;
        }
        if owner.purpose == ScriptPurpose::Fatal {
            // Its record must not say that it still runs.
            self.changes.slots.push(owner.slot);
        }
        let trigger = match owner.purpose {
            ScriptPurpose::Hook => Trigger::HookEnded,
            ScriptPurpose::Check => Trigger::Checked,
            ScriptPurpose::Afterwards(_)
            | ScriptPurpose::Reaction
            | ScriptPurpose::Fatal
            | ScriptPurpose::Changed { .. }
            | ScriptPurpose::Reload(_) => Trigger::Other,
        };
        self.update_process(owner.slot, trigger, now, out, |process, ctx| {
            match owner.purpose {
                ScriptPurpose::Hook => process.hook_ended(id, failure, &output, ctx),
                ScriptPurpose::Afterwards(hook) => {
                    process.afterwards_ended(hook, failure, &output, ctx)
                }
                ScriptPurpose::Check => process.check_ended(id, failure, ctx),
                ScriptPurpose::Fatal => process.fatal_script_ended(id, failure, &output, ctx),
                ScriptPurpose::Reaction => process.reaction_ended(failure, ctx),
                // Handled above.
                ScriptPurpose::Reload(_) | ScriptPurpose::Changed { .. } => {}
            }
        });
    }

    pub(super) fn loader_outcome(&mut self, outcome: LoaderOutcome, now: Now, out: &mut Actions) {
        match outcome {
            LoaderOutcome::Loaded { reason, result } => self.loaded(reason, result, now, out),
            LoaderOutcome::Planned { ticket, result } => self.planned(ticket, result, out),
            LoaderOutcome::Composed { ticket, result } => self.composed(ticket, result, now, out),
        }
    }
}
