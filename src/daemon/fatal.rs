//! Errors that end the daemon before or between its runs, and how they are printed.

use std::process::ExitCode;

use crate::config::{ConfigErrors, ConfigProblem};

/// The exit status for every error before the daemon runs, and for a configuration with errors in `--check`.
pub(super) const USAGE: u8 = 2;

/// An error that ends the daemon before or between its runs.
#[derive(Debug)]
pub(super) enum Fatal {
    /// A wrong option or environment. Printed as Supervisor's two lines; status 2.
    Usage(String),
    /// The configuration has errors; status 2.
    Config(ConfigErrors),
    /// An error for which Supervisor prints a traceback; status 1.
    Internal(String),
}

/// Prints why the daemon exits. Supervisor's two lines come first and alone on their lines; further details follow.
pub(super) fn fail(argv0: &str, fatal: &Fatal) -> ExitCode {
    let (sentence, status) = match fatal {
        Fatal::Usage(sentence) => (sentence, USAGE),
        Fatal::Config(errors) => (&errors.first, USAGE),
        Fatal::Internal(sentence) => (sentence, 1),
    };
    eprintln!("Error: {sentence}\nFor help, use {argv0} -h");
    if let Fatal::Config(errors) = fatal {
        // A problem without a position is the one in the first two lines. `--check` explains it.
        let has_place = |problem: &&ConfigProblem| problem.line != 0;
        for problem in errors.all.iter().filter(has_place) {
            eprintln!("{problem}");
        }
    }
    ExitCode::from(status)
}

/// Returns a function that turns an I/O error into [`Fatal::Internal`]. `what` names the failed operation.
pub(super) fn internal(what: &'static str) -> impl FnOnce(std::io::Error) -> Fatal {
    move |error| Fatal::Internal(format!("{what}: {error}"))
}
