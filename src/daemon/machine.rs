//! What parsing a configuration reads from this machine: files, users, the environment. It does not know the
//! configuration itself.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::{
    AccessFlags, Gid, Group, Uid, User as NixUser, access, getgrouplist, gethostname,
};

use crate::cgroup;
use crate::config::env_file::ENV_FILE_BYTES_MAX;
use crate::config::lookup::{FIRST_BYTES_MAX, FileFacts, FileKind, Lookup, LookupError, UserEntry};
use crate::config::nacos::NACOS_VARIABLE;
use crate::config::tokens::TOKENS_BYTES_MAX;
use crate::domain::{Capabilities, CronZone, Resource, from_bytes};
use crate::sys;

/// Maximum size of a configuration file in bytes. A larger one counts as unreadable.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// This machine. Relative paths start at the working directory of the program when this value was created. The daemon
/// changes its directory later and must still find its files.
#[derive(Debug, Clone)]
pub struct Machine {
    cwd: String,
}

impl Machine {
    /// Creates a value with the current working directory.
    ///
    /// # Errors
    /// The directory cannot be found out or is not UTF-8.
    pub fn new() -> io::Result<Self> {
        let cwd = std::env::current_dir()?;
        let cwd = cwd
            .to_str()
            .ok_or_else(|| io::Error::other("the working directory is not UTF-8"))?;
        Ok(Self {
            cwd: cwd.to_owned(),
        })
    }

    /// Creates a value with the working directory of an earlier image of this process.
    #[must_use]
    pub const fn seen_from(cwd: String) -> Self {
        Self { cwd }
    }

    /// An empty path names nothing, rather than the working directory.
    fn full(&self, path: &str) -> PathBuf {
        if path.is_empty() {
            PathBuf::new()
        } else {
            Path::new(&self.cwd).join(path)
        }
    }
}

fn known(user: NixUser) -> Option<UserEntry> {
    Some(UserEntry {
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        home: user.dir.to_str()?.to_owned(),
    })
}

/// Maximum number of symlinks in a path, as in the kernel.
const LINKS_MAX: usize = 40;

/// How another user could change what a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// By changing or replacing the file.
    Replace,
    /// By adding something to the directory, or to a path that could become a directory.
    Add,
}

/// Returns why a user other than root can change what the absolute `path` leads to. `None`: no other user can. It
/// checks each directory of the path, and each symlink with its directory. A missing file can be created by a user who
/// can write to its parent directory.
fn open_to_others(path: &Path, change: Change) -> Option<String> {
    let mut ahead: Vec<OsString> = Vec::new();
    let mut links = 0;
    let push = |ahead: &mut Vec<OsString>, path: &Path| {
        let parts: Vec<OsString> = path
            .components()
            .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
            .map(|part| part.as_os_str().to_owned())
            .collect();
        ahead.extend(parts.into_iter().rev());
    };
    push(&mut ahead, path);
    let mut here = PathBuf::from("/");
    loop {
        let is_last = ahead.is_empty();
        let adds = is_last && change == Change::Add;
        if let Some(why) = writable(&here, adds) {
            return Some(why);
        }
        let part = ahead.pop()?;
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        let meta = match fs::symlink_metadata(&next) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return writable(&here, true);
            }
            // It cannot be determined. The kernel will refuse to read the file as well.
            Err(_) => return None,
        };
        if !meta.is_symlink() {
            here = next;
            continue;
        }
        links += 1;
        if meta.uid() != 0 {
            let uid = meta.uid();
            return Some(format!("the link {} belongs to uid {uid}", next.display()));
        }
        if links > LINKS_MAX {
            return None;
        }
        let target = fs::read_link(&next).ok()?;
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        push(&mut ahead, &target);
    }
}

