//! A program section while it is built, and its text.

use crate::config::key::SectionKind;

/// One `[program:x]` with its remarks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProgramSection {
    /// The program's name.
    pub(super) name: String,
    /// A title for people.
    pub(super) title: String,
    keys: Vec<(&'static str, String)>,
    /// Remarks, each with the directives that it is about.
    remarks: Vec<(String, Vec<String>)>,
}

impl ProgramSection {
    /// An empty section.
    #[must_use]
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: String::new(),
            keys: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Sets a key. `value` is already in the syntax of the file.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<String>) {
        let value = value.into();
        match self.keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key, value)),
        }
    }

    /// The value of a key. `None`: not set.
    #[must_use]
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let mut keys = self.keys.iter();
        keys.find(|(known, _)| *known == key)
            .map(|(_, value)| value.as_str())
    }

    /// Adds a remark about a directive. The same remark about several directives is printed once for all of them.
    pub(super) fn add_remark(&mut self, directive: &str, value: &str, text: &str) {
        let subject = if value.is_empty() {
            directive.to_owned()
        } else {
            format!("{directive}={value}")
        };
        match self.remarks.iter_mut().find(|(said, _)| said == text) {
            Some((_, subjects)) if subjects.contains(&subject) => {}
            Some((_, subjects)) => subjects.push(subject),
            None => self.remarks.push((text.to_owned(), vec![subject])),
        }
    }

    /// The text for a file: the keys in the order of KEYS, then the remarks as comments.
    #[must_use]
    pub(super) fn render(&self) -> String {
        let mut text = format!("; {}\n[program:{}]\n", one_line(&self.title), self.name);
        for row in SectionKind::Program.rows() {
            if let Some(value) = self.get(row.name) {
                text.push_str(&format!("{}={value}\n", row.name));
            }
        }
        for (said, subjects) in &self.remarks {
            let remark = format!("{}: {said}", subjects.join(", "));
            text.push_str(&format!("; {}\n", one_line(&remark)));
        }
        text
    }
}

/// Replaces control characters, since a newline would end the comment.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
