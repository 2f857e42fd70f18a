//! `supervisord token`: makes a token.

use std::process::ExitCode;

use super::print::print;
use crate::cli::subcommand::TokenArgs;
use crate::config::tokens::{check_token_actions, check_token_name, token_line};
use crate::control;
use crate::sys;

/// Prints the line for the file, and the token on standard error. Exit status 2: a word is wrong.
pub(super) fn run_token(argv0: &str, args: &TokenArgs) -> ExitCode {
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    let (name, actions) = match words[..] {
        [name, ref actions @ ..] => (name, actions),
        [] => ("", &[][..]),
    };
    let checked = check_token_name(name).and_then(|()| check_token_actions(name, actions));
    if let Err(why) = checked {
        eprintln!("{argv0}: {why}");
        return ExitCode::from(2);
    }
    let mut random = [0; 32];
    for part in random.chunks_exact_mut(8) {
        match sys::random_seed() {
            Ok(seed) => part.copy_from_slice(&seed.to_ne_bytes()),
            Err(error) => {
                eprintln!("{argv0}: cannot make a token: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let (token, digest) = control::new_token(random);
    let code = print(&format!("{}\n", token_line(name, &digest, actions)));
    eprintln!("{token}");
    code
}
