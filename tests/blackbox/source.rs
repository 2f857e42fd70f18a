//! The configuration from a command: starts, changes, failures, and what its text may do.

use std::os::unix::fs::PermissionsExt as _;

use nix::sys::signal::Signal;
use serde_json::Value as Json;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, wait_for};
use crate::web_client;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "source::the_output_of_a_command_is_the_configuration",
            follows,
        ),
        Trial::new("source::a_command_that_fails_changes_nothing", fails),
        Trial::new(
            "source::a_command_that_hangs_is_killed_with_its_group",
            hangs,
        ),
        Trial::new("source::a_start_needs_a_text_or_a_snapshot", starts),
        Trial::new("source::the_command_runs_as_the_user_that_is_named", users),
        Trial::new("source::a_text_that_is_only_read_is_not_stored", only_read),
        Trial::new(
            "source::command_lines_with_two_sources_are_refused",
            refused,
        ),
    ]
}

/// Programs that run until they are stopped.
fn programs(names: &[&str]) -> String {
    let section = |name: &&str| format!("[program:{name}]\ncommand=sleep 1000\nstartsecs=0\n");
    names.iter().map(section).collect()
}

/// A daemon whose configuration is what a script prints.
struct Commanded {
    host: Host,
}

impl Commanded {
    /// `keys`: further keys of `[source]`. The command prints the file `text`.
    fn new(text: &str, keys: &str) -> Result<Self, String> {
        let host = Host::new(&format!(
            "[source]\ncommand=/bin/sh {{dir}}/fetch\ncache_dir={{dir}}/cache\n{keys}"
        ))?;
        // The command runs as another user than root.
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(host.place.path(), readable).map_err(|e| e.to_string())?;
        let commanded = Self { host };
        commanded.print(text)?;
        commanded.script("cat {dir}/text")?;
        Ok(commanded)
    }

    fn started(text: &str, keys: &str) -> Result<Self, String> {
        let mut commanded = Self::new(text, keys)?;
        commanded.host.go()?;
        Ok(commanded)
    }

    /// Replaces what the command does. A shell reads a script while it runs, so the file is replaced as a whole.
    fn script(&self, script: &str) -> Result<(), String> {
        self.replace("fetch", &self.host.fill(script))
    }

    /// Replaces the text.
    fn print(&self, text: &str) -> Result<(), String> {
        self.replace("text", text)
    }

    fn replace(&self, name: &str, text: &str) -> Result<(), String> {
        self.host.place.write("new", text)?;
        let (from, to) = (self.host.place.join("new"), self.host.place.join(name));
        std::fs::rename(from, to).map_err(|error| error.to_string())
    }

    fn wait_line(&self, line: &str) -> Result<(), String> {
        self.host.wait_file("log", line)
    }

    /// The text that is stored. Empty: none is.
    fn snapshot(&self) -> String {
        let files = std::fs::read_dir(self.host.place.join("cache"));
        let mut files = files.into_iter().flatten().flatten();
        let text = files.find(|file| {
            let name = file.file_name().to_string_lossy().into_owned();
            name.starts_with("command@@sh@@") && !name.contains('.')
        });
        let text = text.and_then(|file| std::fs::read_to_string(file.path()).ok());
        text.unwrap_or_default()
    }

    /// Calls the REST interface.
    fn rest(&self, method: &str, path: &str) -> Result<(u16, Json), String> {
        let address = &self.host.daemon()?.address;
        web_client::rest(address, (method, path), "", &Json::Null)
    }

    fn state(&self) -> Result<Json, String> {
        let (status, body) = self.rest("GET", "/source")?;
        expect(status == 200, format!("{status} {body}"))?;
        Ok(body)
    }
}

