//! The keys of `[nacos]`, and the values that they fill. Each is also an option of the command line, and a variable of the
//! environment.

use super::super::health::period;
use super::super::nacos::{self, NacosApi, api, dataid, group, namespace, poll_timeout, servers};
use super::super::source::{SourceOrigin, SourceRules, SourceSettings};
use super::row::{ConfigKey, key};
use super::source::source_rows;
use super::value_kind::ValueKind::{NacosApi as Api, NacosServers, Path, Seconds, Text};
use super::values::{Field, SectionValues, Setter, set, setter_of, text};
use crate::domain;

#[rustfmt::skip] // One row, one line.
pub(super) const NACOS: &[ConfigKey] = source_rows!("nacos", nacos, [
    key("server", NacosServers, None, "addresses of the Nacos servers; needs dataid").ours().long("nacos-server").example("127.0.0.1:8848").nacos(set!(servers = servers)),
    key("dataid", Text, None, "data ID of the item that is the configuration; needs server").ours().long("nacos-dataid").example("supervisord.conf").nacos(set!(dataid = dataid)),
    key("namespace", Text, Some("public"), "namespace ID of the item").ours().long("nacos-namespace").nacos(set!(namespace = namespace)),
    key("group", Text, Some("DEFAULT_GROUP"), "group of the item").ours().long("nacos-group").nacos(set!(group = group)),
    key("username", Text, None, "user of the Nacos server").ours().long("nacos-username").example("nacos").nacos(set!(username = Some(text))),
    key("password", Text, None, "password of the user; other users see it on a command line").ours().long("nacos-password").example("nacos").secret().nacos(set!(password = text)),
    key("password_file", Path, None, "file with the password in its first line, which nobody but its owner may read").ours().long("nacos-password-file").example("/etc/supervisor/nacos.password").nacos(set!(password_file = Some(text))),
    key("api", Api, Some("auto"), "interface of the server").ours().long("nacos-api").example("v1").nacos(set!(api = api)),
    key("poll_timeout", Seconds, Some("30"), "how long the server may hold a request that waits for a change; at least 10").ours().long("nacos-poll-timeout").example("60").nacos(set!(poll_timeout = poll_timeout)),
    key("poll_interval", Seconds, Some("5"), "pause between two reads of a server that cannot hold requests").ours().long("nacos-poll-interval").nacos(set!(poll_interval = period)),
    key("tls_ca", Path, None, "file with the certificates of authorities for https:// servers; not set: those of the system").ours().long("nacos-tls-ca").example("/etc/ssl/nacos-ca.pem").nacos(set!(tls_ca = Some(text))),
]);

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
    pub(in crate::config) api: NacosApi,
    pub(in crate::config) poll_timeout: domain::Seconds,
    pub(in crate::config) poll_interval: domain::Seconds,
    /// `None`: the certificates of the system.
    pub(in crate::config) tls_ca: Option<String>,
    pub(in crate::config) rules: SourceRules,
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
            api: NacosApi::Auto,
            poll_timeout: domain::Seconds(0),
            poll_interval: domain::Seconds(0),
            tls_ca: None,
            rules: SourceRules::empty(),
        }
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Nacos)
    }
}

impl NacosValues {
    /// The settings. `password`: that of the file, if there is one.
    pub(in crate::config) fn into_settings(self, password: Option<String>) -> SourceSettings {
        let origin = nacos::NacosSettings {
            servers: self.servers,
            dataid: self.dataid,
            namespace: self.namespace,
            group: self.group,
            username: self.username,
            password: password.unwrap_or(self.password),
            api: self.api,
            poll_timeout: self.poll_timeout,
            poll_interval: self.poll_interval,
            tls_ca: self.tls_ca,
        };
        SourceSettings {
            origin: SourceOrigin::Nacos(origin),
            rules: self.rules,
        }
    }
}
