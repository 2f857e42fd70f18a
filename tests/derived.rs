//! Files that derive from the tables agree with them. `UPDATE=1 cargo test --test derived` rewrites them.

use std::fs;
use std::path::Path;

use supervisord::config::render;
use supervisord::domain::roff::PAGES;
use supervisord::server::dbus;
use supervisord::{agent, api, core, ctl, daemon, hub, manual, output, pidproxy};

/// Compares `text` with the committed file, or rewrites it.
fn agrees(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{file} is out of date: run UPDATE=1 cargo test --test derived, and review the change"
    );
}

#[test]
fn aux_01_the_sample_configuration_derives_from_keys() {
    agrees("packaging/examples/sample.conf", &render::sample());
}

/// The output of `tests/bench/run`, with options that measure nothing.
fn bench(arguments: &[&str]) -> String {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/run");
    let done = std::process::Command::new("python3")
        .arg(program)
        .args(arguments)
        .output()
        .expect("python3 is there");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{arguments:?}: {told}");
    String::from_utf8(done.stdout).expect("UTF-8")
}

#[test]
fn the_bench_lists_its_metrics() {
    let list = bench(&["--list"]);
    for metric in ["lines-100", "start-1000-confd", "idle"] {
        assert!(list.lines().any(|line| line == metric), "{list}");
    }
    assert!(bench(&["--help"]).contains("--only METRIC"));
}

#[test]
fn the_tables_of_the_bench_derive_from_its_stored_run() {
    if std::env::var_os("UPDATE").is_some() {
        bench(&["--readme"]);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let stored = root.join("tests/bench/results.json").display().to_string();
    for (page, option) in [
        ("README.md", "--compact"),
        ("README.zh-CN.md", "--compact"),
        ("man/guide/performance.md", "--table"),
    ] {
        let text = fs::read_to_string(root.join(page)).expect("readable");
        let table = bench(&[option, &stored]);
        assert!(
            text.contains(&format!("<!-- bench:begin -->\n{table}<!-- bench:end -->")),
            "{page} is out of date: run tests/bench/run --readme, and review the change"
        );
    }
}

#[test]
fn manual_pages_derive_from_the_tables() {
    let texts = [
        manual::sample(),
        pidproxy::manual::page(),
        ctl::manual::page(),
        dbus::page(),
        manual::configuration(),
        manual::events(),
        output::manual::page(),
        api::manual::page(),
        daemon::manual::page(),
        agent::manual::page(),
        hub::manual::page(),
    ];
    assert_eq!(texts.len(), PAGES.len());
    for (page, text) in PAGES.iter().zip(texts) {
        assert!(
            text.contains(&format!(
                ".TH {}",
                page.name.to_uppercase().replace('-', "\\-")
            )),
            "{} is in another place of PAGES",
            page.name
        );
        agrees(&format!("man/{}", page.file()), &text);
    }
}

#[test]
fn files_of_editors_derive_from_the_tables() {
    use manual::editor;
    let version = env!("CARGO_PKG_VERSION");
    for (file, text) in [
        ("supervisord.schema.json", editor::configuration_schema()),
        ("check-report.schema.json", editor::report_schema()),
        ("github-problem-matcher.json", editor::github_matcher()),
        ("vim/syntax/supervisord.vim", editor::vim_syntax()),
        ("vscode/package.json", editor::vscode_package(version)),
        (
            "vscode/supervisord.tmLanguage.json",
            editor::textmate_grammar(),
        ),
    ] {
        agrees(&format!("packaging/editor/{file}"), &text);
    }
}

#[test]
fn the_list_of_transitions_derives_from_its_table() {
    agrees("src/core/stages.md", &core::manual::stages());
}

#[test]
fn d_bus_files_derive_from_their_tables() {
    agrees(
        "packaging/org.supervisord.Supervisor1.conf",
        &dbus::bus_policy(),
    );
    agrees(
        "packaging/org.supervisord.Supervisor1.policy",
        &dbus::polkit_policy(),
    );
}

/// debian/changelog, from which the .rpm's changelog is generated, has the same versions as CHANGELOG.md. The first one is our
/// version.
#[test]
fn changelogs_agree_on_the_version() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).expect("there");
    // `## [5.0.0] – 2026-11-28`, or unreleased.
    let ours: Vec<(String, String)> = read("CHANGELOG.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## [")?.split_once("] – "))
        .map(|(version, date)| (version.to_owned(), date.to_owned()))
        .collect();
    // `supervisord (5.0.0) unstable; urgency=medium`, and ` -- Name <address>  Sat, 28 Nov 2026 00:00:00 +0000` at its end.
    let debian = read("debian/changelog");
    let debians: Vec<(String, String)> = debian
        .lines()
        .filter_map(|line| line.strip_prefix("supervisord ("))
        .zip(debian.lines().filter(|line| line.starts_with(" -- ")))
        .filter_map(|(head, end)| {
            let (version, rest) = head.split_once(") ")?;
            let date = end.split_once(">  ")?.1;
            let date = if rest.starts_with("UNRELEASED") {
                "unreleased".to_owned()
            } else {
                jiff::fmt::rfc2822::parse(date).ok()?.date().to_string()
            };
            Some((version.to_owned(), date))
        })
        .collect();
    assert_eq!(ours, debians, "CHANGELOG.md and debian/changelog");
    let first = ours.first().map(|(version, _)| version.as_str());
    assert_eq!(first, Some(env!("CARGO_PKG_VERSION")), "Cargo.toml");
}
