//! The list of programs in the texts of the configuration.

use hyper::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use super::super::page::{NACOS, PROGRAM, PROGRAMS};
use super::super::page_response::html_page;
use super::config_request::{ConfigRequest, text_of};
use crate::api::{ConfigCall, Fault};
use crate::http_server::percent_encoding::url_quoted;
use crate::server::http::response::HandlerResponse;
use crate::web::texts::Text;

/// Shows the list.
pub(super) async fn show(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let answer = request
        .call("supervisord.listPrograms", ConfigCall::ListPrograms)
        .await?;
    let none = Vec::new();
    let programs = answer["programs"].as_array().unwrap_or(&none);
    let content = html! {
        h1 { (request.say(Text::Programs)) }
        p.tools {
            a.button href={ (PROGRAM) "?do=add" } { (request.say(Text::AddProgram)) }
            " "
            a.button href=(NACOS) { (request.say(Text::NacosConfiguration)) }
        }
        @if programs.is_empty() {
            p { (request.say(Text::NoProgramTexts)) }
        } @else {
            table.programs {
                thead { tr {
                    th scope="col" { (request.say(Text::ColumnName)) }
                    th scope="col" { (request.say(Text::ColumnFile)) }
                    th scope="col" { (request.say(Text::ColumnAction)) }
                } }
                tbody { @for program in programs { (row(request, program)) } }
            }
        }
    };
    let frame = request.frame(request.say(Text::Programs)).current(PROGRAMS);
    let frame = frame.message(request.form.get("message"), PROGRAMS.to_owned());
    Ok(html_page(StatusCode::OK, frame.render(&content)))
}

fn row(request: &ConfigRequest<'_>, program: &Value) -> Markup {
    let name = text_of(program, "name");
    let address = |action: &str| format!("{PROGRAM}?do={action}&name={}", url_quoted(name));
    let label = |text: Text| {
        request
            .request
            .language
            .fill(Text::ActionOn, &[&request.say(text), &name])
    };
    html! {
        tr {
            th scope="row" { a href={ "tail.html?processname=" (url_quoted(name)) } { (name) } }
            td { (text_of(program, "file")) ":" (program["line"]) }
            td.actions {
                @for (action, text) in [("edit", Text::Edit), ("copy", Text::Copy), ("delete", Text::Delete)] {
                    a.button href=(address(action)) aria-label=(label(text)) { (request.say(text)) }
                    " "
                }
            }
        }
    }
}
