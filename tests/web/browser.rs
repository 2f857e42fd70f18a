//! The page as people use it: press every button and check its effect in the daemon.

use std::path::Path;

use crate::driver::{Browser, Look, missing};
use crate::followed_log;
use crate::scene::Scene;
use crate::support::daemon::Side;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, wait_for};

pub(crate) const CONFIG: &str = "\
[program:web]
command={test_child} say listening err warming forever
startsecs=0
[program:pair]
command={test_child} say one pid forever
process_name=p%(process_num)d
numprocs=2
startsecs=0
[program:later]
command={test_child} pid forever
autostart=false
startsecs=0
[program:bad]
command={dir}/nosuch
startretries=0
";

/// The largest picture file, in bytes.
const PICTURE_BYTES_MAX: usize = 150_000;

pub(crate) type Check = fn(&Scene, &Browser) -> Result<(), String>;

pub(crate) fn tests() -> Vec<Trial> {
    let phone = Look {
        width: 390,
        height: 844,
        ..Look::DESK
    };
    let table: [(&str, Look, Check); 11] = [
        (
            "buttons_of_a_process_work",
            Look::DESK,
            buttons_of_a_process_work,
        ),
        (
            "buttons_of_a_group_work",
            Look::DESK,
            buttons_of_a_group_work,
        ),
        (
            "buttons_of_all_processes_work",
            Look::DESK,
            buttons_of_all_processes_work,
        ),
        ("the_filter_hides_rows", Look::DESK, the_filter),
        (
            "changes_appear_without_a_reload",
            Look::DESK,
            changes_appear_without_a_reload,
        ),
        (
            "a_log_is_followed_and_searched",
            Look::DESK,
            followed_log::is_followed_and_searched,
        ),
        (
            "a_log_is_followed_over_rotations",
            Look::DESK,
            followed_log::is_followed_over_rotations,
        ),
        (
            "dark_and_light_themes_work",
            Look::DESK,
            dark_and_light_themes_work,
        ),
        (
            "the_page_works_on_a_phone",
            phone,
            the_page_works_on_a_phone,
        ),
        (
            "the_page_works_without_scripts",
            Look::WITHOUT_SCRIPTS,
            without_scripts,
        ),
        (
            "an_old_page_works_with_a_new_daemon",
            Look::DESK,
            an_old_page_works_with_a_new_daemon,
        ),
    ];
    let mut tests: Vec<Trial> = table
        .into_iter()
        .map(|(name, look, check)| {
            Trial::new(format!("browser::{name}"), move || run(CONFIG, look, check))
        })
        .collect();
    tests.push(Trial::new("browser::health_is_shown_and_kept_up", health));
    tests.push(Trial::new("browser::pictures_are_taken", pictures));
    tests
}

pub(crate) fn run(config: &str, look: Look, check: Check) -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scene = Scene::start(Side::Ours, config)?;
    for name in ["web", "pair:p0", "pair:p1"] {
        scene.daemon.wait_state(name, "RUNNING")?;
    }
    scene.daemon.wait_state("bad", "FATAL")?;
    let browser = Browser::open(look)?;
    browser.go(&scene.url(""))?;
    check(&scene, &browser)?;
    let console = browser.console()?;
    expect(
        console.is_empty(),
        format!("the console contains {console:?}"),
    )?;
    Ok(Outcome::Passed)
}

