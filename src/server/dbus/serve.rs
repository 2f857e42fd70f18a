//! Receives messages: each is counted, its sender is looked up, and a task of its own answers it. The receiving loop
//! waits for messages only, so that no call delays another.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout};
use zbus::export::futures_core::Stream;
use zbus::message::{Flags, Type};
use zbus::{Message, MessageStream, Structure, Variant};

use super::bus::BusConnection;
use super::convert::{BusValues, text_variant};
use super::error::BusError;
use super::interface::{BUS_NAME, ObjectKind, PROPERTIES, find_method};
use super::introspect::introspection_xml;
use super::limits::{CallPermit, MESSAGE_BYTES_MAX};
use super::objects::{ObjectMap, PropertyMap};
use super::path::{self, BusObject};
use super::sender::BusSender;
use crate::domain::Line;
use crate::http_server::blocking_pool::run_blocking;
use crate::sys;

/// How long calls in progress may take when the server stops.
pub(super) const STOP_WITHIN: Duration = Duration::from_secs(1);
/// The rate cost of a call that returns all processes.
const COST_OF_ALL: u32 = 50;

/// Calls that return all processes.
const ANSWERS_ALL: &[&str] = &["GetManagedObjects", "GetAllProcessInfo", "GetAllConfigInfo"];

const PEER: &str = "org.freedesktop.DBus.Peer";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PROPERTIES_INTERFACE: &str = "org.freedesktop.DBus.Properties";
const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";

/// Methods of the standard interfaces.
const STANDARD: &[(&str, &str)] = &[
    (PEER, "Ping"),
    (PEER, "GetMachineId"),
    (INTROSPECTABLE, "Introspect"),
    (PROPERTIES_INTERFACE, "Get"),
    (PROPERTIES_INTERFACE, "GetAll"),
    (PROPERTIES_INTERFACE, "Set"),
    (OBJECT_MANAGER, "GetManagedObjects"),
];

/// The result of a call.
enum CallReply {
    Values(BusValues),
    Properties(PropertyMap),
    Objects(ObjectMap),
}

/// The target of a call.
struct CallTarget {
    path: String,
    interface: Option<String>,
    member: String,
}

