//! The page in English and Chinese.

use crate::browser::{CONFIG, Check, button, cell, live, run, says};
use crate::driver::{Browser, Look};
use crate::scene::{PlainCheck, Scene, plain_trials, text};
use crate::support::daemon::Side;
use crate::support::expect;
use crate::support::runner::Trial;

const UP: &str = "[program:up]\ncommand={test_child} forever\nstartsecs=0\n";

pub(crate) fn tests() -> Vec<Trial> {
    let plain: Vec<(&str, PlainCheck)> = vec![
        (
            "the_cookie_decides_before_the_browser",
            the_cookie_decides_before_the_browser,
        ),
        (
            "the_choice_is_kept_in_a_cookie",
            the_choice_is_kept_in_a_cookie,
        ),
        ("messages_are_in_the_language", messages_are_in_the_language),
    ];
    let mut tests = plain_trials("language", plain);
    let table: [(&str, Look, Check); 2] = [
        ("the_page_is_switched_to_chinese", Look::DESK, switched),
        (
            "the_page_is_switched_without_scripts",
            Look::WITHOUT_SCRIPTS,
            switched_without_scripts,
        ),
    ];
    tests.extend(table.map(|(name, look, check)| {
        Trial::new(format!("language::{name}"), move || {
            run(CONFIG, look, check)
        })
    }));
    tests
}

const CHINESE: &str = "Accept-Language: zh-CN,zh;q=0.9,en;q=0.8";

fn the_cookie_decides_before_the_browser() -> Result<(), String> {
    let scene = Scene::start(Side::Ours, UP)?;
    scene.daemon.wait_state("up", "RUNNING")?;
    for path in [
        "/",
        "/tail.html?processname=up",
        "/maintail.html",
        "/grouptail.html?group=up",
    ] {
        for (headers, is_chinese) in [
            (&[][..], false),
            (&["Accept-Language: de,en;q=0.5"], false),
            (&[CHINESE], true),
            (&[CHINESE, "Cookie: lang=en"], false),
            (&["Cookie: a=b; lang=zh"], true),
        ] {
            let answer = scene.get(path, headers)?;
            let page = text(&answer);
            let tag = if is_chinese { "zh-CN" } else { "en" };
            expect(
                page.contains(&format!("<html lang=\"{tag}\""))
                    && page.contains("守护进程日志") == is_chinese,
                format!("{path} {headers:?}: {page}"),
            )?;
        }
    }
    let page = text(&scene.get("/", &[CHINESE])?);
    for word in ["启动", "停止", "重启", "运行", "名称", "筛选"] {
        expect(page.contains(word), format!("{word}: {page}"))?;
    }
    Ok(())
}

fn the_choice_is_kept_in_a_cookie() -> Result<(), String> {
    let scene = Scene::start(Side::Ours, UP)?;
    let body = "lang=zh&back=tail.html%3Fprocessname%3Dup";
    let answer = scene.post("/language", &[], body)?;
    let cookie = answer.header("Set-Cookie").unwrap_or_default();
    expect(
        answer.code() == 303
            && answer.header("Location") == Some("./tail.html?processname=up")
            && cookie.starts_with("lang=zh; ")
            && cookie.contains("; Path=/; SameSite=Lax"),
        format!("{:?}", answer.headers),
    )?;
    // It leads nowhere else, and no other site can switch.
    for back in [
        "//evil.example/",
        "https%3A%2F%2Fevil.example",
        "%5C%5Cevil.example",
    ] {
        let answer = scene.post("/language", &[], &format!("lang=en&back={back}"))?;
        let location = answer.header("Location").unwrap_or_default();
        expect(location.starts_with("./"), format!("{back}: {location}"))?;
    }
    let foreign = scene.post("/language", &["Origin: http://evil.example"], body)?;
    expect(foreign.code() == 403, foreign.status)?;
    for body in ["", "lang=xx", "back=x"] {
        let answer = scene.post("/language", &[], body)?;
        expect(answer.code() == 400, format!("{body}: {}", answer.status))?;
    }
    let got = scene.get("/language?lang=zh", &[])?;
    expect(got.code() == 404, got.status)
}

fn messages_are_in_the_language() -> Result<(), String> {
    let scene = Scene::start(Side::Ours, UP)?;
    scene.daemon.wait_state("up", "RUNNING")?;
    let token = scene.token(&[])?;
    let own = format!("Origin: http://127.0.0.1:{}", scene.port);
    let body = format!("token={token}&do=stop+up%3Aup");
    let answer = scene.post("/actions", &[CHINESE, &own], &body)?;
    let location = answer.header("Location").unwrap_or_default().to_owned();
    let page = text(&scene.get(location.trim_start_matches('.'), &[CHINESE])?);
    expect(
        page.contains(">进程 up 已停止</p>"),
        format!("{location}: {page}"),
    )?;
    // The page that asks, and a refusal.
    let link = "/index.html?processname=up&action=start";
    let page = text(&scene.get(link, &[CHINESE, "Sec-Fetch-Site: none"])?);
    expect(
        page.contains("<h1>启动进程 up？</h1>") && page.contains("链接不能更改任何内容"),
        page,
    )?;
    let page = text(&scene.get("/", &[CHINESE, "Host: evil.example"])?);
    expect(page.contains("已拒绝"), page)
}

fn switched(scene: &Scene, browser: &Browser) -> Result<(), String> {
    live(browser)?;
    browser.click("#counts a.fatal")?;
    browser.click("#language button")?;
    // The page is the same one.
    browser
        .wait("document.documentElement.lang === 'zh-CN' && location.search === '?filter=fatal'")?;
    browser.wait("document.getElementById('live').textContent === '实时'")?;
    browser.click("#counts a")?;
    browser.click(&button("stop web:web"))?;
    says(browser, "进程 web 已停止")?;
    scene.daemon.wait_state("web", "STOPPED")?;
    // Updates are in the language too, and so is the filter.
    browser.wait(&format!("{} === '已停止'", cell("web:web", "state")))?;
    browser.wait(&format!(
        "{}.startsWith('已停止，SIGTERM')",
        cell("web:web", "ending")
    ))?;
    browser.type_into("#filter", "已停止")?;
    browser
        .wait("document.querySelector('.everything button.start').textContent === '启动这 2 个'")?;
    browser.go(&scene.url("tail.html?processname=web&limit=65536"))?;
    browser.wait("document.title === '进程 web 的 Supervisor 日志'")?;
    browser.click("#language button")?;
    browser.wait("document.documentElement.lang === 'en' && document.title === 'Supervisor tail of process web'")
}

fn switched_without_scripts(_: &Scene, browser: &Browser) -> Result<(), String> {
    browser.click("#language button")?;
    browser.wait("document.documentElement.lang === 'zh-CN'")?;
    browser.click(&button("stop web:web"))?;
    says(browser, "进程 web 已停止")
}