/// The badge appears with the page, changes with the health, and its title says why.
fn health() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scene = Scene::start(
        Side::Ours,
        "[program:web]\ncommand={test_child} wait {dir}/sick say 'ERROR <b>db</b>' forever\nstartsecs=0\n\
         health_log=ERROR\nhealth_interval=1000\non_unhealthy=none\n\
         [program:plain]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    scene.daemon.wait_state("plain", "RUNNING")?;
    let browser = Browser::open(Look::DESK)?;
    browser.go(&scene.url(""))?;
    live(&browser)?;
    let badge = |name: &str| format!("document.querySelector('tr[data-n=\"{name}\"] .health')");
    let (web, plain) = (badge("web:web"), badge("plain:plain"));
    browser.wait(&format!("{web}.textContent === 'healthy'"))?;
    let height = format!("{web}.closest('tr').offsetHeight === {plain}.closest('tr').offsetHeight");
    browser.wait(&format!("{plain}.textContent === '' && {height}"))?;
    scene.place.write("sick", "")?;
    browser.wait(&format!("{web}.textContent === 'unhealthy'"))?;
    browser.wait(&format!("{web}.title === 'log line: ERROR <b>db</b>'"))?;
    browser.wait(&format!(
        "getComputedStyle({web}).display !== 'none' && {height}"
    ))?;
    // A page that is loaded now says the same.
    browser.go(&scene.url(""))?;
    browser.wait(&format!("{web}.title === 'log line: ERROR <b>db</b>'"))?;
    Ok(Outcome::Passed)
}

/// The selector of a button by its action.
pub(crate) fn button(what: &str) -> String {
    format!("button[value=\"{what}\"]")
}

/// The text of a cell.
pub(crate) fn cell(id: &str, class: &str) -> String {
    format!("document.querySelector('tr[data-n=\"{id}\"] td.{class}').textContent")
}

pub(crate) fn says(browser: &Browser, message: &str) -> Result<(), String> {
    browser.wait(&format!(
        "document.getElementById('statusmessage').textContent === {message:?}"
    ))
}

pub(crate) fn live(browser: &Browser) -> Result<(), String> {
    browser.wait("document.getElementById('live').textContent === 'live'")?;
    // A page that was loaded again does not have the mark.
    browser.run("window.same = true").map(drop)
}

pub(crate) fn same_page(browser: &Browser) -> Result<(), String> {
    expect(
        browser.text("window.same")? == "true",
        "the page was loaded anew",
    )
}

/// Waits until the log of a program contains its PID, so that all earlier output is there too.
fn wait_pid_said(scene: &Scene, name: &str) -> Result<(), String> {
    let said = || format!("{}\n", scene.daemon.pid_of(name));
    wait_for(&format!("{name} has written"), LIMIT, || {
        log_of(scene, name).ends_with(&said())
    })
}

pub(crate) fn log_of(scene: &Scene, name: &str) -> String {
    let args = [
        Value::Text(name.to_owned()),
        Value::Int(0),
        Value::Int(100_000),
    ];
    scene
        .daemon
        .call("supervisor.readProcessStdoutLog", &args)
        .ok()
        .and_then(|value| value.text().map(str::to_owned))
        .unwrap_or_default()
}

fn buttons_of_a_process_work(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let pid = scene.daemon.pid_of("web");
    browser.click(&button("restart web:web"))?;
    scene.wait_other_pid("web", pid)?;
    says(browser, "Process web restarted")?;
    let pid = scene.daemon.pid_of("web");
    browser.wait(&format!("{} === '{pid}'", cell("web:web", "pid")))?;
    browser.wait(&format!("{} === '1'", cell("web:web", "restarts")))?;
    browser.click(&button("stop web:web"))?;
    scene.daemon.wait_state("web", "STOPPED")?;
    browser.wait(&format!("{} === 'stopped'", cell("web:web", "state")))?;
    browser.wait(&format!(
        "{}.startsWith('stopped, SIGTERM')",
        cell("web:web", "ending")
    ))?;
    // Earlier instances have written their lines there, and write no more.
    let before = log_of(scene, "web").len();
    browser.click(&button("start web:web"))?;
    scene.daemon.wait_state("web", "RUNNING")?;
    browser.wait(&format!("{} === 'running'", cell("web:web", "state")))?;
    wait_for("it has written", LIMIT, || {
        log_of(scene, "web").len() > before
    })?;
    browser.click(&button("clear web:web"))?;
    let asked = browser.accept()?;
    expect(
        asked == "Clear both logs of process web of group web?",
        asked,
    )?;
    says(browser, "Log of web cleared")?;
    expect(log_of(scene, "web").is_empty(), "not cleared")?;
    browser.click(&button("start bad:bad"))?;
    says(browser, "ERROR: Process bad: no such file")?;
    browser.wait("document.getElementById('statusmessage').classList.contains('failed')")?;
    same_page(browser)
}

