//! Cesi's REST v2 with the reference and our daemon as nodes.

use serde_json::{Value, json};

use crate::fleet_nodes::RealNode;
use crate::hub_process::{HubClient, HubProcess, free_port, text};
use crate::support::daemon::{Side, oracle};
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let test = |name: &str, run: fn() -> Result<(), String>| {
        Trial::new(format!("rest_v2::{name}"), move || {
            run().map(|()| Outcome::Passed)
        })
    };
    vec![
        test("c06_c10_every_path_with_our_daemon", || {
            every_path(Side::Ours)
        }),
        Trial::new(
            "rest_v2::c06_c10_every_path_with_the_reference",
            || match oracle() {
                Some(_) => every_path(Side::Reference).map(|()| Outcome::Passed),
                None => Ok(Outcome::Skipped(
                    "no reference (SUPERVISOR_ORACLE)".to_owned(),
                )),
            },
        ),
        test("c03_c05_logins_sessions_and_passwords", logins),
        test("c04_users", users),
        test("c11_the_activity_log", activity),
    ]
}

/// Settings with a node, a dead node, and an admin whose password nobody knows.
pub(crate) fn settings(node: &RealNode) -> Result<String, String> {
    let dead = free_port()?;
    Ok(format!(
        "[cesi]\nadmin_password = 's3cret'\n@hub\npoll_interval = 0.5\n\
         [[nodes]]\nname = 'node1'\nenvironment = 'eu'\nhost = '127.0.0.1'\nport = '{}'\nusername = 'hub'\npassword = 'secret'\n\
         [[nodes]]\nname = 'dead'\nenvironment = ''\nhost = '127.0.0.1'\nport = {dead}\nusername = ''\npassword = ''\n",
        node.port
    ))
}

/// The members of an object, in order.
fn keys(value: &Value) -> Vec<&str> {
    let members = value
        .as_object()
        .into_iter()
        .flat_map(|members| members.keys());
    members.map(String::as_str).collect()
}

fn expect_equal(found: &Value, expected: &Value) -> Result<(), String> {
    expect(found == expected, format!("{found} instead of {expected}"))
}

const OFF: &str = "/api/v2/nodes/node1/processes/grp:off";

fn every_path(side: Side) -> Result<(), String> {
    let node = RealNode::start(side)?;
    let hub = HubProcess::start(&settings(&node)?)?;
    let admin = hub.login("admin", "s3cret")?;
    let first = admin.wait("/api/v2/nodes/node1/", |node| {
        let processes = node["node"]["processes"].as_array().into_iter().flatten();
        let states = processes.map(|process| (&process["name"], &process["statename"]));
        let states: Vec<_> = states.collect();
        states.contains(&(&json!("web"), &json!("RUNNING")))
            && states.contains(&(&json!("job"), &json!("EXITED")))
    })?;
    expect_equal(
        &first["node"]["general"],
        &json!({"connected": true, "environment": "eu", "name": "node1"}),
    )?;
    readers(&admin)?;
    actions(&admin)?;
    groups(&admin)?;
    logs(&admin)
}

fn readers(admin: &HubClient) -> Result<(), String> {
    let dead = admin.wait("/api/v2/nodes/dead/", |dead| {
        dead["node"]["general"]["state"] == "unreachable"
    })?;
    let general = &dead["node"]["general"];
    expect(
        general["connected"] == false && general["reason"] != "",
        dead.to_string(),
    )?;
    expect_equal(&dead["node"]["processes"], &json!([]))?;
    let nodes = admin.get("/api/v2/nodes/")?;
    expect(
        nodes["nodes"].as_array().map(Vec::len) == Some(2),
        nodes.to_string(),
    )?;
    let web = admin.get("/api/v2/nodes/node1/processes/grp:web/")?;
    let expected = "description exitstatus group logfile name now now_hr pid spawnerr start start_hr state statename \
                    stderr_logfile stdout_logfile stop stop_hr uptime";
    expect(keys(&web["process"]).join(" ") == expected, web.to_string())?;
    let uptime = web["process"]["uptime"].as_str().unwrap_or_default();
    expect(uptime.starts_with("0:0"), web.to_string())?;
    let off = admin.get(&format!("{OFF}/"))?;
    expect_equal(&off["process"]["uptime"], &json!(0))?;
    let all = admin.get("/api/v2/nodes/node1/processes/")?;
    expect(
        all["processes"].as_array().map(Vec::len) == Some(4),
        all.to_string(),
    )?;
    for (path, status, message) in [
        ("nodes/nope/", 400, "Wrong node name"),
        ("nodes/nope/processes/", 400, "Wrong node name"),
        ("nodes/dead/processes/", 400, "Node is not connected"),
        (
            "nodes/dead/all-processes/stop/",
            400,
            "Node is not connected",
        ),
        ("nodes/node1/processes/web/", 400, "Wrong process name"),
        ("nodes/node1/processes/grp:nope/", 400, "Wrong process name"),
        (
            "nodes/node1/processes/grp:nope/log/",
            400,
            "Wrong process name",
        ),
        (
            "nope/",
            404,
            "The requested URL was not found on the server.",
        ),
    ] {
        admin.expect(("GET", &format!("/api/v2/{path}"), ""), status, message)?;
    }
    let moved = admin.send("GET", "/api/v2/nodes/node1?x=1", "")?;
    let location = moved.header("location");
    let is_moved = moved.code() == 308 && location == Some("/api/v2/nodes/node1/?x=1");
    expect(is_moved, format!("{:?} {location:?}", moved.status))
}

