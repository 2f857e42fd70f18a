//! How often each method was called, and how long the engine took to answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::api::Method;

/// The calls of one method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MethodCalls {
    /// The number of answers, faults included.
    pub count: u64,
    /// The sum of the times from the request to the answer.
    pub time: Duration,
}

/// The calls of all methods since the start of the daemon, by the first name of each. Only the server's threads use it.
#[derive(Debug, Default)]
pub struct CallStatistics(Mutex<BTreeMap<&'static str, MethodCalls>>);

impl CallStatistics {
    /// Counts a call.
    pub fn record(&self, method: &'static Method, time: Duration) {
        let Some(name) = method.names.first() else {
            return;
        };
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = calls.entry(name).or_default();
        known.count += 1;
        known.time = known.time.saturating_add(time);
    }

    /// Returns all methods that were called, sorted by name.
    #[must_use]
    pub fn all(&self) -> Vec<(&'static str, MethodCalls)> {
        let calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().map(|(&name, &known)| (name, known)).collect()
    }
}