fn buttons_of_a_group_work(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    browser.click(&button("stop pair:*"))?;
    let asked = browser.accept()?;
    expect(asked == "Stop: all 2 processes of group pair?", asked)?;
    scene.daemon.wait_state("pair:p0", "STOPPED")?;
    scene.daemon.wait_state("pair:p1", "STOPPED")?;
    says(browser, "Group pair stopped")?;
    let running =
        "document.querySelector('tbody[data-group=pair] .count').textContent === '{} of 2 running'";
    browser.wait(&running.replace("{}", "0"))?;
    browser.click(&button("start pair:*"))?;
    says(browser, "Group pair started")?;
    browser.wait(&running.replace("{}", "2"))?;
    let pid = scene.daemon.pid_of("pair:p1");
    browser.click(&button("restart pair:*"))?;
    browser.accept()?;
    scene.wait_other_pid("pair:p1", pid)?;
    says(browser, "Group pair restarted")?;
    wait_pid_said(scene, "pair:p0")?;
    wait_pid_said(scene, "pair:p1")?;
    browser.click(&button("clear pair:*"))?;
    browser.accept()?;
    says(browser, "Log of group pair cleared")?;
    expect(
        log_of(scene, "pair:p0").is_empty() && log_of(scene, "pair:p1").is_empty(),
        "not cleared",
    )?;
    same_page(browser)
}

fn buttons_of_all_processes_work(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let pid = scene.daemon.pid_of("web");
    browser.click(&button("restart *"))?;
    let asked = browser.accept()?;
    expect(asked == "Restart: all 5 processes?", asked)?;
    scene.wait_other_pid("web", pid)?;
    // All stopped programs run now, except those that cannot.
    scene.daemon.wait_state("later", "RUNNING")?;
    says(browser, "4 restarted, 1 failed: bad: no such file")?;
    browser.click(&button("stop *"))?;
    browser.accept()?;
    says(browser, "All stopped")?;
    for name in ["web", "pair:p0", "pair:p1", "later"] {
        scene.daemon.wait_state(name, "STOPPED")?;
    }
    let count = "document.querySelector('#counts a.stopped b').textContent === '4'";
    browser.wait(count)?;
    browser.click(&button("start *"))?;
    browser.accept()?;
    scene.daemon.wait_state("later", "RUNNING")?;
    wait_pid_said(scene, "later")?;
    browser.click(&button("clear *"))?;
    browser.accept()?;
    says(browser, "Log of all cleared")?;
    expect(log_of(scene, "later").is_empty(), "not cleared")?;
    same_page(browser)
}

pub(crate) const SHOWN: &str = "[...document.querySelectorAll('tr[data-n]')].filter(tr => tr.offsetParent).map(tr => tr.dataset.n).join(' ')";

fn the_filter(_: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let shown = |names: &str| browser.wait(&format!("{SHOWN} === {names:?}"));
    shown("bad:bad later:later pair:p0 pair:p1 web:web")?;
    browser.type_into("body", "/")?;
    browser.wait("document.activeElement.id === 'filter'")?;
    browser.type_into("#filter", "P1")?;
    shown("pair:p1")?;
    browser.type_into("#filter", "\u{e00c}")?;
    shown("bad:bad later:later pair:p0 pair:p1 web:web")?;
    browser.click("#counts a.fatal")?;
    shown("bad:bad")?;
    browser.wait("location.search === '?filter=fatal'")?;
    same_page(browser)?;
    // The address can be copied for another person.
    browser.go(&browser.text("location.href")?)?;
    shown("bad:bad")?;
    browser.wait("document.getElementById('filter').value === 'fatal'")?;
    browser.click("#counts a")?;
    shown("bad:bad later:later pair:p0 pair:p1 web:web")
}

