//! The configurations of `man/guide/reverse-proxy.md`, in real proxies with TLS: the page, its forms, streams and links.

use std::fs::File;
use std::process::{Child, Command, Stdio};

use crate::host::{Host, free_port};
use crate::programs::installed;
use crate::support::daemon::{Finished, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("reverse_proxy::nginx_in_front_of_a_unix_socket", || {
            nginx(true)
        }),
        Trial::new("reverse_proxy::nginx_below_a_path", || nginx(false)),
        Trial::new("reverse_proxy::caddy_in_front_of_a_unix_socket", || {
            caddy(true)
        }),
        Trial::new("reverse_proxy::caddy_below_a_path", || caddy(false)),
    ]
}

const GUIDE: &str = include_str!("../../man/guide/reverse-proxy.md");

/// The block of the guide that is the content of this file.
fn block(file: &str) -> Result<&'static str, String> {
    let begin = format!(" {file}\n");
    let (_, rest) = GUIDE
        .split_once(&begin)
        .ok_or_else(|| format!("no block {file}"))?;
    rest.split_once("```")
        .map(|(block, _)| block)
        .ok_or_else(|| "no end".to_owned())
}

/// A proxy that ends with the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Proxy {
    fn start(command: &mut Command, host: &Host) -> Result<Self, String> {
        let output =
            || File::create(host.place.join("proxy.out")).map_err(|error| error.to_string());
        let command = command
            .stdin(Stdio::null())
            .stdout(output()?)
            .stderr(output()?);
        command.spawn().map(Self).map_err(|error| error.to_string())
    }
}

/// A daemon with the servers of the guide, and a certificate. `None`: a program is missing.
fn host() -> Result<Option<(Host, u16)>, String> {
    let (Some(openssl), Some(_)) = (installed("openssl"), installed("curl")) else {
        return Ok(None);
    };
    let port = free_port()?;
    let mut host = Host::new(&format!(
        "[unix_http_server:proxy]\nfile={{dir}}/proxy.sock\nchmod=0700\nusername=admin\npassword=change-me\n\
         [inet_http_server]\nport=127.0.0.1:{port}\nusername=admin\npassword=change-me\n\
         [program:web]\ncommand=/bin/sh -c \"while read -r line; do echo $line; done\"\nstartsecs=0\n\
         stdout_logfile={{dir}}/web.log\n"
    ))?;
    let mut command = Command::new(openssl);
    command.args(
        "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout panel.key -out panel.crt".split(' '),
    );
    command.current_dir(host.place.path());
    let made = run(command, host.place.path(), None, LIMIT)?;
    expect(made.code == 0, format!("{made:?}"))?;
    host.go()?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    Ok(Some((host, port)))
}

/// Replaces the addresses and files of the guide.
fn here(text: &str, host: &Host, tls: u16, server: u16) -> String {
    let dir = host.place.text();
    text.replace(
        "/run/supervisor/supervisor.sock",
        &format!("{dir}/proxy.sock"),
    )
    .replace("127.0.0.1:9001", &format!("127.0.0.1:{server}"))
    .replace("listen 443 ssl", &format!("listen 127.0.0.1:{tls} ssl"))
    .replace("/etc/ssl/", &format!("{dir}/"))
    .replace(
        "panel.example.com {",
        &format!("https://localhost:{tls} {{\ntls {dir}/panel.crt {dir}/panel.key"),
    )
    .replace("panel.example.com", "localhost")
}

fn skipped(name: &str) -> Result<Outcome, String> {
    Ok(Outcome::Skipped(format!("{name} is not installed")))
}

fn nginx(is_unix: bool) -> Result<Outcome, String> {
    let Some(nginx) = installed("nginx") else {
        return skipped("nginx");
    };
    let Some((host, server)) = host()? else {
        return skipped("openssl or curl");
    };
    let tls = free_port()?;
    let dir = host.place.text();
    let server_block = match is_unix {
        true => block("/etc/nginx/conf.d/supervisor.conf")?.to_owned(),
        false => format!(
            "server {{\nlisten 443 ssl;\nssl_certificate /etc/ssl/panel.crt;\nssl_certificate_key /etc/ssl/panel.key;\n{}}}\n",
            block("/etc/nginx/snippets/supervisor.conf")?
        ),
    };
    let paths: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {dir}/nginx-{name};\n"))
        .concat();
    let conf = format!(
        "daemon off;\nmaster_process off;\npid {dir}/nginx.pid;\nerror_log {dir}/nginx.err;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{server_block}}}\n"
    );
    // One process, which ends with the test.
    host.place
        .write("nginx.conf", &here(&conf, &host, tls, server))?;
    let mut command = Command::new(nginx);
    command.arg("-c").arg(host.place.join("nginx.conf"));
    let _proxy = Proxy::start(&mut command, &host)?;
    through(&host, tls, if is_unix { "" } else { "/supervisor" })
}

