//! Completes pidproxy's command line.

use super::run::WATCH;
use crate::cli::completion::{Candidate, Completion, CompletionRequest, NameSource};

/// Completes the last word of a command line.
#[must_use]
pub fn complete(request: &CompletionRequest) -> Completion {
    let watch = format!("-{WATCH}");
    let words = request.before.iter().filter(|word| **word != watch).count();
    match (words, request.before.len()) {
        (0, 0) if request.word.starts_with('-') => {
            let doc = "wait until the process in the pidfile exits";
            Completion::of([Candidate::new(watch, doc)], &request.word)
        }
        // The command is a path too, because PATH is not searched.
        _ => Completion::names(NameSource::Files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_offers_a_pidfile_then_a_command() {
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
            let request = CompletionRequest {
                program: "pidproxy".to_owned(),
                before,
                word,
            };
            assert_eq!(complete(&request).to_string(), expected, "{line:?}");
        }
    }
}
