//! Programs of local files edited through the REST interface: reads, changes, refusals, rights and audit lines.

use std::os::unix::process::CommandExt as _;

use serde_json::{Value as Json, json};

use crate::host::{Host, free_port};
use crate::support::daemon::run;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Address;
use crate::support::{LIMIT, expect, is_root, wait_for};
use crate::web_client::{expect_rest, if_match, rest};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "program_texts::a_new_program_gets_a_file_where_include_finds_it",
            new_file,
        ),
        Trial::new(
            "program_texts::without_include_it_is_appended_to_the_main_file",
            appended,
        ),
        Trial::new("program_texts::a_change_keeps_all_other_bytes", changes),
        Trial::new(
            "program_texts::a_change_of_another_version_is_a_conflict",
            conflicts,
        ),
        Trial::new(
            "program_texts::a_removal_is_refused_while_another_needs_it",
            removals,
        ),
        Trial::new("program_texts::a_copy_has_a_name_of_its_own", copies),
        Trial::new("program_texts::differences_have_no_secrets", secrets),
        Trial::new("program_texts::an_invalid_text_writes_nothing", invalid),
        Trial::new("program_texts::tcp_needs_a_password_for_changes", tcp),
        Trial::new(
            "program_texts::a_user_of_the_socket_needs_configure",
            socket_users,
        ),
    ]
}

/// The main file after the usual head.
const MAIN: &str = "\
; hand-written  \n\
[program:web]\n\
; the web server\n\
command = sleep 1000   ; forever\n\
startsecs=0\n\
\n\
[program:db]\n\
command=sleep 1000\n\
startsecs=0\n\
\n\
[program:job]\n\
command=sleep 1000\n\
startsecs=0\n\
depends_on=db\n\
# the end\n";

