//! Runs a scenario with one pair of sides and writes the transcript.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::normalize;
use crate::scenario::{Scenario, Step, words};
use crate::support::daemon::{Daemon, Finished, Marked, Side, oracle, program, run, wait_exit};
use crate::support::temp_dir::TempDir;
use crate::support::wire::{self, Address, Connection, Value};
use crate::support::{LIMIT, proc, wait_for};

/// The sides of the daemon and of the client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides {
    pub(crate) daemon: Side,
    pub(crate) client: Side,
}

/// The transcript, step by step.
#[derive(Debug, Default, Clone)]
pub(crate) struct Transcript {
    pub(crate) steps: Vec<(String, Vec<String>)>,
}

impl Transcript {
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (step, lines) in &self.steps {
            text.push_str(&format!("> {step}\n"));
            for line in lines {
                text.push_str(format!("  {line}").trim_end());
                text.push('\n');
            }
        }
        text
    }

    pub(crate) fn parse(text: &str) -> Self {
        let mut steps: Vec<(String, Vec<String>)> = Vec::new();
        for line in text.lines() {
            if let Some(step) = line.strip_prefix("> ") {
                steps.push((step.to_owned(), Vec::new()));
            } else if let Some((_, lines)) = steps.last_mut() {
                lines.push(line.strip_prefix("  ").unwrap_or("").to_owned());
            }
        }
        Self { steps }
    }

    /// Whether transcripts are equal except for the declared differences of `sides`.
    pub(crate) fn compare(
        &self,
        got: &Self,
        scenario: &Scenario,
        left: &str,
        right: &str,
        sides: Option<Sides>,
    ) -> Result<(), String> {
        let mut report = String::new();
        for (i, (line, lines)) in got.steps.iter().enumerate() {
            let lines: Vec<String> = lines.iter().map(|l| l.trim_end().to_owned()).collect();
            let expected = self.steps.get(i);
            if expected.is_none_or(|(step, _)| step != line) {
                return Err(format!(
                    "step {i}, {line:?}, is not in the recording (UPDATE=1 records)"
                ));
            }
            let differs = scenario
                .steps
                .get(i)
                .and_then(|step| step.differs.as_ref())
                .filter(|differs| sides.is_some_and(|sides| differs.applies(sides)));
            let same = match differs {
                None => expected.is_some_and(|(_, e)| *e == lines),
                Some(differs) => {
                    differs.ours.is_empty()
                        || all_match(&differs.ours, &lines)
                        || (lines.is_empty() && differs.ours == [String::new()])
                }
            };
            if !same {
                let (left, want) = match differs {
                    Some(differs) => ("declared for ours", differs.ours.clone()),
                    None => (left, expected.map(|(_, e)| e.clone()).unwrap_or_default()),
                };
                report.push_str(&format!(
                    "> {line}\n{left}:\n  {}\n{right}:\n  {}\n",
                    want.join("\n  "),
                    lines.join("\n  ")
                ));
                if let Some(differs) = differs {
                    report.push_str(&format!("  (differs: {})\n", differs.reason));
                }
            }
        }
        if self.steps.len() != got.steps.len() {
            report.push_str(&format!(
                "{left} has {} steps, {right} has {}\n",
                self.steps.len(),
                got.steps.len()
            ));
        }
        if report.is_empty() {
            Ok(())
        } else {
            Err(report)
        }
    }
}

fn all_match(patterns: &[String], lines: &[String]) -> bool {
    patterns.len() == lines.len()
        && patterns
            .iter()
            .zip(lines)
            .all(|(pattern, line)| match pattern.strip_suffix('*') {
                Some(start) => line.starts_with(start),
                None => pattern.trim_end() == line,
            })
}

