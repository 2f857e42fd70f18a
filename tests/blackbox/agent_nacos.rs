//! The agent against the stub Nacos server: reads, watches, logins, writes, faults, and several servers.

use std::time::{Duration, Instant};

use supervisord::agent::protocol::{
    AgentAnswer, AgentOrder, AgentReport, FailureKind, ItemFailure, ItemText, NacosApi, NacosItem,
    TEXT_BYTES_MAX,
};

use crate::agent::{Agent, item_at};
use crate::support::expect;
use crate::support::nacos::{
    CompareAndSet, Families, Fault, MissingPage, NacosSettings, NacosStub, md5_of,
};
use crate::support::runner::{Outcome, Trial};

const GROUP: &str = "DEFAULT_GROUP";
const LISTENER: &str = "/nacos/v1/cs/configs/listener";
const LOGIN_V3: &str = "/nacos/v3/auth/user/login";
const CLIENT_V3: &str = "/nacos/v3/client/cs/config";

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("agent_nacos::n19_long_poll_bytes_and_changes", long_poll),
        Trial::new("agent_nacos::n20_v3_is_polled", polled),
        Trial::new("agent_nacos::n25_the_interface_is_found_out", interfaces),
        Trial::new("agent_nacos::n23_logins_and_tokens", logins),
        Trial::new("agent_nacos::n03_tokens_expire", expiry),
        Trial::new("agent_nacos::answers_have_their_kinds", kinds),
        Trial::new("agent_nacos::n17_deleted_and_emptied_items", missing),
        Trial::new("agent_nacos::n18_servers_in_turn", servers),
        Trial::new("agent_nacos::n14_n24_publishes", publishes),
        Trial::new("agent_nacos::n27_history_and_listeners", history),
    ]
}

fn stub(change: impl FnOnce(&mut NacosSettings)) -> Result<NacosStub, String> {
    let mut settings = NacosSettings {
        hold: Some(Duration::from_secs(5)),
        ..NacosSettings::default()
    };
    change(&mut settings);
    NacosStub::start(settings)
}

fn url(stub: &NacosStub) -> String {
    format!("http://{}/nacos", stub.address())
}

fn item_of(stub: &NacosStub) -> NacosItem {
    item_at(&url(stub))
}

fn with_user(item: NacosItem) -> NacosItem {
    NacosItem {
        username: Some("nacos".to_owned()),
        password: "s3cret %&".to_owned(),
        ..item
    }
}

fn read(agent: &mut Agent, item: NacosItem) -> Result<Result<String, ItemFailure>, String> {
    match agent.ask(&AgentOrder::Read { id: 7, item })? {
        Ok(AgentAnswer::Text(text)) => Ok(Ok(text.text)),
        Ok(other) => Err(format!("{other:?}")),
        Err(failure) => Ok(Err(failure)),
    }
}

fn expect_text(agent: &mut Agent, expected: &str) -> Result<ItemText, String> {
    match agent.report()? {
        AgentReport::Text(text) if text.text == expected => Ok(text),
        other => Err(format!("not the text {expected:?}: {other:?}")),
    }
}

fn expect_failed(agent: &mut Agent, kind: FailureKind) -> Result<String, String> {
    match agent.report()? {
        AgentReport::Failed(failure) if failure.kind == kind => Ok(failure.message),
        other => Err(format!("no failure {kind:?}: {other:?}")),
    }
}

fn watch(agent: &mut Agent, item: NacosItem, md5: Option<String>) -> Result<(), String> {
    agent.order(&AgentOrder::Watch { item, md5 })
}

