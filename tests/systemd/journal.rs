//! Output of programs and of the daemon in journald.

use crate::support::machine::{Machine, trial};
use crate::support::runner::Trial;
use crate::support::{LIMIT, wait_for};

type Result<T = ()> = std::result::Result<T, String>;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial(
            "journal::l05_lines_have_priority_stream_and_process",
            fields,
        ),
        trial("journal::any_bytes_and_long_lines_become_entries", bytes),
        trial("journal::a_restart_of_journald_loses_nothing", restarted),
        trial("journal::a_killed_journald_loses_no_line_of_ours", killed),
        trial(
            "journal::a_stalled_journald_blocks_programs_and_loses_nothing",
            stalled,
        ),
        trial("journal::lines_beyond_the_limit_are_counted", limited),
        trial("journal::several_targets_get_the_same_lines", several),
        trial(
            "journal::tail_reads_only_trusted_entries_of_the_journal",
            tail,
        ),
        trial("journal::each_line_of_the_daemon_is_one_entry", activity),
        trial("journal::diagnostics_are_entries_with_fields", diagnostics),
    ]
}

/// A daemon as a service, without journald's rate limit, which all its programs would share. An interval of 0 should
/// switch it off, but systemd 252 does not pass a zero to journald.
struct Daemon<'a> {
    machine: &'a Machine,
    name: &'static str,
}

impl<'a> Daemon<'a> {
    fn start(machine: &'a Machine, name: &'static str, logfile: &str, rest: &str) -> Result<Self> {
        let dir = format!("/run/{name}");
        let text = format!(
            "[supervisord]\nlogfile={logfile}\npidfile={dir}/pid\n\
             [unix_http_server]\nfile={dir}/sock\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://{dir}/sock\n{rest}"
        );
        machine.write(&format!("{dir}/conf"), &text)?;
        let daemon = Self { machine, name };
        machine.sh(&format!(
            "systemd-run -q --collect --unit={name} -p LogRateLimitIntervalSec=1ms -p LogRateLimitBurst=1000000 /usr/bin/supervisord -n -c {dir}/conf"
        ))?;
        Ok(daemon)
    }

    fn ctl(&self, arguments: &str) -> Result<String> {
        let name = self.name;
        let script = format!("supervisorctl -c /run/{name}/conf {arguments}");
        Ok(self.machine.run(&["/bin/sh", "-c", &script])?.stdout)
    }

    /// Waits until the process has exited.
    fn ended(&self, process: &str) -> Result {
        let mut last = String::new();
        wait_for(&format!("{process} has ended"), LIMIT, || {
            last = self.ctl(&format!("status {process}")).unwrap_or_default();
            last.contains("EXITED")
        })
        .map_err(|why| format!("{why}: {last}\n{}", self.machine.story(self.name)))
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let name = self.name;
        let _ = self
            .machine
            .sh(&format!("systemctl stop {name}; rm -rf /run/{name}"));
    }
}

/// A program that runs its [`script`] once.
fn program(name: &str, rest: &str) -> String {
    format!(
        "[program:{name}]\ncommand=/bin/sh /run/{name}.sh\nautorestart=false\nstartsecs=0\n{rest}\n"
    )
}

fn script(machine: &Machine, name: &str, text: &str) -> Result {
    machine.write(&format!("/run/{name}.sh"), text)
}

/// Waits for this number of lines in the journal, which may still be reading.
fn journal(machine: &Machine, matches: &str, options: &str, lines: usize) -> Result<String> {
    let mut last = String::new();
    wait_for(&format!("{lines} lines of {matches}"), LIMIT, || {
        last = machine
            .sh(&format!("journalctl -q --no-pager {options} {matches}"))
            .unwrap_or_default();
        last.lines().count() >= lines
    })
    .map_err(|why| {
        let tail: String = last.chars().take(2000).collect();
        format!("{why}, but {}:\n{tail}", last.lines().count())
    })?;
    Ok(last)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what}: {found:?}, not {expected:?}"))
    }
}

