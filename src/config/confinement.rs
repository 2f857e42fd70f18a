//! The resource limits and privileges of a program: the types and their parsers. Every default changes nothing.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::interned_default::InternedDefault;
use super::lookup::Lookup;
use super::python::{int, integer};
use crate::domain::{Capabilities, Limit, Resource, Unit, python_repr};

/// Maximum number of supplementary groups per program. The kernel allows 65536.
pub const EXTRA_GROUPS_MAX: usize = 1024;

/// A group as configured and as looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConfiguredGroup {
    /// As configured.
    pub name: String,
    /// The gid, looked up when the configuration was read.
    pub gid: u32,
}

/// The resource limits and privileges of a program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// Limits, in the order of [`Resource::ALL`].
    pub limits: Vec<(Resource, Limit)>,
    /// -20 to 19. `None`: the daemon's.
    pub nice: Option<i8>,
    /// -1000 to 1000. `None`: the daemon's.
    pub oom_score_adj: Option<i16>,
    /// Primary group. `None`: that of the user, or the daemon's.
    pub group: Option<ConfiguredGroup>,
    /// Groups in addition to those of the user or the daemon.
    pub extra_groups: Vec<ConfiguredGroup>,
    /// The capability bounding set. `None`: the daemon's.
    pub capabilities: Option<Capabilities>,
    /// The ambient capabilities, which it has as any user. `None`: the process keeps what the kernel leaves it of the
    /// daemon's capabilities.
    pub ambient_capabilities: Option<Capabilities>,
    /// Executing a file never gives it more privileges (no_new_privs).
    pub no_new_privileges: bool,
    /// The kernel kills it when the daemon's process ends.
    #[serde(default, skip_serializing_if = "is_false")]
    pub kill_on_supervisor_exit: bool,
}

const fn is_false(value: &bool) -> bool {
    !*value
}

impl InternedDefault for Confinement {
    fn interned_default() -> Arc<Self> {
        static NONE: LazyLock<Arc<Confinement>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }
}

/// Parses `N`, `SOFT:HARD` or `infinity`, in the unit of the resource.
///
/// # Errors
/// It is none of these, or the soft limit exceeds the hard limit.
///
/// # Source
/// systemd.exec(5), "Process Properties": one value sets both limits.
pub fn limit(resource: Resource, text: &str) -> Result<Limit, String> {
    let key = resource.key();
    let one = |text: &str| {
        amount(resource.unit(), text.trim())
            .ok_or_else(|| format!("invalid {key} value {}", python_repr(text)))
    };
    let (soft, hard) = match text.split_once(':') {
        Some((soft, hard)) => (one(soft)?, one(hard)?),
        None => {
            let both = one(text)?;
            (both, both)
        }
    };
    if soft > hard {
        return Err(format!(
            "invalid {key} value {}: the soft limit is above the hard limit",
            python_repr(text)
        ));
    }
    Ok(Limit { soft, hard })
}

fn amount(unit: Unit, text: &str) -> Option<u64> {
    if text.eq_ignore_ascii_case("infinity") {
        return Some(Limit::NONE);
    }
    match unit {
        Unit::Plain => number(text),
        Unit::Bytes => bytes(text),
        // The kernel's limit is 20 minus the nice value, so more privilege is a higher number.
        Unit::Nice => match text.strip_prefix(['+', '-']) {
            Some(level) => {
                let level = i64::try_from(number(level)?).ok()?;
                let level = if text.starts_with('-') { -level } else { level };
                (-20..=19)
                    .contains(&level)
                    .then(|| (20 - level).unsigned_abs())
            }
            None => number(text).filter(|&raw| raw <= 40),
        },
    }
}

/// Parses decimal digits. The kernel's number for unlimited is not accepted; it must be written as `infinity`.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        .then(|| text.parse().ok())
        .flatten()
        .filter(|&number| number != Limit::NONE)
}

/// Parses digits with an optional letter for a power of 1024 and an optional `B`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    const LETTERS: &str = "kmgtpe";
    let lower = text.to_ascii_lowercase();
    let rest = lower.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = number(lower.strip_suffix(rest)?)?;
    let suffix = rest.trim_start();
    let suffix = suffix.strip_suffix('b').unwrap_or(suffix);
    let mut letters = suffix.chars();
    let power = match (letters.next(), letters.next()) {
        (None, _) => 0,
        (Some(letter), None) => LETTERS.find(letter)? + 1,
        (Some(_), Some(_)) => return None,
    };
    let factor = 1u64 << (10 * power);
    digits
        .checked_mul(factor)
        .filter(|&bytes| bytes != Limit::NONE)
}

