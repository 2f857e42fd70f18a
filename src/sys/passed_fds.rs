//! Takes ownership of descriptors that were passed to this process at its start.
#![expect(
    unsafe_code,
    reason = "a bare number becomes an owned descriptor, once"
)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, fcntl};

/// Whether the descriptors have been taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes ownership of the descriptors with these numbers. Later calls return nothing.
///
/// # Errors
/// EBADF: a descriptor is not open, is 0, 1 or 2, or is listed twice. Nothing is taken then.
pub fn take_passed(numbers: &[RawFd]) -> io::Result<Vec<OwnedFd>> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    for (place, &number) in numbers.iter().enumerate() {
        if number <= libc::STDERR_FILENO || numbers[..place].contains(&number) {
            return Err(nix::errno::Errno::EBADF.into());
        }
        // SAFETY: the descriptor is only queried, for the length of the call; a number that is not open is EBADF.
        fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_GETFD)?;
    }
    // SAFETY: each is open and listed once. They were open when the process started, so that no value of ours can own
    // one; TAKEN keeps them from being taken twice.
    let owned = |&number| unsafe { OwnedFd::from_raw_fd(number) };
    Ok(numbers.iter().map(owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn a_closed_number_is_refused_and_a_taken_one_is_gone() {
        // One test, because a process can take them only once.
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
