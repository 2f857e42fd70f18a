//! Runs tests that change the whole process in a fork.
#![expect(unsafe_code, reason = "fork, in tests only")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, IntoRawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `test` in a fork, and fails if it panics there. `test` gets a file. Returns what the test or its children
/// write to that file, after all of them have closed it.
pub(super) fn run_forked(test: impl FnOnce(File)) -> String {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    // SAFETY: the child has one thread. The C library makes its allocator usable in it, and it exits only by `_exit`.
    let pid = unsafe { libc::fork() };
    assert_ne!(pid, -1);
    if pid == 0 {
        drop(reader);
        // SAFETY: the number was just released, so only we own it.
        let file = unsafe { File::from_raw_fd(std::os::fd::OwnedFd::from(writer).into_raw_fd()) };
        let mut report = file.try_clone().expect("duplicate");
        let result = catch_unwind(AssertUnwindSafe(|| test(file)));
        if let Err(payload) = &result {
            let text = payload
                .downcast_ref::<String>()
                .map_or("panicked", String::as_str);
            let _ = report.write_all(text.as_bytes());
        }
        // SAFETY: ends the fork without running the harness's exit handlers.
        unsafe { libc::_exit(i32::from(result.is_err())) };
    }
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("read");
    let mut status = 0;
    // SAFETY: our own child; the status is live and writable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the fork failed: {text}");
    text
}