/// Returns why a user other than root can change the file or directory `path` itself, or with `adds` add an entry to
/// it. `None`: no other user can.
fn writable(path: &Path, adds: bool) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    let (mode, shown) = (meta.mode(), path.display());
    // In a sticky directory such as /tmp no user can change the files of others, but every user can add files.
    let is_sticky = meta.is_dir() && mode & 0o1000 != 0 && !adds;
    if meta.uid() != 0 {
        Some(format!("{shown} belongs to uid {}", meta.uid()))
    } else if is_sticky {
        None
    } else if mode & 0o002 != 0 {
        Some(format!("{shown} is writable by everybody"))
    } else if mode & 0o020 != 0 && meta.gid() != 0 {
        Some(format!("{shown} is writable by gid {}", meta.gid()))
    } else {
        None
    }
}

impl Lookup for Machine {
    fn read(&self, path: &str) -> Result<Vec<u8>, LookupError> {
        let path = self.full(path);
        // The size is checked only to refuse a file that could fill the memory; a pipe such as /dev/stdin has none. A
        // file whose metadata cannot be read counts as missing, as in Supervisor.
        let meta = fs::metadata(&path).map_err(|error| {
            let is_plain = error.kind() == io::ErrorKind::NotFound;
            LookupError::Missing(if is_plain {
                String::new()
            } else {
                error.to_string()
            })
        })?;
        let unreadable = |error: io::Error| LookupError::Unreadable(error.to_string());
        let too_large = || {
            let most = FILE_BYTES_MAX >> 20;
            LookupError::Unreadable(format!("it is larger than {most} MiB"))
        };
        if meta.is_dir() {
            return Err(LookupError::Unreadable("it is a directory".to_owned()));
        }
        if meta.len() > FILE_BYTES_MAX {
            return Err(too_large());
        }
        let file = fs::File::open(&path).map_err(unreadable)?;
        let mut bytes = Vec::new();
        let mut limited = io::Read::take(file, FILE_BYTES_MAX + 1);
        io::Read::read_to_end(&mut limited, &mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(too_large());
        }
        Ok(bytes)
    }

    fn exists(&self, path: &str) -> bool {
        self.full(path).exists()
    }

    fn is_entry(&self, path: &str) -> bool {
        self.full(path).symlink_metadata().is_ok()
    }

    fn is_dir(&self, path: &str) -> bool {
        self.full(path).is_dir()
    }

    fn list(&self, path: &str) -> Vec<String> {
        // Names that are not UTF-8 cannot occur in a message or a key, so they match nothing.
        fs::read_dir(self.full(path))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }

    fn user(&self, name: &str) -> Option<UserEntry> {
        NixUser::from_name(name).ok().flatten().and_then(known)
    }

    fn user_of(&self, uid: u32) -> Option<UserEntry> {
        NixUser::from_uid(Uid::from_raw(uid))
            .ok()
            .flatten()
            .and_then(known)
    }

    fn group(&self, name: &str) -> Option<u32> {
        let group = Group::from_name(name).ok().flatten()?;
        Some(group.gid.as_raw())
    }

    fn is_group(&self, gid: u32) -> bool {
        matches!(Group::from_gid(Gid::from_raw(gid)), Ok(Some(_)))
    }

    fn uid(&self) -> u32 {
        Uid::current().as_raw()
    }

    /// If the kernel does not tell, root counts as having all.
    fn capabilities(&self) -> Capabilities {
        sys::own_capabilities().unwrap_or(match self.uid() {
            0 => Capabilities::ALL,
            _ => Capabilities::NONE,
        })
    }

    fn hard_limit(&self, resource: Resource) -> Option<u64> {
        sys::get_limit(resource).ok().map(|limit| limit.hard)
    }

    fn cpus(&self) -> i64 {
        let number = std::thread::available_parallelism();
        number.map_or(1, |number| i64::try_from(number.get()).unwrap_or(i64::MAX))
    }

    fn cron_zone(&self, name: Option<&str>) -> Option<CronZone> {
        sys::read_cron_zone(name)
    }

    fn env_file(&self, path: &str) -> Result<String, LookupError> {
        match sys::read_small_file(&self.full(path), ENV_FILE_BYTES_MAX) {
            Ok(bytes) => Ok(from_bytes(&bytes)),
            Err(error @ sys::SmallFileError::Missing) => {
                Err(LookupError::Missing(error.to_string()))
            }
            Err(error) => Err(LookupError::Unreadable(error.to_string())),
        }
    }

