//! Parses `allow=` of a server: which users may do what with which processes. One rule per line, or separated by
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
//!
//! The users of a unix server are those of the host, as the kernel reports them. Those of a TCP server are the names with
//! which clients log in.

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
    let rules = rules_for(text, |name| who(name, lookup))?;
    if rules.is_empty() {
        return Err(
            "allow has no rule, so only root and the user of supervisord have access (add a rule)"
                .to_owned(),
        );
    }
    Ok(rules)
}

/// Parses the rules of a TCP server.
///
/// # Errors
/// A message that names the rule and what is wrong with it.
pub(super) fn login_rules(text: &str) -> Result<Vec<AllowRule>, String> {
    let rules = rules_for(text, login)?;
    if rules.is_empty() {
        return Err("allow has no rule, so nobody has access (add a rule)".to_owned());
    }
    Ok(rules)
}

fn rules_for(
    text: &str,
    subject: impl Fn(&str) -> Result<AllowSubject, String>,
) -> Result<Vec<AllowRule>, String> {
    let rules: Vec<AllowRule> = text
        .split([',', '\n'])
        .map(str::trim)
        .filter(|rule| !rule.is_empty())
        .map(|rule| {
            one(rule, &subject).map_err(|why| format!("Invalid allow rule '{rule}': {why}"))
        })
        .collect::<Result<_, _>>()?;
    if rules.len() > RULES_MAX {
        return Err(format!(
            "too many allow rules: {} (maximum {RULES_MAX})",
            rules.len()
        ));
    }
    Ok(rules)
}

fn one(
    rule: &str,
    subject: impl Fn(&str) -> Result<AllowSubject, String>,
) -> Result<AllowRule, String> {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let (&name, rest) = words.split_first().ok_or("the rule is empty")?;
    let AllowedActions {
        permissions,
        processes,
    } = allowed_actions(name, rest)?;
    Ok(AllowRule {
        who: subject(name)?,
        permissions,
        processes,
    })
}

/// What a rule allows.
pub(super) struct AllowedActions {
    pub(super) permissions: Vec<Permission>,
    /// `None`: all processes, and the daemon itself.
    pub(super) processes: Option<Vec<Namespec>>,
}

/// Parses `VERB… [on PROCESS…]`, the words after `name`.
///
/// # Errors
/// What is wrong with them.
pub(super) fn allowed_actions(name: &str, words: &[&str]) -> Result<AllowedActions, String> {
    let (verbs, on) = match words.iter().position(|word| *word == "on") {
        Some(at) => (&words[..at], Some(&words[at + 1..])),
        None => (words, None),
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
    Ok(AllowedActions {
        permissions,
        processes,
    })
}

fn login(name: &str) -> Result<AllowSubject, String> {
    match name {
        "*" => Ok(AllowSubject::Everybody),
        _ if name.starts_with('@') => Err(format!(
            "{name} is a group of users of the host, whom a TCP server does not know (name the username of the section, or *)"
        )),
        _ => Ok(AllowSubject::Login(name.to_owned())),
    }
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

    #[test]
    fn rules_of_a_tcp_server_name_logins() {
        let login = |name: &str| AllowSubject::Login(name.to_owned());
        let who = |text: &str| {
            let rules = login_rules(text)?;
            Ok::<_, String>(rules.into_iter().map(|rule| rule.who).collect::<Vec<_>>())
        };
        assert_eq!(
            who("0 control, nosuch status\n* status"),
            Ok(vec![login("0"), login("nosuch"), AllowSubject::Everybody])
        );
        for (text, part) in [
            ("", "nobody has access"),
            ("@staff status", "@staff is a group of users of the host"),
            ("u dance", "Invalid allow rule 'u dance': unknown verb"),
        ] {
            let error = who(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
