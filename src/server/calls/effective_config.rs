//! The configuration with which a process runs: each key with its value, and where it is written.

use serde_json::{Value, json};

use super::secrets::{is_secret_name, without_secrets};
use crate::api::ProcessDetails;
use crate::config::edit::MASK;
use crate::config::key::{ConfigKey, SectionKind, Topic};
use crate::config::spec::ProcessSpec;

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct EffectiveKey {
    pub(in crate::server) key: String,
    /// As written, or the default. Without secrets.
    pub(in crate::server) value: String,
    /// The value of this process, if it differs from what is written.
    pub(in crate::server) expanded: Option<String>,
    /// Whether the section sets it.
    pub(in crate::server) is_set: bool,
    /// Whether it is set to another value than the default.
    pub(in crate::server) is_changed: bool,
    /// File and line. `None`: it is not set, or the place is not known.
    pub(in crate::server) origin: Option<(String, u32)>,
    pub(in crate::server) topic: Option<Topic>,
    /// What the key does. Empty: no key of ours.
    pub(in crate::server) doc: &'static str,
}

/// All keys of a process: those of its section, then the defaults of the others. `with_secrets`: whether the caller may
/// see values that may be secret, unless they look like it.
pub(in crate::server) fn effective_keys(
    details: &ProcessDetails,
    with_secrets: bool,
) -> Vec<EffectiveKey> {
    let template = details.template.as_deref();
    let kind = template.and_then(|template| SectionKind::of(&template.section));
    let kind = kind.unwrap_or(SectionKind::Program);
    let mut keys = Vec::new();
    let options = template.map_or(&[][..], |template| &template.options);
    for (at, (key, written)) in options.iter().enumerate() {
        let row = kind.keys().find(|row| row.name.eq_ignore_ascii_case(key));
        let origin = template.and_then(|template| template.origins.get(at));
        let default = row.and_then(|row| row.default);
        keys.push(EffectiveKey {
            key: key.to_string(),
            value: shown(row, &details.spec, written, with_secrets),
            expanded: expanded(key, &details.spec)
                .filter(|expanded| expanded != &**written)
                .map(|expanded| without_secrets(&expanded)),
            is_set: true,
            is_changed: default != Some(&**written),
            origin: origin.map(|(file, line)| (file.to_owned(), line)),
            topic: row.and_then(|row| row.topic),
            doc: row.map_or("", |row| row.doc),
        });
    }
    for row in kind.keys() {
        let is_set = options
            .iter()
            .any(|(key, _)| row.name.eq_ignore_ascii_case(key));
        if !is_set {
            keys.push(EffectiveKey {
                key: row.name.to_owned(),
                value: row.default.unwrap_or_default().to_owned(),
                expanded: None,
                is_set: false,
                is_changed: false,
                origin: None,
                topic: row.topic,
                doc: row.doc,
            });
        }
    }
    keys
}

/// The value of a key that is set, without secrets.
fn shown(row: Option<&ConfigKey>, spec: &ProcessSpec, written: &str, with_secrets: bool) -> String {
    match row {
        Some(row) if row.name == "environment" => environment(spec, with_secrets),
        Some(row) if row.is_secret && !with_secrets => MASK.to_owned(),
        _ => without_secrets(written),
    }
}

/// The variables of the process, one per line.
fn environment(spec: &ProcessSpec, with_secrets: bool) -> String {
    let variables = spec.environment.iter().map(|(name, value)| {
        if !with_secrets || is_secret_name(name) {
            format!("{name}={MASK}")
        } else {
            format!("{name}={}", without_secrets(value))
        }
    });
    variables.collect::<Vec<_>>().join("\n")
}

/// The values of a process that depend on its number or its name. `None`: the key has the same value for all of them, or
/// is not shown in this way.
fn expanded(key: &str, spec: &ProcessSpec) -> Option<String> {
    let path = |path: Option<&std::path::Path>| path.map(|path| path.display().to_string());
    match key {
        "command" => Some(spec.command.to_string()),
        "directory" => path(spec.directory.as_deref()),
        "conf_file" => path(spec.conf_file.as_deref()),
        "process_name" => Some(spec.name.to_string()),
        _ => None,
    }
}

/// All keys as JSON.
pub(in crate::server) fn config_json(details: &ProcessDetails, with_secrets: bool) -> Value {
    let keys = effective_keys(details, with_secrets);
    let keys: Vec<Value> = keys
        .iter()
        .map(|key| {
            let origin = key.origin.as_ref();
            json!({
                "key": key.key,
                "value": key.value,
                "expanded": key.expanded,
                "set": key.is_set,
                "changed": key.is_changed,
                "file": origin.map(|(file, _)| file),
                "line": origin.map(|(_, line)| line),
            })
        })
        .collect();
    json!({
        "name": details.view.name.as_str(),
        "group": details.view.group.as_str(),
        "section": details.template.as_ref().map(|template| &*template.section),
        "numprocs": details.numprocs,
        "keys": keys,
    })
}
