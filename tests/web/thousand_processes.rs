//! A thousand processes on one page.

use std::time::Instant;

use crate::driver::{Browser, Look, missing};
use crate::scene::Scene;
use crate::support::daemon::Side;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, wait_for};

const COUNT: usize = 1000;

pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "thousand_processes::a_thousand_processes_are_shown",
        a_thousand_processes_are_shown,
    )]
}

fn a_thousand_processes_are_shown() -> Result<Outcome, String> {
    if let Some(why) = missing() {
        return Ok(Outcome::Skipped(why));
    }
    let config = format!(
        "[program:many]\ncommand=/bin/sleep 100000\nprocess_name=p%(process_num)04d\nnumprocs={}\nstartsecs=0\n\
         stdout_logfile=NONE\nstderr_logfile=NONE\n[program:one]\ncommand=/bin/sleep 100000\nstartsecs=0\n",
        COUNT - 1
    );
    let scene = Scene::start(Side::Ours, &config)?;
    scene.daemon.wait_state("many:p0998", "RUNNING")?;
    let begun = Instant::now();
    let page = scene.get("/", &[])?;
    let served = begun.elapsed();
    let browser = Browser::open(Look::DESK)?;
    // A person notices long tasks as stutter. The load of the page is measured separately.
    let begun = Instant::now();
    browser.go(&scene.url(""))?;
    let rows = "document.querySelectorAll('tr[data-n]').length";
    browser.wait(&format!("{rows} === {COUNT}"))?;
    browser.wait("document.getElementById('live').textContent === 'live'")?;
    let rendered = begun.elapsed();
    browser.wait("document.querySelector('#counts a.running b').textContent === '1000'")?;
    browser.run(
        "window.longest = 0; new PerformanceObserver(list => { for (const entry of list.getEntries()) \
         window.longest = Math.max(window.longest, entry.duration) }).observe({ entryTypes: ['longtask'] })",
    )?;
    // The measurement works.
    browser.run("setTimeout(() => { const end = performance.now() + 150; while (performance.now() < end); }, 0)")?;
    browser.wait("window.longest >= 100")?;
    browser.run("window.longest = 0")?;
    let call = |method: &str, params: &[Value]| {
        scene
            .daemon
            .call(method, params)
            .map(drop)
            .map_err(|e| format!("{method}: {e}"))
    };
    // One change, from the call's answer to the page.
    let one = || [Value::Text("one".to_owned())];
    let mut updates = Vec::new();
    for round in 0..6 {
        let (method, state) = match round % 2 {
            0 => ("supervisor.stopProcess", "stopped"),
            _ => ("supervisor.startProcess", "running"),
        };
        call(method, &one())?;
        let begun = Instant::now();
        browser.wait(&format!(
            "document.querySelector('tr[data-n=\"one:one\"] td.state').textContent === {state:?}"
        ))?;
        updates.push(begun.elapsed());
    }
    updates.sort();
    // All processes at once.
    call("supervisor.stopAllProcesses", &[])?;
    let begun = Instant::now();
    browser.wait("document.querySelector('#counts a.stopped b').textContent === '1000'")?;
    let stopped = begun.elapsed();
    call("supervisor.startAllProcesses", &[])?;
    let begun = Instant::now();
    browser.wait("document.querySelector('#counts a.running b').textContent === '1000'")?;
    let started = begun.elapsed();
    // Filtering while the page is full.
    let begun = Instant::now();
    browser.type_into("#filter", "p0998")?;
    browser.wait(
        "[...document.querySelectorAll('tr[data-n]')].filter(tr => !tr.hidden).length === 1",
    )?;
    let filtered = begun.elapsed();
    let longest = browser
        .run("return window.longest")?
        .as_f64()
        .unwrap_or(0.0);
    let console = browser.console()?;
    drop(browser);
    println!(
        "1000 processes: page of {} KiB served in {served:?}; rendered and live after {rendered:?}; one change shown \
         {:?} (median) after the answer; all stopped {stopped:?}, all started {started:?} after the answer; filtered in \
         {filtered:?}; longest task {longest} ms",
        page.body.len() / 1024,
        updates[updates.len() / 2],
    );
    expect(console.is_empty(), format!("{console:?}"))?;
    wait_for("the daemon answers", LIMIT, || {
        scene.daemon.state("one") == "RUNNING"
    })?;
    Ok(Outcome::Passed)
}
