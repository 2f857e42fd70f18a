//! Executes a call: binds the arguments by METHODS, authorises the call, has it executed and renders the result. This
//! module does not send or receive messages.

use zbus::Message;
use zbus::message::Flags;

use super::bus::BusConnection;
use super::convert::{self, BusValues};
use super::error::BusError;
use super::interface::{BusMethod, CallBinding, ObjectKind, ReplyType};
use super::path::BusObject;
use super::sender::BusSender;
use crate::api::xmlrpc::RpcValue;
use crate::api::{BoundCall, Caller, Fault, FaultCode, Method, ParamKind, Reply, Request};
use crate::control::UpdateSteps;
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::budget::BudgetClient;
use crate::server::calls::execute::CallContext;
use crate::server::calls::method_result::MethodResult;

impl BusConnection {
    /// Executes the call of a message.
    ///
    /// # Errors
    /// A fault of the Control API, or an error of this module.
    pub(super) async fn perform_call(
        &self,
        sender: &BusSender,
        object: &BusObject,
        call: &'static BusMethod,
        message: &Message,
    ) -> Result<BusValues, BusError> {
        let given = convert::arguments(call, &message.body())?;
        let flags = message.primary_header().flags();
        let dialog = flags.contains(Flags::ALLOW_INTERACTIVE_AUTH);
        let method = call
            .method()
            .ok_or_else(|| BusError::unknown_method(call.name))?;
        let result = match call.binding {
            CallBinding::Update => {
                let groups = convert::text_list(given);
                for group in &groups {
                    self.check_names(sender, &BoundCall::Engine(Request::AddGroup(group.clone())))?;
                }
                // Rereading is the first step of an update.
                let reread = BoundCall::Engine(Request::Reread);
                let caller = self.authorise(sender, call, &reread, dialog).await?;
                let active = match groups.is_empty() {
                    true => Vec::new(),
                    false => self.groups().await?,
                };
                let steps = UpdateSteps {
                    control: &self.context.control,
                    caller: &caller,
                };
                MethodResult::Reply(steps.update_groups(&groups, &active).await?)
            }
            CallBinding::Method(_) => {
                self.check_offered(method)?;
                let bound = method.bind_arguments(with_name(object, method, given))?;
                self.check_names(sender, &bound)?;
                check_single_process(call, &bound)
                    .inspect_err(|fault| self.audit_refusal(sender, &bound, fault))?;
                let caller = self.authorise(sender, call, &bound, dialog).await?;
                self.execute_method(&caller, method, call.reply, bound)
                    .await?
            }
        };
        let outcome = call.reply;
        let answer = match outcome {
            ReplyType::Infos | ReplyType::Text => {
                run_blocking(move || convert::reply_values(outcome, result))
                    .await
                    .flatten()
            }
            _ => convert::reply_values(outcome, result),
        };
        answer.ok_or_else(|| BusError::failed("the response cannot be rendered"))
    }

    /// Refuses methods of the twiddler plug-in if its section is not configured. All other methods are always
    /// available.
    fn check_offered(&self, method: &'static Method) -> Result<(), BusError> {
        let interface = &self.context.interface;
        if method.namespace() == "twiddler" && !interface.offers(method) {
            let text = "available only with [rpcinterface:twiddler]";
            return Err(FaultCode::UnknownMethod.of(text).into());
        }
        Ok(interface.permits(method)?)
    }

    async fn execute_method(
        &self,
        caller: &Caller,
        method: &'static Method,
        outcome: ReplyType,
        bound: BoundCall,
    ) -> Result<MethodResult, Fault> {
        let context = CallContext {
            control: &self.context.control,
            interface: &self.context.interface,
            caller,
            client: caller.uid.map_or(BudgetClient::Trusted, BudgetClient::user),
            usage: None,
        };
        match (outcome, context.execute(method, bound).await?) {
            // A call for one process returns its fault or nothing instead of a list of results.
            (ReplyType::Done, MethodResult::Reply(Reply::Results(results))) => {
                match results.into_iter().find_map(|result| result.fault) {
                    Some(fault) => Err(fault),
                    None => Ok(MethodResult::Reply(Reply::Done)),
                }
            }
            (_, result) => Ok(result),
        }
    }
}

