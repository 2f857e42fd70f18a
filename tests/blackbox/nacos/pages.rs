//! The steps of the source document on the page, by links and forms without scripts.

use super::{DATAID, GROUP, Pair, programs};
use crate::host::{Host, free_port};
use crate::support::nacos::{NacosSettings, NacosStub};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("nacos::the_steps_on_the_page_configure_nacos", steps),
        Trial::new(
            "nacos::programs_are_added_changed_copied_and_deleted_on_the_page",
            programs_on_page,
        ),
        Trial::new("nacos::the_page_goes_back_to_an_earlier_version", versions),
        Trial::new("nacos::a_page_without_a_password_changes_nothing", refused),
        Trial::new("nacos::the_page_speaks_chinese", chinese),
    ]
}

/// A browser without scripts: curl.
pub(super) struct Visitor {
    pub(super) port: u16,
    pub(super) login: bool,
    pub(super) language: &'static str,
}

impl Visitor {
    fn run(&self, path: &str, fields: &[(&str, &str)]) -> Result<(u16, String), String> {
        let mut command = std::process::Command::new("curl");
        command.args(["-s", "-m", "30", "-w", "\n%{http_code}", "-H"]);
        command.arg(format!("Accept-Language: {}", self.language));
        if self.login {
            command.args(["-u", "user:pa%ss"]);
        }
        for (name, value) in fields {
            command
                .arg("--data-urlencode")
                .arg(format!("{name}={value}"));
        }
        command.arg(format!("http://127.0.0.1:{}/{path}", self.port));
        let output = command.output().map_err(|error| format!("curl: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').ok_or("no answer")?;
        let status = status.parse().map_err(|_| text.clone())?;
        Ok((status, body.to_owned()))
    }

    pub(super) fn page(&self, path: &str, parts: &[&str]) -> Result<String, String> {
        let (status, body) = self.run(path, &[])?;
        expect(status == 200, format!("{path}: {status} {body}"))?;
        for part in parts {
            expect(
                body.contains(part),
                format!("{path} lacks {part:?}: {body}"),
            )?;
        }
        Ok(body)
    }

    /// Sends the first form of a page with these fields, besides its hidden ones.
    pub(super) fn send(
        &self,
        page: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<(u16, String), String> {
        let hidden = hidden_fields(page);
        let mut all: Vec<(&str, &str)> = hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        all.extend(fields);
        self.run(path, &all)
    }
}

/// The hidden fields of the first form of a page that goes to one of our pages.
fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let main = page.split("<main").nth(1).unwrap_or(page);
    let form = main.split("<form").nth(1).unwrap_or_default();
    let form = form.split("</form>").next().unwrap_or_default();
    let attribute = |input: &str, name: &str| {
        let value = input.split(&format!("{name}=\"")).nth(1)?;
        Some(
            value
                .split('"')
                .next()?
                .replace("&quot;", "\"")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&"),
        )
    };
    form.split("<input")
        .skip(1)
        .filter(|input| input.contains("type=\"hidden\""))
        .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)))
        .collect()
}

pub(super) fn server(port: u16) -> String {
    format!("[inet_http_server]\nport=127.0.0.1:{port}\nusername=user\npassword=pa%%ss\n")
}

