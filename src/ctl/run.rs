//! Runs `supervisorctl` from its arguments to its exit status.

use std::io::{IsTerminal, Write};

use super::client::RpcClient;
use super::error::CtlError;
use super::go_actions::ActionSet;
use super::options::{self, CtlCommandLine, CtlOptions};
use super::run_line::run_line;
use super::screen::Screen;
use super::session::CtlSession;
use super::{completion, exit, file, logs, shell, top};
use crate::cli::completion::CompletionRequest;
use crate::cli::subcommand::CtlArgs;

/// Runs the program and returns its exit status. The first argument is the program's name.
#[must_use]
pub fn run(arguments: &[String]) -> u8 {
    let (program, words) = match arguments.split_first() {
        Some((program, words)) => (program.as_str(), words),
        None => ("supervisorctl", [].as_slice()),
    };
    if let Some(question) = CompletionRequest::from_args(words) {
        // A completion request gets candidates or nothing, never an error.
        let answer = completion::complete_command_line(&question).to_string();
        let _ = std::io::stdout().write_all(answer.as_bytes());
        return 0;
    }
    let line = match CtlCommandLine::read(words) {
        Ok(line) => line,
        Err(text) => return usage_error(program, &text),
    };
    if line.wants_version() {
        let version = concat!("supervisorctl ", env!("CARGO_PKG_VERSION"), "\n");
        return print(version);
    }
    if line.wants_help() {
        let mut text = options::usage(program);
        if std::io::stdout().is_terminal() {
            text.push_str(&options::own_usage());
        }
        return print(&text);
    }
    match effective_options(program, line) {
        Ok(options) => act(&options),
        Err(status) => status,
    }
}

/// Prints a text that does not need the daemon, and returns the exit status.
fn print(text: &str) -> u8 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => 0,
        Err(_) => exit::GENERIC,
    }
}

/// Runs `supervisord ctl` and returns its exit status. `program`: the name of supervisord as it was called. There is no
/// shell, whose line editor would make the daemon's binary larger.
#[must_use]
pub fn run_subcommand(program: &str, args: CtlArgs) -> u8 {
    let line = CtlCommandLine::of_subcommand(args);
    if let Err(text) = line.check_url() {
        return usage_error(&format!("{program} ctl"), &text);
    }
    match effective_options(program, line) {
        Ok(options) => {
            let mut session = new_session(&options);
            let result = run_line(&mut session, ActionSet::Go, &line_of(&options.words));
            exit_status(result.map(|()| session.exit))
        }
        Err(status) => status,
    }
}

/// The options of the command line and of the configuration file. Prints warnings and errors of the file.
///
/// # Errors
/// The exit status.
fn effective_options(program: &str, line: CtlCommandLine) -> Result<CtlOptions, u8> {
    match file::read_ctl_section(&line, program) {
        Ok(section) => {
            for warning in &section.warnings {
                let _ = writeln!(std::io::stderr(), "Warning: {warning}");
            }
            Ok(line.over(section))
        }
        Err(errors) => {
            let status = usage_error(program, &errors.first);
            for problem in errors.all.iter().filter(|problem| problem.line > 0) {
                let _ = writeln!(std::io::stderr(), "{problem}");
            }
            Err(status)
        }
    }
}

fn usage_error(program: &str, text: &str) -> u8 {
    // Standard error may be closed; the exit status reports the error as well.
    let _ = write!(
        std::io::stderr(),
        "Error: {text}\nFor help, use {program} -h\n"
    );
    exit::INVALID_ARGUMENTS
}

fn new_session(options: &CtlOptions) -> CtlSession {
    let credentials = options.username.clone().zip(options.password.clone());
    let client = RpcClient::new(&options.url, credentials);
    let screen = Screen::of_streams(options.color);
    CtlSession::new(client, options.interactive, screen)
}

fn act(options: &CtlOptions) -> u8 {
    let mut session = new_session(options);
    session.show_top = Some(top::show_screen);
    let result = if options.words.is_empty() {
        shell::run(&mut session, &options.prompt, options.history.as_deref()).map(|()| 0)
    } else {
        run_line(
            &mut session,
            ActionSet::Supervisorctl,
            &line_of(&options.words),
        )
        .map(|()| session.exit)
    };
    exit_status(result)
}

/// The line of an action with its arguments.
fn line_of(words: &[String]) -> String {
    let action = words.first();
    let action = action.and_then(|word| ActionSet::Supervisorctl.find_action(word));
    match action.is_some_and(|action| action.reads_quotes) {
        true => logs::quoted_line(words),
        false => words.join(" "),
    }
}

/// The exit status of a session. Prints why it failed.
fn exit_status(result: Result<u8, CtlError>) -> u8 {
    result.unwrap_or_else(|failure| {
        if !is_quiet(&failure) {
            let _ = writeln!(std::io::stderr(), "error: {failure}");
        }
        exit::GENERIC
    })
}

/// Whether the reader of our output has closed it. That is no error worth printing.
fn is_quiet(failure: &CtlError) -> bool {
    matches!(failure, CtlError::Output(error) if error.kind() == std::io::ErrorKind::BrokenPipe)
}
