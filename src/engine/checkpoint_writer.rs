//! Writes checkpoints for recovery after a crash: a snapshot whenever groups change, and a short record of a process
//! whenever that process changes. The fd holder has descriptors of both memory files.
//!
//! One system call writes a record into one page. A kill takes effect between system calls, so a reader finds either
//! the old record or the new one.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use crate::core::{Fleet, ProcessRecord, Snapshot};
use crate::domain::{FdName, Line};
use crate::fd_holder::FdStore;
use crate::sys::MemoryFile;

/// Bytes per record, including the length field. A page is a multiple of it.
const RECORD_BYTES: usize = 1024;
const LENGTH_BYTES: usize = 2;
/// Maximum number of records that are read. There cannot be that many processes.
const RECORDS_MAX: u64 = 1 << 22;

/// Writes a snapshot into sealed memory and returns its descriptor.
pub type WriteState = dyn Fn(&Snapshot) -> io::Result<OwnedFd> + Send + Sync;

/// Writes snapshots and records.
pub(super) struct CheckpointWriter {
    fd_store: Arc<FdStore>,
    write: Arc<WriteState>,
    records: MemoryFile,
}

impl CheckpointWriter {
    /// # Errors
    /// EMFILE, ENOMEM.
    pub(super) fn new(fd_store: Arc<FdStore>, write: Arc<WriteState>) -> io::Result<Self> {
        Ok(Self {
            fd_store,
            write,
            records: MemoryFile::new("supervisord-records")?,
        })
    }

    /// Writes what has changed since the last call. Returns a line for the log if that failed.
    pub(super) fn write(&mut self, fleet: &mut Fleet) -> Option<Line> {
        let mut complaint = None;
        if fleet.take_regrouped() {
            complaint = match (self.write)(&fleet.snapshot()) {
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
#[must_use]
pub fn read_records(records: &MemoryFile) -> Vec<ProcessRecord> {
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
