//! The script of `on_fatal=exec:`: it runs once when a process is FATAL. Nothing waits for it.

use super::process::{Ctx, Process};
use super::script_runs::ScriptPurpose;
use crate::config::spec::OnFatal;
use crate::domain::{ExitReason, ExitStatus, Foreign, Line};
use crate::effects::{ScriptFailure, ScriptId};

/// The key, for the log and for the script.
const KEY: &str = "on_fatal";

impl Process {
    /// Runs the script of a process that is FATAL, if it has one.
    pub(super) fn run_fatal_script(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        let OnFatal::Exec(fatal) = &self.spec.on_fatal else {
            return;
        };
        // A shutdown of the daemon makes processes FATAL that wait for their next attempt.
        if !ctx.may_start {
            return;
        }
        let fatal = std::sync::Arc::clone(fatal);
        let mut variables = vec![("SUPERVISOR_HOOK".to_owned(), KEY.to_owned())];
        if let Some(status) = self.last_exit() {
            variables.push(("SUPERVISOR_EXIT_STATUS".to_owned(), status.to_string()));
            variables.push(("SUPERVISOR_EXIT_CODE".to_owned(), status.code().to_string()));
        }
        if let Some(error) = &self.run.last_error {
            // The text may contain anything, so it is escaped and bounded.
            let text = Foreign(error).to_string();
            variables.push(("SUPERVISOR_LAST_ERROR".to_owned(), text));
        }
        if let Some(line) = self.last_stderr_line() {
            variables.push((
                "SUPERVISOR_LAST_STDERR".to_owned(),
                Foreign(line).to_string(),
            ));
        }
        if let Some(result) = &self.run.last_hook {
            variables.push(("SUPERVISOR_LAST_HOOK".to_owned(), result.clone()));
        }
        let given = (variables, fatal.limit);
        let id = ctx.run_script(self, slot, ScriptPurpose::Fatal, &fatal.script, given);
        self.run.fatal_script = Some(id);
    }

    /// Runs the script again that the previous daemon has killed.
    pub(super) fn resume_fatal_script(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        if self.run.fatal_script.take().is_some() {
            self.run_fatal_script(slot, ctx);
        }
    }

    /// Handles the end of the script.
    pub(super) fn fatal_script_ended(
        &mut self,
        id: ScriptId,
        failure: Option<ScriptFailure>,
        output: &str,
        ctx: &mut Ctx<'_>,
    ) {
        if self.run.fatal_script == Some(id) {
            self.run.fatal_script = None;
        }
        match failure {
            Some(failure) => self.log_failure(KEY, Some(failure), output, ctx),
            None => {
                let name = self.spec.name.clone();
                Self::log(ctx, Line::FatalScriptDone { name });
            }
        }
    }

    /// Returns how the last instance exited. `None`: there was none, or it is not known.
    pub(super) fn last_exit(&self) -> Option<ExitStatus> {
        match &self.run.exit_reason {
            Some(ExitReason::NotSpawned(_)) | None => None,
            Some(
                ExitReason::TooQuick(status)
                | ExitReason::Unready(status)
                | ExitReason::NotReady(status)
                | ExitReason::Watchdog(status)
                | ExitReason::Unhealthy(status)
                | ExitReason::ByItself(status)
                | ExitReason::OnRequest(status),
            ) => Some(*status),
        }
    }
}
