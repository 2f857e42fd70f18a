//! One configuration with every key that the Chinese README of the Go implementation lists for programs and the daemon,
//! and the checks that each key does what that document says. Keys of log targets beside files are not here.
//!
//! The same checks run for a plain daemon, for the daemon as PID 1, and for the service of systemd.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::{LIMIT, expect, wait_for};

/// A place where the daemon runs with [`config`].
pub trait DocumentHost {
    /// Runs supervisorctl. Returns its exit status and output.
    fn ctl(&self, arguments: &str) -> Result<(i32, String), String>;

    /// Runs a shell script beside the programs, in their PID namespace. It must succeed. Returns its output.
    fn sh(&self, script: &str) -> Result<String, String>;
}

/// The user and group of the program `identity`.
pub const IDENTITY: &str = "nobody:daemon";

/// The limits of the daemon before it raises them to `minfds` and `minprocs`.
pub const LIMITS_BEFORE: (u32, u32) = (1024, 1500);

/// Prepares the directory: the shell script to run in it, before the daemon starts.
pub fn prepare(dir: &str) -> String {
    let mut script =
        format!("mkdir -p {dir}/work {dir}/auto {dir}/bin {dir}/tree; cp /bin/sh {dir}/bin/app\n");
    for (name, text) in SCRIPTS {
        let text = text.replace("{dir}", dir);
        let _ = write!(script, "cat > {dir}/{name} <<'END'\n{text}END\n");
    }
    script
}

const SCRIPTS: [(&str, &str); 9] = [
    ("global.env", "SITE=global\nSTAGE=global\n"),
    ("prod.env", "STAGE=prod\n"),
    ("own.env", "WORD=file\nFILE=file\n"),
    (
        "identity.sh",
        "echo uid $(id -u) gid $(id -g) groups $(id -G)\necho cwd $(pwd)\necho words $WORD $FILE\n\
         sed -n 's/^Max open files *\\([0-9]*\\).*/files \\1/p; s/^Max processes *\\([0-9]*\\).*/processes \\1/p' /proc/self/limits\n\
         echo problem >&2\nexec sleep 1000\n",
    ),
    // NAME CODE...: exits with the n-th code at the n-th run; `-` runs on.
    (
        "next.sh",
        "name=$1; shift\necho run >> {dir}/$name.runs\ndate +%s%N >> {dir}/$name.times\n\
         eval code=\\${$(wc -l < {dir}/$name.runs)}\n[ $code = - ] && exec sleep 1000\nexit $code\n",
    ),
    // NAME: says its signals, and goes on.
    (
        "signals.sh",
        "say() { echo $1 >> {dir}/$name.said; }\nname=$1\ntrap 'say TERM' TERM\ntrap 'say INT' INT\ntrap 'say QUIT' QUIT\n\
         trap 'say HUP' HUP\ntrap 'say USR1' USR1\nsay up\nwhile :; do sleep 0.1; done\n",
    ),
    // Writes to both streams until both logs were rotated as often as they keep files, and a few times more.
    (
        "talker.sh",
        "line=$(printf '%0600d' 0)\nmore=8\nwhile [ $more -gt 0 ]; do\n    echo $line; echo $line >&2; sleep 0.05\n    \
         [ -e {dir}/talker.out.2 ] && [ -e {dir}/talker.err.1 ] && more=$((more - 1))\ndone\ntouch {dir}/talker.done\n\
         exec sleep 1000\n",
    ),
    // A child in the same process group.
    (
        "family.sh",
        "(trap 'echo child >> {dir}/family.said; exit 0' TERM; echo up >> {dir}/family.said; while :; do sleep 0.1; done) &\n\
         trap 'echo parent >> {dir}/family.said; wait; exit 0' TERM\nwhile :; do sleep 0.1; done\n",
    ),
    (
        "clan.sh",
        "trap '' TERM\nsleep 1000 &\necho $! > {dir}/clan.new\nmv {dir}/clan.new {dir}/clan.child\n\
         while :; do sleep 0.1; done\n",
    ),
];

/// The configuration. `user`: the line with the user of a program, if the daemon may change it.
pub fn config(dir: &str, port: u16, user: &str) -> String {
    CONFIG
        .replace("{dir}", dir)
        .replace("{port}", &port.to_string())
        .replace("{user}", user)
}

const CONFIG: &str = r#"
[unix_http_server]
file={dir}/s

[inet_http_server]
port=127.0.0.1:{port}
username=test1
password=thepassword

