//! How well a program is confined: a score, and what each key would add. Pure.

use serde::Serialize;

use super::spec::ProcessSpec;
use crate::domain::Capabilities;

/// Capabilities with which a program can become root in other ways.
///
/// # Source
/// capabilities(7); the names in it that give access to the memory, the files or the modules of the whole system.
const ROOT_LIKE: [&str; 12] = [
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_setuid",
    "cap_setgid",
    "cap_setfcap",
    "cap_setpcap",
    "cap_sys_admin",
    "cap_sys_module",
    "cap_sys_ptrace",
    "cap_sys_rawio",
    "cap_mknod",
];

/// Who the daemon is, as far as programs inherit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaemonPrivileges {
    /// Whether the daemon runs as root.
    pub is_root: bool,
}

/// One thing that confines a program.
struct SecurityCheck {
    /// The key that adds it.
    key: &'static str,
    /// A value of the key to begin with.
    example: &'static str,
    /// How many points it gives. The points of all checks are 100 together.
    points: u32,
    /// What the program cannot do with it.
    effect: &'static str,
    is_met: fn(&ProcessSpec, DaemonPrivileges) -> bool,
}

/// All checks, those with the most points first.
const CHECKS: [SecurityCheck; 5] = [
    SecurityCheck {
        key: "user",
        example: "nobody",
        points: 40,
        effect: "it is not root: it cannot change files of others, load modules, or signal other users' processes",
        is_met: |spec, daemon| !is_root(spec, daemon),
    },
    SecurityCheck {
        key: "capabilities",
        example: "cap_net_bind_service",
        points: 20,
        effect: "it and its children have no capability with which they can become root again",
        is_met: has_few_capabilities,
    },
    SecurityCheck {
        key: "no_new_privileges",
        example: "true",
        points: 20,
        effect: "it and its children gain no privileges from setuid programs such as sudo",
        is_met: |spec, _| spec.confinement.no_new_privileges,
    },
    SecurityCheck {
        key: "memory_max",
        example: "1G",
        points: 10,
        effect: "it cannot use up the memory of the host",
        is_met: |spec, _| has_limit(spec, "memory_max"),
    },
    SecurityCheck {
        key: "pids_max",
        example: "512",
        points: 10,
        effect: "it cannot use up the processes of the host",
        is_met: |spec, _| has_limit(spec, "pids_max"),
    },
];

/// What one check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecurityFinding {
    /// The key that confines the program in this way.
    pub key: &'static str,
    /// Whether it is confined in this way.
    pub met: bool,
    /// How many points that gives.
    pub points: u32,
    /// What the program cannot do if it is confined.
    pub effect: &'static str,
    /// A value of the key to begin with.
    pub example: &'static str,
}

/// How well a program is confined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecurityScore {
    /// 0: not at all, 100: in every way that is checked.
    pub score: u32,
    /// All checks, those with the most points first.
    pub checks: Vec<SecurityFinding>,
}

impl SecurityScore {
    /// Returns the score of a program.
    #[must_use]
    pub fn of(spec: &ProcessSpec, daemon: DaemonPrivileges) -> Self {
        let checks: Vec<SecurityFinding> = CHECKS
            .iter()
            .map(|check| SecurityFinding {
                key: check.key,
                met: (check.is_met)(spec, daemon),
                points: check.points,
                effect: check.effect,
                example: check.example,
            })
            .collect();
        let met = checks.iter().filter(|check| check.met);
        Self {
            score: met.map(|check| check.points).sum(),
            checks,
        }
    }
}

/// Whether the program runs as root.
fn is_root(spec: &ProcessSpec, daemon: DaemonPrivileges) -> bool {
    match &spec.user {
        Some(user) => user.uid == 0,
        None => daemon.is_root,
    }
}

/// Whether the program lacks the capabilities that make it root. A user other than root has those that the
/// configuration gives it.
fn has_few_capabilities(spec: &ProcessSpec, daemon: DaemonPrivileges) -> bool {
    let given = match is_root(spec, daemon) {
        true => spec.confinement.capabilities.unwrap_or(Capabilities::ALL),
        false => spec
            .confinement
            .ambient_capabilities
            .unwrap_or(Capabilities::NONE),
    };
    let root_like = ROOT_LIKE
        .iter()
        .filter_map(|name| Capabilities::named(name))
        .fold(Capabilities::NONE, Capabilities::with);
    given.without(root_like) == given
}

/// Whether the cgroup of the program has this limit.
fn has_limit(spec: &ProcessSpec, key: &str) -> bool {
    let settings = spec.resources.settings();
    let mut settings = settings.iter();
    settings.any(|setting| {
        setting.key == key && setting.value.as_deref().is_some_and(|value| value != "max")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::key::{ConfigKey, SectionKind};
    use crate::config::spec::ConfiguredUser;
    use crate::config::testing::program;

    const ROOT: DaemonPrivileges = DaemonPrivileges { is_root: true };
    const USER: DaemonPrivileges = DaemonPrivileges { is_root: false };

    #[test]
    fn the_points_are_a_hundred_and_the_keys_exist() {
        assert_eq!(CHECKS.iter().map(|check| check.points).sum::<u32>(), 100);
        assert!(CHECKS.is_sorted_by_key(|check| std::cmp::Reverse(check.points)));
        for check in &CHECKS {
            assert!(
                ConfigKey::find(SectionKind::Program, check.key).is_some(),
                "{}",
                check.key
            );
        }
        assert!(
            ROOT_LIKE
                .iter()
                .all(|name| Capabilities::named(name).is_some())
        );
    }

    #[test]
    fn each_key_gives_its_points() {
        let score = |change: fn(&mut ProcessSpec), daemon: DaemonPrivileges| {
            let mut spec = program("web", "web");
            change(&mut spec);
            SecurityScore::of(&spec, daemon).score
        };
        let user = |spec: &mut ProcessSpec| {
            spec.user = Some(ConfiguredUser {
                name: "www-data".to_owned(),
                uid: 33,
                gid: None,
            });
        };
        assert_eq!(score(|_| {}, ROOT), 0);
        assert_eq!(score(|_| {}, USER), 60);
        assert_eq!(score(user, ROOT), 60);
        let admin = |spec: &mut ProcessSpec| {
            spec.user = Some(ConfiguredUser {
                name: "www-data".to_owned(),
                uid: 33,
                gid: None,
            });
            Arc::make_mut(&mut spec.confinement).ambient_capabilities =
                Capabilities::named("sys_admin");
        };
        assert_eq!(score(admin, ROOT), 40);
        let port = |spec: &mut ProcessSpec| {
            let confinement = Arc::make_mut(&mut spec.confinement);
            confinement.capabilities = Capabilities::named("net_bind_service");
            confinement.no_new_privileges = true;
        };
        assert_eq!(score(port, ROOT), 40);
    }
}
