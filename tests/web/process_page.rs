//! The page of one process, the page of a group, and the plan of an update: in a browser at three widths and in both languages,
//! without scripts, and for a visitor who may only look.

use std::os::unix::fs::PermissionsExt as _;

use crate::browser::says;
use crate::driver::{Browser, Look, missing};
use crate::scene::{PlainCheck, Scene, plain_trials, text};
use crate::support::daemon::Side;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Value};
use crate::support::{expect, is_root};

/// A database, two servers that depend on it, and a program that fails.
pub(crate) const WORLD: &str = "\
[program:db]
command={test_child} say 'ready for connections' on HUP say,reloaded forever
startsecs=0
environment=API_KEY=\"hunter2\",LANG=\"C.UTF-8\",URL=\"redis://me:hunter3@db/0\"
[program:web]
command={test_child} say 'listening on %(process_num)d' forever
process_name=%(program_name)s-%(process_num)d
numprocs=2
startsecs=0
depends_on=db
limit_nofile=256:512
[program:bad]
command={test_child} err 'starting' err 'cannot open <b>port</b> 80' exit 3
startretries=1
startsecs=1
";

/// Waits for the programs of [`WORLD`].
pub(crate) fn wait_world(scene: &Scene) -> Result<(), String> {
    for name in ["db", "web:web-0", "web:web-1"] {
        scene.daemon.wait_state(name, "RUNNING")?;
    }
    scene.daemon.wait_state("bad", "FATAL")
}

pub(crate) const WEB: &str = "process.html?name=web%3Aweb-0";

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        Trial::new("process_page::it_shows_and_does_all", all),
        Trial::new("process_page::widths_and_languages", widths),
        Trial::new("process_page::it_works_without_scripts", without_scripts),
    ];
    let plain: Vec<(&str, PlainCheck)> = vec![
        ("who_may_only_look_sees_no_button", only_look),
        ("forms_need_the_token", token),
    ];
    tests.extend(plain_trials("process_page", plain));
    tests
}

/// The text of an element.
fn text_of(selector: &str) -> String {
    format!("document.querySelector({selector:?}).innerText")
}

fn includes(browser: &Browser, selector: &str, part: &str) -> Result<(), String> {
    browser.wait(&format!("{}.includes({part:?})", text_of(selector)))
}

fn all() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    // With a password the port has all permissions.
    let scene = Scene::start(
        Side::Ours,
        &format!("username=me\npassword=secret\n{WORLD}"),
    )?;
    wait_world(&scene)?;
    let browser = Browser::open(Look::DESK)?;
    browser.go(&format!("http://me:secret@127.0.0.1:{}/", scene.port))?;
    browser.go(&scene.url(""))?;
    // From the row of a process.
    browser.click("tr[data-n=\"web:web-0\"] td.name a")?;
    browser.wait("document.title.startsWith('web:web-0 · running')")?;
    includes(&browser, "#facts", "[program:web]")?;
    includes(&browser, "#dependencies", "db running")?;
    includes(&browser, "#logend", "listening on 0")?;
    includes(&browser, "#usage .limits", "256:512")?;
    includes(&browser, "#history", "starting")?;
    // The place of each key, the value of this process, and a default.
    let key = |key: &str| {
        format!(
            "[...document.querySelectorAll('#configuration tr')].find(tr => tr.innerText.startsWith({key:?})).innerText"
        )
    };
    browser.wait(&format!(
        "{0}.includes('say \\'listening on %(process_num)d\\'') && {0}.includes('say \\'listening on 0\\'') && {0}.includes('conf:')",
        key("command")
    ))?;
    browser.click("#configuration summary")?;
    browser.wait(&format!("{}.includes('default')", key("autorestart")))?;
    // The other side of the dependency, and secrets that are not shown.
    browser.click("#dependencies a")?;
    browser.wait("document.title.startsWith('db · running')")?;
    includes(&browser, "#dependencies", "web:web-1 running")?;
    let page = browser.text("document.documentElement.outerHTML")?;
    expect(
        page.contains("LANG=C.UTF-8") && page.contains("API_KEY=********"),
        "no environment",
    )?;
    expect(!page.contains("hunter"), "a secret is shown")?;
    // Signals and actions, and a page that keeps itself current.
    browser.run("document.querySelector('form.signal select').value = 'HUP'")?;
    browser.click("button[value=signal]")?;
    says(&browser, "Signal HUP sent to Process db")?;
    includes(&browser, "#logend", "reloaded")?;
    browser.run("window.same = true")?;
    scene
        .daemon
        .call("supervisor.stopProcess", &[Value::Text("db".to_owned())])
        .map_err(|e| e.to_string())?;
    includes(&browser, "#state", "stopped")?;
    includes(&browser, "#history tbody tr", "SIGTERM")?;
    expect(browser.text("window.same")? == "true", "loaded again")?;
    browser.wait("!document.querySelector('button.start').disabled && document.querySelector('button.stop').disabled")?;
    browser.click("button.start")?;
    says(&browser, "Process db started")?;
    scene.daemon.wait_state("db", "RUNNING")?;
    // What failed: attempts with the same end are one row with their number, and the last words of the last one.
    browser.go(&scene.url("process.html?name=bad"))?;
    includes(&browser, "#state", "fatal")?;
    browser.wait("[...document.querySelectorAll('#history tr')].filter(tr => tr.innerText.includes('exit status 3')).length === 1")?;
    includes(&browser, "#history tbody", "× 2")?;
    browser.click("#history summary")?;
    includes(
        &browser,
        "#history details pre",
        "starting\ncannot open <b>port</b> 80",
    )?;
    browser.go(&scene.url("process.html?name=nosuch"))?;
    browser.wait("document.querySelector('h1').innerText === 'There is no such process.'")?;
    group_and_update(&scene, &browser)?;
    let console = browser.console()?;
    // The errors that the test causes, and files of the last page, which the daemon that stops does not serve any more.
    let expected = ["404", "422", "ERR_CONNECTION"];
    let console: Vec<_> = console
        .iter()
        .filter(|line| !expected.iter().any(|one| line.contains(one)))
        .collect();
    expect(console.is_empty(), format!("{console:?}"))?;
    Ok(Outcome::Passed)
}

