//! Memory that outlives the process: an anonymous memory file, read and written or mapped. Every process that gets
//! its descriptor finds the contents in it, even if the writer was killed.
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

/// A memory file (memfd). Close-on-exec.
#[derive(Debug)]
pub struct MemoryFile(File);

impl MemoryFile {
    /// Creates an empty memory file. `name` is only shown in /proc/PID/fd.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM; EINVAL: a name with a NUL or longer than 249 bytes.
    ///
    /// # Source
    /// memfd_create(2).
    pub fn new(name: &str) -> io::Result<Self> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        Ok(Self(memfd_create(name, flags)?.into()))
    }

    /// Wraps a memory file that another process created.
    #[must_use]
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    /// Writes all of `data` at `offset`. The file grows as needed.
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

    /// Duplicates the descriptor.
    ///
    /// # Errors
    /// EMFILE.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }

    /// The file's size in bytes.
    ///
    /// # Errors
    /// None that a correct caller can cause.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// Truncates the file, or extends it with zeros, to `bytes`.
    ///
    /// # Errors
    /// ENOMEM, ENOSPC; EPERM: its size is sealed.
    pub fn resize(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    /// Seals the file's size. Neither the size nor the seal can be changed afterwards.
    ///
    /// # Errors
    /// EPERM: it was sealed before, or cannot be sealed.
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

/// A mapped memory file of fixed size: some words, followed by bytes.
///
/// What a process stores here is available to its successor, even if the process is killed between two stores. Only
/// one value in one process should use it at a time. Two would garble each other's contents. They would not break
/// memory safety in any way that the kernel does not when it reads into a buffer.
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
    /// Size of the words at the beginning, in bytes.
    pub const WORDS_BYTES: usize = 4096;

    /// Creates a zeroed buffer with `bytes` bytes besides its words.
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

    /// Maps a buffer that another process created, by its descriptor.
    ///
    /// # Errors
    /// `InvalidInput`: its size is too small, or is not sealed, so that shrinking it could kill us with SIGBUS at any
    /// access. EMFILE, ENOMEM.
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
        // SAFETY: a new mapping at an address that the kernel chooses overlaps nothing. Its file cannot shrink, so
        // every byte stays accessible.
        let map = unsafe { mmap(None, length, rights, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(Self {
            file,
            map: map.cast(),
            words: Self::WORDS_BYTES / size_of::<u64>(),
            bytes: size - Self::WORDS_BYTES,
        })
    }

    /// The words and the bytes. A successor sees the words in the order of the stores: the compiler keeps the order
    /// of atomic stores with release, and a kill undoes nothing that was stored.
    #[must_use]
    pub fn parts(&mut self) -> (&[AtomicU64], &mut [u8]) {
        let map = self.map.as_ptr();
        // SAFETY: the mapping begins at a page, so the words are aligned. It is as long as both parts together, they
        // do not overlap, and both are borrowed from `self` together.
        unsafe {
            (
                std::slice::from_raw_parts(map.cast(), self.words),
                std::slice::from_raw_parts_mut(map.add(Self::WORDS_BYTES), self.bytes),
            )
        }
    }

    /// The memory file, for passing it on.
    #[must_use]
    pub fn file(&self) -> &MemoryFile {
        &self.file
    }
}

impl Drop for SharedBuffer {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` created, with its length; nothing borrows from it any more.
        let _ = unsafe { munmap(self.map.cast(), Self::WORDS_BYTES + self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn a_new_daemon_reads_the_shared_memory() {
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
    fn a_file_that_could_shrink_is_not_mapped() {
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
