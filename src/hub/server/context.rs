//! What all requests share.

use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::watch;

use super::looks::Looks;
use crate::http_server::budget::ClientQuota;
use crate::http_server::host_names::own_host_names;
use crate::http_server::origin::host_without_port;
use crate::hub::activity::{ActivityEvent, ActivityLog};
use crate::hub::fleet::Fleet;
use crate::hub::operations::OperationStore;
use crate::hub::settings::HubSettings;
use crate::hub::users::{LoginLimiter, PasswordHasher, SessionStore, UserStore};
use crate::web::assets::assets_modified;

/// Maximum number of streams of events.
const STREAMS_MAX: usize = 256;

/// What [`HubContext`] is made of.
pub(in crate::hub) struct HubParts {
    pub(in crate::hub) fleet: Fleet,
    pub(in crate::hub) users: UserStore,
    pub(in crate::hub) sessions: SessionStore,
    pub(in crate::hub) activity: ActivityLog,
    /// Makes the tokens of forms of users who have logged in at a reverse proxy.
    pub(in crate::hub) form_key: String,
    /// True when the hub stops.
    pub(in crate::hub) stop: watch::Receiver<bool>,
}

/// What all requests share.
pub(in crate::hub) struct HubContext {
    pub(in crate::hub) fleet: Fleet,
    pub(in crate::hub) users: UserStore,
    pub(in crate::hub) sessions: SessionStore,
    pub(in crate::hub) activity: ActivityLog,
    /// Actions on many processes, which pages show.
    pub(in crate::hub) operations: OperationStore,
    /// See [`HubParts::form_key`].
    pub(in crate::hub) form_key: String,
    /// When the static files were last changed, in seconds since the epoch.
    pub(in crate::hub) assets_modified: i64,
    pub(in crate::hub) passwords: Arc<PasswordHasher>,
    pub(in crate::hub) logins: LoginLimiter,
    pub(in crate::hub) looks: Looks,
    /// Quota of streams of events.
    pub(in crate::hub) streams: Arc<ClientQuota>,
    pub(in crate::hub) stop: watch::Receiver<bool>,
    settings: RwLock<Arc<HubSettings>>,
    own_names: Vec<String>,
}

impl HubContext {
    pub(in crate::hub) fn new(parts: HubParts, settings: HubSettings) -> Arc<Self> {
        Arc::new(Self {
            looks: Looks::default(),
            passwords: PasswordHasher::new(),
            logins: LoginLimiter::default(),
            streams: ClientQuota::new(STREAMS_MAX),
            own_names: own_host_names(),
            settings: RwLock::new(Arc::new(settings)),
            fleet: parts.fleet,
            users: parts.users,
            sessions: parts.sessions,
            activity: parts.activity,
            operations: OperationStore::default(),
            form_key: parts.form_key,
            assets_modified: assets_modified(),
            stop: parts.stop,
        })
    }

    /// The settings of `[hub]` as they are now.
    pub(in crate::hub) fn settings(&self) -> Arc<HubSettings> {
        let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
        settings.clone()
    }

    /// Replaces the settings of `[hub]`.
    pub(in crate::hub) fn replace_settings(&self, settings: HubSettings) {
        let settings = Arc::new(settings);
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// The names under which a browser may address the hub, besides addresses and `localhost`.
    pub(in crate::hub) fn host_names(&self) -> Vec<String> {
        let settings = self.settings();
        let bound = settings.bind.iter().map(|bind| host_without_port(bind));
        let given = settings.host_names.iter().cloned();
        self.own_names
            .iter()
            .cloned()
            .chain(given)
            .chain(bound)
            .collect()
    }

    /// Seconds since the epoch.
    pub(in crate::hub) fn now() -> i64 {
        Timestamp::now().as_second()
    }

    /// Records that a user at an address did something.
    pub(in crate::hub) fn record(&self, user: &str, address: &str, event: &ActivityEvent) {
        self.activity.record(user, address, event);
    }
}
