//! The log page: both streams in one view, colours, the search of the daemon, and whole logs as files.

use std::io::Write as _;

use crate::browser::{Check, run};
use crate::driver::{Browser, Look};
use crate::scene::{PlainCheck, Scene, plain_trials, text};
use crate::support::daemon::Side;
use crate::support::runner::Trial;
use crate::support::wire::{Address, Value};
use crate::support::{LIMIT, expect, wait_for};

/// Programs as the browser tests expect them; `one` writes both streams to one log.
const CONFIG: &str = "\
[program:web]
command={test_child} say listening err warming forever
startsecs=0
[program:pair]
command={test_child} say one forever
process_name=p%(process_num)d
numprocs=2
startsecs=0
redirect_stderr=true
[program:bad]
command={dir}/nosuch
startretries=0
";

pub(crate) fn tests() -> Vec<Trial> {
    let plain: Vec<(&str, PlainCheck)> = vec![
        ("both_streams_are_on_one_page", both),
        ("escape_sequences_become_classes", colours),
        ("the_daemon_searches_and_marks", search),
        ("a_whole_log_is_downloaded", download),
    ];
    let mut tests = plain_trials("log_page", plain);
    let table: [(&str, Look, Check); 2] = [
        ("both_streams_are_followed", Look::DESK, both_followed),
        (
            "scripts_show_what_the_daemon_shows",
            Look::DESK,
            same_colours,
        ),
    ];
    tests.extend(table.map(|(name, look, check)| {
        Trial::new(format!("log_page::{name}"), move || {
            run(CONFIG, look, check)
        })
    }));
    tests
}

/// Appends to a log of a program.
fn append(scene: &Scene, name: &str, channel: &str, bytes: &str) -> Result<(), String> {
    let info = scene.daemon.info(name).map_err(|e| format!("{e:?}"))?;
    let path = info
        .get(&format!("{channel}_logfile"))
        .and_then(Value::text);
    std::fs::File::options()
        .append(true)
        .open(path.ok_or("no log")?)
        .and_then(|mut log| log.write_all(bytes.as_bytes()))
        .map_err(|e| e.to_string())
}

fn started() -> Result<Scene, String> {
    let scene = Scene::start(Side::Ours, CONFIG)?;
    wait_for("both streams have text", LIMIT, || {
        let page = scene.get("/tail.html?processname=web&channel=both", &[]);
        page.is_ok_and(|page| text(&page).contains("listening") && text(&page).contains("warming"))
    })?;
    wait_for("the joined stream has text", LIMIT, || {
        let page = scene.get("/tail.html?processname=pair:p0", &[]);
        page.is_ok_and(|page| text(&page).contains("one"))
    })?;
    Ok(scene)
}

fn both() -> Result<(), String> {
    let scene = started()?;
    let page = |query: &str| -> Result<String, String> {
        let answer = scene.get(&format!("/tail.html?processname={query}"), &[])?;
        expect(answer.code() == 200, &answer.status)?;
        Ok(text(&answer))
    };
    // The stream that was written last is the last one.
    for (channel, last) in [("stdout", "stdout"), ("stderr", "stderr")] {
        append(&scene, "web", channel, "later\n")?;
        let shown = page("web&channel=both")?;
        let at = |class: &str| shown.find(&format!("<span class=\"{class}\">"));
        let (out, err) = (at("stdout"), at("stderr"));
        expect(
            out.is_some() && err.is_some() && (out > err) == (last == "stdout"),
            format!("{channel}: {out:?} {err:?} {shown}"),
        )?;
        expect(
            shown.contains("The two logs have no times in common.")
                && shown.contains("aria-current=\"page\">both</a>")
                && shown.contains("Download stderr"),
            shown,
        )?;
    }
    // Without the parameter it is Supervisor's page.
    let plain = page("web")?;
    expect(
        plain.contains(">\nlistening\nlater\n</pre>") && !plain.contains("warming"),
        plain,
    )?;
    // Joined by the program already.
    let one = page("pair:p0&channel=both")?;
    expect(
        one.contains(">\none\n</pre>") && !one.contains("no times in common"),
        one,
    )
}

