//! A section of a program while it comes into being, and its text.

use crate::config::key::SectionKind;

/// One `[program:x]` with what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProgramSection {
    /// The program's name.
    pub(super) name: String,
    /// What it is, for people.
    pub(super) title: String,
    keys: Vec<(&'static str, String)>,
    /// What is said, and the directives of which it is said.
    remarks: Vec<(String, Vec<String>)>,
}

impl ProgramSection {
    /// An empty one.
    #[must_use]
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: String::new(),
            keys: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// Sets a key, in the form in which it is to be written.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<String>) {
        let value = value.into();
        match self.keys.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key, value)),
        }
    }

    /// What a key is set to.
    #[must_use]
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let mut keys = self.keys.iter();
        keys.find(|(known, _)| *known == key)
            .map(|(_, value)| value.as_str())
    }

    /// Says something about a directive. What is said of several is said once, of all of them.
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

/// What stands in a comment must not end it.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
