//! Prints a text that the command line asks for.

use std::io::Write as _;
use std::process::ExitCode;

pub(super) fn print(text: &str) -> ExitCode {
    // A closed pipe, as in `supervisord --help | head`, is no error.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
