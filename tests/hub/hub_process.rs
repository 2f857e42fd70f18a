//! The hub as a process, and clients of it.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::daemon::{Daemon, Finished, Marked, Side, program, run};
use crate::support::temp_dir::TempDir;
use crate::support::wire::{Address, Answer, Connection};
use crate::support::{LIMIT, wait_for};

/// A hub. Fields drop in order: the hub, all marked processes, the files.
pub(crate) struct HubProcess {
    daemon: Option<Daemon>,
    marked: Marked,
    pub(crate) place: TempDir,
    pub(crate) port: u16,
    /// Receives the messages for the service manager.
    notify: UnixDatagram,
}

/// A port that nobody uses now.
pub(crate) fn free_port() -> Result<u16, String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(free.map_err(|error| error.to_string())?.port())
}

impl HubProcess {
    /// Starts a hub with these settings, in which `@hub` stands for the table `[hub]` with its address.
    pub(crate) fn start(settings: &str) -> Result<Self, String> {
        // Another process may take the port between the search for a free port and the bind.
        let mut last = String::new();
        for _ in 0..5 {
            match Self::start_once(settings) {
                Err(why) if why.contains("Address already in use") => last = why,
                other => return other,
            }
        }
        Err(last)
    }

    fn start_once(settings: &str) -> Result<Self, String> {
        let place = TempDir::new()?;
        let notify = UnixDatagram::bind(place.join("notify")).map_err(|error| error.to_string())?;
        notify
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        let mut hub = Self {
            daemon: None,
            marked: Marked::new(),
            place,
            port: free_port()?,
            notify,
        };
        hub.write(settings)?;
        hub.restart()?;
        Ok(hub)
    }

    /// Writes the settings file.
    pub(crate) fn write(&self, settings: &str) -> Result<(), String> {
        let table = format!("[hub]\nbind = \"127.0.0.1:{}\"", self.port);
        let text = settings.replace("@hub", &table);
        self.place.write("cesi.toml", &text).map(drop)
    }

    fn command(&self) -> Result<std::process::Command, String> {
        let program = program(Side::Ours, "supervisord-agent")?;
        let mut command = self.marked.command(&program, self.place.path());
        command
            .env("STATE_DIRECTORY", self.place.path())
            .env("NOTIFY_SOCKET", self.place.join("notify"))
            .arg("hub");
        Ok(command)
    }

    /// Runs another command of the hub until it exits.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Finished, String> {
        let mut command = self.command()?;
        command.args(arguments);
        run(command, self.place.path(), None, LIMIT)
    }

    /// Starts it, after it was stopped, and waits until it says that it is ready.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        let mut command = self.command()?;
        command.args(["-c", "cesi.toml"]);
        let address = Address::Port(self.port);
        let daemon = Daemon::spawn(command, self.place.path(), address)?;
        let daemon = self.daemon.insert(daemon);
        let mut is_ready = false;
        wait_for("the hub is ready or has exited", LIMIT, || {
            let mut message = [0; 256];
            if let Ok(length) = self.notify.recv(&mut message) {
                is_ready |= message[..length].starts_with(b"READY=1");
            }
            is_ready || !daemon.is_alive()
        })?;
        match is_ready {
            true => Ok(()),
            false => Err(format!("the hub has exited: {}", self.place.read("err"))),
        }
    }

    /// Stops it with TERM and returns its exit status.
    pub(crate) fn stop(&mut self) -> Result<i32, String> {
        let mut daemon = self.daemon.take().ok_or("the hub does not run")?;
        daemon.signal(Signal::SIGTERM);
        daemon.wait_exit(LIMIT)
    }

    /// Makes it read its settings again.
    pub(crate) fn reload(&self) {
        if let Some(daemon) = &self.daemon {
            daemon.signal(Signal::SIGHUP);
        }
    }

    /// A client that has not logged in.
    pub(crate) fn client(&self) -> HubClient {
        HubClient {
            port: self.port,
            headers: Vec::new(),
        }
    }

    /// A client that has logged in.
    pub(crate) fn login(&self, user: &str, password: &str) -> Result<HubClient, String> {
        let body = serde_json::json!({"username": user, "password": password}).to_string();
        let answer = self.client().send("POST", "/api/v2/auth/login/", &body)?;
        let cookie = answer
            .header("set-cookie")
            .and_then(|line| line.split(';').next());
        match (answer.code(), cookie) {
            (200, Some(cookie)) => Ok(self.client().with("Cookie", cookie)),
            _ => Err(format!("{user} cannot log in: {}", text(&answer))),
        }
    }

    /// What it has written to standard error.
    pub(crate) fn errors(&self) -> String {
        self.place.read("err")
    }
}

