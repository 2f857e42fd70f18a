//! The page as a tool for many processes: selecting, sorting, folding, keys, and what it says at a glance.

use crate::browser::{CONFIG, Check, SHOWN, button, live, run, same_page, says};
use crate::driver::{Browser, Look, missing};
use crate::scene::Scene;
use crate::support::daemon::Side;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

pub(crate) fn tests() -> Vec<Trial> {
    let phone = Look {
        width: 390,
        height: 844,
        ..Look::DESK
    };
    let table: [(&str, Look, Check); 9] = [
        ("actions_act_on_what_is_selected", Look::DESK, selected),
        ("actions_act_on_what_the_filter_shows", Look::DESK, filtered),
        (
            "selecting_works_without_scripts",
            Look::WITHOUT_SCRIPTS,
            selected_without_scripts,
        ),
        ("heads_sort_the_table", Look::DESK, sorted),
        ("groups_are_folded_and_summed", Look::DESK, folded),
        ("keys_work", Look::DESK, keys),
        ("colours_and_title_say_what_fails", Look::DESK, at_a_glance),
        ("targets_are_large_on_a_phone", phone, large_targets),
        ("the_head_stays_in_sight", Look::DESK, sticky),
    ];
    let mut tests: Vec<Trial> = table
        .into_iter()
        .map(|(name, look, check)| {
            Trial::new(format!("tool::{name}"), move || run(CONFIG, look, check))
        })
        .collect();
    tests.push(Trial::new("tool::empty_pages_say_what_to_do", empty));
    tests
}

/// The text of a button above the table.
fn label(action: &str) -> String {
    format!("document.querySelector('.everything button.{action}').textContent")
}

/// The check box of a process.
fn check_box(id: &str) -> String {
    format!("input[name=selected][value=\"{id}\"]")
}

fn selected(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    browser.wait(&format!("{} === 'Stop all'", label("stop")))?;
    browser.click(&check_box("web:web"))?;
    browser.wait(&format!("{} === 'Stop these 1'", label("stop")))?;
    // One process needs no question.
    browser.click(".everything button.stop")?;
    says(browser, "1 selected stopped")?;
    scene.daemon.wait_state("web", "STOPPED")?;
    browser.click(&check_box("pair:p1"))?;
    browser.click(&check_box("bad:bad"))?;
    let pid = scene.daemon.pid_of("pair:p1");
    browser.click(".everything button.restart")?;
    let asked = browser.accept()?;
    expect(asked == "Restart these 3?", asked)?;
    says(browser, "2 restarted, 1 failed: bad: no such file")?;
    scene.wait_other_pid("pair:p1", pid)?;
    scene.daemon.wait_state("web", "RUNNING")?;
    // The result of each process, failures first.
    browser.wait(
        "[...document.querySelectorAll('#results li')].map(li => li.textContent).join(' | ') === \
         'bad:bad: no such file | pair:p1: done | web:web: done'",
    )?;
    // Everything that is shown, and nothing.
    browser.click("#selectall")?;
    browser.wait(&format!("{} === 'Stop these 5'", label("stop")))?;
    browser.click("#selectall")?;
    browser.wait(&format!("{} === 'Stop all'", label("stop")))?;
    // A group.
    browser.click("tbody[data-group=pair] tr.group input")?;
    browser.wait(&format!("{} === 'Stop these 2'", label("stop")))?;
    same_page(browser)
}

fn filtered(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let pid = scene.daemon.pid_of("web");
    browser.type_into("#filter", "pair running")?;
    browser.wait(&format!("{SHOWN} === 'pair:p0 pair:p1'"))?;
    browser.click(".everything button.stop")?;
    let asked = browser.accept()?;
    expect(asked == "Stop these 2?", asked)?;
    scene.daemon.wait_state("pair:p0", "STOPPED")?;
    scene.daemon.wait_state("pair:p1", "STOPPED")?;
    says(browser, "2 selected stopped")?;
    expect(scene.daemon.pid_of("web") == pid, "another one was stopped")?;
    // They do not match any more.
    browser.wait(&format!("{SHOWN} === ''"))?;
    browser.wait("document.querySelector('.everything button.stop').disabled")?;
    browser.wait("document.getElementById('nomatch').textContent.startsWith('No process matches “pair running”.')")?;
    browser.click("#nomatch a")?;
    browser.wait(&format!(
        "{SHOWN} === 'bad:bad later:later pair:p0 pair:p1 web:web'"
    ))?;
    same_page(browser)
}

