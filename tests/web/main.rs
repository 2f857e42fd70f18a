//! The web page: side by side with the genuine one, and in a real browser.
//!
//! Browser tests drive a headless Chromium through chromedriver, one at a time, and are skipped where either is missing.
//! `UPDATE=1` rewrites the pictures in `tests/golden/web`, which are for people to look at and are not compared.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

mod browser;
mod driver;
mod guard;
mod many;
mod page;
mod scene;
mod side;
mod trust;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::puppet::run_if_asked();
    let mut trials = side::trials();
    trials.extend(guard::trials());
    trials.extend(page::trials());
    trials.extend(browser::trials());
    trials.extend(many::trials());
    trials.extend(trust::trials());
    support::runner::run(trials)
}