fn follows() -> Result<Outcome, String> {
    let commanded = Commanded::started(&programs(&["one"]), "interval=1\n")?;
    let host = &commanded.host;
    let daemon = host.daemon()?;
    daemon.wait_state("one", "RUNNING")?;
    let pid = daemon.pid_of("one");
    commanded.wait_line("configuration read from command:sh: MD5 ")?;
    commanded.print(&programs(&["one", "two"]))?;
    daemon.wait_state("two", "RUNNING")?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    wait_for("the snapshot", LIMIT, || {
        commanded.snapshot() == programs(&["one", "two"])
    })?;
    host.expect_ctl(&["source"], 0, &["command: command:sh", "from /bin/sh"])?;
    // A wrong text changes nothing. It is told everywhere.
    commanded.print("[program:one]\ncommand=sleep 1000\nstartsecs=soon\n")?;
    commanded.wait_line("refused: MD5 ")?;
    commanded.wait_line("command:sh:3:11: invalid literal")?;
    wait_for("the state", LIMIT, || {
        commanded
            .state()
            .is_ok_and(|state| state["rejected"] == true)
    })?;
    let (_, nacos) = commanded.rest("GET", "/nacos")?;
    let report = nacos["report"].as_str().unwrap_or_default();
    expect(
        report.contains("startsecs=soon") && report.contains('^') || report.contains('┬'),
        format!("no mark below the value: {report}"),
    )?;
    host.expect_ctl(&["source"], 1, &["refused", "error: "])?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    expect(
        commanded.snapshot() == programs(&["one", "two"]),
        "a wrong text is stored",
    )?;
    // What another program writes is not edited here.
    let (status, body) = commanded.rest("DELETE", "/programs/one")?;
    expect(status >= 400, format!("{status} {body}"))?;
    commanded.print(&programs(&["one"]))?;
    wait_for("two is gone", LIMIT, || daemon.info("two").is_err())?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    let (status, body) = commanded.rest("DELETE", "/programs/one")?;
    expect(
        status >= 400 && body.to_string().contains("output of a command"),
        format!("{status} {body}"),
    )?;
    Ok(Outcome::Passed)
}

fn fails() -> Result<Outcome, String> {
    let commanded = Commanded::started(&programs(&["one"]), "interval=1\nmaxbytes=1KB\n")?;
    let host = &commanded.host;
    let daemon = host.daemon()?;
    daemon.wait_state("one", "RUNNING")?;
    let pid = daemon.pid_of("one");
    commanded.script("echo '[program:bad]'; echo starting >&2; echo no etcd >&2; exit 3")?;
    commanded
        .wait_line("command:sh cannot be read: /bin/sh: exit status 3: no etcd (programs go on")?;
    expect(commanded.state()?["up"] == false, "it is up")?;
    host.expect_ctl(&["source"], 1, &["error: /bin/sh: exit status 3: no etcd"])?;
    // A reading on request has the last text.
    host.expect_ctl(&["reread"], 0, &["No config updates"])?;
    for (script, error) in [
        ("yes", "larger than 1024 bytes"),
        ("printf '\\377'", "its output is not UTF-8"),
        ("true", "it printed nothing"),
    ] {
        commanded.script(script)?;
        wait_for(error, LIMIT, || {
            commanded.state().is_ok_and(|state| {
                state["error"]
                    .as_str()
                    .is_some_and(|text| text.contains(error))
            })
        })?;
        // Its output is no configuration, so there is nothing to read.
        host.expect_ctl(&["reread"], 1, &[error])?;
    }
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    expect(
        commanded.snapshot() == programs(&["one"]),
        "another text is stored",
    )?;
    commanded.script("cat {dir}/text")?;
    commanded.wait_line("command:sh can be read again, from /bin/sh")?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    Ok(Outcome::Passed)
}

fn hangs() -> Result<Outcome, String> {
    let mut commanded = Commanded::started(&programs(&["one"]), "interval=1\ntimeout=1\n")?;
    let daemon = commanded.host.daemon()?;
    daemon.wait_state("one", "RUNNING")?;
    let pid = daemon.pid_of("one");
    commanded.script("sleep 987654 & echo $! > /dev/stderr; wait")?;
    commanded.wait_line("killed, because it did not end within 1 seconds: ")?;
    let log = commanded.host.place.read("log");
    let killed = log.split("within 1 seconds: ").nth(1);
    let killed: String = killed
        .unwrap_or_default()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    wait_for("the group was killed", LIMIT, || {
        let line = std::fs::read(format!("/proc/{killed}/cmdline"));
        !line.is_ok_and(|line| line.starts_with(b"sleep"))
    })?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    // An end of the daemon does not wait for the command.
    commanded.script("exec sleep 987654")?;
    let daemon = commanded.host.daemon.as_mut().ok_or("not started")?;
    daemon.signal(Signal::SIGTERM);
    daemon.wait_exit(LIMIT)?;
    Ok(Outcome::Passed)
}

