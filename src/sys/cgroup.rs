//! Control groups, version 2: directories that hold processes. Everything is done relative to a descriptor of such a
//! directory, so that no path can be led elsewhere. Knows no programs and no layout.
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

/// Bytes of a file that are read at most: a list of half a million processes.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Bytes of `cgroup.events` at most.
const EVENTS_BYTES_MAX: usize = 256;
/// How deep a tree is removed. The kernel itself may allow more (`cgroup.max.depth`).
const DEPTH_MAX: u32 = 64;
/// Rounds in which processes are killed one by one, where the kernel cannot kill them all at once.
const KILL_ROUNDS_MAX: usize = 32;

/// A directory of the tree.
#[derive(Debug)]
pub struct Cgroup {
    fd: OwnedFd,
}

/// How often limits were met in a cgroup and below it, since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupEvents {
    /// Processes that were killed for want of memory.
    pub oom_kill: u64,
    /// Processes that could not be made.
    pub pids_max: u64,
    /// Times that it was made to give memory back.
    pub memory_high: u64,
}

impl Cgroup {
    /// The top of what is mounted here, and the path of our own cgroup from there, without a slash at its ends.
    ///
    /// # Errors
    /// ENOENT: no cgroup2 is mounted, or we are outside of what is.
    ///
    /// # Source
    /// proc_pid_mountinfo(5), cgroups(7), "/proc files".
    pub fn own_cgroup() -> io::Result<(Self, String)> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let groups = std::fs::read_to_string("/proc/self/cgroup")?;
        let (point, own) = find_mount(&mounts, &groups).ok_or(io::ErrorKind::NotFound)?;
        let top = File::open(point)?;
        Ok((Self { fd: top.into() }, own))
    }

    /// The directory of this name, or at this path, below.
    ///
    /// # Errors
    /// ENOENT, ENODEV: it is gone. EMFILE.
    pub fn open(&self, path: &str) -> io::Result<Self> {
        let path = if path.is_empty() { "." } else { path };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(&self.fd, path, flags, Mode::empty())?;
        Ok(Self { fd })
    }

    /// Makes a directory below; answers false if it was there.
    ///
    /// # Errors
    /// ENOENT, ENODEV: this one is gone. EACCES, EPERM, EROFS: it is not ours. EAGAIN: the tree has a bound here.
    pub fn make(&self, name: &str) -> io::Result<bool> {
        match mkdirat(&self.fd, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether we may arrange what is in it. A directory that somebody left says nothing of that: it can be opened and
    /// locked on a mount that may only be read.
    ///
    /// # Errors
    /// EROFS, EACCES: not ours. ENOENT, ENODEV: it is gone.
    pub fn check_writable(&self) -> io::Result<()> {
        let (flags, how) = (AccessFlags::W_OK, AtFlags::AT_EACCESS);
        Ok(faccessat(&self.fd, "cgroup.procs", flags, how)?)
    }

    /// Removes a directory and all below it. Nothing of it may hold a process, zombies apart.
    ///
    /// # Errors
    /// EBUSY: it holds a process, or more below it than anybody makes in earnest. ENOENT: it is gone.
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

    /// The names of the directories below.
    ///
    /// # Errors
    /// ENODEV: this one is gone. EMFILE.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", self.fd.as_raw_fd()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                // Names of ours are UTF-8; what is not cannot be one.
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    /// What stands in one of its files.
    ///
    /// # Errors
    /// ENOENT: there is no such file, for its controller is not enabled. ENODEV: the cgroup is gone. EOPNOTSUPP.
    pub fn read(&self, file: &str) -> io::Result<String> {
        read_all(&self.file(file, OFlag::O_RDONLY)?)
    }

    /// Writes to one of its files, in one piece.
    ///
    /// # Errors
    /// As [`Cgroup::read`]; EACCES, EINVAL, ERANGE, EBUSY: the kernel refuses it.
    pub fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let mut file = self.file(file, OFlag::O_WRONLY)?;
        file.write_all(text.as_bytes())
    }

    fn file(&self, name: &str, access: OFlag) -> io::Result<File> {
        let flags = access | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(openat(&self.fd, name, flags, Mode::empty())?.into())
    }

    /// The processes in it, not those below.
    ///
    /// # Errors
    /// As [`Cgroup::read`].
    pub fn pids(&self) -> io::Result<Vec<i32>> {
        let text = self.read("cgroup.procs")?;
        // 0 is a process of another namespace, which nobody here can name.
        let pids = text.lines().filter_map(|line| line.parse().ok());
        Ok(pids.filter(|&pid| pid > 0).collect())
    }

    /// The processes in it and below it, as far as they can be counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count_to(DEPTH_MAX)
    }

    /// The same by their numbers, as far as they can be named. A program may have divided its cgroup.
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

    /// Moves a process in.
    ///
    /// # Errors
    /// As [`Cgroup::write`]; ESRCH: there is none. Moving takes a lock on all processes of the machine: it is dear.
    pub fn move_in(&self, pid: i32) -> io::Result<()> {
        self.write("cgroup.procs", &pid.to_string())
    }

    /// Through this a process can move itself in, by writing `0`.
    ///
    /// # Errors
    /// As [`Cgroup::write`].
    pub(super) fn open_procs(&self) -> io::Result<File> {
        self.file("cgroup.procs", OFlag::O_WRONLY)
    }

    /// Whether it or any below it holds a process. Zombies do not count.
    ///
    /// # Errors
    /// As [`Cgroup::read`].
    pub fn is_populated(&self) -> io::Result<bool> {
        self.population()?.is_populated()
    }

    /// Whether it is as when it was made: nothing below it, and not frozen. Its processes do not matter, nor its limits.
    #[must_use]
    pub fn is_unmodified(&self) -> bool {
        // A directory has a link more for each one in it.
        let has_nothing_below = nix::sys::stat::fstat(&self.fd).is_ok_and(|it| it.st_nlink == 2);
        has_nothing_below && self.is_thawed().unwrap_or(false)
    }

    fn is_thawed(&self) -> io::Result<bool> {
        let file = self.file("cgroup.events", OFlag::O_RDONLY)?;
        // It has two short lines; one call has them all.
        let mut text = [0; EVENTS_BYTES_MAX];
        let length = nix::unistd::read(&file, &mut text)?;
        let text = std::str::from_utf8(&text[..length]).map_err(io::Error::other)?;
        Ok(field(text, "frozen") == 0)
    }

    /// Its population, to be waited for.
    ///
    /// # Errors
    /// As [`Cgroup::read`].
    pub fn population(&self) -> io::Result<Population> {
        let file = self.file("cgroup.events", OFlag::O_RDONLY)?;
        Ok(Population { file })
    }

    /// Sends SIGKILL to everything in it and below it, and to whatever that is just making.
    ///
    /// # Errors
    /// As [`Cgroup::write`].
    pub fn kill(&self) -> io::Result<()> {
        match self.write("cgroup.kill", "1") {
            // Linux 5.14 is the first that has it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.kill_each(),
            result => result,
        }
    }

    /// The same, process by process: again and again, for what is killed may just have made another.
    fn kill_each(&self) -> io::Result<()> {
        for _ in 0..KILL_ROUNDS_MAX {
            if self.kill_once(DEPTH_MAX)? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Answers how many there were.
    fn kill_once(&self, depth: u32) -> io::Result<usize> {
        let mut count = 0;
        for pid in self.pids()? {
            let Ok(pidfd) = open_pidfd(pid) else {
                continue;
            };
            // The number may be another's by now; once the descriptor is there, it cannot become another's.
            if self.pids()?.contains(&pid) {
                let _ = send_signal(&pidfd, Signal::KILL);
                count += 1;
            }
        }
        if depth > 0 {
            for name in self.names()? {
                // It may have been removed meanwhile.
                if let Ok(below) = self.open(&name) {
                    count += below.kill_once(depth - 1)?;
                }
            }
        }
        Ok(count)
    }

    /// What limits were met. What cannot be read counts as none.
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

    /// The controllers that the cgroups below can be given.
    ///
    /// # Errors
    /// As [`Cgroup::read`].
    pub fn controllers(&self) -> io::Result<Vec<String>> {
        let text = self.read("cgroup.controllers")?;
        Ok(text.split_ascii_whitespace().map(str::to_owned).collect())
    }

    /// Gives the cgroups below a controller.
    ///
    /// # Errors
    /// As [`Cgroup::write`]; ENOENT: there is no such controller here. EBUSY: it has processes of its own.
    pub fn enable(&self, controller: &str) -> io::Result<()> {
        self.write("cgroup.subtree_control", &format!("+{controller}"))
    }

    /// Takes it for this process, until the descriptor is closed; answers false if another has it.
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

    /// The service manager has marked it as somebody else's to arrange (`Delegate=`).
    ///
    /// # Source
    /// systemd's CGROUP_DELEGATION, "Delegation": `trusted.delegate`, and `user.delegate` for who is not root.
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

/// Whether a cgroup holds processes; with [`super::Interest::Change`] a poller says when that changes.
#[derive(Debug)]
pub struct Population {
    file: File,
}

impl Population {
    /// Whether the cgroup, or any below it, holds a process. Asking also makes the next change heard.
    ///
    /// # Errors
    /// ENODEV: the cgroup is gone.
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

/// The number behind a word at the beginning of a line.
fn field(text: &str, name: &str) -> u64 {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines
        .find(|(word, _)| *word == name)
        .and_then(|(_, number)| number.trim().parse().ok())
        .unwrap_or(0)
}

/// Where cgroup2 is mounted, and where we are from there on.
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
        // A container may see a part of the tree only.
        let own = format!("/{own}");
        let rest = match root {
            "/" => own.as_str(),
            part => own.strip_prefix(part)?,
        };
        let inside = rest.is_empty() || rest.starts_with('/');
        inside.then(|| (unescaped(point), rest.trim_matches('/').to_owned()))
    })
}

/// A path of mountinfo, in which blanks and the like stand as three octal digits.
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

    /// A cgroup for this test alone, where one can be made.
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

    /// A process in a cgroup, that cannot be asked to end.
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
    fn what_is_in_it_is_killed_whichever_way() {
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
            // A descriptor of it outlives it, and says so.
            let gone = cgroup.make("late").expect_err("gone");
            assert!(matches!(
                gone.raw_os_error(),
                Some(libc::ENOENT | libc::ENODEV)
            ));
        }
    }

    #[test]
    fn one_that_was_divided_or_frozen_is_not_plain() {
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
        // It stays so without a process: whatever is made in it stands still.
        assert!(!cgroup.is_unmodified());
        parent.remove(&name).expect("removed");
        assert!(!cgroup.is_unmodified());
    }

    #[test]
    fn a_lock_is_had_once() {
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
    fn one_that_is_ours_can_be_written() {
        let Some((parent, name)) = scratch("writable") else {
            return;
        };
        let cgroup = parent.open(&name).expect("open");
        assert!(cgroup.check_writable().is_ok());
        parent.remove(&name).expect("removed");
        assert!(cgroup.check_writable().is_err(), "it is gone");
    }

    #[test]
    fn our_place_is_found_however_it_is_mounted() {
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
