//! What an action is: its name, arguments, options, texts and function. Completion, help and the manual page derive from it.

use super::error::CtlError;
use super::session::CtlSession;

/// The arguments of an action, for completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgKind {
    /// Unknown or no arguments.
    Nothing,
    /// The name of an action.
    Topic,
    /// The name of a group.
    Group,
    /// Names of groups.
    Groups,
    /// One namespec.
    Process,
    /// Namespecs.
    Processes,
    /// A signal, then namespecs.
    Signal,
    /// One namespec, then a channel.
    Log,
    /// What `program` does, then the name of a program.
    ProgramVerb,
}

/// An option of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ActionFlag {
    /// The option as it is typed.
    pub(super) name: &'static str,
    /// Whether the next word is its argument.
    pub(super) argument: bool,
    /// Its description.
    pub(super) doc: &'static str,
}

pub(super) const JSON: ActionFlag = flag("--json", "print one line of JSON");
pub(super) const YES: ActionFlag = flag("--yes", "do not ask for confirmation");
pub(super) const NO_DEPS: ActionFlag =
    flag("--no-deps", "start without what the processes depend on");
pub(super) const WITH_DEPENDENTS: ActionFlag = flag(
    "--with-dependents",
    "first stop what depends on the processes",
);
pub(super) const DRY_RUN: ActionFlag = flag("--dry-run", "show what the action would do");
pub(super) const IF_PLAN: ActionFlag = ActionFlag {
    name: "--if-plan",
    argument: true,
    doc: "change nothing if the plan has another id",
};
pub(super) const OUTPUT: ActionFlag = ActionFlag {
    name: "-o",
    argument: true,
    doc: "output format: json",
};
pub(super) const VERBOSE: ActionFlag = flag(
    "-v",
    "also print restarts, the last exit, the last error and the last stderr",
);
pub(super) const WATCH: ActionFlag = flag(
    "--watch",
    "show the states again every second, until Ctrl-C",
);
pub(super) const ROLLING: ActionFlag = flag(
    "--rolling",
    "restart processes one after another, each when the previous one is up",
);
pub(super) const COUNT: ActionFlag = ActionFlag {
    name: "-n",
    argument: true,
    doc: "restart COUNT processes at a time",
};
pub(super) const MAX_FAILURES: ActionFlag = ActionFlag {
    name: "--max-failures",
    argument: true,
    doc: "continue until more than COUNT processes have failed",
};
pub(super) const WAIT: ActionFlag = ActionFlag {
    name: "--wait",
    argument: true,
    doc: "wait until each process is ready, or healthy",
};
pub(super) const STREAM: ActionFlag = ActionFlag {
    name: "-t",
    argument: true,
    doc: "the stream: stdout or stderr",
};
pub(super) const FOLLOW: ActionFlag = flag("-f", "follow the output until Ctrl-C");

/// Of `config`.
pub(super) const ALL_KEYS: ActionFlag =
    flag("--all", "also print the keys that have their defaults");
/// Of `top`.
pub(super) const ONCE: ActionFlag = flag("--once", "print one table instead of the screen");
/// Of `top`.
pub(super) const DELAY: ActionFlag = ActionFlag {
    name: "-d",
    argument: true,
    doc: "seconds between two looks",
};
/// Of `hold`.
pub(super) const FOR: ActionFlag = ActionFlag {
    name: "--for",
    argument: true,
    doc: "how long, such as 30m, 2h or 1d",
};
/// Of `hold`.
pub(super) const REASON: ActionFlag = ActionFlag {
    name: "--reason",
    argument: true,
    doc: "why, for people",
};
/// Of `history`.
pub(super) const ENTRIES: ActionFlag = ActionFlag {
    name: "-n",
    argument: true,
    doc: "number of entries, the newest",
};

pub(super) const LINES: ActionFlag = ActionFlag {
    name: "-n",
    argument: true,
    doc: "number of lines of each log",
};
pub(super) const SINCE: ActionFlag = ActionFlag {
    name: "--since",
    argument: true,
    doc: "lines of the last time, such as 10m, 2h or 1d",
};
pub(super) const GREP: ActionFlag = ActionFlag {
    name: "--grep",
    argument: true,
    doc: "lines that match a regular expression",
};

