//! Warns about limits and privileges that this host or the rights of the daemon do not allow.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::confinement::Confinement;
use super::super::lint::Rule;
use super::super::spec::{DaemonSpec, GroupSpec, KillMode, ProcessSpec, ProgramSpec};
use super::ConfigReader;
use crate::domain::Capabilities;

/// Warns about keys that the kernel refuses to a daemon without the capabilities for them: such a program will not
/// start.
pub(super) fn warn_of_rights(
    reader: &mut ConfigReader<'_>,
    daemon: &DaemonSpec,
    groups: &[Arc<GroupSpec>],
) {
    let is_root = reader.lookup.uid() == 0;
    // A daemon that changes its user at start gives its capabilities up. From then on the kernel denies it even its own
    // files in /proc.
    let gives_up = is_root && daemon.user.as_ref().is_some_and(|user| user.uid != 0);
    let held = match gives_up {
        true => Capabilities::NONE,
        false => reader.lookup.capabilities(),
    };
    if held == Capabilities::ALL {
        return;
    }
    for (program, process) in first_processes(groups) {
        let section = &program.template.section;
        for (key, needed) in privileged(&process.confinement, gives_up, reader) {
            let missing = needed.without(held);
            let text = if missing.is_none() {
                continue;
            } else if is_root && !gives_up {
                format!(
                    "{key} in [{section}] needs {missing}, which supervisord does not have here; the program may fail to start"
                )
            } else {
                format!(
                    "{key} in [{section}] needs privileges that supervisord has only as root; the program may fail to start"
                )
            };
            reader.warn_of_key(Rule::MissingRight, section, key, text);
        }
    }
}

/// Warns about keys that need a cgroup if programs cannot have cgroups on this host, or not with the controller of the
/// key.
pub(super) fn warn_of_cgroups(reader: &mut ConfigReader<'_>, groups: &[Arc<GroupSpec>]) {
    let lookup = reader.lookup;
    let mut missing: BTreeMap<&'static str, Option<String>> = BTreeMap::new();
    let mut why = |controller: &'static str| {
        let known = missing.entry(controller);
        known
            .or_insert_with(|| lookup.no_cgroup(controller))
            .clone()
    };
    for (program, process) in first_processes(groups) {
        let section = &program.template.section;
        let resources = &process.resources;
        let limits = resources.settings().into_iter();
        let mut keys: Vec<(&str, &'static str)> = limits
            .filter(|setting| setting.value.is_some())
            .map(|setting| (setting.key, setting.controller))
            .collect();
        if resources.kill_mode == KillMode::ControlGroup {
            keys.push(("kill_mode", ""));
        }
        for (key, controller) in keys {
            if let Some(why) = why(controller) {
                let text = format!("{key} in [{section}] has no effect on this host: {why}");
                reader.warn_of_key(Rule::MissingRight, section, key, text);
            }
        }
    }
}

/// Each program with its first process.
fn first_processes(
    groups: &[Arc<GroupSpec>],
) -> impl Iterator<Item = (&ProgramSpec, &Arc<ProcessSpec>)> {
    groups.iter().flat_map(|group| {
        group.programs.iter().filter_map(|program| {
            let name = program.members.first()?;
            let mut processes = group.processes.iter();
            let process = processes.find(|process| process.name == *name)?;
            Some((program, process))
        })
    })
}

