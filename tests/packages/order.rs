//! Checks packages and scripts with lintian, rpmlint and shellcheck, and checks that a second build in another
//! directory gives the same bytes.

use std::path::Path;
use std::process::Command;

use crate::made::{HIGHER, Kind, OURS, both, build, has, patient_build, top};
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("order::lintian_is_clean", || {
            judged(
                Kind::Deb,
                &["lintian", "--fail-on", "error,warning", "--allow-root"],
            )
        }),
        Trial::new("order::rpmlint_is_clean", || {
            judged(
                Kind::Rpm,
                &["rpmlint", "--config", "packaging/rpm/rpmlint.toml"],
            )
        }),
        Trial::new("order::shellcheck_is_clean", shellcheck),
        Trial::new("order::the_bill_of_materials_is_complete", bill),
        Trial::new("order::two_builds_have_the_same_bytes", same_bytes),
        Trial::new("order::only_the_agent_contains_tls", tls),
    ]
}

/// Runs a checker of packages. It must print nothing.
fn judged(kind: Kind, words: &[&str]) -> Result<Outcome, String> {
    if !has(words[0]) {
        return Ok(Outcome::Skipped(format!("{} is not installed", words[0])));
    }
    let directory = match both(kind) {
        Ok(directory) => directory,
        Err(Ok(why)) => return Ok(Outcome::Skipped(why)),
        Err(Err(error)) => return Err(error),
    };
    let mut command = Command::new(words[0]);
    command
        .args(&words[1..])
        .arg(directory.join(kind.file(OURS)))
        .arg(directory.join(kind.hub_file(OURS)))
        .current_dir(top());
    let done = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&done.stdout);
    let marks = [": W: ", ": E: ", "W: supervisord", "E: supervisord"];
    let wrong: Vec<&str> = said
        .lines()
        .filter(|line| marks.iter().any(|mark| line.contains(mark)))
        .collect();
    expect(
        done.status.success() && wrong.is_empty(),
        format!("{said}{}", String::from_utf8_lossy(&done.stderr)),
    )?;
    Ok(Outcome::Passed)
}

/// Our shell scripts; maintainer scripts without the parts that debhelper adds.
fn shellcheck() -> Result<Outcome, String> {
    if !has("shellcheck") {
        return Ok(Outcome::Skipped("shellcheck is not installed".to_owned()));
    }
    let listed = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(top())
        .output()
        .map_err(|error| error.to_string())?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let is_script = |file: &&str| {
        let text = std::fs::read(top().join(file)).unwrap_or_default();
        file.ends_with(".bash")
            || [
                &b"#!/bin/sh\n"[..],
                b"#!/bin/bash\n",
                b"#!/usr/bin/env bash\n",
            ]
            .iter()
            .any(|head| text.starts_with(head))
    };
    let scripts: Vec<&str> = listed
        .split('\0')
        .filter(|file| !file.is_empty())
        // Scripts with the mistakes that `--check` finds.
        .filter(|file| !file.starts_with("tests/config/mistakes/"))
        .filter(is_script)
        .collect();
    expect(
        scripts.contains(&"packaging/completion/supervisorctl.bash")
            && scripts.contains(&"packaging/build")
            && scripts.contains(&"debian/supervisord.postinst"),
        format!("{scripts:?}"),
    )?;
    let mut command = Command::new("shellcheck");
    command
        .arg("--severity=info")
        .args(&scripts)
        .current_dir(top());
    let done = command.output().map_err(|error| error.to_string())?;
    expect(done.status.success(), String::from_utf8_lossy(&done.stdout))?;
    Ok(Outcome::Passed)
}

