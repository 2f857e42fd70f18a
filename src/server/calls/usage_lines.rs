//! What all processes use now, one line each: a form that a client reads many times a minute.

use std::sync::Arc;

use super::process_list::usage_targets;
use super::usage_sources::UsageSources;
use crate::api::ProcessView;

/// The lines of the running processes: name, PID, CPU, memory, number of processes, and the totals of pressure.
pub(super) async fn usage_lines(usage: &Arc<UsageSources>, views: &[ProcessView]) -> Vec<String> {
    let usages = usage.top_sampler.sample_usage(usage_targets(views)).await;
    let cgroups = usage.top_cgroups.sample(views).await;
    let shown = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let running = views.iter().filter(|view| view.pid != 0);
    running
        .map(|view| {
            let used = usages.get(&view.pid);
            let cgroup = cgroups.get(&view.pid);
            let mut members = vec![
                format!("{}:{}", view.group, view.name),
                view.pid.to_string(),
                shown(used.and_then(|used| used.tree_permille)),
                shown(used.map(|used| used.tree_memory)),
                shown(cgroup.and_then(|cgroup| cgroup.pids)),
            ];
            let pressures = cgroup.map_or([None; 3], |cgroup| cgroup.pressures);
            members.extend(pressures.map(shown));
            members.join("\t")
        })
        .collect()
}
