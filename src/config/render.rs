//! The sample configuration that `echo_supervisord_conf` prints, drawn from KEYS.

use super::key::{Key, Kind, MAIN_INTERFACE, RPC_FACTORY, SectionKind};

const HEAD: &str = "\
; Sample configuration of supervisord.
;
; - Each program is run as it stands: no shell expands ~, $HOME or *. To use a shell, call one, as in
;   command=/bin/sh -c 'exec prog'. Variables of the environment are written %(ENV_HOME)s.
; - Quotes mean something in command and environment only; elsewhere they are part of the value.
; - A comment begins with a semicolon that has a blank before it: \"a=b ;comment\", not \"a=b;comment\".
; - For that reason a command is cut at its first \" ;\", within quotes too.
; - A literal percent sign is written %%.

";

/// Values that the sample sets, other than the defaults: section, key, value.
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

/// Keys of an active section that are set to their defaults, so that one sees them.
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

/// The whole text.
#[must_use]
pub fn sample() -> String {
    let mut text = HEAD.to_owned();
    section(&mut text, "unix_http_server", SectionKind::UnixServer, true);
    section(
        &mut text,
        "inet_http_server",
        SectionKind::InetServer,
        false,
    );
    section(&mut text, "supervisord", SectionKind::Daemon, true);
    text.push_str("; Without this section neither supervisorctl nor any other client has anything to call.\n\n");
    section(
        &mut text,
        "rpcinterface:supervisor",
        SectionKind::RpcInterface,
        true,
    );
    section(&mut text, "supervisorctl", SectionKind::Client, true);
    text.push_str(
        "; A program, with every key it can have. There may be any number of such sections.\n\n",
    );
    section(
        &mut text,
        "program:theprogramname",
        SectionKind::Program,
        false,
    );
    text.push_str(
        "; A program that hears of events. It has the keys of programs besides these.\n\n",
    );
    section(
        &mut text,
        "eventlistener:theeventlistenername",
        SectionKind::Listener,
        false,
    );
    text.push_str(
        "; Programs that are handled together, and then form no groups of their own.\n\n",
    );
    section(&mut text, "group:thegroupname", SectionKind::Group, false);
    text.push_str("; More files. An included file cannot include others.\n\n");
    section(&mut text, "include", SectionKind::Include, false);
    text
}

fn section(text: &mut String, name: &str, kind: SectionKind, is_active: bool) {
    let mark = if is_active { "" } else { ";" };
    text.push_str(&format!("{mark}[{name}]\n"));
    let mut keys: Vec<&Key> = kind
        .rows()
        .iter()
        .filter(|key| key.name != "profile_options")
        .collect();
    if kind == SectionKind::Listener {
        // A listener needs a command as any program does.
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
        let note = match key.default {
            Some(default) if !default.is_empty() => format!("{} (default {default})", key.doc),
            _ => key.doc.to_owned(),
        };
        text.push_str(&format!("{line:<COLUMN$} ; {note}\n"));
    }
    text.push('\n');
}

/// Limits have one word for none.
const fn is_limit(kind: Kind) -> bool {
    matches!(kind, Kind::Limit | Kind::ByteLimit | Kind::NiceLimit)
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::lookup::Fake;
    use super::super::options::DaemonOptions;
    use super::*;

    fn loaded(text: &str) -> super::super::spec::Config {
        let machine = Fake::default().with("/etc/s.conf", text);
        load("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid")
    }

    #[test]
    fn the_sample_is_valid_and_warns_of_nothing() {
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
    fn every_key_of_the_sample_is_valid_when_its_mark_is_taken_away() {
        let open: String = sample()
            .lines()
            .filter(|line| !line.starts_with("; ") && *line != ";")
            .filter(|line| !line.starts_with(";programs=") && !line.starts_with(";user="))
            .filter(|line| !line.starts_with(";chown=") && !line.starts_with(";group="))
            .map(|line| format!("{}\n", line.strip_prefix(';').unwrap_or(line)))
            .collect();
        let config = loaded(&open);
        assert_eq!(config.servers.len(), 2);
        assert_eq!(config.groups.len(), 3);
        // All it warns of is the pattern that matches no file, and keys that take root.
        let notes = config.notes.iter().map(ToString::to_string);
        let notes: Vec<String> = notes
            .filter(|note| !note.contains(" only as root;"))
            .collect();
        assert_eq!(notes.len(), 1, "{notes:?}");
    }
}
