//! The page shows the truth, and a click does what the user meant.

use nix::sys::signal::Signal;

use crate::browser::{Check, button, cell, live, says};
use crate::driver::{Browser, Look, missing};
use crate::scene::{PlainCheck, Scene, plain_trials, text};
use crate::support::daemon::Side;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Value};
use crate::support::{LIMIT, expect, wait_for};

const MANY: &str = "\
[program:p]
command=/bin/sleep 100000
process_name=n%(process_num)02d
numprocs=50
startsecs=0
[program:bad]
command={dir}/nosuch
startretries=0
";

const FEW: &str = "\
[program:web]
command={test_child} err oops forever
startsecs=0
[program:quiet]
command={test_child} forever
startsecs=0
[program:nolog]
command={test_child} forever
startsecs=0
stdout_logfile=NONE
stderr_logfile=NONE
[program:长名字的程序名称示例]
command={test_child} forever
startsecs=0
[program:pair]
command={test_child} forever
process_name=p%(process_num)d
numprocs=2
startsecs=0
";

pub(crate) fn tests() -> Vec<Trial> {
    let small = Look {
        width: 390,
        height: 700,
        ..Look::DESK
    };
    let large = Look {
        font: 24,
        ..Look::DESK
    };
    let table: Vec<(&str, &'static str, Look, Check)> = vec![
        ("d1_a_message_moves_no_row", MANY, Look::DESK, message),
        ("d1_a_message_moves_no_row_on_a_phone", MANY, small, message),
        ("d1_a_new_state_moves_no_row", FEW, Look::DESK, new_state),
        (
            "d1_a_new_state_moves_no_row_on_a_phone",
            FEW,
            small,
            new_state,
        ),
        (
            "d1_a_new_state_moves_no_row_of_large_letters",
            FEW,
            large,
            new_state,
        ),
        (
            "d1_a_message_moves_no_row_without_scripts",
            FEW,
            Look::WITHOUT_SCRIPTS,
            message_without_scripts,
        ),
        ("d1_a_filter_moves_no_row", FEW, Look::DESK, filter),
        (
            "d2_a_stale_page_shows_that_it_is_stale",
            FEW,
            Look::DESK,
            stale,
        ),
        (
            "d2_an_upgrade_leaves_the_page_usable",
            FEW,
            Look::DESK,
            upgraded,
        ),
        ("d2_a_silent_daemon_is_noticed", FEW, Look::DESK, silent),
        (
            "d2_rows_are_current_in_shutdown",
            SLOW,
            Look::DESK,
            shutdown,
        ),
        ("d3_reading_pauses_following", FEW, Look::DESK, reading),
        (
            "d3_empty_logs_and_confirmations_are_clear",
            FEW,
            Look::DESK,
            questions,
        ),
    ];
    let mut tests: Vec<Trial> = table
        .into_iter()
        .map(|(name, config, look, check)| {
            Trial::new(format!("trust::{name}"), move || run(config, look, check))
        })
        .collect();
    tests.push(Trial::new(
        "trust::d4_every_control_is_visible_at_every_width",
        reach,
    ));
    let plain: Vec<(&str, PlainCheck)> = vec![
        (
            "d3_unknown_paths_and_head_have_correct_answers",
            not_found_and_head,
        ),
        ("d9_failures_are_counted", counts),
        (
            "c5_a_refused_form_mentions_a_restart_only_after_one",
            started_again,
        ),
    ];
    tests.extend(plain_trials("trust", plain));
    tests
}

const SLOW: &str = "\
[program:web]
command={test_child} on TERM sleep,200,exit,0 forever
startsecs=0
[program:slow]
command={test_child} on TERM sleep,6000,exit,0 forever
startsecs=0
stopwaitsecs=60
";

fn run(config: &str, look: Look, check: Check) -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scene = Scene::start(Side::Ours, config)?;
    let first = if config.starts_with(MANY) {
        "p:n49"
    } else {
        "web"
    };
    scene.daemon.wait_state(first, "RUNNING")?;
    let browser = Browser::open(look)?;
    browser.go(&scene.url(""))?;
    check(&scene, &browser)?;
    Ok(Outcome::Passed)
}

/// The position and size of an element.
fn rect(selector: &str) -> String {
    format!("JSON.stringify(document.querySelector({selector:?}).getBoundingClientRect())")
}

