//! `[notify:x]`: reports about programs that need attention.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "notifications::a_fatal_program_and_its_recovery_are_reported",
            fatal,
        ),
        Trial::new(
            "notifications::the_report_of_an_essential_program_comes_before_the_exit",
            essential,
        ),
        Trial::new("notifications::a_url_gets_json", url),
        Trial::new(
            "notifications::an_upgrade_repeats_a_report_and_loses_none",
            upgraded,
        ),
        Trial::new("notifications::wrong_sections_change_nothing", wrong),
    ]
}

/// A program that is FATAL until the file `good` exists.
const VITAL: &str = "[program:vital]\ncommand=sh -c 'test -e {dir}/good && exec sleep 1000; echo no port; echo cannot listen >&2; exit 3'\nstartretries=0\nstartsecs=1\n\
    autostart=false\nenvironment=OF_PROGRAM=\"1\"\n";

/// A command that appends its input and its variables to the file `mail`.
const MAIL: &str = "command=sh -c '(cat; env | grep -E \"^(SUPERVISOR_N|WORD|OF_PROGRAM)\" | sort; id -un; echo end) >> {dir}/mail'\n";

fn fatal() -> Result<Outcome, String> {
    let user = if is_root() { "user=nobody\n" } else { "" };
    let mut host = Host::new(&format!(
        "{VITAL}[program:other]\ncommand={{test_child}} exit 1\nstartretries=0\n\
         [notify:ops]\non=fatal, recovered\nprograms=vital\ninterval=1\nenvironment=WORD=\"a b\"\n{user}{MAIL}"
    ))?;
    let mail = host.place.write("mail", "")?;
    std::fs::set_permissions(mail, std::fs::Permissions::from_mode(0o666))
        .map_err(|error| error.to_string())?;
    host.go()?;
    host.expect_ctl(&["start", "vital"], 7, &["vital: ERROR (spawn error)"])?;
    host.wait_file("mail", "end\n")?;
    let mail = host.place.read("mail");
    let first = mail.lines().next().unwrap_or_default();
    expect(
        first.starts_with(
            "vital is FATAL: Exited too quickly (process log may have details) (last exit: exit status 3), 2",
        ),
        &mail,
    )?;
    let rest: Vec<&str> = mail.lines().skip(1).collect();
    let user = if is_root() {
        "nobody"
    } else {
        rest.get(8).copied().unwrap_or_default()
    };
    let expected = [
        "    cannot listen",
        "",
        "supervisord supervisor",
        "SUPERVISOR_NOTIFY=ops",
        "SUPERVISOR_NOTIFY_CONDITIONS=fatal",
        "SUPERVISOR_NOTIFY_COUNT=1",
        "SUPERVISOR_NOTIFY_SUBJECT=vital is FATAL",
        "WORD=a b",
        user,
        "end",
    ];
    expect(rest == expected, &mail)?;
    host.wait_file("log", "notify ops: reported 1")?;
    host.place.write("good", "")?;
    host.expect_ctl(&["start", "vital"], 0, &["vital: started"])?;
    host.wait_file("mail", "\nvital recovered, 2")?;
    // The other program is not one of `programs`.
    host.daemon()?.wait_state("other", "FATAL")?;
    expect(!host.place.read("mail").contains("other"), "reported")?;
    Ok(Outcome::Passed)
}

fn essential() -> Result<Outcome, String> {
    let mut host = Host::start(&format!(
        "{VITAL}on_fatal=shutdown\n[notify:ops]\ncommand=sh -c 'sleep 0.5; cat > {{dir}}/mail'\n"
    ))?;
    host.ctl(&["start", "vital"])?;
    let daemon = host.daemon.as_mut().ok_or("no daemon")?;
    let code = daemon.wait_exit(LIMIT)?;
    let mail = host.place.read("mail");
    expect(mail.starts_with("vital is FATAL: "), &mail)?;
    expect(code == 3, format!("{code:?}"))?;
    Ok(Outcome::Passed)
}

