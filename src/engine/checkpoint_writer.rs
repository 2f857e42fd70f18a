//! What a successor needs that has to begin where the daemon was killed: the whole whenever groups change, and one short
//! record per process whenever that does. Both are in memory that the fd holder has too.
//!
//! A record is written by one call into one page. A process that is killed is killed between calls, so that a record is
//! either the old one or the new one.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use crate::core::{Fleet, ProcessRecord, Snapshot};
use crate::domain::{FdName, Line};
use crate::fd_holder::FdStore;
use crate::sys::MemoryFile;

/// Bytes of one record, with two for its length. Pages are multiples of it.
const RECORD_BYTES: usize = 1024;
const LENGTH_BYTES: usize = 2;
/// Records that are read at most: more than there can be processes.
const RECORDS_MAX: u64 = 1 << 22;

/// Writes the whole down into memory that nobody can change any more.
pub type WriteState = dyn Fn(&Snapshot) -> io::Result<OwnedFd> + Send + Sync;

/// Writes down what changes.
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

    /// Writes down what has changed since the last call. Answers what the log is to say.
    pub(super) fn write(&mut self, fleet: &mut Fleet) -> Option<Line> {
        let mut complaint = None;
        if fleet.take_regrouped() {
            complaint = match (self.write)(&fleet.snapshot()) {
                // Both at once, so that nobody finds the one without the other: records of a daemon before us mean nothing
                // to this state, and ours are newer.
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

/// The records that a predecessor has left. What cannot be read is left out.
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
