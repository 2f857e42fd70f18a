//! A real FastCGI application (flup, reading descriptor 0) behind a real web server, over one socket that the daemon
//! makes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::host::Host;
use crate::programs::{installed, open_to_all, uid_of};
use crate::support::daemon::oracle;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "fcgi::programs_of_a_group_share_a_unix_socket",
            cfg_59_programs_of_a_group_share_a_unix_socket,
        ),
        Trial::new(
            "fcgi::a_single_program_has_a_tcp_socket",
            cfg_59_a_single_program_has_a_tcp_socket,
        ),
        Trial::new(
            "fcgi::a_socket_that_cannot_be_created_fails_the_start",
            cfg_59_a_socket_that_cannot_be_created_fails_the_start,
        ),
    ]
}

const APPLICATION: &str = "\
import os
from flup.server.fcgi import WSGIServer
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [('answered by %d.' % os.getpid()).encode()]
WSGIServer(application).run()
";

/// Two processes of the application and the web server in front of them.
struct Site {
    host: Host,
    web: PathBuf,
    /// Both processes.
    names: [String; 2],
    url: String,
}

impl Drop for Site {
    /// The web server's workers would outlive a killed master, and write their titles over the mark.
    fn drop(&mut self) {
        let text = std::fs::read_to_string(self.web.join("nginx.pid")).unwrap_or_default();
        let own = self
            .host
            .daemon
            .as_ref()
            .map(|daemon| daemon.pid().to_string());
        if let Ok(master) = text.trim().parse()
            && proc::stat(master, 4) == own
        {
            // Only once: the daemon would start another one.
            drop(self.host.ctl(&["stop", "all"]));
            let _ = kill(Pid::from_raw(master), Signal::SIGTERM);
            drop(wait_for("the web server ends", LIMIT, || {
                UnixStream::connect(self.web.join("sock")).is_err()
            }));
        }
    }
}

/// The interpreter that has flup.
fn python() -> Option<PathBuf> {
    let python = oracle()?.join("bin/python");
    let found = std::process::Command::new(&python)
        .args(["-c", "import flup.server.fcgi"])
        .stderr(std::process::Stdio::null())
        .status();
    found.is_ok_and(|status| status.success()).then_some(python)
}

