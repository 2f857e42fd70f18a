//! Generated names of AUTO logs. The output thread creates the files.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::spec::{DaemonSpec, LogTarget, ProcessSpec};
use crate::domain::{Channel, LogPaths, memory_log};

/// The characters of the random part.
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789_";
/// The length of the random part, in characters.
const RANDOM_CHARS: usize = 8;

/// A small generator (`splitmix64`) for names. It keeps names distinct and is not secure against guessing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AutoLogNames(u64);

impl AutoLogNames {
    /// Creates a generator. Equal seeds give equal names.
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn random_part(&mut self) -> String {
        (0..RANDOM_CHARS)
            .map(|_| {
                let place = self.next() % (ALPHABET.len() as u64);
                // The remainder is less than the length of the alphabet.
                char::from(ALPHABET[usize::try_from(place).unwrap_or(0)])
            })
            .collect()
    }

    fn path(&mut self, spec: &ProcessSpec, channel: Channel, daemon: &DaemonSpec) -> Arc<Path> {
        let file = format!(
            "{}-{}---{}-{}.log",
            spec.name,
            channel.name(),
            daemon.identifier,
            self.random_part()
        );
        Arc::from(daemon.childlogdir.join(file))
    }

    /// Generates a path for each AUTO stream of `spec`.
    pub(super) fn make(&mut self, spec: &ProcessSpec, daemon: &DaemonSpec) -> LogPaths {
        let mut one = |target: &LogTarget, channel| match target {
            LogTarget::Auto => Some(self.path(spec, channel, daemon)),
            LogTarget::None | LogTarget::Empty | LogTarget::Memory | LogTarget::File(_) => None,
        };
        LogPaths {
            stdout: one(&spec.stdout.target, Channel::Stdout),
            stderr: one(&spec.stderr.target, Channel::Stderr),
        }
    }
}

/// Returns the log paths of `spec`. `made` holds the generated ones.
pub(super) fn paths(spec: &ProcessSpec, made: Option<&LogPaths>) -> LogPaths {
    let one = |target: &LogTarget, channel, made: Option<&Arc<Path>>| match target {
        LogTarget::Memory => Some(memory_log(&spec.group, &spec.name, channel)),
        LogTarget::None | LogTarget::Empty => None,
        LogTarget::File(path) => Some(Arc::clone(path)),
        LogTarget::Auto => made.map(Arc::clone),
    };
    LogPaths {
        stdout: one(
            &spec.stdout.target,
            Channel::Stdout,
            made.and_then(|paths| paths.stdout.as_ref()),
        ),
        stderr: one(
            &spec.stderr.target,
            Channel::Stderr,
            made.and_then(|paths| paths.stderr.as_ref()),
        ),
    }
}
