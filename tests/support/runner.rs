//! Runs named trials in parallel and prints what `cargo test` would print, so that one parser counts all.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

/// How a trial ended when it did not fail.
pub enum Outcome {
    /// It ran.
    Passed,
    /// It could not run here, and why.
    Skipped(String),
}

type Run = Box<dyn FnOnce() -> Result<Outcome, String> + Send>;

/// One named test.
pub struct Trial {
    name: String,
    run: Run,
}

impl Trial {
    /// A test called `name`.
    pub fn new(
        name: impl Into<String>,
        run: impl FnOnce() -> Result<Outcome, String> + Send + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
        }
    }
}

/// How many trials run at once: they mostly wait.
fn places() -> usize {
    std::env::var("TEST_THREADS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(6)
}

/// Runs the trials whose names contain one of the arguments (all without arguments).
pub fn run(trials: Vec<Trial>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filters: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let exact = arguments.iter().any(|a| a == "--exact");
    let all = trials.len();
    let chosen: Vec<Trial> = trials
        .into_iter()
        .filter(|trial| {
            filters.is_empty()
                || filters.iter().any(|filter| {
                    if exact {
                        trial.name == **filter
                    } else {
                        trial.name.contains(filter.as_str())
                    }
                })
        })
        .collect();
    if arguments.iter().any(|a| a == "--list") {
        for trial in &chosen {
            println!("{}: test", trial.name);
        }
        return ExitCode::SUCCESS;
    }
    let filtered = all - chosen.len();
    let begun = Instant::now();
    println!("\nrunning {} tests", chosen.len());
    // A panic is a failed trial, and its text is in the trial's report.
    std::panic::set_hook(Box::new(|_| ()));
    let queue = Mutex::new(chosen.into_iter().collect::<VecDeque<_>>());
    let passed = Mutex::new(0usize);
    let failures = Mutex::new(Vec::new());
    let skipped = Mutex::new(0usize);
    std::thread::scope(|scope| {
        for _ in 0..places() {
            scope.spawn(|| {
                loop {
                    let Some(trial) = lock(&queue).pop_front() else {
                        break;
                    };
                    let name = trial.name;
                    let run = trial.run;
                    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
                        Err(panic
                            .downcast_ref::<String>()
                            .cloned()
                            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                            .unwrap_or_else(|| "panicked".to_owned()))
                    });
                    match result {
                        Ok(Outcome::Passed) => {
                            println!("test {name} ... ok");
                            *lock(&passed) += 1;
                        }
                        Ok(Outcome::Skipped(why)) => {
                            println!("test {name} ... ignored, {why}");
                            *lock(&skipped) += 1;
                        }
                        Err(why) => {
                            println!("test {name} ... FAILED");
                            lock(&failures).push((name, why));
                        }
                    }
                }
            });
        }
    });
    let failures = std::mem::take(&mut *lock(&failures));
    if !failures.is_empty() {
        println!("\nfailures:\n");
        for (name, why) in &failures {
            println!("---- {name} ----\n{why}\n");
        }
    }
    let word = if failures.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {word}. {} passed; {} failed; {} ignored; 0 measured; {filtered} filtered out; finished in {:.2}s\n",
        *lock(&passed),
        failures.len(),
        *lock(&skipped),
        begun.elapsed().as_secs_f64()
    );
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