/// Parses an integer within bounds.
///
/// # Errors
/// It is not an integer, or out of bounds.
pub(super) fn within<T: TryFrom<i64>>(text: &str, lowest: i64, highest: i64) -> Result<T, String> {
    let number = integer(text)?;
    if number < lowest {
        return Err(format!("{number} is below lower bound ({lowest})"));
    }
    T::try_from(number)
        .ok()
        .filter(|_| number <= highest)
        .ok_or_else(|| format!("{number} is above upper bound ({highest})"))
}

/// Parses a nice value.
///
/// # Errors
/// It is not a number from -20 to 19.
pub fn nice(text: &str) -> Result<i8, String> {
    within(text, -20, 19)
}

/// Parses an oom_score_adj value: how readily the kernel kills the process when memory is short.
///
/// # Errors
/// It is not a number from -1000 to 1000.
pub fn oom_score_adj(text: &str) -> Result<i16, String> {
    within(text, -1000, 1000)
}

/// Parses a group name or a gid that is in the group database.
///
/// # Errors
/// It is not there.
pub fn group(text: &str, lookup: &dyn Lookup) -> Result<ConfiguredGroup, String> {
    let gid = match int(text, 10) {
        Some(number) => u32::try_from(number)
            .ok()
            .filter(|&gid| lookup.is_group(gid))
            .ok_or_else(|| format!("Invalid group id {text}"))?,
        None => lookup
            .group(text)
            .ok_or_else(|| format!("Invalid group name {text}"))?,
    };
    Ok(ConfiguredGroup {
        name: text.to_owned(),
        gid,
    })
}

/// Splits a text at commas and whitespace.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

/// Parses groups separated by commas or whitespace, without repetition. An empty text gives an empty list.
///
/// # Errors
/// A group is not in the group database, or there are too many.
pub fn groups(text: &str, lookup: &dyn Lookup) -> Result<Vec<ConfiguredGroup>, String> {
    let mut groups: Vec<ConfiguredGroup> = Vec::new();
    for word in words(text) {
        let found = group(word, lookup)?;
        if !groups.iter().any(|known| known.gid == found.gid) {
            groups.push(found);
        }
        if groups.len() > EXTRA_GROUPS_MAX {
            return Err(format!("too many groups (maximum {EXTRA_GROUPS_MAX})"));
        }
    }
    Ok(groups)
}

/// Parses `none`, `all`, names separated by commas or whitespace, or `~` and the names to leave out.
///
/// # Errors
/// A name is unknown, or there is no name.
pub fn capabilities(text: &str) -> Result<Capabilities, String> {
    match text.trim().strip_prefix('~') {
        Some(others) => Ok(Capabilities::ALL.without(named(others)?)),
        None if text.trim().eq_ignore_ascii_case("all") => Ok(Capabilities::ALL),
        None => ambient_capabilities(text),
    }
}

/// Parses `none`, or names separated by commas or whitespace. `all` is not accepted: granted capabilities must be
/// listed.
///
/// # Errors
/// A name is unknown, or there is no name.
pub fn ambient_capabilities(text: &str) -> Result<Capabilities, String> {
    if text.trim().eq_ignore_ascii_case("none") {
        Ok(Capabilities::NONE)
    } else {
        named(text)
    }
}

