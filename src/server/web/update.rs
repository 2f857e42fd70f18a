//! The plan of an update: what reading the configuration again would change, with a button that does it. And the restart of
//! the daemon, with a question.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use maud::{Markup, html};

use super::action_outcome::unexpected;
use super::configuration::ConfigRequest;
use super::csrf::forbidden;
use super::page::UPDATE;
use super::page_response::html_page;
use super::perform_action::{ANSWER_WAIT, call_with, run_to_completion};
use crate::api::{Caller, Fault, FaultCode, Permission, Reply};
use crate::config::diff::GroupAction;
use crate::config::plan::{GroupPlan, KeyChange, ProgramPlan, UpdatePlan};
use crate::control::UpdateSteps;
use crate::domain::GroupName;
use crate::server::calls::process_report::may_for_all;
use crate::server::calls::secrets::without_secrets;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::texts::Text;

/// Answers a request.
pub(super) async fn handle_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
) -> HandlerResponse {
    let request = ConfigRequest::of(connection, caller, head, form);
    let is_post = head.method == Method::POST;
    if is_post && let Some(why) = request.missing_token() {
        return forbidden(&request.request, request.say(why));
    }
    let answered = match (is_post, form.get("do")) {
        (true, Some("update")) => update(&request).await,
        (true, Some("restart")) => restart(&request).await,
        (true, _) => return HandlerResponse::Error(StatusCode::BAD_REQUEST),
        (false, Some("restart")) => Ok(ask_restart(&request)),
        (false, _) => show(&request).await,
    };
    answered.unwrap_or_else(|fault| request.fault_page(&fault))
}

async fn show(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let control = &request.connection.shared.control;
    let caller = &request.caller;
    let plan = call_with(control, caller, "supervisord.planUpdate", Vec::new()).await;
    let (status, content) = match plan {
        Ok(Reply::Text(json)) => {
            let plan = serde_json::from_str(&json).map_err(|_| FaultCode::Failed.bare())?;
            (StatusCode::OK, plan_content(request, &plan))
        }
        Ok(_) => return Err(FaultCode::Failed.bare()),
        Err(fault) if fault.code == FaultCode::CantReread => {
            (StatusCode::UNPROCESSABLE_ENTITY, broken(request, &fault))
        }
        Err(fault) => return Err(fault),
    };
    let title = request.say(Text::UpdateTitle);
    let content = html! {
        div.process {
            h1 { (title) }
            (content)
            @if may_for_all(caller, Permission::Shutdown) {
                section.card aria-labelledby="restart-title" {
                    h2 #restart-title { (request.say(Text::RestartDaemon)) }
                    p.note { (request.say(Text::RestartHint)) }
                    a.button #restart href={ (UPDATE) "?do=restart" } { (request.say(Text::RestartDaemon)) "…" }
                }
            }
        }
    };
    let frame = request.frame(title);
    let frame = frame.message(request.form.get("message"), UPDATE.to_owned());
    Ok(html_page(status, frame.render(&content)))
}

/// The page for a configuration that cannot be read.
fn broken(request: &ConfigRequest<'_>, fault: &Fault) -> Markup {
    html! {
        p { (request.say(Text::ConfigBroken)) }
        pre.problem { (fault.extra.as_deref().unwrap_or_default()) }
    }
}

fn plan_content(request: &ConfigRequest<'_>, plan: &UpdatePlan) -> Markup {
    let language = request.request.language;
    let acting = plan
        .groups
        .iter()
        .filter(|group| group.action != GroupAction::Nothing);
    html! {
        @if plan.is_empty() {
            p #nothing { (request.say(Text::NothingToUpdate)) }
        } @else {
            p.note { (request.say(Text::PlanHint)) }
            @for group in acting { (group_card(request, group)) }
            form.confirm method="post" action=(UPDATE) {
                input type="hidden" name="token" value=(request.connection.token.text());
                input type="hidden" name="plan" value=(plan.id);
                button.primary name="do" value="update" { (request.say(Text::UpdateNow)) }
                " "
                a href="./" { (request.say(Text::Cancel)) }
            }
        }
        @if !plan.unchanged.is_empty() {
            p.note { (language.fill(Text::UnchangedGroups, &[&plan.unchanged.len()])) }
        }
    }
}

