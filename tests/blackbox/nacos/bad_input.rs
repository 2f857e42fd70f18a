//! Bad input that the other files do not try: an item that is too large, pages in place of texts, a clock that jumped, a
//! snapshot that was cut, and forms whose values look like lines of a configuration.

use nix::sys::signal::Signal;

use super::pages::{self, Visitor};
use super::{DATAID, GROUP, Pair, programs};
use crate::host::free_port;
use crate::support::nacos::Fault;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("nacos::an_item_of_ten_megabytes_changes_nothing", large),
        Trial::new("nacos::a_start_reads_no_html_page", page),
        Trial::new("nacos::snapshots_outlive_cuts_and_clocks", snapshots),
        Trial::new("nacos::values_of_forms_stay_values", forms),
    ]
}

fn large() -> Result<Outcome, String> {
    let pair = Pair::started(&programs(&["one"]), "")?;
    let daemon = pair.host.daemon()?;
    daemon.wait_state("one", "RUNNING")?;
    let pid = daemon.pid_of("one");
    pair.publish(&format!(
        "{}{}",
        programs(&["two"]),
        "; filler\n".repeat(10 << 17)
    ));
    pair.wait_line("cannot be read: ")?;
    pair.wait_line("the answer is larger than ")?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    expect(daemon.info("two").is_err(), "two is there")?;
    pair.host
        .expect_ctl(&["source"], 1, &["error: ", "larger than"])?;
    let md5 = pair.publish(&programs(&["one", "three"]));
    pair.wait_applied(&md5)?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    Ok(Outcome::Passed)
}

fn page() -> Result<Outcome, String> {
    let pair = Pair::new(&programs(&["one"]), "")?;
    pair.stub.fail_next(1000, Fault::Html);
    let mut arguments = vec!["-n", "-c", "conf", "--nacos-start-timeout=1"];
    arguments.extend(pair.options.iter().map(String::as_str));
    let ended = pair.host.run(&arguments)?;
    expect(
        ended.code == 1 && ended.stderr.contains("an HTML page"),
        format!("{ended:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn snapshots() -> Result<Outcome, String> {
    let mut pair = Pair::started(&programs(&["one"]), "")?;
    let md5 = pair.publish(&programs(&["one", "two"]));
    pair.wait_applied(&md5)?;
    let newest = programs(&["one", "two"]);
    wait_for("the snapshot", LIMIT, || pair.snapshot() == newest)?;
    pair.end(Signal::SIGTERM)?;
    pair.stub.stop();
    // The text was stored while the clock was ahead.
    let name = format!("cache/public@@{GROUP}@@{DATAID}");
    let meta = pair.host.place.read(&format!("{name}.meta"));
    let mut known: serde_json::Value =
        serde_json::from_str(&meta).map_err(|error| error.to_string())?;
    for text in known.as_array_mut().into_iter().flatten() {
        text["time"] = 99_999_999_999_i64.into();
    }
    pair.host
        .place
        .write(&format!("{name}.meta"), &known.to_string())?;
    pair.go()?;
    pair.host.daemon()?.wait_state("two", "RUNNING")?;
    pair.wait_line("started with the snapshot of 0 seconds ago")?;
    pair.end(Signal::SIGTERM)?;
    // A text that was cut is not used, but the one before it.
    pair.host.place.write(&name, &newest[..newest.len() - 1])?;
    pair.go()?;
    pair.host.daemon()?.wait_state("one", "RUNNING")?;
    expect(
        pair.host.daemon()?.info("two").is_err(),
        "a cut text was used",
    )?;
    Ok(Outcome::Passed)
}

fn forms() -> Result<Outcome, String> {
    let port = free_port()?;
    let mut pair = Pair::new(&programs(&["one"]), &pages::server(port))?;
    pair.go()?;
    let visitor = Visitor {
        port,
        login: true,
        language: "en",
    };
    for (name, command, startsecs) in [
        ("evil", "sleep 1000\n[program:root]\ncommand=id", "0"),
        ("evil", "sleep 1000\r\n[program:root]\r\ncommand=id", "0"),
        ("evil", "sleep 1000\rautostart=false", "0"),
        ("evil", "sleep 1000", "0\nuser=root"),
        ("evil]\n[program:root", "sleep 1000", "0"),
        ("evil", "sleep %", "0"),
        ("evil", "sleep %(here", "0"),
        ("e%vil", "sleep %%(x)s", "0"),
    ] {
        let form = visitor.page("program.html?do=add", &[])?;
        let fields = [
            ("name", name),
            ("command", command),
            ("startsecs", startsecs),
        ];
        let (status, preview) = visitor.send(&form, "program.html", &fields)?;
        if status == 200 {
            visitor.send(&preview, "program.html", &[])?;
        }
        let item = pair.stub.text("", GROUP, DATAID).unwrap_or_default();
        let mut lines = item.lines();
        expect(
            !lines.any(|line| {
                let line = line.trim_end();
                line == "[program:root]" || line == "user=root" || line == "autostart=false"
            }),
            format!("{name:?} {command:?} {startsecs:?}: {status}: {item}"),
        )?;
        if item != programs(&["one"]) {
            // What was accepted is one section more.
            expect(
                item.matches("\n[").count() == 1,
                format!("{name:?} {command:?}: {item}"),
            )?;
            pair.publish(&programs(&["one"]));
        }
    }
    pair.host.daemon()?.wait_state("one", "RUNNING")?;
    Ok(Outcome::Passed)
}