fn colours() -> Result<(), String> {
    let scene = started()?;
    append(
        &scene,
        "web",
        "stdout",
        "\x1b[1;31mred\x1b[0m \x1b[38;5;46mgreen\x1b[m\x1b]0;title\x07 \x1b[4m<b>\x1b[24m\x1b[2K\x1b[?25l end\r\n",
    )?;
    for path in ["/tail.html?processname=web", "/grouptail.html?group=web"] {
        let page = text(&scene.get(path, &[])?);
        expect(
            page.contains(
                "<span class=\"f1 bold\">red</span> <span class=\"f10\">green</span> <span class=\"under\">&lt;b&gt;</span> end\n",
            ) && !page.contains('\x1b')
                && !page.contains(" style=")
                && !page.contains("]0;title"),
            page,
        )?;
    }
    Ok(())
}

fn search() -> Result<(), String> {
    let scene = started()?;
    append(
        &scene,
        "web",
        "stderr",
        "GET /one\nnothing\n\x1b[32mget\x1b[0m <two>\n",
    )?;
    let page = text(&scene.get("/tail.html?processname=web&channel=both&search=get", &[])?);
    expect(
        page.contains(
            "<span class=\"stderr\"><mark>GET</mark> /one\n<span class=\"f2\"><mark>get</mark></span> &lt;two&gt;\n</span></pre>",
        ) && page.contains("<output id=\"hits\">2 lines</output>")
            && page.contains("name=\"channel\" value=\"both\"")
            && !page.contains("nothing"),
        page,
    )?;
    // Within the part that is chosen.
    let many = "filler\n".repeat(400);
    append(&scene, "web", "stderr", &many)?;
    let page = text(&scene.get(
        "/tail.html?processname=web&channel=stderr&limit=1024&search=get",
        &[],
    )?);
    expect(page.contains("No matching lines."), page)
}

fn download() -> Result<(), String> {
    let scene = started()?;
    let lines: String = (0..200_000)
        .map(|n| format!("\x1b[31mline {n}\n"))
        .collect();
    append(&scene, "web", "stdout", &lines)?;
    let path = "/logfile?processname=web:web&channel=stdout";
    let answer = scene.get(path, &[])?;
    let body = text(&answer);
    let length = answer.header("Content-Length").map(str::to_owned);
    expect(
        answer.code() == 200
            && length == Some(body.len().to_string())
            && answer.header("Content-Disposition")
                == Some(
                    "attachment; filename=\"web_web-stdout.log\"; filename*=UTF-8''web%3Aweb-stdout.log",
                )
            && answer.header("X-Content-Type-Options") == Some("nosniff"),
        format!("{:?}", answer.headers),
    )?;
    expect(
        body == format!("listening\n{lines}"),
        format!("{} bytes", body.len()),
    )?;
    let port = Address::Port(scene.port);
    let head = scene.ask(&port, "HEAD", path, &[], "")?;
    expect(
        head.code() == 200 && head.header("Content-Length").map(str::to_owned) == length,
        format!("{:?}", head.headers),
    )?;
    let main = scene.get("/mainlogfile", &[])?;
    expect(
        text(&main).contains("supervisord started with pid"),
        &main.status,
    )?;
    for (method, path, code) in [
        ("GET", "/logfile", 404),
        ("GET", "/logfile?processname=nosuch", 404),
        ("GET", "/logfile?processname=pair:p0&channel=stderr", 404),
        ("POST", "/mainlogfile", 400),
    ] {
        let answer = scene.ask(&port, method, path, &[], "")?;
        expect(answer.code() == code, format!("{path}: {}", answer.status))?;
    }
    // Another site cannot load it into its page.
    let foreign = ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors"];
    let answer = scene.get(path, &foreign)?;
    expect(answer.code() == 403, answer.status)
}

const LOG: &str = "document.getElementById('log')";

fn open(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.go(&scene.url("tail.html?processname=web&limit=65536&channel=both"))?;
    browser.wait("document.getElementById('live').textContent === 'live'")?;
    browser.wait(&format!(
        "{LOG}.textContent.includes('listening\\n') && {LOG}.textContent.includes('warming\\n')"
    ))
}

