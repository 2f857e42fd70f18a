//! Programs that depend on others, with real processes.

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::programs;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "dependencies::g29_a_program_starts_after_what_it_needs",
            start_order,
        ),
        Trial::new("dependencies::g29_a_failed_dependency_is_named", failure),
        Trial::new("dependencies::g29_redis_is_up_before_its_client", redis),
        Trial::new("dependencies::g30_check_prints_the_chain", errors),
        Trial::new("dependencies::g31_stop_is_the_reverse", stop_order),
        Trial::new("dependencies::g31_options_of_start_and_stop", options),
        Trial::new("dependencies::g71_a_sonic_file_starts_in_its_order", sonic),
        Trial::new("dependencies::waiting_survives_an_upgrade", upgrade),
        Trial::new("dependencies::an_update_keeps_the_order", update),
        Trial::new(
            "dependencies::g29_priorities_order_who_needs_nobody",
            priorities,
        ),
        Trial::new(
            "dependencies::g29_a_dependency_removed_by_an_update_is_named",
            removed,
        ),
        Trial::new(
            "dependencies::g29_a_dependency_that_is_never_ready_delays_nobody_else",
            never_ready,
        ),
        Trial::new("dependencies::g29_a_scaled_program_means_all_of_it", scaled),
    ]
}

const QUIET: &str = "stdout_logfile=NONE\nstderr_logfile=NONE\n";

/// A script that appends its name to `order` when it stops.
const SLOW: &str = "trap 'echo $1 >> order; exit 0' TERM\nwhile :; do sleep 0.05; done\n";

/// The programs in the order in which they were spawned.
fn spawned(host: &Host) -> Vec<String> {
    let log = host.place.read("log");
    let names = log.lines().filter_map(|line| {
        let (_, rest) = line.split_once("spawned: '")?;
        rest.split_once('\'').map(|(name, _)| name.to_owned())
    });
    names.collect()
}

fn expect_order(host: &Host, expected: &[&str]) -> Result<(), String> {
    let found = spawned(host);
    expect(
        found == expected,
        format!("{found:?} instead of {expected:?}"),
    )
}

fn wait_status(host: &Host, name: &str, text: &str) -> Result<(), String> {
    let mut last = String::new();
    wait_for(&format!("{name} is {text:?}"), LIMIT, || {
        last = host
            .ctl(&["status", name])
            .map(|done| done.stdout)
            .unwrap_or_default();
        last.contains(text)
    })
    .map_err(|why| format!("{why} ({last:?}); log:\n{}", host.log_end()))
}

