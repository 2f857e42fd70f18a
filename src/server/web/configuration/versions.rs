//! The page of earlier texts of the item: a list, the difference to the present text, and the way back to one of them.

use hyper::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use super::super::page::{NACOS, VERSIONS};
use super::super::page_response::html_page;
use super::config_request::{ConfigRequest, text_of};
use super::item_hosts::item_hosts;
use crate::api::{ConfigCall, Fault, FaultCode};
use crate::http_server::percent_encoding::url_quoted;
use crate::server::http::response::HandlerResponse;
use crate::web::texts::Text;

/// Maximum number of versions in the list.
const LISTED_MAX: usize = 200;

/// Shows the list, or one version with the difference.
pub(super) async fn show(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let list = ConfigCall::ListVersions;
    let answer = match request.call("supervisord.listNacosVersions", list).await {
        Ok(answer) => answer,
        Err(fault) if fault.code == FaultCode::Unsupported => {
            return Ok(nothing_kept(request).await);
        }
        Err(fault) => return Err(fault),
    };
    let none = Vec::new();
    let versions = answer["versions"].as_array().unwrap_or(&none);
    match request.form.get("id") {
        Some(id) => show_version(request, versions, id).await,
        None => Ok(show_list(request, versions)),
    }
}

fn page(request: &ConfigRequest<'_>, title: &str, content: &Markup) -> HandlerResponse {
    let frame = request.frame(title).current(NACOS);
    let frame = frame.message(request.form.get("message"), VERSIONS.to_owned());
    html_page(StatusCode::OK, frame.render(content))
}

/// Local files, or a server without a history.
async fn nothing_kept(request: &ConfigRequest<'_>) -> HandlerResponse {
    let state = request
        .call("supervisord.getNacos", ConfigCall::GetSource)
        .await;
    let is_active = state.is_ok_and(|state| state["active"] == Value::Bool(true));
    let why = match is_active {
        true => Text::NoVersions,
        false => Text::NoLocalVersions,
    };
    let content = html! {
        h1 { (request.say(Text::Versions)) }
        p { (request.say(why)) }
        p { a href=(NACOS) { (request.say(Text::NacosConfiguration)) } }
    };
    page(request, request.say(Text::Versions), &content)
}

fn show_list(request: &ConfigRequest<'_>, versions: &[Value]) -> HandlerResponse {
    let content = html! {
        h1 { (request.say(Text::Versions)) }
        p { a href=(NACOS) { (request.say(Text::NacosConfiguration)) } }
        @if versions.is_empty() {
            p { (request.say(Text::NoVersions)) }
        } @else {
            table.programs {
                thead { tr {
                    @for column in [Text::ColumnTime, Text::ColumnAuthor, Text::ColumnChange, Text::ColumnAction] {
                        th scope="col" { (request.say(column)) }
                    }
                } }
                tbody { @for version in versions.iter().take(LISTED_MAX) { (row(request, version)) } }
            }
        }
    };
    page(request, request.say(Text::Versions), &content)
}

fn row(request: &ConfigRequest<'_>, version: &Value) -> Markup {
    let time = text_of(version, "time");
    let change = match text_of(version, "operation").trim() {
        "I" => Text::VersionCreated,
        "D" => Text::VersionDeleted,
        _ => Text::VersionChanged,
    };
    let compare = request.say(Text::Compare);
    let label = request
        .request
        .language
        .fill(Text::ActionOn, &[&compare, &time]);
    html! {
        tr {
            th scope="row" { (time) }
            td { (text_of(version, "author")) }
            td { (request.say(change)) }
            td.actions {
                a.button href={ (VERSIONS) "?id=" (url_quoted(text_of(version, "id"))) } aria-label=(label) { (compare) }
            }
        }
    }
}

async fn show_version(
    request: &ConfigRequest<'_>,
    versions: &[Value],
    id: &str,
) -> Result<HandlerResponse, Fault> {
    let get = ConfigCall::GetVersion(id.to_owned());
    let version = request.call("supervisord.getNacosVersion", get).await?;
    let mut known = versions.iter();
    let known = known.find(|version| text_of(version, "id") == id);
    let time = known.map_or(id, |known| text_of(known, "time"));
    let title = request.request.language.fill(Text::VersionOf, &[&time]);
    let diff = text_of(&version, "diff");
    let is_same = version["md5"] == version["present_md5"];
    let hosts = item_hosts(request).await;
    let content = html! {
        h1 { (title) }
        @if is_same {
            p { (request.say(Text::SameVersion)) }
        } @else {
            p { (request.say(Text::RestoreQuestion)) " " (request.say(Text::SecretsMasked)) }
            pre.diff tabindex="0" { (diff) }
            (hosts)
            form method="post" action=(VERSIONS) {
                input type="hidden" name="token" value=(request.connection.token.text());
                input type="hidden" name="do" value="restore";
                input type="hidden" name="id" value=(id);
                input type="hidden" name="time" value=(time);
                input type="hidden" name="md5" value=(text_of(&version, "present_md5"));
                button type="submit" { (request.say(Text::Restore)) }
            }
        }
        p { a href=(VERSIONS) { (request.say(Text::Versions)) } }
    };
    Ok(page(request, &title, &content))
}

/// Answers POST: restores a version.
pub(super) async fn handle(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let get = |name: &str| request.form.get(name).unwrap_or_default().to_owned();
    if get("do") != "restore" {
        return Err(FaultCode::IncorrectParameters.bare());
    }
    let restore = ConfigCall::RestoreVersion {
        id: get("id"),
        md5: get("md5"),
    };
    request
        .call("supervisord.restoreNacosVersion", restore)
        .await?;
    let message = request
        .request
        .language
        .fill(Text::Restored, &[&get("time")]);
    Ok(request.back_to(VERSIONS, &message))
}
