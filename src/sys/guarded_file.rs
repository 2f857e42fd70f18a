//! Creates, replaces and removes files that administrators edit too: only if their content is what the caller has seen,
//! in one step, and never through a link or into a file that another user controls.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat};
use nix::unistd::{Gid, Uid, fchown};

use super::safe_open::{REFUSED, SafePath, describe_target, errno, kind};
use super::small_file::{SmallFileError, read_bounded};
use super::xattr::copy_attributes;
use crate::domain::Errno;

/// Why a file was not changed. In all cases the old file is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardedFileError {
    /// It does not exist.
    #[error("the file does not exist")]
    Missing,
    /// It exists, but must not.
    #[error("the file exists already")]
    Exists,
    /// Its content, which is this, is not the expected one.
    #[error("the file was changed meanwhile")]
    Conflict(Vec<u8>),
    /// It is not a regular file, but this.
    #[error("it is {0}, not a regular file")]
    NotRegular(String),
    /// Its path has a symbolic link of another user than root and the one of this process.
    #[error("a symbolic link in its path belongs to another user")]
    ForeignLink,
    /// It has this number of names, and a replacement would have only one of them.
    #[error("it has {0} hard links, of which a replacement would change only one")]
    HardLinked(u64),
    /// Others than its owner can write to it, with this mode.
    #[error("others than its owner can write to it, its mode is {0:04o} (chmod go-w)")]
    OthersCanWrite(u32),
    /// It is larger than this number of bytes.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// The file system or its directory is read-only for this process.
    #[error("it cannot be written here: {0}")]
    ReadOnly(Errno),
    /// The system refuses for another reason.
    #[error("{0}")]
    Refused(Errno),
}

/// Held while a file is compared and replaced, so that no change of this process is lost.
static WRITING: Mutex<()> = Mutex::new(());

fn refused(error: Errno) -> GuardedFileError {
    match error {
        REFUSED => GuardedFileError::ForeignLink,
        Errno(libc::ENOENT) => GuardedFileError::Missing,
        Errno(libc::EEXIST) => GuardedFileError::Exists,
        Errno(libc::EROFS | libc::EACCES | libc::EPERM) => GuardedFileError::ReadOnly(error),
        error => GuardedFileError::Refused(error),
    }
}

/// Replaces the content of a regular file of at most `max` bytes, if `is_expected` accepts its present content. Readers
/// see the old file or the new one, and after a crash one of them is there. The new file has the owner, the mode and
/// the extended attributes of the old one, with its access control list. Links of root and of our own user are
/// followed.
///
/// A change by another process between the comparison and the replacement is noticed until the last moment, but not
/// beyond: the kernel has no call for that.
///
/// # Errors
/// See [`GuardedFileError`].
pub fn replace_file_if(
    path: &Path,
    max: usize,
    is_expected: impl Fn(&[u8]) -> bool,
    bytes: &[u8],
) -> Result<(), GuardedFileError> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let place = SafePath::resolve_target(path).map_err(refused)?;
    let old = OldFile::open(&place, path, max, &is_expected)?;
    let new = UnfinishedFile::create(&place).map_err(refused)?;
    new.write(bytes).map_err(refused)?;
    // An access control list replaces the mode, so the mode comes first.
    let (uid, gid) = (
        Uid::from_raw(old.stat.st_uid),
        Gid::from_raw(old.stat.st_gid),
    );
    let mode = Mode::from_bits_truncate(old.stat.st_mode);
    let metadata = fchown(&new.file, Some(uid), Some(gid))
        .and_then(|()| fchmod(&new.file, mode))
        .map_err(errno)
        .and_then(|()| copy_attributes(&old.file, &new.file));
    metadata.map_err(GuardedFileError::Refused)?;
    // The rename must not reach the disk before the content.
    new.sync().map_err(refused)?;
    old.check_unchanged(&place, path, max)?;
    new.path.rename_to(&place).map_err(refused)?;
    sync_directory(&place);
    Ok(())
}

/// Creates a file with this mode, less the umask. No file, directory or link may be at its path, and no reader sees an
/// unfinished file.
///
/// # Errors
/// [`GuardedFileError::Exists`], [`GuardedFileError::ForeignLink`], [`GuardedFileError::ReadOnly`]; missing
/// directories.
pub fn create_file(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), GuardedFileError> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    // Only a directory can be missing here.
    let refused = |error: Errno| match error {
        Errno(libc::ENOENT) => GuardedFileError::Refused(error),
        error => refused(error),
    };
    let place = SafePath::resolve_parent(path).map_err(refused)?;
    let mode = Mode::from_bits_truncate(mode);
    let new = UnfinishedFile::create_with(&place, mode).map_err(refused)?;
    new.write(bytes).map_err(refused)?;
    new.sync().map_err(refused)?;
    new.path.link_to(&place).map_err(refused)?;
    drop(new);
    sync_directory(&place);
    Ok(())
}

