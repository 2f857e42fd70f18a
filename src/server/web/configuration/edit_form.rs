//! The form for one program: a field for each key, and the section as text.

use hyper::StatusCode;
use maud::{Markup, html};

use super::super::page::{PROGRAM, PROGRAMS};
use super::super::page_response::html_page;
use super::config_request::{ConfigRequest, text_of};
use super::preview;
use super::section_keys::key_texts;
use crate::api::{ConfigCall, Fault};
use crate::config::key::{ConfigKey, SectionKind, Topic, ValueKind};
use crate::server::http::response::HandlerResponse;
use crate::web::texts::Text;

/// The keys above all others, in this order.
const COMMON: [&str; 8] = [
    "command",
    "autostart",
    "autorestart",
    "startsecs",
    "user",
    "directory",
    "environment",
    "stdout_logfile",
];

/// The values of the form.
pub(super) struct FormValues {
    /// Empty: a new program.
    pub(super) name: String,
    /// The section as text.
    pub(super) text: String,
    /// The MD5 of the text that has the section. Empty: none yet.
    pub(super) md5: String,
}

/// Shows the form for adding or editing, or the question of a deletion.
pub(super) async fn show(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let action = request.form.get("do").unwrap_or("edit");
    let name = request.form.get("name").unwrap_or_default();
    if action == "add" || name.is_empty() {
        // Asked for the permission.
        request
            .call("supervisord.listPrograms", ConfigCall::ListPrograms)
            .await?;
        let values = FormValues {
            name: String::new(),
            text: String::new(),
            md5: String::new(),
        };
        return Ok(form_page(request, &values));
    }
    let get = ConfigCall::GetProgram(name.to_owned());
    let program = request.call("supervisord.getProgram", get).await?;
    match action {
        "delete" => preview::ask_deletion(request, &program).await,
        "copy" => Ok(copy_page(request, name, text_of(&program, "copy"))),
        _ => {
            let values = FormValues {
                name: name.to_owned(),
                text: text_of(&program, "text").to_owned(),
                md5: text_of(&program, "md5").to_owned(),
            };
            Ok(form_page(request, &values))
        }
    }
}

fn form_page(request: &ConfigRequest<'_>, values: &FormValues) -> HandlerResponse {
    let is_new = values.name.is_empty();
    let title = match is_new {
        true => request.say(Text::AddProgram).to_owned(),
        false => request.request.language.fill(Text::EditOf, &[&values.name]),
    };
    let texts = key_texts(&values.text);
    let action = if is_new { "add" } else { "edit" };
    let hidden = html! {
        input type="hidden" name="token" value=(request.connection.token.text());
        input type="hidden" name="do" value=(action);
        input type="hidden" name="md5" value=(values.md5);
        @if !is_new { input type="hidden" name="program" value=(values.name); }
    };
    let content = html! {
        h1 { (title) }
        form.program method="post" action=(PROGRAM) data-check {
            (hidden)
            input type="hidden" name="form" value="keys";
            @if is_new {
                (field("name", request.say(Text::ColumnName), "", "", true))
            }
            @for key in COMMON { (key_field(key, &texts)) }
            @for (topic, title) in Topic::ALL {
                details {
                    summary { (title) }
                    @for key in SectionKind::Program.rows().iter().filter(|key| key.topic == Some(topic)) {
                        @if !COMMON.contains(&key.name) { (key_field(key.name, &texts)) }
                    }
                }
            }
            p.checked role="status" {}
            p { button type="submit" { (request.say(Text::Save)) } " " a href=(PROGRAMS) { (request.say(Text::Cancel)) } }
        }
        h2 { (request.say(Text::RawSection)) }
        form.program method="post" action=(PROGRAM) data-check {
            (hidden)
            input type="hidden" name="form" value="text";
            textarea name="text" rows="16" cols="80" spellcheck="false" aria-label=(request.say(Text::RawSection)) {
                @if is_new { "[program:NAME]\ncommand=\n" } @else { (values.text) }
            }
            p.checked role="status" {}
            p { button type="submit" { (request.say(Text::SaveRaw)) } }
        }
    };
    let frame = request.frame(&title).current(PROGRAMS);
    let frame = frame.scripts(&["edit.js"], &[]);
    html_page(StatusCode::OK, frame.render(&content))
}

/// The field of a key with its description and default.
fn key_field(name: &str, texts: &[(String, String)]) -> Markup {
    let Some(row) = ConfigKey::find(SectionKind::Program, name) else {
        return html! {};
    };
    let known = texts.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    let value = known.map_or("", |(_, value)| value.as_str());
    let default = row.default.unwrap_or_default();
    let is_long = value.contains('\n') || row.kind == ValueKind::Environment;
    if is_long {
        return html! {
            label.key {
                span { code { (row.name) } }
                textarea name=(row.name) rows="3" cols="60" spellcheck="false" placeholder=(default) { (value) }
                small { (row.doc) }
            }
        };
    }
    let is_set = known.is_some();
    html! {
        label.key.set[is_set] {
            span { code { (row.name) } }
            input type="text" name=(row.name) value=(value) placeholder=(default) spellcheck="false" autocomplete="off";
            small { (row.doc) " (" (row.kind.expected()) ")" }
        }
    }
}

/// A field that is no key.
fn field(name: &str, label: &str, value: &str, hint: &str, required: bool) -> Markup {
    html! {
        label.key {
            span { (label) }
            input type="text" name=(name) value=(value) placeholder=(hint) required[required] spellcheck="false" autocomplete="off";
        }
    }
}

fn copy_page(request: &ConfigRequest<'_>, name: &str, copy: &str) -> HandlerResponse {
    let title = request.request.language.fill(Text::CopyOf, &[&name]);
    let content = html! {
        h1 { (title) }
        form.program method="post" action=(PROGRAM) {
            input type="hidden" name="token" value=(request.connection.token.text());
            input type="hidden" name="do" value="copy";
            input type="hidden" name="program" value=(name);
            (field("name", request.say(Text::NewName), copy, "", true))
            p { button type="submit" { (request.say(Text::Copy)) } " " a href=(PROGRAMS) { (request.say(Text::Cancel)) } }
        }
    };
    html_page(
        StatusCode::OK,
        request.frame(&title).current(PROGRAMS).render(&content),
    )
}
