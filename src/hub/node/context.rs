//! What all nodes of a fleet share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::change::FleetFeed;
use super::config::NodeConfig;
use super::interner::Interner;
use crate::agent::tls::TlsSettings;

/// Size of an answer for which no room is asked for, in bytes. A list of thirty processes is shorter.
const SMALL_ANSWER_BYTES: usize = 64 << 10;
/// Room for all longer answers that arrive at a time, in KiB. Those that find none wait, within the limit of their call.
const LARGE_ANSWERS_KIB: usize = 64 << 10;

/// What all nodes share.
#[derive(Debug)]
pub(in crate::hub) struct NodeContext {
    pub(super) feed: FleetFeed,
    pub(super) interner: Interner,
    /// The pause between two questions to a node that somebody looks at.
    pub(super) poll_interval: Duration,
    /// One permit for each KiB of a long answer.
    answers: Arc<Semaphore>,
    /// By the file with authorities. The certificates of the system take some hundred KiB.
    tls: Mutex<HashMap<Option<String>, Arc<TlsSettings>>>,
    insecure_tls: Arc<TlsSettings>,
}

/// Room for an answer that arrives.
#[derive(Debug)]
pub(super) struct AnswerRoom {
    answers: Arc<Semaphore>,
    bytes: usize,
    permits: Option<OwnedSemaphorePermit>,
}

impl NodeContext {
    pub(in crate::hub) fn new(feed: FleetFeed, poll_interval: Duration) -> Self {
        Self {
            feed,
            interner: Interner::new(),
            poll_interval,
            answers: Arc::new(Semaphore::new(LARGE_ANSWERS_KIB)),
            tls: Mutex::default(),
            insecure_tls: Arc::new(TlsSettings::insecure()),
        }
    }

    /// The TLS settings of a node, shared by all nodes that have the same.
    pub(super) fn tls_of(&self, config: &NodeConfig) -> Arc<TlsSettings> {
        if config.tls_insecure {
            return self.insecure_tls.clone();
        }
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of removed nodes.
        tls.retain(|key, settings| *key == config.tls_ca || Arc::strong_count(settings) > 1);
        let made = || Arc::new(TlsSettings::new(config.tls_ca.clone(), "tls_ca="));
        tls.entry(config.tls_ca.clone())
            .or_insert_with(made)
            .clone()
    }

    /// Room for an answer, none so far.
    pub(super) fn answer_room(&self) -> AnswerRoom {
        AnswerRoom {
            answers: self.answers.clone(),
            bytes: SMALL_ANSWER_BYTES,
            permits: None,
        }
    }
}

impl AnswerRoom {
    /// Waits until there is room for this number of bytes in all.
    pub(super) async fn grow_to(&mut self, bytes: usize) {
        while self.bytes < bytes {
            let more = SMALL_ANSWER_BYTES;
            let permits = u32::try_from(more >> 10).unwrap_or(u32::MAX);
            // The semaphore is never closed.
            let Ok(permits) = self.answers.clone().acquire_many_owned(permits).await else {
                return;
            };
            match &mut self.permits {
                Some(held) => held.merge(permits),
                None => self.permits = Some(permits),
            }
            self.bytes += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn long_answers_wait_for_room_and_short_ones_do_not() {
        let context = NodeContext::new(FleetFeed::new(), Duration::from_secs(2));
        let mut first = context.answer_room();
        first
            .grow_to((LARGE_ANSWERS_KIB << 10) + SMALL_ANSWER_BYTES)
            .await;
        let mut second = context.answer_room();
        second.grow_to(SMALL_ANSWER_BYTES).await;
        let mut waits = std::pin::pin!(second.grow_to(SMALL_ANSWER_BYTES + 1));
        let soon = Duration::from_millis(10);
        assert!(tokio::time::timeout(soon, &mut waits).await.is_err());
        drop(first);
        waits.await;
    }
}
