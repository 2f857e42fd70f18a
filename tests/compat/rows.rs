//! Compares the table of acceptance rows (ROWS.md) with the existing tests.
//!
//! Each row is covered by tests with its ID in their names (`prc_08_…`), or open with a reason. `UPDATE=1` writes the
//! names of the tests. The reasons of open rows are kept from the table itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::support::runner::Outcome;
use crate::{here, updating};

/// The families of rows and the number of rows in each.
const FAMILIES: [(&str, usize); 10] = [
    ("CFG", 66),
    ("DMN", 24),
    ("PRC", 31),
    ("LOG", 11),
    ("OUT", 14),
    ("EVT", 21),
    ("RPC", 39),
    ("CTL", 25),
    ("WEB", 7),
    ("AUX", 2),
];

/// Compares ROWS.md with the source tree.
pub(crate) fn check() -> Result<Outcome, String> {
    let file = here().join("ROWS.md");
    let text = fs::read_to_string(&file).map_err(|e| format!("ROWS.md: {e}"))?;
    let mut head = String::new();
    let mut rows: BTreeMap<String, (String, String)> = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["", id, requirement, covered, ""] if is_row(id) => {
                let previous = rows.insert(
                    (*id).to_owned(),
                    ((*requirement).to_owned(), (*covered).to_owned()),
                );
                if previous.is_some() {
                    return Err(format!("ROWS.md names {id} twice"));
                }
            }
            _ if rows.is_empty() => {
                head.push_str(line);
                head.push('\n');
            }
            _ => {}
        }
    }
    let tests = tests_by_row()?;
    let mut table = head;
    let mut neglected = Vec::new();
    for (family, count) in FAMILIES {
        for n in 1..=count {
            let id = format!("{family}-{n:02}");
            let (requirement, covered) = rows.get(&id).cloned().unwrap_or_default();
            if requirement.is_empty() {
                return Err(format!("ROWS.md has no row {id}"));
            }
            let names = tests.get(&id).map(|names| {
                names
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(" ")
            });
            let covered = match names {
                Some(names) => names,
                None if covered.starts_with("open:") && !covered.ends_with("MISSING") => covered,
                None => {
                    neglected.push(id.clone());
                    "open: REASON MISSING".to_owned()
                }
            };
            table.push_str(&format!("| {id} | {requirement} | {covered} |\n"));
        }
    }
    if updating() {
        fs::write(&file, &table).map_err(|e| e.to_string())?;
    } else if text != table {
        let first = text
            .lines()
            .zip(table.lines())
            .find(|(a, b)| a != b)
            .map(|(a, b)| format!("in the table: {a}\nin the tree:  {b}"));
        return Err(format!(
            "ROWS.md is not what the tree says (UPDATE=1 rewrites it)\n{}",
            first.unwrap_or_default()
        ));
    }
    if neglected.is_empty() {
        Ok(Outcome::Passed)
    } else {
        Err(format!(
            "rows without test and without reason: {}",
            neglected.join(" ")
        ))
    }
}

fn is_row(id: &str) -> bool {
    id.split_once('-').is_some_and(|(family, number)| {
        FAMILIES.iter().any(|(known, _)| *known == family) && number.parse::<usize>().is_ok()
    })
}

/// The names of tests in `src` and `tests`, by the rows they name.
fn tests_by_row() -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in ["src", "tests"] {
        visit(&root.join(folder), &mut |path| {
            let kind = path
                .extension()
                .and_then(|e| e.to_str())
                .unwrap_or_default();
            if kind != "rs" && kind != "scn" {
                return;
            }
            let text = fs::read_to_string(path).unwrap_or_default();
            for line in text.lines() {
                let line = line.trim_start();
                let name = match kind {
                    "scn" => line.strip_prefix("=== "),
                    _ => line
                        .strip_prefix("fn ")
                        .or_else(|| line.strip_prefix("pub(crate) fn "))
                        .or_else(|| line.strip_prefix("async fn ")),
                };
                let Some(name) = name else { continue };
                let name: String = name
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                    .collect();
                for id in ids_in(&name) {
                    tests.entry(id).or_default().insert(name.clone());
                }
            }
        })?;
    }
    Ok(tests)
}

fn ids_in(name: &str) -> Vec<String> {
    let parts: Vec<&str> = name.split('_').collect();
    parts
        .windows(2)
        .filter(|pair| {
            pair[1].len() == 2
                && FAMILIES.iter().any(|(family, count)| {
                    family.eq_ignore_ascii_case(pair[0])
                        && pair[1]
                            .parse::<usize>()
                            .is_ok_and(|n| n >= 1 && n <= *count)
                })
        })
        .map(|pair| format!("{}-{}", pair[0].to_uppercase(), pair[1]))
        .collect()
}

/// Calls `found` for each file below a directory.
pub(crate) fn visit(dir: &Path, found: &mut dyn FnMut(&Path)) -> Result<(), String> {
    for entry in fs::read_dir(dir)
        .map_err(|e| format!("{}: {e}", dir.display()))?
        .flatten()
    {
        let path = entry.path();
        if path.is_dir() {
            visit(&path, found)?;
        } else {
            found(&path);
        }
    }
    Ok(())
}
