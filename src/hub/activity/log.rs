//! The activity log: the newest records in memory, all of them in a file that a thread of its own writes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::event::ActivityEvent;
use super::file::ActivityFile;
use super::journal::JournalSender;
use super::record::ActivityRecord;

/// Maximum number of records in memory.
const RECORDS_MAX: usize = 2000;
/// How much of the file is read at the start, in bytes.
const READ_BYTES_MAX: u64 = 2 << 20;
/// Maximum number of records that wait for the file.
const WAITING_MAX: usize = 4096;
/// Minimum time between two messages about a file that cannot be written.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// How the log is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hub) struct ActivityLogSettings {
    pub(in crate::hub) path: PathBuf,
    /// Size at which it is rotated, in bytes.
    pub(in crate::hub) bytes_max: u64,
}

/// What the thread does.
enum FileOrder {
    Append(Box<ActivityRecord>),
    Clear,
}

/// How long the exit waits for the file.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// The log. Dropping it writes what waits.
#[derive(Debug)]
pub(in crate::hub) struct ActivityLog {
    recent: Mutex<VecDeque<ActivityRecord>>,
    orders: Option<SyncSender<FileOrder>>,
    /// Closed when the writer has ended.
    ended: Mutex<Receiver<()>>,
}

impl ActivityLog {
    /// Opens the log and reads its newest records.
    ///
    /// # Errors
    /// The thread cannot be created.
    pub(in crate::hub) fn open(settings: ActivityLogSettings) -> std::io::Result<Self> {
        let file = ActivityFile::new(settings.path, settings.bytes_max);
        let text = file.last(READ_BYTES_MAX);
        let mut recent = VecDeque::new();
        for record in text.lines().filter_map(ActivityRecord::parse) {
            push(&mut recent, record);
        }
        let (orders, queue) = sync_channel(WAITING_MAX);
        let (at_end, ended) = sync_channel(0);
        std::thread::Builder::new()
            .name("activity-log".to_owned())
            .spawn(move || {
                write_all(file, &queue);
                drop(at_end);
            })?;
        Ok(Self {
            recent: Mutex::new(recent),
            orders: Some(orders),
            ended: Mutex::new(ended),
        })
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ActivityRecord>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a user at an address did something. Never waits.
    pub(in crate::hub) fn record(&self, user: &str, address: &str, event: &ActivityEvent) {
        let record = ActivityRecord::new(user, address, event, Timestamp::now());
        push(&mut self.lock(), record.clone());
        self.order(FileOrder::Append(Box::new(record)));
    }

    fn order(&self, order: FileOrder) {
        let Some(orders) = &self.orders else {
            return;
        };
        if let Err(TrySendError::Full(FileOrder::Append(record))) = orders.try_send(order) {
            // The disk hangs. Standard error gets the record instead.
            eprintln!(
                "supervisord-hub: activity log: not written: {}",
                record.text
            );
        }
    }

    /// Forgets all records.
    pub(in crate::hub) fn clear(&self) {
        self.lock().clear();
        self.order(FileOrder::Clear);
    }

    /// The newest records that `is_visible` accepts, at most `most` of them, the newest first.
    pub(in crate::hub) fn newest(
        &self,
        most: usize,
        is_visible: impl Fn(&ActivityRecord) -> bool,
    ) -> Vec<ActivityRecord> {
        let recent = self.lock();
        let visible = recent.iter().rev().filter(|record| is_visible(record));
        visible.take(most).cloned().collect()
    }
}

impl Drop for ActivityLog {
    fn drop(&mut self) {
        self.orders = None;
        // An error is either what is waited for, or a disk that hangs.
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(FLUSH_WITHIN);
    }
}

fn push(recent: &mut VecDeque<ActivityRecord>, record: ActivityRecord) {
    if recent.len() >= RECORDS_MAX {
        recent.pop_front();
    }
    recent.push_back(record);
}

/// Writes until the log is dropped.
fn write_all(mut file: ActivityFile, orders: &Receiver<FileOrder>) {
    let journal = JournalSender::connect();
    let mut reported: Option<Instant> = None;
    for order in orders {
        let written = match order {
            FileOrder::Append(record) => {
                if let Some(journal) = &journal {
                    journal.send(&record);
                }
                let json = serde_json::to_string(&record).unwrap_or_default();
                file.append(&format!("{json}\n"))
            }
            FileOrder::Clear => file.clear(),
        };
        let is_due = reported.is_none_or(|at| at.elapsed() >= REPORT_EVERY);
        if let Err(error) = written
            && is_due
        {
            reported = Some(Instant::now());
            eprintln!("supervisord-hub: activity log: cannot write the file: {error}");
        }
    }
}
