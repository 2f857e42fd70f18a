//! Connects and reconnects to a bus: chooses the bus, requests the name and writes the log lines. This module does
//! not know what is served.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::{Connection, MessageStream};

use super::bus::{BUS_TIMEOUT, BusConnection};
use super::context::BusContext;
use super::interface::BUS_NAME;
use super::reconnect::ReconnectWait;
use super::sender::{BusKind, BusSender};
use super::serve::{self, STOP_WITHIN};
use super::signals;
use crate::config::spec::BusChoice;
use crate::domain::Line;
use crate::sys;

/// RequestName without flags: wait in the queue for the name.
const WAIT_FOR_NAME: u32 = 0;
/// RequestName's answer when another connection owns the name.
const IN_QUEUE: u32 = 2;

/// Why there is no connection to a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ConnectFailure {
    /// There is no bus.
    NoBus(String),
    /// The bus refuses us or does not answer.
    Denied(String),
}

/// Stays connected to the bus whenever there is one, until the server stops.
pub(in crate::server) async fn stay_connected(context: Arc<BusContext>) {
    let Some((kind, asked_for)) = chosen_bus(context.choice) else {
        return;
    };
    let mut stop = context.stop.clone();
    let mut waiting = ReconnectWait::new(kind, has_address(kind));
    // The last failure logged. The same failure is logged once.
    let mut said: Option<ConnectFailure> = None;
    loop {
        waiting.record_attempt();
        let joined = tokio::select! {
            joined = connect(&context, kind) => joined,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match joined {
            Ok((bus, messages)) => {
                said = None;
                waiting.record_success();
                let mut serving = pin!(serve::serve_messages(&bus, messages));
                let mut telling = pin!(signals::send_changes(&bus));
                let told = tokio::select! {
                    () = serving.as_mut() => false,
                    () = telling.as_mut() => {
                        serving.await;
                        true
                    }
                };
                if *stop.borrow() {
                    if !told {
                        // The signal about the shutdown is the last to be sent.
                        let _ = timeout(STOP_WITHIN, telling).await;
                    }
                    return;
                }
                let bus = kind.name().to_owned();
                (context.log)(Line::BusLost { bus });
            }
            Err(away) => {
                if said.as_ref() != Some(&away) {
                    (context.log)(failure_line(kind, asked_for, away.clone()));
                    said = Some(away);
                }
            }
        }
        tokio::select! {
            () = waiting.wait_for_chance() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// The log line of a failure. A missing bus is worth a warning only if the user chose it: most containers have none.
fn failure_line(kind: BusKind, asked_for: bool, away: ConnectFailure) -> Line {
    let bus = kind.name().to_owned();
    match away {
        ConnectFailure::NoBus(error) | ConnectFailure::Denied(error) if asked_for => {
            Line::BusRefused { bus, error }
        }
        ConnectFailure::NoBus(error) => Line::BusAbsent { bus, error },
        ConnectFailure::Denied(error) => Line::BusBarred { bus, error },
    }
}

/// The bus to connect to, and whether the user chose it explicitly. `None`: no bus is wanted.
fn chosen_bus(choice: BusChoice) -> Option<(BusKind, bool)> {
    match choice {
        BusChoice::Off => None,
        BusChoice::System => Some((BusKind::System, true)),
        BusChoice::Session => Some((BusKind::Session, true)),
        BusChoice::Auto if sys::effective_uid() == 0 => Some((BusKind::System, false)),
        BusChoice::Auto => Some((BusKind::Session, false)),
    }
}

/// Whether the environment names the session bus.
fn is_session_named() -> bool {
    std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some()
}

/// Whether the bus has an address. The bus itself need not exist.
fn has_address(kind: BusKind) -> bool {
    match kind {
        BusKind::System => true,
        BusKind::Session => is_session_named() || std::env::var_os("XDG_RUNTIME_DIR").is_some(),
    }
}

/// Connects and requests the name.
async fn connect(
    context: &Arc<BusContext>,
    kind: BusKind,
) -> Result<(Arc<BusConnection>, MessageStream), ConnectFailure> {
    let builder = match kind {
        BusKind::System => Builder::system(),
        BusKind::Session => {
            let beside = std::env::var_os("XDG_RUNTIME_DIR")
                .map(|directory| PathBuf::from(directory).join("bus"));
            if !is_session_named() && !beside.is_some_and(|path| path.exists()) {
                return Err(ConnectFailure::NoBus(
                    "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR names a bus".to_owned(),
                ));
            }
            Builder::session()
        }
    };
    let connection: Connection = timeout(BUS_TIMEOUT, builder.build())
        .await
        .map_err(|_| ConnectFailure::Denied("it does not answer".to_owned()))?
        .map_err(|error| match &error {
            zbus::Error::Connection(..) => ConnectFailure::NoBus(error.to_string()),
            _ => ConnectFailure::Denied(error.to_string()),
        })?;
    // Before the name is requested, so that no message is missed.
    let messages = MessageStream::from(&connection);
    let bus = Arc::new(BusConnection::new(connection, kind, context.clone()));
    let asked = bus.connection.call_method(
        Some("org.freedesktop.DBus"),
        "/org/freedesktop/DBus",
        Some("org.freedesktop.DBus"),
        "RequestName",
        &(BUS_NAME, WAIT_FOR_NAME),
    );
    let reply = timeout(BUS_TIMEOUT, asked)
        .await
        .map_err(|_| ConnectFailure::Denied("it does not answer".to_owned()))?
        .map_err(|error| ConnectFailure::Denied(error.to_string()))?;
    if reply.body().deserialize::<u32>() == Ok(IN_QUEUE) {
        (context.log)(Line::BusNameTaken {
            bus: kind.name().to_owned(),
            name: BUS_NAME.to_owned(),
        });
    }
    Ok((bus, messages))
}

impl BusConnection {
    /// The log line for an acquired name.
    pub(super) fn connected_line(&self) -> Line {
        Line::BusJoined {
            bus: self.kind.name().to_owned(),
            name: BUS_NAME.to_owned(),
        }
    }

    /// Whether a sender may make any calls at all.
    pub(super) fn is_open_to(&self, sender: &BusSender) -> bool {
        self.kind == BusKind::System || sender.is_trusted()
    }
}
