//! The settings of the server as clients read, try, save and remove them.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value as Json, json};

use super::{DATAID, GROUP, programs};
use crate::host::Host;
use crate::support::nacos::{NacosSettings, NacosStub};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};
use crate::web_client::{expect_rest, rest};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("nacos::settings_are_tried_saved_and_left", saved),
        Trial::new("nacos::a_trial_says_what_is_wrong", tried),
    ]
}

const FILE: &str = "supervisord.nacos.conf";

fn ask(host: &Host, line: (&str, &str), body: &Json, status: u16) -> Result<Json, String> {
    expect_rest(&host.daemon()?.address, line, "", body, status)
}

fn stub() -> Result<NacosStub, String> {
    NacosStub::start(NacosSettings {
        account: Some(("u", "secret%word")),
        ..NacosSettings::default()
    })
}

fn settings(stub: &NacosStub) -> Json {
    json!({
        "server": stub.address(),
        "dataid": DATAID,
        "username": "u",
        "password": "secret%word",
        "not_use_cache": true,
    })
}

fn without_password(settings: &Json) -> Json {
    let mut settings = settings.clone();
    if let Some(settings) = settings.as_object_mut() {
        settings.remove("password");
    }
    settings
}

fn saved() -> Result<Outcome, String> {
    let stub = stub()?;
    let md5 = stub.publish("", GROUP, DATAID, &programs(&["one"]));
    let host = Host::start(&programs(&["local"]))?;
    host.daemon()?.wait_state("local", "RUNNING")?;
    let none = ask(&host, ("GET", "/nacos"), &Json::Null, 200)?;
    expect(
        none["server"] == ""
            && none["saved"] == false
            && none["active"] == false
            && none["has_password"] == false,
        none.to_string(),
    )?;
    let all = settings(&stub);
    ask(&host, ("PUT", "/nacos"), &json!({"server": "h"}), 400)?;
    ask(
        &host,
        ("PUT", "/nacos"),
        &json!({"server": "h:x", "dataid": "d"}),
        400,
    )?;
    ask(
        &host,
        ("PUT", "/nacos"),
        &json!({"server": "h", "dataid": "d\n[x]"}),
        400,
    )?;
    expect(
        !host.place.join(FILE).exists(),
        "refused settings were saved",
    )?;
    let tried = ask(&host, ("POST", "/nacos/test"), &all, 200)?;
    expect(
        tried["md5"] == md5 && tried["size"] == programs(&["one"]).len(),
        tried.to_string(),
    )?;
    expect(!host.place.join(FILE).exists(), "a trial saved")?;
    let answer = ask(&host, ("PUT", "/nacos"), &all, 200)?;
    let shown = |value: &Json| -> Result<(), String> {
        expect(
            value["server"] == stub.address()
                && value["dataid"] == DATAID
                && value["has_password"] == true
                && value["not_use_cache"] == true
                && value["saved"] == true
                && !value.to_string().contains("secret"),
            value.to_string(),
        )
    };
    shown(&answer)?;
    shown(&ask(&host, ("GET", "/nacos"), &Json::Null, 200)?)?;
    let mode = std::fs::metadata(host.place.join(FILE)).map_err(|error| error.to_string())?;
    expect(
        mode.permissions().mode() & 0o777 == 0o600,
        format!("{mode:?}"),
    )?;
    // Without a password the saved one stays, for a trial too.
    shown(&ask(
        &host,
        ("PUT", "/nacos"),
        &without_password(&all),
        200,
    )?)?;
    let tried = ask(&host, ("POST", "/nacos/test"), &without_password(&all), 200)?;
    expect(tried["md5"] == md5, tried.to_string())?;
    expect(
        host.place.read(FILE).contains("secret"),
        "the password is lost",
    )?;
    // A restart takes the settings.
    ask(&host, ("POST", "/daemon/restart"), &Json::Null, 200)?;
    let address = &host.daemon()?.address;
    wait_for("the settings are used", LIMIT, || {
        rest(address, ("GET", "/nacos"), "", &Json::Null)
            .is_ok_and(|(_, value)| value["active"] == true && value["md5"] == md5)
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    host.daemon()?.wait_state("one", "RUNNING")?;
    let now = ask(&host, ("GET", "/nacos"), &Json::Null, 200)?;
    expect(
        now["up"] == true && now["needs_restart"] == false,
        now.to_string(),
    )?;
    // A body with one other setting: the item of the next start.
    ask(&host, ("DELETE", "/nacos"), &Json::Null, 200)?;
    expect(
        !host.place.join(FILE).exists(),
        "the settings are still there",
    )?;
    ask(&host, ("DELETE", "/nacos"), &Json::Null, 200)?;
    ask(&host, ("POST", "/daemon/restart"), &Json::Null, 200)?;
    wait_for("the local programs", LIMIT, || {
        rest(address, ("GET", "/nacos"), "", &Json::Null)
            .is_ok_and(|(_, value)| value["active"] == false)
            && host
                .ctl(&["status"])
                .is_ok_and(|got| !got.stdout.contains("one"))
    })?;
    host.daemon()?.wait_state("local", "RUNNING")?;
    let log = host.place.read("log");
    expect(
        log.contains("save-nacos : accepted")
            && log.contains("leave-nacos : accepted")
            && log.contains("save-nacos : INCORRECT_PARAMETERS"),
        host.log_end(),
    )?;
    expect(!log.contains("secret"), "the log has the password")?;
    Ok(Outcome::Passed)
}

fn tried() -> Result<Outcome, String> {
    let mut stub = stub()?;
    stub.publish("", GROUP, DATAID, &programs(&["one"]));
    stub.publish("", GROUP, "bad", "[program:x]\nstartsecs=soon\n");
    let host = Host::start(&programs(&["local"]))?;
    let all = settings(&stub);
    let with = |key: &str, value: &str| {
        let mut changed = all.clone();
        changed[key] = json!(value);
        changed
    };
    let line = ("POST", "/nacos/test");
    ask(&host, line, &with("dataid", "none"), 404)?;
    let bad = ask(&host, line, &with("dataid", "bad"), 422)?;
    let detail = bad["detail"].as_str().unwrap_or_default();
    expect(
        detail.contains(&format!("nacos:public/{GROUP}/bad:")),
        detail,
    )?;
    ask(&host, line, &with("server", "h:x"), 400)?;
    ask(&host, line, &with("password", "other"), 422)?;
    stub.stop();
    ask(&host, line, &all, 502)?;
    ask(&host, ("GET", "/nacos/versions"), &Json::Null, 404)?;
    Ok(Outcome::Passed)
}