fn group_card(request: &ConfigRequest<'_>, group: &GroupPlan) -> Markup {
    let language = request.request.language;
    let (word, tone) = match group.action {
        GroupAction::Add => (Text::PlanAdd, "green"),
        GroupAction::Remove => (Text::PlanRemove, "red"),
        GroupAction::Restart => (Text::PlanRestart, "blue"),
        GroupAction::Rescale => (Text::PlanRescale, "blue"),
        GroupAction::Live | GroupAction::Nothing => (Text::PlanLive, "green"),
    };
    html! {
        section.card.plan data-action=(format!("{:?}", group.action).to_lowercase()) {
            h2 { span class={ "word " (tone) } { (language.fill(word, &[&group.name])) } }
            @if group.rolling > 0 { p.note { (language.fill(Text::RollingUpdate, &[&group.rolling])) } }
            (changes(request, &group.keys))
            @for program in group.programs.iter().filter(|program| program.action != GroupAction::Nothing) {
                (program_part(request, program))
            }
        }
    }
}

fn program_part(request: &ConfigRequest<'_>, program: &ProgramPlan) -> Markup {
    html! {
        h3 { code { "[" (program.section) "]" } @if let Some(reason) = &program.reason { " " (reason) } }
        (changes(request, &program.keys))
    }
}

fn changes(request: &ConfigRequest<'_>, keys: &[KeyChange]) -> Markup {
    let value = |value: &Option<String>, hidden: bool| match value {
        Some(value) => without_secrets(value),
        None if hidden => request.say(Text::HiddenValue).to_owned(),
        None => request.say(Text::Default).to_owned(),
    };
    html! {
        @if !keys.is_empty() {
            table.plain-table.keys {
                thead { tr {
                    th scope="col" { (request.say(Text::ColumnKey)) }
                    th scope="col" { (request.say(Text::ColumnBefore)) }
                    th scope="col" { (request.say(Text::ColumnAfter)) }
                    th scope="col" { (request.say(Text::ColumnOrigin)) }
                } }
                tbody {
                    @for key in keys {
                        tr {
                            th scope="row" { code { (key.key) } }
                            td { span.value.before { (value(&key.old, key.hidden)) } }
                            td { span.value.after { (value(&key.new, key.hidden)) } }
                            td.origin { (key.place.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

/// Applies the plan that the user has seen.
async fn update(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let plan = request.form.get("plan").unwrap_or_default().to_owned();
    let control = request.connection.shared.control.clone();
    let caller = request.caller.clone();
    let work = async move {
        let steps = UpdateSteps {
            control: &control,
            caller: &caller,
        };
        steps.update_as_planned(plan).await
    };
    let language = request.request.language;
    let done = tokio::time::timeout(ANSWER_WAIT, run_to_completion(request.connection, work)).await;
    let message = match done {
        Err(_) => request.say(Text::UpdateGoesOn).to_owned(),
        Ok(None) => return Err(FaultCode::Unavailable.bare()),
        Ok(Some(Ok(Reply::Diff {
            added,
            changed,
            removed,
        }))) => {
            let names = |text, names: &[GroupName]| {
                let joined: Vec<&str> = names.iter().map(GroupName::as_str).collect();
                let joined = joined.join(language.say(Text::Separator));
                (!names.is_empty()).then(|| language.fill(text, &[&joined]))
            };
            let parts = [
                names(Text::UpdateAdded, &added),
                names(Text::UpdateChanged, &changed),
                names(Text::UpdateRemoved, &removed),
            ];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            language.fill(Text::Updated, &[&parts.join("; ")])
        }
        Ok(Some(Ok(_))) => return Err(FaultCode::Failed.bare()),
        Ok(Some(Err(fault))) if fault.status() == 403 => return Err(fault),
        Ok(Some(Err(fault))) => {
            let text = language.fill(Text::ErrorMessage, &[&unexpected(&fault, language)]);
            return Ok(request.back_to(UPDATE, &text));
        }
    };
    Ok(request.back_to("./", &message))
}

fn ask_restart(request: &ConfigRequest<'_>) -> HandlerResponse {
    let title = request.say(Text::RestartQuestion);
    let content = html! {
        h1 { (title) }
        p { (request.say(Text::RestartHint)) }
        form method="post" action=(UPDATE) {
            input type="hidden" name="token" value=(request.connection.token.text());
            button.stop name="do" value="restart" { (request.say(Text::RestartDaemon)) }
            " "
            a href="./" { (request.say(Text::Cancel)) }
        }
    };
    html_page(StatusCode::OK, request.frame(title).render_plain(&content))
}

async fn restart(request: &ConfigRequest<'_>) -> Result<HandlerResponse, Fault> {
    let control = &request.connection.shared.control;
    let restart = call_with(control, &request.caller, "supervisor.restart", Vec::new());
    restart.await?;
    // No redirect: the daemon that stops answers no further page.
    let title = request.say(Text::Restarting);
    let content = html! {
        h1 { (title) }
        p { (request.say(Text::RestartBegun)) }
        p { a href="./" { (request.say(Text::ToStatusPage)) } }
    };
    let page = request.frame(title).render_plain(&content);
    Ok(html_page(StatusCode::ACCEPTED, page))
}