fn host(more: &str) -> Result<Host, String> {
    let host = Host::new("")?;
    std::fs::create_dir(host.place.join("conf.d")).map_err(|error| error.to_string())?;
    host.configure(&format!("{more}{MAIN}"))?;
    let mut host = host;
    host.go()?;
    for name in ["web", "db", "job"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    Ok(host)
}

const INCLUDE: &str = "[include]\nfiles=conf.d/*.conf\n";

fn ask(host: &Host, line: (&str, &str), body: &Json, status: u16) -> Result<Json, String> {
    expect_rest(&host.daemon()?.address, line, "", body, status)
}

fn section(name: &str) -> String {
    format!("[program:{name}]\ncommand=sleep 1000\nstartsecs=0\n")
}

fn expect_audit(host: &Host, part: &str) -> Result<(), String> {
    wait_for(&format!("an audit line with {part:?}"), LIMIT, || {
        let log = host.place.read("log");
        log.lines()
            .any(|line| line.contains("audit:") && line.contains(part))
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))
}

fn new_file() -> Result<Outcome, String> {
    let host = host(INCLUDE)?;
    let main = host.place.read("conf");
    let web = host.daemon()?.pid_of("web");
    let list = ask(&host, ("GET", "/programs"), &Json::Null, 200)?;
    let names: Vec<&str> = list["programs"]
        .as_array()
        .ok_or_else(|| list.to_string())?
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    expect(names == ["web", "db", "job"], list.to_string())?;
    // A trial changes nothing.
    let text = format!("{}; a comment of mine\n", section("new"));
    let body = json!({"name": "new", "text": text, "dry_run": true});
    let made = ask(&host, ("POST", "/programs"), &body, 200)?;
    expect(
        made["plan"]["groups"][0]["action"] == "add" && made["changed"] == true,
        made.to_string(),
    )?;
    expect(
        !host.place.join("conf.d/new.conf").exists(),
        "a trial wrote",
    )?;
    let body = json!({"name": "new", "text": text});
    let made = ask(&host, ("POST", "/programs"), &body, 200)?;
    host.daemon()?.wait_state("new", "RUNNING")?;
    expect(host.place.read("conf.d/new.conf") == text, made.to_string())?;
    expect(host.place.read("conf") == main, "the main file was changed")?;
    expect(host.daemon()?.pid_of("web") == web, "web was restarted")?;
    let got = ask(&host, ("GET", "/programs/new"), &Json::Null, 200)?;
    expect(
        got["text"] == text && got["md5"] == made["md5"] && got["copy"] == "new-copy",
        format!("{got} {made}"),
    )?;
    let file = got["file"].as_str().unwrap_or_default();
    expect(file.ends_with("conf.d/new.conf"), got.to_string())?;
    // The name is that of the header if none is given.
    ask(
        &host,
        ("POST", "/programs"),
        &json!({"text": section("other")}),
        200,
    )?;
    host.daemon()?.wait_state("other", "RUNNING")?;
    // Refusals.
    let wrong = json!({"name": "new2", "text": section("new")});
    let refused = ask(&host, ("POST", "/programs"), &wrong, 400)?;
    expect(
        refused["detail"]
            .as_str()
            .is_some_and(|text| text.contains("[program:")),
        refused.to_string(),
    )?;
    ask(&host, ("POST", "/programs"), &body, 409)?;
    let made = ask(&host, ("DELETE", "/programs/new"), &Json::Null, 200)?;
    expect(
        made["text"] == "" && made["plan"]["groups"][0]["action"] == "remove",
        made.to_string(),
    )?;
    wait_for("the group is gone", LIMIT, || {
        host.ctl(&["status"])
            .is_ok_and(|got| !got.stdout.contains("new "))
    })?;
    // The file had nothing else, not even a comment of somebody.
    expect(
        !host.place.join("conf.d/new.conf").exists()
            && made["diff"]
                .as_str()
                .is_some_and(|diff| diff.contains("+++ /dev/null\n")),
        made.to_string(),
    )?;
    let with_comment = format!("; ask the shop team first\n\n{}", section("kept"));
    host.place.write("conf.d/kept.conf", &with_comment)?;
    let made = ask(&host, ("DELETE", "/programs/kept"), &Json::Null, 200)?;
    expect(
        host.place.read("conf.d/kept.conf") == "; ask the shop team first\n",
        format!("{made} {}", host.place.read("conf.d/kept.conf")),
    )?;
    for part in [
        "add-program new: accepted, diff ",
        "add-program other: accepted",
        "add-program new: CONFLICT",
        "remove-program new: accepted",
    ] {
        expect_audit(&host, part)?;
    }
    Ok(Outcome::Passed)
}

fn appended() -> Result<Outcome, String> {
    let host = host("")?;
    let main = host.place.read("conf");
    let made = ask(
        &host,
        ("POST", "/programs"),
        &json!({"text": section("new")}),
        200,
    )?;
    host.daemon()?.wait_state("new", "RUNNING")?;
    let now = host.place.read("conf");
    expect(
        now.starts_with(&main) && now.ends_with(&section("new")),
        format!("{made}: {now}"),
    )?;
    ask(&host, ("DELETE", "/programs/new"), &Json::Null, 200)?;
    expect(
        host.place.read("conf").trim_end() == main.trim_end(),
        host.place.read("conf"),
    )?;
    Ok(Outcome::Passed)
}

fn changes() -> Result<Outcome, String> {
    let host = host("")?;
    let main = host.place.read("conf");
    let daemon = host.daemon()?;
    let (web, db) = (daemon.pid_of("web"), daemon.pid_of("db"));
    let keys = json!({"keys": {"stopwaitsecs": "7", "startsecs": ""}});
    let made = ask(&host, ("PATCH", "/programs/web"), &keys, 200)?;
    let now = host.place.read("conf");
    let expected = main.replacen("forever\nstartsecs=0\n", "forever\nstopwaitsecs = 7\n", 1);
    let lines = |text: &str| -> Vec<String> {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    expect(lines(&now) == lines(&expected), format!("{made}: {now}"))?;
    expect(
        now.contains("; hand-written  \n")
            && now.contains("; the web server\ncommand = sleep 1000   ; forever\n"),
        now,
    )?;
    wait_for("another process of web", LIMIT, || {
        ![0, web].contains(&daemon.pid_of("web"))
    })?;
    let got = ask(&host, ("GET", "/programs/web"), &Json::Null, 200)?;
    expect(
        got["md5"] == made["md5"] && got["text"] == made["text"],
        format!("{got}, {made}"),
    )?;
    let text = got["text"]
        .as_str()
        .unwrap_or_default()
        .replace("sleep 1000", "sleep 2000");
    let made = expect_rest(
        &daemon.address,
        ("PUT", "/programs/web"),
        &if_match(&got["md5"]),
        &json!({"name": "web", "text": text}),
        200,
    )?;
    let now = host.place.read("conf");
    expect(
        now.contains("; the web server\ncommand = sleep 2000   ; forever\n"),
        format!("{made}: {now}"),
    )?;
    let diff = made["diff"].as_str().unwrap_or_default();
    expect(
        diff.contains("\n-command = sleep 1000") && diff.contains("\n+command = sleep 2000"),
        diff,
    )?;
    daemon.wait_state("web", "RUNNING")?;
    expect(daemon.pid_of("db") == db, "db was restarted")?;
    // The same text again is no change.
    let now = host.place.read("conf");
    let made = ask(&host, ("PUT", "/programs/web"), &json!({"text": text}), 200)?;
    expect(
        made["changed"] == false && host.place.read("conf") == now,
        made.to_string(),
    )?;
    // A body with another name, and an unknown program.
    ask(
        &host,
        ("PUT", "/programs/web"),
        &json!({"name": "db", "text": text}),
        400,
    )?;
    ask(
        &host,
        ("PUT", "/programs/none"),
        &json!({"text": section("none")}),
        404,
    )?;
    ask(&host, ("PATCH", "/programs/none"), &keys, 404)?;
    ask(&host, ("DELETE", "/programs/none"), &Json::Null, 404)?;
    ask(&host, ("GET", "/programs/none"), &Json::Null, 404)?;
    ask(&host, ("POST", "/programs/none/copy"), &Json::Null, 404)?;
    for part in [
        "change-program web: accepted",
        "change-program none: BAD_NAME",
        "remove-program none: BAD_NAME",
        "copy-program none: BAD_NAME",
    ] {
        expect_audit(&host, part)?;
    }
    Ok(Outcome::Passed)
}

fn conflicts() -> Result<Outcome, String> {
    let host = host("")?;
    let address = &host.daemon()?.address;
    let got = ask(&host, ("GET", "/programs/web"), &Json::Null, 200)?;
    let old = json!({"text": section("web")});
    // A user edits the file by hand.
    let main = host
        .place
        .read("conf")
        .replace("# the end", "# the very end");
    host.place.write("conf", &main)?;
    let line = ("PUT", "/programs/web");
    let refused = expect_rest(address, line, &if_match(&got["md5"]), &old, 409)?;
    let now = ask(&host, ("GET", "/programs/web"), &Json::Null, 200)?;
    let detail = refused["detail"].as_str().unwrap_or_default();
    let text = now["text"].to_string();
    expect(
        detail.contains(now["md5"].as_str().unwrap_or("none")) && detail.contains(&text),
        format!("{refused} {now}"),
    )?;
    for line in [("PATCH", "/programs/web"), ("DELETE", "/programs/web")] {
        let body = match line.0 {
            "PATCH" => json!({"keys": {"priority": "1"}}),
            _ => Json::Null,
        };
        expect_rest(address, line, &if_match(&got["md5"]), &body, 409)?;
    }
    for header in [
        "If-Match: \"\"\r\n",
        "If-Match: x\r\n",
        "If-Match: \"a\", \"b\"\r\n",
    ] {
        expect_rest(address, line, header, &old, 400).or_else(|why| {
            match header.contains(',') {
                true => expect_rest(address, line, header, &old, 409),
                false => Err(why),
            }
        })?;
    }
    expect(
        host.place.read("conf") == main,
        "a refused change was written",
    )?;
    expect_audit(&host, "change-program web: CONFLICT")?;
    expect_audit(&host, "remove-program web: CONFLICT")?;
    expect_rest(address, line, &if_match(&now["md5"]), &old, 200)?;
    // Two editors with the same version at once: one wins.
    let now = ask(&host, ("GET", "/programs/web"), &Json::Null, 200)?;
    let md5 = &now["md5"];
    let codes: Vec<u16> = std::thread::scope(|scope| {
        let editors = ["21", "22"].map(|number| {
            let body = json!({"keys": {"stopwaitsecs": number}, "md5": md5});
            scope.spawn(move || rest(address, ("PATCH", "/programs/web"), "", &body))
        });
        let ended = editors.map(|editor| editor.join().ok().and_then(Result::ok));
        ended.into_iter().flatten().map(|(code, _)| code).collect()
    });
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    expect(sorted == [200, 409], format!("{codes:?}"))?;
    Ok(Outcome::Passed)
}

fn removals() -> Result<Outcome, String> {
    let host = host("")?;
    let main = host.place.read("conf");
    let refused = ask(&host, ("DELETE", "/programs/db"), &Json::Null, 422)?;
    let detail = refused["detail"].as_str().unwrap_or_default();
    expect(detail.contains("depends_on of [program:job]"), detail)?;
    expect(
        host.place.read("conf") == main,
        "a refused change was written",
    )?;
    ask(&host, ("DELETE", "/programs/job"), &Json::Null, 200)?;
    ask(&host, ("DELETE", "/programs/db"), &Json::Null, 200)?;
    let now = host.place.read("conf");
    expect(
        now.contains("; hand-written") && !now.contains("[program:db]"),
        now,
    )?;
    // The last program stays: a configuration without programs is refused.
    ask(&host, ("GET", "/programs/db"), &Json::Null, 404)?;
    expect_audit(&host, "remove-program db: FAILED")?;
    Ok(Outcome::Passed)
}

/// The texts of who may configure have the secrets, because they must be edited. Differences, plans and the log do not.
fn secrets() -> Result<Outcome, String> {
    let host = host(INCLUDE)?;
    let text = |password: &str| {
        format!(
            "[program:new]\ncommand=sleep 1000\nstartsecs=0\ndb_password={password}1\nenvironment=USER=\"{password}2\",\n  PASS='{password}3'\n;api_token={password}4\n"
        )
    };
    let made = ask(
        &host,
        ("POST", "/programs"),
        &json!({"text": text("before")}),
        200,
    )?;
    let got = ask(&host, ("GET", "/programs/new"), &Json::Null, 200)?;
    expect(got["text"] == text("before"), got.to_string())?;
    let body = json!({"text": text("after")});
    let trial = json!({"text": text("after"), "dry_run": true});
    let shown = ask(&host, ("PUT", "/programs/new"), &trial, 200)?;
    let changed = ask(&host, ("PUT", "/programs/new"), &body, 200)?;
    let removed = ask(&host, ("DELETE", "/programs/new"), &Json::Null, 200)?;
    for answer in [&made, &shown, &changed, &removed] {
        let said = format!("{}{}", answer["diff"], answer["plan"]);
        expect(!said.contains("before") && !said.contains("after"), &said)?;
    }
    let diff = shown["diff"].as_str().unwrap_or_default();
    for line in [
        "-db_password=********\n",
        "+db_password=********\n",
        "-environment=USER=********,\n-  PASS=********\n-;api_token=********\n",
        " command=sleep 1000\n",
    ] {
        expect(diff.contains(line), diff)?;
    }
    let log = host.place.read("log");
    expect(!log.contains("before1") && !log.contains("after1"), log)?;
    Ok(Outcome::Passed)
}

fn copies() -> Result<Outcome, String> {
    let host = host(INCLUDE)?;
    let made = ask(&host, ("POST", "/programs/web/copy"), &Json::Null, 200)?;
    expect(made["name"] == "web-copy", made.to_string())?;
    host.daemon()?.wait_state("web-copy", "RUNNING")?;
    let text = host.place.read("conf.d/web-copy.conf");
    expect(
        text.contains("; the web server\ncommand = sleep 1000   ; forever\n"),
        text,
    )?;
    let made = ask(&host, ("POST", "/programs/web/copy"), &Json::Null, 200)?;
    expect(made["name"] == "web-copy-2", made.to_string())?;
    let named = json!({"new_name": "third"});
    ask(&host, ("POST", "/programs/web/copy"), &named, 200)?;
    host.daemon()?.wait_state("third", "RUNNING")?;
    ask(&host, ("POST", "/programs/web/copy"), &named, 409)?;
    let wrong = json!({"new_name": "a b"});
    ask(&host, ("POST", "/programs/web/copy"), &wrong, 422)?;
    let escape = json!({"new_name": "../x"});
    ask(&host, ("POST", "/programs/web/copy"), &escape, 422)?;
    expect(!host.place.join("x.conf").exists(), "a file outside")?;
    expect_audit(&host, "copy-program web: accepted")?;
    Ok(Outcome::Passed)
}

fn invalid() -> Result<Outcome, String> {
    let host = host(INCLUDE)?;
    let main = host.place.read("conf");
    for (line, body, part) in [
        (
            ("POST", "/programs"),
            json!({"text": "[program:bad]\ncommand=sleep 1\nstartsecs=soon\n"}),
            "bad.conf:3",
        ),
        (
            ("PUT", "/programs/web"),
            json!({"text": "[program:web]\nstartsecs=1\n"}),
            "conf:",
        ),
        (
            ("PUT", "/programs/web"),
            json!({"text": "[program:web]\ncommand=x\n[program:y]\ncommand=x\n"}),
            "line 3",
        ),
        (
            ("PUT", "/programs/web"),
            json!({"text": "command=x\n"}),
            "line 1",
        ),
        (
            ("PATCH", "/programs/web"),
            json!({"keys": {"numprocs": "many"}}),
            "conf:",
        ),
        (
            ("PATCH", "/programs/web"),
            json!({"keys": {"a b": "1"}}),
            "invalid key",
        ),
        (
            ("PATCH", "/programs/web"),
            json!({"keys": {"command": "a\u{1}"}}),
            "control character",
        ),
    ] {
        let refused = ask(&host, line, &body, 422)?;
        let detail = refused["detail"].as_str().unwrap_or_default();
        expect(detail.contains(part), format!("{body}: {refused}"))?;
        expect(
            host.place.read("conf") == main,
            format!("{body} was written"),
        )?;
        expect(
            !host.place.join("conf.d/bad.conf").exists(),
            format!("{body} was written"),
        )?;
    }
    // A line feed in a value is a line of the value.
    let body = json!({"keys": {"environment": "A=\"1\",\nB=\"100%%\""}});
    ask(&host, ("PATCH", "/programs/web"), &body, 200)?;
    expect_audit(&host, "add-program bad: CANT_REREAD")?;
    expect_audit(&host, "change-program web: CANT_REREAD")?;
    Ok(Outcome::Passed)
}

fn tcp() -> Result<Outcome, String> {
    for (keys, headers, code) in [
        ("", "", 403),
        ("username=u\npassword=p\n", "", 401),
        (
            "username=u\npassword=p\n",
            "Authorization: Basic dTp4\r\n",
            401,
        ),
        (
            "username=u\npassword=p\n",
            "Authorization: Basic dTpw\r\n",
            200,
        ),
    ] {
        let port = free_port()?;
        let host = host(&format!(
            "[inet_http_server]\nport=127.0.0.1:{port}\n{keys}{INCLUDE}"
        ))?;
        let address = Address::Port(port);
        let main = host.place.read("conf");
        for (line, body) in [
            (("POST", "/programs"), json!({"text": section("new")})),
            (
                ("PATCH", "/programs/new"),
                json!({"keys": {"priority": "7"}}),
            ),
            (("PUT", "/programs/new"), json!({"text": section("new")})),
            (("POST", "/programs/new/copy"), Json::Null),
            (("DELETE", "/programs/new"), Json::Null),
            (
                ("PUT", "/nacos"),
                json!({"server": "127.0.0.1:1", "dataid": "d"}),
            ),
            (("DELETE", "/nacos"), Json::Null),
        ] {
            expect_rest(&address, line, headers, &body, code)?;
        }
        let refused = match code {
            200 => "accepted",
            _ => "FAILED",
        };
        if code == 401 {
            let why = match headers.is_empty() {
                true => "no user name and password from 127.0.0.1",
                false => "wrong user name, password or token from 127.0.0.1",
            };
            for request in ["post /api/v1/programs", "delete /api/v1/programs/new"] {
                expect_audit(&host, &format!("audit: inet {request}: {why}"))?;
            }
            // A request that only reads is no attempt to change something.
            expect_rest(&address, ("GET", "/programs"), headers, &Json::Null, 401)?;
            let log = host.place.read("log");
            expect(!log.contains("audit: inet get"), log)?;
            // The number of lines is bounded. Wrong passwords are delayed, so a missing one is asked more quickly.
            if headers.is_empty() {
                wait_for("a report about suppressed lines", LIMIT, || {
                    for _ in 0..30 {
                        drop(rest(&address, ("DELETE", "/programs/x"), "", &Json::Null));
                    }
                    host.place.read("log").contains("more refusals from inet")
                })?;
            }
        } else {
            expect_audit(&host, &format!("add-program new: {refused}"))?;
            expect_audit(&host, &format!("remove-program new: {refused}"))?;
            expect_audit(&host, &format!("leave-nacos : {refused}"))?;
        }
        if !headers.is_empty() && code == 401 {
            host.wait_file("log", "wrong user name or password from 127.0.0.1")?;
        }
        expect(host.place.read("conf") == main, "the main file was changed")?;
        expect(
            !host.place.join("conf.d/new.conf").exists(),
            "the file of the program was left",
        )?;
        expect(
            !host.place.join("supervisord.nacos.conf").exists(),
            "settings were left",
        )?;
    }
    Ok(Outcome::Passed)
}

fn socket_users() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped(
            "needs root, to be several users".to_owned(),
        ));
    }
    let ids = |name: &str| {
        let user = nix::unistd::User::from_name(name).ok().flatten();
        user.map(|user| user.uid.as_raw())
            .ok_or_else(|| format!("no user {name}"))
    };
    let (reader, writer, group) = (ids("nobody")?, ids("daemon")?, 61_236_u32);
    let host = host(&format!(
        "[unix_http_server]\nallow=nobody status control update logs\n      daemon configure\n{INCLUDE}"
    ))?;
    use std::os::unix::fs::PermissionsExt as _;
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(host.place.path(), open).map_err(|error| error.to_string())?;
    let asks = |uid: u32, words: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.uid(uid).gid(group);
        command.args(["-s", "-w", "%{http_code}", "--unix-socket"]);
        command.arg(host.place.join("s")).args(words);
        run(command, host.place.path(), Some(""), LIMIT)
    };
    let body = json!({"text": section("new")}).to_string();
    for (uid, code, result) in [(reader, "403", "FAILED"), (writer, "200", "accepted")] {
        let header = "Content-Type: application/json";
        let url = "http://localhost/api/v1/programs";
        let got = asks(uid, &["-H", header, "-d", &body, url])?;
        expect(got.stdout.ends_with(code), format!("{uid}: {got:?}"))?;
        expect_audit(&host, &format!("unix uid={uid}"))?;
        expect_audit(&host, &format!("add-program new: {result}"))?;
    }
    // Secrets may be in a text: a reader does not see it.
    let got = asks(reader, &["http://localhost/api/v1/programs/web"])?;
    expect(got.stdout.ends_with("403"), format!("{got:?}"))?;
    Ok(Outcome::Passed)
}