fn long_poll() -> Result<Outcome, String> {
    let stub = stub(|_| {})?;
    let text = "é %%\r\n[x]\n";
    stub.publish("ns-1", GROUP, "d", text);
    let mut agent = Agent::start()?;
    let item = NacosItem {
        namespace: "ns-1".to_owned(),
        ..item_of(&stub)
    };
    // The first text is reported although the daemon has it.
    watch(&mut agent, item, Some(md5_of(text)))?;
    let got = expect_text(&mut agent, text)?;
    expect(
        got.md5 == md5_of(text) && got.server == url(&stub),
        format!("{got:?}"),
    )?;
    stub.wait_for_listeners(1)?;
    let listened = stub.requests_to("POST", LISTENER);
    let record = format!("d\u{2}{GROUP}\u{2}{}\u{2}ns-1\u{1}", md5_of(text));
    let first = listened.first().ok_or("no listener")?;
    expect(
        first.parameter("Listening-Configs") == Some(record)
            && first.header("long-pulling-timeout") == Some("10000")
            && first.text().contains("%02")
            && first.text().contains("%01"),
        format!("{first:?}"),
    )?;
    for number in 0..20 {
        let text = format!("text {number}");
        stub.publish("ns-1", GROUP, "d", &text);
        let begun = Instant::now();
        expect_text(&mut agent, &text)?;
        expect(begun.elapsed() < Duration::from_secs(20), "it was polled")?;
    }
    Ok(Outcome::Passed)
}

fn polled() -> Result<Outcome, String> {
    let stub = stub(|settings| settings.families = Families::V3)?;
    stub.publish("", GROUP, "d", "one");
    let mut agent = Agent::start()?;
    watch(&mut agent, item_of(&stub), None)?;
    expect_text(&mut agent, "one")?;
    stub.publish("", GROUP, "d", "two");
    expect_text(&mut agent, "two")?;
    stub.clear_requests();
    // It asks v1 no more.
    stub.wait_for("five polls", |requests| {
        requests.iter().filter(|it| it.path == CLIENT_V3).count() >= 5
    })?;
    let others = stub
        .requests()
        .into_iter()
        .filter(|it| it.path != CLIENT_V3);
    expect(others.count() == 0, "it asks for v1")?;
    let polls = stub.requests_to("GET", CLIENT_V3);
    let query = polls.first().map(|it| it.query.clone()).unwrap_or_default();
    expect(
        query == format!("namespaceId=public&groupName={GROUP}&dataId=d"),
        query,
    )?;
    Ok(Outcome::Passed)
}

