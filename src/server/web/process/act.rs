//! The actions of the page. They call methods of METHODS with the same authorisation as XML-RPC.

use hyper::StatusCode;

use super::super::action_outcome::fault_text;
use super::super::configuration::ConfigRequest;
use super::super::page::{group_address, process_address};
use super::super::page_response::redirect;
use super::super::perform_action::{call_with, perform_action, run_to_completion};
use crate::api::Fault;
use crate::api::xmlrpc::RpcValue;
use crate::domain::Namespec;
use crate::http_server::percent_encoding::url_quoted;
use crate::server::http::response::HandlerResponse;
use crate::web::action_outcome::ActionOutcome;
use crate::web::form::Form;
use crate::web::page_actions::{ActionTarget, find_action};
use crate::web::texts::{Language, Text};

/// Performs an action, and returns to the page with a message.
pub(super) async fn act(request: &ConfigRequest<'_>) -> HandlerResponse {
    let language = request.request.language;
    let form = request.form;
    let name = form.get("name").unwrap_or_default().to_owned();
    let asked = form.get("do").unwrap_or_default();
    let connection = request.connection;
    let control = connection.shared.control.clone();
    let caller = request.caller.clone();
    let mut address = process_address(&name);
    let done = if let Some(action) = find_action(asked) {
        let target = ActionTarget::parse(&name);
        let work =
            async move { perform_action(&control, &caller, action, &target, language).await };
        run_to_completion(connection, work).await
    } else {
        let Some(call) = OtherAction::of(asked, form) else {
            return HandlerResponse::Error(StatusCode::BAD_REQUEST);
        };
        // The number of processes is one of the program, and this process may not survive it.
        let subject = match call {
            OtherAction::Scale(_) => form.get("program").unwrap_or_default().to_owned(),
            OtherAction::Reload | OtherAction::Signal(_) => name.clone(),
        };
        if matches!(call, OtherAction::Scale(_)) {
            address = group_address(&Namespec::parse(&name).group);
        }
        let work = async move {
            let arguments = call.arguments(&subject);
            let result = call_with(&control, &caller, call.method(), arguments).await;
            call.outcome(&subject, result.map(drop), language)
        };
        run_to_completion(connection, work).await
    };
    let Some(done) = done else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    redirect(
        StatusCode::SEE_OTHER,
        format!("{address}&message={}", url_quoted(&done.message)),
    )
}

/// An action that only this page has.
enum OtherAction {
    Reload,
    Signal(String),
    /// Another number of processes of its program.
    Scale(i64),
}

impl OtherAction {
    fn of(word: &str, form: &Form) -> Option<Self> {
        match word {
            "reload" => Some(Self::Reload),
            "signal" => Some(Self::Signal(form.get("signal")?.to_owned())),
            "scale" => Some(Self::Scale(form.get("numprocs")?.trim().parse().ok()?)),
            _ => None,
        }
    }

    const fn method(&self) -> &'static str {
        match self {
            Self::Reload => "supervisord.reloadProcess",
            Self::Signal(_) => "supervisor.signalProcess",
            Self::Scale(_) => "supervisord.setNumprocs",
        }
    }

    fn arguments(&self, name: &str) -> Vec<RpcValue> {
        let mut arguments = vec![RpcValue::text(name)];
        match self {
            Self::Reload => {}
            Self::Signal(signal) => arguments.push(RpcValue::text(signal)),
            Self::Scale(number) => arguments.push(RpcValue::Int(*number)),
        }
        arguments
    }

    fn outcome(&self, name: &str, result: Result<(), Fault>, language: Language) -> ActionOutcome {
        let subject = language.fill(Text::ProcessNamed, &[&name]);
        let message = match (&result, self) {
            (Ok(()), Self::Reload) => language.fill(Text::Reloaded, &[&subject]),
            (Ok(()), Self::Signal(signal)) => language.fill(Text::SignalSent, &[signal, &subject]),
            (Ok(()), Self::Scale(number)) => language.fill(Text::Scaled, &[&name, number]),
            (Err(fault), _) => {
                language.fill(Text::ErrorOf, &[&subject, &fault_text(fault, language)])
            }
        };
        ActionOutcome {
            message,
            failed: result.is_err(),
            results: Vec::new(),
        }
    }
}
