//! The hooks of one process: what runs before and after its start and its stop. They run on the thread `scripts`. A start
//! waits for `pre_start_hook`, a stop for `pre_stop_hook` and `stop_command`; nothing waits for the others.

use super::Action;
use super::hook::Hook;
use super::process::{Ctx, Process};
use super::script_runs::ScriptPurpose;
use super::stage::{AlivePhase, AttemptStep, PreStopStep, Stage};
use crate::domain::{ExitReason, ExitStatus, Foreign, InstanceId, Line, Seconds, SpawnError};
use crate::effects::{OutputEffect, ScriptEffect, ScriptFailure, ScriptId};

/// How much later than the time limit of a hook its process stops to wait for it. The thread that runs scripts answers in
/// time, unless very many scripts wait.
const HOOK_GRACE: Seconds = Seconds(5);

impl Process {
    /// Runs a hook if the program has it. `variables` are added to those of all hooks.
    pub(super) fn run_hook(
        &self,
        (hook, purpose): (Hook, ScriptPurpose),
        slot: u32,
        variables: Vec<(String, String)>,
        ctx: &mut Ctx<'_>,
    ) -> Option<ScriptId> {
        let hooks = self.spec.hooks.as_ref()?;
        let script = hook.of(hooks)?;
        let mut all = vec![("SUPERVISOR_HOOK".to_owned(), hook.key().to_owned())];
        if let Some((_, pid)) = self.run.stage.reachable() {
            all.push(("SUPERVISOR_PID".to_owned(), pid.to_string()));
        }
        if let Some(result) = &self.run.last_hook {
            all.push(("SUPERVISOR_LAST_HOOK".to_owned(), result.clone()));
        }
        all.extend(variables);
        let limit = match hook {
            Hook::StopCommand => Seconds(self.spec.stopwaitsecs.0.max(1)),
            _ => hooks.timeout,
        };
        Some(ctx.run_script(self, slot, purpose, script, (all, limit)))
    }

    /// Runs a hook that the process waits for.
    fn await_hook(&mut self, hook: Hook, slot: u32, ctx: &mut Ctx<'_>) {
        self.run.hook = self.run_hook((hook, ScriptPurpose::Hook), slot, Vec::new(), ctx);
    }

    /// Returns whether the program has a hook before its start.
    pub(super) fn has_pre_start(&self) -> bool {
        let hooks = self.spec.hooks.as_ref();
        hooks.is_some_and(|hooks| hooks.pre_start.is_some())
    }

    /// Begins `pre_start_hook` of an attempt whose command was found.
    pub(super) fn begin_pre_start(&mut self, instance: InstanceId, ctx: &mut Ctx<'_>) {
        self.change_stage(Stage::attempt(instance, AttemptStep::PreStart), ctx);
        self.await_hook(Hook::PreStart, instance.slot, ctx);
    }

    /// Runs `post_start_hook` of a process that has become RUNNING.
    pub(super) fn run_post_start(&self, instance: InstanceId, ctx: &mut Ctx<'_>) {
        let hook = Hook::PostStart;
        let purpose = ScriptPurpose::Afterwards(hook);
        self.run_hook((hook, purpose), instance.slot, Vec::new(), ctx);
    }

    /// Runs `post_stop_hook` of a process that has exited.
    pub(super) fn run_post_stop(
        &self,
        instance: InstanceId,
        status: ExitStatus,
        ctx: &mut Ctx<'_>,
    ) {
        if self.spec.hooks.is_none() {
            return;
        }
        let reason = self.run.exit_reason.as_ref();
        let reason = reason.map_or("exited", ExitReason::word);
        let variables = vec![
            ("SUPERVISOR_EXIT_STATUS".to_owned(), status.to_string()),
            ("SUPERVISOR_EXIT_CODE".to_owned(), status.code().to_string()),
            ("SUPERVISOR_EXIT_REASON".to_owned(), reason.to_owned()),
        ];
        let hook = Hook::PostStop;
        let purpose = ScriptPurpose::Afterwards(hook);
        self.run_hook((hook, purpose), instance.slot, variables, ctx);
    }

    /// Begins what runs before the stop signal. Returns whether there is anything.
    pub(super) fn begin_pre_stop(
        &mut self,
        instance: InstanceId,
        pid: i32,
        ctx: &mut Ctx<'_>,
    ) -> bool {
        self.begin_stop_step(PreStopStep::Hook, instance, pid, ctx)
            || self.begin_stop_step(PreStopStep::Command, instance, pid, ctx)
    }

    /// Begins a step of a stop. Returns whether the program has it.
    fn begin_stop_step(
        &mut self,
        step: PreStopStep,
        instance: InstanceId,
        pid: i32,
        ctx: &mut Ctx<'_>,
    ) -> bool {
        let Some(hooks) = &self.spec.hooks else {
            return false;
        };
        let hook = Hook::of_step(step);
        if hook.of(hooks).is_none() {
            return false;
        }
        let wait = match step {
            PreStopStep::Hook => Seconds(hooks.timeout.0.saturating_add(HOOK_GRACE.0)),
            PreStopStep::Command => self.stop_wait(),
        };
        let until = ctx.now.mono + wait;
        let phase = AlivePhase::PreStop { step, until };
        self.enter_stage(Stage::alive(instance, pid, phase), pid, false, ctx);
        self.await_hook(hook, instance.slot, ctx);
        true
    }

