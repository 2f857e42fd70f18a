//! Fuzzers: random and damaged input for everything that parses foreign data. Each prints its seed. `tests/run` gives
//! each one some seconds.
//!
//! ```text
//! cargo test --test fuzz                           some seconds each, from a fresh seed
//! cargo test --test fuzz -- http --seconds=3600    one of them for an hour
//! cargo test --test fuzz -- http --seed=7 --cases=1   one case once more
//! ```

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

#[path = "../sim/configs.rs"]
#[allow(dead_code, reason = "shared with the simulator, which uses all of it")]
mod configs;
#[path = "../blackbox/host.rs"]
#[allow(dead_code, reason = "shared with tests/blackbox, which uses all of it")]
mod host;
#[path = "../sim/rng.rs"]
#[allow(dead_code, reason = "shared with the simulator, which uses all of it")]
mod rng;

mod bus;
mod calls;
mod config;
mod mutate;
mod programs;
mod session;
mod state;

use std::process::ExitCode;
use std::time::Duration;

use session::Budget;
use support::runner::{Outcome, Trial};

/// How long each fuzzer runs unless `--seconds=` is given.
const SECONDS: u64 = 5;

type Fuzzer = fn(Budget) -> Result<u64, String>;

const FUZZERS: &[(&str, Fuzzer)] = &[
    ("config", config::files),
    ("languages", config::languages),
    ("codec", calls::codec),
    ("http", calls::http),
    ("bus", bus::arguments),
    ("notify_messages", programs::notify_messages),
    ("chatter", programs::chatter),
    ("snapshots", state::snapshots),
    ("records", state::records),
    ("in_flight", state::in_flight),
];

/// Options of the fuzzers, besides those of `cargo test`.
const OPTIONS: [&str; 3] = ["--seconds=", "--cases=", "--seed="];

/// The number in an option such as `--seconds=`.
fn option(name: &str) -> Option<u64> {
    std::env::args().find_map(|argument| argument.strip_prefix(name)?.parse().ok())
}

fn main() -> ExitCode {
    support::test_child::run_if_asked();
    programs::play_if_asked();
    let fresh = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |since| since.as_secs());
    let budget = Budget {
        time: Duration::from_secs(option("--seconds=").unwrap_or(SECONDS)),
        cases: option("--cases=").unwrap_or(u64::MAX),
        seed: option("--seed=").unwrap_or(fresh),
    };
    println!("seed {}", budget.seed);
    let tests = FUZZERS.iter().map(|&(name, fuzzer)| {
        Trial::new(format!("fuzz::{name}"), move || {
            if name == "bus" && !bus::is_there() {
                return Ok(Outcome::Skipped("dbus-daemon is not installed".to_owned()));
            }
            let cases = fuzzer(budget)?;
            println!("fuzz::{name}: seed {}, {cases} cases", budget.seed);
            Ok(Outcome::Passed)
        })
    });
    let is_ours = |argument: &String| OPTIONS.iter().any(|option| argument.starts_with(option));
    let arguments = std::env::args().filter(|argument| !is_ours(argument));
    support::runner::run_with(arguments.collect(), tests.collect())
}
