//! The checkpoint for recovery after a kill: a snapshot whenever groups change, and a short record of a process
//! whenever that process changes. The fd holder has descriptors of both memory files.
//!
//! One system call writes a record into one page. A kill takes effect between system calls, so a reader finds either
//! the old record or the new one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::written::{FORMAT, STATE_BYTES_MAX, check_format};
use crate::config::spec::Config;
use crate::core::{Fleet, ProcessRecord, Snapshot};
use crate::domain::{FdName, Line};
use crate::fd_holder::FdStore;
use crate::sys::{self, MemoryFile};

/// Bytes per record, including the length field. A page is a multiple of it.
const RECORD_BYTES: usize = 1024;
const LENGTH_BYTES: usize = 2;
/// Maximum number of records that are read. There cannot be that many processes.
const RECORDS_MAX: u64 = 1 << 22;

/// The configuration of a run and the core.
#[derive(Debug)]
pub(super) struct Checkpoint {
    /// The configuration that the run started with.
    pub(super) config: Arc<Config>,
    /// The core. Records that were written later are not applied.
    pub(super) snapshot: Snapshot,
}

/// The written form of a checkpoint: JSON in sealed memory.
#[derive(Serialize, Deserialize)]
struct WrittenCheckpoint<S = Snapshot> {
    format: u32,
    /// `None`: the same as in the snapshot, which saves most of the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<Arc<Config>>,
    snapshot: S,
}

impl Checkpoint {
    /// Reads what [`write_checkpoint`] of this or an earlier version wrote.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub(super) fn read(memory: &impl AsFd) -> Result<Self, String> {
        let bytes = sys::read_sealed(memory, STATE_BYTES_MAX)
            .map_err(|error| format!("cannot read the state: {error}"))?;
        let written: WrittenCheckpoint =
            serde_json::from_slice(&bytes).map_err(|error| format!("unknown state: {error}"))?;
        check_format(written.format)?;
        let snapshot = written.snapshot;
        let config = written.config;
        let config = config.unwrap_or_else(|| Arc::clone(snapshot.last_read()));
        Ok(Self { config, snapshot })
    }
}

/// Writes a checkpoint into sealed memory. `config`: `None` if it is the one that the snapshot has.
///
/// # Errors
/// ENOMEM, EMFILE.
pub(super) fn write_checkpoint(
    config: Option<&Arc<Config>>,
    snapshot: &Snapshot,
) -> io::Result<OwnedFd> {
    let written = WrittenCheckpoint {
        format: FORMAT,
        config: config.cloned(),
        snapshot,
    };
    sys::sealed_memory("supervisord-state", &serde_json::to_vec(&written)?)
}

/// Writes checkpoints and records.
pub struct CheckpointWriter {
    fd_store: Arc<FdStore>,
    /// The configuration of the run.
    config: Arc<Config>,
    records: MemoryFile,
}

impl CheckpointWriter {
    /// Creates a writer for a run with this configuration.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new(fd_store: Arc<FdStore>, config: Arc<Config>) -> io::Result<Self> {
        Ok(Self {
            fd_store,
            config,
            records: MemoryFile::new("supervisord-records")?,
        })
    }

    /// Writes what has changed since the last call. Returns a line for the log if that failed.
    pub fn write(&mut self, fleet: &mut Fleet) -> Option<Line> {
        let mut complaint = None;
        if fleet.take_regrouped() {
            let snapshot = fleet.snapshot();
            let is_other = !Arc::ptr_eq(&self.config, snapshot.last_read());
            complaint = match write_checkpoint(is_other.then_some(&self.config), &snapshot) {
                // Store both at once. Otherwise a reader could combine a new snapshot with records of the previous
                // daemon, or new records with an old snapshot.
                Ok(state) => self
                    .fd_store
                    .store(FdName::State, &[state.as_fd(), self.records.as_fd()]),
                Err(error) => Some(Line::KeeperFailed {
                    error: (&error).into(),
                }),
            };
        }
        for slot in fleet.take_changed() {
            let written = fleet
                .record_bytes(slot, RECORD_BYTES - LENGTH_BYTES)
                .map(|bytes| self.write_record(slot, &bytes));
            if let Some(Err(error)) = written {
                complaint = complaint.or(Some(Line::KeeperFailed {
                    error: (&error).into(),
                }));
            }
        }
        complaint
    }

    fn write_record(&self, slot: u32, bytes: &[u8]) -> io::Result<()> {
        let length = u16::try_from(bytes.len())
            .ok()
            .filter(|&length| usize::from(length) <= RECORD_BYTES - LENGTH_BYTES)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        let mut whole = Vec::with_capacity(LENGTH_BYTES + bytes.len());
        whole.extend(length.to_le_bytes());
        whole.extend(bytes);
        self.records
            .write_at(&whole, u64::from(slot) * RECORD_BYTES as u64)
    }
}

/// Reads the records of the previous daemon. Unreadable records are skipped.
pub(super) fn read_records(records: &MemoryFile) -> Vec<ProcessRecord> {
    let count = records.size().unwrap_or(0).div_ceil(RECORD_BYTES as u64);
    let read = |slot: u64| {
        let begin = slot * RECORD_BYTES as u64;
        let mut length = [0; LENGTH_BYTES];
        records.read_at(&mut length, begin).ok()?;
        let mut bytes = vec![0; usize::from(u16::from_le_bytes(length))];
        records
            .read_at(&mut bytes, begin + LENGTH_BYTES as u64)
            .ok()?;
        let record = ProcessRecord::decode(&bytes)?;
        (u64::from(record.slot) == slot).then_some(record)
    };
    (0..count.min(RECORDS_MAX)).filter_map(read).collect()
}