[supervisorctl]
serverurl=http://127.0.0.1:{port}
username=test1
password=thepassword

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
logfile={dir}/log
logfile_maxbytes=300KB
logfile_backups=2
loglevel=debug
pidfile={dir}/pid
minfds=2000
minprocs=1600
identifier=document
childlogdir={dir}/auto

[program-default]
environment=VAR1="value1",VAR2="value2"
envFiles={dir}/global.env,{dir}/prod.env

[program:test1]
command=/bin/sh -c "echo $VAR1 $VAR2 $SITE $STAGE; exec sleep 1000"
stdout_logfile={dir}/test1.out

[program:test2]
command=/bin/sh -c "echo $VAR1 $VAR2 $SITE $STAGE; exec sleep 1000"
environment=VAR2="own"
stdout_logfile={dir}/test2.out

[program:identity]
command=/bin/sh {dir}/identity.sh
directory={dir}/work
environment=WORD="environment"
envFiles={dir}/own.env
stdout_logfile={dir}/identity.out
stderr_logfile={dir}/identity.err
{user}

[program:many]
command=/bin/sleep 1000
process_name=%(program_name)s_%(process_num)02d
numprocs=2
numprocs_start=5

[program:manual]
command=/bin/sleep 1000
autostart=false
startsecs=2

[program:fails]
command=/bin/sh {dir}/next.sh fails 1 1 1 1
startretries=1

[program:restarts]
command=/bin/sh {dir}/next.sh restarts 4 3 0
startsecs=0
autorestart=unexpected
exitcodes=0,3

[program:never]
command=/bin/sh {dir}/next.sh never 4 4
startsecs=0
autorestart=false

[program:always]
command=/bin/sh {dir}/next.sh always 0 -
startsecs=0
autorestart=true

[program:paused]
command=/bin/sh {dir}/next.sh paused 0 -
startsecs=0
autorestart=true
restartpause=2

[program:stubborn]
command=/bin/sh {dir}/signals.sh stubborn
startsecs=0
stopsignal=TERM INT QUIT
stopwaitsecs=1

[program:talker]
command=/bin/sh {dir}/talker.sh
stdout_logfile={dir}/talker.out
stdout_logfile_maxbytes=1KB
stdout_logfile_backups=2
stderr_logfile={dir}/talker.err
stderr_logfile_maxbytes=1KB
stderr_logfile_backups=1

[program:merged]
command=/bin/sh -c "echo out; echo err >&2; exec sleep 1000"
redirect_stderr=true
stdout_logfile={dir}/merged.out

[program:auto]
command=/bin/sh -c "echo automatic; exec sleep 1000"

[program:family]
command=/bin/sh {dir}/family.sh
startsecs=0
stopasgroup=true

[program:clan]
command=/bin/sh {dir}/clan.sh
startsecs=0
stopwaitsecs=1
killasgroup=true

[program:zz_first]
command=/bin/sleep 1000
priority=1

[program:aa_last]
command=/bin/sleep 1000
priority=1000

[program:A]
command=/bin/sleep 1000
depends_on = B, C

[program:B]
command=/bin/sleep 1000

[program:C]
command=/bin/sleep 1000

[program:g1]
command=/bin/sleep 1000

[program:g2]
command=/bin/sleep 1000

[group:grp]
programs=g1,g2

[program:bin_restart]
command={dir}/bin/app {dir}/signals.sh bin_restart
restart_when_binary_changed=true
stopwaitsecs=1

[program:bin_cmd]
command={dir}/bin/app {dir}/signals.sh bin_cmd
restart_when_binary_changed=true
restart_cmd_when_binary_changed=/bin/sh -c "echo binary >> {dir}/bin_cmd.told"
stopwaitsecs=1

[program:bin_signal]
command={dir}/bin/app {dir}/signals.sh bin_signal
restart_when_binary_changed=true
restart_signal_when_binary_changed=USR1 HUP
stopwaitsecs=1

[program:tree_restart]
command=/bin/sh {dir}/signals.sh tree_restart
restart_directory_monitor={dir}/tree
restart_file_pattern=*.py
stopwaitsecs=1

[program:tree_cmd]
command=/bin/sh {dir}/signals.sh tree_cmd
restart_directory_monitor={dir}/tree
restart_file_pattern=*.py
restart_cmd_when_file_changed=/bin/sh -c "echo file >> {dir}/tree_cmd.told"
stopwaitsecs=1

[program:tree_signal]
command=/bin/sh {dir}/signals.sh tree_signal
restart_directory_monitor={dir}/tree
restart_file_pattern=*.py
restart_signal_when_file_changed=HUP
stopwaitsecs=1

