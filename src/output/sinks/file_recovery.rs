//! What a log file has: how it ends, and what it lacks of a chunk that was in flight when the previous daemon was killed.
//! For files that have another form than the bytes, or depend on the date.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use crate::output::in_flight_log::{LogMark, mark_of};
use crate::output::line_form::{LineForm, LineState, TAIL_BYTES};
use crate::output::log_file::LogFile;
use crate::sys::safe_open;

/// Maximum bytes of a chunk in a file: each newline of a read can become a JSON object.
const RECOVERED_BYTES_MAX: usize = 256 << 20;

/// How a file ends, and its size in bytes.
pub(super) fn end_of(file: &LogFile) -> (LineState, u64) {
    let size = file.size().filter(|_| file.is_plain()).unwrap_or(0);
    // A file that the daemon may not read is taken for one with whole lines.
    let is_open = size > 0 && file.tail(size, 1).is_ok_and(|last| last != b"\n");
    let tail = is_open.then(|| file.tail(size, TAIL_BYTES));
    match tail {
        Some(Ok(tail)) => (LineState::of_tail(&tail), size),
        _ => (LineState::START, size),
    }
}

/// A file in which a chunk began.
struct MarkedFile {
    /// The end of what was in the file before the chunk.
    tail: Vec<u8>,
    /// What is after that. `None`: the file has been truncated.
    after: Option<Vec<u8>>,
    is_live: bool,
}

/// Returns the bytes that the log lacks of `data`, rendered. `file`: the live file. `mark`: the log before the chunk.
/// `None`: the file with the mark has no name any more, so nothing is known.
pub(super) fn missing_part(
    file: &LogFile,
    form: Option<&mut LineForm>,
    data: &[u8],
    mark: LogMark,
) -> Option<Vec<u8>> {
    let found = find_marked(file, mark)?;
    let mut rendered = Vec::new();
    match (form, mark.rendered_at) {
        (Some(form), Some(time)) => {
            let mut state = LineState::of_tail(&found.tail);
            let mut rest = data;
            while !rest.is_empty() {
                let mut piece = Vec::new();
                let used = form.render(&mut state, time, rest, &mut piece);
                rest = &rest[used..];
                rendered.append(&mut piece);
            }
        }
        _ => rendered.extend_from_slice(data),
    }
    // A log without backups is truncated when it is full, which happens after the write.
    let Some(after) = &found.after else {
        return Some(Vec::new());
    };
    let mut written = common_prefix(after, &rendered);
    if !found.is_live {
        written += written_to_new(file, &rendered[written..]);
    }
    Some(rendered.split_off(written))
}

/// Finds the file in which a chunk began.
fn find_marked(file: &LogFile, mark: LogMark) -> Option<MarkedFile> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    file.former_paths().iter().find_map(|path| {
        let found = safe_open::safe_open(path, flags, Mode::empty()).ok()?;
        let now = mark_of(found.as_fd()).ok().flatten()?;
        if (now.device, now.inode) != (mark.device, mark.inode) {
            return None;
        }
        let found = File::from(found);
        let Some(grown) = now.length.checked_sub(mark.length) else {
            return Some(MarkedFile {
                tail: Vec::new(),
                after: None,
                is_live: false,
            });
        };
        let before = mark.length.min(TAIL_BYTES as u64);
        let mut tail = vec![0; usize::try_from(before).unwrap_or(0)];
        found.read_exact_at(&mut tail, mark.length - before).ok()?;
        let grown = usize::try_from(grown).unwrap_or(RECOVERED_BYTES_MAX);
        let mut after = vec![0; grown.min(RECOVERED_BYTES_MAX)];
        found.read_exact_at(&mut after, mark.length).ok()?;
        Some(MarkedFile {
            tail,
            after: Some(after),
            is_live: **path == **file.live(),
        })
    })
}

/// How much of `rest` is in the live file, which was begun for it.
fn written_to_new(file: &LogFile, rest: &[u8]) -> usize {
    let size = file.size().and_then(|size| usize::try_from(size).ok());
    let Some(size) = size.filter(|&size| size <= rest.len()) else {
        return 0;
    };
    let there = file.tail(size as u64, size);
    match there.is_ok_and(|there| rest.starts_with(&there)) {
        true => size,
        false => 0,
    }
}

fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    one.iter()
        .zip(other)
        .take_while(|(one, other)| one == other)
        .count()
}
