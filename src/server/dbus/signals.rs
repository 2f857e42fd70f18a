//! Sends signals about changes, collected for a moment and sent together. A slow bus never delays the engine: it
//! loses events from its subscription, and then everything is announced again.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Duration, sleep};
use zbus::{Message, ObjectPath, Variant};

use super::bus::{BusConnection, KnownObjects};
use super::convert::{property_dict, text_variant};
use super::interface::{EVENTS_LOST, ObjectKind, PROPERTIES, STATE_CHANGED};
use super::objects::{
    PropertyMap, group_properties, object_interfaces, process_object, process_properties,
};
use super::path::{BusObject, MANAGER};
use crate::api::ProcessView;
use crate::control::{FeedItem, Subscription};
use crate::domain::{GroupName, ProcessName, ProcessState, StatusChange, SupervisorState};

/// How long changes are collected. A process that starts then causes one or two messages, and a thousand starting
/// processes do not cause a thousand engine calls.
const GATHER: Duration = Duration::from_millis(50);
/// Up to this number of changed processes is queried individually. More are queried together.
const QUERIED_SINGLY_MAX: usize = 16;
/// Number of messages sent at a time, so that answers are sent in between.
const SENT_AT_ONCE: usize = 64;

/// The changes collected.
#[derive(Default)]
struct ChangeBatch {
    /// The StateChanged signals, in order.
    moves: Vec<Message>,
    /// The last state of each changed process, and its PID. `None`: another property has changed.
    changed: BTreeMap<(GroupName, ProcessName), Option<(ProcessState, i32)>>,
    state: Option<SupervisorState>,
    lost: u64,
    /// Whether groups or processes were added or removed.
    reshaped: bool,
}

/// Sends signals until the server stops. Drop the future when the connection is lost.
pub(super) async fn send_changes(bus: &Arc<BusConnection>) {
    let mut feed = bus.context.feed.subscribe();
    let mut stop = bus.context.stop.clone();
    // Subscribe before the state is read, so that no change in between is lost.
    let views = bus.processes().await.unwrap_or_default();
    bus.set_announced(known_objects(&views, bus).await);
    loop {
        let mut batch = ChangeBatch::default();
        let mut ends = false;
        tokio::select! {
            received = feed.next() => match received {
                Some(received) => batch.add_change(received, &bus.announced()),
                None => return,
            },
            () = bus.context.control.groups_changed() => batch.reshaped = true,
            _ = stop.wait_for(|stop| *stop) => ends = true,
        }
        tokio::select! {
            () = sleep(GATHER) => {}
            _ = stop.wait_for(|stop| *stop) => ends = true,
        }
        batch.add_pending(&mut feed, &bus.announced());
        batch.send(bus).await;
        if ends {
            return;
        }
    }
}

impl ChangeBatch {
    fn add_pending(&mut self, feed: &mut Subscription, known: &KnownObjects) {
        while let Some(received) = feed.try_next() {
            self.add_change(received, known);
        }
    }

    fn add_change(&mut self, received: FeedItem, known: &KnownObjects) {
        let change = match received {
            FeedItem::Lost(count) => {
                self.lost += count;
                return;
            }
            FeedItem::Change(change) => change,
        };
        match change {
            StatusChange::Process {
                group,
                process,
                from,
                to,
                pid,
            } => {
                self.reshaped |= !known.get(&group).is_some_and(|has| has.contains(&process));
                let object = BusObject::Process(group.to_string(), process.to_string());
                let values = (
                    group.as_str(),
                    process.as_str(),
                    from.name(),
                    to.name(),
                    pid,
                );
                let signal =
                    Message::signal(object.path(), object.kind().interface(), STATE_CHANGED);
                self.moves.extend(signal.build(&values).ok());
                self.changed.insert((group, process), Some((to, pid)));
            }
            StatusChange::Health { group, process } => {
                self.changed.entry((group, process)).or_default();
            }
            StatusChange::Supervisor(state) => self.state = Some(state),
            StatusChange::Groups => self.reshaped = true,
        }
    }