/// The element has not moved.
fn stays(browser: &Browser, rect: &str, before: &str) -> Result<(), String> {
    let now = browser.text(rect)?;
    expect(
        now == before,
        format!("the row has moved from {before} to {now}"),
    )
}

const MESSAGE_IS_SEEN: &str = "(r => r.height > 0 && r.top >= 0 && r.left >= 0 && r.bottom <= innerHeight && \
     r.right <= innerWidth)(document.getElementById('notice').getBoundingClientRect())";

fn message(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    scene.daemon.wait_state("bad", "FATAL")?;
    browser.wait(&format!("{} === 'fatal'", cell("bad:bad", "state")))?;
    // In the last row, at the bottom.
    let last = button("stop p:n49");
    browser.click(&last)?;
    scene.daemon.wait_state("p:n49", "STOPPED")?;
    says(browser, "Process p:n49 stopped")?;
    browser.wait(MESSAGE_IS_SEEN)?;
    let before = browser.text(&rect(&last))?;
    browser.wait(&format!("{} === 'stopped'", cell("p:n49", "state")))?;
    // A success message disappears by itself, and nothing moves.
    browser.wait("document.getElementById('notice').hidden")?;
    stays(browser, &rect(&last), &before)?;
    let bad = button("start bad:bad");
    browser.run(&format!(
        "document.querySelector('{bad}').scrollIntoView({{ block: 'center' }})"
    ))?;
    let before = browser.text(&rect(&bad))?;
    browser.click(&bad)?;
    says(browser, "ERROR: Process bad: no such file")?;
    browser.wait(MESSAGE_IS_SEEN)?;
    stays(browser, &rect(&bad), &before)?;
    // The clicked element is still there.
    browser.wait(&format!(
        "(b => {{ const r = b.getBoundingClientRect(); return document.elementFromPoint(r.left + r.width / 2, \
         r.top + r.height / 2) === b }})(document.querySelector('{bad}'))"
    ))?;
    browser
        .wait("Boolean(document.getElementById('statusmessage').closest('[aria-live=polite]'))")?;
    browser.click("#dismiss")?;
    browser.wait("document.getElementById('notice').hidden")?;
    stays(browser, &rect(&bad), &before)
}

/// The counts above the table, in a browser that does not keep the scroll position of rows: the page is at its top.
fn new_state(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let next = rect("tr[data-n=\"web:web\"]");
    let before = browser.text(&next)?;
    for name in ["quiet", "nolog"] {
        let stopped = scene
            .daemon
            .call("supervisor.stopProcess", &[Value::Text(name.to_owned())]);
        stopped.map_err(|error| error.to_string())?;
        browser.wait(&format!(
            "{} === 'stopped'",
            cell(&format!("{name}:{name}"), "state")
        ))?;
    }
    browser.wait("!document.querySelector('#counts a.stopped').hidden")?;
    expect(browser.text("String(scrollY)")? == "0", "it is scrolled")?;
    stays(browser, &next, &before)?;
    // Counts without room can be scrolled to.
    browser.click("#counts a.stopped")?;
    browser.wait("document.querySelector('tr[data-n=\"web:web\"]').hidden")
}

fn message_without_scripts(_: &Scene, browser: &Browser) -> Result<(), String> {
    let row = "tr[data-n=\"quiet:quiet\"]";
    let before = browser.text(&rect(row))?;
    browser.click(&button("stop quiet:quiet"))?;
    says(browser, "Process quiet stopped")?;
    browser.wait(MESSAGE_IS_SEEN)?;
    stays(browser, &rect(row), &before)?;
    browser.click("#dismiss")?;
    browser.wait("document.getElementById('notice').hidden")
}

fn filter(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    browser.click("#counts a.running")?;
    let next = rect("tr[data-n=\"web:web\"]");
    let before = browser.text(&next)?;
    browser.click(&button("stop quiet:quiet"))?;
    scene.daemon.wait_state("quiet", "STOPPED")?;
    browser.wait(&format!("{} === 'stopped'", cell("quiet:quiet", "state")))?;
    stays(browser, &next, &before)?;
    // The pointer rests, and the filter applies again.
    browser.wait("document.querySelector('tr[data-n=\"quiet:quiet\"]').hidden")
}

