//! The keys of `[nacos]`, and the values that they fill. Each is also an option of the command line, and a variable of the
//! environment.

use super::super::health::period;
use super::super::nacos::{
    self, NacosApi, OnChange, api, dataid, group, names, namespace, on_change, poll_timeout,
    servers,
};
use super::super::value::{boolean, duration};
use super::row::{ConfigKey, key};
use super::value_kind::ValueKind::{
    Boolean, List, NacosApi as Api, NacosServers, OnChange as Change, Path, Seconds, Text,
};
use super::values::{Field, SectionValues, Setter, set, setter_of, text};
use crate::domain;

#[rustfmt::skip] // One row, one line.
pub(super) const NACOS: &[ConfigKey] = &[
    key("server", NacosServers, None, "addresses of the Nacos servers; needs dataid").ours().long("nacos-server").example("127.0.0.1:8848").nacos(set!(servers = servers)),
    key("dataid", Text, None, "data ID of the item that is the configuration; needs server").ours().long("nacos-dataid").example("supervisord.conf").nacos(set!(dataid = dataid)),
    key("namespace", Text, Some("public"), "namespace ID of the item").ours().long("nacos-namespace").nacos(set!(namespace = namespace)),
    key("group", Text, Some("DEFAULT_GROUP"), "group of the item").ours().long("nacos-group").nacos(set!(group = group)),
    key("username", Text, None, "user of the Nacos server").ours().long("nacos-username").example("nacos").nacos(set!(username = Some(text))),
    key("password", Text, None, "password of the user; other users see it on a command line").ours().long("nacos-password").example("nacos").secret().nacos(set!(password = text)),
    key("password_file", Path, None, "file with the password in its first line, which nobody but its owner may read").ours().long("nacos-password-file").example("/etc/supervisor/nacos.password").nacos(set!(password_file = Some(text))),
    key("not_use_cache", Boolean, Some("false"), "do not start with the text of the last run if the server does not answer").ours().long("nacos-not-use-cache").nacos(set!(not_use_cache = boolean)),
    key("api", Api, Some("auto"), "interface of the server").ours().long("nacos-api").example("v1").nacos(set!(api = api)),
    key("poll_timeout", Seconds, Some("30"), "how long the server may hold a request that waits for a change; at least 10").ours().long("nacos-poll-timeout").example("60").nacos(set!(poll_timeout = poll_timeout)),
    key("poll_interval", Seconds, Some("5"), "pause between two reads of a server that cannot hold requests").ours().long("nacos-poll-interval").nacos(set!(poll_interval = period)),
    key("cache_wait", Seconds, Some("1"), "how long a start waits for the server before it uses the text of the last run").ours().long("nacos-cache-wait").nacos(set!(cache_wait = duration)),
    key("start_timeout", Seconds, Some("30"), "how long a start waits for the server if there is no text of the last run").ours().long("nacos-start-timeout").nacos(set!(start_timeout = period)),
    key("cache_dir", Path, None, "directory for the texts of the last runs; not set: the state directory, else /var/lib/supervisord/nacos, or below the home directory of another user than root").ours().long("nacos-cache-dir").example("/var/lib/supervisord/nacos").nacos(set!(cache_dir = Some(text))),
    key("on_change", Change, Some("apply"), "what a changed text does: apply it like an update, notify (a log line), or ignore it; reread and update always read the newest text").ours().long("nacos-on-change").example("notify").nacos(set!(on_change = on_change)),
    key("allow_empty", Boolean, Some("false"), "accept a text that removes all programs").ours().long("nacos-allow-empty").nacos(set!(allow_empty = boolean)),
    key("splay", Seconds, Some("0"), "maximum random delay before a changed text is applied, so that many hosts do not restart together").ours().long("nacos-splay").nacos(set!(splay = duration)),
    key("allow_sections", List, Some(""), "patterns of the sections that the text may have; empty: all, or with pinned_users those of programs, groups and event listeners").ours().long("nacos-allow-sections").example("program:web-*,group:*").nacos(set!(allow_sections = names)),
    key("pinned_users", List, Some(""), "users that programs of the text may run as; empty: all, also root").ours().long("nacos-pinned-users").example("web,worker").nacos(set!(pinned_users = names)),
    key("tls_ca", Path, None, "file with the certificates of authorities for https:// servers; not set: those of the system").ours().long("nacos-tls-ca").example("/etc/ssl/nacos-ca.pem").nacos(set!(tls_ca = Some(text))),
];

/// The values of `[nacos]`.
pub(in crate::config) struct NacosValues {
    pub(in crate::config) servers: Vec<String>,
    pub(in crate::config) dataid: String,
    pub(in crate::config) namespace: String,
    pub(in crate::config) group: String,
    /// `None`: not set.
    pub(in crate::config) username: Option<String>,
    pub(in crate::config) password: String,
    /// `None`: not set.
    pub(in crate::config) password_file: Option<String>,
    pub(in crate::config) not_use_cache: bool,
    pub(in crate::config) api: NacosApi,
    pub(in crate::config) poll_timeout: domain::Seconds,
    pub(in crate::config) poll_interval: domain::Seconds,
    pub(in crate::config) cache_wait: domain::Seconds,
    pub(in crate::config) start_timeout: domain::Seconds,
    /// `None`: the default.
    pub(in crate::config) cache_dir: Option<String>,
    pub(in crate::config) on_change: OnChange,
    pub(in crate::config) allow_empty: bool,
    pub(in crate::config) splay: domain::Seconds,
    pub(in crate::config) allow_sections: Vec<String>,
    pub(in crate::config) pinned_users: Vec<String>,
    /// `None`: the certificates of the system.
    pub(in crate::config) tls_ca: Option<String>,
}

impl SectionValues for NacosValues {
    fn empty() -> Self {
        Self {
            servers: Vec::new(),
            dataid: String::new(),
            namespace: String::new(),
            group: String::new(),
            username: None,
            password: String::new(),
            password_file: None,
            not_use_cache: false,
            api: NacosApi::Auto,
            poll_timeout: domain::Seconds(0),
            poll_interval: domain::Seconds(0),
            cache_wait: domain::Seconds(0),
            start_timeout: domain::Seconds(0),
            cache_dir: None,
            on_change: OnChange::Apply,
            allow_empty: false,
            splay: domain::Seconds(0),
            allow_sections: Vec::new(),
            pinned_users: Vec::new(),
            tls_ca: None,
        }
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Nacos)
    }
}

impl NacosValues {
    /// The settings. `password`: that of the file, if there is one.
    pub(in crate::config) fn into_settings(self, password: Option<String>) -> nacos::NacosSettings {
        nacos::NacosSettings {
            servers: self.servers,
            dataid: self.dataid,
            namespace: self.namespace,
            group: self.group,
            username: self.username,
            password: password.unwrap_or(self.password),
            not_use_cache: self.not_use_cache,
            api: self.api,
            poll_timeout: self.poll_timeout,
            poll_interval: self.poll_interval,
            cache_wait: self.cache_wait,
            start_timeout: self.start_timeout,
            cache_dir: self.cache_dir,
            on_change: self.on_change,
            allow_empty: self.allow_empty,
            splay: self.splay,
            allow_sections: self.allow_sections,
            pinned_users: self.pinned_users,
            tls_ca: self.tls_ca,
        }
    }
}
