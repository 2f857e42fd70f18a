//! `supervisord init`: writes a sample configuration to a new file.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::process::ExitCode;

use super::print::print;
use crate::cli::subcommand::InitArgs;
use crate::config::render;

/// Writes the sample. Exit status 1: the file exists, or cannot be written.
pub(super) fn run_init(argv0: &str, args: &InitArgs) -> ExitCode {
    if args.output == "-" {
        return print(&render::sample());
    }
    match write_new(&args.output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::AlreadyExists => {
                    "it exists already (remove it, or name another file)".to_owned()
                }
                _ => error.to_string(),
            };
            eprintln!("{argv0}: cannot write {}: {why}", args.output);
            ExitCode::FAILURE
        }
    }
}

/// Writes a file that does not exist yet, so that a link placed there by somebody else is not followed.
fn write_new(path: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(render::sample().as_bytes())
}