    /// Goes on with a stop after the hook of a step has ended or taken too long.
    pub(super) fn end_stop_step(
        &mut self,
        instance: InstanceId,
        pid: i32,
        step: PreStopStep,
        ctx: &mut Ctx<'_>,
    ) {
        if let Some(id) = self.run.hook.take() {
            ctx.out.push(Action::Script(ScriptEffect::Cancel(id)));
        }
        if step == PreStopStep::Command
            || !self.begin_stop_step(PreStopStep::Command, instance, pid, ctx)
        {
            self.send_stop_signal(instance, pid, ctx);
        }
    }

    /// Repeats the hook that the previous daemon did not finish.
    pub(super) fn repeat_stop_step(&mut self, step: PreStopStep, slot: u32, ctx: &mut Ctx<'_>) {
        self.await_hook(Hook::of_step(step), slot, ctx);
    }

    /// Cancels the hook that nothing waits for any more.
    pub(super) fn cancel_stale_hook(&mut self, ctx: &mut Ctx<'_>) {
        let is_awaited = matches!(
            *self.run.stage,
            Stage::Attempt {
                step: AttemptStep::PreStart,
                ..
            } | Stage::Alive {
                phase: AlivePhase::PreStop { .. },
                ..
            }
        );
        if !is_awaited && let Some(id) = self.run.hook.take() {
            ctx.out.push(Action::Script(ScriptEffect::Cancel(id)));
        }
    }

    /// Handles the end of a hook that the process waits for.
    pub(super) fn hook_ended(
        &mut self,
        id: ScriptId,
        failure: Option<ScriptFailure>,
        output: &str,
        ctx: &mut Ctx<'_>,
    ) {
        if self.run.hook != Some(id) {
            return;
        }
        self.run.hook = None;
        self.note_hook_result(failure.as_ref());
        match *self.run.stage {
            Stage::Attempt {
                instance,
                step: AttemptStep::PreStart,
            } => self.pre_start_ended(instance, failure, output, ctx),
            Stage::Alive {
                instance,
                pid,
                phase: AlivePhase::PreStop { step, .. },
            } => {
                let has_failed = failure.is_some();
                self.log_failure(Hook::of_step(step).key(), failure, output, ctx);
                // After a stop command that succeeded, the process has the rest of `stopwaitsecs` to exit.
                if step == PreStopStep::Hook || has_failed {
                    self.end_stop_step(instance, pid, step, ctx);
                }
            }
            _ => {}
        }
    }

    fn pre_start_ended(
        &mut self,
        instance: InstanceId,
        failure: Option<ScriptFailure>,
        output: &str,
        ctx: &mut Ctx<'_>,
    ) {
        let hooks = self.spec.hooks.as_ref();
        let is_required = hooks.is_some_and(|hooks| hooks.pre_start_required);
        match failure {
            Some(failure) if is_required => {
                // The attempt holds the plan of its process.
                ctx.out.push(Action::Output(OutputEffect::Drain(instance)));
                let reason = described(&failure, output);
                let error = SpawnError::Hook { reason };
                self.spawn_failed(error, ctx);
            }
            failure => {
                self.log_failure(Hook::PreStart.key(), failure, output, ctx);
                self.begin_preparing(instance, ctx);
            }
        }
    }

    /// Handles the end of a hook that nothing waits for.
    pub(super) fn afterwards_ended(
        &mut self,
        hook: Hook,
        failure: Option<ScriptFailure>,
        output: &str,
        ctx: &mut Ctx<'_>,
    ) {
        self.note_hook_result(failure.as_ref());
        self.log_failure(hook.key(), failure, output, ctx);
    }

    fn note_hook_result(&mut self, failure: Option<&ScriptFailure>) {
        let result = failure.map_or_else(|| "success".to_owned(), |failure| described(failure, ""));
        self.run.last_hook = Some(result);
    }

    pub(super) fn log_failure(
        &self,
        key: &str,
        failure: Option<ScriptFailure>,
        output: &str,
        ctx: &mut Ctx<'_>,
    ) {
        if let Some(failure) = failure {
            let line = Line::HookFailed {
                name: self.spec.name.clone(),
                key: key.to_owned(),
                reason: described(&failure, output),
            };
            Self::log(ctx, line);
        }
    }

    /// Begins the step after the hook, or without one.
    fn begin_preparing(&mut self, instance: InstanceId, ctx: &mut Ctx<'_>) {
        self.change_stage(Stage::attempt(instance, AttemptStep::Preparing), ctx);
        ctx.out.push(Action::Output(OutputEffect::Prepare(
            instance,
            self.spec.clone(),
            self.logs.clone(),
        )));
    }
}

/// Says why a script failed, with the last line of its output. Both may contain anything, so they are escaped and
/// bounded.
pub(super) fn described(failure: &ScriptFailure, output: &str) -> String {
    let last = output.trim_end().lines().last().unwrap_or_default().trim();
    match last.is_empty() {
        true => Foreign(failure).to_string(),
        false => Foreign(format_args!("{failure} ({last})")).to_string(),
    }
}
