//! Opens files by path for a daemon that may be root, in directories that other users may write to.
//!
//! Supervisor opens logs with plain `open`. So a user who may write to a log's directory can make root append to any
//! file of the machine by placing a symbolic link there. Here, if the daemon is root:
//!
//! - Links owned by root or by our own user are followed.
//! - A link owned by another user is followed only if it leads into a directory of the same user, who could write
//!   there anyway. So `/home/deploy/app/current/log/out.log` works, with `current` a link of user deploy.
//! - A file with several hard links in another user's directory must belong to that user.
//!
//! Files are renamed and removed relative to the directory found this way. `/dev` and `/proc` belong to the system
//! and are left to the kernel. If the daemon is not root, only the kernel's own permission checks apply.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, linkat, unlinkat};

use crate::domain::Errno;

/// Maximum number of links followed in one path, the same as the kernel's.
const LINKS_MAX: usize = 40;

/// The error for a path through a link that is not followed.
pub const REFUSED: Errno = Errno(nix::errno::Errno::ELOOP as i32);

/// Converts nix's error number to the daemon's type.
#[must_use]
pub fn errno(error: nix::errno::Errno) -> Errno {
    Errno(error as i32)
}

/// An open directory, and a name in it.
#[derive(Debug)]
pub struct SafePath {
    dir: OwnedFd,
    name: OsString,
}

/// A walk along a path, with what it has learnt about the links it followed.
struct PathWalk {
    dir: OwnedFd,
    /// The owner of a followed link, unless it is root or our own user.
    link_owner: Option<u32>,
    links: usize,
    /// Whether links are checked. False: follow all.
    careful: bool,
}

impl PathWalk {
    fn start(path: &Path, careful: bool) -> Result<Self, Errno> {
        Ok(Self {
            dir: directory(if path.is_absolute() { "/" } else { "." }.as_ref())?,
            link_owner: None,
            links: 0,
            careful,
        })
    }

    /// Walks down to the directory of `path`, and returns the last name.
    fn descend(&mut self, path: &Path) -> Result<OsString, Errno> {
        let mut parts = parts(path);
        let name = parts.pop_back().ok_or(errno(nix::errno::Errno::EISDIR))?;
        while let Some(part) = parts.pop_front() {
            let next = openat(
                &self.dir,
                part.as_os_str(),
                OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
                Mode::empty(),
            )
            .map_err(errno)?;
            let stat = fstat(&next).map_err(errno)?;
            match kind(&stat) {
                SFlag::S_IFDIR => self.dir = next,
                SFlag::S_IFLNK => {
                    let target = self.follow_link(&next, &stat)?;
                    let target = Path::new(&target);
                    if target.is_absolute() {
                        self.dir = directory("/".as_ref())?;
                    }
                    for part in self::parts(target).into_iter().rev() {
                        parts.push_front(part);
                    }
                }
                _ => return Err(errno(nix::errno::Errno::ENOTDIR)),
            }
        }
        Ok(name)
    }

    /// Records the owner of a link and reads the link, both from one descriptor, so that it cannot be replaced in
    /// between.
    fn follow_link(&mut self, link: &OwnedFd, stat: &FileStat) -> Result<OsString, Errno> {
        self.links += 1;
        if self.links > LINKS_MAX {
            return Err(REFUSED);
        }
        if self.careful && !is_trusted(stat.st_uid) {
            if self
                .link_owner
                .is_some_and(|link_owner| link_owner != stat.st_uid)
            {
                return Err(REFUSED);
            }
            self.link_owner = Some(stat.st_uid);
        }
        readlinkat(link, "").map_err(errno)
    }

    /// The directory reached, if no link of another user led there.
    fn without_foreign_links(self, name: OsString) -> Result<SafePath, Errno> {
        match self.link_owner {
            Some(_) => Err(REFUSED),
            None => Ok(SafePath {
                dir: self.dir,
                name,
            }),
        }
    }

