//! Resources and rights of programs: sections of a real configuration, and the values that the kernel reports.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use nix::unistd::{User, getegid, geteuid};

use crate::host::Host;
use crate::support::expect;
use crate::support::is_root;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "limits::t09_programs_have_their_configured_limits",
            all_keys,
        ),
        Trial::new("limits::a_refusal_names_its_key", refusal),
        Trial::new(
            "limits::limits_that_need_no_root_work_without_root",
            without_root,
        ),
        Trial::new(
            "limits::a_daemon_that_dropped_root_cannot_lower_oom_score_adj",
            after_root,
        ),
    ]
}

const SLEEP: &str = "command=/bin/sleep 1000\nstartsecs=0\nstartretries=0\nstdout_logfile=NONE\n";

fn proc(pid: i32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
}

/// The rest of the line with this beginning, with one blank between words.
fn line(text: &str, start: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    words.join(" ")
}

/// The nice value of a process.
fn nice(pid: i32) -> String {
    let stat = proc(pid, "stat");
    let rest = stat.rsplit(") ").next().unwrap_or_default();
    rest.split(' ').nth(16).unwrap_or_default().to_owned()
}

/// A nice value that a process of the daemon may set without privileges, as text: `by` above that of this test, which
/// may run under nice(1).
fn nice_above_ours(by: i32) -> Result<String, String> {
    let pid = i32::try_from(std::process::id()).map_err(|e| e.to_string())?;
    let ours: i32 = nice(pid).parse().map_err(|e| format!("nice: {e}"))?;
    Ok((ours + by).min(19).to_string())
}

fn same(what: &str, found: &str, expected: &str) -> Result<(), String> {
    expect(
        found == expected,
        format!("{what} is {found}, not {expected}"),
    )
}

