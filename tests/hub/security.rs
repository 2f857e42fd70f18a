//! Who may do what: roles and limits, foreign pages and hosts, wrong passwords, tokens, and reverse proxies.

use serde_json::{Value, json};

use crate::fleet_nodes::RealNode;
use crate::hub_process::{HubClient, HubProcess};
use crate::rest_v2::settings;
use crate::support::daemon::Side;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let test = |name: &str, run: fn() -> Result<(), String>| {
        Trial::new(format!("security::{name}"), move || {
            run().map(|()| Outcome::Passed)
        })
    };
    vec![
        test("c16_roles_and_limits_are_enforced", roles),
        test("c16_foreign_pages_and_hosts_change_nothing", foreign),
        test("wrong_passwords_are_limited", passwords),
        test("tokens_do_what_they_may", tokens),
        test("c22_reverse_proxies", proxies),
    ]
}

fn add_user(admin: &HubClient, user: &Value) -> Result<(), String> {
    let (status, answer) = admin.json("POST", "/api/v1/users", &user.to_string())?;
    expect(status == 201, format!("{user}: {status} {answer}"))
}

fn roles() -> Result<(), String> {
    let node = RealNode::start(Side::Ours)?;
    let hub = HubProcess::start(&settings(&node)?)?;
    let admin = hub.login("admin", "s3cret")?;
    for user in [
        json!({"name": "viewer", "password": "p", "role": "viewer"}),
        json!({"name": "operator", "password": "p", "role": "operator"}),
        json!({"name": "grouped", "password": "p", "role": "operator", "limits": {"groups": ["gr*"]}}),
        json!({"name": "elsewhere", "password": "p", "role": "operator", "limits": {"environments": ["us"]}}),
    ] {
        add_user(&admin, &user)?;
    }
    admin.wait("/api/v1/nodes/node1", |node| {
        node["node"]["state"] == "connected"
    })?;
    let start = "/api/v2/nodes/node1/processes/grp:off/start/";
    let action = json!({"action": "restart", "targets": ["grp:off@node1"]}).to_string();
    let viewer = hub.login("viewer", "p")?;
    viewer.get("/api/v2/nodes/node1/")?;
    for (method, path, body) in [
        ("GET", start, ""),
        ("POST", start, ""),
        ("GET", "/api/v2/nodes/node1/all-processes/stop/", ""),
        ("POST", "/api/v1/actions", action.as_str()),
        ("DELETE", "/api/v2/activitylogs/", ""),
        ("GET", "/api/v1/users", ""),
    ] {
        viewer.expect((method, path, body), 403, "not authorized")?;
    }
    let elsewhere = hub.login("elsewhere", "p")?;
    let nodes = elsewhere.get("/api/v1/nodes")?;
    expect(nodes["nodes"] == json!([]), nodes.to_string())?;
    elsewhere.expect(("GET", start, ""), 400, "Wrong node name")?;
    elsewhere.expect(
        ("POST", "/api/v1/actions", &action),
        404,
        "no process matches",
    )?;
    let grouped = hub.login("grouped", "p")?;
    grouped.expect(("GET", start, ""), 200, "start event")?;
    for name in ["none:none", "job", "job:job"] {
        let path = format!("/api/v2/nodes/node1/processes/{name}/start/");
        grouped.expect(("GET", &path, ""), 400, "Wrong process name")?;
    }
    let seen = grouped.get("/api/v1/processes")?;
    let seen = seen["processes"].as_array().ok_or("no list")?;
    expect(
        seen.iter().all(|process| process["group"] == "grp") && seen.len() == 2,
        format!("{seen:?}"),
    )?;
    let operator = hub.login("operator", "p")?;
    let (status, done) = operator.json("POST", "/api/v1/actions", &action)?;
    let expected =
        json!({"results": [{"node": "node1", "name": "grp:off", "status": "done", "message": ""}]});
    expect(
        status == 200 && done == expected,
        format!("{status} {done}"),
    )?;
    admin.wait("/api/v1/processes?match=grp:off", |found| {
        found["processes"][0]["state"] == "RUNNING"
    })?;
    let lines = operator.with("Accept", "application/x-ndjson");
    let action = json!({"action": "stop", "targets": ["grp:*"], "max_parallel": 1}).to_string();
    let answer = lines.send("POST", "/api/v1/actions", &action)?;
    let text = crate::hub_process::text(&answer);
    expect(text.matches("\"status\":\"done\"").count() == 2, text)?;
    // A new role counts at once.
    let demotion = json!({"role": "viewer"}).to_string();
    admin.expect(("PATCH", "/api/v1/users/operator", &demotion), 200, "")?;
    operator.expect(("GET", start, ""), 403, "not authorized")?;
    let records = admin.get("/api/v1/activity?limit=1000")?;
    let records = records["records"].as_array().ok_or("no list")?;
    let has = |user: &str, event: &str, result: &str| {
        let is_it = |record: &&Value| {
            record["user"] == user && record["event"] == event && record["result"] == result
        };
        records.iter().any(|record| is_it(&record))
    };
    expect(
        has("operator", "restart", "ok") && has("viewer", "denied", "permission denied"),
        format!("{records:?}"),
    )?;
    // A limited user sees only what happened within the limits.
    let own = elsewhere.get("/api/v1/activity")?;
    let own = own["records"].as_array().ok_or("no list")?;
    expect(
        own.iter().all(|record| record["user"] == "elsewhere"),
        format!("{own:?}"),
    )
}

