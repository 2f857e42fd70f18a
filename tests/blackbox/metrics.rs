//! `/metrics`, read by the programs that read it on real hosts: promtool, node_exporter and Prometheus.

use std::process::{Child, Command, Stdio};

use crate::host::{Host, free_port};
use crate::programs::installed;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Answer, Connection};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("metrics::m01_node_exporter_shows_the_same", node_exporter),
        Trial::new(
            "metrics::m02_numbers_of_process_info_are_int_and_texts_are_string",
            types,
        ),
        Trial::new("metrics::g57_promtool_finds_nothing_else", promtool),
        Trial::new("metrics::prometheus_scrapes_openmetrics", prometheus),
        Trial::new("metrics::cgroups_count_children_too", cgroups),
        Trial::new("metrics::exits_and_calls_are_counted", counted),
        Trial::new("metrics::the_password_of_the_server_is_needed", password),
    ]
}

/// Programs in several states, one of them with a name that must be escaped.
const PROGRAMS: &str = "[program:web]\ncommand={test_child} forever\nstartsecs=0\n\
    [program:quo\"te]\ncommand={test_child} forever\nstartsecs=0\n\
    [program:job]\ncommand=/bin/sh -c \"exit 3\"\nautorestart=false\nstartsecs=0\n\
    [program:off]\ncommand=/bin/true\nautostart=false\n";

fn host() -> Result<Host, String> {
    let host = Host::start(PROGRAMS)?;
    let daemon = host.daemon()?;
    daemon.wait_state("web", "RUNNING")?;
    daemon.wait_state("job", "EXITED")?;
    Ok(host)
}

fn get(address: &Address, headers: &str) -> Result<Answer, String> {
    let asked = || {
        let mut connection = Connection::open(address)?;
        // 1.0, so that a Go program does not send chunks.
        connection.send(format!("GET /metrics HTTP/1.0\r\nHost: x\r\n{headers}\r\n").as_bytes())?;
        connection.answer()
    };
    asked()
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "no answer".to_owned())
}

fn scrape(address: &Address) -> Result<String, String> {
    let answer = get(address, "")?;
    expect(answer.code() == 200, format!("{answer:?}"))?;
    String::from_utf8(answer.body).map_err(|error| error.to_string())
}

/// A program that ends with the test.
struct Background(Child);

impl Background {
    fn start(command: &mut Command) -> Result<Self, String> {
        let command = command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Self).map_err(|error| error.to_string())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The lines about the families that both have, with their values in one form: Go writes large ones with an exponent.
fn inherited(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.contains("node_supervisord_"))
        .map(|line| match line.rsplit_once(' ') {
            Some((what, value)) if !line.starts_with('#') => match value.parse::<f64>() {
                Ok(value) => format!("{what} {value}"),
                Err(_) => line.to_owned(),
            },
            _ => line.to_owned(),
        })
        .collect()
}

fn node_exporter() -> Result<Outcome, String> {
    let Some(exporter) = installed("prometheus-node-exporter") else {
        return Ok(Outcome::Skipped(
            "prometheus-node-exporter is not installed".to_owned(),
        ));
    };
    let host = host()?;
    let port = free_port()?;
    let address = host.daemon()?.address.clone();
    let Address::Unix(socket) = &address else {
        return Err(format!("{address:?}"));
    };
    let _running = Background::start(Command::new(exporter).args([
        "--collector.disable-defaults",
        "--collector.supervisord",
        &format!("--collector.supervisord.url=unix://{}", socket.display()),
        &format!("--web.listen-address=127.0.0.1:{port}"),
    ]))?;
    let theirs = || scrape(&Address::Port(port)).unwrap_or_default();
    wait_for("node_exporter shows the processes", LIMIT, || {
        theirs().contains("node_supervisord_up{")
    })?;
    let (theirs, ours) = (theirs(), scrape(&address)?);
    expect(
        inherited(&theirs) == inherited(&ours),
        format!("node_exporter:\n{theirs}\nours:\n{ours}"),
    )?;
    Ok(Outcome::Passed)
}

