//! Runs tests that are generated at run time, with the options and the output of `cargo test`.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed};

/// Tests that run at once unless `--test-threads` is given. Most tests wait, so the number exceeds the number of cores.
const THREADS: usize = 6;

/// Tests that take this long are named at the end with their times.
const LONG: Duration = Duration::from_secs(10);

/// The tests that took [`LONG`].
static LONG_TESTS: Mutex<Vec<(Duration, String)>> = Mutex::new(Vec::new());

/// The result of a test that did not fail.
pub enum Outcome {
    /// It ran.
    Passed,
    /// It cannot run here, for this reason.
    Skipped(String),
}

/// One named test.
pub struct Trial(libtest_mimic::Trial);

impl Trial {
    /// A test called `name`. An error of `run` is its failure message.
    pub fn new(
        name: impl Into<String>,
        run: impl FnOnce() -> Result<Outcome, String> + Send + 'static,
    ) -> Self {
        let name: String = name.into();
        Self(libtest_mimic::Trial::ignorable_test(
            name.clone(),
            move || {
                let begun = Instant::now();
                let outcome = run();
                let took = begun.elapsed();
                if took >= LONG {
                    let mut long = LONG_TESTS.lock().unwrap_or_else(PoisonError::into_inner);
                    long.push((took, name));
                }
                match outcome {
                    Ok(Outcome::Passed) => Ok(Completion::Completed),
                    Ok(Outcome::Skipped(why)) => Ok(Completion::ignored_with(why)),
                    Err(why) => Err(Failed::from(why)),
                }
            },
        ))
    }
}

/// Runs the tests that the arguments of this program select.
pub fn run(tests: Vec<Trial>) -> ExitCode {
    run_with(std::env::args().collect(), tests)
}

/// Runs the tests that `arguments` select. The first argument is the name of this program.
pub fn run_with(arguments: Vec<String>, tests: Vec<Trial>) -> ExitCode {
    let mut arguments = Arguments::from_iter(arguments);
    arguments.test_threads.get_or_insert(THREADS);
    // The failure message of a test contains the text of its panic.
    std::panic::set_hook(Box::new(|_| ()));
    let tests = tests.into_iter().map(|trial| trial.0).collect();
    let code = libtest_mimic::run(&arguments, tests).exit_code();
    let mut long = std::mem::take(&mut *LONG_TESTS.lock().unwrap_or_else(PoisonError::into_inner));
    long.sort();
    for (took, name) in long.iter().rev() {
        println!("took {} s: {name}", took.as_secs());
    }
    code
}
