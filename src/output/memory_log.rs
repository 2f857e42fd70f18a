//! Logs in the memory of the daemon: the last output of a stream, for the `read` and `tail` methods. A log stays when its
//! process exits.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::sys::MemoryFile;

/// Maximum number of bytes that a log keeps. It has up to twice as many before the older half is removed.
pub(super) const BYTES_MAX: usize = 128 << 10;
/// Maximum number of lines that a log keeps, in the same way.
const LINES_MAX: usize = 1000;
/// Maximum number of logs whose processes do not run.
const IDLE_LOGS_MAX: usize = 1000;

/// The output of one stream.
#[derive(Debug)]
pub(super) struct MemoryLog {
    /// Readers open the file with a position of their own.
    file: File,
    content: Mutex<MemoryContent>,
}

#[derive(Debug, Default)]
struct MemoryContent {
    bytes: usize,
    lines: usize,
}

/// The logs by the name that [`crate::domain::memory_log`] returns.
static LOGS: Mutex<BTreeMap<PathBuf, Arc<MemoryLog>>> = Mutex::new(BTreeMap::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the log with this name. `None`: there is none.
pub(super) fn find(name: &Path) -> Option<Arc<MemoryLog>> {
    lock(&LOGS).get(name).cloned()
}

/// Returns the log with this name, which is empty if it is new.
///
/// # Errors
/// EMFILE or ENOMEM.
pub(super) fn find_or_create(name: &Path) -> io::Result<Arc<MemoryLog>> {
    let mut logs = lock(&LOGS);
    if let Some(log) = logs.get(name) {
        return Ok(log.clone());
    }
    let is_idle = |log: &Arc<MemoryLog>| Arc::strong_count(log) == 1;
    if logs.values().filter(|log| is_idle(log)).count() >= IDLE_LOGS_MAX {
        logs.retain(|_, log| !is_idle(log));
    }
    let log = Arc::new(MemoryLog {
        file: File::from(MemoryFile::new("supervisord-log")?.try_clone()?),
        content: Mutex::default(),
    });
    logs.insert(name.to_owned(), log.clone());
    Ok(log)
}

impl MemoryLog {
    /// Appends output, and removes the oldest if there is too much.
    ///
    /// # Errors
    /// ENOMEM.
    pub(super) fn append(&self, data: &[u8]) -> io::Result<()> {
        let mut content = lock(&self.content);
        self.file.write_all_at(data, content.bytes as u64)?;
        content.bytes += data.len();
        content.lines += newlines(data);
        if content.bytes > 2 * BYTES_MAX || content.lines > 2 * LINES_MAX {
            let mut all = vec![0; content.bytes];
            self.file.read_exact_at(&mut all, 0)?;
            let kept = last_lines(&all);
            self.file.write_all_at(kept, 0)?;
            self.file.set_len(kept.len() as u64)?;
            *content = MemoryContent {
                bytes: kept.len(),
                lines: newlines(kept),
            };
        }
        Ok(())
    }

    /// The last output, as much as a log keeps.
    pub(super) fn last(&self) -> Vec<u8> {
        let content = lock(&self.content);
        let mut all = vec![0; content.bytes];
        match self.file.read_exact_at(&mut all, 0) {
            Ok(()) => last_lines(&all).to_vec(),
            Err(_) => Vec::new(),
        }
    }

    /// Removes all output.
    ///
    /// # Errors
    /// None on a supported kernel.
    pub(super) fn clear(&self) -> io::Result<()> {
        let mut content = lock(&self.content);
        self.file.set_len(0)?;
        *content = MemoryContent::default();
        Ok(())
    }

    /// Opens the log for a reader.
    ///
    /// # Errors
    /// EMFILE, or there is no procfs.
    pub(super) fn open(&self) -> io::Result<File> {
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        OpenOptions::new().read(true).open(path)
    }
}

fn newlines(data: &[u8]) -> usize {
    data.iter().filter(|&&byte| byte == b'\n').count()
}

/// The last whole lines, [`BYTES_MAX`] bytes and [`LINES_MAX`] lines at most.
fn last_lines(all: &[u8]) -> &[u8] {
    let from = all.len().saturating_sub(BYTES_MAX);
    let cut = &all[from..];
    let starts = cut.iter().enumerate().rev().skip(1);
    let mut starts = starts
        .filter(|&(_, &byte)| byte == b'\n')
        .map(|(at, _)| at + 1);
    if let Some(start) = starts.nth(LINES_MAX - 1) {
        return &cut[start..];
    }
    if from == 0 || all[from - 1] == b'\n' {
        return cut;
    }
    let first = cut.iter().position(|&byte| byte == b'\n');
    first.map_or(cut, |at| &cut[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{read, tail};

    #[test]
    fn g40_a_log_in_memory_keeps_the_last_lines() {
        let name = Path::new("memory:test:g40:stdout");
        assert!(find(name).is_none() && read(name, 0, 0).is_err());
        let log = find_or_create(name).expect("created");
        for number in 0..5000 {
            log.append(format!("line {number}\n").as_bytes())
                .expect("room");
        }
        let text = String::from_utf8(read(name, 0, 0).expect("there")).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            (LINES_MAX..=2 * LINES_MAX).contains(&lines.len()),
            "{}",
            lines.len()
        );
        assert_eq!(lines.last(), Some(&"line 4999"));
        assert!(lines.iter().all(|line| line.starts_with("line ")));
        let (last, size, _) = tail(name, 0, 10);
        assert_eq!((&*last, size), (&b"line 4999\n"[..], text.len() as i64));
        assert_eq!(newlines(&log.last()), LINES_MAX);
        for _ in 0..5 {
            log.append(&vec![b'x'; BYTES_MAX]).expect("room");
        }
        assert!(read(name, 0, 0).expect("there").len() <= 2 * BYTES_MAX);
        log.clear().expect("cleared");
        assert_eq!(read(name, 0, 0), Ok(Vec::new()));
        // The next instance of the process continues the log.
        assert!(Arc::ptr_eq(&find_or_create(name).expect("there"), &log));
    }
}
