//! The pages of the hub in a real browser, with a real host, one that hangs, and one with a wrong password: at a desk and on a
//! phone, in both languages, with and without scripts.

use crate::axe::{axe, serious};
use crate::driver::{Browser, Look, missing};
use crate::fleet_nodes::RealNode;
use crate::hub_process::{HubProcess, free_port};
use crate::simulated::{Behaviour, SimulatedFleet};
use crate::support::daemon::Side;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let test = |name: &str, look: Look, check: fn(&Scene, &Browser) -> Result<(), String>| {
        Trial::new(format!("pages::{name}"), move || run(look, check))
    };
    let phone = Look {
        width: 390,
        height: 844,
        ..Look::DESK
    };
    vec![
        test("they_work_with_scripts", Look::DESK, with_scripts),
        test(
            "they_work_without_scripts",
            Look::WITHOUT_SCRIPTS,
            without_scripts,
        ),
        test("they_fit_on_a_phone", phone, on_a_phone),
        Trial::new("pages::axe_finds_nothing_serious", accessible),
    ]
}

/// A hub with hosts of each kind. Fields drop in order: the hub first.
struct Scene {
    hub: HubProcess,
    node: RealNode,
    _others: SimulatedFleet,
}

impl Scene {
    fn start() -> Result<Self, String> {
        let node = RealNode::start(Side::Ours)?;
        let others = SimulatedFleet::start(&[Behaviour::BlackHole], &[])?;
        let hanging = others.nodes[0].address();
        let config = format!(
            "@hub\npoll_interval = 0.5\n\
             [[nodes]]\nname = 'good'\nenvironment = '内网'\nhost = '127.0.0.1'\nport = {port}\nusername = 'hub'\npassword = 'secret'\n\
             [[nodes]]\nname = 'hangs'\nenvironment = 'eu'\nhost = '{}'\nport = {}\n\
             [[nodes]]\nname = 'locked'\nenvironment = 'eu'\nhost = '127.0.0.1'\nport = {port}\nusername = 'hub'\npassword = 'wrong'\n\
             [[nodes]]\nname = 'gone'\nenvironment = 'eu'\nhost = '127.0.0.1'\nport = {}\n",
            hanging.ip(),
            hanging.port(),
            free_port()?,
            port = node.port,
        );
        Ok(Self {
            hub: HubProcess::start(&config)?,
            node,
            _others: others,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.hub.port)
    }
}

fn run(look: Look, check: fn(&Scene, &Browser) -> Result<(), String>) -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scene = Scene::start()?;
    let browser = Browser::open(look)?;
    check(&scene, &browser)?;
    // A refused password is a status that the browser reports. Its hints for authors are no errors.
    let is_error = |line: &&String| !line.contains("403") && !line.starts_with("\"DEBUG\"");
    let console = browser.console()?;
    let console: Vec<_> = console.iter().filter(is_error).collect();
    expect(
        console.is_empty(),
        format!("the console contains {console:?}"),
    )?;
    Ok(Outcome::Passed)
}

/// Logs in with the default password, and changes it, as the pages ask for.
fn log_in(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.go(&scene.url(""))?;
    browser.wait("location.pathname === '/login/'")?;
    browser.type_into("input[name=username]", "admin")?;
    browser.type_into("input[name=password]", "wrong\u{e007}")?;
    browser.wait("Boolean(document.querySelector('p.problem'))")?;
    browser.type_into("input[name=password]", "admin\u{e007}")?;
    browser.wait("location.pathname === '/profile/'")?;
    browser.wait("Boolean(document.querySelector('.banner'))")?;
    browser.type_into("input[name=old]", "admin")?;
    browser.type_into("input[name=new]", "n3w")?;
    browser.type_into("input[name=again]", "n3w\u{e007}")?;
    browser.wait("location.pathname === '/'")?;
    says(
        browser,
        "The password was changed. All other sessions have ended.",
    )?;
    browser.wait("!document.querySelector('.banner')")
}

fn says(browser: &Browser, message: &str) -> Result<(), String> {
    browser.wait(&format!(
        "document.getElementById('statusmessage').textContent === {message:?}"
    ))
}

