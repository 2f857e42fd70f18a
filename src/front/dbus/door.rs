//! The way to a bus and back to it: which bus, the name on it, and what the log says. It must not know what is served.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::timeout;
use zbus::connection::Builder;
use zbus::{Connection, MessageStream};

use super::bus::{BUS_WITHIN, Bus, Sender, Whose};
use super::calls::NAME;
use super::serve::STOP_WITHIN;
use super::wait::Waiting;
use super::{serve, signals};
use crate::api::Interfaces;
use crate::config::spec::BusChoice;
use crate::control::{ControlHandle, EventFeed};
use crate::domain::Line;
use crate::front::{Log, Peers};
use crate::sys;

/// RequestName without flags: to wait in the queue is what we want.
const WAIT_FOR_NAME: u32 = 0;
/// Its answer when somebody else has the name.
const IN_QUEUE: u32 = 2;

/// Why we are not on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Away {
    /// There is none.
    None(String),
    /// It does not want us, or does not answer.
    Barred(String),
}

/// What the front gives to its D-Bus side.
pub(in crate::front) struct Door {
    pub(in crate::front) choice: BusChoice,
    pub(in crate::front) control: ControlHandle,
    pub(in crate::front) interface: Interfaces,
    pub(in crate::front) feed: EventFeed,
    pub(in crate::front) log: Log,
    /// The processes of callers, if the daemon must not end before them.
    pub(in crate::front) peers: Peers,
    pub(in crate::front) stop: watch::Receiver<bool>,
}

/// Is on a bus whenever there is one, until the front ends.
pub(in crate::front) async fn keep(door: Arc<Door>) {
    let Some((whose, asked_for)) = wanted(door.choice) else {
        return;
    };
    let mut stop = door.stop.clone();
    let mut waiting = Waiting::new(whose, has_address(whose));
    // What was said last of why there is no bus: once is enough.
    let mut said: Option<Away> = None;
    loop {
        waiting.attempt();
        let joined = tokio::select! {
            joined = join(&door, whose) => joined,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        match joined {
            Ok((bus, messages)) => {
                said = None;
                waiting.joined();
                let mut serving = pin!(serve::serve(&bus, messages));
                let mut telling = pin!(signals::tell(&bus));
                let told = tokio::select! {
                    () = serving.as_mut() => false,
                    () = telling.as_mut() => {
                        serving.await;
                        true
                    }
                };
                if *stop.borrow() {
                    if !told {
                        // That it ends is the last thing that is told.
                        let _ = timeout(STOP_WITHIN, telling).await;
                    }
                    return;
                }
                let bus = whose.word().to_owned();
                (door.log)(Line::BusLost { bus });
            }
            Err(away) => {
                if said.as_ref() != Some(&away) {
                    (door.log)(complaint(whose, asked_for, away.clone()));
                    said = Some(away);
                }
            }
        }
        tokio::select! {
            () = waiting.chance() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// A bus that nobody asked for by its name is not missed where there is none: most containers have none.
fn complaint(whose: Whose, asked_for: bool, away: Away) -> Line {
    let bus = whose.word().to_owned();
    match away {
        Away::None(error) | Away::Barred(error) if asked_for => Line::BusRefused { bus, error },
        Away::None(error) => Line::BusAbsent { bus, error },
        Away::Barred(error) => Line::BusBarred { bus, error },
    }
}

/// Whose bus, and whether it is missed if it is not there; none: no bus is wanted.
fn wanted(choice: BusChoice) -> Option<(Whose, bool)> {
    match choice {
        BusChoice::Off => None,
        BusChoice::System => Some((Whose::System, true)),
        BusChoice::Session => Some((Whose::Session, true)),
        BusChoice::Auto if sys::effective_uid() == 0 => Some((Whose::System, false)),
        BusChoice::Auto => Some((Whose::Session, false)),
    }
}

/// The environment says where the session bus is.
fn is_session_named() -> bool {
    std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some()
}

/// The bus has an address, whether or not it is there.
fn has_address(whose: Whose) -> bool {
    match whose {
        Whose::System => true,
        Whose::Session => is_session_named() || std::env::var_os("XDG_RUNTIME_DIR").is_some(),
    }
}

/// Connects and asks for the name.
async fn join(door: &Arc<Door>, whose: Whose) -> Result<(Arc<Bus>, MessageStream), Away> {
    let builder = match whose {
        Whose::System => Builder::system(),
        Whose::Session => {
            let beside = std::env::var_os("XDG_RUNTIME_DIR")
                .map(|directory| PathBuf::from(directory).join("bus"));
            if !is_session_named() && !beside.is_some_and(|path| path.exists()) {
                return Err(Away::None(
                    "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR names a bus".to_owned(),
                ));
            }
            Builder::session()
        }
    };
    let connection: Connection = timeout(BUS_WITHIN, builder.build())
        .await
        .map_err(|_| Away::Barred("it does not answer".to_owned()))?
        .map_err(|error| match &error {
            zbus::Error::Connection(..) => Away::None(error.to_string()),
            _ => Away::Barred(error.to_string()),
        })?;
    // Before the name is ours, so that no message is missed.
    let messages = MessageStream::from(&connection);
    let bus = Arc::new(Bus::new(connection, whose, door.clone()));
    let asked = bus.connection.call_method(
        Some("org.freedesktop.DBus"),
        "/org/freedesktop/DBus",
        Some("org.freedesktop.DBus"),
        "RequestName",
        &(NAME, WAIT_FOR_NAME),
    );
    let reply = timeout(BUS_WITHIN, asked)
        .await
        .map_err(|_| Away::Barred("it does not answer".to_owned()))?
        .map_err(|error| Away::Barred(error.to_string()))?;
    if reply.body().deserialize::<u32>() == Ok(IN_QUEUE) {
        (door.log)(Line::BusNameTaken {
            bus: whose.word().to_owned(),
            name: NAME.to_owned(),
        });
    }
    Ok((bus, messages))
}

impl Bus {
    /// What the log says when the name is ours.
    pub(super) fn joined(&self) -> Line {
        Line::BusJoined {
            bus: self.whose.word().to_owned(),
            name: NAME.to_owned(),
        }
    }

    /// Whether a sender may call anything at all.
    pub(super) fn is_open_to(&self, sender: &Sender) -> bool {
        self.whose == Whose::System || sender.is_trusted()
    }
}