/// Removes a regular file of at most `max` bytes, if `is_expected` accepts its content. A link is not followed.
///
/// # Errors
/// See [`GuardedFileError`].
pub fn remove_file_if(
    path: &Path,
    max: usize,
    is_expected: impl Fn(&[u8]) -> bool,
) -> Result<(), GuardedFileError> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let place = SafePath::resolve_parent(path).map_err(refused)?;
    let old = OldFile::open(&place, path, max, &is_expected)?;
    old.check_unchanged(&place, path, max)?;
    place.unlink().map_err(refused)?;
    sync_directory(&place);
    Ok(())
}

/// Writes the entries of a directory to the disk. The change is done, so an error only means that a crash of the
/// machine may undo it.
fn sync_directory(place: &SafePath) {
    if let Ok(directory) = place.open_own_directory() {
        let _ = File::from(directory).sync_all();
    }
}

/// The file that is replaced or removed.
struct OldFile {
    file: OwnedFd,
    stat: FileStat,
    content: Vec<u8>,
}

impl OldFile {
    /// Opens a file that may be changed, and compares its content.
    fn open(
        place: &SafePath,
        path: &Path,
        max: usize,
        is_expected: &dyn Fn(&[u8]) -> bool,
    ) -> Result<Self, GuardedFileError> {
        let (file, stat) = open_regular(place, path)?;
        if stat.st_nlink > 1 {
            return Err(GuardedFileError::HardLinked(stat.st_nlink));
        }
        // The bits of the group limit the entries of an access control list too.
        if stat.st_mode & 0o022 != 0 {
            return Err(GuardedFileError::OthersCanWrite(stat.st_mode & 0o7777));
        }
        let content = read(&file, max)?;
        match is_expected(&content) {
            true => Ok(Self {
                file,
                stat,
                content,
            }),
            false => Err(GuardedFileError::Conflict(content)),
        }
    }

    /// Fails if the path names another file, or the file was written to since it was opened.
    fn check_unchanged(
        &self,
        place: &SafePath,
        path: &Path,
        max: usize,
    ) -> Result<(), GuardedFileError> {
        let (file, stat) = open_regular(place, path)?;
        let version = |stat: &FileStat| {
            let changed = (
                stat.st_mtime,
                stat.st_mtime_nsec,
                stat.st_ctime,
                stat.st_ctime_nsec,
            );
            (stat.st_dev, stat.st_ino, stat.st_size, changed)
        };
        // The times are those of the last clock tick, so two versions may have the same.
        let content = read(&file, max)?;
        match version(&stat) == version(&self.stat) && content == self.content {
            true => Ok(()),
            false => Err(GuardedFileError::Conflict(content)),
        }
    }
}

fn open_regular(place: &SafePath, path: &Path) -> Result<(OwnedFd, FileStat), GuardedFileError> {
    // Opening a FIFO must not wait for its writer, and a device may act when it is opened: look first.
    let found = place.open_path_fd().map_err(refused)?;
    let stat = fstat(&found).map_err(|error| refused(errno(error)))?;
    let check = |stat: &FileStat| match kind(stat) {
        SFlag::S_IFREG => Ok(()),
        kind => Err(GuardedFileError::NotRegular(describe_target(path, kind))),
    };
    check(&stat)?;
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let file = place
        .create(flags, Mode::empty())
        .map_err(|error| match error {
            // A link was placed here meanwhile.
            REFUSED => GuardedFileError::ForeignLink,
            Errno(libc::ENOENT) => GuardedFileError::Missing,
            error => GuardedFileError::Refused(error),
        })?;
    let stat = fstat(&file).map_err(|error| refused(errno(error)))?;
    check(&stat)?;
    Ok((file, stat))
}

fn read(file: &OwnedFd, max: usize) -> Result<Vec<u8>, GuardedFileError> {
    let copy = file
        .try_clone()
        .map_err(|error| refused(Errno::from(&error)))?;
    read_bounded(File::from(copy), max).map_err(|error| match error {
        SmallFileError::TooLarge(max) => GuardedFileError::TooLarge(max),
        SmallFileError::Refused(error) => GuardedFileError::Refused(error),
        _ => GuardedFileError::Missing,
    })
}

/// A file that is being written, with a hidden name that no pattern matches. It is removed when it is dropped, unless
/// it was renamed.
struct UnfinishedFile {
    path: SafePath,
    file: OwnedFd,
}

