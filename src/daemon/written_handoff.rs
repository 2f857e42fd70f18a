//! The handoff to another image of the daemon in the same process: the written state, the question whether the new
//! program can take over, the exec, and the reading after it. The process stays the same, so programs stay its
//! children.
//!
//! A sealed memory file contains the state; an environment variable contains its descriptor number. Other descriptors
//! stay open across exec, and the state contains their numbers.

use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use crate::cli::options;
use crate::config::spec::Config;
use crate::core::{Fleet, Snapshot};
use crate::domain::{FdName, VERSION};
use crate::engine::{EngineState, PassedSocket, SocketFileName};
use crate::fd_holder::FdStore;
use crate::sys::{self, Limit, NamedFds, Resource};

/// The option that asks a program whether it can take over the state on its standard input. A program that does not
/// know the option exits with an error, which counts as a refusal.
pub(super) const QUESTION: &str = "--approve-handover";
/// The environment variable with the descriptor number of the memory file.
const VARIABLE: &str = "SUPERVISORD_HANDOVER";
/// The format version of the state. A program with another version refuses.
const FORMAT: u32 = 1;
/// The output of a program that can take over.
const AGREED: &str = "agreed";
/// How long a program may examine the state.
const EXAMINE_WITHIN: Duration = Duration::from_secs(20);
/// Maximum length of its output in bytes.
const ANSWER_BYTES: usize = 4096;
/// Maximum number of characters of its output that are shown.
const REASON_CHARS_MAX: usize = 300;
/// Maximum size of the state in bytes. A thousand programs take one or two million.
pub(super) const STATE_BYTES_MAX: u64 = 1 << 30;

/// What an image hands over to the next one, or to itself if the exec failed.
pub(super) struct Handoff {
    /// The configuration that the run started with, even if another one was read since.
    pub(super) config: Arc<Config>,
    /// Limits for programs, as determined by the first image.
    pub(super) limits: Vec<(Resource, Limit)>,
    /// The working directory of the first image.
    pub(super) cwd: String,
    pub(super) engine: EngineState,
    pub(super) descriptors: NamedFds,
    /// Listening sockets that the service manager passed.
    pub(super) passed: Vec<PassedSocket>,
    /// Listening sockets that the daemon opened.
    pub(super) own: Vec<PassedSocket>,
    /// Why this image continues although it had handed over. `None`: another image or daemon continues.
    pub(super) failed: Option<String>,
}

/// A [`Handoff`] in its written form.
#[derive(Serialize, Deserialize)]
struct WrittenHandoff<L = EngineState> {
    format: u32,
    pid: u32,
    config: Arc<Config>,
    limits: Vec<(Resource, Limit)>,
    cwd: String,
    #[serde(rename = "legacy")]
    engine_state: L,
    /// Listening sockets. Those that the service manager passed come first.
    servers: Vec<WrittenServer>,
    passed: usize,
    numbers: Vec<(String, i32)>,
}

#[derive(Serialize, Deserialize)]
struct WrittenServer {
    name: String,
    file: Option<SocketFileName>,
}

/// The state that another program examines before there is a handoff.
#[derive(Serialize, Deserialize)]
struct WrittenState<S = Snapshot> {
    format: u32,
    /// `None`: the same as in the snapshot, which saves most of the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<Arc<Config>>,
    snapshot: S,
}

/// Returns the path of the program that this image was started from.
///
/// # Errors
/// /proc is not mounted.
pub(super) fn own_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// Asks `program` whether it can take over.
pub(super) fn ask_successor(
    program: &Path,
    config: &Arc<Config>,
    snapshot: &Snapshot,
) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", program.display());
    // Include the configuration, since versions before 5.1 require it.
    let state = write_question(Some(config), snapshot).map_err(|error| said(&error))?;
    let mut command = Command::new(program);
    command
        .arg(QUESTION)
        .args(std::env::args_os().skip(1))
        // The program must only answer, and must not contact the service manager.
        .env_remove(VARIABLE)
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC");
    let answer = sys::output_of(
        &mut command,
        Stdio::from(state),
        ANSWER_BYTES,
        EXAMINE_WITHIN,
    )
    .map_err(|error| said(&error))?;
    let answer = String::from_utf8_lossy(&answer);
    match answer.trim() {
        AGREED => Ok(()),
        "" => Err(said(&"it cannot adopt the processes")),
        other => Err(said(&in_a_line(other))),
    }
}

