//! axe-core, which judges pages in the browser.

use std::path::Path;

use serde_json::Value;

use crate::driver::{Browser, missing};

const AXE: &str = "target/axe/node_modules/axe-core/axe.min.js";

/// axe-core. `Err`: why it is not available.
pub(crate) fn axe() -> Result<String, String> {
    if let Some(why) = missing() {
        return Err(why);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(AXE);
    std::fs::read_to_string(path).map_err(|_| format!("{AXE} is missing (tests/run --install)"))
}

/// What axe-core calls serious or critical on the page that the browser shows.
pub(crate) fn serious(browser: &Browser, axe: &str) -> Result<Vec<String>, String> {
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
