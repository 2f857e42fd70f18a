//! The feed of changes for servers: bounded subscriptions. A slow subscriber loses its oldest changes and gets their number.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast::{
    self, Receiver, Sender,
    error::{RecvError, TryRecvError},
};

use super::ChangeHistory;
use crate::domain::{Change, StatusChange};

/// Maximum number of changes that wait for the slowest subscriber. A thousand processes that restart at once cause four
/// thousand.
const WAITING_MAX: usize = 4096;

/// The feed that servers subscribe to. Clones are cheap and share the queue. The first subscriber creates the queue,
/// because it takes 420 KiB and a daemon without a bus and without an open page does not need it.
#[derive(Debug, Clone, Default)]
pub struct EventFeed {
    statuses: Arc<OnceLock<Sender<StatusChange>>>,
    history: Arc<OnceLock<ChangeHistory>>,
}

/// An item that a subscriber receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    /// A change, in order.
    Change(StatusChange),
    /// The subscriber was too slow: this number of changes was lost before the next one.
    Lost(u64),
}

/// The subscription of one subscriber.
#[derive(Debug)]
pub struct Subscription(Receiver<StatusChange>);

impl EventFeed {
    /// Creates a feed without subscribers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes a change to all subscribers, if it has a [status](Change::status), and to the history. Without subscribers
    /// and without a history it costs almost nothing. It never blocks.
    pub fn publish(&self, change: &Change) {
        if let Some(history) = self.history.get() {
            history.push(change);
        }
        if let Some(sender) = self.statuses.get()
            && sender.receiver_count() > 0
            && let Some(status) = change.status()
        {
            // An error means that the last subscriber has just gone.
            let _ = sender.send(status);
        }
    }

    /// Subscribes to all changes from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        let sender = self
            .statuses
            .get_or_init(|| broadcast::channel(WAITING_MAX).0);
        Subscription(sender.subscribe())
    }

    /// Returns the number of subscribers.
    #[must_use]
    pub fn subscriber_count(&self) -> usize {
        self.statuses.get().map_or(0, Sender::receiver_count)
    }

    /// Returns the history of all changes. The first call creates it, so it begins with that call.
    #[must_use]
    pub fn history(&self) -> &ChangeHistory {
        self.history.get_or_init(ChangeHistory::new)
    }
}

impl Subscription {
    /// Waits for the next item. `None`: the engine has ended.
    pub async fn next(&mut self) -> Option<FeedItem> {
        match self.0.recv().await {
            Ok(change) => Some(FeedItem::Change(change)),
            Err(RecvError::Lagged(count)) => Some(FeedItem::Lost(count)),
            Err(RecvError::Closed) => None,
        }
    }

    /// Returns the next item if one waits. `None`: none waits.
    pub fn try_next(&mut self) -> Option<FeedItem> {
        match self.0.try_recv() {
            Ok(change) => Some(FeedItem::Change(change)),
            Err(TryRecvError::Lagged(count)) => Some(FeedItem::Lost(count)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{GroupName, SupervisorState};

    fn added() -> Change {
        Change::GroupAdded(GroupName::parse("g").expect("valid"))
    }

    #[test]
    fn a_slow_subscriber_loses_the_oldest_events_and_gets_their_count() {
        let feed = EventFeed::new();
        let publisher = feed.clone();
        publisher.publish(&added());
        assert!(feed.statuses.get().is_none(), "nobody listens");
        let mut slow = feed.subscribe();
        assert_eq!(slow.try_next(), None, "from now on");
        for _ in 0..WAITING_MAX + 3 {
            publisher.publish(&added());
        }
        publisher.publish(&Change::SupervisorState(SupervisorState::Running));
        assert_eq!(slow.try_next(), Some(FeedItem::Lost(4)));
        let heard = std::iter::from_fn(|| slow.try_next()).collect::<Vec<_>>();
        assert_eq!(heard.len(), WAITING_MAX);
        let last = StatusChange::Supervisor(SupervisorState::Running);
        assert_eq!(heard.last(), Some(&FeedItem::Change(last)));
    }

    #[test]
    fn output_of_programs_is_not_published() {
        let feed = EventFeed::new();
        let mut subscription = feed.subscribe();
        feed.publish(&Change::RemoteCommunication {
            kind: "x".to_owned(),
            data: "y".to_owned(),
        });
        assert_eq!(subscription.try_next(), None);
        drop(subscription);
        assert_eq!(feed.subscriber_count(), 0);
    }
}
