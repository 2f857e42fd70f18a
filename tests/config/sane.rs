//! Configurations without mistakes get no warning from `--check`: those of the guides, the manual pages, the examples and
//! the packages, and combinations of the documented example of each key.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use supervisord::config::check_config;
use supervisord::config::key::{ConfigKey, SectionKind};
use supervisord::config::lint::Severity;
use supervisord::config::lookup::{FileFacts, FileKind, Lookup, LookupError, UserEntry};
use supervisord::config::options::DaemonOptions;
use supervisord::domain::CronZone;

/// A host on which every command, directory and user exists.
struct CompleteHost {
    files: BTreeMap<String, String>,
    env: Vec<(String, String)>,
}

const MAIN: &str = "/etc/supervisor/supervisord.conf";

impl CompleteHost {
    /// A host with this main file. Every variable that the text names is set.
    fn new(text: &str) -> Self {
        let mut env = vec![("PATH".to_owned(), "/usr/bin".to_owned())];
        for part in text.split("ENV_").skip(1) {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            env.push((
                part[..end.unwrap_or(part.len())].to_owned(),
                "8000".to_owned(),
            ));
        }
        Self {
            files: [(MAIN.to_owned(), text.to_owned())].into(),
            env,
        }
    }
}

impl Lookup for CompleteHost {
    fn read(&self, path: &str) -> Result<Vec<u8>, LookupError> {
        let text = self.files.get(path).map_or("; nothing\n", String::as_str);
        Ok(text.as_bytes().to_vec())
    }
    fn exists(&self, _path: &str) -> bool {
        true
    }
    fn is_entry(&self, _path: &str) -> bool {
        true
    }
    fn is_dir(&self, path: &str) -> bool {
        !path.ends_with(".conf")
    }
    fn list(&self, _path: &str) -> Vec<String> {
        ["one.conf", "one.ini"].map(str::to_owned).into()
    }
    fn user(&self, _name: &str) -> Option<UserEntry> {
        self.user_of(1000)
    }
    fn user_of(&self, uid: u32) -> Option<UserEntry> {
        Some(UserEntry {
            uid,
            gid: 1000,
            home: "/home/user".to_owned(),
        })
    }
    fn group(&self, _name: &str) -> Option<u32> {
        Some(1000)
    }
    fn is_group(&self, _gid: u32) -> bool {
        true
    }
    fn uid(&self) -> u32 {
        0
    }
    fn cwd(&self) -> String {
        "/".to_owned()
    }
    fn home(&self, _user: Option<&str>) -> Option<String> {
        Some("/home/user".to_owned())
    }
    fn tempdir(&self) -> String {
        "/tmp".to_owned()
    }
    fn hostname(&self) -> String {
        "host".to_owned()
    }
    fn env_file(&self, _path: &str) -> Result<String, LookupError> {
        Ok("A=1\n".to_owned())
    }
    fn secret_file(&self, _path: &str) -> Result<String, LookupError> {
        Ok(String::new())
    }
    fn file_facts(&self, _path: &str) -> Option<FileFacts> {
        Some(FileFacts {
            kind: FileKind::Regular,
            mode: 0o755,
            uid: 0,
            gid: 0,
        })
    }
    fn cron_zone(&self, _name: Option<&str>) -> Option<CronZone> {
        Some(CronZone::UTC)
    }
    fn first_bytes(&self, _path: &str) -> Option<Vec<u8>> {
        Some(b"\x7fELF\0".to_vec())
    }
    fn env(&self) -> Vec<(String, String)> {
        self.env.clone()
    }
}

/// What the check reports about a text, without notes. `None`: nothing.
fn complaint(text: &str, at_most: Severity) -> Option<String> {
    let report = check_config(MAIN, &DaemonOptions::default(), &CompleteHost::new(text));
    let problems = report.problems.iter();
    let shown: Vec<String> = problems
        .filter(|it| it.explained.severity <= at_most)
        .map(|it| {
            format!(
                "{}:{}: {} [{}]",
                it.line,
                it.column,
                it.plain(),
                it.explained.rule.code()
            )
        })
        .collect();
    (!shown.is_empty()).then(|| shown.join("\n"))
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files of a directory with one of these ends, by name.
fn files(directory: &str, ends: &[&str]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(root(directory))
        .expect("readable")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| ends.iter().any(|end| path.to_string_lossy().ends_with(end)))
        .collect();
    found.sort();
    found
}

/// Sections that sections of a page need around them.
const AROUND: &str = "[supervisord]\nlogfile=/var/log/supervisor/supervisord.log\n";

/// The text with the sections that it lacks.
fn whole(text: &str) -> String {
    match text.lines().any(|line| line.trim() == "[supervisord]") {
        true => text.to_owned(),
        false => format!("{AROUND}{text}"),
    }
}

/// The `ini` blocks of a page. A block that shows the content of a file counts if the file is a configuration.
fn blocks(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).expect("readable");
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(opening)) if opening.starts_with("ini") => open = Some(String::new()),
            (Some(_), Some("")) => found.extend(open.take()),
            (Some(block), _) => block.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    found
}

