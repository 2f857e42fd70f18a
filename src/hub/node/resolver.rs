//! The addresses of one host. A name service that does not answer harms only the hosts that it does not answer for.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::agent::ServerUrl;
use crate::agent::http::{self, HttpError};

/// How long a thread may look up a name. The C library gives up before.
const LOOKUP_LIMIT: Duration = Duration::from_secs(60);

/// Looks up the addresses of one host.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    state: Mutex<ResolverState>,
}

#[derive(Debug, Default)]
struct ResolverState {
    /// A look-up that has not ended yet. It occupies a thread, so there is one at most.
    pending: Option<JoinHandle<Result<Vec<SocketAddr>, HttpError>>>,
    /// The last addresses. Empty: none were found yet.
    known: Vec<SocketAddr>,
}

impl Resolver {
    /// The addresses of a server now, or the last known ones if the name service does not answer in time.
    ///
    /// # Errors
    /// `Lookup`: there are none.
    pub(super) async fn addresses(
        &self,
        server: &ServerUrl,
        limit: Duration,
    ) -> Result<Vec<SocketAddr>, HttpError> {
        if let Ok(address) = server.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, server.port)]);
        }
        let mut looking = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.pending.take().unwrap_or_else(|| {
                let ServerUrl { host, port, .. } = server.clone();
                tokio::spawn(async move { http::look_up(&host, port, LOOKUP_LIMIT).await })
            })
        };
        let found = timeout(limit, &mut looking).await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match found {
            Ok(Ok(Ok(addresses))) => {
                state.known.clone_from(&addresses);
                return Ok(addresses);
            }
            Ok(Ok(Err(error))) => error,
            Ok(Err(error)) => HttpError::Lookup(error.to_string()),
            Err(_) => {
                state.pending = Some(looking);
                HttpError::Lookup(format!("no answer within {} s", limit.as_secs()))
            }
        };
        match state.known.is_empty() {
            true => Err(error),
            false => Ok(state.known.clone()),
        }
    }
}
