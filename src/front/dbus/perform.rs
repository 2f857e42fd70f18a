//! Calls of ours, carried out: arguments bound by METHODS, authorised, asked, rendered. It must not know how messages come
//! and go.

use zbus::Message;
use zbus::message::Flags;

use super::bus::{Bus, Sender};
use super::calls::{Call, Kind, Means, Outcome};
use super::convert::{self, Values};
use super::path::Object;
use super::refusal::Refusal;
use crate::api::xmlrpc::Value;
use crate::api::{Bound, Caller, Fault, FaultCode, Method, ParamKind, Reply, Request};
use crate::front::budget::Client;
use crate::front::logs;
use crate::front::xmlrpc::{apart, rendered};

impl Bus {
    /// Does what the message asks for.
    ///
    /// # Errors
    /// A fault of the Control API, or a reason of ours.
    pub(super) async fn perform(
        &self,
        sender: &Sender,
        object: &Object,
        call: &'static Call,
        message: &Message,
    ) -> Result<Values, Refusal> {
        let given = convert::arguments(call, &message.body())?;
        let flags = message.primary_header().flags();
        let dialog = flags.contains(Flags::ALLOW_INTERACTIVE_AUTH);
        let method = call
            .method()
            .ok_or_else(|| Refusal::unknown_method(call.name))?;
        let value = match call.means {
            Means::Update => {
                let groups = convert::texts(given);
                for group in &groups {
                    self.check_names(sender, &Bound::Engine(Request::AddGroup(group.clone())))?;
                }
                // Its first step.
                let reread = Bound::Engine(Request::Reread);
                let caller = self.authorise(sender, call, &reread, dialog).await?;
                self.update(&caller, &groups).await?
            }
            Means::Method(_) => {
                self.offered(method)?;
                let bound = method.bind(with_name(object, method, given))?;
                self.check_names(sender, &bound)?;
                narrow(call, &bound).inspect_err(|fault| self.refused(sender, &bound, fault))?;
                let caller = self.authorise(sender, call, &bound, dialog).await?;
                self.carry_out(&caller, method, call.outcome, bound).await?
            }
        };
        let outcome = call.outcome;
        let answer = match outcome {
            Outcome::Infos | Outcome::Text => apart(move || convert::answer(outcome, value))
                .await
                .flatten(),
            _ => convert::answer(outcome, value),
        };
        answer.ok_or_else(|| Refusal::failed("the response cannot be rendered"))
    }

    /// What the plug-in offers is there where its section is; all else is there where the bus is.
    fn offered(&self, method: &'static Method) -> Result<(), Refusal> {
        let interface = &self.door.interface;
        if method.namespace() == "twiddler" && !interface.offers(method) {
            let text = "available only with [rpcinterface:twiddler]";
            return Err(FaultCode::UnknownMethod.of(text).into());
        }
        Ok(interface.permits(method)?)
    }

    async fn carry_out(
        &self,
        caller: &Caller,
        method: &'static Method,
        outcome: Outcome,
        bound: Bound,
    ) -> Result<Value, Fault> {
        let control = &self.door.control;
        let most = logs::most_for(caller.uid.map_or(Client::Trusted, Client::user));
        let ask = async |request: Request| -> Result<Reply, Fault> {
            let grant = control.grant(caller, method, &request)?;
            control.call(caller.clone(), grant, request).await
        };
        match bound {
            Bound::Engine(request) => {
                let reply = ask(request).await?;
                match (outcome, reply) {
                    // One process has no list of results, but a fault or none.
                    (Outcome::Done, Reply::Results(results)) => {
                        match results.into_iter().find_map(|result| result.fault) {
                            Some(fault) => Err(fault),
                            None => Ok(Value::Bool(true)),
                        }
                    }
                    (_, reply) => rendered(reply, method.returns).await,
                }
            }
            Bound::Constant(text) => {
                // As in XML-RPC: a daemon that stops has no version.
                ask(Request::State).await?;
                Ok(Value::text(text))
            }
            Bound::ReadLog { of, offset, length } => {
                let source = logs::source(ask(Request::LogFile(of)).await?);
                logs::read(source, offset, length, most).await
            }
            Bound::TailLog { of, offset, length } => {
                let source = logs::source(ask(Request::LogFile(of)).await?);
                logs::tail(source, offset, length, most).await
            }
            // `narrow` has refused the first, and no row of CALLS names a method of the others.
            Bound::Wildcard(..)
            | Bound::ProcessTable(..)
            | Bound::ListMethods
            | Bound::MethodHelp(_)
            | Bound::MethodSignature(_)
            | Bound::Multicall(_) => Err(FaultCode::UnknownMethod.bare()),
        }
    }
}

