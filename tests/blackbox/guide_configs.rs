//! The configurations of popular guides, with harmless commands in place of missing programs, and the command sequences
//! of their texts.

use crate::host::{Host, source};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "guide_configs::a_container_with_master_and_monitor_runs",
            lookingglass,
        ),
        Trial::new("guide_configs::an_included_server_runs", ssserver),
        Trial::new("guide_configs::the_commented_ini_runs", ping),
        Trial::new("guide_configs::the_tutorial_runs", tutorial),
        Trial::new("guide_configs::two_lines_of_configuration_run", minimal),
    ]
}

fn lookingglass() -> Result<Outcome, String> {
    let user = if is_root() {
        "www-data".to_owned()
    } else {
        nix::unistd::geteuid().to_string()
    };
    let text = source("lookingglass-master.conf")?.replace("{user}", &user);
    let mut host = Host::start(&text)?;
    for name in ["master", "monitor", "dependent"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    host.expect_ctl(
        &["status"],
        0,
        &["master                           RUNNING   pid "],
    )?;
    host.expect_ctl(
        &["restart", "master"],
        0,
        &["master: stopped\nmaster: started\n"],
    )?;
    host.expect_ctl(&["stop", "master"], 0, &["master: stopped\n"])?;
    host.expect_ctl(&["start", "master"], 0, &["master: started\n"])?;
    host.wait_file("master-output.log", "serving")?;
    host.expect_ctl(&["tail", "master", "stdout"], 0, &["serving"])?;
    host.expect_ctl(&["tail", "master", "stderr"], 0, &[])?;
    let variables = proc::environ(host.daemon()?.pid_of("master"));
    expect(
        variables
            .get("TIMEZONE")
            .is_some_and(|zone| zone == "Asia/Shanghai"),
        format!("{variables:?}"),
    )?;
    // The start follows the priorities.
    let log = host.place.read("log");
    let at = |name: &str| log.find(&format!("spawned: '{name}'"));
    expect(
        at("monitor") < at("dependent"),
        "monitor (10) starts before dependent (999)",
    )?;
    // Editing the file, then reread and update.
    host.configure(&text.replace("LOG_LEVEL=\"debug\"", "LOG_LEVEL=\"info\""))?;
    host.expect_ctl(&["reread"], 0, &["master: changed\n"])?;
    host.expect_ctl(
        &["update"],
        0,
        &["master: stopped\nmaster: updated process group\n"],
    )?;
    host.daemon()?.wait_state("master", "RUNNING")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn ssserver() -> Result<Outcome, String> {
    let mut host = Host::new("[include]\nfiles = {dir}/conf.d/*.conf\n")?;
    std::fs::create_dir(host.place.join("conf.d")).map_err(|e| e.to_string())?;
    let text = host.fill(&source("ssserver.conf")?);
    host.place.write("conf.d/ssserver.conf", &text)?;
    host.go()?;
    host.daemon()?.wait_state("ssserver", "RUNNING")?;
    host.wait_file("conf.d/ssserver_00_stdout.log", "up")?;
    host.expect_ctl(&["status"], 0, &["ssserver"])?;
    host.expect_ctl(&["stop", "ssserver"], 0, &["ssserver: stopped"])?;
    host.expect_ctl(&["start", "ssserver"], 0, &["ssserver: started"])?;
    host.expect_ctl(&["restart", "ssserver"], 0, &["ssserver: started"])?;
    let other = text.replace("program:ssserver", "program:second");
    host.place.write("conf.d/second.conf", &other)?;
    host.expect_ctl(&["reread"], 0, &["second: available"])?;
    // "reread reads updated files but restarts and starts nothing"
    host.expect_ctl(
        &["status", "second"],
        4,
        &["second: ERROR (no such process)"],
    )?;
    let kept = host.daemon()?.pid_of("ssserver");
    host.expect_ctl(&["update"], 0, &["second: added process group"])?;
    host.daemon()?.wait_state("second", "RUNNING")?;
    expect(
        host.daemon()?.pid_of("ssserver") == kept,
        "update touches unchanged programs",
    )?;
    // "reload loads the newest configuration, stops the processes and starts them again"
    host.expect_ctl(&["reload"], 0, &["Restarted supervisord"])?;
    wait_for("a new process", LIMIT, || {
        host.daemon().is_ok_and(|d| {
            let pid = d.pid_of("ssserver");
            pid > 0 && pid != kept
        })
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn ping() -> Result<Outcome, String> {
    let mut host = Host::new("[include]   ; 导入其它配置文件\nfiles = supervisord.d/*.ini\n")?;
    std::fs::create_dir(host.place.join("supervisord.d")).map_err(|e| e.to_string())?;
    let text = host.fill(&source("ping.ini")?);
    host.place.write("supervisord.d/ping.ini", &text)?;
    host.go()?;
    host.daemon()?.wait_state("ping", "RUNNING")?;
    host.daemon()?.wait_state("test:ping2", "RUNNING")?;
    host.wait_file("ping_stdout.log", "ping")?;
    // "command takes no dynamic values": nothing is expanded.
    host.wait_file("ping2.out", "`date`")?;
    host.wait_file("ping2.out", "$PWD")?;
    host.expect_ctl(
        &["stop", "all"],
        0,
        &[
            "ping: stopped",
            "test:ping2: stopped",
            "test:ping3: stopped",
        ],
    )?;
    host.expect_ctl(
        &["start", "test:*"],
        0,
        &["test:ping2: started", "test:ping3: started"],
    )?;
    host.expect_ctl(&["stop", "test:ping2"], 0, &["test:ping2: stopped"])?;
    // The text: a group's name alone chooses all processes of the group. (Supervisor wants `test:*`.)
    host.expect_ctl(
        &["restart", "test"],
        0,
        &["test:ping2: started", "test:ping3: started"],
    )?;
    host.expect_ctl(&["start", "ping"], 0, &["ping: started"])?;
    host.expect_ctl(&["restart", "ping"], 0, &["ping: stopped", "ping: started"])?;
    host.expect_ctl(&["update"], 0, &[])?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(code == 0, format!("exit {code}"))?;
    Ok(Outcome::Passed)
}

fn tutorial() -> Result<Outcome, String> {
    let text = source("tutorial.conf")?;
    let mut host = Host::start("")?;
    host.configure(&text)?;
    host.expect_ctl(
        &["reread"],
        0,
        &["myapp: available\n", "mygroup: available\n"],
    )?;
    host.expect_ctl(
        &["update"],
        0,
        &[
            "myapp: added process group\n",
            "mygroup: added process group\n",
        ],
    )?;
    host.daemon()?.wait_state("myapp", "RUNNING")?;
    host.expect_ctl(
        &["start", "myapp"],
        0,
        &["myapp: ERROR (already started)\n"],
    )?;
    host.expect_ctl(&["status"], 0, &["mygroup:myapp1"])?;
    host.daemon()?.wait_state("mygroup:myapp2", "RUNNING")?;
    host.expect_ctl(
        &["stop", "mygroup:*"],
        0,
        &["mygroup:myapp1: stopped\n", "mygroup:myapp2: stopped\n"],
    )?;
    host.expect_ctl(
        &["start", "mygroup:*"],
        0,
        &["mygroup:myapp1: started\n", "mygroup:myapp2: started\n"],
    )?;
    host.expect_ctl(
        &["restart", "myapp"],
        0,
        &["myapp: stopped\nmyapp: started\n"],
    )?;
    host.expect_ctl(&["stop", "myapp"], 0, &["myapp: stopped\n"])?;
    let pid = host.daemon()?.pid_of("mygroup:myapp1");
    expect(pid > 0, "myapp1 runs")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn minimal() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    let text = host.fill(&source("minimal-go.conf")?);
    // Without [supervisord] and [rpcinterface:*] the daemon assumes both, with one warning.
    let server =
        host.fill("[unix_http_server]\nfile={dir}/s\n[supervisorctl]\nserverurl=unix://{dir}/s\n");
    host.place.write("conf", &format!("{text}{server}"))?;
    host.go()?;
    host.daemon()?.wait_state("test", "RUNNING")?;
    host.expect_ctl(&["status", "test"], 0, &["RUNNING"])?;
    host.expect_ctl(&["stop", "test"], 0, &["test: stopped"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
