//! Tests of `import` with whole units. The configuration's parser must accept the result with `strict`, and the result must
//! run the same command as systemd.

mod directives;
mod random;
mod samples;

use std::sync::Arc;

use super::translate::{EnvironmentFile, TranslateInput, translate};
use super::unit::{SystemdUnit, UnitName};
use crate::config::lookup::Fake;
use crate::config::options::DaemonOptions;
use crate::config::spec::ProcessSpec;
use crate::config::{self, shlex};

/// The section of a unit.
fn imported(name: &str, text: &str) -> Result<String, Vec<String>> {
    let mut unit = SystemdUnit::new(UnitName::new(name));
    unit.read("f", text).map_err(|error| vec![error])?;
    let machine = Fake::default();
    let world = TranslateInput {
        lookup: &machine,
        environment_file: &|path| match path {
            "/etc/default/open" => {
                EnvironmentFile::Text("OPTS=\"--a 'b c' -d\"\nPORT=80\n".to_owned())
            }
            "/etc/default/private" => EnvironmentFile::Private,
            _ => EnvironmentFile::Missing,
        },
    };
    translate(&unit, &world).map(|section| section.render())
}

/// Parses a section with `strict`, in an included file, because an `[include]` changes the meaning of some texts.
fn read(section: &str) -> Arc<ProcessSpec> {
    let machine = Fake::default()
        .with("/etc/s.conf", "[supervisord]\n[include]\nfiles=x/*.conf\n")
        .with("/etc/x/a.conf", section)
        .with("/var/log/app/x", "");
    let options = DaemonOptions {
        strict: true,
        ..DaemonOptions::default()
    };
    let config = config::load("/etc/s.conf", &options, &machine)
        .unwrap_or_else(|errors| panic!("{:#?}\n{section}", errors.all));
    let notes: Vec<String> = config
        .notes
        .iter()
        .map(ToString::to_string)
        .filter(|note| {
            !note.contains("privileges") && !note.contains("Included") && !note.contains("included")
        })
        .collect();
    assert!(notes.is_empty(), "{notes:#?}\n{section}");
    assert_eq!(config.groups.len(), 1, "{section}");
    Arc::clone(&config.groups[0].processes[0])
}

fn argv(spec: &ProcessSpec) -> Vec<String> {
    shlex::shlex_split(&spec.command).expect("words")
}
