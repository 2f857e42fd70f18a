//! Compresses closed log files and removes those that are too old or too many. Not on the thread that writes logs: a
//! helper of the output threads does it.
//!
//! Each step can be repeated: a daemon that is killed leaves a `.gz.tmp`, which the next one removes before it begins
//! again.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchown};

use super::log_dates::{DatedFile, FileKind, GZ, GZ_TMP, LogDates};
use super::log_file::LogRules;
use crate::config::log_options::LogKeep;
use crate::domain::{DATE_TOKEN, Errno, Line};
use crate::sys::safe_open::{self, FileId, SafePath, errno};

/// Bytes that are read and compressed at once.
const BLOCK_BYTES: usize = 128 << 10;
/// Backups above this number are not compressed, as the rotation does not look for them either.
const BACKUPS_MAX: i64 = 1000;

/// The closed files of one log, which wait for a thread.
#[derive(Debug)]
pub(super) struct ClosedLogs {
    rules: LogRules,
    live: Arc<Path>,
}

impl ClosedLogs {
    /// The closed files of the log, whose live file is `live`. `None`: they stay as they are.
    pub(super) fn new(rules: &LogRules, live: &Arc<Path>) -> Option<Self> {
        let options = rules.options.as_ref()?;
        let is_needed = options.compress || options.keep != LogKeep::All;
        is_needed.then(|| Self {
            rules: rules.clone(),
            live: live.clone(),
        })
    }

    /// Whether `other` is about the same log.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.rules.path == other.rules.path
    }

    /// Compresses and removes files.
    pub(super) fn tidy(&self, lines: &mut Vec<Line>) {
        let Some(options) = &self.rules.options else {
            return;
        };
        let now = crate::sys::now().wall;
        let dates = LogDates::new(&self.rules.path, Some(options), super::log_dates::zone, now);
        let mut failed = |path: &Path, error: Errno| {
            let path = path.display().to_string();
            lines.push(Line::CompressFailed { path, error });
        };
        let Some(dates) = dates else {
            if options.compress {
                self.compress_backups(&mut failed);
            }
            return;
        };
        let mut files = dates.files(&self.rules.path);
        files.retain(|file| file.path != *self.live);
        let is_unfinished = |file: &mut DatedFile| file.kind == FileKind::Unfinished;
        for file in files.extract_if(.., is_unfinished) {
            remove(&file.path);
        }
        files.sort_by(|one, other| {
            (other.modified, other.number, &other.path).cmp(&(one.modified, one.number, &one.path))
        });
        let stay = match options.keep {
            LogKeep::All => files.len(),
            LogKeep::Files(count) => count as usize,
            LogKeep::Seconds(age) => {
                let since = now.secs().saturating_sub_unsigned(age);
                files.partition_point(|file| file.modified.0 >= since)
            }
        };
        for file in files.drain(stay.min(files.len())..) {
            remove(&file.path);
            self.remove_directory(&file.path);
        }
        if options.compress {
            for file in files
                .iter()
                .rev()
                .filter(|file| file.kind == FileKind::Plain)
            {
                let id = FileId {
                    device: file.device,
                    inode: file.inode,
                };
                if let Err(error) = compress(&file.path, id) {
                    failed(&file.path, error);
                }
            }
        }
    }

    /// Compresses the numbered backups of a log without dates.
    fn compress_backups(&self, failed: &mut impl FnMut(&Path, Errno)) {
        let path = |number: i64, suffix: &str| {
            let mut name = self.rules.path.as_os_str().to_owned();
            name.push(format!(".{number}{suffix}"));
            PathBuf::from(name)
        };
        for number in 1..=self.rules.backups.min(BACKUPS_MAX) {
            remove(&path(number, GZ_TMP));
            let plain = path(number, "");
            let Ok(meta) = plain.symlink_metadata() else {
                if path(number, GZ).symlink_metadata().is_err() {
                    return;
                }
                continue;
            };
            let id = FileId {
                device: meta.dev(),
                inode: meta.ino(),
            };
            match compress(&plain, id) {
                // A rotation has given the file another number; the next one comes back to it.
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => failed(&plain, error),
            }
        }
    }

    /// Removes the directory of a removed file if it has a date in its name and is empty.
    fn remove_directory(&self, file: &Path) {
        let pattern = self.rules.path.parent().and_then(Path::file_name);
        let has_date = pattern
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.contains(DATE_TOKEN));
        if has_date
            && let Some(directory) = file.parent()
            && Some(directory) != self.live.parent()
        {
            let _ = SafePath::resolve(directory).and_then(|place| place.remove_directory());
        }
    }
}

fn remove(path: &Path) {
    let _ = SafePath::resolve(path).and_then(|place| place.unlink());
}

/// Replaces a file by its compressed form, with the same owner, mode and time. Does nothing if the path names another
/// file than `id`.
fn compress(path: &Path, id: FileId) -> Result<(), Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    let source = safe_open::safe_open(path, flags, Mode::empty())?;
    if FileId::of(&source)? != id {
        return Ok(());
    }
    let source = File::from(source);
    let meta = source.metadata().map_err(Errno::from)?;
    let place = SafePath::resolve(path)?;
    let unfinished = place.sibling(GZ_TMP)?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    let target = unfinished.create(flags, Mode::from_bits_truncate(0o600))?;
    let result = fill(&source, &meta, target).and_then(|()| {
        // The file may have got another number in a rotation meanwhile.
        if !place.is_file(id) {
            return Err(Errno::NOENT);
        }
        place.rename_suffix(GZ_TMP, GZ)?;
        place.unlink_if(id);
        Ok(())
    });
    if result.is_err() {
        let _ = unfinished.unlink();
    }
    result
}

fn fill(source: &File, meta: &std::fs::Metadata, target: OwnedFd) -> Result<(), Errno> {
    let target = File::from(target);
    let mut encoder = GzEncoder::new(target, Compression::default());
    let mut block = vec![0; BLOCK_BYTES];
    let mut at = 0;
    loop {
        match source.read_at(&mut block, at) {
            Ok(0) => break,
            Ok(count) => {
                encoder.write_all(&block[..count]).map_err(Errno::from)?;
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let target = encoder.finish().map_err(Errno::from)?;
    // Only root can give the file away; otherwise it belongs to the daemon as the source does.
    let (uid, gid) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
    if let Err(error) = fchown(&target, Some(uid), Some(gid))
        && nix::unistd::geteuid().is_root()
    {
        return Err(errno(error));
    }
    let mode = std::fs::Permissions::from_mode(meta.mode() & 0o777);
    target.set_permissions(mode).map_err(Errno::from)?;
    if let Ok(modified) = meta.modified() {
        let times = std::fs::FileTimes::new().set_modified(modified.max(UNIX_EPOCH));
        target.set_times(times).map_err(Errno::from)?;
    }
    target.sync_all().map_err(Errno::from)
}

/// Reads what was compressed.
#[cfg(test)]
pub(super) fn reader(file: File) -> impl io::Read {
    flate2::read::GzDecoder::new(file)
}