/// The page of a group with its number of processes and its rolling restart, and the plan of an update.
fn group_and_update(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.go(&scene.url(WEB))?;
    browser.run("document.querySelector('input[name=numprocs]').value = '3'")?;
    browser.click("button[value=scale]")?;
    says(browser, "web:web has 3 processes now")?;
    browser.wait("document.querySelectorAll('#members tbody tr').length === 3")?;
    scene.daemon.wait_state("web:web-2", "RUNNING")?;
    // The page of a group keeps itself current too.
    let stop = [Value::Text("web:web-2".to_owned())];
    let call = |method: &str| scene.daemon.call(method, &stop).map_err(|e| e.to_string());
    call("supervisor.stopProcess")?;
    includes(browser, "#members", "stopped")?;
    call("supervisor.startProcess")?;
    let pids: Vec<i32> = (0..3)
        .map(|number| scene.daemon.pid_of(&format!("web:web-{number}")))
        .collect();
    browser.click("button[value=rolling]")?;
    says(browser, "Group web restarted")?;
    for (number, pid) in pids.into_iter().enumerate() {
        scene.wait_other_pid(&format!("web:web-{number}"), pid)?;
    }
    // Nothing to do, but for the group that was scaled.
    browser.go(&scene.url(""))?;
    browser.click("#update")?;
    browser.wait("document.querySelector('h1').innerText === 'Update'")?;
    let conf = scene.place.read("conf");
    let conf = conf.replace("startretries=1", "startretries=0")
        + "[program:new]\ncommand=/bin/cat\nstartsecs=0\n";
    scene.place.write("conf", &conf)?;
    browser.go(&scene.url("update.html"))?;
    browser.wait(
        "document.querySelector('.plan[data-action=add] h2').innerText === 'new will be added'",
    )?;
    includes(browser, ".plan[data-action=restart]", "startretries")?;
    includes(browser, ".plan[data-action=restart] .after", "0")?;
    // Another change after the user has looked: nothing happens.
    scene.place.write(
        "conf",
        &(conf.clone() + "[program:late]\ncommand=/bin/cat\n"),
    )?;
    browser.click("button[value=update]")?;
    browser.wait("document.querySelector('#statusmessage').classList.contains('failed')")?;
    expect(scene.daemon.state("new").is_empty(), "it was added")?;
    scene.place.write("conf", &conf)?;
    browser.go(&scene.url("update.html"))?;
    browser.click("button[value=update]")?;
    browser.wait("document.querySelector('#statusmessage').innerText.startsWith('Updated: added new; changed bad')")?;
    scene.daemon.wait_state("new", "RUNNING")?;
    // A configuration with an error.
    scene
        .place
        .write("conf", &(conf.clone() + "[program:broken]\n"))?;
    browser.go(&scene.url("update.html"))?;
    includes(browser, "pre.problem", "program:broken")?;
    scene.place.write("conf", &conf)?;
    // The restart of the daemon asks.
    browser.go(&scene.url("update.html"))?;
    let pid = scene.daemon.pid_of("db");
    browser.click("#restart")?;
    browser.wait("document.querySelector('h1').innerText === 'Restart supervisord?'")?;
    browser.click("button[value=restart]")?;
    browser.wait("document.querySelector('h1').innerText === 'supervisord is restarting'")?;
    scene.wait_other_pid("db", pid)
}

