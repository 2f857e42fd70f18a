//! The head of the page and the facts about the process.

use maud::{Markup, html};

use super::super::page::{PROCESS, PROGRAM, group_address};
use super::super::row_text::last_exit;
use super::process_page::ProcessPage;
use crate::config::key::SectionKind;
use crate::config::spec::NUMPROCS_MAX;
use crate::http_server::percent_encoding::url_quoted;
use crate::web::row_text::{format_age, format_time, format_uptime};
use crate::web::texts::Text;

/// The name, the state and what it is about.
pub(super) fn head(page: &ProcessPage<'_>) -> Markup {
    let row = page.row;
    html! {
        header #state.live-part data-t=(row.tone) {
            h1 { (page.name) }
            span.state {
                span class=(row.class) { (row.state_word) }
                @if !row.health_word.is_empty() { span class={ "badge " (row.health) } { (row.health_word) } }
            }
            p.about {
                (row.description)
                @if !row.health_reason.is_empty() { " · " (row.health_reason) }
            }
        }
    }
}

/// The facts.
pub(super) fn facts(page: &ProcessPage<'_>) -> Markup {
    let view = &page.report.details.view;
    let language = page.language;
    let since = page.report.details.history.last().map(|entry| entry.at);
    let time = |seconds: i64| {
        format_time(seconds, Text::ExitTimeSeconds, page.zone, language).unwrap_or_default()
    };
    let ago = |seconds: i64| {
        let age = u64::try_from(view.now.saturating_sub(seconds)).unwrap_or(0);
        format_age(age, language)
    };
    let ready = view.ready.map(|ready| match ready {
        true => Text::Yes,
        false => Text::No,
    });
    let ending = last_exit(view, page.zone, language);
    html! {
        section #facts.card.live-part aria-labelledby="facts-title" {
            h2 #facts-title { (page.say(Text::Overview)) }
            dl {
                @if let Some(since) = since {
                    (fact(page, Text::Since, html! { (time(since)) span.age { (ago(since)) } }))
                }
                @if view.pid != 0 {
                    (fact(page, Text::ColumnPid, html! { (view.pid) }))
                    (fact(page, Text::ColumnUptime, html! { (format_uptime(view.uptime, language)) }))
                }
                (fact(page, Text::ColumnRestarts, html! { (view.restarts) }))
                @if !page.row.health_word.is_empty() {
                    (fact(page, Text::Health, html! { (page.row.health_word) @if !page.row.health_reason.is_empty() { ": " (page.row.health_reason) } }))
                }
                @if let Some(ready) = ready { (fact(page, Text::Ready, html! { (page.say(ready)) })) }
                @if !view.status_text.is_empty() { (fact(page, Text::SaysLabel, html! { (view.status_text) })) }
                @if let Some(next) = view.next_attempt { (fact(page, Text::NextAttemptLabel, html! { (time(next)) })) }
                @if let Some(next) = view.next_run { (fact(page, Text::NextRunLabel, html! { (time(next)) })) }
                @if !ending.is_empty() { (fact(page, Text::ColumnLastExit, html! { (ending) })) }
                @if view.events_waiting > 0 || view.events_discarded > 0 {
                    (fact(page, Text::Events, html! { (page.fill(Text::EventCounts, &[&view.events_waiting, &view.events_discarded])) }))
                }
                (fact(page, Text::GroupLabel, html! {
                    a href=(group_address(view.group.as_str())) { (view.group.as_str()) }
                }))
                @if let Some(template) = &page.report.details.template {
                    (fact(page, Text::SectionLabel, html! {
                        code { "[" (template.section) "]" }
                        @if page.rights.configure && SectionKind::of(&template.section) == Some(SectionKind::Program) {
                            " " a href={ (PROGRAM) "?do=edit&name=" (url_quoted(template.program())) } { (page.say(Text::Edit)) }
                        }
                    }))
                    @if page.rights.configure { (fact(page, Text::NumprocsLabel, scale_form(page, template.program()))) }
                }
            }
        }
    }
}

/// The form for another number of processes of the program.
fn scale_form(page: &ProcessPage<'_>, program: &str) -> Markup {
    let group = page.report.details.view.group.as_str();
    html! {
        form.line method="post" action=(PROCESS) {
            input type="hidden" name="token" value=(page.token);
            input type="hidden" name="name" value=(page.name);
            input type="hidden" name="program" value={ (group) ":" (program) };
            input type="number" name="numprocs" min="0" max=(NUMPROCS_MAX) value=(page.report.details.numprocs) aria-label=(page.say(Text::NumprocsLabel));
            button name="do" value="scale" { (page.say(Text::Scale)) }
        }
    }
}

fn fact(page: &ProcessPage<'_>, label: Text, value: Markup) -> Markup {
    html! { div { dt { (page.say(label)) } dd { (value) } } }
}