/// The arguments, with what the object stands for before them.
fn with_name(object: &Object, method: &Method, given: Vec<Value>) -> Vec<Value> {
    let Some(name) = object.name() else {
        return given;
    };
    let is_list = method
        .params
        .first()
        .is_some_and(|param| param.kind == ParamKind::Names);
    let first = match object.kind() {
        Kind::Group if is_list => Value::Array(vec![Value::Text(format!("{name}:*"))]),
        _ if is_list => Value::Array(vec![Value::Text(name)]),
        _ => Value::Text(name),
    };
    std::iter::once(first).chain(given).collect()
}

/// A call about one process is about one: XML-RPC's wildcards would change the type of the answer.
fn narrow(call: &Call, bound: &Bound) -> Result<(), Fault> {
    let is_one = |request: &Request| match request {
        Request::RollingRestart { targets, .. } => {
            let mut targets = targets.iter();
            call.kind != Kind::Process
                || targets.all(|target| matches!(target, crate::api::Target::One(..)))
        }
        _ => true,
    };
    match bound {
        Bound::Wildcard(_, given) => Err(FaultCode::BadName.of(given.as_str())),
        Bound::Engine(request) if !is_one(request) => Err(FaultCode::BadName.bare()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::find;
    use super::*;
    use crate::api::Target;
    use crate::domain::Namespec;

    fn bound(object: &Object, name: &str, given: Vec<Value>) -> Result<Bound, Fault> {
        let call = find(object.kind(), name).expect(name);
        let method = call.method().expect(name);
        let bound = method.bind(with_name(object, method, given))?;
        narrow(call, &bound).map(|()| bound)
    }

    #[test]
    fn an_object_stands_for_its_name() {
        let group = Object::Group("g".to_owned());
        let process = Object::Process("g".to_owned(), "p".to_owned());
        let one = || Target::One(Namespec::parse("g:p"), "g:p".to_owned());
        let restart = |target| {
            Ok(Bound::Engine(Request::RollingRestart {
                targets: vec![target],
                at_once: 1,
            }))
        };
        assert_eq!(bound(&process, "Restart", vec![]), restart(one()));
        assert_eq!(
            bound(&group, "RollingRestart", vec![Value::Int(1)]),
            restart(Target::Group("g".to_owned()))
        );
        assert_eq!(
            bound(&process, "Stop", vec![Value::Bool(false)]),
            Ok(Bound::Engine(Request::Stop {
                target: one(),
                wait: false
            }))
        );
        assert_eq!(
            bound(&group, "Remove", vec![]),
            Ok(Bound::Engine(Request::RemoveGroup("g".to_owned())))
        );
    }

    #[test]
    fn one_process_is_never_a_group() {
        let bad = |name: &str| Err(FaultCode::BadName.of(name));
        let wait = || Value::Bool(true);
        let manager = Object::Manager;
        for name in ["g:*", "g:"] {
            let given = vec![Value::text(name), wait()];
            assert_eq!(bound(&manager, "StartProcess", given), bad(name));
        }
        // A process of that name could be reached by no other way either.
        let star = Object::Process("g".to_owned(), "*".to_owned());
        assert_eq!(bound(&star, "Stop", vec![wait()]), bad("g:*"));
        assert_eq!(
            bound(&star, "Restart", vec![]),
            Err(FaultCode::BadName.bare())
        );
        let all = Object::Process("all".to_owned(), "all".to_owned());
        assert_eq!(
            bound(&all, "Restart", vec![]),
            Ok(Bound::Engine(Request::RollingRestart {
                targets: vec![Target::One(
                    Namespec::parse("all:all"),
                    "all:all".to_owned()
                )],
                at_once: 1,
            }))
        );
    }
}
