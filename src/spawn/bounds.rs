//! Translates a process's user, groups, limits and capabilities into the form that the child applies. Looks up users
//! and groups.

use nix::unistd::getresgid;

use crate::config::spec::{ConfiguredUser, Confinement, ProcessSpec};
use crate::sys::{
    ChildBounds, ChildIds, ConfiguredValue, UserSwitch, effective_uid, lookup_user, own_groups,
};

/// The user and groups of the process.
pub(super) fn ids(spec: &ProcessSpec) -> ChildIds {
    let confinement = &spec.confinement;
    let is_joined = confinement.group.is_some() || !confinement.extra_groups.is_empty();
    let Some(user) = &spec.user else {
        return if is_joined {
            joined(confinement, None)
        } else {
            ChildIds::Keep
        };
    };
    let group = confinement.group.as_ref().map(|group| group.gid);
    // A gid in `user` is applied like one in `group`.
    let is_joined = is_joined || user.gid.is_some();
    match lookup_user(user.uid, group.or(user.gid), user.gid.is_some()) {
        Ok(UserSwitch::Root(account)) => ChildIds::Become {
            uid: account.uid,
            gid: account.gid,
            groups: with_extra(account.groups, confinement),
        },
        Ok(UserSwitch::Already(account)) if account.uid == 0 && is_joined => ChildIds::Joined {
            gid: Some(account.gid),
            groups: Some(with_extra(account.groups, confinement)),
            text: text(confinement, Some(user)),
        },
        // Differs: Supervisor does not change the groups if the uid is already right, so with `user=root` under a root
        // daemon a process keeps the daemon's groups. Without root the groups cannot be changed.
        Ok(UserSwitch::Already(account)) if account.uid == 0 => ChildIds::Groups {
            gid: account.gid,
            groups: account.groups,
        },
        Ok(UserSwitch::Already(_)) if is_joined => joined(confinement, Some(user)),
        Ok(UserSwitch::Already(_)) => ChildIds::Keep,
        Err(error) => ChildIds::Refused {
            uid: user.uid,
            reason: error.to_string(),
        },
    }
}

/// The daemon's user and groups, with the groups of the keys. A group that is already set is not requested again, so it
/// needs no privilege.
fn joined(confinement: &Confinement, user: Option<&ConfiguredUser>) -> ChildIds {
    let own = match own_groups() {
        Ok(own) => own,
        Err(error) => {
            return ChildIds::Refused {
                uid: effective_uid(),
                reason: error.to_string(),
            };
        }
    };
    let groups = with_extra(own.clone(), confinement);
    let groups = (groups != own).then_some(groups);
    let group = confinement.group.as_ref().map(|group| group.gid);
    let group = group.or(user.and_then(|user| user.gid));
    let gid = group.filter(|&gid| !has_group(gid));
    if gid.is_none() && groups.is_none() {
        return ChildIds::Keep;
    }
    ChildIds::Joined {
        gid,
        groups,
        text: text(confinement, user),
    }
}

/// Whether the daemon's real, effective and saved gid is this one.
fn has_group(gid: u32) -> bool {
    getresgid().is_ok_and(|own| {
        [own.real, own.effective, own.saved]
            .iter()
            .all(|own| own.as_raw() == gid)
    })
}

/// Adds the groups of `extra_groups`, without repetition.
fn with_extra(mut groups: Vec<u32>, confinement: &Confinement) -> Vec<u32> {
    for group in &confinement.extra_groups {
        if !groups.contains(&group.gid) {
            groups.push(group.gid);
        }
    }
    groups
}

/// The keys for groups as configured.
fn text(confinement: &Confinement, user: Option<&ConfiguredUser>) -> String {
    let mut keys = Vec::new();
    if let Some(user) = user.filter(|user| user.gid.is_some()) {
        keys.push(format!("user={}", user.name));
    }
    if let Some(group) = &confinement.group {
        keys.push(format!("group={}", group.name));
    }
    if !confinement.extra_groups.is_empty() {
        let names: Vec<&str> = confinement
            .extra_groups
            .iter()
            .map(|group| group.name.as_str())
            .collect();
        keys.push(format!("extra_groups={}", names.join(",")));
    }
    keys.join(" ")
}

