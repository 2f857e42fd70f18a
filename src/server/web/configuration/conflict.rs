//! The page for an edit of a text that somebody else has changed meanwhile: both texts, so that the edit can be made again.

use hyper::StatusCode;
use maud::html;
use serde_json::Value;

use super::super::page::{PROGRAM, PROGRAMS};
use super::super::page_response::html_page;
use super::config_request::{ConfigRequest, fault_text, text_of};
use super::section_form::new_section;
use crate::api::{Fault, FaultCode, PRESENT_VERSION, ProgramChange, ProgramEdit};
use crate::server::http::response::HandlerResponse;
use crate::web::texts::Text;

/// The page. `None`: the edit was refused for another reason.
pub(super) fn conflict_page(
    request: &ConfigRequest<'_>,
    edit: &ProgramEdit,
    fault: &Fault,
) -> Option<HandlerResponse> {
    if fault.code != FaultCode::Conflict {
        return None;
    }
    let text = fault_text(fault);
    let (reason, present) = text.split_once(PRESENT_VERSION)?;
    let present: Value = serde_json::from_str(present).ok()?;
    let yours = match &edit.change {
        ProgramChange::Add(text) | ProgramChange::Replace(text) => Some(text.clone()),
        ProgramChange::Set(_) => Some(new_section(request, &edit.name)),
        ProgramChange::Remove | ProgramChange::Copy(_) => None,
    };
    let is_new = matches!(edit.change, ProgramChange::Add(_));
    let title = request.say(Text::ChangedMeanwhile);
    let present_text = text_of(&present, "text");
    let content = html! {
        h1 { (title) }
        pre.problem { (reason) }
        @if !present_text.is_empty() {
            h2 { (request.say(Text::PresentSection)) }
            pre.diff #present tabindex="0" { "\n" (present_text) }
        }
        @if let Some(yours) = yours {
            h2 { (request.say(Text::YourSection)) }
            p { (request.say(Text::ChangedMeanwhileHint)) }
            form.program method="post" action=(PROGRAM) {
                input type="hidden" name="token" value=(request.connection.token.text());
                input type="hidden" name="do" value=(if is_new { "add" } else { "edit" });
                input type="hidden" name="form" value="text";
                // The user has seen the present text now.
                input type="hidden" name="md5" value=(text_of(&present, "md5"));
                input type="hidden" name="program" value=(edit.name);
                textarea name="text" rows="16" cols="80" spellcheck="false" aria-label=(request.say(Text::YourSection)) { "\n" (yours) }
                p { button type="submit" { (request.say(Text::Save)) } }
            }
        }
        p { a href=(PROGRAMS) { (request.say(Text::Programs)) } }
    };
    let frame = request.frame(title).current(PROGRAMS);
    Some(html_page(StatusCode::CONFLICT, frame.render(&content)))
}
