//! The stub Nacos server of the harness, judged by official clients, and its answers that these clients do not ask for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value as Json;

use crate::programs::installed;
use crate::support::daemon::{Finished, Marked, run};
use crate::support::nacos::{
    CompareAndSet, Families, Fault, MissingPage, NacosSettings, NacosStub, StubRequest, md5_of,
    percent_encoded,
};
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::wire::{Address, Answer, Connection};
use crate::support::{LIMIT, expect, wait_for};
use crate::web_client::fetch;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let passes = |name: &str, run: fn() -> Result<(), String>| {
        Trial::new(format!("nacos_stub::{name}"), move || {
            run().map(|()| Outcome::Passed)
        })
    };
    vec![
        Trial::new("nacos_stub::n26_the_npm_client_accepts_the_stub", npm),
        Trial::new(
            "nacos_stub::n26_the_npm_client_sends_its_password_each_time",
            npm_with_password,
        ),
        Trial::new("nacos_stub::n26_the_python_client_accepts_the_stub", python),
        Trial::new(
            "nacos_stub::n26_the_python_client_logs_in_and_renews",
            python_with_login,
        ),
        passes("v1_items", v1_items),
        passes("v1_listener", v1_listener),
        passes("v1_listener_times", v1_listener_times),
        passes("v1_history", v1_history),
        passes("v3_items", v3_items),
        passes("v3_history_and_listeners", v3_history_and_listeners),
        passes("compare_and_set", compare_and_set),
        passes("logins_and_tokens", logins_and_tokens),
        passes("rights", rights),
        passes("families", families),
        passes("faults_in_place_of_an_answer", replaced_answers),
        passes("faults_of_the_connection", broken_connections),
        passes("restarts", restarts),
        passes("connections", connections),
        passes("serves_by_hand", by_hand),
    ]
}

const V1: &str = "/nacos/v1/cs/configs";
const LISTENER: &str = "/nacos/v1/cs/configs/listener";
const V3_CLIENT: &str = "/nacos/v3/client/cs/config";
const V3_ADMIN: &str = "/nacos/v3/admin/cs/config";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const GROUP: &str = "DEFAULT_GROUP";
const ITEM: &str = "dataId=a.conf&group=DEFAULT_GROUP";
const V3_ITEM: &str = "dataId=a.conf&groupName=DEFAULT_GROUP";

fn ask(stub: &NacosStub, method: &str, path: &str, body: &str) -> Result<Answer, String> {
    fetch(&Address::Port(stub.port()), method, path, FORM, body)
}