fn steps() -> Result<Outcome, String> {
    let stub = NacosStub::start(NacosSettings {
        account: Some(("nacos", "na;cos %")),
        ..NacosSettings::default()
    })?;
    let port = free_port()?;
    let mut host = Host::new(&server(port))?;
    stub.publish("", GROUP, DATAID, &programs(&["from_nacos"]));
    host.go()?;
    let visitor = Visitor {
        port,
        login: true,
        language: "en",
    };
    // The button on the page leads to the form.
    visitor.page("", &["href=\"nacos.html\"", "Nacos configuration"])?;
    let form = visitor.page(
        "nacos.html",
        &[
            "name=\"server\"",
            "name=\"dataid\"",
            "Do not use the cache",
            "Save configuration",
            "Test",
        ],
    )?;
    let address = stub.address();
    let mut fields = vec![
        ("server", address.as_str()),
        ("dataid", DATAID),
        ("username", "nacos"),
        ("password", "wrong"),
        ("not_use_cache", "true"),
        ("do", "test"),
    ];
    let (status, body) = visitor.send(&form, "nacos.html", &fields)?;
    expect(
        status == 422 && body.contains("it refuses the user name and the password"),
        &body,
    )?;
    fields[3] = ("password", "na;cos %");
    let (status, body) = visitor.send(&form, "nacos.html", &fields)?;
    expect(
        status == 200 && body.contains("It is a valid configuration."),
        &body,
    )?;
    expect(
        !host.place.join("supervisord.nacos.conf").exists(),
        "a test saved something",
    )?;
    fields[5] = ("do", "save");
    let (status, body) = visitor.send(&form, "nacos.html", &fields)?;
    expect(status == 303, format!("{status} {body}"))?;
    use std::os::unix::fs::PermissionsExt as _;
    let meta = std::fs::metadata(host.place.join("supervisord.nacos.conf"));
    let meta = meta.map_err(|error| error.to_string())?;
    expect(
        meta.permissions().mode() & 0o777 == 0o600,
        "others can read the password",
    )?;
    let form = visitor.page("nacos.html?message=x", &["Restart supervisord", "Leave"])?;
    expect(!form.contains("na;cos"), "the password is shown")?;
    let (status, body) = visitor.send(&form, "nacos.html", &[("do", "restart")])?;
    expect(status == 303, format!("{status} {body}"))?;
    host.daemon()?.wait_state("from_nacos", "RUNNING")?;
    visitor.page(
        "nacos.html",
        &["The configuration comes from the item supervisord.conf"],
    )?;
    // The history belongs to the item, not to local files.
    visitor.page("versions.html", &["Earlier versions"])?;
    let form = visitor.page("nacos.html", &["Leave"])?;
    let (status, _) = visitor.send(&form, "nacos.html", &[("do", "leave")])?;
    expect(
        status == 303 && !host.place.join("supervisord.nacos.conf").exists(),
        "not left",
    )?;
    Ok(Outcome::Passed)
}

fn programs_on_page() -> Result<Outcome, String> {
    let port = free_port()?;
    let text = format!("; the first\n{}\n; the end\n", programs(&["one"]));
    let mut pair = Pair::new(&text, &server(port))?;
    pair.go()?;
    let visitor = Visitor {
        port,
        login: true,
        language: "en",
    };
    let list = visitor.page(
        "programs.html",
        &["Add program", "Edit", "Copy", "Delete", ">one<"],
    )?;
    expect(list.contains("program.html?do=copy&amp;name=one"), &list)?;
    // Add: the form, the changes, the list.
    let form = visitor.page(
        "program.html?do=add",
        &["name=\"name\"", "name=\"command\"", "name=\"startsecs\""],
    )?;
    let fields = [
        ("name", "two"),
        ("command", "sleep 1000"),
        ("startsecs", "0"),
    ];
    let (status, preview) = visitor.send(&form, "program.html", &fields)?;
    expect(
        status == 200 && preview.contains("+[program:two]"),
        &preview,
    )?;
    expect(
        pair.stub
            .text("", GROUP, DATAID)
            .is_some_and(|text| !text.contains("two")),
        "written too early",
    )?;
    let (status, body) = visitor.send(&preview, "program.html", &[])?;
    expect(status == 303, format!("{status} {body}"))?;
    let daemon = pair.host.daemon()?;
    daemon.wait_state("two", "RUNNING")?;
    let now = pair.stub.text("", GROUP, DATAID).unwrap_or_default();
    expect(
        now.starts_with("; the first\n[program:one]\n") && now.contains("; the end"),
        now,
    )?;
    // Edit.
    let form = visitor.page("program.html?do=edit&name=two", &["value=\"sleep 1000\""])?;
    let fields = [("command", "sleep 2000"), ("startsecs", "0")];
    let (_, preview) = visitor.send(&form, "program.html", &fields)?;
    expect(
        preview.contains("-command=sleep 1000\n+command=sleep 2000"),
        &preview,
    )?;
    let pid = daemon.pid_of("two");
    let (status, body) = visitor.send(&preview, "program.html", &[])?;
    expect(status == 303, format!("{status} {body}"))?;
    wait_for("another process", LIMIT, || {
        ![0, pid].contains(&daemon.pid_of("two"))
    })?;
    // A wrong value changes nothing.
    let form = visitor.page("program.html?do=edit&name=two", &[])?;
    let fields = [("command", "sleep 2000"), ("startsecs", "soon")];
    let (status, body) = visitor.send(&form, "program.html", &fields)?;
    expect(
        status == 422 && body.contains("startsecs takes a whole number"),
        format!("{status} {body}"),
    )?;
    // Copy with the proposed name.
    let form = visitor.page("program.html?do=copy&name=two", &["value=\"two-copy\""])?;
    let (_, preview) = visitor.send(&form, "program.html", &[("name", "two-copy")])?;
    let (status, body) = visitor.send(&preview, "program.html", &[])?;
    expect(status == 303, format!("{status} {body}"))?;
    daemon.wait_state("two-copy", "RUNNING")?;
    // Delete: one confirmation.
    let question = visitor.page(
        "program.html?do=delete&name=two-copy",
        &["Delete two-copy?"],
    )?;
    let (status, body) = visitor.send(&question, "program.html", &[])?;
    expect(status == 303, format!("{status} {body}"))?;
    wait_for("two-copy is gone", LIMIT, || {
        daemon.info("two-copy").is_err()
    })?;
    // Another writer wins.
    let form = visitor.page("program.html?do=edit&name=two", &[])?;
    pair.publish(&format!(
        "{}; changed\n",
        pair.stub.text("", GROUP, DATAID).unwrap_or_default()
    ));
    let (status, body) = visitor.send(&form, "program.html", &[("command", "sleep 3000")])?;
    for part in [
        "Changed by somebody else",
        "was changed by another writer",
        "[program:two]\ncommand=sleep 2000\nstartsecs=0\n; changed\n</pre>",
        "[program:two]\ncommand=sleep 3000\n</textarea>",
    ] {
        expect(
            status == 409 && body.contains(part),
            format!("{part}: {status} {body}"),
        )?;
    }
    // With the present text in sight, the edit is made again.
    let text = "[program:two]\ncommand=sleep 3000\nstartsecs=0\n";
    let (status, preview) = visitor.send(&body, "program.html", &[("text", text)])?;
    expect(
        status == 200 && preview.contains("+command=sleep 3000"),
        format!("{status} {preview}"),
    )?;
    pair.wait_line("audit: ")?;
    Ok(Outcome::Passed)
}

