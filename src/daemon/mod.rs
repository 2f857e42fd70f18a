//! Start-up and shut-down of the daemon.

pub mod check;
pub mod machine;
