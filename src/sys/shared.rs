//! Memory that outlives the process: a file without a name, read and written whole, or mapped. Whoever gets its descriptor
//! finds in it what was there, whatever became of the process that wrote it.
#![expect(unsafe_code, reason = "a mapping")]

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A file in memory. Close-on-exec.
#[derive(Debug)]
pub struct MemoryFile(File);

impl MemoryFile {
    /// A new one, empty; `name` is shown in /proc/PID/fd and means nothing.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM; EINVAL: a name with a NUL or of more than 249 bytes.
    ///
    /// # Source
    /// memfd_create(2).
    pub fn new(name: &str) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        Ok(Self(memfd_create(name, flags)?.into()))
    }

    /// One that somebody else made.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    /// Writes all of `data` at `offset`; the file grows as needed.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC; EPERM: it is sealed.
    pub fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    /// Fills all of `data` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof`: the file ends before.
    pub fn read_at(&self, data: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(data, offset)
    }

    /// Another descriptor of the same file.
    ///
    /// # Errors
    /// EMFILE.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// How many bytes it has.
    ///
    /// # Errors
    /// None that a correct caller can cause.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// Cuts it, or fills it up with zeros, to `bytes`.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC; EPERM: its size is sealed.
    pub fn resize(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    /// Nobody can change its size any more, nor take that back.
    ///
    /// # Errors
    /// EPERM: it was sealed before, or cannot be.
    ///
    /// # Source
    /// fcntl(2), F_ADD_SEALS.
    pub fn seal_size(&self) -> io::Result<()> {
        fcntl(&self.0, FcntlArg::F_ADD_SEALS(size_seals()))?;
        Ok(())
    }
}

impl AsFd for MemoryFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn size_seals() -> SealFlag {
    SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL
}

/// Memory of a fixed size that its descriptor keeps: some words, and bytes after them.
///
/// What a process stores here is here for its successor, also if it is killed between two stores. Only one value in one
/// process should use it at a time: two would not hurt each other's memory safety in any way that the kernel does not do
/// itself when it reads into a buffer, but would garble each other's contents.
#[derive(Debug)]
pub struct SharedBuffer {
    file: MemoryFile,
    map: NonNull<u8>,
    words: usize,
    bytes: usize,
}

// SAFETY: the mapping belongs to the value and is not tied to a thread.
unsafe impl Send for SharedBuffer {}

impl SharedBuffer {
    /// The words fill this many bytes at the beginning.
    pub const WORDS_BYTES: usize = 4096;

    /// A new one, zeroed, with room for `bytes` bytes besides its words.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new(name: &str, bytes: usize) -> io::Result<Self> {
        let file = MemoryFile::new(name)?;
        let size = bytes
            .checked_add(Self::WORDS_BYTES)
            .ok_or(io::ErrorKind::InvalidInput)?;
        file.resize(size as u64)?;
        file.seal_size()?;
        Self::map(file, size)
    }

    /// One that somebody else made, by its descriptor.
    ///
    /// # Errors
    /// `InvalidInput`: its size may still change, which could end us at any access (SIGBUS), or is too small. EMFILE, ENOMEM.
    pub fn open(fd: OwnedFd) -> io::Result<Self> {
        let file = MemoryFile::from_fd(fd);
        let found = fcntl(&file, FcntlArg::F_GET_SEALS)?;
        let size = usize::try_from(file.size()?).map_err(io::Error::other)?;
        if !SealFlag::from_bits_retain(found).contains(size_seals()) || size <= Self::WORDS_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Self::map(file, size)
    }

    fn map(file: MemoryFile, size: usize) -> io::Result<Self> {
        let length = NonZeroUsize::new(size).ok_or(io::ErrorKind::InvalidInput)?;
        let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing. Its file cannot shrink, so every
        // byte of it stays accessible.
        let map = unsafe { mmap(None, length, rights, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(Self {
            file,
            map: map.cast(),
            words: Self::WORDS_BYTES / size_of::<u64>(),
            bytes: size - Self::WORDS_BYTES,
        })
    }

    /// Its words and its bytes. What is stored in words in some order is found in that order, since the compiler keeps the
    /// order of atomic stores with release, and a kill takes back nothing that was stored.
    #[must_use]
    pub fn parts(&mut self) -> (&[AtomicU64], &mut [u8]) {
        let map = self.map.as_ptr();
        // SAFETY: the mapping begins at a page, so the words are aligned; it is as long as both parts together, they do not
        // overlap, and both are borrowed from us as one.
        unsafe {
            (
                std::slice::from_raw_parts(map.cast(), self.words),
                std::slice::from_raw_parts_mut(map.add(Self::WORDS_BYTES), self.bytes),
            )
        }
    }

    /// For handing it on.
    #[must_use]
    pub fn file(&self) -> &MemoryFile {
        &self.file
    }
}

impl Drop for SharedBuffer {
    fn drop(&mut self) {
        // SAFETY: what `map` made, as long as it made it; nobody borrows from us any more.
        let _ = unsafe { munmap(self.map.cast(), Self::WORDS_BYTES + self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_successor_finds_what_was_written() {
        let mut buffer = SharedBuffer::new("test", 10_000).expect("made");
        let (words, bytes) = buffer.parts();
        assert_eq!((words.len(), bytes.len()), (512, 10_000));
        words[511].store(7, Ordering::Release);
        bytes[9_999] = 9;
        let copy = buffer.file().as_fd().try_clone_to_owned().expect("room");
        drop(buffer);
        let mut again = SharedBuffer::open(copy).expect("opened");
        let (words, bytes) = again.parts();
        assert_eq!(words[511].load(Ordering::Acquire), 7);
        assert_eq!((bytes[0], bytes[9_999]), (0, 9));
        assert!(again.file().resize(1).is_err(), "nobody can cut it");
        assert!(again.file().resize(1 << 20).is_err());
    }

    #[test]
    fn what_could_end_us_is_not_mapped() {
        let growing = MemoryFile::new("test").expect("made");
        growing.resize(100_000).expect("room");
        assert!(SharedBuffer::open(growing.0.into()).is_err());
        let small = MemoryFile::new("test").expect("made");
        small.seal_size().expect("sealed");
        assert!(SharedBuffer::open(small.0.into()).is_err());
        let null = File::open("/dev/null").expect("there");
        assert!(SharedBuffer::open(null.into()).is_err());
        assert!(SharedBuffer::new("test", usize::MAX).is_err());
    }

    #[test]
    fn a_memory_file_is_read_and_written_whole() {
        let file = MemoryFile::new("test").expect("made");
        file.write_at(b"hello", 3).expect("room");
        assert_eq!(file.size().expect("told"), 8);
        let mut data = [1; 8];
        file.read_at(&mut data, 0).expect("all of it");
        assert_eq!(&data, b"\0\0\0hello");
        assert!(file.read_at(&mut data, 1).is_err());
        file.resize(0).expect("cut");
        assert_eq!(file.size().expect("told"), 0);
        assert!(MemoryFile::new("with\0nul").is_err());
    }
}
