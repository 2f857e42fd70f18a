//! A daemon of either side with a port and a socket, and requests to it.

use std::net::TcpListener;

use crate::support::daemon::{Daemon, Marked, Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::wire::{Address, Answer, Connection};
use crate::support::{LIMIT, wait_for};

const HEAD: &str = "\
[unix_http_server]
file={dir}/s
[supervisord]
logfile={dir}/log
loglevel=debug
pidfile={dir}/pid
childlogdir={dir}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[inet_http_server]
port=127.0.0.1:{port}
";

/// Fields drop in order: the daemon, all marked processes, the files.
pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    _marked: Marked,
    pub(crate) place: TempDir,
    pub(crate) port: u16,
}

impl Scene {
    /// A running daemon of `side`. `config` follows the port of `[inet_http_server]`.
    pub(crate) fn start(side: Side, config: &str) -> Result<Self, String> {
        // Another process may take the port between the search for a free port and the bind.
        let mut last = String::new();
        for _ in 0..5 {
            match Self::start_once(side, config) {
                Err(why) if why.contains("already listening") => last = why,
                other => return other,
            }
        }
        Err(last)
    }

    fn start_once(side: Side, config: &str) -> Result<Self, String> {
        let marked = Marked::new();
        let place = TempDir::new()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| e.to_string())?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        drop(listener);
        let me = std::env::current_exe()
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        let text = format!("{HEAD}{config}")
            .replace("{dir}", &place.text())
            .replace("{port}", &port.to_string())
            .replace("{test_child}", &format!("{me} test_child"));
        place.write("conf", &text)?;
        let mut command = marked.command(&program(side, "supervisord")?, place.path());
        command.args(["-n", "-c", "conf"]);
        let socket = Address::Unix(place.join("s"));
        let mut daemon = Daemon::spawn(command, place.path(), socket)?;
        if let Some(code) = daemon.wait_ready(LIMIT)? {
            let why = place.read("err") + &place.read("out");
            return Err(format!("the daemon ended with {code}: {why}"));
        }
        Ok(Self {
            daemon,
            _marked: marked,
            place,
            port,
        })
    }

    /// The port's URL.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// GET over the port, with further header lines.
    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> Result<Answer, String> {
        self.ask(&Address::Port(self.port), "GET", path, headers, "")
    }

    /// POST over the port.
    pub(crate) fn post(&self, path: &str, headers: &[&str], body: &str) -> Result<Answer, String> {
        self.ask(&Address::Port(self.port), "POST", path, headers, body)
    }

    /// Any request; `Host` is the daemon's own unless `headers` has one.
    pub(crate) fn ask(
        &self,
        address: &Address,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Result<Answer, String> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|header| header.starts_with("Host:")) {
            request.push_str(&format!("Host: 127.0.0.1:{}\r\n", self.port));
        }
        if method == "POST" {
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for header in headers {
            request.push_str(&format!("{header}\r\n"));
        }
        let mut connection = Connection::open(address).map_err(|e| e.to_string())?;
        connection
            .send(format!("{request}\r\n{body}").as_bytes())
            .map_err(|e| e.to_string())?;
        connection
            .answer()
            .map_err(|e| format!("{method} {path}: {e}"))?
            .ok_or_else(|| format!("{method} {path}: closed"))
    }

    /// The token of the page's forms.
    pub(crate) fn token(&self, headers: &[&str]) -> Result<String, String> {
        let page = text(&self.get("/", headers)?);
        between(&page, "name=\"token\" value=\"", "\"").ok_or_else(|| format!("no token: {page}"))
    }

    /// Waits until the state and PID of a process differ from `before`, and then for this state.
    pub(crate) fn wait_other_pid(&self, name: &str, before: i32) -> Result<(), String> {
        wait_for(&format!("{name} runs again"), LIMIT, || {
            let pid = self.daemon.pid_of(name);
            pid != 0 && pid != before && self.daemon.state(name) == "RUNNING"
        })
    }
}

/// A check without a browser.
pub(crate) type PlainCheck = fn() -> Result<(), String>;

/// The tests of a table, named `prefix::name`.
pub(crate) fn plain_trials(prefix: &str, table: Vec<(&str, PlainCheck)>) -> Vec<Trial> {
    let trials = table.into_iter().map(|(name, check)| {
        Trial::new(format!("{prefix}::{name}"), move || {
            check()?;
            Ok(Outcome::Passed)
        })
    });
    trials.collect()
}

/// The body as text.
pub(crate) fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The text between the first `from` and the next `to`.
pub(crate) fn between(text: &str, from: &str, to: &str) -> Option<String> {
    let (_, rest) = text.split_once(from)?;
    Some(rest.split_once(to)?.0.to_owned())
}

/// Decodes HTML text.
pub(crate) fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&amp;", "&")
}
