//! The ends of a process's pipes that become its descriptors.

use std::os::fd::OwnedFd;

/// What the child will have as descriptors 0, 1 and 2. All are close-on-exec here.
#[derive(Debug)]
pub struct ChildStdio {
    /// Read end of its standard input, or what it has in its place; none: the null device.
    pub stdin: Option<OwnedFd>,
    /// Write end of its standard output.
    pub stdout: OwnedFd,
    /// Write end of its standard error; none: the same as standard output.
    pub stderr: Option<OwnedFd>,
    /// One more descriptor, and the number that it has there: 3 or higher.
    pub ready: Option<(OwnedFd, u16)>,
}