impl UnfinishedFile {
    /// Creates it beside `place`, readable only for this process's user.
    fn create(place: &SafePath) -> Result<Self, Errno> {
        Self::create_with(place, Mode::S_IRUSR | Mode::S_IWUSR)
    }

    fn create_with(place: &SafePath, mode: Mode) -> Result<Self, Errno> {
        /// Maximum number of names that are tried. A crash may leave an unfinished file, whose name is not used again.
        const TRIES_MAX: u32 = 100;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut result = Err(Errno(libc::EEXIST));
        for _ in 0..TRIES_MAX {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = place.hidden_sibling(&format!(".{}-{number}.new", std::process::id()))?;
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
            result = path.create(flags, mode).map(|file| Self { path, file });
            if !matches!(result, Err(Errno(libc::EEXIST))) {
                break;
            }
        }
        result
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        let mut file = File::from(self.file.try_clone().map_err(|error| Errno::from(&error))?);
        file.write_all(bytes).map_err(|error| Errno::from(&error))
    }

    fn sync(&self) -> Result<(), Errno> {
        nix::unistd::fsync(&self.file).map_err(errno)
    }
}

impl Drop for UnfinishedFile {
    fn drop(&mut self) {
        let own = super::safe_open::FileId::of(&self.file);
        if let Ok(own) = own {
            self.path.unlink_if(own);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
    use std::path::PathBuf;

    use nix::unistd::{geteuid, setgid, setgroups, setuid};

    use super::super::test_fork::run_forked;
    use super::*;

    /// The user and group nobody.
    const NOBODY: u32 = 65_534;
    const MAX: usize = 1000;

    /// Held by each test: a fork must not copy [`WRITING`] while another test holds it.
    static TESTING: Mutex<()> = Mutex::new(());

    fn directory(name: &str) -> PathBuf {
        let name = format!("supervisord-guarded-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("directory");
        path
    }

    fn chmod(path: &Path, mode: u32) {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).expect("changed");
    }

    fn replace(path: &Path, old: &str, new: &str) -> Result<(), String> {
        replace_file_if(path, MAX, |bytes| bytes == old.as_bytes(), new.as_bytes())
            .map_err(|error| error.to_string())
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).expect("listed");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        };
        let mut names: Vec<String> = entries.map(name).collect();
        names.sort_unstable();
        names
    }

    /// What every user may expect in a directory of its own.
    fn check_own_directory(dir: &Path) {
        let path = dir.join("a.conf");
        assert_eq!(
            replace(&path, "", "x"),
            Err("the file does not exist".to_owned())
        );
        assert_eq!(create_file(&path, 0o640, b"old"), Ok(()));
        assert_eq!(
            create_file(&path, 0o640, b"new"),
            Err(GuardedFileError::Exists)
        );
        let mode = || std::fs::metadata(&path).expect("there").mode() & 0o7777;
        assert_eq!(mode() & !0o640, 0);
        chmod(&path, 0o604);
        let conflict = replace_file_if(&path, MAX, |_| false, b"new");
        assert_eq!(conflict, Err(GuardedFileError::Conflict(b"old".to_vec())));
        assert_eq!(replace(&path, "old", "new"), Ok(()));
        assert_eq!(std::fs::read(&path).expect("read"), b"new");
        assert_eq!(mode(), 0o604);
        // A link of our own is followed, and stays.
        symlink("a.conf", dir.join("link")).expect("linked");
        assert_eq!(replace(&dir.join("link"), "new", "newer"), Ok(()));
        assert_eq!(std::fs::read(&path).expect("read"), b"newer");
        assert!(dir.join("link").is_symlink());
        for mode in [0o664, 0o646] {
            chmod(&path, mode);
            let expected = format!(
                "others than its owner can write to it, its mode is {mode:04o} (chmod go-w)"
            );
            assert_eq!(replace(&path, "newer", "x"), Err(expected));
        }
        chmod(&path, 0o644);
        std::fs::hard_link(&path, dir.join("second")).expect("linked");
        let hard = replace(&path, "newer", "x").expect_err("refused");
        assert!(hard.starts_with("it has 2 hard links"), "{hard}");
        std::fs::remove_file(dir.join("second")).expect("removed");
        let large = replace_file_if(&path, 4, |_| true, b"");
        assert_eq!(large, Err(GuardedFileError::TooLarge(4)));
        nix::unistd::mkfifo(&dir.join("fifo"), Mode::S_IRWXU).expect("made");
        let fifo = replace(&dir.join("fifo"), "", "x");
        assert_eq!(fifo, Err("it is a FIFO, not a regular file".to_owned()));
        let is_new = |bytes: &[u8]| bytes == b"new";
        let conflict = remove_file_if(&path, MAX, is_new);
        assert_eq!(conflict, Err(GuardedFileError::Conflict(b"newer".to_vec())));
        assert_eq!(names(dir), ["a.conf", "fifo", "link"], "no unfinished file");
        assert_eq!(
            remove_file_if(&path, MAX, |bytes| bytes == b"newer"),
            Ok(())
        );
        assert_eq!(names(dir), ["fifo", "link"]);
        let nowhere = create_file(&dir.join("none/a"), 0o644, b"");
        assert_eq!(nowhere, Err(GuardedFileError::Refused(Errno(libc::ENOENT))));
    }

