//! Generates the sample configuration that `echo_supervisord_conf` prints, from KEYS.

use super::key::{ConfigKey, MAIN_INTERFACE, RPC_FACTORY, SectionKind, ValueKind};

const HEAD: &str = "\
; Sample configuration of supervisord: every section and every key. A semicolon before a key turns
; the key off. \"(new)\" marks keys that Supervisor 4.3.0 does not have.
;
; A worked example. Remove the semicolons before the section and its keys, and put your own command:
;
;[program:web]
;command=/usr/bin/python3 -m http.server 8000
;directory=/tmp
;environment=PYTHONUNBUFFERED=\"1\"
;autorestart=true
;redirect_stderr=true
;stdout_logfile=/tmp/web.log
;
; Then: supervisord -c supervisord.conf; supervisorctl status; supervisorctl tail web.
; After a change of the file: supervisorctl reread (shows what changed), supervisorctl update.
;
; Notes:
; - No shell reads a command: it expands no ~, $HOME or *. To use a shell, call one, as in
;   command=/bin/sh -c 'exec prog'. Variables of the environment are written %(ENV_HOME)s.
; - Quotes have a meaning in command and environment only. Elsewhere they are part of the value.
; - A comment at the end of a line needs a blank before its semicolon: \"a=b ;comment\".
; - For that reason a command ends at its first \" ;\", within quotes too.
; - A literal percent sign is written %%.

";

/// Values that the sample sets to other values than the defaults: section, key, value.
const SET: &[(SectionKind, &str, &str)] = &[
    (SectionKind::UnixServer, "file", "/tmp/supervisor.sock"),
    (SectionKind::Daemon, "logfile", "/tmp/supervisord.log"),
    (SectionKind::Daemon, "pidfile", "/tmp/supervisord.pid"),
    (
        SectionKind::Client,
        "serverurl",
        "unix:///tmp/supervisor.sock",
    ),
    (SectionKind::RpcInterface, RPC_FACTORY, MAIN_INTERFACE),
];

/// Keys of active sections that are shown with their defaults.
const SPELLED: &[&str] = &[
    "logfile_maxbytes",
    "logfile_backups",
    "loglevel",
    "nodaemon",
    "silent",
    "minfds",
    "minprocs",
];

/// The width up to the trailing comments.
const COLUMN: usize = 40;

/// Width of a line.
const WIDTH: usize = 100;

/// Returns the sample.
#[must_use]
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    text.push_str("; The control socket, which supervisorctl uses.\n\n");
    section(&mut text, "unix_http_server", SectionKind::UnixServer, true);
    text.push_str("; The web page, and XML-RPC over TCP.\n\n");
    section(
        &mut text,
        "inet_http_server",
        SectionKind::InetServer,
        false,
    );
    text.push_str("; The daemon.\n\n");
    section(&mut text, "supervisord", SectionKind::Daemon, true);
    text.push_str("; supervisorctl and other clients need this section.\n\n");
    section(
        &mut text,
        "rpcinterface:supervisor",
        SectionKind::RpcInterface,
        true,
    );
    text.push_str("; The client. It must use the address of a server above.\n\n");
    section(&mut text, "supervisorctl", SectionKind::Client, true);
    text.push_str("; A program with every key. A file can have any number of these sections.\n\n");
    section(
        &mut text,
        "program:theprogramname",
        SectionKind::Program,
        false,
    );
    text.push_str("; A program that receives events. All keys of programs are valid here too.\n\n");
    section(
        &mut text,
        "eventlistener:theeventlistenername",
        SectionKind::Listener,
        false,
    );
    text.push_str(
        "; A group of programs: supervisorctl restart thegroupname:*. Without a group, a program is a\n\
         ; group of its own.\n\n",
    );
    section(&mut text, "group:thegroupname", SectionKind::Group, false);
    text.push_str("; Reports to people what needs attention.\n\n");
    section(&mut text, "notify:thename", SectionKind::Notify, false);
    text.push_str("; The Nacos server that the configuration comes from.\n\n");
    section(&mut text, "nacos", SectionKind::Nacos, false);
    text.push_str(
        "; A command that prints the configuration, such as that of etcd, Consul or git.\n\n",
    );
    section(&mut text, "source", SectionKind::Source, false);
    text.push_str("; More files, separated by blanks. An included file cannot include others.\n\n");
    section(&mut text, "include", SectionKind::Include, false);
    text
}