fn get(stub: &NacosStub, path: &str, query: &str) -> Result<Answer, String> {
    ask(stub, "GET", &format!("{path}?{query}"), "")
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn json(answer: &Answer) -> Json {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// Fails unless the answer has this status and text.
fn expect_text(answer: &Answer, status: u16, body: &str) -> Result<(), String> {
    let is_so = answer.code() == status && text(answer) == body;
    expect(
        is_so,
        format!("not {status} {body:?}: {answer:?} {:?}", text(answer)),
    )
}

/// Fails unless the answer has this status and this code in its envelope. Returns the data.
fn expect_code(answer: &Answer, status: u16, code: u64) -> Result<Json, String> {
    let body = json(answer);
    let is_so = answer.code() == status && body["code"] == code;
    expect(
        is_so,
        format!("not {status} with code {code}: {answer:?} {body}"),
    )?;
    Ok(body["data"].clone())
}

// --- the judges -------------------------------------------------------------------------------------------------------

fn target(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target")
        .join(name);
    path.exists().then_some(path)
}

/// A stub whose listeners are answered only when something changes.
fn stub_for_clients(settings: NacosSettings) -> Result<NacosStub, String> {
    NacosStub::start(NacosSettings {
        hold: Some(Duration::from_secs(600)),
        ..settings
    })
}

/// Runs a client under a time limit and ends what it leaves behind. `None`: the client is not installed.
fn judge(client: &str, stub: &NacosStub, arguments: &[&str]) -> Result<Option<Finished>, String> {
    let (place, marked) = (TempDir::new()?, Marked::new());
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackbox/nacos_clients");
    let command = |program: &Path, script: &str| -> Command {
        let mut command = marked.command(program, place.path());
        command
            .arg(scripts.join(script))
            .arg(stub.port().to_string());
        command.args(arguments);
        command
    };
    let command = match client {
        "npm" => {
            let modules = target("nacos-node/node_modules/nacos-config");
            let (Some(node), Some(modules)) = (installed("node"), modules) else {
                return Ok(None);
            };
            let mut command = command(&node, "npm.js");
            command.env("NODE_PATH", modules.parent().unwrap_or(&modules));
            command
        }
        _ => match target("nacos-python/bin/python") {
            Some(python) => command(&python, "python.py"),
            None => return Ok(None),
        },
    };
    let finished = run(command, place.path(), None, 2 * LIMIT)?;
    Ok(Some(finished))
}

fn skipped(what: &str) -> Result<Outcome, String> {
    Ok(Outcome::Skipped(format!(
        "{what} is not installed (tests/run --install)"
    )))
}

const NPM: &str = "nacos-config of npm";
const PYTHON: &str = "nacos-sdk-python";

fn expect_success(finished: &Finished, stub: &NacosStub) -> Result<(), String> {
    let requests = stub.requests();
    let lines: Vec<String> = requests
        .iter()
        .map(|request| format!("{:?} {} {}", request.status, request.method, request.path))
        .collect();
    expect(
        finished.code == 0,
        format!("{finished:?}\n{}", lines.join("\n")),
    )
}

/// The MD5s that listeners named, in order, without repetitions.
fn listened(stub: &NacosStub) -> Vec<String> {
    let listens = stub.requests_to("POST", LISTENER);
    let mut md5s: Vec<String> = listens
        .iter()
        .filter_map(|request| request.parameter("Listening-Configs"))
        .filter_map(|record| record.split('\u{2}').nth(2).map(str::to_owned))
        .map(|md5| md5.trim_end_matches('\u{1}').to_owned())
        .collect();
    md5s.dedup();
    md5s
}

fn npm() -> Result<Outcome, String> {
    for namespace in ["", "ns-1"] {
        let stub = stub_for_clients(NacosSettings::default())?;
        let Some(finished) = judge("npm", &stub, &[namespace])? else {
            return skipped(NPM);
        };
        expect_success(&finished, &stub)?;
        let operations: String = stub
            .history(namespace, GROUP, "supervisord.conf")
            .iter()
            .map(|entry| entry.operation)
            .collect();
        expect(operations == "DUUI", format!("history: {operations}"))?;
        // It tells the server what it has, and the server believes it.
        let listens = stub.requests_to("POST", LISTENER);
        let first = listens.first().ok_or("it never listened")?;
        let hold = first.header("long-pulling-timeout");
        expect(hold == Some("30000"), format!("{first:?}"))?;
        expect(
            listened(&stub).contains(&md5_of("third")),
            format!("{:?}", listened(&stub)),
        )?;
    }
    Ok(Outcome::Passed)
}

fn npm_with_password() -> Result<Outcome, String> {
    let account = Some(("nacos", "pass word+%"));
    let accepts_password = true;
    let stub = stub_for_clients(NacosSettings {
        account,
        accepts_password,
        ..NacosSettings::default()
    })?;
    let Some(finished) = judge("npm", &stub, &["", "nacos", "pass word+%"])? else {
        return skipped(NPM);
    };
    expect_success(&finished, &stub)?;
    let has_password = |request: &StubRequest| {
        request.parameter("password").as_deref() == account.map(|(_, password)| password)
    };
    expect(
        stub.requests().iter().all(has_password),
        "a request without the password",
    )?;
    // It never logs in: a server that wants a token refuses it.
    let stub = stub_for_clients(NacosSettings {
        account,
        ..NacosSettings::default()
    })?;
    let finished = judge("npm", &stub, &["", "nacos", "pass word+%"])?;
    let finished = finished.ok_or("it was installed")?;
    expect(
        finished.code == 1 && finished.stdout.contains("Status: 403"),
        format!("{finished:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn python() -> Result<Outcome, String> {
    for namespace in ["", "ns-1"] {
        let stub = stub_for_clients(NacosSettings::default())?;
        let Some(finished) = judge("python", &stub, &[namespace])? else {
            return skipped(PYTHON);
        };
        expect_success(&finished, &stub)?;
        let md5s = listened(&stub);
        // The watcher waits again, for changes of the text that it has now.
        let expected = [md5_of("first"), md5_of("third")];
        expect(
            expected.iter().all(|md5| md5s.contains(md5)),
            format!("{md5s:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn python_with_login() -> Result<Outcome, String> {
    let stub = stub_for_clients(NacosSettings {
        account: Some(("nacos", "pass word+%")),
        token_ttl: Duration::from_secs(3),
        ..NacosSettings::default()
    })?;
    let Some(finished) = judge("python", &stub, &["ns-1", "nacos", "pass word+%"])? else {
        return skipped(PYTHON);
    };
    expect_success(&finished, &stub)?;
    // It renews a token ten seconds before its end, which is at once here.
    let logins = stub.requests_to("POST", "/nacos/v1/auth/login");
    let is_good = |request: &StubRequest| request.status == Some(200);
    expect(
        logins.len() > 1 && logins.iter().all(is_good),
        format!("{} logins", logins.len()),
    )?;
    let reads = stub.requests_to("GET", V1);
    let mut tokens: Vec<_> = reads
        .iter()
        .map(|read| read.parameter("accessToken"))
        .collect();
    let count = tokens.len();
    tokens.sort();
    tokens.dedup();
    expect(
        tokens.len() == count && !tokens.contains(&None),
        format!("{tokens:?} of {count} reads"),
    )?;
    // A wrong password is an error.
    let finished = judge("python", &stub, &["ns-1", "nacos", "wrong"])?;
    let finished = finished.ok_or("it was installed")?;
    expect(
        finished.code == 1 && finished.stderr.contains("HTTP Error 403"),
        format!("{finished:?}"),
    )?;
    Ok(Outcome::Passed)
}

// --- what they do not ask for -----------------------------------------------------------------------------------------

fn v1_items() -> Result<(), String> {
    let stub = NacosStub::start(NacosSettings::default())?;
    expect_text(&get(&stub, V1, ITEM)?, 404, "config data not exist")?;
    let content = "a=1\r\n; 配置 100%\n";
    let form = format!(
        "{ITEM}&type=properties&src_user=me&content={}",
        percent_encoded(content)
    );
    expect_text(&ask(&stub, "POST", V1, &form)?, 200, "true")?;
    expect(
        stub.text("public", GROUP, "a.conf").as_deref() == Some(content),
        "the namespace public is the empty one",
    )?;
    let item = stub.item("", GROUP, "a.conf").ok_or("stored")?;
    expect(item.src_user == "me", format!("{item:?}"))?;
    let answer = get(&stub, V1, &format!("{ITEM}&tenant=public"))?;
    expect_text(&answer, 200, content)?;
    expect(
        answer.header("content-md5") == Some(md5_of(content).as_str())
            && answer.header("Config-Type") == Some("properties"),
        format!("{answer:?}"),
    )?;
    let elsewhere = get(&stub, V1, &format!("{ITEM}&tenant=ns-1"))?;
    expect_text(&elsewhere, 404, "config data not exist")?;
    // A field is missing; the text is empty; it is too long.
    stub.configure(|settings| settings.item_max = 10);
    for fields in [
        "dataId=a.conf&content=x",
        ITEM,
        &format!("{ITEM}&content=12345678901"),
    ] {
        let answer = ask(&stub, "POST", V1, fields)?;
        expect(answer.code() == 400, format!("{fields}: {answer:?}"))?;
    }
    let found = json(&get(
        &stub,
        V1,
        "search=blur&dataId=*a*&group=&pageNo=1&pageSize=10",
    )?);
    expect(
        found["totalCount"] == 1 && found["pageItems"][0]["content"] == content,
        found.to_string(),
    )?;
    let spaces = json(&get(&stub, "/nacos/v1/console/namespaces", "")?);
    expect(
        spaces["data"][0]["namespaceShowName"] == "public",
        spaces.to_string(),
    )?;
    // Twice: the answer is the same for an item that is not there.
    for _ in 0..2 {
        expect_text(
            &ask(&stub, "DELETE", &format!("{V1}?{ITEM}"), "")?,
            200,
            "true",
        )?;
    }
    expect(stub.text("", GROUP, "a.conf").is_none(), "deleted")?;
    let ready = "/nacos/v1/console/health/readiness";
    expect(get(&stub, ready, "")?.code() == 200, "ready")?;
    stub.set_ready(false);
    expect(get(&stub, ready, "")?.code() == 500, "not ready")
}

/// The answer of a listener that comes at some time.
type Later = std::thread::JoinHandle<Result<Answer, String>>;

fn listen(stub: &NacosStub, headers: &str, records: &str) -> Later {
    let (address, headers) = (Address::Port(stub.port()), format!("{FORM}{headers}"));
    let body = format!("Listening-Configs={}", percent_encoded(records));
    std::thread::spawn(move || fetch(&address, "POST", LISTENER, &headers, &body))
}

fn later(listener: Later) -> Result<Answer, String> {
    listener.join().map_err(|_| "the thread ended".to_owned())?
}

const HOLD: &str = "Long-Pulling-Timeout: 30000\r\n";

fn v1_listener() -> Result<(), String> {
    let stub = stub_for_clients(NacosSettings::default())?;
    let md5 = stub.publish("", GROUP, "a.conf", "one");
    // A difference is answered at once, also without a time to wait.
    for headers in [HOLD, ""] {
        let listener = listen(&stub, headers, &format!("a.conf\u{2}{GROUP}\u{2}\u{1}"));
        expect_text(&later(listener)?, 200, "a.conf%02DEFAULT_GROUP%01\n")?;
    }
    // Several records: the item, one in a namespace, and one that does not exist.
    let records = format!(
        "a.conf\u{2}{GROUP}\u{2}{md5}\u{1}b.conf\u{2}g\u{2}\u{2}ns-1\u{1}c.conf\u{2}g\u{2}\u{2}\u{1}"
    );
    let listener = listen(&stub, HOLD, &records);
    stub.wait_for_listeners(1)?;
    // The same text again is no change, another item neither.
    stub.publish("", GROUP, "a.conf", "one");
    stub.publish("", "g", "b.conf", "not in the namespace");
    stub.publish("ns-1", "g", "b.conf", "created");
    expect_text(&later(listener)?, 200, "b.conf%02g%02ns-1%01\n")?;
    let listener = listen(&stub, HOLD, &format!("a.conf\u{2}{GROUP}\u{2}{md5}\u{1}"));
    stub.wait_for_listeners(1)?;
    stub.delete("", GROUP, "a.conf");
    expect_text(&later(listener)?, 200, "a.conf%02DEFAULT_GROUP%01\n")?;
    // A client that has nothing waits for the creation.
    let listener = listen(&stub, HOLD, "c.conf\u{2}g\u{2}\u{1}");
    stub.wait_for_listeners(1)?;
    let published = ask(&stub, "POST", V1, "dataId=c.conf&group=g&content=x")?;
    expect_text(&published, 200, "true")?;
    expect_text(&later(listener)?, 200, "c.conf%02g%01\n")?;
    let answer = ask(&stub, "POST", LISTENER, "Listening-Configs=")?;
    expect(answer.code() == 400, format!("{answer:?}"))
}

fn v1_listener_times() -> Result<(), String> {
    let stub = stub_for_clients(NacosSettings::default())?;
    let md5 = stub.publish("", GROUP, "a.conf", "one");
    let record = format!("a.conf\u{2}{GROUP}\u{2}{md5}\u{1}");
    let no_hangup = format!("{HOLD}Long-Pulling-Timeout-No-Hangup: true\r\n");
    expect_text(&later(listen(&stub, "", &record))?, 200, "")?;
    expect_text(&later(listen(&stub, &no_hangup, &record))?, 200, "")?;
    stub.configure(|settings| settings.has_no_hangup = false);
    let listener = listen(&stub, &no_hangup, &record);
    stub.wait_for_listeners(1)?;
    stub.publish("", GROUP, "a.conf", "two");
    expect_text(&later(listener)?, 200, "a.conf%02DEFAULT_GROUP%01\n")?;
    // Nothing changes within the time of the stub.
    stub.configure(|settings| settings.hold = Some(Duration::from_millis(50)));
    let record = format!("a.conf\u{2}{GROUP}\u{2}{}\u{1}", md5_of("two"));
    expect_text(&later(listen(&stub, HOLD, &record))?, 200, "")
}

fn v1_history() -> Result<(), String> {
    let stub = NacosStub::start(NacosSettings::default())?;
    for content in ["one", "two", "three"] {
        let form = format!("{ITEM}&src_user=me&content={content}");
        expect_text(&ask(&stub, "POST", V1, &form)?, 200, "true")?;
    }
    let path = "/nacos/v1/cs/history";
    let page = json(&get(
        &stub,
        path,
        &format!("search=accurate&{ITEM}&pageNo=1&pageSize=2"),
    )?);
    let entries = &page["pageItems"];
    expect(
        page["totalCount"] == 3
            && page["pagesAvailable"] == 2
            && entries[0]["opType"] == "U         "
            && entries[0]["srcUser"] == "me"
            && entries[0]["content"].is_null()
            && entries[2].is_null(),
        page.to_string(),
    )?;
    // The text before the last change.
    let nid = entries[0]["id"].as_str().unwrap_or_default();
    let entry = json(&get(&stub, path, &format!("{ITEM}&nid={nid}"))?);
    expect(
        entry["content"] == "two" && entry["md5"] == md5_of("two"),
        entry.to_string(),
    )?;
    let id = stub.item("", GROUP, "a.conf").ok_or("stored")?.id;
    let query = format!("{ITEM}&id={id}");
    let entry = json(&get(&stub, &format!("{path}/previous"), &query)?);
    expect(entry["content"] == "two", entry.to_string())?;
    let none = get(&stub, path, &format!("{ITEM}&nid=0"))?;
    expect(none.code() == 500, format!("{none:?}"))
}

fn v3_items() -> Result<(), String> {
    let stub = NacosStub::start(NacosSettings::default())?;
    for path in [V3_CLIENT, V3_ADMIN] {
        expect_code(&get(&stub, path, V3_ITEM)?, 200, 20_004)?;
        expect_code(&get(&stub, path, "dataId=a.conf")?, 400, 10_000)?;
    }
    stub.configure(|settings| settings.v3_not_found = 404);
    expect_code(&get(&stub, V3_CLIENT, V3_ITEM)?, 200, 404)?;
    let content = "a=1\n; 配置\n";
    let form = format!("{V3_ITEM}&srcUser=me&content={}", percent_encoded(content));
    let published = expect_code(&ask(&stub, "POST", V3_ADMIN, &form)?, 200, 0)?;
    expect(published == true, published.to_string())?;
    for path in [V3_CLIENT, V3_ADMIN] {
        let query = format!("{V3_ITEM}&namespaceId=public");
        let data = expect_code(&get(&stub, path, &query)?, 200, 0)?;
        expect(
            data["content"] == content && data["md5"] == md5_of(content),
            data.to_string(),
        )?;
    }
    expect_code(&ask(&stub, "POST", V3_ADMIN, V3_ITEM)?, 400, 10_000)?;
    stub.configure(|settings| settings.item_max = 2);
    let long = format!("{V3_ITEM}&content=123");
    expect_code(&ask(&stub, "POST", V3_ADMIN, &long)?, 400, 20_002)?;
    let gone = expect_code(
        &ask(&stub, "DELETE", &format!("{V3_ADMIN}?{V3_ITEM}"), "")?,
        200,
        0,
    )?;
    expect(gone == true, gone.to_string())?;
    expect(stub.text("", GROUP, "a.conf").is_none(), "deleted")?;
    for path in [
        "/nacos/v3/admin/core/state/readiness",
        "/nacos/v3/console/health/readiness",
    ] {
        stub.set_ready(true);
        expect_code(&get(&stub, path, "")?, 200, 0)?;
        stub.set_ready(false);
        expect_code(&get(&stub, path, "")?, 500, 30_000)?;
    }
    Ok(())
}

fn v3_history_and_listeners() -> Result<(), String> {
    let stub = stub_for_clients(NacosSettings::default())?;
    stub.publish("", GROUP, "a.conf", "one");
    let md5 = stub.publish("", GROUP, "a.conf", "two");
    let list = "/nacos/v3/admin/cs/history/list";
    let query = format!("{V3_ITEM}&pageNo=1&pageSize=10");
    let page = expect_code(&get(&stub, list, &query)?, 200, 0)?;
    let entries = &page["pageItems"];
    expect(
        entries[0]["opType"] == "U" && entries[1]["opType"] == "I" && page["totalCount"] == 2,
        page.to_string(),
    )?;
    let nid = entries[0]["id"].as_str().unwrap_or_default();
    let path = "/nacos/v3/admin/cs/history";
    let entry = expect_code(&get(&stub, path, &format!("{V3_ITEM}&nid={nid}"))?, 200, 0)?;
    expect(entry["content"] == "one", entry.to_string())?;
    let id = stub.item("", GROUP, "a.conf").ok_or("stored")?.id;
    let previous = format!("{path}/previous");
    let entry = expect_code(
        &get(&stub, &previous, &format!("{V3_ITEM}&id={id}"))?,
        200,
        0,
    )?;
    expect(entry["content"] == "one", entry.to_string())?;
    expect_code(&get(&stub, path, &format!("{V3_ITEM}&nid=0"))?, 404, 20_004)?;
    // A real listener, and one that the test invents.
    let listener = listen(&stub, HOLD, &format!("a.conf\u{2}{GROUP}\u{2}{md5}\u{1}"));
    stub.wait_for_listeners(1)?;
    stub.set_listeners("", GROUP, "a.conf", &[("10.0.0.7", "old")]);
    let path = format!("{V3_ADMIN}/listener");
    let data = expect_code(&get(&stub, &path, V3_ITEM)?, 200, 0)?;
    let expected = serde_json::json!({"10.0.0.7": "old", "127.0.0.1": md5});
    expect(
        data["queryType"] == "config" && data["listenersStatus"] == expected,
        data.to_string(),
    )?;
    stub.publish("", GROUP, "a.conf", "three");
    later(listener)?;
    let data = expect_code(&get(&stub, &path, V3_ITEM)?, 200, 0)?;
    expect(
        data["listenersStatus"]["127.0.0.1"].is_null(),
        data.to_string(),
    )
}

fn compare_and_set() -> Result<(), String> {
    let stub = NacosStub::start(NacosSettings::default())?;
    let publish = |path: &str, item: &str, expected: &str, content: &str| {
        let headers = format!("{FORM}casMd5: {expected}\r\n");
        let body = format!("{item}&content={content}");
        fetch(&Address::Port(stub.port()), "POST", path, &headers, &body)
    };
    for (path, item) in [(V1, ITEM), (V3_ADMIN, V3_ITEM)] {
        stub.configure(|settings| settings.compare_and_set = CompareAndSet::Status500);
        let one = stub.publish("", GROUP, "a.conf", "one");
        expect_code(&publish(path, item, "other", "two")?, 500, 20_005)?;
        let answer = publish(path, item, &one, "two")?;
        expect(answer.code() == 200, format!("{answer:?}"))?;
        stub.configure(|settings| settings.compare_and_set = CompareAndSet::Status200);
        let answer = publish(path, item, &one, "three")?;
        match path {
            V1 => expect_text(&answer, 200, "false")?,
            _ => drop(expect_code(&answer, 200, 20_005)?),
        }
        let stored = || stub.text("", GROUP, "a.conf");
        expect(
            stored().as_deref() == Some("two"),
            format!("{:?}", stored()),
        )?;
        stub.configure(|settings| settings.compare_and_set = CompareAndSet::Ignored);
        let answer = publish(path, item, &one, "three")?;
        expect(answer.code() == 200, format!("{answer:?}"))?;
        expect(
            stored().as_deref() == Some("three"),
            format!("{:?}", stored()),
        )?;
    }
    Ok(())
}

const LOGINS: [&str; 3] = [
    "/nacos/v3/auth/user/login",
    "/nacos/v1/auth/login",
    "/nacos/v1/auth/users/login",
];

fn login(stub: &NacosStub) -> Result<String, String> {
    let answer = ask(stub, "POST", LOGINS[0], "username=nacos&password=secret")?;
    let body = json(&answer);
    let token = body["accessToken"]
        .as_str()
        .or(body["data"]["accessToken"].as_str());
    token.map(str::to_owned).ok_or(format!("{answer:?} {body}"))
}

fn with_account() -> Result<NacosStub, String> {
    let stub = stub_for_clients(NacosSettings {
        account: Some(("nacos", "secret")),
        ..NacosSettings::default()
    })?;
    stub.publish("", GROUP, "a.conf", "one");
    Ok(stub)
}

fn logins_and_tokens() -> Result<(), String> {
    let stub = with_account()?;
    for path in LOGINS {
        let good = json(&ask(&stub, "POST", path, "username=nacos&password=secret")?);
        expect(
            good["accessToken"].is_string() && good["tokenTtl"] == 18_000,
            good.to_string(),
        )?;
        let bad = ask(&stub, "POST", path, "username=nacos&password=wrong")?;
        expect_text(&bad, 403, "unknown user!")?;
    }
    stub.configure(|settings| settings.login_is_enveloped = true);
    let query = "?username=nacos&password=secret";
    let enveloped = ask(&stub, "POST", &format!("{}{query}", LOGINS[0]), "")?;
    let data = expect_code(&enveloped, 200, 0)?;
    expect(data["accessToken"].is_string(), data.to_string())?;
    // A token ends; a listener that waits does not.
    let reads = |token: &str| get(&stub, V1, &format!("{ITEM}&accessToken={token}"));
    stub.configure(|settings| settings.token_ttl = Duration::from_secs(600));
    let token = login(&stub)?;
    expect_text(&reads(&token)?, 200, "one")?;
    let record = format!("a.conf\u{2}{GROUP}\u{2}{}\u{1}", md5_of("one"));
    let listener = listen(
        &stub,
        &format!("{HOLD}Authorization: Bearer {token}\r\n"),
        &record,
    );
    stub.wait_for_listeners(1)?;
    stub.revoke_tokens();
    expect(reads(&token)?.code() == 403, "revoked")?;
    stub.configure(|settings| settings.token_ttl = Duration::from_millis(300));
    let token = login(&stub)?;
    wait_for("the token ends", LIMIT, || {
        reads(&token).is_ok_and(|answer| answer.code() == 403)
    })?;
    stub.publish("", GROUP, "a.conf", "two");
    expect_text(&later(listener)?, 200, "a.conf%02DEFAULT_GROUP%01\n")
}

fn rights() -> Result<(), String> {
    let stub = with_account()?;
    let token = login(&stub)?;
    let address = Address::Port(stub.port());
    let code = |path: &str, query: &str, headers: &str| -> Result<u16, String> {
        let path = format!("{path}?{query}");
        fetch(&address, "GET", &path, headers, "").map(|answer| answer.code())
    };
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let (v1_field, v3_field) = (
        format!("{ITEM}&accessToken={token}"),
        format!("{V3_ITEM}&accessToken={token}"),
    );
    let password = format!("{ITEM}&username=nacos&password=secret");
    expect(code(V1, ITEM, "")? == 403, "v1 without a token")?;
    expect(code(V3_CLIENT, V3_ITEM, "")? == 401, "v3 without a token")?;
    let refused = get(&stub, V3_ADMIN, V3_ITEM)?;
    expect_code(&refused, 401, 403)?;
    let refused = json(&get(&stub, V1, ITEM)?);
    expect(
        refused["status"] == 403 && refused["path"] == V1,
        refused.to_string(),
    )?;
    for (path, item, field) in [(V1, ITEM, &v1_field), (V3_ADMIN, V3_ITEM, &v3_field)] {
        expect(code(path, item, &bearer)? == 200, format!("{path}: header"))?;
        expect(code(path, field, "")? == 200, format!("{path}: field"))?;
    }
    // A header of its own is no place for a token.
    let header = format!("accessToken: {token}\r\n");
    expect(code(V1, ITEM, &header)? == 403, "a header accessToken")?;
    let form = format!("{ITEM}&content=two&accessToken={token}");
    expect_text(&ask(&stub, "POST", V1, &form)?, 200, "true")?;
    expect(code(V1, &password, "")? == 403, "a password without login")?;
    stub.configure(|settings| settings.accepts_password = true);
    expect(
        code(V1, &password, "")? == 200,
        "a password in each request",
    )?;
    stub.configure(|settings| settings.accepts_bearer = false);
    expect(code(V1, ITEM, &bearer)? == 403, "no bearer")?;
    stub.configure(|settings| settings.accepts_token_field = false);
    expect(code(V1, &v1_field, "")? == 403, "no field")?;
    stub.configure(|settings| settings.is_v3_client_open = true);
    expect(code(V3_CLIENT, V3_ITEM, "")? == 200, "open to clients")?;
    expect(code(V3_ADMIN, V3_ITEM, "")? == 401, "closed to others")
}

fn families() -> Result<(), String> {
    let stub = NacosStub::start(NacosSettings::default())?;
    for (families, there, missing) in [
        (Families::V1, V1, V3_CLIENT),
        (Families::V3, V3_CLIENT, V1),
        (Families::Both, V1, "/nacos/v2/cs/config"),
    ] {
        stub.configure(|settings| settings.families = families);
        let answer = get(&stub, there, &format!("{ITEM}&groupName={GROUP}"))?;
        expect(!answer.body.is_empty(), format!("{families:?}: {answer:?}"))?;
        for (page, body) in [
            (MissingPage::Empty, ""),
            (MissingPage::Json, "\"message\":\"resource not found\""),
            (MissingPage::Html, "<html>"),
        ] {
            stub.configure(|settings| settings.missing_page = page);
            let answer = get(&stub, missing, ITEM)?;
            let found = text(&answer);
            let is_so = answer.code() == 404 && found.contains(body);
            expect(
                is_so && found.is_empty() == body.is_empty(),
                format!("{page:?}: {answer:?} {found}"),
            )?;
        }
    }
    stub.configure(|settings| settings.missing_paths = vec![LOGINS[0], LOGINS[1]]);
    let codes: Result<Vec<u16>, String> = LOGINS
        .iter()
        .map(|path| ask(&stub, "POST", path, "").map(|answer| answer.code()))
        .collect();
    expect(codes == Ok(vec![404, 404, 200]), format!("{codes:?}"))
}

fn replaced_answers() -> Result<(), String> {
    let stub = NacosStub::start(NacosSettings::default())?;
    let md5 = stub.publish("", GROUP, "a.conf", "one");
    stub.fail_next(2, Fault::Status(503));
    stub.fail_next_to("/v3/", 1, Fault::Status(401));
    let code = |path: &str| get(&stub, path, &format!("{ITEM}&groupName={GROUP}"));
    let codes = [
        code(V1)?.code(),
        code(V1)?.code(),
        code(V1)?.code(),
        code(V3_CLIENT)?.code(),
        code(V3_CLIENT)?.code(),
    ];
    expect(codes == [503, 503, 200, 401, 200], format!("{codes:?}"))?;
    stub.fail_next(1, Fault::Html);
    let page = code(V1)?;
    expect(
        page.code() == 200 && text(&page).starts_with("<html>"),
        format!("{page:?}"),
    )?;
    stub.fail_next(2, Fault::WrongMd5);
    let wrong = code(V1)?;
    let header = wrong.header("content-md5");
    expect(
        text(&wrong) == "one" && header.is_some_and(|wrong| wrong.len() == 32 && wrong != md5),
        format!("{wrong:?}"),
    )?;
    let wrong = expect_code(&code(V3_CLIENT)?, 200, 0)?;
    expect(
        wrong["content"] == "one" && wrong["md5"] != md5,
        wrong.to_string(),
    )?;
    stub.fail_next(1, Fault::BodyOf(3 << 20));
    expect(code(V1)?.body.len() == 3 << 20, "a long body")?;
    stub.fail_next(1, Fault::Delay(Duration::from_millis(50)));
    expect_text(&code(V1)?, 200, "one")?;
    // A request that fails has no effect.
    stub.fail_next(1, Fault::Status(500));
    let answer = ask(&stub, "POST", V1, &format!("{ITEM}&content=two"))?;
    expect(answer.code() == 500, format!("{answer:?}"))?;
    expect(
        stub.text("", GROUP, "a.conf").as_deref() == Some("one"),
        "no effect",
    )?;
    stub.fail_next(5, Fault::Status(429));
    stub.clear_faults();
    expect_text(&code(V1)?, 200, "one")
}

/// Sends a read over a connection of its own, and reads until its end. The result says how it ended.
fn raw_read(stub: &NacosStub) -> Result<(Vec<u8>, std::io::Result<usize>), String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", stub.port()))
        .map_err(|error| error.to_string())?;
    let limit = stream.set_read_timeout(Some(LIMIT));
    limit.map_err(|error| error.to_string())?;
    write!(
        stream,
        "GET {V1}?{ITEM} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    let mut reader = stream.take(1 << 20);
    let end = reader.read_to_end(&mut found);
    Ok((found, end))
}

fn broken_connections() -> Result<(), String> {
    let mut stub = NacosStub::start(NacosSettings::default())?;
    stub.publish("", GROUP, "a.conf", &"x".repeat(1000));
    stub.fail_next(1, Fault::Truncated);
    let (found, end) = raw_read(&stub)?;
    let found = String::from_utf8_lossy(&found).into_owned();
    let (head, body) = found.split_once("\r\n\r\n").ok_or("no head")?;
    expect(
        end.is_ok() && head.contains("Content-Length: 1000") && body.len() == 500,
        format!("{end:?} {found}"),
    )?;
    stub.fail_next(1, Fault::Reset);
    let (found, end) = raw_read(&stub)?;
    let kind = end.as_ref().err().map(std::io::Error::kind);
    expect(
        kind == Some(std::io::ErrorKind::ConnectionReset) && found.len() < 1000,
        format!("{end:?} {} bytes", found.len()),
    )?;
    stub.fail_next(1, Fault::EndlessBody);
    let (found, end) = raw_read(&stub)?;
    expect(
        found.len() == 1 << 20,
        format!("{end:?} {} bytes", found.len()),
    )?;
    // No answer, until the server stops. So does a delay.
    for fault in [Fault::BlackHole, Fault::Delay(Duration::from_secs(600))] {
        stub.clear_requests();
        stub.fail_next(1, fault);
        let address = Address::Port(stub.port());
        let path = format!("{V1}?{ITEM}");
        let reader = std::thread::spawn(move || fetch(&address, "GET", &path, "", ""));
        stub.wait_for("the request", |requests| requests.len() == 1)?;
        expect(!reader.is_finished(), "answered")?;
        stub.stop();
        let result = reader.join().map_err(|_| "the thread ended")?;
        expect(result.is_err(), format!("{result:?}"))?;
        let status = stub.requests().first().map(|request| request.status);
        expect(status == Some(None), format!("{status:?}"))?;
        stub.restart()?;
    }
    expect(get(&stub, V1, ITEM)?.code() == 200, "as before")
}

fn restarts() -> Result<(), String> {
    let mut stub = stub_for_clients(NacosSettings::default())?;
    let port = stub.port();
    let md5 = stub.publish("", GROUP, "a.conf", "one");
    let listener = listen(&stub, HOLD, &format!("a.conf\u{2}{GROUP}\u{2}{md5}\u{1}"));
    stub.wait_for_listeners(1)?;
    stub.stop();
    expect(later(listener).is_err(), "the listener is cut off")?;
    expect(stub.waiting() == 0, "nobody waits")?;
    let refused = Connection::open(&Address::Port(port)).err();
    let kind = refused.as_ref().map(std::io::Error::kind);
    expect(
        kind == Some(std::io::ErrorKind::ConnectionRefused),
        format!("{refused:?}"),
    )?;
    // A change while the server is away.
    stub.publish("", GROUP, "a.conf", "two");
    stub.restart()?;
    expect(stub.port() == port, "the same port")?;
    expect_text(&get(&stub, V1, ITEM)?, 200, "two")?;
    stub.restart_empty()?;
    expect(stub.port() == port, "the same port")?;
    expect_text(&get(&stub, V1, ITEM)?, 404, "config data not exist")?;
    // The record goes on.
    let statuses: Vec<_> = stub
        .requests()
        .iter()
        .map(|request| request.status)
        .collect();
    expect(
        statuses == [None, Some(200), Some(404)],
        format!("{statuses:?}"),
    )
}

fn connections() -> Result<(), String> {
    let stub = NacosStub::start(NacosSettings::default())?;
    stub.publish("", GROUP, "a.conf", "one");
    let mut connection =
        Connection::open(&Address::Port(stub.port())).map_err(|error| error.to_string())?;
    let mut exchange = |request: &str| -> Result<Answer, String> {
        connection
            .send(request.as_bytes())
            .map_err(|error| error.to_string())?;
        let answer = connection.answer().map_err(|error| error.to_string())?;
        answer.ok_or(format!("no answer to {request}"))
    };
    // Several requests over one connection, one of them in chunks, and the last ends it.
    let read = format!("GET {V1}?{ITEM} HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_text(&exchange(&read)?, 200, "one")?;
    let chunked = format!(
        "POST {V1}?{ITEM} HTTP/1.1\r\nHost: x\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n\
         8\r\ncontent=\r\n3\r\ntwo\r\n0\r\n\r\n"
    );
    expect_text(&exchange(&chunked)?, 200, "true")?;
    let last = read.replace("Host: x", "Host: x\r\nConnection: close");
    let answer = exchange(&last)?;
    expect_text(&answer, 200, "two")?;
    expect(
        answer.header("connection") == Some("close"),
        format!("{answer:?}"),
    )?;
    expect(connection.is_closed_within(LIMIT), "closed")?;
    // The record has the bytes.
    let requests = stub.requests_to("POST", V1);
    let request = requests.first().ok_or("recorded")?;
    expect(
        request.query == ITEM
            && request.text() == "content=two"
            && request.header("host") == Some("x")
            && request.status == Some(200),
        format!("{request:?}"),
    )
}

fn by_hand() -> Result<(), String> {
    let (place, marked) = (TempDir::new()?, Marked::new());
    let me = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = marked.command(&me, place.path());
    let out = std::fs::File::create(place.join("out")).map_err(|error| error.to_string())?;
    command.args(["test_child", "nacos", "0", "nacos", "secret"]);
    let mut child = command
        .stdout(out)
        .spawn()
        .map_err(|error| error.to_string())?;
    let address = || place.read("out").trim().to_owned();
    let started = wait_for("its address", LIMIT, || !address().is_empty());
    let port = address()
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    let checked = started.and_then(|()| {
        let port = Address::Port(port.ok_or("no port")?);
        let answer = fetch(&port, "GET", &format!("{V1}?{ITEM}"), "", "")?;
        expect(answer.code() == 403, format!("{answer:?}"))
    });
    drop(child.kill());
    drop(child.wait());
    checked
}