    /// Runs a test in a fork as nobody. False: this process is not root, and cannot.
    fn as_nobody(test: impl FnOnce()) -> bool {
        if !geteuid().is_root() {
            return false;
        }
        run_forked(|_| {
            setgroups(&[]).expect("root");
            setgid(Gid::from_raw(NOBODY)).expect("root");
            setuid(Uid::from_raw(NOBODY)).expect("root");
            test();
        });
        true
    }

    #[test]
    fn a_file_is_changed_only_if_its_content_is_expected() {
        let _testing = TESTING.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = directory("own");
        check_own_directory(&dir);
        std::fs::remove_dir_all(&dir).expect("removed");
        let dir = directory("nobody");
        if geteuid().is_root() {
            chown(&dir, Some(NOBODY), Some(NOBODY)).expect("changed");
        }
        as_nobody(|| check_own_directory(&dir));
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn a_directory_of_another_user_is_read_only() {
        let _testing = TESTING.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = directory("read-only");
        let path = dir.join("a.conf");
        std::fs::write(&path, "old").expect("written");
        let is_run = as_nobody(|| {
            let result = replace_file_if(&path, MAX, |_| true, b"new");
            assert_eq!(result, Err(GuardedFileError::ReadOnly(Errno(libc::EACCES))));
            let result = create_file(&dir.join("b"), 0o644, b"new");
            assert_eq!(result, Err(GuardedFileError::ReadOnly(Errno(libc::EACCES))));
        });
        if is_run {
            assert_eq!(names(&dir), ["a.conf"]);
        }
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn root_keeps_the_owner_and_follows_no_link_of_another_user() {
        if !geteuid().is_root() {
            return;
        }
        let _testing = TESTING.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = directory("owner");
        let path = dir.join("a.conf");
        std::fs::write(&path, "old").expect("written");
        chown(&path, Some(NOBODY), Some(1)).expect("changed");
        chmod(&path, 0o640);
        assert_eq!(replace(&path, "old", "new"), Ok(()));
        let stat = std::fs::metadata(&path).expect("there");
        assert_eq!(
            (stat.uid(), stat.gid(), stat.mode() & 0o7777),
            (NOBODY, 1, 0o640)
        );
        symlink(&path, dir.join("link")).expect("linked");
        symlink(&dir, dir.join("up")).expect("linked");
        for link in ["link", "up"] {
            std::os::unix::fs::lchown(dir.join(link), Some(NOBODY), None).expect("changed");
        }
        let foreign = "a symbolic link in its path belongs to another user".to_owned();
        assert_eq!(replace(&dir.join("link"), "new", "x"), Err(foreign.clone()));
        assert_eq!(replace(&dir.join("up/a.conf"), "new", "x"), Err(foreign));
        let created = create_file(&dir.join("up/b"), 0o644, b"");
        assert_eq!(created, Err(GuardedFileError::ForeignLink));
        assert_eq!(names(&dir), ["a.conf", "link", "up"]);
        std::fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn a_change_during_the_comparison_is_a_conflict() {
        let _testing = TESTING.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = directory("race");
        let path = dir.join("a.conf");
        for replaces in [false, true] {
            std::fs::write(&path, "old").expect("written");
            let result = replace_file_if(
                &path,
                MAX,
                |bytes| {
                    assert_eq!(bytes, b"old");
                    let other = dir.join("other");
                    std::fs::write(&other, "theirs").expect("written");
                    match replaces {
                        true => std::fs::rename(&other, &path).expect("renamed"),
                        false => std::fs::write(&path, "theirs").expect("written"),
                    }
                    true
                },
                b"new",
            );
            assert_eq!(result, Err(GuardedFileError::Conflict(b"theirs".to_vec())));
            assert_eq!(std::fs::read(&path).expect("read"), b"theirs");
        }
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