const IS_STALE: &str = "document.body.classList.contains('stale') && \
     /Last answer: \\d\\d:\\d\\d:\\d\\d$/.test(document.getElementById('stale').textContent) && \
     document.getElementById('stale').getBoundingClientRect().height > 0 && \
     Number(getComputedStyle(document.getElementById('statustable')).opacity) < 1";

fn stale(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let token = "document.querySelector('input[name=token]').value";
    let before = browser.text(token)?;
    let pid = scene.daemon.pid_of("web");
    browser.run(
        "window.seen = []; new MutationObserver(() => document.body.classList.contains('stale') && \
         window.seen.push(document.getElementById('stale').textContent)).observe(document.body, \
         { attributes: true, subtree: true, childList: true })",
    )?;
    scene
        .daemon
        .call("supervisor.restart", &[])
        .map_err(|e| e.to_string())?;
    scene.wait_other_pid("web", pid)?;
    browser.wait(&format!("{token} !== '{before}'"))?;
    browser.wait("window.seen.some(text => text.includes('Last answer: '))")?;
    browser.wait("!document.body.classList.contains('stale')")?;
    let pid = scene.daemon.pid_of("web");
    browser.wait(&format!("{} === '{pid}'", cell("web:web", "pid")))?;
    browser.click(&button("stop web:web"))?;
    scene.daemon.wait_state("web", "STOPPED")?;
    says(browser, "Process web stopped")?;
    browser.wait(&format!("{} === 'stopped'", cell("web:web", "state")))?;
    // The click fetches a new token if the old one has expired unnoticed.
    browser.run(
        "document.querySelectorAll('input[name=token]').forEach(field => { field.value = 'x' })",
    )?;
    browser.click(&button("start web:web"))?;
    scene.daemon.wait_state("web", "RUNNING")?;
    says(browser, "Process web started")
}

fn upgraded(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let token = "document.querySelector('input[name=token]').value";
    let before = browser.text(token)?;
    let pid = scene.daemon.pid_of("web");
    scene
        .daemon
        .call("supervisord.upgrade", &[])
        .map_err(|e| e.to_string())?;
    browser.wait(&format!("{token} !== '{before}'"))?;
    browser.wait("!document.body.classList.contains('stale')")?;
    expect(
        scene.daemon.pid_of("web") == pid,
        "the program did not survive",
    )?;
    browser.click(&button("stop web:web"))?;
    scene.daemon.wait_state("web", "STOPPED")?;
    says(browser, "Process web stopped")?;
    browser.wait(&format!("{} === 'stopped'", cell("web:web", "state")))
}

fn silent(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    scene.daemon.signal(Signal::SIGSTOP);
    let noticed = browser.wait(IS_STALE);
    let uptime = cell("web:web", "uptime");
    let first = browser.text(&uptime)?;
    // Two ticks of the page's clock.
    browser.run("window.ticks = 0; setInterval(() => { window.ticks += 1 }, 1000)")?;
    browser.wait("window.ticks >= 2")?;
    let second = browser.text(&uptime)?;
    scene.daemon.signal(Signal::SIGCONT);
    noticed?;
    expect(first == second, format!("{first} became {second}"))?;
    browser.wait("!document.body.classList.contains('stale')")
}

fn shutdown(scene: &Scene, browser: &Browser) -> Result<(), String> {
    scene.daemon.wait_state("slow", "RUNNING")?;
    live(browser)?;
    scene
        .daemon
        .call("supervisor.shutdown", &[])
        .map_err(|e| e.to_string())?;
    browser.wait(&format!(
        "{} === 'stopped' && {} === 'stopping'",
        cell("web:web", "state"),
        cell("slow:slow", "state")
    ))?;
    browser.wait("document.getElementById('live').textContent === 'the daemon is stopping'")?;
    browser.wait(IS_STALE)
}

fn append(scene: &Scene, name: &str, key: &str, lines: &str) -> Result<(), String> {
    use std::io::Write as _;
    let info = scene.daemon.info(name).map_err(|e| e.to_string())?;
    let file = info.get(key).and_then(Value::text).ok_or("no log")?;
    std::fs::File::options()
        .append(true)
        .open(file)
        .and_then(|mut log| log.write_all(lines.as_bytes()))
        .map_err(|e| e.to_string())
}

