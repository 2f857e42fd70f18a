//! The pages of the hub without a browser: who may do what, forms and their tokens, addresses below a path, and headers.

use std::io::Read as _;

use serde_json::json;

use crate::fleet_nodes::RealNode;
use crate::hub_process::{HubClient, HubProcess, text};
use crate::rest_v2::settings;
use crate::support::daemon::Side;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Answer;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let test = |name: &str, run: fn() -> Result<(), String>| {
        Trial::new(format!("page_forms::{name}"), move || {
            run().map(|()| Outcome::Passed)
        })
    };
    vec![
        test(
            "c02_c05_the_default_password_must_be_changed",
            default_password,
        ),
        test("c12_every_page_of_cesi_is_there", cesi_pages),
        test("c16_roles_and_limits_are_enforced", roles),
        test("c16_forms_need_their_token", tokens),
        test("c22_pages_work_below_a_path", below_a_path),
        test("many_hosts_are_listed", many_hosts),
    ]
}

fn location(answer: &Answer) -> &str {
    answer.header("location").unwrap_or_default()
}

/// Logs in by the form.
fn log_in(hub: &HubProcess, user: &str, password: &str) -> Result<(HubClient, Answer), String> {
    let form = [("username", user), ("password", password), ("back", "")];
    let answer = hub.client().post("/login/", &form)?;
    let cookie = answer.header("set-cookie").unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    expect(answer.code() == 303, text(&answer))?;
    Ok((hub.client().with("Cookie", &cookie), answer))
}

fn default_password() -> Result<(), String> {
    let node = RealNode::start(Side::Ours)?;
    let config = settings(&node)?.replace("admin_password = 's3cret'", "");
    let hub = HubProcess::start(&config)?;
    // Who has not logged in is led to the form, and from there to where they wanted to go.
    let guest = hub.client().with("Accept", "text/html");
    let answer = guest.send("GET", "/groups/?filter=a%20b", "")?;
    expect(
        answer.code() == 303 && location(&answer) == "./../login/?back=groups/%3Ffilter%3Da%2520b",
        format!("{answer:?}"),
    )?;
    let page = guest.page("/login/?back=groups/")?;
    expect(page.contains("name=\"back\" value=\"groups/\""), page)?;
    let wrong = [("username", "admin"), ("password", "x")];
    let answer = guest.post("/login/", &wrong)?;
    expect(
        answer.code() == 403 && text(&answer).contains("is wrong"),
        text(&answer),
    )?;
    let (admin, answer) = log_in(&hub, "admin", "admin")?;
    expect(location(&answer) == "./../profile/", location(&answer))?;
    admin.wait("/api/v1/nodes/node1", |node| {
        node["node"]["state"] == "connected"
    })?;
    let page = admin.page("/nodes/node1/")?;
    expect(
        page.contains("class=\"banner\"") && !page.contains("name=\"do\""),
        page,
    )?;
    let token = admin.form_token()?;
    let stop = [("token", token.as_str()), ("do", "stop grp:web")];
    let answer = admin.post("/nodes/node1/actions", &stop)?;
    expect(answer.code() == 403, text(&answer))?;
    for (old, new, again, said) in [
        ("x", "n3w", "n3w", "present password is wrong"),
        ("admin", "n3w", "other", "not the same"),
        ("admin", "admin", "admin", "Everybody knows"),
    ] {
        let form = [
            ("token", token.as_str()),
            ("old", old),
            ("new", new),
            ("again", again),
        ];
        let answer = admin.post("/profile/", &form)?;
        expect(
            answer.code() == 400 && text(&answer).contains(said),
            text(&answer),
        )?;
    }
    let form = [
        ("token", token.as_str()),
        ("old", "admin"),
        ("new", "n3w"),
        ("again", "n3w"),
    ];
    let answer = admin.post("/profile/", &form)?;
    expect(answer.code() == 303, text(&answer))?;
    let answer = admin.post("/nodes/node1/actions", &stop)?;
    expect(
        answer.code() == 303 && location(&answer).contains("message=Process%20grp%3Aweb%20stopped"),
        format!("{answer:?}"),
    )?;
    let page = admin.page("/")?;
    expect(!page.contains("class=\"banner\""), page)?;
    // After the logout the session is no session.
    let answer = admin.post("/logout/", &[("token", token.as_str())])?;
    expect(answer.code() == 303, text(&answer))?;
    let answer = admin.with("Accept", "text/html").send("GET", "/", "")?;
    expect(location(&answer) == "./login/", format!("{answer:?}"))
}

