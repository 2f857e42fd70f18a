//! The interactive shell: prompt, line editing, history, completion. It knows the actions only through ACTIONS.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::client::RpcClient;
use super::completion::{self, KnownProcess};
use super::error::CtlError;
use super::go_actions::ActionSet;
use super::run_line::run_line;
use super::session::{self, CtlSession};

/// Maximum number of history lines that can be recalled.
const HISTORY_MAX: usize = 1000;

/// Shows the status, then runs lines until the user exits.
///
/// # Errors
/// [`CtlError::Output`], [`CtlError::Input`].
pub(super) fn run(
    session: &mut CtlSession,
    prompt: &str,
    history: Option<&Path>,
) -> Result<(), CtlError> {
    let prompt = format!("{prompt}> ");
    session.leave_on_interrupt()?;
    run_line(session, ActionSet::Supervisorctl, "status")?;
    if session::is_at_terminal() {
        run_edited(session, &prompt, history)
    } else {
        run_piped(session, &prompt)
    }
}

/// Runs lines from an input that is not a terminal.
fn run_piped(session: &mut CtlSession, prompt: &str) -> Result<(), CtlError> {
    while !session.leaving {
        match session.ask(prompt) {
            Ok(line) => run_line(session, ActionSet::Supervisorctl, &line)?,
            Err(CtlError::EndOfInput) => {
                session.say("")?;
                return session.flush();
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Runs lines from a terminal, with editing.
fn run_edited(
    session: &mut CtlSession,
    prompt: &str,
    history: Option<&Path>,
) -> Result<(), CtlError> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .auto_add_history(true)
        .max_history_size(HISTORY_MAX)
        .map(|builder| builder.build())
        .map_err(input_failure)?;
    let recall = MemHistory::with_config(&config);
    let mut editor: Editor<ShellCompleter, MemHistory> =
        Editor::with_history(config, recall).map_err(input_failure)?;
    if let Some(file) = history {
        // A missing or unreadable history file counts as empty.
        for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
            editor.add_history_entry(line).map_err(input_failure)?;
        }
    }
    while !session.leaving {
        editor.set_helper(Some(ShellCompleter::of(session.client.new_connection())));
        match editor.readline(prompt) {
            Ok(line) => {
                if let Some(file) = history {
                    append_history(file, &line);
                }
                run_line(session, ActionSet::Supervisorctl, &line)?;
            }
            // The editor has moved to the next line, as the empty line does elsewhere.
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(()),
            Err(error) => return Err(input_failure(error)),
        }
    }
    Ok(())
}

fn input_failure(error: ReadlineError) -> CtlError {
    CtlError::Input(match error {
        ReadlineError::Io(error) => error,
        error => std::io::Error::other(error),
    })
}

/// Appends a line to the history file, readable by its user only. Supervisor writes the file at exit instead, so that
/// two shells or a kill lose lines.
fn append_history(file: &Path, line: &str) {
    if line.trim().is_empty() {
        return;
    }
    let opened = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file);
    // A history file that cannot be written is no reason to stop.
    if let Ok(mut file) = opened {
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

/// Completes words. The server is asked for process names once per line, on a separate connection.
struct ShellCompleter {
    client: RefCell<RpcClient>,
    cache: RefCell<Option<Vec<KnownProcess>>>,
}

impl ShellCompleter {
    fn of(client: RpcClient) -> Self {
        Self {
            client: RefCell::new(client),
            cache: RefCell::new(None),
        }
    }

    /// All processes. Empty if the server does not answer.
    fn live(&self) -> Vec<KnownProcess> {
        self.cache
            .borrow_mut()
            .get_or_insert_with(|| completion::query_processes(&mut self.client.borrow_mut()))
            .clone()
    }
}

impl Helper for ShellCompleter {}
impl Highlighter for ShellCompleter {}
impl Validator for ShellCompleter {}
impl Hinter for ShellCompleter {
    type Hint = String;
}

impl Completer for ShellCompleter {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let before = &line[..position];
        let start = before.rfind(char::is_whitespace).map_or(0, |at| {
            at + before[at..].chars().next().map_or(1, char::len_utf8)
        });
        Ok((start, candidates(before, &before[start..], || self.live())))
    }
}

/// The candidates for `word`, the last word of `before`, each followed by a blank.
fn candidates(before: &str, word: &str, live: impl FnOnce() -> Vec<KnownProcess>) -> Vec<String> {
    let words: Vec<&str> = before[..before.len() - word.len()]
        .split_whitespace()
        .collect();
    let offers = completion::complete_word(ActionSet::Supervisorctl, &words, word, live).candidates;
    let texts = offers.into_iter().map(|offer| offer.text + " ");
    texts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctl_02_the_shell_completes_as_supervisor_does() {
        let table: [(&str, &[&str]); 17] = [
            ("sta", &["start ", "status "]),
            ("  sto", &["stop "]),
            ("hel", &["help "]),
            ("EO", &[]),
            ("help ver", &["version "]),
            ("help version s", &[]),
            ("start c", &["cat "]),
            ("start cat:", &["cat:* ", "cat:cat "]),
            ("start n", &["num:* ", "num:num_00 ", "num:num_01 "]),
            ("stop x cat n", &["num:* ", "num:num_00 ", "num:num_01 "]),
            ("update n", &["num "]),
            ("signal HUP num:num_0", &["num:num_00 ", "num:num_01 "]),
            ("sca", &["scale "]),
            ("scale n", &["num "]),
            ("serialrestart -n 2 num:num_01", &["num:num_01 "]),
            ("avail c", &[]),
            ("nosuch c", &[]),
        ];
        for (line, expected) in table {
            let word = line.rsplit(' ').next().unwrap_or_default();
            let found = candidates(line, word, || {
                [("cat", "cat"), ("num", "num_00"), ("num", "num_01")]
                    .map(|(group, name)| KnownProcess::new(group, name, "RUNNING"))
                    .to_vec()
            });
            assert_eq!(found, expected, "{line:?}");
        }
    }
}
