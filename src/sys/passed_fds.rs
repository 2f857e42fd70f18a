//! Descriptors that this process was started with, and that are its own to keep.
#![expect(
    unsafe_code,
    reason = "a bare number becomes an owned descriptor, once"
)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, fcntl};

/// Somebody has taken them.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the descriptors of these numbers into possession, the first time; later there is nothing left to take.
///
/// # Errors
/// EBADF: one of them is not open, or is one of 0, 1 and 2, or stands there twice. Nothing is taken then.
pub fn take_passed(numbers: &[RawFd]) -> io::Result<Vec<OwnedFd>> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    for (place, &number) in numbers.iter().enumerate() {
        if number <= libc::STDERR_FILENO || numbers[..place].contains(&number) {
            return Err(nix::errno::Errno::EBADF.into());
        }
        // SAFETY: only asked about, for the length of the call; a number that is not open is EBADF.
        fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_GETFD)?;
    }
    // SAFETY: each is open, and named once. They were open when the process started, so that no value of ours can own
    // one; that nobody takes them twice is what TAKEN is for.
    let owned = |&number| unsafe { OwnedFd::from_raw_fd(number) };
    Ok(numbers.iter().map(owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn what_is_not_open_is_refused_and_what_is_taken_is_gone() {
        // One test, because a process takes once.
        let number = io::pipe().expect("pipe").0.into_raw_fd();
        let taken = take_passed(&[number]).expect("open");
        assert_eq!(taken.len(), 1);
        assert!(take_passed(&[number]).expect("nothing").is_empty());
        drop(taken);
        TAKEN.store(false, Ordering::Relaxed);
        assert!(take_passed(&[9999]).is_err());
        for list in [vec![0], vec![-1], vec![number, number]] {
            TAKEN.store(false, Ordering::Relaxed);
            assert!(take_passed(&list).is_err(), "{list:?}");
        }
    }
}
