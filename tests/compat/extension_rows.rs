//! Compares the table of the extensions (EXTENSION_ROWS.md) with the existing tests: what the Go project, node_exporter,
//! superlance, Multivisor and containers have, and Supervisor has not.
//!
//! Each row is covered by tests with its ID in their names (`l07_…`), or open with a reason. `UPDATE=1` writes the names of
//! the tests. The reasons of open rows are kept from the table itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::rows::visit;
use crate::support::runner::Outcome;
use crate::{here, updating};

/// The families of rows and the number of rows in each.
const FAMILIES: [(char, usize); 5] = [('G', 71), ('M', 6), ('T', 11), ('L', 8), ('U', 2)];
/// Minimum length of the name of a test with an ID.
const NAME_MIN: usize = 8;

/// Compares EXTENSION_ROWS.md with the source tree.
pub(crate) fn check() -> Result<Outcome, String> {
    let file = here().join("EXTENSION_ROWS.md");
    let text = fs::read_to_string(&file).map_err(|e| format!("EXTENSION_ROWS.md: {e}"))?;
    let tests = tests_by_row()?;
    let mut table = String::new();
    let mut missing: BTreeSet<String> = FAMILIES
        .iter()
        .flat_map(|&(family, count)| (1..=count).map(move |n| format!("{family}{n:02}")))
        .collect();
    let mut neglected = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split(" | ").collect();
        let row = match cells.as_slice() {
            [id, feature, accepted, covered] => Some((id, feature, accepted, covered)),
            _ => None,
        };
        let row = row.filter(|(id, ..)| missing.remove(id.trim_start_matches("| ")));
        let Some((id, feature, accepted, covered)) = row else {
            table.push_str(&format!("{line}\n"));
            continue;
        };
        let reason = covered.trim_end_matches(" |");
        let names = tests.get(id.trim_start_matches("| ")).map(|names| {
            let quoted = names.iter().map(|name| format!("`{name}`"));
            quoted.collect::<Vec<_>>().join(" ")
        });
        let covered = names.unwrap_or_else(|| {
            let has_reason = reason.starts_with("open: ") && !reason.ends_with("MISSING");
            if has_reason {
                return reason.to_owned();
            }
            neglected.push((*id).to_owned());
            "open: REASON MISSING".to_owned()
        });
        table.push_str(&format!("{id} | {feature} | {accepted} | {covered} |\n"));
    }
    if !missing.is_empty() {
        return Err(format!("EXTENSION_ROWS.md lacks {missing:?}"));
    }
    if updating() {
        fs::write(&file, &table).map_err(|e| e.to_string())?;
    } else if text != table {
        let mut pairs = text.lines().zip(table.lines());
        let first = pairs.find(|(a, b)| a != b);
        return Err(format!(
            "EXTENSION_ROWS.md is not what the tree says (UPDATE=1 rewrites it): {first:?}"
        ));
    }
    match neglected.is_empty() {
        true => Ok(Outcome::Passed),
        false => Err(format!(
            "rows without test and without reason: {neglected:?}"
        )),
    }
}

/// The names of tests in `src` and `tests`, by the rows they name: functions, scenarios, and names in lists of tests.
fn tests_by_row() -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in ["src", "tests"] {
        visit(&root.join(folder), &mut |path| {
            let kind = path.extension().and_then(|kind| kind.to_str());
            if !matches!(kind, Some("rs" | "scn")) {
                return;
            }
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines = text.lines().map(str::trim_start);
            for line in lines.filter(|line| !line.starts_with("//")) {
                let is_other =
                    |c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
                for name in line.split(is_other).filter(|name| name.len() >= NAME_MIN) {
                    for id in name.split('_').filter_map(row_id) {
                        tests.entry(id).or_default().insert(name.to_owned());
                    }
                }
            }
        })?;
    }
    Ok(tests)
}

/// The ID of a row in a part of a name. `None`: it is another word.
fn row_id(part: &str) -> Option<String> {
    let (first, digits) = part.split_at_checked(1)?;
    let number: usize = digits.parse().ok().filter(|_| digits.len() == 2)?;
    let family = first.chars().next()?.to_ascii_uppercase();
    let (_, count) = FAMILIES.iter().find(|(known, _)| *known == family)?;
    (1..=*count)
        .contains(&number)
        .then(|| format!("{family}{number:02}"))
}
