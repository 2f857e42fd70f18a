//! What a program may use and which rights it has besides those of its user: the typed form, and the texts that become it.
//! Every default changes nothing. Knows no places.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::interned_default::InternedDefault;
use super::lookup::Lookup;
use super::python::int;
use crate::domain::{Capabilities, Limit, Resource, Unit, python_repr};

/// The most supplementary groups that a program can be given; the kernel would take 65536.
pub const EXTRA_GROUPS_MAX: usize = 1024;

/// A group as configured and as looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredGroup {
    /// As configured.
    pub name: String,
    /// Looked up at parse time.
    pub gid: u32,
}

/// What a program may use, and its rights.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confinement {
    /// Limits, in the order of [`Resource::ALL`].
    pub limits: Vec<(Resource, Limit)>,
    /// -20 to 19; none: the daemon's.
    pub nice: Option<i8>,
    /// -1000 to 1000; none: the daemon's.
    pub oom_score_adj: Option<i16>,
    /// Primary group; none: that of the user, or the daemon's.
    pub group: Option<ConfiguredGroup>,
    /// Groups besides those of the user, or besides the daemon's.
    pub extra_groups: Vec<ConfiguredGroup>,
    /// Those it may ever have; none: the daemon's.
    pub capabilities: Option<Capabilities>,
    /// Those it has whoever it runs as; none: what is left of the daemon's own, as ever.
    pub ambient_capabilities: Option<Capabilities>,
    /// Nothing that it executes gives it more rights.
    pub no_new_privileges: bool,
}

impl InternedDefault for Confinement {
    fn interned_default() -> Arc<Self> {
        static NONE: LazyLock<Arc<Confinement>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }
}

/// `N`, `SOFT:HARD` or `infinity`, in what the resource counts.
///
/// # Errors
/// It is none, or the soft limit is above the hard limit.
///
/// # Source
/// systemd.exec(5), "Process Properties": one value is both limits.
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
        // Higher rights are higher numbers here: 20 minus the level.
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

/// Digits alone. What the kernel takes for no limit is written as such only.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number
        .then(|| text.parse().ok())
        .flatten()
        .filter(|&number| number != Limit::NONE)
}

/// Digits, then perhaps a letter for a power of 1024, then perhaps `B`.
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

/// A whole number within bounds.
///
/// # Errors
/// It is none, or outside.
pub(super) fn within<T: TryFrom<i64>>(text: &str, lowest: i64, highest: i64) -> Result<T, String> {
    let number = super::value::integer(text)?;
    if number < lowest {
        return Err(format!("{number} is below lower bound ({lowest})"));
    }
    T::try_from(number)
        .ok()
        .filter(|_| number <= highest)
        .ok_or_else(|| format!("{number} is above upper bound ({highest})"))
}

/// A nice value.
///
/// # Errors
/// It is no number from -20 to 19.
pub fn nice(text: &str) -> Result<i8, String> {
    within(text, -20, 19)
}

/// How readily the kernel kills it for want of memory.
///
/// # Errors
/// It is no number from -1000 to 1000.
pub fn oom_score_adj(text: &str) -> Result<i16, String> {
    within(text, -1000, 1000)
}

/// A group's name or number that is in the group database.
///
/// # Errors
/// It is not.
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

/// Words with commas or blanks between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
}

/// Groups with commas or blanks between them, none twice; empty: none.
///
/// # Errors
/// One of them is not in the group database, or there are too many.
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

/// `none`, `all`, names with commas or blanks between them, or `~` and the names of those that are not meant.
///
/// # Errors
/// A name is not known, or there is none.
pub fn capabilities(text: &str) -> Result<Capabilities, String> {
    match text.trim().strip_prefix('~') {
        Some(others) => Ok(Capabilities::ALL.without(named(others)?)),
        None if text.trim().eq_ignore_ascii_case("all") => Ok(Capabilities::ALL),
        None => ambient_capabilities(text),
    }
}

/// `none`, or names with commas or blanks between them. Not `all`: what is given is to be spelled out.
///
/// # Errors
/// A name is not known, or there is none.
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
    fn numbers_keep_their_bounds() {
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
    fn capabilities_are_sets() {
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
    fn what_changes_nothing_is_kept_once() {
        let one = Confinement::default().into_shared();
        assert!(Arc::ptr_eq(&one, &Confinement::interned_default()));
        let nice = Confinement {
            nice: Some(0),
            ..Confinement::default()
        };
        assert!(!Arc::ptr_eq(&one, &nice.into_shared()));
    }
}