/// Puts the object's name in front of the given arguments.
fn with_name(object: &BusObject, method: &Method, given: Vec<RpcValue>) -> Vec<RpcValue> {
    let Some(name) = object.name() else {
        return given;
    };
    let is_list = method
        .params
        .first()
        .is_some_and(|param| param.kind == ParamKind::Names);
    let first = match object.kind() {
        ObjectKind::Group if is_list => RpcValue::Array(vec![RpcValue::Text(format!("{name}:*"))]),
        _ if is_list => RpcValue::Array(vec![RpcValue::Text(name)]),
        _ => RpcValue::Text(name),
    };
    std::iter::once(first).chain(given).collect()
}

/// Refuses wildcards in a call about one process, because they would change the type of the result.
fn check_single_process(call: &BusMethod, bound: &BoundCall) -> Result<(), Fault> {
    let is_one = |request: &Request| match request {
        Request::RollingRestart { targets, .. } => {
            let mut targets = targets.iter();
            call.kind != ObjectKind::Process
                || targets.all(|target| matches!(target, crate::api::RequestTarget::One(..)))
        }
        _ => true,
    };
    match bound {
        BoundCall::Wildcard(_, given) => Err(FaultCode::BadName.of(given.as_str())),
        BoundCall::Engine(request) if !is_one(request) => Err(FaultCode::BadName.bare()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::interface::find_method;
    use super::*;
    use crate::api::{RequestTarget, RollingLimits};
    use crate::domain::Namespec;

    fn bound(object: &BusObject, name: &str, given: Vec<RpcValue>) -> Result<BoundCall, Fault> {
        let call = find_method(object.kind(), name).expect(name);
        let method = call.method().expect(name);
        let bound = method.bind_arguments(with_name(object, method, given))?;
        check_single_process(call, &bound).map(|()| bound)
    }

    #[test]
    fn a_call_on_an_object_uses_its_name() {
        let group = BusObject::Group("g".to_owned());
        let process = BusObject::Process("g".to_owned(), "p".to_owned());
        let one = || RequestTarget::One(Namespec::parse("g:p"), "g:p".to_owned());
        let restart = |target| {
            Ok(BoundCall::Engine(Request::RollingRestart {
                targets: vec![target],
                limits: RollingLimits {
                    at_once: 1,
                    max_failures: 0,
                    healthy: false,
                },
            }))
        };
        assert_eq!(bound(&process, "Restart", vec![]), restart(one()));
        assert_eq!(
            bound(&group, "RollingRestart", vec![RpcValue::Int(1)]),
            restart(RequestTarget::Group("g".to_owned()))
        );
        assert_eq!(
            bound(&process, "Stop", vec![RpcValue::Bool(false)]),
            Ok(BoundCall::Engine(Request::Stop {
                target: one(),
                wait: false
            }))
        );
        assert_eq!(
            bound(&group, "Remove", vec![]),
            Ok(BoundCall::Engine(Request::RemoveGroup("g".to_owned())))
        );
    }

    #[test]
    fn a_wildcard_is_never_one_process() {
        let bad = |name: &str| Err(FaultCode::BadName.of(name));
        let wait = || RpcValue::Bool(true);
        let manager = BusObject::Manager;
        for name in ["g:*", "g:"] {
            let given = vec![RpcValue::text(name), wait()];
            assert_eq!(bound(&manager, "StartProcess", given), bad(name));
        }
        // Other protocols cannot address a process of that name either.
        let star = BusObject::Process("g".to_owned(), "*".to_owned());
        assert_eq!(bound(&star, "Stop", vec![wait()]), bad("g:*"));
        assert_eq!(
            bound(&star, "Restart", vec![]),
            Err(FaultCode::BadName.bare())
        );
        let all = BusObject::Process("all".to_owned(), "all".to_owned());
        assert_eq!(
            bound(&all, "Restart", vec![]),
            Ok(BoundCall::Engine(Request::RollingRestart {
                targets: vec![RequestTarget::One(
                    Namespec::parse("all:all"),
                    "all:all".to_owned()
                )],
                limits: RollingLimits {
                    at_once: 1,
                    max_failures: 0,
                    healthy: false
                },
            }))
        );
    }
}
