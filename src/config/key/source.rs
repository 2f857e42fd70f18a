//! The keys of `[source]`, the rows that it has in common with `[nacos]`, and the values that they fill. Each is also an
//! option of the command line.

use super::super::environment::parse as environment;
use super::super::health::period;
use super::super::source::{
    CommandSettings, SourceOrigin, SourceRules, SourceSettings, command, maxbytes, timeout,
};
use super::super::spec::ConfiguredUser;
use super::super::value::configured_user;
use super::row::{ConfigKey, key};
use super::value_kind::ValueKind::{ByteSize, Environment, Seconds, Text, User};
use super::values::{Field, SectionValues, Setter, set, setter_of};
use crate::domain;

/// The rows of one kind of source: its own, and those that all kinds have. `$section` begins the names of the options, and
/// `$setter` is the method of a row that stores its values, which have a field `rules`.
macro_rules! source_rows {
    ($section:literal, $setter:ident, [$($own:expr),* $(,)?]) => {{
        use super::super::source::{names, on_change};
        use super::super::value::{boolean, duration};
        use super::value_kind::ValueKind;
        &[
            $($own,)*
            key("not_use_cache", ValueKind::Boolean, Some("false"), "do not start with the text of the last run if the source does not answer").ours().long(concat!($section, "-not-use-cache")).$setter(set!(rules.not_use_cache = boolean)),
            key("cache_wait", ValueKind::Seconds, Some("1"), "how long a start waits for the source before it uses the text of the last run").ours().long(concat!($section, "-cache-wait")).$setter(set!(rules.cache_wait = duration)),
            key("start_timeout", ValueKind::Seconds, Some("30"), "how long a start waits for the source if there is no text of the last run").ours().long(concat!($section, "-start-timeout")).$setter(set!(rules.start_timeout = period)),
            key("cache_dir", ValueKind::Path, None, "directory for the texts of the last runs; not set: the state directory, else /var/lib/supervisord/nacos, or below the home directory of another user than root").ours().long(concat!($section, "-cache-dir")).example("/var/lib/supervisord/nacos").$setter(set!(rules.cache_dir = Some(super::values::text))),
            key("on_change", ValueKind::OnChange, Some("apply"), "what a changed text does: apply it like an update, notify (a log line), or ignore it; reread and update always read the newest text").ours().long(concat!($section, "-on-change")).example("notify").$setter(set!(rules.on_change = on_change)),
            key("allow_empty", ValueKind::Boolean, Some("false"), "accept a text that removes all programs").ours().long(concat!($section, "-allow-empty")).$setter(set!(rules.allow_empty = boolean)),
            key("splay", ValueKind::Seconds, Some("0"), "maximum random delay before a changed text is applied, so that many hosts do not restart together").ours().long(concat!($section, "-splay")).$setter(set!(rules.splay = duration)),
            key("allow_sections", ValueKind::List, Some(""), "patterns of the sections that the text may have; empty: all, or with pinned_users those of programs, groups and event listeners").ours().long(concat!($section, "-allow-sections")).example("program:web-*,group:*").$setter(set!(rules.allow_sections = names)),
            key("pinned_users", ValueKind::List, Some(""), "users that programs of the text may run as; empty: all, also root").ours().long(concat!($section, "-pinned-users")).example("web,worker").$setter(set!(rules.pinned_users = names)),
        ]
    }};
}
pub(super) use source_rows;

#[rustfmt::skip] // One row, one line.
pub(super) const SOURCE: &[ConfigKey] = source_rows!("source", source, [
    key("command", Text, None, "command that prints the configuration; run without a shell").ours().long("source-command").example("etcdctl get --print-value-only /supervisord.conf").source(set!(argv = command)),
    key("user", User, None, "user that runs the command; not set: nobody if the daemon is root, else the user of the daemon").ours().long("source-user").example("git").source(set!(lookup: user = Some(configured_user))),
    key("environment", Environment, Some(""), "environment variables of the command besides PATH, HOME, USER, LOGNAME, LANG, TZ, SSL_CERT_FILE and SSL_CERT_DIR").ours().long("source-environment").example("CONSUL_HTTP_ADDR=\"https://consul.example:8501\"").secret().source(set!(environment = environment)),
    key("interval", Seconds, Some("60"), "pause between two runs of the command; it varies by a fifth").ours().long("source-interval").source(set!(interval = period)),
    key("timeout", Seconds, Some("10"), "maximum duration of a run, at most 300; then its process group is killed").ours().long("source-timeout").source(set!(timeout = timeout)),
    key("maxbytes", ByteSize, Some("1MB"), "maximum size of the output, at most 1MB").ours().long("source-maxbytes").source(set!(maxbytes = maxbytes)),
]);

/// The values of `[source]`.
pub(in crate::config) struct SourceValues {
    pub(in crate::config) argv: Vec<String>,
    /// `None`: not set.
    pub(in crate::config) user: Option<ConfiguredUser>,
    pub(in crate::config) environment: Vec<(String, String)>,
    pub(in crate::config) interval: domain::Seconds,
    pub(in crate::config) timeout: domain::Seconds,
    pub(in crate::config) maxbytes: usize,
    pub(in crate::config) rules: SourceRules,
}

impl SectionValues for SourceValues {
    fn empty() -> Self {
        Self {
            argv: Vec::new(),
            user: None,
            environment: Vec::new(),
            interval: domain::Seconds(0),
            timeout: domain::Seconds(0),
            maxbytes: 0,
            rules: SourceRules::empty(),
        }
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Source)
    }
}

impl SourceValues {
    /// The settings.
    pub(in crate::config) fn into_settings(self) -> SourceSettings {
        let origin = CommandSettings {
            argv: self.argv,
            user: self.user,
            environment: self.environment,
            interval: self.interval,
            timeout: self.timeout,
            maxbytes: self.maxbytes,
        };
        SourceSettings {
            origin: SourceOrigin::Command(origin),
            rules: self.rules,
        }
    }
}