fn changes_appear_without_a_reload(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let name = || [Value::Text("later".to_owned())];
    let call = |method: &str, params: &[Value]| {
        scene
            .daemon
            .call(method, params)
            .map(drop)
            .map_err(|e| e.to_string())
    };
    call("supervisor.startProcess", &name())?;
    browser.wait(&format!("{} === 'running'", cell("later:later", "state")))?;
    browser.wait(&format!("{} !== ''", cell("later:later", "memory")))?;
    browser.wait(&format!("{} !== ''", cell("later:later", "cpu")))?;
    // The page counts on by itself. A slow browser shows the fifth second as the first.
    let uptime = cell("later:later", "uptime");
    browser.wait(&format!("parseInt({uptime}) >= 1"))?;
    browser.wait(&format!(
        "(window.early ??= {uptime}) && {uptime} !== window.early"
    ))?;
    call("supervisor.stopProcess", &name())?;
    browser.wait(&format!("{} === 'stopped'", cell("later:later", "state")))?;
    browser.wait(&format!("{} === ''", cell("later:later", "memory")))?;
    // Groups are removed and added.
    call("supervisor.removeProcessGroup", &name())?;
    browser.wait("!document.querySelector('tr[data-n=\"later:later\"]')")?;
    call("supervisor.addProcessGroup", &name())?;
    browser.wait("Boolean(document.querySelector('tr[data-n=\"later:later\"]'))")?;
    // The new table works.
    browser.click(&button("start later:later"))?;
    scene.daemon.wait_state("later", "RUNNING")?;
    browser.wait(&format!("{} === 'running'", cell("later:later", "state")))?;
    same_page(browser)
}

fn dark_and_light_themes_work(scene: &Scene, browser: &Browser) -> Result<(), String> {
    let back = "getComputedStyle(document.body).backgroundColor";
    let light = browser.text(back)?;
    browser.media(true)?;
    let dark = browser.text(back)?;
    expect(light != dark, format!("{light} is {dark}"))?;
    browser.click("#theme")?;
    browser.wait(&format!("{back} === {light:?}"))?;
    // The choice is remembered, also on other pages.
    browser.go(&scene.url("maintail.html"))?;
    browser.wait(&format!("{back} === {light:?}"))?;
    browser.click("#theme")?;
    browser.wait(&format!("{back} === {dark:?}"))?;
    browser.media(false)?;
    browser.wait(&format!("{back} === {dark:?}"))
}

fn the_page_works_on_a_phone(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let fits = "document.documentElement.scrollWidth <= window.innerWidth";
    browser.wait(fits)?;
    browser.click(&button("stop web:web"))?;
    scene.daemon.wait_state("web", "STOPPED")?;
    browser.wait(&format!("{} === 'stopped'", cell("web:web", "state")))?;
    // Large enough for a thumb.
    browser.wait(
        "[...document.querySelectorAll('tr[data-n] button')].filter(b => b.offsetParent).every(b => b.offsetHeight >= 36)",
    )?;
    browser.wait(fits)?;
    browser.click("tr[data-n=\"web:web\"] a.log")?;
    browser.wait("document.getElementById('log').textContent.includes('listening')")?;
    browser.wait(fits)
}

fn without_scripts(scene: &Scene, browser: &Browser) -> Result<(), String> {
    let pid = scene.daemon.pid_of("web");
    browser.click(&button("restart web:web"))?;
    scene.wait_other_pid("web", pid)?;
    says(browser, "Process web restarted")?;
    browser.wait("location.pathname === '/'")?;
    browser.click(&button("stop *"))?;
    says(browser, "All stopped")?;
    scene.daemon.wait_state("web", "STOPPED")?;
    browser.wait(&format!("{} === 'stopped'", cell("web:web", "state")))?;
    // Controls that need scripts are not shown.
    browser.wait(
        "!document.getElementById('theme').offsetParent && !document.getElementById('live').offsetParent",
    )?;
    browser.click(&button("start pair:*"))?;
    says(browser, "Group pair started")?;
    browser.type_into("#filter", "p1")?;
    browser.click("#search button")?;
    browser.wait(&format!("{SHOWN} === 'pair:p1'"))?;
    browser.click("tr[data-n=\"pair:p1\"] a.log")?;
    let log = "document.getElementById('log').textContent";
    browser.wait(&format!("{log}.includes('one')"))?;
    browser.type_into("#find", "two")?;
    browser.click("#search button")?;
    browser.wait(&format!("{log} === ''"))?;
    browser.click("#refresh_anchor")?;
    browser.wait(&format!("{log}.includes('one')"))
}