impl Site {
    /// `None`: a program is not installed. `fastcgi_pass` is the socket in nginx's syntax, `group` the prefix of names.
    fn start(
        socket: impl Fn(&Path) -> (String, String),
        more: &str,
        group: &str,
        section: &str,
    ) -> Result<Option<Self>, String> {
        let (Some(nginx), Some(python)) = (installed("nginx"), python()) else {
            return Ok(None);
        };
        let mut host = Host::new("")?;
        let web = open_to_all(&host, "web")?;
        let (url, fastcgi_pass) = socket(&web);
        let is_other = uid_of("www-data").is_some();
        let user = if is_other { "user www-data;\n" } else { "" };
        let owner = if is_other && url.starts_with("unix") {
            // Only its owner may connect, so the workers prove the owner and the mode too.
            "socket_owner=www-data:www-data\nsocket_mode=0600\n"
        } else {
            ""
        };
        let d = web.display();
        let conf = format!(
            "{user}daemon off;\npid {d}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
             client_body_temp_path {d}/b;\nproxy_temp_path {d}/p;\nfastcgi_temp_path {d}/f;\nuwsgi_temp_path {d}/u;\n\
             scgi_temp_path {d}/g;\nserver {{ listen unix:{d}/sock; location / {{ fastcgi_pass {fastcgi_pass};\n\
             fastcgi_param REQUEST_METHOD $request_method; fastcgi_param SCRIPT_NAME \"\"; fastcgi_param PATH_INFO $uri;\n\
             fastcgi_param QUERY_STRING $query_string; fastcgi_param SERVER_NAME here; fastcgi_param SERVER_PORT 80;\n\
             fastcgi_param SERVER_PROTOCOL $server_protocol; }} }}\n}}\n"
        );
        std::fs::write(web.join("conf"), conf).map_err(|e| e.to_string())?;
        std::fs::write(web.join("app.py"), APPLICATION).map_err(|e| e.to_string())?;
        host.configure(&format!(
            "[program:nginx]\ncommand={} -c {d}/conf -p {d}\nstopsignal=QUIT\nstderr_logfile={{dir}}/error.log\n\
             [fcgi-program:app]\ncommand={} {d}/app.py\nprocess_name=app%(process_num)d\nnumprocs=2\nsocket={url}\n\
             {owner}autorestart=true\nstderr_logfile={{dir}}/%(program_name)s%(process_num)d.err\n{more}{section}",
            nginx.display(),
            python.display(),
        ))?;
        host.go()?;
        let names = [0, 1].map(|number| format!("{group}:app{number}"));
        for name in &names {
            host.daemon()?.wait_state(name, "RUNNING")?;
        }
        let site = Self {
            host,
            web,
            names,
            url,
        };
        wait_for("the site answers", LIMIT, || site.ask().is_ok())
            .map_err(|why| format!("{why}; {:?}\n{}", site.ask(), site.host.log_end()))?;
        Ok(Some(site))
    }

    /// The PID of the process that answers one request through the web server.
    fn ask(&self) -> Result<i32, String> {
        let mut stream = UnixStream::connect(self.web.join("sock")).map_err(|e| e.to_string())?;
        let limit = Some(Duration::from_secs(20));
        stream.set_read_timeout(limit).map_err(|e| e.to_string())?;
        let mut text = String::new();
        stream
            .write_all(b"GET /x HTTP/1.0\r\n\r\n")
            .and_then(|()| stream.read_to_string(&mut text))
            .map_err(|e| e.to_string())?;
        text.split_once("answered by ")
            .and_then(|(_, rest)| rest.split('.').next()?.parse().ok())
            .ok_or(text)
    }

    fn pid(&self, which: usize) -> Result<i32, String> {
        Ok(self.host.daemon()?.pid_of(&self.names[which]))
    }

    /// The standard input of the process.
    fn socket(&self, which: usize) -> Result<String, String> {
        let link = std::fs::read_link(format!("/proc/{}/fd/0", self.pid(which)?));
        Ok(link.map_err(|e| e.to_string())?.display().to_string())
    }

    fn signal(pid: i32, signal: Signal, state: &str) -> Result<(), String> {
        kill(Pid::from_raw(pid), signal).map_err(|e| e.to_string())?;
        wait_for(&format!("{pid} is {state}"), LIMIT, || {
            proc::stat(pid, 3).is_none_or(|now| (now == "T") == (state == "stopped"))
        })
    }

    fn lines(&self, verb: &str) -> usize {
        let line = format!("INFO {verb} socket {}", self.url);
        self.host.place.read("log").matches(&line).count()
    }

    /// Both processes answer. Requests succeed while one is killed and restarts with the same socket. The exit of the
    /// last one closes the socket, and the next start makes another.
    fn lives_by_one_socket(&self) -> Result<(), String> {
        let socket = self.socket(0)?;
        expect(
            socket.starts_with("socket:") && self.socket(1)? == socket,
            format!("one socket for both, not {socket} and {:?}", self.socket(1)),
        )?;
        for (stopped, other) in [(0, 1), (1, 0)] {
            let (stopped, other) = (self.pid(stopped)?, self.pid(other)?);
            Self::signal(stopped, Signal::SIGSTOP, "stopped")?;
            let answered = self.ask();
            Self::signal(stopped, Signal::SIGCONT, "running")?;
            expect(
                answered == Ok(other),
                format!("{other} should answer while {stopped} is stopped: {answered:?}"),
            )?;
        }
        let (killed, other) = (self.pid(0)?, self.pid(1)?);
        Self::signal(killed, Signal::SIGKILL, "gone")?;
        for _ in 0..30 {
            self.ask()
                .map_err(|answer| format!("a request failed after a kill: {answer}"))?;
        }
        wait_for("the killed process restarts", LIMIT, || {
            self.pid(0).is_ok_and(|pid| pid > 0 && pid != killed)
        })?;
        self.host.daemon()?.wait_state(&self.names[0], "RUNNING")?;
        expect(self.pid(1)? == other, "the other one is left alone")?;
        expect(
            self.socket(0)? == socket,
            "it has the socket that the other held",
        )?;
        Self::signal(other, Signal::SIGSTOP, "stopped")?;
        let answered = self.ask();
        Self::signal(other, Signal::SIGCONT, "running")?;
        expect(
            answered == Ok(self.pid(0)?),
            format!("the new one answers: {answered:?}"),
        )?;
        // The check at the start, and the socket of the first process.
        expect(
            (self.lines("Creating"), self.lines("Closing")) == (2, 1),
            format!("one socket all the while; log:\n{}", self.host.log_end()),
        )?;
        for name in &self.names {
            self.host
                .expect_ctl(&["stop", name], 0, &[&format!("{name}: stopped")])?;
        }
        wait_for("the last one's end closes the socket", LIMIT, || {
            self.lines("Closing") == 2
        })?;
        expect(
            self.ask().is_err_and(|answer| answer.contains("502")),
            "nobody listens any more",
        )?;
        self.host.expect_ctl(
            &["start", &self.names[1]],
            0,
            &[&format!("{}: started", self.names[1])],
        )?;
        wait_for("it answers again", LIMIT, || {
            self.ask().is_ok() && self.ask() == self.pid(1)
        })?;
        expect(
            (self.lines("Creating"), self.lines("Closing")) == (3, 2),
            "another socket",
        )
    }
}

fn missing() -> Outcome {
    Outcome::Skipped("nginx or flup is not installed".to_owned())
}

fn cfg_59_programs_of_a_group_share_a_unix_socket() -> Result<Outcome, String> {
    let socket = |web: &Path| {
        let path = web.join("app.sock");
        (
            format!("unix://{}", path.display()),
            format!("unix:{}", path.display()),
        )
    };
    let site = Site::start(socket, "", "site", "[group:site]\nprograms=app,nginx\n")?;
    let Some(mut site) = site else {
        return Ok(missing());
    };
    site.lives_by_one_socket()?;
    site.host.expect_well()?;
    Ok(Outcome::Passed)
}

fn cfg_59_a_single_program_has_a_tcp_socket() -> Result<Outcome, String> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|e| e.to_string())?
        .port();
    let socket = |_: &Path| {
        let address = format!("127.0.0.1:{port}");
        (format!("tcp://{address}"), address)
    };
    let Some(mut site) = Site::start(socket, "socket_backlog=7\n", "app", "")? else {
        return Ok(missing());
    };
    site.lives_by_one_socket()?;
    site.host.expect_well()?;
    Ok(Outcome::Passed)
}

/// At run time a socket that cannot be made affects no other program: its processes fail to start until it can be made,
/// also after a reload.
fn cfg_59_a_socket_that_cannot_be_created_fails_the_start() -> Result<Outcome, String> {
    const LONG: &str = "[program:long]\ncommand={test_child} forever\n";
    const APP: &str = "[fcgi-program:app]\ncommand={test_child} forever\nsocket=unix://{dir}/d/app.sock\nstartretries=100\n";
    let mut host = Host::start(LONG)?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    let dir = host.place.join("d");
    let why = host.fill(
        "Could not create FastCGI socket unix://{dir}/d/app.sock: [Errno 2] No such file or directory",
    );
    let has_dir = |wanted: bool| {
        if wanted {
            std::fs::create_dir(&dir).map_err(|e| e.to_string())
        } else {
            std::fs::remove_dir_all(&dir).map_err(|e| e.to_string())
        }
    };

    host.configure(&format!("{LONG}{APP}"))?;
    let refused = host.ctl(&["update"])?;
    expect(
        refused.code == 1 && (refused.stdout + &refused.stderr).contains(&why),
        "the group is refused with the reason",
    )?;
    expect(host.daemon()?.state("app").is_empty(), "nothing was added")?;
    has_dir(true)?;
    host.expect_ctl(&["update"], 0, &["app: added process group"])?;
    host.daemon()?.wait_state("app", "RUNNING")?;

    has_dir(false)?;
    let pid = host.daemon()?.pid_of("app");
    kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(|e| e.to_string())?;
    host.daemon()?.wait_state("app", "BACKOFF")?;
    host.wait_file("log", &format!("INFO spawnerr: {why}"))?;
    has_dir(true)?;
    host.daemon()?.wait_state("app", "RUNNING")?;

    has_dir(false)?;
    let before = host.daemon()?.pid_of("long");
    host.daemon()?.signal(Signal::SIGHUP);
    host.wait_file("log", &format!("ERRO {why}"))?;
    wait_for("the daemon is back, and its other program", LIMIT, || {
        let now = host.daemon().map_or(0, |daemon| daemon.pid_of("long"));
        now > 0 && now != before
    })?;
    host.daemon()?.wait_state("app", "BACKOFF")?;
    has_dir(true)?;
    host.daemon()?.wait_state("app", "RUNNING")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
