//! How a daemon starts with and without its server.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{DATAID, GROUP, Pair, programs};
use crate::support::nacos::{Fault, NacosSettings};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("nacos::a_start_reads_the_item_and_stores_it", first),
        Trial::new("nacos::a_start_without_the_server_uses_the_snapshot", away),
        Trial::new("nacos::not_use_cache_never_uses_the_snapshot", not_used),
        Trial::new("nacos::a_damaged_snapshot_is_not_used", damaged),
        Trial::new("nacos::an_answer_that_is_no_text_ends_the_start", refused),
        Trial::new("nacos::a_start_waits_for_a_server_that_comes", late),
        Trial::new("nacos::a_login_is_needed_and_made", login),
        Trial::new("nacos::check_reads_the_item", check),
        Trial::new(
            "nacos::a_daemon_after_a_kill_starts_from_the_snapshot",
            killed,
        ),
    ]
}

fn first() -> Result<Outcome, String> {
    let pair = Pair::started(
        &programs(&["one", "two"]),
        "[program:local]\ncommand=sleep 1000\n",
    )?;
    for name in ["one", "two", "local"] {
        pair.host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let text = pair.host.fill(&programs(&["one", "two"]));
    wait_for("the snapshot", LIMIT, || pair.snapshot() == text)?;
    pair.wait_line(&format!(
        "configuration read from nacos:public/{GROUP}/{DATAID}: MD5 "
    ))?;
    Ok(Outcome::Passed)
}

fn away() -> Result<Outcome, String> {
    let mut pair = Pair::started(&programs(&["one"]), "")?;
    wait_for("the snapshot", LIMIT, || !pair.snapshot().is_empty())?;
    pair.end(Signal::SIGTERM)?;
    pair.stub.stop();
    pair.go()?;
    pair.host.daemon()?.wait_state("one", "RUNNING")?;
    pair.wait_line("started with the snapshot of ")?;
    // The server comes back with another text.
    pair.stub.restart()?;
    let md5 = pair.publish(&programs(&["one", "two"]));
    pair.wait_applied(&md5)?;
    pair.host.daemon()?.wait_state("two", "RUNNING")?;
    Ok(Outcome::Passed)
}

fn not_used() -> Result<Outcome, String> {
    let mut pair = Pair::started(&programs(&["one"]), "")?;
    wait_for("the snapshot", LIMIT, || !pair.snapshot().is_empty())?;
    pair.end(Signal::SIGTERM)?;
    pair.stub.stop();
    let mut arguments = vec![
        "-n",
        "-c",
        "conf",
        "--nacos-not-use-cache",
        "--nacos-start-timeout=1",
    ];
    arguments.extend(pair.options.iter().map(String::as_str));
    let ended = pair.host.run(&arguments)?;
    expect(
        ended.code == 1
            && ended
                .stderr
                .contains(&format!("cannot read nacos item public/{GROUP}/{DATAID}: ")),
        format!("{ended:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn damaged() -> Result<Outcome, String> {
    let mut pair = Pair::started(&programs(&["one"]), "")?;
    wait_for("the snapshot", LIMIT, || !pair.snapshot().is_empty())?;
    pair.end(Signal::SIGTERM)?;
    pair.stub.stop();
    let name = format!("cache/public@@{GROUP}@@{DATAID}");
    pair.host
        .place
        .write(&name, "[program:evil]\ncommand=sleep 1\n")?;
    let mut arguments = vec!["-n", "-c", "conf", "--nacos-start-timeout=1"];
    arguments.extend(pair.options.iter().map(String::as_str));
    let ended = pair.host.run(&arguments)?;
    expect(
        ended.code == 1
            && ended
                .stderr
                .contains("it was cut or edited since it was written"),
        format!("{ended:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn refused() -> Result<Outcome, String> {
    let account = NacosSettings {
        account: Some(("nacos", "right")),
        ..NacosSettings::default()
    };
    for (settings, text, options, part) in [
        (NacosSettings::default(), "", &[][..], "does not exist"),
        (
            account.clone(),
            "[program:x]\ncommand=sleep 9\n",
            &[][..],
            "it requires a user name and a password",
        ),
        (
            account,
            "[program:x]\ncommand=sleep 9\n",
            &["--nacos-username=nacos", "--nacos-password=wrong"][..],
            "it refuses the user name and the password",
        ),
    ] {
        let pair = Pair::with(settings, text, "")?;
        let mut arguments = vec!["-n", "-c", "conf"];
        arguments.extend(pair.options.iter().map(String::as_str));
        arguments.extend(options);
        let ended = pair.host.run(&arguments)?;
        let item = format!("cannot read nacos item public/{GROUP}/{DATAID}: ");
        expect(
            ended.code == 1 && ended.stderr.contains(&item) && ended.stderr.contains(part),
            format!("{options:?}: {ended:?}"),
        )?;
        expect(!ended.stderr.contains("wrong"), "the password is shown")?;
    }
    Ok(Outcome::Passed)
}

fn late() -> Result<Outcome, String> {
    let mut pair = Pair::new(&programs(&["one"]), "")?;
    pair.stub.stop();
    let options = pair.options.clone();
    let begun = std::thread::scope(|scope| {
        let stub = &mut pair.stub;
        let opener = scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(1500));
            stub.restart()
        });
        let went = pair.host.go_with(|command| {
            command.args(options);
        });
        opener
            .join()
            .map_err(|_| "the server's thread panicked".to_owned())??;
        went
    });
    begun?;
    pair.host.daemon()?.wait_state("one", "RUNNING")?;
    Ok(Outcome::Passed)
}

fn login() -> Result<Outcome, String> {
    let settings = NacosSettings {
        account: Some(("nacos", "se%cret")),
        ..NacosSettings::default()
    };
    let mut pair = Pair::with(settings, &programs(&["env"]), "")?;
    let options = pair.options.clone();
    pair.host.go_with(|command| {
        command.args(options);
        command
            .env("NACOS_USERNAME", "nacos")
            .env("NACOS_PASSWORD", "se%cret");
    })?;
    let daemon = pair.host.daemon()?;
    daemon.wait_state("env", "RUNNING")?;
    let environment = std::fs::read(format!("/proc/{}/environ", daemon.pid_of("env")));
    let environment = environment.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&environment);
    expect(!text.contains("NACOS_"), "a program has the password")?;
    Ok(Outcome::Passed)
}

fn check() -> Result<Outcome, String> {
    let pair = Pair::new("[program:a]\ncommand=sleep 1\nstartsecs=soon\n", "")?;
    let mut arguments = vec!["--check", "-c", "conf"];
    arguments.extend(pair.options.iter().map(String::as_str));
    let ended = pair.host.run(&arguments)?;
    let place = format!("nacos:public/{GROUP}/{DATAID}:3:11: ");
    expect(
        ended.code == 2 && ended.stderr.contains(place.trim_end()),
        format!("{ended:?}"),
    )?;
    pair.publish(&programs(&["a"]));
    let ended = pair.host.run(&arguments)?;
    expect(
        ended.code == 0 && ended.stdout.ends_with(": ok\n"),
        format!("{ended:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn killed() -> Result<Outcome, String> {
    let mut pair = Pair::started(&programs(&["one"]), "")?;
    wait_for("the snapshot", LIMIT, || !pair.snapshot().is_empty())?;
    pair.stub.fail_next(1000, Fault::BlackHole);
    pair.end(Signal::SIGKILL)?;
    pair.go()?;
    pair.host.daemon()?.wait_state("one", "RUNNING")?;
    Ok(Outcome::Passed)
}
