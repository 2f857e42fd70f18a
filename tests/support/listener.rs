//! The test child as an event listener: it takes events as the protocol has them and answers by a list.

use std::io::{BufRead, Read, Write};

/// Says READY, writes each event to `file`, and answers it with the next of `answers` (comma separated; the last repeats):
/// `ok`, `fail`, `bad` (no result line), `say:TEXT` (a result of this text), `parts` (OK in pieces), `exit:CODE`,
/// `wait:FILE` (OK once that exists), `hang`.
///
/// What varies from run to run is made alike, so that files can be compared: a pid becomes `N` and a length is told for
/// that; times of ticks become `T` if they are multiples of five.
pub(super) fn listen(file: &str, answers: &str) {
    let mut stdin = std::io::stdin().lock();
    let answers: Vec<&str> = answers.split(',').collect();
    for turn in 0.. {
        say(b"READY\n");
        let mut header = String::new();
        if !matches!(stdin.read_line(&mut header), Ok(count) if count > 0) {
            return;
        }
        let length: usize = header
            .split_whitespace()
            .find_map(|token| token.strip_prefix("len:")?.parse().ok())
            .expect("a header has a length");
        let mut payload = String::new();
        for _ in 0..length {
            payload.push(character(&mut stdin).expect("a payload of the told length"));
        }
        let alike = alike(&payload);
        let told = length - (payload.chars().count() - alike.chars().count());
        let header = header.replace(&format!(" len:{length}"), &format!(" len:{told}"));
        let mut out = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .expect("the file of events");
        out.write_all(format!("{header}{alike}\n").as_bytes())
            .expect("room");
        let answer = answers.get(turn).or(answers.last()).expect("an answer");
        match answer.split_once(':').unwrap_or((answer, "")) {
            ("ok", _) => say(b"RESULT 2\nOK"),
            ("fail", _) => say(b"RESULT 4\nFAIL"),
            ("bad", _) => say(b"NONSENSE\n"),
            ("say", text) => say(format!("RESULT {}\n{text}", text.len()).as_bytes()),
            ("parts", _) => {
                for part in ["RES", "ULT", " 2", "\n", "O", "K"] {
                    say(part.as_bytes());
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
            }
            ("exit", code) => std::process::exit(code.parse().expect("a code")),
            ("wait", file) => {
                while !std::path::Path::new(file).exists() {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                say(b"RESULT 2\nOK");
            }
            ("hang", _) => loop {
                std::thread::park();
            },
            (other, _) => panic!("no such answer: {other}"),
        }
    }
}

/// Says numbered messages between capture tokens, `rate` of them a second.
pub(super) fn messages(rate: u64, seconds: u64) {
    let begin = std::time::Instant::now();
    for number in 0..rate * seconds {
        let due = std::time::Duration::from_micros(number * 1_000_000 / rate);
        // Not one by one: a program that says much says it in pieces, here of some milliseconds.
        let early = due.saturating_sub(begin.elapsed());
        if early > std::time::Duration::from_millis(4) {
            std::thread::sleep(early);
        }
        say(format!("<!--XSUPERVISOR:BEGIN-->{number}<!--XSUPERVISOR:END-->").as_bytes());
    }
}

fn say(bytes: &[u8]) {
    let mut stdout = std::io::stdout();
    drop(stdout.write_all(bytes));
    drop(stdout.flush());
}

/// The next character of UTF-8.
fn character(from: &mut impl Read) -> Option<char> {
    let mut bytes = [0; 4];
    for end in 1..=4 {
        from.read_exact(&mut bytes[end - 1..end]).ok()?;
        if let Ok(text) = std::str::from_utf8(&bytes[..end]) {
            return text.chars().next();
        }
    }
    None
}

fn alike(payload: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in payload.split_inclusive(|c: char| c.is_whitespace()) {
        let (text, blank) = word.split_at(word.trim_end().len());
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = |prefix| text.strip_prefix(prefix).filter(|text| is_number(text));
        let text = match (number("pid:"), number("when:")) {
            (Some("0"), _) => "pid:0",
            (Some(_), _) => "pid:N",
            (_, Some(when)) if when.ends_with(['0', '5']) => "when:T",
            _ => text,
        };
        words.push(format!("{text}{blank}"));
    }
    words.concat()
}
