//! The notation of scripts: hooks, health checks and actions of programs. A script is a command, a TCP connection or an
//! HTTP request.
//!
//! ```text
//! /usr/local/bin/check --fast        a command, also written script:///usr/local/bin/check --fast
//! tcp://localhost:5432               succeeds when the connection is accepted
//! http://localhost:8080/health -H 'Host: web'   succeeds with a status of 200 to 399
//! https://web.example/health                    the same with TLS, by supervisord-agent
//! ```

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::shlex::shlex_split;

/// The options of a request. Those of files belong to https://.
const OPTIONS: &[&str] = &[
    "-H",
    "--header",
    "-d",
    "--data",
    "--key-file",
    "--cert-file",
    "--ca-file",
];

/// What a program's hook, check or action does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Script {
    /// Runs this command without a shell, as the program's user. Succeeds with exit status 0.
    Command(String),
    /// Connects to a host and a port. Succeeds when the connection opens.
    Tcp(HostPort),
    /// Sends an HTTP request. Succeeds with a status of 200 to 399.
    Http(HttpScript),
}

/// The address of a TCP server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// A host name or an IP address, an IPv6 address without its brackets.
    pub host: String,
    /// The port, 1 to 65535.
    pub port: u16,
}

/// An HTTP request of a script.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HttpScript {
    /// The server.
    pub server: HostPort,
    /// The path with its query. It begins with `/`.
    pub target: String,
    /// Header fields, in their order. Names and values contain no line breaks.
    pub headers: Vec<(String, String)>,
    /// The body of a POST request. `None`: a GET request.
    pub body: Option<HttpBody>,
    /// TLS, which only the agent speaks. `None`: plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsOptions>,
}

/// The options of `https://`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TlsOptions {
    /// A file with the certificates of authorities in PEM, which the user of the agent reads. `None`: those of the system.
    pub ca_file: Option<String>,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HttpBody {
    /// This text.
    Text(String),
    /// The content of this file, read for each request.
    File(PathBuf),
}

impl Script {
    /// Parses a script.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with("http://") || text.starts_with("https://") {
            return HttpScript::parse(text).map(Self::Http);
        }
        if let Some(address) = text.strip_prefix("tcp://") {
            return HostPort::parse(address, None).map(Self::Tcp);
        }
        let command = text.strip_prefix("script://").unwrap_or(text).trim();
        let words = shlex_split(command).map_err(|error| error.to_string())?;
        match words.first() {
            None => Err("the command is empty".into()),
            // A misspelt scheme would otherwise be a command that is never found.
            Some(word) if word.contains("://") => Err(format!(
                "{word:?} is no command (use http://, https://, tcp://, script:// or a command)"
            )),
            Some(_) => Ok(Self::Command(command.to_owned())),
        }
    }
}

impl HostPort {
    /// Parses `HOST:PORT`, or `HOST` if there is a default port.
    fn parse(text: &str, default: Option<u16>) -> Result<Self, String> {
        let (host, rest) = match text.strip_prefix('[') {
            Some(text) => text
                .split_once(']')
                .ok_or_else(|| format!("{text:?} lacks the bracket after its IPv6 address"))?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let is_wrong = |c: char| c.is_whitespace() || c.is_control() || "/?#@".contains(c);
        if host.is_empty() || host.contains(is_wrong) {
            return Err(format!("{text:?} is no host (write HOST:PORT)"));
        }
        let port = match (rest.strip_prefix(':'), default) {
            (Some(port), _) => port.parse().ok().filter(|&port| port != 0),
            (None, Some(port)) if rest.is_empty() => Some(port),
            (None, _) => None,
        };
        let port = port.ok_or_else(|| format!("{text:?} has no valid port (write HOST:PORT)"))?;
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }

    /// The address as a URL contains it.
    #[must_use]
    pub fn in_url(&self) -> String {
        let Self { host, port } = self;
        match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        }
    }
}

