//! The last states of the process, the newest first: when, what, and for ended instances how long they had lived and what they
//! wrote last to standard error.

use maud::{Markup, html};

use super::super::row_text::exit_reason;
use super::dependencies::tone;
use super::process_page::ProcessPage;
use crate::api::{EndedInstance, StateEntry};
use crate::web::row_text::{format_time, format_uptime, state_text};
use crate::web::texts::Text;

/// Durations below this are shown with fractions of a second.
const MILLIS_MAX: u64 = 10_000;
/// Difference between the end of an instance and the report of it, in seconds, up to which they belong together. The output
/// is written out in between.
const REPORT_SECS_MAX: i64 = 12;

pub(super) fn history(page: &ProcessPage<'_>) -> Markup {
    let details = &page.report.details;
    html! {
        section #history.live-part aria-labelledby="history-title" {
            h2 #history-title { (page.say(Text::History)) }
            @if details.history.is_empty() {
                p.note { (page.say(Text::NoHistory)) }
            } @else {
                table.plain-table {
                    thead { tr {
                        th scope="col" { (page.say(Text::ColumnTime)) }
                        th scope="col" { (page.say(Text::ColumnState)) }
                        th scope="col" { (page.say(Text::ColumnPid)) }
                        th scope="col" { (page.say(Text::ColumnLived)) }
                        th scope="col" { (page.say(Text::ColumnWhat)) }
                    } }
                    tbody { @for entry in details.history.iter().rev() { (entry_row(page, entry)) } }
                }
            }
        }
    }
}

fn entry_row(page: &ProcessPage<'_>, entry: &StateEntry) -> Markup {
    let language = page.language;
    let time = format_time(entry.at, Text::ExitTimeSeconds, page.zone, language);
    let end = entry.end.as_deref();
    let what = end.map(|end| exit_reason(&end.reason, language));
    let lived_for = end.and_then(|end| end.lived);
    let ended = lived_for.and_then(|_| ended(page, entry));
    html! {
        tr {
            td.time { (time.unwrap_or_default()) }
            td { span class={ "word " (tone(entry.state)) } { (page.say(state_text(entry.state))) } }
            td.number { @if entry.pid != 0 { (entry.pid) } }
            td.number { @if let Some(millis) = lived_for { (lived(page, millis)) } }
            td {
                (what.unwrap_or_default())
                @if entry.times > 1 { " × " (entry.times) }
                @if let Some(ended) = ended {
                    details { summary { (last_line(&ended.stderr)) } pre tabindex="0" { "\n" (ended.stderr) } }
                }
            }
        }
    }
}

/// The instance that this entry ended, if it wrote to standard error.
fn ended<'a>(page: &ProcessPage<'a>, entry: &StateEntry) -> Option<&'a EndedInstance> {
    let mut known = page.report.details.ended.iter().rev();
    known.find(|ended| {
        let is_close = (0..=REPORT_SECS_MAX).contains(&(entry.at - ended.exited));
        is_close && (ended.pid == entry.pid || entry.pid == 0)
    })
}

/// The last line with text.
fn last_line(text: &str) -> &str {
    let mut lines = text.lines().rev().map(str::trim);
    lines.find(|line| !line.is_empty()).unwrap_or_default()
}

fn lived(page: &ProcessPage<'_>, millis: u64) -> String {
    match millis {
        0..1000 => format!("{millis} ms"),
        1000..MILLIS_MAX => format!("{}.{:02} s", millis / 1000, millis % 1000 / 10),
        _ => format_uptime(millis / 1000, page.language),
    }
}
