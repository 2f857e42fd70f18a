//! The settings of one node, as the settings file or an inventory gives them.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use crate::agent::ServerUrl;

/// Maximum length of a node's name in characters.
pub const NODE_NAME_CHARS_MAX: usize = 255;
/// Limit of one call where a node has no `timeout`.
pub const CALL_LIMIT_DEFAULT: Duration = Duration::from_secs(3);

/// One node: a supervisord, and how to reach it. Two settings are equal if a node needs no new connection and no new
/// label to go from one to the other.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// The unique name.
    pub name: String,
    /// The environment. Empty: the one without a name.
    pub environment: String,
    /// Labels for filters.
    pub tags: Vec<String>,
    /// Where the supervisord answers.
    pub address: NodeAddress,
    /// What the node asks for.
    pub login: NodeLogin,
    /// A file with certificates of authorities in PEM. `None`: those of the system.
    pub tls_ca: Option<String>,
    /// Accept any certificate. The connection is encrypted, but nothing says with whom.
    pub tls_insecure: bool,
    /// Limit of one call that the node answers at once.
    pub timeout: Duration,
    /// `false`: the node is listed, and nobody connects to it.
    pub enabled: bool,
}

/// Where a supervisord answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeAddress {
    /// `http://host:port/path` or `https://…`. The path is above `/RPC2` and `/api/v1`.
    Web(ServerUrl),
    /// `unix:///path`: a socket of this host.
    Unix(PathBuf),
}

/// With what the hub logs in at a node.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum NodeLogin {
    /// With nothing.
    #[default]
    None,
    /// With a user name and a password.
    Password {
        /// The user name.
        username: String,
        /// The password.
        password: String,
    },
    /// With a token of the node's `tokens_file`.
    Token(String),
}

impl NodeConfig {
    /// The settings of a node without environment, tags and login, with the default limit.
    #[must_use]
    pub fn new(name: impl Into<String>, address: NodeAddress) -> Self {
        Self {
            name: name.into(),
            environment: String::new(),
            tags: Vec::new(),
            address,
            login: NodeLogin::None,
            tls_ca: None,
            tls_insecure: false,
            timeout: CALL_LIMIT_DEFAULT,
            enabled: true,
        }
    }

    /// Whether a connection made with `other` serves this node too: only labels differ.
    #[must_use]
    pub fn has_connection_of(&self, other: &Self) -> bool {
        let unlabelled = |config: &Self| Self {
            environment: String::new(),
            tags: Vec::new(),
            ..config.clone()
        };
        unlabelled(self) == unlabelled(other)
    }
}

impl NodeAddress {
    /// Parses `http://host:port/path`, `https://…` or `unix:///path`.
    ///
    /// # Errors
    /// What is wrong with it, without the address, which may contain a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix("unix://") else {
            return ServerUrl::parse(text).map(Self::Web);
        };
        let path = Path::new(path);
        let is_plain =
            |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
        if !path.is_absolute() || path.parent().is_none() || !path.components().all(is_plain) {
            return Err("the path of a unix socket is absolute and has no ..".to_owned());
        }
        Ok(Self::Unix(path.to_owned()))
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => f.write_str(&url.text),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

// Secrets never reach a log, not even that of a test.
impl fmt::Debug for NodeLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
        })
    }
}

impl fmt::Debug for NodeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeConfig({} at {})", self.name, self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_or_refused() {
        for text in ["http://h:9001", "https://h/sup/a", "unix:///run/s.sock"] {
            assert_eq!(NodeAddress::parse(text).expect(text).to_string(), text);
        }
        for wrong in [
            "h:9001",
            "http://u:secret@h",
            "unix://",
            "unix:///",
            "unix://run/s",
            "unix:///run/../s",
            "ftp://h",
        ] {
            let error = NodeAddress::parse(wrong).expect_err(wrong);
            assert!(!error.contains("secret"));
        }
    }

    #[test]
    fn labels_need_no_new_connection_and_secrets_are_not_shown() {
        let address = NodeAddress::parse("http://h:9001").expect("valid");
        let one = NodeConfig::new("a", address);
        let labelled = NodeConfig {
            environment: "eu".to_owned(),
            tags: vec!["web".to_owned()],
            ..one.clone()
        };
        assert!(labelled.has_connection_of(&one) && labelled != one);
        let login = NodeLogin::Password {
            username: "u".to_owned(),
            password: "secret".to_owned(),
        };
        let other = NodeConfig {
            login,
            ..one.clone()
        };
        assert!(!other.has_connection_of(&one));
        assert!(!format!("{other:?} {:?}", other.login).contains("secret"));
    }
}
