//! Writes lists of processes directly into the buffer of a response, as XML-RPC does.

use super::json::{ObjectWriter, push_number, push_text};
use super::process_query::Usages;
use crate::api::{ConfigView, ProcessView, TableColumns};
use crate::server::buffer_pool::PooledBuffer;
use crate::server::calls::process_members::{
    RenderScratch, write_config, write_details, write_process,
};
use crate::server::calls::process_usage::ProcessUsage;
use crate::server::http::connection::HttpConnection;

/// Number of objects that are written before other clients get their turn: about 100 µs.
const OBJECTS_PER_TURN: usize = 256;
/// Approximate size of one process, without its paths and texts.
const PROCESS_BYTES: usize = 500;
/// Approximate size of one configured process, without its command.
const CONFIG_BYTES: usize = 1000;

/// A list for a response.
pub(super) enum ProcessList {
    /// Processes with all members, and their use of CPU and memory if asked for.
    Processes(Vec<ProcessView>, Option<Usages>),
    /// Processes with some members.
    Table(Vec<ProcessView>, TableColumns),
    /// Configured processes.
    Configs(Vec<ConfigView>),
}

impl ProcessList {
    fn len(&self) -> usize {
        match self {
            Self::Processes(views, _) | Self::Table(views, _) => views.len(),
            Self::Configs(views) => views.len(),
        }
    }

    fn estimated_bytes(&self) -> usize {
        match self {
            Self::Processes(views, _) | Self::Table(views, _) => views.len() * PROCESS_BYTES,
            Self::Configs(views) => views
                .iter()
                .map(|view| CONFIG_BYTES + view.process.command.len())
                .sum(),
        }
    }

    fn write(&self, at: usize, scratch: &mut RenderScratch, out: &mut Vec<u8>) {
        match self {
            Self::Processes(views, usages) => {
                push_process(out, &views[at], usages.as_ref(), scratch)
            }
            Self::Table(views, columns) => {
                let mut object = ObjectWriter::new(out, Some(*columns));
                write_process(&views[at], scratch, &mut object);
                write_details(&views[at], scratch, &mut object);
                object.finish();
            }
            Self::Configs(views) => {
                let mut object = ObjectWriter::new(out, None);
                write_config(&views[at], &mut object);
                object.finish();
            }
        }
    }

    /// Writes the list into one buffer. Other clients get their turn in between.
    pub(super) async fn written(&self, connection: &HttpConnection) -> PooledBuffer {
        let pool = &connection.shared.reclaim;
        let mut buffer = pool.acquire_buffer(self.estimated_bytes());
        let mut scratch = RenderScratch::default();
        buffer.bytes.push(b'[');
        for at in 0..self.len() {
            if at > 0 {
                buffer.bytes.push(b',');
                if at.is_multiple_of(OBJECTS_PER_TURN) {
                    tokio::task::yield_now().await;
                }
            }
            self.write(at, &mut scratch, &mut buffer.bytes);
        }
        buffer.bytes.push(b']');
        buffer
    }
}

/// Appends one process with all members. `usages`: the use of CPU and memory, if asked for.
pub(super) fn push_process(
    out: &mut Vec<u8>,
    view: &ProcessView,
    usages: Option<&Usages>,
    scratch: &mut RenderScratch,
) {
    let mut object = ObjectWriter::new(out, None);
    write_process(view, scratch, &mut object);
    write_details(view, scratch, &mut object);
    if let Some(usages) = usages {
        object.member("usage", |out| match usages.get(&view.pid) {
            Some(usage) => push_usage(out, usage),
            None => out.extend_from_slice(b"null"),
        });
    }
    object.finish();
}

fn push_usage(out: &mut Vec<u8>, usage: &ProcessUsage) {
    let mut object = ObjectWriter::new(out, None);
    object.member("cpu_percent", |out| match usage.cpu_permille {
        Some(permille) => push_tenths(out, permille),
        None => out.extend_from_slice(b"null"),
    });
    object.member("cpu_milliseconds", |out| {
        push_unsigned(out, usage.cpu_millis)
    });
    object.member("memory_bytes", |out| push_unsigned(out, usage.memory));
    object.finish();
}

fn push_unsigned(out: &mut Vec<u8>, number: u64) {
    push_number(out, i64::try_from(number).unwrap_or(i64::MAX));
}

/// Appends tenths as a number with one digit after the point.
fn push_tenths(out: &mut Vec<u8>, tenths: u64) {
    push_unsigned(out, tenths / 10);
    out.push(b'.');
    push_unsigned(out, tenths % 10);
}

/// Appends names as an array.
pub(super) fn push_names<'a>(out: &mut Vec<u8>, names: impl Iterator<Item = &'a str>) {
    out.push(b'[');
    super::json::push_separated(out, names, push_text);
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::calls::process_members::tests::cat;

    #[test]
    fn a_process_has_its_use_if_asked_for() {
        let written = |usages: Option<&Usages>| {
            let mut out = Vec::new();
            push_process(&mut out, &cat(), usages, &mut RenderScratch::default());
            serde_json::from_slice::<serde_json::Value>(&out).expect("JSON")
        };
        let plain = written(None);
        assert_eq!(plain["name"], "cat");
        assert_eq!(plain["statename"], "RUNNING");
        assert_eq!(plain["health"], "none");
        assert!(plain.get("usage").is_none());
        let usage = ProcessUsage {
            cpu_permille: Some(123),
            cpu_millis: 4500,
            memory: 1 << 20,
            tree_permille: Some(123),
            tree_memory: 1 << 20,
        };
        let with = written(Some(&[(7, usage)].into()));
        assert_eq!(with["usage"]["cpu_percent"], 12.3);
        assert_eq!(with["usage"]["cpu_milliseconds"], 4500);
        assert_eq!(with["usage"]["memory_bytes"], 1 << 20);
        assert!(written(Some(&Usages::new()))["usage"].is_null());
    }
}
