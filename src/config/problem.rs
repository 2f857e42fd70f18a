//! What is wrong with a configuration, and where. Knows neither the dialect nor the keys.

use std::collections::HashSet;
use std::fmt;

/// A place in a source: lines and columns count from 1, columns and lengths in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Index among the sources, in the order read; 0 is the main file.
    pub file: usize,
    /// The line.
    pub line: usize,
    /// The first character.
    pub column: usize,
    /// How many characters, at least 1.
    pub len: usize,
}

/// One thing wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file as named when it was read.
    pub file: String,
    /// From 1; 0: the file as a whole.
    pub line: usize,
    /// From 1, in characters; 0: the file as a whole.
    pub column: usize,
    /// How many characters are meant, at least 1.
    pub len: usize,
    /// Supervisor's sentence, and what was expected instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )
    }
}

/// Everything wrong with a configuration; `Display` gives the first sentence alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first}")]
pub struct ConfigErrors {
    /// Supervisor's sentence for the error at which it would have stopped.
    pub first: String,
    /// All problems, in the order in which Supervisor would come to them.
    pub all: Vec<Problem>,
    /// Name and text of each file read, for carets.
    pub sources: Vec<(String, String)>,
}

impl ConfigErrors {
    /// The one error of a file that could not even be read.
    #[must_use]
    pub fn of_file(file: &str, sentence: String) -> Self {
        Self {
            all: vec![Problem {
                file: file.to_owned(),
                line: 0,
                column: 0,
                len: 1,
                message: sentence.clone(),
            }],
            first: sentence,
            sources: Vec::new(),
        }
    }
}

/// The most problems kept of one configuration; what is beyond helps nobody and could fill memory.
pub const PROBLEMS_MAX: usize = 1000;

/// Collects problems while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct Report {
    first: Option<String>,
    all: Vec<Problem>,
    seen: HashSet<Problem>,
    sources: Vec<(String, String)>,
}

impl Report {
    /// Makes a file known and answers its index.
    pub(super) fn source(&mut self, name: &str, text: &str) -> usize {
        self.sources.push((name.to_owned(), text.to_owned()));
        self.sources.len() - 1
    }

    /// Adds a problem. `sentence` is Supervisor's; `hint`, if not empty, says what was expected.
    pub(super) fn add(&mut self, span: Span, sentence: String, hint: &str) {
        let mut message = sentence.clone();
        if !hint.is_empty() {
            message.push_str("; ");
            message.push_str(hint);
        }
        let file = self
            .sources
            .get(span.file)
            .map(|(name, _)| name.clone())
            .unwrap_or_default();
        let problem = Problem {
            file,
            line: span.line,
            column: span.column,
            len: span.len.max(1),
            message,
        };
        if self.first.is_none() {
            self.first = Some(sentence);
        }
        // A section in two groups is read twice, and has the same mistakes each time.
        if self.all.len() < PROBLEMS_MAX && self.seen.insert(problem.clone()) {
            self.all.push(problem);
        }
    }

    /// Sets Supervisor's sentence where one of its errors covers several of our problems.
    pub(super) fn sentence(&mut self, sentence: String) {
        self.first.get_or_insert(sentence);
    }

    /// How many problems there are.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The problems, if there are any.
    ///
    /// # Errors
    /// There are.
    pub(super) fn finish(self) -> Result<(), ConfigErrors> {
        match self.first {
            None => Ok(()),
            Some(first) => Err(ConfigErrors {
                first,
                all: self.all,
                sources: self.sources,
            }),
        }
    }
}