fn start_order() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:web]\ncommand=/bin/sleep 1000\ndepends_on=db, migrate:exited-ok\npriority=1\n{QUIET}\
         [program:migrate]\ncommand=/bin/true\nstartsecs=0\nautorestart=false\nautostart=false\n\
         depends_on=db:ready\npriority=5\n{QUIET}\
         [program:db]\ncommand={{test_child}} wait {{dir}}/go newline 3 forever\nready_fd=3\n{QUIET}"
    ))?;
    wait_status(
        &host,
        "web",
        "STOPPED   waiting for db (STARTING), migrate (waiting)",
    )?;
    wait_status(&host, "migrate", "STOPPED   waiting for db (STARTING)")?;
    host.expect_ctl(
        &["critical-chain"],
        0,
        &["migrate waiting for db (STARTING)", "`-db @"],
    )?;
    host.place.write("go", "")?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    expect_order(&host, &["db", "migrate", "web"])?;
    host.expect_ctl(
        &["graph"],
        0,
        &["web  RUNNING\n|-db  RUNNING  (up)\n`-migrate  EXITED  (exited-ok)\n  `-db  RUNNING  (ready)\n"],
    )?;
    host.expect_ctl(
        &["graph", "-o", "dot"],
        0,
        &["\"web\" -> \"migrate\" [label=\"exited-ok\"];"],
    )?;
    host.expect_ctl(
        &["graph", "-o", "json", "db"],
        0,
        &["\"namespec\":\"db\"", "\"state\":\"RUNNING\""],
    )?;
    host.expect_ctl(&["critical-chain", "web"], 0, &["web @", " +"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn failure() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:web]\ncommand=/bin/sleep 1000\nautostart=false\ndepends_on=api\n{QUIET}\
         [program:api]\ncommand=/bin/sleep 1000\nautostart=false\ndepends_on=db\n{QUIET}\
         [program:db]\ncommand=/bin/false\nautostart=false\nstartretries=0\n{QUIET}"
    ))?;
    host.expect_ctl(
        &["start", "web"],
        7,
        &["web: ERROR (abnormal termination: dependency api is STOPPED: dependency db is FATAL: Exited too quickly"],
    )?;
    wait_status(
        &host,
        "web",
        "STOPPED   dependency api is STOPPED: dependency db is FATAL",
    )?;
    host.expect_ctl(&["status", "db"], 3, &["FATAL"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A real server: its client starts when the server has been up for `startsecs`, and finds it answering.
fn redis() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    let Some(program) = programs::redis(&host)? else {
        return Ok(Outcome::Skipped("redis-server is not installed".to_owned()));
    };
    host.configure(&format!(
        "{}\n[program:client]\ncommand=/bin/sleep 1000\ndepends_on={}\npriority=1\n{QUIET}",
        program.section, program.name
    ))?;
    host.go()?;
    host.daemon()?.wait_state("client", "RUNNING")?;
    expect(program.answers(), "redis does not answer")?;
    expect_order(&host, &[program.name, "client"])?;
    host.expect_ctl(
        &["stop", program.name],
        0,
        &[
            "redis: stopped",
            "redis: note: client is still running and depends on it",
        ],
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn errors() -> Result<Outcome, String> {
    let host = Host::new("")?;
    host.place.write(
        "bad.conf",
        "[supervisord]\n[program:a]\ncommand=a\ndepends_on=base\n[program:base]\ncommand=b\ndepends_on=a\n\
         [program:c]\ncommand=c\ndepends_on=bass\n[program:d]\ncommand=d\ndepends_on=d\n",
    )?;
    let got = host.run(&["--check", "-c", "bad.conf"])?;
    let text = format!("{}{}", got.stdout, got.stderr);
    for expected in [
        "bad.conf:4:12",
        "dependencies form a cycle: a (bad.conf:4) -> base (bad.conf:7) -> a",
        "bad.conf:10:12",
        "depends_on in [program:c] names unknown program or group bass",
        "write base",
        "bad.conf:13:12",
        "d depends on itself: d (bad.conf:13) -> d",
    ] {
        expect(
            text.contains(expected),
            format!("no {expected:?} in {text}"),
        )?;
    }
    expect(got.code == 2, format!("{got:?}"))?;
    Ok(Outcome::Passed)
}

/// Three programs of which each depends on the next; by priority alone they would stop in the wrong order.
fn chain() -> String {
    format!(
        "[program:web]\ncommand=/bin/sh {{dir}}/slow.sh web\ndirectory={{dir}}\npriority=1\ndepends_on=api\n{QUIET}\
         [program:api]\ncommand=/bin/sh {{dir}}/slow.sh api\ndirectory={{dir}}\npriority=5\ndepends_on=db\n{QUIET}\
         [program:db]\ncommand=/bin/sh {{dir}}/slow.sh db\ndirectory={{dir}}\npriority=900\n{QUIET}"
    )
}

fn stop_order() -> Result<Outcome, String> {
    let mut host = Host::new(&chain())?;
    host.place.write("slow.sh", SLOW)?;
    host.go()?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    host.expect_ctl(
        &["stop", "all"],
        0,
        &["web: stopped", "api: stopped", "db: stopped"],
    )?;
    let order = host.place.read("order");
    expect(order == "web\napi\ndb\n", format!("stop all: {order:?}"))?;
    host.expect_ctl(&["start", "all"], 0, &["web: started"])?;
    host.place.write("order", "")?;
    let daemon = host.daemon()?;
    daemon.signal(Signal::SIGTERM);
    wait_for("everything has stopped", LIMIT, || {
        host.place.read("order").lines().count() == 3
    })?;
    let order = host.place.read("order");
    expect(order == "web\napi\ndb\n", format!("shutdown: {order:?}"))?;
    Ok(Outcome::Passed)
}

fn options() -> Result<Outcome, String> {
    let mut host = Host::new(&chain())?;
    host.place.write("slow.sh", SLOW)?;
    host.go()?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    host.expect_ctl(
        &["stop", "db"],
        0,
        &["db: stopped\ndb: note: api is still running and depends on it (stop --with-dependents stops it first)\n"],
    )?;
    expect(host.daemon()?.state("api") == "RUNNING", "api is down")?;
    host.expect_ctl(&["start", "db"], 0, &["db: started"])?;
    host.place.write("order", "")?;
    host.expect_ctl(
        &["stop", "--with-dependents", "api"],
        0,
        &["web: stopped", "api: stopped"],
    )?;
    expect(
        host.place.read("order") == "web\napi\n",
        host.place.read("order"),
    )?;
    host.expect_ctl(&["stop", "db"], 0, &["db: stopped"])?;
    host.expect_ctl(&["start", "--no-deps", "api"], 0, &["api: started"])?;
    expect(host.daemon()?.state("db") == "STOPPED", "db was started")?;
    host.expect_ctl(&["start", "web"], 0, &["web: started"])?;
    expect(
        host.daemon()?.state("db") == "STOPPED",
        "api is up, so db is not needed",
    )?;
    host.expect_ctl(&["stop", "web", "api"], 0, &["api: stopped"])?;
    host.expect_ctl(&["start", "web"], 0, &["web: started"])?;
    expect(
        host.daemon()?.state("db") == "RUNNING",
        "db was not started",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A file as the switches of SONiC have it: 17 programs with the keys of the plug-in, whose listener is not installed.
fn sonic() -> Result<Outcome, String> {
    const CHAIN: &[(&str, u32, &str, bool)] = &[
        ("rsyslogd", 1, "", false),
        ("portsyncd", 2, "rsyslogd:running", false),
        ("orchagent", 3, "portsyncd:running", false),
        ("swssconfig", 4, "orchagent:running", true),
        ("restore_neighbors", 5, "swssconfig:exited", true),
        ("coppmgrd", 6, "orchagent:running swssconfig:exited", false),
        ("neighsyncd", 7, "swssconfig:exited", false),
        ("vlanmgrd", 8, "swssconfig:exited", false),
        ("intfmgrd", 9, "swssconfig:exited", false),
        ("portmgrd", 10, "swssconfig:exited", false),
        ("buffermgrd", 11, "swssconfig:exited", false),
        ("vrfmgrd", 12, "swssconfig:exited", false),
        ("nbrmgrd", 13, "swssconfig:exited", false),
        ("vxlanmgrd", 14, "swssconfig:exited", false),
        ("tunnelmgrd", 15, "swssconfig:exited", false),
        ("enable_counters", 16, "swssconfig:exited", true),
        ("fdbsyncd", 17, "restore_neighbors:exited", false),
    ];
    let mut text = "[eventlistener:dependent-startup]\ncommand=/nonexistent/python3 -m supervisord_dependent_startup\n\
                    autostart=true\nautorestart=unexpected\nstartretries=0\nexitcodes=0,3\nevents=PROCESS_STATE\nbuffer_size=1024\n"
        .to_owned();
    for (name, priority, wait_for, exits) in CHAIN {
        let command = if *exits {
            "/bin/true"
        } else {
            "/bin/sleep 1000"
        };
        let wait_for = match *wait_for {
            "" => String::new(),
            states => format!("dependent_startup_wait_for={states}\n"),
        };
        text.push_str(&format!(
            "[program:{name}]\ncommand={command}\npriority={priority}\nautostart=false\nautorestart=false\nstartsecs=0\n\
             {QUIET}dependent_startup=true\n{wait_for}"
        ));
    }
    let mut host = Host::start(&text)?;
    let daemon = host.daemon()?;
    for (name, _, _, exits) in CHAIN {
        daemon.wait_state(name, if *exits { "EXITED" } else { "RUNNING" })?;
    }
    let order = spawned(&host);
    let place = |name: &str| order.iter().position(|other| other == name);
    for (name, _, states, _) in CHAIN {
        for state in states.split_whitespace() {
            let (needed, _) = state.split_once(':').unwrap_or((state, ""));
            expect(
                place(needed) < place(name),
                format!("{name} before {needed}: {order:?}"),
            )?;
        }
    }
    expect(order.len() == CHAIN.len(), format!("{order:?}"))?;
    let log = host.place.read("log");
    expect(!log.contains("ignored"), log)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn upgrade() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:web]\ncommand=/bin/sleep 1000\ndepends_on=db\n{QUIET}\
         [program:db]\ncommand={{test_child}} wait {{dir}}/go newline 3 forever\nready_fd=3\nready_timeout=600\n{QUIET}"
    ))?;
    wait_status(&host, "web", "waiting for db (STARTING)")?;
    host.expect_ctl(&["upgrade"], 0, &[])?;
    wait_status(&host, "web", "waiting for db (STARTING)")?;
    host.place.write("go", "")?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A new pair is added in an order of names that is not that of the dependencies, then a cycle changes nothing, then
/// both are removed.
fn update() -> Result<Outcome, String> {
    let mut host = Host::start(&format!("[program:x]\ncommand=/bin/sleep 1000\n{QUIET}"))?;
    host.place.write("slow.sh", SLOW)?;
    let pair = |more: &str| {
        format!(
            "[program:x]\ncommand=/bin/sleep 1000\n{QUIET}\
             [program:a]\ncommand=/bin/sh {{dir}}/slow.sh a\ndirectory={{dir}}\ndepends_on=b\n{QUIET}\
             [program:b]\ncommand=/bin/sh {{dir}}/slow.sh b\ndirectory={{dir}}\n{more}{QUIET}"
        )
    };
    host.configure(&pair(""))?;
    host.expect_ctl(
        &["update"],
        0,
        &["a: added process group", "b: added process group"],
    )?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    expect_order(&host, &["x", "b", "a"])?;
    host.configure(&pair("depends_on=a\n"))?;
    host.expect_ctl(&["update"], 1, &["dependencies form a cycle: a ("])?;
    expect(
        host.daemon()?.state("a") == "RUNNING",
        "a cycle changes nothing",
    )?;
    host.configure(&format!("[program:x]\ncommand=/bin/sleep 1000\n{QUIET}"))?;
    host.expect_ctl(
        &["update"],
        0,
        &["a: removed process group", "b: removed process group"],
    )?;
    expect(
        host.place.read("order") == "a\nb\n",
        host.place.read("order"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The Go implementation starts programs with dependencies before all others, and equal ones in a random order.
fn priorities() -> Result<Outcome, String> {
    let sleep = |name: &str, more: &str| {
        format!("[program:{name}]\ncommand=/bin/sleep 1000\nstartsecs=0\n{more}{QUIET}")
    };
    let text = [
        sleep("m", "depends_on=n\n"),
        sleep("n", ""),
        sleep("early", "priority=1\n"),
        sleep("c", ""),
        sleep("a", ""),
        sleep("b", ""),
        sleep("late", "priority=1000\n"),
    ]
    .concat();
    for _ in 0..3 {
        let mut host = Host::start(&text)?;
        for name in ["m", "late"] {
            host.daemon()?.wait_state(name, "RUNNING")?;
        }
        let order = spawned(&host);
        let at = |name: &str| order.iter().position(|other| other == name);
        expect(
            order.len() == 7
                && at("early") == Some(0)
                && at("n") < at("m")
                && at("a") < at("b")
                && at("b") < at("c")
                && at("c") < at("n")
                && at("n") < at("late"),
            format!("{order:?}"),
        )?;
        host.expect_well()?;
    }
    Ok(Outcome::Passed)
}

fn removed() -> Result<Outcome, String> {
    let web = format!("[program:web]\ncommand=/bin/sleep 1000\n{QUIET}");
    let db = format!(
        "[program:db]\ncommand={{test_child}} forever\nready_fd=3\nready_timeout=0\n{QUIET}"
    );
    let other = format!("[program:other]\ncommand=/bin/sleep 1000\nstartsecs=0\n{QUIET}");
    let mut host = Host::start(&format!("{web}depends_on=db\n{db}{other}"))?;
    wait_status(&host, "web", "waiting for db (STARTING)")?;
    host.daemon()?.wait_state("other", "RUNNING")?;
    let pid = host.daemon()?.pid_of("other");
    // A file in which the name is still used is refused, and nothing changes.
    host.configure(&format!("{web}depends_on=db\n{other}"))?;
    host.expect_ctl(&["update"], 1, &["names unknown program or group db"])?;
    wait_status(&host, "web", "waiting for db (STARTING)")?;
    // Only the dependency goes: by hand, while web waits for it.
    host.configure(&format!("{web}depends_on=db\n{db}{other}"))?;
    host.expect_ctl(&["stop", "db"], 0, &["db: stopped"])?;
    wait_status(&host, "web", "STOPPED   waiting for db (STOPPED)")?;
    host.expect_ctl(&["remove", "db"], 0, &["db: removed process group"])?;
    let got = host.ctl(&["start", "web"])?;
    expect(
        got.code != 0 && got.stdout.contains("db"),
        format!("{got:?}"),
    )?;
    // Both changes in one file: web needs nobody and starts.
    host.configure(&format!("{web}{other}"))?;
    host.expect_ctl(&["update"], 0, &["web: updated process group"])?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    expect(
        host.daemon()?.pid_of("other") == pid,
        "an unchanged program was restarted",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn never_ready() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:web]\ncommand=/bin/sleep 1000\ndepends_on=api\n{QUIET}\
         [program:api]\ncommand=/bin/sleep 1000\ndepends_on=db:ready\n{QUIET}\
         [program:db]\ncommand={{test_child}} forever\nready_fd=3\nready_timeout=1\nstartretries=1\nautostart=false\n\
         stopwaitsecs=1\n{QUIET}\
         [program:forever]\ncommand={{test_child}} forever\nready_fd=3\nready_timeout=0\n{QUIET}\
         [program:behind]\ncommand=/bin/sleep 1000\ndepends_on=forever\n{QUIET}\
         [program:alone]\ncommand=/bin/sleep 1000\nstartsecs=0\n{QUIET}"
    ))?;
    host.daemon()?.wait_state("alone", "RUNNING")?;
    wait_status(&host, "behind", "STOPPED   waiting for forever (STARTING)")?;
    // One with a limit fails, and the chain says why.
    wait_status(&host, "db", "FATAL")?;
    wait_status(
        &host,
        "web",
        "STOPPED   dependency api is STOPPED: dependency db is FATAL",
    )?;
    wait_status(&host, "behind", "STOPPED   waiting for forever (STARTING)")?;
    // While a program waits, others can be stopped and started, and the daemon can exit.
    host.expect_ctl(&["restart", "alone"], 0, &["alone: started"])?;
    host.expect_ctl(&["stop", "forever"], 0, &["forever: stopped"])?;
    wait_status(&host, "behind", "STOPPED   waiting for forever (STOPPED)")?;
    host.expect_ctl(&["start", "--no-deps", "behind"], 0, &["behind: started"])?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(code == 0, format!("exit {code}"))?;
    Ok(Outcome::Passed)
}

/// All processes of a program count, also those that `scale` adds; one that goes is not waited for.
fn scaled() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "[program:web]\ncommand=/bin/sleep 1000\ndepends_on=pool\nautostart=false\n{QUIET}\
         [program:pool]\ncommand={{test_child}} wait {{dir}}/go%(process_num)d newline 3 forever\nready_fd=3\n\
         ready_timeout=600\nprocess_name=p%(process_num)d\nnumprocs=2\n{QUIET}"
    ))?;
    let start = || -> Result<(), String> {
        let params = [
            crate::support::wire::Value::Text("web".to_owned()),
            crate::support::wire::Value::Bool(false),
        ];
        let answer = host.daemon()?.call("supervisor.startProcess", &params);
        answer.map(drop).map_err(|error| error.to_string())
    };
    start()?;
    wait_status(&host, "web", "pool:p0 (STARTING)")?;
    host.place.write("go0", "")?;
    wait_status(&host, "web", "STOPPED   waiting for pool:p1 (STARTING)")?;
    host.expect_ctl(&["scale", "pool", "3"], 0, &[])?;
    host.place.write("go1", "")?;
    wait_status(&host, "web", "STOPPED   waiting for pool:p2 (STARTING)")?;
    // Without the new one, nobody is left to wait for.
    let scaling = host.ctl(&["scale", "pool", "2"])?;
    expect(scaling.code == 0, format!("{scaling:?}"))?;
    wait_for("web is started or told why not", LIMIT, || {
        let shown = host.ctl(&["status", "web"]).map(|got| got.stdout);
        shown.is_ok_and(|shown| shown.contains("RUNNING") || shown.contains("pool:p2"))
    })?;
    if host.daemon()?.state("web") != "RUNNING" {
        host.expect_ctl(&["start", "web"], 0, &["web: started"])?;
    }
    host.daemon()?.wait_state("web", "RUNNING")?;
    // And stops before all of them.
    host.expect_ctl(&["stop", "all"], 0, &["web: stopped"])?;
    let log = host.place.read("log");
    let web = log.rfind("stopped: web");
    expect(
        web.is_some() && web < log.rfind("stopped: p0") && web < log.rfind("stopped: p1"),
        log.clone(),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
