//! Sends both daemons the same requests and compares the contents of their pages. The layout of the pages differs.

use std::collections::BTreeMap;

use crate::scene::{Scene, between, text, unescaped};
use crate::support::daemon::{Side, oracle};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Answer};
use crate::support::{LIMIT, expect, wait_for};

const CONFIG: &str = "\
[program:up]
command={test_child} say hello err oops forever
[program:down]
command={test_child} forever
autostart=false
[program:bad]
command={dir}/nosuch
startretries=0
[program:pair]
command={test_child} say one forever
process_name=p%(process_num)d
numprocs=2
[program:long]
command={test_child} numbers 1 400 forever
[program:nolog]
command={test_child} forever
stdout_logfile=NONE
[program:gone]
command={test_child} sleep 1100
autorestart=false
exitcodes=0
";

type Check = fn(&Scene, &Scene) -> Result<(), String>;

pub(crate) fn tests() -> Vec<Trial> {
    let table: Vec<(&str, Check)> = vec![
        (
            "web_01_the_table_matches_the_reference",
            web_01_the_table_matches_the_reference,
        ),
        (
            "web_04_the_tail_matches_the_reference",
            web_04_the_tail_matches_the_reference,
        ),
        ("web_06_pages_are_not_cached", web_06_pages_are_not_cached),
        ("web_07_files_have_dates", web_07_files_have_dates),
    ];
    table
        .into_iter()
        .map(|(name, check)| {
            Trial::new(format!("comparison::{name}"), move || {
                if oracle().is_none() {
                    let why = "SUPERVISOR_ORACLE is not set".to_owned();
                    return Ok(Outcome::Skipped(why));
                }
                let reference = Scene::start(Side::Reference, CONFIG)?;
                let ours = Scene::start(Side::Ours, CONFIG)?;
                for scene in [&reference, &ours] {
                    for (name, state) in [
                        ("up", "RUNNING"),
                        ("bad", "FATAL"),
                        ("pair:p0", "RUNNING"),
                        ("pair:p1", "RUNNING"),
                        ("long", "RUNNING"),
                        ("nolog", "RUNNING"),
                        ("gone", "EXITED"),
                    ] {
                        scene.daemon.wait_state(name, state)?;
                    }
                    wait_for("everything is written", LIMIT, || {
                        tail(scene, "processname=long&limit=1024").ends_with("00000400\n")
                            && tail(scene, "processname=up").ends_with("hello\n")
                    })?;
                }
                check(&reference, &ours)?;
                Ok(Outcome::Passed)
            })
        })
        .collect()
}

/// The row of each process in a table: the state with its class, and the link of its name.
fn rows(page: &str) -> BTreeMap<String, (String, String)> {
    let mut rows = BTreeMap::new();
    for row in page.split("<tr").skip(1) {
        let Some(href) = between(row, "href=\"tail.html?processname=", "\"") else {
            continue;
        };
        let class = ["statusrunning", "statuserror", "statusnominal"]
            .into_iter()
            .find(|class| row.contains(&format!("class=\"{class}\"")))
            .unwrap_or_default();
        let word = row
            .split_once(&format!("class=\"{class}\""))
            .and_then(|(_, rest)| between(rest, ">", "<"))
            .unwrap_or_default();
        let name = href.split('&').next().unwrap_or_default().to_owned();
        rows.insert(name, (word, class.to_owned()));
    }
    rows
}

fn web_01_the_table_matches_the_reference(reference: &Scene, ours: &Scene) -> Result<(), String> {
    for path in ["/", "/index.html", "//index.html"] {
        let theirs = text(&reference.get(path, &[])?);
        let page = text(&ours.get(path, &[])?);
        let expected = rows(&theirs);
        expect(expected.len() == 8, format!("{path}: {expected:?}"))?;
        expect(
            expected == rows(&page),
            format!("{path}: {expected:?} is {:?}", rows(&page)),
        )?;
    }
    let message = "/?message=%3Cb%3Ehello%20%26%20%22you%22";
    for scene in [reference, ours] {
        let page = text(&scene.get(message, &[])?);
        let shown = page
            .split_once("class=\"status_msg\"")
            .and_then(|(_, rest)| between(rest, ">", "<"))
            .ok_or("no message")?;
        expect(unescaped(&shown) == "<b>hello & \"you\"", shown)?;
    }
    let empty = "";
    for side in [Side::Reference, Side::Ours] {
        let page = text(&Scene::start(side, empty)?.get("/", &[])?);
        expect(page.contains("No programs to manage"), page)?;
    }
    Ok(())
}

/// The text of a tail page.
fn tail(scene: &Scene, query: &str) -> String {
    let Ok(answer) = scene.get(&format!("/tail.html?{query}"), &[]) else {
        return String::new();
    };
    tail_of(&text(&answer))
}

fn tail_of(page: &str) -> String {
    let shown = page
        .split_once("<pre")
        .and_then(|(_, rest)| between(rest, ">", "</pre>"))
        .unwrap_or_default();
    // Characters that a browser drops.
    unescaped(shown.strip_prefix('\n').unwrap_or(&shown))
}