/// The text of a part of the row of a host.
fn host(name: &str, part: &str) -> String {
    format!("document.querySelector('#hosts tr[data-n={name}] .{part}').textContent")
}

const SHOWN_HOSTS: &str = "[...document.querySelectorAll('#hosts tr[data-n]')].filter(row => row.offsetParent).map(row => row.dataset.n).join(' ')";

fn with_scripts(scene: &Scene, browser: &Browser) -> Result<(), String> {
    log_in(scene, browser)?;
    overview(scene, browser)?;
    host_page(scene, browser)?;
    log_page(scene, browser)?;
    group(scene, browser)?;
    let shown = |words: &str| {
        browser.wait(&format!(
            "document.querySelector('#found .note').textContent === {words:?}"
        ))
    };
    browser.go(&scene.url("processes/?filter=good%20off"))?;
    shown("1 processes match.")?;
    browser.go(&scene.url("activity/"))?;
    browser.type_into("#filter", "grp:web unsuccessful nothing")?;
    browser.wait("[...document.querySelectorAll('tr[data-w]')].every(row => row.hidden)")?;
    browser.type_into("#filter", "\u{e00c}")?;
    browser.wait("[...document.querySelectorAll('tr[data-w]')].some(row => !row.hidden)")?;
    viewer(scene, browser)
}

fn overview(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.wait("document.getElementById('live').textContent === 'live'")?;
    browser.run("window.same = true")?;
    browser.wait(&format!("{} === 'unauthorized'", host("locked", "state")))?;
    browser.wait(&format!("{} === 'unreachable'", host("gone", "state")))?;
    // The host that hangs is known not to answer only after its limit.
    browser.wait(&format!("{} === 'unreachable'", host("hangs", "state")))?;
    browser.wait(&format!(
        "{}.includes('no answer within')",
        host("hangs", "reason")
    ))?;
    browser.wait(&format!(
        "{}.startsWith('1 of 4 running')",
        host("good", "counts")
    ))?;
    // Those that fail come first, otherwise in the order of the settings.
    browser.wait(&format!("{SHOWN_HOSTS} === 'hangs locked gone good'"))?;
    browser.wait(
        "document.querySelector('#sum-hosts p').textContent === '1 connected · 3 not connected'",
    )?;
    browser.click("#counts a.fatal")?;
    browser.wait(&format!("{SHOWN_HOSTS} === 'hangs locked gone'"))?;
    browser.wait("location.search === '?filter=failing'")?;
    browser.type_into("#filter", "\u{e00c}")?;
    browser.wait(&format!("{SHOWN_HOSTS} === 'hangs locked gone good'"))?;
    // A change on the host appears without a reload.
    scene.node.start_process("grp:off")?;
    browser.wait(&format!(
        "{}.startsWith('2 of 4 running')",
        host("good", "counts")
    ))?;
    browser
        .wait("document.querySelector('#sum-processes p').textContent.startsWith('2 running')")?;
    expect(
        browser.text("window.same")? == "true",
        "the page was loaded again",
    )?;
    // Where Cesi has the page.
    browser.go(&scene.url("#/groups"))?;
    browser.run("location.reload()")?;
    browser.wait("location.pathname === '/groups/'")
}

/// The text of a cell of the table of processes.
fn cell(id: &str, class: &str) -> String {
    format!("document.querySelector('tr[data-n=\"{id}\"] td.{class}').textContent")
}

fn host_page(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.go(&scene.url("nodes/good/"))?;
    browser.wait("document.getElementById('live').textContent === 'live'")?;
    browser.run("window.same = true")?;
    browser.click("button[value=\"stop grp:web\"]")?;
    says(browser, "Process grp:web stopped")?;
    browser.wait(&format!(
        "{}.startsWith('stopped')",
        cell("grp:web", "state")
    ))?;
    browser.click("button[value=\"start grp:web\"]")?;
    says(browser, "Process grp:web started")?;
    browser.wait(&format!(
        "{}.startsWith('running')",
        cell("grp:web", "state")
    ))?;
    browser.click("button[value=\"start none:none\"]")?;
    browser.wait("document.getElementById('statusmessage').classList.contains('failed')")?;
    // A change that somebody else makes.
    scene.node.stop_process("grp:off")?;
    browser.wait(&format!(
        "{}.startsWith('stopped')",
        cell("grp:off", "state")
    ))?;
    browser.type_into("#filter", "off")?;
    browser.wait("document.querySelector('tr[data-n=\"grp:web\"]').hidden")?;
    expect(
        browser.text("window.same")? == "true",
        "the page was loaded again",
    )?;
    // A host that is not connected says why, and has no buttons.
    browser.go(&scene.url("nodes/locked/"))?;
    browser.wait("Boolean(document.querySelector('#hoststate.bad p.problem'))")?;
    browser.wait("!document.querySelector('button[name=do]')")
}

