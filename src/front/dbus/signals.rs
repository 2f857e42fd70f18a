//! What the bus is told by itself: changes, gathered for a moment and then sent together. It must not hold anybody up: what
//! it does not take in time is lost from its subscription, and then everything is told anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Duration, sleep};
use zbus::{Message, ObjectPath, Variant};

use super::bus::{Bus, Known};
use super::calls::{EVENTS_LOST, Kind, PROPERTIES, STATE_CHANGED};
use super::convert::{dictionary, text};
use super::objects::{Properties, interfaces, object_of, of_group, of_process};
use super::path::{MANAGER, Object};
use crate::api::ProcessView;
use crate::control::{Heard, Subscription};
use crate::domain::{EventKind, GroupName, ProcessName, ProcessState, SupervisorState};

/// How long changes are gathered, so that a process that starts is told of once or twice and a thousand that start are not a
/// thousand questions to the engine.
const GATHER: Duration = Duration::from_millis(50);
/// Up to so many changed processes are looked at one by one, and all together beyond.
const LOOKED_AT_MAX: usize = 16;
/// Messages that are handed to the bus at a time, so that answers go out in between.
const SENT_AT_ONCE: usize = 64;

/// What was gathered.
#[derive(Default)]
struct Batch {
    /// Each move, in order.
    moves: Vec<Message>,
    /// Where each process that moved has arrived, and its number there.
    changed: BTreeMap<(GroupName, ProcessName), (ProcessState, i32)>,
    state: Option<SupervisorState>,
    lost: u64,
    /// Groups or processes have come or gone.
    reshaped: bool,
}

/// Tells of changes until the front ends. To be dropped when the connection is gone.
pub(super) async fn tell(bus: &Arc<Bus>) {
    let mut feed = bus.door.feed.subscribe();
    let mut stop = bus.door.stop.clone();
    // First the ears, then the look: what changes in between is heard.
    let views = bus.processes().await.unwrap_or_default();
    bus.set_known(known(&views, bus).await);
    loop {
        let mut batch = Batch::default();
        let mut ends = false;
        tokio::select! {
            heard = feed.next() => match heard {
                Some(heard) => batch.take(heard, &bus.known()),
                None => return,
            },
            () = bus.door.control.reshaped() => batch.reshaped = true,
            _ = stop.wait_for(|stop| *stop) => ends = true,
        }
        tokio::select! {
            () = sleep(GATHER) => {}
            _ = stop.wait_for(|stop| *stop) => ends = true,
        }
        batch.take_waiting(&mut feed, &bus.known());
        batch.send(bus).await;
        if ends {
            return;
        }
    }
}

impl Batch {
    fn take_waiting(&mut self, feed: &mut Subscription, known: &Known) {
        while let Some(heard) = feed.waiting() {
            self.take(heard, known);
        }
    }

    fn take(&mut self, heard: Heard, known: &Known) {
        let event = match heard {
            Heard::Lost(count) => {
                self.lost += count;
                return;
            }
            Heard::Event(event) => event,
        };
        match (event.kind, event.group, event.process) {
            (EventKind::ProcessState { from, to, pid, .. }, Some(group), Some(process)) => {
                self.reshaped |= !known.get(&group).is_some_and(|has| has.contains(&process));
                let object = Object::Process(group.to_string(), process.to_string());
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
                self.changed.insert((group, process), (to, pid));
            }
            (EventKind::SupervisorState(state), ..) => self.state = Some(state),
            (EventKind::GroupAdded | EventKind::GroupRemoved, ..) => self.reshaped = true,
            // The feed has no others.
            _ => {}
        }
    }

    async fn send(mut self, bus: &Bus) {
        let anew = self.reshaped || self.lost > 0;
        let views = if anew || self.changed.len() > LOOKED_AT_MAX {
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
            let signal = Message::signal(MANAGER, Kind::Manager.interface(), EVENTS_LOST);
            messages.extend(signal.build(&(self.lost,)).ok());
        }
        // Objects come before what is told of them, and go after it.
        let mut gone = Vec::new();
        if let (true, Some(views)) = (anew, &views) {
            let (before, now) = (bus.known(), known(views, bus).await);
            come(&mut messages, &before, &now, views);
            gone = left(&before, &now);
            bus.set_known(now);
        }
        messages.append(&mut self.moves);
        if let Some(state) = self.state {
            let changed = dictionary(vec![("State", text(state.name()))]);
            messages.extend(changes(&Object::Manager, changed));
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
                    let mut properties = of_process(view);
                    properties.retain(|name, _| is_changing(name));
                    changes(&object_of(view), properties)
                }));
            }
            // The engine does not answer any more, for it stops; what the events said is known all the same.
            None => {
                for ((group, process), (state, pid)) in &self.changed {
                    let object = Object::Process(group.to_string(), process.to_string());
                    let properties = dictionary(vec![
                        ("State", text(state.name())),
                        ("PID", Variant::from(*pid)),
                    ]);
                    messages.extend(changes(&object, properties));
                }
            }
        }
        messages.append(&mut gone);
        for part in messages.chunks(SENT_AT_ONCE) {
            // An error means that the connection is gone, which others notice.
            let _ = bus.connection.send_all(part).await;
            tokio::task::yield_now().await;
        }
        // A process that was looked for was not there: the next look is at everything.
        if self.reshaped && !anew {
            let again = Self {
                reshaped: true,
                ..Self::default()
            };
            Box::pin(again.send(bus)).await;
        }
    }
}