fn fields(machine: &Machine) -> Result {
    script(
        machine,
        "jn-fields",
        "echo plain; echo '<3>bad' >&2; echo '<7>chatter'; echo error >&2; exec sleep 1000",
    )?;
    let section = "[group:pets]\nprograms=jn-fields\n".to_owned()
        + &program(
            "jn-fields",
            "stdout_logfile=journal\nstderr_logfile=journald",
        );
    let daemon = Daemon::start(machine, "jn-fields", "/run/jn-fields/log", &section)?;
    let text = journal(
        machine,
        "SUPERVISOR_PROCESS=jn-fields SUPERVISOR_STREAM=stdout SUPERVISOR_STREAM=stderr",
        "-o json",
        4,
    )?;
    let mut found = Vec::new();
    let pid = daemon.ctl("pid pets:jn-fields")?.trim().to_owned();
    for line in text.lines() {
        let entry: serde_json::Value =
            serde_json::from_str(line).map_err(|error| error.to_string())?;
        let of = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        for (name, value) in [
            ("SYSLOG_IDENTIFIER", "jn-fields"),
            ("SUPERVISOR_GROUP", "pets"),
            ("SUPERVISOR_INCARNATION", "1"),
            ("OBJECT_PID", pid.as_str()),
            // journald has looked up the process itself.
            ("OBJECT_SYSTEMD_UNIT", "jn-fields.service"),
        ] {
            same(name, of(name).as_str(), value)?;
        }
        found.push((of("SUPERVISOR_STREAM"), of("PRIORITY"), of("MESSAGE")));
    }
    found.sort();
    let expected = [
        ("stderr", "3", "bad"),
        ("stderr", "6", "error"),
        ("stdout", "6", "plain"),
        ("stdout", "7", "chatter"),
    ];
    same(
        "entries",
        found,
        expected
            .map(|(stream, priority, text)| {
                (stream.to_owned(), priority.to_owned(), text.to_owned())
            })
            .to_vec(),
    )
}

fn bytes(machine: &Machine) -> Result {
    script(
        machine,
        "jn-bytes",
        "printf 'a\\000b\\377=c\\n'; head -c 1048576 /dev/zero | tr '\\000' x; printf '\\nend\\n'",
    )?;
    let section = program("jn-bytes", "stdout_logfile=journal, /run/jn-bytes/out");
    let daemon = Daemon::start(machine, "jn-bytes", "/run/jn-bytes/log", &section)?;
    daemon.ended("jn-bytes")?;
    let matches = "SUPERVISOR_PROCESS=jn-bytes SUPERVISOR_STREAM=stdout";
    let compare =
        format!("journalctl -q --no-pager --all -o cat {matches} | cmp - /run/jn-bytes/out");
    let mut last = String::new();
    wait_for(
        "the journal has the bytes of the file",
        LIMIT,
        || match machine.sh(&compare) {
            Ok(_) => true,
            Err(why) => {
                last = why;
                false
            }
        },
    )
    .map_err(|why| format!("{why}: {last}"))?;
    let size = machine.sh("stat -c %s /run/jn-bytes/out")?;
    same("size", size.trim(), "1048588")?;
    let count = machine.sh(&format!(
        "journalctl -q --no-pager -o json {matches} | wc -l"
    ))?;
    same("one entry a line", count.trim(), "3")
}

/// Numbers in bursts over about four seconds.
const NUMBERS: &str =
    "for i in $(seq 40); do seq $((i*1000)) $((i*1000+999)); sleep 0.1; done; echo end";

/// Runs [`NUMBERS`] during `disturbance`. Returns the numbers that are missing in the journal.
fn missing(machine: &Machine, name: &'static str, disturbance: &str) -> Result<Vec<u32>> {
    script(machine, name, NUMBERS)?;
    let log = format!("/run/{name}/log");
    let section = program(name, "stdout_logfile=journal");
    let daemon = Daemon::start(machine, name, &log, &section)?;
    let matches = format!("SUPERVISOR_PROCESS={name} SUPERVISOR_STREAM=stdout");
    for _ in 0..3 {
        let before = journal(machine, &matches, "-o cat", 1)?.lines().count();
        machine.sh(disturbance)?;
        journal(
            machine,
            &matches,
            "-o cat",
            before.saturating_add(500).min(38_000),
        )?;
    }
    daemon.ended(name)?;
    let told = machine.sh(&format!("cat {log}"))?;
    if told.contains("lost") {
        return Err(told);
    }
    let mut last = String::new();
    wait_for("the end is in the journal", LIMIT, || {
        last = machine
            .sh(&format!("journalctl -q --no-pager -o cat {matches}"))
            .unwrap_or_default();
        last.ends_with("end\n")
    })?;
    let found: Vec<u32> = last.lines().filter_map(|line| line.parse().ok()).collect();
    if !found.windows(2).all(|pair| pair[0] < pair[1]) {
        return Err("not in order, or twice".to_owned());
    }
    Ok((1000..41_000)
        .filter(|number| found.binary_search(number).is_err())
        .collect())
}

fn restarted(machine: &Machine) -> Result {
    let missing = missing(machine, "jn-restart", "systemctl restart systemd-journald")?;
    same("missing", missing, Vec::new())
}

fn killed(machine: &Machine) -> Result {
    let kill = "systemctl kill -s KILL systemd-journald; systemctl reset-failed systemd-journald; systemctl start systemd-journald";
    let missing = missing(machine, "jn-killed", kill)?;
    // journald was killed three times and may have lost the line it was handling each time.
    if missing.len() <= 3 {
        Ok(())
    } else {
        Err(format!("missing: {missing:?}"))
    }
}

