//! What the parts of the page show.

use std::fmt::Display;

use jiff::tz::TimeZone;

use crate::server::calls::process_report::ProcessReport;
use crate::web::row::ProcessRow;
use crate::web::texts::{Language, Text};

/// What the caller may do with the process. Pages show no buttons for the rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageRights {
    pub(super) control: bool,
    pub(super) signal: bool,
    pub(super) logs: bool,
    /// Whether the caller may see the configuration.
    pub(super) update: bool,
    /// Whether the caller may change programs.
    pub(super) configure: bool,
}

/// What the parts of the page show.
pub(super) struct ProcessPage<'a> {
    pub(super) language: Language,
    pub(super) report: &'a ProcessReport,
    pub(super) row: &'a ProcessRow,
    pub(super) rights: PageRights,
    pub(super) token: &'a str,
    /// The name as people write it.
    pub(super) name: &'a str,
    pub(super) zone: &'a TimeZone,
}

impl ProcessPage<'_> {
    pub(super) fn say(&self, text: Text) -> &'static str {
        self.language.say(text)
    }

    pub(super) fn fill(&self, text: Text, values: &[&dyn Display]) -> String {
        self.language.fill(text, values)
    }
}
