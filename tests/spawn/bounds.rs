//! Resource limits and privileges of real processes, as the kernel reports them.

use supervisord::domain::Capabilities;
use supervisord::sys::{ChildBounds, ConfiguredValue, get_limit};

use super::*;

const NOBODY: u32 = 65534;
/// For each resource a limit that every machine allows if its hard limit does.
const LIMITS: [(Resource, &str, u64); 16] = [
    (Resource::Files, "Max open files", 77),
    (Resource::Processes, "Max processes", 5000),
    (Resource::Core, "Max core file size", 0),
    (Resource::AddressSpace, "Max address space", 3 << 30),
    (Resource::LockedMemory, "Max locked memory", 8192),
    (Resource::Stack, "Max stack size", 4 << 20),
    (Resource::Processor, "Max cpu time", 100),
    (Resource::FileSize, "Max file size", 1 << 20),
    (Resource::Data, "Max data size", 1 << 30),
    (Resource::Resident, "Max resident set", 1 << 30),
    (Resource::RealTimePriority, "Max realtime priority", 3),
    (Resource::RealTimeTime, "Max realtime timeout", 1_000_000),
    (Resource::Nice, "Max nice priority", 5),
    (Resource::PendingSignals, "Max pending signals", 99),
    (Resource::MessageQueues, "Max msgqueue size", 4096),
    (Resource::Locks, "Max file locks", 44),
];

fn setting<T>(value: T, text: &str) -> ConfiguredValue<T> {
    ConfiguredValue {
        value,
        text: text.to_owned(),
    }
}

fn bit(name: &str) -> u64 {
    Capabilities::named(name).expect("known").bits()
}

/// A capability set in a text of /proc/PID/status.
fn set(status: &str, field: &str) -> u64 {
    u64::from_str_radix(&super::field(status, field), 16).expect("hexadecimal")
}

/// Whether this process has a capability.
fn can(capability: &str) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    set(&status, "CapEff") & bit(capability) != 0
}

fn nobody() -> ChildIds {
    ChildIds::Become {
        uid: NOBODY,
        gid: NOBODY,
        groups: vec![NOBODY],
    }
}

/// A process that prints its own /proc/PID/status.
fn shows_itself(ids: ChildIds, bounds: ChildBounds) -> RawPlan {
    let mut plan = plan(&["/bin/cat", "/proc/self/status"]);
    plan.ids = ids;
    plan.bounds = bounds;
    plan
}

fn shown(spawner: &mut Spawner, plan: &RawPlan) -> String {
    let (out, err, status) = start(spawner, plan).finish();
    assert_eq!((err.as_str(), status), ("", ExitStatus::Exited(0)));
    out
}

#[test]
fn every_limit_is_set_and_grandchildren_have_it() {
    let _turn = turn();
    let wanted: Vec<(Resource, &str, Limit)> = LIMITS
        .iter()
        .map(|&(resource, name, number)| {
            let found = get_limit(resource).expect("limit");
            let hard = found.hard.min(number);
            let soft = hard - hard / 4;
            (resource, name, Limit { soft, hard })
        })
        .collect();
    assert_eq!(wanted.len(), Resource::ALL.len());
    let mut plan = shell("/bin/cat /proc/self/limits; exit 0");
    plan.bounds.limits = wanted
        .iter()
        .map(|&(resource, _, limit)| setting((resource, limit), ""))
        .collect();
    for table in TABLES {
        let mut spawner = Spawner::with_table(table).expect("spawner");
        let before = LIMITS.map(|(resource, ..)| get_limit(resource).expect("limit"));
        let out = shown(&mut spawner, &plan);
        for (_, name, limit) in &wanted {
            let line = out.lines().find(|line| line.starts_with(name));
            let line = line.unwrap_or_else(|| panic!("{name}: {out}"));
            let mut words = line[name.len()..].split_whitespace();
            let [soft, hard] = [limit.soft, limit.hard].map(|number| number.to_string());
            assert_eq!(
                (words.next(), words.next()),
                (Some(&*soft), Some(&*hard)),
                "{table:?} {line}"
            );
        }
        let after = LIMITS.map(|(resource, ..)| get_limit(resource).expect("limit"));
        assert_eq!(before, after, "our own values stay");
    }
}

