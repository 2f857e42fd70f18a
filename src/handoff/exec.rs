//! The upgrade in place: this image writes a handoff and executes the next one, which reads the handoff. The process
//! stays the same, so programs stay its children.
//!
//! A sealed memory file contains the handoff; an environment variable contains its descriptor number. Other descriptors
//! stay open across exec, and the handoff contains their numbers.

use std::ffi::OsString;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use super::state::Handoff;
use super::written::{FORMAT, STATE_BYTES_MAX, WrittenHandoff};
use crate::domain::FdName;
use crate::fd_holder::FdStore;
use crate::sys;

/// The environment variable with the descriptor number of the memory file.
pub(super) const VARIABLE: &str = "SUPERVISORD_HANDOVER";

/// Returns the path of the program that this image was started from.
///
/// # Errors
/// /proc is not mounted.
pub fn own_program() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// Replaces this image by `program`. Returns only if that fails, with the handoff and the reason; then everything is as
/// before.
#[must_use]
pub fn exec_successor(
    program: &Path,
    handoff: Handoff,
    fd_store: Option<&FdStore>,
) -> (Handoff, String) {
    let (mut written, fds) = WrittenHandoff::of(handoff);
    let holder = fd_store.map(FdStore::client);
    let holder = holder
        .as_ref()
        .map(|holder| (FdName::Holder.name(), holder.as_fd()));
    let by_name = fds.iter().map(|(name, fd)| (name.clone(), fd.as_fd()));
    let all: Vec<(String, BorrowedFd<'_>)> = by_name.chain(holder).collect();
    let number = |(name, fd): &(String, BorrowedFd<'_>)| (name.clone(), sys::raw_fd_number(fd));
    written.set_numbers(all.iter().map(number).collect());
    let inherited: Vec<BorrowedFd<'_>> = all.iter().map(|(_, fd)| *fd).collect();
    let error = exec(program, &written, &inherited);
    let reason = format!("{}: {error}", program.display());
    drop(all);
    (written.into_handoff(fds), reason)
}

/// Executes `program`. Returns why that failed.
fn exec(
    program: &Path,
    written: &WrittenHandoff,
    descriptors: &[BorrowedFd<'_>],
) -> std::io::Error {
    let memory = match written.to_memory() {
        Ok(memory) => memory,
        Err(error) => return error,
    };
    let inherited = || descriptors.iter().copied().chain([memory.as_fd()]);
    let mut environment: Vec<(OsString, OsString)> = std::env::vars_os()
        .filter(|(name, _)| name != VARIABLE)
        .collect();
    environment.push((
        VARIABLE.into(),
        sys::raw_fd_number(&memory).to_string().into(),
    ));
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let error = match sys::set_inheritable(inherited(), true) {
        Ok(()) => sys::replace_image(program, &arguments, &environment),
        Err(error) => error,
    };
    // The descriptors are open, so this cannot fail.
    let _ = sys::set_inheritable(inherited(), false);
    error
}

/// Reads the handoff of an earlier image of this process. `None`: this is the first image. It must be called before the
/// daemon opens descriptors.
///
/// # Errors
/// Why the handoff cannot be read.
pub fn read_inherited() -> Result<Option<Handoff>, String> {
    let Some(number) = std::env::var_os(VARIABLE) else {
        return Ok(None);
    };
    let number = number.to_str().and_then(|text| text.parse().ok());
    let number: i32 = number.ok_or_else(|| format!("{VARIABLE} is not a number"))?;
    let bytes = sys::read_inherited(number, STATE_BYTES_MAX)
        .map_err(|error| format!("cannot read the state from before the re-execution: {error}"))?;
    let written = WrittenHandoff::parse(&bytes)
        .map_err(|error| format!("cannot parse the state from before the re-execution: {error}"))?;
    if written.format() != FORMAT || !written.is_of_this_process() {
        // For example a copy of the variable in the environment of another process.
        return Err(format!("{VARIABLE} is not for this process"));
    }
    let fds = sys::take_inherited(written.numbers())
        .map_err(|error| format!("cannot use the inherited file descriptors: {error}"))?;
    Ok(Some(written.into_handoff(fds)))
}
