//! A log as it grows: the hub asks the host each second for what is new, and sends it as one body without end, in the form
//! that the script of the log page knows.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::HeaderName;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep};

use super::hub_page::{HubPage, Reply};
use super::logs::channel_named;
use super::node::{namespec_of, node_of};
use crate::domain::Channel;
use crate::http_server::budget::QuotaPermit;
use crate::hub::api::call::Call;
use crate::hub::node::{LOG_BYTES_MAX, LogRange};
use crate::hub::server::{HttpBody, HttpResponse, HubContext, Principal};

/// The pause between two questions to the host.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How often the login of the user is checked again.
const CHECK_EVERY: Duration = Duration::from_secs(15);
/// The line that says that the log was truncated, as in the daemon.
const TRUNCATED: &str = "==> File truncated <==\n";

/// `GET /nodes/{node}/logtail/{process}/{stream}?from=OFFSET`.
pub(super) async fn follow(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let node = node_of(&page)?;
    let name = namespec_of(&page, &node, call.param("process"))?;
    let channel = channel_named(&page, call.param("stream"))?;
    let offset = page.field("from").parse();
    let offset = offset.map_err(|_| page.not_understood())?;
    let permit = page.stream_permit()?;
    let followed = FollowedLog {
        hub: hub.clone(),
        principal: call.user()?.clone(),
        node: node.name.clone(),
        name,
        channel,
        offset,
        _permit: permit,
    };
    let (parts, body) = mpsc::channel(1);
    tokio::spawn(followed.run(parts));
    Ok(HttpResponse {
        status: StatusCode::OK,
        content_type: "text/plain;charset=utf-8",
        headers: vec![(
            HeaderName::from_static("x-accel-buffering"),
            "no".to_owned(),
        )],
        body: HttpBody::Growing(body),
    })
}

/// A log that a page follows.
struct FollowedLog {
    hub: Arc<HubContext>,
    principal: Principal,
    node: Arc<str>,
    name: String,
    channel: Channel,
    /// The end of what the page has, in bytes.
    offset: u64,
    _permit: QuotaPermit,
}

impl FollowedLog {
    /// Sends until the client or the hub goes away, the login ends, or the host does not answer.
    async fn run(mut self, parts: mpsc::Sender<Bytes>) {
        let mut stop = self.hub.stop.clone();
        let mut checked = Instant::now();
        loop {
            let range = LogRange::After {
                offset: self.offset,
                bytes: LOG_BYTES_MAX,
            };
            let read = self
                .hub
                .fleet
                .log(&self.node, &self.name, self.channel, range);
            // A log whose host does not say where a part ends cannot be followed.
            let Ok((text, Some(end))) = read.await.map(|part| (part.text, part.end)) else {
                return;
            };
            let text = match end < self.offset {
                true => format!("{TRUNCATED}{text}"),
                false => text,
            };
            self.offset = end;
            if !text.is_empty() && parts.send(text.into()).await.is_err() {
                return;
            }
            if checked.elapsed() >= CHECK_EVERY {
                checked = Instant::now();
                let Some(principal) = self.principal.renewed(&self.hub) else {
                    return;
                };
                self.principal = principal;
                if !self.is_visible() {
                    return;
                }
            }
            tokio::select! {
                () = sleep(ASK_EVERY) => {}
                () = parts.closed() => return,
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Whether the process is still within the user's limits.
    fn is_visible(&self) -> bool {
        let limits = &self.principal.limits;
        let group = self.name.split(':').next().unwrap_or_default();
        let node = self.hub.fleet.node(&self.node);
        node.is_some_and(|node| limits.has_environment(&node.environment))
            && limits.has_group(group)
    }
}
