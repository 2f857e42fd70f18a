//! `/metrics`: the processes and the daemon, in the text formats of Prometheus. `families` declares each metric once;
//! `exposition` writes them.

mod exposition;
mod families;

use std::sync::Arc;
use std::time::Instant;

use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use crate::api::{Caller, Reply, Request, find_method};
use crate::control::ControlHandle;
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::response::HttpBody;
use crate::server::calls::process_list::{list_processes, usage_targets};
use crate::server::calls::process_usage::UsageTarget;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::{HandlerResponse, custom_response, method_not_allowed};
use exposition::TextFormat;
use families::{DaemonFigures, PROCESS_BYTES, Scrape};

/// The address.
pub(in crate::server) const PATH: &str = "/metrics";

/// Answers a scrape. It needs the permission that `status` needs.
pub(in crate::server) async fn answer_scrape(
    connection: &Arc<HttpConnection>,
    caller: &Caller,
    head: &Parts,
) -> HandlerResponse {
    let format = TextFormat::of(&head.headers);
    match head.method {
        Method::GET => {}
        // The headers alone, for which no process is asked.
        Method::HEAD => return exposition_head(format),
        _ => return method_not_allowed("GET, HEAD"),
    }
    let Some(_large) = connection.guard.acquire_large().await else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    let control = &connection.shared.control;
    let begin = Instant::now();
    let processes = match list_processes(control, caller).await {
        Ok(processes) => processes,
        Err(fault) => return HandlerResponse::fault(&fault),
    };
    let engine_answer = begin.elapsed();
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut sampled = usage_targets(&processes);
    sampled.push(UsageTarget {
        pid: own,
        cgroup: None,
    });
    let usages = connection
        .shared
        .live
        .usage
        .sampler
        .sample_usage(sampled)
        .await;
    let cgroups = connection
        .shared
        .live
        .usage
        .cgroups
        .sample(&processes)
        .await;
    let count = processes.len();
    let mut scrape = Scrape {
        processes,
        cgroups,
        daemon: DaemonFigures {
            usage: usages.get(&own).copied(),
            engine_answer,
            generation: generation(control, caller).await,
            source: control.source_health(),
            open_fds: None,
            calls: control.statistics().all(),
        },
        usages,
        targets: Vec::new(),
    };
    let written = run_blocking(move || {
        scrape.daemon.open_fds = open_fds();
        scrape.targets = crate::output::all_target_stats();
        scrape.sort();
        scrape.written(format)
    });
    let text = written.await;
    connection.shared.reclaim.count_freed(count * PROCESS_BYTES);
    match text {
        Some(text) => exposition_response(format, text),
        None => HandlerResponse::Error(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// How many times the daemon was replaced in place. `None`: the caller may not ask.
async fn generation(control: &ControlHandle, caller: &Caller) -> Option<u32> {
    let method = find_method("supervisord.getGeneration")?;
    match control.ask(caller, method, Request::Generation).await {
        Ok(Reply::Generation { generation, .. }) => Some(generation),
        _ => None,
    }
}

/// The number of open descriptors of this process. `None`: /proc is not mounted.
///
/// # Source
/// proc_pid_fd(5): since Linux 6.2 the size of the directory is that number.
fn open_fds() -> Option<u64> {
    const FDS: &str = "/proc/self/fd";
    match std::fs::metadata(FDS).ok()?.len() {
        0 => Some(std::fs::read_dir(FDS).ok()?.count() as u64),
        count => Some(count),
    }
}

/// The response with this text.
fn exposition_response(format: TextFormat, text: String) -> HandlerResponse {
    let headers = vec![(header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned())];
    custom_response(StatusCode::OK, format.content_type(), headers, text)
}

/// The head of that response. The length is not known without the text.
fn exposition_head(format: TextFormat) -> HandlerResponse {
    let mut answer = exposition_response(format, String::new());
    if let HandlerResponse::Made(made) = &mut answer {
        made.body = HttpBody::None(None);
    }
    answer
}

impl TextFormat {
    /// The format that a client accepts: OpenMetrics if it names it, as Prometheus does first.
    fn of(headers: &HeaderMap) -> Self {
        let accepts = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|kind| {
                let mut parts = kind.split(';').map(str::trim);
                parts.next() == Some("application/openmetrics-text")
                    && !parts.any(|part| {
                        part.strip_prefix("q=")
                            .and_then(|q| q.trim().parse::<f32>().ok())
                            == Some(0.0)
                    })
            });
        if accepts {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_client_accepts() {
        let of = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a header"));
            TextFormat::of(&headers)
        };
        assert_eq!(TextFormat::of(&HeaderMap::new()), TextFormat::Text);
        for (accept, format) in [
            ("*/*", TextFormat::Text),
            ("text/plain;version=0.0.4", TextFormat::Text),
            (
                "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                TextFormat::OpenMetrics,
            ),
            (
                "text/plain, application/openmetrics-text; q=0",
                TextFormat::Text,
            ),
        ] {
            assert_eq!(of(accept), format, "{accept}");
        }
    }
}
