//! The changes of an edit before they are written, and the writing.

use hyper::StatusCode;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::super::page::{PROGRAM, PROGRAMS};
use super::super::page_response::{html_page, json_response};
use super::config_request::{ConfigRequest, fault_text, text_of};
use super::conflict::conflict_page;
use super::item_hosts::item_hosts;
use super::section_form::{new_section, value_of};
use super::section_keys::key_texts;
use crate::api::{ConfigCall, Fault, FaultCode, PRESENT_VERSION, ProgramChange, ProgramEdit};
use crate::config::edit::MASK;
use crate::config::key::SectionKind;
use crate::server::http::response::HandlerResponse;
use crate::web::texts::Text;

/// Answers POST: shows the changes, or writes them if the user has seen them.
pub(super) async fn handle(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let is_check = request.form.get("check").is_some();
    let is_confirmed = request.form.get("confirmed").is_some() && !is_check;
    let edit = edit_of(request, !is_confirmed).await?;
    let method = match &edit.change {
        ProgramChange::Add(_) => "supervisord.addProgram",
        ProgramChange::Replace(_) => "supervisord.setProgram",
        ProgramChange::Set(_) => "supervisord.setProgramKeys",
        ProgramChange::Remove => "supervisord.removeProgram",
        ProgramChange::Copy(_) => "supervisord.copyProgram",
    };
    let answer = request
        .call(method, ConfigCall::EditProgram(edit.clone()))
        .await;
    if is_check {
        let problem = answer.err().map(|fault| one_text(&fault));
        let body = json!({ "problem": problem.unwrap_or_default() });
        return Ok(json_response(StatusCode::OK, &body));
    }
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) if fault.status() == 403 => return Err(fault),
        Err(fault) => return Ok(refused(request, &edit, &fault)),
    };
    if !is_confirmed {
        return Ok(preview_page(request, &edit, &answer).await);
    }
    let name = text_of(&answer, "name");
    let name = if name.is_empty() { &edit.name } else { name };
    let text = match edit.change {
        ProgramChange::Remove => Text::Deleted,
        _ => Text::Saved,
    };
    let message = request.request.language.fill(text, &[&name]);
    Ok(request.back_to(PROGRAMS, &message))
}

/// The reason of a refusal, without the present text that a conflict has.
fn one_text(fault: &Fault) -> String {
    let text = fault_text(fault);
    let mut parts = text.split(PRESENT_VERSION);
    parts.next().unwrap_or_default().to_owned()
}

/// The edit that a form asks for.
async fn edit_of(request: &ConfigRequest<'_>, dry_run: bool) -> Result<ProgramEdit, Fault> {
    let form = request.form;
    let get = |name: &str| form.get(name).unwrap_or_default().to_owned();
    let (program, name, text) = (get("program"), get("name"), get("text"));
    let text = text.replace("\r\n", "\n");
    let is_text = form.get("form") == Some("text");
    let change = match (form.get("do").unwrap_or_default(), is_text) {
        ("add", true) => ProgramChange::Add(text),
        ("add", false) => ProgramChange::Add(new_section(request, &name)),
        ("edit", true) => ProgramChange::Replace(text),
        ("edit", false) => ProgramChange::Set(changed_keys(request, &program).await?),
        ("copy", _) => ProgramChange::Copy(name.clone()),
        ("delete", _) => ProgramChange::Remove,
        _ => return Err(FaultCode::IncorrectParameters.bare()),
    };
    let name = match change {
        ProgramChange::Add(_) if is_text => String::new(),
        ProgramChange::Add(_) => name,
        _ => program,
    };
    Ok(ProgramEdit {
        name,
        change,
        md5: get("md5"),
        dry_run,
    })
}

/// The keys of the form whose values differ from those of the section.
async fn changed_keys(
    request: &ConfigRequest<'_>,
    program: &str,
) -> Result<Vec<(String, String)>, Fault> {
    let get = ConfigCall::GetProgram(program.to_owned());
    let known = request.call("supervisord.getProgram", get).await?;
    let texts = key_texts(text_of(&known, "text"));
    let rows = SectionKind::Program.rows().iter();
    let changed = rows.filter_map(|row| {
        let value = value_of(request, row.name);
        let known = texts
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(row.name));
        let known = known.map_or("", |(_, value)| value.as_str());
        (value != known).then(|| (row.name.to_owned(), value))
    });
    Ok(changed.collect())
}

/// Repeats the form of an edit as hidden fields.
fn repeated(request: &ConfigRequest<'_>) -> Markup {
    let names = ["do", "form", "md5", "program", "name", "text"];
    let keys = SectionKind::Program.rows().iter().map(|row| row.name);
    html! {
        input type="hidden" name="token" value=(request.connection.token.text());
        @for name in names.into_iter().chain(keys) {
            @if let Some(value) = request.form.get(name) {
                input type="hidden" name=(name) value=(value);
            }
        }
    }
}

