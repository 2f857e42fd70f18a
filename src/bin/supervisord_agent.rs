//! The program `supervisord-agent`, which is also `supervisord-hub`: calls [`supervisord::hub::run_if_named`] or
//! [`supervisord::agent::run`] with its arguments and exits with the result.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisord::sys::use_builtin_services();
    let args: Vec<String> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    supervisord::hub::run_if_named(&args).unwrap_or_else(|| supervisord::agent::run(&args))
}
