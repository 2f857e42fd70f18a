//! Asks systemd (PID 1) for a scope, over its private socket, which root may use without a message bus, or over the
//! system bus.

use std::time::Duration;

use zbus::Variant;
use zbus::connection::{Builder, Connection};
use zbus::message::{Flags, Message};

use super::scope::Scope;

/// How long systemd may take to answer, on either transport.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// The private socket of PID 1.
const PRIVATE: &str = "unix:path=/run/systemd/private";
/// How long the processes of the scope have between SIGTERM and SIGKILL if the daemon does not stop them, in
/// microseconds.
const STOP_MICROS: u64 = 5_000_000;

/// The transports to PID 1, the preferred one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// The private socket. Replies on it cannot be read, because their sender is a well-known name, which is invalid
    /// without a message bus. So the request demands no reply, and the caller watches for the scope.
    Private,
    /// The system bus.
    Bus,
}

/// A request in progress. It may be lost if this is dropped before the scope exists.
#[derive(Debug)]
pub(super) struct PendingScope {
    _connection: Connection,
    _runtime: tokio::runtime::Runtime,
}

/// Requests the scope with `pid` in it. An existing scope of that name is no error; the caller checks the cgroup tree.
///
/// # Errors
/// The reason why no scope is made, as a text for people.
///
/// # Source
/// org.freedesktop.systemd1(5), StartTransientUnit(); systemd.scope(5).
pub(super) fn start_scope(way: Transport, scope: &Scope, pid: i32) -> Result<PendingScope, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let asked =
        runtime.block_on(async { tokio::time::timeout(ANSWER_WAIT, ask(way, scope, pid)).await });
    match asked {
        Ok(Ok(connection)) => Ok(PendingScope {
            _connection: connection,
            _runtime: runtime,
        }),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "systemd did not answer within {} s",
            ANSWER_WAIT.as_secs()
        )),
    }
}

async fn ask(way: Transport, scope: &Scope, pid: i32) -> zbus::Result<Connection> {
    // Never BindsTo= or the propagation of stops: these also act when the daemon crashes. PartOf= with Before= leaves
    // the programs running when the service restarts, and stops them, after the service, when it stops.
    let properties: Vec<(&str, Variant<'_>)> = vec![
        (
            "Description",
            format!("Programs of {}", scope.service).into(),
        ),
        ("Slice", scope.slice.as_str().into()),
        ("Delegate", true.into()),
        ("PIDs", vec![pid.unsigned_abs()].into()),
        ("PartOf", vec![scope.service.as_str()].into()),
        ("Before", vec![scope.service.as_str()].into()),
        ("TasksMax", u64::MAX.into()),
        ("TimeoutStopUSec", STOP_MICROS.into()),
        // Otherwise a scope that had to be killed would remain as failed and occupy its name.
        ("CollectMode", "inactive-or-failed".into()),
    ];
    let aux: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
    let body = (scope.name.as_str(), "fail", properties, aux);
    let (path, method) = ("/org/freedesktop/systemd1", "StartTransientUnit");
    let interface = "org.freedesktop.systemd1.Manager";
    match way {
        Transport::Private => {
            let connection = Builder::address(PRIVATE).p2p().build().await?;
            let message = Message::method_call(path, method)
                .interface(interface)
                .with_flags(Flags::NO_REPLY_EXPECTED)
                .build(&body)?;
            connection.send(&message).await?;
            Ok(connection)
        }
        Transport::Bus => {
            let connection = Builder::system().build().await?;
            let manager = Some("org.freedesktop.systemd1");
            let reply = connection
                .call_method(manager, path, Some(interface), method, &body)
                .await;
            match reply {
                Ok(_) => Ok(connection),
                Err(zbus::Error::MethodError(name, ..))
                    if name.as_str() == "org.freedesktop.systemd1.UnitExists" =>
                {
                    Ok(connection)
                }
                Err(error) => Err(error),
            }
        }
    }
}
