//! Why a program cannot be edited, and what an edit did beyond the request.

use std::fmt;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditPlace {
    /// The name of the file, as it was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for EditPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A key that names a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependant {
    /// The whole name of the section, such as `program:web`.
    pub section: String,
    /// The key, such as `depends_on`.
    pub key: String,
    /// Where the key is.
    pub place: EditPlace,
}

impl fmt::Display for Dependant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            section,
            key,
            place,
        } = self;
        write!(f, "{key} of [{section}] at {place}")
    }
}

/// Why a program cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no such program.
    #[error("no such program: {0}")]
    NotFound(String),
    /// A section with this name, or a section that would have the same group, exists.
    #[error("{name} exists already: [{section}] at {place}")]
    Exists {
        /// The name of the program.
        name: String,
        /// The section.
        section: String,
        /// Its header.
        place: EditPlace,
    },
    /// A program cannot have this name.
    #[error("{reason} (names cannot contain blanks, colons, slashes or control characters)")]
    InvalidName {
        /// The name.
        name: String,
        /// The reason.
        reason: String,
    },
    /// The text of a section is not one section of a program.
    #[error("line {line}: {problem}")]
    SectionText {
        /// The line of the text, from 1.
        line: usize,
        /// What is wrong.
        problem: SectionTextProblem,
    },
    /// Other sections need the program.
    #[error("{name} is needed by {}", listed(dependants))]
    Needed {
        /// The name of the program.
        name: String,
        /// The keys that name it, in the order of the files.
        dependants: Vec<Dependant>,
    },
    /// A key cannot be written in a file.
    #[error("invalid key: {0:?} (a key has letters, digits, `_`, `-` and `.`)")]
    InvalidKey(String),
    /// A value cannot be written in a file.
    #[error("{key}, line {line} of the value: {problem}")]
    InvalidValue {
        /// The key.
        key: String,
        /// The line of the value, from 1.
        line: usize,
        /// What is wrong.
        problem: ValueProblem,
    },
    /// The edit would change how other lines are read, for example because of their indentation.
    #[error(
        "{place}: the edit would change the meaning of [{section}] (check the indentation of its lines)"
    )]
    Entangled {
        /// The section that would change.
        section: String,
        /// Its header.
        place: EditPlace,
    },
    /// Some lines of the file end in a carriage return, and others in a line feed.
    #[error("{0}: line ends are mixed: this line ends in a carriage return without a line feed")]
    MixedLineEnds(EditPlace),
    /// There is no file with this index.
    #[error("no file has the index {0}")]
    NoFile(usize),
}

/// The dependants for a message.
fn listed(dependants: &[Dependant]) -> String {
    let texts: Vec<String> = dependants.iter().map(Dependant::to_string).collect();
    texts.join(", ")
}

/// What is wrong with the text of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SectionTextProblem {
    /// It has no header before this line.
    #[error("expected the header [program:NAME]")]
    NoHeader,
    /// It has a second header.
    #[error("expected one section, found a second header")]
    SecondHeader,
    /// The section is not a program.
    #[error("expected [program:NAME], found another kind of section")]
    NotProgram,
    /// The line cannot be parsed.
    #[error("expected `key = value` or a comment that begins with ; or #")]
    NotKey,
}

/// Why a value cannot be written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueProblem {
    /// A `;` or `#` at the beginning or after a blank begins a comment.
    #[error(
        "`;` and `#` at the beginning or after a blank begin a comment, which the file format cannot quote"
    )]
    Comment,
    /// Blanks at the beginning or the end are lost.
    #[error(
        "the file format loses blanks at the beginning and the end of a line, and line feeds at the end"
    )]
    OuterBlank,
    /// It contains a control character.
    #[error("it contains a control character")]
    ControlCharacter,
    /// It reads back differently for another reason.
    #[error("the file format cannot express the value")]
    Inexpressible,
}

/// What an edit did beyond the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EditNote {
    /// The section was in several places, and is now in the first of them only.
    Joined {
        /// The section.
        section: String,
        /// The headers of the places that were removed.
        removed: Vec<EditPlace>,
    },
    /// The programs of a group changed.
    GroupChanged {
        /// The section of the group.
        section: String,
        /// The header of the group.
        place: EditPlace,
    },
    /// The group had no other program, and was removed.
    GroupRemoved {
        /// The section of the group.
        section: String,
        /// The header of the group.
        place: EditPlace,
    },
}

impl fmt::Display for EditNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined { section, removed } => {
                let places: Vec<String> = removed.iter().map(EditPlace::to_string).collect();
                let places = places.join(", ");
                write!(
                    f,
                    "[{section}] was in several places; removed those at {places}"
                )
            }
            Self::GroupChanged { section, place } => {
                write!(f, "changed the programs of [{section}] at {place}")
            }
            Self::GroupRemoved { section, place } => {
                write!(
                    f,
                    "removed [{section}] at {place}, which has no other program"
                )
            }
        }
    }
}