fn actions(admin: &HubClient) -> Result<(), String> {
    for (action, status, message) in [
        ("start", 200, "node1 grp:off start event succesfully"),
        ("start", 500, "ALREADY_STARTED: grp:off"),
        ("restart", 200, "node1 grp:off restart event succesfully"),
        ("stop", 200, "node1 grp:off stop event succesfully"),
        ("stop", 500, "NOT_RUNNING: grp:off"),
        ("restart", 200, "node1 grp:off restart event succesfully"),
    ] {
        admin.expect(("GET", &format!("{OFF}/{action}/"), ""), status, message)?;
    }
    admin.wait(&format!("{OFF}/"), |off| {
        off["process"]["statename"] == "RUNNING"
    })?;
    admin.expect(("POST", &format!("{OFF}/stop/"), ""), 200, "stop event")?;
    for (name, message) in [("nope", "BAD_NAME: nope"), ("none:none", "NO_FILE")] {
        let path = format!("/api/v2/nodes/node1/processes/{name}/start/");
        admin.expect(("GET", &path, ""), 500, message)?;
    }
    let path = "/api/v2/nodes/node1/all-processes";
    admin.wait(&format!("{OFF}/"), |off| {
        off["process"]["statename"] == "STOPPED"
    })?;
    let started = admin.expect(("GET", &format!("{path}/start/"), ""), 200, "ok")?;
    let result = |name: &str| {
        let results = started["results"].as_array().into_iter().flatten();
        let found = results.clone().find(|result| result["name"] == name);
        found.map(|result| result["status"].clone())
    };
    expect(
        result("grp:off") == Some(json!("success")),
        started.to_string(),
    )?;
    expect(
        result("none:none") == Some(json!("error")),
        started.to_string(),
    )?;
    expect(result("grp:web").is_none(), started.to_string())?;
    admin.expect(("POST", &format!("{path}/restart/"), ""), 200, "ok")?;
    admin.expect(("GET", &format!("{path}/stop/"), ""), 200, "ok")?;
    admin.wait("/api/v2/nodes/node1/processes/", |all| {
        let mut processes = all["processes"].as_array().into_iter().flatten();
        !processes.any(|process| process["statename"] == "RUNNING")
    })?;
    Ok(())
}

fn groups(admin: &HubClient) -> Result<(), String> {
    let grp = json!({"environments": [{"members": ["node1"], "name": "eu"}], "name": "grp"});
    let groups = admin.get("/api/v2/groups/")?;
    let listed = groups["groups"]
        .as_array()
        .is_some_and(|list| list.contains(&grp));
    expect(listed, groups.to_string())?;
    expect_equal(&admin.get("/api/v2/groups/grp/")?["group"], &json!([grp]))?;
    let result = admin.get("/api/v2/groups/grp/node/node1/")?;
    let members = result["result"]["node1"].as_array().ok_or("no list")?;
    expect(members.len() == 2, result.to_string())?;
    expect(
        members[0]["node"] == "node1" && members[0]["environment"] == "eu",
        result.to_string(),
    )?;
    for (path, message) in [
        ("groups/nope/", "Wrong group name"),
        ("groups/nope/node/node1/", "Wrong group name"),
        ("groups/grp/node/nope/", "Wrong node name"),
    ] {
        admin.expect(("GET", &format!("/api/v2/{path}"), ""), 400, message)?;
    }
    let environments = admin.get("/api/v2/environments/")?;
    let names: Vec<&Value> = environments["environments"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|environment| &environment["name"])
        .collect();
    expect(
        names == [&json!("eu"), &json!("")],
        environments.to_string(),
    )
}