fn numbered(count: usize) -> String {
    (0..count).map(|n| format!("line {n}\n")).collect()
}

fn reading(scene: &Scene, browser: &Browser) -> Result<(), String> {
    append(scene, "quiet", "stdout_logfile", &numbered(200))?;
    browser.go(&scene.url("tail.html?processname=quiet&limit=65536"))?;
    browser.wait("document.getElementById('live').textContent === 'live'")?;
    let log = "document.getElementById('log')";
    browser.wait(&format!(
        "{log}.textContent.endsWith('line 199\\n') && {log}.scrollTop > 500"
    ))?;
    browser.run(&format!("{log}.scrollTop = 100"))?;
    browser.wait("!document.getElementById('newer').hidden")?;
    append(scene, "quiet", "stdout_logfile", &numbered(12))?;
    browser.wait("document.getElementById('newer').textContent === '↓ 12 new lines'")?;
    browser.wait(&format!("{log}.scrollTop === 100"))?;
    browser.click("#newer")?;
    browser.wait(&format!(
        "{log}.scrollTop + {log}.clientHeight >= {log}.scrollHeight - 2"
    ))?;
    browser.wait("document.getElementById('newer').hidden")
}

fn questions(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    browser.click("tr[data-n=\"quiet:quiet\"] a.log")?;
    browser.wait("document.getElementById('empty').innerText === 'This log is empty.'")?;
    // Only standard error has text.
    browser.go(&scene.url("tail.html?processname=web&limit=65536"))?;
    browser.wait("document.getElementById('log').textContent === 'oops\\n'")?;
    browser.wait("document.querySelector('nav [aria-current]').textContent === 'stderr'")?;
    browser.click("nav[aria-label=Stream] a:nth-child(1)")?;
    browser.wait("document.getElementById('empty').innerText === 'This log is empty.'")?;
    browser.go(&scene.url(""))?;
    live(browser)?;
    // Without a log there is nothing to clear. The button is not beside the link that opens the log.
    browser.wait("!document.querySelector('tr[data-n=\"nolog:nolog\"] button.clear')")?;
    browser.wait(
        "[...document.querySelectorAll('td.action')].every(td => !td.querySelector('button.clear') || \
         (td.querySelector('.log').nextElementSibling !== td.querySelector('.clear') && \
          td.querySelector('.clear').nextElementSibling !== td.querySelector('.log')))",
    )?;
    for (what, asked) in [
        ("stop pair:*", "Stop: all 2 processes of group pair?"),
        ("restart pair:*", "Restart: all 2 processes of group pair?"),
        ("clear pair:*", "Clear: all 2 processes of group pair?"),
        (
            "clear pair:p0",
            "Clear both logs of process p0 of group pair?",
        ),
    ] {
        browser.click(&button(what))?;
        let text = browser.accept()?;
        expect(text == asked, text)?;
        browser.wait("!document.getElementById('notice').hidden")?;
        browser.click("#dismiss")?;
    }
    Ok(())
}

fn not_found_and_head() -> Result<(), String> {
    let scene = Scene::start(Side::Ours, FEW)?;
    scene.daemon.wait_state("web", "RUNNING")?;
    for path in [
        "/tail.html?processname=nosuch",
        "/grouptail.html?group=nosuch",
    ] {
        let answer = scene.get(path, &[])?;
        let page = text(&answer);
        expect(
            answer.code() == 404 && page.contains("href=\"./\">To the status page"),
            format!("{path}: {} {page}", answer.status),
        )?;
    }
    let pid = scene.daemon.pid_of("web");
    for path in [
        "/",
        "/tail.html?processname=web",
        "/maintail.html",
        "/ok.html",
        "/index.html?processname=web&action=stop",
    ] {
        let head = scene.ask(&Address::Port(scene.port), "HEAD", path, &[], "")?;
        expect(
            head.code() == 200 && head.body.is_empty(),
            format!("{path}: {}", head.status),
        )?;
        let length = head.header("Content-Length").unwrap_or_default();
        expect(length.parse::<u32>().is_ok_and(|n| n > 1), length)?;
    }
    expect(scene.daemon.pid_of("web") == pid, "HEAD has stopped it")
}