pub(super) const fn flag(name: &'static str, doc: &'static str) -> ActionFlag {
    ActionFlag {
        name,
        argument: false,
        doc,
    }
}

/// An action of `supervisorctl`.
pub(super) struct CtlAction {
    /// The name of the action.
    pub(super) name: &'static str,
    /// Its arguments.
    pub(super) takes: ArgKind,
    /// Its options.
    pub(super) flags: &'static [ActionFlag],
    /// Whether `help` lists it.
    pub(super) listed: bool,
    /// Whether Supervisor does not have it. `help` lists these separately, like actions of plug-ins.
    pub(super) is_ours: bool,
    /// Whether it reads quotes in its arguments, for patterns and values with blanks.
    pub(super) reads_quotes: bool,
    /// The text of `help` and usage errors. Empty for actions that Supervisor has no help for.
    pub(super) help: &'static str,
    /// Text that only `help` appends: features that Supervisor does not have.
    pub(super) help_ours: &'static str,
    /// Its description in the manual page.
    pub(super) about: &'static str,
    /// Its exit statuses with their causes, except success and those of all actions.
    pub(super) exits: &'static [(u8, &'static str)],
    /// Runs the action with the rest of the command line.
    pub(super) run: fn(&mut CtlSession, &str) -> Result<(), CtlError>,
}

pub(super) const fn action(
    name: &'static str,
    run: fn(&mut CtlSession, &str) -> Result<(), CtlError>,
) -> CtlAction {
    CtlAction {
        name,
        takes: ArgKind::Nothing,
        flags: &[],
        listed: true,
        is_ours: false,
        reads_quotes: false,
        help: "",
        help_ours: "",
        about: "",
        exits: &[],
        run,
    }
}

impl CtlAction {
    pub(super) const fn takes(mut self, takes: ArgKind) -> Self {
        self.takes = takes;
        self
    }

    pub(super) const fn flags(mut self, flags: &'static [ActionFlag]) -> Self {
        self.flags = flags;
        self
    }

    pub(super) const fn hidden(mut self) -> Self {
        self.listed = false;
        self
    }

    pub(super) const fn own(mut self) -> Self {
        self.is_ours = true;
        self
    }

    pub(super) const fn quoted(mut self) -> Self {
        self.reads_quotes = true;
        self
    }

    pub(super) const fn help(mut self, text: &'static str) -> Self {
        self.help = text;
        self
    }

    pub(super) const fn about(mut self, text: &'static str) -> Self {
        self.about = text;
        self
    }

