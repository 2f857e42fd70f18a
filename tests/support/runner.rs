//! Runs tests that are made at run time, with the options and the output of `cargo test`.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed};

/// How many tests run at once unless `--test-threads` says otherwise. Most of them wait, so it is more than there are cores.
const THREADS: usize = 6;

/// The result of a test that did not fail.
pub enum Outcome {
    /// It ran.
    Passed,
    /// It cannot run here, with the reason.
    Skipped(String),
}

/// One named test.
pub struct Trial(libtest_mimic::Trial);

impl Trial {
    /// A test called `name`. An error of `run` is the report of its failure.
    pub fn new(
        name: impl Into<String>,
        run: impl FnOnce() -> Result<Outcome, String> + Send + 'static,
    ) -> Self {
        Self(libtest_mimic::Trial::ignorable_test(
            name,
            move || match run() {
                Ok(Outcome::Passed) => Ok(Completion::Completed),
                Ok(Outcome::Skipped(why)) => Ok(Completion::ignored_with(why)),
                Err(why) => Err(Failed::from(why)),
            },
        ))
    }
}

/// Runs the tests that the arguments of this program choose.
pub fn run(tests: Vec<Trial>) -> ExitCode {
    run_with(std::env::args().collect(), tests)
}

/// Runs the tests that `arguments` choose; the first is the name of this program.
pub fn run_with(arguments: Vec<String>, tests: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_iter(arguments);
    arguments.test_threads.get_or_insert(THREADS);
    // The text of a panic is in the report of its test.
    std::panic::set_hook(Box::new(|_| ()));
    let tests = tests.into_iter().map(|trial| trial.0).collect();
    libtest_mimic::run(&arguments, tests).exit_code()
}