/// node_exporter crashes if a member has another type.
fn types() -> Result<Outcome, String> {
    const CALL: &str = "<?xml version='1.0'?><methodCall><methodName>supervisor.getAllProcessInfo</methodName><params/></methodCall>";
    let host = host()?;
    let mut connection =
        Connection::open(&host.daemon()?.address).map_err(|error| error.to_string())?;
    let request = format!(
        "POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: {}\r\n\r\n{CALL}",
        CALL.len()
    );
    connection
        .send(request.as_bytes())
        .map_err(|error| error.to_string())?;
    let answer = connection.answer().map_err(|error| error.to_string())?;
    let answer = answer.ok_or("no answer")?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let members: Vec<&str> = text.split("<member>").skip(1).collect();
    for (name, kind) in [
        ("start", "int"),
        ("stop", "int"),
        ("now", "int"),
        ("state", "int"),
        ("exitstatus", "int"),
        ("pid", "int"),
        ("name", "string"),
        ("group", "string"),
        ("statename", "string"),
        ("spawnerr", "string"),
        ("logfile", "string"),
        ("description", "string"),
    ] {
        let of_name = format!("<name>{name}</name>");
        let those: Vec<&&str> = members
            .iter()
            .filter(|member| member.contains(&of_name))
            .collect();
        let begin = format!("<value><{kind}>");
        expect(
            those.len() == 4 && those.iter().all(|member| member.contains(&begin)),
            format!("{name}: {those:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

/// The value of a sample that begins with `what`.
fn value(text: &str, what: &str) -> Option<f64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(what)?.trim().parse().ok())
}

fn cgroups() -> Result<Outcome, String> {
    if let Err(skipped) = crate::cgroups::top() {
        return Ok(skipped);
    }
    let host = Host::start(
        "[program:busy]\ncommand=sh -c \"(while :; do :; done) & exec sleep 1000\"\nkill_mode=control-group\nstartsecs=0\n\
         [program:plain]\ncommand={test_child} forever\nstartsecs=0\n\
         [program:many]\ncommand={test_child} forever\nstartsecs=0\nnumprocs=30\nprocess_name=%(process_num)d\n\
         kill_mode=control-group\n",
    )?;
    let address = &host.daemon()?.address;
    host.daemon()?.wait_state("many:29", "RUNNING")?;
    let fds = format!("/proc/{}/fd", host.daemon()?.pid());
    let open = || std::fs::read_dir(&fds).map_or(0, Iterator::count);
    let before = open();
    scrape(address)?;
    // The root of the hierarchy, and the connection of the scrape.
    let after = open();
    expect(
        after < before + 10,
        format!("{before} descriptors before a scrape, {after} after"),
    )?;
    let busy = "{group=\"busy\",name=\"busy\"}";
    wait_for("CPU time of the child", LIMIT, || {
        let text = scrape(address).unwrap_or_default();
        let of_cgroup = value(
            &text,
            &format!("supervisord_cgroup_cpu_seconds_total{busy}"),
        );
        let of_shell = value(
            &text,
            &format!("supervisord_process_cpu_seconds_total{busy}"),
        );
        of_cgroup.is_some_and(|time| time > 0.2) && of_shell.is_some_and(|time| time < 0.1)
    })?;
    let text = scrape(address)?;
    expect(
        !text.contains("supervisord_cgroup_cpu_seconds_total{group=\"plain\""),
        &text,
    )?;
    Ok(Outcome::Passed)
}

fn counted() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:job]\ncommand=/bin/sh -c \"exit 3\"\nautorestart=false\nstartsecs=0\n\
         [program:quick]\ncommand=/bin/sh -c \"exit 3\"\nstartsecs=10\nstartretries=1\n\
         [program:web]\ncommand={test_child} forever\nstartsecs=0\n\
         [program:none]\ncommand=/no/such/program\nstartretries=0\n",
    )?;
    let daemon = host.daemon()?;
    daemon.wait_state("job", "EXITED")?;
    daemon.wait_state("quick", "FATAL")?;
    daemon.wait_state("none", "FATAL")?;
    for _ in 0..2 {
        host.expect_ctl(&["restart", "web"], 0, &["web: started"])?;
    }
    let exits = |text: &str, name: &str, reason: &str| {
        let labels = format!("{{group=\"{name}\",name=\"{name}\",reason=\"{reason}\"}}");
        value(text, &format!("supervisord_process_exits_total{labels}"))
    };
    let check = |text: &str| {
        expect(
            exits(text, "job", "exited") == Some(1.0)
                && exits(text, "quick", "too-quick") == Some(2.0)
                && exits(text, "web", "stopped") == Some(2.0)
                && exits(text, "none", "not-spawned") == Some(1.0),
            text,
        )
    };
    let text = scrape(&daemon.address)?;
    check(&text)?;
    let stops = "supervisord_calls_total{method=\"supervisor.stopProcess\"}";
    expect(
        value(&text, stops) == Some(2.0)
            && value(&text, "supervisord_handoffs_total") == Some(0.0)
            && value(&text, "process_open_fds").is_some_and(|fds| fds > 5.0),
        &text,
    )?;
    // An upgrade keeps the counts of processes, and counts itself.
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    let text = scrape(&daemon.address)?;
    check(&text)?;
    expect(
        value(&text, "supervisord_handoffs_total") == Some(1.0),
        &text,
    )?;
    Ok(Outcome::Passed)
}