fn both_followed(scene: &Scene, browser: &Browser) -> Result<(), String> {
    open(scene, browser)?;
    // Each waits for the one before, so the order of the arrival is known.
    for (channel, line) in [
        ("stdout", "a"),
        ("stderr", "b"),
        ("stdout", "c"),
        ("stdout", "d"),
    ] {
        append(scene, "web", channel, &format!("{line}\n"))?;
        browser.wait(&format!("{LOG}.textContent.endsWith('{line}\\n')"))?;
    }
    let runs = |expected: &str| {
        browser.wait(&format!(
            "[...{LOG}.children].slice(-3).map(one => one.className + ':' + one.textContent).join('|') === {expected:?}"
        ))
    };
    runs("stdout:a\n|stderr:b\n|stdout:c\nd\n")?;
    // The beginning of a line does not mix with the other stream.
    append(scene, "web", "stderr", "begin")?;
    append(scene, "web", "stderr", " end\n")?;
    runs("stderr:b\n|stdout:c\nd\n|stderr:begin end\n")?;
    // A line that does not end is shown after a while.
    append(scene, "web", "stdout", "prompt> ")?;
    browser.wait(&format!("{LOG}.textContent.endsWith('end\\nprompt> ')"))?;
    append(scene, "web", "stderr", "oops\n")?;
    browser.wait(&format!("{LOG}.textContent.endsWith('prompt> \\noops\\n')"))?;
    // A search finds lines of both.
    browser.type_into("#find", "o")?;
    browser.wait("document.getElementById('hits').textContent === '2 lines'")?;
    browser.wait(&format!("{LOG}.textContent === 'prompt> \\noops\\n'"))?;
    browser.wait(&format!("{LOG}.querySelectorAll('mark').length === 3"))?;
    // The order of what is loaded is said.
    browser.wait(
        "document.getElementById('other').textContent.includes('in the order of their arrival')",
    )
}

/// Sequences that the daemon and the script must read in the same way.
const SEQUENCES: &str = "\
\x1b[31mred\x1b[0m plain\n\
\x1b[1;4;92mbold\x1b[22m under\x1b[24m bright\n\
over the end of a line\x1b[39m\n\
\x1b[38;5;208morange\x1b[48;5;19m on blue\x1b[m \x1b[38;2;10;200;190mtrue\x1b[48;2;200;200;200m grey\x1b[0m\n\
\x1b[38;5;240mdim\x1b[38;5;255mlight\x1b[107;30mback\x1b[49;39m\n\
a\x1b]0;title\x07b\x1b(Bc\x1b[2Kd\x1b[>4me\x1b]8;;http://x\x1b\\f\n\
10%\r20%\r\ntab\tbell\x07 \u{9b}32mgreen\u{9b}0m\n\
broken \x1b[31\nnext \x1b[38;9mline \x1b[38:2:250:5:5mcolon\x1b[0m <b>&amp;\n";

fn same_colours(scene: &Scene, browser: &Browser) -> Result<(), String> {
    let page = "tail.html?processname=web&limit=65536&channel=stdout";
    browser.go(&scene.url(page))?;
    browser.wait("document.getElementById('live').textContent === 'live'")?;
    // In two pieces, the first of which ends within a sequence.
    let (first, rest) = SEQUENCES.split_at(SEQUENCES.find("208m").ok_or("no such sequence")?);
    append(scene, "web", "stdout", first)?;
    browser.wait(&format!(
        "{LOG}.textContent.endsWith('over the end of a line\\n')"
    ))?;
    // The script takes the daemon's text over and goes on within the sequence.
    browser.go(&scene.url(page))?;
    browser.wait("document.getElementById('live').textContent === 'live'")?;
    append(scene, "web", "stdout", rest)?;
    browser.wait(&format!("{LOG}.textContent.endsWith('<b>&amp;\\n')"))?;
    let parts = "JSON.stringify((() => { \
        const found = []; \
        const walk = (node, classes) => { for (const child of node.childNodes) { \
            if (child.nodeType !== Node.TEXT_NODE) { walk(child, child.className); continue } \
            for (const line of child.data.split(/(?<=\\n)/)) found.push([classes, line]) } }; \
        walk(PAGE.getElementById('log'), ''); \
        const joined = []; \
        for (const [classes, line] of found) { const last = joined[joined.length - 1]; \
            if (last && last[0] === classes && !last[1].endsWith('\\n')) last[1] += line; else joined.push([classes, line]) } \
        return joined })())";
    let of_script = browser.text(&parts.replace("PAGE", "document"))?;
    let of_daemon = browser.text(&format!(
        "(async () => {{ const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), 'text/html'); return {} }})()",
        parts.replace("PAGE", "page")
    ))?;
    expect(
        of_script == of_daemon && of_script.contains("[\"f11 b4\",\" on blue\"]"),
        format!("\n{of_script}\n{of_daemon}"),
    )
}
