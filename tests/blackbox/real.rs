//! Real programs under supervision: redis-server, nginx and gunicorn, as other users, reloaded, killed, rotated.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User};

use crate::host::{Host, expect};
use crate::support::daemon::oracle;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, is_root, proc, wait_for};

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::new("real::redis_as_its_user", redis),
        Trial::new("real::nginx_with_reload_and_rotation", nginx),
        Trial::new("real::gunicorn_with_reload", gunicorn),
    ]
}

fn installed(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

fn uid_of(name: &str) -> Option<u32> {
    User::from_name(name)
        .ok()
        .flatten()
        .map(|user| user.uid.as_raw())
}

fn ask(socket: &Path, request: &str) -> Option<String> {
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

fn open_to_all(host: &Host, name: &str) -> Result<PathBuf, String> {
    let path = host.place.join(name);
    std::fs::create_dir(&path).map_err(|e| e.to_string())?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777))
        .map_err(|e| e.to_string())?;
    Ok(path)
}

/// Kills the program; it must come back and answer.
fn survives_kills(
    host: &Host,
    name: &str,
    times: usize,
    answers: &dyn Fn() -> bool,
) -> Result<(), String> {
    for n in 0..times {
        host.daemon()?.wait_state(name, "RUNNING")?;
        let old = host.daemon()?.pid_of(name);
        let _ = kill(Pid::from_raw(old), Signal::SIGKILL);
        wait_for(&format!("{name} comes back after kill {n}"), LIMIT, || {
            let new = host.daemon().map(|d| d.pid_of(name)).unwrap_or(0);
            new > 0 && new != old && answers()
        })
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    }
    Ok(())
}

