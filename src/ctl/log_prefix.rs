//! How lines of several logs are told apart: a prefix with the name and the stream, or an object of JSON.

use std::fmt;
use std::io::{self, IsTerminal};

use serde::Serialize;

use super::{printable, render};
use crate::domain::{Channel, Namespec};

/// The escape sequences of the prefixes, one after another: cyan, yellow, green, magenta, blue and their bright forms.
const COLOURS: [&str; 10] = ["36", "33", "32", "35", "34", "96", "93", "92", "95", "94"];

/// The name and the stream of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogLabel {
    group: String,
    name: String,
    channel: Channel,
}

impl LogLabel {
    pub(super) fn new(group: &str, name: &str, channel: Channel) -> Self {
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            channel,
        }
    }

    /// The name as people write it.
    fn namespec(&self) -> String {
        Namespec::print(&self.group, &self.name)
    }
}

/// The name, and the stream if it is standard error.
impl fmt::Display for LogLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.namespec())?;
        match self.channel {
            Channel::Stdout => Ok(()),
            Channel::Stderr => f.write_str(" stderr"),
        }
    }
}

/// Formats lines.
#[derive(Debug)]
pub(super) struct LogPrefix {
    /// The width of the longest name, in characters.
    width: usize,
    /// The names, in the order of their colours.
    names: Vec<String>,
    is_json: bool,
    is_coloured: bool,
    /// Whether control characters are replaced.
    is_printable: bool,
}

impl LogPrefix {
    /// For the logs with these labels, and standard output.
    pub(super) fn new<'a>(labels: impl Iterator<Item = &'a LogLabel>, is_json: bool) -> Self {
        let is_terminal = io::stdout().is_terminal();
        let is_coloured = is_terminal && std::env::var_os("NO_COLOR").is_none();
        Self::with(labels, is_json, is_coloured, is_terminal)
    }

    fn with<'a>(
        labels: impl Iterator<Item = &'a LogLabel>,
        is_json: bool,
        is_coloured: bool,
        is_printable: bool,
    ) -> Self {
        let mut width = 0;
        let mut names: Vec<String> = Vec::new();
        for label in labels {
            width = width.max(label.to_string().chars().count());
            if names.last() != Some(&label.namespec()) {
                names.push(label.namespec());
            }
        }
        Self {
            width,
            names,
            is_json,
            is_coloured,
            is_printable,
        }
    }

    /// A line of a log as it is written, with its end.
    pub(super) fn line(&self, label: &LogLabel, line: &[u8]) -> Vec<u8> {
        #[derive(Serialize)]
        struct LineJson<'a> {
            group: &'a str,
            name: &'a str,
            namespec: String,
            stream: &'static str,
            line: &'a str,
        }

        if self.is_json {
            let text = render::json(&LineJson {
                group: &label.group,
                name: &label.name,
                namespec: label.namespec(),
                stream: label.channel.name(),
                line: &String::from_utf8_lossy(line),
            });
            return (text + "\n").into_bytes();
        }
        let mut out = format!("{:width$} | ", label.to_string(), width = self.width);
        if self.is_coloured {
            let at = self.names.iter().position(|name| *name == label.namespec());
            let colour = COLOURS[at.unwrap_or_default() % COLOURS.len()];
            out = format!("\u{1b}[{colour}m{out}\u{1b}[0m");
        }
        let mut out = out.into_bytes();
        match self.is_printable {
            true => out.extend(printable::all(&String::from_utf8_lossy(line)).into_bytes()),
            false => out.extend_from_slice(line),
        }
        out.push(b'\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_prefixes_and_no_escape_sequences_of_programs() {
        let labels = [
            LogLabel::new("web", "web", Channel::Stdout),
            LogLabel::new("web", "web", Channel::Stderr),
            LogLabel::new("g", "x", Channel::Stdout),
        ];
        let text = |prefix: &LogPrefix, at: usize, line: &[u8]| {
            String::from_utf8(prefix.line(&labels[at], line)).expect("text")
        };
        let plain = LogPrefix::with(labels.iter(), false, false, false);
        assert_eq!(text(&plain, 0, b"a\x1b[1m"), "web        | a\u{1b}[1m\n");
        assert_eq!(text(&plain, 1, b""), "web stderr | \n");
        let coloured = LogPrefix::with(labels.iter(), false, true, true);
        assert_eq!(
            text(&coloured, 2, b"a\x1b[1m\xff"),
            "\u{1b}[33mg:x        | \u{1b}[0ma\u{fffd}[1m\u{fffd}\n"
        );
        let json = LogPrefix::with(labels.iter(), true, true, true);
        assert_eq!(
            text(&json, 1, b"a\"\x1b"),
            "{\"schema\":1,\"group\":\"web\",\"name\":\"web\",\"namespec\":\"web\",\"stream\":\"stderr\",\"line\":\"a\\\"\\u001b\"}\n"
        );
    }
}