fn logs(admin: &HubClient) -> Result<(), String> {
    let path = "/api/v2/nodes/node1/processes/grp:web/log/";
    let logs = admin.get(path)?;
    // The log has lines of each start. The first and the last one are cut off.
    let stdout = logs["logs"]["stdout"].as_array().ok_or("no list")?;
    expect(
        stdout.iter().all(|line| line == "hello from web"),
        logs.to_string(),
    )?;
    expect_equal(&logs["logs"]["stderr"], &json!([]))
}

fn logins() -> Result<(), String> {
    let mut hub = HubProcess::start("@hub\n")?;
    let (anybody, login) = (hub.client(), "/api/v2/auth/login/");
    anybody.expect(("GET", "/api/v2/nodes/", ""), 401, "Session expired")?;
    for (body, status, message) in [
        (
            "{}",
            400,
            "Please enter valid value for 'username,password' fields",
        ),
        (
            r#"{"username":"admin"}"#,
            400,
            "Please enter valid value for 'password' fields",
        ),
        (
            r#"{"username":"admin","password":"x"}"#,
            403,
            "Invalid username/password",
        ),
        (
            r#"{"username":"nobody","password":"x"}"#,
            403,
            "Invalid username/password",
        ),
        (
            r#"{"username":"admin","password":"admin"}"#,
            200,
            "Valid username/password",
        ),
    ] {
        anybody.expect(("POST", login, body), status, message)?;
    }
    let form = anybody.with("Content-Type", "application/x-www-form-urlencoded");
    form.expect(
        ("POST", login, "username=admin&password=admin"),
        400,
        "'username,password'",
    )?;
    let answer = anybody.send("POST", login, r#"{"username":"admin","password":"admin"}"#)?;
    let cookie = answer.header("set-cookie").unwrap_or_default();
    let has = |part: &str| cookie.contains(part);
    expect(
        has("HttpOnly") && has("SameSite=Strict") && has("Path=/") && !has("Secure"),
        cookie,
    )?;
    let (admin, other) = (hub.login("admin", "admin")?, hub.login("admin", "admin")?);
    let profile = admin.get("/api/v2/profile/")?;
    expect_equal(
        &profile,
        &json!({"status": "success", "user": {"name": "admin", "type": 0}}),
    )?;
    // Nothing can be done with the default password.
    let new_user = r#"{"username":"bob","password":"b","usertype":1}"#;
    admin.expect(("POST", "/api/v2/users/", new_user), 403, "password")?;
    admin.expect(("DELETE", "/api/v2/activitylogs/", ""), 403, "password")?;
    admin.get("/api/v2/users/")?;
    let password = "/api/v2/profile/password/";
    for (body, status, message) in [
        ("{}", 400, "'oldPassword,newPassword'"),
        (
            r#"{"oldPassword":"x","newPassword":"y"}"#,
            400,
            "Old password is wrong",
        ),
        (
            r#"{"oldPassword":"admin","newPassword":"admin"}"#,
            400,
            "Everybody knows",
        ),
        (r#"{"oldPassword":"admin","newPassword":"n3w"}"#, 200, ""),
    ] {
        admin.expect(("PUT", password, body), status, message)?;
    }
    // All other sessions have ended.
    other.expect(("GET", "/api/v2/profile/", ""), 401, "Session expired")?;
    admin.expect(("POST", "/api/v2/users/", new_user), 200, "User added")?;
    expect(
        hub.login("admin", "admin").is_err(),
        "the old password works",
    )?;
    // Sessions outlive a restart, and only their digests are stored.
    expect(hub.stop()? == 0, "the exit status is not 0")?;
    let stored = hub.place.read("sessions.json") + &hub.place.read("users.json");
    let secret = cookie.split(['=', ';']).nth(1).unwrap_or("=");
    expect(
        !stored.contains(secret) && !stored.contains("n3w"),
        "a secret is stored",
    )?;
    hub.restart()?;
    admin.get("/api/v2/profile/")?;
    admin.expect(("POST", "/api/v2/auth/logout/", ""), 200, "Logout")?;
    admin.expect(
        ("POST", "/api/v2/auth/logout/", ""),
        403,
        "You haven't already entered",
    )?;
    admin.expect(("GET", "/api/v2/profile/", ""), 401, "Session expired")?;
    Ok(())
}

fn users() -> Result<(), String> {
    let hub =
        HubProcess::start("[cesi]\nadmin_username = 'root1'\nadmin_password = 's3cret'\n@hub\n")?;
    let admin = hub.login("root1", "s3cret")?;
    let path = "/api/v2/users/";
    for (body, status, message) in [
        (
            r#"{"username":"bob"}"#,
            400,
            "Please enter valid value for 'password,usertype' fields",
        ),
        (
            r#"{"username":"bob","password":"b","usertype":"1"}"#,
            200,
            "User added",
        ),
        (
            r#"{"username":"bob","password":"c","usertype":1}"#,
            400,
            "'bob' username is not available. Please select different username",
        ),
        (
            r#"{"username":"eve","password":"e","usertype":2}"#,
            200,
            "User added",
        ),
        (
            r#"{"username":"x","password":"e","usertype":7}"#,
            400,
            "'usertype'",
        ),
        (
            r#"{"username":"admin","password":"e","usertype":0}"#,
            200,
            "User added",
        ),
    ] {
        admin.expect(("POST", path, body), status, message)?;
    }
    let listed = admin.get(path)?;
    let expected = json!([
        {"name": "admin", "type": 0},
        {"name": "bob", "type": 1},
        {"name": "eve", "type": 2},
        {"name": "root1", "type": 0},
    ]);
    expect_equal(&listed["users"], &expected)?;
    let bob = hub.login("bob", "b")?;
    for path in ["/api/v2/users/", "/api/v2/groups/"] {
        bob.expect(("GET", path, ""), 403, "not authorized")?;
    }
    bob.expect(("DELETE", "/api/v2/users/eve/", ""), 403, "not authorized")?;
    admin.expect(
        ("DELETE", "/api/v2/users/admin/", ""),
        403,
        "Admin can't be deleted",
    )?;
    admin.expect(
        ("DELETE", "/api/v2/users/nope/", ""),
        404,
        "The requested URL was not found",
    )?;
    admin.expect(("DELETE", "/api/v2/users/bob/", ""), 200, "")?;
    // With the user the sessions end.
    bob.expect(("GET", "/api/v2/profile/", ""), 401, "Session expired")?;
    Ok(())
}

fn activity() -> Result<(), String> {
    let mut hub = HubProcess::start("[cesi]\nadmin_password = 's3cret'\n@hub\n")?;
    let admin = hub.login("admin", "s3cret")?;
    let body = r#"{"username":"bo\nb","password":"b","usertype":1}"#;
    admin.expect(("POST", "/api/v2/users/", body), 400, "'username'")?;
    let body = r#"{"username":"bob","password":"b","usertype":1}"#;
    admin.expect(("POST", "/api/v2/users/", body), 200, "User added")?;
    let logs = admin.get("/api/v2/activitylogs/")?;
    let lines: Vec<&str> = logs["logs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let texts: Vec<&str> = lines
        .iter()
        .filter_map(|line| Some(line.split_once(" [")?.1))
        .collect();
    expect(
        texts
            == [
                "INFO]: 'bob' user added by 'admin' user.\n",
                "INFO]: admin logged in.\n",
            ],
        format!("{lines:?}"),
    )?;
    let one = admin.get("/api/v2/activitylogs/1/")?;
    expect(
        one["logs"].as_array().map(Vec::len) == Some(1),
        one.to_string(),
    )?;
    admin.expect(
        ("GET", "/api/v2/activitylogs/x/", ""),
        404,
        "The requested URL was not found",
    )?;
    // The log outlives a restart.
    hub.stop()?;
    let file = hub.place.read("activity.log");
    let records = file.lines().map(serde_json::from_str::<Value>);
    let last = records.rev().find_map(Result::ok).ok_or("no record")?;
    expect(
        last["user"] == "admin" && last["address"] == "127.0.0.1" && last["result"] == "ok",
        file,
    )?;
    hub.restart()?;
    let again = admin.get("/api/v2/activitylogs/")?;
    expect_equal(&again["logs"], &logs["logs"])?;
    let bob = hub.login("bob", "b")?;
    bob.expect(
        ("DELETE", "/api/v2/activitylogs/", ""),
        403,
        "not authorized",
    )?;
    admin.expect(("DELETE", "/api/v2/activitylogs/", ""), 200, "")?;
    let answer = admin.send("GET", "/api/v2/activitylogs/", "")?;
    expect(
        text(&answer).contains("admin cleared the activity log."),
        text(&answer),
    )?;
    let left = admin.get("/api/v2/activitylogs/")?;
    expect(
        left["logs"].as_array().map(Vec::len) == Some(1),
        left.to_string(),
    )
}
