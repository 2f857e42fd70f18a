//! Objects and their properties, read from the engine on demand. Nothing here is authorised: everybody on the bus may
//! see states.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use zbus::{ObjectPath, Variant};

use super::bus::BusConnection;
use super::convert::{property_dict, text_variant};
use super::error::BusError;
use super::interface::ObjectKind;
use super::path::BusObject;
use crate::api::{Caller, Fault, FaultCode, Grant, Permission, ProcessView, Reply, Request};
use crate::domain::{GroupName, Namespec, SupervisorState, VERSION};
use crate::http_server::blocking_pool::run_blocking;

/// Properties by name.
pub(super) type PropertyMap = HashMap<String, Variant<'static>>;
/// Interfaces of one object.
pub(super) type InterfaceMap = HashMap<String, PropertyMap>;
/// Objects by path, as GetManagedObjects answers them.
pub(super) type ObjectMap = HashMap<ObjectPath<'static>, InterfaceMap>;

impl BusConnection {
    /// Asks the engine on behalf of the daemon itself.
    async fn query(&self, request: Request) -> Result<Reply, Fault> {
        let grant = Grant::all(Permission::Status);
        self.context
            .control
            .call(Caller::DAEMON, grant, request)
            .await
    }

    pub(super) async fn groups(&self) -> Result<Vec<GroupName>, Fault> {
        match self.query(Request::GroupNames).await? {
            Reply::Names(names) => Ok(names),
            _ => Err(FaultCode::Failed.bare()),
        }
    }

    pub(super) async fn processes(&self) -> Result<Vec<ProcessView>, Fault> {
        match self.query(Request::AllProcessInfo).await? {
            Reply::Processes(views) => Ok(views),
            _ => Err(FaultCode::Failed.bare()),
        }
    }

    /// Returns one process.
    pub(super) async fn process(&self, group: &str, name: &str) -> Result<ProcessView, Fault> {
        let text = Namespec::print(group, name);
        match self.query(Request::ProcessInfo(text.clone())).await? {
            Reply::Processes(mut views) => views.pop().ok_or_else(|| FaultCode::BadName.of(text)),
            _ => Err(FaultCode::Failed.bare()),
        }
    }

    /// Returns the daemon's state. When the daemon is shutting down, the engine answers with a fault instead.
    async fn state(&self) -> Result<SupervisorState, Fault> {
        match self.query(Request::State).await {
            Ok(Reply::State(state)) => Ok(state),
            Err(fault) if fault.code == FaultCode::ShutdownState => Ok(SupervisorState::Shutdown),
            Err(fault) => Err(fault),
            Ok(_) => Err(FaultCode::Failed.bare()),
        }
    }

    /// The properties of an object's own interface.
    ///
    /// # Errors
    /// UNKNOWN_OBJECT: the object does not exist.
    pub(super) async fn properties(&self, object: &BusObject) -> Result<PropertyMap, BusError> {
        let gone = |fault: Fault| match fault.code {
            FaultCode::BadName => BusError::unknown_object(&object.path()),
            _ => BusError::from(fault),
        };
        match object {
            BusObject::Manager => Ok(self.manager_properties().await?),
            BusObject::Group(name) => {
                let groups = self.groups().await.map_err(gone)?;
                if groups.iter().any(|group| group.as_str() == name) {
                    Ok(group_properties(name))
                } else {
                    Err(BusError::unknown_object(&object.path()))
                }
            }
            BusObject::Process(group, name) => {
                let view = self.process(group, name).await.map_err(gone)?;
                Ok(process_properties(&view))
            }
        }
    }

    async fn manager_properties(&self) -> Result<PropertyMap, Fault> {
        let identification = match self.query(Request::Identification).await {
            Ok(Reply::Text(text)) => text,
            // While it stops, the daemon does not report its identifier.
            _ => String::new(),
        };
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        Ok(property_dict(vec![
            ("Version", text_variant(VERSION)),
            ("PID", Variant::from(pid)),
            ("Identification", text_variant(&identification)),
            ("State", text_variant(self.state().await?.name())),
        ]))
    }

    /// All objects: the manager and everything below it.
    pub(super) async fn objects(&self) -> Result<ObjectMap, BusError> {
        let manager = self.manager_properties().await?;
        let groups = self.groups().await?;
        let views = self.processes().await?;
        let made = run_blocking(move || {
            let mut objects = ObjectMap::new();
            let mut add = |object: &BusObject, properties| {
                if let Ok(path) = ObjectPath::try_from(object.path()) {
                    objects.insert(path, object_interfaces(object.kind(), properties));
                }
            };
            add(&BusObject::Manager, manager);
            for group in groups {
                let name = group.as_str();
                add(&BusObject::Group(name.to_owned()), group_properties(name));
            }
            for view in views {
                add(&process_object(&view), process_properties(&view));
            }
            objects
        });
        made.await
            .ok_or_else(|| BusError::failed("the response could not be rendered"))
    }
}

/// The interfaces of an object that have properties: only its own, because the standard interfaces have none.
pub(super) fn object_interfaces(kind: ObjectKind, properties: PropertyMap) -> InterfaceMap {
    HashMap::from([(kind.interface().to_owned(), properties)])
}

/// The object of a process.
pub(super) fn process_object(view: &ProcessView) -> BusObject {
    BusObject::Process(view.group.to_string(), view.name.to_string())
}

pub(super) fn group_properties(name: &str) -> PropertyMap {
    property_dict(vec![("Name", text_variant(name))])
}

pub(super) fn process_properties(view: &ProcessView) -> PropertyMap {
    let file = |path: Option<&Arc<Path>>| {
        let path = path.map(|path| path.to_string_lossy());
        text_variant(path.as_deref().unwrap_or_default())
    };
    property_dict(vec![
        ("Name", text_variant(view.name.as_str())),
        ("Group", text_variant(view.group.as_str())),
        ("State", text_variant(view.state.name())),
        ("PID", Variant::from(view.pid)),
        ("Started", Variant::from(view.start)),
        ("Stopped", Variant::from(view.stop)),
        ("ExitStatus", Variant::from(view.exit_status)),
        ("SpawnError", text_variant(&view.spawn_error)),
        ("Restarts", Variant::from(view.restarts)),
        ("NextAttempt", Variant::from(view.next_attempt.unwrap_or(0))),
        ("Health", text_variant(view.health.name())),
        ("StdoutLogfile", file(view.stdout_logfile.as_ref())),
        ("StderrLogfile", file(view.stderr_logfile.as_ref())),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::interface::PROPERTIES;
    use super::*;
    use crate::server::calls::process_members::tests::cat;

    fn agrees(kind: ObjectKind, properties: &PropertyMap) {
        let rows: Vec<_> = PROPERTIES.iter().filter(|row| row.kind == kind).collect();
        assert_eq!(rows.len(), properties.len());
        for row in rows {
            let value = properties.get(row.name).expect(row.name);
            assert_eq!(
                value.value_signature().to_string(),
                row.signature,
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn properties_have_their_declared_types() {
        agrees(ObjectKind::Process, &process_properties(&cat()));
        agrees(ObjectKind::Group, &group_properties("g"));
    }

    #[test]
    fn a_string_with_nul_does_not_end_the_connection() {
        let view = ProcessView {
            spawn_error: "a\0b".to_owned(),
            ..cat()
        };
        let error = process_properties(&view).remove("SpawnError");
        assert_eq!(error, Some(Variant::from("a\u{fffd}b")));
    }
}
