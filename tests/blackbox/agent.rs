//! The program `supervisord-agent`: its rights, its refusals, and TLS.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use supervisord::agent::protocol::{
    AgentAnswer, AgentOrder, AgentReport, FailureKind, ItemFailure, NacosItem,
};
use supervisord::agent::{AgentOptions, AgentProcess};

use crate::support::certificates::{certificates, server_config};
use crate::support::daemon::{Side, program};
use crate::support::proc;
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::{LIMIT, expect, is_root, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("agent::it_runs_as_nobody_without_any_right", rights),
        Trial::new("agent::it_refuses_privileges_and_other_inputs", refusals),
        Trial::new("agent::it_ends_with_its_connection", ends),
        Trial::new("agent::foreign_orders_end_it", foreign_orders),
        Trial::new("agent::tls_needs_the_name_and_a_known_authority", tls),
    ]
}

/// A running agent, with a copy of the program that every user may execute.
pub(crate) struct Agent {
    pub(crate) process: AgentProcess,
    _place: TempDir,
}

impl Agent {
    /// Starts an agent and waits until it is ready.
    pub(crate) fn start() -> Result<Self, String> {
        Self::start_with(&AgentOptions::default())
    }

    fn start_with(options: &AgentOptions) -> Result<Self, String> {
        let place = TempDir::new()?;
        let process = AgentProcess::start(&copy(&place)?, options);
        let process = process.map_err(|error| error.to_string())?;
        let mut agent = Self {
            process,
            _place: place,
        };
        let first = agent.report()?;
        expect(first == AgentReport::Ready, format!("{first:?}"))?;
        Ok(agent)
    }

    /// The next report.
    pub(crate) fn report(&mut self) -> Result<AgentReport, String> {
        let report = self.process.receive_until(Instant::now() + LIMIT);
        let report = report.map_err(|error| error.to_string())?;
        report.ok_or_else(|| format!("no report within {LIMIT:?}"))
    }

    /// Sends an order.
    pub(crate) fn order(&mut self, order: &AgentOrder) -> Result<(), String> {
        self.process.send(order).map_err(|error| error.to_string())
    }

    /// Sends an order with a number, and returns the answer to it.
    pub(crate) fn ask(
        &mut self,
        order: &AgentOrder,
    ) -> Result<Result<AgentAnswer, ItemFailure>, String> {
        self.order(order)?;
        match self.report()? {
            AgentReport::Answer { result, .. } => Ok(result),
            other => Err(format!("{other:?}")),
        }
    }
}

/// Copies the program to a directory that every user may enter.
fn copy(place: &TempDir) -> Result<PathBuf, String> {
    let to = place.join("supervisord-agent");
    let from = program(Side::Ours, "supervisord-agent")?;
    // A hard link, so that nobody has the file open for writing while another test starts a process.
    if fs::hard_link(&from, &to).is_err() {
        let copied = Command::new("cp").arg(&from).arg(&to).status();
        let copied = copied.map_err(|error| format!("cp: {error}"))?;
        expect(copied.success(), format!("cp {}", from.display()))?;
    }
    Ok(to)
}

/// The item `d` of a server.
pub(crate) fn item_at(server: &str) -> NacosItem {
    NacosItem {
        servers: vec![server.to_owned()],
        dataid: "d".to_owned(),
        group: "DEFAULT_GROUP".to_owned(),
        poll_timeout_ms: 10_000,
        poll_interval_ms: 100,
        ..NacosItem::default()
    }
}