    fn secret_file(&self, path: &str) -> Result<String, LookupError> {
        match sys::read_secret_file(&self.full(path), TOKENS_BYTES_MAX, None) {
            Ok(read) => Ok(from_bytes(
                &read.map(|(_, bytes)| bytes).unwrap_or_default(),
            )),
            Err(error @ sys::SmallFileError::Missing) => {
                Err(LookupError::Missing(error.to_string()))
            }
            Err(error) => Err(LookupError::Unreadable(error.to_string())),
        }
    }

    fn cwd(&self) -> String {
        self.cwd.clone()
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        match user {
            Some(name) => self.user(name).map(|user| user.home),
            None => std::env::var("HOME")
                .ok()
                .or_else(|| self.user_of(self.uid()).map(|user| user.home)),
        }
    }

    fn tempdir(&self) -> String {
        let named = ["TMPDIR", "TEMP", "TMP"]
            .into_iter()
            .filter_map(|name| std::env::var(name).ok())
            .filter(|dir| !dir.is_empty())
            .map(|dir| crate::config::absolute(&dir, self));
        let usual = ["/tmp", "/var/tmp", "/usr/tmp"].map(str::to_owned);
        named
            .chain(usual)
            .find(|dir| {
                self.is_dir(dir)
                    && access(dir.as_str(), AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
            })
            .unwrap_or_else(|| self.cwd())
    }

    fn hostname(&self) -> String {
        gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
            .unwrap_or_default()
    }

    fn other_writer(&self, path: &str) -> Option<String> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        open_to_others(&self.full(path), Change::Replace)
    }