fn counts() -> Result<(), String> {
    let scene = Scene::start(Side::Ours, MANY)?;
    scene.daemon.wait_state("p:n49", "RUNNING")?;
    scene.daemon.wait_state("bad", "FATAL")?;
    let token = scene.token(&[])?;
    let press = |what: &str| -> Result<String, String> {
        let body = format!("token={token}&do={what}");
        let headers = ["Accept: application/json"];
        Ok(text(&scene.post("/actions", &headers, &body)?))
    };
    let said = press("stop+*")?;
    expect(said.contains("\"message\":\"All stopped\""), said)?;
    let said = press("start+*")?;
    expect(
        said.contains("\"failed\":true")
            && said.contains("50 started, 1 failed: bad: no such file"),
        said,
    )?;
    let said = press("restart+*")?;
    expect(
        said.contains("50 restarted, 1 failed: bad: no such file"),
        said,
    )
}

fn started_again() -> Result<(), String> {
    let scene = Scene::start(Side::Ours, FEW)?;
    scene.daemon.wait_state("web", "RUNNING")?;
    let token = scene.token(&[])?;
    let press = |token: &str| -> Result<String, String> {
        let answer = scene.post("/actions", &[], &format!("token={token}&do=stop+web:web"))?;
        expect(answer.code() == 403, &answer.status)?;
        Ok(text(&answer))
    };
    for wrong in ["", "x", &"0".repeat(32), &"f".repeat(32), &token[1..]] {
        let page = press(wrong)?;
        expect(
            !page.contains("was restarted after"),
            format!("{wrong}: {page}"),
        )?;
    }
    let pid = scene.daemon.pid_of("web");
    scene
        .daemon
        .call("supervisor.restart", &[])
        .map_err(|e| e.to_string())?;
    scene.wait_other_pid("web", pid)?;
    let mut page = String::new();
    wait_for("the new run refuses the old token", LIMIT, || {
        page = press(&token).unwrap_or_default();
        !page.is_empty()
    })?;
    // The page says so, and offers the same action with a valid token.
    expect(
        page.contains("was restarted after") && page.contains("value=\"stop web:web\""),
        page,
    )
}

/// Whether every control is fully visible and can be clicked. Of a link that is broken into lines, the first line counts: the
/// middle of the box around all lines may be beside each of them, with some fonts.
const IN_REACH: &str = "(() => { const bad = []; const d = document.documentElement; \
    if (d.scrollWidth > d.clientWidth) bad.push('page ' + d.scrollWidth + ' > ' + d.clientWidth); \
    for (const one of document.querySelectorAll('button, a:not(.skip), input:not([type=hidden]), select')) { \
      if (!one.checkVisibility()) continue; one.scrollIntoView({ block: 'center' }); \
      const r = one.getBoundingClientRect(); \
      if (r.left < 0 || r.right > d.clientWidth + .5) bad.push('outside: ' + one.outerHTML); \
      const line = one.getClientRects()[0]; \
      const hit = document.elementFromPoint(line.left + line.width / 2, line.top + line.height / 2); \
      if (hit !== one && !one.contains(hit)) bad.push('covered: ' + one.outerHTML); \
      if (one.scrollWidth > one.clientWidth + 1 && one.tagName === 'BUTTON') bad.push('cut: ' + one.outerHTML); } \
    return bad.slice(0, 3).join('; ') })()";

fn reach() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scene = Scene::start(Side::Ours, FEW)?;
    scene.daemon.wait_state("web", "RUNNING")?;
    for (font, widths) in [
        (16, &[320, 768, 1090, 1280, 1360][..]),
        (20, &[320, 768, 1280]),
        (24, &[320, 390, 768, 1280, 1680]),
    ] {
        let browser = Browser::open(Look { font, ..Look::DESK })?;
        for width in widths {
            browser.resize(*width, 800)?;
            for path in ["", "tail.html?processname=web", "grouptail.html?group=pair"] {
                browser.go(&scene.url(path))?;
                let bad = browser.text(IN_REACH)?;
                expect(
                    bad.is_empty(),
                    format!("{font} px, {width} wide, /{path}: {bad}"),
                )?;
            }
            let size = browser.text("getComputedStyle(document.documentElement).fontSize")?;
            expect(size == format!("{font}px"), size)?;
        }
    }
    Ok(Outcome::Passed)
}
