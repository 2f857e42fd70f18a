//! What processes use: the present figures, and those of the last hour.

use std::sync::Arc;

use super::cgroup_usage::CgroupSampler;
use super::process_usage::UsageSampler;
use super::usage_history::UsageHistory;

/// The samplers of one server.
#[derive(Debug, Default)]
pub(in crate::server) struct UsageSources {
    /// CPU and memory of processes.
    pub(in crate::server) sampler: Arc<UsageSampler>,
    /// All figures of cgroups.
    pub(in crate::server) cgroups: Arc<CgroupSampler>,
    /// CPU and memory for the method getUsage.
    pub(in crate::server) top_sampler: Arc<UsageSampler>,
    /// Figures of cgroups for the method getUsage.
    pub(in crate::server) top_cgroups: Arc<CgroupSampler>,
    /// The same for the pages of single processes.
    pub(in crate::server) page_cgroups: Arc<CgroupSampler>,
    /// CPU and memory of the last hour.
    pub(in crate::server) history: Arc<UsageHistory>,
}