/// What the script of the form asks while somebody types.
fn check_while_typing(visitor: &Visitor, pair: &Pair) -> Result<(), String> {
    let before = pair.stub.text("", GROUP, DATAID);
    let form = visitor.page(
        "program.html?do=edit&name=one",
        &["data-check", "scripts/edit.js"],
    )?;
    for (startsecs, part) in [
        (
            "soon",
            "{\"problem\":\"nacos:public/DEFAULT_GROUP/supervisord.conf:",
        ),
        ("0", "{\"problem\":\"\"}"),
    ] {
        let fields = [
            ("command", "sleep 5"),
            ("startsecs", startsecs),
            ("check", "1"),
        ];
        let (status, body) = visitor.send(&form, "program.html", &fields)?;
        expect(
            status == 200 && body.starts_with(part),
            format!("{status} {body}"),
        )?;
    }
    // A check never writes, whatever else the form has.
    let fields = [("command", "sleep 5"), ("check", "1"), ("confirmed", "1")];
    let (status, body) = visitor.send(&form, "program.html", &fields)?;
    expect(status == 200, format!("{status} {body}"))?;
    expect(
        pair.stub.text("", GROUP, DATAID) == before,
        "a check was written",
    )
}

fn versions() -> Result<Outcome, String> {
    let port = free_port()?;
    let first = format!("; first\n{}", programs(&["one"]));
    let mut pair = Pair::new(&first, &server(port))?;
    let secret = "[program:two]\ncommand=sleep 1000\nstartsecs=0\nenvironment=DB=\"hunter2\"\n";
    let second = format!("; second\n{}{secret}", programs(&["one"]));
    let md5 = pair.publish(&second);
    pair.go()?;
    let other = "0123456789abcdef0123456789abcdef";
    let hosts = [("10.0.0.7", md5.as_str()), ("10.0.0.8", other)];
    pair.stub.set_listeners("", GROUP, DATAID, &hosts);
    let visitor = Visitor {
        port,
        login: true,
        language: "en",
    };
    let named = [
        "Hosts that use this item: ",
        "10.0.0.7",
        "10.0.0.8 (another text)",
    ];
    let nacos = visitor.page("nacos.html", &named)?;
    expect(nacos.contains("href=\"versions.html\""), &nacos)?;
    // The question of a deletion names the hosts, and so do the changes of an edit.
    visitor.page("program.html?do=delete&name=two", &named)?;
    check_while_typing(&visitor, &pair)?;
    let form = visitor.page("program.html?do=edit&name=two", &["hunter2"])?;
    let fields = [
        ("command", "sleep 1000"),
        ("startsecs", "0"),
        ("environment", "DB=\"hunter3\""),
    ];
    let (_, preview) = visitor.send(&form, "program.html", &fields)?;
    let shown = preview
        .split("<form method=\"post\"")
        .next()
        .unwrap_or_default();
    for part in [
        "-environment=DB=********\n+environment=DB=********",
        "Values of secrets are shown as ********.",
        "10.0.0.8 (another text)",
    ] {
        expect(shown.contains(part), format!("{part}: {preview}"))?;
    }
    expect(!shown.contains("hunter"), &preview)?;
    // The list, the difference, and the way back.
    let list = visitor.page("versions.html", &["Compare", "changed", "created"])?;
    let link = list
        .split("href=\"versions.html?id=")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .ok_or_else(|| list.clone())?;
    let address = format!("versions.html?id={link}");
    let parts = [
        "-; second\n",
        "+; first\n",
        "-environment=DB=********\n",
        "10.0.0.8 (another text)",
        "Restore this version",
    ];
    let version = visitor.page(&address, &parts)?;
    expect(!version.contains("hunter"), &version)?;
    // Somebody else was faster.
    let third = format!("; third\n{second}");
    pair.publish(&third);
    let (status, body) = visitor.send(&version, "versions.html", &[])?;
    expect(
        status == 409 && pair.stub.text("", GROUP, DATAID) == Some(third),
        format!("{status} {body}"),
    )?;
    let version = visitor.page(&address, &["-; third\n"])?;
    let (status, body) = visitor.send(&version, "versions.html", &[])?;
    expect(status == 303, format!("{status} {body}"))?;
    expect(
        pair.stub.text("", GROUP, DATAID) == Some(first),
        "another text was written",
    )?;
    wait_for("two is gone", LIMIT, || {
        pair.host.daemon().is_ok_and(|it| it.info("two").is_err())
    })?;
    visitor.page(&address, &["This version is the present text."])?;
    pair.wait_line("accepted, diff ")?;
    let (status, _) = visitor.run("versions.html", &[("do", "restore"), ("id", link)])?;
    expect(status == 403, format!("without a token: {status}"))?;
    let log = pair.host.place.read("log");
    expect(!log.contains("hunter"), log)?;
    Ok(Outcome::Passed)
}

