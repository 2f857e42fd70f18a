//! Checks README and the guides of `man/guide`: commands run, configurations are valid, links lead to existing targets,
//! and the Chinese pages have the same headings and commands as the English ones.
//!
//! A page is a session: its blocks run in order, in one directory, beside one daemon. The opening line of a block says
//! what to do:
//!
//! - `sh`, `console`: commands. A line of `console` that begins with `$ ` is a command. The lines after it are its
//!   output; numbers in it may differ.
//! - `ini`: a configuration, or sections of one.
//! - any language and a path: the block is the content of that file.
//! - `at the end`: the block runs after all other blocks.
//! - `not-run: REASON`: the block is not run. [`not_run`] bounds these.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::support::daemon::{Daemon, Finished};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, wait_for};
use crate::{Scene, recipes, root};

/// All tests of README and guides.
pub(crate) fn tests() -> Vec<Trial> {
    let mut trials = vec![
        Trial::new("guides::configurations_are_valid", configurations),
        Trial::new("guides::blocks_that_are_not_run_have_a_reason", not_run),
        Trial::new("guides::links_lead_to_existing_targets", links),
        Trial::new("guides::chinese_pages_match", chinese),
        Trial::new("guides::readme_is_short", readme_is_short),
        Trial::new("guides::the_quick_start_of_readme_works", || {
            quick_start("README.md", "Quick start")
        }),
        Trial::new("guides::the_quick_start_of_the_guide_works", || {
            quick_start("man/guide/quick-start.md", "Try the example")
        }),
    ];
    for (page, needs) in SESSIONS {
        trials.push(Trial::new(
            format!("guides::{page}"),
            move || match crate::installed(needs) {
                Some(_) => session(page),
                None => Ok(Outcome::Skipped(format!("{needs} is not installed"))),
            },
        ));
    }
    trials
}

/// The guides whose commands run beside a daemon, and the program that they need. README and the recipes have their own
/// tests.
const SESSIONS: [(&str, &str); 16] = [
    ("checking", "sh"),
    ("command-line", "sh"),
    ("control", "sh"),
    ("dependencies", "sh"),
    ("diagnosing", "sh"),
    ("limits-and-privileges", "sh"),
    ("log-targets", "sh"),
    ("logs", "sh"),
    ("metrics", "curl"),
    ("migrating", "sh"),
    ("quick-start", "python3"),
    ("readiness", "python3"),
    ("rest", "curl"),
    ("security", "sha1sum"),
    ("upgrade", "sh"),
    ("web-page", "curl"),
];

/// Every English page: README and the guides.
pub(crate) fn pages() -> Result<Vec<String>, String> {
    let mut found = vec!["README.md".to_owned()];
    let guides = std::fs::read_dir(root("man/guide")).map_err(|e| e.to_string())?;
    for entry in guides {
        let name = entry.map_err(|e| e.to_string())?.file_name();
        let name = name.to_string_lossy();
        if name.ends_with(".md") && !name.ends_with(".zh-CN.md") {
            found.push(format!("man/guide/{name}"));
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a page.
pub(crate) fn text(page: &str) -> Result<String, String> {
    std::fs::read_to_string(root(page)).map_err(|e| format!("{page}: {e}"))
}

/// One fenced block of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// Its first line in the page, from 1.
    pub(crate) line: usize,
    /// The heading above it, without the marks.
    pub(crate) heading: String,
    /// `sh`, `ini`, …
    pub(crate) language: String,
    /// The path after the language. `None`: the block is not the content of a file.
    pub(crate) file: Option<String>,
    /// Why the block does not run. `None`: it runs.
    pub(crate) not_run: Option<String>,
    /// The block runs after all others.
    pub(crate) is_last: bool,
    /// The content.
    pub(crate) text: String,
}

/// The blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let text = text(page)?;
    let mut found: Vec<Block> = Vec::new();
    let mut open: Option<Block> = None;
    let mut heading = String::new();
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(opening)) => {
                let (opening, not_run) = match opening.split_once(" not-run: ") {
                    Some((opening, why)) => (opening, Some(why.to_owned())),
                    None => (opening, None),
                };
                let (opening, is_last) = match opening.strip_suffix(" at the end") {
                    Some(opening) => (opening, true),
                    None => (opening, false),
                };
                let mut words = opening.split(' ');
                open = Some(Block {
                    line: index + 1,
                    heading: heading.clone(),
                    language: words.next().unwrap_or_default().to_owned(),
                    file: words.next().map(str::to_owned),
                    not_run,
                    is_last,
                    text: String::new(),
                });
                if let Some(word) = words.next() {
                    return Err(format!("{page}:{}: unknown word {word:?}", index + 1));
                }
            }
            (Some(_), Some("")) => found.extend(open.take()),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) if line.starts_with('#') => {
                heading = line.trim_start_matches('#').trim().to_owned();
            }
            (None, None) => {}
        }
    }
    match open {
        None => Ok(found),
        Some(block) => Err(format!("{page}:{}: a block without its end", block.line)),
    }
}

