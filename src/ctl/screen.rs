//! What the terminal of the client can show, and how wide text is there. This module does not know the server.

use std::io::{self, IsTerminal};

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// When to colour the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ColorWhen {
    /// At a terminal, unless `NO_COLOR` is set or the terminal is `dumb`.
    #[default]
    Auto,
    /// Always, also into a pipe.
    Always,
    /// Never.
    Never,
}

impl ColorWhen {
    /// Parses a word of the command line. `None`: another word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "auto" => Some(Self::Auto),
            "always" => Some(Self::Always),
            "never" => Some(Self::Never),
            _ => None,
        }
    }
}

/// A style of text at a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Good,
    Busy,
    Bad,
    Quiet,
    Plain,
}

impl Style {
    /// The style of the name of a process state.
    pub(super) fn of_state(name: &str) -> Self {
        match name {
            "RUNNING" => Self::Good,
            "STARTING" | "STOPPING" | "BACKOFF" => Self::Busy,
            "FATAL" | "UNKNOWN" => Self::Bad,
            "STOPPED" => Self::Quiet,
            _ => Self::Plain,
        }
    }

    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Busy => "33",
            Self::Bad => "1;31",
            Self::Quiet => "2",
            Self::Plain => "",
        }
    }
}

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Screen {
    /// Whether the output is for people: standard output is a terminal, or colours were requested. Otherwise the output is
    /// that of Supervisor, byte for byte.
    pub(super) is_for_people: bool,
    /// Whether text is coloured.
    pub(super) has_colours: bool,
    /// Whether a line can be replaced: standard output is a terminal with a cursor.
    pub(super) has_cursor: bool,
    /// Whether hints are shown: standard error is a terminal.
    pub(super) has_hints: bool,
}

impl Screen {
    /// Returns what the streams of this program can show.
    pub(super) fn of_streams(when: ColorWhen) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_terminal = io::stdout().is_terminal();
        let has_cursor = is_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            is_for_people: is_terminal || when == ColorWhen::Always,
            has_colours: match when {
                ColorWhen::Auto => has_cursor && !is_set("NO_COLOR"),
                ColorWhen::Always => true,
                ColorWhen::Never => false,
            },
            has_cursor,
            has_hints: io::stderr().is_terminal(),
        }
    }

    /// Returns `text` in a style, if the screen has colours.
    pub(super) fn styled(&self, text: &str, style: Style) -> String {
        match style.code() {
            code if self.has_colours && !code.is_empty() => format!("\x1b[{code}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// The columns and rows of the terminal. `None`: unknown.
pub(super) fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns > 0 && rows > 0).then_some((columns, rows))
}

/// The columns that `text` takes on a terminal: two for most characters of Chinese, Japanese and Korean.
pub(super) fn columns_of(text: &str) -> usize {
    text.width()
}

/// Appends blanks until `text` takes `columns`.
pub(super) fn padded(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(columns_of(text));
    format!("{text}{}", " ".repeat(missing))
}

/// The beginning of `text` that takes at most `columns`, with an ellipsis if something is cut off.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let mut used = 0;
    let mut short: String = text
        .chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used < columns
        })
        .collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_those_of_a_terminal() {
        assert_eq!(columns_of("web"), 3);
        assert_eq!(columns_of("数据库"), 6);
        assert_eq!(padded("数据", 6), "数据  ");
        assert_eq!(padded("longer", 3), "longer");
        assert_eq!(cut("数据库", 6), "数据库");
        assert_eq!(cut("数据库", 5), "数据…");
        assert_eq!(cut("abcdef", 4), "abc…");
    }

    #[test]
    fn styles_need_colours() {
        let mut screen = Screen::default();
        assert_eq!(
            screen.styled("RUNNING", Style::of_state("RUNNING")),
            "RUNNING"
        );
        screen.has_colours = true;
        assert_eq!(
            screen.styled("RUNNING", Style::of_state("RUNNING")),
            "\x1b[32mRUNNING\x1b[0m"
        );
        assert_eq!(screen.styled("EXITED", Style::of_state("EXITED")), "EXITED");
    }
}