fn url() -> Result<Outcome, String> {
    let server = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = server
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    let host = Host::start(&format!(
        "{VITAL}[notify:hook]\nformat=json\ncommand=http://127.0.0.1:{port}/hook -H 'X-Key: k'\n"
    ))?;
    host.ctl(&["start", "vital"])?;
    let (mut stream, _) = server.accept().map_err(|error| error.to_string())?;
    let mut request = String::new();
    wait_for("the request", LIMIT, || {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).unwrap_or(0);
        request.push_str(&String::from_utf8_lossy(&chunk[..read]));
        request.ends_with("}\n")
    })?;
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
        .map_err(|error| error.to_string())?;
    let (head, body) = request.split_once("\r\n\r\n").ok_or(&*request)?;
    expect(
        head.starts_with("POST /hook HTTP/1.1\r\n")
            && head.contains("\r\nContent-Type: application/json")
            && head.contains("\r\nX-Key: k"),
        head,
    )?;
    let report: serde_json::Value =
        serde_json::from_str(body).map_err(|error| error.to_string())?;
    let item = &report["items"][0];
    expect(
        report["subject"] == "vital is FATAL"
            && report["notification"] == "hook"
            && item["process"] == "vital"
            && item["condition"] == "fatal"
            && item["exit"] == "exit status 3"
            && item["stderr"][0] == "cannot listen",
        body,
    )?;
    host.wait_file("log", "notify hook: reported 1")?;
    Ok(Outcome::Passed)
}

fn upgraded() -> Result<Outcome, String> {
    let host = Host::start(&format!(
        "{VITAL}[program:next]\ncommand={{test_child}} exit 1\nstartretries=0\nautostart=false\n\
         [notify:ops]\ninterval=1\n\
         command=sh -c 'echo run >> {{dir}}/runs; cat >> {{dir}}/mail; while ! test -e {{dir}}/go; do sleep 0.1; done'\n"
    ))?;
    host.ctl(&["start", "vital"])?;
    host.wait_file("runs", "run\n")?;
    host.ctl(&["start", "next"])?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    // The run that the upgrade killed is repeated, with what happened since.
    host.wait_file("runs", "run\nrun\n")?;
    host.place.write("go", "")?;
    host.wait_file("log", "notify ops: reported 2")?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    host.expect_ctl(&["status"], 3, &["FATAL"])?;
    expect(
        host.place.read("runs") == "run\nrun\n",
        "it was reported again",
    )?;
    Ok(Outcome::Passed)
}

fn wrong() -> Result<Outcome, String> {
    let host = Host::start(&format!("{VITAL}[notify:ops]\ncommand=true\n"))?;
    for (section, error) in [
        ("[notify:ops]\non=fatal\n", "does not specify a command"),
        (
            "[notify:ops]\ncommand=true\non=fatal,dead\n",
            "one or more of fatal, exited",
        ),
        ("[notify:ops]\ncommand=tcp://h:1\n", "carries no item"),
        (
            "[notify:a b]\ncommand=true\n",
            "names cannot contain blanks",
        ),
        (
            "[notify:ops]\ncommand=true\nflapping=1/s\n",
            "2 to 100 exits",
        ),
        ("[notify:ops]\ncommand=true\ntimeout=0\n", "is below 1"),
    ] {
        host.configure(&format!("{VITAL}{section}"))?;
        let checked = host.run(&["--check", "-c", "conf"])?;
        let text = format!("{}{}", checked.stdout, checked.stderr);
        expect(
            checked.code == 2 && text.contains(error),
            format!("{section}: {text}"),
        )?;
        expect(text.contains("conf:"), format!("no place: {text}"))?;
        host.expect_ctl(&["reread"], 1, &["CANT_REREAD"])?;
    }
    Ok(Outcome::Passed)
}
