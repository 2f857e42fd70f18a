//! axe-core finds nothing serious on the pages, in both languages, light and dark.
//!
//! `tests/run --install` fetches axe-core to `target/axe`.

use crate::axe::{axe, serious};
use crate::browser::SHOP;
use crate::driver::{Browser, Look};
use crate::nacos_scene::{NacosScene, log_in};
use crate::process_page::{WEB, WORLD, wait_world};
use crate::scene::{Scene, text};
use crate::support::daemon::Side;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("accessibility::axe_finds_nothing_serious", few_programs),
        Trial::new(
            "accessibility::axe_finds_nothing_serious_in_colours_and_texts",
            colours_and_texts,
        ),
        Trial::new(
            "accessibility::axe_finds_nothing_serious_with_many_programs",
            many_programs,
        ),
    ]
}

fn check(scene: &Scene, axe: &str, look: Look, paths: &[&str]) -> Result<(), String> {
    check_in(&Browser::open(look)?, scene, axe, paths)
}

fn check_in(browser: &Browser, scene: &Scene, axe: &str, paths: &[&str]) -> Result<(), String> {
    for path in paths {
        for dark in [false, true] {
            browser.media(dark)?;
            browser.go(&scene.url(path))?;
            browser.wait("document.readyState === 'complete'")?;
            let found = serious(browser, axe)?;
            expect(
                found.is_empty(),
                format!("/{path}, dark: {dark}: {found:#?}"),
            )?;
        }
    }
    Ok(())
}

fn few_programs() -> Result<Outcome, String> {
    let axe = match axe() {
        Ok(axe) => axe,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let scene = Scene::start(Side::Ours, SHOP)?;
    scene.daemon.wait_state("search", "FATAL")?;
    let phone = Look {
        width: 390,
        height: 844,
        ..Look::DESK
    };
    let pages = [
        "",
        "?filter=nothing",
        "?sort=state",
        "tail.html?processname=api:api-0&limit=65536",
        "tail.html?processname=api:api-0&limit=65536&channel=both&search=o",
        "grouptail.html?group=api",
        "maintail.html",
        // A refused link, which asks.
        "index.html?processname=redis&action=stop",
        "nosuch",
    ];
    check(&scene, &axe, Look::DESK, &pages)?;
    check(&scene, &axe, phone, &pages[..4])?;
    let world = Scene::start(Side::Ours, WORLD)?;
    wait_world(&world)?;
    let conf = world.place.read("conf");
    let changed = conf.replace("startretries=1", "startretries=0");
    world.place.write("conf", &changed)?;
    let pages = [
        WEB,
        "process.html?name=bad",
        "group.html?name=web",
        "update.html",
        "update.html?do=restart",
    ];
    check(&world, &axe, Look::DESK, &pages)?;
    check(&world, &axe, phone, &pages[1..4])?;
    let empty = Scene::start(Side::Ours, "")?;
    check(&empty, &axe, Look::DESK, &[""])?;
    Ok(Outcome::Passed)
}

/// All colours of terminals, and the pages of the configuration.
fn colours_and_texts() -> Result<Outcome, String> {
    let axe = match axe() {
        Ok(axe) => axe,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let say = |range: std::ops::Range<u8>| -> String {
        range
            .map(|code| {
                format!(" say '\x1b[{code}mcolour {code}\x1b[0m \x1b[1;97;{code}mx\x1b[0m'")
            })
            .collect()
    };
    let all = [30..38, 40..48, 90..98, 100..108].map(say).concat();
    let config =
        format!("[program:web]\ncommand={{test_child}}{all} err oops forever\nstartsecs=0\n");
    let scene = Scene::start(Side::Ours, &config)?;
    let path = "tail.html?processname=web&limit=65536&channel=both";
    wait_for("all colours are in the log", LIMIT, || {
        let page = scene.get(&format!("/{path}"), &[]);
        page.is_ok_and(|page| text(&page).contains("colour 107"))
    })?;
    check(&scene, &axe, Look::DESK, &[path])?;
    let nacos = NacosScene::start()?;
    let browser = Browser::open(Look::DESK)?;
    log_in(&nacos.scene, &browser)?;
    let pages = [
        nacos.version.as_str(),
        "versions.html",
        "nacos.html",
        "program.html?do=edit&name=web",
        "program.html?do=delete&name=web",
    ];
    check_in(&browser, &nacos.scene, &axe, &pages)?;
    Ok(Outcome::Passed)
}

fn many_programs() -> Result<Outcome, String> {
    let axe = match axe() {
        Ok(axe) => axe,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    let many = "[program:many]\ncommand={test_child} forever\nprocess_name=p%(process_num)02d\nnumprocs=60\nautostart=false\n";
    let scene = Scene::start(Side::Ours, many)?;
    check(&scene, &axe, Look::DESK, &[""])?;
    Ok(Outcome::Passed)
}
