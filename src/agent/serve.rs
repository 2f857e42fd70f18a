//! Serves the daemon: reads orders, carries them out side by side, and writes reports.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet, LocalSet, spawn_local};

use super::nacos::{NacosClient, NewText, watch};
use super::protocol::{
    AgentAnswer, AgentOrder, AgentReport, FRAME_BYTES_MAX, FailureKind, ItemFailure, NacosItem,
    SecureRequest, write_frame,
};
use super::request;
use super::tls::TlsSettings;

/// Number of reports that wait for the daemon. Each may have a text of a megabyte.
const REPORTS_MAX: usize = 4;
/// Maximum number of orders with a number at a time. The next one waits.
const CALLS_MAX: usize = 16;
/// Maximum number of clients, each with its logins, that are kept.
const CLIENTS_MAX: usize = 4;
/// Maximum number of files with authorities that are kept.
const TLS_SETTINGS_MAX: usize = 8;

/// Serves until the daemon closes the connection.
///
/// # Errors
/// As read(2). `InvalidData`: something else than an order came.
pub(super) async fn serve(socket: UnixStream) -> io::Result<()> {
    let (from, to) = socket.into_split();
    let (reports, queue) = mpsc::channel(REPORTS_MAX);
    // Dropping the set ends all tasks.
    let tasks = LocalSet::new();
    tasks
        .run_until(async {
            spawn_local(write_reports(to, queue));
            Orders::new(reports).carry_out(from).await
        })
        .await
}

async fn write_reports(mut to: OwnedWriteHalf, mut queue: mpsc::Receiver<AgentReport>) {
    while let Some(report) = queue.recv().await {
        let mut frame = Vec::new();
        // A report that is too long cannot be made. If the daemon is gone, so is its half of the reader.
        if write_frame(&mut frame, &report).is_err() || to.write_all(&frame).await.is_err() {
            return;
        }
    }
}

/// Reads an order. `None`: the daemon closed the connection.
async fn read_order(from: &mut OwnedReadHalf) -> io::Result<Option<AgentOrder>> {
    let mut length = [0; 4];
    let first = from.read(&mut length).await?;
    if first == 0 {
        return Ok(None);
    }
    from.read_exact(&mut length[first..]).await?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut json = vec![0; length];
    from.read_exact(&mut json).await?;
    // The error's own text may quote a password.
    let order = serde_json::from_slice(&json).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(Some(order))
}

/// The orders that are carried out.
struct Orders {
    reports: mpsc::Sender<AgentReport>,
    watch: Option<JoinHandle<()>>,
    calls: JoinSet<()>,
    /// The clients, the one that was used last at the end.
    clients: Vec<(ClientKey, Arc<NacosClient>)>,
    /// The TLS settings of requests by their authorities, those that were used last at the end.
    tls: Vec<(Option<String>, Arc<TlsSettings>)>,
}

/// What makes two items share a client.
#[derive(PartialEq, Eq)]
struct ClientKey {
    servers: Vec<String>,
    username: Option<String>,
    password: String,
    tls_ca: Option<String>,
}

impl Orders {
    fn new(reports: mpsc::Sender<AgentReport>) -> Self {
        Self {
            reports,
            watch: None,
            calls: JoinSet::new(),
            clients: Vec::new(),
            tls: Vec::new(),
        }
    }

    async fn carry_out(mut self, mut from: OwnedReadHalf) -> io::Result<()> {
        self.report(AgentReport::Ready).await;
        while let Some(order) = read_order(&mut from).await? {
            self.begin(order).await;
        }
        Ok(())
    }

    async fn report(&self, report: AgentReport) {
        // The writer ends only when the daemon is gone, which the reader notices.
        let _ = self.reports.send(report).await;
    }

    async fn begin(&mut self, order: AgentOrder) {
        let (id, item) = match &order {
            AgentOrder::Watch { item, md5 } => return self.watch(item, md5.as_ref()).await,
            AgentOrder::Request { id, request } => return self.request(*id, request.clone()).await,
            AgentOrder::Read { id, item }
            | AgentOrder::Publish { id, item, .. }
            | AgentOrder::History { id, item }
            | AgentOrder::HistoryText { id, item, .. }
            | AgentOrder::Listeners { id, item } => (*id, item),
        };
        let client = match self.client_of(item) {
            Ok(client) => client,
            Err(failure) => {
                let result = Err(failure);
                return self.report(AgentReport::Answer { id, result }).await;
            }
        };
        self.wait_for_room().await;
        let reports = self.reports.clone();
        self.calls.spawn_local(async move {
            let result = answer(&client, order).await;
            let _ = reports.send(AgentReport::Answer { id, result }).await;
        });
    }

