//! Which groups of a configuration differ from the active ones. It must not know what is done about it.

use std::sync::Arc;

use super::group::{Groups, in_added_order};
use crate::api::Reply;
use crate::config::spec::{Config, GroupKind, GroupSpec, LogTarget, ProcessSpec};

/// Names of the groups that `read` adds to, changes in and removes from the active ones.
pub(super) fn diff(active: &Groups, read: &Config) -> Reply {
    let of = |keep: &dyn Fn(&Arc<GroupSpec>) -> bool| {
        read.groups
            .iter()
            .filter(|group| keep(group))
            .map(|group| group.name.clone())
            .collect()
    };
    Reply::Diff {
        added: of(&|group| !active.contains_key(&group.name)),
        changed: of(&|group| {
            active
                .get(&group.name)
                .is_some_and(|ours| !same_group(&ours.spec, group))
        }),
        removed: in_added_order(active)
            .into_iter()
            .filter(|ours| read.groups.iter().all(|group| group.name != ours.spec.name))
            .map(|ours| ours.spec.name.clone())
            .collect(),
    }
}

fn same_group(a: &Arc<GroupSpec>, b: &Arc<GroupSpec>) -> bool {
    if Arc::ptr_eq(a, b) {
        return true;
    }
    let same_kind = match (&a.kind, &b.kind) {
        // The original compares the URL only, and so do we: mode and owner act when the socket is made anew.
        (GroupKind::Fcgi(a), GroupKind::Fcgi(b)) => a.url == b.url,
        (a, b) => a == b,
    };
    same_kind
        && a.name == b.name
        && a.priority == b.priority
        && a.processes.len() == b.processes.len()
        && a.processes
            .iter()
            .zip(&b.processes)
            .all(|(a, b)| same_process(a, b))
}

/// All keys, but a log that is AUTO on one side says nothing: the active side has a made-up path by now.
fn same_process(a: &Arc<ProcessSpec>, b: &Arc<ProcessSpec>) -> bool {
    if a == b {
        return true;
    }
    let auto = |target: &LogTarget| *target == LogTarget::Auto;
    let mut b = ProcessSpec::clone(b);
    if auto(&a.stdout.target) || auto(&b.stdout.target) {
        b.stdout.target = a.stdout.target.clone();
    }
    if auto(&a.stderr.target) || auto(&b.stderr.target) {
        b.stderr.target = a.stderr.target.clone();
    }
    **a == b
}