/// Answers messages until the connection is lost or the server stops.
pub(super) async fn serve_messages(bus: &Arc<BusConnection>, mut messages: MessageStream) {
    let mut stop = bus.context.stop.clone();
    let mut calls: JoinSet<()> = JoinSet::new();
    loop {
        let message = tokio::select! {
            message = poll_fn(|cx| Pin::new(&mut messages).poll_next(cx)) => message,
            Some(ended) = calls.join_next() => {
                if let Err(error) = ended && error.is_panic() {
                    (bus.context.log)(Line::MethodFailed {
                        data: "(a D-Bus message)".to_owned(),
                        error: error.to_string(),
                    });
                }
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let message = match message {
            Some(Ok(message)) => message,
            // A message that cannot be parsed; the stream ends after it.
            Some(Err(_)) => continue,
            None => break,
        };
        match message.message_type() {
            Type::MethodCall => {}
            Type::Signal => {
                let header = message.header();
                let is_ours = header
                    .sender()
                    .is_some_and(|name| name.as_str() == "org.freedesktop.DBus")
                    && header
                        .member()
                        .is_some_and(|member| member.as_str() == "NameAcquired");
                if is_ours
                    && message
                        .body()
                        .deserialize::<&str>()
                        .is_ok_and(|name| name == BUS_NAME)
                {
                    (bus.context.log)(bus.connected_line());
                }
                continue;
            }
            Type::MethodReturn | Type::Error => continue,
        }
        match accept_message(bus, &message) {
            Ok(arrived) => {
                calls.spawn(handle_call(bus.clone(), arrived, message));
            }
            Err(Some(refusal)) => send_reply(bus, &message, Err(refusal)).await,
            Err(None) => {}
        }
    }
    let _ = timeout(STOP_WITHIN, async {
        while calls.join_next().await.is_some() {}
    })
    .await;
}

/// A message's sender, and the permits of its limits.
enum IncomingCall {
    /// The sender is known, and the call is admitted.
    Known(BusSender, Vec<CallPermit>),
    /// The bus must be asked for the sender.
    Unknown(String, Vec<CallPermit>),
}

/// Admits a message. A known sender over its limits is refused here, where a refusal costs least. `None` as the
/// error: the refusal is not sent, because there are too many.
fn accept_message(
    bus: &BusConnection,
    message: &Message,
) -> Result<IncomingCall, Option<BusError>> {
    let header = message.header();
    let sender = header
        .sender()
        .ok_or_else(|| BusError::denied("a message without a sender"))?;
    if message.data().len() > MESSAGE_BYTES_MAX {
        let refusal = BusError::limits(format!("message is longer than {MESSAGE_BYTES_MAX} bytes"));
        return Err(limit_refusal(bus, None, refusal));
    }
    if header.unix_fds().is_some_and(|count| count > 0) {
        let refusal = BusError::invalid("no method accepts file descriptors");
        return Err(limit_refusal(bus, None, refusal));
    }
    match bus.known_sender(sender.as_str()) {
        Some(sender) => {
            let places = admit_call(bus, &sender, message)
                .map_err(|refusal| limit_refusal(bus, Some(sender.uid), refusal))?;
            Ok(IncomingCall::Known(sender, places))
        }
        None => {
            let places = bus
                .limits
                .admit_unknown(sender.as_str(), bytes_of(message))
                .map_err(|refusal| limit_refusal(bus, None, refusal))?;
            Ok(IncomingCall::Unknown(sender.to_string(), places))
        }
    }
}

fn limit_refusal(bus: &BusConnection, uid: Option<u32>, refusal: BusError) -> Option<BusError> {
    bus.limits
        .may_send_refusal(uid, Instant::now())
        .then_some(refusal)
}

/// Admits a call whose sender is known.
fn admit_call(
    bus: &BusConnection,
    sender: &BusSender,
    message: &Message,
) -> Result<Vec<CallPermit>, BusError> {
    let header = message.header();
    let asks_all = header
        .member()
        .is_some_and(|member| ANSWERS_ALL.contains(&member.as_str()));
    let cost = if asks_all { COST_OF_ALL } else { 1 };
    bus.limits
        .admit_known(sender, bytes_of(message), cost, Instant::now())
}

fn bytes_of(message: &Message) -> u32 {
    u32::try_from(message.data().len()).unwrap_or(u32::MAX)
}

/// Handles one call, from looking up its sender to sending the answer.
async fn handle_call(bus: Arc<BusConnection>, arrived: IncomingCall, message: Message) {
    let admitted = match arrived {
        IncomingCall::Known(sender, places) => Ok((sender, places)),
        IncomingCall::Unknown(name, unknown) => {
            let sender = bus.sender(&name).await;
            drop(unknown);
            sender.and_then(|sender| {
                let places = admit_call(&bus, &sender, &message)?;
                Ok((sender, places))
            })
        }
    };
    let (answer, pid, _places) = match admitted {
        Ok((sender, places)) => {
            bus.context.peers.record(sender.pid);
            let answer = dispatch_call(&bus, &sender, &message).await;
            (answer, sender.pid, places)
        }
        Err(refusal) => (Err(refusal), None, Vec::new()),
    };
    send_reply(&bus, &message, answer).await;
    bus.context.peers.record(pid);
}

async fn dispatch_call(
    bus: &BusConnection,
    sender: &BusSender,
    message: &Message,
) -> Result<CallReply, BusError> {
    let called = {
        let header = message.header();
        let path = header.path();
        let member = header.member();
        let (Some(path), Some(member)) = (path, member) else {
            return Err(BusError::invalid("a call without path or member"));
        };
        CallTarget {
            path: path.to_string(),
            interface: header.interface().map(ToString::to_string),
            member: member.to_string(),
        }
    };
    if !bus.is_open_to(sender) {
        return Err(BusError::denied(
            "permission denied: this supervisord belongs to another user",
        ));
    }
    let object = BusObject::from_path(&called.path);
    let interface = match called.interface.as_deref() {
        Some(interface) => interface,
        // The interface is optional in D-Bus. Use the first interface that has such a method.
        None => match &object {
            Some(object) if find_method(object.kind(), &called.member).is_some() => {
                object.kind().interface()
            }
            _ => STANDARD
                .iter()
                .find(|(_, member)| *member == called.member)
                .map(|(interface, _)| *interface)
                .ok_or_else(|| BusError::unknown_method(&called.member))?,
        },
    };
    if let Some(kind) = ObjectKind::ALL
        .into_iter()
        .find(|kind| kind.interface() == interface)
    {
        let object = object
            .filter(|object| object.kind() == kind)
            .ok_or_else(|| match BusObject::from_path(&called.path) {
                None => BusError::unknown_object(&called.path),
                Some(_) => BusError::unknown_interface(interface),
            })?;
        let call = find_method(kind, &called.member)
            .ok_or_else(|| BusError::unknown_method(&called.member))?;
        let values = bus.perform_call(sender, &object, call, message).await?;
        return Ok(CallReply::Values(values));
    }
    if !STANDARD.iter().any(|(known, _)| *known == interface) {
        return Err(BusError::unknown_interface(interface));
    }
    if !STANDARD.contains(&(interface, called.member.as_str())) {
        return Err(BusError::unknown_method(&called.member));
    }
    call_standard(bus, interface, &called, object, message).await
}

/// Calls a method of one of the standard interfaces.
async fn call_standard(
    bus: &BusConnection,
    interface: &str,
    called: &CallTarget,
    object: Option<BusObject>,
    message: &Message,
) -> Result<CallReply, BusError> {
    let given = message.body().signature().to_string_no_parens();
    let takes = match called.member.as_str() {
        "Get" => "ss",
        "GetAll" => "s",
        "Set" => "ssv",
        _ => "",
    };
    if given != takes {
        return Err(BusError::invalid(format!(
            "{} takes ({takes}), not ({given})",
            called.member
        )));
    }
    let no_object = || BusError::unknown_object(&called.path);
    match (interface, called.member.as_str()) {
        (PEER, "Ping") => Ok(CallReply::Values(Vec::new())),
        (PEER, _) => {
            let id = run_blocking(|| std::fs::read_to_string("/etc/machine-id")).await;
            match id {
                Some(Ok(id)) => Ok(CallReply::Values(vec![text_variant(id.trim())])),
                _ => Err(BusError::failed("this machine has no machine id")),
            }
        }
        (INTROSPECTABLE, _) => {
            let xml = introspect_path(bus, &called.path, object).await?;
            Ok(CallReply::Values(vec![text_variant(&xml)]))
        }
        (OBJECT_MANAGER, _) if object == Some(BusObject::Manager) => {
            Ok(CallReply::Objects(bus.objects().await?))
        }
        (OBJECT_MANAGER, _) if object.is_some() => Err(BusError::unknown_interface(interface)),
        (PROPERTIES_INTERFACE, member) => {
            let object = object.ok_or_else(no_object)?;
            call_properties(bus, member, &object, message).await
        }
        _ => Err(no_object()),
    }
}

async fn call_properties(
    bus: &BusConnection,
    member: &str,
    object: &BusObject,
    message: &Message,
) -> Result<CallReply, BusError> {
    let body = message.body();
    let wrong = |error: zbus::Error| BusError::invalid(error.to_string());
    let (interface, name) = match member {
        "GetAll" => (body.deserialize::<&str>().map_err(wrong)?, None),
        "Get" => {
            let (interface, name) = body.deserialize::<(&str, &str)>().map_err(wrong)?;
            (interface, Some(name))
        }
        _ => {
            let (interface, name, _) = body
                .deserialize::<(&str, &str, Variant<'_>)>()
                .map_err(wrong)?;
            (interface, Some(name))
        }
    };
    let own = object.kind().interface();
    // Standard interfaces have no properties.
    let is_standard = STANDARD.iter().any(|(known, _)| *known == interface);
    if !interface.is_empty() && interface != own && !is_standard {
        return Err(BusError::unknown_interface(interface));
    }
    if let Some(name) = name {
        let known = PROPERTIES
            .iter()
            .any(|row| row.kind == object.kind() && row.name == name);
        if is_standard || !known {
            return Err(BusError::unknown_property(name));
        }
        if member == "Set" {
            return Err(BusError::read_only(name));
        }
    }
    let mut properties = bus.properties(object).await?;
    match name {
        None if is_standard => Ok(CallReply::Properties(PropertyMap::new())),
        None => Ok(CallReply::Properties(properties)),
        Some(name) => {
            let value = properties.remove(name);
            let value = value.ok_or_else(|| BusError::unknown_property(name))?;
            Ok(CallReply::Values(vec![Variant::Variant(Box::new(value))]))
        }
    }
}

/// Introspects a path, using the objects last announced rather than the engine, because clients walk through whole
/// trees.
async fn introspect_path(
    bus: &BusConnection,
    path: &str,
    object: Option<BusObject>,
) -> Result<String, BusError> {
    let kind = object.as_ref().map(BusObject::kind);
    let known = bus.announced();
    let no_object = || BusError::unknown_object(path);
    let below: Vec<String> = match object {
        Some(BusObject::Manager) => vec!["group".to_owned()],
        Some(BusObject::Group(group)) => {
            let members = known.get(group.as_str()).ok_or_else(no_object)?;
            let names = members.iter().map(|name| path::escaped(name.as_str()));
            names.collect()
        }
        Some(BusObject::Process(group, process)) => {
            let members = known.get(group.as_str()).ok_or_else(no_object)?;
            if !members.contains(process.as_str()) {
                return Err(no_object());
            }
            Vec::new()
        }
        None if path == path::GROUPS => {
            let names = known.keys().map(|name| path::escaped(name.as_str()));
            names.collect()
        }
        // A parent path of our objects.
        None => {
            let prefix = if path == "/" {
                "/".to_owned()
            } else {
                format!("{path}/")
            };
            match path::MANAGER.strip_prefix(&prefix) {
                Some(rest) => rest.split('/').take(1).map(str::to_owned).collect(),
                None => return Err(no_object()),
            }
        }
    };
    let made = run_blocking(move || introspection_xml(kind, &below)).await;
    made.ok_or_else(|| BusError::failed("the response could not be rendered"))
}

/// Sends the answer, unless the caller wants none.
async fn send_reply(bus: &BusConnection, message: &Message, answer: Result<CallReply, BusError>) {
    if message
        .primary_header()
        .flags()
        .contains(Flags::NO_REPLY_EXPECTED)
    {
        return;
    }
    let to = message.clone();
    let made = match answer {
        // Thousands of objects take a while to render, and leave megabytes of free memory.
        Ok(CallReply::Objects(objects)) => {
            run_blocking(move || {
                let made = Message::method_return(&to.header()).build(&(&objects,));
                drop(objects);
                sys::trim_heap();
                made
            })
            .await
        }
        Ok(CallReply::Properties(properties)) => {
            Some(Message::method_return(&to.header()).build(&(properties,)))
        }
        Ok(CallReply::Values(values)) if values.is_empty() => {
            Some(Message::method_return(&to.header()).build(&()))
        }
        Ok(CallReply::Values(values)) => {
            run_blocking(move || {
                let values = values.into_iter();
                let body =
                    values.fold(Structure::builder(), |body, value| body.append_field(value));
                Message::method_return(&to.header()).build(&body.build()?)
            })
            .await
        }
        Err(refusal) => {
            let text = refusal.text.replace('\0', "\u{fffd}");
            Some(Message::error(&to.header(), refusal.name.as_str()).build(&(text,)))
        }
    };
    let made = match made {
        Some(Ok(made)) => made,
        // For example, the answer is longer than a message may be.
        _ => {
            let name = "org.freedesktop.DBus.Error.Failed";
            let text = "the response does not fit into a message";
            match Message::error(&message.header(), name).build(&(text,)) {
                Ok(made) => made,
                Err(_) => return,
            }
        }
    };
    // An error means that the connection, and with it the caller, is gone.
    let _ = bus.connection.send(&made).await;
}

#[cfg(test)]
mod tests {
    use zbus::ObjectPath;

    use super::super::interface::BUS_METHODS;
    use super::*;

    #[test]
    fn methods_with_long_answers_exist() {
        for name in ANSWERS_ALL {
            let ours = BUS_METHODS.iter().any(|call| call.name == *name);
            let standard = STANDARD.iter().any(|(_, member)| member == name);
            assert!(ours || standard, "{name}");
        }
    }

    #[test]
    fn our_object_paths_are_valid() {
        for path in [path::MANAGER, path::GROUPS] {
            assert!(ObjectPath::try_from(path).is_ok());
        }
    }
}
