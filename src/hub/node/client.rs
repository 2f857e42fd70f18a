//! The calls of one node: connections with their limits, its login, and answers of a bounded size.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::config::{NodeAddress, NodeConfig, NodeLogin};
use super::context::NodeContext;
use super::failure::{CallFailure, NodeFailure};
use super::resolver::Resolver;
use crate::agent::ServerUrl;
use crate::agent::http::{self, HttpAnswer, HttpError, HttpRequest, OpenAnswer};
use crate::agent::tls::TlsSettings;
use crate::api::xmlrpc::{RpcCall, RpcValue, read_response_within, write_call};

/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Maximum size of an answer in bytes.
pub const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Maximum number of values in an answer of XML-RPC: those of the longest list of processes.
const ANSWER_VALUES_MAX: usize = 20 * super::process_row::PROCESSES_MAX;
/// Answers from this size on, in bytes, are parsed on a thread of their own, so that other nodes do not wait.
const PARSE_BLOCKING_BYTES: usize = 256 << 10;
/// The path of XML-RPC.
pub(super) const RPC_PATH: &str = "/RPC2";
/// The header with the user for whom the hub asks. Nodes show it in their audit lines if they trust the hub with it.
const USER_HEADER: &str = "X-Supervisor-User";

/// How to call one node.
#[derive(Debug)]
pub(super) struct NodeClient {
    context: Arc<NodeContext>,
    config: Arc<NodeConfig>,
    /// For a unix socket: what the header Host says.
    server: ServerUrl,
    tls: Arc<TlsSettings>,
    resolver: Resolver,
}

impl NodeClient {
    pub(super) fn new(config: Arc<NodeConfig>, context: Arc<NodeContext>) -> Self {
        let server = match &config.address {
            NodeAddress::Web(url) => url.clone(),
            NodeAddress::Unix(_) => ServerUrl {
                text: config.address.to_string(),
                is_tls: false,
                host: "localhost".to_owned(),
                port: 0,
                authority: "localhost".to_owned(),
                context: String::new(),
            },
        };
        Self {
            tls: context.tls_of(&config),
            resolver: Resolver::default(),
            server,
            config,
            context,
        }
    }

    /// The limit of a call that the node answers at once.
    pub(super) fn limit(&self) -> Duration {
        self.config.timeout
    }

    /// What all nodes share.
    pub(super) fn context(&self) -> &NodeContext {
        &self.context
    }

    /// Calls a method of XML-RPC. `user`: for whom.
    ///
    /// # Errors
    /// The fault of the node, or why there is no answer.
    pub(super) async fn call(
        &self,
        method: &str,
        params: Vec<RpcValue>,
        user: Option<&str>,
        limit: Duration,
    ) -> Result<RpcValue, CallFailure> {
        let call = RpcCall {
            method: method.to_owned(),
            params,
        };
        let mut headers = Vec::new();
        // A name that no header can carry is not sent; the node then names the hub only.
        if let Some(user) = user.filter(|user| is_header_value(user)) {
            headers.push((USER_HEADER, user.to_owned()));
        }
        let request = HttpRequest {
            server: &self.server,
            method: Method::POST,
            path: RPC_PATH,
            query: String::new(),
            headers: self.with_login(headers),
            body: Some(("text/xml", write_call(&call))),
        };
        let answer = self.whole(request, limit).await?;
        if answer.status != 200 {
            return Err(NodeFailure::of_status(answer.status, RPC_PATH).into());
        }
        let HttpAnswer { headers, body, .. } = answer;
        let read = parse_aside(body, |body| read_response_within(&body, ANSWER_VALUES_MAX)).await;
        match read {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(fault)) => Err(CallFailure::Fault {
                code: fault.code,
                text: super::process_row::one_line(&fault.text, FAULT_CHARS_MAX),
            }),
            Err(error) => Err(NodeFailure::of_foreign_answer(&headers, &error.0).into()),
        }
    }

    /// Gets a whole answer of REST. `path`: with its prefix.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn get(&self, path: &str, query: String) -> Result<HttpAnswer, CallFailure> {
        let request = self.get_request(path, query, Vec::new());
        self.whole(request, self.limit()).await
    }

    /// Begins an answer that is read bit by bit, such as a stream of events.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn open(
        &self,
        path: &str,
        query: String,
        headers: Vec<(&'static str, String)>,
    ) -> Result<OpenAnswer, CallFailure> {
        let request = self.get_request(path, query, headers);
        let limit = self.limit();
        let opened = timeout(limit, self.send(request)).await;
        Ok(opened.map_err(|_| HttpError::TimedOut(limit))??)
    }

    fn get_request<'a>(
        &'a self,
        path: &'a str,
        query: String,
        headers: Vec<(&'static str, String)>,
    ) -> HttpRequest<'a> {
        HttpRequest {
            server: &self.server,
            method: Method::GET,
            path,
            query,
            headers: self.with_login(headers),
            body: None,
        }
    }

    fn with_login(&self, mut headers: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
        let value = match &self.config.login {
            NodeLogin::None => return headers,
            NodeLogin::Password { username, password } => {
                format!(
                    "Basic {}",
                    STANDARD.encode(format!("{username}:{password}"))
                )
            }
            NodeLogin::Token(token) => format!("Bearer {token}"),
        };
        headers.push(("Authorization", value));
        headers
    }

    async fn whole(
        &self,
        request: HttpRequest<'_>,
        limit: Duration,
    ) -> Result<HttpAnswer, CallFailure> {
        let exchange = async {
            let mut answer = self.send(request).await?;
            let mut room = self.context.answer_room();
            let mut body = Vec::new();
            while let Some(part) = answer.next_part().await? {
                if body.len() + part.len() > ANSWER_BYTES_MAX {
                    return Err(HttpError::TooLarge(ANSWER_BYTES_MAX));
                }
                room.grow_to(body.len() + part.len()).await;
                body.extend_from_slice(&part);
            }
            Ok(HttpAnswer {
                status: answer.status,
                headers: std::mem::take(&mut answer.headers),
                body,
            })
        };
        let whole = timeout(limit, exchange).await;
        Ok(whole.map_err(|_| HttpError::TimedOut(limit))??)
    }

    async fn send(&self, request: HttpRequest<'_>) -> Result<OpenAnswer, HttpError> {
        if let NodeAddress::Unix(path) = &self.config.address {
            let stream = UnixStream::connect(path).await;
            let stream = stream.map_err(|error| HttpError::Connect(error.to_string()))?;
            return http::send(stream, request).await;
        }
        let addresses = self.resolver.addresses(&self.server, CONNECT_LIMIT).await?;
        let stream = http::connect(&addresses, CONNECT_LIMIT).await?;
        if !self.server.is_tls {
            return http::send(stream, request).await;
        }
        // A handshake takes some round trips and some computing on both sides, so it has the limit of a call.
        let stream = http::secure(&self.tls, &self.server.host, stream, self.limit()).await?;
        http::send(stream, request).await
    }
}

/// Maximum length of the text of a fault in characters.
const FAULT_CHARS_MAX: usize = 500;

fn is_header_value(text: &str) -> bool {
    !text.is_empty() && text.len() <= 255 && !text.contains(|c: char| c.is_control())
}

/// Parses an answer, a large one on a thread of its own.
pub(super) async fn parse_aside<T: Send + 'static>(
    body: Vec<u8>,
    parse: impl FnOnce(Vec<u8>) -> T + Send + 'static,
) -> T {
    if body.len() < PARSE_BLOCKING_BYTES {
        return parse(body);
    }
    match tokio::task::spawn_blocking(move || parse(body)).await {
        Ok(parsed) => parsed,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