fn starts() -> Result<Outcome, String> {
    let mut commanded = Commanded::new(&programs(&["one"]), "start_timeout=1\ncache_wait=1\n")?;
    commanded.script("echo no consul >&2; exit 1")?;
    let ended = commanded.host.run(&["-n", "-c", "conf"])?;
    expect(
        ended.code == 1
            && ended.stderr.contains(
                "cannot read command:sh: /bin/sh: exit status 1: no consul (there is no snapshot)",
            ),
        format!("{ended:?}"),
    )?;
    commanded.script("cat {dir}/text")?;
    let checked = commanded.host.run(&["-c", "conf", "--check"])?;
    expect(checked.code == 0, format!("{checked:?}"))?;
    commanded.host.go()?;
    commanded.host.daemon()?.wait_state("one", "RUNNING")?;
    wait_for("the snapshot", LIMIT, || !commanded.snapshot().is_empty())?;
    // An upgrade keeps the text; the command need not work for it.
    let pid = commanded.host.daemon()?.pid_of("one");
    commanded.script("exit 1")?;
    commanded.host.expect_ctl(&["upgrade"], 0, &[])?;
    commanded
        .host
        .expect_ctl(&["plan"], 0, &["nothing to do"])?;
    expect(
        commanded.host.daemon()?.pid_of("one") == pid,
        "one was restarted",
    )?;
    for script in ["echo no consul >&2; exit 1", "exec sleep 987654"] {
        let daemon = commanded.host.daemon.as_mut().ok_or("not started")?;
        daemon.signal(Signal::SIGTERM);
        daemon.wait_exit(LIMIT)?;
        commanded.script(script)?;
        commanded.host.go()?;
        commanded.host.daemon()?.wait_state("one", "RUNNING")?;
        commanded.wait_line("command:sh started with the snapshot of ")?;
    }
    Ok(Outcome::Passed)
}

fn users() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("only root can change the user".to_owned()));
    }
    // The command runs again after the start, and the file must be whole whenever it is read.
    let script = "{ id -u; grep CapEff /proc/self/status; env; } > {dir}/seen/new; mv {dir}/seen/new {dir}/seen/who; cat {dir}/text";
    for (keys, uid, right) in [
        ("", "65534\n", "CapEff:\t0000000000000000\n"),
        ("user=root\n", "0\n", "HOME=/root\n"),
        ("environment=TOKEN=\"a b\"\n", "65534\n", "TOKEN=a b\n"),
    ] {
        let mut commanded = Commanded::new(&programs(&["one"]), keys)?;
        let out = commanded.host.place.join("seen");
        std::fs::create_dir(&out).map_err(|error| error.to_string())?;
        std::fs::set_permissions(&out, std::fs::Permissions::from_mode(0o777))
            .map_err(|error| error.to_string())?;
        commanded.script(script)?;
        commanded.host.go_with(|command| {
            command.env("SECRET_OF_THE_DAEMON", "x");
        })?;
        let who = commanded.host.place.read("seen/who");
        expect(
            who.starts_with(uid) && who.contains(right) && !who.contains("SECRET_OF"),
            format!("{keys}: {who}"),
        )?;
        commanded.wait_line("users who can change command:sh can run commands as root")?;
    }
    Ok(Outcome::Passed)
}

/// Once `reread` made the text that it read the snapshot of the next start, applied or not.
fn only_read() -> Result<Outcome, String> {
    for on_change in ["notify", "ignore"] {
        let keys = format!("interval=1000\non_change={on_change}\n");
        let commanded = Commanded::started(&programs(&["one"]), &keys)?;
        let host = &commanded.host;
        wait_for("the snapshot", LIMIT, || !commanded.snapshot().is_empty())?;
        commanded.print(&programs(&["one", "two"]))?;
        host.expect_ctl(&["reread"], 0, &["two: available"])?;
        host.expect_ctl(&["source"], 0, &["not applied"])?;
        expect(
            commanded.snapshot() == programs(&["one"]),
            "a text that was only read is stored",
        )?;
        host.expect_ctl(&["update"], 0, &["two: added process group"])?;
        wait_for("the snapshot", LIMIT, || {
            commanded.snapshot() == programs(&["one", "two"])
        })?;
        let state = commanded.state()?;
        expect(state["md5"] == state["newest_md5"], state.to_string())?;
        // A text without other programs has nothing to apply: it is applied when it is read.
        let commented = format!("{}; a comment\n", programs(&["one", "two"]));
        commanded.print(&commented)?;
        host.expect_ctl(&["reread"], 0, &["No config updates"])?;
        wait_for("the snapshot", LIMIT, || commanded.snapshot() == commented)?;
    }
    Ok(Outcome::Passed)
}

fn refused() -> Result<Outcome, String> {
    let host = Host::new("[nacos]\nserver=h\ndataid=d\n")?;
    for (options, part) in [
        (
            &["--source-command=true"][..],
            "[nacos] server in conf and --source-command are two sources",
        ),
        (
            &["--source-interval=5"],
            "--source-interval needs command too",
        ),
    ] {
        let mut arguments = vec!["-n", "-c", "conf"];
        arguments.extend(options);
        let ended = host.run(&arguments)?;
        expect(
            ended.code == 2 && ended.stderr.contains(part),
            format!("{options:?}: {ended:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}
