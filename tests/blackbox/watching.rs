//! Programs that are restarted, signalled or told when files change.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("watching::g23_a_replaced_binary_restarts_once", binary),
        Trial::new(
            "watching::g24_g25_a_command_or_signals_instead",
            binary_reactions,
        ),
        Trial::new("watching::g26_files_of_new_directories", directory),
        Trial::new(
            "watching::g27_commands_and_signals_for_files",
            file_reactions,
        ),
        Trial::new("watching::deployments_by_symlink_are_noticed", deployment),
        Trial::new("watching::g23_the_search_path_decides_again", search_path),
        Trial::new("watching::directories_above_are_replaced", parents),
        Trial::new("watching::links_to_links_are_followed", links),
        Trial::new(
            "watching::a_directory_in_use_vanishes_and_comes_back",
            vanished,
        ),
        Trial::new("watching::watches_follow_upgrades_and_updates", followed),
        Trial::new("watching::g26_a_hundred_thousand_files", many_files),
        Trial::new(
            "watching::g27_a_command_runs_as_the_user_of_its_program",
            as_user,
        ),
        Trial::new(
            "watching::g25_g27_signals_do_not_wait_for_stopwaitsecs",
            several_signals,
        ),
    ]
}

const QUICK: &str = "startsecs=0\nautorestart=false\nstdout_logfile=NONE\nstderr_logfile=NONE\nrestart_change_delay=1\n";

/// A host with a copy of sleep(1) as `app`, and the log level that shows when a watch is set.
fn host(config: &str) -> Result<Host, String> {
    let mut host = Host::new(config)?;
    install(&host, "app")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    Ok(host)
}

/// Installs a new file as an installer does: beside the old one, then by a rename.
fn install(host: &Host, name: &str) -> Result<(), String> {
    let (new, path) = (
        host.place.join(&format!("{name}.new")),
        host.place.join(name),
    );
    fs::copy("/bin/sleep", &new).map_err(|e| e.to_string())?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())?;
    fs::rename(new, path).map_err(|e| e.to_string())
}

/// Waits until the programs are RUNNING and their watches are set. Returns the PIDs.
fn up(host: &Host, names: &[&str]) -> Result<Vec<i32>, String> {
    let daemon = host.daemon()?;
    for name in names {
        daemon.wait_state(name, "RUNNING")?;
        host.wait_file("log", &format!("{name}: watching"))?;
    }
    Ok(names.iter().map(|name| daemon.pid_of(name)).collect())
}

