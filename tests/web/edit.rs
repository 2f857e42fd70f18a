//! The form of a program in a real browser.

use crate::driver::{Browser, Look, missing};
use crate::nacos_scene::{NacosScene, log_in};
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "edit::the_form_is_checked_while_it_is_typed",
        checked,
    )]
}

fn checked() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let nacos = NacosScene::start()?;
    let browser = Browser::open(Look::DESK)?;
    log_in(&nacos.scene, &browser)?;
    browser.go(&nacos.scene.url("program.html?do=edit&name=web"))?;
    let said = |form: usize, part: &str, class: &str| {
        browser.wait(&format!(
            "(place => place.textContent.includes({part:?}) && place.className === 'checked {class}')\
             (document.querySelectorAll('form[data-check] .checked')[{form}])"
        ))
    };
    browser.type_into("input[name=startsecs]", "\u{e009}a\u{e000}soon")?;
    said(0, "startsecs takes a whole number", "bad")?;
    browser.type_into("input[name=startsecs]", "\u{e009}a\u{e000}7")?;
    said(0, "The configuration is valid.", "good")?;
    // The text of the section, which has a form of its own.
    browser.type_into("textarea[name=text]", "\nno separator here\n")?;
    said(1, "expected `key = value`", "bad")?;
    let pid = nacos.scene.daemon.pid_of("web");
    browser.click("form[data-check] button")?;
    browser.wait("document.querySelector('pre.diff').textContent.includes('+startsecs')")?;
    expect(
        nacos.scene.daemon.pid_of("web") == pid,
        "a check changed something",
    )?;
    let mut console = browser.console()?;
    // The first page names no icon, and the browser asks for one sooner or later.
    console.retain(|line| !line.contains("/favicon.ico"));
    expect(console.is_empty(), format!("{console:?}"))?;
    Ok(Outcome::Passed)
}
