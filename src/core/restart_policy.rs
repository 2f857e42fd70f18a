//! The time of automatic restarts: Supervisor's rules, and the keys of `RestartPolicy` that change them.

use super::process::{Ctx, Process};
use super::restart_progress::RestartProgress;
use super::stage::{Idle, Stage};
use super::transitions::Trigger;
use crate::config::spec::UNLIMITED_RETRIES;
use crate::domain::{Line, Now, Seconds, Tick};

/// The counter is written down, and a reader refuses numbers from 2³¹.
const IN_A_ROW_MAX: u32 = 1 << 30;

impl Process {
    /// Begins the delays again for a start that does not follow an exit or a failed attempt.
    pub(super) fn begin_restarts_again(&mut self, ctx: &Ctx<'_>) {
        // A process that was stopped because of a changed file starts at its deadline.
        let was_stopped = matches!(*self.run.stage, Stage::Idle(Idle::Stopped));
        if ctx.trigger == Trigger::Start || was_stopped {
            if self.spec.restart.reset_after.0 > 0 {
                self.run.tries = 0;
            }
            self.run.restart = RestartProgress::default();
        }
    }

    /// Notes that the process is RUNNING. Without `restart_reset_after`, tries and delays begin again.
    pub(super) fn note_running(&mut self, ctx: &Ctx<'_>) {
        if self.spec.restart.reset_after.0 > 0 {
            self.run.restart.running_since = ctx.now.mono;
        } else {
            self.run.tries = 0;
            self.run.restart.in_a_row = 0;
        }
    }

    /// Begins tries and delays again if the process, which has exited, was RUNNING for long enough.
    pub(super) fn reset_after_run(&mut self, ctx: &Ctx<'_>) {
        let reset_after = self.spec.restart.reset_after;
        if reset_after.0 <= 0 || self.run.restart.running_since + reset_after <= ctx.now.mono {
            self.run.tries = 0;
            self.run.restart = RestartProgress::default();
        }
    }

    /// Counts a failed start or an automatic restart.
    pub(super) fn count_restart(&mut self) {
        if self.spec.restart.delay.0 > 0 {
            let in_a_row = &mut self.run.restart.in_a_row;
            *in_a_row = in_a_row.saturating_add(1).min(IN_A_ROW_MAX);
        }
    }

    /// Returns when the next automatic start may begin. `usual`: Supervisor's delay.
    pub(super) fn restart_time(&self, usual: Seconds, ctx: &Ctx<'_>) -> Tick {
        // The newest incarnation differs from restart to restart, the slot from process to process.
        let random = mix(ctx.seed ^ mix(*ctx.last_incarnation) ^ self.slot_generation);
        let count = self.run.restart.in_a_row.max(1);
        let wait = self.spec.restart.wait_nanos(count, usual, random);
        Tick(ctx.now.mono.0.saturating_add(wait))
    }

    /// Returns whether the program has a key that Supervisor does not know and that decides about restarts.
    fn has_policy(&self) -> bool {
        !self.spec.restart.is_default() || self.spec.startretries == UNLIMITED_RETRIES
    }

    /// Logs when the next automatic start is due, for programs with a policy of their own. Returns whether it did.
    pub(super) fn log_next_attempt(&self, ctx: &mut Ctx<'_>) -> bool {
        let Some(at) = self.due_at() else {
            return false;
        };
        let name = self.spec.name.clone();
        let millis = at.nanos_since(ctx.now.mono) / 1_000_000;
        Self::log(ctx, Line::NextAttempt { name, millis });
        true
    }

    /// Returns when the next automatic start is due. `None`: there is none, or the program has no policy of its own.
    fn due_at(&self) -> Option<Tick> {
        let at = match *self.run.stage {
            Stage::Idle(Idle::Exited { restart_at }) => restart_at,
            Stage::Idle(Idle::Backoff { retry_at }) => retry_at,
            _ => return None,
        };
        (at != Tick::NEVER && self.has_policy() && !self.is_on_hold()).then_some(at)
    }

    /// Returns when the next automatic start is due, in seconds since the epoch. `None`: as [`Self::due_at`].
    pub(super) fn next_attempt(&self, now: Now) -> Option<i64> {
        let left = self.due_at()?.nanos_since(now.mono);
        let left = i64::try_from(left).unwrap_or(i64::MAX);
        Some(now.wall.0.saturating_add(left).div_euclid(1_000_000_000))
    }
}

/// Mixes the bits of a number (the finalizer of splitmix64).
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
