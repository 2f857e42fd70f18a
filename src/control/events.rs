//! The event bus as fronts see it: subscriptions with a bound, which lose their oldest events when nobody takes them, and
//! are told how many.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast::{
    self, Receiver, Sender,
    error::{RecvError, TryRecvError},
};

use crate::domain::{Event, EventKind};

/// Events that wait for the slowest subscriber. A thousand processes that restart at once make four thousand.
const WAITING_MAX: usize = 4096;

/// Where fronts subscribe. Clones are cheap, and share the queue, which the first subscriber makes: it takes 420 KiB, and a
/// daemon without a bus and without an open page has no use for it.
#[derive(Debug, Clone, Default)]
pub struct EventFeed(Arc<OnceLock<Sender<Event>>>);

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// An event, in order.
    Event(Event),
    /// It was too slow: so many events were lost before the next one.
    Lost(u64),
}

/// One subscriber's place.
#[derive(Debug)]
pub struct Subscription(Receiver<Event>);

impl EventFeed {
    /// A feed without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands an event to all subscribers; costs next to nothing where there are none. Never blocks.
    ///
    /// Only changes of processes, groups and the daemon are handed on: what programs write has no bound that a queue of
    /// events could keep.
    pub fn publish(&self, event: &Event) {
        let is_change = matches!(
            event.kind,
            EventKind::ProcessState { .. }
                | EventKind::SupervisorState(_)
                | EventKind::GroupAdded
                | EventKind::GroupRemoved
        );
        if is_change
            && let Some(sender) = self.0.get()
            && sender.receiver_count() > 0
        {
            // An error means that the last subscriber has just gone.
            let _ = sender.send(event.clone());
        }
    }

    /// Hears of everything from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        let sender = self.0.get_or_init(|| broadcast::channel(WAITING_MAX).0);
        Subscription(sender.subscribe())
    }

    /// How many subscribers there are.
    #[must_use]
    pub fn subscriber_count(&self) -> usize {
        self.0.get().map_or(0, Sender::receiver_count)
    }
}

impl Subscription {
    /// The next event, when there is one; none: the engine has ended.
    pub async fn next(&mut self) -> Option<FeedItem> {
        match self.0.recv().await {
            Ok(event) => Some(FeedItem::Event(event)),
            Err(RecvError::Lagged(count)) => Some(FeedItem::Lost(count)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next event, if one waits.
    pub fn try_next(&mut self) -> Option<FeedItem> {
        match self.0.try_recv() {
            Ok(event) => Some(FeedItem::Event(event)),
            Err(TryRecvError::Lagged(count)) => Some(FeedItem::Lost(count)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SupervisorState;

    fn event(kind: EventKind) -> Event {
        Event {
            group: None,
            process: None,
            kind,
        }
    }

    #[test]
    fn the_slow_lose_the_oldest_and_are_told() {
        let feed = EventFeed::new();
        let publisher = feed.clone();
        publisher.publish(&event(EventKind::GroupAdded));
        assert!(feed.0.get().is_none(), "nobody listens");
        let mut slow = feed.subscribe();
        assert_eq!(slow.try_next(), None, "from now on");
        for _ in 0..WAITING_MAX + 3 {
            publisher.publish(&event(EventKind::GroupAdded));
        }
        publisher.publish(&event(EventKind::SupervisorState(SupervisorState::Running)));
        assert_eq!(slow.try_next(), Some(FeedItem::Lost(4)));
        let heard = std::iter::from_fn(|| slow.try_next()).collect::<Vec<_>>();
        assert_eq!(heard.len(), WAITING_MAX);
        let last = event(EventKind::SupervisorState(SupervisorState::Running));
        assert_eq!(heard.last(), Some(&FeedItem::Event(last)));
    }

    #[test]
    fn what_programs_write_is_not_handed_on() {
        let feed = EventFeed::new();
        let mut subscription = feed.subscribe();
        feed.publish(&event(EventKind::RemoteCommunication {
            kind: "x".to_owned(),
            data: "y".to_owned(),
        }));
        assert_eq!(subscription.try_next(), None);
        drop(subscription);
        assert_eq!(feed.subscriber_count(), 0);
    }
}
