//! Environment of programs: env files, `[program-default]`, expansions, and users with a group.

use std::collections::BTreeMap;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("environment::g04_env_file_of_the_daemon", daemon_file),
        Trial::new("environment::g32_program_default", program_default),
        Trial::new("environment::g33_precedence_of_env_files", precedence),
        Trial::new("environment::g47_user_with_a_group", user_group),
        Trial::new("environment::g64_expansions", expansions),
        Trial::new("environment::g66_a_bad_line_fails_one_program", bad_line),
        Trial::new("environment::g66_strange_files_hold_nobody_up", strange),
    ]
}

const SLEEP: &str = "command=/bin/sleep 1000\nstartsecs=0\nstartretries=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n";

/// The environment of a running program.
fn environ(host: &Host, name: &str) -> Result<BTreeMap<String, String>, String> {
    let daemon = host.daemon()?;
    daemon.wait_state(name, "RUNNING")?;
    let pid = daemon.pid_of(name);
    // The process executes its command some time after the clone.
    wait_for(&format!("{name} runs its command"), LIMIT, || {
        proc::environ(pid).contains_key("SUPERVISOR_PROCESS_NAME")
    })?;
    Ok(proc::environ(pid))
}

fn same(environ: &BTreeMap<String, String>, expected: &[(&str, &str)]) -> Result<(), String> {
    for (name, value) in expected {
        let found = environ.get(*name).map_or("(not set)", String::as_str);
        expect(
            found == *value,
            format!("{name} is {found:?}, not {value:?}"),
        )?;
    }
    Ok(())
}

fn write(host: &Host, name: &str, text: &str) -> Result<(), String> {
    host.place.write(name, text).map(drop)
}