fn interfaces() -> Result<Outcome, String> {
    let mut agent = Agent::start()?;
    for page in [MissingPage::Empty, MissingPage::Json, MissingPage::Html] {
        for families in [Families::V1, Families::V3, Families::Both] {
            let stub = stub(|settings| {
                settings.families = families;
                settings.missing_page = page;
            })?;
            let what = format!("{families:?} {page:?}");
            let got = read(&mut agent, item_of(&stub))?;
            let kind = got.err().map(|failure| failure.kind);
            expect(
                kind == Some(FailureKind::Missing),
                format!("{what}: {kind:?}"),
            )?;
            stub.publish("", GROUP, "d", &what);
            let got = read(&mut agent, item_of(&stub))?;
            expect(got.as_ref() == Ok(&what), format!("{got:?}"))?;
            let asked_v3 = !stub.requests_to("GET", CLIENT_V3).is_empty();
            expect(asked_v3 == (families == Families::V3), what)?;
        }
    }
    // A fixed interface that the server does not have.
    for (families, api) in [(Families::V1, NacosApi::V3), (Families::V3, NacosApi::V1)] {
        let stub = stub(|settings| settings.families = families)?;
        let item = NacosItem {
            api,
            ..item_of(&stub)
        };
        let failure = read(&mut agent, item)?.err().ok_or("it was read")?;
        expect(
            failure.kind == FailureKind::Away && failure.message.contains("it has no interface"),
            format!("{failure:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn logins() -> Result<Outcome, String> {
    let mut agent = Agent::start()?;
    for (missing_paths, is_enveloped, is_bearer) in [
        (vec![], false, true),
        (vec![LOGIN_V3], true, true),
        (vec![LOGIN_V3, "/nacos/v1/auth/login"], false, true),
        (vec![], true, false),
    ] {
        let stub = stub(|settings| {
            settings.account = Some(("nacos", "s3cret %&"));
            settings.missing_paths.clone_from(&missing_paths);
            settings.login_is_enveloped = is_enveloped;
            settings.accepts_bearer = is_bearer;
        })?;
        stub.publish("", GROUP, "d", "text");
        let what = format!("{missing_paths:?} {is_enveloped} {is_bearer}");
        for _ in 0..2 {
            let got = read(&mut agent, with_user(item_of(&stub)))?;
            expect(got == Ok("text".to_owned()), format!("{what}: {got:?}"))?;
        }
        let logins = stub.requests().into_iter();
        let logins = logins.filter(|it| it.path.contains("login") && it.status == Some(200));
        let logins = logins.count();
        expect(logins == 1, format!("{what}: {logins} logins"))?;
        for request in stub.requests() {
            let has_field = request.parameter("accessToken").is_some();
            expect(
                request.header("accesstoken").is_none() && !(has_field && is_bearer),
                format!("{what}: {request:?}"),
            )?;
            let is_login = request.path.contains("login");
            expect(
                is_login || request.parameter("password").is_none(),
                format!("{what}: {request:?}"),
            )?;
        }
        // Without a user, and with a wrong password.
        let wrong = NacosItem {
            password: "wr0ngpass".to_owned(),
            ..with_user(item_of(&stub))
        };
        for item in [item_of(&stub), wrong] {
            let failure = read(&mut agent, item)?.err().ok_or("it was read")?;
            expect(
                failure.kind == FailureKind::Denied && !failure.message.contains("wr0ngpass"),
                format!("{what}: {failure:?}"),
            )?;
        }
    }
    Ok(Outcome::Passed)
}

fn expiry() -> Result<Outcome, String> {
    let stub = stub(|settings| {
        settings.account = Some(("nacos", "s3cret %&"));
        settings.token_ttl = Duration::from_secs(2);
        settings.hold = Some(Duration::from_millis(500));
    })?;
    stub.publish("", GROUP, "d", "one");
    let mut agent = Agent::start()?;
    watch(&mut agent, with_user(item_of(&stub)), None)?;
    expect_text(&mut agent, "one")?;
    stub.wait_for("a request after the third login", |requests| {
        // A token that is revoked before its first use is a failure.
        let mut logins = requests.iter().enumerate();
        let third = logins.by_ref().filter(|(_, it)| it.path == LOGIN_V3).nth(2);
        third.is_some() && logins.any(|(_, it)| it.path != LOGIN_V3)
    })?;
    let refused = stub.requests().into_iter();
    let refused = refused.filter(|it| matches!(it.status, Some(401 | 403)));
    expect(refused.count() == 0, "the token was renewed too late")?;
    // A server that forgot its tokens: one login, no failure.
    stub.revoke_tokens();
    stub.publish("", GROUP, "d", "two");
    expect_text(&mut agent, "two")?;
    Ok(Outcome::Passed)
}

fn kinds() -> Result<Outcome, String> {
    let stub = stub(|_| {})?;
    stub.publish("", GROUP, "d", "text");
    let mut agent = Agent::start()?;
    for (fault, kind, words) in [
        (Fault::Status(400), FailureKind::Rejected, "status 400"),
        (Fault::Status(429), FailureKind::Away, "status 429"),
        (Fault::Status(500), FailureKind::Away, "status 500"),
        (Fault::Status(503), FailureKind::Away, "status 503"),
        (Fault::Html, FailureKind::Away, "an HTML page"),
        (Fault::Reset, FailureKind::Away, ""),
        (
            Fault::Truncated,
            FailureKind::Away,
            "the connection ended before the answer did",
        ),
        (Fault::WrongMd5, FailureKind::Away, "damaged"),
        (
            Fault::BodyOf(TEXT_BYTES_MAX + 1),
            FailureKind::Unusable,
            "larger than 1048576 bytes",
        ),
        (Fault::EndlessBody, FailureKind::Unusable, "larger than"),
    ] {
        stub.fail_next(1, fault.clone());
        let got = read(&mut agent, item_of(&stub))?;
        let failure = got.err().ok_or_else(|| format!("{fault:?}: it was read"))?;
        expect(
            failure.kind == kind
                && failure.message.starts_with(&url(&stub))
                && failure.message.contains(words),
            format!("{fault:?}: {failure:?}"),
        )?;
        stub.clear_faults();
    }
    stub.fail_next(2, Fault::Status(409));
    let got = read(&mut agent, item_of(&stub))?;
    expect(got == Ok("text".to_owned()), format!("{got:?}"))?;
    let url = url(&stub);
    drop(stub);
    let failure = read(&mut agent, item_at(&url))?
        .err()
        .ok_or("it was read")?;
    expect(
        failure.kind == FailureKind::Away
            && failure.message
                == format!("{url}: cannot connect: Connection refused (os error 111)"),
        format!("{failure:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn missing() -> Result<Outcome, String> {
    let stub = stub(|_| {})?;
    let mut agent = Agent::start()?;
    watch(&mut agent, item_of(&stub), None)?;
    expect_failed(&mut agent, FailureKind::Missing)?;
    stub.wait_for_listeners(1)?;
    stub.publish("", GROUP, "d", "one");
    expect_text(&mut agent, "one")?;
    stub.delete("", GROUP, "d");
    expect_failed(&mut agent, FailureKind::Missing)?;
    stub.publish("", GROUP, "d", "");
    expect_failed(&mut agent, FailureKind::Unusable)?;
    // The same text again is no change.
    stub.publish("", GROUP, "d", "one");
    let report = agent.report()?;
    let expected = AgentReport::Unchanged {
        md5: md5_of("one"),
        server: url(&stub),
    };
    expect(report == expected, format!("{report:?}"))?;
    Ok(Outcome::Passed)
}

fn servers() -> Result<Outcome, String> {
    let (mut one, mut two) = (stub(|_| {})?, stub(|_| {})?);
    for stub in [&one, &two] {
        stub.publish("", GROUP, "d", "text");
    }
    let mut agent = Agent::start()?;
    let item = NacosItem {
        servers: vec![url(&one), url(&two)],
        ..item_of(&one)
    };
    watch(&mut agent, item, None)?;
    let got = expect_text(&mut agent, "text")?;
    expect(got.server == url(&one), format!("{got:?}"))?;
    one.wait_for_listeners(1)?;
    one.stop();
    // The other one is asked, which is no news.
    two.wait_for_listeners(1)?;
    two.publish("", GROUP, "d", "new");
    let got = expect_text(&mut agent, "new")?;
    expect(got.server == url(&two), format!("{got:?}"))?;
    two.wait_for_listeners(1)?;
    two.stop();
    let message = expect_failed(&mut agent, FailureKind::Away)?;
    expect(
        message.contains(&url(&one)) && message.contains(&url(&two)),
        message,
    )?;
    one.publish("", GROUP, "d", "new");
    one.restart()?;
    let report = agent.report()?;
    let expected = AgentReport::Unchanged {
        md5: md5_of("new"),
        server: url(&one),
    };
    expect(report == expected, format!("{report:?}"))?;
    Ok(Outcome::Passed)
}

fn publish(
    agent: &mut Agent,
    item: NacosItem,
    text: &str,
    replaced: &str,
) -> Result<Result<String, FailureKind>, String> {
    let order = AgentOrder::Publish {
        id: 8,
        item,
        text: text.to_owned(),
        md5: replaced.to_owned(),
        author: "ann".to_owned(),
    };
    match agent.ask(&order)? {
        Ok(AgentAnswer::Text(text)) => Ok(Ok(text.text)),
        Ok(other) => Err(format!("{other:?}")),
        Err(failure) => Ok(Err(failure.kind)),
    }
}

fn publishes() -> Result<Outcome, String> {
    let mut agent = Agent::start()?;
    for families in [Families::V1, Families::V3] {
        for mode in [
            CompareAndSet::Status500,
            CompareAndSet::Status200,
            CompareAndSet::Ignored,
        ] {
            let stub = stub(|settings| {
                settings.families = families;
                settings.compare_and_set = mode;
                settings.account = Some(("nacos", "s3cret %&"));
            })?;
            let what = format!("{families:?} {mode:?}");
            let item = || with_user(item_of(&stub));
            let got = publish(&mut agent, item(), "é=1&x\n%", "")?;
            expect(got == Ok("é=1&x\n%".to_owned()), format!("{what}: {got:?}"))?;
            let got = publish(&mut agent, item(), "two", &md5_of("é=1&x\n%"))?;
            expect(got == Ok("two".to_owned()), format!("{what}: {got:?}"))?;
            let newest = stub.history("", GROUP, "d").first().cloned();
            let author = newest.map(|entry| entry.src_user);
            expect(
                author.as_deref() == Some("ann") || author.as_deref() == Some("nacos"),
                format!("{what}: {author:?}"),
            )?;
            let got = publish(&mut agent, item(), "three", &md5_of("other"))?;
            expect(
                got == Err(FailureKind::Conflict),
                format!("{what}: {got:?}"),
            )?;
            expect(
                stub.text("", GROUP, "d").as_deref() == Some("two"),
                format!("{what}: it was written"),
            )?;
            let got = publish(&mut agent, item(), "", &md5_of("two"))?;
            expect(
                got == Err(FailureKind::Rejected),
                format!("{what}: {got:?}"),
            )?;
        }
    }
    Ok(Outcome::Passed)
}

fn history() -> Result<Outcome, String> {
    let mut agent = Agent::start()?;
    for families in [Families::V1, Families::V3] {
        let stub = stub(|settings| settings.families = families)?;
        for text in ["one", "two", "three"] {
            stub.publish("", GROUP, "d", text);
        }
        let item = item_of(&stub);
        let order = AgentOrder::History {
            id: 9,
            item: item.clone(),
        };
        let entries = match agent.ask(&order)? {
            Ok(AgentAnswer::History { entries }) => entries,
            other => return Err(format!("{families:?}: {other:?}")),
        };
        let operations: Vec<&str> = entries.iter().map(|it| it.operation.as_str()).collect();
        expect(operations == ["U", "U", "I"], format!("{entries:?}"))?;
        // An entry has the text before the change.
        let order = AgentOrder::HistoryText {
            id: 10,
            item: item.clone(),
            entry: entries[0].id.clone(),
        };
        let got = agent.ask(&order)?;
        let is_two = matches!(&got, Ok(AgentAnswer::Text(text)) if text.text == "two");
        expect(is_two, format!("{families:?}: {got:?}"))?;
        stub.set_listeners("", GROUP, "d", &[("10.0.0.7", &md5_of("two"))]);
        let got = agent.ask(&AgentOrder::Listeners { id: 11, item })?;
        let expected = ("10.0.0.7".to_owned(), md5_of("two"));
        let is_listed =
            matches!(&got, Ok(AgentAnswer::Listeners { hosts }) if hosts.contains(&expected));
        // The stub may have no list for v1.
        let is_absent = matches!(&got, Err(failure) if failure.kind == FailureKind::Unsupported);
        expect(
            is_listed || (is_absent && families == Families::V1),
            format!("{families:?}: {got:?}"),
        )?;
    }
    // Neither function, as with rnacos.
    let stub = stub(|settings| {
        settings.families = Families::V1;
        settings.missing_paths = vec!["/nacos/v1/cs/history"];
    })?;
    let item = item_of(&stub);
    let got = agent.ask(&AgentOrder::History { id: 12, item })?;
    let is_absent = matches!(&got, Err(failure) if failure.kind == FailureKind::Unsupported);
    expect(is_absent, format!("{got:?}"))?;
    Ok(Outcome::Passed)
}
