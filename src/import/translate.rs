//! A unit → a section of a program, with a remark for everything that has no equivalent. Asks nothing of the machine but what
//! [`TranslateInput`] offers.

mod ends;
mod environment;
mod execution;
mod limits;
mod remarks;
mod streams;

use std::collections::BTreeSet;

use super::form;
use super::section::ProgramSection;
use super::unit::{Assignment, SystemdUnit};
use super::value::{self, TimeSpan};
use super::words;
use crate::config::lookup::Lookup;

/// What is known of a file that `EnvironmentFile=` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EnvironmentFile {
    /// Everybody can read this in it.
    Text(String),
    /// It is there, but not for everybody: what is in it may be secret.
    Private,
    /// It is not there.
    Missing,
}

/// What translation asks of the machine.
pub(super) struct TranslateInput<'a> {
    /// Users, directories, the machine's name.
    pub(super) lookup: &'a dyn Lookup,
    /// Files of variables.
    pub(super) environment_file: &'a dyn Fn(&str) -> EnvironmentFile,
}

/// The type of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServiceType {
    /// `simple`, `exec`, and what comes down to it.
    Plain,
    Notify,
    Forking,
    Oneshot,
}

/// A translation under way.
struct Translation<'a> {
    unit: &'a SystemdUnit,
    world: &'a TranslateInput<'a>,
    section: ProgramSection,
    /// Directives that were dealt with.
    done: BTreeSet<(&'a str, &'a str)>,
}

/// Translates one unit.
///
/// # Errors
/// Why nothing can be run, with places.
pub(super) fn translate(
    unit: &SystemdUnit,
    world: &TranslateInput<'_>,
) -> Result<ProgramSection, Vec<String>> {
    let mut work = Translation {
        unit,
        world,
        section: ProgramSection::new(&program_name(unit.name.stem())),
        done: BTreeSet::new(),
    };
    work.title();
    let service = work.service_type();
    let user = work.ids();
    let environment = work.environment(user.as_deref());
    work.command(service, &environment)?;
    work.directory(user.as_deref());
    work.translate_start(service);
    work.translate_restart(service);
    work.translate_stop(service);
    work.streams();
    work.confinement();
    work.resources();
    work.install();
    work.remark_on_rest();
    Ok(work.section)
}

/// A name of a program: what may not stand in one, or would mean something in a section's header, is replaced.
#[must_use]
pub(super) fn program_name(stem: &str) -> String {
    let name: String = stem
        .chars()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() || "_.@+-".contains(c) => c,
            _ => '_',
        })
        .collect();
    if name.is_empty() {
        "program".to_owned()
    } else {
        name
    }
}

const SERVICE: &str = "Service";

