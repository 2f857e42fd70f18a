//! A stub Nacos server on 127.0.0.1: the configuration part of the interfaces v1 and v3, with faults on demand and a record of
//! every request. Official clients judge the stub in `tests/blackbox/nacos_stub.rs`.
//!
//! By hand: `cargo test --test blackbox -- test_child nacos 18848` serves on port 18848 until it is killed, and
//! `… nacos 18848 USER PASSWORD` does so with an account.

mod exchange;
mod http;
mod server;
mod settings;
mod shared;
mod store;
mod v1;
mod v3;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::LIMIT;

#[allow(
    unused_imports,
    reason = "shared by several targets, none of which uses all of it"
)]
mod exported {
    pub use super::http::{StubRequest, percent_encoded};
    pub use super::settings::{CompareAndSet, Families, Fault, MissingPage, NacosSettings};
    pub use super::store::{NacosHistoryEntry, NacosItem, md5_of};
}
pub use exported::*;

use server::ListeningSocket;
use shared::{PlannedFault, Shared};
use store::{ItemKey, Publication};

/// A stub server. It stops when it drops.
#[derive(Debug)]
pub struct NacosStub {
    shared: Arc<Shared>,
    socket: ListeningSocket,
    /// `None`: it is stopped.
    thread: Option<JoinHandle<()>>,
}

impl NacosStub {
    /// Starts a server.
    ///
    /// # Errors
    /// The port is not free.
    pub fn start(settings: NacosSettings) -> Result<Self, String> {
        let port = settings.port;
        let socket = ListeningSocket::new(port).map_err(|error| format!("port {port}: {error}"))?;
        let mut stub = Self {
            shared: Arc::new(Shared::new(settings)),
            socket,
            thread: None,
        };
        stub.restart()?;
        Ok(stub)
    }