fn caddy(is_unix: bool) -> Result<Outcome, String> {
    let Some(caddy) = installed("caddy") else {
        return skipped("caddy");
    };
    let Some((host, server)) = host()? else {
        return skipped("openssl or curl");
    };
    let tls = free_port()?;
    let dir = host.place.text();
    let site = match is_unix {
        true => block("/etc/caddy/Caddyfile")?.to_owned(),
        false => format!(
            "panel.example.com {{\n{}}}\n",
            block("/etc/caddy/supervisor.caddy")?
        ),
    };
    let conf = format!(
        "{{\nadmin off\nauto_https disable_redirects\nstorage file_system {dir}/caddy\n}}\n{site}"
    );
    host.place
        .write("Caddyfile", &here(&conf, &host, tls, server))?;
    let mut command = Command::new(caddy);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(host.place.join("Caddyfile"))
        .env("HOME", host.place.path())
        .env("XDG_CONFIG_HOME", host.place.path())
        .env("XDG_DATA_HOME", host.place.path());
    let _proxy = Proxy::start(&mut command, &host)?;
    through(&host, tls, if is_unix { "" } else { "/supervisor" })
}

/// Uses the daemon through the proxy.
fn through(host: &Host, tls: u16, path: &str) -> Result<Outcome, String> {
    let site = format!("https://localhost:{tls}");
    let base = format!("{site}{path}");
    let curl = |args: &[&str]| -> Result<Finished, String> {
        let mut command = Command::new("curl");
        command
            .args([
                "-sk",
                "--noproxy",
                "*",
                "--max-time",
                "20",
                "-w",
                " %{http_code}",
            ])
            .args(args);
        run(command, host.place.path(), None, LIMIT)
    };
    let why = |error: String| {
        format!(
            "{error}\n{}\n{}",
            host.place.read("proxy.out"),
            host.place.read("nginx.err")
        )
    };
    let url = |rest: &str| format!("{base}{rest}");
    wait_for("the proxy answers", LIMIT, || {
        curl(&[&url("/readyz")]).is_ok_and(|got| got.stdout.ends_with(" 200"))
    })
    .map_err(why)?;
    let has = |args: &[&str], code: u16, part: &str| {
        let got = curl(args)?;
        expect(
            got.stdout.ends_with(&format!(" {code}")) && got.stdout.contains(part),
            format!("{args:?}: expected {code} {part:?}: {got:?}"),
        )
        .map(|()| got.stdout)
    };
    has(&[&url("/")], 401, "")?;
    let login = ["-u", "admin:change-me"];
    let page = has(
        &[&login[..], &[&url("/")]].concat(),
        200,
        "Supervisor Status",
    )?;
    // The page names its files relative to itself.
    let (before, _) = page.split_once("status.js").ok_or("no script")?;
    let (_, directory) = before.rsplit_once('"').ok_or("no address")?;
    let script = url(&format!("/{directory}status.js"));
    has(&[&login[..], &[&script]].concat(), 200, "")?;
    let (_, rest) = page
        .split_once("name=\"token\" value=\"")
        .ok_or("no token")?;
    let token = rest.split('"').next().unwrap_or_default();
    // A form of the page, from the page and from another one.
    let own = format!("Origin: {site}");
    let form = format!("token={token}&do=stop web");
    let send = |origin: &str, code: u16| {
        let args = [
            "-H",
            origin,
            "-H",
            "Accept-Language: de",
            "--data",
            &form,
            &url("/actions"),
        ];
        has(&[&login[..], &args].concat(), code, "")
    };
    send("Origin: https://evil.example", 403)?;
    expect(
        host.daemon()?.state("web") == "RUNNING",
        "stopped by another page",
    )?;
    send(&own, 303)?;
    host.daemon()?.wait_state("web", "STOPPED")?;
    // The Go project's addresses.
    let go = |origin: &str, code: u16, part: &str| {
        let args = ["-H", origin, "-X", "POST", &url("/program/start/web")];
        has(&[&login[..], &args].concat(), code, part)
    };
    go("Origin: https://evil.example", 403, "")?;
    go(&own, 200, "{\"success\":true}")?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    // What is written to a log, and what changes, arrives while the response goes on.
    let follow = |rest: &str, file: &str| {
        let output = File::create(host.place.join(file)).map_err(|error| error.to_string())?;
        let mut command = Command::new("curl");
        command
            .args(["-skN", "--noproxy", "*", "--max-time", "60"])
            .args(login)
            .arg(url(rest))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(Stdio::null());
        command
            .spawn()
            .map(Proxy)
            .map_err(|error| error.to_string())
    };
    let say = |text: &str| {
        let daemon = host.daemon()?;
        daemon
            .call(
                "supervisor.sendProcessStdin",
                &[
                    Value::Text("web".to_owned()),
                    Value::Text(format!("{text}\n")),
                ],
            )
            .map(drop)
            .map_err(|error| error.to_string())
    };
    say("before")?;
    host.wait_file("web.log", "before\n")?;
    let _log = follow("/logtail/web", "followed")?;
    let _parts = follow("/program/log/web/stdout?follow=1", "parts")?;
    let _events = follow("/events", "events")?;
    for file in ["followed", "parts"] {
        host.wait_file(file, "before\n")?;
    }
    wait_for("events arrive", LIMIT, || {
        !host.place.read("events").is_empty()
    })?;
    say("after")?;
    for file in ["followed", "parts"] {
        host.wait_file(file, "after\n")?;
    }
    let seen = host.place.read("events").len();
    host.expect_ctl(&["stop", "web"], 0, &["stopped"])?;
    wait_for("the change arrives", LIMIT, || {
        host.place.read("events").len() > seen
    })?;
    // A link of a script, with its redirect.
    let link = url("/index.html?processname=web&action=start");
    has(
        &[&login[..], &["-L", &link]].concat(),
        200,
        "Process web started",
    )?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    Ok(Outcome::Passed)
}