[program:noise]
command=/bin/sh -c "while :; do head -c 8000 /dev/zero | tr '\\0' x | fold -w 100; echo; sleep 0.02; done"
autostart=false
"#;

/// Checks the effect of each key. The daemon has just started.
pub fn check(host: &dyn DocumentHost, dir: &str, has_user: bool) -> Result<(), String> {
    let host = Checks { host, dir };
    host.environment(has_user)?;
    host.starts_and_restarts()?;
    host.order()?;
    host.logs()?;
    host.watches()?;
    host.commands()?;
    host.stops()?;
    host.daemon()
}

struct Checks<'a> {
    host: &'a dyn DocumentHost,
    dir: &'a str,
}

impl Checks<'_> {
    fn read(&self, name: &str) -> String {
        let script = format!("cat {}/{name} 2>/dev/null || true", self.dir);
        self.host.sh(&script).unwrap_or_default()
    }

    fn exists(&self, name: &str) -> bool {
        let script = format!("ls {}/{name} >/dev/null 2>&1 && echo yes || true", self.dir);
        self.host.sh(&script).is_ok_and(|answer| answer == "yes\n")
    }

    fn wait_read(&self, name: &str, text: &str) -> Result<(), String> {
        let mut last = String::new();
        wait_for(&format!("{name} has {text:?}"), LIMIT, || {
            last = self.read(name);
            last.contains(text)
        })
        .map_err(|why| format!("{why}; it has {last:?}"))
    }

    fn wait_status(&self, name: &str, text: &str) -> Result<String, String> {
        let mut last = String::new();
        wait_for(&format!("status of {name} has {text:?}"), LIMIT, || {
            last = self
                .host
                .ctl(&format!("status {name}"))
                .map_or_else(|why| why, |got| got.1);
            last.contains(text)
        })
        .map_err(|why| format!("{why}; it is {last:?}"))?;
        Ok(last)
    }

    fn ctl(&self, arguments: &str, code: i32, parts: &[&str]) -> Result<String, String> {
        let (got, output) = self.host.ctl(arguments)?;
        let complete = parts.iter().all(|part| output.contains(part));
        expect(
            got == code && complete,
            format!("{arguments}: expected {code} and {parts:?}, got {got}: {output}"),
        )?;
        Ok(output)
    }

    fn pid(&self, name: &str) -> Result<String, String> {
        let pid = self.ctl(&format!("pid {name}"), 0, &[])?;
        let pid = pid.trim().to_owned();
        expect(
            pid.parse::<u32>().is_ok_and(|pid| pid > 0),
            format!("{name} has PID {pid:?}"),
        )?;
        Ok(pid)
    }

    /// environment, envFiles, `[program-default]`, user, directory, minfds, minprocs.
    fn environment(&self, has_user: bool) -> Result<(), String> {
        self.wait_read("test1.out", "value1 value2 global prod\n")?;
        self.wait_read("test2.out", "own global prod\n")?;
        self.wait_read("identity.err", "problem\n")?;
        let said = self.read("identity.out");
        let number = |name: &str| -> u32 {
            let line = said.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|number| number.trim().parse().ok())
                .unwrap_or(0)
        };
        if has_user {
            let ids = self.host.sh(
                "echo uid $(id -u nobody) gid $(getent group daemon | cut -d: -f3) groups $(getent group daemon | cut -d: -f3)",
            )?;
            expect(said.starts_with(&ids), format!("{said} is not {ids}"))?;
        }
        let cwd = format!("cwd {}/work\n", self.dir);
        expect(
            said.contains(&cwd) && said.contains("words environment file\n"),
            &said,
        )?;
        expect(
            number("files ") >= 2000 && number("processes ") >= 1600,
            &said,
        )
    }

    /// numprocs, numprocs_start, process_name, autostart, startsecs, startretries, autorestart, exitcodes, restartpause.
    fn starts_and_restarts(&self) -> Result<(), String> {
        self.wait_status("many:many_05", "RUNNING")?;
        self.wait_status("many:many_06", "RUNNING")?;
        let all = self.ctl("status", 3, &[])?;
        expect(all.matches("many:").count() == 2, &all)?;
        self.wait_status("manual", "STOPPED   Not started")?;
        let begun = Instant::now();
        self.ctl("start manual", 0, &["manual: started"])?;
        let took = begun.elapsed();
        expect(
            took >= Duration::from_secs(2),
            format!("started after {took:?}"),
        )?;
        self.wait_status("fails", "FATAL")?;
        self.wait_status("restarts", "EXITED")?;
        self.wait_status("never", "EXITED")?;
        self.wait_status("always", "RUNNING")?;
        self.wait_status("paused", "RUNNING")?;
        for (name, runs) in [
            ("fails", 2),
            ("restarts", 2),
            ("never", 1),
            ("always", 2),
            ("paused", 2),
        ] {
            self.wait_read(&format!("{name}.runs"), &"run\n".repeat(runs))?;
            let found = self.read(&format!("{name}.runs")).lines().count();
            expect(found == runs, format!("{name} ran {found} times"))?;
        }
        let times = self.read("paused.times");
        let times: Vec<u64> = times.lines().filter_map(|line| line.parse().ok()).collect();
        let gap = times
            .get(1)
            .zip(times.first())
            .map(|(second, first)| second.saturating_sub(*first));
        expect(
            gap.is_some_and(|gap| gap >= 2_000_000_000),
            format!("restarted after {gap:?} ns"),
        )
    }

    /// priority, depends_on.
    fn order(&self) -> Result<(), String> {
        self.wait_status("A", "RUNNING")?;
        self.wait_status("aa_last", "RUNNING")?;
        let log = self.read("log");
        let at = |text: &str| {
            log.find(text)
                .ok_or_else(|| format!("no {text:?} in {log}"))
        };
        let spawned: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(" spawned: ") || line.contains("delayed"))
            .collect();
        // A start that is held up, as on a busy machine, delays no other one, and the log says so.
        let is_punctual = |name: &str| !log.contains(&format!("start of {name} is delayed"));
        for (first, second) in [("zz_first", "test1"), ("test1", "aa_last")] {
            let in_order =
                at(&format!("spawned: '{first}'"))? < at(&format!("spawned: '{second}'"))?;
            expect(
                in_order || !is_punctual(first),
                format!("{second} before {first}: {spawned:?}"),
            )?;
        }
        let started = at("spawned: 'A'")?;
        for name in ["B", "C"] {
            let up = at(&format!("success: {name} entered RUNNING state"))?;
            expect(up < started, format!("A started before {name} was up"))?;
        }
        Ok(())
    }

    /// stdout_logfile, stderr_logfile, …_maxbytes, …_backups, redirect_stderr, identifier.
    fn logs(&self) -> Result<(), String> {
        wait_for("the rotation of the logs", LIMIT, || {
            self.exists("talker.done")
        })?;
        self.wait_status("talker", "RUNNING")?;
        for (name, is_there) in [
            ("talker.out.1", true),
            ("talker.out.2", true),
            ("talker.out.3", false),
            ("talker.err.1", true),
            ("talker.err.2", false),
        ] {
            expect(
                self.exists(name) == is_there,
                format!("{name}: expected {is_there}"),
            )?;
        }
        self.wait_read("merged.out", "out\nerr\n")?;
        self.wait_read("auto/auto-stdout---document-*", "automatic\n")
    }

    /// The keys restart_….
    fn watches(&self) -> Result<(), String> {
        let names = [
            "bin_restart",
            "bin_cmd",
            "bin_signal",
            "tree_restart",
            "tree_cmd",
            "tree_signal",
        ];
        for name in names {
            self.wait_read("log", &format!("{name}: watching"))?;
            self.wait_read(&format!("{name}.said"), "up\n")?;
        }
        let before = names.map(|name| self.pid(name));
        // A name that does not match comes first, and a new binary replaces the old one by a rename.
        self.host.sh(&format!(
            "cd {}; echo 1 > tree/notes.txt; mkdir tree/new; echo 1 > tree/new/app.py; cp bin/app bin/app.new; \
             mv bin/app.new bin/app",
            self.dir
        ))?;
        for name in ["bin_restart", "tree_restart"] {
            self.wait_read(&format!("{name}.said"), "up\nTERM\nup\n")?;
        }
        self.wait_read("bin_cmd.told", "binary\n")?;
        self.wait_read("tree_cmd.told", "file\n")?;
        self.wait_read("bin_signal.said", "USR1\n")?;
        self.wait_read("bin_signal.said", "HUP\n")?;
        self.wait_read("tree_signal.said", "HUP\n")?;
        let after = names.map(|name| self.pid(name));
        for ((name, before), after) in names.iter().zip(before).zip(after) {
            let is_restarted = before? != after?;
            expect(
                is_restarted == name.ends_with("_restart"),
                format!("{name}: restarted {is_restarted}"),
            )?;
        }
        for name in ["bin_cmd.told", "tree_cmd.told"] {
            expect(
                self.read(name).lines().count() == 1,
                format!("{name} twice"),
            )?;
        }
        let log = self.read("log");
        expect(
            !log.contains("notes.txt changed"),
            "a file counts that does not match",
        )
    }

    /// The commands of the document, in the words of supervisorctl.
    fn commands(&self) -> Result<(), String> {
        let shown = self.ctl("status test1 test2", 0, &["test1", "test2"])?;
        expect(shown.lines().count() == 2, &shown)?;
        self.wait_status("grp:g1", "RUNNING")?;
        self.wait_status("grp:g2", "RUNNING")?;
        let shown = self.ctl("'status' 'grp:*'", 0, &["grp:g1", "grp:g2"])?;
        expect(shown.lines().count() == 2, &shown)?;
        self.ctl("stop test1 test2", 0, &["test1: stopped", "test2: stopped"])?;
        self.ctl(
            "start test1 test2",
            0,
            &["test1: started", "test2: started"],
        )?;
        self.ctl("stop 'grp:*'", 0, &["grp:g1: stopped", "grp:g2: stopped"])?;
        self.ctl("start 'grp:*'", 0, &["grp:g1: started", "grp:g2: started"])?;
        self.ctl(
            "signal USR1 tree_cmd tree_restart",
            0,
            &["tree_cmd: signalled", "tree_restart: signalled"],
        )?;
        self.wait_read("tree_cmd.said", "USR1\n")?;
        self.wait_read("tree_restart.said", "USR1\n")?;
        self.pid("test1")?;
        // The other server, which has no password.
        self.ctl(&format!("-s unix://{}/s pid test1", self.dir), 0, &[])?;
        let (code, output) = self.host.ctl("-u test1 -p wrong status test1")?;
        expect(
            code != 0 && output.contains("authentication"),
            format!("{code}: {output}"),
        )
    }

    /// stopsignal, stopwaitsecs, stopasgroup, killasgroup.
    fn stops(&self) -> Result<(), String> {
        self.wait_read("stubborn.said", "up\n")?;
        let begun = Instant::now();
        self.ctl("stop stubborn", 0, &["stubborn: stopped"])?;
        let took = begun.elapsed();
        // A shell that gets little time handles two signals at once in the order of their numbers.
        let said = self.read("stubborn.said");
        let mut words: Vec<&str> = said.lines().collect();
        words.sort_unstable();
        expect(
            words == ["INT", "QUIT", "TERM", "up"],
            format!("stubborn got {said:?}"),
        )?;
        let log = self.read("log");
        let at = ["SIGTERM", "SIGINT", "SIGQUIT", "SIGKILL"].map(|signal| {
            let mut lines = log.lines();
            lines.position(|line| {
                line.contains("killing stubborn ")
                    && line.ends_with(&format!("with signal {signal}"))
            })
        });
        expect(
            at.iter().all(Option::is_some) && at.is_sorted(),
            format!("{at:?}: {log}"),
        )?;
        expect(
            took >= Duration::from_secs(3),
            format!("stopped after {took:?}"),
        )?;
        self.wait_read("family.said", "up\n")?;
        self.ctl("stop family", 0, &["family: stopped"])?;
        self.wait_read("family.said", "parent\n")?;
        self.wait_read("family.said", "child\n")?;
        wait_for("the child of clan", LIMIT, || self.exists("clan.child"))?;
        self.ctl("stop clan", 0, &["clan: stopped"])?;
        let child = self.read("clan.child").trim().to_owned();
        wait_for("the end of the child of clan", LIMIT, || {
            let script = format!("kill -0 {child} 2>/dev/null && echo alive || true");
            self.host.sh(&script).is_ok_and(|answer| answer.is_empty())
        })
    }

    /// logfile, logfile_maxbytes, logfile_backups, loglevel, pidfile.
    fn daemon(&self) -> Result<(), String> {
        self.wait_read("log", " DEBG ")?;
        let (pid, file) = (self.pid("")?, self.read("pid"));
        expect(file.trim() == pid, format!("PID {pid}, pidfile {file:?}"))?;
        // At this level the log has what programs write.
        self.ctl("start noise", 0, &["noise: started"])?;
        wait_for("the rotation of the log", LIMIT, || self.exists("log.2"))?;
        self.ctl("stop noise", 0, &["noise: stopped"])?;
        expect(
            self.exists("log.1") && !self.exists("log.3"),
            "the number of backups",
        )?;
        self.ctl("stop all", 0, &["A: stopped", "grp:g1: stopped"])?;
        // Some of the programs fail by design.
        let (_, output) = self.host.ctl("start all")?;
        expect(
            output.contains("A: started") && output.contains("test1: started"),
            output,
        )
    }
}