fn cesi_pages() -> Result<(), String> {
    let node = RealNode::start(Side::Ours)?;
    let hub = HubProcess::start(&settings(&node)?)?;
    let admin = hub.login("admin", "s3cret")?;
    admin.wait("/api/v1/processes?match=grp:web", |found| {
        found["processes"][0]["state"] == "RUNNING"
    })?;
    for (path, parts) in [
        (
            "/dashboard/",
            &[
                "id=\"sum-environments\"",
                "id=\"sum-hosts\"",
                "id=\"sum-processes\"",
                "id=\"newest\"",
            ][..],
        ),
        (
            "/nodes/",
            &["data-n=\"node1\"", "data-n=\"dead\"", "Connection refused"],
        ),
        (
            "/nodes/node1/",
            &[
                "value=\"stop grp:web\"",
                "value=\"start *\"",
                ">dead<",
                "processname=grp%3Aweb",
            ],
        ),
        ("/environments/", &["value=\"eu\"", "1 of 1 connected"]),
        ("/groups/", &["href=\"grp/\"", "action=\"grp/actions\""]),
        ("/groups/grp/", &["value=\"node1\"", "stop :selected"]),
        ("/processes/?filter=running", &["grp", "1 processes match"]),
        ("/users/", &["name=\"name\"", "admin"]),
        ("/activity/", &["admin logged in."]),
        ("/profile/change_password/", &["name=\"old\""]),
        ("/about/", &[supervisord::domain::VERSION]),
        ("/operations/", &[]),
    ] {
        let page = admin.page(path)?;
        for part in parts.iter().filter(|part| **part != ">dead<") {
            expect(page.contains(part), format!("{path} has no {part}: {page}"))?;
        }
    }
    let moved = admin.send("GET", "/groups", "")?;
    expect(location(&moved) == "/groups/", format!("{moved:?}"))?;
    let missing = admin
        .with("Accept", "text/html")
        .send("GET", "/nosuch", "")?;
    expect(
        missing.code() == 404 && text(&missing).contains("stylesheets/supervisor.css"),
        text(&missing),
    )?;
    let log = admin.page("/nodes/node1/tail.html?processname=grp%3Aweb")?;
    expect(log.contains("hello from web"), log)?;
    let file = admin.send(
        "GET",
        "/nodes/node1/logfile?processname=grp%3Aweb&channel=stdout",
        "",
    )?;
    expect(
        text(&file) == "hello from web\n"
            && file.header("content-disposition")
                == Some("attachment; filename=\"node1-grp_web-stdout.log\""),
        format!("{file:?}"),
    )?;
    // Its own headers, gzip, and a file that the browser keeps.
    let answer = admin.with("Accept-Encoding", "gzip").send("GET", "/", "")?;
    let mut page = String::new();
    let read = flate2::read::GzDecoder::new(&*answer.body).read_to_string(&mut page);
    let policy = answer.header("content-security-policy").unwrap_or_default();
    expect(
        read.is_ok() && page.contains("node1") && policy.starts_with("default-src 'none'"),
        format!("{:?}", answer.headers),
    )?;
    let style = admin.send("GET", "/stylesheets/supervisor.css", "")?;
    let modified = style.header("last-modified").unwrap_or_default().to_owned();
    let again = admin.with("If-Modified-Since", &modified);
    let again = again.send("GET", "/stylesheets/supervisor.css", "")?;
    expect(again.code() == 304, format!("{again:?}"))
}