fn rights() -> Result<Outcome, String> {
    let agent = Agent::start()?;
    let pid = agent.process.pid();
    let field = |name: &str| proc::status(pid, name).unwrap_or_default();
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        expect(
            field(set) == "0000000000000000",
            format!("{set}: {}", field(set)),
        )?;
    }
    expect(field("NoNewPrivs") == "1", "no_new_privs is not set")?;
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).map_err(|e| e.to_string())?;
    for (name, value) in [("Max open files", "256"), ("Max core file size", "0")] {
        let line = limits.lines().find_map(|line| line.strip_prefix(name));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        expect(
            words.first() == Some(&value) && words.get(1) == Some(&value),
            format!("{name}: {words:?}"),
        )?;
    }
    if !is_root() {
        return Ok(Outcome::Skipped("the rest needs root".to_owned()));
    }
    // Root may drop the bounding set only with CAP_SETPCAP.
    let own = proc::status(i32::try_from(std::process::id()).unwrap_or(0), "CapEff");
    let own = u64::from_str_radix(&own.unwrap_or_default(), 16).unwrap_or(0);
    if own >> 8 & 1 == 1 {
        expect(field("CapBnd") == "0000000000000000", field("CapBnd"))?;
    }
    let ids = |text: &str| {
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let uid = ids(&field("Uid"));
    expect(
        uid.len() == 4 && uid.iter().all(|id| *id == uid[0] && id != "0"),
        format!("{uid:?}"),
    )?;
    expect(field("Groups").is_empty(), field("Groups"))?;
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}"));
    let cwd = link("cwd").map_err(|e| e.to_string())?;
    expect(cwd == Path::new("/"), format!("{}", cwd.display()))?;
    for number in proc::descriptor_numbers(pid) {
        let target = link(&format!("fd/{number}")).map_err(|e| e.to_string())?;
        let target = target.display().to_string();
        let is_known = match number {
            0 => target.starts_with("socket:"),
            1 | 2 => target == "/dev/null",
            // Of its runtime, and its copy of the socket.
            _ => target.starts_with("anon_inode:") || target.starts_with("socket:"),
        };
        expect(is_known, format!("descriptor {number}: {target}"))?;
    }
    let names = ["PATH", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LANG"];
    let environment = proc::environ(pid);
    expect(
        environment
            .keys()
            .all(|name| names.contains(&name.as_str())),
        format!("{environment:?}"),
    )?;
    // Not even its own user may trace it.
    let memory = fs::metadata(format!("/proc/{pid}/mem")).map_err(|e| e.to_string())?;
    expect(memory.uid() == 0, "other processes of nobody may trace it")?;
    Ok(Outcome::Passed)
}

/// Runs the program with this standard input. Its exit status and its messages.
fn run(args: &[&str], stdin: Stdio) -> Result<(Option<i32>, String), String> {
    let done = Command::new(program(Side::Ours, "supervisord-agent")?)
        .args(args)
        .stdin(stdin)
        .output()
        .map_err(|error| error.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((done.status.code(), text(&done.stdout) + &text(&done.stderr)))
}

/// A command that runs a program without privileges.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let options = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    command.args(options).args(["--inh-caps=-all", "--"]);
    command.arg(program);
    command
}

fn refusals() -> Result<Outcome, String> {
    let (code, text) = run(&["--version"], Stdio::null())?;
    let version = format!("supervisord-agent {}\n", env!("CARGO_PKG_VERSION"));
    expect(
        code == Some(0) && text == version,
        format!("{code:?} {text}"),
    )?;
    let (code, text) = run(&["--help"], Stdio::null())?;
    expect(
        code == Some(0) && text.contains("Usage: supervisord-agent"),
        format!("{code:?} {text}"),
    )?;
    let (code, text) = run(&["serve"], Stdio::null())?;
    expect(code == Some(2), format!("{code:?} {text}"))?;
    if is_root() {
        let (_ours, theirs) = UnixStream::pair().map_err(|e| e.to_string())?;
        let theirs = std::os::fd::OwnedFd::from(theirs);
        let (code, text) = run(&[], theirs.into())?;
        let expected =
            "supervisord-agent: it must not run as root (supervisord starts it as nobody)\n";
        expect(
            code == Some(2) && text == expected,
            format!("{code:?} {text}"),
        )?;
    }
    let place = TempDir::new()?;
    let mut command = unprivileged(&copy(&place)?);
    let done = match command.stdin(Stdio::null()).output() {
        Ok(done) => done,
        Err(error) => return Ok(Outcome::Skipped(format!("setpriv: {error}"))),
    };
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    let expected = "supervisord-agent: descriptor 0 is not a stream socket (supervisord starts this program)\n";
    expect(
        done.status.code() == Some(2) && text == expected,
        format!("{done:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn ends() -> Result<Outcome, String> {
    let mut agent = Agent::start()?;
    let pid = agent.process.pid();
    // A watch of a server that accepts and never answers is under way.
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    let item = item_at(&format!("http://{address}/nacos"));
    agent.order(&AgentOrder::Watch { item, md5: None })?;
    let (_held, _) = listener.accept().map_err(|e| e.to_string())?;
    let begun = Instant::now();
    agent.process.end();
    expect(!proc::alive(pid), "it is there still")?;
    expect(begun.elapsed() < LIMIT, "it was not killed")?;
    // A killed one is an error, and another one can be started.
    let mut agent = Agent::start()?;
    let pid = agent.process.pid();
    let killed = Command::new("kill").args(["-9", &pid.to_string()]).status();
    killed.map_err(|error| error.to_string())?;
    let received = agent.process.receive_until(Instant::now() + LIMIT);
    let error = received.err().map(|error| error.to_string());
    let error = error.unwrap_or_default();
    expect(error.starts_with("the agent ended"), error)?;
    drop(agent);
    wait_for("no zombie of it", LIMIT, || !proc::alive(pid))?;
    Agent::start().map(|_| Outcome::Passed)
}

fn foreign_orders() -> Result<Outcome, String> {
    for bytes in [&b"\x02\0\0\0{}"[..], b"\xff\xff\xff\xff", b"\x01\0\0"] {
        let (mut ours, theirs) = UnixStream::pair().map_err(|e| e.to_string())?;
        let place = TempDir::new()?;
        let mut command = unprivileged(&copy(&place)?);
        let theirs = std::os::fd::OwnedFd::from(theirs);
        let child = command.stdin(theirs).stderr(Stdio::piped()).spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => return Ok(Outcome::Skipped(format!("setpriv: {error}"))),
        };
        drop(command);
        ours.write_all(bytes).map_err(|e| e.to_string())?;
        ours.shutdown(std::net::Shutdown::Write)
            .map_err(|e| e.to_string())?;
        let done = child.wait_with_output().map_err(|e| e.to_string())?;
        let text = String::from_utf8_lossy(&done.stderr).into_owned();
        let begins = "supervisord-agent: the connection to supervisord failed: ";
        expect(
            done.status.code() == Some(1) && text.starts_with(begins),
            format!("{bytes:?}: {done:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

/// A server with TLS that answers each request with the text `[x]`, and with status 503 if its path begins with `/ill`. The file
/// `posted` gets the body of each POST request. It runs until the test ends.
pub(crate) fn serve_tls(place: &TempDir) -> Result<u16, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let config = server_config(place)?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| text(&e))?;
    let port = listener.local_addr().map_err(|e| text(&e))?.port();
    let posted = place.join("posted");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer_one(&config, stream, &posted);
        }
    });
    Ok(port)
}