/// The child shares our memory, and the kernel has one OOM score for all processes that share memory.
#[test]
fn nice_and_oom_score_adj_change_only_the_child() {
    // The shell reads the files itself, because a new program would need more descriptors than the limit allows.
    const SCRIPT: &str = "read score </proc/self/oom_score_adj
        read a b c d e f g h i j k l m n o p q r nice rest </proc/self/stat
        echo $score $nice; ulimit -Sn";
    let _turn = turn();
    let own_score = || std::fs::read_to_string("/proc/self/oom_score_adj").expect("score");
    let own: i32 = own_score().trim().parse().expect("number");
    let score = (own + 123).min(1000).to_string();
    let mut plan = shell(SCRIPT);
    plan.bounds.nice = Some(setting(7, ""));
    plan.bounds.oom_score_adj = Some(setting(score.clone(), ""));
    for table in TABLES {
        // A shell moves descriptors to 10 and above.
        let few = Limit { soft: 11, hard: 12 };
        plan.bounds.limits = vec![setting((Resource::Files, few), "")];
        let mut spawner = Spawner::with_table(table).expect("spawner");
        let before = (own_score(), nice_of("self"), nice_of("thread-self"));
        let out = shown(&mut spawner, &plan);
        assert_eq!(out, format!("{score} 7\n11\n"), "{table:?}");
        let after = (own_score(), nice_of("self"), nice_of("thread-self"));
        assert_eq!(before, after, "our own values stay");
        // With room for only three descriptors the score is still written. The program then fails to load its
        // libraries, and reports that itself.
        let none = Limit { soft: 3, hard: 3 };
        plan.bounds.limits = vec![setting((Resource::Files, none), "")];
        let (_, err, _) = start(&mut spawner, &plan).finish();
        assert!(!err.contains("supervisor: couldn't"), "{err}");
    }
}

fn nice_of(pid: &str) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let rest = stat.rsplit(") ").next().expect("after the name");
    rest.split(' ').nth(16).expect("field").to_owned()
}

#[test]
fn lower_values_need_a_capability() {
    let _turn = turn();
    let mut plan = shell("cat /proc/self/oom_score_adj; cut -d' ' -f19 /proc/self/stat; exit 0");
    let mut spawner = Spawner::new().expect("spawner");
    plan.bounds.nice = Some(setting(-7, "nice=-7"));
    let (out, err, _) = start(&mut spawner, &plan).finish();
    if can("sys_nice") {
        assert!(out.ends_with("\n-7\n"), "{out} {err}");
    } else {
        let missing = "set nice=-7: EACCES, needs CAP_SYS_NICE or a higher limit_nice";
        assert_eq!(err, refused(missing));
    }
    plan.bounds.nice = None;
    plan.bounds.oom_score_adj = Some(setting("-999".to_owned(), "oom_score_adj=-999"));
    let (out, err, _) = start(&mut spawner, &plan).finish();
    if can("sys_resource") {
        assert!(out.starts_with("-999\n"), "{out} {err}");
    } else {
        let missing = "set oom_score_adj=-999: EACCES, needs CAP_SYS_RESOURCE";
        assert_eq!(err, refused(missing));
    }
    plan.bounds.oom_score_adj = None;
    let beyond = Limit {
        soft: 1,
        hard: i64::MAX as u64,
    };
    let text = "limit_nofile=1:9223372036854775807";
    plan.bounds.limits = vec![setting((Resource::Files, beyond), text)];
    let (_, err, _) = start(&mut spawner, &plan).finish();
    // No process gets a limit above fs.nr_open.
    let missing = format!("set {text}: EPERM, needs CAP_SYS_RESOURCE, and at most fs.nr_open");
    assert_eq!(err, refused(&missing));
}

fn refused(what: &str) -> String {
    format!("supervisor: couldn't {what}\nsupervisor: child process was not spawned\n")
}