async fn preview_page(
    request: &ConfigRequest<'_>,
    edit: &ProgramEdit,
    answer: &Value,
) -> HandlerResponse {
    let name = text_of(answer, "name");
    let title = request.request.language.fill(Text::ChangesOf, &[&name]);
    let is_removal = edit.change == ProgramChange::Remove;
    let changes = changes(request, answer).await;
    let content = html! {
        h1 { (title) }
        @if answer["changed"] == Value::Bool(true) {
            (changes)
            form method="post" action=(PROGRAM) {
                (repeated(request))
                input type="hidden" name="confirmed" value="1";
                button type="submit" {
                    (request.say(if is_removal { Text::Delete } else { Text::Save }))
                }
                " "
                a href=(PROGRAMS) { (request.say(Text::Cancel)) }
            }
        } @else {
            p { (request.say(Text::NothingChanges)) }
            p { a href=(PROGRAMS) { (request.say(Text::Programs)) } }
        }
    };
    html_page(
        StatusCode::OK,
        request.frame(&title).current(PROGRAMS).render(&content),
    )
}

/// The lines that change, what happens to running programs, and the hosts that use the item.
async fn changes(request: &ConfigRequest<'_>, answer: &Value) -> Markup {
    let diff = text_of(answer, "diff");
    let hosts = match answer["remote"] == Value::Bool(true) {
        true => Some(item_hosts(request).await),
        false => None,
    };
    html! {
        pre.diff tabindex="0" { (diff) }
        @if diff.contains(MASK) { p.note { (request.say(Text::SecretsMasked)) } }
        (plan(request, &answer["plan"]))
        @if let Some(hosts) = hosts { (hosts) }
    }
}

/// What the edit does to running programs.
fn plan(request: &ConfigRequest<'_>, plan: &Value) -> Markup {
    let none = Vec::new();
    let groups = plan["groups"].as_array().unwrap_or(&none);
    html! {
        @if !groups.is_empty() {
            ul.plan {
                @for group in groups {
                    @let word = match text_of(group, "action") {
                        "add" => Text::PlanAdd,
                        "remove" => Text::PlanRemove,
                        "restart" => Text::PlanRestart,
                        "rescale" => Text::PlanRescale,
                        _ => Text::PlanLive,
                    };
                    li { (request.request.language.fill(word, &[&text_of(group, "name")])) }
                }
            }
        }
    }
}

/// The page for an edit that is not possible: the reason, and what was typed.
fn refused(request: &ConfigRequest<'_>, edit: &ProgramEdit, fault: &Fault) -> HandlerResponse {
    if let Some(page) = conflict_page(request, edit, fault) {
        return page;
    }
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
    let text = match &edit.change {
        ProgramChange::Add(text) | ProgramChange::Replace(text) => text.as_str(),
        ProgramChange::Set(_) | ProgramChange::Remove | ProgramChange::Copy(_) => "",
    };
    let content = html! {
        h1 { (request.say(Text::NotDone)) }
        pre.problem { (fault_text(fault)) }
        @if !text.is_empty() {
            form.program method="post" action=(PROGRAM) {
                input type="hidden" name="token" value=(request.connection.token.text());
                input type="hidden" name="do" value=(request.form.get("do").unwrap_or_default());
                input type="hidden" name="form" value="text";
                input type="hidden" name="md5" value=(request.form.get("md5").unwrap_or_default());
                input type="hidden" name="program" value=(request.form.get("program").unwrap_or_default());
                textarea name="text" rows="16" cols="80" spellcheck="false" aria-label=(request.say(Text::RawSection)) { (text) }
                p { button type="submit" { (request.say(Text::Save)) } }
            }
        }
        p { a href=(PROGRAMS) { (request.say(Text::Programs)) } }
    };
    let frame = request.frame(request.say(Text::NotDone)).current(PROGRAMS);
    html_page(status, frame.render(&content))
}

/// Asks whether a program is to be deleted. It names the hosts that use the item.
pub(super) async fn ask_deletion(
    request: &ConfigRequest<'_>,
    program: &Value,
) -> Result<HandlerResponse, Fault> {
    let name = text_of(program, "name");
    let edit = ProgramEdit {
        name: name.to_owned(),
        change: ProgramChange::Remove,
        md5: text_of(program, "md5").to_owned(),
        dry_run: true,
    };
    let answer = request
        .call(
            "supervisord.removeProgram",
            ConfigCall::EditProgram(edit.clone()),
        )
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(fault) => return Ok(refused(request, &edit, &fault)),
    };
    let title = request
        .request
        .language
        .fill(Text::DeleteQuestion, &[&name]);
    let changes = changes(request, &answer).await;
    let content = html! {
        h1 { (title) }
        (changes)
        form method="post" action=(PROGRAM) {
            input type="hidden" name="token" value=(request.connection.token.text());
            input type="hidden" name="do" value="delete";
            input type="hidden" name="program" value=(name);
            input type="hidden" name="md5" value=(edit.md5);
            input type="hidden" name="confirmed" value="1";
            button type="submit" { (request.say(Text::Delete)) }
            " "
            a href=(PROGRAMS) { (request.say(Text::Cancel)) }
        }
    };
    Ok(html_page(
        StatusCode::OK,
        request.frame(&title).current(PROGRAMS).render(&content),
    ))
}
