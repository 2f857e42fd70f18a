//! Answers to browsers: compressed texts and error pages.

use std::io::Read as _;

use crate::scene::{PlainCheck, Scene, plain_trials, text};
use crate::support::daemon::Side;
use crate::support::expect;
use crate::support::runner::Trial;
use crate::support::wire::Address;

const CONFIG: &str = "[program:many]\ncommand={test_child} forever\nprocess_name=p%(process_num)d\nnumprocs=3\nautostart=false\n";

const BROWSER: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
const GZIP: &str = "Accept-Encoding: gzip, deflate, br";

pub(crate) fn tests() -> Vec<Trial> {
    let table: Vec<(&str, PlainCheck)> = vec![
        ("texts_are_compressed", texts_are_compressed),
        (
            "browsers_get_error_pages_of_ours",
            browsers_get_error_pages_of_ours,
        ),
    ];
    plain_trials("answers", table)
}

fn texts_are_compressed() -> Result<(), String> {
    let scene = Scene::start(Side::Ours, CONFIG)?;
    for path in [
        "/",
        "/maintail.html",
        "/stylesheets/supervisor.css",
        "/scripts/status.js",
        "/api/v1/openapi.json",
    ] {
        let plain = scene.get(path, &[])?;
        let answer = scene.get(path, &[GZIP])?;
        let is_gzip = answer.header("Content-Encoding") == Some("gzip");
        expect(
            is_gzip && answer.header("Vary") == Some("Accept-Encoding"),
            format!("{path}: {:?}", answer.headers),
        )?;
        let mut whole = Vec::new();
        flate2::read::GzDecoder::new(answer.body.as_slice())
            .read_to_end(&mut whole)
            .map_err(|e| format!("{path}: {e}"))?;
        expect(
            whole.len() == plain.body.len() && answer.body.len() * 2 < whole.len(),
            format!(
                "{path}: {} of {} bytes",
                answer.body.len(),
                plain.body.len()
            ),
        )?;
        expect(
            plain.header("Content-Encoding").is_none(),
            format!("{path}: {:?}", plain.headers),
        )?;
    }
    // Small, no text, not asked for, or asked for by another site, which could guess the token from the length.
    let cross = [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: navigate",
        GZIP,
    ];
    for (path, headers) in [
        ("/ok.html", &[GZIP][..]),
        ("/images/icon.png", &[GZIP]),
        ("/", &["Accept-Encoding: gzip;q=0"]),
        ("/", &cross),
    ] {
        let answer = scene.get(path, headers)?;
        expect(
            answer.code() == 200 && answer.header("Content-Encoding").is_none(),
            format!("{path}: {:?}", answer.headers),
        )?;
    }
    Ok(())
}

fn browsers_get_error_pages_of_ours() -> Result<(), String> {
    let scene = Scene::start(Side::Ours, CONFIG)?;
    let port = Address::Port(scene.port);
    for (method, path, code) in [
        ("GET", "/nosuch", 404),
        ("GET", "/no/such/page", 404),
        ("PUT", "/index.html", 400),
        ("GET", "/?action=dance", 500),
        ("GET", "/program/start/many", 405),
    ] {
        let program = scene.ask(&port, method, path, &["Accept: */*"], "")?;
        let answer = scene.ask(&port, method, path, &[BROWSER], "")?;
        expect(
            answer.code() == code && program.code() == code,
            format!("{path}: {} {}", answer.status, program.status),
        )?;
        expect(
            text(&program).contains("<title>Error response</title>"),
            text(&program),
        )?;
        let page = text(&answer);
        let root = "../".repeat(path.matches('/').count() - 1);
        expect(
            page.contains(&format!("<h1>Error {code}</h1>"))
                && page.contains(&format!("href=\"{root}stylesheets/supervisor.css\""))
                && answer.header("Content-Security-Policy").is_some(),
            page,
        )?;
        expect(
            answer.header("Allow") == program.header("Allow"),
            format!("{path}: {:?}", answer.headers),
        )?;
    }
    let page = text(&scene.get("/nosuch", &[BROWSER, "Accept-Language: zh"])?);
    expect(page.contains("此地址没有内容"), page)
}
