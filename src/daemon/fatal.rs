//! What ends the daemon before or between its rounds, and how it says so.

use std::process::ExitCode;

use crate::config::{ConfigErrors, ConfigProblem};

/// Exit status of every error before the daemon runs, and of a configuration that `--check` finds wrong.
pub(super) const USAGE: u8 = 2;

/// An error that ends the daemon before (or between) its rounds.
#[derive(Debug)]
pub(super) enum Fatal {
    /// Printed as Supervisor's two lines; status 2.
    Usage(String),
    /// The configuration is wrong; status 2.
    Config(ConfigErrors),
    /// Something that Supervisor ends with a traceback; status 1.
    Internal(String),
}

/// Says why the daemon ends. Supervisor's two lines come first, alone; what we know beyond them follows.
pub(super) fn fail(argv0: &str, fatal: &Fatal) -> ExitCode {
    let (sentence, status) = match fatal {
        Fatal::Usage(sentence) => (sentence, USAGE),
        Fatal::Config(errors) => (&errors.first, USAGE),
        Fatal::Internal(sentence) => (sentence, 1),
    };
    eprintln!("Error: {sentence}\nFor help, use {argv0} -h");
    if let Fatal::Config(errors) = fatal {
        // What stands nowhere is what the two lines say; `--check` says why.
        let has_place = |problem: &&ConfigProblem| problem.line != 0;
        for problem in errors.all.iter().filter(has_place) {
            eprintln!("{problem}");
        }
    }
    ExitCode::from(status)
}

/// Says what could not be done, as an error that ends the daemon with status 1.
pub(super) fn internal(what: &'static str) -> impl FnOnce(std::io::Error) -> Fatal {
    move |error| Fatal::Internal(format!("{what}: {error}"))
}