fn selected_without_scripts(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.type_into("#filter", "pair")?;
    browser.click("#search button")?;
    browser.wait(&format!("{SHOWN} === 'pair:p0 pair:p1'"))?;
    browser.click("#selectshown")?;
    browser.wait("document.querySelectorAll('input[name=selected]:checked').length === 2")?;
    let pid = scene.daemon.pid_of("web");
    browser.click(&button("stop :selected"))?;
    says(browser, "2 selected stopped")?;
    scene.daemon.wait_state("pair:p0", "STOPPED")?;
    scene.daemon.wait_state("pair:p1", "STOPPED")?;
    expect(scene.daemon.pid_of("web") == pid, "another one was stopped")?;
    // The page is still filtered.
    browser.wait(&format!("{SHOWN} === 'pair:p0 pair:p1'"))?;
    browser.click(&check_box("pair:p1"))?;
    browser.click(&button("start :selected"))?;
    says(browser, "1 selected started")?;
    scene.daemon.wait_state("pair:p1", "RUNNING")?;
    browser.click(&button("start :selected"))?;
    says(browser, "ERROR: no process is selected")?;
    browser.click("th.restarts a")?;
    browser.wait("location.search === '?filter=pair&sort=-restarts'")?;
    browser.wait("document.querySelector('th.restarts').ariaSort === 'descending'")?;
    browser.wait("document.querySelector('tr[data-n]:not([hidden])').dataset.n === 'pair:p1'")
}

fn sorted(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    browser.click("#failing")?;
    let shown = |names: &str| browser.wait(&format!("{SHOWN} === {names:?}"));
    shown("bad:bad later:later pair:p0 pair:p1 web:web")?;
    browser.wait("document.querySelector('th.state').ariaSort === 'ascending'")?;
    browser.click("th.name a")?;
    browser.wait("document.querySelector('th.name').ariaSort === 'ascending'")?;
    browser.click("th.name a")?;
    shown("web:web pair:p1 pair:p0 later:later bad:bad")?;
    browser.wait("location.search === '?sort=-name'")?;
    // Another state moves the row.
    browser.click("#failing")?;
    shown("bad:bad later:later pair:p0 pair:p1 web:web")?;
    browser.click(&button("stop pair:p1"))?;
    scene.daemon.wait_state("pair:p1", "STOPPED")?;
    shown("bad:bad later:later pair:p1 pair:p0 web:web")?;
    same_page(browser)?;
    browser.go(&browser.text("location.href")?)?;
    shown("bad:bad later:later pair:p1 pair:p0 web:web")?;
    browser.click("#bygroup")?;
    browser.wait("Boolean(document.querySelector('tr.group'))")?;
    browser.wait("location.search === ''")
}

fn folded(_: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let group = "document.querySelector('tbody[data-group=pair] tr.group')";
    browser.wait(&format!(
        "/MiB|KiB/.test({group}.querySelector('.memory').textContent)"
    ))?;
    browser.wait(&format!(
        "parseFloat({group}.querySelector('.memory').textContent) > parseFloat(document.querySelector('tr[data-n=\"pair:p0\"] .memory').textContent)"
    ))?;
    browser.click("tbody[data-group=pair] button.fold")?;
    let shown = |names: &str| browser.wait(&format!("{SHOWN} === {names:?}"));
    shown("bad:bad later:later web:web")?;
    browser.wait("document.querySelector('button.fold').ariaExpanded === 'false'")?;
    browser.wait("document.querySelector('button.fold').ariaLabel === 'Unfold group pair'")?;
    // A filter looks into folded groups.
    browser.type_into("#filter", "p1")?;
    shown("pair:p1")?;
    browser.go(&browser.text("location.origin + '/'")?)?;
    shown("bad:bad later:later web:web")?;
    browser.click("#foldall")?;
    shown("bad:bad later:later pair:p0 pair:p1 web:web")?;
    browser.click("#foldall")?;
    shown("bad:bad later:later web:web")
}

fn keys(_: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    browser.type_into("body", "?")?;
    browser.wait("document.getElementById('keys').open")?;
    browser.wait("document.querySelectorAll('#keys dt').length === 9")?;
    browser.click("#keys button")?;
    browser.wait("!document.getElementById('keys').open")?;
    let focused = |name: &str| {
        browser.wait(&format!(
            "(document.activeElement.closest('tr[data-n]') || {{ dataset: {{}} }}).dataset.n === '{name}'"
        ))
    };
    browser.type_into("body", "j")?;
    focused("bad:bad")?;
    browser.type_into("tr[data-n=\"bad:bad\"] td.name a", "jj")?;
    focused("pair:p0")?;
    browser.type_into("tr[data-n=\"pair:p0\"] td.name a", "kx")?;
    focused("later:later")?;
    browser.wait("document.querySelector('input[value=\"later:later\"]').checked")?;
    browser.type_into("body", "a")?;
    browser.wait(&format!("{} === 'Stop these 5'", label("stop")))?;
    browser.type_into("body", "f")?;
    browser.wait("location.search === '?sort=state'")?;
    browser.type_into("body", "/")?;
    browser.wait("document.activeElement.id === 'filter'")?;
    // A letter in the field is only a letter.
    browser.type_into("#filter", "ja?")?;
    browser.wait("document.getElementById('filter').value === 'ja?' && !document.getElementById('keys').open")?;
    browser.type_into("#filter", "\u{e00c}")?;
    browser.wait("document.getElementById('filter').value === ''")?;
    // The first link leads past the header.
    browser.wait("document.querySelector('body > a').getAttribute('href') === '#content'")?;
    same_page(browser)
}