fn foreign() -> Result<(), String> {
    let node = RealNode::start(Side::Ours)?;
    let hub = HubProcess::start(&settings(&node)?)?;
    let admin = hub.login("admin", "s3cret")?;
    admin.wait("/api/v1/nodes/node1", |node| {
        node["node"]["state"] == "connected"
    })?;
    let start = "/api/v2/nodes/node1/processes/grp:off/start/";
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
    ] {
        let page = admin.with(name, value);
        for method in ["GET", "POST"] {
            page.expect((method, start, ""), 403, "another site")?;
        }
        page.expect(("POST", "/api/v2/auth/logout/", ""), 403, "another site")?;
        let body = r#"{"username":"admin","password":"s3cret"}"#;
        let stranger = hub.client().with(name, value);
        stranger.expect(("POST", "/api/v2/auth/login/", body), 403, "another site")?;
    }
    let off = admin.get("/api/v2/nodes/node1/processes/grp:off/")?;
    expect(off["process"]["statename"] == "STOPPED", off.to_string())?;
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example"] {
        let page = admin.with("Host", host);
        page.expect(("GET", "/api/version", ""), 421, "")?;
        page.expect(("GET", start, ""), 421, "")?;
    }
    for host in ["localhost:1", "[::1]:5000", "10.0.0.1"] {
        admin.with("Host", host).get("/api/version")?;
    }
    let own = format!("http://127.0.0.1:{}", hub.port);
    let page = admin
        .with("Origin", &own)
        .with("Sec-Fetch-Site", "same-origin");
    page.expect(("POST", start, ""), 200, "start event")?;
    Ok(())
}

fn passwords() -> Result<(), String> {
    let hub = HubProcess::start("[cesi]\nadmin_password = 's3cret'\n@hub\n")?;
    let wrong = r#"{"username":"admin","password":"x"}"#;
    let (client, login) = (hub.client(), "/api/v2/auth/login/");
    let mut codes = Vec::new();
    for _ in 0..30 {
        codes.push(client.send("POST", login, wrong)?.code());
    }
    let refused = codes.iter().filter(|code| **code == 429).count();
    // A slow machine forgets some wrong passwords meanwhile.
    expect(
        refused > 0 && codes[..10] == [403; 10],
        format!("{codes:?}"),
    )?;
    let answer = client.send("POST", login, wrong)?;
    let wait: Option<u64> = answer
        .header("retry-after")
        .and_then(|wait| wait.parse().ok());
    expect(
        answer.code() != 429 || wait.is_some_and(|wait| wait > 0),
        "no Retry-After",
    )?;
    // Others are served meanwhile.
    client.get("/api/version").map(drop)
}

