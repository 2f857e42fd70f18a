//! Programs of the item, edited through the REST interface.

use serde_json::{Value as Json, json};

use super::{DATAID, GROUP, Pair, programs};
use crate::host::Host;
use crate::support::nacos::{CompareAndSet, Families, NacosSettings};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};
use crate::web_client::{expect_rest, if_match, rest};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("nacos::a_program_is_added_to_the_item", added),
        Trial::new(
            "nacos::a_program_of_the_item_is_changed_and_removed",
            changed,
        ),
        Trial::new("nacos::programs_are_edited_on_a_server_of_v3", third),
        Trial::new("nacos::two_editors_of_an_item_and_one_wins", raced),
        Trial::new("nacos::editors_of_two_hosts_and_one_wins", two_hosts),
        Trial::new(
            "nacos::a_server_that_ignores_compare_and_set_loses_no_text",
            ignored,
        ),
        Trial::new("nacos::an_edit_without_the_server_changes_nothing", away),
        Trial::new("nacos::an_invalid_program_is_not_published", invalid),
        Trial::new("nacos::an_earlier_text_is_restored", restored),
    ]
}

/// The text of the item, with comments of its owner.
fn owned() -> String {
    format!("; ours \u{e4}\n\n{}# end", programs(&["one", "two"]))
}

fn ask(pair: &Pair, line: (&str, &str), body: &Json, status: u16) -> Result<Json, String> {
    expect_rest(&pair.host.daemon()?.address, line, "", body, status)
}

fn item(pair: &Pair) -> String {
    pair.stub.text("", GROUP, DATAID).unwrap_or_default()
}

fn started() -> Result<Pair, String> {
    let pair = Pair::started(&owned(), "")?;
    for name in ["one", "two"] {
        pair.host.daemon()?.wait_state(name, "RUNNING")?;
    }
    Ok(pair)
}

/// The text with its MD5 that a change answered is applied.
fn wait_made(pair: &Pair, made: &Json) -> Result<(), String> {
    pair.wait_applied(made["md5"].as_str().ok_or_else(|| made.to_string())?)
}

fn added() -> Result<Outcome, String> {
    let pair = started()?;
    let daemon = pair.host.daemon()?;
    let (conf, one) = (pair.host.place.read("conf"), daemon.pid_of("one"));
    let text = format!("; mine\n{}", programs(&["three"]));
    let body = json!({"name": "three", "text": text});
    let trial = json!({"name": "three", "text": text, "dry_run": true});
    let told = ask(&pair, ("POST", "/programs"), &trial, 200)?;
    expect(item(&pair) == owned(), "a trial was published")?;
    let refused = ask(
        &pair,
        ("POST", "/programs"),
        &json!({"name": "one", "text": programs(&["one"])}),
        409,
    )?;
    expect(
        refused["detail"]
            .as_str()
            .is_some_and(|text| text.contains("exists already")),
        refused.to_string(),
    )?;
    let made = ask(&pair, ("POST", "/programs"), &body, 200)?;
    expect(made == told, format!("{made}, {told}"))?;
    let now = item(&pair);
    expect(
        now.starts_with(&owned()) && now.trim_end().ends_with(text.trim_end()),
        format!("{now:?}"),
    )?;
    wait_made(&pair, &made)?;
    daemon.wait_state("three", "RUNNING")?;
    expect(daemon.pid_of("one") == one, "one was restarted")?;
    expect(
        pair.host.place.read("conf") == conf,
        "the local file was changed",
    )?;
    let entry = pair.stub.history("", GROUP, DATAID);
    expect(entry.len() >= 2, "the server has no history")?;
    let made = ask(&pair, ("POST", "/programs/three/copy"), &Json::Null, 200)?;
    expect(made["name"] == "three-copy", made.to_string())?;
    daemon.wait_state("three-copy", "RUNNING")?;
    let list = ask(&pair, ("GET", "/programs"), &Json::Null, 200)?;
    let list = list["programs"].as_array().cloned().unwrap_or_default();
    expect(
        list.len() == 4 && list.iter().all(|one| one["md5"] == made["md5"]),
        format!("{list:?}"),
    )?;
    pair.wait_line("add-program three: accepted")?;
    Ok(Outcome::Passed)
}

fn changed() -> Result<Outcome, String> {
    let pair = started()?;
    change_and_remove(&pair)
}

