//! Jobs on files, which may block for as long as their file system does.
//!
//! A job owns everything it works on, so the reactor goes on without it: the streams of one instance, or the activity
//! log, or paths. `reactor/finish.rs` applies its result under the reactor's lock.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use super::Activity;
use super::activity_queue::{Order, carry_out};
use super::closed_logs::ClosedLogs;
use super::instance_io::{Pipes, Streams, index};
use super::log_file;
use super::open_streams::{self, Opening, Published};
use super::output_state::AdoptedStreams;
use super::pipe_reads::READ_BYTES;
use super::read_buffer::ReadBuffer;
use super::stream::{Part, Stream};
use crate::api::Ticket;
use crate::domain::{Channel, Errno, InstanceId, Line, LogPaths};
use crate::fd_holder::FdStore;
use crate::sys;

/// A job on the streams of one instance.
#[derive(Debug)]
pub(super) enum StreamAct {
    /// Read one chunk from this pipe and write it to the log.
    Read(Channel),
    /// Increase the capacity of this pipe.
    Grow(Channel),
    /// Write the bytes that wait for a slow reader.
    Flush(Channel),
    /// The pipe has ended: write the bytes that the capture scanner holds.
    WriteRest(Channel),
    /// Open the streams of a new instance.
    Open(Box<Opening>),
    /// Open the streams of an instance that a previous daemon started.
    Adopt(Box<AdoptedStreams>),
    /// Rotate the log, which takes long, then continue with the chunk that was read.
    Rotate(LongRotation),
    /// Remove the logs and open them again by name, for this request.
    Clear(Ticket),
    /// Close the logs and open them again by name.
    Reopen,
    /// Close the logs.
    Close,
}

/// A rotation that another thread than the owner of the reactor does.
#[derive(Debug, Clone, Copy)]
pub(super) struct LongRotation {
    pub(super) channel: Channel,
    /// The device (`st_dev`) of the log.
    pub(super) device: u64,
    /// The result of the read that filled the log.
    pub(super) result: nix::Result<usize>,
}

/// One job.
#[derive(Debug)]
pub(super) enum OutputJob {
    Streams {
        place: u32,
        instance: InstanceId,
        streams: Streams,
        pipes: Pipes,
        /// The daemon's end of standard input, if it is to be stored for the next daemon.
        stdin: Option<Arc<OwnedFd>>,
        act: StreamAct,
    },
    Activity(Box<Activity>, VecDeque<Order>),
    CreateLogs(Vec<Arc<Path>>),
    /// Delete backups that have no name any more, by closing them.
    Delete(Vec<OwnedFd>),
    /// Compress and remove closed files.
    Tidy(ClosedLogs),
    /// Remove the logs of a slot without an instance.
    RemoveLogs(Ticket, LogPaths),
}

/// The settings that a job needs from the reactor.
#[derive(Debug, Clone)]
pub(super) struct JobSettings {
    pub(super) strip_ansi: bool,
    /// Maximum size of one read, in bytes.
    pub(super) read_bytes: usize,
    /// Whether another thread will delete replaced backups.
    pub(super) leaves_deletion: bool,
    pub(super) fd_store: Option<Arc<FdStore>>,
}

/// The result of a job.
#[derive(Debug)]
pub(super) struct OutputJobDone {
    pub(super) result: OutputJobOutcome,
    /// Lines for the activity log.
    pub(super) lines: Vec<Line>,
    /// Replaced backups for [`OutputJob::Delete`].
    pub(super) replaced: Vec<OwnedFd>,
    /// Logs with closed files for [`OutputJob::Tidy`].
    pub(super) closed: Vec<ClosedLogs>,
}

/// The result of each kind of [`OutputJob`].
#[derive(Debug)]
pub(super) enum OutputJobOutcome {
    Streams {
        place: u32,
        streams: Streams,
        then: NextStep,
    },
    Activity(Box<Activity>, Vec<(Ticket, Result<(), Errno>)>),
    CreatedLogs,
    Deleted,
    Tidied,
    RemovedLogs(Ticket, Result<(), Errno>),
}