#[test]
fn failures_name_the_key_and_exit_with_127() {
    let _turn = turn();
    let with = |change: fn(&mut RawPlan)| {
        let mut plan = plan(&["/bin/cat"]);
        change(&mut plan);
        plan
    };
    let mut table = vec![
        (
            with(|plan| {
                let upside_down = Limit { soft: 9, hard: 8 };
                plan.bounds.limits =
                    vec![setting((Resource::Files, upside_down), "limit_nofile=9:8")];
            }),
            "set limit_nofile=9:8: EINVAL",
        ),
        (
            with(|plan| plan.bounds.oom_score_adj = Some(setting("x".into(), "oom_score_adj=x"))),
            "set oom_score_adj=x: EINVAL",
        ),
        (
            with(|plan| plan.bounds.ambient = Some(1 << 50)),
            "grant a capability without a name (ambient_capabilities): EPERM",
        ),
    ];
    let joined = |gid: Option<u32>, groups: Option<Vec<u32>>| {
        let mut plan = plan(&["/bin/cat"]);
        plan.ids = ChildIds::Joined {
            gid,
            groups,
            text: "group=x extra_groups=y".into(),
        };
        plan
    };
    if can("setgid") {
        let text = "set group=x extra_groups=y: EINVAL";
        table.push((joined(Some(u32::MAX), None), text));
        table.push((joined(None, Some(vec![u32::MAX])), text));
    } else {
        let text = "set group=x extra_groups=y: EPERM, needs CAP_SETGID";
        table.push((joined(Some(0), None), text));
        table.push((joined(None, Some(vec![0])), text));
    }
    if !can("setpcap") {
        let text = "drop cap_chown (capabilities): EPERM";
        table.push((with(|plan| plan.bounds.bounding = Some(0)), text));
    }
    for kind in TABLES {
        let mut spawner = Spawner::with_table(kind).expect("spawner");
        for (plan, what) in &table {
            let (out, err, status) = start(&mut spawner, plan).finish();
            assert_eq!((out.as_str(), err), ("", refused(what)), "{kind:?}");
            assert_eq!(status, ExitStatus::Exited(127), "{kind:?} {what}");
        }
    }
}

#[test]
fn configured_groups_are_set() {
    let _turn = turn();
    let mut spawner = Spawner::new().expect("spawner");
    // The process's own group needs no privilege.
    let own = nix::unistd::getgid().as_raw();
    let joined = |gid, groups| ChildIds::Joined {
        gid,
        groups,
        text: String::new(),
    };
    let out = shown(
        &mut spawner,
        &shows_itself(joined(Some(own), None), ChildBounds::default()),
    );
    assert_eq!(
        super::field(&out, "Gid"),
        format!("{own} {own} {own} {own}")
    );
    if !is_root() {
        return;
    }
    let plan = shows_itself(joined(Some(7), Some(vec![0, 4])), ChildBounds::default());
    let out = shown(&mut spawner, &plan);
    assert_eq!(super::field(&out, "Uid"), "0 0 0 0");
    assert_eq!(super::field(&out, "Gid"), "7 7 7 7");
    assert_eq!(super::field(&out, "Groups"), "0 4");
}

#[test]
fn root_has_only_the_bounding_set() {
    let _turn = turn();
    if !is_root() {
        return;
    }
    let own = std::fs::read_to_string("/proc/self/status").expect("status");
    let allowed = bit("kill") | bit("net_bind_service");
    let bounds = ChildBounds {
        bounding: Some(allowed),
        ..ChildBounds::default()
    };
    for table in TABLES {
        let mut spawner = Spawner::with_table(table).expect("spawner");
        let out = shown(&mut spawner, &shows_itself(ChildIds::Keep, bounds.clone()));
        for field in ["CapBnd", "CapPrm", "CapEff"] {
            assert_eq!(set(&out, field), allowed & set(&own, "CapBnd"), "{field}");
        }
        assert_eq!((set(&out, "CapInh"), set(&out, "CapAmb")), (0, 0));
        assert_eq!(super::field(&out, "NoNewPrivs"), "0");
        let now = std::fs::read_to_string("/proc/self/status").expect("status");
        for field in ["CapBnd", "CapPrm", "CapEff", "CapInh"] {
            assert_eq!(
                set(&now, field),
                set(&own, field),
                "our own values stay: {field}"
            );
        }
    }
}

#[test]
fn nobody_has_only_the_ambient_capability() {
    let _turn = turn();
    if !is_root() {
        return;
    }
    let bind = bit("net_bind_service");
    for (bounding, no_new_privileges) in [(None, false), (Some(bind), true)] {
        let bounds = ChildBounds {
            bounding,
            ambient: Some(bind),
            no_new_privileges,
            ..ChildBounds::default()
        };
        for table in TABLES {
            let mut spawner = Spawner::with_table(table).expect("spawner");
            // Through a shell, to check that programs that it executes have the capability too.
            let mut plan = shell("cat /proc/self/status; exit 0");
            plan.ids = nobody();
            plan.bounds = bounds.clone();
            let out = shown(&mut spawner, &plan);
            assert_eq!(super::field(&out, "Uid"), "65534 65534 65534 65534");
            for field in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
                assert_eq!(set(&out, field), bind, "{table:?} {field}");
            }
            if let Some(bounding) = bounding {
                assert_eq!(set(&out, "CapBnd"), bounding);
            }
            let nnp = u8::from(no_new_privileges).to_string();
            assert_eq!(super::field(&out, "NoNewPrivs"), nnp);
        }
    }
}