fn web_04_the_tail_matches_the_reference(reference: &Scene, ours: &Scene) -> Result<(), String> {
    for query in [
        "processname=up",
        "processname=up:up",
        "processname=pair:p0",
        "processname=pair%3Ap1",
        "processname=long",
        "processname=long&limit=1",
        "processname=long&limit=1500",
        "processname=long&limit=3600",
        "processname=long&limit=999999",
        "processname=long&limit=-1500",
        "processname=long&limit=x",
        "processname=long&limit=",
        "limit=2000",
        "",
        "processname=",
        "processname=nolog",
        "processname=down",
        "processname=nosuch",
        "processname=pair:*",
        "processname=%3Cb%3E",
    ] {
        let path = format!("/tail.html?{query}");
        // Our daemon answers 404 for a missing log.
        let status = match query {
            "processname=nosuch" | "processname=pair:*" | "processname=%3Cb%3E" => 404,
            _ => 200,
        };
        let theirs = reference.get(&path, &[])?;
        let answer = ours.get(&path, &[])?;
        expect(
            (theirs.code(), answer.code()) == (200, status),
            format!("{path}: {} {}", theirs.status, answer.status),
        )?;
        let (theirs, page) = (text(&theirs), text(&answer));
        expect(
            tail_of(&theirs) == tail_of(&page),
            format!("{path}: {:?} is {:?}", tail_of(&theirs), tail_of(&page)),
        )?;
        let title = |page: &str| between(page, "<title>", "</title>").map(|t| unescaped(&t));
        expect(
            title(&theirs) == title(&page),
            format!("{path}: {:?} is {:?}", title(&theirs), title(&page)),
        )?;
        let refresh = |page: &str| {
            let (_, rest) = page.split_once("tail.html?processname=")?;
            Some(unescaped(rest.split_once('"')?.0))
        };
        let anchor = |page: &str| {
            let whole = page
                .contains("refresh_anchor")
                .then(|| refresh(page.split_once("refresh_anchor")?.1));
            whole.unwrap_or_else(|| refresh(page))
        };
        expect(
            anchor(&theirs).is_none() || anchor(&theirs) == anchor(&page),
            format!("{path}: {:?} is {:?}", anchor(&theirs), anchor(&page)),
        )?;
    }
    let body = "processname=long&limit=2000";
    let posted = |scene: &Scene| scene.post("/tail.html?limit=1500", &[], body);
    let (theirs, page) = (text(&posted(reference)?), text(&posted(ours)?));
    expect(
        tail_of(&theirs) == tail_of(&page) && tail_of(&page).len() == 2000,
        format!("POST: {:?}", tail_of(&page)),
    )
}

fn kept(answer: &Answer) -> Vec<Option<&str>> {
    [
        "Pragma",
        "Cache-Control",
        "Expires",
        "Content-Type",
        "Server",
    ]
    .map(|name| answer.header(name))
    .into()
}

fn web_06_pages_are_not_cached(reference: &Scene, ours: &Scene) -> Result<(), String> {
    for path in [
        "/",
        "/index.html",
        "/tail.html?processname=up",
        "/tail.html",
    ] {
        let (theirs, answer) = (reference.get(path, &[])?, ours.get(path, &[])?);
        expect(
            kept(&theirs) == kept(&answer) && kept(&answer).iter().all(Option::is_some),
            format!("{path}: {:?} is {:?}", theirs.headers, answer.headers),
        )?;
    }
    // The same over the socket.
    let over_socket = |scene: &Scene| {
        let address = Address::Unix(scene.place.join("s"));
        scene.ask(&address, "GET", "/", &[], "")
    };
    let (theirs, answer) = (over_socket(reference)?, over_socket(ours)?);
    expect(
        kept(&theirs) == kept(&answer) && answer.code() == 200,
        format!("{:?} is {:?}", theirs.headers, answer.headers),
    )
}

fn web_07_files_have_dates(reference: &Scene, ours: &Scene) -> Result<(), String> {
    for path in ["/stylesheets/supervisor.css", "/images/icon.png"] {
        let (theirs, answer) = (reference.get(path, &[])?, ours.get(path, &[])?);
        expect(
            theirs.header("Content-Type") == answer.header("Content-Type"),
            format!("{path}: {:?} is {:?}", theirs.headers, answer.headers),
        )?;
        for (scene, answer) in [(reference, &theirs), (ours, &answer)] {
            let date = answer.header("Last-Modified").ok_or("no date")?;
            for value in [
                date.to_owned(),
                format!("{date}; length={}", answer.body.len()),
            ] {
                let again = scene.get(path, &[&format!("If-Modified-Since: {value}")])?;
                expect(
                    again.code() == 304 && again.body.is_empty(),
                    format!("{path} {value}: {}", again.status),
                )?;
            }
            let head = scene.ask(&Address::Port(scene.port), "HEAD", path, &[], "")?;
            let length = answer.body.len().to_string();
            expect(
                head.code() == 200
                    && head.body.is_empty()
                    && head.header("Content-Length") == Some(&length),
                format!("{path}: {:?}", head.headers),
            )?;
        }
    }
    Ok(())
}
