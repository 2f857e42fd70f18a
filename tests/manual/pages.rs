//! Checks that the manual pages are well-formed, have an entry for every key and option, and refer only to existing
//! pages.

use std::collections::BTreeSet;
use std::process::Command;

use supervisord::api::METHODS;
use supervisord::cli::options;
use supervisord::config::key;
use supervisord::domain::EVENTS;
use supervisord::domain::roff::PAGES;

use crate::support::runner::{Outcome, Trial};
use crate::{Scene, installed, root};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("pages::mandoc_gives_no_warning", mandoc),
        Trial::new("pages::groff_gives_no_warning", groff),
        Trial::new("pages::every_key_and_option_is_in_its_page", everything),
        Trial::new("pages::references_lead_to_existing_pages", references),
    ]
}

/// The committed source of a page.
pub(crate) fn source(file: &str) -> Result<String, String> {
    std::fs::read_to_string(root("man").join(file)).map_err(|e| format!("{file}: {e}"))
}

/// The text of a page without roff escapes.
pub(crate) fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for (escape, meant) in [
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\&", ""),
        ("\\-", "-"),
        ("\\(aq", "'"),
        ("\\(ga", "`"),
        ("\\(ha", "^"),
        ("\\(ti", "~"),
        ("\\e", "\\"),
    ] {
        text = text.replace(escape, meant);
    }
    text
}

/// Runs a checker of manual pages on each page. It must print only lines that contain `but`.
fn judged(program: &str, arguments: &[&str], but: &str) -> Result<Outcome, String> {
    let Some(program) = installed(program) else {
        return Ok(Outcome::Skipped(format!("{program} is not installed")));
    };
    let mut wrong = Vec::new();
    for page in PAGES {
        let output = Command::new(&program)
            .args(arguments)
            .arg(root("man").join(page.file()))
            .output()
            .map_err(|e| e.to_string())?;
        let said = match arguments.contains(&"lint") {
            true => [output.stdout, output.stderr].concat(),
            false => output.stderr,
        };
        let said = String::from_utf8_lossy(&said).into_owned();
        let lines = said
            .lines()
            .filter(|line| but.is_empty() || !line.contains(but));
        wrong.extend(lines.map(str::to_owned));
    }
    match wrong.is_empty() {
        true => Ok(Outcome::Passed),
        false => Err(wrong.join("\n")),
    }
}

fn mandoc() -> Result<Outcome, String> {
    // Pages of other packages need not be installed here.
    judged(
        "mandoc",
        &["-T", "lint", "-W", "style"],
        "referenced manual not found",
    )
}

fn groff() -> Result<Outcome, String> {
    judged("groff", &["-ww", "-man", "-Tutf8"], "")
}

/// The bold text at the beginning of each entry of a page.
fn tags(file: &str) -> Result<BTreeSet<String>, String> {
    let source = source(file)?;
    let mut tags = BTreeSet::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if line == ".TP" {
            let tag = lines.next().unwrap_or_default();
            for bold in tag.split("\\fB").skip(1) {
                let bold = bold.split("\\f").next().unwrap_or_default();
                tags.insert(plain(bold));
            }
        }
    }
    Ok(tags)
}

