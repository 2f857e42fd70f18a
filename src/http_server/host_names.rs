//! The names of this host, under which a browser may address a server of it.

use std::collections::HashSet;

/// The names under which a browser may address this host: its host name first, then the names of its lines in
/// `/etc/hosts`, and the host name in each search domain. No name service is asked, because it may stall.
pub(crate) fn own_host_names() -> Vec<String> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    host_names(
        &read("/proc/sys/kernel/hostname"),
        &read("/etc/hosts"),
        &read("/etc/resolv.conf"),
    )
}

/// # Source
/// hosts(5), resolv.conf(5).
fn host_names(hostname: &str, hosts: &str, resolv: &str) -> Vec<String> {
    let own = hostname.trim().to_ascii_lowercase();
    if own.is_empty() {
        return Vec::new();
    }
    let mut names = vec![own.clone()];
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or("").to_ascii_lowercase();
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        if words.contains(&own.as_str()) {
            names.extend(words.iter().map(|word| (*word).to_owned()));
        }
    }
    for line in resolv.lines() {
        let mut words = line.split_whitespace();
        if matches!(words.next(), Some("search" | "domain")) {
            let domains = words.map(|domain| domain.trim_matches('.').to_ascii_lowercase());
            names.extend(
                domains
                    .filter(|domain| !domain.is_empty())
                    .map(|domain| format!("{own}.{domain}")),
            );
        }
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_names_of_this_host_are_accepted() {
        let hosts =
            "127.0.0.1 localhost\n127.0.1.1 box.lan Box # mine: other\n10.0.0.1 other\n::1\n";
        let resolv = "nameserver 10.0.0.1\nsearch corp.example. lab.example\n";
        assert_eq!(
            host_names("Box\n", hosts, resolv),
            ["box", "box.lan", "box.corp.example", "box.lab.example"]
        );
        assert!(host_names("\n", hosts, resolv).is_empty());
    }
}
