//! What the process depends on, and what depends on it.

use maud::{Markup, html};

use super::super::page::process_address;
use super::process_page::ProcessPage;
use crate::api::DependencyNeed;
use crate::domain::ProcessState;
use crate::web::row_text::state_text;
use crate::web::texts::Text;

pub(super) fn dependencies(page: &ProcessPage<'_>) -> Markup {
    let details = &page.report.details;
    let needs = details
        .dependencies
        .as_ref()
        .map_or(&[][..], |view| &view.needs);
    if needs.is_empty() && details.dependents.is_empty() {
        return html! {};
    }
    let held_up = details.dependencies.as_ref().map(|view| &*view.held_up);
    html! {
        section #dependencies.card.live-part aria-labelledby="dependencies-title" {
            h2 #dependencies-title { (page.say(Text::Dependencies)) }
            @if let Some(why) = held_up.filter(|why| !why.is_empty()) { p.note { (why) } }
            @if !needs.is_empty() {
                h3 { (page.say(Text::DependsOn)) }
                ul { @for need in needs { (need_item(page, need)) } }
            }
            @if !details.dependents.is_empty() {
                h3 { (page.say(Text::Dependents)) }
                ul { @for name in &details.dependents { li { (neighbour(page, name)) } } }
            }
        }
    }
}

fn need_item(page: &ProcessPage<'_>, need: &DependencyNeed) -> Markup {
    let (class, word) = match need.is_met {
        true => ("met", Text::Met),
        false => ("unmet", Text::NotMet),
    };
    let is_itself = need.processes.len() == 1 && need.processes.first() == Some(&need.target);
    html! {
        li {
            @if is_itself {
                (neighbour(page, &need.target))
            } @else {
                b { (need.target) }
            }
            span.condition { (need.condition) ": " span class=(class) { (page.say(word)) } }
            @if !is_itself && !need.processes.is_empty() {
                ul { @for name in &need.processes { li { (neighbour(page, name)) } } }
            }
        }
    }
}

/// A link to another process, with its state.
fn neighbour(page: &ProcessPage<'_>, name: &str) -> Markup {
    let state = page.report.state_of(name);
    html! {
        a href=(process_address(name)) { (name) }
        @if let Some(state) = state {
            " " span class={ "word " (tone(state)) } { (page.say(state_text(state))) }
        }
    }
}

/// The colour of a state.
pub(super) const fn tone(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Running => "green",
        ProcessState::Starting | ProcessState::Stopping => "blue",
        ProcessState::Fatal | ProcessState::Backoff | ProcessState::Unknown => "red",
        ProcessState::Exited | ProcessState::Stopped => "grey",
    }
}
