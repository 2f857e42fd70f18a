//! The web page: compared with the reference, and in a real browser.
//!
//! Browser tests drive a headless Chromium through chromedriver, one at a time, and are skipped where either is
//! missing. `UPDATE=1` rewrites the pictures in `tests/golden/web`. People look at them; no test compares them.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

mod accessibility;
mod answers;
mod axe;
mod browser;
mod comparison;
mod csrf;
mod driver;
mod edit;
mod followed_log;
mod gallery;
mod language;
mod log_page;
mod nacos_scene;
mod page;
mod process_page;
mod scene;
mod thousand_processes;
mod tool;
mod trust;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::test_child::run_if_asked();
    let mut tests = comparison::tests();
    tests.extend(csrf::tests());
    tests.extend(page::tests());
    tests.extend(browser::tests());
    tests.extend(thousand_processes::tests());
    tests.extend(trust::tests());
    tests.extend(answers::tests());
    tests.extend(language::tests());
    tests.extend(tool::tests());
    tests.extend(log_page::tests());
    tests.extend(edit::tests());
    tests.extend(process_page::tests());
    tests.extend(accessibility::tests());
    tests.extend(gallery::tests());
    support::runner::run(tests)
}
