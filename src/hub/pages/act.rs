//! The buttons of the pages: each begins an operation. That on one host is waited for, as on the daemon's page; others lead to
//! the page of the operation.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::hub_page::{HubPage, OPERATIONS, Reply, node_address};
use super::lists::visible_nodes;
use super::node::node_of;
use super::outcome::result_text;
use super::process_list::{ProcessFilter, parse_selected};
use super::targets::{action_named, at_once, begin, targets_of};
use crate::http_server::percent_encoding::url_quoted;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::fleet::ActionTarget as FleetTarget;
use crate::hub::node::Action;
use crate::hub::operations::Operation;
use crate::hub::server::{HttpResponse, HubContext};
use crate::web::action_outcome::{ActionOutcome, ProcessOutcome, display_name};
use crate::web::page_actions::{ActionTarget, PageAction, find_action};
use crate::web::page_response::wants_json;
use crate::web::texts::Text;

/// How long a page waits for the end of an action on one host. The action goes on afterwards.
const ANSWER_WAIT: Duration = Duration::from_secs(15);

/// The action and the target of a button.
///
/// # Errors
/// 400: there is no such action.
fn asked<'p>(page: &'p HubPage<'_>) -> Result<(Action, &'static PageAction, &'p str), ApiError> {
    let given = page.field("do");
    let (word, target) = given.split_once(' ').unwrap_or((given, ""));
    let found = action_named(word).zip(find_action(word));
    let (action, button) = found.ok_or_else(|| page.not_understood())?;
    Ok((action, button, target))
}

/// Leads to the page of an operation.
fn lead_to_operation(page: &HubPage<'_>, operation: &Operation) -> HttpResponse {
    page.lead_to(&format!("{OPERATIONS}{}/", operation.id), "")
}

/// `POST /nodes/{node}/actions`.
pub(super) async fn on_node(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let node = node_of(&page)?;
    let (action, button, target) = asked(&page)?;
    let target = ActionTarget::parse_with(target, page.form.all("selected"));
    if target == ActionTarget::Selected(Vec::new()) {
        let outcome = ActionOutcome::nothing_selected(page.language());
        return Ok(answer(&page, &node_address(&node.name), outcome));
    }
    let nodes = [node.clone()];
    let targets = targets_of(&page, &nodes, |_, process| match &target {
        ActionTarget::All => true,
        ActionTarget::Group(group) => *process.group == **group,
        ActionTarget::One { full, .. } => *full == process.namespec(),
        ActionTarget::Selected(names) => {
            let group = format!("{}:*", process.group);
            names.contains(&process.namespec()) || names.contains(&group)
        }
    });
    let subject = format!("{}: {}", node.name, target.to_phrase(page.language()));
    let operation = begin(&page, action, subject, targets, None)?;
    let outcome = match timeout(ANSWER_WAIT, operation.ended()).await {
        Ok(()) => outcome_of(&page, &operation, button, &target),
        Err(_) => ActionOutcome {
            message: page.say(Text::ActionGoesOn).to_owned(),
            failed: false,
            results: Vec::new(),
        },
    };
    Ok(answer(&page, &node_address(&node.name), outcome))
}

fn outcome_of(
    page: &HubPage<'_>,
    operation: &Operation,
    button: &PageAction,
    target: &ActionTarget,
) -> ActionOutcome {
    let results = operation.results();
    let is_single = operation.task.total == 1;
    let mut results: Vec<ProcessOutcome> = results
        .iter()
        .map(|result| {
            let action = operation.task.action;
            let (text, failed) = result_text(action, result, is_single, page.language());
            let id = result.target.namespec.clone();
            let (group, process) = id.split_once(':').unwrap_or((&id, &id));
            let name = display_name(target, group, process);
            ProcessOutcome {
                name,
                text,
                failed,
                id,
            }
        })
        .collect();
    results.sort_by(|one, other| one.id.cmp(&other.id));
    if let (ActionTarget::One { .. }, [only]) = (target, results.as_slice())
        && only.failed
    {
        let subject = target.to_subject(page.language());
        return ActionOutcome {
            message: page.fill(Text::ErrorOf, &[&subject, &only.text]),
            failed: true,
            results: Vec::new(),
        };
    }
    ActionOutcome::new(button, target, results, page.language())
}

