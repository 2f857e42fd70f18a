//! Configurations with one mistake each, in `mistakes/`: `supervisord --check` finds the mistake, at its place and with a
//! remedy. `UPDATE=1` rewrites the `*.expected` files: the place, the severity and the code, then the message and the remedy.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use supervisord::config::lint::RULES;

/// Rules without a configuration here, with the reason.
const OTHERWISE_TESTED: &[(&str, &str)] = &[
    (
        "unreadable-file",
        "there is no configuration: d5 in blackbox/trust",
    ),
    (
        "implied-section",
        "not a mistake but the other form of a file",
    ),
    ("python-plugin", "blackbox/plugins.rs"),
    ("env-file", "config/parse/env_files.rs"),
    ("unrotated-log", "as in Supervisor: compat"),
    ("deprecated-syslog", "as in Supervisor: compat"),
    ("shared-socket", "config/parse/group.rs"),
    ("no-effect", "config/parse/schedule.rs"),
    (
        "missing-right",
        "depends on the cgroups of this host: blackbox/trust/c4",
    ),
    ("no-grace", "config/lint/numbers.rs"),
];

/// A copy of the directory, in which the modes of files are as the mistakes need them.
struct Mistakes {
    directory: PathBuf,
}

impl Drop for Mistakes {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/mistakes")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

impl Mistakes {
    fn new(test: &str) -> Self {
        let name = format!("supervisord-mistakes-{test}-{}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&directory);
        for part in ["", "parts", "bin"] {
            let target = directory.join(part);
            fs::create_dir(&target).expect("created");
            set_mode(&target, 0o755);
            for entry in fs::read_dir(source().join(part)).expect("readable") {
                let file = entry.expect("entry").path();
                if file.is_file() {
                    let copy = target.join(file.file_name().expect("named"));
                    fs::copy(&file, &copy).expect("copied");
                    let is_program = part == "bin" && !file.ends_with("not-executable.sh");
                    set_mode(&copy, if is_program { 0o755 } else { 0o644 });
                }
            }
        }
        set_mode(&directory.join("bin/everybody.sh"), 0o777);
        set_mode(&directory.join("configuration-writable-by-all.conf"), 0o666);
        Self { directory }
    }

    /// Checks a configuration.
    fn check(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_supervisord"));
        command
            .arg("--check")
            .args(arguments)
            .current_dir(&self.directory);
        command
            .env_clear()
            .env("HOME", "/root")
            .env("PATH", "/usr/bin:/bin");
        command.output().expect("the daemon was run")
    }

    /// The names of the configurations.
    fn names() -> Vec<String> {
        let mut names = Vec::new();
        for entry in fs::read_dir(source()).expect("readable") {
            let path = entry.expect("entry").path();
            if path
                .extension()
                .is_some_and(|extension| extension == "conf")
            {
                names.push(
                    path.file_stem()
                        .expect("named")
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
        names.sort();
        names
    }

    /// The text with the directory as `DIR`.
    fn neutral(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.directory.display()), "DIR/")
            .replace(&self.directory.display().to_string(), "DIR")
    }
}

/// The problems of a report, except those of this host's cgroups.
fn problems(output: &Output) -> Vec<Value> {
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("no JSON: {error}: {output:?}"));
    let problems = report["problems"].as_array().cloned().unwrap_or_default();
    problems
        .into_iter()
        .filter(|it| it["code"] != "missing-right")
        .collect()
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn every_mistake_is_found_at_its_place_with_a_remedy() {
    let mistakes = Mistakes::new("places");
    let names = Mistakes::names();
    assert!(names.len() >= 40, "{} mistakes", names.len());
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for name in &names {
        // Only root can make a file that others can write to a danger.
        if name == "configuration-writable-by-all" && !is_root() {
            seen.insert("open-configuration".to_owned());
            continue;
        }
        let output = mistakes.check(&["--json", "-c", &format!("{name}.conf")]);
        let found = problems(&output);
        let text =
            |problem: &Value, field: &str| problem[field].as_str().unwrap_or_default().to_owned();
        let lines: Vec<String> = found
            .iter()
            .map(|it| {
                seen.insert(text(it, "code"));
                let place = format!("{}:{}:{}", text(it, "file"), it["line"], it["column"]);
                format!(
                    "{place} {} {}\n{}\n{}\n",
                    text(it, "severity"),
                    text(it, "code"),
                    text(it, "message"),
                    text(it, "remedy")
                )
            })
            .collect();
        let shown = mistakes.neutral(&lines.concat());
        let path = source().join(format!("{name}.expected"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &shown).expect("written");
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        let has_error = found.iter().any(|it| it["severity"] == "error");
        let code = if has_error { 2 } else { 0 };
        if lines.len() != 1 || shown != expected || output.status.code() != Some(code) {
            wrong.push(format!(
                "{name}: expected {expected}found {shown}{output:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for row in RULES {
        let is_tested =
            seen.contains(row.code) || OTHERWISE_TESTED.iter().any(|(code, _)| *code == row.code);
        assert!(
            is_tested,
            "{} has no configuration in tests/config/mistakes",
            row.code
        );
    }
}

#[test]
fn options_choose_the_form_and_the_exit_status_of_a_report() {
    let mistakes = Mistakes::new("options");
    let warning = ["-c", "numprocs-zero.conf"];
    let error = ["-c", "numprocs-no-number.conf"];
    let info = ["-c", "python-buffers.conf"];
    let host = ["-c", "command-not-there.conf"];
    for (file, options, code, stdout) in [
        (
            warning,
            &[][..],
            0,
            "numprocs-zero.conf:6:10: warning: numprocs: 0 makes",
        ),
        (warning, &["--strict"], 2, ""),
        (info, &["--strict"], 0, "python-buffers.conf: ok, 1 note\n"),
        (error, &[], 2, ""),
        (
            error,
            &["--json"],
            2,
            "\"errors\":1,\"warnings\":0,\"infos\":0}",
        ),
        (host, &["--strict"], 2, ""),
        (
            host,
            &["--strict", "--any-host"],
            0,
            "command-not-there.conf: ok\n",
        ),
    ] {
        let done = mistakes.check(&[&file[..], options].concat());
        let printed = String::from_utf8_lossy(&done.stdout);
        let is_right = done.status.code() == Some(code) && printed.contains(stdout);
        assert!(
            is_right && !printed.contains('\u{1b}'),
            "{file:?} {options:?}: {done:?}"
        );
        // Without --json, a report that ends with a status of 2 is on standard error.
        let is_silent = stdout.is_empty();
        assert_eq!(
            done.stdout.is_empty(),
            is_silent,
            "{file:?} {options:?}: {done:?}"
        );
    }
    let done = mistakes.check(&error);
    let told = String::from_utf8_lossy(&done.stderr);
    for part in [
        "numprocs-no-number.conf:6:10: error: numprocs: \"abc\" is not a number [bad-number]\n",
        " 6 | numprocs=abc\n",
        "`--- write a whole number such as 4, or cpus\n",
        "numprocs-no-number.conf: 1 error\n",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