fn refused() -> Result<Outcome, String> {
    let port = free_port()?;
    let open = format!("[inet_http_server]\nport=127.0.0.1:{port}\n");
    let mut pair = Pair::new(&programs(&["one"]), &open)?;
    pair.go()?;
    let visitor = Visitor {
        port,
        login: false,
        language: "en",
    };
    let (status, body) = visitor.run("programs.html", &[])?;
    expect(
        status == 403 && body.contains("permission denied"),
        format!("{status} {body}"),
    )?;
    let (status, _) = visitor.run(
        "program.html",
        &[("do", "delete"), ("program", "one"), ("confirmed", "1")],
    )?;
    expect(status == 403, format!("{status}"))?;
    expect(
        pair.stub
            .text("", GROUP, DATAID)
            .is_some_and(|text| text.contains("one")),
        "deleted",
    )?;
    Ok(Outcome::Passed)
}

fn chinese() -> Result<Outcome, String> {
    let port = free_port()?;
    let mut pair = Pair::new(&programs(&["one"]), &server(port))?;
    pair.go()?;
    let visitor = Visitor {
        port,
        login: true,
        language: "zh-CN,zh;q=0.9",
    };
    visitor.page("", &["Nacos配置", "启动", "停止", "重启", "运行"])?;
    visitor.page("nacos.html", &["Nacos配置", "不使用缓存", "保存配置"])?;
    visitor.page("programs.html", &["添加", "编辑", "删除", "复制"])?;
    Ok(Outcome::Passed)
}