impl HttpScript {
    fn parse(text: &str) -> Result<Self, String> {
        let words = shlex_split(text).map_err(|error| error.to_string())?;
        let mut words = words.into_iter();
        let url = words.next().unwrap_or_default();
        let (rest, is_tls) = match url.strip_prefix("https://") {
            Some(rest) => (rest, true),
            None => (url.strip_prefix("http://").unwrap_or(&url), false),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (server, target) = rest.split_at(end);
        if server.contains('@') {
            return Err(
                "a URL with a user name is not supported (use -H 'Authorization: …')".into(),
            );
        }
        let target = target.split('#').next().unwrap_or_default();
        if target.contains(|c: char| !c.is_ascii_graphic()) {
            return Err(format!("{target:?} must be percent-encoded"));
        }
        let mut script = Self {
            server: HostPort::parse(server, Some(if is_tls { 443 } else { 80 }))?,
            target: match target.starts_with('/') {
                true => target.to_owned(),
                false => format!("/{target}"),
            },
            headers: Vec::new(),
            body: None,
            tls: is_tls.then(TlsOptions::default),
        };
        while let Some(word) = words.next() {
            let (option, value) = split_option(&word);
            if !OPTIONS.contains(&option) {
                return Err(format!(
                    "unknown option {option} (known: -H, -d, --ca-file)"
                ));
            }
            let value = value.map(str::to_owned).or_else(|| words.next());
            let value = value.ok_or_else(|| format!("option {option} needs a value"))?;
            script.set_option(option, &value)?;
        }
        Ok(script)
    }

    fn set_option(&mut self, option: &str, value: &str) -> Result<(), String> {
        match option {
            "-H" | "--header" => {
                let field = value
                    .split_once(':')
                    .map(|(name, value)| (name, value.trim()));
                let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
                let (name, value) = field
                    .filter(|(name, value)| {
                        !name.is_empty()
                            && name.chars().all(is_token)
                            && !value.contains(char::is_control)
                    })
                    .ok_or_else(|| format!("{value:?} is no header (write 'Name: value')"))?;
                self.headers.push((name.to_owned(), value.to_owned()));
            }
            "-d" | "--data" => {
                self.body = Some(match value.strip_prefix('@') {
                    Some(file) => HttpBody::File(PathBuf::from(file)),
                    None => HttpBody::Text(value.to_owned()),
                });
            }
            "--ca-file" => match &mut self.tls {
                Some(tls) => tls.ca_file = Some(value.to_owned()),
                None => return Err(format!("{option} needs https://")),
            },
            _ => {
                return Err(format!(
                    "{option} is not supported, because supervisord-agent must not read keys (use a command, such as curl)"
                ));
            }
        }
        Ok(())
    }
}

/// Splits `--name=value`.
fn split_option(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((option, value)) if option.starts_with("--") => (option, Some(value)),
        _ => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: u16) -> HostPort {
        HostPort {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn the_three_notations_are_told_apart() {
        for (text, command) in [
            ("/Opt/Check -a 'b c'", "/Opt/Check -a 'b c'"),
            (" script:///opt/check ", "/opt/check"),
            ("script://check x", "check x"),
        ] {
            assert_eq!(Script::parse(text), Ok(Script::Command(command.to_owned())));
        }
        for (text, expected) in [
            ("tcp://localhost:22", server("localhost", 22)),
            ("tcp://[::1]:22", server("::1", 22)),
        ] {
            assert_eq!(Script::parse(text), Ok(Script::Tcp(expected)));
        }
    }

    #[test]
    fn an_http_request_takes_headers_and_data() {
        let text = "http://h/a?b=c -H 'Host: web' --header=X-A:1 -d '{\"a\": 1}'";
        let expected = HttpScript {
            server: server("h", 80),
            target: "/a?b=c".to_owned(),
            headers: vec![
                ("Host".to_owned(), "web".to_owned()),
                ("X-A".to_owned(), "1".to_owned()),
            ],
            body: Some(HttpBody::Text("{\"a\": 1}".to_owned())),
            tls: None,
        };
        assert_eq!(Script::parse(text), Ok(Script::Http(expected)));
        let Ok(Script::Http(file)) = Script::parse("http://[::1]:81?x#y --data @/tmp/body") else {
            panic!("valid");
        };
        assert_eq!(file.body, Some(HttpBody::File("/tmp/body".into())));
        assert_eq!(
            (file.target.as_str(), file.server.in_url()),
            ("/?x", "[::1]:81".to_owned())
        );
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            ("", "the command is empty"),
            ("script://", "the command is empty"),
            ("a 'b", "No closing quotation"),
            ("htp://x", "is no command"),
            ("https://h --key-file x", "must not read keys"),
            ("tcp://x", "no valid port"),
            ("tcp://x:0", "no valid port"),
            ("tcp://x:65536", "no valid port"),
            ("tcp://:1", "is no host"),
            ("tcp://[::1:5", "bracket"),
            ("tcp://[::1]5", "no valid port"),
            ("http://u:p@h/", "user name"),
            ("http:///x", "is no host"),
            ("http://h/ä", "percent-encoded"),
            ("http://h -H", "needs a value"),
            ("http://h -H 'a b: c'", "is no header"),
            ("http://h -H \"a: b\u{d}\nc: d\"", "is no header"),
            ("http://h --ca-file x", "needs https://"),
            ("http://h -x", "unknown option -x"),
        ] {
            let error = Script::parse(text).expect_err(text);
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
