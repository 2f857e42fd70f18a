//! The tokens of a server, read again when their file changes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::{Duration, Instant, timeout};

use crate::config::tokens::{self, TOKENS_BYTES_MAX, TokenSpec};
use crate::domain::{Line, from_bytes};
use crate::http_server::blocking_pool::run_blocking;
use crate::server::LogFn;
use crate::sys::{self, FileStamp};

/// How old the last look at the file may be. A token that is removed from the file works no longer than that.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a request waits for a look at the file.
const LOOK_WITHIN: Duration = Duration::from_secs(2);

/// The tokens of one file. All connections of a server share it.
#[derive(Debug)]
pub(in crate::server) struct TokenStore {
    path: PathBuf,
    state: Mutex<StoreState>,
}

#[derive(Debug, Default)]
struct StoreState {
    /// Empty: the file has none, or is not valid.
    tokens: Arc<[TokenSpec]>,
    /// The version that was read. `None`: none was, or it is not valid.
    stamp: Option<FileStamp>,
    /// Why the file is not valid, as logged.
    problem: Option<String>,
    /// When a look at the file last began.
    looked: Option<Instant>,
    /// Whether a look has not ended yet. On a file system that does not answer, no second one begins.
    is_looking: bool,
}

/// What a look at the file found.
enum FoundTokens {
    Unchanged,
    Read(FileStamp, Vec<TokenSpec>),
    Invalid(String),
}

impl TokenStore {
    /// Reads the file. A file that is not valid is reported at the first request that needs it.
    pub(in crate::server) fn open(path: PathBuf) -> Self {
        let mut state = StoreState::default();
        if let FoundTokens::Read(stamp, tokens) = look_at(&path, None) {
            state.tokens = tokens.into();
            state.stamp = Some(stamp);
        }
        Self {
            path,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, StoreState> {
        // A poisoned lock means that another task panicked. Each change is one assignment, so the state is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the tokens, after a look at the file if the last one was long ago. If the file is not valid, no token is,
    /// and the log says why once.
    pub(in crate::server) async fn current(self: &Arc<Self>, log: &LogFn) -> Arc<[TokenSpec]> {
        let is_due = {
            let mut state = self.lock();
            let is_old = state.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
            let is_due = is_old && !state.is_looking;
            if is_due {
                state.looked = Some(Instant::now());
                state.is_looking = true;
            }
            is_due
        };
        if is_due {
            let looking = tokio::spawn(self.clone().look(log.clone()));
            // Later, the last valid tokens remain valid.
            let _ = timeout(LOOK_WITHIN, looking).await;
        }
        self.lock().tokens.clone()
    }

    /// Reads the file if it has changed.
    async fn look(self: Arc<Self>, log: LogFn) {
        let (path, known) = (self.path.clone(), self.lock().stamp);
        let found = run_blocking(move || look_at(&path, known)).await;
        let line = {
            let mut state = self.lock();
            state.is_looking = false;
            state.apply(&self.path, found.unwrap_or(FoundTokens::Unchanged))
        };
        if let Some(line) = line {
            log(line);
        }
    }
}

impl StoreState {
    /// Returns the line to write, if there is news.
    fn apply(&mut self, path: &Path, found: FoundTokens) -> Option<Line> {
        let path = || path.display().to_string();
        match found {
            FoundTokens::Unchanged => None,
            FoundTokens::Read(stamp, tokens) => {
                self.tokens = tokens.into();
                self.stamp = Some(stamp);
                self.problem = None;
                Some(Line::TokensRead {
                    count: self.tokens.len(),
                    path: path(),
                })
            }
            FoundTokens::Invalid(why) => {
                self.tokens = Arc::default();
                self.stamp = None;
                let is_news = self.problem.as_ref() != Some(&why);
                self.problem = Some(why.clone());
                is_news.then(|| Line::TokensRefused { path: path(), why })
            }
        }
    }
}

fn look_at(path: &Path, known: Option<FileStamp>) -> FoundTokens {
    match sys::read_secret_file(path, TOKENS_BYTES_MAX, known) {
        Ok(None) => FoundTokens::Unchanged,
        Ok(Some((stamp, bytes))) => match tokens::parse(&from_bytes(&bytes)) {
            Ok(tokens) => FoundTokens::Read(stamp, tokens),
            Err(error) => FoundTokens::Invalid(format!("line {}: {}", error.line, error.reason)),
        },
        Err(error) => FoundTokens::Invalid(error.to_string()),
    }
}
