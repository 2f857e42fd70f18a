//! axe-core finds nothing serious on the pages, in both languages, light and dark.
//!
//! `tests/run --install` fetches axe-core to `target/axe`.

use std::path::Path;

use serde_json::Value;

use crate::browser::SHOP;
use crate::driver::{Browser, Look, missing};
use crate::scene::Scene;
use crate::support::daemon::Side;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

const AXE: &str = "target/axe/node_modules/axe-core/axe.min.js";

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("accessibility::axe_finds_nothing_serious", few_programs),
        Trial::new(
            "accessibility::axe_finds_nothing_serious_with_many_programs",
            many_programs,
        ),
    ]
}

/// axe-core. `Err`: why it is not available.
fn axe() -> Result<String, String> {
    if let Some(why) = missing() {
        return Err(why);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(AXE);
    std::fs::read_to_string(path).map_err(|_| format!("{AXE} is missing (tests/run --install)"))
}

/// What axe-core calls serious or critical on the page that the browser shows.
fn serious(browser: &Browser, axe: &str) -> Result<Vec<String>, String> {
    browser.run(axe)?;
    let found = browser.run("return axe.run(document, { resultTypes: ['violations'] })")?;
    let violations = found["violations"].as_array().ok_or("no result")?;
    let is_serious =
        |violation: &&Value| matches!(violation["impact"].as_str(), Some("serious" | "critical"));
    let shown = |violation: &Value| {
        format!(
            "{}: {} {}",
            violation["id"], violation["help"], violation["nodes"][0]["html"]
        )
    };
    Ok(violations.iter().filter(is_serious).map(shown).collect())
}

fn check(scene: &Scene, axe: &str, look: Look, paths: &[&str]) -> Result<(), String> {
    let browser = Browser::open(look)?;
    for path in paths {
        for dark in [false, true] {
            browser.media(dark)?;
            browser.go(&scene.url(path))?;
            browser.wait("document.readyState === 'complete'")?;
            let found = serious(&browser, axe)?;
            expect(
                found.is_empty(),
                format!("/{path}, dark: {dark}: {found:#?}"),
            )?;
        }
    }
    Ok(())
}

fn few_programs() -> Result<Outcome, String> {
    let axe = match axe() {
        Ok(axe) => axe,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let scene = Scene::start(Side::Ours, SHOP)?;
    scene.daemon.wait_state("search", "FATAL")?;
    let phone = Look {
        width: 390,
        height: 844,
        ..Look::DESK
    };
    let pages = [
        "",
        "?filter=nothing",
        "?sort=state",
        "tail.html?processname=api:api-0&limit=65536",
        "grouptail.html?group=api",
        "maintail.html",
        // A refused link, which asks.
        "index.html?processname=redis&action=stop",
        "nosuch",
    ];
    check(&scene, &axe, Look::DESK, &pages)?;
    check(&scene, &axe, phone, &pages[..4])?;
    let empty = Scene::start(Side::Ours, "")?;
    check(&empty, &axe, Look::DESK, &[""])?;
    Ok(Outcome::Passed)
}

fn many_programs() -> Result<Outcome, String> {
    let axe = match axe() {
        Ok(axe) => axe,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let many = "[program:many]\ncommand={test_child} forever\nprocess_name=p%(process_num)02d\nnumprocs=60\nautostart=false\n";
    let scene = Scene::start(Side::Ours, many)?;
    check(&scene, &axe, Look::DESK, &[""])?;
    Ok(Outcome::Passed)
}
