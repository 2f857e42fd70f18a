//! Whose rights a process has and what it may use, as the child reads it. Users and groups are looked up here.

use nix::unistd::getresgid;

use crate::config::spec::{Confinement, ProcessSpec, UserRef};
use crate::sys::{Bounds, Ids, Setting, Standing, effective_uid, lookup, own_groups};

/// Whose rights the process has.
pub(super) fn ids(spec: &ProcessSpec) -> Ids {
    let confinement = &spec.confinement;
    let is_joined = confinement.group.is_some() || !confinement.extra_groups.is_empty();
    let Some(user) = &spec.user else {
        return if is_joined {
            joined(confinement, None)
        } else {
            Ids::Keep
        };
    };
    let group = confinement.group.as_ref().map(|group| group.gid);
    // The number of a group in `user` is asked for like one in `group`.
    let is_joined = is_joined || user.gid.is_some();
    match lookup(user.uid, group.or(user.gid), user.gid.is_some()) {
        Ok(Standing::Root(account)) => Ids::Become {
            uid: account.uid,
            gid: account.gid,
            groups: with_extra(account.groups, confinement),
        },
        Ok(Standing::Already(account)) if account.uid == 0 && is_joined => Ids::Joined {
            gid: Some(account.gid),
            groups: Some(with_extra(account.groups, confinement)),
            text: text(confinement, Some(user)),
        },
        // Differs: Supervisor leaves the groups alone when the uid is right already, so that `user=root` under a root
        // daemon with other groups gets those. Without root the groups cannot be set, and stay.
        Ok(Standing::Already(account)) if account.uid == 0 => Ids::Groups {
            gid: account.gid,
            groups: account.groups,
        },
        Ok(Standing::Already(_)) if is_joined => joined(confinement, Some(user)),
        Ok(Standing::Already(_)) => Ids::Keep,
        Err(error) => Ids::Refused {
            uid: user.uid,
            reason: error.to_string(),
        },
    }
}