/// The result of a [`StreamAct`].
#[derive(Debug)]
pub(super) enum NextStep {
    /// The result of the read (bytes), and the parts of the chunk, if it has any.
    Read(Channel, nix::Result<usize>, Option<Vec<Part>>),
    /// The new capacity of the pipe in bytes. `None`: it cannot grow.
    Grown(Channel, Option<usize>),
    Flushed,
    WroteRest(Channel, Vec<Part>),
    Rotated(LongRotation),
    Opened(Box<Opening>, Result<(), Errno>),
    /// The recovered bytes of each stream, which are to be published.
    Adopted(Published),
    Cleared(Ticket, Result<(), Errno>),
    Reopened,
    Closed,
}

impl OutputJob {
    /// Does the job. May block.
    pub(super) fn run(self, read_buffer: &mut ReadBuffer, settings: &JobSettings) -> OutputJobDone {
        let mut lines = Vec::new();
        let mut replaced = Vec::new();
        let mut closed = Vec::new();
        let result = match self {
            Self::Streams {
                place,
                instance,
                mut streams,
                pipes,
                stdin,
                act,
            } => {
                let context = ActContext {
                    instance,
                    streams: &mut streams,
                    pipes: &pipes,
                    stdin,
                    read_buffer,
                    settings,
                    lines: &mut lines,
                };
                let then = context.perform(act);
                for stream in streams.iter_mut().flatten() {
                    replaced.extend(stream.sinks.take_replaced());
                    closed.extend(stream.sinks.take_closed());
                }
                if !settings.leaves_deletion {
                    // Closed after every job, so that backups beyond the configured number do not accumulate.
                    replaced.clear();
                }
                OutputJobOutcome::Streams {
                    place,
                    streams,
                    then,
                }
            }
            Self::Activity(mut activity, orders) => {
                let cleared = carry_out(&mut activity, orders);
                closed.extend(activity.take_closed());
                OutputJobOutcome::Activity(activity, cleared)
            }
            Self::CreateLogs(paths) => {
                for path in paths {
                    if let Err(error) = log_file::create_private(&path) {
                        lines.push(Line::CannotCreateLog {
                            path: path.display().to_string(),
                            error,
                        });
                    }
                }
                OutputJobOutcome::CreatedLogs
            }
            Self::Delete(replaced) => {
                drop(replaced);
                OutputJobOutcome::Deleted
            }
            Self::Tidy(closed) => {
                closed.tidy(&mut lines);
                OutputJobOutcome::Tidied
            }
            Self::RemoveLogs(ticket, logs) => {
                let mut result = Ok(());
                for path in [&logs.stdout, &logs.stderr].into_iter().flatten() {
                    result = result.and(log_file::remove(path));
                }
                OutputJobOutcome::RemovedLogs(ticket, result)
            }
        };
        OutputJobDone {
            result,
            lines,
            replaced,
            closed,
        }
    }
}

impl StreamAct {
    /// The stream whose log this job touches. `None`: both.
    pub(super) const fn channel(&self) -> Option<Channel> {
        match self {
            Self::Read(channel)
            | Self::Grow(channel)
            | Self::Flush(channel)
            | Self::WriteRest(channel) => Some(*channel),
            Self::Rotate(rotation) => Some(rotation.channel),
            Self::Open(_) | Self::Adopt(_) | Self::Clear(..) | Self::Reopen | Self::Close => None,
        }
    }
}

/// The instance that a [`StreamAct`] is performed on, and what it needs.
struct ActContext<'a> {
    instance: InstanceId,
    streams: &'a mut Streams,
    pipes: &'a Pipes,
    stdin: Option<Arc<OwnedFd>>,
    read_buffer: &'a mut ReadBuffer,
    settings: &'a JobSettings,
    /// Lines for the activity log.
    lines: &'a mut Vec<Line>,
}

