//! What instances wrote last to standard error: kept when they exit, shown to clients and in the log.

use super::Fleet;
use super::dead_instances::{DeadInstance, INSTANCES_MAX, text_of};
use super::process::Process;
use super::stage::Stage;
use crate::api::{AccessScope, Fault, FaultCode, Reply, escape_member};
use crate::domain::{InstanceId, Namespec};

/// About how many dead instances all processes remember together, at least one each: 16 MiB of text.
const ALL_INSTANCES_MAX: usize = 4096;
/// Maximum number of bytes of one answer.
const ANSWER_BYTES_MAX: usize = 8 << 20;

impl Fleet {
    /// Keeps what an instance wrote last. Its process has exited, and its exit is not published yet.
    pub(super) fn keep_last_stderr(&mut self, instance: InstanceId, data: &[u8]) {
        let most = ALL_INSTANCES_MAX / self.slots.entries.len().max(1);
        let Some(process) = self.slots.get_mut(instance.slot) else {
            return;
        };
        let Stage::Reaped {
            instance: reaped,
            pid,
            status,
            ..
        } = *process.run.stage
        else {
            return;
        };
        let stderr = text_of(data);
        if reaped == instance && !stderr.is_empty() {
            let dead = DeadInstance {
                pid,
                exited: process.run.stop,
                status,
                stderr: stderr.into(),
            };
            process.dead.push(dead, most.clamp(1, INSTANCES_MAX));
        }
    }

    /// Returns the newest `most` (0: all) dead instances of each process that `names` mean, one per line. No names: all
    /// processes.
    ///
    /// # Errors
    /// FAILED: the answer would be too large.
    pub(super) fn last_stderr(
        &self,
        names: &[String],
        most: u32,
        scope: &AccessScope,
    ) -> Result<Reply, Fault> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        let most = if most == 0 {
            INSTANCES_MAX
        } else {
            most as usize
        };
        for slot in self.slots_asked(names, scope) {
            let Some(process) = self.slots.get(slot) else {
                continue;
            };
            let (group, name) = (process.spec.group.as_str(), process.spec.name.as_str());
            for dead in process.dead.newest(most) {
                let line = format!(
                    "{}\t{}\t{}\t{}\t{}",
                    Namespec::print(group, name),
                    dead.pid,
                    dead.exited,
                    dead.status,
                    escape_member(&dead.stderr),
                );
                bytes += line.len();
                lines.push(line);
            }
            if bytes > ANSWER_BYTES_MAX {
                return Err(FaultCode::Failed.of("too much output (name fewer processes)"));
            }
        }
        Ok(Reply::Lines(lines))
    }
}

impl Process {
    /// The last line with text that the last instance wrote to standard error, as written. `None`: it wrote none.
    pub(super) fn last_stderr_line(&self) -> Option<&str> {
        self.last_stderr_lines().next()
    }

    /// The lines with text that the last instance wrote last to standard error, as written, the newest first.
    pub(super) fn last_stderr_lines(&self) -> impl Iterator<Item = &str> {
        let dead = self.dead.newest(1).next();
        let of_last = dead.filter(|dead| dead.exited == self.run.stop);
        let lines = of_last
            .into_iter()
            .flat_map(|dead| dead.stderr.lines().rev());
        lines.map(str::trim).filter(|line| !line.is_empty())
    }
}