/// The keys of a program that need capabilities of the daemon, with those capabilities. `gives_up`: the daemon changes
/// its user at start.
fn privileged(
    confinement: &Confinement,
    gives_up: bool,
    reader: &ConfigReader<'_>,
) -> Vec<(&'static str, Capabilities)> {
    // All fields are listed, so that a new one cannot be forgotten.
    let Confinement {
        limits,
        nice,
        oom_score_adj,
        group,
        extra_groups,
        capabilities,
        ambient_capabilities,
        // Any process may give up privileges.
        no_new_privileges: _,
        kill_on_supervisor_exit: _,
    } = confinement;
    let named = |name| Capabilities::named(name).unwrap_or(Capabilities::ALL);
    let beyond = limits
        .iter()
        .filter(|(resource, limit)| {
            reader
                .lookup
                .hard_limit(*resource)
                .is_some_and(|hard| limit.hard > hard)
        })
        .map(|(resource, _)| (resource.key(), named("sys_resource")));
    let others = [
        ("nice", nice.is_some_and(|nice| nice < 0), named("sys_nice")),
        (
            "oom_score_adj",
            oom_score_adj.is_some_and(|score| score < 0 || gives_up),
            named("sys_resource"),
        ),
        ("group", group.is_some(), named("setgid")),
        ("extra_groups", !extra_groups.is_empty(), named("setgid")),
        ("capabilities", capabilities.is_some(), named("setpcap")),
        (
            "ambient_capabilities",
            ambient_capabilities.is_some_and(|set| !set.is_none()),
            ambient_capabilities.unwrap_or_default(),
        ),
    ];
    beyond
        .chain(
            others
                .into_iter()
                .filter(|&(_, needs, _)| needs)
                .map(|(key, _, needed)| (key, needed)),
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::confinement;
    use super::super::super::diff::diff;
    use super::super::super::key::{ConfigKey, SectionKind, ValueKind};
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;
    use super::super::super::problem::ConfigErrors;
    use super::super::super::spec::{Config, InternedDefault as _};
    use super::super::load;
    use super::*;
    use crate::domain::{Limit, Resource, Unit};

    fn read(text: &str) -> Result<Config, ConfigErrors> {
        let machine = Fake::default().with("/etc/s.conf", &format!("[supervisord]\n{text}"));
        load("/etc/s.conf", &DaemonOptions::default(), &machine)
    }

    fn confined(text: &str) -> Arc<Confinement> {
        let config = read(text).expect("valid");
        Arc::clone(&config.groups[0].processes[0].confinement)
    }

    const ALL: &str = "limit_nofile=10:20\nlimit_core=infinity\nlimit_as=1G\nnice=-5\noom_score_adj=-500\ngroup=web\n\
                       extra_groups=me,0\ncapabilities=net_bind_service cap_kill\nambient_capabilities=kill\n\
                       no_new_privileges=true\n";

    #[test]
    fn every_resource_has_a_key_of_its_kind() {
        for resource in Resource::ALL {
            let key = ConfigKey::find(SectionKind::Program, resource.key()).expect("a row");
            let kind = match resource.unit() {
                Unit::Plain => ValueKind::Limit,
                Unit::Bytes => ValueKind::ByteLimit,
                Unit::Nice => ValueKind::NiceLimit,
            };
            assert_eq!(key.kind, kind, "{}", key.name);
        }
        // Limits are compared in this order with those of a daemon of another version.
        let rows = SectionKind::Program.rows().iter().map(|key| key.name);
        let limits = rows.filter(|name| name.starts_with("limit_"));
        assert!(limits.eq(Resource::ALL.map(Resource::key)));
    }

    #[test]
    fn keys_become_values_in_programs_listeners_and_fcgi_programs() {
        let group = |name: &str, gid| confinement::ConfiguredGroup {
            name: name.to_owned(),
            gid,
        };
        let set = |text| confinement::capabilities(text).expect("valid");
        let expected = Confinement {
            limits: vec![
                (Resource::Files, Limit { soft: 10, hard: 20 }),
                (
                    Resource::Core,
                    Limit {
                        soft: Limit::NONE,
                        hard: Limit::NONE,
                    },
                ),
                (
                    Resource::AddressSpace,
                    Limit {
                        soft: 1 << 30,
                        hard: 1 << 30,
                    },
                ),
            ],
            nice: Some(-5),
            oom_score_adj: Some(-500),
            group: Some(group("web", 33)),
            extra_groups: vec![group("me", 1000), group("0", 0)],
            capabilities: Some(set("kill,net_bind_service")),
            ambient_capabilities: Some(set("kill")),
            no_new_privileges: true,
            kill_on_supervisor_exit: false,
        };
        for head in [
            "[program:a]\ncommand=a\n",
            "[eventlistener:a]\ncommand=a\nevents=TICK_5\n",
            "[fcgi-program:a]\ncommand=a\nsocket=tcp://h:1\n",
        ] {
            assert_eq!(*confined(&format!("{head}{ALL}")), expected, "{head}");
        }
    }

    #[test]
    fn a_confinement_is_shared_by_its_processes_and_the_default_by_all() {
        let config = read(
            "[program:a]\ncommand=a\n[program:b]\ncommand=b\nno_new_privileges=no\nextra_groups=\n",
        )
        .expect("valid");
        for group in &config.groups {
            assert!(Arc::ptr_eq(
                &group.processes[0].confinement,
                &Confinement::interned_default()
            ));
        }
        let several = "[program:a]\ncommand=a\nnice=1\nnumprocs=2\nprocess_name=%(process_num)d\n";
        let config = read(several).expect("valid");
        let [one, two] = &config.groups[0].processes[..] else {
            panic!("two");
        };
        assert!(Arc::ptr_eq(&one.confinement, &two.confinement));
        // Deserialized defaults are shared again.
        let text = serde_json::to_string(&config).expect("written");
        assert_eq!(serde_json::from_str::<Config>(&text).expect("read"), config);
        let plain = read("[program:a]\ncommand=a\n").expect("valid");
        let text = serde_json::to_string(&plain).expect("written");
        let back: Config = serde_json::from_str(&text).expect("read");
        assert!(Arc::ptr_eq(
            &back.groups[0].processes[0].confinement,
            &Confinement::interned_default()
        ));
    }

    #[test]
    fn errors_name_their_position_and_the_allowed_values() {
        for (line, told) in [
            (
                "limit_nofile=lots",
                "invalid limit_nofile value 'lots' in section 'program:a' (file: '/etc/s.conf'); limit_nofile takes N \
                 or SOFT:HARD, each a whole number or infinity",
            ),
            (
                "nice=20",
                "20 is above upper bound (19) in section 'program:a' (file: '/etc/s.conf'); nice takes a whole number \
                 from -20 to 19",
            ),
            (
                "group=nosuch",
                "Invalid group name nosuch in section 'program:a' (file: '/etc/s.conf'); group takes the name or \
                 number of a group of this machine",
            ),
            (
                "capabilities=root",
                "unknown capability 'root' in section 'program:a' (file: '/etc/s.conf'); capabilities takes none, all, \
                 or names such as cap_net_bind_service separated by commas or blanks; after ~, all except the named ones",
            ),
            (
                "ambient_capabilities=kill,chown\ncapabilities=chown",
                "capabilities does not allow cap_kill in section 'program:a' (file: '/etc/s.conf'); each ambient capability must also be listed in capabilities",
            ),
        ] {
            let errors = read(&format!("[program:a]\ncommand=a\n{line}\n")).expect_err(line);
            let column = line.find('=').expect("a value") + 2;
            assert_eq!(
                errors.all[0].to_string(),
                format!("/etc/s.conf:4:{column}: {told}")
            );
            assert_eq!(errors.all.len(), 1);
        }
    }

    #[test]
    fn errors_of_our_keys_are_all_reported_after_supervisors() {
        let text = "[program:a]\ncommand=a\nnice=x\noom_score_adj=9999\nno_new_privileges=perhaps\nstartsecs=z\n";
        let errors = read(text).expect_err("bad");
        assert!(
            errors
                .first
                .starts_with("invalid literal for int() with base 10: 'z'")
        );
        assert_eq!(errors.all.len(), 4);
    }

    #[test]
    fn every_key_counts_for_reread() {
        let base = "[program:a]\ncommand=a\nlimit_nofile=1:2\ngroup=web\nextra_groups=web,me\n";
        let groups = |text: &str| read(text).expect("valid").groups;
        for (line, is_change) in [
            ("limit_nofile=1:3", true),
            ("limit_cpu=1", true),
            ("nice=0", true),
            ("oom_score_adj=0", true),
            ("group=me", true),
            ("group=33", false),
            ("extra_groups=web", true),
            ("extra_groups=1000 33", false),
            ("capabilities=all", true),
            ("ambient_capabilities=none", true),
            ("no_new_privileges=true", true),
            ("no_new_privileges=false", false),
        ] {
            let difference = diff(&groups(base), &groups(&format!("{base}{line}\n")));
            assert_eq!(!difference.changed.is_empty(), is_change, "{line}");
        }
    }

    #[test]
    fn settings_that_need_root_give_a_warning_without_root() {
        let notes = |text: &str| -> Vec<String> {
            let config = read(text).expect("valid");
            config.notes.iter().map(ToString::to_string).collect()
        };
        // The fake machine has a hard limit of 4096 for everything.
        let text =
            format!("[program:a]\ncommand=a\n{ALL}numprocs=2\nprocess_name=%(process_num)d\n");
        let expected: Vec<String> = [
            (5, "limit_core"),
            (6, "limit_as"),
            (7, "nice"),
            (8, "oom_score_adj"),
            (9, "group"),
            (10, "extra_groups"),
            (11, "capabilities"),
            (12, "ambient_capabilities"),
        ]
        .map(|(line, key)| {
            let column = key.len() + 2;
            format!(
                "/etc/s.conf:{line}:{column}: {key} in [program:a] needs privileges that supervisord has only as root; the program may fail to start"
            )
        })
        .into();
        assert_eq!(notes(&text), expected);
        let harmless = "[program:a]\ncommand=a\nlimit_nofile=10:4096\nnice=5\noom_score_adj=0\n\
                        ambient_capabilities=none\nno_new_privileges=true\n";
        assert_eq!(notes(harmless), [""; 0]);
    }
    #[test]
    fn root_is_warned_of_the_capabilities_that_it_lacks() {
        let text = format!("[supervisord]\n[program:a]\ncommand=a\n{ALL}");
        let warnings = |uid, held: &str| {
            let machine = Fake {
                uid,
                capabilities: confinement::capabilities(held).expect("valid"),
                ..Fake::default().with("/etc/s.conf", &text)
            };
            let config = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid");
            let warnings = config.warnings.into_iter();
            warnings.map(|one| one.message).collect::<Vec<_>>()
        };
        let tail = "which supervisord does not have here; the program may fail to start";
        assert_eq!(
            warnings(0, "~sys_nice kill"),
            [
                format!("nice in [program:a] needs cap_sys_nice, {tail}"),
                format!("ambient_capabilities in [program:a] needs cap_kill, {tail}"),
            ]
        );
        assert_eq!(warnings(0, "all"), [""; 0]);
        // A service manager can give another user what the keys need.
        let needed = "sys_resource sys_nice setgid setpcap kill";
        assert_eq!(warnings(1000, needed), [""; 0]);
        assert_eq!(warnings(1000, "none").len(), 8);
    }
}