fn roles() -> Result<(), String> {
    let node = RealNode::start(Side::Ours)?;
    let hub = HubProcess::start(&settings(&node)?)?;
    let (admin, _) = log_in(&hub, "admin", "s3cret")?;
    let token = admin.form_token()?;
    for (name, role, groups) in [
        ("viewer", "viewer", ""),
        ("grouped", "operator", "gr*"),
        ("gone", "operator", ""),
    ] {
        let form = [
            ("token", token.as_str()),
            ("do", "add"),
            ("name", name),
            ("password", "p4ss"),
            ("again", "p4ss"),
            ("role", role),
            ("environments", ""),
            ("groups", groups),
        ];
        let answer = admin.post("/users/", &form)?;
        expect(answer.code() == 303, text(&answer))?;
    }
    admin.wait("/api/v1/processes?match=grp:web", |found| {
        found["processes"][0]["state"] == "RUNNING"
    })?;
    let (viewer, _) = log_in(&hub, "viewer", "p4ss")?;
    let viewers = viewer.form_token()?;
    for path in [
        "/",
        "/nodes/node1/",
        "/groups/",
        "/groups/grp/",
        "/environments/",
        "/processes/",
        "/activity/",
    ] {
        let page = viewer.page(path)?;
        expect(
            !page.contains("name=\"do\"") && !page.contains("href=\"users/\""),
            format!("{path}: {page}"),
        )?;
    }
    let stop = [
        ("token", viewers.as_str()),
        ("do", "stop *"),
        ("environment", "eu"),
    ];
    for path in [
        "/nodes/node1/actions",
        "/groups/grp/actions",
        "/environments/actions",
        "/processes/actions",
        "/activity/clear",
        "/users/",
    ] {
        let answer = viewer.post(path, &stop)?;
        expect(answer.code() == 403, format!("{path}: {}", text(&answer)))?;
    }
    let answer = viewer
        .with("Accept", "text/html")
        .send("GET", "/users/", "")?;
    expect(answer.code() == 403, text(&answer))?;
    // What is outside the limits does not exist.
    let (grouped, _) = log_in(&hub, "grouped", "p4ss")?;
    let page = grouped.page("/nodes/node1/")?;
    expect(page.contains("grp:web") && !page.contains("job:job"), page)?;
    let groups = grouped.form_token()?;
    for (path, asked) in [
        ("/groups/job/actions", "stop *"),
        ("/nodes/node1/actions", "stop job:job"),
        ("/processes/actions", "stop :selected"),
    ] {
        let form = [
            ("token", groups.as_str()),
            ("do", asked),
            ("selected", "job:job\tnode1"),
        ];
        let answer = grouped.post(path, &form)?;
        let is_nothing = location(&answer).contains("no%20process%20is%20selected");
        expect(
            answer.code() == 404 || is_nothing,
            format!("{path}: {answer:?}"),
        )?;
    }
    for path in [
        "/groups/job/",
        "/nodes/node1/tail.html?processname=job%3Ajob",
        "/nodes/none/",
    ] {
        let answer = grouped.send("GET", path, "")?;
        expect(answer.code() == 404, format!("{path}: {}", text(&answer)))?;
    }
    // An operation belongs to its user, and a user who is deleted has no session.
    let form = [("token", groups.as_str()), ("do", "restart *")];
    let answer = grouped.post("/groups/grp/actions", &form)?;
    let operation = location(&answer).trim_start_matches(['.', '/']).to_owned();
    expect(operation.starts_with("operations/"), format!("{answer:?}"))?;
    wait_for("the operation has ended", LIMIT, || {
        grouped
            .page(&format!("/{operation}"))
            .is_ok_and(|page| page.contains("2 of 2 done, 0 failed"))
    })?;
    let answer = admin.send("GET", &format!("/{operation}"), "")?;
    expect(answer.code() == 404, text(&answer))?;
    let (gone, _) = log_in(&hub, "gone", "p4ss")?;
    let form = [
        ("token", token.as_str()),
        ("do", "delete"),
        ("name", "gone"),
    ];
    let answer = admin.post("/users/", &form)?;
    expect(answer.code() == 303, text(&answer))?;
    let answer = gone.with("Accept", "text/html").send("GET", "/", "")?;
    expect(location(&answer) == "./login/", format!("{answer:?}"))?;
    let form = [
        ("token", token.as_str()),
        ("do", "delete"),
        ("name", "admin"),
    ];
    let answer = admin.post("/users/", &form)?;
    expect(answer.code() == 403, text(&answer))
}