/// Runs the scenario.
pub(crate) fn run_scenario(scenario: &Scenario, sides: Sides) -> Result<Transcript, String> {
    let place = TempDir::new()?;
    let marked = Marked::new();
    let port = free_port()?;
    let mut run = ScenarioRun {
        sides,
        port,
        daemon: None,
        logged: 0,
        background: None,
        connection: None,
        test_child: std::env::current_exe()
            .map_err(|e| e.to_string())?
            .display()
            .to_string(),
        kept_pids: Vec::new(),
        marked,
        place,
    };
    let config = run.configuration(&scenario.config);
    run.place.write("conf", &config)?;
    let mut transcript = Transcript::default();
    for step in &scenario.steps {
        match run.step(step) {
            Ok(lines) => transcript.steps.push((step.line.clone(), lines)),
            Err(why) => {
                return Err(format!(
                    "{:?}/{:?}, step {:?}: {why}\nso far:\n{}\nlog:\n{}\nstderr:\n{}",
                    sides.daemon,
                    sides.client,
                    step.line,
                    transcript.text(),
                    last_lines(&run.place.read("log"), 30),
                    last_lines(&run.place.read("err"), 30)
                ));
            }
        }
    }
    Ok(transcript)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn free_port() -> Result<u16, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

// Without a bus: our daemon logs whether this machine has one at an unpredictable moment. The reference does not know
// the key.
const HEAD: &str = "\
[unix_http_server]
file={dir}/s
[supervisord]
dbus=off
logfile={dir}/log
pidfile={dir}/pid
childlogdir={dir}
user={me}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{dir}/s
";

// Fields drop in order: the daemon, all marked processes, the files.
struct ScenarioRun {
    sides: Sides,
    port: u16,
    daemon: Option<Daemon>,
    /// Number of lines of the activity log that were shown.
    logged: usize,
    background: Option<(Child, PathBuf)>,
    connection: Option<Connection>,
    test_child: String,
    kept_pids: Vec<(String, i32)>,
    marked: Marked,
    place: TempDir,
}

impl Drop for ScenarioRun {
    fn drop(&mut self) {
        if let Some((child, _)) = &mut self.background {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

type Lines = Result<Vec<String>, String>;

fn lines_of(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn millis(word: Option<&String>) -> Result<Duration, String> {
    word.and_then(|w| w.parse().ok())
        .map(Duration::from_millis)
        .ok_or_else(|| "a number of milliseconds is missing".to_owned())
}

impl ScenarioRun {
    fn fill(&self, text: &str) -> String {
        let me = nix::unistd::geteuid().as_raw().to_string();
        text.replace("{dir}", &self.place.text())
            .replace("{test_child}", &format!("{} test_child", self.test_child))
            .replace("{child_file}", &self.test_child)
            .replace("{port}", &self.port.to_string())
            .replace(
                "{venv}",
                &oracle().unwrap_or_default().display().to_string(),
            )
            .replace("{me}", &me)
    }

    fn configuration(&self, text: &str) -> String {
        if text.starts_with(";bare") {
            self.fill(text)
        } else {
            self.fill(&format!("{HEAD}{text}"))
        }
    }

    /// Output in comparable form.
    fn clean(&self, text: &str) -> String {
        let mut text = text
            .replace(&self.place.text(), "{dir}")
            .replace(&self.test_child, "{child_file}")
            .replace(&format!(":{}", self.port), ":{port}");
        if let Some(daemon) = &self.daemon {
            let pid = daemon.pid().to_string();
            let lines: Vec<&str> = text
                .split('\n')
                .map(|line| if line == pid { "{its pid}" } else { line })
                .collect();
            text = lines.join("\n");
        }
        for side in [Side::Reference, Side::Ours] {
            for name in ["supervisord", "supervisorctl"] {
                if let Ok(path) = program(side, name) {
                    text = text.replace(&path.display().to_string(), name);
                    if let Some(prefix) = path.parent().and_then(std::path::Path::parent) {
                        let prefix = prefix.display().to_string();
                        text = text.replace(&format!("{prefix}/etc/"), "{prefix}/etc/");
                        text = text.replace(
                            &format!("{prefix}/supervisord.conf"),
                            "{prefix}/supervisord.conf",
                        );
                    }
                }
            }
        }
        normalize::text(&text)
    }

    fn address(&self) -> Address {
        for name in ["s", "d/s"] {
            let socket = self.place.join(name);
            if socket.exists() {
                return Address::Unix(socket);
            }
        }
        Address::Port(self.port)
    }

    fn daemon(&self) -> Result<&Daemon, String> {
        self.daemon
            .as_ref()
            .ok_or_else(|| "no daemon was started".to_owned())
    }

    fn pid_of(&self, name: &str) -> Result<i32, String> {
        if name == "supervisord" {
            return Ok(self.daemon()?.pid());
        }
        let info = self.call_info(name)?;
        info.get("pid")
            .and_then(Value::int)
            .and_then(|pid| i32::try_from(pid).ok())
            .filter(|pid| *pid > 0)
            .ok_or_else(|| format!("{name} has no pid"))
    }

    fn call_info(&self, name: &str) -> Result<Value, String> {
        wire::call(
            &self.address(),
            "supervisor.getProcessInfo",
            &[Value::Text(name.to_owned())],
        )
        .map_err(|e| e.to_string())
    }

    fn state(&self, name: &str) -> String {
        self.call_info(name)
            .ok()
            .and_then(|info| info.get("statename")?.text().map(str::to_owned))
            .unwrap_or_default()
    }

    fn log_text(&self) -> String {
        self.place.read("log")
    }

    fn command(&self, side: Side, name: &str) -> Result<Command, String> {
        Ok(self
            .marked
            .command(&program(side, name)?, self.place.path()))
    }

    fn finished(&self, finished: &Finished) -> Vec<String> {
        let mut lines = normalize::machine_free(&self.clean(&finished.stdout));
        let stderr = normalize::stderr(&self.clean(&finished.stderr));
        lines.extend(stderr.lines().map(|line| format!("stderr: {line}")));
        lines.push(format!("exit {}", finished.code));
        lines
    }

    fn step(&mut self, step: &Step) -> Lines {
        let words: Vec<String> = words(&self.fill(&step.line));
        let content = step.content.as_deref().map(|text| self.fill(text));
        let verb = words.first().cloned().unwrap_or_default();
        let rest = &words[1..];
        match verb.as_str() {
            "start" => self.start(rest),
            "run" => self.run_daemon(rest, content.as_deref()),
            "runhead" => {
                let count = rest.first().and_then(|n| n.parse().ok()).ok_or("a count")?;
                self.run_daemon(&rest[1..], None)
                    .map(|lines| lines.into_iter().take(count).collect())
            }
            "ctl" => self.ctl(rest, content.as_deref()),
            "bg" | "bgwait" | "bgstop" => self.background(&verb, rest),
            "rpc" | "rpcbytes" => self.rpc(&verb, rest),
            // Results of several processes come in the order in which the processes finish.
            "ctlsorted" => self.ctl(rest, content.as_deref()).map(sorted),
            "rpcsorted" => self.rpc("rpc", rest).map(sorted),
            "http" | "httpcode" | "httpkeep" | "httpwait" | "httpraw" => self.http(&verb, rest),
            "signal" => self.signal(rest),
            "wait" => self.wait(rest),
            "stays" => self.stays(rest),
            "waitend" => self.wait_end(rest),
            "statename" => Ok(vec![format!(
                "{:?}",
                self.state(rest.first().map(String::as_str).unwrap_or_default())
            )]),
            "log" => Ok(self.log(rest)),
            "cat" | "head" | "grep" | "ls" | "numbered" | "stat" | "count" => {
                self.look(&verb, rest)
            }
            "file" | "conf" | "append" | "rm" | "mkdir" | "mv" | "chmod" | "symlink"
            | "truncate" | "fill" | "chown" => self.change(&verb, rest, content.as_deref()),
            "proc" | "keep" | "samepid" | "newpid" => self.process(&verb, rest),
            other => Err(format!("no such step: {other}")),
        }
    }

    /// start [args]: a daemon in the foreground; waits until it answers. `start! ` shows its lines if it exits instead.
    fn start(&mut self, rest: &[String]) -> Lines {
        let mut command = self.command(self.sides.daemon, "supervisord")?;
        let mut args: Vec<String> = rest.to_vec();
        while let Some((key, value)) = args
            .first()
            .and_then(|a| a.strip_prefix('+')?.split_once('='))
        {
            command.env(key, value);
            args.remove(0);
        }
        if args.is_empty() {
            args = vec!["-n".to_owned(), "-c".to_owned(), self.fill("{dir}/conf")];
        }
        command.args(&args);
        let config = self.place.read("conf");
        let address = if config.contains("/d/s\n") {
            Address::Unix(self.place.join("d/s"))
        } else if config.contains("[unix_http_server") {
            Address::Unix(self.place.join("s"))
        } else {
            Address::Port(self.port)
        };
        let mut daemon = Daemon::spawn(command, self.place.path(), address)?;
        let ended = daemon.wait_ready(LIMIT)?;
        let mut lines = Vec::new();
        if let Some(code) = ended {
            let stderr = normalize::stderr(&self.clean(&self.place.read("err")));
            lines.extend(stderr.lines().map(|line| format!("stderr: {line}")));
            lines.push(format!("exit {code}"));
        }
        self.daemon = Some(daemon);
        Ok(lines)
    }

    /// run [args]: runs a daemon until it exits. run +KEY=VALUE sets the environment first.
    fn run_daemon(&mut self, rest: &[String], stdin: Option<&str>) -> Lines {
        let mut command = self.command(self.sides.daemon, "supervisord")?;
        let mut args = rest;
        while let Some((key, value)) = args
            .first()
            .and_then(|a| a.strip_prefix('+')?.split_once('='))
        {
            command.env(key, value);
            args = &args[1..];
        }
        command.args(args);
        let finished = run(command, self.place.path(), stdin, LIMIT)?;
        Ok(self.finished(&finished))
    }

    fn ctl(&mut self, rest: &[String], stdin: Option<&str>) -> Lines {
        let mut command = self.command(self.sides.client, "supervisorctl")?;
        if rest.first().map(String::as_str) == Some("bare") {
            command.args(&rest[1..]);
        } else {
            command.args(["-c", "conf"]).args(rest);
        }
        let finished = run(command, self.place.path(), Some(stdin.unwrap_or("")), LIMIT)?;
        Ok(self.finished(&finished))
    }

    /// bg ARGS: supervisorctl in the background; bgwait TEXT: until its output has it; bgstop: SIGINT, then its output.
    fn background(&mut self, verb: &str, rest: &[String]) -> Lines {
        let out = self.place.join("bg.out");
        match verb {
            "bg" => {
                let mut command = self.command(self.sides.client, "supervisorctl")?;
                command.args(["-c", "conf"]).args(rest);
                let file = fs::File::create(&out).map_err(|e| e.to_string())?;
                let err = fs::File::create(self.place.join("bg.err")).map_err(|e| e.to_string())?;
                let child = command
                    .env("PYTHONUNBUFFERED", "1")
                    .stdout(file)
                    .stderr(err)
                    .spawn()
                    .map_err(|e| e.to_string())?;
                self.background = Some((child, out));
                Ok(Vec::new())
            }
            "bgwait" => {
                let text = rest.join(" ");
                wait_for(&format!("the client prints {text:?}"), LIMIT, || {
                    self.place.read("bg.out").contains(&text)
                })
                .map_err(|why| format!("{why}; it printed {:?}", self.place.read("bg.out")))?;
                Ok(Vec::new())
            }
            _ => {
                let (mut child, _) = self.background.take().ok_or("nothing in the background")?;
                let pid = i32::try_from(child.id()).map_err(|e| e.to_string())?;
                // A client that is interrupted while it handles an answer prints other lines than one that waits.
                let mut idle = 0;
                wait_for("the client waits", LIMIT, || {
                    let sleeps = proc::stat(pid, 3).is_some_and(|state| state == "S");
                    idle = if sleeps { idle + 1 } else { 0 };
                    idle >= 20
                })?;
                let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
                let status = wait_exit(&mut child, LIMIT);
                drop(child.kill());
                let finished = Finished {
                    code: status?.code().unwrap_or(-1),
                    stdout: self.place.read("bg.out"),
                    stderr: self.place.read("bg.err"),
                };
                Ok(self.finished(&finished))
            }
        }
    }

    /// rpc METHOD ARGS: arguments are JSON if they parse, else text; `s:` forces text.
    fn rpc(&mut self, verb: &str, rest: &[String]) -> Lines {
        let method = rest.first().ok_or("a method is missing")?;
        let params: Vec<Value> = rest[1..]
            .iter()
            .map(|word| match word.strip_prefix("s:") {
                Some(text) => Value::Text(text.to_owned()),
                None => serde_json::from_str(word).map_or_else(
                    |_| Value::Text(word.clone()),
                    |json| Value::from_json(&json),
                ),
            })
            .collect();
        if verb == "rpcbytes" {
            let answer = wire::post(
                &self.address(),
                wire::body(method, &params).as_bytes(),
                "",
                LIMIT,
            )
            .map_err(|e| e.to_string())?
            .ok_or("closed")?;
            return Ok(self.show_answer(&answer));
        }
        let text = match wire::call(&self.address(), method, &params) {
            Ok(value) => pretty(&value),
            Err(error) => error.to_string(),
        };
        Ok(lines_of(&self.clean(&text)))
    }

    fn show_answer(&self, answer: &wire::Answer) -> Vec<String> {
        let mut lines = vec![answer.status.clone()];
        let mut headers: Vec<String> = answer
            .headers
            .iter()
            .map(|(key, value)| {
                // Names of headers ignore case (RFC 9110 §5.1).
                let key = key.to_ascii_lowercase();
                let value = match key.as_str() {
                    "date" | "last-modified" => "{date}".to_owned(),
                    "location" => normalize::location(&self.clean(value)),
                    _ => value.clone(),
                };
                format!("{key}: {value}")
            })
            // The reference does not always announce that it closes. `httpkeep` shows whether it does.
            .filter(|line| line != "connection: close")
            .collect();
        headers.sort();
        lines.extend(headers);
        lines.push(String::new());
        lines.extend(lines_of(
            &self.clean(&String::from_utf8_lossy(&answer.body)),
        ));
        lines
    }

    /// http TEXT: sends TEXT over a new connection and shows the answer. httpkeep TEXT: uses the kept connection, or
    /// opens one, and shows whether it is closed afterwards. httpwait TEXT UNTIL: reads a stream until it contains
    /// UNTIL. httpraw TEXT: shows all bytes of the next two seconds.
    fn http(&mut self, verb: &str, rest: &[String]) -> Lines {
        let text = rest.first().ok_or("a request is missing")?;
        let length = text
            .split_once("\r\n\r\n")
            .map_or(0, |(_, body)| body.len());
        let text = text.replace("{length}", &length.to_string());
        let bytes: Vec<u8> = text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
            .collect();
        if verb == "httpkeep" {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => Connection::open(&self.address()).map_err(|e| e.to_string())?,
            };
            connection.limit(Duration::from_secs(20));
            if connection.send(&bytes).is_err() {
                return Ok(vec!["cannot send: closed".to_owned()]);
            }
            let mut lines = match connection.answer() {
                Ok(Some(answer)) => self.show_answer(&answer),
                _ => vec!["no answer: closed".to_owned()],
            };
            if connection.is_closed_within(Duration::from_millis(600)) {
                lines.push("(closed)".to_owned());
            } else {
                lines.push("(open)".to_owned());
                self.connection = Some(connection);
            }
            return Ok(lines);
        }
        let mut connection = Connection::open(&self.address()).map_err(|e| e.to_string())?;
        if verb == "httpwait" {
            connection.send(&bytes).map_err(|e| e.to_string())?;
            let until = rest.get(1).ok_or("UNTIL is missing")?;
            let got = connection.read_until(until.as_bytes(), Duration::from_secs(15));
            self.connection = Some(connection);
            return Ok(lines_of(&self.clean(&stream_text(&got))));
        }
        connection.send(&bytes).map_err(|e| e.to_string())?;
        if verb == "httpraw" {
            let got = connection.read_until(b"", Duration::from_secs(2));
            return Ok(lines_of(&self.clean(&String::from_utf8_lossy(&got))));
        }
        connection.limit(Duration::from_secs(20));
        match connection.answer() {
            Ok(Some(answer)) if verb == "httpcode" => Ok(vec![answer.status]),
            Ok(Some(answer)) => Ok(self.show_answer(&answer)),
            Ok(None) => Ok(vec!["(closed)".to_owned()]),
            Err(e) => Err(e.to_string()),
        }
    }

    /// signal SIG [name]: to the daemon or a process.
    fn signal(&mut self, rest: &[String]) -> Lines {
        let signal: Signal = format!("SIG{}", rest.first().ok_or("a signal is missing")?)
            .parse()
            .map_err(|_| "no such signal".to_owned())?;
        let pid = match rest.get(1).map(String::as_str) {
            Some(name) => match name.strip_prefix('@') {
                Some(file) => self.place.read(file).trim().parse().map_err(|_| "no pid")?,
                None => self.pid_of(name)?,
            },
            None => self.daemon()?.pid(),
        };
        kill(Pid::from_raw(pid), signal).map_err(|e| e.to_string())?;
        if signal == Signal::SIGSTOP {
            // All threads of the process must be stopped before the next step.
            wait_for("it is stopped", LIMIT, || {
                proc::stat(pid, 3).is_some_and(|state| state == "T")
            })?;
        }
        Ok(Vec::new())
    }

    fn wait(&mut self, rest: &[String]) -> Lines {
        let what = rest.first().map(String::as_str).unwrap_or_default();
        let say = rest.join(" ");
        match what {
            "state" => {
                let name = rest.get(1).ok_or("a name is missing")?;
                let states: Vec<&str> = rest
                    .get(2)
                    .ok_or("a state is missing")?
                    .split('|')
                    .collect();
                let mut last = String::new();
                wait_for(&say, LIMIT, || {
                    last = self.state(name);
                    states.contains(&last.as_str())
                })
                .map_err(|why| format!("{why}; it is {last:?}"))?;
                if last == "RUNNING" {
                    self.wait_executed(name)?;
                }
                Ok(Vec::new())
            }
            "log" | "file" => {
                let (file, text, count) = if what == "log" {
                    ("log", rest.get(1), rest.get(2))
                } else {
                    (
                        rest.get(1).ok_or("a file is missing")?.as_str(),
                        rest.get(2),
                        rest.get(3),
                    )
                };
                let text = text.cloned().unwrap_or_default();
                let count: usize = count.and_then(|c| c.parse().ok()).unwrap_or(1);
                wait_for(&say, LIMIT, || {
                    let content = if let Some(prefix) = file.strip_suffix('*') {
                        self.read_matching(prefix)
                    } else {
                        self.place.read(file)
                    };
                    if text.is_empty() {
                        self.place.join(file).exists()
                    } else {
                        content.matches(&text).count() >= count
                    }
                })?;
                Ok(Vec::new())
            }
            "gone" => {
                let file = rest.get(1).ok_or("a file is missing")?;
                wait_for(&say, LIMIT, || !self.place.join(file).exists())?;
                Ok(Vec::new())
            }
            "exit" => {
                let daemon = self.daemon.as_mut().ok_or("no daemon")?;
                let code = daemon.wait_exit(LIMIT)?;
                let stderr = self.place.read("err");
                let stderr = normalize::stderr(&self.clean(&stderr));
                let mut lines: Vec<String> = stderr
                    .lines()
                    .map(|line| format!("stderr: {line}"))
                    .collect();
                lines.push(format!("exit {code}"));
                Ok(lines)
            }
            "ready" => {
                let address = self.address();
                wait_for(&say, LIMIT, || crate::support::daemon::answers(&address))?;
                Ok(Vec::new())
            }
            "size" => {
                let file = rest.get(1).ok_or("a file is missing")?;
                let size: u64 = rest
                    .get(2)
                    .and_then(|s| s.parse().ok())
                    .ok_or("a size is missing")?;
                wait_for(&say, LIMIT, || {
                    fs::metadata(self.place.join(file)).is_ok_and(|m| m.len() >= size)
                })?;
                Ok(Vec::new())
            }
            "children" => {
                let count: usize = rest.get(1).and_then(|s| s.parse().ok()).ok_or("a count")?;
                let pid = self.daemon()?.pid();
                wait_for(&say, LIMIT, || proc::children(pid).len() == count)?;
                Ok(Vec::new())
            }
            other => Err(format!("cannot wait for {other}")),
        }
    }

    /// Waits until a process has passed its exec. The reference forks, and a signal before the exec is lost in the
    /// fork's handlers.
    fn wait_executed(&self, name: &str) -> Result<(), String> {
        let Ok(pid) = self.pid_of(name) else {
            return Ok(());
        };
        wait_for("the program is executed", LIMIT, || {
            let Some(parent) = proc::stat(pid, 4) else {
                return true;
            };
            let exe = |pid: &str| fs::read_link(format!("/proc/{pid}/exe")).ok();
            exe(&pid.to_string()) != exe(&parent)
        })
    }

    fn read_matching(&self, prefix: &str) -> String {
        let mut names: Vec<PathBuf> = fs::read_dir(self.place.path())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
            })
            .collect();
        names.sort();
        names
            .iter()
            .map(|path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned())
            .collect()
    }

    /// waitend MS: the exit code if the daemon exits within that time, else `alive`.
    fn wait_end(&mut self, rest: &[String]) -> Lines {
        let limit = millis(rest.first())?;
        let daemon = self.daemon.as_mut().ok_or("no daemon")?;
        Ok(vec![match daemon.wait_exit(limit) {
            Ok(code) => format!("exit {code}"),
            Err(_) => "alive".to_owned(),
        }])
    }

    /// stays NAME STATE MS: the process stays in the state that long. stays log TEXT MS: no line with the text appears.
    fn stays(&mut self, rest: &[String]) -> Lines {
        let end = Instant::now() + millis(rest.get(2))?;
        let (name, wanted) = (&rest[0], &rest[1]);
        let before = self.log_text().matches(wanted.as_str()).count();
        while Instant::now() < end {
            if name == "log" {
                if self.log_text().matches(wanted.as_str()).count() > before {
                    return Ok(vec![format!("the log contains {wanted}")]);
                }
            } else {
                let state = self.state(name);
                if state != *wanted {
                    return Ok(vec![format!("{name} became {state}")]);
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Vec::new())
    }

    /// An answer may be in the log a moment later: waits until the log has not grown for a while.
    fn let_log_settle(&self) {
        let size = || fs::metadata(self.place.join("log")).map_or(0, |m| m.len());
        let mut last = size();
        let mut quiet = 0;
        let settled = wait_for("the log settles", Duration::from_secs(3), || {
            let now = size();
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
            quiet >= 6
        });
        // A log that never stops growing is read as it is.
        drop(settled);
    }

    /// log: the new lines. log all: also those of the machine. log grep TEXT: all lines with the text. log sorted: the
    /// new lines in order of text. log skip: shows none, but remembers the position.
    fn log(&mut self, rest: &[String]) -> Vec<String> {
        self.let_log_settle();
        let text = self.clean(&self.log_text());
        let mode = rest.first().map(String::as_str).unwrap_or_default();
        let mut lines = normalize::log(
            &text,
            mode == "all" || rest.last().is_some_and(|w| w == "all"),
        );
        if mode == "grep" {
            let wanted = rest.get(1).cloned().unwrap_or_default();
            lines.retain(|line| line.contains(&wanted));
            return lines;
        }
        if mode == "raw" {
            // Only the form of the time is compared: digits become 9.
            return self
                .log_text()
                .lines()
                .take(rest.get(1).and_then(|n| n.parse().ok()).unwrap_or(1))
                .map(|line| {
                    line.chars()
                        .map(|c| if c.is_ascii_digit() { '9' } else { c })
                        .take(29)
                        .collect()
                })
                .collect();
        }
        let new = lines.split_off(self.logged.min(lines.len()));
        self.logged += new.len();
        let mut new = new;
        if mode == "sorted" {
            new.sort();
        }
        if mode == "skip" {
            new.clear();
        }
        new
    }

    /// Shows files.
    fn look(&mut self, verb: &str, rest: &[String]) -> Lines {
        let name = rest.first().cloned().unwrap_or_default();
        match verb {
            "cat" => {
                let text = if let Some(prefix) = name.strip_suffix('*') {
                    self.read_matching(prefix)
                } else if self.place.join(&name).exists() {
                    self.place.read(&name)
                } else {
                    return Ok(vec!["(missing)".to_owned()]);
                };
                let text = self.clean(&text);
                let text: String = text
                    .chars()
                    .map(|c| {
                        if c.is_control() && c != '\n' {
                            format!("\\x{:02x}", u32::from(c))
                        } else {
                            c.to_string()
                        }
                    })
                    .collect();
                let mut lines = lines_of(&text);
                if !text.is_empty() && !text.ends_with('\n') {
                    lines.push("(no newline at the end)".to_owned());
                }
                Ok(lines)
            }
            "head" => {
                let text = self.clean(&self.place.read(&name));
                let count: usize = rest.get(1).and_then(|n| n.parse().ok()).unwrap_or(1);
                Ok(lines_of(&text).into_iter().take(count).collect())
            }
            // grep NAME TEXT: the lines that have it
            "grep" => {
                let wanted = rest.get(1).cloned().unwrap_or_default();
                let text = self.clean(&self.place.read(&name));
                Ok(lines_of(&text)
                    .into_iter()
                    .filter(|line| line.contains(&wanted))
                    .collect())
            }
            // ls PREFIX: names with sizes
            "ls" => {
                let mut found: Vec<String> = fs::read_dir(self.place.path())
                    .map_err(|e| e.to_string())?
                    .flatten()
                    .filter(|entry| entry.file_name().to_string_lossy().starts_with(&name))
                    .map(|entry| {
                        let size = entry.metadata().map_or(0, |m| m.len());
                        self.clean(&format!("{} {size}", entry.file_name().to_string_lossy()))
                    })
                    .collect();
                found.sort();
                Ok(found)
            }
            // stat NAME: kind, mode, owner
            "stat" => {
                let path = if let Some(prefix) = name.strip_suffix('*') {
                    fs::read_dir(self.place.path())
                        .map_err(|e| e.to_string())?
                        .flatten()
                        .find(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
                        .map(|entry| entry.path())
                        .ok_or("no such file")?
                } else {
                    self.place.join(&name)
                };
                Ok(match fs::symlink_metadata(path) {
                    Err(_) => vec!["(missing)".to_owned()],
                    Ok(m) => {
                        use std::os::unix::fs::FileTypeExt;
                        let kind = if m.file_type().is_socket() {
                            "socket"
                        } else if m.file_type().is_symlink() {
                            "symlink"
                        } else if m.is_dir() {
                            "directory"
                        } else {
                            "file"
                        };
                        let me = nix::unistd::geteuid().as_raw();
                        let uid = if m.uid() == me {
                            "me".to_owned()
                        } else {
                            m.uid().to_string()
                        };
                        vec![format!("{kind} {:04o} {uid}", m.mode() & 0o7777)]
                    }
                })
            }
            // numbered BASE: checks that the lines of BASE.n … BASE.1, BASE are consecutive numbers
            "numbered" => {
                let mut texts = Vec::new();
                for n in (1..1000).rev() {
                    let path = self.place.join(&format!("{name}.{n}"));
                    if path.exists() {
                        texts.push(fs::read_to_string(path).unwrap_or_default());
                    }
                }
                texts.push(self.place.read(&name));
                let all = texts.concat();
                let mut last: Option<u64> = None;
                let mut first = 0;
                for line in all.lines() {
                    let n: u64 = line
                        .parse()
                        .map_err(|_| format!("not a number: {line:?}"))?;
                    match last {
                        None => first = n,
                        Some(last) if n != last + 1 => {
                            return Ok(vec![format!("gap: {last} then {n}")]);
                        }
                        Some(_) => {}
                    }
                    last = Some(n);
                }
                Ok(vec![match last {
                    Some(last) => format!("{first}..{last} without gap"),
                    None => "empty".to_owned(),
                }])
            }
            // count FILE TEXT: number of lines with the text
            _ => {
                let wanted = rest.get(1).cloned().unwrap_or_default();
                Ok(vec![
                    self.place.read(&name).matches(&wanted).count().to_string(),
                ])
            }
        }
    }

    /// Changes files.
    fn change(&mut self, verb: &str, rest: &[String], content: Option<&str>) -> Lines {
        let name = rest.first().cloned().unwrap_or_default();
        let path = self.place.join(&name);
        let done =
            |result: std::io::Result<()>| result.map(|()| Vec::new()).map_err(|e| e.to_string());
        let content = content.unwrap_or_default();
        match verb {
            "file" => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).map_err(|e| e.to_string())?;
                }
                done(fs::write(&path, content))
            }
            "conf" => {
                let text = self.configuration(content);
                done(fs::write(self.place.join("conf"), text))
            }
            "append" => {
                let mut text = fs::read_to_string(&path).unwrap_or_default();
                text.push_str(content);
                done(fs::write(&path, text))
            }
            "rm" => done(if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            }),
            "mkdir" => done(fs::create_dir_all(&path)),
            "mv" => done(fs::rename(
                &path,
                self.place.join(rest.get(1).ok_or("a name")?),
            )),
            "chmod" => {
                let mode = u32::from_str_radix(rest.get(1).ok_or("a mode")?, 8)
                    .map_err(|e| e.to_string())?;
                done(fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            }
            "chown" => {
                let uid = rest.get(1).and_then(|u| u.parse().ok()).ok_or("a uid")?;
                done(std::os::unix::fs::chown(&path, Some(uid), Some(uid)))
            }
            "symlink" => done(std::os::unix::fs::symlink(
                rest.get(1).ok_or("a target")?,
                &path,
            )),
            "truncate" => done(
                fs::File::options()
                    .write(true)
                    .open(&path)
                    .and_then(|f| f.set_len(0)),
            ),
            // fill NAME BYTES TEXT: a file of that size
            _ => {
                let size: usize = rest.get(1).and_then(|s| s.parse().ok()).ok_or("a size")?;
                let text = rest.get(2).cloned().unwrap_or_else(|| "x".to_owned());
                done(fs::write(
                    &path,
                    &text.repeat(size / text.len().max(1) + 1).as_bytes()[..size],
                ))
            }
        }
    }

    /// proc NAME WHAT…: information from /proc. keep NAME: remembers the PID. samepid/newpid NAME: compares with it.
    fn process(&mut self, verb: &str, rest: &[String]) -> Lines {
        let name = rest.first().ok_or("a name is missing")?.clone();
        let pid = self.pid_of(&name)?;
        match verb {
            "keep" => {
                self.kept_pids.retain(|(kept, _)| *kept != name);
                self.kept_pids.push((name, pid));
                Ok(Vec::new())
            }
            "samepid" | "newpid" => {
                let kept = self
                    .kept_pids
                    .iter()
                    .find(|(kept, _)| *kept == name)
                    .map(|(_, pid)| *pid)
                    .ok_or("nothing kept")?;
                Ok(vec![if kept == pid { "same" } else { "new" }.to_owned()])
            }
            _ => {
                let supervisor = self.daemon()?.pid();
                // The child is visible before and during its exec, when /proc has the new file but no environment yet.
                // The step waits for the program: each program has SUPERVISOR_ENABLED in its environment.
                if name != "supervisord" {
                    let before = fs::read_link(format!("/proc/{supervisor}/exe")).ok();
                    wait_for("the program is executed", LIMIT, || {
                        fs::read_link(format!("/proc/{pid}/exe"))
                            .is_ok_and(|exe| Some(exe) != before)
                            && !proc::environ(pid).is_empty()
                    })?;
                }
                rest[1..]
                    .iter()
                    .map(|what| self.fact(pid, supervisor, what))
                    .collect()
            }
        }
    }

    fn fact(&self, pid: i32, supervisor: i32, what: &str) -> Result<String, String> {
        let same = |number: usize| {
            let mine = proc::stat(pid, number);
            if mine == Some(pid.to_string()) {
                "own"
            } else if mine == proc::stat(supervisor, number) {
                "supervisord's"
            } else {
                "other"
            }
        };
        let field = |name: &str| proc::status(pid, name).unwrap_or_default();
        Ok(match what {
            "pgid" => format!("process group: {}", same(5)),
            "sid" => format!("session: {}", same(6)),
            "cwd" => {
                let cwd = fs::read_link(format!("/proc/{pid}/cwd")).map_err(|e| e.to_string())?;
                self.clean(&format!("cwd: {}", cwd.display()))
            }
            "uids" => format!("uids: {}", field("Uid")),
            "gids" => format!("gids: {}", field("Gid")),
            "groups" => format!("groups: {}", field("Groups")),
            "umask" => format!("umask: {}", field("Umask")),
            "fds" => {
                let fds = proc::descriptor_numbers(pid);
                format!("descriptors: {fds:?}")
            }
            "blocked" => format!("blocked: {}", field("SigBlk")),
            "ignored" => format!("ignored: {}", field("SigIgn")),
            "stdio" => {
                let kind = |fd: u32| {
                    fs::read_link(format!("/proc/{pid}/fd/{fd}"))
                        .map(|link| link.display().to_string())
                        .unwrap_or_default()
                };
                let short = |link: &str| link.split(':').next().unwrap_or_default().to_owned();
                format!(
                    "0: {}, 1: {}, 2: {}{}",
                    self.clean(&short(&kind(0))),
                    self.clean(&short(&kind(1))),
                    self.clean(&short(&kind(2))),
                    if kind(1) == kind(2) {
                        " (the same)"
                    } else {
                        ""
                    }
                )
            }
            variable => {
                let environ = proc::environ(pid);
                let value = environ
                    .get(variable)
                    .cloned()
                    .unwrap_or_else(|| "(unset)".to_owned());
                self.clean(&format!("{variable}={value}"))
            }
        })
    }
}

/// One line per element of an array of structs, so that differences are readable.
fn pretty(value: &Value) -> String {
    match value {
        Value::Array(values) if values.iter().any(|v| matches!(v, Value::Struct(_))) => values
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
        value => value.to_string(),
    }
}

/// The text of a chunked stream: headers without dates, no chunk lengths.
fn stream_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return text;
    };
    let mut lines: Vec<String> = head
        .split("\r\n")
        .map(|line| match line.split_once(':') {
            Some(("Date" | "date", _)) => "date: {date}".to_owned(),
            Some(("Last-Modified" | "last-modified", _)) => "last-modified: {date}".to_owned(),
            Some((key, value)) => format!("{}:{value}", key.to_ascii_lowercase()),
            None => line.to_owned(),
        })
        // Only our daemon sends this header, against browsers that would show a log as a page.
        .filter(|line| line != "x-content-type-options: nosniff")
        .collect();
    lines[1..].sort();
    let mut out = lines.join("\n");
    out.push_str("\n\n");
    if head.to_ascii_lowercase().contains("chunked") {
        let mut rest = body;
        while let Some((size, after)) = rest.split_once("\r\n") {
            let Ok(size) = usize::from_str_radix(size.trim(), 16) else {
                break;
            };
            if size == 0 || !after.is_char_boundary(size.min(after.len())) {
                break;
            }
            let size = size.min(after.len());
            out.push_str(&after[..size]);
            rest = after[size..].strip_prefix("\r\n").unwrap_or("");
        }
    } else {
        out.push_str(body);
    }
    out
}