/// A client with headers of its own.
#[derive(Clone)]
pub(crate) struct HubClient {
    port: u16,
    headers: Vec<(String, String)>,
}

/// The body of an answer.
pub(crate) fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

impl HubClient {
    /// The same client with another header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// Sends a request on a connection of its own. An empty body is none; another one is JSON.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Result<Answer, String> {
        let failed = |error: std::io::Error| format!("{method} {path}: {error}");
        let mut connection = self.open(method, path, body)?;
        let answer = connection.answer().map_err(failed)?;
        answer.ok_or_else(|| format!("{method} {path}: no answer"))
    }

    /// Sends a form.
    pub(crate) fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Answer, String> {
        let encoded = |text: &str| supervisord::domain::percent_encoded(text, b"");
        let pairs: Vec<String> = form
            .iter()
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        let kind = "application/x-www-form-urlencoded";
        let client = self.with("Content-Type", kind);
        client.send("POST", path, &pairs.join("&"))
    }

    /// The text of a page that must be there.
    pub(crate) fn page(&self, path: &str) -> Result<String, String> {
        let answer = self.with("Accept", "text/html").send("GET", path, "")?;
        match answer.code() {
            200 => Ok(text(&answer)),
            code => Err(format!("GET {path}: {code} {}", text(&answer))),
        }
    }

    /// The token of the forms of the user's pages.
    pub(crate) fn form_token(&self) -> Result<String, String> {
        let page = self.page("/profile/")?;
        let token = page.split("name=\"token\" value=\"").nth(1);
        let token = token.and_then(|rest| rest.split('"').next());
        token.map(str::to_owned).ok_or(page)
    }

    /// Sends a request and returns the connection.
    pub(crate) fn open(&self, method: &str, path: &str, body: &str) -> Result<Connection, String> {
        let failed = |error: std::io::Error| format!("{method} {path}: {error}");
        let mut connection = Connection::open(&Address::Port(self.port)).map_err(failed)?;
        let has = |name: &str| self.headers.iter().any(|(key, _)| key == name);
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !has("Host") {
            head.push_str(&format!("Host: 127.0.0.1:{}\r\n", self.port));
        }
        if !body.is_empty() && !has("Content-Type") {
            head.push_str("Content-Type: application/json\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        connection.send(head.as_bytes()).map_err(failed)?;
        Ok(connection)
    }

    /// Sends a request and returns its status and its JSON, which is null if the body is none.
    pub(crate) fn json(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<(u16, Value), String> {
        let answer = self.send(method, path, body)?;
        let value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        Ok((answer.code(), value))
    }

    /// GET of something that must be there.
    pub(crate) fn get(&self, path: &str) -> Result<Value, String> {
        match self.json("GET", path, "")? {
            (200, value) => Ok(value),
            other => Err(format!("GET {path}: {other:?}")),
        }
    }

    /// Fails unless a request has this status, and its message, or the detail of its problem, contains `message`.
    pub(crate) fn expect(
        &self,
        (method, path, body): (&str, &str, &str),
        status: u16,
        message: &str,
    ) -> Result<Value, String> {
        let (code, value) = self.json(method, path, body)?;
        let said = [&value["message"], &value["detail"]];
        let said = said
            .iter()
            .find_map(|text| text.as_str())
            .unwrap_or_default();
        match code == status && said.contains(message) {
            true => Ok(value),
            false => Err(format!("{method} {path} {body}: {code} {value}")),
        }
    }

    /// Waits until GET has an answer that is accepted.
    pub(crate) fn wait(
        &self,
        path: &str,
        is_accepted: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let mut last = Err("no answer".to_owned());
        let waited = wait_for(&format!("GET {path} is as expected"), LIMIT, || {
            last = self.get(path);
            last.as_ref().is_ok_and(&is_accepted)
        });
        waited.map_err(|why| format!("{why}: {last:?}"))?;
        last
    }
}
