//! The real programs under supervision: their files, their sections, and a check that they answer.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::User;

use crate::host::Host;
use crate::support::daemon::oracle;
use crate::support::is_root;

/// A real program with its files in the directory of its test.
pub(crate) struct Program {
    /// The program's name, also in the configuration.
    pub(crate) name: &'static str,
    /// Its own directory.
    pub(crate) dir: PathBuf,
    /// Its section of the configuration.
    pub(crate) section: String,
    /// The user of the program (or of its workers), if it is available here.
    pub(crate) uid: Option<u32>,
    /// The signal that stops it without a socket file that its next instance could not replace.
    pub(crate) fatal: Signal,
    request: &'static str,
    answer: &'static str,
}

impl Program {
    /// Sends one request.
    pub(crate) fn ask(&self) -> String {
        ask(&self.dir.join("sock"), self.request).unwrap_or_default()
    }

    /// The program gives its expected answer.
    pub(crate) fn answers(&self) -> bool {
        self.ask().contains(self.answer)
    }
}

pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

pub(crate) fn uid_of(name: &str) -> Option<u32> {
    let user = User::from_name(name).ok().flatten()?;
    is_root().then(|| user.uid.as_raw())
}

pub(crate) fn ask(socket: &Path, request: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(n) = stream.read(&mut piece) {
        if n == 0 {
            break;
        }
        got.extend_from_slice(&piece[..n]);
        if got.ends_with(b"\r\n") || got.len() > 3000 {
            break;
        }
    }
    (!got.is_empty()).then(|| String::from_utf8_lossy(&got).into_owned())
}

pub(crate) fn open_to_all(host: &Host, name: &str) -> Result<PathBuf, String> {
    let path = host.place.join(name);
    std::fs::create_dir(&path).map_err(|e| e.to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))
        .map_err(|e| e.to_string())?;
    Ok(path)
}

/// The directory with the programs of the newest PostgreSQL. `None`: not installed.
pub(crate) fn postgresql() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| {
            ["postgres", "initdb", "psql"]
                .iter()
                .all(|name| bin.join(name).exists())
        })
        .collect();
    found.sort();
    found.pop()
}

/// The line that makes a program run as `name`, if that is possible.
fn user_line(name: &str, uid: Option<u32>) -> String {
    uid.map_or_else(String::new, |_| format!("user={name}\n"))
}

/// redis-server as the user redis. `None`: not installed.
pub(crate) fn redis(host: &Host) -> Result<Option<Program>, String> {
    let Some(server) = installed("redis-server") else {
        return Ok(None);
    };
    let uid = uid_of("redis");
    let dir = open_to_all(host, "data")?;
    let section = format!(
        "[program:redis]\ncommand={} --port 0 --unixsocket {d}/sock --dir {d} --save \"\" --daemonize no\n{}\
         stdout_logfile={{dir}}/redis.log\nredirect_stderr=true\nautorestart=true\n",
        server.display(),
        user_line("redis", uid),
        d = dir.display()
    );
    Ok(Some(Program {
        name: "redis",
        dir,
        section,
        uid,
        fatal: Signal::SIGKILL,
        request: "PING\r\n",
        answer: "PONG",
    }))
}

/// The configuration of nginx; it answers `text`.
pub(crate) fn nginx_conf(dir: &Path, is_root: bool, text: &str) -> String {
    let user = if is_root { "user www-data;\n" } else { "" };
    format!(
        "{user}daemon off;\npid {d}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log /dev/stdout;\n\
         client_body_temp_path {d}/b;\nproxy_temp_path {d}/p;\nfastcgi_temp_path {d}/f;\nuwsgi_temp_path {d}/u;\n\
         scgi_temp_path {d}/g;\nserver {{ listen unix:{d}/sock; location / {{ return 200 '{text}\\r\\n'; }} }}\n}}\n",
        d = dir.display()
    )
}

/// nginx with workers of www-data. Its access log is rotated. `None`: not installed.
pub(crate) fn nginx(host: &Host) -> Result<Option<Program>, String> {
    let Some(server) = installed("nginx") else {
        return Ok(None);
    };
    let uid = uid_of("www-data");
    let dir = open_to_all(host, "web")?;
    std::fs::write(dir.join("conf"), nginx_conf(&dir, uid.is_some(), "first"))
        .map_err(|e| e.to_string())?;
    let section = format!(
        "[program:nginx]\ncommand={} -c {d}/conf -p {d}\nstdout_logfile={{dir}}/access.log\n\
         stdout_logfile_maxbytes=4KB\nstdout_logfile_backups=100\nstderr_logfile={{dir}}/error.log\nstopsignal=QUIT\n\
         autorestart=true\n",
        server.display(),
        d = dir.display()
    );
    Ok(Some(Program {
        name: "nginx",
        dir,
        section,
        uid,
        fatal: Signal::SIGTERM,
        request: "GET / HTTP/1.0\r\n\r\n",
        answer: "200 OK",
    }))
}

/// gunicorn with two workers, as www-data where that user can read the interpreter. `None`: not installed.
pub(crate) fn gunicorn(host: &Host) -> Result<Option<Program>, String> {
    let Some(server) = oracle()
        .map(|venv| venv.join("bin/gunicorn"))
        .filter(|path| path.exists())
    else {
        return Ok(None);
    };
    let python = server
        .parent()
        .and_then(|bin| bin.join("python3").canonicalize().ok());
    let is_readable =
        |path: &Path| std::fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o001 != 0);
    let readable = python.is_some_and(|python| python.ancestors().skip(1).all(is_readable))
        && server.ancestors().skip(1).all(is_readable);
    let uid = uid_of("www-data").filter(|_| readable);
    let dir = open_to_all(host, "app")?;
    std::fs::write(
        dir.join("wsgi.py"),
        "def application(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    \
         return [b'hello from gunicorn\\r\\n']\n",
    )
    .map_err(|e| e.to_string())?;
    let section = format!(
        "[program:gunicorn]\ncommand={} -w 2 --bind unix:{d}/sock wsgi:application\ndirectory={d}\nautostart=true\n\
         autorestart=true\n{}stdout_logfile={{dir}}/g.out\nstderr_logfile={{dir}}/g.err\nenvironment=HOME=\"{d}\"\n",
        server.display(),
        user_line("www-data", uid),
        d = dir.display()
    );
    Ok(Some(Program {
        name: "gunicorn",
        dir,
        section,
        uid,
        fatal: Signal::SIGKILL,
        request: "GET / HTTP/1.0\r\n\r\n",
        answer: "hello from gunicorn",
    }))
}
