//! Health checks and notifications over HTTPS, which the agent makes.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::agent::serve_tls;
use crate::host::Host;
use crate::nacos::changes::agent_of;
use crate::support::certificates::certificates_for;
use crate::support::daemon::{Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::{LIMIT, expect, wait_for};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("https_checks::certificates_decide", checks),
        Trial::new(
            "https_checks::a_daemon_without_the_agent_says_what_is_missing",
            missing,
        ),
    ]
}

/// A program whose health is that of this URL.
fn checked(name: &str, url: &str) -> String {
    format!(
        "[program:{name}]\ncommand={{test_child}} forever\nstartsecs=0\nhealth_http={url}\nhealth_interval=1\n\
         health_retries=1\non_unhealthy=none\n"
    )
}

/// Waits until `status` says this of the program.
fn wait_health(host: &Host, name: &str, part: &str) -> Result<(), String> {
    let shown = || host.ctl(&["status", "-v", name]).map(|got| got.stdout);
    wait_for(&format!("{name}: {part}"), LIMIT, || {
        shown().is_ok_and(|text| text.contains(part))
    })
    .map_err(|why| format!("{why}; status: {:?}", shown()))
}

fn checks() -> Result<Outcome, String> {
    let (place, old) = (TempDir::new()?, TempDir::new()?);
    if certificates_for(&place, "One", 2)?.is_none() {
        return Ok(Outcome::Skipped("no openssl".to_owned()));
    }
    certificates_for(&old, "Old", -1)?;
    // The agent runs as another user than root.
    use std::os::unix::fs::PermissionsExt as _;
    for directory in [&place, &old] {
        let readable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(directory.path(), readable).map_err(|e| e.to_string())?;
    }
    let (port, old_port) = (serve_tls(&place)?, serve_tls(&old)?);
    let (ca, old_ca) = (place.join("ca.pem"), old.join("ca.pem"));
    let (ca, old_ca) = (ca.display(), old_ca.display());
    let plain = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let closed = plain.local_addr().map_err(|e| e.to_string())?.port();
    drop(plain);
    let mut config = String::new();
    for (name, url) in [
        (
            "good",
            format!("https://localhost:{port}/well --ca-file {ca}"),
        ),
        (
            "ill",
            format!("https://localhost:{port}/ill --ca-file {ca}"),
        ),
        ("name", format!("https://127.0.0.1:{port}/ --ca-file {ca}")),
        (
            "old",
            format!("https://localhost:{old_port}/ --ca-file {old_ca}"),
        ),
        (
            "foreign",
            format!("https://localhost:{port}/ --ca-file {old_ca}"),
        ),
        (
            "away",
            format!("https://localhost:{closed}/ --ca-file {ca}"),
        ),
    ] {
        config.push_str(&checked(name, &url));
    }
    config.push_str(&format!(
        "[notify:hook]\non=unhealthy\nprograms=ill\ncommand=https://localhost:{port}/hook --ca-file {ca}\n"
    ));
    let mut host = Host::start(&config)?;
    wait_health(&host, "good", "healthy")?;
    for (name, reason) in [
        ("ill", "HTTP status 503"),
        ("name", "its TLS certificate is for another name"),
        ("old", "its TLS certificate has expired"),
        (
            "foreign",
            "its TLS certificate is from an unknown authority (known are those in --ca-file ",
        ),
        ("away", "cannot connect"),
    ] {
        wait_health(&host, name, "unhealthy")?;
        wait_health(&host, name, reason)?;
    }
    wait_for("the notification", LIMIT, || {
        std::fs::read_to_string(place.join("posted")).is_ok_and(|text| text.contains("ill"))
    })?;
    // All of them have one agent, and it comes back.
    let own = host.daemon()?.pid();
    let first = agent_of(own).ok_or("there is no agent")?;
    kill(Pid::from_raw(first), Signal::SIGKILL).map_err(|error| error.to_string())?;
    wait_for("another agent", LIMIT, || {
        agent_of(own).is_some_and(|pid| pid != first)
    })?;
    wait_health(&host, "ill", "HTTP status 503")?;
    wait_health(&host, "good", "healthy")?;
    host.expect_ctl(&["upgrade"], 0, &[])?;
    wait_health(&host, "good", "healthy")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn missing() -> Result<Outcome, String> {
    let mut host = Host::new(&checked("web", "https://localhost:1/"))?;
    // The agent is looked for beside the daemon.
    let alone = host.place.join("supervisord");
    std::fs::copy(program(Side::Ours, "supervisord")?, &alone).map_err(|e| e.to_string())?;
    if std::path::Path::new("/usr/libexec/supervisord-agent").exists() {
        return Ok(Outcome::Skipped("an agent is installed".to_owned()));
    }
    host.go_from(&alone, |_| {})?;
    wait_health(&host, "web", "https:// needs supervisord-agent: ")?;
    wait_health(&host, "web", "No such file or directory")?;
    expect(host.daemon()?.state("web") == "RUNNING", "it was stopped")?;
    Ok(Outcome::Passed)
}
