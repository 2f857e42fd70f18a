//! How the streams of a life come to be: pipes made, logs opened, a place in the reactor's table. It must not know what is
//! read from them.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use super::entries::Entries;
use super::file::Rules;
use super::handover;
use super::reactor::Reactor;
use super::run::{GENERATIONS, Run, index};
use super::sink::Sink;
use super::stdin::Stdin;
use super::stream::Stream;
use crate::config::spec::{LogSpec, LogTarget, ProcessKind, ProcessSpec};
use crate::domain::{Channel, Errno, Heirloom, Life, LogPaths, SpawnError};
use crate::sys::ChildEnds;
use crate::sys::place::errno;

impl Reactor {
    /// Makes pipes and opens logs. Whatever fails, what was made before is closed on the way out.
    pub(super) fn prepare(
        &mut self,
        life: Life,
        spec: &Arc<ProcessSpec>,
        paths: &LogPaths,
    ) -> Result<ChildEnds, Errno> {
        if let Some(&place) = self.places.get(&life) {
            self.discard(place);
        }
        let (stdin, stdin_theirs) = match spec.kind {
            // The socket of its program takes that place; writing to it is told as the original tells it: closed.
            ProcessKind::Fcgi(_) => (Stdin::closed(), None),
            ProcessKind::Program | ProcessKind::Listener => {
                let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).map_err(errno)?;
                not_blocking(&ours)?;
                (Stdin::new(ours), Some(theirs))
            }
        };
        let (stdout, stdout_theirs) = self.stream(life, spec, Channel::Stdout, paths)?;
        let (stderr, stderr_theirs) = if spec.redirect_stderr {
            (None, None)
        } else {
            let (stream, theirs) = self.stream(life, spec, Channel::Stderr, paths)?;
            (Some(stream), Some(theirs))
        };
        let place = self.seat(|generation| Run {
            life,
            generation,
            streams: [Some(stdout), stderr],
            reading: false,
            stdin,
            stdin_polled: false,
            draining: None,
        });
        // Before there is a process: what it writes is not lost whatever becomes of us.
        self.keep(place);
        Ok(ChildEnds {
            stdin: stdin_theirs,
            stdout: stdout_theirs,
            stderr: stderr_theirs,
            ready: None,
        })
    }

    fn stream(
        &mut self,
        life: Life,
        spec: &ProcessSpec,
        channel: Channel,
        paths: &LogPaths,
    ) -> Result<(Stream, OwnedFd), Errno> {
        let (ours, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(errno)?;
        not_blocking(&ours)?;
        let mut lines = Vec::new();
        let sink = rules(spec, channel, paths)
            .map(|rules| Sink::open(spec.name.clone(), channel, rules, &mut lines));
        if let Some(Ok(sink)) = &sink
            && sink.cannot_rotate()
            && self.told.insert((life.slot, channel == Channel::Stderr))
        {
            lines.push(sink.not_rotated());
        }
        self.shared.log_all(lines);
        let stream = assembled(life, spec, channel, Some(ours), sink.transpose()?);
        Ok((stream, theirs))
    }

    /// Keeps the ends of a life's pipes for a successor.
    pub(super) fn keep(&mut self, place: u32) {
        if self.shared.vault.is_none() {
            return;
        }
        let Some(run) = &self.runs[place as usize] else {
            return;
        };
        for channel in [Channel::Stdout, Channel::Stderr] {
            let stream = run.streams[index(channel)].as_ref();
            if let Some(pipe) = stream.and_then(Stream::pipe_fd) {
                self.shared.keep(handover::pipe(run.life, channel), pipe);
            }
        }
        if let Some(end) = run.stdin.fd() {
            self.shared.keep(Heirloom::Stdin(run.life), end);
        }
    }

    /// Gives a life its place in the table.
    pub(super) fn seat(&mut self, run: impl FnOnce(u32) -> Run) -> u32 {
        self.generation = (self.generation + 1) % GENERATIONS;
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.runs.push(None);
                // Lives are bounded by descriptors, which are counted in 31 bits.
                u32::try_from(self.runs.len() - 1).unwrap_or(u32::MAX)
            }
        };
        let run = run(self.generation);
        self.places.insert(run.life, place);
        self.runs[place as usize] = Some(run);
        place
    }
}

fn not_blocking(fd: &OwnedFd) -> Result<(), Errno> {
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map(drop)
        .map_err(errno)
}

pub(super) fn spawn_error(spec: &ProcessSpec, error: Errno) -> SpawnError {
    let name = spec.name.as_str().to_owned();
    if error.0 == nix::errno::Errno::EMFILE as i32 {
        SpawnError::TooManyFiles { name }
    } else {
        SpawnError::Dispatchers { name, errno: error }
    }
}

/// How the log of a stream is to be written; none: it has no file.
pub(super) fn rules(spec: &ProcessSpec, channel: Channel, paths: &LogPaths) -> Option<Rules> {
    let (log, path) = match channel {
        Channel::Stdout => (&spec.stdout, &paths.stdout),
        Channel::Stderr => (&spec.stderr, &paths.stderr),
    };
    path.as_ref().map(|path| Rules {
        path: path.clone(),
        maxbytes: log.maxbytes,
        backups: log.backups,
        private: log.target == LogTarget::Auto,
    })
}

/// A stream as the configuration wants it.
pub(super) fn assembled(
    life: Life,
    spec: &ProcessSpec,
    channel: Channel,
    pipe: Option<OwnedFd>,
    sink: Option<Sink>,
) -> Stream {
    let log: &LogSpec = match channel {
        Channel::Stdout => &spec.stdout,
        Channel::Stderr => &spec.stderr,
    };
    let stream = Stream::new(life, &spec.name, channel, log, pipe, sink);
    let stream = match log.journal {
        Some(journal) => stream.with_journal(Entries::new(life, spec, channel, journal)),
        None => stream,
    };
    match (&spec.kind, channel) {
        (ProcessKind::Listener, Channel::Stdout) => stream.of_listener(),
        (ProcessKind::Listener, Channel::Stderr)
        | (ProcessKind::Program | ProcessKind::Fcgi(_), _) => stream,
    }
}
