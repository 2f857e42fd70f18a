//! The item of a Nacos server that is the configuration, and how to reach it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::python::strip;
use super::value::list;
use crate::domain::{Seconds, python_repr};

/// The prefix of the variables that are settings. They may contain the password, so programs do not get them.
pub const NACOS_VARIABLE: &str = "NACOS_";
/// The port of a server without one.
const DEFAULT_PORT: u16 = 8848;
/// The context path of a server without one.
const DEFAULT_PATH: &str = "/nacos";
/// Maximum length of a data ID, and of a namespace.
const DATAID_CHARS_MAX: usize = 256;
/// Maximum length of a group.
const GROUP_CHARS_MAX: usize = 128;
/// The shortest time that servers hold a listening request.
const POLL_TIMEOUT_MIN: Seconds = Seconds(10);

/// The item that is the configuration, and how to reach it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NacosSettings {
    /// Base URLs such as `http://127.0.0.1:8848/nacos`. Never empty.
    pub servers: Vec<String>,
    /// The data ID.
    pub dataid: String,
    /// The namespace ID. Empty: public.
    pub namespace: String,
    /// The group.
    pub group: String,
    /// The user. `None`: requests carry no token.
    pub username: Option<String>,
    /// The password.
    pub password: String,
    /// The interface of the server.
    pub api: NacosApi,
    /// How long the server holds a listening request.
    pub poll_timeout: Seconds,
    /// Pause between two reads of a server without listening.
    pub poll_interval: Seconds,
    /// A file with the certificates of authorities. `None`: those of the system.
    pub tls_ca: Option<String>,
}

impl NacosSettings {
    /// The name of the item in messages: namespace, group and data ID.
    #[must_use]
    pub fn item_name(&self) -> String {
        let namespace = if self.namespace.is_empty() {
            "public"
        } else {
            &self.namespace
        };
        format!("{namespace}/{}/{}", self.group, self.dataid)
    }
}

impl fmt::Debug for NacosSettings {
    /// Without the password, which must not get into diagnostics.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NacosSettings")
            .field("servers", &self.servers)
            .field("item", &self.item_name())
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The HTTP interface of a Nacos server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NacosApi {
    /// Find out which one the server has.
    #[default]
    Auto,
    /// Nacos 1.x to 3.1, with long polls.
    V1,
    /// Nacos 3.0 and later, with reads at intervals.
    V3,
}

/// Parses addresses separated by commas. Each becomes a base URL.
///
/// # Errors
/// There is none, or one is not such an address.
pub(super) fn servers(text: &str) -> Result<Vec<String>, String> {
    let mut servers: Vec<String> = Vec::new();
    for item in list(text).iter().filter(|item| !item.is_empty()) {
        let server = server(item).ok_or_else(|| {
            format!(
                "invalid 'server' value {}: it is not HOST:PORT or http[s]://HOST[:PORT][/PATH]",
                python_repr(item)
            )
        })?;
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        return Err(format!("invalid 'server' value {}", python_repr(text)));
    }
    Ok(servers)
}

/// The base URL of an address with the defaults for what it lacks. `None`: it is no address.
fn server(text: &str) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => ("http".to_owned(), text),
    };
    if scheme != "http" && scheme != "https" {
        return None;
    }
    let (authority, path) = match rest.find('/') {
        Some(at) => (&rest[..at], rest[at..].trim_end_matches('/')),
        None => (rest, DEFAULT_PATH),
    };
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/-._~".contains(c);
    if !path.chars().all(is_path) {
        return None;
    }
    // The colons of an IPv6 address are inside brackets.
    let port_at = match authority.rfind(']') {
        Some(end) => authority[end..].find(':').map(|at| end + at),
        None => authority.find(':'),
    };
    let (host, port) = match port_at {
        Some(at) => (&authority[..at], authority[at + 1..].parse::<u16>().ok()?),
        None => (authority, DEFAULT_PORT),
    };
    let inner = host
        .strip_prefix('[')
        .map_or(host, |host| host.strip_suffix(']').unwrap_or(""));
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    let is_plain = host == inner && inner.contains(':');
    if inner.is_empty() || port == 0 || is_plain || !inner.chars().all(is_host) {
        return None;
    }
    let host = host.to_ascii_lowercase();
    Some(format!("{scheme}://{host}:{port}{path}"))
}

