//! The chapter "使用Nacos配置" of the source document: each of its sentences, translated, at the step that tries it.

use nix::sys::signal::Signal;

use super::pages::{self, Visitor};
use super::{DATAID, GROUP, Pair, programs};
use crate::host::{Host, free_port};
use crate::support::nacos::{NacosSettings, NacosStub};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("nacos::the_option_line_of_the_document_works", option_line),
        Trial::new(
            "nacos::the_options_of_the_document_mean_what_it_says",
            options,
        ),
        Trial::new("nacos::the_page_steps_of_the_document_work", page),
        Trial::new("nacos::the_cache_control_of_the_document_works", cache),
        Trial::new("nacos::the_management_of_the_document_works", management),
    ]
}

/// "supervisord can get its configuration from the configuration centre Nacos, which makes the management of configurations in
/// distributed environments simpler." "命令行参数": "Use these command line options to name the configuration in Nacos."
fn option_line() -> Result<Outcome, String> {
    let stub = NacosStub::start(NacosSettings {
        account: Some(("nacos", "nacos")),
        ..NacosSettings::default()
    })?;
    let mut host = Host::new("")?;
    let head = host.place.read("conf");
    let text = format!("{head}{}", programs(&["test"]));
    stub.publish("", GROUP, DATAID, &text);
    let line = "--nacos-server=127.0.0.1:8848 --nacos-dataid=supervisord.conf --nacos-namespace=public --nacos-group=DEFAULT_GROUP --nacos-username=nacos --nacos-password=nacos --nacos-not-use-cache";
    let line = line.replace("127.0.0.1:8848", &stub.address());
    let program =
        crate::support::daemon::program(crate::support::daemon::Side::Ours, "supervisord")?;
    let mut command = host.marked.command(&program, host.place.path());
    // Without -c no file is searched.
    command.arg("-n").args(line.split(' '));
    command.env("STATE_DIRECTORY", host.place.join("state"));
    host.go_as(command, "s")?;
    host.daemon()?.wait_state("test", "RUNNING")?;
    let snapshot = format!("state/public@@{GROUP}@@{DATAID}");
    host.wait_file(&snapshot, "[program:test]")?;
    Ok(Outcome::Passed)
}

/// "参数说明": the options one by one. `--check` reads the item as a start does.
fn options() -> Result<Outcome, String> {
    let stub = NacosStub::start(NacosSettings {
        account: Some(("nacos", "nacos")),
        ..NacosSettings::default()
    })?;
    let host = Host::new("")?;
    let valid = programs(&["test"]);
    stub.publish("", GROUP, DATAID, &valid);
    stub.publish("", GROUP, "other.conf", "[program:other]\n");
    stub.publish("ns-1", GROUP, DATAID, "[program:of_namespace]\n");
    stub.publish("", "WEB", DATAID, "[program:of_group]\n");
    let address = stub.address();
    let check = |options: &[&str], code: i32, part: &str| {
        let server = format!("--nacos-server={address}");
        let mut arguments = vec!["--check", "-c", "conf", &server];
        arguments.extend(options);
        let ended = host.run(&arguments)?;
        let output = format!("{}{}", ended.stdout, ended.stderr);
        expect(
            ended.code == code && output.contains(part),
            format!("{options:?}: {ended:?}"),
        )
    };
    let (user, password) = ("--nacos-username=nacos", "--nacos-password=nacos");
    // "--nacos-server: the address of the Nacos server, in the form IP:PORT." "--nacos-dataid: the ID of the configuration."
    // "--nacos-group: the group of the configuration, by default DEFAULT_GROUP (optional)." "--nacos-namespace … (optional)"
    check(
        &["--nacos-dataid=supervisord.conf", user, password],
        0,
        ": ok",
    )?;
    check(
        &["--nacos-dataid=other.conf", user, password],
        2,
        "nacos:public/DEFAULT_GROUP/other.conf",
    )?;
    check(
        &["--nacos-dataid=absent.conf", user, password],
        1,
        "public/DEFAULT_GROUP/absent.conf: ",
    )?;
    // "--nacos-namespace: the ID of the Nacos namespace (optional)."
    let namespace = [
        "--nacos-dataid=supervisord.conf",
        "--nacos-namespace=ns-1",
        user,
        password,
    ];
    check(&namespace, 2, "nacos:ns-1/DEFAULT_GROUP/supervisord.conf")?;
    // "--nacos-group: the group of the Nacos configuration, by default DEFAULT_GROUP (optional)."
    let group = [
        "--nacos-dataid=supervisord.conf",
        "--nacos-group=WEB",
        user,
        password,
    ];
    check(&group, 2, "nacos:public/WEB/supervisord.conf")?;
    // "--nacos-username: the Nacos user name (optional)." "--nacos-password: the Nacos password (optional)."
    check(
        &["--nacos-dataid=supervisord.conf"],
        1,
        "it requires a user name and a password",
    )?;
    let open = NacosStub::start(NacosSettings::default())?;
    open.publish("", GROUP, DATAID, &valid);
    let server = format!("--nacos-server={}", open.address());
    let ended = host.run(&[
        "--check",
        "-c",
        "conf",
        &server,
        "--nacos-dataid=supervisord.conf",
    ])?;
    expect(ended.code == 0, format!("without a login: {ended:?}"))?;
    Ok(Outcome::Passed)
}

