//! Requests a script for a process.

use std::sync::Arc;

use super::Action;
use super::process::{Ctx, Process};
use super::script_runs::{ScriptOwner, ScriptPurpose};
use crate::config::script::Script;
use crate::domain::Seconds;
use crate::effects::{ScriptEffect, ScriptId, ScriptRun};

impl Ctx<'_> {
    /// Runs a script for a process that has an instance in `slot`. `variables` are added to those of the process.
    pub(super) fn run_script(
        &mut self,
        process: &Process,
        slot: u32,
        purpose: ScriptPurpose,
        script: &Script,
        (variables, limit): (Vec<(String, String)>, Seconds),
    ) -> ScriptId {
        let owner = ScriptOwner {
            slot,
            slot_generation: process.slot_generation,
            purpose,
        };
        let id = self.scripts.add(owner);
        let run = Box::new(ScriptRun {
            id,
            script: script.clone(),
            spec: Arc::clone(&process.spec),
            variables,
            input: String::new(),
            limit,
        });
        self.out.push(Action::Script(ScriptEffect::Run(run)));
        id
    }
}