/// Waits until a program runs with another PID.
fn restarted(host: &Host, name: &str, before: i32) -> Result<i32, String> {
    let daemon = host.daemon()?;
    let mut pid = before;
    wait_for(&format!("{name} is restarted"), LIMIT, || {
        pid = daemon.pid_of(name);
        pid != 0 && pid != before && daemon.state(name) == "RUNNING"
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    Ok(pid)
}

/// The number of times that a text is in the log.
fn count(host: &Host, text: &str) -> usize {
    host.place.read("log").matches(text).count()
}

fn binary() -> Result<Outcome, String> {
    let mut host = host(&format!(
        "[program:a]\ncommand={{dir}}/app 1000\nrestart_when_binary_changed=true\n{QUICK}\
         [program:b]\ncommand={{dir}}/app 1000\nrestart_when_binary_changed=true\nautostart=false\n{QUICK}\
         [program:c]\ncommand=app 1000\nenvironment=PATH=\"{{dir}}\"\nrestart_when_binary_changed=true\n{QUICK}"
    ))?;
    let first = up(&host, &["a", "c"])?;
    host.wait_file("log", "b: watching")?;
    install(&host, "app")?;
    let second = restarted(&host, "a", first[0])?;
    restarted(&host, "c", first[1])?;
    // The next change restarts once more, so no restart of the first one is left.
    install(&host, "app")?;
    restarted(&host, "a", second)?;
    expect(
        count(&host, "a: ") >= 2 && count(&host, "/app changed; restarting") == 4,
        host.log_end(),
    )?;
    let state = host.daemon()?.state("b");
    expect(state == "STOPPED", format!("a stopped program is {state}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn binary_reactions() -> Result<Outcome, String> {
    let mut host = host(&format!(
        "[program:a]\ncommand={{dir}}/app 1000\nrestart_when_binary_changed=true\n\
         restart_cmd_when_binary_changed=sh -c 'echo $SUPERVISOR_CHANGED_FILE >> {{dir}}/told'\n{QUICK}\
         [program:b]\ncommand={{test_child}} on HUP touch,{{dir}}/hup forever\nrestart_directory_monitor={{dir}}/tree\n\
         restart_signal_when_file_changed=HUP\n{QUICK}"
    ))?;
    let pids = up(&host, &["a", "b"])?;
    install(&host, "app")?;
    host.wait_file("told", "/app\n")?;
    fs::create_dir(host.place.join("tree")).map_err(|e| e.to_string())?;
    wait_for("HUP arrives", LIMIT, || host.place.join("hup").exists())
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    let daemon = host.daemon()?;
    let now = [daemon.pid_of("a"), daemon.pid_of("b")];
    expect(now == *pids, format!("{now:?}, not {pids:?}"))?;
    expect(
        host.place.read("told").lines().count() == 1,
        host.place.read("told"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn write(host: &Host, name: &str, text: &str) -> Result<(), String> {
    fs::write(host.place.join(name), text).map_err(|e| format!("{name}: {e}"))
}

fn make(host: &Host, name: &str) -> Result<(), String> {
    fs::create_dir_all(host.place.join(name)).map_err(|e| format!("{name}: {e}"))
}

fn directory() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program:a]\ncommand=/bin/sleep 1000\nrestart_directory_monitor={{dir}}/tree\n\
         restart_file_pattern=*.py, *.html\n{QUICK}"
    ))?;
    make(&host, "tree")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let first = up(&host, &["a"])?;
    make(&host, "tree/new/deep")?;
    write(&host, "tree/new/deep/notes.txt", "1")?;
    write(&host, "tree/new/deep/.hidden.py", "1")?;
    write(&host, "tree/new/deep/index.html", "1")?;
    let second = restarted(&host, "a", first[0])?;
    // A file that does not count changes first: only the later one restarts.
    write(&host, "tree/new/deep/notes.txt", "2")?;
    write(&host, "tree/new/deep/app.py", "1")?;
    restarted(&host, "a", second)?;
    let log = host.place.read("log");
    expect(
        count(&host, "changed; restarting") == 2
            && log.contains("/tree/new/deep/index.html changed")
            && log.contains("/tree/new/deep/app.py changed"),
        host.log_end(),
    )?;
    // The directory vanishes and comes back.
    let third = host.daemon()?.pid_of("a");
    fs::remove_dir_all(host.place.join("tree")).map_err(|e| e.to_string())?;
    make(&host, "tree")?;
    restarted(&host, "a", third)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn file_reactions() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program:a]\ncommand=/bin/sleep 1000\nrestart_directory_monitor={{dir}}/tree\n\
         restart_cmd_when_file_changed=sh -c 'echo $SUPERVISOR_CHANGED_FILE >> {{dir}}/told'\nnumprocs=2\n\
         process_name=a%(process_num)d\n{QUICK}\
         [program:b]\ncommand={{test_child}} on HUP touch,{{dir}}/hup forever\nrestart_directory_monitor={{dir}}/tree\n\
         restart_signal_when_file_changed=HUP\n{QUICK}"
    ))?;
    make(&host, "tree")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let daemon = host.daemon()?;
    for name in ["a:a0", "a:a1"] {
        daemon.wait_state(name, "RUNNING")?;
    }
    host.wait_file("log", "a0: watching")?;
    let pids = up(&host, &["b"])?;
    write(&host, "tree/x", "1")?;
    host.wait_file("told", "/tree/x\n")?;
    wait_for("HUP arrives", LIMIT, || host.place.join("hup").exists())?;
    expect(host.daemon()?.pid_of("b") == pids[0], "b is restarted")?;
    expect(
        host.place.read("told").lines().count() == 1,
        "the command runs once",
    )?;
    expect(count(&host, "changed; restarting") == 0, host.log_end())?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn deployment() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program:a]\ncommand={{dir}}/current/app 1000\nrestart_when_binary_changed=true\n{QUICK}\
         [program:b]\ncommand=/bin/sleep 1000\nrestart_directory_monitor={{dir}}/current\n{QUICK}"
    ))?;
    for release in ["1", "2"] {
        make(&host, &format!("releases/{release}"))?;
        install(&host, &format!("releases/{release}/app"))?;
    }
    let link = |host: &Host, release: &str| {
        let new = host.place.join("current.new");
        symlink(format!("releases/{release}"), &new)
            .and_then(|()| fs::rename(&new, host.place.join("current")))
            .map_err(|e| e.to_string())
    };
    link(&host, "1")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let first = up(&host, &["a", "b"])?;
    link(&host, "2")?;
    let second = [
        restarted(&host, "a", first[0])?,
        restarted(&host, "b", first[1])?,
    ];
    // The new release is watched too.
    install(&host, "releases/2/app")?;
    restarted(&host, "a", second[0])?;
    restarted(&host, "b", second[1])?;
    expect(count(&host, "changed; restarting") == 4, host.log_end())?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn rename(host: &Host, from: &str, to: &str) -> Result<(), String> {
    fs::rename(host.place.join(from), host.place.join(to)).map_err(|e| format!("{from}: {e}"))
}