fn third() -> Result<Outcome, String> {
    let settings = NacosSettings {
        families: Families::V3,
        account: Some(("u", "p")),
        ..NacosSettings::default()
    };
    let mut pair = Pair::with(settings, &owned(), "")?
        .option("--nacos-poll-interval=1")
        .option("--nacos-username=u")
        .option("--nacos-password=p");
    pair.go()?;
    pair.host.daemon()?.wait_state("two", "RUNNING")?;
    change_and_remove(&pair)
}

fn change_and_remove(pair: &Pair) -> Result<Outcome, String> {
    let daemon = pair.host.daemon()?;
    let one = daemon.pid_of("one");
    let got = ask(pair, ("GET", "/programs/two"), &Json::Null, 200)?;
    expect(
        got["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("[program:two]\n")),
        got.to_string(),
    )?;
    let keys = json!({"keys": {"stopwaitsecs": "7"}});
    let made = expect_rest(
        &daemon.address,
        ("PATCH", "/programs/two"),
        &if_match(&got["md5"]),
        &keys,
        200,
    )?;
    let expected = owned().replacen(
        "[program:two]\ncommand=sleep 1000\nstartsecs=0\n",
        "[program:two]\ncommand=sleep 1000\nstartsecs=0\nstopwaitsecs=7\n",
        1,
    );
    expect(item(pair) == expected, format!("{made}: {}", item(pair)))?;
    wait_made(pair, &made)?;
    daemon.wait_state("two", "RUNNING")?;
    // Another client publishes between the read and the change.
    let published = pair.publish(&format!("{expected}\n; theirs\n"));
    let stale = expect_rest(
        &daemon.address,
        ("PUT", "/programs/two"),
        &if_match(&made["md5"]),
        &json!({"text": programs(&["two"])}),
        409,
    )?;
    let detail = stale["detail"].as_str().unwrap_or_default();
    expect(
        detail.contains(&published) && detail.contains("stopwaitsecs=7"),
        detail,
    )?;
    expect(item(pair).ends_with("; theirs\n"), "theirs is lost")?;
    let made = ask(pair, ("DELETE", "/programs/two"), &Json::Null, 200)?;
    expect(
        !item(pair).contains("two") && item(pair).contains("; ours \u{e4}\n"),
        item(pair),
    )?;
    wait_made(pair, &made)?;
    wait_for("two is gone", LIMIT, || {
        pair.states().is_ok_and(|states| !states.contains("two"))
    })?;
    expect(daemon.pid_of("one") == one, "one was restarted")?;
    ask(pair, ("DELETE", "/programs/two"), &Json::Null, 404)?;
    pair.wait_line("remove-program two: accepted")?;
    pair.wait_line("change-program two: CONFLICT")?;
    Ok(Outcome::Passed)
}

fn raced() -> Result<Outcome, String> {
    let pair = started()?;
    let address = &pair.host.daemon()?.address;
    let got = ask(&pair, ("GET", "/programs/one"), &Json::Null, 200)?;
    let md5 = &got["md5"];
    let mut codes: Vec<u16> = std::thread::scope(|scope| {
        let editors = ["21", "22", "23"].map(|number| {
            let body = json!({"keys": {"stopwaitsecs": number}, "md5": md5});
            scope.spawn(move || rest(address, ("PATCH", "/programs/one"), "", &body))
        });
        let ended = editors.map(|editor| editor.join().ok().and_then(Result::ok));
        ended.into_iter().flatten().map(|(code, _)| code).collect()
    });
    codes.sort_unstable();
    expect(codes == [200, 409, 409], format!("{codes:?}"))?;
    expect(
        item(&pair).matches("stopwaitsecs").count() == 1,
        item(&pair),
    )?;
    Ok(Outcome::Passed)
}

fn two_hosts() -> Result<Outcome, String> {
    for compare_and_set in [CompareAndSet::Status500, CompareAndSet::Status200] {
        let settings = NacosSettings {
            compare_and_set,
            ..NacosSettings::default()
        };
        let mut pair = Pair::with(settings, &owned(), "")?;
        pair.go()?;
        let mut other = Host::new("")?;
        let cache = format!("--nacos-cache-dir={}/cache", other.place.text());
        let options = [pair.options[0].clone(), pair.options[1].clone(), cache];
        other.go_with(|command| {
            command.args(options);
        })?;
        let got = ask(&pair, ("GET", "/programs/one"), &Json::Null, 200)?;
        let md5 = &got["md5"];
        // Different texts: for the same one, both would be right.
        let hosts = [
            (&pair.host.daemon()?.address, "21"),
            (&other.daemon()?.address, "22"),
        ];
        let mut codes: Vec<u16> = std::thread::scope(|scope| {
            let editors = hosts.map(|(address, number)| {
                let body = json!({"keys": {"stopwaitsecs": number}, "md5": md5});
                scope.spawn(move || rest(address, ("PATCH", "/programs/one"), "", &body))
            });
            let ended = editors.map(|editor| editor.join().ok().and_then(Result::ok));
            ended.into_iter().flatten().map(|(code, _)| code).collect()
        });
        codes.sort_unstable();
        expect(
            codes == [200, 409],
            format!("{compare_and_set:?}: {codes:?}"),
        )?;
        // Both daemons apply what won.
        let now = ask(&pair, ("GET", "/programs/one"), &Json::Null, 200)?;
        wait_made(&pair, &now)?;
        let line = format!("applied: MD5 {}", now["md5"].as_str().unwrap_or_default());
        other.wait_file("log", &line)?;
    }
    Ok(Outcome::Passed)
}

fn ignored() -> Result<Outcome, String> {
    let settings = NacosSettings {
        compare_and_set: CompareAndSet::Ignored,
        ..NacosSettings::default()
    };
    let mut pair = Pair::with(settings, &owned(), "")?;
    pair.go()?;
    let got = ask(&pair, ("GET", "/programs/one"), &Json::Null, 200)?;
    let keys = json!({"keys": {"stopwaitsecs": "7"}});
    let made = ask(&pair, ("PATCH", "/programs/one"), &keys, 200)?;
    wait_made(&pair, &made)?;
    let address = &pair.host.daemon()?.address;
    let line = ("PATCH", "/programs/one");
    expect_rest(address, line, &if_match(&got["md5"]), &keys, 409)?;
    expect(item(&pair).contains("stopwaitsecs=7"), item(&pair))?;
    Ok(Outcome::Passed)
}

fn away() -> Result<Outcome, String> {
    let mut pair = started()?;
    pair.stub.stop();
    let text = json!({"text": programs(&["three"])});
    ask(&pair, ("POST", "/programs"), &text, 502)?;
    ask(&pair, ("DELETE", "/programs/one"), &Json::Null, 502)?;
    ask(&pair, ("GET", "/programs"), &Json::Null, 502)?;
    pair.stub.restart()?;
    expect(item(&pair) == owned(), item(&pair))?;
    let states = pair.states()?;
    expect(states.lines().count() == 2, states)?;
    pair.wait_line("remove-program one: UNAVAILABLE")?;
    Ok(Outcome::Passed)
}

fn invalid() -> Result<Outcome, String> {
    let pair = started()?;
    let text = json!({"text": "[program:three]\ncommand=x\nstartsecs=soon\n"});
    let refused = ask(&pair, ("POST", "/programs"), &text, 422)?;
    let detail = refused["detail"].as_str().unwrap_or_default();
    expect(
        detail.contains(&format!("nacos:public/{GROUP}/{DATAID}:1")),
        detail,
    )?;
    expect(item(&pair) == owned(), item(&pair))?;
    pair.wait_line("add-program three: CANT_REREAD")?;
    Ok(Outcome::Passed)
}

fn restored() -> Result<Outcome, String> {
    let pair = started()?;
    let made = ask(&pair, ("DELETE", "/programs/two"), &Json::Null, 200)?;
    wait_made(&pair, &made)?;
    let list = ask(&pair, ("GET", "/nacos/versions"), &Json::Null, 200)?;
    let versions = list["versions"].as_array().cloned().unwrap_or_default();
    let mut texts = Vec::new();
    for version in &versions {
        let id = version["id"].as_str().ok_or_else(|| list.to_string())?;
        let path = format!("/nacos/versions/{id}");
        let text = ask(&pair, ("GET", &path), &Json::Null, 200)?;
        texts.push((path, text));
    }
    let (path, earlier) = texts
        .iter()
        .find(|(_, text)| text["text"] == owned())
        .ok_or_else(|| format!("{texts:?}"))?;
    expect(
        earlier["diff"]
            .as_str()
            .is_some_and(|diff| diff.contains("[program:two]")),
        earlier.to_string(),
    )?;
    let path = format!("{path}/restore");
    let stale = json!({"md5": earlier["md5"]});
    ask(&pair, ("POST", &path), &stale, 409)?;
    let done = ask(&pair, ("POST", &path), &Json::Null, 200)?;
    expect(item(&pair) == owned(), item(&pair))?;
    wait_made(&pair, &done)?;
    pair.host.daemon()?.wait_state("two", "RUNNING")?;
    ask(&pair, ("GET", "/nacos/versions/none"), &Json::Null, 404)?;
    pair.wait_line("restore-text ")?;
    Ok(Outcome::Passed)
}
