//! The servers of an item: what is known about each, and which one is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::protocol::{FailureKind, ItemFailure, NacosApi, NacosItem};
use super::super::server_url::{ServerUrl, percent_encode};
use super::super::tls::TlsSettings;
use super::failure::{failure, message_line};
use super::login::Token;

/// A user name and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) username: String,
    pub(super) password: String,
}

/// A client of the servers of a list, with one login at each.
pub(in super::super) struct NacosClient {
    servers: Vec<NacosServer>,
    /// The index of the server to ask.
    current: AtomicUsize,
    pub(super) tls: TlsSettings,
    /// `None`: requests carry no token.
    pub(super) credentials: Option<Credentials>,
}

/// One server, and what was found out about it.
pub(super) struct NacosServer {
    pub(super) url: ServerUrl,
    state: Mutex<ServerState>,
}

/// What was found out about a server.
#[derive(Default)]
pub(super) struct ServerState {
    pub(super) token: Option<Token>,
    /// The token is sent as a field, because the server refused it as a header.
    pub(super) uses_field: bool,
    /// It has no login, so requests carry no token.
    pub(super) has_no_login: bool,
    /// Its interface. `None`: not known, or the connection failed since.
    pub(super) api: Option<FoundApi>,
}

impl ServerState {
    /// Forgets what another version of the server would do otherwise, because the connection failed.
    pub(super) const fn forget_version(&mut self) {
        self.api = None;
        self.has_no_login = false;
    }
}

/// The interface that a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoundApi {
    V1,
    V3,
}

impl NacosServer {
    /// What is known, for a moment: no call is made while it is borrowed.
    pub(super) fn state(&self) -> MutexGuard<'_, ServerState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NacosClient {
    /// A client of the servers of an item, with its user.
    ///
    /// # Errors
    /// The list of servers is empty, or a base URL is wrong.
    pub(in super::super) fn new(item: &NacosItem) -> Result<Self, ItemFailure> {
        let server = |text: &String| match ServerUrl::parse(text) {
            Ok(url) => Ok(NacosServer {
                url,
                state: Mutex::default(),
            }),
            // The text may contain a password.
            Err(reason) => Err(ItemFailure {
                kind: FailureKind::Rejected,
                message: message_line(&format!("the URL of a server is wrong: {reason}")),
            }),
        };
        let servers: Vec<NacosServer> =
            item.servers.iter().map(server).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(ItemFailure {
                kind: FailureKind::Rejected,
                message: "no server is named".to_owned(),
            });
        }
        let credentials = item.username.as_ref().map(|username| Credentials {
            username: username.clone(),
            password: item.password.clone(),
        });
        Ok(Self {
            servers,
            current: AtomicUsize::new(0),
            tls: TlsSettings::new(item.tls_ca.clone(), "tls_ca="),
            credentials,
        })
    }

    /// The texts that no message may contain.
    pub(super) fn secrets(&self, server: &NacosServer) -> Vec<String> {
        let password = self.credentials.iter().map(|it| &it.password);
        let mut secrets: Vec<String> = password
            .filter(|password| !password.is_empty())
            .flat_map(|password| [password.clone(), percent_encode(password)])
            .collect();
        secrets.extend(server.state().token.iter().map(|token| token.text.clone()));
        secrets
    }

    /// Calls `ask` for the current server, and for the next ones as long as they are away. The one that answers becomes
    /// the current server. Returns the server with its answer. If all are away: the last one, and a failure that names each.
    pub(super) async fn ask_each<'a, T>(
        &'a self,
        ask: impl AsyncFn(&'a NacosServer) -> Result<T, ItemFailure>,
    ) -> (&'a NacosServer, Result<T, ItemFailure>) {
        let count = self.servers.len();
        let first = self.current.load(Ordering::Relaxed);
        let mut failures: Vec<(usize, ItemFailure)> = Vec::new();
        for index in (first..first + count).map(|index| index % count) {
            let server = &self.servers[index];
            match ask(server).await {
                Err(away) if away.kind == FailureKind::Away => {
                    server.state().forget_version();
                    failures.push((index, away));
                }
                answer => {
                    self.current.store(index, Ordering::Relaxed);
                    return (server, answer);
                }
            }
        }
        self.current.store((first + 1) % count, Ordering::Relaxed);
        // In the order of the list, so that the message is the same whichever was asked first.
        failures.sort_by_key(|(index, _)| *index);
        let messages: Vec<String> = failures
            .into_iter()
            .map(|(_, failure)| failure.message)
            .collect();
        let failure = ItemFailure {
            kind: FailureKind::Away,
            message: message_line(&messages.join("; ")),
        };
        let last = (first + count - 1) % count;
        (&self.servers[last], Err(failure))
    }

    /// The failure of a server without one of the interfaces.
    pub(super) fn no_interface(server: &NacosServer, api: NacosApi) -> ItemFailure {
        let missing = match api {
            NacosApi::Auto => "neither the interface v1 nor v3",
            NacosApi::V1 => "no interface v1",
            NacosApi::V3 => "no interface v3",
        };
        let reason = format!("it does not answer like Nacos: it has {missing}");
        failure(FailureKind::Away, &server.url.text, &reason)
    }
}
