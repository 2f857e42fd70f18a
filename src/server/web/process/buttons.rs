//! The buttons of the page. There is none for what the caller may not do.

use maud::{Markup, html};

use super::super::page::PROCESS;
use super::process_page::ProcessPage;
use crate::web::page_actions::PAGE_ACTIONS;
use crate::web::row::is_enabled;
use crate::web::table::clear_question;
use crate::web::texts::Text;

/// The signals that are offered.
const SIGNALS: [&str; 10] = [
    "HUP", "USR1", "USR2", "INT", "QUIT", "TERM", "WINCH", "STOP", "CONT", "KILL",
];

pub(super) fn buttons(page: &ProcessPage<'_>) -> Markup {
    let (row, rights) = (page.row, page.rights);
    if !rights.control && !rights.signal {
        return html! { p.note #readonly { (page.say(Text::ReadOnly)) } };
    }
    let view = &page.report.details.view;
    let hooks = page.report.details.spec.hooks.as_ref();
    let reloads =
        hooks.is_some_and(|hooks| hooks.reload_command.is_some() || hooks.reload_signal.is_some());
    html! {
        div #buttons.tools.live-part {
            @if rights.control {
                form method="post" action=(PROCESS) {
                    (hidden(page))
                    @for action in PAGE_ACTIONS.iter().filter(|action| action.name != "clear" || row.has_log) {
                        @let ask = clear_question(view.name.as_str(), view.group.as_str(), page.language);
                        button class=(action.name) name="do" value=(action.name) disabled[!is_enabled(row.offers, action.name)]
                            data-ask=[(action.name == "clear").then_some(ask)] {
                            @if action.name == "clear" { (page.say(Text::ClearLog)) } @else { (page.say(action.label)) }
                        }
                    }
                    @if reloads {
                        button name="do" value="reload" disabled[view.pid == 0] { (page.say(Text::Reload)) }
                    }
                }
            }
            @if rights.signal {
                form.signal method="post" action=(PROCESS) {
                    (hidden(page))
                    label {
                        (page.say(Text::Signal)) " "
                        select name="signal" disabled[view.pid == 0] {
                            @for signal in SIGNALS { option value=(signal) { "SIG" (signal) } }
                        }
                    }
                    button name="do" value="signal" disabled[view.pid == 0] { (page.say(Text::Send)) }
                }
            }
        }
    }
}

/// The fields of each form.
fn hidden(page: &ProcessPage<'_>) -> Markup {
    html! {
        input type="hidden" name="token" value=(page.token);
        input type="hidden" name="name" value=(page.name);
    }
}
