//! The threads `server-files`: they read log files and render long responses, so that neither delays other clients.

/// Maximum number of threads that read log files and render long responses.
pub(super) const BLOCKING_THREADS_MAX: usize = 4;

/// Runs work that takes long or may block on a helper thread. `None`: it panicked.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
