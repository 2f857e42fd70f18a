//! Errors and warnings of a configuration, with their places.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::ini::{Ini, IniEntry};
use super::lint::{Explained, Rule, RuleScope, Severity, explain};

/// A place in a source. Lines and columns count from 1; columns and lengths are in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SourceSpan {
    /// Index of the source, in the order of reading; 0 is the main file.
    pub file: usize,
    /// The line.
    pub line: usize,
    /// The column of the first character.
    pub column: usize,
    /// The length in characters, at least 1.
    pub len: usize,
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConfigProblem {
    /// The file, named as when it was read. Empty: the message names the file, or there is no file.
    pub file: String,
    /// From 1; 0: the file as a whole.
    pub line: usize,
    /// From 1, in characters; 0: the file as a whole.
    pub column: usize,
    /// The length in characters, at least 1.
    pub len: usize,
    /// Supervisor's message, and what was expected instead.
    pub message: String,
    /// What `--check` says about it.
    pub explained: Explained,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&at_place(&self.file, self.line, self.column, &self.message))
    }
}

/// A message after its place.
fn at_place(file: &str, line: usize, column: usize, message: &str) -> String {
    match (file, line) {
        ("", _) => message.to_owned(),
        (file, 0) => format!("{file}: {message}"),
        (file, line) => format!("{file}:{line}:{column}: {message}"),
    }
}

/// The name and the text of each file that was read, in the order of reading.
pub type Sources = Vec<(String, String)>;

/// The word before an error.
pub const ERROR: &str = Severity::Error.word();
/// The word before a warning.
pub const WARNING: &str = Severity::Warning.word();

/// All errors and warnings of a configuration. `Display` gives only the first error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first}")]
pub struct ConfigErrors {
    /// Supervisor's message for the error at which it would have stopped.
    pub first: String,
    /// All errors, by file and line.
    pub all: Vec<ConfigProblem>,
    /// All warnings, by file and line.
    pub warnings: Vec<ConfigProblem>,
    /// Name and text of each file that was read, to show lines with carets.
    pub sources: Sources,
}

impl ConfigErrors {
    /// The error of a file that cannot be read. `sentence` names the file; `why`, if not empty, is the reason.
    #[must_use]
    pub fn of_file(sentence: String, why: &str) -> Self {
        let mut message = sentence.clone();
        let mut explained = explain(None, "", &sentence, "");
        if !why.is_empty() {
            for text in [&mut message, &mut explained.plain] {
                text.push_str(": ");
                text.push_str(why);
            }
        }
        Self {
            all: vec![ConfigProblem {
                file: String::new(),
                line: 0,
                column: 0,
                len: 1,
                message,
                explained,
            }],
            warnings: Vec::new(),
            first: sentence,
            sources: Vec::new(),
        }
    }

    /// Every error and every warning as one line: `file:line:column: error: message`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let errors = self.all.iter().map(|problem| problem.line(ERROR));
        errors.chain(warning_lines(&self.warnings)).collect()
    }
}

/// All problems that `--check` reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// By file and line, each once.
    pub problems: Vec<ConfigProblem>,
    /// To show lines with carets.
    pub sources: Sources,
}

/// A rule, and the less exact one that it replaces at the same place.
const SUPERSEDED: [(Rule, Rule); 1] = [(Rule::IncludeComma, Rule::EmptyInclude)];

impl From<ConfigErrors> for CheckReport {
    fn from(errors: ConfigErrors) -> Self {
        Self::new(&errors.all, &errors.warnings, errors.sources)
    }
}