fn answer_one(
    config: &Arc<rustls::ServerConfig>,
    stream: TcpStream,
    posted: &std::path::Path,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let connection = rustls::ServerConnection::new(Arc::clone(config));
    let connection = connection.map_err(std::io::Error::other)?;
    let mut stream = rustls::StreamOwned::new(connection, stream);
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    if head.starts_with("post ") {
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body)?;
        std::fs::write(posted, body)?;
    }
    let status = if head
        .split(' ')
        .nth(1)
        .is_some_and(|path| path.starts_with("/ill"))
    {
        "503 Ill"
    } else {
        "200 OK"
    };
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 3\r\nConnection: close\r\n\r\n[x]");
    stream.write_all(answer.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

fn tls() -> Result<Outcome, String> {
    let place = TempDir::new()?;
    if certificates(&place, "One")?.is_none() {
        return Ok(Outcome::Skipped("no openssl".to_owned()));
    }
    let port = serve_tls(&place)?;
    // The system's authorities, which an image may lack, are this one for the test of the unknown authority.
    let (other, namesake) = (TempDir::new()?, TempDir::new()?);
    certificates(&other, "Two")?;
    certificates(&namesake, "One")?;
    let options = AgentOptions {
        environment: vec![("SSL_CERT_FILE".into(), other.join("ca.pem").into())],
        ..AgentOptions::default()
    };
    let mut agent = Agent::start_with(&options)?;
    let mut read = |host: &str, tls_ca: Option<PathBuf>| {
        let item = NacosItem {
            tls_ca: tls_ca.map(|path| path.display().to_string()),
            ..item_at(&format!("https://{host}:{port}/nacos"))
        };
        agent.ask(&AgentOrder::Read { id: 1, item })
    };
    let ours = || Some(place.join("ca.pem"));
    match read("localhost", ours())? {
        Ok(AgentAnswer::Text(text)) => expect(text.text == "[x]", text.text)?,
        other => return Err(format!("{other:?}")),
    }
    let missing = place.join("absent.pem");
    let missing_text = format!("tls_ca={} cannot be read by this user: ", missing.display());
    let empty = place.write("empty.pem", "nothing")?;
    for (host, tls_ca, expected) in [
        (
            "localhost",
            None,
            "its TLS certificate is from an unknown authority (known are those of the system; name another one with tls_ca)",
        ),
        (
            "127.0.0.1",
            ours(),
            "its TLS certificate is for another name (DnsName(\"localhost\"))",
        ),
        (
            "localhost",
            Some(namesake.join("ca.pem")),
            "has the name of a known one, but another key",
        ),
        ("localhost", Some(missing), &missing_text),
        ("localhost", Some(empty), "has no certificate in PEM"),
    ] {
        match read(host, tls_ca)? {
            Err(failure) => expect(
                failure.kind == FailureKind::Away && failure.message.contains(expected),
                format!("{failure:?}"),
            )?,
            other => return Err(format!("{other:?}")),
        }
    }
    drop(agent);
    Ok(Outcome::Passed)
}