/// Answers a script with the outcome, and a browser without one with the page on which the button was.
fn answer(page: &HubPage<'_>, address: &str, outcome: ActionOutcome) -> HttpResponse {
    if wants_json(&page.call.request.headers) {
        let body = json!({
            "message": outcome.message,
            "failed": outcome.failed,
            "results": outcome.results,
        });
        let status = hyper::StatusCode::OK;
        return HttpResponse::new(status, "application/json", body.to_string());
    }
    // The page stays as it was: filtered, sorted, folded.
    let mut parameters = Vec::new();
    for name in ["filter", "sort", "fold"] {
        if let Some(value) = page.form.get(name) {
            parameters.push(format!("{name}={}", url_quoted(value)));
        }
    }
    let query = match parameters.is_empty() {
        true => String::new(),
        false => format!("?{}", parameters.join("&")),
    };
    page.lead_to(&format!("{address}{query}"), &outcome.message)
}

/// `POST /groups/{group}/actions`: `selected` are names of hosts.
pub(super) async fn on_group(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let group = call.param("group");
    let (action, _, target) = asked(&page)?;
    let selected: Vec<&str> = page.form.all("selected").collect();
    let is_all = target == "*";
    let mut nodes = visible_nodes(&page);
    nodes.retain(|node| is_all || selected.contains(&&*node.name));
    let targets = targets_of(&page, &nodes, |_, process| *process.group == *group);
    if targets.is_empty() && !is_all {
        let message = page.say(Text::NoHostSelected);
        return Ok(page.lead_to(&super::hub_page::group_address(group), message));
    }
    let subject = page.fill(Text::GroupNamed, &[&group]);
    let operation = begin(&page, action, subject, targets, at_once(&page))?;
    Ok(lead_to_operation(&page, &operation))
}

/// `POST /environments/actions`.
pub(super) async fn on_environment(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let (action, ..) = asked(&page)?;
    // The name of an environment may be empty.
    let name = page.form.get("environment").unwrap_or_default();
    let mut nodes = visible_nodes(&page);
    nodes.retain(|node| *node.environment == *name);
    let targets = targets_of(&page, &nodes, |_, _| true);
    let subject = page.fill(Text::EnvironmentNamed, &[&name]);
    let operation = begin(&page, action, subject, targets, at_once(&page))?;
    Ok(lead_to_operation(&page, &operation))
}

/// `POST /processes/actions`: on those that are selected, or on all that the filter matches.
pub(super) async fn on_processes(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let (action, _, target) = asked(&page)?;
    let filter = ProcessFilter::of(&page);
    let nodes = visible_nodes(&page);
    let (subject, targets) = if target == "*" {
        let targets = targets_of(&page, &nodes, |node, process| filter.matches(node, process));
        (page.fill(Text::MatchingProcesses, &[&filter.text]), targets)
    } else {
        let selected = parse_selected(&page);
        let is_selected = |target: &FleetTarget| {
            selected.contains(&(target.node.to_string(), target.namespec.clone()))
        };
        let mut targets = targets_of(&page, &nodes, |_, _| true);
        targets.retain(is_selected);
        let subject = page.fill(Text::SelectedPhrase, &[&targets.len()]);
        (subject, targets)
    };
    if targets.is_empty() {
        let message = page.say(Text::NothingSelected);
        return Ok(page.lead_to(&filter.address(), message));
    }
    let operation = begin(&page, action, subject, targets, at_once(&page))?;
    Ok(lead_to_operation(&page, &operation))
}
