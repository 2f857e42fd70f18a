//! The page of the Nacos server: its settings, a test of them, and the state of the item.

use hyper::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use super::super::page::{NACOS, VERSIONS};
use super::super::page_response::html_page;
use super::config_request::{ConfigRequest, fault_text, text_of};
use super::item_hosts::item_hosts;
use crate::api::{ConfigCall, Fault, FaultCode, Request, find_method};
use crate::server::http::response::HandlerResponse;
use crate::web::texts::Text;

/// The text fields: the key, its label and a hint.
const FIELDS: [(&str, Text, &str); 5] = [
    ("server", Text::NacosServer, "127.0.0.1:8848"),
    ("dataid", Text::NacosDataid, "supervisord.conf"),
    ("namespace", Text::NacosNamespace, "public"),
    ("group", Text::NacosGroup, "DEFAULT_GROUP"),
    ("username", Text::NacosUsername, ""),
];

/// Shows the page. `message`: the result of a test, and whether it failed.
pub(super) async fn show(
    request: &ConfigRequest<'_>,
    message: Option<(String, bool)>,
) -> Result<HandlerResponse, Fault> {
    let state = request
        .call("supervisord.getNacos", ConfigCall::GetSource)
        .await?;
    let is_failure = message.as_ref().is_some_and(|(_, failed)| *failed);
    let hosts = match state["active"] == Value::Bool(true) {
        true => Some(item_hosts(request).await),
        false => None,
    };
    let content = html! {
        h1 { (request.say(Text::NacosConfiguration)) }
        (status(request, &state))
        @if let Some(hosts) = hosts {
            (hosts)
            p { a href=(VERSIONS) { (request.say(Text::Versions)) } }
        }
        @if let Some((text, failed)) = &message {
            pre.problem[*failed].result[!*failed] role="status" { (text) }
        }
        form.program method="post" action=(NACOS) {
            input type="hidden" name="token" value=(request.connection.token.text());
            @for (key, label, hint) in FIELDS {
                label.key {
                    span { (request.say(label)) }
                    input type="text" name=(key) value=(value_of(request, &state, key)) placeholder=(hint) spellcheck="false" autocomplete="off";
                }
            }
            label.key {
                span { (request.say(Text::NacosPassword)) }
                input type="password" name="password" autocomplete="new-password" placeholder=(password_hint(request, &state));
            }
            label.check {
                input type="checkbox" name="not_use_cache" value="true" checked[state["not_use_cache"] == Value::Bool(true)];
                " " (request.say(Text::NotUseCache))
            }
            p {
                button name="do" value="save" { (request.say(Text::SaveConfiguration)) }
                " "
                button name="do" value="test" { (request.say(Text::Test)) }
                @if state["saved"] == Value::Bool(true) {
                    " "
                    button name="do" value="leave" { (request.say(Text::Leave)) }
                }
            }
        }
        (restart_form(request))
    };
    let status = if is_failure {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let frame = request
        .frame(request.say(Text::NacosConfiguration))
        .current(NACOS);
    let frame = frame.message(request.form.get("message"), NACOS.to_owned());
    Ok(html_page(status, frame.render(&content)))
}

/// What was typed, else the present setting.
fn value_of(request: &ConfigRequest<'_>, state: &Value, key: &str) -> String {
    let typed = request
        .form
        .get("do")
        .map(|_| request.form.get(key).unwrap_or_default());
    typed.unwrap_or_else(|| text_of(state, key)).to_owned()
}

fn password_hint(request: &ConfigRequest<'_>, state: &Value) -> &'static str {
    match state["has_password"] == Value::Bool(true) {
        true => request.say(Text::PasswordSet),
        false => request.say(Text::PasswordNotSet),
    }
}

fn status(request: &ConfigRequest<'_>, state: &Value) -> Markup {
    let error = text_of(state, "error");
    // The report has the lines of the text, with a mark below what is wrong.
    let error = match text_of(state, "report") {
        "" => error,
        report => report,
    };
    html! {
        @if state["active"] == Value::Bool(true) {
            p {
                (request.request.language.fill(Text::NacosActive, &[&text_of(state, "dataid"), &text_of(state, "md5")]))
            }
            @if !error.is_empty() { pre.problem { (error) } }
            @if state["needs_restart"] == Value::Bool(true) { p { (request.say(Text::NeedsRestart)) } }
        } @else if text_of(state, "kind") == "command" {
            p {
                (request.request.language.fill(Text::SourceCommand, &[&text_of(state, "item"), &text_of(state, "md5")]))
            }
            @if !error.is_empty() { pre.problem { (error) } }
            @if state["needs_restart"] == Value::Bool(true) { p { (request.say(Text::NeedsRestart)) } }
        } @else {
            p { (request.say(Text::NacosInactive)) }
        }
    }
}

/// The button that restarts the daemon, after which saved settings are in use.
fn restart_form(request: &ConfigRequest<'_>) -> Markup {
    html! {
        @if request.form.get("message").is_some() {
            form method="post" action=(NACOS) {
                input type="hidden" name="token" value=(request.connection.token.text());
                button name="do" value="restart" { (request.say(Text::RestartDaemon)) }
            }
        }
    }
}

/// Answers POST of the form.
pub(super) async fn handle(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let action = request.form.get("do").unwrap_or_default();
    let result = match action {
        "save" => {
            let save = ConfigCall::SaveSource(settings(request));
            request.call("supervisord.setNacos", save).await
        }
        "leave" => {
            request
                .call("supervisord.leaveNacos", ConfigCall::LeaveSource)
                .await
        }
        "test" => {
            let test = ConfigCall::TestSource(settings(request));
            request.call("supervisord.testNacos", test).await
        }
        "restart" => return restart(request).await,
        _ => Err(FaultCode::IncorrectParameters.bare()),
    };
    let language = request.request.language;
    match (action, result) {
        (_, Err(fault)) if fault.status() == 403 => Err(fault),
        (_, Err(fault)) => show(request, Some((fault_text(&fault), true))).await,
        ("test", Ok(answer)) => {
            let text = language.fill(
                Text::TestPassed,
                &[&answer["size"], &text_of(&answer, "md5")],
            );
            show(request, Some((text, false))).await
        }
        ("leave", Ok(_)) => Ok(request.back_to(NACOS, request.say(Text::NacosLeft))),
        (_, Ok(_)) => Ok(request.back_to(NACOS, request.say(Text::NacosSaved))),
    }
}

/// The settings of the form. Empty ones are left out: the password is then the saved one.
fn settings(request: &ConfigRequest<'_>) -> Vec<(String, String)> {
    let form = request.form;
    let names = FIELDS
        .iter()
        .map(|(key, ..)| *key)
        .chain(["password", "not_use_cache"]);
    names
        .filter_map(|name| Some((name.to_owned(), form.get(name)?.trim().to_owned())))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

async fn restart(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let method =
        find_method("supervisor.restart").ok_or_else(|| FaultCode::UnknownMethod.bare())?;
    let control = &request.connection.shared.control;
    control
        .ask(&request.caller, method, Request::Restart)
        .await?;
    Ok(request.back_to("./", request.say(Text::Restarting)))
}