impl CheckReport {
    /// Sorts the problems.
    #[must_use]
    pub fn new(errors: &[ConfigProblem], warnings: &[ConfigProblem], sources: Sources) -> Self {
        let is_at = |problem: &ConfigProblem, other: &ConfigProblem| {
            let place = |it: &ConfigProblem| (it.line, it.column);
            other.line != 0 && place(problem) == place(other) && problem.file == other.file
        };
        // An error at the same place explains a warning, and so does a more exact rule.
        let is_explained = |it: &ConfigProblem| {
            errors.iter().any(|error| is_at(it, error))
                || SUPERSEDED.iter().any(|(by, rule)| {
                    let exact = |other: &&ConfigProblem| other.explained.rule == *by;
                    let mut exact = warnings.iter().filter(exact);
                    *rule == it.explained.rule && exact.any(|other| is_at(it, other))
                })
        };
        let kept = warnings.iter().filter(|warning| !is_explained(warning));
        let mut problems: Vec<ConfigProblem> = errors.iter().chain(kept).cloned().collect();
        let file = |problem: &ConfigProblem| {
            let place = sources.iter().position(|(name, _)| *name == problem.file);
            place.unwrap_or(0)
        };
        problems.sort_by_cached_key(|problem| {
            let severity = problem.explained.severity;
            (file(problem), problem.line, problem.column, severity)
        });
        let mut seen = HashSet::new();
        problems.retain(|problem| {
            let place = (problem.file.clone(), problem.line, problem.column);
            seen.insert((place, problem.explained.rule, problem.plain().to_owned()))
        });
        Self { problems, sources }
    }

    /// Removes the problems that depend on this host: its files, users and environment.
    pub fn retain_any_host(&mut self) {
        let is_host =
            |problem: &ConfigProblem| problem.explained.rule.row().scope == RuleScope::Host;
        self.problems.retain(|problem| !is_host(problem));
    }

    /// The number of problems of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let problems = self.problems.iter();
        problems
            .filter(|problem| problem.explained.severity == severity)
            .count()
    }
}

impl ConfigProblem {
    /// What is wrong, in plain English.
    #[must_use]
    pub fn plain(&self) -> &str {
        match self.explained.plain.as_str() {
            "" => self.message.lines().next().unwrap_or_default(),
            plain => plain,
        }
    }
}

/// Each warning as one line: `file:line:column: warning: message`.
pub fn warning_lines(warnings: &[ConfigProblem]) -> impl Iterator<Item = String> {
    warnings.iter().map(|problem| problem.line(WARNING))
}

impl ConfigProblem {
    /// The problem as one line, with its severity before the message.
    #[must_use]
    pub fn line(&self, severity: &str) -> String {
        Self {
            message: format!("{severity}: {}", self.message.replace('\n', " ")),
            ..self.clone()
        }
        .to_string()
    }
}

/// Maximum number of problems that are kept. More would only fill memory.
pub const PROBLEMS_MAX: usize = 1000;

/// A problem whose file is still an index.
#[derive(Debug)]
struct UnlocatedProblem {
    span: SourceSpan,
    message: String,
    explained: Explained,
}

/// Collects problems while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct ProblemReport {
    first: Option<String>,
    errors: Vec<UnlocatedProblem>,
    warnings: Vec<UnlocatedProblem>,
    /// Place and text of every problem so far.
    seen: HashSet<(SourceSpan, String)>,
    sources: Sources,
}

impl ProblemReport {
    /// Adds a source and returns its index.
    pub(super) fn source(&mut self, name: &str, text: &str) -> usize {
        self.sources.push((name.to_owned(), text.to_owned()));
        self.sources.len() - 1
    }

    /// Adds an error that is not about one key. `sentence` is Supervisor's message; `hint`, if not empty, says what was
    /// expected.
    pub(super) fn add(&mut self, span: SourceSpan, sentence: &str, hint: &str) {
        let explained = explain(None, "", sentence, hint);
        self.add_located(span, (sentence, ""), hint, explained);
    }

    /// Adds an error whose message ends in a location, which may be empty.
    ///
    /// Reports each mistake once, although Supervisor reaches some keys several times, with and without a location.
    pub(super) fn add_located(
        &mut self,
        span: SourceSpan,
        (sentence, location): (&str, &str),
        hint: &str,
        explained: Explained,
    ) {
        let mut message = format!("{sentence}{location}");
        self.first.get_or_insert_with(|| message.clone());
        if !hint.is_empty() {
            message.push_str("; ");
            message.push_str(hint);
        }
        if self.errors.len() < PROBLEMS_MAX && self.seen.insert((span, sentence.to_owned())) {
            self.errors.push(UnlocatedProblem {
                span,
                message,
                explained,
            });
        }
    }

    /// Adds a warning. Returns whether it is new.
    pub(super) fn warn(&mut self, span: SourceSpan, message: String, explained: Explained) -> bool {
        let is_new = self.seen.insert((span, message.clone()));
        if is_new && self.warnings.len() < PROBLEMS_MAX {
            self.warnings.push(UnlocatedProblem {
                span,
                message,
                explained,
            });
        }
        is_new
    }

