//! TCP ports that other hosts can reach.

use super::super::spec::{ServerAddress, ServerSpec};
use super::explained::Explained;
use super::input::{Findings, LintInput};
use super::rule::Rule;

/// Checks the TCP servers.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    for server in input.servers {
        let ServerAddress::Inet { host, port } = &server.address else {
            continue;
        };
        let Some(entry) = input
            .entry(&server.section, "port")
            .filter(|_| !is_loopback(host))
        else {
            continue;
        };
        let shown = if host.is_empty() { "*" } else { host };
        // The place is that of the port: a report does not show passwords.
        let (rule, text) = match is_protected(server) {
            true => (
                Rule::ClearPassword,
                format!(
                    "port: other hosts can reach {shown}:{port}, and passwords travel to it unencrypted"
                ),
            ),
            false => (
                Rule::OpenPort,
                format!(
                    "port: everybody who can reach {shown}:{port} can start and stop programs, without a password"
                ),
            ),
        };
        found.push((entry.value_span(), Explained::new(rule, text).key("port")));
    }
}

/// Whether only this host can reach the address.
fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare == "::1" || bare.starts_with("127.")
}

fn is_protected(server: &ServerSpec) -> bool {
    server.credentials.is_some() || server.tokens_file.is_some() || server.allow.is_some()
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::reports;

    #[test]
    fn ports_of_other_hosts_are_found() {
        let login = "username=a\npassword=secret\n";
        for (port, more, code) in [
            ("127.0.0.1:9001", "", None),
            ("localhost:9001", login, None),
            ("[::1]:9001", "", None),
            ("*:9001", login, Some("clear-password")),
            ("9001", login, Some("clear-password")),
            ("10.0.0.1:9001", "", Some("open-port")),
        ] {
            let text = format!("[inet_http_server]\nport={port}\n{more}");
            let found = reports(Fake::default(), &text);
            let codes: Vec<&str> = found.iter().map(|it| it.explained.rule.code()).collect();
            assert_eq!(codes.first().copied(), code, "{port}: {codes:?}");
            assert!(
                found
                    .iter()
                    .all(|it| it.line == 2 && !it.plain().contains("secret"))
            );
        }
    }
}