impl<'a> Translation<'a> {
    /// All assignments of a directive, which is then dealt with.
    fn all_assignments(&mut self, section: &'a str, name: &'a str) -> Vec<&'a Assignment> {
        self.done.insert((section, name));
        self.unit
            .assignments
            .iter()
            .filter(|one| one.section == section && one.name == name)
            .collect()
    }

    /// What counts of a directive that adds up: everything since it was last emptied.
    fn list_assignments(&mut self, section: &'a str, name: &'a str) -> Vec<&'a Assignment> {
        let all = self.all_assignments(section, name);
        let from = all
            .iter()
            .rposition(|one| one.value.is_empty())
            .map_or(0, |at| at + 1);
        all[from..].to_vec()
    }

    /// What counts of a directive of `[Service]` that has one value, specifiers replaced.
    fn last_assignment(&mut self, name: &'a str) -> Option<String> {
        let last = self.all_assignments(SERVICE, name).pop()?;
        (!last.value.is_empty()).then(|| self.specified(name, &last.value))
    }

    /// A time of `[Service]`; a number alone is of seconds.
    fn span(&mut self, name: &'a str) -> Option<TimeSpan> {
        let text = self.last_assignment(name)?;
        let span = value::span(&text, value::SECONDS);
        if span.is_none() {
            self.not_understood(name, &text);
        }
        span
    }

    /// A boolean of `[Service]`.
    fn boolean(&mut self, name: &'a str) -> Option<bool> {
        let text = self.last_assignment(name)?;
        let boolean = value::boolean(&text);
        if boolean.is_none() {
            self.not_understood(name, &text);
        }
        boolean
    }

    fn not_understood(&mut self, name: &str, value: &str) {
        self.section.add_remark(name, value, "invalid value");
    }

    /// Sets a key to a text, or says that it cannot be.
    fn text(&mut self, key: &'static str, name: &str, value: &str) {
        match form::text_value(value) {
            Some(text) => self.section.set(key, text),
            None => self.section.add_remark(
                name,
                value,
                &format!(
                    "{key}= cannot represent this text; blanks or special characters would be lost"
                ),
            ),
        }
    }

    /// Replaces the specifiers in a value of `name`.
    fn specified(&mut self, name: &str, text: &str) -> String {
        let mut unknown = BTreeSet::new();
        let specified = words::expand_specifiers(text, |letter| {
            let value = self.specifier(letter);
            if value.is_none() {
                unknown.insert(letter);
            }
            value
        });
        for letter in unknown {
            self.section.add_remark(
                name,
                text,
                &format!("the specifier %{letter} has no equivalent; replace it with its value"),
            );
        }
        specified
    }

    /// What a specifier stands for, as the system's manager has it.
    // Source: systemd.unit(5), "Specifiers".
    fn specifier(&self, letter: char) -> Option<String> {
        let name = &self.unit.name;
        let instance = name.instance.clone().unwrap_or_default();
        let last = name.prefix.rsplit('-').next().unwrap_or_default();
        let lookup = self.world.lookup;
        Some(match letter {
            'n' => name.full.clone(),
            'N' => name.stem().to_owned(),
            'p' => name.prefix.clone(),
            'P' => unescape(&name.prefix),
            'i' => instance,
            'I' => unescape(&instance),
            'j' => last.to_owned(),
            'J' => unescape(last),
            'f' => {
                let path = name.instance.as_ref().unwrap_or(&name.prefix);
                format!("/{}", unescape(path).trim_start_matches('/'))
            }
            'H' => lookup.hostname(),
            'l' => {
                let host = lookup.hostname();
                host.split('.').next().unwrap_or_default().to_owned()
            }
            'm' => {
                let bytes = lookup.read("/etc/machine-id").ok()?;
                String::from_utf8(bytes).ok()?.trim().to_owned()
            }
            'u' | 'g' => "root".to_owned(),
            'U' | 'G' => "0".to_owned(),
            'h' => lookup.home(Some("root"))?,
            's' => "/bin/sh".to_owned(),
            't' => "/run".to_owned(),
            'S' => "/var/lib".to_owned(),
            'C' => "/var/cache".to_owned(),
            'L' => "/var/log".to_owned(),
            'E' => "/etc".to_owned(),
            'T' => "/tmp".to_owned(),
            'V' => "/var/tmp".to_owned(),
            _ => return None,
        })
    }

    fn title(&mut self) {
        let description = self.all_assignments("Unit", "Description").pop();
        let title = match description {
            Some(one) if !one.value.is_empty() => {
                let text = self.specified("Description", &one.value);
                format!("{}: {text}", self.unit.name.full)
            }
            _ => self.unit.name.full.clone(),
        };
        self.section.title = title;
    }

    fn service_type(&mut self) -> ServiceType {
        let text = self.last_assignment("Type");
        let is_on_the_bus =
            self.unit.assignments.iter().any(|one| {
                one.section == SERVICE && one.name == "BusName" && !one.value.is_empty()
            });
        match text.as_deref() {
            None if !is_on_the_bus => ServiceType::Plain,
            Some("simple" | "exec") => ServiceType::Plain,
            Some("notify") => ServiceType::Notify,
            Some("notify-reload") => {
                self.section.add_remark(
                    "Type",
                    "notify-reload",
                    &format!(
                        "to reload its configuration: supervisorctl signal HUP {}",
                        self.section.name.clone()
                    ),
                );
                ServiceType::Notify
            }
            Some("forking") => ServiceType::Forking,
            Some("oneshot") => ServiceType::Oneshot,
            None | Some("dbus") => {
                self.section.add_remark(
                    "Type",
                    "dbus",
                    "supervisord does not wait for bus names; the program is RUNNING after startsecs",
                );
                ServiceType::Plain
            }
            Some("idle") => {
                self.section.add_remark(
                    "Type",
                    "idle",
                    "the program does not wait for others; use a high priority= to start it late",
                );
                ServiceType::Plain
            }
            Some(other) => {
                self.not_understood("Type", other);
                ServiceType::Plain
            }
        }
    }

    fn install(&mut self) {
        let names = ["WantedBy", "RequiredBy", "UpheldBy"];
        let is_wanted = names
            .into_iter()
            .map(|name| self.list_assignments("Install", name))
            .any(|list| !list.is_empty());
        self.section
            .set("autostart", if is_wanted { "true" } else { "false" });
        if !is_wanted {
            self.section.add_remark(
                "autostart",
                "false",
                "no target wants the unit, so autostart=false",
            );
        }
    }

    /// Says something about whatever was not dealt with.
    fn remark_on_rest(&mut self) {
        for one in &self.unit.assignments {
            let directive = (one.section.as_str(), one.name.as_str());
            if self.done.contains(&directive) || one.value.is_empty() {
                continue;
            }
            let text = remarks::of(&one.section, &one.name);
            self.section.add_remark(&one.name, &one.value, text);
        }
        for (place, line, why) in &self.unit.passed_over {
            self.section
                .add_remark(place, "", &format!("ignored: {why}: {line}"));
        }
    }
}

/// `-` becomes `/`, `\xHH` the byte; what then is no UTF-8 stays as it was.
// Source: systemd.unit(5), "String Escaping for Inclusion in Unit Names".
fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let code = rest
            .strip_prefix("\\x")
            .and_then(|tail| tail.get(..2))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = code {
            bytes.push(byte);
            rest = &rest[4..];
            continue;
        }
        match c {
            '-' => bytes.push(b'/'),
            c => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
        rest = &rest[c.len_utf8()..];
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