    async fn send(mut self, bus: &BusConnection) {
        let anew = self.reshaped || self.lost > 0;
        let views = if anew || self.changed.len() > QUERIED_SINGLY_MAX {
            bus.processes().await.ok()
        } else {
            let mut views = Vec::new();
            for (group, process) in self.changed.keys() {
                match bus.process(group.as_str(), process.as_str()).await {
                    Ok(view) => views.push(view),
                    Err(_) => self.reshaped = true,
                }
            }
            Some(views)
        };
        let mut messages = Vec::new();
        if self.lost > 0 {
            let signal = Message::signal(MANAGER, ObjectKind::Manager.interface(), EVENTS_LOST);
            messages.extend(signal.build(&(self.lost,)).ok());
        }
        // InterfacesAdded precedes the signals of an object, and InterfacesRemoved follows them.
        let mut gone = Vec::new();
        if let (true, Some(views)) = (anew, &views) {
            let (before, now) = (bus.announced(), known_objects(views, bus).await);
            added_signals(&mut messages, &before, &now, views);
            gone = removed_signals(&before, &now);
            bus.set_announced(now);
        }
        messages.append(&mut self.moves);
        if let Some(state) = self.state {
            let changed = property_dict(vec![("State", text_variant(state.name()))]);
            messages.extend(changed_signal(&BusObject::Manager, changed));
        }
        match views {
            Some(views) => {
                let all = self.lost > 0;
                let changed = views.iter().filter(|view| {
                    all || self
                        .changed
                        .contains_key(&(view.group.clone(), view.name.clone()))
                });
                messages.extend(changed.flat_map(|view| {
                    let mut properties = process_properties(view);
                    properties.retain(|name, _| is_changing(name));
                    changed_signal(&process_object(view), properties)
                }));
            }
            // The engine is stopping and does not answer. The events themselves contain the state and the PID.
            None => {
                for ((group, process), moved) in &self.changed {
                    let Some((state, pid)) = moved else {
                        continue;
                    };
                    let object = BusObject::Process(group.to_string(), process.to_string());
                    let properties = property_dict(vec![
                        ("State", text_variant(state.name())),
                        ("PID", Variant::from(*pid)),
                    ]);
                    messages.extend(changed_signal(&object, properties));
                }
            }
        }
        messages.append(&mut gone);
        for part in messages.chunks(SENT_AT_ONCE) {
            // An error means that the connection is lost, which `serve` detects.
            let _ = bus.connection.send_all(part).await;
            tokio::task::yield_now().await;
        }
        // A changed process no longer exists, so compare all objects.
        if self.reshaped && !anew {
            let again = Self {
                reshaped: true,
                ..Self::default()
            };
            Box::pin(again.send(bus)).await;
        }
    }
}

/// The existing groups and processes. A group may be empty.
async fn known_objects(views: &[ProcessView], bus: &BusConnection) -> KnownObjects {
    let groups = bus.groups().await.unwrap_or_default();
    let mut known: KnownObjects = groups
        .into_iter()
        .map(|name| (name, Default::default()))
        .collect();
    for view in views {
        let members = known.entry(view.group.clone()).or_default();
        members.insert(view.name.clone());
    }
    known
}

fn is_changing(name: &str) -> bool {
    PROPERTIES
        .iter()
        .any(|row| row.kind == ObjectKind::Process && row.name == name && row.changes)
}

fn path(object: &BusObject) -> Option<ObjectPath<'static>> {
    ObjectPath::try_from(object.path()).ok()
}

fn changed_signal(object: &BusObject, changed: PropertyMap) -> Option<Message> {
    let interface = object.kind().interface();
    let none: &[&str] = &[];
    Message::signal(
        object.path(),
        "org.freedesktop.DBus.Properties",
        "PropertiesChanged",
    )
    .build(&(interface, changed, none))
    .ok()
}

/// Appends InterfacesAdded for new objects.
fn added_signals(
    messages: &mut Vec<Message>,
    before: &KnownObjects,
    now: &KnownObjects,
    views: &[ProcessView],
) {
    let mut add = |object: &BusObject, properties: PropertyMap| {
        let signal = Message::signal(
            MANAGER,
            "org.freedesktop.DBus.ObjectManager",
            "InterfacesAdded",
        );
        let path = path(object);
        messages.extend(path.and_then(|path| {
            let offered = object_interfaces(object.kind(), properties);
            signal.build(&(path, offered)).ok()
        }));
    };
    for group in now.keys().filter(|group| !before.contains_key(*group)) {
        add(
            &BusObject::Group(group.to_string()),
            group_properties(group.as_str()),
        );
    }
    for view in views {
        let was_there = before
            .get(&view.group)
            .is_some_and(|members| members.contains(&view.name));
        if !was_there {
            add(&process_object(view), process_properties(view));
        }
    }
}

