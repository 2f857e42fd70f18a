//! One connection to a bus, and what is asked of the bus itself: who a sender is. It must not know what is called.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::{Duration, timeout};
use zbus::{Connection, OwnedVariant};

use super::Door;
use super::limits::Limits;
use super::refusal::Refusal;
use crate::api::{Access, Caller, Front};
use crate::domain::{GroupName, ProcessName};
use crate::sys;

/// How long the bus itself may take for an answer.
pub(super) const BUS_WITHIN: Duration = Duration::from_secs(10);

/// Whose bus it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The machine's: polkit says who may do what.
    System,
    /// One user's: he may do everything, and nobody else anything.
    Session,
}

impl Whose {
    /// The word in lines of the log.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Session => "session",
        }
    }
}

/// What everything on one connection shares.
pub(super) struct Bus {
    pub(super) connection: Connection,
    pub(super) whose: Whose,
    pub(super) door: Arc<Door>,
    pub(super) limits: Limits,
    /// What the bus was told of last.
    known: Mutex<Arc<Known>>,
}

/// Groups with their processes.
pub(super) type Known = BTreeMap<GroupName, BTreeSet<ProcessName>>;

/// Who sent a message, as the bus knows it. Its name is never given to another connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) name: String,
    pub(super) uid: u32,
    pid: Option<i32>,
}

impl Sender {
    /// Root and the daemon's own user could do everything without us.
    pub(super) fn is_trusted(&self) -> bool {
        self.uid == 0 || self.uid == sys::effective_uid()
    }

    /// The same as the Control API knows callers; `access` is what was granted, and none: everything.
    pub(super) fn caller(&self, access: Option<Access>) -> Caller {
        Caller {
            front: Front::Bus,
            uid: Some(self.uid),
            gid: None,
            pid: self.pid,
            login: None,
            bus_name: Some(self.name.clone()),
            access,
        }
    }
}

impl Bus {
    pub(super) fn new(connection: Connection, whose: Whose, door: Arc<Door>) -> Self {
        Self {
            connection,
            whose,
            door,
            limits: Limits::default(),
            known: Mutex::default(),
        }
    }

    /// What the bus was told of last. Poison would mean that somebody panicked while a pointer was exchanged.
    pub(super) fn known(&self) -> Arc<Known> {
        let known = self.known.lock();
        Arc::clone(&known.unwrap_or_else(PoisonError::into_inner))
    }

    /// This is what it is told of by now.
    pub(super) fn set_known(&self, known: Known) {
        let mut last = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Arc::new(known);
    }

    /// Asks the bus who a connection is. Credentials are those of the moment when it was made.
    ///
    /// # Errors
    /// ACCESS_DENIED: it is gone, or the bus does not know its user.
    ///
    /// # Source
    /// D-Bus specification, `org.freedesktop.DBus.GetConnectionCredentials`.
    pub(super) async fn sender(&self, name: &str) -> Result<Sender, Refusal> {
        let unknown =
            |why: String| Refusal::denied(format!("the bus does not know who calls: {why}"));
        let question = (name,);
        let asked = self.connection.call_method(
            Some("org.freedesktop.DBus"),
            "/org/freedesktop/DBus",
            Some("org.freedesktop.DBus"),
            "GetConnectionCredentials",
            &question,
        );
        let reply = timeout(BUS_WITHIN, asked)
            .await
            .map_err(|_| unknown("it does not answer".to_owned()))?
            .map_err(|error| unknown(error.to_string()))?;
        let body = reply.body();
        let known: HashMap<String, OwnedVariant> = body
            .deserialize()
            .map_err(|error| unknown(error.to_string()))?;
        let number = |key| known.get(key).and_then(|value| u32::try_from(value).ok());
        let uid = number("UnixUserID").ok_or_else(|| unknown("it has no user".to_owned()))?;
        Ok(Sender {
            name: name.to_owned(),
            uid,
            pid: number("ProcessID").and_then(|pid| i32::try_from(pid).ok()),
        })
    }
}
