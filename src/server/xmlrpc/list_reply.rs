//! Lists that are written directly into the response, without a tree of values.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::api::{ConfigView, ListResponse, ProcessView, TableColumns, TableWriter};
use crate::server::calls::process_members::{
    RenderScratch, write_config, write_process, write_row,
};

/// Approximate size of one process's struct on the wire, without its variable-length members.
const PROCESS_BYTES: usize = 1100;
/// Approximate size of one process's row in a table with few columns.
const ROW_BYTES: usize = 100;
/// Approximate size of one configured process's struct on the wire, without its variable-length members.
const CONFIG_BYTES: usize = 2300;

/// A list that is written directly into the response, without a tree of values.
pub(super) enum ListReply {
    /// All processes.
    Processes(Vec<ProcessView>),
    /// All configured processes.
    Configs(Vec<ConfigView>),
    /// Processes, as a table of text.
    Table(Vec<ProcessView>, TableColumns),
}

/// A [`ListReply`] with the response that it is being written to.
pub(in crate::server) enum ListWriter<'a> {
    Processes(&'a [ProcessView], ListResponse),
    Configs(&'a [ConfigView], ListResponse),
    Table(&'a [ProcessView], TableWriter),
}

impl ListWriter<'_> {
    /// Writes the processes in `range`.
    pub(in crate::server) fn write(&mut self, range: Range<usize>, scratch: &mut RenderScratch) {
        match self {
            Self::Processes(views, response) => {
                for view in &views[range] {
                    response.push_struct(|members| write_process(view, scratch, members));
                }
            }
            Self::Configs(views, response) => {
                for view in &views[range] {
                    response.push_struct(|members| write_config(view, members));
                }
            }
            Self::Table(views, table) => {
                for view in &views[range] {
                    write_row(table, view, scratch);
                }
            }
        }
    }

    /// Finishes the response.
    pub(in crate::server) fn finish(self) -> Vec<u8> {
        match self {
            Self::Processes(_, response) | Self::Configs(_, response) => response.finish(),
            Self::Table(_, table) => table.finish(),
        }
    }
}

impl ListReply {
    /// Starts the response in `buffer`.
    pub(in crate::server) fn start_response(&self, buffer: Vec<u8>) -> ListWriter<'_> {
        match self {
            Self::Processes(views) => ListWriter::Processes(views, ListResponse::new(buffer)),
            Self::Configs(views) => ListWriter::Configs(views, ListResponse::new(buffer)),
            Self::Table(views, columns) => {
                ListWriter::Table(views, TableWriter::response_table(buffer, *columns))
            }
        }
    }

    /// The number of processes in the list.
    pub(in crate::server) fn len(&self) -> usize {
        match self {
            Self::Processes(views) | Self::Table(views, _) => views.len(),
            Self::Configs(views) => views.len(),
        }
    }

    /// Approximate size of the response in bytes, estimated generously.
    pub(in crate::server) fn estimated_bytes(&self) -> usize {
        let path = |path: Option<&Arc<Path>>| path.map_or(0, |path| path.as_os_str().len());
        match self {
            Self::Processes(views) => views
                .iter()
                .map(|view| {
                    PROCESS_BYTES
                        + view.name.as_str().len()
                        + view.group.as_str().len()
                        + 2 * view.spawn_error.len()
                        + view.status_text.len()
                        + 2 * path(view.stdout_logfile.as_ref())
                        + path(view.stderr_logfile.as_ref())
                })
                .sum(),
            Self::Table(views, _) => views.len() * ROW_BYTES,
            Self::Configs(views) => views
                .iter()
                .map(|view| CONFIG_BYTES + view.process.command.len())
                .sum(),
        }
    }
}