/// A directory with a daemon, in which the commands of a page run.
pub(crate) struct Session {
    daemon: Option<Daemon>,
    scene: Scene,
    /// Pairs of a string in the page and its replacement for this directory.
    changes: Vec<(String, String)>,
    /// Directories that come before the usual PATH.
    path: Vec<PathBuf>,
}

/// Sections that every file needs.
const AROUND: &str = "[supervisord]\nlogfile=%(here)s/main.log\npidfile=%(here)s/supervisord.pid\n\
    childlogdir=%(here)s\n[rpcinterface:supervisor]\n\
    supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n";

impl Session {
    /// A directory without a daemon.
    pub(crate) fn new() -> Result<Self, String> {
        let scene = Scene::new()?;
        let here = scene.place.text();
        for directory in ["conf.d", "srv", "wrap"] {
            std::fs::create_dir(scene.place.join(directory)).map_err(|e| e.to_string())?;
        }
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid())
            .ok()
            .flatten();
        let user = user.map_or_else(|| "root".to_owned(), |user| user.name);
        let changes = [
            ("/run/supervisor/", format!("{here}/")),
            ("/var/log/supervisor", here.clone()),
            ("/etc/supervisor/", format!("{here}/")),
            ("/srv/", format!("{here}/srv/")),
            ("root:supervisor", "root".to_owned()),
            ("user=www-data", format!("user={user}")),
            ("@operators", "@nogroup".to_owned()),
            ("deploy control", "nobody control".to_owned()),
        ];
        let wrap = scene.place.join("wrap");
        Ok(Self {
            daemon: None,
            scene,
            changes: changes
                .into_iter()
                .map(|(from, to)| (from.to_owned(), to))
                .collect(),
            path: vec![wrap],
        })
    }

    /// Replaces `from` with `to` in everything that comes from the page.
    pub(crate) fn change(&mut self, from: &str, to: &str) {
        self.changes.push((from.to_owned(), to.to_owned()));
    }

    /// The directory.
    pub(crate) fn directory(&self) -> &Path {
        self.scene.place.path()
    }

    /// Starts a daemon that reads `conf.d/*.conf`. `supervisorctl` finds it from every directory.
    pub(crate) fn start(&mut self, sections: &str) -> Result<(), String> {
        let sections = format!("{sections}[include]\nfiles=%(here)s/conf.d/*.conf\n");
        self.daemon = Some(self.scene.daemon(&sections)?);
        let link = |target: &str, name: &str| {
            std::os::unix::fs::symlink(target, self.scene.place.join(name))
                .map_err(|e| format!("{name}: {e}"))
        };
        link("s.sock", "supervisor.sock")?;
        let here = self.scene.place.text();
        let script =
            format!("#!/bin/sh\nexec {here}/bin/supervisorctl -c {here}/supervisord.conf \"$@\"\n");
        self.executable("wrap/supervisorctl", &script)
    }

    /// Writes a program of the directory.
    pub(crate) fn executable(&self, name: &str, content: &str) -> Result<(), String> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.scene.place.write(name, content)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            .map_err(|e| e.to_string())
    }

    /// The text with all replacements.
    pub(crate) fn here(&self, text: &str) -> String {
        let replace = |text: String, (from, to): &(String, String)| text.replace(from, to);
        self.changes.iter().fold(text.to_owned(), replace)
    }

    /// The last lines of the daemon's log, for reports.
    fn log(&self) -> String {
        let log = self.scene.place.read("main.log");
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Runs a block.
    pub(crate) fn run(&self, page: &str, block: &Block) -> Result<(), String> {
        let failed = |why: String| {
            format!(
                "{page}:{}: {why}\n{}\n{}",
                block.line,
                block.text,
                self.log()
            )
        };
        if block.not_run.is_some() {
            return Ok(());
        }
        if let Some(file) = &block.file {
            return self.write(file, &block.text).map_err(failed);
        }
        match block.language.as_str() {
            "console" => self.console(&block.text).map_err(failed),
            // A here-document is one command.
            "sh" if block.text.contains("<<") => self.command(&block.text).map_err(failed),
            "sh" => {
                for line in block.text.lines() {
                    self.command(line).map_err(failed)?;
                }
                Ok(())
            }
            "ini" => Ok(()),
            other => Err(failed(format!(
                "a block of {other:?} needs a path or not-run:"
            ))),
        }
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        let path = PathBuf::from(self.here(file));
        let inside = path
            .strip_prefix(self.directory())
            .map_err(|_| format!("{file} is in no directory of the test"))?;
        let parent = path.parent().ok_or("a file without a directory")?;
        std::fs::create_dir_all(parent).map_err(|e| e.to_string())?;
        let name = inside.display().to_string();
        if text.starts_with("#!") {
            self.executable(&name, &self.here(text))
        } else {
            self.scene.place.write(&name, &self.here(text)).map(drop)
        }
    }

    /// Runs a command, and repeats it until it succeeds if its result may need a moment.
    fn command(&self, text: &str) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let done = self.shell(text)?;
            if done.code == 0 {
                return Ok(());
            }
            // Only these commands can give another answer later.
            let may_wait = [" status", " tail", "curl", "inspect", "test "]
                .iter()
                .any(|word| text.contains(word));
            if !may_wait || begun.elapsed() > LIMIT {
                return Err(format!("{text}: {done:?}"));
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Runs each command of a terminal and compares what it prints.
    fn console(&self, text: &str) -> Result<(), String> {
        for part in format!("\n{text}").split("\n$ ").skip(1) {
            let (command, expected) = part.split_once('\n').unwrap_or((part, ""));
            let mut done = self.shell(command)?;
            if command.contains(" status") {
                // A process that has just been started is not RUNNING yet.
                wait_for(command, LIMIT, || {
                    if let Ok(again) = self.shell(command) {
                        done = again;
                    }
                    alike(&done.stdout) == alike(expected)
                })
                .map_err(|why| format!("{why}\n{}", done.stdout))?;
            }
            if alike(&done.stdout) != alike(expected) || !done.stderr.is_empty() {
                return Err(format!("{command}: {done:?}"));
            }
        }
        Ok(())
    }

    /// Runs a script with sh. The next script starts in the directory where this one ends.
    fn shell(&self, text: &str) -> Result<Finished, String> {
        let directory = match self.scene.place.read(".directory").trim() {
            "" => self.scene.place.text(),
            directory => directory.to_owned(),
        };
        let noted = self.scene.place.join(".directory");
        let script = format!(
            "cd {directory} || exit\n{}\nstatus=$?\npwd >{}\nexit $status\n",
            self.here(text),
            noted.display()
        );
        let mut command = self.scene.command(Path::new("/bin/sh"));
        let mut path: Vec<String> = self.path.iter().map(|p| p.display().to_string()).collect();
        path.push(self.scene.place.join("bin").display().to_string());
        path.push("/usr/local/bin:/usr/sbin:/usr/bin:/bin".to_owned());
        command
            .env("PATH", path.join(":"))
            .env("SUPERVISORD_EXAMPLE_DIR", self.scene.place.join("example"))
            .env("SUPERVISORD_EXAMPLE_BINARIES", self.scene.place.join("bin"))
            .args(["-c", &script]);
        crate::run(command, self.directory(), None, LIMIT)
    }

    /// Checks sections of a configuration with `--check --strict --any-host`: their programs need not be installed here.
    fn check(&self, text: &str) -> Result<(), String> {
        // A section that the block has itself is not written twice.
        let parts = AROUND.split_inclusive("childlogdir=%(here)s\n");
        let lacks = |part: &&str| !text.contains(part.lines().next().unwrap_or_default());
        let around: String = parts.filter(lacks).collect();
        let conf = format!("{around}{}", self.here(text));
        let conf = self.scene.place.write("checked.conf", &conf)?;
        let mut command = self
            .scene
            .command(&self.scene.place.join("bin/supervisord"));
        command
            .args(["--check", "--strict", "--any-host", "-c"])
            .arg(conf);
        let done = crate::run(command, self.directory(), None, LIMIT)?;
        match done.code {
            0 => Ok(()),
            _ => Err(done.stderr),
        }
    }
}

/// The text with every number as 0 and every run of blanks as one blank.
fn alike(text: &str) -> String {
    let mut found = String::new();
    for line in text.lines() {
        let mut last = ' ';
        for c in line.trim_end().chars() {
            let c = if c.is_ascii_digit() { '0' } else { c };
            if c != last || !matches!(c, '0' | ' ') {
                found.push(c);
            }
            last = c;
        }
        found.push('\n');
    }
    found
}

/// The programs for the commands of the guides. A signal does not stop `web`.
const PROGRAMS: &str = "\
[program:web]
command=/bin/sh -c 'trap : USR1; echo up; echo up >&2; while :; do sleep 1; done'
process_name=%(program_name)s_%(process_num)d
startsecs=0
restart_floor=0
[program:worker]
command=/bin/sleep 1000
process_name=%(program_name)s_%(process_num)d
numprocs=3
startsecs=0
restart_floor=0
[group:jobs]
programs=worker
";

fn session(page: &str) -> Result<Outcome, String> {
    let path = format!("man/guide/{page}.md");
    let mut session = Session::new()?;
    let programs = match page {
        "control" => PROGRAMS.to_owned(),
        "quick-start" => String::new(),
        _ => PROGRAMS.replacen("process_name=%(program_name)s_%(process_num)d\n", "", 1),
    };
    session.start(&programs)?;
    if page == "quick-start" {
        session.change("-m http.server 8000", "-m http.server 0");
        std::fs::create_dir(session.directory().join("srv/web")).map_err(|e| e.to_string())?;
    }
    let mut ran = 0;
    for block in blocks(&path)? {
        // The example has its own test.
        if block.heading == "Try the example" {
            continue;
        }
        session.run(&path, &block)?;
        let is_command = matches!(block.language.as_str(), "sh" | "console");
        ran += usize::from(block.not_run.is_none() && is_command);
    }
    match ran > 0 || page == "limits-and-privileges" {
        true => Ok(Outcome::Passed),
        false => Err(format!("{path}: no command was run")),
    }
}

/// Runs the commands of a quick start with the example, in a directory with the layout of the source tree.
fn quick_start(page: &str, heading: &str) -> Result<Outcome, String> {
    let session = Session::new()?;
    let examples = session.directory().join("packaging/examples");
    std::fs::create_dir_all(&examples).map_err(|e| e.to_string())?;
    for file in ["run", "supervisord.conf", "notes.sh"] {
        let from = root("packaging/examples").join(file);
        std::fs::copy(from, examples.join(file)).map_err(|e| format!("{file}: {e}"))?;
    }
    let (last, first): (Vec<Block>, Vec<Block>) = blocks(page)?
        .into_iter()
        .filter(|block| block.heading == heading || block.is_last)
        .partition(|block| block.is_last);
    if first.len() < 5 {
        return Err(format!("{page}: only {} blocks", first.len()));
    }
    let mut shut_down = false;
    for block in first.iter().chain(&last) {
        session.run(page, block)?;
        if block.text.contains("tail hello") {
            let log = session.shell("./sctl tail hello")?.stdout;
            if !log.contains("hello at ") {
                return Err(format!("{page}: the program wrote {log:?}"));
            }
        }
        shut_down |= block.text.contains("shutdown");
    }
    if !shut_down {
        let status = session.shell("./sctl status hello")?;
        if status.code != 0 {
            return Err(format!("{page}: {status:?}"));
        }
        session.command("./sctl shutdown")?;
    }
    Ok(Outcome::Passed)
}

/// Every configuration of every page is valid.
fn configurations() -> Result<Outcome, String> {
    let session = Session::new()?;
    let mut checked = 0;
    for page in pages()? {
        for block in blocks(&page)?.iter().filter(|b| b.language == "ini") {
            session
                .check(&block.text)
                .map_err(|why| format!("{page}:{}: {why}\n{}", block.line, block.text))?;
            checked += 1;
        }
    }
    match checked >= 20 {
        true => Ok(Outcome::Passed),
        false => Err(format!("only {checked} configurations were found")),
    }
}

/// Blocks that do not run have a reason, and their number is bounded.
fn not_run() -> Result<Outcome, String> {
    // If there are more blocks, check first whether a test can run the new one.
    const MOST: usize = 30;
    let mut found = Vec::new();
    for page in pages()? {
        let mut is_run = recipes::PAGE == page || page == "README.md";
        is_run |= SESSIONS
            .iter()
            .any(|(name, _)| page == format!("man/guide/{name}.md"));
        for block in blocks(&page)? {
            match &block.not_run {
                Some(why) if why.len() < 20 => {
                    return Err(format!("{page}:{}: {why:?} is no reason", block.line));
                }
                Some(why) => found.push(format!("{page}:{}: {why}", block.line)),
                None if !is_run && matches!(block.language.as_str(), "sh" | "console") => {
                    return Err(format!("{page}:{}: no test runs this page", block.line));
                }
                None => {}
            }
        }
    }
    println!("{}", found.join("\n"));
    match found.len() <= MOST {
        true => Ok(Outcome::Passed),
        false => Err(format!("{} blocks:\n{}", found.len(), found.join("\n"))),
    }
}

/// The anchor of a heading: lower case, dashes for blanks, no punctuation.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
            _ => None,
        })
        .collect()
}

