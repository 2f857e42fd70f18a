//! The web page: side by side with the reference one, and in a real browser.
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
mod csrf;
mod driver;
mod many;
mod page;
mod scene;
mod side;
mod trust;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::test_child::run_if_asked();
    let mut tests = side::tests();
    tests.extend(csrf::tests());
    tests.extend(page::tests());
    tests.extend(browser::tests());
    tests.extend(many::tests());
    tests.extend(trust::tests());
    support::runner::run(tests)
}
