//! The log page in a real browser: it follows and searches a log, also over rotations.

use std::io::Write as _;

use crate::browser::{live, log_of, same_page, says};
use crate::driver::Browser;
use crate::scene::Scene;
use crate::support::expect;
use crate::support::wire::Value;

/// The path of a log of the program `web`.
fn log_file_of(scene: &Scene, member: &str) -> Result<String, String> {
    let info = scene.daemon.info("web").map_err(|e| format!("{e:?}"))?;
    let path = info.get(member).and_then(Value::text);
    path.map(str::to_owned).ok_or_else(|| "no log".to_owned())
}

fn append(file: &str, text: &str) -> Result<(), String> {
    std::fs::File::options()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut log| log.write_all(text.as_bytes()))
        .map_err(|e| e.to_string())
}

/// Lines of a file that was rotated come from its backup, and the offset of the old file is not used in the new one.
pub(crate) fn is_followed_over_rotations(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.click("tr[data-n=\"web:web\"] a.log")?;
    browser.click("nav[aria-label=Stream] a:nth-child(1)")?;
    let log = "document.getElementById('log').textContent";
    browser.wait(&format!("{log} === 'listening\\n'"))?;
    live(browser)?;
    let file = log_file_of(scene, "stdout_logfile")?;
    let rename = |from: &str, to: &str| {
        std::fs::rename(format!("{file}{from}"), format!("{file}{to}")).map_err(|e| e.to_string())
    };
    let set_following = |is_on: bool| {
        browser.click("#follow")?;
        let said = if is_on { "live" } else { "not followed" };
        browser.wait(&format!(
            "document.getElementById('live').textContent === '{said}'"
        ))
    };
    // While the page follows the log.
    append(&file, "old\n")?;
    rename("", ".1")?;
    append(&file, "new\n")?;
    browser.wait(&format!("{log} === 'listening\\nold\\nnew\\n'"))?;
    append(&file, "newer\n")?;
    browser.wait(&format!("{log}.endsWith('new\\nnewer\\n')"))?;
    // Twice while it does not. The newest file is longer than what the page has read of the first.
    set_following(false)?;
    append(&file, "last\n")?;
    rename(".1", ".2")?;
    rename("", ".1")?;
    append(&file, "between\n")?;
    rename(".2", ".3")?;
    rename(".1", ".2")?;
    rename("", ".1")?;
    append(&file, "the first line of the newest file\nits second\n")?;
    set_following(true)?;
    browser.wait(&format!(
        "{log} === 'listening\\nold\\nnew\\nnewer\\nlast\\nbetween\\nthe first line of the newest file\\nits second\\n'"
    ))?;
    append(&file, "third\n")?;
    browser.wait(&format!("{log}.endsWith('its second\\nthird\\n')"))?;
    // The file with the offset is deleted: the page goes on with the beginning of the new file.
    set_following(false)?;
    std::fs::remove_file(&file).map_err(|e| e.to_string())?;
    append(&file, &("x".repeat(200) + "\n"))?;
    set_following(true)?;
    browser.wait(&format!(
        "{log}.endsWith('third\\n' + 'x'.repeat(200) + '\\n')"
    ))?;
    same_page(browser)
}

pub(crate) fn is_followed_and_searched(scene: &Scene, browser: &Browser) -> Result<(), String> {
    browser.click("tr[data-n=\"web:web\"] a.log")?;
    browser.click("nav[aria-label=Stream] a:nth-child(1)")?;
    let log = "document.getElementById('log').textContent";
    browser.wait(&format!("{log} === 'listening\\n'"))?;
    browser.run("window.same = true")?;
    let file = log_file_of(scene, "stdout_logfile")?;
    let append = |text: &str| append(&file, text);
    append("GET /one\n<b>POST</b> /two é\n")?;
    browser.wait(&format!(
        "{log} === 'listening\\nGET /one\\n<b>POST</b> /two é\\n'"
    ))?;
    // A search shows matching lines with the match marked, also new lines.
    browser.type_into("body", "/")?;
    browser.type_into("#find", "get")?;
    browser.wait(&format!("{log} === 'GET /one\\n'"))?;
    append("GET /three\nnothing\n")?;
    browser.wait(&format!("{log} === 'GET /one\\nGET /three\\n'"))?;
    browser.wait("document.querySelectorAll('#log mark').length === 2")?;
    browser.wait("document.getElementById('hits').textContent === '2 lines'")?;
    browser.type_into("#find", "\u{e00c}")?;
    browser.wait(&format!("{log}.endsWith('GET /three\\nnothing\\n')"))?;
    // Without following, no lines arrive. With following again, no line is missing.
    browser.click("#follow")?;
    append("later\n")?;
    browser.click("#follow")?;
    browser.wait(&format!("{log}.endsWith('nothing\\nlater\\n')"))?;
    // A flood of lines keeps the end visible.
    let lines: String = (0..3000).map(|n| format!("line {n}\n")).collect();
    append(&lines)?;
    browser.wait(&format!("{log}.endsWith('line 2999\\n')"))?;
    let bottom =
        "(l => l.scrollTop + l.clientHeight >= l.scrollHeight - 2)(document.getElementById('log'))";
    browser.wait(bottom)?;
    same_page(browser)?;
    browser.click("nav[aria-label=Stream] a:nth-child(2)")?;
    browser.wait(&format!("{log} === 'warming\\n'"))?;
    browser.run("window.same = true")?;
    browser.click("#clear button.clear")?;
    browser.accept()?;
    says(browser, "Log of web cleared")?;
    expect(log_of(scene, "web").is_empty(), "not cleared")?;
    browser.wait(&format!("{log} === ''"))?;
    // As a new user would: start it again and read the message.
    let pid = scene.daemon.pid_of("web");
    browser.click("#clear button.restart")?;
    says(browser, "Process web restarted")?;
    scene.wait_other_pid("web", pid)?;
    browser.wait(&format!("{log} === 'warming\\n'"))?;
    // The page reports a truncated log, and continues at its beginning.
    let errors = log_file_of(scene, "stderr_logfile")?;
    std::fs::write(&errors, "x\n").map_err(|e| e.to_string())?;
    browser.wait(&format!(
        "{log} === 'warming\\n==> File truncated <==\\nx\\n'"
    ))?;
    same_page(browser)?;
    browser.go(&scene.url("maintail.html?limit=65536"))?;
    browser.wait(&format!("{log}.includes('supervisord started with pid')"))?;
    // A search term in the address also works with scripts.
    browser.go(&scene.url("maintail.html?limit=65536&search=spawned"))?;
    browser.wait(&format!(
        "{log}.includes('spawned') && !{log}.includes('supervisord started')"
    ))?;
    browser.type_into("#find", "\u{e00c}")?;
    browser.run("document.getElementById('find').value = ''; document.getElementById('find').dispatchEvent(new Event('input'))")?;
    browser.wait(&format!("{log}.includes('supervisord started with pid')"))
}
