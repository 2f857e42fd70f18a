//! Parses `allow=` of a unix server: which users may do what with which processes. One rule per line, or separated by
//! commas:
//!
//! ```text
//! WHO VERB… [on PROCESS…]
//!
//! @operators status logs control        members of the group, for everything
//! deploy control signal on web:* api    this user, for the group web and for the process api
//! * status                              everybody
//! ```
//!
//! A user is a name or a uid; a group begins with `@` (a percent sign would begin an expansion). `all` means every
//! verb. Any permission on a process includes `status`. The order of rules does not matter: what one rule allows is
//! allowed.

use super::lookup::Lookup;
use super::spec::{AllowRule, AllowSubject};
use super::value;
use crate::domain::{Namespec, Permission};

/// Maximum number of rules per server.
const RULES_MAX: usize = 1000;

/// Parses the rules.
///
/// # Errors
/// A message that names the rule and what is wrong with it.
pub(super) fn rules(text: &str, lookup: &dyn Lookup) -> Result<Vec<AllowRule>, String> {
    let rules: Vec<AllowRule> = text
        .split([',', '\n'])
        .map(str::trim)
        .filter(|rule| !rule.is_empty())
        .map(|rule| one(rule, lookup).map_err(|why| format!("Invalid allow rule '{rule}': {why}")))
        .collect::<Result<_, _>>()?;
    if rules.is_empty() {
        return Err(
            "allow has no rule, so only root and the user of supervisord have access (add a rule)"
                .to_owned(),
        );
    }
    if rules.len() > RULES_MAX {
        return Err(format!(
            "too many allow rules: {} (maximum {RULES_MAX})",
            rules.len()
        ));
    }
    Ok(rules)
}

fn one(rule: &str, lookup: &dyn Lookup) -> Result<AllowRule, String> {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let (&name, rest) = words.split_first().ok_or("the rule is empty")?;
    let (verbs, on) = match rest.iter().position(|word| *word == "on") {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    if verbs.is_empty() {
        return Err(format!("no verb after {name} (verbs: {})", known()));
    }
    let mut permissions = Vec::new();
    for &verb in verbs {
        match Permission::from_word(verb) {
            Some(permission) => permissions.push(permission),
            None if verb == "all" => {
                permissions.extend(Permission::ALL.map(|(permission, _)| permission));
            }
            None => return Err(format!("unknown verb {verb} (verbs: {})", known())),
        }
    }
    // A peer that acts on a process must see it; clients query the status first.
    permissions.push(Permission::Status);
    permissions.dedup();
    let processes = match on {
        None => None,
        Some([]) => return Err("names of processes or groups must follow \"on\"".to_owned()),
        Some(names) => Some(names.iter().map(|name| Namespec::parse(name)).collect()),
    };
    Ok(AllowRule {
        who: who(name, lookup)?,
        permissions,
        processes,
    })
}

fn who(name: &str, lookup: &dyn Lookup) -> Result<AllowSubject, String> {
    if name == "*" {
        return Ok(AllowSubject::Everybody);
    }
    let Some(group) = name.strip_prefix('@') else {
        return value::user(name, lookup).map(AllowSubject::User);
    };
    let known = match group.parse::<u32>() {
        Ok(gid) => Some(gid).filter(|&gid| lookup.is_group(gid)),
        Err(_) => lookup.group(group),
    };
    known
        .map(AllowSubject::Group)
        .ok_or_else(|| format!("Invalid group name {group}"))
}

fn known() -> String {
    let words: Vec<&str> = Permission::ALL.iter().map(|(_, word)| *word).collect();
    format!("{} or all", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::lookup::Fake;
    use super::*;

    #[test]
    fn rules_are_read() {
        let machine = Fake::default();
        let read = |text: &str| rules(text, &machine);
        let spec = |text: &str| Namespec::parse(text);
        let rule = |who, permissions: &[Permission], processes| AllowRule {
            who,
            permissions: permissions.to_vec(),
            processes,
        };
        use Permission::{Control, ReadLogs, Signal, Status};
        assert_eq!(
            read("* status"),
            Ok(vec![rule(AllowSubject::Everybody, &[Status], None)])
        );
        assert_eq!(
            read("\n  0 control\n* logs signal on web:* api, * status"),
            Ok(vec![
                rule(AllowSubject::User(0), &[Control, Status], None),
                rule(
                    AllowSubject::Everybody,
                    &[ReadLogs, Signal, Status],
                    Some(vec![spec("web:*"), spec("api")])
                ),
                rule(AllowSubject::Everybody, &[Status], None),
            ])
        );
        for (text, part) in [
            ("", "add a rule"),
            ("root", "no verb after root (verbs: status, logs"),
            ("root dance", "unknown verb dance (verbs: status, logs"),
            ("nosuch status", "Invalid user name nosuch"),
            ("@nosuch status", "Invalid group name nosuch"),
            ("* control on", "must follow \"on\""),
            ("* on web", "no verb after *"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
