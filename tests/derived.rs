//! Files that derive from the tables agree with them. `UPDATE=1 cargo test --test derived` rewrites them.

use std::fs;
use std::path::Path;

use supervisord::config::{manual, render};
use supervisord::front::dbus;

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
fn the_manual_page_of_the_configuration_derives_from_keys() {
    agrees("man/supervisord.conf.5", &manual::page());
}

#[test]
fn what_is_installed_for_dbus_derives_from_its_tables() {
    agrees("man/org.supervisord.Supervisor1.5", &dbus::page());
    agrees(
        "packaging/org.supervisord.Supervisor1.conf",
        &dbus::bus_policy(),
    );
    agrees(
        "packaging/org.supervisord.Supervisor1.policy",
        &dbus::polkit_policy(),
    );
}