fn stalled(machine: &Machine) -> Result {
    // A megabyte of numbers, more than the socket of a stopped journald can hold.
    script(
        machine,
        "jn-stalled",
        "seq 1000000 1099999; echo written > /run/jn-stalled/written",
    )?;
    let section = program("jn-stalled", "stdout_logfile=journal\nautostart=false");
    let daemon = Daemon::start(machine, "jn-stalled", "/run/jn-stalled/log", &section)?;
    machine.sh("systemctl kill -s STOP systemd-journald")?;
    let felt = (|| {
        daemon.ctl("start jn-stalled")?;
        let mut last = String::new();
        // journald's own count of written entries no longer grows.
        let count = "grep wchar /proc/$(pgrep -xf 'seq 1000000 1099999')/io";
        let mut equal = 0;
        wait_for("the program waits", LIMIT, || {
            let now = machine.sh(count).unwrap_or_default();
            equal = if !now.is_empty() && now == last {
                equal + 1
            } else {
                0
            };
            last = now;
            equal >= 3
        })?;
        same(
            "the daemon answers meanwhile",
            daemon.ctl("status jn-stalled")?.contains("RUNNING"),
            true,
        )?;
        same(
            "written",
            machine
                .sh("test -e /run/jn-stalled/written && echo yes || echo no")?
                .trim(),
            "no",
        )
    })();
    machine.sh("systemctl kill -s CONT systemd-journald")?;
    felt?;
    daemon.ended("jn-stalled")?;
    let text = journal(
        machine,
        "SUPERVISOR_PROCESS=jn-stalled SUPERVISOR_STREAM=stdout",
        "-o cat",
        100_000,
    )?;
    let right = text
        .lines()
        .eq((1_000_000..1_100_000).map(|number: u32| number.to_string()));
    same("all, in order", right, true)
}

fn limited(machine: &Machine) -> Result {
    script(machine, "jn-limit", "seq 100")?;
    let section = program(
        "jn-limit",
        "stdout_logfile=journal\nstdout_journal_rate_limit=5/1h",
    );
    let daemon = Daemon::start(machine, "jn-limit", "/run/jn-limit/log", &section)?;
    daemon.ended("jn-limit")?;
    let text = journal(
        machine,
        "SUPERVISOR_PROCESS=jn-limit SUPERVISOR_STREAM=stdout",
        "-o cat",
        6,
    )?;
    let expected = "1\n2\n3\n4\n5\n95 lines suppressed (rate limit 5/3600s)\n";
    same("entries", text.as_str(), expected)
}

fn several(machine: &Machine) -> Result {
    script(machine, "jn-several", "seq 5000; seq 3 >&2")?;
    let section = program(
        "jn-several",
        "stdout_logfile=/run/jn-several/out, journal\nredirect_stderr=true",
    );
    let daemon = Daemon::start(machine, "jn-several", "/run/jn-several/log", &section)?;
    daemon.ended("jn-several")?;
    let text = journal(
        machine,
        "SUPERVISOR_PROCESS=jn-several SUPERVISOR_STREAM=stdout",
        "-o cat",
        5003,
    )?;
    same("the file", machine.sh("cat /run/jn-several/out")?, text)?;
    let tail = daemon.ctl("tail jn-several")?;
    if tail.trim_end().ends_with("\n1\n2\n3") {
        Ok(())
    } else {
        Err(format!("tail reads the file: {tail}"))
    }
}

fn tail(machine: &Machine) -> Result {
    script(machine, "jn-tail", "seq 1000 9999; exec sleep 1000")?;
    let section = program("jn-tail", "stdout_logfile=journal");
    let daemon = Daemon::start(machine, "jn-tail", "/run/jn-tail/log", &section)?;
    journal(
        machine,
        "SUPERVISOR_PROCESS=jn-tail SUPERVISOR_STREAM=stdout",
        "-o cat",
        9000,
    )?;
    // Any process that can write to the journal can use our fields.
    machine.sh(
        "printf 'MESSAGE=forged\\nSUPERVISOR_GROUP=jn-tail\\nSUPERVISOR_PROCESS=jn-tail\\nSUPERVISOR_STREAM=stdout\\n' \
         | setpriv --reuid=tester --clear-groups logger --journald",
    )?;
    let forged = "SUPERVISOR_PROCESS=jn-tail MESSAGE=forged";
    journal(machine, forged, "-o cat", 1)?;
    // As for a file: the last 1600 bytes, or as many as requested.
    let lines = |range: std::ops::Range<u32>| -> String {
        range.map(|number| format!("{number}\n")).collect()
    };
    let found = daemon.ctl("tail jn-tail")?;
    same("tail", found.trim_end(), lines(9680..10_000).trim_end())?;
    let found = daemon.ctl("tail -10 jn-tail")?;
    same("tail -10", found.trim_end(), "9998\n9999")?;
    let found = daemon.ctl("tail jn-tail stderr")?;
    same("of an AUTO log", found.trim(), "")?;
    // It follows until the client is killed, and its journalctl ends with it.
    let found =
        machine.sh("timeout 5 supervisorctl -c /run/jn-tail/conf tail -f jn-tail || true")?;
    if !found.contains("9998\n9999\n") || found.contains("forged") {
        return Err(format!("tail -f: {found}"));
    }
    let found = daemon.ctl("logs -n 2 jn-tail")?;
    same(
        "logs",
        found.trim_end(),
        "jn-tail        | 9998\njn-tail        | 9999",
    )?;
    let log = machine.sh("cat /run/jn-tail/log")?;
    same(
        "strangers that were reaped",
        log.matches("reaped unknown").count(),
        0,
    )?;
    let left = machine.sh("systemctl show --value -p ControlGroup jn-tail | xargs -I{} cat /sys/fs/cgroup{}/cgroup.procs | wc -l")?;
    same("processes", left.trim(), "2")
}