    /// Adds what `--check` alone reports, unless the same place has an error.
    pub(super) fn lint(&mut self, span: SourceSpan, explained: Explained) {
        if explained.rule == Rule::DuplicateMember {
            self.forget_same_names(span);
        }
        if !self.has_error_at(span) {
            let message = explained.plain.clone();
            self.warn(span, message, explained);
        }
    }

    /// Removes the warning about processes with the same name in the group whose `programs` are at `span`.
    fn forget_same_names(&mut self, span: SourceSpan) {
        let is_before = |found: &UnlocatedProblem| {
            let place = found.span;
            place.file == span.file
                && place.line < span.line
                && found.explained.rule == Rule::DuplicateName
        };
        let last = self.warnings.iter().filter(|found| is_before(found));
        if let Some(header) = last.map(|found| found.span).max_by_key(|place| place.line) {
            let is_it = |found: &UnlocatedProblem| found.span == header && is_before(found);
            self.warnings.retain(|found| !is_it(found));
        }
    }

    /// Names the keys of the problems at keys and values, for the reports that show them.
    pub(super) fn name_keys(&mut self, ini: &Ini) {
        let mut problems = self.errors.iter().chain(&self.warnings);
        if !problems.any(|problem| problem.explained.key.is_empty()) {
            return;
        }
        let entries = ini.sections().iter().flat_map(|section| &section.entries);
        let keys: HashMap<SourceSpan, &IniEntry> = entries
            .flat_map(|entry| [(entry.key_span(), entry), (entry.value_span(), entry)])
            .collect();
        for problem in self.errors.iter_mut().chain(&mut self.warnings) {
            let explained = &mut problem.explained;
            if explained.key.is_empty()
                && let Some(entry) = keys.get(&problem.span)
            {
                explained.key = entry.key.to_string();
            }
        }
    }

    /// Sets Supervisor's message if one of its errors covers several problems here.
    pub(super) fn sentence(&mut self, sentence: String) {
        self.first.get_or_insert(sentence);
    }

    /// Whether an error is reported at this place.
    #[must_use]
    pub(super) fn has_error_at(&self, span: SourceSpan) -> bool {
        self.errors.iter().any(|found| found.span == span)
    }

    /// The number of errors.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.errors.len()
    }

    /// Replaces the index of a problem's file by its name.
    fn located(sources: &[(String, String)], found: UnlocatedProblem) -> ConfigProblem {
        let UnlocatedProblem {
            span,
            message,
            explained,
        } = found;
        ConfigProblem {
            file: Self::file_of(sources, span, &message).to_owned(),
            line: span.line,
            column: span.column,
            len: span.len.max(1),
            message,
            explained,
        }
    }

    /// The file of a problem. A message about a whole file mostly names the file already.
    fn file_of<'s>(sources: &'s [(String, String)], span: SourceSpan, message: &str) -> &'s str {
        let file = sources.get(span.file).map(|(name, _)| name.as_str());
        let is_named = |file: &&str| span.line != 0 || !message.contains(file);
        file.filter(is_named).unwrap_or_default()
    }

    /// A warning in the form for the log.
    pub(super) fn shown(&self, span: SourceSpan, message: &str) -> String {
        let file = Self::file_of(&self.sources, span, message);
        at_place(file, span.line, span.column, message)
    }

    /// Returns the warnings by file and line, and the name and the text of every source.
    ///
    /// # Errors
    /// There are errors.
    pub(super) fn finish(self) -> Result<(Vec<ConfigProblem>, Sources), ConfigErrors> {
        let Self {
            first,
            errors,
            warnings,
            seen: _,
            sources,
        } = self;
        let located = |mut found: Vec<UnlocatedProblem>| -> Vec<ConfigProblem> {
            // A stable sort: problems at one place stay in Supervisor's order.
            found.sort_by_key(|found| (found.span.file, found.span.line, found.span.column));
            let problems = found.into_iter();
            problems
                .map(|found| Self::located(&sources, found))
                .collect()
        };
        let (all, warnings) = (located(errors), located(warnings));
        match first {
            None => Ok((warnings, sources)),
            Some(first) => Err(ConfigErrors {
                first,
                all,
                warnings,
                sources,
            }),
        }
    }
}