fn search_path() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program:a]\ncommand=app 1000\nenvironment=PATH=\"{{dir}}/new/first:{{dir}}/second:{{dir}}\"\n\
         restart_when_binary_changed=true\n{QUICK}"
    ))?;
    make(&host, "second")?;
    install(&host, "second/app")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let first = up(&host, &["a"])?;
    // A directory that comes earlier in the path gets the command.
    make(&host, "new/first")?;
    install(&host, "new/first/app")?;
    let second = restarted(&host, "a", first[0])?;
    // And loses it again.
    rename(&host, "new", "old")?;
    let third = restarted(&host, "a", second)?;
    install(&host, "second/app")?;
    restarted(&host, "a", third)?;
    expect(
        count(&host, "/new/first/app changed; restarting") == 1
            && count(&host, "/second/app changed; restarting") == 2,
        host.log_end(),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn parents() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program:a]\ncommand={{dir}}/live/v/bin/app 1000\nrestart_when_binary_changed=true\n{QUICK}\
         [program:b]\ncommand=/bin/sleep 1000\nrestart_directory_monitor={{dir}}/live/v/static\n{QUICK}"
    ))?;
    for place in ["live", "next"] {
        make(&host, &format!("{place}/v/bin"))?;
        make(&host, &format!("{place}/v/static"))?;
        install(&host, &format!("{place}/v/bin/app"))?;
    }
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let first = up(&host, &["a", "b"])?;
    rename(&host, "live", "before")?;
    rename(&host, "next", "live")?;
    let second = [
        restarted(&host, "a", first[0])?,
        restarted(&host, "b", first[1])?,
    ];
    // The new directories are watched, not those that were moved away.
    write(&host, "before/v/static/x", "1")?;
    install(&host, "before/v/bin/app")?;
    write(&host, "live/v/static/y", "1")?;
    restarted(&host, "b", second[1])?;
    install(&host, "live/v/bin/app")?;
    restarted(&host, "a", second[0])?;
    expect(
        count(&host, "changed; restarting") == 4 && count(&host, "/static/y changed") == 1,
        host.log_end(),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn links() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program:a]\ncommand={{dir}}/live/bin/app 1000\nrestart_when_binary_changed=true\n{QUICK}\
         [program:b]\ncommand=/bin/sleep 1000\nrestart_directory_monitor={{dir}}/live/bin\n{QUICK}"
    ))?;
    for release in ["1", "2", "3"] {
        make(&host, &format!("releases/{release}/bin"))?;
        install(&host, &format!("releases/{release}/bin/app"))?;
    }
    let link = |host: &Host, name: &str, to: &str| {
        let new = host.place.join("new");
        symlink(to, &new)
            .and_then(|()| fs::rename(&new, host.place.join(name)))
            .map_err(|e| format!("{name}: {e}"))
    };
    // live leads to current, which leads to a release.
    link(&host, "current", "releases/1")?;
    link(&host, "live", "current")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let first = up(&host, &["a", "b"])?;
    link(&host, "current", "releases/2")?;
    let second = [
        restarted(&host, "a", first[0])?,
        restarted(&host, "b", first[1])?,
    ];
    link(&host, "live", "releases/3")?;
    let third = [
        restarted(&host, "a", second[0])?,
        restarted(&host, "b", second[1])?,
    ];
    // Nothing depends on this link any more.
    link(&host, "current", "releases/1")?;
    install(&host, "releases/3/bin/app")?;
    restarted(&host, "a", third[0])?;
    restarted(&host, "b", third[1])?;
    expect(count(&host, "changed; restarting") == 6, host.log_end())?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn vanished() -> Result<Outcome, String> {
    // The kernel reports the end of a directory only when nobody uses it any more, and the process does.
    let mut host = Host::new(&format!(
        "[program:b]\ncommand={{test_child}} on HUP touch,{{dir}}/hup forever\ndirectory={{dir}}/site\n\
         restart_directory_monitor={{dir}}/site\nrestart_signal_when_file_changed=HUP\n{QUICK}"
    ))?;
    make(&host, "site")?;
    write(&host, "site/x", "1")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let pids = up(&host, &["b"])?;
    fs::remove_dir_all(host.place.join("site")).map_err(|e| e.to_string())?;
    let told = |path: &str| {
        let text = format!("{path} changed; sending SIGHUP");
        wait_for(&text, LIMIT, || count(&host, &text) == 1)
            .map_err(|why| format!("{why}; log:\n{}", host.log_end()))
    };
    told("/site/x")?;
    make(&host, "site")?;
    told("/site")?;
    write(&host, "site/new", "1")?;
    told("/site/new")?;
    expect(
        host.daemon()?.pid_of("b") == pids[0],
        "the program was restarted",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn followed() -> Result<Outcome, String> {
    let config = format!(
        "[program:a]\ncommand=/bin/sleep 1000\nrestart_directory_monitor={{dir}}/tree\n{QUICK}"
    );
    let mut host = Host::new(&config)?;
    make(&host, "tree")?;
    make(&host, "other")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let first = up(&host, &["a"])?;
    host.expect_ctl(&["upgrade"], 0, &[])?;
    wait_for("the watch is set again", LIMIT, || {
        count(&host, "a: watching") == 2
    })?;
    write(&host, "tree/x", "1")?;
    restarted(&host, "a", first[0])?;
    host.configure(&config.replace("/tree", "/other"))?;
    host.expect_ctl(&["update"], 0, &["a: updated process group"])?;
    let third = up(&host, &["a"])?;
    wait_for("the new watch is set", LIMIT, || {
        count(&host, "/other") >= 1
    })?;
    write(&host, "tree/x", "2")?;
    write(&host, "other/x", "1")?;
    restarted(&host, "a", third[0])?;
    expect(
        count(&host, "/tree/x changed; restarting") == 1
            && count(&host, "/other/x changed; restarting") == 1,
        host.log_end(),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// One directory with very many files: setting the watch holds nobody up, changes are seen, memory does not grow with
/// the number of files by much.
fn many_files() -> Result<Outcome, String> {
    const FILES: usize = 100_000;
    let mut host = Host::new(&format!(
        "[program:a]\ncommand=/bin/sleep 1000\nrestart_directory_monitor={{dir}}/tree\nrestart_file_pattern=*.py\n{QUICK}\
         [program:other]\ncommand=/bin/sleep 1000\nautostart=false\n{QUICK}"
    ))?;
    make(&host, "tree/new")?;
    for number in 0..FILES {
        fs::File::create(host.place.join(&format!("tree/{number}.txt")))
            .map_err(|e| e.to_string())?;
    }
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let first = up(&host, &["a"])?;
    let memory = proc::resident_kib(host.daemon()?.pid());
    // More of them change than the kernel has room for in its queue, and none counts.
    for number in 0..FILES / 5 {
        fs::write(host.place.join(&format!("tree/{number}.txt")), "2")
            .map_err(|e| e.to_string())?;
    }
    host.expect_ctl(&["start", "other"], 0, &["other: started"])?;
    let second = {
        write(&host, "tree/new/app.py", "1")?;
        restarted(&host, "a", first[0])?
    };
    let now = host.daemon()?.pid_of("a");
    // The kernel's queue may have overflowed, which counts as a change.
    expect(
        count(&host, "changed; restarting") <= 2,
        format!("{} {now} {second}: {}", first[0], host.log_end()),
    )?;
    let more = proc::resident_kib(host.daemon()?.pid()).saturating_sub(memory);
    expect(more < 40 << 10, format!("{more} KiB more"))?;
    // A directory that vanishes with all of them.
    fs::remove_dir_all(host.place.join("tree")).map_err(|e| e.to_string())?;
    host.expect_ctl(&["restart", "other"], 0, &["other: started"])?;
    make(&host, "tree")?;
    write(&host, "tree/app.py", "2")?;
    restarted(&host, "a", now)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The Go implementation runs these commands as root, in its own environment and directory.
fn as_user() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("only root can change the user".to_owned()));
    }
    let mut host = Host::new(&format!(
        "[program:a]\ncommand=/bin/sleep 1000\nuser=nobody\ndirectory={{dir}}/tree\nenvironment=WORD=own\n\
         restart_directory_monitor={{dir}}/tree\n\
         restart_cmd_when_file_changed=sh -c 'echo $(id -un) $WORD $(pwd) $SUPERVISOR_PROCESS_NAME > /{{dir}}/open/told'\n{QUICK}"
    ))?;
    make(&host, "tree")?;
    crate::programs::open_to_all(&host, "open")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    up(&host, &["a"])?;
    write(&host, "tree/x", "1")?;
    let expected = format!("nobody own {}/tree a\n", host.place.text());
    wait_for("the command", LIMIT, || {
        host.place.read("open/told") == expected
    })
    .map_err(|why| {
        format!(
            "{why}: {:?}; {}",
            host.place.read("open/told"),
            host.log_end()
        )
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The Go implementation waits stopwaitsecs after each signal, ten minutes here.
fn several_signals() -> Result<Outcome, String> {
    let mut host = Host::new(&format!(
        "[program:a]\ncommand={{test_child}} on HUP say,HUP on USR1 say,USR1 on USR2 say,USR2 say up forever\n\
         restart_directory_monitor={{dir}}/tree\nrestart_signal_when_file_changed=USR1 SIGUSR2, HUP\nstopwaitsecs=600\n\
         {}stdout_logfile={{dir}}/said\n",
        QUICK.replace("stdout_logfile=NONE\n", "")
    ))?;
    make(&host, "tree")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    let first = up(&host, &["a"])?;
    host.wait_file("said", "up\n")?;
    write(&host, "tree/x", "1")?;
    for signal in ["USR1\n", "USR2\n", "HUP\n"] {
        host.wait_file("said", signal)?;
    }
    expect(host.daemon()?.pid_of("a") == first[0], "it was restarted")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
