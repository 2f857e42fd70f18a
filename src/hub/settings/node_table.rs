//! A table of `[[nodes]]`: Cesi's six keys, and ours.

use std::path::Path;
use std::time::Duration;

use super::table::SettingKey;
use crate::domain::is_deceptive;
use crate::hub::node::{NODE_NAME_CHARS_MAX, NodeAddress, NodeConfig, NodeLogin};
use crate::sys;

/// The port of a node without one, as in the documentation of Supervisor.
const PORT_DEFAULT: u64 = 9001;
/// Maximum size of a file with a password or a token, in bytes.
const SECRET_BYTES_MAX: usize = 4096;
/// Maximum number of tags of a node.
const TAGS_MAX: usize = 64;

/// A node as its table describes it.
#[derive(Default)]
pub(super) struct NodeTable {
    name: String,
    environment: String,
    host: String,
    port: Option<u64>,
    username: String,
    password: String,
    url: Option<String>,
    password_file: Option<String>,
    token_file: Option<String>,
    timeout: Option<Duration>,
    is_disabled: bool,
    tls_ca: Option<String>,
    is_tls_insecure: bool,
    tags: Vec<String>,
}

/// The keys of a node.
pub(super) const NODE_KEYS: &[SettingKey<NodeTable>] = &[
    SettingKey {
        name: "name",
        default: "",
        doc: "The unique name of the node.",
        set: |node, value| value.string().map(|text| node.name = text),
    },
    SettingKey {
        name: "environment",
        default: "",
        doc: "A label that groups nodes.",
        set: |node, value| value.string().map(|text| node.environment = text),
    },
    SettingKey {
        name: "host",
        default: "",
        doc: "The name or address of its host. It may begin with http:// or https:// and end with a path.",
        set: |node, value| value.string().map(|text| node.host = text),
    },
    SettingKey {
        name: "port",
        default: "9001",
        doc: "The port of its [inet_http_server], as a string or a number.",
        set: |node, value| value.number(1..=65535).map(|port| node.port = Some(port)),
    },
    SettingKey {
        name: "username",
        default: "",
        doc: "The user name that it asks for.",
        set: |node, value| value.string().map(|text| node.username = text),
    },
    SettingKey {
        name: "password",
        default: "",
        doc: "The password that it asks for.",
        set: |node, value| value.string().map(|text| node.password = text),
    },
    SettingKey {
        name: "url",
        default: "",
        doc: "The whole address instead of host and port: http://host:port/path, https://… or unix:///path.",
        set: |node, value| value.string().map(|text| node.url = Some(text)),
    },
    SettingKey {
        name: "password_file",
        default: "",
        doc: "A file with the password, which only the user of the hub or root can read.",
        set: |node, value| value.string().map(|text| node.password_file = Some(text)),
    },
    SettingKey {
        name: "token_file",
        default: "",
        doc: "A file with a token of its tokens_file, instead of user name and password.",
        set: |node, value| value.string().map(|text| node.token_file = Some(text)),
    },
    SettingKey {
        name: "timeout",
        default: "3",
        doc: "Seconds that a call to it may take.",
        set: |node, value| {
            let limit = value.seconds(0.1, 300.0)?;
            node.timeout = Some(limit);
            Ok(())
        },
    },
    SettingKey {
        name: "enabled",
        default: "true",
        doc: "With false, the node is listed and nobody connects to it.",
        set: |node, value| {
            value
                .boolean()
                .map(|is_enabled| node.is_disabled = !is_enabled)
        },
    },
    SettingKey {
        name: "tls_ca",
        default: "",
        doc: "A file with the certificates of the authorities that sign its certificate, in PEM.",
        set: |node, value| value.string().map(|text| node.tls_ca = Some(text)),
    },
    SettingKey {
        name: "tls_insecure",
        default: "false",
        doc: "With true, every certificate is accepted.",
        set: |node, value| value.boolean().map(|is_on| node.is_tls_insecure = is_on),
    },
    SettingKey {
        name: "tags",
        default: "",
        doc: "Labels for filters, as a list.",
        set: |node, value| {
            let tags = value.strings()?;
            if tags.len() > TAGS_MAX {
                return Err(format!("has more than {TAGS_MAX} items"));
            }
            node.tags = tags;
            Ok(())
        },
    },
];

impl NodeTable {
    /// The node. `directory`: that of the file, to which relative paths refer.
    ///
    /// # Errors
    /// What is wrong, beginning with the key.
    pub(super) fn into_config(self, directory: &Path) -> Result<NodeConfig, String> {
        check_label("name", &self.name)?;
        if self.name.is_empty() {
            return Err("name: a node needs a name".to_owned());
        }
        check_label("environment", &self.environment)?;
        for tag in &self.tags {
            check_label("tags", tag)?;
        }
        let mut config = NodeConfig::new(self.name.clone(), self.address()?);
        config.login = self.login(directory)?;
        config.environment = self.environment;
        config.tags = self.tags;
        let below = |path: &String| directory.join(path).display().to_string();
        config.tls_ca = self.tls_ca.as_ref().map(below);
        config.tls_insecure = self.is_tls_insecure;
        config.enabled = !self.is_disabled;
        if let Some(timeout) = self.timeout {
            config.timeout = timeout;
        }
        Ok(config)
    }

    fn address(&self) -> Result<NodeAddress, String> {
        if let Some(url) = &self.url {
            return NodeAddress::parse(url).map_err(|error| format!("url: {error}"));
        }
        if self.host.is_empty() {
            return Err("host: a node needs a host or a url".to_owned());
        }
        let (scheme, rest) = match self.host.split_once("://") {
            Some((scheme, rest)) => (scheme, rest),
            None => ("http", self.host.as_str()),
        };
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let is_v6 = host.contains(':') && !host.starts_with('[');
        let host = if is_v6 {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let port = self.port.unwrap_or(PORT_DEFAULT);
        let url = format!("{scheme}://{host}:{port}{}", path.trim_end_matches('/'));
        NodeAddress::parse(&url).map_err(|error| format!("host: {error}"))
    }

    fn login(&self, directory: &Path) -> Result<NodeLogin, String> {
        if let Some(file) = &self.token_file {
            return read_secret("token_file", &directory.join(file)).map(NodeLogin::Token);
        }
        let password = match &self.password_file {
            Some(file) => read_secret("password_file", &directory.join(file))?,
            None => self.password.clone(),
        };
        Ok(match self.username.is_empty() && password.is_empty() {
            true => NodeLogin::None,
            false => NodeLogin::Password {
                username: self.username.clone(),
                password,
            },
        })
    }
}

fn check_label(key: &str, text: &str) -> Result<(), String> {
    if text.chars().any(is_deceptive) {
        return Err(format!("{key}: must not have control characters"));
    }
    match text.chars().count() <= NODE_NAME_CHARS_MAX {
        true => Ok(()),
        false => Err(format!(
            "{key}: is longer than {NODE_NAME_CHARS_MAX} characters"
        )),
    }
}

/// Reads a secret: the first line of a file.
fn read_secret(key: &str, path: &Path) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{key}: {}: {error}", path.display());
    let read =
        sys::read_secret_file(path, SECRET_BYTES_MAX, None).map_err(|error| failed(&error))?;
    let bytes = read.map(|(_, bytes)| bytes).unwrap_or_default();
    let text = String::from_utf8(bytes).map_err(|_| failed(&"it is not UTF-8"))?;
    let line = text.lines().next().unwrap_or_default();
    match line.is_empty() {
        true => Err(failed(&"its first line is empty")),
        false => Ok(line.to_owned()),
    }
}
