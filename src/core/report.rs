//! One item of a notification, and the report that several of them make.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::spec::{ReportCondition, ReportFormat};
use crate::domain::{CronZone, Foreign, GroupName, Namespec, ProcessName, Wall};

/// Maximum number of lines of standard error of one item.
pub(super) const STDERR_LINES_MAX: usize = 10;
/// Maximum number of items of one report. Further ones are counted only.
pub(super) const ITEMS_MAX: usize = 100;

/// Something that happened to a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReportItem {
    pub(super) condition: ReportCondition,
    pub(super) group: GroupName,
    pub(super) process: ProcessName,
    /// When it happened last.
    pub(super) when: Wall,
    /// How often it happened since the last report.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) count: u32,
    /// Why, in words. It may contain text of the process. Empty: there is no reason to give.
    pub(super) reason: String,
    /// How the last instance exited. Empty: not known, or it has not exited.
    pub(super) exit: String,
    /// The last lines that the last instance wrote to standard error, as written, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) stderr: Vec<String>,
}

impl ReportItem {
    /// What happened, on one line without control characters.
    fn headline(&self) -> String {
        let name = Namespec::print(self.group.as_str(), self.process.as_str());
        match self.condition {
            ReportCondition::Fatal => format!("{name} is FATAL"),
            ReportCondition::Exited => format!("{name} exited unexpectedly"),
            ReportCondition::Unhealthy => format!("{name} is unhealthy"),
            ReportCondition::Flapping => format!("{name} is flapping"),
            ReportCondition::Recovered => format!("{name} recovered"),
        }
    }

    /// Whether `other` is the same event again.
    fn is_like(&self, other: &Self) -> bool {
        (self.condition, &self.group, &self.process)
            == (other.condition, &other.group, &other.process)
    }
}

/// The items that are not reported yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Report {
    items: Vec<ReportItem>,
    /// The number of items beyond [`ITEMS_MAX`].
    #[serde(deserialize_with = "crate::domain::counter::counter")]
    omitted: u64,
}