/// The configurations of a manual page.
fn examples(page: &Path) -> Vec<String> {
    let source = fs::read_to_string(page).expect("readable");
    let mut found = Vec::new();
    for part in source.split(".\\\" example: ").skip(1) {
        let Some((word, rest)) = part.split_once('\n') else {
            continue;
        };
        let text = rest
            .strip_prefix(".RS 4\n.EX\n")
            .and_then(|rest| rest.split_once(".EE\n"));
        if let Some((text, _)) = text.filter(|_| ["configuration", "sections"].contains(&word)) {
            found.push(
                text.replace("\\-", "-")
                    .replace("\\(aq", "'")
                    .replace("\\e", "\\")
                    .replace("\\&", ""),
            );
        }
    }
    found
}

#[test]
fn configurations_of_the_documents_get_no_warning() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    let mut judge = |name: &str, text: &str| {
        checked += 1;
        if let Some(why) = complaint(&whole(text), Severity::Warning) {
            wrong.push(format!("{name}:\n{text}{why}\n"));
        }
    };
    let mut pages = files("man/guide", &[".md"]);
    pages.extend(["README.md", "README.zh-CN.md"].map(root));
    for page in pages {
        for block in blocks(&page) {
            judge(&page.display().to_string(), &block);
        }
    }
    for page in files("man", &[".1", ".5", ".7", ".8"]) {
        for example in examples(&page) {
            judge(&page.display().to_string(), &example);
        }
    }
    let directories = [
        "packaging",
        "packaging/examples",
        "packaging/container",
        "tests/blackbox/guide_configs",
    ];
    for directory in directories {
        for file in files(directory, &[".conf", ".ini"]) {
            if file.ends_with("org.supervisord.Supervisor1.conf") {
                continue;
            }
            // One line shows that a command does not go through a shell.
            let text = fs::read_to_string(&file).expect("readable");
            let text = text.replace("say $PWD say `date` ", "");
            judge(&file.display().to_string(), &text);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 100, "only {checked} configurations were found");
}

/// Keys that need another key, or that exclude what the others say.
const NEEDS: &[(&str, &str)] = &[
    ("cron_overlap", "cron=30 3 * * *\n"),
    ("cron_missed", "cron=30 3 * * *\n"),
    ("cron_jitter", "cron=30 3 * * *\n"),
];

/// A pseudorandom number below `bound`. The same numbers come at each run.
fn next(state: &mut u64, bound: usize) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*state >> 33).expect("31 bits") % bound
}

#[test]
fn combinations_of_documented_examples_get_no_warning() {
    let mut state = 1;
    let (mut checked, mut refused) = (0, 0);
    let mut wrong = Vec::new();
    for (kind, before) in [
        (SectionKind::Program, ""),
        (SectionKind::Listener, "events=PROCESS_STATE\n"),
        (SectionKind::Fcgi, "socket=unix:///run/app.sock\n"),
    ] {
        let keys: Vec<&ConfigKey> = kind
            .keys()
            .filter(|row| {
                row.example
                    .or(row.default)
                    .is_some_and(|text| !text.is_empty())
            })
            .filter(|row| !matches!(row.name, "command" | "events" | "socket"))
            .collect();
        for round in 0..keys.len() * 4 {
            let prefix = kind.prefix();
            let mut text =
                format!("{AROUND}[{prefix}app]\ncommand=/usr/bin/app --port 8000\n{before}");
            // First each key alone, then combinations.
            let count = if round < keys.len() {
                1
            } else {
                2 + next(&mut state, 4)
            };
            let mut used: Vec<&str> = Vec::new();
            for _ in 0..count {
                let row = match count {
                    1 => keys[round],
                    _ => keys[next(&mut state, keys.len())],
                };
                let needed = NEEDS.iter().find(|(key, _)| *key == row.name);
                let needed = needed.map_or("", |(_, line)| line);
                let needs_key = needed.split('=').next().unwrap_or_default();
                if used.contains(&row.name)
                    || row.name == "cron" && used.iter().any(|key| key.starts_with("cron_"))
                {
                    continue;
                }
                if !needed.is_empty() && !used.contains(&needs_key) {
                    used.push(needs_key);
                    text.push_str(needed);
                }
                used.push(row.name);
                let value = row.example.or(row.default).unwrap_or_default();
                text.push_str(&format!("{}={value}\n", row.name));
            }
            if used.contains(&"depends_on")
                || used.contains(&"restart_with")
                || text.contains("wait_for")
            {
                text.push_str("[program:db]\ncommand=/usr/bin/db\n[program:migrate]\ncommand=/usr/bin/migrate\nautorestart=false\n");
            }
            // Not every combination is valid, such as killasgroup=false with stopasgroup=true.
            if complaint(&text, Severity::Error).is_some() {
                refused += 1;
                continue;
            }
            checked += 1;
            if let Some(why) = complaint(&text, Severity::Warning) {
                wrong.push(format!("{text}{why}\n"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {checked}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        checked >= 500,
        "only {checked} combinations were valid, {refused} were refused"
    );
}
