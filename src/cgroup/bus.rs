//! Asks the service manager, PID 1, for a scope. Over its private socket, which root may use and for which no message bus
//! is needed; where that cannot be had, over the system bus.

use std::time::Duration;

use zbus::Variant;
use zbus::connection::{Builder, Connection};
use zbus::message::{Flags, Message};

use super::scope::Scope;

/// How long the service manager may take to answer, however it is asked.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Where PID 1 itself listens.
const PRIVATE: &str = "unix:path=/run/systemd/private";
/// How long the scope's processes have from SIGTERM to SIGKILL if the daemon does not stop them. In microseconds.
const STOP_MICROS: u64 = 5_000_000;

/// The two ways to PID 1, the better one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// Its private socket. What it answers there cannot be read, for it calls itself by its well-known name as a sender,
    /// which no message bus would do: nothing is asked back, and the scope itself is the answer.
    Private,
    /// The system bus.
    Bus,
}

/// A question on its way. It may be lost if this is dropped before the scope is there.
#[derive(Debug)]
pub(super) struct PendingScope {
    _connection: Connection,
    _runtime: tokio::runtime::Runtime,
}

/// Asks for the scope with `pid` in it. That there is one of its name is no error: who wants to know looks at the tree.
///
/// # Errors
/// Why there will be none, for people.
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
    // Never BindsTo= or the propagation of stops: those act on a daemon that crashed, too. PartOf= with Before= lets the
    // programs be when the service restarts, and stops them, after it, when it stops.
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
        // A scope that had to be killed would stay as failed, and its name would be taken.
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