    /// The directory reached, if we may work in it.
    fn into_safe_path(self, name: OsString) -> Result<SafePath, Errno> {
        if let Some(link_owner) = self.link_owner
            && fstat(&self.dir).map_err(errno)?.st_uid != link_owner
        {
            return Err(REFUSED);
        }
        Ok(SafePath {
            dir: self.dir,
            name,
        })
    }
}

impl SafePath {
    /// Resolves the directory of `path`. If `path` itself is a link, the link is not followed.
    ///
    /// # Errors
    /// [`REFUSED`]; ENOENT, EACCES and the like of a directory in the path; EISDIR for a path without a last name.
    pub fn resolve(path: &Path) -> Result<Self, Errno> {
        let mut walk = PathWalk::start(path, geteuid().is_root())?;
        let name = walk.descend(path)?;
        walk.into_safe_path(name)
    }

    /// Like [`Self::resolve`], but all links in the path must belong to root or to our own user, also if the daemon is not
    /// root.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_parent(path: &Path) -> Result<Self, Errno> {
        let mut walk = PathWalk::start(path, true)?;
        let name = walk.descend(path)?;
        walk.without_foreign_links(name)
    }

    /// Like [`Self::resolve_parent`], but a link at the end of the path is followed too.
    ///
    /// # Errors
    /// As [`Self::resolve`].
    pub fn resolve_target(path: &Path) -> Result<Self, Errno> {
        let mut walk = PathWalk::start(path, true)?;
        let mut name = walk.descend(path)?;
        loop {
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let file = match openat(&walk.dir, name.as_os_str(), flags, Mode::empty()) {
                Err(nix::errno::Errno::ENOENT) => break,
                file => file.map_err(errno)?,
            };
            let stat = fstat(&file).map_err(errno)?;
            if kind(&stat) != SFlag::S_IFLNK {
                break;
            }
            let target = walk.follow_link(&file, &stat)?;
            let target = Path::new(&target);
            if target.is_absolute() {
                walk.dir = directory("/".as_ref())?;
            }
            name = walk.descend(target)?;
        }
        walk.without_foreign_links(name)
    }

    /// Opens the directory, to write its entries to the disk.
    ///
    /// # Errors
    /// EACCES, …
    pub fn open_own_directory(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(&self.dir, ".", flags, Mode::empty()).map_err(errno)
    }

    /// The path of a hidden file in the same directory, whose name is made of this one and `suffix`.
    ///
    /// # Errors
    /// EMFILE.
    pub fn hidden_sibling(&self, suffix: &str) -> Result<Self, Errno> {
        let mut name = OsString::from(".");
        name.push(self.with(suffix));
        Ok(Self {
            dir: self.dir.try_clone().map_err(Errno::from)?,
            name,
        })
    }

    /// Renames this file to another path, replacing the target.
    ///
    /// # Errors
    /// EACCES, EISDIR, ENOSPC, …
    pub fn rename_to(&self, to: &Self) -> Result<(), Errno> {
        renameat(
            &self.dir,
            self.name.as_os_str(),
            &to.dir,
            to.name.as_os_str(),
        )
        .map_err(errno)
    }

    /// Creates a hard link to this file at another path.
    ///
    /// # Errors
    /// EEXIST: the path exists. EACCES, EPERM, …
    pub fn link_to(&self, to: &Self) -> Result<(), Errno> {
        let (from, name) = (self.name.as_os_str(), to.name.as_os_str());
        linkat(&self.dir, from, &to.dir, name, AtFlags::empty()).map_err(errno)
    }

    /// Opens the file with O_PATH. A link is not followed.
    ///
    /// # Errors
    /// ENOENT, EACCES, …
    pub fn open_path_fd(&self) -> Result<OwnedFd, Errno> {
        openat(
            &self.dir,
            self.name.as_os_str(),
            OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        )
        .map_err(errno)
    }

    /// Removes the file.
    ///
    /// # Errors
    /// ENOENT, EACCES, EISDIR, …
    pub fn unlink(&self) -> Result<(), Errno> {
        unlinkat(&self.dir, self.name.as_os_str(), UnlinkatFlags::NoRemoveDir).map_err(errno)
    }

    /// Removes the directory at this path if it is empty.
    ///
    /// # Errors
    /// ENOTEMPTY, ENOTDIR, EACCES, …
    pub fn remove_directory(&self) -> Result<(), Errno> {
        unlinkat(&self.dir, self.name.as_os_str(), UnlinkatFlags::RemoveDir).map_err(errno)
    }

    /// Opens the file with these flags and, if it is created, this mode. A link is not followed.
    ///
    /// # Errors
    /// EEXIST, EACCES, ENOSPC, …
    pub fn create(&self, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        openat(&self.dir, self.name.as_os_str(), flags, mode).map_err(errno)
    }

    /// Renames, in this directory, name + `from` to name + `to`, replacing the target. Returns false if the source
    /// does not exist.
    ///
    /// # Errors
    /// EACCES, EISDIR, ENOSPC, …
    pub fn rename_suffix(&self, from: &str, to: &str) -> Result<bool, Errno> {
        let (from, to) = (self.with(from), self.with(to));
        match renameat(&self.dir, from.as_os_str(), &self.dir, to.as_os_str()) {
            Ok(()) => Ok(true),
            Err(nix::errno::Errno::ENOENT) => Ok(false),
            Err(error) => Err(errno(error)),
        }
    }

    /// Opens the file name + `suffix` with O_PATH. While the descriptor is open, the file's blocks stay allocated,
    /// even if it is unlinked. It cannot be read or written. `None`: the file does not exist or cannot be opened.
    #[must_use]
    pub fn open_suffix(&self, suffix: &str) -> Option<OwnedFd> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(
            &self.dir,
            self.with(suffix).as_os_str(),
            flags,
            Mode::empty(),
        )
        .ok()
    }

    /// The path in the same directory with `suffix` appended to its name.
    ///
    /// # Errors
    /// EMFILE.
    pub fn sibling(&self, suffix: &str) -> Result<Self, Errno> {
        Ok(Self {
            dir: self.dir.try_clone().map_err(Errno::from)?,
            name: self.with(suffix),
        })
    }

    /// A path to this file through the descriptor of its directory, for system calls that accept only paths.
    #[must_use]
    pub fn path_by_descriptor(&self) -> PathBuf {
        Path::new(&fd_path(&self.dir)).join(&self.name)
    }

    /// Creates a hard link to the open file `file` at this path.
    ///
    /// # Errors
    /// EEXIST: the path exists. EACCES, EPERM, …
    pub fn link_here(&self, file: &OwnedFd) -> Result<(), Errno> {
        linkat(
            AT_FDCWD,
            fd_path(file).as_str(),
            &self.dir,
            self.name.as_os_str(),
            AtFlags::AT_SYMLINK_FOLLOW,
        )
        .map_err(errno)
    }

    /// Whether this path names the file with this identity.
    #[must_use]
    pub fn is_file(&self, file: FileId) -> bool {
        self.open_path_fd()
            .is_ok_and(|found| FileId::of(&found).ok() == Some(file))
    }

    /// Removes the file if it has this identity. Returns whether it was removed.
    pub fn unlink_if(&self, file: FileId) -> bool {
        self.is_file(file) && self.unlink().is_ok()
    }

    fn with(&self, suffix: &str) -> OsString {
        let mut name = self.name.clone();
        name.push(suffix);
        name
    }
}

