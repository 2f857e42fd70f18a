//! Reports each change of an item: by long polls where the server has v1, else by reads at intervals.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::super::pauses::{Jitter, Pauses};
use super::super::protocol::{AgentReport, FailureKind, ItemFailure, ItemText, NacosItem};
use super::servers::{FoundApi, NacosClient, NacosServer};
use super::text::ItemRead;
use super::v1::{self, Listened};

/// The first pause after a server said that the item changed and then gave the same text: it writes to its own cache yet.
const STALE_PAUSE: Duration = Duration::from_millis(100);
/// A poll that the server answered sooner without a change was not held.
const HELD_MIN: Duration = Duration::from_secs(1);
/// The shortest pause between two reads of a server without a listener.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Maximum number of reasons that are reported between two successes. More would flood the log.
const REASONS_MAX: usize = 8;

/// Watches `item` until the receiver of the reports is gone. `known`: the MD5 of the text that the daemon has.
pub(in super::super) async fn watch(
    client: Arc<NacosClient>,
    item: NacosItem,
    known: Option<String>,
    reports: mpsc::Sender<AgentReport>,
) {
    let mut watch = ItemWatch {
        client: &client,
        item,
        jitter: Jitter::new(),
        failures: Pauses::new(),
        stale: Pauses::from_first(STALE_PAUSE),
    };
    let mut news = News::new(known);
    let mut listened_md5 = None;
    loop {
        let (server, result) = client.read_anywhere(&watch.item).await;
        let md5 = match &result {
            Ok(ItemRead::Text(text, _)) => Some(text.md5.clone()),
            Ok(ItemRead::Unusable { md5, .. }) => Some(md5.clone()),
            // The listener waits for its creation.
            Err(failure) if failure.kind == FailureKind::Missing => Some(String::new()),
            Err(_) => None,
        };
        let report = match result.and_then(ItemRead::into_text) {
            Ok(text) => news.text(text),
            Err(failure) => news.failure(failure),
        };
        if let Some(report) = report
            && reports.send(report).await.is_err()
        {
            return;
        }
        // The server said that the item is not what it was, and it is.
        let is_stale = listened_md5.is_some() && listened_md5 == md5;
        if listened_md5.is_some() && !is_stale {
            watch.stale.reset();
        }
        listened_md5 = match md5 {
            Some(md5) if !is_stale => watch.wait_for_change(server, md5).await,
            Some(_) => {
                let pause = watch.stale.next_pause();
                sleep(watch.jitter.vary(pause)).await;
                None
            }
            None => {
                watch.pause_after_failure().await;
                None
            }
        };
    }
}

struct ItemWatch<'a> {
    client: &'a NacosClient,
    item: NacosItem,
    jitter: Jitter,
    /// After attempts to reach a server.
    failures: Pauses,
    /// After changes that are none.
    stale: Pauses,
}

impl ItemWatch<'_> {
    /// Waits until the item should be read again. Returns `md5` if the server said that the item has another one.
    async fn wait_for_change(&mut self, server: &NacosServer, md5: String) -> Option<String> {
        loop {
            if NacosClient::api_of(server, &self.item) == FoundApi::V3 {
                self.failures.reset();
                let interval = Duration::from_millis(self.item.poll_interval_ms).max(INTERVAL_MIN);
                sleep(self.jitter.vary(interval)).await;
                return None;
            }
            let begun = Instant::now();
            let listened = v1::listen(self.client, server, &self.item, &md5).await;
            match listened {
                Ok(Listened::Changed) => {
                    self.failures.reset();
                    return Some(md5);
                }
                Ok(Listened::Unchanged) if begun.elapsed() >= HELD_MIN => self.failures.reset(),
                // It does not hold requests, or the listener does not work: then the item is read at intervals.
                Ok(Listened::Unchanged) | Err(_) => {
                    self.pause_after_failure().await;
                    return None;
                }
            }
        }
    }

    async fn pause_after_failure(&mut self) {
        let pause = self.failures.next_pause();
        sleep(self.jitter.vary(pause)).await;
    }
}

/// Decides what is news for the daemon.
#[derive(Debug)]
struct News {
    /// The MD5 of the text that the daemon has.
    known: Option<String>,
    /// No text was reported yet.
    is_first: bool,
    /// The reasons that were reported since the last success.
    reasons: Vec<ItemFailure>,
}

impl News {
    const fn new(known: Option<String>) -> Self {
        Self {
            known,
            is_first: true,
            reasons: Vec::new(),
        }
    }

    /// The report for a text that was read. `None`: the daemon knows.
    fn text(&mut self, text: ItemText) -> Option<AgentReport> {
        let was_away = !self.reasons.is_empty();
        self.reasons.clear();
        let is_known = self.known.as_ref() == Some(&text.md5);
        if !is_known || std::mem::take(&mut self.is_first) {
            self.is_first = false;
            self.known = Some(text.md5.clone());
            return Some(AgentReport::Text(text));
        }
        was_away.then_some(AgentReport::Unchanged {
            md5: text.md5,
            server: text.server,
        })
    }

    /// The report for a read that failed. `None`: the daemon knows.
    fn failure(&mut self, failure: ItemFailure) -> Option<AgentReport> {
        let is_known = self.reasons.contains(&failure);
        if is_known || self.reasons.len() == REASONS_MAX {
            return None;
        }
        self.reasons.push(failure.clone());
        Some(AgentReport::Failed(failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> ItemText {
        ItemText {
            text: text.to_owned(),
            md5: super::super::text::md5_of(text.as_bytes()),
            server: "http://x".to_owned(),
        }
    }

    fn failure(kind: FailureKind, message: &str) -> ItemFailure {
        ItemFailure {
            kind,
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_first_text_and_each_change_are_news() {
        let mut news = News::new(Some(text("a").md5));
        assert_eq!(news.text(text("a")), Some(AgentReport::Text(text("a"))));
        assert_eq!(news.text(text("a")), None);
        assert_eq!(news.text(text("b")), Some(AgentReport::Text(text("b"))));
        assert_eq!(news.text(text("b")), None);
        assert_eq!(news.text(text("a")), Some(AgentReport::Text(text("a"))));
    }

    #[test]
    fn a_failure_is_news_once_and_the_recovery_too() {
        let mut news = News::new(None);
        let away = failure(FailureKind::Away, "refused");
        let missing = failure(FailureKind::Missing, "gone");
        assert_eq!(
            news.failure(away.clone()),
            Some(AgentReport::Failed(away.clone()))
        );
        assert_eq!(news.failure(away.clone()), None);
        assert!(news.failure(missing.clone()).is_some());
        assert_eq!(news.failure(away.clone()), None);
        assert!(matches!(news.text(text("a")), Some(AgentReport::Text(_))));
        assert!(news.failure(away).is_some());
        let unchanged = AgentReport::Unchanged {
            md5: text("a").md5,
            server: "http://x".to_owned(),
        };
        assert_eq!(news.text(text("a")), Some(unchanged));
        assert_eq!(news.text(text("a")), None);
        let many = (0..20).filter_map(|n| {
            let message = format!("at {n}");
            news.failure(failure(FailureKind::Away, &message))
        });
        assert_eq!(many.count(), REASONS_MAX);
    }
}