fn tokens() -> Result<(), String> {
    let node = RealNode::start(Side::Ours)?;
    let hub = HubProcess::start(&settings(&node)?)?;
    let (admin, _) = log_in(&hub, "admin", "s3cret")?;
    let (other, _) = log_in(&hub, "admin", "s3cret")?;
    admin.wait("/api/v1/processes?match=grp:web", |found| {
        found["processes"][0]["state"] == "RUNNING"
    })?;
    let token = admin.form_token()?;
    let foreign = other.form_token()?;
    let asked = ("do", "stop grp:web");
    for form in [
        &[asked][..],
        &[("token", ""), asked],
        &[("token", foreign.as_str()), asked],
    ] {
        let answer = admin.post("/nodes/node1/actions", form)?;
        expect(answer.code() == 403, text(&answer))?;
    }
    // A script of the page gets the reason, and can fetch the token.
    let script = admin.with("Accept", "application/json");
    let answer = script.post("/nodes/node1/actions", &[asked])?;
    expect(
        answer.code() == 403 && answer.header("content-type") == Some("application/json"),
        format!("{answer:?}"),
    )?;
    let form = [("token", token.as_str()), asked];
    for (name, value) in [
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "http://evil.example"),
    ] {
        let answer = admin
            .with(name, value)
            .post("/nodes/node1/actions", &form)?;
        expect(answer.code() == 403, text(&answer))?;
    }
    // The token in the address is no token of a form.
    let answer = admin.post(&format!("/nodes/node1/actions?token={token}"), &[asked])?;
    expect(answer.code() == 403, text(&answer))?;
    let state = admin.get("/api/v1/processes?match=grp:web")?;
    expect(
        state["processes"][0]["state"] == "RUNNING",
        state.to_string(),
    )?;
    let answer = script.post("/nodes/node1/actions", &form)?;
    let done: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    expect(
        done["message"] == "Process grp:web stopped" && done["failed"] == json!(false),
        done.to_string(),
    )?;
    let answer = script.post("/nodes/node1/actions", &form)?;
    expect(text(&answer).contains("NOT_RUNNING"), text(&answer))
}

fn below_a_path() -> Result<(), String> {
    let config = "[cesi]\nadmin_password = 's3cret'\n@hub\nbase_path = '/hub'\n\
                  [[nodes]]\nname = 'a/b <i>'\nenvironment = '\"><script>'\nhost = '127.0.0.1'\nport = 9\n";
    let hub = HubProcess::start(config)?;
    let admin = hub.login("admin", "s3cret")?;
    // A proxy may leave the path, or remove it. Links are the same.
    for base in ["/hub", ""] {
        let page = admin.page(&format!("{base}/nodes/"))?;
        expect(
            page.contains("href=\"../nodes/a%2Fb%20%3Ci%3E/\"")
                && page.contains("href=\"../stylesheets/supervisor.css\"")
                && !page.contains("href=\"/")
                && !page.contains("action=\"/")
                && !page.contains("<script>\"")
                && !page.contains("<i>"),
            page,
        )?;
        let page = admin.page(&format!("{base}/nodes/a%2Fb%20%3Ci%3E/"))?;
        expect(
            page.contains("a/b &lt;i&gt;") && page.contains("&quot;&gt;&lt;script&gt;"),
            page,
        )?;
        let moved = admin.send("GET", &format!("{base}/groups"), "")?;
        expect(location(&moved) == "/hub/groups/", format!("{moved:?}"))?;
    }
    let form = [("lang", "zh"), ("back", "nodes/?filter=a")];
    let answer = admin.post("/hub/language", &form)?;
    expect(
        location(&answer) == "./nodes/?filter=a",
        format!("{answer:?}"),
    )?;
    let page = admin.with("Cookie", "lang=zh").page("/hub/login/")?;
    expect(
        page.contains("lang=\"zh-CN\"") && page.contains("登录"),
        page,
    )
}

/// A thousand hosts, of which none answers.
fn many_hosts() -> Result<(), String> {
    let nodes: String = (0..1000)
        .map(|at| {
            format!(
                "[[nodes]]\nname = 'n{at:04}'\nenvironment = 'e{}'\nhost = '127.0.0.1'\nport = 9\n",
                at % 5
            )
        })
        .collect();
    let hub = HubProcess::start(&format!("[cesi]\nadmin_password = 's3cret'\n@hub\n{nodes}"))?;
    let admin = hub.login("admin", "s3cret")?;
    let page = admin.page("/")?;
    expect(
        page.matches("<tr role=\"row\" data-n=").count() == 1000,
        "rows are missing",
    )?;
    expect(page.len() < 1_000_000, format!("{} bytes", page.len()))?;
    let page = admin.page("/?filter=n099%20e4")?;
    let hidden = page.matches("hidden>").count();
    expect((998..=1002).contains(&hidden), format!("{hidden} hidden"))?;
    let page = admin.page("/environments/")?;
    expect(page.contains("of 200 connected"), page)
}
