//! The verb: words of the command line → sections on standard output.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;

use super::find;
use super::translate::{TranslateInput, translate};
use crate::config::lookup::Lookup;
use crate::config::subcommand::{NAME, ParsedArgs};

/// What the unit on standard input is called if nobody says.
const STDIN_NAME: &str = "stdin";

/// Prints a section for each unit; a unit that cannot be translated is said on standard error, and the others are printed all
/// the same. Answers status 1 if there was one.
#[must_use]
pub fn run_import(argv0: &str, parsed: &ParsedArgs, lookup: &dyn Lookup) -> ExitCode {
    let stdin_name = parsed.option(NAME).unwrap_or(STDIN_NAME);
    let world = TranslateInput {
        lookup,
        environment_file: &find::environment_file,
    };
    let mut names = BTreeSet::new();
    let mut texts = Vec::new();
    let mut is_complete = true;
    for word in &parsed.words {
        let translated = find::find_unit(word, stdin_name)
            .map_err(|error| vec![error])
            .and_then(|unit| translate(&unit, &world));
        match translated {
            Ok(mut section) => {
                // Two sections of one name would be one.
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
    // A closed pipe behind `supervisord import … | head` is nobody's fault.
    let _ = std::io::stdout().write_all(texts.join("\n").as_bytes());
    ExitCode::from(u8::from(!is_complete))
}
