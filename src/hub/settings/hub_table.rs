//! The tables `[cesi]` and `[hub]`.

use std::net::IpAddr;
use std::time::Duration;

use super::network::Network;
use super::table::SettingKey;
use crate::hub::users::Role;

/// Where the hub listens without `bind`: the port of Cesi, for this machine only.
// Differs: Cesi listens on all addresses, with a password that everybody knows.
const BIND_DEFAULT: &str = "127.0.0.1:5000";
/// Maximum number of addresses in `bind`.
const BINDS_MAX: usize = 16;
/// Maximum number of items of another list.
const LIST_MAX: usize = 256;

/// The table `[cesi]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CesiSettings {
    /// The file of the activity log.
    pub activity_log: String,
    /// The name of the first user.
    pub admin_username: String,
    /// The password of the first user.
    pub admin_password: String,
    /// Cesi's database of users. The hub reads it once, with `import-cesi`.
    pub database: String,
}

impl Default for CesiSettings {
    fn default() -> Self {
        Self {
            activity_log: "activity.log".to_owned(),
            admin_username: "admin".to_owned(),
            admin_password: "admin".to_owned(),
            database: String::new(),
        }
    }
}

/// The table `[hub]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSettings {
    /// Where the hub listens: `host:port`.
    pub bind: Vec<String>,
    /// The pause between two questions to a node that cannot report changes, while somebody looks at it.
    pub poll_interval: Duration,
    /// How long a session lasts, in hours.
    pub session_hours: u64,
    /// The path below which a reverse proxy shows the hub, such as `/sup`. Empty: the root.
    pub base_path: String,
    /// Names of this host under which browsers may address the hub, besides its own.
    pub host_names: Vec<String>,
    /// Reverse proxies whose `X-Forwarded-*` headers count.
    pub trusted_proxies: Vec<Network>,
    /// Reverse proxies whose `X-Remote-User` header logs a user in.
    pub remote_user_proxies: Vec<Network>,
    /// The role of users whom only such a proxy knows. `None`: they are refused.
    pub remote_user_role: Option<Role>,
    /// A file with more nodes, or a directory with such files.
    pub nodes_file: Option<String>,
    /// A command that prints more nodes as JSON, with its arguments. Empty: none.
    pub inventory_command: Vec<String>,
    /// The pause between two runs of this command.
    pub inventory_interval: Duration,
    /// The directory of users and sessions. `None`: `$STATE_DIRECTORY`, or the current directory.
    pub state_directory: Option<String>,
    /// Size at which the activity log is rotated, in bytes.
    pub activity_log_bytes: u64,
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            bind: vec![BIND_DEFAULT.to_owned()],
            poll_interval: Duration::from_secs(2),
            session_hours: 12,
            base_path: String::new(),
            host_names: Vec::new(),
            trusted_proxies: Vec::new(),
            remote_user_proxies: Vec::new(),
            remote_user_role: None,
            nodes_file: None,
            inventory_command: Vec::new(),
            inventory_interval: Duration::from_secs(60),
            state_directory: None,
            activity_log_bytes: 10 << 20,
        }
    }
}

impl HubSettings {
    /// Whether the headers of a proxy at this address count.
    pub(in crate::hub) fn trusts_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .chain(&self.remote_user_proxies)
            .any(|network| network.contains(address))
    }
}

/// The keys of `[cesi]`.
pub(super) const CESI_KEYS: &[SettingKey<CesiSettings>] = &[
    SettingKey {
        name: "database",
        default: "",
        doc: "The database of Cesi, such as sqlite:///users.db. The hub keeps its users in a file of its own; supervisord-hub \
              import-cesi reads this one once.",
        set: |cesi, value| {
            let database = value.string()?;
            // Differs: Cesi also stores its users in PostgreSQL and MySQL.
            if !database.is_empty() && !database.starts_with("sqlite:///") {
                return Err("only a URL that begins with sqlite:/// is supported (the hub keeps its users in a file of its \
                            own; leave the key out)"
                    .to_owned());
            }
            cesi.database = database;
            Ok(())
        },
    },
    SettingKey {
        name: "activity_log",
        default: "activity.log",
        doc: "The file of the activity log. A relative path is below the state directory.",
        set: |cesi, value| non_empty(value.string()?).map(|text| cesi.activity_log = text),
    },
    SettingKey {
        name: "admin_username",
        default: "admin",
        doc: "The name of the first user, who is created at the first start.",
        set: |cesi, value| {
            let name = value.string()?;
            crate::hub::users::check_user_name(&name)?;
            cesi.admin_username = name;
            Ok(())
        },
    },
    SettingKey {
        name: "admin_password",
        default: "admin",
        doc: "The first password of this user. With the default, nothing can be done before it is changed.",
        set: |cesi, value| non_empty(value.string()?).map(|text| cesi.admin_password = text),
    },
];

