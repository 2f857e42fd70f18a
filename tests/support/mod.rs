//! The harness that the black-box targets share: temporary places, daemons and clients as processes, waiting with
//! limits, a client of the wire, the test child program, the runner of named trials.
//!
//! It must know nothing of the library it tests but the list of log lines: everything goes over the public surface.

pub mod daemon;
mod fake_server;
mod hostile;
mod listener;
pub mod machine;
pub mod notifier;
pub mod numbered;
pub mod proc;
pub mod runner;
pub mod temp_dir;
pub mod test_child;
pub mod thread;
pub mod wire;

use std::time::{Duration, Instant};

/// How long a condition is waited for unless a test says otherwise: generous, because machines are shared.
pub const LIMIT: Duration = Duration::from_secs(40);

/// How often a condition is asked for.
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
