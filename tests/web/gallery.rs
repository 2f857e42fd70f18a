//! Pictures of the pages, compared with golden ones in `tests/web/gallery`. `UPDATE=1` writes these.
//!
//! Fonts, times and figures differ between machines and runs, so only the mean colours of cells are compared, of small
//! pictures. A missing column, an unstyled page or wrong colours exceed the tolerance; letters do not.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::browser::SHOP;
use crate::driver::{Browser, Look, missing};
use crate::nacos_scene::{NacosScene, log_in};
use crate::process_page::{WORLD, wait_world};
use crate::scene::{Scene, text};
use crate::support::daemon::Side;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

/// Width of a golden picture of a desk, in pixels. That of a phone is half as wide.
const WIDTH: u32 = 400;
/// Width and height of a cell, in pixels.
const CELL: u32 = 16;
/// Greatest difference of the mean of a channel in a cell that counts as equal, of 255.
const TOLERANCE: u32 = 20;
/// How many of a hundred cells may differ more.
const DIFFERENT_MAX: u64 = 4;

pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "gallery::pages_look_like_the_golden_pictures",
        gallery,
    )]
}

/// How a page is looked at.
#[derive(Clone, Copy)]
struct View {
    name: &'static str,
    look: Look,
    is_chinese: bool,
}

fn views() -> [View; 4] {
    let desk = Look {
        width: 1280,
        height: 800,
        ..Look::DESK
    };
    let dark = Look { dark: true, ..desk };
    let phone = Look {
        width: 390,
        height: 844,
        ..Look::DESK
    };
    let view = |name, look, is_chinese| View {
        name,
        look,
        is_chinese,
    };
    [
        view("light", desk, false),
        view("dark", dark, false),
        view("phone", phone, false),
        view("zh", desk, true),
    ]
}

fn many(count: u32) -> String {
    format!(
        "[program:web]\ncommand={{test_child}} forever\nautostart=false\nprocess_name=web-%(process_num)04d\nnumprocs={count}\n"
    )
}

/// Programs whose logs have colours on both streams.
const COLOURS: &str = "\
[program:web]
command={test_child} say '\x1b[1;32mINFO\x1b[0m listening on \x1b[36m0.0.0.0:8080\x1b[0m' say '\x1b[1;32mINFO\x1b[0m GET /cart \x1b[32m200\x1b[0m 12 ms' err '\x1b[1;33mWARN\x1b[0m slow query, \x1b[4morders.sql\x1b[0m' err '\x1b[97;41m FATAL \x1b[0m \x1b[38;5;208mno connection to \x1b[38;2;200;80;240mdb-2\x1b[0m' forever
startsecs=0
";

fn gallery() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let scenes = [
        ("0", String::new(), "", "live"),
        ("shop", SHOP.to_owned(), "", "live"),
        (
            "log",
            SHOP.to_owned(),
            "tail.html?processname=api:api-0&limit=65536",
            "live",
        ),
        (
            "ask",
            SHOP.to_owned(),
            "index.html?processname=redis&action=stop",
            "",
        ),
        (
            "colours",
            COLOURS.to_owned(),
            "tail.html?processname=web&limit=65536&channel=both",
            "live",
        ),
        ("process", WORLD.to_owned(), "process.html?name=bad", ""),
        ("plan", WORLD.to_owned(), "update.html", ""),
        ("60", many(60), "", "live"),
        ("1000", many(1000), "", "live"),
    ];
    let mut scene = None;
    let mut different = Vec::new();
    for (at, (name, config, path, live)) in scenes.iter().enumerate() {
        if at == 0 || scenes[at - 1].1 != *config {
            scene = Some(Scene::start(Side::Ours, config)?);
        }
        let scene = scene.as_ref().ok_or("no scene")?;
        if config == COLOURS {
            wait_for("both streams have text", LIMIT, || {
                let page = scene.get(&format!("/{path}"), &[]);
                page.is_ok_and(|page| {
                    let page = text(&page);
                    page.contains("12 ms") && page.contains("db-2")
                })
            })?;
        }
        if config == SHOP {
            for (name, state) in [
                ("search", "FATAL"),
                ("cron", "EXITED"),
                ("thumbs", "BACKOFF"),
            ] {
                scene.daemon.wait_state(name, state)?;
            }
        }
        if config == WORLD {
            wait_world(scene)?;
            let conf = scene.place.read("conf");
            let changed = conf.replace("startretries=1", "startretries=0");
            scene.place.write("conf", &changed)?;
        }
        // Of many programs, one picture shows that nothing overflows.
        let shown = views()
            .into_iter()
            .filter(|view| *name != "1000" || view.name == "light");
        for view in shown {
            let picture = take(scene, path, view, !live.is_empty(), false)?;
            let file = format!("{name}-{}.png", view.name);
            if let Err(why) = compare(&file, &picture) {
                different.push(format!("{file}: {why}"));
            }
        }
    }
    drop(scene);
    let nacos = NacosScene::start()?;
    for view in views() {
        let picture = take(&nacos.scene, &nacos.version, view, false, true)?;
        let file = format!("version-{}.png", view.name);
        if let Err(why) = compare(&file, &picture) {
            different.push(format!("{file}: {why}"));
        }
    }
    expect(
        different.is_empty(),
        format!("{different:#?}; look at target/gallery, and write golden pictures with UPDATE=1"),
    )?;
    Ok(Outcome::Passed)
}