/// Tries the privileged actions, because the reported sets alone prove nothing.
#[test]
fn nobody_binds_a_low_port_with_an_ambient_capability_and_nothing_more() {
    const ACTIONS: &str = "
import os, socket
def tried(name, action):
    try:
        action()
        print(name, 'done')
    except OSError:
        print(name, 'refused')
def bind():
    for port in range(80, 1024):
        try:
            socket.create_server(('127.0.0.1', port)).close()
            return
        except PermissionError:
            raise
        except OSError:
            pass
tried('bind', bind)
tried('read', lambda: open('/etc/shadow').read())
tried('setuid', lambda: os.setuid(0))
tried('setgid', lambda: os.setgid(0))
tried('chroot', lambda: os.chroot('/'))
tried('nice', lambda: os.nice(-5))
tried('kill', lambda: os.kill(1, 0))
";
    let _turn = turn();
    if !is_root() {
        return;
    }
    let mut spawner = Spawner::new().expect("spawner");
    let mut actions = plan(&["/usr/bin/python3", "-c", ACTIONS]);
    actions.ids = nobody();
    let without = shown(&mut spawner, &actions);
    actions.bounds.ambient = Some(bit("net_bind_service"));
    let with = shown(&mut spawner, &actions);
    let others = ["read", "setuid", "setgid", "chroot", "nice", "kill"]
        .map(|name| format!("{name} refused\n"))
        .concat();
    assert_eq!(with, format!("bind done\n{others}"));
    let start = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if start.is_ok_and(|start| start.trim() == "1024") {
        assert_eq!(without, format!("bind refused\n{others}"));
    }
}

#[test]
fn a_setuid_program_gains_only_the_bounding_set_and_nothing_with_no_new_privileges() {
    use std::os::unix::fs::PermissionsExt;
    let _turn = turn();
    if !is_root() {
        return;
    }
    let home = std::env::temp_dir().join(format!("supervisord-setuid-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("directory");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).expect("mode");
    let cat = home.join("cat");
    std::fs::copy("/bin/cat", &cat).expect("copied");
    std::fs::set_permissions(&cat, PermissionsExt::from_mode(0o4755)).expect("mode");
    let mut spawner = Spawner::new().expect("spawner");
    let mut run = |bounds: ChildBounds| {
        let mut plan = shell(&format!("{} /proc/self/status; exit 0", cat.display()));
        plan.ids = nobody();
        plan.bounds = bounds;
        let out = shown(&mut spawner, &plan);
        (super::field(&out, "Uid"), set(&out, "CapEff"))
    };
    let plain = run(ChildBounds::default());
    let bounded = run(ChildBounds {
        bounding: Some(bit("kill")),
        ..ChildBounds::default()
    });
    let nothing = run(ChildBounds {
        no_new_privileges: true,
        ..ChildBounds::default()
    });
    std::fs::remove_dir_all(&home).expect("removed");
    if plain.0 != "65534 0 0 0" {
        eprintln!("skipped: setuid means nothing where temporary files are");
        return;
    }
    assert_ne!(plain.1 & !bit("kill"), 0, "without bounds it has more");
    assert_eq!(bounded, ("65534 0 0 0".to_owned(), bit("kill")));
    assert_eq!(nothing, ("65534 65534 65534 65534".to_owned(), 0));
}

/// The tests above check the errors of a daemon without root.
#[test]
fn all_limits_hold_for_another_user() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let _turn = turn();
    if !is_root() {
        return;
    }
    // Other users may have no access to the directory of this file.
    let home = std::env::temp_dir().join(format!("supervisord-nobody-{}", std::process::id()));
    std::fs::create_dir_all(&home).expect("directory");
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).expect("mode");
    let copy = home.join("spawn");
    std::fs::copy(std::env::current_exe().expect("name"), &copy).expect("copied");
    let done = std::process::Command::new(&copy)
        .arg("bounds::")
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .expect("run");
    std::fs::remove_dir_all(&home).expect("removed");
    let out = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{out}");
    assert!(
        out.contains("failures_name_the_key_and_exit_with_127 ... ok"),
        "{out}"
    );
}