/// Groups and processes that are there. A group may be empty.
async fn known(views: &[ProcessView], bus: &Bus) -> Known {
    let groups = bus.groups().await.unwrap_or_default();
    let mut known: Known = groups
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
        .any(|row| row.kind == Kind::Process && row.name == name && row.changes)
}

fn path(object: &Object) -> Option<ObjectPath<'static>> {
    ObjectPath::try_from(object.path()).ok()
}

fn changes(object: &Object, changed: Properties) -> Option<Message> {
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

/// InterfacesAdded of what is new.
fn come(messages: &mut Vec<Message>, before: &Known, now: &Known, views: &[ProcessView]) {
    let mut add = |object: &Object, properties: Properties| {
        let signal = Message::signal(
            MANAGER,
            "org.freedesktop.DBus.ObjectManager",
            "InterfacesAdded",
        );
        let path = path(object);
        messages.extend(path.and_then(|path| {
            let offered = interfaces(object.kind(), properties);
            signal.build(&(path, offered)).ok()
        }));
    };
    for group in now.keys().filter(|group| !before.contains_key(*group)) {
        add(&Object::Group(group.to_string()), of_group(group.as_str()));
    }
    for view in views {
        let was_there = before
            .get(&view.group)
            .is_some_and(|members| members.contains(&view.name));
        if !was_there {
            add(&object_of(view), of_process(view));
        }
    }
}

/// InterfacesRemoved of what is no more: processes first.
fn left(before: &Known, now: &Known) -> Vec<Message> {
    let mut gone = Vec::new();
    for (group, members) in before {
        let still = now.get(group);
        for member in members {
            if !still.is_some_and(|still| still.contains(member)) {
                gone.push(Object::Process(group.to_string(), member.to_string()));
            }
        }
        if still.is_none() {
            gone.push(Object::Group(group.to_string()));
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
    use crate::domain::Event;
    use crate::domain::ResourceEvents;
    use crate::front::view::tests::cat;

    fn there(groups: &[(&str, &[&str])]) -> Known {
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
    fn what_came_is_told_from_above_and_what_went_from_below() {
        let groups = "/org/supervisord/Supervisor1/group";
        let (nothing, cats) = (there(&[]), there(&[("cat", &["cat"]), ("empty", &[])]));
        let mut messages = Vec::new();
        come(&mut messages, &nothing, &cats, &[cat()]);
        let said: Vec<String> = messages.iter().map(told).collect();
        assert_eq!(
            said,
            [
                format!("InterfacesAdded {groups}/cat"),
                format!("InterfacesAdded {groups}/empty"),
                format!("InterfacesAdded {groups}/cat/cat"),
            ]
        );
        let said: Vec<String> = left(&cats, &there(&[("empty", &[])]))
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
        come(&mut messages, &cats, &cats, &[cat()]);
        assert!(messages.is_empty() && left(&cats, &cats).is_empty());
    }

    #[test]
    fn a_batch_keeps_each_move_and_the_last_place() {
        let cats = there(&[("cat", &["cat"])]);
        let moved = |group: &str, from, to, pid| {
            Heard::Event(Event {
                group: Some(GroupName::parse(group).expect("valid")),
                process: Some(ProcessName::parse("cat").expect("valid")),
                kind: EventKind::ProcessState {
                    from,
                    to,
                    tries: 0,
                    pid,
                    expected: true,
                    resource_events: ResourceEvents::NONE,
                },
            })
        };
        use ProcessState::{Running, Starting, Stopped};
        let mut batch = Batch::default();
        batch.take(moved("cat", Stopped, Starting, 0), &cats);
        batch.take(moved("cat", Starting, Running, 7), &cats);
        assert_eq!(batch.moves.len(), 2);
        assert_eq!(batch.changed.values().collect::<Vec<_>>(), [&(Running, 7)]);
        assert!(!batch.reshaped && batch.lost == 0);
        // Somebody nobody knows yet, and what was too much.
        batch.take(moved("new", Stopped, Starting, 0), &cats);
        batch.take(Heard::Lost(5), &cats);
        batch.take(Heard::Lost(2), &cats);
        assert!(batch.reshaped);
        assert_eq!(batch.lost, 7);
    }
}
