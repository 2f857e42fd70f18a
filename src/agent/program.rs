//! The program `supervisord-agent`: refuses privileges, and serves the daemon on its standard input.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::sys::socket::{SockType, getsockopt, sockopt};
use nix::unistd::getresuid;

use super::find::NAME;
use super::{command_line, serve};
use crate::sys;

/// Exit status of a program that was started in a wrong way.
const MISUSED: u8 = 2;
/// Maximum number of threads that look up names of hosts.
const LOOKUPS_MAX: usize = 4;

/// Runs the agent with its arguments, the program's name first. Status 0: the daemon closed the connection. 1: the
/// connection failed. 2: it was started in a wrong way.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    if let Err(status) = command_line::parse(args) {
        return ExitCode::from(status);
    }
    let fail = |status: u8, reason: &str| {
        eprintln!("{NAME}: {reason}");
        ExitCode::from(status)
    };
    if let Err(reason) = refuse_privileges() {
        return fail(MISUSED, &reason);
    }
    let socket = match own_socket() {
        Ok(socket) => socket,
        Err(reason) => return fail(MISUSED, &reason),
    };
    match serve_on(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &format!("the connection to supervisord failed: {error}")),
    }
}

/// Checks that a hostile server gains nothing from this process, and keeps other processes of its user from tracing it: it
/// knows passwords.
fn refuse_privileges() -> Result<(), String> {
    let ids = getresuid().map_err(|error| format!("cannot read its user: {error}"))?;
    if [ids.real, ids.effective, ids.saved]
        .iter()
        .any(|id| id.is_root())
    {
        return Err("it must not run as root (supervisord starts it as nobody)".to_owned());
    }
    let held = sys::held_capabilities()
        .map_err(|error| format!("cannot read its capabilities: {error}"))?;
    if !held.is_none() {
        return Err("it must not have capabilities (supervisord starts it without any)".to_owned());
    }
    nix::sys::prctl::set_dumpable(false)
        .map_err(|error| format!("cannot forbid other processes to trace it: {error}"))
}

/// The stream socket on descriptor 0.
fn own_socket() -> Result<UnixStream, String> {
    let stdin = io::stdin();
    match getsockopt(&stdin.as_fd(), sockopt::SockType) {
        Ok(SockType::Stream) => {}
        _ => {
            return Err(
                "descriptor 0 is not a stream socket (supervisord starts this program)".to_owned(),
            );
        }
    }
    let socket = stdin.as_fd().try_clone_to_owned();
    let socket = socket.map_err(|error| format!("cannot copy descriptor 0: {error}"))?;
    Ok(UnixStream::from(socket))
}

fn serve_on(socket: UnixStream) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(LOOKUPS_MAX)
        .build()?;
    let result = runtime.block_on(async {
        let socket = tokio::net::UnixStream::from_std(socket)?;
        serve::serve(socket).await
    });
    // A look-up of a name may hang for a while; nobody waits for it.
    runtime.shutdown_background();
    result
}
