//! The question before an upgrade: can the program on disk continue from the state of this daemon? The program reads a
//! [`Checkpoint`] on its standard input, tries to restore it and answers on its standard output.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::checkpoint::{Checkpoint, write_checkpoint};
use super::exec::VARIABLE;
use crate::cli::options;
use crate::config::lookup::Lookup;
use crate::config::spec::Config;
use crate::core::{Fleet, Snapshot};
use crate::sys;

/// The option that asks a program whether it can take over the state on its standard input. A program that does not
/// know the option exits with an error, which counts as a refusal.
pub const QUESTION: &str = "--approve-handover";
/// The output of a program that can take over.
const AGREED: &str = "agreed";
/// How long a program may examine the state.
const EXAMINE_WITHIN: Duration = Duration::from_secs(20);
/// Maximum length of its output in bytes.
const ANSWER_BYTES: usize = 4096;
/// Maximum number of characters of its output that are shown.
const REASON_CHARS_MAX: usize = 300;

/// Asks `program` whether it can take over. It may block.
///
/// # Errors
/// Why it cannot, or why there is no answer.
pub fn ask_successor(
    program: &Path,
    config: &Arc<Config>,
    snapshot: &Snapshot,
) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", program.display());
    // Include the configuration, since versions before 5.1 require it.
    let state = write_checkpoint(Some(config), snapshot).map_err(|error| said(&error))?;
    let mut command = Command::new(program);
    command
        .arg(QUESTION)
        .args(std::env::args_os().skip(1))
        // The program must only answer, and must not contact the service manager.
        .env_remove(VARIABLE)
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC");
    let answer = sys::output_of(
        &mut command,
        Stdio::from(state),
        ANSWER_BYTES,
        EXAMINE_WITHIN,
    )
    .map_err(|error| said(&error))?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.trim() {
        AGREED => Ok(()),
        "" => Err(said(&"it cannot adopt the processes")),
        other => Err(said(&in_a_line(other))),
    }
}

/// Returns the output of a program in a form that is safe for the log and a terminal.
fn in_a_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(REASON_CHARS_MAX).map(plain).collect()
}

/// The other side of [`ask_successor`]: examines the state on standard input and prints whether this program could
/// continue from it.
#[must_use]
pub fn answer_question(arguments: &[String], lookup: &dyn Lookup) -> ExitCode {
    match check_state(arguments, lookup) {
        Ok(()) => {
            println!("{AGREED}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn check_state(arguments: &[String], lookup: &dyn Lookup) -> Result<(), String> {
    options::parse_options(arguments, lookup)?;
    let checkpoint = Checkpoint::read(&std::io::stdin())?;
    let _fleet = Fleet::restore(checkpoint.snapshot, sys::now());
    Ok(())
}
