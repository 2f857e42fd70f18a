//! Watches the executables and directories of programs on a thread of its own, and reports their changes. The kernel
//! reports most of them (inotify). Where it cannot, stamps of files are compared now and then. The core decides what
//! follows.

mod binary;
mod directories;
mod paths;
mod stamps;
mod thread;
mod tree;

pub use thread::{WatchHandle, start};