/// "Web界面配置": "Nacos can be configured on the web page too."
fn page() -> Result<Outcome, String> {
    let stub = NacosStub::start(NacosSettings::default())?;
    stub.publish("", GROUP, DATAID, &programs(&["from_nacos"]));
    let port = free_port()?;
    // "1. Start supervisord (with a local configuration file)."
    let mut host = Host::new(&pages::server(port))?;
    host.go()?;
    let visitor = Visitor {
        port,
        login: true,
        language: "zh-CN",
    };
    // "2. Open the web page: http://localhost:9001/." "3. Press the button Nacos配置."
    visitor.page("", &["Nacos配置", "href=\"nacos.html\""])?;
    // "4. Fill in the address of the Nacos server, the ID of the configuration and so on."
    let form = visitor.page(
        "nacos.html",
        &[
            "服务器地址",
            "name=\"server\"",
            "配置ID",
            "name=\"dataid\"",
            "不使用缓存",
            "保存配置",
        ],
    )?;
    let address = stub.address();
    let fields = [
        ("server", address.as_str()),
        ("dataid", DATAID),
        // "5. Tick 不使用缓存 (if needed)."
        ("not_use_cache", "true"),
        // "6. Press the button 保存配置."
        ("do", "save"),
    ];
    let (status, body) = visitor.send(&form, "nacos.html", &fields)?;
    expect(status == 303, format!("{status} {body}"))?;
    host.expect_ctl(&["status"], 0, &[""])?;
    expect(
        host.daemon()?.info("from_nacos").is_err(),
        "it is used before the restart",
    )?;
    // "7. Restart supervisord, which then uses the configuration of Nacos."
    let daemon = host.daemon.as_mut().ok_or("not started")?;
    daemon.signal(Signal::SIGTERM);
    daemon.wait_exit(LIMIT)?;
    host.go()?;
    host.daemon()?.wait_state("from_nacos", "RUNNING")?;
    Ok(Outcome::Passed)
}