/// The resource limits and privileges of the process.
pub(super) fn bounds(spec: &ProcessSpec) -> ChildBounds {
    // All fields are listed, so that a new one cannot be forgotten.
    let Confinement {
        limits,
        nice,
        oom_score_adj,
        group: _,
        extra_groups: _,
        capabilities,
        ambient_capabilities,
        no_new_privileges,
        kill_on_supervisor_exit,
    } = &*spec.confinement;
    let limits = limits.iter().map(|&(resource, limit)| ConfiguredValue {
        value: (resource, limit),
        text: format!("{}={limit}", resource.key()),
    });
    ChildBounds {
        limits: limits.collect(),
        nice: nice.map(|nice| ConfiguredValue {
            value: nice,
            text: format!("nice={nice}"),
        }),
        oom_score_adj: oom_score_adj.map(|score| ConfiguredValue {
            value: score.to_string(),
            text: format!("oom_score_adj={score}"),
        }),
        bounding: capabilities.map(|set| set.bits()),
        ambient: ambient_capabilities.map(|set| set.bits()),
        no_new_privileges: *no_new_privileges,
        dies_with: kill_on_supervisor_exit.then(std::process::id),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::spec;
    use super::*;
    use crate::config::spec::ConfiguredGroup;
    use crate::domain::{Capabilities, Limit, Resource};

    fn as_user(uid: Option<u32>, confinement: Confinement) -> ChildIds {
        let mut spec = spec("/bin/sh", &[]);
        spec.user = uid.map(|uid| ConfiguredUser {
            name: "x".to_owned(),
            uid,
            gid: None,
        });
        spec.confinement = Arc::new(confinement);
        ids(&spec)
    }

    fn in_groups(group: Option<u32>, extra: &[u32]) -> Confinement {
        let named = |gid: u32| ConfiguredGroup {
            name: format!("g{gid}"),
            gid,
        };
        Confinement {
            group: group.map(named),
            extra_groups: extra.iter().map(|&gid| named(gid)).collect(),
            ..Confinement::default()
        }
    }

    #[test]
    fn uid_and_gid_without_an_entry_are_used_or_refused() {
        let with_group = |uid, gid| {
            let mut spec = spec("/bin/sh", &[]);
            spec.user = Some(ConfiguredUser {
                name: format!("{uid}:{gid}"),
                uid,
                gid: Some(gid),
            });
            ids(&spec)
        };
        let unknown = u32::MAX - 1;
        if effective_uid() == 0 {
            let (uid, gid, groups) = (unknown, 4712, vec![4712]);
            assert_eq!(with_group(uid, gid), ChildIds::Become { uid, gid, groups });
            // The daemon's own uid with another group is not treated as no change.
            assert!(matches!(
                with_group(0, 4712),
                ChildIds::Joined { gid: Some(4712), text, .. } if text == "user=0:4712"
            ));
        } else {
            assert!(matches!(
                with_group(unknown, 4712),
                ChildIds::Refused { .. }
            ));
        }
    }

    #[test]
    fn users_are_looked_up_with_their_groups() {
        let as_user = |uid| as_user(Some(uid), Confinement::default());
        let unknown = u32::MAX - 1;
        assert_eq!(
            as_user(unknown),
            ChildIds::Refused {
                uid: unknown,
                reason: format!("Can't find uid {unknown}")
            }
        );
        assert_eq!(ids(&spec("/bin/sh", &[])), ChildIds::Keep);
        if nix::unistd::getuid().is_root() {
            assert!(matches!(as_user(0), ChildIds::Groups { gid: 0, groups } if groups[0] == 0));
            assert!(
                matches!(as_user(1), ChildIds::Become { uid: 1, gid, groups } if groups[0] == gid)
            );
        } else {
            let reason = "Can't drop privilege as nonroot user".to_owned();
            assert_eq!(as_user(0), ChildIds::Refused { uid: 0, reason });
        }
    }

    #[test]
    fn extra_groups_are_added_and_group_replaces_the_users_group() {
        let own = own_groups().expect("asked");
        let gid = nix::unistd::getgid().as_raw();
        let absent = |from: u32| (from..).find(|id| !own.contains(id) && *id != gid);
        let (absent, other) = (absent(1000).expect("one"), absent(2000).expect("one"));
        let mut more = own.clone();
        more.push(absent);
        assert_eq!(
            as_user(None, in_groups(Some(other), &[absent])),
            ChildIds::Joined {
                gid: Some(other),
                groups: Some(more),
                text: format!("group=g{other} extra_groups=g{absent}"),
            }
        );
        // A group that is already set needs no privilege.
        assert_eq!(as_user(None, in_groups(Some(gid), &own)), ChildIds::Keep);
        if !nix::unistd::getuid().is_root() {
            return;
        }
        let ChildIds::Become { gid: home, .. } = as_user(Some(1), Confinement::default()) else {
            panic!("not another user");
        };
        assert!(![4711, 4712].contains(&home));
        match as_user(Some(1), in_groups(Some(4711), &[4712, 4711])) {
            ChildIds::Become { uid, gid, groups } => {
                assert_eq!((uid, gid), (1, 4711));
                assert_eq!((groups[0], groups.last()), (4711, Some(&4712)));
                assert!(!groups.contains(&home), "{groups:?}");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            as_user(Some(0), in_groups(None, &[4711])),
            ChildIds::Joined { gid: Some(0), groups: Some(groups), .. }
                if groups[0] == 0 && groups.contains(&4711)
        ));
    }

    #[test]
    fn values_are_listed_with_their_configuration_keys() {
        let mut spec = spec("/bin/sh", &[]);
        assert_eq!(bounds(&spec), ChildBounds::default());
        let limit = Limit { soft: 1, hard: 2 };
        spec.confinement = Arc::new(Confinement {
            limits: vec![(Resource::Files, limit)],
            nice: Some(-5),
            oom_score_adj: Some(-17),
            capabilities: Some(Capabilities::NONE),
            ambient_capabilities: Capabilities::named("chown"),
            no_new_privileges: true,
            kill_on_supervisor_exit: true,
            ..Confinement::default()
        });
        let expected = ChildBounds {
            limits: vec![ConfiguredValue {
                value: (Resource::Files, limit),
                text: "limit_nofile=1:2".to_owned(),
            }],
            nice: Some(ConfiguredValue {
                value: -5,
                text: "nice=-5".to_owned(),
            }),
            oom_score_adj: Some(ConfiguredValue {
                value: "-17".to_owned(),
                text: "oom_score_adj=-17".to_owned(),
            }),
            bounding: Some(0),
            ambient: Some(1),
            no_new_privileges: true,
            dies_with: Some(std::process::id()),
        };
        assert_eq!(bounds(&spec), expected);
    }
}