/// Returns the output of a program in a form that is safe for the log and a terminal.
fn in_a_line(text: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(REASON_CHARS_MAX).map(plain).collect()
}

/// The other side of [`ask_successor`]: examines the state on standard input and prints whether this program could
/// continue from it.
pub(super) fn answer_predecessor(arguments: &[String], machine: &Machine) -> ExitCode {
    match check_state(arguments, machine) {
        Ok(()) => {
            println!("{AGREED}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            println!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn check_state(arguments: &[String], machine: &Machine) -> Result<(), String> {
    options::parse_options(arguments, machine)?;
    let (_config, snapshot) = read_state(&std::io::stdin())?;
    let _fleet = Fleet::restore(snapshot, sys::now());
    Ok(())
}

/// Writes the handoff without descriptor numbers, which are invalid in another process.
pub(super) fn write(handoff: &Handoff) -> std::io::Result<OwnedFd> {
    written(handoff, Vec::new())
}

fn written(handoff: &Handoff, numbers: Vec<(String, i32)>) -> std::io::Result<OwnedFd> {
    let servers = handoff.passed.iter().chain(&handoff.own);
    let written = WrittenHandoff {
        format: FORMAT,
        pid: std::process::id(),
        config: handoff.config.clone(),
        limits: handoff.limits.clone(),
        cwd: handoff.cwd.clone(),
        engine_state: &handoff.engine,
        servers: servers
            .map(|server| WrittenServer {
                name: server.name.clone(),
                file: server.file.clone(),
            })
            .collect(),
        passed: handoff.passed.len(),
        numbers,
    };
    sys::sealed_memory("supervisord-handover", &serde_json::to_vec(&written)?)
}

/// Writes the state of the core. Called when groups have changed.
pub(super) fn write_state(config: &Arc<Config>, snapshot: &Snapshot) -> std::io::Result<OwnedFd> {
    let is_other = !Arc::ptr_eq(config, snapshot.last_read());
    write_question(is_other.then_some(config), snapshot)
}

fn write_question(config: Option<&Arc<Config>>, snapshot: &Snapshot) -> std::io::Result<OwnedFd> {
    let question = WrittenState {
        format: FORMAT,
        config: config.cloned(),
        snapshot,
    };
    sys::sealed_memory("supervisord-state", &serde_json::to_vec(&question)?)
}

/// Reads what [`write_state`] wrote.
pub(super) fn read_state(state: &impl AsFd) -> Result<(Arc<Config>, Snapshot), String> {
    let bytes = sys::read_sealed(state, STATE_BYTES_MAX)
        .map_err(|error| format!("cannot read the state: {error}"))?;
    let question: WrittenState =
        serde_json::from_slice(&bytes).map_err(|error| format!("unknown state: {error}"))?;
    if question.format == FORMAT {
        let snapshot = question.snapshot;
        let config = question.config;
        let config = config.unwrap_or_else(|| Arc::clone(snapshot.last_read()));
        Ok((config, snapshot))
    } else {
        Err(format!(
            "version {VERSION} reads state format {FORMAT}, this state has format {}",
            question.format
        ))
    }
}

/// Reads what [`write()`] wrote. Returns a function that builds the handoff from the descriptors stored with it.
pub(super) fn read(state: &impl AsFd) -> Result<impl FnOnce(NamedFds) -> Handoff, String> {
    let bytes = sys::read_sealed(state, STATE_BYTES_MAX)
        .map_err(|error| format!("cannot read the state of the previous daemon: {error}"))?;
    let written: WrittenHandoff = serde_json::from_slice(&bytes)
        .map_err(|error| format!("cannot parse the state of the previous daemon: {error}"))?;
    if written.format != FORMAT {
        return Err(format!(
            "version {VERSION} reads state format {FORMAT}, this state has format {}",
            written.format
        ));
    }
    Ok(move |descriptors| into_handoff(written, descriptors))
}

/// Replaces this image by `program`. Returns only if that fails, with the reason; then everything is as before.
pub(super) fn replace(program: &Path, handoff: &Handoff, fd_store: Option<&FdStore>) -> String {
    let fail = |error: &dyn std::fmt::Display| format!("{}: {error}", program.display());
    let by_name = handoff
        .descriptors
        .iter()
        .map(|(name, fd)| (name.clone(), fd.as_fd()));
    let listening = handoff
        .passed
        .iter()
        .chain(&handoff.own)
        .enumerate()
        .map(|(place, server)| (FdName::Server(place).name(), server.fd.as_fd()));
    let holder = fd_store.map(FdStore::client);
    let holder = holder
        .as_ref()
        .map(|holder| (FdName::Holder.name(), holder.as_fd()));
    let descriptors: Vec<(String, BorrowedFd<'_>)> =
        by_name.chain(listening).chain(holder).collect();
    let numbers = descriptors
        .iter()
        .map(|(name, fd)| (name.clone(), sys::raw_fd_number(fd)))
        .collect();
    let state = match written(handoff, numbers) {
        Ok(state) => state,
        Err(error) => return fail(&error),
    };
    let all = || {
        let descriptors = descriptors.iter().map(|(_, fd)| *fd);
        descriptors.chain([state.as_fd()])
    };
    let mut environment: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| name != VARIABLE)
        .collect();
    environment.push((
        VARIABLE.into(),
        sys::raw_fd_number(&state).to_string().into(),
    ));
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let error = match sys::set_inheritable(all(), true) {
        Ok(()) => sys::replace_image(program, &arguments, &environment),
        Err(error) => error,
    };
    // The descriptors are open, so this cannot fail.
    let _ = sys::set_inheritable(all(), false);
    fail(&error)
}

/// Reads the handoff of an earlier image of this process. `None`: this is the first image. It must be called before the
/// daemon opens descriptors.
///
/// # Errors
/// Why the handoff cannot be read.
pub(super) fn read_inherited() -> Result<Option<Handoff>, String> {
    let Some(number) = std::env::var_os(VARIABLE) else {
        return Ok(None);
    };
    let number = number.to_str().and_then(|text| text.parse().ok());
    let number: i32 = number.ok_or_else(|| format!("{VARIABLE} is not a number"))?;
    let bytes = sys::read_inherited(number, STATE_BYTES_MAX)
        .map_err(|error| format!("cannot read the state from before the re-execution: {error}"))?;
    let written: WrittenHandoff = serde_json::from_slice(&bytes)
        .map_err(|error| format!("cannot parse the state from before the re-execution: {error}"))?;
    if written.format != FORMAT || written.pid != std::process::id() {
        // For example a copy of the variable in the environment of another process.
        return Err(format!("{VARIABLE} is not for this process"));
    }
    let descriptors = sys::take_inherited(&written.numbers)
        .map_err(|error| format!("cannot use the inherited file descriptors: {error}"))?;
    Ok(Some(into_handoff(written, descriptors)))
}

fn into_handoff(written: WrittenHandoff, mut descriptors: NamedFds) -> Handoff {
    let mut passed = Vec::new();
    for (place, server) in written.servers.into_iter().enumerate() {
        if let Some(fd) = descriptors.remove(&FdName::Server(place).name()) {
            let WrittenServer { name, file } = server;
            passed.push(PassedSocket { fd, name, file });
        }
    }
    let own = passed.split_off(written.passed.min(passed.len()));
    Handoff {
        config: written.config,
        limits: written.limits,
        cwd: written.cwd,
        engine: written.engine_state,
        descriptors,
        passed,
        own,
        failed: None,
    }
}