impl Report {
    pub(super) const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds an item. Equal items are counted. The latest reason and time win.
    pub(super) fn add(&mut self, item: ReportItem) {
        if let Some(known) = self.items.iter_mut().find(|known| known.is_like(&item)) {
            let count = known.count.saturating_add(item.count);
            *known = ReportItem { count, ..item };
        } else if self.items.len() < ITEMS_MAX {
            self.items.push(item);
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    /// Puts the items of `later` after those of this report.
    pub(super) fn append(&mut self, later: Self) {
        self.omitted = self.omitted.saturating_add(later.omitted);
        for item in later.items {
            self.add(item);
        }
    }

    /// The number of items, those that are only counted included.
    pub(super) fn len(&self) -> u64 {
        self.omitted.saturating_add(self.items.len() as u64)
    }

    /// One line that says what the report is about.
    pub(super) fn subject(&self) -> String {
        match (self.items.as_slice(), self.omitted) {
            ([only], 0) => only.headline(),
            (items, _) => {
                let mut parts = Vec::new();
                for &(condition, word) in ReportCondition::ALL {
                    let of_it = items.iter().filter(|item| item.condition == condition);
                    match of_it.count() {
                        0 => {}
                        count => parts.push(format!("{count} {word}")),
                    }
                }
                if self.omitted > 0 {
                    parts.push(format!("{} more", self.omitted));
                }
                parts.join(", ")
            }
        }
    }

    /// The words of all conditions in the report, separated by commas.
    pub(super) fn conditions(&self) -> String {
        let words: Vec<&str> = ReportCondition::ALL
            .iter()
            .filter(|&&(condition, _)| {
                let mut items = self.items.iter();
                items.any(|item| item.condition == condition)
            })
            .map(|&(_, word)| word)
            .collect();
        words.join(",")
    }

    /// The text for the command. `names`: of the notification and of this daemon.
    pub(super) fn render(
        &self,
        format: ReportFormat,
        (notification, identifier): (&str, &str),
        zone: &CronZone,
    ) -> String {
        match format {
            ReportFormat::Text => self.text(identifier, zone),
            ReportFormat::Json => self.json(notification, identifier),
        }
    }

    fn text(&self, identifier: &str, zone: &CronZone) -> String {
        let mut text = String::new();
        for item in &self.items {
            let _ = write!(text, "{}", item.headline());
            if !item.reason.is_empty() {
                let _ = write!(text, ": {}", Foreign(&item.reason));
            }
            if !item.exit.is_empty() {
                let _ = write!(text, " (last exit: {})", item.exit);
            }
            let _ = write!(text, ", {}", zone.show(item.when));
            if item.count > 1 {
                let _ = write!(text, ", {} times", item.count);
            }
            text.push('\n');
            for line in &item.stderr {
                let _ = writeln!(text, "    {}", Foreign(line));
            }
        }
        if self.omitted > 0 {
            let _ = writeln!(text, "and {} more", self.omitted);
        }
        let _ = writeln!(text, "\nsupervisord {}", Foreign(identifier));
        text
    }

    fn json(&self, notification: &str, identifier: &str) -> String {
        let items: Vec<_> = self
            .items
            .iter()
            .map(|item| {
                json!({
                    "condition": item.condition.word(),
                    "group": item.group.as_str(),
                    "process": item.process.as_str(),
                    "time": item.when.secs(),
                    "count": item.count,
                    "reason": item.reason,
                    "exit": item.exit,
                    "stderr": item.stderr,
                })
            })
            .collect();
        let report = json!({
            "notification": notification,
            "identifier": identifier,
            "subject": self.subject(),
            "items": items,
            "omitted": self.omitted,
        });
        format!("{report}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(condition: ReportCondition, process: &str) -> ReportItem {
        ReportItem {
            condition,
            group: GroupName::parse("web").expect("valid"),
            process: ProcessName::parse(process).expect("valid"),
            when: Wall(0),
            count: 1,
            reason: String::new(),
            exit: String::new(),
            stderr: Vec::new(),
        }
    }

    #[test]
    fn equal_items_are_counted_and_the_number_of_items_is_bounded() {
        let mut report = Report::default();
        for _ in 0..3 {
            report.add(item(ReportCondition::Exited, "web"));
        }
        assert_eq!(
            (report.len(), report.subject().as_str()),
            (1, "web exited unexpectedly")
        );
        assert_eq!(
            report.text("supervisor", &CronZone::UTC),
            "web exited unexpectedly, 1970-01-01 00:00:00, 3 times\n\nsupervisord supervisor\n"
        );
        let mut later = Report::default();
        later.add(item(ReportCondition::Fatal, "web"));
        later.add(item(ReportCondition::Exited, "web"));
        report.append(later);
        assert_eq!(report.subject(), "1 fatal, 1 exited");
        assert_eq!(report.conditions(), "fatal,exited");
        assert_eq!(report.items[0].count, 4);
        for number in 0..ITEMS_MAX {
            report.add(item(ReportCondition::Fatal, &format!("web_{number}")));
        }
        assert_eq!(report.items.len(), ITEMS_MAX);
        assert_eq!(report.omitted, 2);
        assert!(report.text("x", &CronZone::UTC).contains("\nand 2 more\n"));
    }

    #[test]
    fn the_text_of_a_process_is_escaped_and_bounded() {
        let mut report = Report::default();
        report.add(ReportItem {
            reason: format!("\x1b[2Jx\n{}", "y".repeat(1000)),
            exit: "exit status 1".to_owned(),
            stderr: vec!["\x1b]0;title".to_owned(), "cannot open port 80".to_owned()],
            ..item(ReportCondition::Unhealthy, "web")
        });
        let text = report.text("a\nb", &CronZone::UTC);
        assert!(
            text.starts_with("web is unhealthy: \\u{1b}[2Jx\\ny"),
            "{text}"
        );
        assert!(text.len() < 450 && text.lines().count() == 5, "{text}");
        assert!(
            text.contains("\n    \\u{1b}]0;title\n    cannot open port 80\n"),
            "{text}"
        );
        let json = report.render(ReportFormat::Json, ("ops", "supervisor"), &CronZone::UTC);
        let read: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(read["items"][0]["condition"], "unhealthy");
        assert_eq!(read["subject"], "web is unhealthy");
    }
}