/// Parses a data ID or a group.
fn identifier(key: &str, text: &str, most: usize) -> Result<String, String> {
    let text = strip(text);
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".:-_".contains(c);
    if text.is_empty() || text.len() > most || !text.chars().all(is_allowed) {
        return Err(format!(
            "invalid '{key}' value {}: it is not 1 to {most} letters, digits and .:-_",
            python_repr(text)
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn dataid(text: &str) -> Result<String, String> {
    identifier("dataid", text, DATAID_CHARS_MAX)
}

pub(super) fn group(text: &str) -> Result<String, String> {
    identifier("group", text, GROUP_CHARS_MAX)
}

/// Parses a namespace ID. `public` and an empty text are the same.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    match strip(text) {
        "" | "public" => Ok(String::new()),
        text => identifier("namespace", text, DATAID_CHARS_MAX),
    }
}

/// Parses an interface.
pub(super) fn api(text: &str) -> Result<NacosApi, String> {
    match strip(text).to_lowercase().as_str() {
        "auto" => Ok(NacosApi::Auto),
        "v1" => Ok(NacosApi::V1),
        "v3" => Ok(NacosApi::V3),
        _ => Err(format!("invalid 'api' value {}", python_repr(text))),
    }
}

/// Parses the time for which a server holds a request.
pub(super) fn poll_timeout(text: &str) -> Result<Seconds, String> {
    let seconds = super::health::period(text)?;
    if seconds < POLL_TIMEOUT_MIN {
        return Err(format!(
            "{} is below lower bound ({})",
            seconds.0, POLL_TIMEOUT_MIN.0
        ));
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_gets_the_defaults_for_what_it_lacks() {
        for (text, url) in [
            ("127.0.0.1:8848", Some("http://127.0.0.1:8848/nacos")),
            ("Nacos.example", Some("http://nacos.example:8848/nacos")),
            ("https://host", Some("https://host:8848/nacos")),
            ("https://host:443/", Some("https://host:443")),
            ("http://host:1/a/b/", Some("http://host:1/a/b")),
            ("[::1]:8848", Some("http://[::1]:8848/nacos")),
            ("http://[::1]/x", Some("http://[::1]:8848/x")),
            ("ftp://host", None),
            ("host:0", None),
            ("host:99999", None),
            ("host:8848?x", None),
            ("user@host", None),
            ("a b", None),
            ("::1", None),
            ("http://", None),
            ("http://h/a?b", None),
            ("http://h/a b", None),
        ] {
            assert_eq!(server(text).as_deref(), url, "{text}");
        }
        assert_eq!(
            servers("a, b:1 ,a"),
            Ok(vec![
                "http://a:8848/nacos".to_owned(),
                "http://b:1/nacos".to_owned()
            ])
        );
        assert!(servers(" , ").is_err());
    }

    #[test]
    fn names_of_items_have_few_characters() {
        assert_eq!(
            dataid(" supervisord.conf "),
            Ok("supervisord.conf".to_owned())
        );
        for text in ["", "a/b", "a b", "ä", &"x".repeat(257)] {
            assert!(dataid(text).is_err(), "{text}");
        }
        assert_eq!(namespace("public"), Ok(String::new()));
        assert_eq!(namespace(""), Ok(String::new()));
        assert_eq!(namespace("ns-1"), Ok("ns-1".to_owned()));
        assert!(namespace("a\u{1}").is_err());
        assert!(poll_timeout("9").is_err() && poll_timeout("10").is_ok());
    }
}