fn daemon_file() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program:a]\n{SLEEP}environment=B=\"%(ENV_A)s\"\n"
    ))?;
    write(
        &host,
        "one",
        "# comment\n\nexport A=b\nQ=\"x #y\"\nLATER=1\n",
    )?;
    write(&host, "two", "LATER=2\nLAST=z")?;
    for (args, text) in [
        (
            ["--env-file", "none"],
            "cannot read --env-file none: the file does not exist",
        ),
        (["--env-file", "bad"], "bad:2: expected KEY=VALUE"),
    ] {
        write(&host, "bad", "A=1\nsecret\n")?;
        let ended = host.run(&["-n", "-c", "conf", args[0], args[1]])?;
        expect(
            ended.code == 2 && ended.stderr.contains(text) && !ended.stderr.contains("secret"),
            format!("{args:?}: {ended:?}"),
        )?;
    }
    host.go_with(|command| {
        command.args(["--env-file", "one", "--env-file=two"]);
    })?;
    let expected = [
        ("A", "b"),
        ("B", "b"),
        ("Q", "\"x #y\""),
        ("LATER", "2"),
        ("LAST", "z"),
    ];
    same(&environ(&host, "a")?, &expected)?;
    // Neither a reload nor an upgrade needs the files.
    for name in ["one", "two"] {
        std::fs::remove_file(host.place.join(name)).map_err(|e| e.to_string())?;
    }
    let before = host.daemon()?.pid_of("a");
    host.expect_ctl(&["reload"], 0, &[])?;
    wait_for("the program is started again", LIMIT, || {
        let pid = host.daemon().map_or(0, |daemon| daemon.pid_of("a"));
        pid != 0 && pid != before
    })?;
    same(&environ(&host, "a")?, &expected)?;
    host.expect_ctl(&["upgrade"], 0, &[])?;
    host.expect_ctl(&["restart", "a"], 0, &["a: started"])?;
    same(&environ(&host, "a")?, &expected)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn program_default() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program-default]\n{SLEEP}environment=VAR1=\"value1\",VAR2=\"value2\"\nenvFiles={{dir}}/site.env\n\
         [program:test1]\n[program:test2]\nenvironment=VAR2=own\n"
    ))?;
    write(&host, "site.env", "SITE=1\nVAR2=file\n")?;
    host.go()?;
    same(
        &environ(&host, "test1")?,
        &[("VAR1", "value1"), ("VAR2", "value2"), ("SITE", "1")],
    )?;
    let second = environ(&host, "test2")?;
    same(&second, &[("VAR2", "own"), ("SITE", "1")])?;
    expect(!second.contains_key("VAR1"), "environment is not merged")?;
    let log = host.place.read("log");
    expect(!log.contains("not supported"), format!("log: {log}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn precedence() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program:a]\n{SLEEP}envFiles={{dir}}/first.env, {{dir}}/second.env, {{dir}}/none.env\n\
         environment=ENVIRONMENT=environment\nautostart=false\n\
         [program:b]\n{SLEEP}environment_file={{dir}}/none.env\nautostart=false\n\
         [program:c]\n{SLEEP}environment_file=-{{dir}}/none.env\n"
    ))?;
    let all = |value: &str, names: &[&str]| -> String {
        names
            .iter()
            .map(|name| format!("{name}={value}\n"))
            .collect()
    };
    write(
        &host,
        "first.env",
        &all("first", &["FIRST", "SECOND", "ENVIRONMENT"]),
    )?;
    write(
        &host,
        "second.env",
        &all("second", &["SECOND", "ENVIRONMENT"]),
    )?;
    host.go_with(|command| {
        for name in ["INHERITED", "FIRST", "SECOND", "ENVIRONMENT"] {
            command.env(name, "inherited");
        }
    })?;
    host.expect_ctl(&["start", "a"], 0, &["a: started"])?;
    let expected = [
        ("INHERITED", "inherited"),
        ("FIRST", "first"),
        ("SECOND", "second"),
        ("ENVIRONMENT", "environment"),
    ];
    same(&environ(&host, "a")?, &expected)?;
    host.wait_file("log", "/none.env does not exist; starting without it")?;
    // A changed file counts at the next start.
    write(&host, "first.env", &all("changed", &["FIRST"]))?;
    host.expect_ctl(&["restart", "a"], 0, &["a: started"])?;
    same(&environ(&host, "a")?, &[("FIRST", "changed")])?;
    host.expect_ctl(&["start", "b"], 7, &["b: ERROR (spawn error)"])?;
    host.wait_file("log", "/none.env: the file does not exist")?;
    environ(&host, "c")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn user_group() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("needs root".to_owned()));
    }
    let ids = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
    let user = nix::unistd::User::from_name("nobody").map_err(|e| e.to_string())?;
    let group = nix::unistd::Group::from_name("daemon").map_err(|e| e.to_string())?;
    let (Some(user), Some(group)) = (user, group) else {
        return Ok(Outcome::Skipped(
            "needs the user nobody and the group daemon".to_owned(),
        ));
    };
    let mut host = Host::start(&format!("[program:a]\n{SLEEP}user=nobody:daemon\n"))?;
    environ(&host, "a")?;
    let pid = host.daemon()?.pid_of("a");
    for (field, id) in [
        ("Uid", user.uid.to_string()),
        ("Gid", group.gid.to_string()),
    ] {
        let found = ids(&proc::status(pid, field).unwrap_or_default());
        expect(found == vec![id; 4], format!("{field} is {found:?}"))?;
    }
    let found = ids(&proc::status(pid, "Groups").unwrap_or_default());
    expect(
        found == [group.gid.to_string()],
        format!("groups {found:?}"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn expansions() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:a]\ncommand=/bin/sh -c \"echo %(host_node_name)s %(ENV_WORD)s; sleep 1000\"\n\
         process_name=%(program_name)s_%(ENV_WORD)s\nenvironment=WORD=own\nstartsecs=0\nstdout_logfile={dir}/out\n",
    )?;
    let node = nix::unistd::gethostname().map_err(|e| e.to_string())?;
    host.daemon()?.wait_state("a:a_own", "RUNNING")?;
    host.wait_file("out", &format!("{} own\n", node.to_string_lossy()))?;
    host.expect_well()?;
    let host = Host::new("[program:a]\ncommand=/bin/echo %(ENV_NO_SUCH_NAME)s\n")?;
    let ended = host.run(&["-n", "-c", "conf"])?;
    expect(
        ended.code == 2 && ended.stderr.contains("contains names ('ENV_NO_SUCH_NAME')"),
        format!("{ended:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn bad_line() -> Result<Outcome, String> {
    let config = format!(
        "[program:a]\n{SLEEP}envFiles={{dir}}/bad.env\nautostart=false\n[program:b]\n{SLEEP}envFiles={{dir}}/good.env\n"
    );
    let mut host = Host::new(&config)?;
    write(&host, "bad.env", "A=1\nhidden: secret\n")?;
    write(
        &host,
        "good.env",
        "PASSWORD=a#b $c\nMULTI=\"one\ntwo\"\nEMPTY=\n",
    )?;
    let checked = host.run(&["--check", "-c", "conf"])?;
    let expected = [
        "/bad.env:2: expected KEY=VALUE, and there is no =; the program cannot start",
        "/good.env:1: the value has a #, at which the Go supervisord cuts it",
    ];
    let has = |text: &&str| checked.stdout.contains(*text);
    expect(
        checked.code == 0 && expected.iter().all(has) && !checked.stdout.contains("secret"),
        format!("{checked:?}"),
    )?;
    host.go()?;
    same(
        &environ(&host, "b")?,
        &[("PASSWORD", "a#b $c"), ("MULTI", "one\ntwo"), ("EMPTY", "")],
    )?;
    host.expect_ctl(&["start", "a"], 7, &["a: ERROR (spawn error)"])?;
    host.wait_file("log", "/bad.env:2: expected KEY=VALUE, and there is no =")?;
    let log = host.place.read("log");
    expect(
        !log.contains("secret") && !log.contains("$c"),
        format!("log: {log}"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn strange() -> Result<Outcome, String> {
    let names = ["fifo", "large", "device", "directory", "link"];
    let paths = [
        "{dir}/fifo",
        "{dir}/large",
        "/dev/zero",
        "{dir}",
        "{dir}/link",
    ];
    let sections: String = names
        .iter()
        .zip(paths)
        .map(|(name, path)| format!("[program:{name}]\n{SLEEP}autostart=false\nenvFiles={path}\n"))
        .collect();
    let mut host = Host::new(&format!("{sections}[program:well]\n{SLEEP}"))?;
    mkfifo(&host.place.join("fifo"), Mode::S_IRWXU).map_err(|e| e.to_string())?;
    let large = std::fs::File::create(host.place.join("large")).map_err(|e| e.to_string())?;
    large.set_len(100 << 20).map_err(|e| e.to_string())?;
    std::os::unix::fs::symlink("link", host.place.join("link")).map_err(|e| e.to_string())?;
    host.go()?;
    environ(&host, "well")?;
    let memory = proc::resident_kib(host.daemon()?.pid());
    for (name, why) in names.iter().zip([
        "it is a FIFO, not a regular file",
        "it is larger than 1048576 bytes",
        "it is a device, not a regular file",
        "it is a directory, not a regular file",
        "Too many levels of symbolic links",
    ]) {
        host.expect_ctl(&["start", name], 7, &["ERROR (spawn error)"])?;
        host.wait_file("log", why)?;
    }
    let more = proc::resident_kib(host.daemon()?.pid()).saturating_sub(memory);
    expect(more < 20 << 10, format!("{more} KiB more"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
