//! Remembers for some seconds at which nodes clients look, so that a client that asks again and again sees fresh states
//! of nodes that cannot report changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::hub::fleet::Fleet;
use crate::hub::node::{NodeKind, NodeView, WatchGuard};

/// How long one request counts as a look.
const LOOK: Duration = Duration::from_secs(10);
/// Minimum time between two searches for looks that are over.
const SWEEP_EVERY: Duration = Duration::from_secs(2);

/// The looks, by node.
#[derive(Debug, Default)]
pub(in crate::hub) struct Looks(Mutex<HashMap<Arc<str>, (WatchGuard, Instant)>>);

impl Looks {
    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, (WatchGuard, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a client watches a node.
    pub(in crate::hub) fn look(&self, fleet: &Fleet, node: &NodeView) {
        if node.kind == Some(NodeKind::Ours) {
            return;
        }
        let until = Instant::now() + LOOK;
        let mut looks = self.lock();
        if let Some((_, known)) = looks.get_mut(&node.name) {
            *known = until;
        } else if let Some(guard) = fleet.watch(&node.name) {
            looks.insert(node.name.clone(), (guard, until));
        }
    }

    /// Forgets looks that are over, for ever.
    pub(in crate::hub) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let now = Instant::now();
            self.lock().retain(|_, (_, until)| now < *until);
        }
    }
}