fn tokens() -> Result<(), String> {
    let mut hub = HubProcess::start("[cesi]\nadmin_password = 's3cret'\n@hub\n")?;
    let admin = hub.login("admin", "s3cret")?;
    let body = json!({"name": "scrape", "role": "viewer", "expires_days": 1}).to_string();
    let (status, made) = admin.json("POST", "/api/v1/tokens", &body)?;
    let secret = made["token"].as_str().ok_or("no token")?.to_owned();
    expect(status == 201 && secret.len() == 43, made.to_string())?;
    admin.expect(
        ("POST", "/api/v1/tokens", &body),
        400,
        "another token has it",
    )?;
    let listed = admin.get("/api/v1/tokens")?;
    expect(
        !listed.to_string().contains(&secret),
        "the list has the token",
    )?;
    hub.stop()?;
    expect(
        !hub.place.read("users.json").contains(&secret),
        "the file has the token",
    )?;
    hub.restart()?;
    let script = hub
        .client()
        .with("Authorization", &format!("Bearer {secret}"));
    let session = script.get("/api/v1/session")?;
    expect(
        session["role"] == "viewer" && session["name"] == "admin",
        session.to_string(),
    )?;
    script.get("/api/v1/sd")?;
    script.expect(("GET", "/api/v2/users/", ""), 403, "not authorized")?;
    script.expect(("POST", "/api/v1/tokens", &body), 403, "a token cannot")?;
    let wrong = hub.client().with("Authorization", "Bearer x");
    wrong.expect(("GET", "/api/v1/session", ""), 401, "Session expired")?;
    let deleted = admin.send("DELETE", "/api/v1/tokens/scrape", "")?;
    expect(deleted.code() == 204, deleted.status)?;
    script.expect(("GET", "/api/v1/session", ""), 401, "Session expired")?;
    Ok(())
}

fn proxies() -> Result<(), String> {
    let settings = "[cesi]\nadmin_password = 's3cret'\n@hub\nbase_path = '/sup'\n\
                    trusted_proxies = ['127.0.0.1']\nhost_names = ['hub.example']\n";
    let hub = HubProcess::start(settings)?;
    let body = r#"{"username":"admin","password":"s3cret"}"#;
    let proxied = hub
        .client()
        .with("X-Forwarded-For", "10.9.8.7, 192.0.2.1")
        .with("X-Forwarded-Proto", "https")
        .with("X-Forwarded-Host", "hub.example")
        .with("Origin", "https://hub.example");
    let answer = proxied.send("POST", "/sup/api/v2/auth/login/", body)?;
    let cookie = answer.header("set-cookie").unwrap_or_default();
    expect(
        cookie.contains("; Secure") && cookie.contains("Path=/sup;"),
        format!("{} {cookie}", answer.status),
    )?;
    let admin = hub.login("admin", "s3cret")?;
    let moved = admin.send("GET", "/sup/api/v2/nodes", "")?;
    expect(
        moved.header("location") == Some("/sup/api/v2/nodes/"),
        format!("{moved:?}"),
    )?;
    let records = admin.get("/api/v1/activity")?;
    let has = records["records"].as_array().into_iter().flatten();
    let has = has.clone().any(|record| record["address"] == "192.0.2.1");
    expect(has, records.to_string())?;
    // The header of a user counts only from proxies that are listed for it.
    let remote = hub.client().with("X-Remote-User", "admin");
    remote.expect(("GET", "/api/v1/session", ""), 401, "Session expired")?;
    let settings = "[cesi]\nadmin_password = 's3cret'\n@hub\nremote_user_proxies = ['127.0.0.0/8']\n\
                    remote_user_role = 'viewer'\n";
    let hub = HubProcess::start(settings)?;
    for (name, role) in [("admin", "admin"), ("somebody", "viewer")] {
        let remote = hub.client().with("X-Remote-User", name);
        let session = remote.get("/api/v1/session")?;
        expect(
            session["role"] == role && session["name"] == name,
            session.to_string(),
        )?;
        let page = remote.with("Sec-Fetch-Site", "cross-site");
        page.expect(("DELETE", "/api/v2/activitylogs/", ""), 403, "another site")?;
    }
    // The events of a node that appears arrive.
    let remote = hub.client().with("X-Remote-User", "somebody");
    let mut stream = remote.open("GET", "/api/v1/events?snapshot=true", "")?;
    let head = stream.read_until(b"event: ready", LIMIT);
    expect(
        String::from_utf8_lossy(&head).contains("event: ready"),
        format!("{head:?}"),
    )?;
    hub.write(&format!(
        "{settings}[[nodes]]\nname = 'late'\nhost = '127.0.0.1'\nport = 9\n"
    ))?;
    hub.reload();
    let event = stream.read_until(b"\"name\":\"late\"", LIMIT);
    expect(
        String::from_utf8_lossy(&event).contains("event: node"),
        format!("{event:?}"),
    )
}