/// Three widths in both languages: nothing is wider than the window, and targets on a phone are large enough for a thumb.
fn widths() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scene = Scene::start(Side::Ours, WORLD)?;
    wait_world(&scene)?;
    let conf = scene
        .place
        .read("conf")
        .replace("startretries=1", "startretries=0");
    scene.place.write("conf", &conf)?;
    let browser = Browser::open(Look::DESK)?;
    browser.go(&scene.url(""))?;
    let small = "[...document.querySelectorAll('a, button, select, input:not([type=hidden]):not([type=checkbox]), summary')] \
         .filter(one => one.offsetParent && !one.closest('.skip, #notices, #footer')) \
         .filter(one => one.getBoundingClientRect().height < 43.5).map(one => one.outerHTML.slice(0, 90)).join(' ')";
    for (language, words) in [
        (
            "en",
            ["History", "Configuration", "Update", "Rolling restart"],
        ),
        ("zh", ["历史", "配置", "更新", "滚动重启"]),
    ] {
        browser.run(&format!("document.cookie = 'lang={language}; path=/'"))?;
        for (width, height) in [(390, 844), (820, 1180), (1440, 900)] {
            browser.resize(width, height)?;
            for (path, words) in [
                (WEB, &words[..2]),
                ("process.html?name=bad", &words[..2]),
                ("update.html", &words[2..3]),
                ("group.html?name=web", &words[3..]),
            ] {
                let about = format!("{language} {width} {path}");
                browser.go(&scene.url(path))?;
                browser.wait("document.readyState === 'complete'")?;
                let shown = browser.text("document.body.innerText")?;
                for word in words {
                    expect(shown.contains(word), format!("{about}: {word}: {shown}"))?;
                }
                browser
                    .wait("document.documentElement.scrollWidth <= window.innerWidth")
                    .map_err(|why| format!("{about}: {why}"))?;
                if width == 390 {
                    let small = browser.text(small)?;
                    expect(small.is_empty(), format!("{about}: {small}"))?;
                }
            }
        }
    }
    Ok(Outcome::Passed)
}

fn without_scripts() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scene = Scene::start(Side::Ours, WORLD)?;
    wait_world(&scene)?;
    let browser = Browser::open(Look::WITHOUT_SCRIPTS)?;
    browser.go(&scene.url(WEB))?;
    browser.click("button.stop")?;
    says(&browser, "Process web:web-0 stopped")?;
    scene.daemon.wait_state("web:web-0", "STOPPED")?;
    browser.click("button.start")?;
    says(&browser, "Process web:web-0 started")?;
    browser.click("button.clear")?;
    says(&browser, "Log of web:web-0 cleared")?;
    browser.click("#facts a[href^='group']")?;
    browser.click("button.restart")?;
    says(&browser, "Group web restarted")?;
    browser.click("#members a")?;
    browser.wait("document.title.startsWith('web:web-0')")?;
    // The message of an action is in the address, so it is escaped and bounded.
    let long = "x".repeat(2000);
    browser.go(&scene.url(&format!("{WEB}&message=%3Cb%3E{long}")))?;
    browser.wait("document.querySelector('#statusmessage').innerText.length === 500")?;
    Ok(Outcome::Passed)
}