    fn other_adder(&self, directory: &str) -> Option<String> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        open_to_others(&self.full(directory), Change::Add)
    }

    fn no_cgroup(&self, controller: &str) -> Option<String> {
        cgroup::unavailable_because(controller)
    }

    fn is_program(&self, path: &str) -> bool {
        let path = self.full(path);
        path.is_file() && access(&path, AccessFlags::X_OK).is_ok()
    }

    fn file_facts(&self, path: &str) -> Option<FileFacts> {
        let meta = fs::metadata(self.full(path)).ok()?;
        Some(FileFacts {
            kind: match () {
                () if meta.is_file() => FileKind::Regular,
                () if meta.is_dir() => FileKind::Directory,
                () => FileKind::Special,
            },
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
        })
    }

    fn first_bytes(&self, path: &str) -> Option<Vec<u8>> {
        let mut options = fs::OpenOptions::new();
        // A pipe would make the check wait for a writer.
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
        let file = options.open(self.full(path)).ok()?;
        if !file.metadata().is_ok_and(|meta| meta.is_file()) {
            return None;
        }
        let mut bytes = Vec::new();
        let mut limited = io::Read::take(file, FIRST_BYTES_MAX as u64);
        io::Read::read_to_end(&mut limited, &mut bytes).ok()?;
        Some(bytes)
    }

    fn groups_of(&self, uid: u32) -> Vec<u32> {
        let user = NixUser::from_uid(Uid::from_raw(uid)).ok().flatten();
        let groups = user.and_then(|user| {
            let name = std::ffi::CString::new(user.name).ok()?;
            getgrouplist(&name, user.gid).ok()
        });
        let groups = groups.unwrap_or_default().into_iter();
        groups.map(Gid::as_raw).collect()
    }

    fn env(&self) -> Vec<(String, String)> {
        let mut env = self.settings_env();
        env.retain(|(name, _)| !name.starts_with(NACOS_VARIABLE));
        env
    }

    fn settings_env(&self) -> Vec<(String, String)> {
        // A name that is not UTF-8 cannot occur in a configuration, so it is left out. A value may be any bytes.
        std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, from_bytes(value.as_bytes())))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_writable_by_others_are_detected() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root can make files that are another's");
            return;
        }
        let dir = std::env::temp_dir().join(format!("supervisord-machine-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("scratch directory");
        let file = dir.join("conf");
        fs::write(&file, "").expect("written");
        let machine = Machine::new().expect("a working directory");
        let name = file.to_str().expect("UTF-8");
        let mode = |path: &Path, bits| {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(bits))
                .expect("chmod");
        };
        mode(&dir, 0o755);
        mode(&file, 0o644);
        // Every user can write to /tmp, but it is sticky.
        assert_eq!(machine.other_writer(name), None);
        mode(&file, 0o666);
        assert!(
            machine
                .other_writer(name)
                .is_some_and(|why| why.ends_with("is writable by everybody"))
        );
        mode(&file, 0o644);
        mode(&dir, 0o777);
        assert!(
            machine
                .other_writer(name)
                .is_some_and(|why| !why.starts_with(name))
        );
        mode(&dir, 0o755);
        std::os::unix::fs::chown(&file, Some(1), None).expect("chown");
        assert!(
            machine
                .other_writer(name)
                .is_some_and(|why| why.ends_with("belongs to uid 1"))
        );
        fs::remove_dir_all(dir).expect("cleaned");
    }

    #[test]
    fn directories_writable_by_others_are_detected() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root can make files that are another's");
            return;
        }
        let dir = std::env::temp_dir().join(format!("supervisord-adders-{}", std::process::id()));
        let inner = dir.join("conf.d");
        fs::create_dir_all(&inner).expect("scratch directory");
        let machine = Machine::new().expect("a working directory");
        let adder = |path: &Path| machine.other_adder(path.to_str().expect("UTF-8"));
        let mode = |path: &Path, bits| {
            fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(bits))
                .expect("chmod");
        };
        mode(&dir, 0o755);
        mode(&inner, 0o755);
        assert_eq!(adder(&inner), None);
        // Every user can add files to a directory such as /tmp, although none can remove those of others.
        mode(&inner, 0o1777);
        assert!(adder(&inner).is_some_and(|why| why.ends_with("conf.d is writable by everybody")));
        mode(&inner, 0o755);
        mode(&dir, 0o1777);
        assert_eq!(adder(&inner), None);
        assert!(adder(&dir.join("missing/deep")).is_some_and(|why| !why.contains("missing")));
        mode(&dir, 0o755);
        // A symlink is checked together with its directory and its target.
        let open = dir.join("open");
        fs::create_dir(&open).expect("made");
        std::os::unix::fs::symlink(&inner, open.join("link")).expect("linked");
        assert_eq!(adder(&open.join("link")), None);
        mode(&open, 0o777);
        assert!(adder(&open.join("link")).is_some_and(|why| why.contains("/open is writable")));
        std::os::unix::fs::symlink("../open", inner.join("up")).expect("linked");
        assert!(adder(&inner.join("up")).is_some());
        std::os::unix::fs::lchown(open.join("link"), Some(1), None).expect("lchown");
        mode(&open, 0o1755);
        assert!(adder(&open.join("link")).is_some_and(|why| why.ends_with("belongs to uid 1")));
        fs::remove_dir_all(dir).expect("cleaned");
    }

    #[test]
    fn cfg_04_missing_and_unreadable_files_have_different_errors() {
        let machine = Machine::new().expect("a working directory");
        let missing = Err(LookupError::Missing(String::new()));
        assert_eq!(machine.read("/nosuch/file"), missing);
        let directory = LookupError::Unreadable("it is a directory".to_owned());
        assert_eq!(machine.read("/"), Err(directory));
        assert_eq!(machine.read(""), missing);
        assert!(machine.is_dir(".") && !machine.is_dir("") && !machine.exists(""));
        assert!(
            machine
                .read("/proc/self/status")
                .is_ok_and(|bytes| !bytes.is_empty())
        );
    }

    #[test]
    fn cfg_35_root_is_a_known_user() {
        let machine = Machine::new().expect("a working directory");
        assert_eq!(machine.user("root").map(|user| user.uid), Some(0));
        assert_eq!(machine.user_of(0).map(|user| user.gid), Some(0));
        assert_eq!(machine.user("no such user"), None);
        assert!(machine.is_group(0));
        assert!(machine.is_dir(&machine.tempdir()));
    }
}