    pub(super) const fn exits(mut self, statuses: &'static [(u8, &'static str)]) -> Self {
        self.exits = statuses;
        self
    }

    pub(super) const fn ours(mut self, text: &'static str) -> Self {
        self.help_ours = text;
        self
    }

    /// Its options, with `--json`, which every action accepts whose output is no followed log.
    pub(super) fn options(&self) -> impl Iterator<Item = &'static ActionFlag> {
        static JSON_FLAG: ActionFlag = JSON;
        let has_own = self.flags.contains(&JSON) || self.flags.contains(&OUTPUT);
        let adds = !has_own && self.name != "fg" && !self.help.is_empty();
        self.flags.iter().chain(adds.then_some(&JSON_FLAG))
    }

    /// Splits the help text into pairs of usage and description. The usage ends at the first tab of a line. Lines
    /// that begin with a tab continue the description of the previous line.
    pub(super) fn usages(&self) -> Vec<(&'static str, String)> {
        let mut usages: Vec<(&str, String)> = Vec::new();
        for line in self.help.lines().chain(self.help_ours.lines()) {
            let (usage, doc) = line.split_once('\t').unwrap_or((line, ""));
            let doc = without_emphasis(doc.trim());
            if usage.starts_with(self.name) {
                usages.push((usage.trim(), doc));
            } else if let Some((_, before)) = usages.last_mut().filter(|_| usage.is_empty()) {
                let joint = match doc.starts_with('(') {
                    true => " ",
                    false => "; ",
                };
                *before = format!("{}{joint}{doc}", before.trim_end_matches('.'));
            }
        }
        usages
    }

    /// The notes on the whole action.
    pub(super) fn notes(&self) -> impl Iterator<Item = &'static str> {
        self.help
            .lines()
            .filter_map(|line| line.strip_prefix("Note: "))
    }

    /// The first description, as a summary.
    pub(super) fn brief(&self) -> String {
        let mut docs = self.usages().into_iter().map(|(_, doc)| doc);
        docs.find(|doc| !doc.is_empty()).unwrap_or_default()
    }

    /// What it does, in one line: the first sentence of its description.
    pub(super) fn summary(&self) -> String {
        match self.about.split_once(". ") {
            Some((first, _)) => first.to_owned(),
            None if self.about.is_empty() => self.brief(),
            None => self.about.trim_end_matches('.').to_owned(),
        }
    }

    /// Its options and exit statuses, for its help at a terminal.
    fn detail_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut options = self.options().peekable();
        if options.peek().is_some() {
            lines.push("Options:".to_owned());
        }
        for option in options {
            let value = if option.argument { " VALUE" } else { "" };
            let name = format!("{}{value}", option.name);
            lines.push(format!("  {name:22}{}", option.doc));
        }
        if !self.exits.is_empty() {
            lines.push("Exit status:".to_owned());
            if self.exits.iter().all(|(status, _)| *status != 0) {
                lines.push("  0    success".to_owned());
            }
            let statuses = self.exits.iter();
            lines.extend(statuses.map(|(status, what)| format!("  {status:<5}{what}")));
        }
        lines
    }

    /// The first word in `arguments` that looks like an option but is not an option of the action. A name that begins
    /// with a dash looks the same; only the daemon can tell.
    pub(super) fn unknown_option<'a>(&self, arguments: &'a str) -> Option<&'a str> {
        let changes = !matches!(self.name, "pid" | "status");
        let names_from = match self.takes {
            ArgKind::Groups | ArgKind::Processes => 0,
            // The action itself reports a wrong signal or number of processes.
            ArgKind::Signal => 1,
            ArgKind::Group
            | ArgKind::Nothing
            | ArgKind::Topic
            | ArgKind::Process
            | ArgKind::Log
            | ArgKind::ProgramVerb => {
                return None;
            }
        };
        let has_json = self.flags.contains(&JSON);
        let is_known = |word: &str| {
            if has_json && matches!(word, "-o" | "-ojson" | "-o=json") {
                return true;
            }
            self.flags
                .iter()
                .any(|flag| word == flag.name || flag.argument && word.starts_with(flag.name))
        };
        // Differs: Supervisor treats every word as a name, and acts on the other names. For actions that change
        // nothing, a word with one dash is still a name, as in Supervisor.
        let is_option = |word: &str| match word.strip_prefix('-') {
            Some("") | None => false,
            Some(rest) => changes || rest.starts_with('-'),
        };
        let mut words = arguments.split_whitespace().skip(names_from);
        words.find(|word| is_option(word) && !is_known(word))
    }

    /// Whether everything that it prints can become one JSON object: it does not follow a log.
    pub(super) fn can_collect(&self, arguments: &str) -> bool {
        let mut words = arguments.split_whitespace();
        let follows = self.flags.contains(&FOLLOW) && words.any(|word| word == FOLLOW.name);
        self.name != "fg" && !follows
    }

    /// Whether `all` changes every process, so that the shell asks first.
    pub(super) fn is_destructive(&self) -> bool {
        matches!(
            self.name,
            "clear" | "restart" | "serialrestart" | "signal" | "stop"
        )
    }

    /// Prints its complete help.
    pub(super) fn say_help(&self, session: &mut CtlSession) -> Result<(), CtlError> {
        session.say(self.help)?;
        if !self.help_ours.is_empty() {
            session.say(self.help_ours)?;
        }
        if session.screen.is_for_people {
            for line in self.detail_lines() {
                session.say(&line)?;
            }
        }
        Ok(())
    }

    /// Whether the action accepts `all` for every process or group.
    pub(super) fn takes_all(&self) -> bool {
        self.usages()
            .iter()
            .any(|(usage, _)| usage.ends_with(" all"))
    }
}

/// Removes the asterisks that emphasise a word, as in `last 100 *bytes*`. An asterisk of a pattern such as `web_*`
/// stays.
pub(super) fn without_emphasis(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let inner = word
            .strip_prefix('*')
            .and_then(|word| word.strip_suffix('*'));
        inner.filter(|inner| !inner.is_empty()).unwrap_or(word)
    });
    words.collect::<Vec<_>>().join(" ")
}