fn redis() -> Result<Outcome, String> {
    let Some(server) = installed("redis-server") else {
        return Ok(Outcome::Skipped("redis-server is not installed".to_owned()));
    };
    let uid = uid_of("redis").filter(|_| is_root());
    let mut host = Host::new("")?;
    let dir = open_to_all(&host, "data")?;
    let user = if uid.is_some() { "user=redis\n" } else { "" };
    host.configure(&format!(
        "[program:redis]\ncommand={} --port 0 --unixsocket {}/sock --dir {} --save \"\" --daemonize no\n{user}stdout_logfile={{dir}}/redis.log\nredirect_stderr=true\nautorestart=true\n",
        server.display(), dir.display(), dir.display()
    ))?;
    host.go()?;
    let socket = dir.join("sock");
    let answers = || ask(&socket, "PING\r\n").is_some_and(|text| text.contains("PONG"));
    wait_for("redis answers", LIMIT, answers)
        .map_err(|why| format!("{why}; {}", host.place.read("redis.log")))?;
    let pid = host.daemon()?.pid_of("redis");
    if let Some(uid) = uid {
        let uids = proc::status(pid, "Uid").unwrap_or_default();
        expect(
            uids.split(' ').all(|field| field == uid.to_string()),
            format!("runs as {uids}"),
        )?;
    }
    survives_kills(&host, "redis", 3, &answers)?;
    host.expect_ctl(&["stop", "redis"], 0, &["redis: stopped"])?;
    host.wait_file("redis.log", "User requested shutdown")?;
    host.expect_ctl(&["status"], 3, &["STOPPED"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn nginx() -> Result<Outcome, String> {
    let Some(server) = installed("nginx") else {
        return Ok(Outcome::Skipped("nginx is not installed".to_owned()));
    };
    let worker = uid_of("www-data").filter(|_| is_root());
    let mut host = Host::new("")?;
    let dir = open_to_all(&host, "web")?;
    let user = if worker.is_some() {
        "user www-data;\n"
    } else {
        ""
    };
    let config = |text: &str| {
        format!(
            "{user}daemon off;\npid {d}/nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log /dev/stdout;\nclient_body_temp_path {d}/b;\nproxy_temp_path {d}/p;\nfastcgi_temp_path {d}/f;\nuwsgi_temp_path {d}/u;\nscgi_temp_path {d}/g;\nserver {{ listen unix:{d}/sock; location / {{ return 200 '{text}\\r\\n'; }} }}\n}}\n",
            d = dir.display()
        )
    };
    std::fs::write(dir.join("conf"), config("first")).map_err(|e| e.to_string())?;
    host.configure(&format!(
        "[program:nginx]\ncommand={} -c {d}/conf -p {d}\nstdout_logfile={{dir}}/access.log\nstdout_logfile_maxbytes=4KB\nstdout_logfile_backups=100\nstderr_logfile={{dir}}/error.log\nstopsignal=QUIT\n",
        server.display(), d = dir.display()
    ))?;
    host.go()?;
    let socket = dir.join("sock");
    let get = || ask(&socket, "GET / HTTP/1.0\r\n\r\n").unwrap_or_default();
    wait_for("nginx answers", LIMIT, || get().contains("first"))
        .map_err(|why| format!("{why}; {} {}", host.place.read("error.log"), host.log_end()))?;
    let pid = host.daemon()?.pid_of("nginx");
    if let Some(uid) = worker {
        let workers = proc::children(pid);
        expect(
            !workers.is_empty()
                && workers.iter().all(|(worker, _)| {
                    proc::status(*worker, "Uid").is_some_and(|u| u.starts_with(&uid.to_string()))
                }),
            "the workers are not www-data",
        )?;
    }
    std::fs::write(dir.join("conf"), config("second")).map_err(|e| e.to_string())?;
    host.expect_ctl(&["signal", "HUP", "nginx"], 0, &["nginx: signalled"])?;
    wait_for("the new configuration", LIMIT, || get().contains("second"))?;
    expect(
        host.daemon()?.pid_of("nginx") == pid,
        "a reload is no restart",
    )?;
    for _ in 0..300 {
        get();
    }
    wait_for("rotation of the access log", LIMIT, || {
        host.place.join("access.log.2").exists()
    })?;
    host.expect_ctl(&["stop", "nginx"], 0, &["nginx: stopped"])?;
    wait_for("no worker is left", LIMIT, || {
        !socket.exists() || get().is_empty()
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn gunicorn() -> Result<Outcome, String> {
    let server = oracle()
        .map(|venv| venv.join("bin/gunicorn"))
        .filter(|path| path.exists());
    let Some(server) = server else {
        return Ok(Outcome::Skipped(
            "no gunicorn in SUPERVISOR_ORACLE".to_owned(),
        ));
    };
    // Python may live where www-data cannot read it.
    let real = server.parent().map(|bin| bin.join("python3"));
    let readable = real
        .and_then(|python| python.canonicalize().ok())
        .is_some_and(|python| {
            python.ancestors().skip(1).all(|dir| {
                std::fs::metadata(dir).is_ok_and(|m| m.permissions().mode() & 0o001 != 0)
            })
        });
    let worker = uid_of("www-data").filter(|_| is_root() && readable);
    let mut host = Host::new("")?;
    let dir = open_to_all(&host, "app")?;
    std::fs::write(
        dir.join("wsgi.py"),
        "def application(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'hello from gunicorn\\r\\n']\n",
    )
    .map_err(|e| e.to_string())?;
    let user = if worker.is_some() {
        "user=www-data\n"
    } else {
        ""
    };
    host.configure(&format!(
        "[program:gunicorn]\ncommand={} -w 2 --bind unix:{d}/sock --no-control-socket wsgi:application\ndirectory={d}\nautostart=true\nautorestart=true\n{user}stdout_logfile={{dir}}/g.out\nstderr_logfile={{dir}}/g.err\nenvironment=HOME=\"{d}\"\n",
        server.display(), d = dir.display()
    ).replace(" --no-control-socket", ""))?;
    host.go()?;
    let socket = dir.join("sock");
    let answers = || {
        ask(&socket, "GET / HTTP/1.0\r\n\r\n").is_some_and(|t| t.contains("hello from gunicorn"))
    };
    wait_for("gunicorn answers", LIMIT, answers)
        .map_err(|why| format!("{why}; {} {}", host.place.read("g.err"), host.log_end()))?;
    let pid = host.daemon()?.pid_of("gunicorn");
    if let Some(uid) = worker {
        expect(
            proc::status(pid, "Uid").is_some_and(|u| u.starts_with(&uid.to_string())),
            "not www-data",
        )?;
    }
    host.expect_ctl(&["signal", "HUP", "gunicorn"], 0, &["gunicorn: signalled"])?;
    host.wait_file("g.err", "Handling signal: hup")?;
    wait_for("it answers after the reload", LIMIT, answers)?;
    expect(
        host.daemon()?.pid_of("gunicorn") == pid,
        "a reload is no restart",
    )?;
    survives_kills(&host, "gunicorn", 2, &answers)?;
    host.expect_ctl(
        &["restart", "gunicorn"],
        0,
        &["gunicorn: stopped", "gunicorn: started"],
    )?;
    wait_for("it answers after the restart", LIMIT, answers)?;
    host.expect_ctl(&["stop", "gunicorn"], 0, &["gunicorn: stopped"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