impl ActContext<'_> {
    fn perform(mut self, act: StreamAct) -> NextStep {
        match act {
            StreamAct::Read(channel) => self.read(channel),
            StreamAct::Grow(channel) => {
                let pipe = self.pipes[index(channel)].as_ref();
                let grown = pipe.map(|pipe| sys::grow_pipe(pipe, READ_BYTES));
                NextStep::Grown(channel, grown.and_then(Result::ok))
            }
            StreamAct::Flush(channel) => {
                if let Some(stream) = &mut self.streams[index(channel)] {
                    stream.sinks.flush(self.lines);
                }
                NextStep::Flushed
            }
            StreamAct::WriteRest(channel) => self.write_rest(channel),
            StreamAct::Open(opening) => self.open(opening),
            StreamAct::Adopt(adoption) => self.adopt(*adoption),
            StreamAct::Rotate(rotation) => self.rotate(rotation),
            StreamAct::Clear(ticket) => {
                let mut result = Ok(());
                for stream in self.streams.iter_mut().flatten() {
                    result = result.and(stream.clear(self.lines));
                }
                NextStep::Cleared(ticket, result)
            }
            StreamAct::Reopen => {
                for stream in self.streams.iter_mut().flatten() {
                    stream.sinks.reopen(self.lines);
                }
                NextStep::Reopened
            }
            StreamAct::Close => {
                for stream in self.streams.iter_mut().flatten() {
                    stream.sinks.close(self.lines);
                }
                self.remove_stored();
                NextStep::Closed
            }
        }
    }

    fn read(&mut self, channel: Channel) -> NextStep {
        let stream = &mut self.streams[index(channel)];
        let (result, parts) = match (stream, &self.pipes[index(channel)]) {
            (Some(stream), Some(pipe)) => {
                read_chunk(stream, pipe, self.read_buffer, self.settings, self.lines)
            }
            _ => (Ok(0), None),
        };
        NextStep::Read(channel, result, parts)
    }

    fn write_rest(&mut self, channel: Channel) -> NextStep {
        let stream = self.streams[index(channel)].as_mut();
        let parts = stream.map(|stream| {
            let parts = stream.write_rest(self.settings.strip_ansi, self.lines);
            stream.sinks.rotate_now(self.lines);
            parts
        });
        NextStep::WroteRest(channel, parts.unwrap_or_default())
    }

    fn open(&mut self, opening: Box<Opening>) -> NextStep {
        let opened = open(self.instance, &opening, self.lines);
        let result = opened.map(|made| *self.streams = made);
        if result.is_ok() {
            // Before the process exists: its output must survive a death of the daemon at any time.
            self.store_pipes();
        }
        NextStep::Opened(opening, result)
    }

    fn adopt(&mut self, adoption: AdoptedStreams) -> NextStep {
        let strip = self.settings.strip_ansi;
        let published;
        (*self.streams, published) = open_streams::adopt(adoption, self.pipes, strip, self.lines);
        self.store_pipes();
        NextStep::Adopted(published)
    }

    fn rotate(&mut self, rotation: LongRotation) -> NextStep {
        if let Some(stream) = &mut self.streams[index(rotation.channel)] {
            stream.sinks.rotate_now(self.lines);
            // Deletes the backup at once; nobody waits for this thread.
            drop(stream.sinks.take_replaced());
        }
        NextStep::Rotated(rotation)
    }

    /// Stores the daemon's ends of the instance's pipes for the next daemon.
    fn store_pipes(&mut self) {
        if let Some(fd_store) = &self.settings.fd_store {
            let [stdout, stderr] = self.pipes.clone();
            let pipes = [self.stdin.take(), stdout, stderr];
            self.lines
                .extend(fd_store.store_pipes(self.instance, pipes));
        }
    }

    /// Removes the stored descriptors of an instance that has ended.
    fn remove_stored(&mut self) {
        if let Some(fd_store) = &self.settings.fd_store {
            let removed = fd_store.remove_instance(self.instance.incarnation);
            self.lines.extend(removed);
        }
    }
}

/// Reads one chunk from `pipe` and writes it to the log. Returns the result of the read, and the parts of the chunk.
fn read_chunk(
    stream: &mut Stream,
    pipe: &OwnedFd,
    read_buffer: &mut ReadBuffer,
    settings: &JobSettings,
    lines: &mut Vec<Line>,
) -> (nix::Result<usize>, Option<Vec<Part>>) {
    let strip = settings.strip_ansi;
    stream.sinks.prepare(sys::now(), lines);
    let result = read_buffer.read(pipe, settings.read_bytes, || stream.entry(strip));
    let parts = match result {
        Ok(count) if count > 0 => stream.write(read_buffer.data(count), strip, lines),
        _ => None,
    };
    (result, parts)
}

/// Opens the streams of a new instance. A failed early attempt logs nothing, because another one follows.
fn open(instance: InstanceId, opening: &Opening, lines: &mut Vec<Line>) -> Result<Streams, Errno> {
    let mut told = Vec::new();
    let result = open_streams::open(instance, opening, &mut told);
    if result.is_ok() || !opening.is_early {
        lines.append(&mut told);
    }
    result
}