/// InterfacesRemoved for removed objects, processes first.
fn removed_signals(before: &KnownObjects, now: &KnownObjects) -> Vec<Message> {
    let mut gone = Vec::new();
    for (group, members) in before {
        let still = now.get(group);
        for member in members {
            if !still.is_some_and(|still| still.contains(member)) {
                gone.push(BusObject::Process(group.to_string(), member.to_string()));
            }
        }
        if still.is_none() {
            gone.push(BusObject::Group(group.to_string()));
        }
    }
    let removed = gone.iter().filter_map(|object| {
        let signal = Message::signal(
            MANAGER,
            "org.freedesktop.DBus.ObjectManager",
            "InterfacesRemoved",
        );
        let interfaces: &[&str] = &[object.kind().interface()];
        signal.build(&(path(object)?, interfaces)).ok()
    });
    removed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::calls::process_members::tests::cat;

    fn there(groups: &[(&str, &[&str])]) -> KnownObjects {
        groups
            .iter()
            .map(|(group, members)| {
                let members = members
                    .iter()
                    .map(|name| ProcessName::parse(name).expect("valid"));
                (GroupName::parse(group).expect("valid"), members.collect())
            })
            .collect()
    }

    fn told(message: &Message) -> String {
        let header = message.header();
        let member = header.member().expect("a signal").to_string();
        let body = message.body();
        let body: zbus::Structure<'_> = body.deserialize().expect("a body");
        match &body.fields()[0] {
            Variant::ObjectPath(path) => format!("{member} {path}"),
            other => format!("{member} {other}"),
        }
    }

    #[test]
    fn added_signals_start_at_groups_and_removed_signals_at_processes() {
        let groups = "/org/supervisord/Supervisor1/group";
        let (nothing, cats) = (there(&[]), there(&[("cat", &["cat"]), ("empty", &[])]));
        let mut messages = Vec::new();
        added_signals(&mut messages, &nothing, &cats, &[cat()]);
        let said: Vec<String> = messages.iter().map(told).collect();
        assert_eq!(
            said,
            [
                format!("InterfacesAdded {groups}/cat"),
                format!("InterfacesAdded {groups}/empty"),
                format!("InterfacesAdded {groups}/cat/cat"),
            ]
        );
        let said: Vec<String> = removed_signals(&cats, &there(&[("empty", &[])]))
            .iter()
            .map(told)
            .collect();
        assert_eq!(
            said,
            [
                format!("InterfacesRemoved {groups}/cat/cat"),
                format!("InterfacesRemoved {groups}/cat"),
            ]
        );
        messages.clear();
        added_signals(&mut messages, &cats, &cats, &[cat()]);
        assert!(messages.is_empty() && removed_signals(&cats, &cats).is_empty());
    }

    #[test]
    fn a_batch_keeps_each_state_change_and_the_last_state() {
        let cats = there(&[("cat", &["cat"])]);
        let moved = |group: &str, from, to, pid| {
            FeedItem::Change(StatusChange::Process {
                group: GroupName::parse(group).expect("valid"),
                process: ProcessName::parse("cat").expect("valid"),
                from,
                to,
                pid,
            })
        };
        use ProcessState::{Running, Starting, Stopped};
        let mut batch = ChangeBatch::default();
        batch.add_change(moved("cat", Stopped, Starting, 0), &cats);
        batch.add_change(moved("cat", Starting, Running, 7), &cats);
        assert_eq!(batch.moves.len(), 2);
        assert_eq!(
            batch.changed.values().collect::<Vec<_>>(),
            [&Some((Running, 7))]
        );
        assert!(!batch.reshaped && batch.lost == 0);
        // Properties besides the state change too.
        let (group, process) = (GroupName::parse("cat"), ProcessName::parse("cat"));
        let (group, process) = (group.expect("valid"), process.expect("valid"));
        let health = FeedItem::Change(StatusChange::Health { group, process });
        batch.add_change(health.clone(), &cats);
        assert_eq!(
            batch.changed.values().collect::<Vec<_>>(),
            [&Some((Running, 7))]
        );
        let mut other = ChangeBatch::default();
        other.add_change(health, &cats);
        assert_eq!(other.changed.values().collect::<Vec<_>>(), [&None]);
        // An unknown process and lost events.
        batch.add_change(moved("new", Stopped, Starting, 0), &cats);
        batch.add_change(FeedItem::Lost(5), &cats);
        batch.add_change(FeedItem::Lost(2), &cats);
        assert!(batch.reshaped);
        assert_eq!(batch.lost, 7);
    }
}