/// The identity of a file. It is unique while the file exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    /// The device number of its file system.
    pub device: u64,
    /// The inode number.
    pub inode: u64,
}

impl FileId {
    /// The identity of an open file.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn of(file: &OwnedFd) -> Result<Self, Errno> {
        let stat = fstat(file).map_err(errno)?;
        Ok(Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        })
    }
}

/// A path below /proc that leads to this open file.
#[must_use]
pub fn fd_path(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Opens the directory `path` for listing. A link at its end is checked like a link within the path.
///
/// # Errors
/// [`REFUSED`]; ENOENT, ENOTDIR, EACCES, …
pub fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    // Any name in the directory will do, because only the directory is used.
    let place = SafePath::resolve(&path.join("_"))?;
    openat(
        &place.dir,
        ".",
        OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map_err(errno)
}

/// Makes a directory, with mode 0777 less the umask.
///
/// # Errors
/// EEXIST: the path exists. [`REFUSED`]; ENOENT, EACCES, …
pub fn make_directory(path: &Path) -> Result<(), Errno> {
    let place = SafePath::resolve(path)?;
    let mode = Mode::from_bits_truncate(0o777);
    mkdirat(&place.dir, place.name.as_os_str(), mode).map_err(errno)
}

/// Opens `path` with these flags (never O_TRUNC, which would act before our checks) and, if it is created, with this
/// mode.
///
/// # Errors
/// [`REFUSED`], and those of open(2).
pub fn safe_open(path: &Path, flags: OFlag, mode: Mode) -> Result<OwnedFd, Errno> {
    let careful = geteuid().is_root();
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    let plain = |path: &Path| openat(AT_FDCWD, path, flags, mode).map_err(errno);
    if !careful || is_system_tree(path) {
        return plain(path);
    }
    let mut walk = PathWalk::start(path, careful)?;
    let mut name = walk.descend(path)?;
    loop {
        // Check for a link first, because open could create a file at its target.
        let link = openat(
            &walk.dir,
            name.as_os_str(),
            OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        );
        match link {
            Err(nix::errno::Errno::ENOENT) => {}
            Err(error) => return Err(errno(error)),
            Ok(link) => {
                let stat = fstat(&link).map_err(errno)?;
                if kind(&stat) == SFlag::S_IFLNK && !flags.contains(OFlag::O_NOFOLLOW) {
                    let target = walk.follow_link(&link, &stat)?;
                    let target = Path::new(&target);
                    if target.is_absolute() {
                        if walk.link_owner.is_none() && is_system_tree(target) {
                            return plain(target);
                        }
                        walk.dir = directory("/".as_ref())?;
                    }
                    name = walk.descend(target)?;
                    continue;
                }
            }
        }
        let place = walk.into_safe_path(name)?;
        let file = openat(
            &place.dir,
            place.name.as_os_str(),
            flags | OFlag::O_NOFOLLOW,
            mode,
        )
        .map_err(errno)?;
        let (dir, stat) = (
            fstat(&place.dir).map_err(errno)?,
            fstat(&file).map_err(errno)?,
        );
        let others = !is_trusted(dir.st_uid) || dir.st_mode & 0o022 != 0;
        if others && kind(&stat) == SFlag::S_IFREG && stat.st_nlink > 1 && stat.st_uid != dir.st_uid
        {
            return Err(REFUSED);
        }
        return Ok(file);
    }
}

/// The file type.
#[must_use]
pub fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Describes the file at a path, for messages: "a directory", "a symbolic link to TARGET".
#[must_use]
pub fn describe_target(path: &Path, kind: SFlag) -> String {
    let what = match kind {
        SFlag::S_IFLNK => {
            return match std::fs::read_link(path) {
                Ok(target) => format!("a symbolic link to {}", target.display()),
                Err(_) => "a symbolic link".to_owned(),
            };
        }
        SFlag::S_IFREG => "a regular file",
        SFlag::S_IFDIR => "a directory",
        SFlag::S_IFIFO => "a FIFO",
        SFlag::S_IFSOCK => "a socket",
        SFlag::S_IFCHR | SFlag::S_IFBLK => "a device",
        _ => "something else",
    };
    what.to_owned()
}

/// Trees in which only the system creates names, and whose links only the kernel can follow.
#[must_use]
pub fn is_system_tree(path: &Path) -> bool {
    path.starts_with("/dev") && !path.starts_with("/dev/shm") || path.starts_with("/proc")
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

fn directory(path: &Path) -> Result<OwnedFd, Errno> {
    openat(
        AT_FDCWD,
        path,
        OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
    .map_err(errno)
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsStr::new("..").to_owned()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}
