//! Runs the subcommand: prints the sections of the given units to standard output.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;

use super::find;
use super::translate::{TranslateInput, translate};
use crate::cli::subcommand::ImportArgs;
use crate::config::lookup::Lookup;

/// Prints a section for each unit. Errors of a unit go to standard error, and the other units are still printed. The
/// exit status is 1 if there was an error.
#[must_use]
pub fn run_import(argv0: &str, args: &ImportArgs, lookup: &dyn Lookup) -> ExitCode {
    let world = TranslateInput {
        lookup,
        environment_file: &find::environment_file,
    };
    let mut names = BTreeSet::new();
    let mut texts = Vec::new();
    let mut is_complete = true;
    for word in &args.units {
        let translated = find::find_unit(word, &args.stdin_name)
            .map_err(|error| vec![error])
            .and_then(|unit| translate(&unit, &world));
        match translated {
            Ok(mut section) => {
                // Sections with the same name would be merged.
                while !names.insert(section.name.clone()) {
                    section.name.push('_');
                }
                texts.push(section.render());
            }
            Err(errors) => {
                is_complete = false;
                for error in errors {
                    eprintln!("{argv0}: {error}");
                }
            }
        }
    }
    // A closed pipe, as in `supervisord import … | head`, is no error.
    let _ = std::io::stdout().write_all(texts.join("\n").as_bytes());
    ExitCode::from(u8::from(!is_complete))
}