fn log_page(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.go(&scene.url("nodes/good/tail.html?processname=grp:web&limit=65536&channel=stdout"))?;
    browser.wait("document.getElementById('log').textContent.startsWith('hello from web')")?;
    browser.wait("document.getElementById('live').textContent === 'live'")?;
    // What is written later appears.
    let lines = "document.getElementById('log').textContent.split('hello').length";
    let before = browser.text(lines)?;
    browser.click("button.restart")?;
    says(browser, "Process grp:web restarted")?;
    browser.wait(&format!("{lines} > {before}"))
}

fn group(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.go(&scene.url("groups/"))?;
    browser.click("th a[href=\"grp/\"]")?;
    browser.wait("location.pathname === '/groups/grp/'")?;
    browser.click("input[name=selected][value=good]")?;
    browser.type_into("input[name=at_once]", "1")?;
    browser.click("button[value=\"restart :selected\"]")?;
    browser.wait("location.pathname.startsWith('/operations/')")?;
    browser.wait("document.querySelector('#state .word').textContent === 'done'")?;
    browser
        .wait("document.querySelector('#state .about').textContent === '2 of 2 done, 0 failed'")?;
    browser.wait("document.querySelectorAll('#results-list td.met').length === 2")?;
    // An action on everything reports the failure of one process.
    browser.go(&scene.url("environments/"))?;
    browser.click("form:has(input[value=\"内网\"]) button.start")?;
    browser.accept()?;
    browser.wait("location.pathname.startsWith('/operations/')")?;
    browser.wait("document.querySelector('#state .word').textContent === 'done with failures'")?;
    browser.wait(
        "document.querySelector('#results-list td.unmet').textContent.includes('/no/such/command')",
    )
}

/// A viewer sees everything and no button.
fn viewer(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.go(&scene.url("users/"))?;
    let form = "form:has(input[name=again])";
    browser.type_into(&format!("{form} input[name=name]"), "guest")?;
    browser.type_into(&format!("{form} input[name=password]"), "p4ss")?;
    browser.type_into(&format!("{form} input[name=again]"), "p4ss")?;
    browser.run(&format!(
        "document.querySelector('{form} select').value = 'viewer'"
    ))?;
    browser.click(&format!("{form} button"))?;
    says(browser, "guest was added")?;
    browser.click(".account button")?;
    browser.wait("location.pathname === '/login/'")?;
    browser.type_into("input[name=username]", "guest")?;
    browser.type_into("input[name=password]", "p4ss\u{e007}")?;
    browser.wait("location.pathname === '/'")?;
    for page in [
        "",
        "nodes/good/",
        "groups/",
        "groups/grp/",
        "environments/",
        "processes/",
    ] {
        browser.go(&scene.url(page))?;
        browser.wait("document.querySelector('.account a').textContent === 'guest'")?;
        let buttons = browser.text("document.querySelectorAll('main button').length - document.querySelectorAll('main button.fold').length")?;
        expect(buttons == "0", format!("{page}: {buttons} buttons"))?;
    }
    browser.go(&scene.url("users/"))?;
    browser.wait("document.querySelector('h1').textContent === 'Error 403'")
}