fn at_a_glance(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let tone = |id: &str, tone: &str| {
        browser.wait(&format!(
            "document.querySelector('tr[data-n=\"{id}\"]').dataset.t === '{tone}'"
        ))
    };
    for (id, expected) in [
        ("bad:bad", "red"),
        ("later:later", "grey"),
        ("web:web", "green"),
    ] {
        tone(id, expected)?;
    }
    browser.wait("document.title.startsWith('(1 fatal) Supervisor Status · ')")?;
    browser.click(&button("stop web:web"))?;
    scene.daemon.wait_state("web", "STOPPED")?;
    tone("web:web", "grey")?;
    browser
        .wait("document.querySelector('tr[data-n=\"web:web\"] .age').textContent === 'just now'")?;
    // Controls are seen against what is below them: 3 to 1 (WCAG 1.4.11).
    let contrast = "(() => { \
        const light = color => { const [r, g, b] = color.match(/[\\d.]+/g).map(n => n / 255) \
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4); \
            return 0.2126 * r + 0.7152 * g + 0.0722 * b }; \
        const ratio = (one, other) => { const [a, b] = [light(one), light(other)].sort((x, y) => y - x); \
            return (a + 0.05) / (b + 0.05) }; \
        const back = getComputedStyle(document.body).backgroundColor; \
        return ['#theme', '#filter', '.everything button', 'tr[data-n] a.log'].map(selector => { \
            const style = getComputedStyle(document.querySelector(selector)); \
            return Math.min(ratio(style.borderTopColor, style.backgroundColor), ratio(style.borderTopColor, back)) }) \
        .every(ratio => ratio >= 3) })()";
    browser.wait(contrast)?;
    browser.media(true)?;
    browser.wait(contrast)?;
    browser.media(false)
}

fn large_targets(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    let small = "[...document.querySelectorAll('a, button, select, input:not([type=hidden]):not([type=checkbox]), label')] \
         .filter(one => one.offsetParent && !one.closest('.skip, #notices, #footer')) \
         .filter(one => one.offsetHeight < 44).map(one => one.outerHTML.slice(0, 90)).join(' ')";
    for path in ["", "tail.html?processname=web&limit=65536"] {
        browser.go(&scene.url(path))?;
        browser.wait("document.getElementById('live').textContent === 'live'")?;
        let small = browser.text(small)?;
        expect(small.is_empty(), format!("{path}: {small}"))?;
        browser.wait("document.documentElement.scrollWidth <= window.innerWidth")?;
    }
    Ok(())
}

fn sticky(_: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    browser.resize(1360, 300)?;
    browser.run("scrollTo(0, document.body.scrollHeight)")?;
    browser.wait(
        "scrollY > 40 && document.querySelector('thead').getBoundingClientRect().top === 0",
    )?;
    // The name has the room.
    browser.resize(1920, 800)?;
    browser.wait("document.querySelector('td.name').offsetWidth >= 300")?;
    browser.resize(3840, 800)?;
    browser.wait("document.getElementById('content').offsetWidth <= 1920")
}

fn empty() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scene = Scene::start(Side::Ours, "")?;
    let browser = Browser::open(Look::DESK)?;
    browser.go(&scene.url(""))?;
    browser.wait("document.querySelector('.empty').innerText.includes('[program:NAME]')")?;
    live(&browser)?;
    // A program that is added appears.
    let conf = scene.place.read("conf") + "[program:new]\ncommand=/bin/cat\n";
    scene.place.write("conf", &conf)?;
    let call = |method: &str, params: &[crate::support::wire::Value]| {
        let done = scene.daemon.call(method, params);
        done.map(drop).map_err(|e| format!("{method}: {e}"))
    };
    call("supervisor.reloadConfig", &[])?;
    let name = crate::support::wire::Value::Text("new".to_owned());
    call("supervisor.addProcessGroup", &[name])?;
    browser.wait("Boolean(document.querySelector('tr[data-n=\"new:new\"]'))")?;
    browser.wait(&format!("{} === 'Stop all'", label("stop")))?;
    same_page(&browser)?;
    let console = browser.console()?;
    expect(console.is_empty(), format!("{console:?}"))?;
    Ok(Outcome::Passed)
}
