//! Queries of the kernel: its version, random numbers, page and tick sizes, and the subreaper flag.
#![expect(unsafe_code, reason = "uname and getrandom")]

use std::ffi::CStr;
use std::io;

/// The oldest Linux with everything we use (close_range, pidfds and waitid on them).
const OLDEST: (u32, u32) = (5, 10);

/// The kernel is too old.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("supervisord needs Linux {}.{} or later; this is Linux {release}", OLDEST.0, OLDEST.1)]
pub struct KernelTooOld {
    /// The kernel's release string.
    pub release: String,
}

/// Checks that the kernel is new enough. An unreadable release string passes, because a guess must not stop the
/// daemon.
///
/// # Errors
/// The kernel is older than Linux 5.10.
pub fn check_kernel() -> Result<(), KernelTooOld> {
    check_release(release())
}

fn check_release(release: String) -> Result<(), KernelTooOld> {
    match parse_release(&release) {
        Some(version) if version < OLDEST => Err(KernelTooOld { release }),
        _ => Ok(()),
    }
}

/// The kernel's release string, e.g. `6.1.0-18-amd64`. Empty if it cannot be read.
#[must_use]
pub fn release() -> String {
    // SAFETY: an all-zero struct of character arrays is a valid one.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is live and writable.
    if unsafe { libc::uname(&raw mut names) } == -1 {
        return String::new();
    }
    // SAFETY: the kernel terminates each name within its array.
    let name = unsafe { CStr::from_ptr(names.release.as_ptr()) };
    name.to_string_lossy().into_owned()
}

/// The first two numbers of a release string.
fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The PID of our parent process.
#[must_use]
pub fn parent_pid() -> i32 {
    nix::unistd::getppid().as_raw()
}

/// Returns an unpredictable random number.
///
/// # Errors
/// EINTR is retried; a supported kernel has no other.
///
/// # Source
/// getrandom(2).
pub fn random_seed() -> io::Result<u64> {
    let mut bytes = [0u8; 8];
    loop {
        // SAFETY: the buffer is live, writable and as long as stated.
        let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        // The kernel returns requests of up to 256 bytes completely.
        if count == 8 {
            return Ok(u64::from_ne_bytes(bytes));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// The size of a memory page in bytes, and the number of clock ticks per second in /proc.
///
/// # Source
/// sysconf(3), `_SC_PAGESIZE` and `_SC_CLK_TCK`; both are known on every Linux.
#[must_use]
pub fn page_and_tick_sizes() -> (u64, u64) {
    // SAFETY: no memory is involved.
    let (page, ticks) = unsafe {
        (
            libc::sysconf(libc::_SC_PAGESIZE),
            libc::sysconf(libc::_SC_CLK_TCK),
        )
    };
    let or = |value: libc::c_long, known: u64| {
        u64::try_from(value)
            .ok()
            .filter(|n| *n > 0)
            .unwrap_or(known)
    };
    (or(page, 4096), or(ticks, 100))
}

/// Makes this process a subreaper: orphans among its descendants become its children.
///
/// # Errors
/// None on a supported kernel.
///
/// # Source
/// PR_SET_CHILD_SUBREAPER(2const).
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Whether this process is a subreaper.
///
/// # Source
/// PR_GET_CHILD_SUBREAPER(2const).
#[must_use]
pub fn is_subreaper() -> bool {
    nix::sys::prctl::get_child_subreaper().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        for (release, fits) in [
            ("5.10.0", true),
            ("5.9.16-200.fc33", false),
            ("4.19.0-26-amd64", false),
            ("6.1.0-18-amd64", true),
            ("5.10", true),
            ("10.0-rc1", true),
            ("", true),
            ("strange", true),
        ] {
            assert_eq!(check_release(release.to_owned()).is_ok(), fits, "{release}");
        }
        assert_eq!(check_kernel(), Ok(()));
        assert_eq!(
            check_release("5.4.0".to_owned())
                .expect_err("too old")
                .to_string(),
            "supervisord needs Linux 5.10 or later; this is Linux 5.4.0"
        );
    }

    #[test]
    fn page_and_tick_sizes_are_plausible() {
        let (page, ticks) = page_and_tick_sizes();
        assert!(page.is_power_of_two() && page >= 4096);
        assert!(ticks >= 100);
    }

    #[test]
    fn seeds_differ() {
        assert_ne!(random_seed().expect("seed"), random_seed().expect("seed"));
    }
}
