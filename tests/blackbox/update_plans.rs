//! `plan`, `update --dry-run`, `update --if-plan`, and the note of `restart`.

use serde_json::{Value, json};

use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};
use crate::trust::terminal::Terminal;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("update_plans::plan_shows_what_update_does", shows),
        Trial::new("update_plans::plan_as_json_hides_secrets", as_json),
        Trial::new("update_plans::update_if_plan_refuses_another_plan", if_plan),
        Trial::new("update_plans::a_wrong_configuration_has_no_plan", wrong),
        Trial::new("update_plans::a_scaled_group_is_rescaled", rescaled),
        Trial::new("update_plans::restart_notes_changed_files", notes),
    ]
}

const WEB: &str = "[program:web]\ncommand={test_child} forever\nstartsecs=0\n";
const DB: &str = "[program:db]\ncommand={test_child} forever\nstartsecs=0\n";
const API: &str = "[program:api]\ncommand={test_child} forever\nstartsecs=0\n";

/// The plan as JSON. `code`: the expected exit status.
fn plan(host: &Host, args: &[&str], code: i32) -> Result<Value, String> {
    let got = host.ctl(args)?;
    expect(
        got.code == code && got.stderr.is_empty(),
        format!("{args:?}: {got:?}"),
    )?;
    serde_json::from_str(&got.stdout).map_err(|error| format!("{error}: {got:?}"))
}

fn id_of(plan: &Value) -> Result<String, String> {
    let id = plan["id"].as_str().unwrap_or_default();
    expect(id.len() == 16, format!("{plan}"))?;
    Ok(id.to_owned())
}

