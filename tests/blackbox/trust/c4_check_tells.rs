//! `--check` reports duplicates in a file, overrides by an included file, and keys without effect on this host.

use std::fs;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{expect, is_root};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::c4_check_reports_repeated_sections", places),
        Trial::new("trust::c4_check_reports_limits_without_effect", limits),
        Trial::new("trust::c4_a_variable_may_have_a_default", default),
    ]
}

fn places() -> Result<Outcome, String> {
    let host = Host::new("[include]\nfiles=inc/*.conf\n[program:a]\ncommand=sleep 1\n")?;
    fs::create_dir(host.place.join("inc")).map_err(|e| e.to_string())?;
    host.place
        .write("inc/1.conf", "[program:a]\ncommand=sleep 2\n")?;
    host.place.write(
        "inc/2.conf",
        "[program:a]\ncommand=sleep 3\n[program:a]\npriority=3\n",
    )?;
    host.place.write(
        "inc/3.conf",
        "[supervisord]\nlogfile=/tmp/other.log\nminfds=100\n",
    )?;
    let got = host.run(&["--check", "-c", "conf"])?;
    let dir = host.place.text();
    let main = host.place.read("conf");
    let line = |text: &str| {
        1 + main
            .lines()
            .position(|line| line.starts_with(text))
            .unwrap_or(0)
    };
    let logfile = line("logfile=");
    let program = line("[program:a]");
    for told in [
        format!(
            "conf:{program}:1: warning: [program:a] is defined in conf:{program}, {dir}/inc/1.conf:1, {dir}/inc/2.conf:1 and \
             {dir}/inc/2.conf:3; the last value of each key wins [duplicate-section]\n"
        ),
        format!(
            "{dir}/inc/3.conf:2:1: warning: [supervisord] logfile is overridden by an included file; conf:{logfile} has no effect [included-daemon-key]\n"
        ),
        format!(
            "{dir}/inc/3.conf:3:1: warning: [supervisord] minfds is set by an included file [included-daemon-key]\n"
        ),
    ] {
        expect(got.stdout.contains(&told), format!("{told}: {got:?}"))?;
    }
    expect(got.code == 0, format!("{got:?}"))?;
    Ok(Outcome::Passed)
}

fn limits() -> Result<Outcome, String> {
    let text = "[program:a]\ncommand=sleep 1000\nmemory_max=50M\nkill_mode=control-group\n[program:b]\ncommand=sleep 1000\n";
    let mut host = Host::new(text)?;
    let got = host.run(&["--check", "-c", "conf"])?;
    let told = |key: &str| {
        let text = format!("{key} in [program:a] has no effect on this host: ");
        got.stdout.contains(&text)
    };
    // `--check` prints the warnings that the daemon logs at its start.
    host.go()?;
    host.wait_file("log", "spawned: 'a'")?;
    let log = host.place.read("log");
    let lines = log
        .lines()
        .filter(|line| line.contains("keys without effect: "));
    let lacks = |key: &str| lines.clone().any(|line| line.contains(key));
    expect(
        got.code == 0
            && told("memory_max") == lacks("memory_max")
            && told("kill_mode") == lacks("kill_mode"),
        format!("{got:?}\n{log}"),
    )?;
    if !told("memory_max") && is_root() {
        return Ok(Outcome::Skipped("this host has cgroups".to_owned()));
    }
    Ok(Outcome::Passed)
}

fn default() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[program:a]\ncommand=/bin/sh -c 'echo %(ENV_TRUST_UNSET:-one two)s %(ENV_TRUST_SET:-no)s; exec sleep 1000'\n\
         stdout_logfile={dir}/out\n",
    )?;
    host.go_with(|command| {
        command.env("TRUST_SET", "set").env_remove("TRUST_UNSET");
    })?;
    host.wait_file("out", "one two set\n")?;
    Ok(Outcome::Passed)
}