fn without_scripts(scene: &Scene, browser: &Browser) -> Result<(), String> {
    log_in(scene, browser)?;
    browser.click("#hosts tr[data-n=good] a")?;
    browser.wait("location.pathname === '/nodes/good/'")?;
    browser.click("button[value=\"stop grp:web\"]")?;
    says(browser, "Process grp:web stopped")?;
    browser.click("input[name=selected][value=\"grp:web\"]")?;
    browser.click("button[value=\"start :selected\"]")?;
    says(browser, "1 selected started")?;
    browser.type_into("#filter", "grp\u{e007}")?;
    browser.wait("document.querySelectorAll('tr[data-n]:not([hidden])').length === 2")?;
    browser.go(&scene.url("groups/grp/"))?;
    browser.click("input[name=selected][value=good]")?;
    browser.click("button[value=\"stop :selected\"]")?;
    browser.wait("location.pathname.startsWith('/operations/')")?;
    // The page loads itself again until the action has ended.
    browser
        .wait("document.querySelector('#state .about').textContent === '2 of 2 done, 0 failed'")?;
    browser.go(&scene.url("?filter=eu"))?;
    browser.wait(&format!("{SHOWN_HOSTS} === 'hangs locked gone'"))?;
    browser.click("button[name=lang]")?;
    browser
        .wait("document.documentElement.lang === 'zh-CN' && location.search === '?filter=eu'")?;
    browser.click(".account button")?;
    browser.wait(
        "location.pathname === '/login/' && document.querySelector('h1').textContent === '登录'",
    )
}

/// All pages that a host, a group and a user have.
const PAGES: [&str; 12] = [
    "",
    "nodes/good/",
    "nodes/hangs/",
    "nodes/good/tail.html?processname=grp:web&limit=65536&channel=both",
    "environments/",
    "groups/",
    "groups/grp/",
    "processes/",
    "operations/1/",
    "activity/",
    "users/",
    "profile/",
];

/// Begins an operation, so that its page is there.
fn begin_operation(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.go(&scene.url("groups/grp/"))?;
    browser.click("fieldset button.restart")?;
    browser.accept()?;
    browser.wait("location.pathname === '/operations/1/'")
}

fn on_a_phone(scene: &Scene, browser: &Browser) -> Result<(), String> {
    log_in(scene, browser)?;
    begin_operation(scene, browser)?;
    let fits = "document.documentElement.scrollWidth <= window.innerWidth";
    let small = "[...document.querySelectorAll('main button, main select, #header button')].filter(b => b.offsetParent && b.offsetHeight < 36).map(b => b.outerHTML).join()";
    for language in ["en", "zh"] {
        browser.run(&format!("document.cookie = 'lang={language}; path=/'"))?;
        for page in PAGES {
            browser.go(&scene.url(page))?;
            browser.wait(&format!(
                "document.documentElement.lang.startsWith('{language}')"
            ))?;
            browser.wait(fits)?;
            let found = browser.text(small)?;
            expect(found.is_empty(), format!("/{page} is small: {found}"))?;
        }
    }
    browser.go(&scene.url("nodes/good/"))?;
    browser.click("button[value=\"stop grp:web\"]")?;
    says(browser, "进程 grp:web 已停止")
}

fn accessible() -> Result<Outcome, String> {
    let axe = match axe() {
        Ok(axe) => axe,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let scene = Scene::start()?;
    let browser = Browser::open(Look::DESK)?;
    browser.go(&scene.url("login/"))?;
    expect_accessible(&browser, &axe, "login/")?;
    log_in(&scene, &browser)?;
    begin_operation(&scene, &browser)?;
    let pages = PAGES.into_iter().chain(["about/", "operations/", "nosuch"]);
    for (at, page) in pages.enumerate() {
        // Each page in one language and in one theme; all languages and themes are seen.
        let language = if at % 2 == 0 { "en" } else { "zh" };
        browser.run(&format!("document.cookie = 'lang={language}; path=/'"))?;
        browser.media(at % 4 < 2)?;
        if at % 3 == 0 {
            browser.resize(390, 844)?;
        } else {
            browser.resize(1360, 820)?;
        }
        browser.go(&scene.url(page))?;
        expect_accessible(&browser, &axe, page)?;
    }
    Ok(Outcome::Passed)
}

fn expect_accessible(browser: &Browser, axe: &str, page: &str) -> Result<(), String> {
    browser.wait("document.readyState === 'complete'")?;
    let found = serious(browser, axe)?;
    expect(found.is_empty(), format!("/{page}: {found:#?}"))
}
