//! The settings file: Cesi's as it is, ours beside, and what is wrong with it.

use serde_json::Value;

use crate::hub_process::HubProcess;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};
use crate::support::wait_for;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let test = |name: &str, run: fn() -> Result<(), String>| {
        Trial::new(format!("settings::{name}"), move || {
            run().map(|()| Outcome::Passed)
        })
    };
    vec![
        test("c01_the_file_of_the_documentation_is_valid", documented),
        test("problems_have_their_place_and_a_hint", problems),
        test("c15_the_nodes_are_read_again", reload),
    ]
}

/// The file of document 002, whose environment is not ASCII.
const DOCUMENTED: &str = r#"[cesi]                            # 对 cesi 本身的配置
database = "sqlite:///users.db"   # SQLite 数据库的位置
activity_log = "activity.log"     # 日志文件的保存路径
admin_username = "admin"
admin_password = "admin"

[[nodes]]                         # 对一个 Supervisor 节点的配置
name = "node1"
environment = "内网"              # 用于对 Supervisor 进行逻辑上的分组
host = "127.0.0.1"
port = "9"
username = ""                     # 用于登录 Supervisor 的账号
password = ""
"#;

fn documented() -> Result<(), String> {
    let hub = HubProcess::start(&format!("{DOCUMENTED}\n@hub\n"))?;
    let version = hub.client().get("/api/version")?;
    expect(
        version["version"] == supervisord::domain::VERSION,
        version.to_string(),
    )?;
    let admin = hub.login("admin", "admin")?;
    let answer = admin.send("GET", "/api/v2/environments/", "")?;
    let body = crate::hub_process::text(&answer);
    // As Cesi writes it: sorted, without spaces, in ASCII, with a line feed.
    let expected = r#"{"environments":[{"members":[{"general":{"connected":false,"environment":"\u5185\u7f51","name":"node1","#;
    expect(body.starts_with(expected) && body.ends_with("}\n"), body)?;
    expect(hub.errors().find("unknown").is_none(), hub.errors())
}

fn problems() -> Result<(), String> {
    let hub = HubProcess::start("@hub\n")?;
    for (text, expected) in [
        (
            "[hub]\nbnd = 'x'\n",
            &["bad.toml:2:1: [hub]: unknown key bnd is ignored (did you mean bind?)"][..],
        ),
        (
            "[cesy]\n",
            &["bad.toml:1:2: the file: unknown table cesy is ignored (did you mean cesi?)"],
        ),
        (
            "[hub]\nbind = 'x'\nsession_hours = 0\n",
            &[
                "bad.toml:2:8: bind: expected host:port",
                "bad.toml:3:17: session_hours: expected a number from 1 to 8760",
            ],
        ),
        (
            "[cesi]\ndatabase = 'postgres://u:p@h/db'\n",
            &["bad.toml:2:12: database: only a URL that begins with sqlite:///"],
        ),
        (
            "[[nodes]]\nname = 'a'\nhost = 'h'\n[[nodes]]\nname = 'a'\nhost = 'g'\n",
            &["bad.toml:4:1: name: another node has the name a (bad.toml:1)"],
        ),
        (
            "[[nodes]]\nname = 'a'\n",
            &["host: a node needs a host or a url"],
        ),
        (
            "[[nodes]]\nname = 'a'\nhost = 'h'\nport = 'x'\n",
            &["bad.toml:4:8: port: expected a number from 1 to 65535"],
        ),
        ("[hub\n", &["bad.toml:1:"]),
        (
            "[hub]\nnodes_file = 'absent.toml'\n",
            &["absent.toml: the file does not exist"],
        ),
        (
            "[[nodes]]\nname = 'a'\nhost = 'h'\npassword_file = 'absent'\n",
            &["password_file: absent: the file does not exist"],
        ),
    ] {
        hub.place.write("bad.toml", text)?;
        let ended = hub.run(&["-c", "bad.toml", "--check"])?;
        for line in expected {
            expect(
                ended.stderr.contains(line),
                format!("{text}: {}", ended.stderr),
            )?;
        }
        let is_error = !ended.stderr.contains("is ignored");
        expect(
            ended.code == if is_error { 2 } else { 0 },
            format!("{text}: {}", ended.code),
        )?;
    }
    Ok(())
}

/// The names of all nodes.
fn names(value: &Value) -> Vec<&str> {
    let nodes = value["nodes"].as_array().into_iter().flatten();
    nodes.filter_map(|node| node["name"].as_str()).collect()
}

fn reload() -> Result<(), String> {
    let node = |name: &str| format!("[[nodes]]\nname = '{name}'\nhost = '127.0.0.1'\nport = 9\n");
    let with = |more: &str, nodes: &str| format!("@hub\nnodes_file = 'more.d'\n{more}\n{nodes}");
    let hub = HubProcess::start("@hub\n")?;
    std::fs::create_dir(hub.place.join("more.d")).map_err(|error| error.to_string())?;
    hub.place.write("more.d/b.toml", &node("from-file"))?;
    let script = r#"inventory_command = ['printf', '%s', '[{"name":"from-command","host":"127.0.0.1","port":9}]']
inventory_interval = 1"#;
    let admin = hub.login("admin", "admin")?;
    hub.write(&with(script, &node("first")))?;
    hub.reload();
    let all = ["first", "from-file", "from-command"];
    admin.wait("/api/v1/nodes", |nodes| names(nodes) == all)?;
    hub.write(&format!("{}[broken", with("", "")))?;
    hub.reload();
    wait_for("the broken file is refused", crate::support::LIMIT, || {
        hub.errors().contains("the settings were not read again")
    })?;
    let nodes = admin.get("/api/v1/nodes")?;
    expect(names(&nodes) == all, nodes.to_string())?;
    hub.write(&with("", &node("second")))?;
    hub.reload();
    admin.wait("/api/v1/nodes", |nodes| {
        names(nodes) == ["second", "from-file"]
    })?;
    // The inventory is asked at the start.
    let settings = with(script, &node("first")).replace("nodes_file = 'more.d'\n", "");
    let other = HubProcess::start(&settings)?;
    let admin = other.login("admin", "admin")?;
    admin.wait("/api/v1/nodes", |nodes| {
        names(nodes) == ["first", "from-command"]
    })?;
    Ok(())
}
