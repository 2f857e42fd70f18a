//! `supervisorctl`: arguments → [`supervisord::ctl::run`] → exit status; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervisord::sys::use_builtin_services();
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    ExitCode::from(supervisord::ctl::run(&arguments))
}
