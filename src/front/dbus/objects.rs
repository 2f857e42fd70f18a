//! Objects and their properties, read from the engine when somebody asks. It must not know how calls are authorised: states
//! are free to everybody on the bus.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use zbus::{ObjectPath, Variant};

use super::bus::Bus;
use super::calls::Kind;
use super::convert::{dictionary, text};
use super::path::Object;
use super::refusal::Refusal;
use crate::api::{Caller, Fault, FaultCode, Grant, Permission, ProcessView, Reply, Request};
use crate::domain::{GroupName, Namespec, SupervisorState, VERSION};
use crate::front::xmlrpc::apart;

/// Properties by name.
pub(super) type Properties = HashMap<String, Variant<'static>>;
/// Interfaces of one object.
pub(super) type Interfaces = HashMap<String, Properties>;
/// Objects by path, as GetManagedObjects answers them.
pub(super) type Objects = HashMap<ObjectPath<'static>, Interfaces>;

impl Bus {
    /// Looks, for nobody in particular.
    async fn look(&self, request: Request) -> Result<Reply, Fault> {
        let grant = Grant::all(Permission::Status);
        self.door.control.call(Caller::DAEMON, grant, request).await
    }

    pub(super) async fn groups(&self) -> Result<Vec<GroupName>, Fault> {
        match self.look(Request::GroupNames).await? {
            Reply::Names(names) => Ok(names),
            _ => Err(FaultCode::Failed.bare()),
        }
    }

    pub(super) async fn processes(&self) -> Result<Vec<ProcessView>, Fault> {
        match self.look(Request::AllProcessInfo).await? {
            Reply::Processes(views) => Ok(views),
            _ => Err(FaultCode::Failed.bare()),
        }
    }

    /// One process, if it is there.
    pub(super) async fn process(&self, group: &str, name: &str) -> Result<ProcessView, Fault> {
        let text = Namespec::print(group, name);
        match self.look(Request::ProcessInfo(text.clone())).await? {
            Reply::Processes(mut views) => views.pop().ok_or_else(|| FaultCode::BadName.of(text)),
            _ => Err(FaultCode::Failed.bare()),
        }
    }

    /// The daemon's state, which the engine tells by a fault once it is no longer RUNNING.
    async fn state(&self) -> Result<SupervisorState, Fault> {
        match self.look(Request::State).await {
            Ok(Reply::State(state)) => Ok(state),
            Err(fault) if fault.code == FaultCode::ShutdownState => Ok(SupervisorState::Shutdown),
            Err(fault) => Err(fault),
            Ok(_) => Err(FaultCode::Failed.bare()),
        }
    }

    /// The properties of an object's own interface.
    ///
    /// # Errors
    /// UNKNOWN_OBJECT: nothing is there.
    pub(super) async fn properties(&self, object: &Object) -> Result<Properties, Refusal> {
        let gone = |fault: Fault| match fault.code {
            FaultCode::BadName => Refusal::unknown_object(&object.path()),
            _ => Refusal::from(fault),
        };
        match object {
            Object::Manager => Ok(self.of_manager().await?),
            Object::Group(name) => {
                let groups = self.groups().await.map_err(gone)?;
                if groups.iter().any(|group| group.as_str() == name) {
                    Ok(of_group(name))
                } else {
                    Err(Refusal::unknown_object(&object.path()))
                }
            }
            Object::Process(group, name) => {
                let view = self.process(group, name).await.map_err(gone)?;
                Ok(of_process(&view))
            }
        }
    }

    async fn of_manager(&self) -> Result<Properties, Fault> {
        let identification = match self.look(Request::Identification).await {
            Ok(Reply::Text(text)) => text,
            // While it stops, nobody asks for its name.
            _ => String::new(),
        };
        let pid = i32::try_from(std::process::id()).unwrap_or(0);
        Ok(dictionary(vec![
            ("Version", text(VERSION)),
            ("PID", Variant::from(pid)),
            ("Identification", text(&identification)),
            ("State", text(self.state().await?.name())),
        ]))
    }

    /// Every object below the manager, and the manager.
    pub(super) async fn objects(&self) -> Result<Objects, Refusal> {
        let manager = self.of_manager().await?;
        let groups = self.groups().await?;
        let views = self.processes().await?;
        let made = apart(move || {
            let mut objects = Objects::new();
            let mut add = |object: &Object, properties| {
                if let Ok(path) = ObjectPath::try_from(object.path()) {
                    objects.insert(path, interfaces(object.kind(), properties));
                }
            };
            add(&Object::Manager, manager);
            for group in groups {
                let name = group.as_str();
                add(&Object::Group(name.to_owned()), of_group(name));
            }
            for view in views {
                add(&object_of(&view), of_process(&view));
            }
            objects
        });
        made.await
            .ok_or_else(|| Refusal::failed("the response could not be rendered"))
    }
}

/// What an object offers: its own interface with properties, and the standard ones, which have none.
pub(super) fn interfaces(kind: Kind, properties: Properties) -> Interfaces {
    HashMap::from([(kind.interface().to_owned(), properties)])
}

/// The object of a process.
pub(super) fn object_of(view: &ProcessView) -> Object {
    Object::Process(view.group.to_string(), view.name.to_string())
}

pub(super) fn of_group(name: &str) -> Properties {
    dictionary(vec![("Name", text(name))])
}

pub(super) fn of_process(view: &ProcessView) -> Properties {
    let file = |path: Option<&Arc<Path>>| {
        let path = path.map(|path| path.to_string_lossy());
        text(path.as_deref().unwrap_or_default())
    };
    dictionary(vec![
        ("Name", text(view.name.as_str())),
        ("Group", text(view.group.as_str())),
        ("State", text(view.state.name())),
        ("PID", Variant::from(view.pid)),
        ("Started", Variant::from(view.start)),
        ("Stopped", Variant::from(view.stop)),
        ("ExitStatus", Variant::from(view.exit_status)),
        ("SpawnError", text(&view.spawn_error)),
        ("Restarts", Variant::from(view.restarts)),
        ("StdoutLogfile", file(view.stdout_logfile.as_ref())),
        ("StderrLogfile", file(view.stderr_logfile.as_ref())),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::calls::PROPERTIES;
    use super::*;
    use crate::front::view::tests::cat;

    fn agrees(kind: Kind, properties: &Properties) {
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
    fn what_is_read_is_what_is_declared() {
        agrees(Kind::Process, &of_process(&cat()));
        agrees(Kind::Group, &of_group("g"));
    }

    #[test]
    fn a_text_with_a_nul_does_not_end_the_connection() {
        let view = ProcessView {
            spawn_error: "a\0b".to_owned(),
            ..cat()
        };
        let error = of_process(&view).remove("SpawnError");
        assert_eq!(error, Some(Variant::from("a\u{fffd}b")));
    }
}
