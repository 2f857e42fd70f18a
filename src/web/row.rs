//! One process as pages show it. The texts are the same in HTML and in live updates.

use serde::Serialize;

use crate::domain::ProcessState;

/// The contents of a row. The short names are those of the live updates, which may carry a thousand rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ProcessRow {
    /// `group:process`.
    #[serde(rename = "n")]
    pub(crate) id: String,
    /// The name of its state, in lower case.
    #[serde(rename = "s")]
    pub(crate) state: String,
    /// Its state in the language of the page.
    #[serde(rename = "v")]
    pub(crate) state_word: &'static str,
    /// The class of its state, as in Supervisor's page.
    #[serde(rename = "k")]
    pub(crate) class: &'static str,
    /// The colour of its state.
    #[serde(rename = "t")]
    pub(crate) tone: &'static str,
    /// The actions that are possible, as a word for the style sheet.
    #[serde(rename = "o")]
    pub(crate) offers: &'static str,
    /// Whether the process has a log file that can be cleared.
    #[serde(rename = "l")]
    pub(crate) has_log: bool,
    /// What its state is about, without the uptime, which the page counts itself.
    #[serde(rename = "d")]
    pub(crate) description: String,
    /// The name of its health as the badge shows it. Empty: there is no badge.
    #[serde(rename = "h")]
    pub(crate) health: &'static str,
    /// Its health in the language of the page.
    #[serde(rename = "b")]
    pub(crate) health_word: &'static str,
    /// Why it is unhealthy. Empty: it is not.
    #[serde(rename = "w")]
    pub(crate) health_reason: String,
    /// PID. 0: not running.
    #[serde(rename = "p")]
    pub(crate) pid: i32,
    /// Seconds since the process was spawned. `None`: not running.
    #[serde(rename = "u")]
    pub(crate) uptime: Option<u64>,
    /// Number of restarts.
    #[serde(rename = "r")]
    pub(crate) restarts: u64,
    /// How the last instance exited.
    #[serde(rename = "e")]
    pub(crate) ending: String,
    /// Seconds since the last instance exited. `None`: no instance has exited.
    #[serde(rename = "a")]
    pub(crate) age: Option<u64>,
    /// CPU usage with all children.
    #[serde(rename = "c")]
    pub(crate) cpu: String,
    /// Memory with all children.
    #[serde(rename = "m")]
    pub(crate) memory: String,
    /// CPU usage in thousandths of a processor and memory in bytes, for sums and orders.
    #[serde(skip)]
    pub(crate) figures: (u64, u64),
    /// The group and the name.
    #[serde(skip)]
    pub(crate) names: (String, String),
    /// The state that the words describe.
    #[serde(skip)]
    pub(crate) process_state: ProcessState,
    /// When the last instance exited, in seconds since the epoch. 0: none has.
    #[serde(skip)]
    pub(crate) stopped_at: i64,
}

impl ProcessRow {
    /// Whether a page that shows `other` needs no update. Uptime and age are ignored, because pages count them
    /// themselves.
    pub(crate) fn is_covered_by(&self, other: &Self) -> bool {
        let timeless = |row: &Self| Self {
            uptime: row.uptime.map(|_| 0),
            age: row.age.map(|_| 0),
            figures: (0, 0),
            ..row.clone()
        };
        timeless(self) == timeless(other)
    }
}

/// Whether a button of a row is enabled. Disabled buttons stay in place, so that a double click on one button never
/// hits another.
pub(crate) fn is_enabled(offers: &str, word: &str) -> bool {
    match word {
        "start" => offers == "start",
        "stop" | "restart" => offers == "stop",
        _ => true,
    }
}

/// The actions that are possible in a state.
pub(crate) const fn offers(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal => "start",
        ProcessState::Running | ProcessState::Starting | ProcessState::Backoff => "stop",
        ProcessState::Stopping | ProcessState::Unknown => "none",
    }
}

/// The class of a state in the style sheet, as in Supervisor's page.
pub(crate) const fn state_class(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Running => "statusrunning",
        ProcessState::Fatal | ProcessState::Backoff => "statuserror",
        ProcessState::Stopped
        | ProcessState::Starting
        | ProcessState::Stopping
        | ProcessState::Exited
        | ProcessState::Unknown => "statusnominal",
    }
}

/// The colour of a state: grey for what does not run, blue for what is about to change, red for what failed, green for
/// what runs.
pub(crate) const fn state_tone(
    state: ProcessState,
    is_unhealthy: bool,
    is_unexpected_exit: bool,
) -> &'static str {
    match state {
        ProcessState::Running if is_unhealthy => "red",
        ProcessState::Running => "green",
        ProcessState::Starting | ProcessState::Stopping => "blue",
        ProcessState::Fatal | ProcessState::Backoff | ProcessState::Unknown => "red",
        ProcessState::Exited if is_unexpected_exit => "red",
        ProcessState::Exited | ProcessState::Stopped => "grey",
    }
}

/// Formats thousandths of one CPU as `12.3 %`.
pub(crate) fn format_percent(permille: u64) -> String {
    if permille >= 1000 {
        format!("{} %", permille / 10)
    } else {
        format!("{}.{} %", permille / 10, permille % 10)
    }
}

/// Formats bytes in the unit that gives one to four digits.
pub(crate) fn format_size(bytes: u64) -> String {
    let kib = bytes / 1024;
    match kib {
        0..1024 => format!("{kib} KiB"),
        1024..1_048_576 => format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024),
        _ => {
            let mib = kib / 1024;
            format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::web::row_text::state_text;
    use crate::web::texts::Language;

    /// A row with the words of the Chinese page.
    pub(crate) fn row(group: &str, name: &str, state: ProcessState) -> ProcessRow {
        ProcessRow {
            id: format!("{group}:{name}"),
            state: state.name().to_ascii_lowercase(),
            state_word: Language::Chinese.say(state_text(state)),
            class: state_class(state),
            tone: state_tone(state, false, false),
            offers: offers(state),
            has_log: true,
            description: String::new(),
            health: "",
            health_word: "",
            health_reason: String::new(),
            pid: 0,
            uptime: None,
            restarts: 0,
            ending: String::new(),
            age: None,
            cpu: String::new(),
            memory: String::new(),
            figures: (0, 0),
            names: (group.to_owned(), name.to_owned()),
            process_state: state,
            stopped_at: 0,
        }
    }

    #[test]
    fn numbers_are_shortened() {
        let sizes = [
            (0, "0 KiB"),
            (1_048_575, "1023 KiB"),
            (1_600_000, "1.5 MiB"),
            (5 << 30, "5.0 GiB"),
        ];
        for (given, expected) in sizes {
            assert_eq!(format_size(given), expected);
        }
        let shares = [(0, "0.0 %"), (999, "99.9 %"), (1_250, "125 %")];
        for (given, expected) in shares {
            assert_eq!(format_percent(given), expected);
        }
    }
}