fn shows() -> Result<Outcome, String> {
    let mut host = Host::start(&format!("{WEB}{DB}"))?;
    for name in ["web", "db"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let pids = ["web", "db"].map(|name| host.daemon().map(|daemon| daemon.pid_of(name)));
    host.expect_ctl(&["plan"], 0, &[": nothing to do, 2 unchanged\n"])?;
    host.configure(&format!(
        "{WEB}stopwaitsecs=3\nenvironment=TOKEN=hunter2\n{API}"
    ))?;
    let parts = [
        "web: restart\n  [program:web] restart\n    environment: changed, the value is not shown (",
        "    stopwaitsecs: default \"10\" -> \"3\" (",
        "api: add\n",
        "db: remove\n",
        ": 1 to add, 1 to remove, 1 to restart, 0 unchanged\n",
    ];
    host.expect_ctl(&["plan"], 2, &parts)?;
    host.expect_ctl(&["update", "--dry-run"], 2, &parts)?;
    let got = host.ctl(&["plan"])?;
    expect(!got.stdout.contains("hunter2"), format!("{got:?}"))?;
    let line = got
        .stdout
        .lines()
        .find(|line| line.contains("stopwaitsecs"))
        .unwrap_or_default();
    expect(
        line.contains("conf:") && line.ends_with(')'),
        line.to_owned(),
    )?;
    // One group of them, and an unknown one.
    let got = host.ctl(&["plan", "api"])?;
    expect(
        got.code == 2
            && got.stdout.starts_with("api: add\nplan ")
            && got.stdout.lines().count() == 2,
        format!("{got:?}"),
    )?;
    host.expect_ctl(&["plan", "nosuch"], 1, &["ERROR: no such group: nosuch\n"])?;
    // A plan changes nothing: not even the configuration from which groups are added.
    host.expect_ctl(&["add", "api"], 1, &["ERROR: no such process/group: api"])?;
    let now = ["web", "db"].map(|name| host.daemon().map(|daemon| daemon.pid_of(name)));
    expect(now == pids, format!("{pids:?} became {now:?}"))?;
    // What the update does is what the plan shows.
    let got = host.ctl(&["update"])?;
    let mut lines: Vec<&str> = got.stdout.lines().collect();
    lines.sort_unstable();
    let expected = [
        "api: added process group",
        "db: removed process group",
        "db: stopped",
        "web: stopped",
        "web: updated process group",
    ];
    expect(got.code == 0 && lines == expected, format!("{got:?}"))?;
    host.expect_ctl(&["plan"], 0, &[": nothing to do, 2 unchanged\n"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn as_json() -> Result<Outcome, String> {
    let secret = |value: &str| {
        format!(
            "{WEB}environment=PASSWORD=\"{value}\"\nserverurl=http://u:{value}@localhost:1\n{DB}"
        )
    };
    let mut host = Host::start(&secret("hunter2"))?;
    let nothing = plan(&host, &["plan", "-o", "json"], 0)?;
    expect(
        nothing["groups"] == json!([]) && nothing["unchanged"] == json!(["db", "web"]),
        nothing.to_string(),
    )?;
    host.configure(&format!("{}memory_max=64MB\n", secret("swordfish")))?;
    let got = plan(&host, &["plan", "-o", "json"], 2)?;
    let text = got.to_string();
    expect(
        !text.contains("hunter2") && !text.contains("swordfish"),
        text,
    )?;
    let groups = got["groups"].as_array().cloned().unwrap_or_default();
    let keys = |group: &Value| -> Vec<Value> {
        let keys = group["programs"][0]["keys"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        keys.into_iter()
            .map(|mut key| {
                let place = key["place"].as_str().unwrap_or_default().to_owned();
                let line = place
                    .rsplit(':')
                    .next()
                    .and_then(|line| line.parse::<u32>().ok());
                key["place"] = json!(line.is_some());
                key
            })
            .collect()
    };
    let by_name = |name: &str| {
        groups
            .iter()
            .find(|group| group["name"] == name)
            .cloned()
            .unwrap_or_default()
    };
    let (db, web) = (by_name("db"), by_name("web"));
    let hidden = |key: &str| json!({"key": key, "section": "program:web", "old": null, "new": null, "hidden": true, "live": false, "place": true});
    expect(
        got["schema"] == 1
            && web["action"] == "restart"
            && db["action"] == "live"
            && db["scaled"] == false,
        got.to_string(),
    )?;
    expect(
        keys(&web) == [hidden("environment"), hidden("serverurl")],
        web.to_string(),
    )?;
    let live = json!({"key": "memory_max", "section": "program:db", "old": null, "new": "64MB", "hidden": false, "live": true, "place": true});
    expect(keys(&db) == [live], db.to_string())?;
    // All forms of the command give the same.
    for args in [
        ["plan", "--json"].as_slice(),
        &["update", "--dry-run", "-ojson"],
        &["update", "--dry-run", "--json"],
    ] {
        let same = plan(&host, args, 2)?;
        expect(same == got, format!("{args:?}: {same}"))?;
    }
    let only = plan(&host, &["plan", "-o", "json", "db"], 2)?;
    expect(
        only["groups"] == json!([db]) && only["unchanged"] == json!([]),
        only.to_string(),
    )?;
    for args in [
        ["plan", "-o", "xml"].as_slice(),
        &["plan", "-o"],
        &["update", "--if-plan"],
    ] {
        let got = host.ctl(args)?;
        expect(
            got.code == 1 && got.stdout.starts_with("Error: "),
            format!("{args:?}: {got:?}"),
        )?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn if_plan() -> Result<Outcome, String> {
    let mut host = Host::start(WEB)?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    let pid = host.daemon()?.pid_of("web");
    host.configure(&format!("{WEB}environment=A=1\n"))?;
    let first = id_of(&plan(&host, &["plan", "-o", "json"], 2)?)?;
    // Only a hidden value differs.
    host.configure(&format!("{WEB}environment=A=2\n"))?;
    let refused =
        "the configuration or the groups changed since this plan was made, and nothing was changed";
    host.expect_ctl(&["update", "--if-plan", &first], 1, &[refused])?;
    expect(host.daemon()?.pid_of("web") == pid, "web was restarted")?;
    host.expect_ctl(&["avail"], 0, &["web "])?;
    // A comment is no other plan.
    host.configure(&format!("; comment\n{WEB}environment=A=1\n"))?;
    host.expect_ctl(
        &["update", "--if-plan", &first],
        0,
        &["web: updated process group\n"],
    )?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    expect(host.daemon()?.pid_of("web") != pid, "web was not restarted")?;
    // The plan is done, so it is another one now.
    host.expect_ctl(&["update", "--if-plan", &first], 1, &[refused])?;
    // The groups count as well as the files.
    host.configure(&format!("{WEB}environment=A=1\n{DB}"))?;
    let second = id_of(&plan(&host, &["plan", "-o", "json"], 2)?)?;
    host.expect_ctl(&["reread"], 0, &["db: available\n"])?;
    host.expect_ctl(&["add", "db"], 0, &["db: added process group\n"])?;
    host.expect_ctl(&["update", &format!("--if-plan={second}")], 1, &[refused])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn wrong() -> Result<Outcome, String> {
    let mut host = Host::start(WEB)?;
    host.configure(&format!("{WEB}startsecs=x\nnumprocs=y\n"))?;
    for args in [
        ["plan"].as_slice(),
        &["update", "--dry-run"],
        &["update", "--if-plan", "0123456789abcdef"],
    ] {
        let got = host.ctl(args)?;
        expect(
            got.code == 1 && got.stderr.contains("startsecs") && got.stderr.contains("numprocs"),
            format!("{args:?}: {got:?}"),
        )?;
    }
    let got = host.ctl(&["plan", "--json"])?;
    let value: Value = serde_json::from_str(&got.stdout).map_err(|e| format!("{e}: {got:?}"))?;
    let text = value["errors"][0]["text"].as_str().unwrap_or_default();
    expect(
        got.code == 1
            && value["errors"][0]["code"] == "CANT_REREAD"
            && text.starts_with("CANT_REREAD: "),
        format!("{got:?}"),
    )?;
    host.configure(WEB)?;
    host.expect_ctl(&["plan"], 0, &["nothing to do, 1 unchanged"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn rescaled() -> Result<Outcome, String> {
    let text = |number: u8| format!("{WEB}process_name=w%(process_num)d\nnumprocs={number}\n");
    let mut host = Host::start(&text(2))?;
    for name in ["web:w0", "web:w1"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let pid = host.daemon()?.pid_of("web:w0");
    host.expect_ctl(&["scale", "web", "3"], 0, &["web:w2: added"])?;
    // An update of everything leaves a scaled group alone; one that names the group does not.
    host.expect_ctl(&["plan"], 0, &["nothing to do, 1 unchanged"])?;
    host.expect_ctl(
        &["plan", "web"],
        2,
        &["web: rescale\n", ": 1 to rescale, 0 unchanged\n"],
    )?;
    host.configure(&text(1))?;
    let parts = ["web: rescale\n", "    numprocs: \"2\" -> \"1\" ("];
    host.expect_ctl(&["plan"], 2, &parts)?;
    host.expect_ctl(
        &["update"],
        0,
        &["web:w2: removed\nweb:w1: removed\nweb: updated process group\n"],
    )?;
    host.expect_ctl(&["plan"], 0, &["nothing to do"])?;
    expect(
        host.daemon()?.pid_of("web:w0") == pid,
        "a process that both have was restarted",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn notes() -> Result<Outcome, String> {
    let mut host = Host::start(&format!("{WEB}{DB}"))?;
    host.configure(&format!("{WEB}stopwaitsecs=3\n{DB}"))?;
    let note = "note: the configuration files have changes of web, which restart does not apply";
    // Without a terminal the output is Supervisor's.
    let got = host.ctl(&["restart", "web"])?;
    expect(
        got.code == 0 && got.stderr.is_empty() && got.stdout == "web: stopped\nweb: started\n",
        format!("{got:?}"),
    )?;
    for name in ["web", "all", "w*"] {
        let mut terminal = Terminal::start(&host, &["restart", name])?;
        let code = terminal.end()?;
        if name != "w*" {
            expect(code == 0, format!("{name}: exit {code}"))?;
        }
        terminal.wait(note)?;
    }
    let mut terminal = Terminal::start(&host, &["restart", "db"])?;
    terminal.end()?;
    expect(!terminal.screen().contains("note:"), terminal.screen())?;
    host.configure("[program:web]\n")?;
    let mut terminal = Terminal::start(&host, &["restart", "web"])?;
    terminal.end()?;
    terminal.wait("note: the configuration files have an error")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