/// The keys of `[hub]`.
pub(super) const HUB_KEYS: &[SettingKey<HubSettings>] = &[
    SettingKey {
        name: "bind",
        default: BIND_DEFAULT,
        doc: "Where the hub listens: host:port, [IPv6]:port, or a list of them.",
        set: |hub, value| {
            let addresses = bounded(value.strings()?, BINDS_MAX)?;
            for address in &addresses {
                check_address(address)?;
            }
            hub.bind = addresses;
            Ok(())
        },
    },
    SettingKey {
        name: "poll_interval",
        default: "2",
        doc: "Seconds between two questions to a node that cannot report changes, while somebody looks at it.",
        set: |hub, value| {
            value
                .seconds(0.2, 3600.0)
                .map(|pause| hub.poll_interval = pause)
        },
    },
    SettingKey {
        name: "session_hours",
        default: "12",
        doc: "Hours after which a user must log in again.",
        set: |hub, value| {
            value
                .number(1..=8760)
                .map(|hours| hub.session_hours = hours)
        },
    },
    SettingKey {
        name: "base_path",
        default: "",
        doc: "The path below which a reverse proxy shows the hub, such as /sup.",
        set: |hub, value| base_path(&value.string()?).map(|path| hub.base_path = path),
    },
    SettingKey {
        name: "host_names",
        default: "",
        doc: "Names under which browsers may address the hub, besides the names of this host. Requests for another name are \
              refused.",
        set: |hub, value| {
            let names = bounded(value.strings()?, LIST_MAX)?;
            hub.host_names = names.iter().map(|name| name.to_ascii_lowercase()).collect();
            Ok(())
        },
    },
    SettingKey {
        name: "trusted_proxies",
        default: "",
        doc: "Addresses or networks of reverse proxies whose headers X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host \
              count.",
        set: |hub, value| networks(value.strings()?).map(|list| hub.trusted_proxies = list),
    },
    SettingKey {
        name: "remote_user_proxies",
        default: "",
        doc: "Addresses or networks of reverse proxies whose header X-Remote-User names a user who has logged in there. These \
              proxies must remove the header from requests of others.",
        set: |hub, value| networks(value.strings()?).map(|list| hub.remote_user_proxies = list),
    },
    SettingKey {
        name: "remote_user_role",
        default: "",
        doc: "The role (viewer, operator, admin) of users whom only such a proxy knows. Without the key they are refused.",
        set: |hub, value| {
            let word = value.string()?;
            let role = Role::named(&word);
            let role = role.ok_or("expected viewer, operator or admin")?;
            hub.remote_user_role = Some(role);
            Ok(())
        },
    },
    SettingKey {
        name: "nodes_file",
        default: "",
        doc: "A file with more [[nodes]], or a directory whose files *.toml have more of them.",
        set: |hub, value| non_empty(value.string()?).map(|path| hub.nodes_file = Some(path)),
    },
    SettingKey {
        name: "inventory_command",
        default: "",
        doc: "A command with its arguments, as a list. It prints more nodes as a JSON list of objects with the keys of [[nodes]].",
        set: |hub, value| {
            bounded(value.strings()?, LIST_MAX).map(|words| hub.inventory_command = words)
        },
    },
    SettingKey {
        name: "inventory_interval",
        default: "60",
        doc: "Seconds between two runs of inventory_command.",
        set: |hub, value| {
            value
                .seconds(1.0, 86_400.0)
                .map(|pause| hub.inventory_interval = pause)
        },
    },
    SettingKey {
        name: "state_directory",
        default: "$STATE_DIRECTORY, or the current directory",
        doc: "The directory of users and sessions. Two hubs need two.",
        set: |hub, value| non_empty(value.string()?).map(|path| hub.state_directory = Some(path)),
    },
    SettingKey {
        name: "activity_log_bytes",
        default: "10485760",
        doc: "Size in bytes at which the activity log is renamed to end in .1, and begun again.",
        set: |hub, value| {
            let bytes = value.number(4096..=1 << 40)?;
            hub.activity_log_bytes = bytes;
            Ok(())
        },
    },
];

fn non_empty(text: String) -> Result<String, String> {
    match text.is_empty() {
        true => Err("must not be empty".to_owned()),
        false => Ok(text),
    }
}

fn bounded(list: Vec<String>, most: usize) -> Result<Vec<String>, String> {
    match list.len() <= most {
        true => Ok(list),
        false => Err(format!("has more than {most} items")),
    }
}

fn networks(list: Vec<String>) -> Result<Vec<Network>, String> {
    let list = bounded(list, LIST_MAX)?;
    list.iter().map(|text| Network::parse(text)).collect()
}

/// Checks `host:port` without looking up the host.
pub(in crate::hub) fn check_address(text: &str) -> Result<(), String> {
    let expected = "expected host:port, such as 127.0.0.1:5000 or [::]:5000";
    let (host, port) = text.rsplit_once(':').ok_or(expected)?;
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_host = !host.is_empty() && (is_bracketed || !host.contains([':', '[', ']', '/']));
    match is_host && port.parse::<u16>().is_ok() {
        true => Ok(()),
        false => Err(expected.to_owned()),
    }
}

/// A path with a slash at its beginning and none at its end. Empty: the root.
fn base_path(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    let has_dots = path.split('/').any(|part| matches!(part, "." | ".."));
    if !path.chars().all(is_plain) || has_dots || path.contains("//") {
        return Err("expected a path of letters, digits and -._~, such as /sup".to_owned());
    }
    Ok(match path {
        "" => String::new(),
        path => format!("/{path}"),
    })
}