fn promtool() -> Result<Outcome, String> {
    let Some(promtool) = installed("promtool") else {
        return Ok(Outcome::Skipped("promtool is not installed".to_owned()));
    };
    let host = host()?;
    let text = scrape(&host.daemon()?.address)?;
    let file = host.place.write("metrics", &text)?;
    let input = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let done = Command::new(&promtool)
        .args(["check", "metrics"])
        .stdin(input)
        .output()
        .map_err(|error| error.to_string())?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    // The inherited name of a counter, which dashboards expect.
    let complaints: Vec<&str> = said
        .lines()
        .filter(|line| !line.contains("node_supervisord_start_time_seconds"))
        .collect();
    expect(
        complaints.is_empty() && said.lines().count() == 1 && done.status.code() == Some(3),
        format!("{:?}: {said}\n{text}", done.status),
    )?;
    // The files that the guide shows.
    let guide = include_str!("../../man/guide/metrics.md");
    for (name, kind) in [("prometheus.yml", "config"), ("alerts.yml", "rules")] {
        let block = guide
            .split_once(&format!("\n# {name}\n"))
            .and_then(|(_, rest)| rest.split_once("```"))
            .map(|(block, _)| block)
            .ok_or_else(|| format!("the guide has no {name}"))?;
        let done = Command::new(&promtool)
            .args(["check", kind])
            .arg(host.place.write(name, block)?)
            .output()
            .map_err(|error| error.to_string())?;
        expect(done.status.success(), format!("{name}: {done:?}"))?;
    }
    Ok(Outcome::Passed)
}

fn prometheus() -> Result<Outcome, String> {
    let Some(prometheus) = installed("prometheus") else {
        return Ok(Outcome::Skipped("prometheus is not installed".to_owned()));
    };
    let (ours, theirs) = (free_port()?, free_port()?);
    let host = Host::start(&format!(
        "[inet_http_server]\nport=127.0.0.1:{ours}\nusername=scraper\npassword=secret\n{PROGRAMS}"
    ))?;
    let config = host.place.write(
        "prometheus.yml",
        &format!(
            "scrape_configs:\n- job_name: supervisord\n  scrape_interval: 1s\n\
             \x20 basic_auth: {{username: scraper, password: secret}}\n\
             \x20 static_configs: [{{targets: ['127.0.0.1:{ours}']}}]\n"
        ),
    )?;
    let _running = Background::start(Command::new(prometheus).args([
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", host.place.join("tsdb").display()),
        format!("--web.listen-address=127.0.0.1:{theirs}"),
    ]))?;
    let query = |expression: &str| {
        let asked = || {
            let mut connection = Connection::open(&Address::Port(theirs))?;
            let request =
                format!("GET /api/v1/query?query={expression} HTTP/1.1\r\nHost: x\r\n\r\n");
            connection.send(request.as_bytes())?;
            connection.answer()
        };
        let answer = asked().ok().flatten();
        answer.map_or_else(String::new, |answer| {
            String::from_utf8_lossy(&answer.body).into_owned()
        })
    };
    wait_for("Prometheus has the processes", LIMIT, || {
        let found = query("node_supervisord_up==1");
        found.contains("quo\\\"te") && found.contains("\"web\"")
    })
    .map_err(|why| format!("{why}: {}", query("up")))?;
    wait_for("Prometheus has our counters", LIMIT, || {
        query("supervisord_process_restarts_total").contains("\"off\"")
    })?;
    let answer = get(
        &Address::Port(ours),
        "Authorization: Basic c2NyYXBlcjpzZWNyZXQ=\r\nAccept: application/openmetrics-text\r\n",
    )?;
    expect(
        answer.body.ends_with(b"\n# EOF\n")
            && answer.header("Content-Type").is_some_and(|kind| {
                kind.starts_with("application/openmetrics-text; version=1.0.0")
            }),
        format!("{answer:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn password() -> Result<Outcome, String> {
    let port = free_port()?;
    let _host = Host::start(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\nusername=u\npassword=p\n{PROGRAMS}"
    ))?;
    let answer = get(&Address::Port(port), "")?;
    expect(answer.code() == 401, format!("{answer:?}"))?;
    let answer = get(&Address::Port(port), "Authorization: Basic dTpw\r\n")?;
    expect(answer.code() == 200, format!("{answer:?}"))?;
    Ok(Outcome::Passed)
}