fn named(text: &str) -> Result<Capabilities, String> {
    let mut set = Capabilities::NONE;
    for word in words(text) {
        let one = Capabilities::named(word)
            .ok_or_else(|| format!("unknown capability {}", python_repr(word)))?;
        set = set.with(one);
    }
    if set.is_none() {
        return Err("no capability is named (write none for an empty set)".to_owned());
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::super::lookup::Fake;
    use super::*;

    #[test]
    fn limits_have_systemds_forms() {
        use Resource::{AddressSpace, Files, Nice};
        let pair = |soft, hard| Ok(Limit { soft, hard });
        let none = Limit::NONE;
        for (resource, text, expected) in [
            (Files, "1024", pair(1024, 1024)),
            (Files, " 10 : 20 ", pair(10, 20)),
            (Files, "0", pair(0, 0)),
            (Files, "infinity", pair(none, none)),
            (Files, "7:Infinity", pair(7, none)),
            (AddressSpace, "1K", pair(1024, 1024)),
            (AddressSpace, "512 kB:2GB", pair(512 << 10, 2 << 30)),
            (AddressSpace, "1b", pair(1, 1)),
            (AddressSpace, "15E", pair(15 << 60, 15 << 60)),
            (Nice, "40", pair(40, 40)),
            (Nice, "-5", pair(25, 25)),
            (Nice, "+19:-20", pair(1, 40)),
        ] {
            assert_eq!(limit(resource, text), expected, "{text}");
        }
        for (resource, text) in [
            (Files, ""),
            (Files, ":"),
            (Files, "1:"),
            (Files, "1:2:3"),
            (Files, "-1"),
            (Files, "1K"),
            (Files, "1_0"),
            (Files, "unlimited"),
            (Files, "18446744073709551615"),
            (Files, "18446744073709551616"),
            (AddressSpace, "16E"),
            (AddressSpace, "1.5G"),
            (AddressSpace, "1KK"),
            (AddressSpace, "1é"),
            (AddressSpace, "B"),
            (Nice, "41"),
            (Nice, "-21"),
            (Nice, "+20"),
            (Nice, "-"),
        ] {
            let error = limit(resource, text).expect_err(text);
            let start = format!("invalid {} value ", resource.key());
            assert!(error.starts_with(&start), "{error}");
        }
        assert_eq!(
            limit(Files, "2:1").expect_err("upside down"),
            "invalid limit_nofile value '2:1': the soft limit is above the hard limit"
        );
    }

    #[test]
    fn numbers_are_bounded() {
        assert_eq!((nice("-20"), nice(" +19 ")), (Ok(-20), Ok(19)));
        assert_eq!(nice("20"), Err("20 is above upper bound (19)".to_owned()));
        assert_eq!(
            nice("-21"),
            Err("-21 is below lower bound (-20)".to_owned())
        );
        assert!(nice("").is_err() && nice("low").is_err());
        assert_eq!(oom_score_adj("-1000"), Ok(-1000));
        assert_eq!(
            oom_score_adj("99999999999"),
            Err("99999999999 is above upper bound (1000)".to_owned())
        );
    }

    #[test]
    fn groups_are_looked_up() {
        let machine = Fake::default();
        let gids = |text| {
            groups(text, &machine)
                .map(|groups| groups.iter().map(|group| group.gid).collect::<Vec<_>>())
        };
        assert_eq!(gids("web, 1000  33"), Ok(vec![33, 1000]));
        assert_eq!(gids(""), Ok(vec![]));
        assert_eq!(gids("web,no"), Err("Invalid group name no".to_owned()));
        assert_eq!(gids("4711"), Err("Invalid group id 4711".to_owned()));
        assert_eq!(group("-1", &machine), Err("Invalid group id -1".to_owned()));
        assert!(group("", &machine).is_err());
    }

    #[test]
    fn capabilities_are_parsed_as_sets() {
        let shown = |text| capabilities(text).map(|set| set.to_string());
        for (text, set) in [
            ("none", "none"),
            ("NET_RAW cap_chown", "cap_chown,cap_net_raw"),
            ("kill,kill, setuid", "cap_kill,cap_setuid"),
        ] {
            assert_eq!(shown(text), Ok(set.to_owned()));
        }
        assert_eq!(capabilities("all"), Ok(Capabilities::ALL));
        let others = capabilities("~cap_sys_admin").expect("valid");
        assert_eq!(
            Capabilities::ALL.without(others).to_string(),
            "cap_sys_admin"
        );
        assert_eq!(
            shown("cap_foo"),
            Err("unknown capability 'cap_foo'".to_owned())
        );
        for text in ["", ",", "~", "all,kill", "none kill"] {
            assert!(capabilities(text).is_err(), "{text}");
        }
        assert!(ambient_capabilities("all").is_err());
        assert!(ambient_capabilities("~kill").is_err());
    }

    #[test]
    fn a_default_confinement_is_interned() {
        let one = Confinement::default().into_shared();
        assert!(Arc::ptr_eq(&one, &Confinement::interned_default()));
        let nice = Confinement {
            nice: Some(0),
            ..Confinement::default()
        };
        assert!(!Arc::ptr_eq(&one, &nice.into_shared()));
    }
}
