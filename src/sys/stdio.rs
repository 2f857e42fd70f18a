//! The ends of a process's pipes that become its descriptors.

use std::os::fd::OwnedFd;

/// The files that become a child's descriptors 0, 1 and 2. All are close-on-exec in the daemon.
#[derive(Debug)]
pub struct ChildStdio {
    /// Read end of its standard input, or another file in its place. `None`: /dev/null.
    pub stdin: Option<OwnedFd>,
    /// Write end of its standard output.
    pub stdout: OwnedFd,
    /// Write end of its standard error. `None`: the same as standard output.
    pub stderr: Option<OwnedFd>,
    /// One more descriptor, and its number in the child: 3 or higher.
    pub ready: Option<(OwnedFd, u16)>,
}
