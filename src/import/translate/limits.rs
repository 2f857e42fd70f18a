//! Translates resource limits and privileges.

use std::time::Duration;

use super::super::value::{self, SECONDS, TimeSpan};
use super::{SERVICE, Translation};
use crate::config::confinement;
use crate::config::resources;
use crate::config::value as ours;
use crate::domain::{Capabilities, Resource, Unit};

/// Maximum number of processes in a cgroup.
const PIDS_MAX: u64 = 1 << 22;
/// Period of a CPU limit in the kernel, in microseconds: default, minimum and maximum.
const PERIOD_MICROS: u128 = 100_000;
const PERIOD_MICROS_MIN: u128 = 1000;
const PERIOD_MICROS_MAX: u128 = 1_000_000;
/// One hundred percent, in units of 0.01 %.
const PARTS: u128 = 10_000;

/// The `Limit…=` directives and their resources.
const LIMITS: [(&str, Resource); 16] = [
    ("LimitNOFILE", Resource::Files),
    ("LimitNPROC", Resource::Processes),
    ("LimitCORE", Resource::Core),
    ("LimitAS", Resource::AddressSpace),
    ("LimitMEMLOCK", Resource::LockedMemory),
    ("LimitSTACK", Resource::Stack),
    ("LimitCPU", Resource::Processor),
    ("LimitFSIZE", Resource::FileSize),
    ("LimitDATA", Resource::Data),
    ("LimitRSS", Resource::Resident),
    ("LimitRTPRIO", Resource::RealTimePriority),
    ("LimitRTTIME", Resource::RealTimeTime),
    ("LimitNICE", Resource::Nice),
    ("LimitSIGPENDING", Resource::PendingSignals),
    ("LimitMSGQUEUE", Resource::MessageQueues),
    ("LimitLOCKS", Resource::Locks),
];

impl Translation<'_> {
    /// Translates the limits of the process and its privileges.
    pub(super) fn confinement(&mut self) {
        for (name, resource) in LIMITS {
            let Some(text) = self.last_assignment(name) else {
                continue;
            };
            let limit: Option<Vec<String>> = text
                .split(':')
                .map(|one| limit(resource, one.trim()))
                .collect();
            let limit = limit
                .map(|parts| parts.join(":"))
                .filter(|limit| confinement::limit(resource, limit).is_ok());
            match limit {
                Some(limit) => self.section.set(resource.key(), limit),
                None => self.not_understood(name, &text),
            }
        }
        self.checked("Nice", "nice", |text| {
            confinement::nice(text).ok().map(|nice| nice.to_string())
        });
        self.checked("OOMScoreAdjust", "oom_score_adj", |text| {
            confinement::oom_score_adj(text)
                .ok()
                .map(|score| score.to_string())
        });
        self.checked("UMask", "umask", |text| {
            ours::octal(text).ok().map(|mask| format!("{mask:03o}"))
        });
        if let Some(is_set) = self.boolean("NoNewPrivileges") {
            self.section.set("no_new_privileges", is_set.to_string());
        }
        let bounding = self.capabilities("CapabilityBoundingSet", Capabilities::ALL);
        if let Some(set) = bounding {
            let outside = Capabilities::ALL.without(set);
            // Use the shorter one of two equivalent forms.
            let text = if outside.is_none() {
                "all".to_owned()
            } else if set.to_string().len() <= outside.to_string().len() {
                set.to_string()
            } else {
                format!("~{outside}")
            };
            self.section.set("capabilities", text);
        }
        if let Some(set) = self.capabilities("AmbientCapabilities", Capabilities::NONE) {
            let beyond = set.without(bounding.unwrap_or(Capabilities::ALL));
            if !beyond.is_none() {
                self.section.add_remark(
                    "AmbientCapabilities",
                    &beyond.to_string(),
                    "omitted, because CapabilityBoundingSet= does not contain it",
                );
            }
            let set = set.without(beyond);
            if !set.is_none() {
                self.section.set("ambient_capabilities", set.to_string());
            }
        }
    }

    /// Combines the capability sets of several lines: the first one decides where to begin, `~` removes capabilities.
    // Source: systemd.exec(5), `CapabilityBoundingSet=`.
    fn capabilities(&mut self, name: &'static str, all: Capabilities) -> Option<Capabilities> {
        let mut set: Option<Capabilities> = None;
        for one in self.all_assignments(SERVICE, name) {
            let (text, is_inverted) = match one.value.strip_prefix('~') {
                Some(text) => (text, true),
                None => (one.value.as_str(), false),
            };
            let mut named = Capabilities::NONE;
            for word in text.split_whitespace() {
                match Capabilities::named(word).filter(|_| word.to_uppercase().starts_with("CAP_"))
                {
                    Some(one) => named = named.with(one),
                    None => self.section.add_remark(name, word, "unknown capability"),
                }
            }
            set = Some(match (set, is_inverted) {
                _ if one.value.is_empty() => Capabilities::NONE,
                _ if is_inverted && named.is_none() => Capabilities::ALL,
                (Some(set), true) => set.without(named),
                (None, true) => Capabilities::ALL.without(named),
                (Some(set), false) => set.with(named),
                (None, false) => named,
            });
        }
        // A set that changes nothing needs no key.
        set.filter(|&set| set != all)
    }

    /// Translates the limits of the cgroup.
    pub(super) fn resources(&mut self) {
        self.checked("MemoryLimit", "memory_max", memory);
        self.checked("MemoryMax", "memory_max", memory);
        self.checked("MemoryHigh", "memory_high", memory);
        for (name, key) in [("CPUWeight", "cpu_weight"), ("IOWeight", "io_weight")] {
            self.checked(name, key, |text| {
                resources::weight(text)
                    .ok()
                    .map(|weight| weight.to_string())
            });
        }
        self.checked("TasksMax", "pids_max", |text| {
            let number = match text {
                "infinity" => return Some(text.to_owned()),
                text => value::bytes(text)?,
            };
            let number = number.min(PIDS_MAX).to_string();
            resources::pids_max(&number).ok().map(|_| number)
        });
        let period = match self.last_assignment("CPUQuotaPeriodSec") {
            None => None,
            Some(text) => match value::span(&text, SECONDS) {
                Some(TimeSpan::For(time)) => Some(time),
                _ => {
                    self.not_understood("CPUQuotaPeriodSec", &text);
                    None
                }
            },
        };
        self.checked("CPUQuota", "cpu_max", |text| quota(text, period));
    }

    /// Sets a key to the value of a directive, converted by `convert`, or adds a remark that it cannot be.
    fn checked(
        &mut self,
        name: &'static str,
        key: &'static str,
        convert: impl Fn(&str) -> Option<String>,
    ) {
        let Some(text) = self.last_assignment(name) else {
            return;
        };
        match convert(text.trim()) {
            Some(value) => self.section.set(key, value),
            None => self.section.add_remark(
                name,
                &text,
                &format!(
                    "{key}= cannot express this value; {key}= takes {}",
                    expected(key)
                ),
            ),
        }
    }
}

