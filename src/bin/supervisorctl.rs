//! The program `supervisorctl`: calls [`supervisord::ctl::run`] with its arguments and exits with the result.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisord::sys::use_builtin_services();
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    ExitCode::from(supervisord::ctl::run(&arguments))
}
