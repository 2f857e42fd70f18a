//! The daemon's standard output and standard error as log targets. If several streams write to one of them, each line
//! stays whole: a stream writes only whole lines, and a line that the reader took in part is continued before any other.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno as Nix;

use crate::domain::Errno;

/// Maximum length of a line in bytes that stays whole.
const LINE_BYTES_MAX: usize = 64 << 10;

#[derive(Debug)]
struct OwnStream {
    /// The rest of a line that the reader took in part.
    unfinished: Vec<u8>,
    /// Number of streams that write.
    writers: usize,
}

static STREAMS: [Mutex<OwnStream>; 2] = [const {
    Mutex::new(OwnStream {
        unfinished: Vec::new(),
        writers: 0,
    })
}; 2];

/// One stream that writes to one of the two.
#[derive(Debug)]
pub(super) struct OwnStreamWriter {
    stream: usize,
    /// The beginning of a line.
    held: Vec<u8>,
}

/// The number of one of the daemon's own streams: 0 is standard output. `None`: the path names neither.
pub(super) fn number(path: &Path) -> Option<usize> {
    match path.to_str()? {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => Some(0),
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => Some(1),
        _ => None,
    }
}

/// Writes as much as possible. Returns the number of bytes and the error, which is EAGAIN if the reader is slow.
pub(super) fn write_all(
    data: &[u8],
    raw: &dyn Fn(&[u8]) -> nix::Result<usize>,
) -> (usize, Option<Nix>) {
    let mut done = 0;
    while done < data.len() {
        match raw(&data[done..]) {
            Ok(0) => return (done, Some(Nix::EIO)),
            Ok(count) => done += count,
            Err(Nix::EINTR) => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

/// A duplicate of the daemon's standard output or standard error, if `path` names one of them.
pub(super) fn descriptor(path: &Path) -> Option<Result<OwnedFd, Errno>> {
    Some(match number(path)? {
        0 => duplicate(std::io::stdout().as_fd()),
        _ => duplicate(std::io::stderr().as_fd()),
    })
}

/// Duplicates a standard stream.
///
/// # Errors
/// EBADF or EMFILE.
pub(super) fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // F_DUPFD_CLOEXEC at 3 or above: child processes do not inherit it, and it is never a standard descriptor.
    fd.try_clone_to_owned().map_err(Errno::from)
}

impl OwnStream {
    fn of(number: usize) -> MutexGuard<'static, Self> {
        STREAMS[number]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Continues the line that the reader took in part.
    fn continue_line(&mut self, raw: &dyn Fn(&[u8]) -> nix::Result<usize>) -> Result<(), Nix> {
        let (done, error) = write_all(&self.unfinished, raw);
        self.unfinished.drain(..done);
        match error {
            None => Ok(()),
            Some(Nix::EAGAIN) => Err(Nix::EAGAIN),
            Some(error) => {
                self.unfinished.clear();
                Err(error)
            }
        }
    }
}

impl OwnStreamWriter {
    /// A writer to the stream with this number.
    pub(super) fn new(stream: usize) -> Self {
        OwnStream::of(stream).writers += 1;
        Self {
            stream,
            held: Vec::new(),
        }
    }

    /// Writes `data` by calls of `raw`. Returns how many of its bytes are written or held here, and the error, which is
    /// EAGAIN if the reader is slow.
    pub(super) fn write(
        &mut self,
        data: &[u8],
        raw: &dyn Fn(&[u8]) -> nix::Result<usize>,
    ) -> (usize, Option<Nix>) {
        let mut stream = OwnStream::of(self.stream);
        if let Err(error) = stream.continue_line(raw) {
            return (0, Some(error));
        }
        let end = data.iter().rposition(|&byte| byte == b'\n');
        let whole = match end {
            // Another stream cannot come into the middle of a line if there is none.
            _ if stream.writers <= 1 => data.len(),
            Some(at) => at + 1,
            None if self.held.len() + data.len() > LINE_BYTES_MAX => data.len(),
            None => 0,
        };
        let held = std::mem::take(&mut self.held);
        let before = held.len();
        let mut lines = held;
        lines.extend_from_slice(&data[..whole]);
        let (mut done, error) = write_all(&lines, raw);
        let Some(error) = error else {
            self.held = data[whole..].to_vec();
            return (data.len(), None);
        };
        if error == Nix::EAGAIN && done > 0 && lines[done - 1] != b'\n' {
            let rest = &lines[done..];
            let line = rest.iter().position(|&byte| byte == b'\n');
            let line = line.map_or(rest.len(), |at| at + 1);
            stream.unfinished = rest[..line].to_vec();
            done += line;
        }
        if done < before {
            self.held = lines[done..before].to_vec();
        }
        (done.saturating_sub(before), Some(error))
    }

    /// Writes the beginning of a line, at the end of the stream. If another stream writes too, the line ends here.
    pub(super) fn finish(&mut self, raw: &dyn Fn(&[u8]) -> nix::Result<usize>) {
        let mut stream = OwnStream::of(self.stream);
        let mut held = std::mem::take(&mut self.held);
        if held.is_empty() || stream.continue_line(raw).is_err() {
            return;
        }
        if stream.writers > 1 {
            held.push(b'\n');
        }
        let (done, error) = write_all(&held, raw);
        if error == Some(Nix::EAGAIN) {
            stream.unfinished = held[done..].to_vec();
        }
    }

    /// Whether the beginning of a line is held.
    pub(super) const fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Takes the beginning of a line.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

impl Drop for OwnStreamWriter {
    fn drop(&mut self) {
        OwnStream::of(self.stream).writers -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A reader that takes `room` bytes.
    struct Reader {
        room: RefCell<usize>,
        text: RefCell<Vec<u8>>,
    }

    impl Reader {
        fn take(&self, data: &[u8]) -> nix::Result<usize> {
            let mut room = self.room.borrow_mut();
            let count = data.len().min(*room);
            *room -= count;
            self.text.borrow_mut().extend_from_slice(&data[..count]);
            match count {
                0 => Err(Nix::EAGAIN),
                count => Ok(count),
            }
        }
    }

    #[test]
    fn t05_lines_of_several_streams_stay_whole() {
        let reader = Reader {
            room: RefCell::new(usize::MAX),
            text: RefCell::default(),
        };
        let raw: &dyn Fn(&[u8]) -> nix::Result<usize> = &|data| reader.take(data);
        let mut one = OwnStreamWriter::new(1);
        assert_eq!(
            one.write(b"$ ", raw),
            (2, None),
            "a stream alone waits for nothing"
        );
        assert_eq!(one.write(b"\n", raw), (1, None));
        let mut other = OwnStreamWriter::new(1);
        assert_eq!(one.write(b"a1", raw), (2, None));
        assert_eq!(other.write(b"b1\nb2", raw), (5, None));
        assert_eq!(one.write(b"a2\n", raw), (3, None));
        *reader.room.borrow_mut() = 3;
        assert_eq!(other.write(b"b3\nb4\n", raw), (3, Some(Nix::EAGAIN)));
        assert_eq!(one.write(b"a3\n", raw), (0, Some(Nix::EAGAIN)));
        *reader.room.borrow_mut() = usize::MAX;
        assert_eq!(one.write(b"a3\n", raw), (3, None));
        assert_eq!(other.write(b"b4\nb5", raw), (5, None));
        other.finish(raw);
        drop(other);
        let text = String::from_utf8(reader.text.take()).expect("text");
        assert_eq!(text, "$ \nb1\na1a2\nb2b3\na3\nb4\nb5\n");
    }
}
