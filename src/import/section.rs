//! A section of a program while it comes into being, and its text.

use crate::config::key::SectionKind;

/// One `[program:x]` with what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// The program's name.
    pub(super) name: String,
    /// What it is, for people.
    pub(super) title: String,
    keys: Vec<(&'static str, String)>,
    remarks: Vec<String>,
}

impl Section {
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

    /// Says something about a directive. The same is said once.
    pub(super) fn say(&mut self, directive: &str, value: &str, text: &str) {
        let remark = if value.is_empty() {
            format!("{directive}: {text}")
        } else {
            format!("{directive}={value}: {text}")
        };
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
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
        for remark in &self.remarks {
            text.push_str(&format!("; {}\n", one_line(remark)));
        }
        text
    }
}

/// What stands in a comment must not end it.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