/// A small picture of a page as PNG in base64, and the browser, which compares it.
struct Picture {
    png: String,
    browser: Browser,
}

fn take(
    scene: &Scene,
    path: &str,
    view: View,
    is_live: bool,
    has_password: bool,
) -> Result<Picture, String> {
    let browser = Browser::open(view.look)?;
    if has_password {
        log_in(scene, &browser)?;
    }
    browser.go(&scene.url(path))?;
    if view.is_chinese {
        browser.run("document.cookie = 'lang=zh; path=/'")?;
        browser.go(&scene.url(path))?;
        browser.wait("document.documentElement.lang === 'zh-CN'")?;
    }
    if is_live {
        let word = if view.is_chinese { "实时" } else { "live" };
        browser.wait(&format!(
            "document.getElementById('live').textContent === '{word}'"
        ))?;
    }
    let width = if view.look.width < 600 {
        WIDTH / 2
    } else {
        WIDTH
    };
    let whole = STANDARD.encode(browser.picture()?);
    // The page's content security policy does not allow pictures from a script.
    browser.go("about:blank")?;
    let png = browser.text(&format!(
        "(async () => {{ {DRAW} \
         const whole = await load({whole:?}); \
         const height = Math.round(whole.height * {width} / whole.width); \
         return draw(whole, {width}, height).canvas.toDataURL('image/png').split(',')[1]; }})()"
    ))?;
    Ok(Picture { png, browser })
}

/// Loads and draws pictures in the browser.
const DRAW: &str = "\
    const load = async png => createImageBitmap(await (await fetch('data:image/png;base64,' + png)).blob()); \
    const draw = (picture, width, height) => { \
        const canvas = Object.assign(document.createElement('canvas'), { width, height }); \
        const context = canvas.getContext('2d', { willReadFrequently: true }); \
        context.imageSmoothingQuality = 'high'; \
        context.drawImage(picture, 0, 0, width, height); \
        return context };";

/// Compares with the golden picture of this name.
fn compare(file: &str, picture: &Picture) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bytes = STANDARD.decode(&picture.png).map_err(|e| e.to_string())?;
    let write = |folder: &str| {
        let folder = root.join(folder);
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(file), &bytes))
            .map_err(|e| e.to_string())
    };
    write("target/gallery")?;
    if std::env::var_os("UPDATE").is_some() {
        return write("tests/web/gallery");
    }
    let golden = std::fs::read(root.join("tests/web/gallery").join(file))
        .map_err(|e| format!("no golden picture: {e}"))?;
    let share = picture.browser.run(&format!(
        "return (async () => {{ {DRAW} \
         const [one, other] = [await load({:?}), await load({:?})]; \
         if (one.width !== other.width || Math.abs(one.height - other.height) > 2) return [1, 1]; \
         const means = picture => {{ \
            const context = draw(picture, picture.width, picture.height); \
            const found = []; \
            for (let y = 0; y + {CELL} <= picture.height - 2; y += {CELL}) \
                for (let x = 0; x + {CELL} <= picture.width; x += {CELL}) {{ \
                    const {{ data }} = context.getImageData(x, y, {CELL}, {CELL}); \
                    const sum = [0, 0, 0]; \
                    for (let at = 0; at < data.length; at += 4) for (const c of [0, 1, 2]) sum[c] += data[at + c]; \
                    found.push(sum.map(c => c / {CELL} / {CELL})) }} \
            return found }}; \
         const [a, b] = [means(one), means(other)]; \
         return [a.filter((cell, at) => cell.some((c, n) => Math.abs(c - b[at][n]) > {TOLERANCE})).length, a.length] }})()",
        picture.png,
        STANDARD.encode(golden),
    ))?;
    let (different, all) = (
        share[0].as_u64().unwrap_or(1),
        share[1].as_u64().unwrap_or(1),
    );
    expect(
        different * 100 <= all * DIFFERENT_MAX,
        format!("{different} of {all} cells differ"),
    )
}