/// "缓存控制": "The option --nacos-not-use-cache (or 不使用缓存 on the page) controls whether the client uses the local cache."
fn cache() -> Result<Outcome, String> {
    let mut pair = Pair::started(&programs(&["old"]), "")?;
    wait_for("the snapshot", LIMIT, || !pair.snapshot().is_empty())?;
    // "If the option is off, the Nacos client tries to load the locally cached configuration at start, which can make the start
    // faster, and tolerates a Nacos server that is away for a while."
    pair.end(Signal::SIGTERM)?;
    pair.stub.stop();
    pair.go()?;
    pair.host.daemon()?.wait_state("old", "RUNNING")?;
    pair.end(Signal::SIGTERM)?;
    // "If the option is on, the Nacos client does not load the locally cached configuration at start, but gets the newest one
    // directly from the server."
    let mut pair = pair
        .option("--nacos-not-use-cache")
        .option("--nacos-start-timeout=1");
    let mut arguments = vec!["-n", "-c", "conf"];
    arguments.extend(pair.options.iter().map(String::as_str));
    let ended = pair.host.run(&arguments)?;
    expect(ended.code == 1, format!("it used the cache: {ended:?}"))?;
    // "This is useful to be sure that the newest configuration is always used, above all where it changes often."
    pair.stub.restart()?;
    pair.publish(&programs(&["new"]));
    pair.go()?;
    pair.host.daemon()?.wait_state("new", "RUNNING")?;
    expect(pair.host.daemon()?.info("old").is_err(), "old is there")?;
    Ok(Outcome::Passed)
}

/// "配置管理": "With a configuration from Nacos, programs can be added, changed, deleted and copied directly on the web page;
/// these actions directly change the configuration in Nacos." "That makes the management of supervisord's configuration in a
/// distributed environment simpler and consistent."
fn management() -> Result<Outcome, String> {
    let port = free_port()?;
    let mut pair = Pair::new(&programs(&["one"]), &pages::server(port))?;
    pair.go()?;
    // Another host with the same item.
    let mut other = Host::new("")?;
    let options = [
        format!("--nacos-server={}", pair.stub.address()),
        format!("--nacos-dataid={DATAID}"),
        format!("--nacos-cache-dir={}/cache", other.place.text()),
    ];
    other.go_with(|command| {
        command.args(options);
    })?;
    let visitor = Visitor {
        port,
        login: true,
        language: "zh-CN",
    };
    let list = ["添加", "编辑", "复制", "删除"];
    visitor.page("programs.html", &list)?;
    // What the form of each action is sent with, whether the action has a preview, and what the item and both hosts have then.
    type Fields = &'static [(&'static str, &'static str)];
    let added: Fields = &[
        ("name", "two"),
        ("command", "sleep 1000"),
        ("startsecs", "0"),
    ];
    let changed: Fields = &[("command", "sleep 2000"), ("startsecs", "0")];
    for (form, fields, has_preview, program, part) in [
        (
            "program.html?do=add",
            added,
            true,
            "two",
            Some("sleep 1000"),
        ),
        (
            "program.html?do=edit&name=two",
            changed,
            true,
            "two",
            Some("sleep 2000"),
        ),
        (
            "program.html?do=copy&name=two",
            &[("name", "two-copy")],
            true,
            "two-copy",
            Some("sleep 2000"),
        ),
        (
            "program.html?do=delete&name=two-copy",
            &[],
            false,
            "two-copy",
            None,
        ),
    ] {
        let page = visitor.page(form, &[])?;
        let (mut status, mut body) = visitor.send(&page, "program.html", fields)?;
        if has_preview {
            let preview = body;
            (status, body) = visitor.send(&preview, "program.html", &[])?;
        }
        expect(status == 303, format!("{form}: {status} {body}"))?;
        let item = pair.stub.text("", GROUP, DATAID).unwrap_or_default();
        let section = item.split(&format!("[program:{program}]")).nth(1);
        let section = section.and_then(|rest| rest.split("\n[").next());
        expect(
            section.is_some() == part.is_some()
                && section
                    .unwrap_or_default()
                    .contains(part.unwrap_or_default()),
            format!("{form}: {item}"),
        )?;
        for host in [&pair.host, &other] {
            let daemon = host.daemon()?;
            wait_for(&format!("{form} on both hosts"), LIMIT, || {
                let line = std::fs::read(format!("/proc/{}/cmdline", daemon.pid_of(program)));
                let line = line.unwrap_or_default();
                let line = String::from_utf8_lossy(&line)
                    .trim_end_matches('\0')
                    .replace('\0', " ");
                match part {
                    Some(part) => line == part,
                    None => daemon.info(program).is_err(),
                }
            })?;
        }
    }
    Ok(Outcome::Passed)
}
