//! Capabilities: parts of root's privileges, with the names from the kernel's headers. `sys` changes the kernel's sets;
//! this module contains only plain sets of numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The names by number, in lower case. The oldest supported kernel knows all of them. Capabilities of newer kernels
/// have no name here and cannot be granted. The parser and a child before its exec need them, so they are constants; a
/// test in `sys` compares them with the package `caps`.
// Source: capabilities(7), linux/capability.h.
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// A set of capabilities. `Display` writes it in the syntax of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Capabilities(u64);

impl Capabilities {
    /// The empty set.
    pub const NONE: Self = Self(0);
    /// All capabilities with a name.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Returns the set with these bits, without those that have no name.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Returns the capability with this name, in any case, with or without `cap_`. `None`: unknown name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.to_lowercase();
        let short = lower.strip_prefix("cap_").unwrap_or(&lower);
        let number = NAMES
            .iter()
            .position(|known| known.strip_prefix("cap_") == Some(short))?;
        Some(Self(1 << number))
    }

    /// Returns the name of a capability number for messages.
    #[must_use]
    pub fn name_of(number: u32) -> &'static str {
        usize::try_from(number)
            .ok()
            .and_then(|number| NAMES.get(number).copied())
            .unwrap_or("a capability without a name")
    }

    /// Returns one bit per number, as in the kernel's sets.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns the union of both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the capabilities of this set that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Returns all names.
    pub fn all_names() -> impl Iterator<Item = &'static str> {
        NAMES.into_iter()
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("none");
        }
        let mut comma = "";
        for (number, name) in NAMES.iter().enumerate() {
            if self.0 >> number & 1 == 1 {
                write!(f, "{comma}{name}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_have_the_kernels_names_and_numbers() {
        for (name, number) in [
            ("cap_chown", 0),
            ("NET_BIND_SERVICE", 10),
            ("Cap_Sys_Admin", 21),
            ("syslog", 34),
            ("CAP_CHECKPOINT_RESTORE", 40),
        ] {
            assert_eq!(
                Capabilities::named(name).map(Capabilities::bits),
                Some(1 << number),
                "{name}"
            );
        }
        for name in ["", "cap_", "cap_cap_chown", "sys", "none", "all", "40"] {
            assert_eq!(Capabilities::named(name), None, "{name}");
        }
        assert_eq!(Capabilities::name_of(10), "cap_net_bind_service");
        assert_eq!(Capabilities::name_of(41), "a capability without a name");
    }

    #[test]
    fn sets_are_shown_in_configuration_syntax() {
        let named = |name| Capabilities::named(name).expect("known");
        let two = named("kill").with(named("chown"));
        assert_eq!(two.to_string(), "cap_chown,cap_kill");
        assert_eq!(two.without(named("kill")).to_string(), "cap_chown");
        assert_eq!(two.without(two).to_string(), "none");
        assert_eq!(Capabilities::from_bits(u64::MAX), Capabilities::ALL);
        assert_eq!(Capabilities::from_bits(two.bits()), two);
        let all: Vec<&str> = Capabilities::all_names().collect();
        assert_eq!(Capabilities::ALL.to_string(), all.join(","));
    }
}