fn activity(machine: &Machine) -> Result {
    script(machine, "jn-main", "exit 3")?;
    for (unit, log) in [("jn-copy", "/run/jn-copy/log"), ("jn-journal", "journal")] {
        let section = program("jn-main", "stdout_logfile=none\nstderr_logfile=none");
        let daemon = Daemon::start(machine, unit, log, &section)?;
        daemon.ended("jn-main")?;
        let matches = format!("_SYSTEMD_UNIT={unit}.service");
        let exit = journal(
            machine,
            &format!("{matches} SUPERVISOR_LINE=ExitedUnexpected"),
            "-o json",
            1,
        )?;
        let entry: serde_json::Value =
            serde_json::from_str(exit.trim()).map_err(|error| format!("{error}: {exit}"))?;
        for (name, value) in [
            ("PRIORITY", "4"),
            ("SYSLOG_IDENTIFIER", "supervisord"),
            ("SUPERVISOR_PROCESS", "jn-main"),
            ("SUPERVISOR_STATE", "EXITED"),
            ("SUPERVISOR_EXIT", "exit status 3"),
            ("MESSAGE", "exited: jn-main (exit status 3; not expected)"),
        ] {
            same(name, entry[name].as_str(), Some(value))?;
        }
        let text = machine.sh(&format!(
            "journalctl -q --no-pager -o cat {matches} _TRANSPORT=stdout"
        ))?;
        same("no text besides", text.as_str(), "")?;
        if log != "journal" {
            let file = machine.sh(&format!("cat {log}"))?;
            let count = file.matches("WARN exited: jn-main").count();
            same("the file has it too", count, 1)?;
        }
    }
    Ok(())
}

fn diagnostics(machine: &Machine) -> Result {
    script(machine, "jn-main", "exit 3")?;
    let section = program("jn-main", "stdout_logfile=none\nstderr_logfile=none");
    let daemon = Daemon::start(
        machine,
        "jn-diagnostics",
        "/run/jn-diagnostics/log",
        &format!("[supervisord]\ndiagnostics=debug\n{section}"),
    )?;
    daemon.ended("jn-main")?;
    let matches = "_SYSTEMD_UNIT=jn-diagnostics.service SYSLOG_IDENTIFIER=supervisord-diagnostics";
    let cloned = journal(
        machine,
        &format!("{matches} MESSAGE=cloned SUPERVISOR_PROCESS=jn-main"),
        "-o json",
        1,
    )?;
    let entry: serde_json::Value =
        serde_json::from_str(cloned.trim()).map_err(|error| format!("{error}: {cloned}"))?;
    for (name, value) in [
        ("PRIORITY", "7"),
        ("TARGET", "supervisord::spawn::worker"),
        ("SPAN_NAME", "instance"),
        ("SUPERVISOR_GROUP", "jn-main"),
    ] {
        same(name, entry[name].as_str(), Some(value))?;
    }
    let pid = entry["OBJECT_PID"].as_str().unwrap_or_default();
    let log = machine.sh("cat /run/jn-diagnostics/log")?;
    same(
        "the pid is that of the log",
        log.contains(&format!("spawned: 'jn-main' with pid {pid}\n")),
        true,
    )?;
    same(
        "the log has only its lines",
        log.contains("supervisord::"),
        false,
    )?;
    journal(machine, &format!("{matches} SPAN_NAME=request"), "", 1)?;
    // The output of a program is not confused with what is recorded about it.
    let text = machine.sh("journalctl -q --no-pager -o cat _SYSTEMD_UNIT=jn-diagnostics.service SUPERVISOR_STREAM=stdout")?;
    same("no output", text.as_str(), "")
}
