//! One run of one fuzzer: a time budget, a seed for each case, and a report that replays a failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::rng::Rng;

/// A case that takes longer counts as a hang.
const CASE_LIMIT: Duration = Duration::from_secs(60);
/// How many bytes of a failing input a report shows.
const SHOWN_MAX: usize = 2000;

/// The length of a run, from the command line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    /// How long each fuzzer runs.
    pub(crate) time: Duration,
    /// The largest number of cases of one fuzzer.
    pub(crate) cases: u64,
    /// The seed of the first case. Each further case has the next number.
    pub(crate) seed: u64,
}

/// The input of the current case, for the report.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Vec<u8>>>);

impl Shown {
    /// Notes the input before the test uses it.
    pub(crate) fn note(&self, input: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = input.to_vec();
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs `case` with one seed after another until the budget is used up. Returns the number of cases.
///
/// # Errors
/// The failure, with the command that replays it and the file that holds its input.
pub(crate) fn run(
    name: &str,
    budget: Budget,
    mut case: impl FnMut(&mut Rng, &Shown) -> Result<(), String>,
) -> Result<u64, String> {
    let shown = Shown::default();
    let end = Instant::now() + budget.time;
    let present = Arc::new(AtomicU64::new(0));
    let hang = watch(name, budget.seed, &present, &shown);
    let mut done = 0;
    while done < budget.cases && (done == 0 || Instant::now() < end) {
        let seed = budget.seed.wrapping_add(done);
        present.store(done + 1, Ordering::SeqCst);
        let mut rng = Rng::new(seed);
        let result = catch_unwind(AssertUnwindSafe(|| case(&mut rng, &shown)));
        let result = result.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(format!("panic: {}", text.unwrap_or_default()))
        });
        if let Err(why) = result {
            return Err(report(name, seed, &why, &shown.take()));
        }
        done += 1;
    }
    drop(hang);
    Ok(done)
}

/// Exits the whole process when one case hangs. Nothing else can stop a hanging case.
fn watch(
    name: &str,
    first: u64,
    present: &Arc<AtomicU64>,
    shown: &Shown,
) -> std::sync::mpsc::Sender<()> {
    let (name, present, shown) = (name.to_owned(), present.clone(), shown.clone());
    let (alive, ended) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let mut last = 0;
        while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(CASE_LIMIT) {
            let now = present.load(Ordering::SeqCst);
            if now == last {
                let seed = first.wrapping_add(now - 1);
                let why = format!("a case lasts longer than {CASE_LIMIT:?}");
                println!(
                    "test fuzz::{name} ... FAILED\n{}",
                    report(&name, seed, &why, &shown.take())
                );
                println!(
                    "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out"
                );
                std::process::exit(101);
            }
            last = now;
        }
    });
    alive
}

fn report(name: &str, seed: u64, why: &str, input: &[u8]) -> String {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}-{seed}"));
    let kept = match std::fs::write(&file, input) {
        Ok(()) => format!("the input is in {}", file.display()),
        Err(error) => format!("the input could not be kept: {error}"),
    };
    format!(
        "{why}\nreplay: cargo test --test fuzz -- {name} --seed={seed} --cases=1\n{kept}\n{:?}",
        String::from_utf8_lossy(&input[..input.len().min(SHOWN_MAX)])
    )
}