fn all_keys() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let keys = "user=nobody\ngroup=1\nextra_groups=2, 3\nnice=3\noom_score_adj=321\nlimit_nofile=40:50\n\
                limit_core=64K\ncapabilities=cap_net_bind_service kill\nambient_capabilities=net_bind_service\n\
                no_new_privileges=true\n";
    let mut host = Host::start(&format!(
        "[program:a]\n{SLEEP}{keys}[program:b]\n{SLEEP}[eventlistener:l]\nevents=TICK_3600\n{SLEEP}limit_nofile=60\n"
    ))?;
    let daemon = host.daemon()?;
    for name in ["a", "b", "l"] {
        daemon.wait_state(name, "RUNNING")?;
    }
    let pid = daemon.pid_of("a");
    let status = proc(pid, "status");
    same("Uid", &line(&status, "Uid:"), "65534 65534 65534 65534")?;
    same("Gid", &line(&status, "Gid:"), "1 1 1 1")?;
    let groups = line(&status, "Groups:");
    for gid in ["1", "2", "3"] {
        expect(groups.split(' ').any(|group| group == gid), &*groups)?;
    }
    for field in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        same(field, &line(&status, field), "0000000000000400")?;
    }
    same("CapBnd", &line(&status, "CapBnd:"), "0000000000000420")?;
    same("NoNewPrivs", &line(&status, "NoNewPrivs:"), "1")?;
    let limits = proc(pid, "limits");
    same("files", &line(&limits, "Max open files"), "40 50 files")?;
    same(
        "core",
        &line(&limits, "Max core file size"),
        "65536 65536 bytes",
    )?;
    same("oom_score_adj", proc(pid, "oom_score_adj").trim(), "321")?;
    same("nice", &nice(pid), "3")?;
    // A program without these keys has the daemon's values.
    let (own, other) = (daemon.pid(), daemon.pid_of("b"));
    same("nice", &nice(other), &nice(own))?;
    for file in ["oom_score_adj", "status"] {
        let pick = |text: String| match file {
            "status" => line(&text, "CapBnd:"),
            _ => text,
        };
        same(file, &pick(proc(other, file)), &pick(proc(own, file)))?;
    }
    let files = line(&proc(daemon.pid_of("l"), "limits"), "Max open files");
    same("a listener's files", &files, "60 60 files")?;

    let changed = keys.replace("=40:50", "=41:50");
    host.configure(&format!(
        "[program:a]\n{SLEEP}{changed}[program:b]\n{SLEEP}[eventlistener:l]\nevents=TICK_3600\n{SLEEP}limit_nofile=60\n"
    ))?;
    let said = host.ctl(&["reread"])?;
    same("reread", &said.stdout, "a: changed\n")?;
    host.expect_ctl(&["update"], 0, &["a: updated process group\n"])?;
    let daemon = host.daemon()?;
    daemon.wait_state("a", "RUNNING")?;
    expect(daemon.pid_of("b") == other, "b is another process")?;
    let files = line(&proc(daemon.pid_of("a"), "limits"), "Max open files");
    same("files", &files, "41 50 files")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn refusal() -> Result<Outcome, String> {
    // More than the kernel allows anybody.
    let mut host = Host::start(&format!(
        "[program:a]\n{SLEEP}startsecs=1\nlimit_nofile=9223372036854775807\nstderr_logfile={{dir}}/err.log\n\
         [program:b]\n{SLEEP}"
    ))?;
    host.daemon()?.wait_state("a", "FATAL")?;
    host.daemon()?.wait_state("b", "RUNNING")?;
    host.wait_file(
        "err.log",
        "supervisor: couldn't set limit_nofile=9223372036854775807: EPERM, needs CAP_SYS_RESOURCE, and at most \
         fs.nr_open\nsupervisor: child process was not spawned\n",
    )?;
    host.wait_file("log", "exited: a (exit status 127; not expected)")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn without_root() -> Result<Outcome, String> {
    let nobody = User::from_name("nobody").ok().flatten();
    let (uid, gid) = match (is_root(), nobody) {
        (false, _) => (geteuid().as_raw(), getegid().as_raw()),
        (true, Some(nobody)) => (nobody.uid.as_raw(), nobody.gid.as_raw()),
        (true, None) => return Ok(Outcome::Skipped("there is no user nobody".to_owned())),
    };
    let log = |name: &str| format!("stderr_logfile={{dir}}/{name}.log\n");
    let own_nice = nice_above_ours(7)?;
    let mut host = Host::new(&format!(
        "[program:own]\n{SLEEP}stderr_logfile=NONE\ngroup={gid}\nnice={own_nice}\noom_score_adj=777\nlimit_nofile=44\n\
         no_new_privileges=true\n\
         [program:group]\n{SLEEP}startsecs=1\ngroup=0\n{}\
         [program:nice]\n{SLEEP}startsecs=1\nnice=-9\n{}\
         [program:bound]\n{SLEEP}startsecs=1\ncapabilities=none\n{}\
         [program:ambient]\n{SLEEP}startsecs=1\nambient_capabilities=cap_sys_admin\n{}",
        log("group"),
        log("nice"),
        log("bound"),
        log("ambient"),
    ))?;
    std::fs::set_permissions(host.place.path(), std::fs::Permissions::from_mode(0o777))
        .map_err(|e| e.to_string())?;
    host.go_with(|command| {
        if is_root() {
            command.uid(uid).gid(gid);
        }
    })?;
    let told = host.place.read("log");
    for what in [
        "group in [program:own]",
        "group in [program:group]",
        "nice in [program:nice]",
        "capabilities in [program:bound]",
        "ambient_capabilities in [program:ambient]",
    ] {
        let text = format!("{what} needs privileges that supervisord has only as root");
        expect(told.contains(&text), format!("{text}: {told}"))?;
    }
    let daemon = host.daemon()?;
    daemon.wait_state("own", "RUNNING")?;
    let pid = daemon.pid_of("own");
    same("nice", &nice(pid), &own_nice)?;
    same("oom_score_adj", proc(pid, "oom_score_adj").trim(), "777")?;
    same(
        "files",
        &line(&proc(pid, "limits"), "Max open files"),
        "44 44 files",
    )?;
    same(
        "NoNewPrivs",
        &line(&proc(pid, "status"), "NoNewPrivs:"),
        "1",
    )?;
    for (name, what) in [
        ("group", "set group=0: EPERM, needs CAP_SETGID"),
        (
            "nice",
            "set nice=-9: EACCES, needs CAP_SYS_NICE or a higher limit_nice",
        ),
        ("bound", "drop cap_chown (capabilities): EPERM"),
        (
            "ambient",
            "grant cap_sys_admin (ambient_capabilities): EPERM",
        ),
    ] {
        daemon.wait_state(name, "FATAL")?;
        host.wait_file(
            &format!("{name}.log"),
            &format!("supervisor: couldn't {what}\n"),
        )?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The kernel hides /proc of a process that has given up root from other processes and from the process itself.
fn after_root() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let nice = nice_above_ours(2)?;
    let mut host = Host::new(&format!(
        "[supervisord]\nuser=nobody\n[program:a]\n{SLEEP}startsecs=1\noom_score_adj=500\nstderr_logfile={{dir}}/a.log\n\
         [program:b]\n{SLEEP}stderr_logfile=NONE\nnice={nice}\n"
    ))?;
    std::fs::set_permissions(host.place.path(), Permissions::from_mode(0o777))
        .map_err(|e| e.to_string())?;
    let checked = host.run(&["--check", "-c", "conf"])?;
    let told = format!("{}{}", checked.stdout, checked.stderr);
    let text = "oom_score_adj in [program:a] needs privileges that supervisord has only as root";
    expect(told.contains(text), format!("{checked:?}"))?;
    expect(!told.contains("[program:b]"), format!("{checked:?}"))?;
    expect(checked.code == 0, format!("{checked:?}"))?;
    host.go()?;
    host.daemon()?.wait_state("b", "RUNNING")?;
    host.daemon()?.wait_state("a", "FATAL")?;
    host.wait_file(
        "a.log",
        "supervisor: couldn't set oom_score_adj=500: EACCES, its file belongs to root because supervisord dropped root\n",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