/// The daemon's user and groups, with those of the keys. What is there already is not asked for, so that it needs no
/// rights.
fn joined(confinement: &Confinement, user: Option<&UserRef>) -> Ids {
    let own = match own_groups() {
        Ok(own) => own,
        Err(error) => {
            return Ids::Refused {
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
        return Ids::Keep;
    }
    Ids::Joined {
        gid,
        groups,
        text: text(confinement, user),
    }
}

/// The daemon's real, effective and saved group is this one.
fn has_group(gid: u32) -> bool {
    getresgid().is_ok_and(|own| {
        [own.real, own.effective, own.saved]
            .iter()
            .all(|own| own.as_raw() == gid)
    })
}

/// Groups with those of `extra_groups` behind them, none twice.
fn with_extra(mut groups: Vec<u32>, confinement: &Confinement) -> Vec<u32> {
    for group in &confinement.extra_groups {
        if !groups.contains(&group.gid) {
            groups.push(group.gid);
        }
    }
    groups
}

/// The keys of groups as configured.
fn text(confinement: &Confinement, user: Option<&UserRef>) -> String {
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

/// What the process may use.
pub(super) fn bounds(spec: &ProcessSpec) -> Bounds {
    // Every field is named, so that a new one cannot be forgotten.
    let Confinement {
        limits,
        nice,
        oom_score_adj,
        group: _,
        extra_groups: _,
        capabilities,
        ambient_capabilities,
        no_new_privileges,
    } = &*spec.confinement;
    let limits = limits.iter().map(|&(resource, limit)| Setting {
        value: (resource, limit),
        text: format!("{}={limit}", resource.key()),
    });
    Bounds {
        limits: limits.collect(),
        nice: nice.map(|nice| Setting {
            value: nice,
            text: format!("nice={nice}"),
        }),
        oom_score_adj: oom_score_adj.map(|score| Setting {
            value: score.to_string(),
            text: format!("oom_score_adj={score}"),
        }),
        bounding: capabilities.map(|set| set.bits()),
        ambient: ambient_capabilities.map(|set| set.bits()),
        no_new_privileges: *no_new_privileges,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::spec;
    use super::*;
    use crate::config::spec::GroupRef;
    use crate::domain::{Capabilities, Limit, Resource};

    fn as_user(uid: Option<u32>, confinement: Confinement) -> Ids {
        let mut spec = spec("/bin/sh", &[]);
        spec.user = uid.map(|uid| UserRef {
            name: "x".to_owned(),
            uid,
            gid: None,
        });
        spec.confinement = Arc::new(confinement);
        ids(&spec)
    }

    fn in_groups(group: Option<u32>, extra: &[u32]) -> Confinement {
        let named = |gid: u32| GroupRef {
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
    fn two_numbers_need_no_entry_and_are_had_or_refused() {
        let with_group = |uid, gid| {
            let mut spec = spec("/bin/sh", &[]);
            spec.user = Some(UserRef {
                name: format!("{uid}:{gid}"),
                uid,
                gid: Some(gid),
            });
            ids(&spec)
        };
        let unknown = u32::MAX - 1;
        if effective_uid() == 0 {
            let (uid, gid, groups) = (unknown, 4712, vec![4712]);
            assert_eq!(with_group(uid, gid), Ids::Become { uid, gid, groups });
            // Its own uid with another group is not taken for its own as a whole.
            assert!(matches!(
                with_group(0, 4712),
                Ids::Joined { gid: Some(4712), text, .. } if text == "user=0:4712"
            ));
        } else {
            assert!(matches!(with_group(unknown, 4712), Ids::Refused { .. }));
        }
    }

    #[test]
    fn users_are_looked_up_with_their_groups() {
        let as_user = |uid| as_user(Some(uid), Confinement::default());
        let unknown = u32::MAX - 1;
        assert_eq!(
            as_user(unknown),
            Ids::Refused {
                uid: unknown,
                reason: format!("Can't find uid {unknown}")
            }
        );
        assert_eq!(ids(&spec("/bin/sh", &[])), Ids::Keep);
        if nix::unistd::getuid().is_root() {
            assert!(matches!(as_user(0), Ids::Groups { gid: 0, groups } if groups[0] == 0));
            assert!(matches!(as_user(1), Ids::Become { uid: 1, gid, groups } if groups[0] == gid));
        } else {
            let reason = "Can't drop privilege as nonroot user".to_owned();
            assert_eq!(as_user(0), Ids::Refused { uid: 0, reason });
        }
    }

    #[test]
    fn extra_groups_are_added_and_a_group_takes_the_place_of_the_users() {
        let own = own_groups().expect("asked");
        let gid = nix::unistd::getgid().as_raw();
        let absent = |from: u32| (from..).find(|id| !own.contains(id) && *id != gid);
        let (absent, other) = (absent(1000).expect("one"), absent(2000).expect("one"));
        let mut more = own.clone();
        more.push(absent);
        assert_eq!(
            as_user(None, in_groups(Some(other), &[absent])),
            Ids::Joined {
                gid: Some(other),
                groups: Some(more),
                text: format!("group=g{other} extra_groups=g{absent}"),
            }
        );
        // What is there already needs no rights.
        assert_eq!(as_user(None, in_groups(Some(gid), &own)), Ids::Keep);
        if !nix::unistd::getuid().is_root() {
            return;
        }
        let Ids::Become { gid: home, .. } = as_user(Some(1), Confinement::default()) else {
            panic!("not another user");
        };
        assert!(![4711, 4712].contains(&home));
        match as_user(Some(1), in_groups(Some(4711), &[4712, 4711])) {
            Ids::Become { uid, gid, groups } => {
                assert_eq!((uid, gid), (1, 4711));
                assert_eq!((groups[0], groups.last()), (4711, Some(&4712)));
                assert!(!groups.contains(&home), "{groups:?}");
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            as_user(Some(0), in_groups(None, &[4711])),
            Ids::Joined { gid: Some(0), groups: Some(groups), .. }
                if groups[0] == 0 && groups.contains(&4711)
        ));
    }

    #[test]
    fn values_are_laid_out_with_the_words_of_the_configuration() {
        let mut spec = spec("/bin/sh", &[]);
        assert_eq!(bounds(&spec), Bounds::default());
        let limit = Limit { soft: 1, hard: 2 };
        spec.confinement = Arc::new(Confinement {
            limits: vec![(Resource::Files, limit)],
            nice: Some(-5),
            oom_score_adj: Some(-17),
            capabilities: Some(Capabilities::NONE),
            ambient_capabilities: Capabilities::named("chown"),
            no_new_privileges: true,
            ..Confinement::default()
        });
        let expected = Bounds {
            limits: vec![Setting {
                value: (Resource::Files, limit),
                text: "limit_nofile=1:2".to_owned(),
            }],
            nice: Some(Setting {
                value: -5,
                text: "nice=-5".to_owned(),
            }),
            oom_score_adj: Some(Setting {
                value: "-17".to_owned(),
                text: "oom_score_adj=-17".to_owned(),
            }),
            bounding: Some(0),
            ambient: Some(1),
            no_new_privileges: true,
        };
        assert_eq!(bounds(&spec), expected);
    }
}