/// The headings of a page with their marks.
fn headings(page: &str) -> Result<Vec<String>, String> {
    let mut is_block = false;
    let text = text(page)?;
    let found = text.lines().filter(|line| {
        is_block ^= line.starts_with("```");
        !is_block && line.starts_with('#')
    });
    Ok(found.map(str::to_owned).collect())
}

/// Links of README, of the guides and of their translations to files and headings of the repository.
fn links() -> Result<Outcome, String> {
    let mut all = pages()?;
    all.extend(translated()?.iter().map(|page| chinese_of(page)));
    let mut wrong = Vec::new();
    for page in all {
        let directory = Path::new(&page).parent().unwrap_or(Path::new(""));
        for part in text(&page)?.split("](").skip(1) {
            let target = part.split(')').next().unwrap_or_default();
            if target.starts_with("http") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => PathBuf::from(&page),
                file => directory.join(file),
            };
            let is_there = root(&path.display().to_string()).exists();
            let has_heading = heading.is_empty()
                || headings(&path.display().to_string())?
                    .iter()
                    .any(|line| anchor(line.trim_start_matches('#').trim()) == heading);
            if !is_there || !has_heading {
                wrong.push(format!("{page}: {target}"));
            }
        }
    }
    // README leads to every guide.
    let readme = text("README.md")?;
    for page in pages()?.iter().filter(|page| page.starts_with("man/")) {
        if !readme.contains(&format!("({page})")) {
            wrong.push(format!("README.md has no link to {page}"));
        }
    }
    match wrong.is_empty() {
        true => Ok(Outcome::Passed),
        false => Err(wrong.join("\n")),
    }
}