/// A build from a copy of the sources in another directory, with another output directory, home, language, time zone
/// and umask. Of the version that is built quickly, since paths and times get into binaries with any optimisation.
fn same_bytes() -> Result<Outcome, String> {
    let kinds: Vec<Kind> = [Kind::Deb, Kind::Rpm]
        .into_iter()
        .filter(|&kind| both(kind).is_ok())
        .collect();
    if kinds.is_empty() {
        return Ok(Outcome::Skipped(
            "neither dh nor rpmbuild is installed".to_owned(),
        ));
    }
    let place = TempDir::new()?;
    let tree = place.path().join("another place");
    let script = "umask 002 && mkdir -p \"$1\" && git ls-files -z --cached --others --exclude-standard | \
         xargs -0 sh -c 'for file; do [ ! -e \"$file\" ] || cp --parents -P \"$file\" \"$0\"; done' \"$1\"";
    let mut copy = Command::new("sh");
    copy.args(["-c", script, "sh"])
        .arg(&tree)
        .current_dir(top());
    let done = copy.output().map_err(|error| error.to_string())?;
    expect(done.status.success(), String::from_utf8_lossy(&done.stderr))?;
    let (out, target) = (place.path().join("out"), place.path().join("target"));
    for kind in kinds {
        build(kind, HIGHER, &tree, &out, Some(&target))?;
        for name in [kind.file(HIGHER), kind.hub_file(HIGHER)] {
            let read =
                |directory: &Path| std::fs::read(directory.join(&name)).map_err(|e| e.to_string());
            expect(
                read(&out)? == read(&top().join("target/package/out"))?,
                format!("the second build of {name} has other bytes"),
            )?;
        }
    }
    Ok(Outcome::Passed)
}

/// The daemon and the client of the .deb contain nothing of TLS: that is in the agent alone.
fn tls() -> Result<Outcome, String> {
    let directory = match both(Kind::Deb) {
        Ok(directory) => directory,
        Err(Ok(why)) => return Ok(Outcome::Skipped(why)),
        Err(Err(error)) => return Err(error),
    };
    let place = TempDir::new()?;
    let mut command = Command::new("dpkg-deb");
    command.arg("-x").arg(directory.join(Kind::Deb.file(OURS)));
    let done = command.arg(place.path()).output();
    let done = done.map_err(|error| error.to_string())?;
    expect(done.status.success(), String::from_utf8_lossy(&done.stderr))?;
    // The key schedule of TLS 1.3 has this label.
    const LABEL: &[u8] = b"tls13 ";
    for (file, expected) in [
        ("usr/bin/supervisorctl", false),
        ("usr/bin/supervisord", false),
        ("usr/libexec/supervisord-agent", true),
    ] {
        let bytes = std::fs::read(place.path().join(file));
        let bytes = bytes.map_err(|error| format!("{file}: {error}"))?;
        let has_tls = bytes.windows(LABEL.len()).any(|window| window == LABEL);
        expect(has_tls == expected, format!("{file}: TLS: {has_tls}"))?;
    }
    Ok(Outcome::Passed)
}

/// Every crate that is compiled into a binary, with its version and licence.
fn bill() -> Result<Outcome, String> {
    let cargo = |words: &[&str]| {
        let done = Command::new("cargo")
            .args(words)
            .current_dir(top())
            .output();
        let done = done.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        expect(done.status.success(), said)?;
        Ok::<_, String>(String::from_utf8_lossy(&done.stdout).into_owned())
    };
    if cargo(&["cyclonedx", "--version"]).is_err() {
        return Ok(Outcome::Skipped(
            "cargo cyclonedx is not installed".to_owned(),
        ));
    }
    let place = TempDir::new()?;
    let mut command = patient_build(top());
    command.arg("sbom").arg(place.path());
    let done = command.output().map_err(|error| error.to_string())?;
    expect(done.status.success(), String::from_utf8_lossy(&done.stderr))?;
    let text = place.read(&format!("supervisord-{OURS}.cdx.json"));
    let bill: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let components = bill["components"].as_array().cloned().unwrap_or_default();
    let tree = cargo(&[
        "tree",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--no-dedupe",
    ])?;
    // `hyper v1.12.0 (proc-macro)`, and so on. The first is our own package.
    let crates: Vec<(&str, &str)> = tree
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(" v"))
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default()))
        .collect();
    expect(crates.len() > 50, tree.as_str())?;
    for (name, version) in crates {
        let found = components
            .iter()
            .find(|one| one["name"] == name && one["version"] == version);
        let licences = found.and_then(|one| one["licenses"].as_array());
        expect(
            licences.is_some_and(|list| !list.is_empty()),
            format!("{name} {version}: {found:?}"),
        )?;
    }
    // The text contains no path of the build machine.
    let own = top().display().to_string();
    expect(!text.contains(&own), format!("{own} is in it"))?;
    Ok(Outcome::Passed)
}
