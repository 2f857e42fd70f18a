//! Scenarios as texts.
//!
//! ```text
//! === prc_08_fatal_after_retries [needs root]
//! [program:a]
//! command={test_child} exit 3
//! ---
//! start
//! wait state a FATAL
//! log
//! ```
//!
//! The configuration comes before `---` (after the usual head, unless it begins with `;bare`). The steps follow, one
//! per line. Lines that begin with `|` are the content of the step before. `@differs REASON` before a step says that
//! our program differs on purpose. The `@ours TEXT` lines after it are our output (a trailing `*` allows any rest).
//! `{dir}`, `{test_child}`, `{port}` are replaced everywhere.

use std::path::Path;

use crate::scenario_run::Sides;
use crate::support::daemon::{Side, oracle};
use crate::support::is_root;

/// A declared difference.
#[derive(Debug, Clone, Default)]
pub(crate) struct Differs {
    /// The reason.
    pub(crate) reason: String,
    /// Our output. `None`: any output.
    pub(crate) ours: Vec<String>,
    /// Only the client differs (otherwise the daemon, or either).
    pub(crate) client: bool,
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    /// As written.
    pub(crate) line: String,
    /// The `|` lines.
    pub(crate) content: Option<String>,
    /// Declared difference.
    pub(crate) differs: Option<Differs>,
}

/// One scenario.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// The stem of its file.
    pub(crate) file: String,
    needs: Vec<String>,
    pub(crate) config: String,
    pub(crate) steps: Vec<Step>,
}

impl Scenario {
    pub(crate) fn uses_client(&self) -> bool {
        self.steps
            .iter()
            .any(|step| step.line.starts_with("ctl") || step.line.starts_with("bg"))
    }

    /// Our daemon can do more here than the reference.
    pub(crate) fn is_ours_only(&self) -> bool {
        false
    }

    pub(crate) fn cannot_run(&self) -> Option<String> {
        if self.needs.iter().any(|need| need == "root") && !is_root() {
            return Some("needs root".to_owned());
        }
        if self.needs.iter().any(|need| need == "superlance")
            && !oracle().is_some_and(|venv| venv.join("bin/memmon").exists())
        {
            return Some("needs SUPERVISOR_ORACLE with superlance in it".to_owned());
        }
        if self.needs.iter().any(|need| need == "9001")
            && std::net::TcpStream::connect(("localhost", 9001)).is_ok()
        {
            return Some("somebody listens on port 9001, where clients look by default".to_owned());
        }
        if self.needs.iter().any(|need| need == "user") && is_root() {
            return Some("needs to run as an ordinary user".to_owned());
        }
        None
    }

    /// Why the reference cannot run this here, although it is installed.
    pub(crate) fn lacks_plug_in(&self) -> Option<String> {
        let needed = self.needs.iter().any(|need| need == "twiddler");
        let is_there = oracle().is_some_and(|venv| {
            let python = std::process::Command::new(venv.join("bin/python"))
                .args(["-c", "import supervisor_twiddler"])
                .stderr(std::process::Stdio::null())
                .status();
            python.is_ok_and(|status| status.success())
        });
        (needed && !is_there).then(|| {
            "supervisor_twiddler is not installed in SUPERVISOR_ORACLE, the recording is trusted"
                .to_owned()
        })
    }
}

impl Differs {
    /// Whether these sides have this difference.
    pub(crate) fn applies(&self, sides: Sides) -> bool {
        if self.client {
            sides.client == Side::Ours
        } else {
            sides.daemon == Side::Ours
        }
    }
}

/// Reads all scenario files of a directory.
pub(crate) fn load(dir: &Path) -> Result<Vec<Scenario>, String> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .map_err(|e| format!("{}: {e}", dir.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "scn"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let stem = file
            .file_stem()
            .map(|s| s.to_string_lossy().into_owned())
            .unwrap_or_default();
        let text =
            std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        for part in text.split("\n=== ").skip(1) {
            all.push(parse(part, &stem)?);
        }
    }
    let mut names: Vec<&str> = all.iter().map(|s: &Scenario| s.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("scenario {} exists twice", twice[0]));
    }
    Ok(all)
}

fn parse(part: &str, file: &str) -> Result<Scenario, String> {
    let (head, rest) = part.split_once('\n').unwrap_or((part, ""));
    let (name, needs) = head.split_once('[').unwrap_or((head, ""));
    let name = name.trim().to_owned();
    let needs = needs
        .trim_end_matches(']')
        .split_whitespace()
        .filter(|word| *word != "needs")
        .map(str::to_owned)
        .collect();
    let (config, steps) = rest
        .split_once("---\n")
        .ok_or_else(|| format!("{file}: {name}: no --- line"))?;
    let mut scenario = Scenario {
        name,
        file: file.to_owned(),
        needs,
        config: config.to_owned(),
        steps: Vec::new(),
    };
    let mut differs: Option<Differs> = None;
    for line in steps.lines() {
        if let Some(reason) = line.strip_prefix("@differs ") {
            differs = Some(Differs {
                reason: reason.to_owned(),
                ..Differs::default()
            });
        } else if let Some(reason) = line.strip_prefix("@client-differs ") {
            differs = Some(Differs {
                reason: reason.to_owned(),
                client: true,
                ..Differs::default()
            });
        } else if let Some(text) = line.strip_prefix("@ours") {
            let differs = differs.as_mut().or_else(|| {
                scenario
                    .steps
                    .last_mut()
                    .and_then(|step| step.differs.as_mut())
            });
            differs
                .ok_or_else(|| format!("{}: @ours without @differs", scenario.name))?
                .ours
                .push(text.strip_prefix(' ').unwrap_or(text).to_owned());
        } else if let Some(content) = line.strip_prefix('|') {
            let step = scenario
                .steps
                .last_mut()
                .ok_or_else(|| format!("{}: content before any step", scenario.name))?;
            let text = step.content.get_or_insert_default();
            text.push_str(content.strip_prefix(' ').unwrap_or(content));
            text.push('\n');
        } else if !line.trim().is_empty() && !line.starts_with('#') {
            scenario.steps.push(Step {
                line: line.trim_end().to_owned(),
                content: None,
                differs: differs.take(),
            });
        }
    }
    Ok(scenario)
}

/// Splits a step into arguments. Quotes group text. Double quotes allow `
/// `, `\r`, `\t`, `\\`, `\xNN`.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let mut word = String::new();
        while let Some(&c) = chars.peek() {
            if c.is_whitespace() {
                break;
            }
            chars.next();
            match c {
                '\'' => {
                    for c in chars.by_ref() {
                        if c == '\'' {
                            break;
                        }
                        word.push(c);
                    }
                }
                '"' => {
                    while let Some(c) = chars.next() {
                        match c {
                            '"' => break,
                            '\\' => match chars.next() {
                                Some('n') => word.push('\n'),
                                Some('r') => word.push('\r'),
                                Some('t') => word.push('\t'),
                                Some('x') => {
                                    let hex: String = chars.by_ref().take(2).collect();
                                    let code = u32::from_str_radix(&hex, 16).unwrap_or(0);
                                    word.push(char::from_u32(code).unwrap_or(' '));
                                }
                                Some(other) => word.push(other),
                                None => {}
                            },
                            c => word.push(c),
                        }
                    }
                }
                c => word.push(c),
            }
        }
        words.push(word);
    }
    words
}
