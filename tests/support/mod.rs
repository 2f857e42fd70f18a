//! The harness that the test targets share: temporary directories, daemons and clients as processes, waiting with
//! limits, a client of the protocols, the test child program, the runner of named tests.
//!
//! The harness uses only the list of log lines of the library that it tests. Everything else goes through public
//! interfaces.

pub mod certificates;
pub mod daemon;
mod fake_server;
pub mod help;
mod hostile;
mod listener;
pub mod machine;
pub mod nacos;
pub mod notifier;
pub mod numbered;
pub mod proc;
pub mod runner;
pub mod source_document;
pub mod temp_dir;
pub mod test_child;
pub mod thread;
pub mod wire;

use std::time::{Duration, Instant};

/// Default time limit for a condition. It is generous, because machines are shared.
pub const LIMIT: Duration = Duration::from_secs(40);

/// The pause between two checks of a condition.
const POLL: Duration = Duration::from_millis(25);

/// Waits until `condition` holds.
///
/// # Errors
/// `what` was not true within `limit`.
pub fn wait_for(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> bool,
) -> Result<(), String> {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return Ok(());
        }
        if Instant::now() >= end {
            return Err(format!("not within {limit:?}: {what}"));
        }
        std::thread::sleep(POLL);
    }
}

/// Fails with `what` unless `condition`.
///
/// # Errors
/// `what`.
pub fn expect(condition: bool, what: impl Into<String>) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what.into()) }
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
