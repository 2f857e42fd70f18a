//! Version 2 control groups: directories that hold processes. All operations are relative to a descriptor of the
//! cgroup's directory, so that no path can be redirected. This module knows no programs and no layout.
#![expect(unsafe_code, reason = "flock and fgetxattr")]

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, unlinkat};

use super::pidfd::{open_pidfd, send_signal};
use crate::domain::Signal;

/// Maximum number of bytes read of a file: enough for a list of half a million processes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Maximum number of bytes read of `cgroup.events`.
const EVENTS_BYTES_MAX: usize = 256;
/// Maximum depth of a tree that is removed. The kernel may allow deeper trees (`cgroup.max.depth`).
const DEPTH_MAX: u32 = 64;
/// Maximum number of passes for killing processes one by one, where the kernel cannot kill them all at once.
const KILL_ROUNDS_MAX: usize = 32;

/// One cgroup.
#[derive(Debug)]
pub struct Cgroup {
    fd: OwnedFd,
}

/// How often limits were hit in a cgroup and its descendants, since it was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupEvents {
    /// Processes killed by the OOM killer.
    pub oom_kill: u64,
    /// Forks that failed because of `pids.max`.
    pub pids_max: u64,
    /// Times that memory was reclaimed because of `memory.high`.
    pub memory_high: u64,
}

impl Cgroup {
    /// Returns the root of the mounted hierarchy, and the path of our own cgroup below it, without leading or
    /// trailing slash.
    ///
    /// # Errors
    /// ENOENT: no cgroup2 is mounted, or our cgroup is outside the mounted part.
    ///
    /// # Source
    /// proc_pid_mountinfo(5), cgroups(7), "/proc files".
    pub fn own_cgroup() -> io::Result<(Self, String)> {
        Self::find("self")
    }

    /// As [`Cgroup::own_cgroup`], for the process `pid`.
    ///
    /// # Errors
    /// As [`Cgroup::own_cgroup`], and ENOENT or ESRCH: there is no such process.
    pub fn cgroup_of(pid: i32) -> io::Result<(Self, String)> {
        Self::find(&pid.to_string())
    }

