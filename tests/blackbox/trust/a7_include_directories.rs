//! The daemon warns about users who can add a file to `[include]`. As root it refuses a configuration of another user
//! that it found by search.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;

use crate::host::Host;
use crate::support::daemon::{Finished, Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "trust::a7_pattern_directories_are_checked_with_and_without_matches",
            directories,
        ),
        Trial::new("trust::a7_a_start_with_c_warns", start_warns),
        Trial::new(
            "trust::a7_root_refuses_a_found_configuration_of_another_user",
            found_by_search,
        ),
    ]
}

fn mode(path: &Path, bits: u32) -> Result<(), String> {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).map_err(|e| e.to_string())
}

fn directory(host: &Host, name: &str, bits: u32) -> Result<(), String> {
    let path = host.place.join(name);
    fs::create_dir_all(&path).map_err(|e| e.to_string())?;
    mode(&path, bits)
}

fn not_root() -> Outcome {
    Outcome::Skipped("needs root: other users trust their own files".to_owned())
}

/// A way for others to add a file: the pattern, and the warning.
type Escape = (&'static str, &'static str);

const ESCAPES: &[Escape] = &[
    // No file matches in any of them.
    ("open/*.conf", "open is writable by everybody"),
    ("sticky/*.conf", "sticky is writable by everybody"),
    ("open/one.conf", "open is writable by everybody"),
    ("open/deep/*.conf", "open is writable by everybody"),
    ("missing/*.conf", ""),
    ("sticky/missing/*.conf", "sticky is writable by everybody"),
    ("any*/*.conf", "any1 is writable by everybody"),
    ("grouped/*.conf", "grouped is writable by gid 1"),
    ("owned/*.conf", "owned belongs to uid 1"),
    ("link/*.conf", "open is writable by everybody"),
    ("sticky/link/*.conf", "sticky/link belongs to uid 1"),
    ("safe/*.conf", ""),
    ("sticky/safe/*.conf", ""),
    ("safelink/*.conf", ""),
];

fn directories() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(not_root());
    }
    let host = Host::new("")?;
    for (name, bits) in [
        ("open", 0o777),
        ("open/deep", 0o755),
        ("sticky", 0o1777),
        ("sticky/safe", 0o755),
        ("any1", 0o777),
        ("grouped", 0o775),
        ("owned", 0o755),
        ("safe", 0o755),
    ] {
        directory(&host, name, bits)?;
    }
    let own = |name: &str, uid, gid| {
        std::os::unix::fs::lchown(host.place.join(name), uid, gid).map_err(|e| e.to_string())
    };
    chown(host.place.join("grouped"), None, Some(1)).map_err(|e| e.to_string())?;
    chown(host.place.join("owned"), Some(1), None).map_err(|e| e.to_string())?;
    for (target, link) in [
        ("open", "link"),
        ("safe", "safelink"),
        ("../safe", "sticky/link"),
    ] {
        symlink(target, host.place.join(link)).map_err(|e| e.to_string())?;
    }
    own("sticky/link", Some(1), None)?;
    for (pattern, told) in ESCAPES {
        host.place.write(
            "main.conf",
            &format!("[supervisord]\n[include]\nfiles=safe/*.conf {pattern}\n"),
        )?;
        let got = host.run(&["--check", "-c", "main.conf"])?;
        let lines: Vec<&str> = got
            .stdout
            .lines()
            .filter(|line| line.contains("users other than root"))
            .collect();
        let is_right = if told.is_empty() {
            lines.is_empty()
        } else {
            lines.len() == 1
                && lines[0].contains(told)
                && lines[0]
                    .starts_with("main.conf:3:7: warning: users other than root can add files to ")
        };
        expect(got.code == 0 && is_right, format!("{pattern}: {got:?}"))?;
    }
    Ok(Outcome::Passed)
}

fn start_warns() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(not_root());
    }
    let mut host = Host::new("[include]\nfiles=conf.d/*.conf\n")?;
    directory(&host, "conf.d", 0o1777)?;
    host.go()?;
    host.wait_file("log", "WARN conf:")?;
    let log = host.place.read("log");
    expect(
        log.contains("users other than root") && log.contains("conf.d is writable by everybody"),
        log,
    )?;
    Ok(Outcome::Passed)
}

/// Starts the daemon there without `-c`.
fn searched(host: &Host, arguments: &[&str]) -> Result<Finished, String> {
    let mut command = host
        .marked
        .command(&program(Side::Ours, "supervisord")?, host.place.path());
    command.args(arguments);
    run(command, host.place.path(), None, LIMIT)
}

fn found_by_search() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(not_root());
    }
    let host = Host::new("")?;
    directory(&host, "conf.d", 0o755)?;
    let text = "[supervisord]\nlogfile=supervisord.log\npidfile=supervisord.pid\n[include]\nfiles=conf.d/*.conf\n";
    let file = host.place.write("supervisord.conf", text)?;
    let directory = host.place.join("conf.d");
    let refused = |what: &str| {
        let got = searched(&host, &["-n"])?;
        expect(
            got.code == 2
                && got.stderr.contains("\nError: ")
                && got.stderr.contains("users other than root")
                && got
                    .stderr
                    .contains("that other users can change (name the file with -c)"),
            format!("{what}: {got:?}"),
        )?;
        let got = searched(&host, &["--check"])?;
        expect(
            got.code == 2 && got.stderr.contains("users other than root"),
            format!("{what}: {got:?}"),
        )?;
        // With `-c` there is a warning.
        let got = searched(&host, &["--check", "-c", "supervisord.conf"])?;
        expect(
            got.code == 0 && got.stdout.contains("users other than root"),
            format!("{what}: {got:?}"),
        )
    };
    let got = searched(&host, &["--check"])?;
    expect(
        got.code == 0 && !got.stdout.contains("users other than root"),
        format!("{got:?}"),
    )?;
    mode(&directory, 0o777)?;
    refused("a directory of [include]")?;
    mode(&directory, 0o755)?;
    mode(&file, 0o666)?;
    refused("the file")?;
    mode(&file, 0o644)?;
    chown(&file, Some(1), None).map_err(|e| e.to_string())?;
    refused("its owner")?;
    chown(&file, Some(0), None).map_err(|e| e.to_string())?;
    mode(host.place.path(), 0o777)?;
    refused("the working directory")?;
    mode(host.place.path(), 0o755)?;
    expect(
        !host.place.join("supervisord.pid").exists(),
        "nothing was started",
    )?;
    Ok(Outcome::Passed)
}