fn section(text: &mut String, name: &str, kind: SectionKind, is_active: bool) {
    let mark = if is_active { "" } else { ";" };
    text.push_str(&format!("{mark}[{name}]\n"));
    let mut keys: Vec<&ConfigKey> = kind
        .rows()
        .iter()
        .filter(|key| key.name != "profile_options")
        .collect();
    if kind == SectionKind::Listener {
        // A listener needs a command, which is a key of programs.
        keys.splice(..0, SectionKind::Program.rows().iter().take(1));
    }
    for key in keys {
        let set = SET
            .iter()
            .find(|&&(of, name, _)| of == kind && name == key.name)
            .map(|&(.., value)| value);
        let is_set = is_active && (set.is_some() || SPELLED.contains(&key.name));
        let value = set
            .or(key.default.filter(|default| !default.is_empty()))
            .or(key.example)
            .or(is_limit(key.kind).then_some("infinity"))
            .unwrap_or_default();
        let mark = if is_set { "" } else { ";" };
        let line = format!("{mark}{}={value}", key.name);
        let new = if key.ours { "(new) " } else { "" };
        let note = match key.default {
            Some(default) if !default.is_empty() => {
                format!("{new}{} (default {default})", key.doc)
            }
            _ => format!("{new}{}", key.doc),
        };
        annotated(text, &line, &note);
    }
    text.push('\n');
}

/// Appends a line with its note: after the line and on comment lines below it, or above a line that is too long.
fn annotated(text: &mut String, line: &str, note: &str) {
    if line.chars().count() > COLUMN {
        for note in wrapped(note, WIDTH - 2) {
            text.push_str(&format!("; {note}\n"));
        }
        text.push_str(&format!("{line}\n"));
        return;
    }
    let mut line = line;
    for note in wrapped(note, WIDTH - COLUMN - 3) {
        text.push_str(&format!("{line:<COLUMN$} ; {note}\n"));
        line = ";";
    }
}

/// Wraps a text at `width` characters. A longer word gets a line of its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
    }
    lines
}

/// Whether the key is a resource limit. They share the word for unlimited.
const fn is_limit(kind: ValueKind) -> bool {
    matches!(
        kind,
        ValueKind::Limit | ValueKind::ByteLimit | ValueKind::NiceLimit
    )
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::lookup::Fake;
    use super::super::options::DaemonOptions;
    use super::*;

    fn loaded(text: &str) -> super::super::spec::Config {
        let machine = Fake::default()
            .with("/etc/s.conf", text)
            .with("/etc/supervisor/tokens", "");
        load("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid")
    }

    #[test]
    fn the_sample_is_valid_and_has_no_warnings() {
        let config = loaded(&sample());
        assert_eq!(config.notes, []);
        assert_eq!(config.rpc_interfaces, ["supervisor"]);
        assert_eq!(config.servers.len(), 1);
        assert_eq!(
            config.daemon.server_url.as_deref(),
            Some("unix:///tmp/supervisor.sock")
        );
        assert_eq!(config.daemon.logfile.to_str(), Some("/tmp/supervisord.log"));
    }

    #[test]
    fn no_line_of_the_sample_is_too_long() {
        for line in sample().lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn every_key_of_the_sample_is_valid_when_uncommented() {
        let open: String = sample()
            .lines()
            .filter(|line| !line.starts_with("; ") && *line != ";")
            .filter(|line| !line.starts_with(";programs=") && !line.starts_with(";user="))
            // A program has one check.
            .filter(|line| !line.starts_with(";liveness_") && !line.starts_with(";health_tcp="))
            .filter(|line| !line.starts_with(";health_http=") && !line.starts_with(";health_log="))
            .filter(|line| !line.starts_with(";ready_log="))
            .filter(|line| !line.starts_with(";chown=") && !line.starts_with(";group="))
            .map(|line| format!("{}\n", line.strip_prefix(';').unwrap_or(line)))
            .collect();
        let config = loaded(&open);
        assert_eq!(config.servers.len(), 2);
        // The three examples, and the worked example.
        assert_eq!(config.groups.len(), 4);
        // The only other warnings are the pattern that matches no file, and keys that need root.
        let notes = config.notes.iter().map(ToString::to_string);
        let notes: Vec<String> = notes
            .filter(|note| !note.contains(" only as root;"))
            .collect();
        assert_eq!(notes.len(), 1, "{notes:?}");
    }
}
