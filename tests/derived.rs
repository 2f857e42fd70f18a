//! Files that derive from the tables agree with them. `UPDATE=1 cargo test --test derived` rewrites them.

use std::fs;
use std::path::Path;

use supervisord::config::render;
use supervisord::domain::roff::PAGES;
use supervisord::front::dbus;
use supervisord::{api, config, ctl, daemon, output, pidproxy};

/// Compares `text` with the committed file, or rewrites it.
fn agrees(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, text).expect("written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{file} is out of date: run UPDATE=1 cargo test --test derived, and review the change"
    );
}

#[test]
fn aux_01_the_sample_configuration_derives_from_keys() {
    agrees("packaging/examples/sample.conf", &render::sample());
}

#[test]
fn manual_pages_derive_from_the_tables() {
    let texts = [
        config::manual::sample(),
        pidproxy::manual::page(),
        ctl::manual::page(),
        dbus::page(),
        config::manual::configuration(),
        config::manual::events(),
        output::manual::page(),
        api::manual::page(),
        daemon::manual::page(),
    ];
    assert_eq!(texts.len(), PAGES.len());
    for (page, text) in PAGES.iter().zip(texts) {
        assert!(
            text.contains(&format!(
                ".TH {}",
                page.name.to_uppercase().replace('-', "\\-")
            )),
            "{} is in another place of PAGES",
            page.name
        );
        agrees(&format!("man/{}", page.file()), &text);
    }
}

#[test]
fn what_is_installed_for_dbus_derives_from_its_tables() {
    agrees(
        "packaging/org.supervisord.Supervisor1.conf",
        &dbus::bus_policy(),
    );
    agrees(
        "packaging/org.supervisord.Supervisor1.policy",
        &dbus::polkit_policy(),
    );
}
