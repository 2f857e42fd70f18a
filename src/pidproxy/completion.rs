//! Completion of the proxy's command line.

use super::run::WATCH;
use crate::config::completion::{Completion, Names, Offer, Question};

/// What the last word of a command line can become.
#[must_use]
pub fn complete(question: &Question) -> Completion {
    let watch = format!("-{WATCH}");
    let words = question
        .before
        .iter()
        .filter(|word| **word != watch)
        .count();
    match (words, question.before.len()) {
        (0, 0) if question.word.starts_with('-') => {
            let doc = "wait until the process in the pidfile exits";
            Completion::of([Offer::new(watch, doc)], &question.word)
        }
        // The command is a path too: nothing looks it up.
        _ => Completion::names(Names::Files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pidfile_a_command_and_what_that_takes() {
        for (line, expected) in [
            ("", "\tfiles\n"),
            (
                "-e",
                "-exit-daemon-stop\twait until the process in the pidfile exits\n",
            ),
            ("-exit-daemon-stop ", "\tfiles\n"),
            ("d.pid ", "\tfiles\n"),
            ("-exit-daemon-stop d.pid ", "\tfiles\n"),
            ("d.pid cmd ", "\tfiles\n"),
        ] {
            let mut before: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let word = before.pop().unwrap_or_default();
            let question = Question {
                program: "pidproxy".to_owned(),
                before,
                word,
            };
            assert_eq!(complete(&question).to_string(), expected, "{line:?}");
        }
    }
}