/// Another user with the permissions `status` and nothing else.
fn only_look() -> Result<(), String> {
    if !is_root() {
        return Ok(());
    }
    let config = format!("{WORLD}[unix_http_server]\nallow=nobody status\n");
    let config = config.replacen(
        "[unix_http_server]\n",
        "[unix_http_server:look]\nfile={dir}/look\n",
        1,
    );
    let scene = Scene::start(Side::Ours, &config)?;
    wait_world(&scene)?;
    let place = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(scene.place.path(), place).map_err(|e| e.to_string())?;
    let ask = |path: &str, fields: &[&str]| -> Result<String, String> {
        let mut command = std::process::Command::new("setpriv");
        command.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "curl",
            "-s",
            "-m",
            "30",
            "--unix-socket",
        ]);
        command.arg(scene.place.join("look"));
        for field in fields {
            command.args(["--data-urlencode", field]);
        }
        let output = command
            .arg(format!("http://localhost{path}"))
            .output()
            .map_err(|e| format!("curl: {e}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let page = ask("/process.html?name=db", &[])?;
    expect(
        page.contains("You may look at this process") && page.contains("id=\"history\""),
        &page,
    )?;
    for hidden in [
        "value=\"stop\"",
        "value=\"signal\"",
        "value=\"scale\"",
        "id=\"configuration\"",
        "id=\"logend\"",
        "do=edit",
        "name=\"token\" ",
    ] {
        let found = page.contains(hidden);
        expect(!found, format!("{hidden}: {page}"))?;
    }
    let group = ask("/group.html?name=web", &[])?;
    expect(
        group.contains("web-1") && !group.contains("value=\"rolling\""),
        &group,
    )?;
    let plan = ask("/update.html", &[])?;
    expect(plan.contains("You have no permission for this."), &plan)?;
    // A script gets no more than the page, and cannot act.
    let details: serde_json::Value =
        serde_json::from_str(&ask("/api/v1/processes/bad/details", &[])?)
            .map_err(|e| e.to_string())?;
    expect(
        details["statename"] == "FATAL" && details["last_stderr"] == serde_json::json!([]),
        format!("{details}"),
    )?;
    let denied = ask("/api/v1/processes/db/config", &[])?;
    expect(denied.contains("403"), &denied)?;
    let token = scene.token(&[])?;
    let token = format!("token={token}");
    let refused = ask("/process.html", &[&token, "name=db", "do=stop"])?;
    expect(!refused.contains("stopped"), &refused)?;
    expect(scene.daemon.state("db") == "RUNNING", "it was stopped")?;
    // The owner of the daemon sees all of it.
    let answer = scene.get("/api/v1/processes/bad/details", &[])?;
    let details: serde_json::Value =
        serde_json::from_str(&text(&answer)).map_err(|e| e.to_string())?;
    let history = details["history"].as_array().ok_or("no history")?;
    let states: Vec<&str> = history
        .iter()
        .filter_map(|one| one["statename"].as_str())
        .collect();
    expect(
        states == ["STARTING", "BACKOFF", "FATAL"]
            && history[1]["exit"] == "exit status 3"
            && history[1]["times"] == 2
            && history[1]["reason"] == "too-quick"
            && details["last_stderr"][1]["stderr"] == "starting\ncannot open <b>port</b> 80\n",
        format!("{details}"),
    )?;
    let config = text(&scene.get("/api/v1/processes/db/config", &[])?);
    expect(
        config.contains("\"line\":") && !config.contains("hunter"),
        config,
    )
}

/// No POST without the token, and none from another page.
fn token() -> Result<(), String> {
    let scene = Scene::start(Side::Ours, WORLD)?;
    wait_world(&scene)?;
    let own = format!("Origin: http://127.0.0.1:{}", scene.port);
    let token = scene.token(&[])?;
    for (path, body) in [
        ("/process.html", "name=db&do=stop"),
        ("/process.html", "name=db&do=signal&signal=KILL"),
        ("/group.html", "name=web&do=rolling"),
        ("/update.html", "do=restart"),
        ("/update.html", "do=update&plan=x"),
    ] {
        let pid = scene.daemon.pid_of("db");
        for (headers, given) in [
            (&own, body.to_owned()),
            (&own, format!("{body}&token=wrong")),
            (
                &"Origin: http://evil.example".to_owned(),
                format!("{body}&token={token}"),
            ),
        ] {
            let answer = scene.post(path, &[headers], &given)?;
            expect(
                answer.code() == 403,
                format!("{path} {given}: {}", answer.status),
            )?;
        }
        expect(scene.daemon.pid_of("db") == pid, format!("{path} {body}"))?;
    }
    let unknown = scene.post(
        "/process.html",
        &[&own],
        &format!("token={token}&name=db&do=explode"),
    )?;
    expect(unknown.code() == 400, unknown.status)?;
    let get = scene.ask(
        &Address::Port(scene.port),
        "GET",
        "/process.html?name=db&do=stop",
        &[],
        "",
    )?;
    expect(
        get.code() == 200 && scene.daemon.state("db") == "RUNNING",
        get.status,
    )
}