/// Describes a valid value of a key, in the words of KEYS.
fn expected(key: &str) -> &'static str {
    use crate::config::key::{ConfigKey, SectionKind};
    ConfigKey::find(SectionKind::Program, key).map_or("", |row| row.kind.expected())
}

/// Converts one half of a limit to our syntax.
fn limit(resource: Resource, text: &str) -> Option<String> {
    if text == "infinity" {
        return Some(text.to_owned());
    }
    match (resource, resource.unit()) {
        (Resource::Processor, _) => match value::span(text, SECONDS)? {
            TimeSpan::For(time) => Some(value::seconds(time).to_string()),
            TimeSpan::Infinity => Some("infinity".to_owned()),
        },
        (Resource::RealTimeTime, _) => match value::span(text, 1)? {
            TimeSpan::For(time) => Some(time.as_micros().to_string()),
            TimeSpan::Infinity => Some("infinity".to_owned()),
        },
        (_, Unit::Bytes) => value::bytes(text).map(|bytes| bytes.to_string()),
        (_, Unit::Plain | Unit::Nice) => Some(text.to_owned()),
    }
}

fn memory(text: &str) -> Option<String> {
    if text == "infinity" {
        return Some(text.to_owned());
    }
    let bytes = value::bytes(text)?.to_string();
    resources::memory("memory_max")(&bytes).ok().map(|_| bytes)
}

/// Converts a percentage of one CPU, with at most two decimals.
fn quota(text: &str, period: Option<Duration>) -> Option<String> {
    let number = text.strip_suffix('%')?.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > 9
        || fraction.len() > 2
        || !is_number(whole)
        || !is_number(fraction)
    {
        return None;
    }
    let shown = if fraction.trim_end_matches('0').is_empty() && period.is_none() {
        format!("{}%", whole.parse::<u64>().ok()?)
    } else {
        let parts: u128 = format!("{whole}{fraction:0<2}").parse().ok()?;
        let period = period
            .map_or(PERIOD_MICROS, |period| period.as_micros())
            .clamp(PERIOD_MICROS_MIN, PERIOD_MICROS_MAX);
        format!("{} {period}", parts * period / PARTS)
    };
    resources::cpu_max(&shown).ok().map(|_| shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_quota_keeps_its_share() {
        let ms = |number| Some(Duration::from_millis(number));
        for (text, period, expected) in [
            ("20%", None, Some("20%")),
            ("150 %", None, Some("150%")),
            ("33.3%", None, Some("33300 100000")),
            ("20%", ms(10), Some("2000 10000")),
            ("50%", ms(9000), Some("500000 1000000")),
            ("20", None, None),
            ("0%", None, None),
            ("0.1%", None, None),
            ("-5%", None, None),
        ] {
            assert_eq!(quota(text, period).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn limits_are_converted_to_our_units() {
        for (resource, text, expected) in [
            (Resource::Files, "65536", Some("65536")),
            (Resource::Core, "1.5G", Some("1610612736")),
            (Resource::Processor, "1min", Some("60")),
            (Resource::RealTimeTime, "1ms", Some("1000")),
            (Resource::Nice, "-5", Some("-5")),
            (Resource::AddressSpace, "lots", None),
        ] {
            assert_eq!(limit(resource, text).as_deref(), expected, "{text}");
        }
    }
}