    /// Waits until another order may be carried out.
    async fn wait_for_room(&mut self) {
        while self.calls.try_join_next().is_some() {}
        if self.calls.len() >= CALLS_MAX {
            let _ = self.calls.join_next().await;
        }
    }

    async fn request(&mut self, id: u64, request: SecureRequest) {
        self.wait_for_room().await;
        let tls = self.tls_of(request.ca_file.as_ref());
        let reports = self.reports.clone();
        self.calls.spawn_local(async move {
            let result = request::send(&tls, request).await;
            let result = result.map(|status| AgentAnswer::Status { status });
            let _ = reports.send(AgentReport::Answer { id, result }).await;
        });
    }

    /// The TLS settings with these authorities, which are read once.
    fn tls_of(&mut self, ca_file: Option<&String>) -> Arc<TlsSettings> {
        let found = self
            .tls
            .iter()
            .position(|(known, _)| known.as_ref() == ca_file);
        let entry = match found {
            Some(index) => self.tls.remove(index),
            None => {
                let settings = TlsSettings::new(ca_file.cloned(), "--ca-file ");
                (ca_file.cloned(), Arc::new(settings))
            }
        };
        if self.tls.len() >= TLS_SETTINGS_MAX {
            self.tls.remove(0);
        }
        let settings = Arc::clone(&entry.1);
        self.tls.push(entry);
        settings
    }

    async fn watch(&mut self, item: &NacosItem, md5: Option<&String>) {
        if let Some(earlier) = self.watch.take() {
            earlier.abort();
        }
        match self.client_of(item) {
            Ok(client) => {
                let reports = self.reports.clone();
                let watching = watch(client, item.clone(), md5.cloned(), reports);
                self.watch = Some(spawn_local(watching));
            }
            Err(failure) => self.report(AgentReport::Failed(failure)).await,
        }
    }

    fn client_of(&mut self, item: &NacosItem) -> Result<Arc<NacosClient>, ItemFailure> {
        let key = ClientKey {
            servers: item.servers.clone(),
            username: item.username.clone(),
            password: item.password.clone(),
            tls_ca: item.tls_ca.clone(),
        };
        let found = self.clients.iter().position(|(other, _)| *other == key);
        let entry = match found {
            Some(index) => self.clients.remove(index),
            None => (key, Arc::new(NacosClient::new(item)?)),
        };
        if self.clients.len() >= CLIENTS_MAX {
            self.clients.remove(0);
        }
        let client = Arc::clone(&entry.1);
        self.clients.push(entry);
        Ok(client)
    }
}

/// Carries out an order with a number.
async fn answer(client: &NacosClient, order: AgentOrder) -> Result<AgentAnswer, ItemFailure> {
    match order {
        AgentOrder::Request { .. } => Err(ItemFailure {
            kind: FailureKind::Unsupported,
            message: "a request has no item".to_owned(),
        }),
        AgentOrder::Watch { item, .. } | AgentOrder::Read { item, .. } => {
            let read = client.read(&item).await?;
            read.into_text().map(AgentAnswer::Text)
        }
        AgentOrder::Publish {
            item,
            text,
            md5,
            author,
            ..
        } => {
            let new = NewText {
                text: &text,
                replaced_md5: &md5,
                author: &author,
            };
            client.publish(&item, new).await.map(AgentAnswer::Text)
        }
        AgentOrder::History { item, .. } => {
            let entries = client.history(&item).await?;
            Ok(AgentAnswer::History { entries })
        }
        AgentOrder::HistoryText { item, entry, .. } => {
            let text = client.history_text(&item, &entry).await?;
            Ok(AgentAnswer::Text(text))
        }
        AgentOrder::Listeners { item, .. } => {
            let hosts = client.listeners(&item).await?;
            Ok(AgentAnswer::Listeners { hosts })
        }
    }
}