/// The translation of a page.
fn chinese_of(page: &str) -> String {
    page.replace(".md", ".zh-CN.md")
}

/// Pages that have a translation.
fn translated() -> Result<Vec<String>, String> {
    let mut pages = pages()?;
    pages.retain(|page| root(&chinese_of(page)).exists());
    for page in ["README.md", "man/guide/quick-start.md"] {
        if !pages.iter().any(|other| other == page) {
            return Err(format!("{page} has no translation"));
        }
    }
    Ok(pages)
}

/// A translation has the same number of headings with the same levels, and the same blocks in the same order.
fn chinese() -> Result<Outcome, String> {
    let levels = |page: &str| -> Result<Vec<usize>, String> {
        let level = |line: &String| line.chars().take_while(|c| *c == '#').count();
        Ok(headings(page)?.iter().map(level).collect())
    };
    for page in &translated()? {
        let other = chinese_of(page);
        if levels(page)? != levels(&other)? {
            return Err(format!("{other} has other headings than {page}"));
        }
        let (ours, theirs) = (blocks(page)?, blocks(&other)?);
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let same = (&ours.language, &ours.file, &ours.text)
                == (&theirs.language, &theirs.file, &theirs.text)
                && ours.not_run.is_some() == theirs.not_run.is_some();
            if !same {
                return Err(format!(
                    "{other}:{} is another block than {page}:{}",
                    theirs.line, ours.line
                ));
            }
        }
        if ours.len() != theirs.len() {
            return Err(format!("{other} has {} blocks", theirs.len()));
        }
    }
    Ok(Outcome::Passed)
}

/// README has at most 150 lines, so that users can read it at once.
fn readme_is_short() -> Result<Outcome, String> {
    for page in ["README.md", "README.zh-CN.md"] {
        let lines = text(page)?.lines().count();
        if lines > 150 {
            return Err(format!("{page} has {lines} lines"));
        }
    }
    Ok(Outcome::Passed)
}
