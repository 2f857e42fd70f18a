//! The threads `server-files`: they read log files and render long responses, so that neither delays other clients.

use tokio::runtime::Builder;

/// Maximum number of threads that read log files and render long responses.
const THREADS_MAX: usize = 4;

/// Runs work that takes long or may block on one of the threads. `None`: it panicked.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// Gives a runtime these threads.
pub(crate) fn limit_threads(builder: &mut Builder) -> &mut Builder {
    builder
        .max_blocking_threads(THREADS_MAX)
        .thread_name("server-files")
}
