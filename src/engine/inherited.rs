//! What the engine inherits from the previous daemon, until it has adopted or dropped everything.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::InstanceId;
use crate::output::{AdoptedStreams, InstanceState, UnflushedChunk};
use crate::sys::NamedFds;

/// Streams and descriptors of the previous daemon that were not adopted yet. Empty after the start.
#[derive(Default)]
pub(super) struct Inherited {
    pub(super) streams: BTreeMap<InstanceId, InstanceState>,
    pub(super) fds: NamedFds,
    pub(super) unflushed: Vec<UnflushedChunk>,
}

impl Inherited {
    /// Takes the streams of one instance. `None`: the previous daemon handed none over.
    pub(super) fn take_streams(
        &mut self,
        instance: InstanceId,
        adoption: impl FnOnce(Option<InstanceState>, &mut NamedFds) -> AdoptedStreams,
    ) -> Option<AdoptedStreams> {
        let mut adoption = adoption(self.streams.remove(&instance), &mut self.fds);
        let is_its = |chunk: &mut UnflushedChunk| chunk.instance == instance;
        adoption.unflushed = self.unflushed.extract_if(.., is_its).collect();
        (!adoption.is_empty()).then_some(adoption)
    }

    /// Returns the instances with streams or output that were not adopted.
    pub(super) fn instances(&self) -> BTreeSet<InstanceId> {
        let streams = self.streams.values().map(|streams| streams.instance);
        let unflushed = self.unflushed.iter().map(|chunk| chunk.instance);
        streams.chain(unflushed).collect()
    }

    /// Drops everything. Returns the names of the descriptors.
    pub(super) fn clear(&mut self) -> Vec<String> {
        self.streams.clear();
        std::mem::take(&mut self.fds).into_keys().collect()
    }
}
