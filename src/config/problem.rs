//! Errors and warnings of a configuration, with their places.

use std::collections::HashSet;
use std::fmt;

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
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => write!(f, "{}", self.message),
            (file, 0) => write!(f, "{file}: {}", self.message),
            (file, line) => write!(f, "{file}:{line}:{}: {}", self.column, self.message),
        }
    }
}

/// The word before an error.
pub const ERROR: &str = "error";
/// The word before a warning.
pub const WARNING: &str = "warning";

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
    pub sources: Vec<(String, String)>,
}

impl ConfigErrors {
    /// The error of a file that cannot be read. `sentence` names the file; `why`, if not empty, is the reason.
    #[must_use]
    pub fn of_file(sentence: String, why: &str) -> Self {
        let mut message = sentence.clone();
        if !why.is_empty() {
            message.push_str(": ");
            message.push_str(why);
        }
        Self {
            all: vec![ConfigProblem {
                file: String::new(),
                line: 0,
                column: 0,
                len: 1,
                message,
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
}

/// Collects problems while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct ProblemReport {
    first: Option<String>,
    errors: Vec<UnlocatedProblem>,
    warnings: Vec<UnlocatedProblem>,
    /// Place and text of every problem so far.
    seen: HashSet<(SourceSpan, String)>,
    sources: Vec<(String, String)>,
}

impl ProblemReport {
    /// Adds a source and returns its index.
    pub(super) fn source(&mut self, name: &str, text: &str) -> usize {
        self.sources.push((name.to_owned(), text.to_owned()));
        self.sources.len() - 1
    }

    /// Adds an error. `sentence` is Supervisor's message; `hint`, if not empty, says what was expected.
    pub(super) fn add(&mut self, span: SourceSpan, sentence: &str, hint: &str) {
        self.add_located(span, sentence, "", hint);
    }

    /// Like [`Self::add`], if Supervisor's message ends in `location`.
    ///
    /// Reports each mistake once, although Supervisor reaches some keys several times, with and without a location.
    pub(super) fn add_located(
        &mut self,
        span: SourceSpan,
        sentence: &str,
        location: &str,
        hint: &str,
    ) {
        let mut message = format!("{sentence}{location}");
        self.first.get_or_insert_with(|| message.clone());
        if !hint.is_empty() {
            message.push_str("; ");
            message.push_str(hint);
        }
        if self.errors.len() < PROBLEMS_MAX && self.seen.insert((span, sentence.to_owned())) {
            self.errors.push(UnlocatedProblem { span, message });
        }
    }

    /// Adds a warning. Returns whether it is new.
    pub(super) fn warn(&mut self, span: SourceSpan, message: String) -> bool {
        let is_new = self.seen.insert((span, message.clone()));
        if is_new && self.warnings.len() < PROBLEMS_MAX {
            self.warnings.push(UnlocatedProblem { span, message });
        }
        is_new
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
        let UnlocatedProblem { span, message } = found;
        let file = sources.get(span.file).map(|(name, _)| name.as_str());
        // A message about a whole file mostly names the file already.
        let is_named = |file: &&str| span.line != 0 || !message.contains(file);
        ConfigProblem {
            file: file.filter(is_named).unwrap_or_default().to_owned(),
            line: span.line,
            column: span.column,
            len: span.len.max(1),
            message,
        }
    }

    /// A warning in the form for the log.
    pub(super) fn shown(&self, span: SourceSpan, message: String) -> String {
        Self::located(&self.sources, UnlocatedProblem { span, message }).to_string()
    }

    /// Returns the warnings by file and line.
    ///
    /// # Errors
    /// There are errors.
    pub(super) fn finish(self) -> Result<Vec<ConfigProblem>, ConfigErrors> {
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
            None => Ok(warnings),
            Some(first) => Err(ConfigErrors {
                first,
                all,
                warnings,
                sources,
            }),
        }
    }
}