    /// The port, which stays the same after a restart.
    pub fn port(&self) -> u16 {
        self.socket.port
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// Stops the server: connections end, and new ones are refused. The items and the record stay.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.socket.stop(&self.shared, thread);
        }
    }

    /// Starts the stopped server again, with its items. A running one is stopped before.
    ///
    /// # Errors
    /// The port cannot be opened.
    pub fn restart(&mut self) -> Result<(), String> {
        self.stop();
        let thread = self.socket.start(&self.shared);
        self.thread = Some(thread.map_err(|error| format!("{}: {error}", self.address()))?);
        Ok(())
    }

    /// Starts the server again without its items, its history and its tokens.
    ///
    /// # Errors
    /// As [`Self::restart`].
    pub fn restart_empty(&mut self) -> Result<(), String> {
        self.stop();
        self.shared.change(|state| {
            state.store.clear();
            state.tokens.clear();
        });
        self.restart()
    }

    /// Changes the settings of the running server. The port stays.
    pub fn configure(&self, change: impl FnOnce(&mut NacosSettings)) {
        self.shared.change(|state| change(&mut state.settings));
    }

    /// Publishes a text as another client would, and returns its MD5.
    pub fn publish(&self, namespace: &str, group: &str, dataid: &str, text: &str) -> String {
        let publication = Publication {
            text: text.to_owned(),
            src_user: "stub".to_owned(),
            src_ip: "127.0.0.1".to_owned(),
            ..Publication::default()
        };
        let key = ItemKey::new(namespace, group, dataid);
        self.shared
            .change(|state| state.store.publish(key, publication));
        md5_of(text)
    }

    /// Deletes an item as another client would.
    pub fn delete(&self, namespace: &str, group: &str, dataid: &str) {
        let key = ItemKey::new(namespace, group, dataid);
        self.shared
            .change(|state| state.store.delete(&key, &Publication::default()));
    }

    /// The stored text. `None`: there is no such item.
    pub fn text(&self, namespace: &str, group: &str, dataid: &str) -> Option<String> {
        self.item(namespace, group, dataid).map(|item| item.text)
    }

    /// The stored item. `None`: there is no such item.
    pub fn item(&self, namespace: &str, group: &str, dataid: &str) -> Option<NacosItem> {
        let key = ItemKey::new(namespace, group, dataid);
        self.shared.lock().store.items.get(&key).cloned()
    }

    /// The changes of an item, the newest first.
    pub fn history(&self, namespace: &str, group: &str, dataid: &str) -> Vec<NacosHistoryEntry> {
        let key = ItemKey::new(namespace, group, dataid);
        let state = self.shared.lock();
        let entries = state.store.history_of(&key).into_iter();
        entries.cloned().collect()
    }

    /// All requests since the start or the last [`Self::clear_requests`].
    pub fn requests(&self) -> Vec<StubRequest> {
        self.shared.lock().requests.clone()
    }

    /// The requests with this method to this path.
    pub fn requests_to(&self, method: &str, path: &str) -> Vec<StubRequest> {
        let all = self.requests().into_iter();
        all.filter(|request| request.method == method && request.path == path)
            .collect()
    }

    /// Empties the record of requests.
    pub fn clear_requests(&self) {
        self.shared.change(|state| {
            state.cleared_requests += state.requests.len();
            state.requests.clear();
        });
    }

    /// Waits until the record of requests fulfils a condition.
    ///
    /// # Errors
    /// `what` was not true in time. The message lists the requests.
    pub fn wait_for(
        &self,
        what: &str,
        condition: impl Fn(&[StubRequest]) -> bool,
    ) -> Result<(), String> {
        super::wait_for(what, LIMIT, || condition(&self.shared.lock().requests)).map_err(|why| {
            let requests = self.requests();
            let lines = requests.iter().map(|request| {
                let status = request
                    .status
                    .map_or("-".to_owned(), |code| code.to_string());
                format!(
                    "\n{status} {} {}?{}",
                    request.method, request.path, request.query
                )
            });
            format!("{why}; the requests were:{}", lines.collect::<String>())
        })
    }

    /// How many listeners wait now.
    pub fn waiting(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// Waits until this many listeners wait.
    ///
    /// # Errors
    /// They did not in time.
    pub fn wait_for_listeners(&self, count: usize) -> Result<(), String> {
        super::wait_for(&format!("{count} waiting listeners"), LIMIT, || {
            self.waiting() == count
        })
    }

    /// Makes the next `count` requests fail, after those that already will.
    pub fn fail_next(&self, count: usize, fault: Fault) {
        self.fail_next_to("", count, fault);
    }

    /// Makes the next `count` requests fail whose path contains `path`.
    pub fn fail_next_to(&self, path: &str, count: usize, fault: Fault) {
        let planned = PlannedFault {
            path: path.to_owned(),
            left: count,
            fault,
        };
        self.shared.change(|state| {
            state.faults.push_back(planned);
            state.faults.retain(|planned| planned.left > 0);
        });
    }

    /// Forgets the faults that have not happened yet.
    pub fn clear_faults(&self) {
        self.shared.change(|state| state.faults.clear());
    }

    /// Makes all tokens invalid.
    pub fn revoke_tokens(&self) {
        self.shared.change(|state| state.tokens.clear());
    }

    /// Whether the server says that it is ready.
    pub fn set_ready(&self, is_ready: bool) {
        self.shared.change(|state| state.is_ready = is_ready);
    }

    /// Adds hosts to those that listen to an item, each with the MD5 of the text that it has. Replaces earlier ones.
    pub fn set_listeners(
        &self,
        namespace: &str,
        group: &str,
        dataid: &str,
        hosts: &[(&str, &str)],
    ) {
        let key = ItemKey::new(namespace, group, dataid);
        let hosts: BTreeMap<String, String> = hosts
            .iter()
            .map(|(host, md5)| ((*host).to_owned(), (*md5).to_owned()))
            .collect();
        self.shared
            .change(|state| state.other_listeners.insert(key, hosts));
    }
}

impl Drop for NacosStub {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves on this port until the process is killed. 0: a free port. Prints the address.
pub(super) fn serve(port: u16, account: Option<(String, String)>) {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    let stub = NacosStub::start(NacosSettings {
        port,
        account: account.map(|(user, password)| (leak(user), leak(password))),
        ..NacosSettings::default()
    });
    match stub {
        Ok(stub) => {
            println!("{}", stub.address());
            loop {
                std::thread::park();
            }
        }
        Err(why) => eprintln!("{why}"),
    }
}