    fn find(process: &str) -> io::Result<(Self, String)> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup"))?;
        let (point, own) = find_mount(&mounts, &groups).ok_or(io::ErrorKind::NotFound)?;
        let top = File::open(point)?;
        Ok((Self { fd: top.into() }, own))
    }

    /// Opens a descendant by name or path.
    ///
    /// # Errors
    /// ENOENT, ENODEV: it does not exist any more. EMFILE.
    pub fn open(&self, path: &str) -> io::Result<Self> {
        let path = if path.is_empty() { "." } else { path };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, path, flags, Mode::empty())?;
        Ok(Self { fd })
    }

    /// Creates a child cgroup. Returns false if it exists already.
    ///
    /// # Errors
    /// ENOENT, ENODEV: this cgroup does not exist any more. EACCES, EPERM, EROFS: not writable for us. EAGAIN: a
    /// limit on the tree is reached.
    pub fn make(&self, name: &str) -> io::Result<bool> {
        match mkdirat(&self.fd, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that we may change this cgroup. That it can be opened and locked does not prove it, because both work
    /// on a read-only mount.
    ///
    /// # Errors
    /// EROFS, EACCES: not writable for us. ENOENT, ENODEV: it does not exist any more.
    pub fn check_writable(&self) -> io::Result<()> {
        let (flags, how) = (AccessFlags::W_OK, AtFlags::AT_EACCESS);
        Ok(faccessat(&self.fd, "cgroup.procs", flags, how)?)
    }

    /// Removes a child cgroup with all its descendants. None of them may hold a process, except zombies.
    ///
    /// # Errors
    /// EBUSY: it holds a process, or is nested deeper than `DEPTH_MAX`. ENOENT: it does not exist.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        self.remove_to(name, DEPTH_MAX)
    }

    fn remove_to(&self, name: &str, depth: u32) -> io::Result<()> {
        match unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir) {
            Err(Errno::EBUSY | Errno::ENOTEMPTY) if depth > 0 => {}
            result => return Ok(result?),
        }
        let inside = self.open(name)?;
        if inside.is_populated()? {
            return Err(Errno::EBUSY.into());
        }
        for below in inside.names()? {
            inside.remove_to(&below, depth - 1)?;
        }
        Ok(unlinkat(&self.fd, name, UnlinkatFlags::RemoveDir)?)
    }

    /// The names of the child cgroups.
    ///
    /// # Errors
    /// ENODEV: this cgroup does not exist any more. EMFILE.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                // Our own names are UTF-8, so other names are not ours.
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    /// Reads one of its files.
    ///
    /// # Errors
    /// ENOENT: the file does not exist, because its controller is not enabled. ENODEV: the cgroup does not exist any
    /// more. EOPNOTSUPP.
    pub fn read(&self, file: &str) -> io::Result<String> {
        read_all(&self.file(file, OFlag::O_RDONLY)?)
    }

    /// Writes to one of its files, in one write.
    ///
    /// # Errors
    /// As [`Cgroup::read`]; EACCES, EINVAL, ERANGE, EBUSY: the kernel refuses the value.
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let mut file = self.file(file, OFlag::O_WRONLY)?;
        file.write_all(text.as_bytes())
    }

    fn file(&self, name: &str, access: OFlag) -> io::Result<File> {
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(openat(&self.fd, name, flags, Mode::empty())?.into())
    }

    /// The PIDs in this cgroup, without those of its descendants.
    ///
    /// # Errors
    /// As [`Cgroup::read`].
    pub fn pids(&self) -> io::Result<Vec<i32>> {
        let text = self.read("cgroup.procs")?;
        // 0 is a process of another PID namespace, which has no PID here.
        let pids = text.lines().filter_map(|line| line.parse().ok());
        Ok(pids.filter(|&pid| pid > 0).collect())
    }

    /// Number of processes in this cgroup and its descendants, as far as they can be read.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count_to(DEPTH_MAX)
    }

    /// The PIDs in this cgroup and its descendants, as far as they are visible. A program may have created cgroups of
    /// its own.
    #[must_use]
    pub fn all_pids(&self) -> Vec<i32> {
        self.pids_to(DEPTH_MAX)
    }

    fn pids_to(&self, depth: u32) -> Vec<i32> {
        let mut pids = self.pids().unwrap_or_default();
        if depth > 0 {
            let below = self.names().unwrap_or_default();
            let below = below.iter().filter_map(|name| self.open(name).ok());
            pids.extend(below.flat_map(|cgroup| cgroup.pids_to(depth - 1)));
        }
        pids
    }

    fn count_to(&self, depth: u32) -> usize {
        let own = self.pids().map_or(0, |pids| pids.len());
        let below = if depth == 0 {
            Vec::new()
        } else {
            self.names().unwrap_or_default()
        };
        let below = below.iter().filter_map(|name| self.open(name).ok());
        own + below
            .map(|cgroup| cgroup.count_to(depth - 1))
            .sum::<usize>()
    }

    /// Moves a process into this cgroup. This is expensive, because it takes a lock on all processes of the machine.
    ///
    /// # Errors
    /// As [`Cgroup::write`]; ESRCH: the process does not exist.
    pub fn move_in(&self, pid: i32) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Opens `cgroup.procs`. A process moves itself in by writing `0`.
    ///
    /// # Errors
    /// As [`Cgroup::write`].
    pub(super) fn open_procs(&self) -> io::Result<File> {
        self.file("cgroup.procs", OFlag::O_WRONLY)
    }

    /// Whether this cgroup or a descendant holds a process. Zombies do not count.
    ///
    /// # Errors
    /// As [`Cgroup::read`].
    pub fn is_populated(&self) -> io::Result<bool> {
        self.population()?.is_populated()
    }

    /// Whether the cgroup has no children and is not frozen, as when it was created. Its processes and limits do not
    /// matter.
    #[must_use]
    pub fn is_unmodified(&self) -> bool {
        // A directory has 2 links plus one per subdirectory.
        let has_nothing_below = nix::sys::stat::fstat(&self.fd).is_ok_and(|it| it.st_nlink == 2);
        has_nothing_below && self.is_thawed().unwrap_or(false)
    }

    fn is_thawed(&self) -> io::Result<bool> {
        let file = self.file("cgroup.events", OFlag::O_RDONLY)?;
        // The file has two short lines, which one read returns.
        let mut text = [0; EVENTS_BYTES_MAX];
        let length = nix::unistd::read(&file, &mut text)?;
        let text = std::str::from_utf8(&text[..length]).map_err(io::Error::other)?;
        Ok(field(text, "frozen") == 0)
    }

    /// Opens its population, with which a poller can wait for a change.
    ///
    /// # Errors
    /// As [`Cgroup::read`].
    pub fn population(&self) -> io::Result<Population> {
        let file = self.file("cgroup.events", OFlag::O_RDONLY)?;
        Ok(Population { file })
    }

    /// Sends SIGKILL to all processes in this cgroup and its descendants, including processes that are just being
    /// forked.
    ///
    /// # Errors
    /// As [`Cgroup::write`].
    pub fn kill(&self) -> io::Result<()> {
        match self.write("cgroup.kill", "1") {
            // `cgroup.kill` exists since Linux 5.14.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.kill_each(),
            result => result,
        }
    }

    /// Kills the processes one by one, repeatedly, because a process may have forked before it was killed.
    fn kill_each(&self) -> io::Result<()> {
        for _ in 0..KILL_ROUNDS_MAX {
            if self.kill_once(DEPTH_MAX)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Kills each process once. Returns the number of processes found.
    fn kill_once(&self, depth: u32) -> io::Result<usize> {
        let mut count = 0;
        for pid in self.pids()? {
            let Ok(pidfd) = open_pidfd(pid) else {
                continue;
            };
            // The PID may have been reused before the pidfd was opened. From then on the pidfd is stable, so check
            // the PID again.
            if self.pids()?.contains(&pid) {
                let _ = send_signal(&pidfd, Signal::KILL);
                count += 1;
            }
        }
        if depth > 0 {
            for name in self.names()? {
                // The cgroup may have been removed meanwhile.
                if let Ok(below) = self.open(&name) {
                    count += below.kill_once(depth - 1)?;
                }
            }
        }
        Ok(count)
    }

    /// Reads the event counters. A counter that cannot be read is 0.
    #[must_use]
    pub fn counters(&self) -> CgroupEvents {
        let memory = self.read("memory.events").unwrap_or_default();
        let pids = self.read("pids.events").unwrap_or_default();
        CgroupEvents {
            oom_kill: field(&memory, "oom_kill"),
            pids_max: field(&pids, "max"),
            memory_high: field(&memory, "high"),
        }
    }

    /// The controllers that can be enabled for its children.
    ///
    /// # Errors
    /// As [`Cgroup::read`].
    pub fn controllers(&self) -> io::Result<Vec<String>> {
        let text = self.read("cgroup.controllers")?;
        Ok(text.split_ascii_whitespace().map(str::to_owned).collect())
    }

    /// Enables a controller for its children.
    ///
    /// # Errors
    /// As [`Cgroup::write`]; ENOENT: the controller is not available here. EBUSY: the cgroup holds processes itself.
    pub fn enable(&self, controller: &str) -> io::Result<()> {
        self.write("cgroup.subtree_control", &format!("+{controller}"))
    }

    /// Locks the cgroup for this process, until the descriptor is closed. Returns false if another process holds the
    /// lock.
    ///
    /// # Errors
    /// ENOLCK.
    pub fn lock(&self) -> io::Result<bool> {
        // SAFETY: an open descriptor; no memory is involved.
        if unsafe { libc::flock(self.fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
            error => Err(error),
        }
    }

    /// Whether the service manager has delegated this cgroup (`Delegate=`).
    ///
    /// # Source
    /// systemd's CGROUP_DELEGATION, "Delegation": `trusted.delegate`, or `user.delegate` for an unprivileged manager.
    #[must_use]
    pub fn is_delegated(&self) -> bool {
        [c"trusted.delegate", c"user.delegate"].iter().any(|name| {
            let mut value = [0u8; 2];
            // SAFETY: a terminated name and a live buffer of the stated size.
            let size = unsafe {
                libc::fgetxattr(
                    self.fd.as_raw_fd(),
                    name.as_ptr(),
                    value.as_mut_ptr().cast(),
                    value.len(),
                )
            };
            size == 1 && value[0] == b'1'
        })
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The population of a cgroup. A poller reports its changes with [`super::Interest::Change`].
#[derive(Debug)]
pub struct Population {
    file: File,
}

impl Population {
    /// Whether the cgroup or a descendant holds a process. Reading it also arms the poller for the next change.
    ///
    /// # Errors
    /// ENODEV: the cgroup does not exist any more.
    pub fn is_populated(&self) -> io::Result<bool> {
        nix::unistd::lseek(&self.file, 0, nix::unistd::Whence::SeekSet)?;
        Ok(field(&read_all(&self.file)?, "populated") != 0)
    }
}

impl AsFd for Population {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn read_all(file: &File) -> io::Result<String> {
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The number after `name` at the beginning of a line. 0 if there is none.
fn field(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .find(|(word, _)| *word == name)
        .and_then(|(_, number)| number.trim().parse().ok())
        .unwrap_or(0)
}

/// The mount point of cgroup2 and the path of our cgroup below it. `None`: not mounted, or not visible.
fn find_mount(mounts: &str, groups: &str) -> Option<(String, String)> {
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    if own.split('/').any(|part| part == "..") {
        return None;
    }
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        if after.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        // In a container the mount may show only a part of the tree.
        let own = format!("/{own}");
        let rest = match root {
            "/" => own.as_str(),
            part => own.strip_prefix(part)?,
        };
        let inside = rest.is_empty() || rest.starts_with('/');
        inside.then(|| (unescaped(point), rest.trim_matches('/').to_owned()))
    })
}

/// Unescapes a path of mountinfo, in which blanks and the like are written as three octal digits.
fn unescaped(path: &str) -> String {
    let mut text = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        match after
            .get(..3)
            .and_then(|code| u8::from_str_radix(code, 8).ok())
        {
            Some(code) => {
                text.push(char::from(code));
                rest = &after[3..];
            }
            None => {
                text.push('\\');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::sys::{Interest, Poller};

    const LIMIT: Duration = Duration::from_secs(20);

    /// A cgroup for this test. `None`: cgroups cannot be created here.
    fn scratch(name: &str) -> Option<(Cgroup, String)> {
        let (top, own) = Cgroup::own_cgroup().ok()?;
        let parent = top.open(&own).ok()?;
        let name = format!("supervisord-test-{}-{name}", std::process::id());
        match parent.make(&name) {
            Ok(is_new) => {
                assert!(is_new);
                Some((parent, name))
            }
            Err(error) => {
                println!("skipped: no cgroup can be made here: {error}");
                None
            }
        }
    }

    /// Spawns a process in the cgroup that ignores requests to terminate.
    fn stubborn(cgroup: &Cgroup) -> std::process::Child {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM HUP INT; exec sleep 1000"]);
        let child = command.process_group(0).spawn().expect("spawned");
        cgroup
            .move_in(i32::try_from(child.id()).expect("small"))
            .expect("taken in");
        child
    }

    fn wait_until_empty(population: &Population) {
        let mut poller = Poller::new().expect("epoll");
        poller.add(population, 1, Interest::Change).expect("added");
        let begun = Instant::now();
        while population.is_populated().expect("read") {
            assert!(begun.elapsed() < LIMIT, "still populated");
            let _ = poller.wait(Some(LIMIT)).expect("waited").count();
        }
    }

    #[test]
    fn all_processes_of_a_cgroup_are_killed_with_and_without_cgroup_kill() {
        for each in [false, true] {
            let Some((parent, name)) = scratch(if each { "each" } else { "all" }) else {
                return;
            };
            let cgroup = parent.open(&name).expect("open");
            cgroup.make("below").expect("made");
            let below = cgroup.open("below").expect("open");
            let mut children = [stubborn(&cgroup), stubborn(&below)];
            let population = cgroup.population().expect("open");
            assert!(population.is_populated().expect("read"));
            assert_eq!(cgroup.pids().expect("read").len(), 1);
            assert_eq!(cgroup.count(), 2);
            assert_eq!(
                parent.remove(&name).map_err(|error| error.raw_os_error()),
                Err(Some(libc::EBUSY))
            );
            if each {
                cgroup.kill_each().expect("killed");
            } else {
                cgroup.kill().expect("killed");
            }
            for child in &mut children {
                child.wait().expect("reaped");
            }
            wait_until_empty(&population);
            parent.remove(&name).expect("removed, with what is below");
            assert_eq!(
                parent.open(&name).map(drop).map_err(|error| error.kind()),
                Err(io::ErrorKind::NotFound)
            );
            // A descriptor outlives its cgroup and then reports that the cgroup is gone.
            let gone = cgroup.make("late").expect_err("gone");
            assert!(matches!(
                gone.raw_os_error(),
                Some(libc::ENOENT | libc::ENODEV)
            ));
        }
    }

    #[test]
    fn a_divided_or_frozen_cgroup_is_not_plain() {
        let Some((parent, name)) = scratch("plain") else {
            return;
        };
        let cgroup = parent.open(&name).expect("open");
        let mut child = stubborn(&cgroup);
        assert!(cgroup.is_unmodified());
        cgroup.make("below").expect("made");
        assert!(!cgroup.is_unmodified());
        cgroup.remove("below").expect("removed");
        assert!(cgroup.is_unmodified());
        cgroup.write("cgroup.freeze", "1").expect("written");
        let begun = Instant::now();
        while cgroup.is_unmodified() {
            assert!(begun.elapsed() < LIMIT, "not frozen");
            std::thread::sleep(Duration::from_millis(1));
        }
        cgroup.kill().expect("killed");
        child.wait().expect("reaped");
        wait_until_empty(&cgroup.population().expect("open"));
        // The cgroup stays frozen without a process: any new process in it would be frozen too.
        assert!(!cgroup.is_unmodified());
        parent.remove(&name).expect("removed");
        assert!(!cgroup.is_unmodified());
    }

    #[test]
    fn a_lock_is_exclusive() {
        let Some((parent, name)) = scratch("lock") else {
            return;
        };
        let first = parent.open(&name).expect("open");
        assert!(first.lock().expect("asked"));
        let second = parent.open(&name).expect("open");
        assert!(!second.lock().expect("asked"));
        drop(first);
        assert!(second.lock().expect("asked"));
        assert!(!second.is_delegated());
        parent.remove(&name).expect("removed");
    }

    #[test]
    fn files_without_a_controller_count_nothing() {
        let Some((parent, name)) = scratch("count") else {
            return;
        };
        let cgroup = parent.open(&name).expect("open");
        let counters = cgroup.counters();
        assert_eq!((counters.oom_kill, counters.pids_max), (0, 0));
        assert!(cgroup.read("no.such").is_err() && cgroup.write("no.such", "1").is_err());
        parent.remove(&name).expect("removed");
        assert_eq!(field("low 1\noom_kill 7\noom 8\n", "oom_kill"), 7);
        assert_eq!(field("low 1\n", "oom_kill"), 0);
    }

    #[test]
    fn an_own_cgroup_is_writable() {
        let Some((parent, name)) = scratch("writable") else {
            return;
        };
        let cgroup = parent.open(&name).expect("open");
        assert!(cgroup.check_writable().is_ok());
        parent.remove(&name).expect("removed");
        assert!(cgroup.check_writable().is_err(), "it is gone");
    }

    #[test]
    fn our_cgroup_is_found_for_any_mount_point() {
        let whole =
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let hybrid = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let part = "30 23 0:26 /docker/1 /sys/fs/a\\040b ro - cgroup2 cgroup rw\n";
        for (mounts, groups, expected) in [
            (
                whole,
                "0::/system.slice/x.service\n",
                Some(("/sys/fs/cgroup", "system.slice/x.service")),
            ),
            (whole, "0::/\n", Some(("/sys/fs/cgroup", ""))),
            (
                hybrid,
                "9:name=systemd:/a\n0::/b\n",
                Some(("/sys/fs/cgroup/unified", "b")),
            ),
            (part, "0::/docker/1/c\n", Some(("/sys/fs/a b", "c"))),
            (part, "0::/docker/1\n", Some(("/sys/fs/a b", ""))),
            (part, "0::/docker/12\n", None),
            (part, "0::/\n", None),
            (whole, "0::/../x\n", None),
            (whole, "1:cpu:/\n", None),
            (
                "32 31 0:29 / /c rw - cgroup cgroup rw,cpu\n",
                "0::/\n",
                None,
            ),
        ] {
            let found = find_mount(mounts, groups);
            let found = found
                .as_ref()
                .map(|(point, own)| (point.as_str(), own.as_str()));
            assert_eq!(found, expected, "{groups}");
        }
    }
}