fn an_old_page_works_with_a_new_daemon(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let pid = scene.daemon.pid_of("web");
    scene
        .daemon
        .call("supervisor.restart", &[])
        .map_err(|e| e.to_string())?;
    scene.wait_other_pid("web", pid)?;
    // The page finds the new daemon by itself.
    let pid = scene.daemon.pid_of("web");
    browser.wait(&format!("{} === '{pid}'", cell("web:web", "pid")))?;
    browser.click(&button("stop web:web"))?;
    scene.daemon.wait_state("web", "STOPPED")?;
    // The browser itself reports that the daemon was away, and that the old form was refused.
    browser.console().map(drop)
}

/// A scene like one on a real machine.
pub(crate) const SHOP: &str = "\
[program:api]
command={test_child} say 'listening on 127.0.0.1:8000' say 'GET /orders/1 200 12 ms' say 'GET /orders/2 200 9 ms' say 'POST /orders 201 31 ms' say 'GET /orders/3 404 2 ms' say 'GET /health 200 0 ms' forever
process_name=%(program_name)s-%(process_num)d
numprocs=3
startsecs=0
[program:cron]
command={test_child} say done
autorestart=false
startsecs=0
[program:mailer]
command={test_child} nth {dir}/mailer 3,3,- forever
startsecs=0
restart_floor=0
[program:migrate]
command={test_child} forever
autostart=false
[program:redis]
command={test_child} forever
startsecs=0
[program:search]
command=/opt/search/bin/search
startretries=0
[program:thumbs]
command={test_child} exit 1
startretries=30
[program:worker]
command={test_child} forever
process_name=%(program_name)s-%(process_num)02d
numprocs=4
startsecs=0
";

fn pictures() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scene = Scene::start(Side::Ours, SHOP)?;
    for (name, state) in [
        ("api:api-0", "RUNNING"),
        ("worker:worker-03", "RUNNING"),
        ("mailer", "RUNNING"),
        ("search", "FATAL"),
        ("cron", "EXITED"),
        ("thumbs", "BACKOFF"),
    ] {
        scene.daemon.wait_state(name, state)?;
    }
    scene
        .daemon
        .call(
            "supervisor.stopProcess",
            &[Value::Text("worker:worker-02".to_owned())],
        )
        .map_err(|e| e.to_string())?;
    let phone = Look {
        width: 390,
        height: 844,
        ..Look::DESK
    };
    let desk = Look {
        width: 1280,
        height: 740,
        ..Look::DESK
    };
    let log = "tail.html?processname=api:api-0&limit=65536&search=orders";
    for (name, look, path) in [
        ("light", desk, ""),
        ("dark", Look { dark: true, ..desk }, ""),
        ("phone", phone, ""),
        ("log", desk, log),
    ] {
        let browser = Browser::open(look)?;
        browser.go(&scene.url(path))?;
        if path.is_empty() {
            browser.wait(&format!("{} !== ''", cell("redis:redis", "cpu")))?;
        } else {
            browser.wait("document.querySelectorAll('#log mark').length === 4")?;
        }
        let picture = browser.picture()?;
        let console = browser.console()?;
        expect(console.is_empty(), format!("{name}: {console:?}"))?;
        expect(
            picture.starts_with(b"\x89PNG") && picture.len() < PICTURE_BYTES_MAX,
            format!("{name}: {} bytes", picture.len()),
        )?;
        if std::env::var_os("UPDATE").is_some() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/web");
            std::fs::create_dir_all(&folder).map_err(|e| e.to_string())?;
            std::fs::write(folder.join(format!("{name}.png")), picture)
                .map_err(|e| e.to_string())?;
        }
    }
    Ok(Outcome::Passed)
}
