//! Accepts connections and serves each in a task of its own.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Duration, sleep, timeout};

use super::context::HubContext;
use super::request::HubRequest;
use super::response::into_http;
use crate::http_server::budget::{Budget, BudgetClient, ConnectionGuard};
use crate::http_server::client_stream::ClientStream;
use crate::http_server::counted_io::{CountedIo, HeadCounter};
use crate::http_server::response::{HttpResponse, ReplyBody};

/// How long responses in flight may take when the hub stops.
const STOP_WITHIN: Duration = Duration::from_secs(1);
/// Pause after `accept` failed for lack of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Maximum length of a request head, in bytes.
const HEAD_MAX: usize = 64 << 10;
/// How long a connection may stay without a complete request head, also between requests.
const HEAD_WITHIN: Duration = Duration::from_secs(120);

/// A socket that accepts connections.
#[derive(Debug)]
pub(in crate::hub) struct HubListener(TcpListener);

impl HubListener {
    /// Binds all addresses of `host:port`. Must be called within the runtime.
    ///
    /// # Errors
    /// The host has no address, or one is in use.
    pub(in crate::hub) async fn bind(address: &str) -> io::Result<Vec<Self>> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
        let mut listeners = Vec::new();
        for address in found {
            listeners.push(Self(TcpListener::bind(address).await?));
        }
        match listeners.is_empty() {
            true => Err(io::Error::other("the host has no address")),
            false => Ok(listeners),
        }
    }
}

/// Serves a listener until the hub stops, then waits shortly for its connections. `handle` answers a request.
pub(in crate::hub) async fn serve_listener<F, A>(
    listener: HubListener,
    hub: Arc<HubContext>,
    budget: Arc<Budget>,
    handle: F,
) where
    F: Fn(Arc<HubContext>, HubRequest, Incoming) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = HttpResponse> + Send + 'static,
{
    let mut stop = hub.stop.clone();
    let mut connections: JoinSet<()> = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.0.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, address)) = accepted else {
            budget.evict_one();
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Responses are written whole, so Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let stream = Arc::new(ClientStream::Inet(stream));
        let client = BudgetClient::address(address.ip());
        let Some(guard) = budget.admit(client, &stream) else {
            continue;
        };
        let connection = HubConnection {
            hub: hub.clone(),
            peer: address.ip(),
            guard: Arc::new(guard),
            head: Arc::default(),
        };
        connections.spawn(connection.serve(stream, handle.clone()));
        // Lets each new connection be read once before further ones arrive and may evict it.
        yield_now().await;
    }
    drop(listener);
    let _ = timeout(STOP_WITHIN, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

/// One connection.
struct HubConnection {
    hub: Arc<HubContext>,
    peer: IpAddr,
    guard: Arc<ConnectionGuard>,
    head: Arc<HeadCounter>,
}

impl HubConnection {
    async fn serve<F, A>(self, stream: Arc<ClientStream>, handle: F)
    where
        F: Fn(Arc<HubContext>, HubRequest, Incoming) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = HttpResponse> + Send,
    {
        let mut stop = self.hub.stop.clone();
        let guard = self.guard.clone();
        let io = CountedIo::new(stream, guard.clone(), self.head.clone());
        let connection = Arc::new(self);
        let service = service_fn(move |request: Request<Incoming>| {
            let (connection, handle) = (connection.clone(), handle.clone());
            // Boxed, so that a connection without a request needs little memory.
            let handling = move || Box::pin(connection.answer(request, handle));
            async move { handling().await as Result<_, Infallible> }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_header_size(HEAD_MAX)
            .half_close(true)
            .serve_connection(TokioIo::new(io), service);
        tokio::pin!(serving);
        tokio::select! {
            // An error on a connection concerns only its client and closes the connection.
            _ = serving.as_mut() => return,
            () = guard.evicted.notified() => return,
            _ = stop.wait_for(|stop| *stop) => {}
        }
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }

    async fn answer<F, A>(
        self: Arc<Self>,
        request: Request<Incoming>,
        handle: F,
    ) -> Result<Response<ReplyBody>, Infallible>
    where
        F: Fn(Arc<HubContext>, HubRequest, Incoming) -> A,
        A: Future<Output = HttpResponse>,
    {
        self.head.head_complete();
        self.guard.request_started();
        let (head, body) = request.into_parts();
        let is_head = head.method == Method::HEAD;
        let has_expectation = head.headers.contains_key(header::EXPECT);
        let settings = self.hub.settings();
        let request = HubRequest::new(head, self.peer, &self.guard, &settings);
        let mut answer = handle(self.hub.clone(), request, body).await;
        if has_expectation && !answer.status.is_success() {
            answer
                .headers
                .push((header::CONNECTION, "close".to_owned()));
        }
        if is_head {
            answer = answer.without_body();
        }
        let response = into_http(answer, &self.guard);
        self.head.head_expected();
        Ok(response)
    }
}