fn everything() -> Result<Outcome, String> {
    let scene = Scene::new()?;
    let offered = |program: &str, word: &str| -> Result<Vec<String>, String> {
        let asked = if program == "supervisorctl" {
            program
        } else {
            "supervisord"
        };
        let answer = scene.run(asked, &["--complete", "1", program, word])?;
        let lines = answer
            .stdout
            .lines()
            .filter_map(|line| line.split('\t').next());
        Ok(lines.map(str::to_owned).collect())
    };
    let mut wanted: Vec<(&str, Vec<String>)> = vec![
        ("supervisorctl.1", offered("supervisorctl", "")?),
        ("supervisorctl.1", offered("supervisorctl", "-")?),
        ("supervisord.8", offered("supervisord", "-")?),
        ("supervisord.8", offered("supervisord", "")?),
        ("pidproxy.1", offered("pidproxy", "-")?),
        (
            "supervisord.conf.5",
            key::all()
                .iter()
                .map(|(_, key)| key.name.to_owned())
                .collect(),
        ),
        (
            "supervisord-events.7",
            EVENTS.iter().map(|event| event.name.to_owned()).collect(),
        ),
        (
            "supervisord-xmlrpc.7",
            METHODS
                .iter()
                .map(|method| method.names[0].to_owned())
                .collect(),
        ),
    ];
    let long = |row: options::OptionRow| format!("--{}", row.opt.long.unwrap_or_default());
    wanted.push(("supervisord.8", options::rows().map(long).collect()));
    for (file, names) in wanted {
        if names.is_empty() {
            return Err(format!("{file} has no names to check"));
        }
        let tags = tags(file)?;
        for name in names {
            // A tag may continue after the name.
            let is_there = |tag: &String| tag.split(' ').next() == Some(&name) || *tag == name;
            if !tags.iter().any(is_there) {
                return Err(format!("{file} has no entry for {name}"));
            }
        }
    }
    // Names without their own entry.
    let actions = plain(&source("supervisorctl.1")?);
    let methods = plain(&source("supervisord-xmlrpc.7")?);
    if !actions.contains("EOF") {
        return Err("EOF is not documented".to_owned());
    }
    for name in METHODS.iter().flat_map(|method| method.names) {
        if !methods.contains(name) {
            return Err(format!("{name} is not documented"));
        }
    }
    Ok(Outcome::Passed)
}

/// Every `name(section)` of a page, in both notations.
fn referred(source: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in source.lines() {
        if let Some((name, rest)) = line
            .strip_prefix(".BR ")
            .and_then(|rest| rest.split_once(" ("))
        {
            found.push((plain(name), rest.chars().take(1).collect()));
        }
        for part in line.split("\\fB").skip(1) {
            if let Some((name, rest)) = part.split_once("\\fR(")
                && rest.chars().nth(1) == Some(')')
                && rest.starts_with(|c: char| c.is_ascii_digit())
            {
                found.push((plain(name), rest.chars().take(1).collect()));
            }
        }
    }
    found
}

fn references() -> Result<Outcome, String> {
    let ours: BTreeSet<(String, String)> = PAGES
        .iter()
        .map(|page| (page.name.to_owned(), page.section.to_string()))
        .collect();
    let is_ours = |name: &str| {
        let mut beginnings = ["supervis", "pidproxy", "echo_supervis", "org.supervis"].iter();
        beginnings.any(|beginning| name.starts_with(beginning))
    };
    let files: BTreeSet<String> = std::fs::read_dir(root("man"))
        .map_err(|e| e.to_string())?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != "guide")
        .collect();
    if files != PAGES.iter().map(|page| page.file()).collect() {
        return Err(format!("man/ has {files:?}"));
    }
    for page in PAGES {
        let referred = referred(&source(&page.file())?);
        // Each page refers to all the others.
        if referred.len() < PAGES.len() {
            return Err(format!("{} refers to {referred:?} only", page.file()));
        }
        for reference in referred {
            if is_ours(&reference.0) && !ours.contains(&reference) {
                return Err(format!(
                    "{} refers to {reference:?}, which does not exist",
                    page.file()
                ));
            }
        }
    }
    let unit =
        std::fs::read_to_string(root("systemd/supervisord.service")).map_err(|e| e.to_string())?;
    for word in unit
        .lines()
        .filter_map(|line| line.strip_prefix("Documentation="))
        .flat_map(str::split_whitespace)
    {
        let known = word
            .strip_prefix("man:")
            .and_then(|name| name.strip_suffix(')'))
            .and_then(|name| name.split_once('('));
        if !known
            .is_some_and(|(name, section)| ours.contains(&(name.to_owned(), section.to_owned())))
        {
            return Err(format!("the unit names {word}"));
        }
    }
    Ok(Outcome::Passed)
}
