//! Replaces values that differ from run to run: times, PIDs, random names, the version, texts of Python.

use supervisord::domain::LINES;

use crate::support::help::without_own_actions;

/// Replaces each match of `pattern` by `with`. In a pattern `#` matches digits, `@` characters of `[a-z0-9_]`, `~` the
/// rest of the line. All other characters match themselves.
pub(crate) fn replace(text: &str, pattern: &str, with: &str) -> String {
    let first = pattern.chars().next();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = '\n';
    'text: while !rest.is_empty() {
        let starts_number = first == Some('#');
        let may_start = !(starts_number && before.is_ascii_digit());
        if may_start && let Some(length) = matches_at(rest, pattern) {
            out.push_str(with);
            before = rest[..length].chars().next_back().unwrap_or(' ');
            rest = &rest[length..];
            continue 'text;
        }
        if let Some(c) = rest.chars().next() {
            out.push(c);
            before = c;
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

fn matches_at(text: &str, pattern: &str) -> Option<usize> {
    let mut at = 0;
    for p in pattern.chars() {
        let rest = &text[at..];
        let taken = match p {
            '#' => rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len()),
            '@' => {
                let run = rest
                    .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
                    .unwrap_or(rest.len());
                if run < 8 {
                    return None;
                }
                8
            }
            '~' => rest.find('\n').unwrap_or(rest.len()),
            c => {
                if !rest.starts_with(c) {
                    return None;
                }
                c.len_utf8()
            }
        };
        if taken == 0 && p != '~' {
            return None;
        }
        at += taken;
    }
    Some(at)
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The answer of `system.listMethods` without the namespace of methods that Supervisor does not have.
fn without_our_methods(text: &str) -> String {
    let names = text.split(", ");
    let names: Vec<&str> = names
        .filter(|name| !name.starts_with("\"supervisord."))
        .collect();
    names.join(", ")
}

/// Any text: output, files, faults.
pub(crate) fn text(text: &str) -> String {
    // The log of our daemon mentions the system bus on machines that have one.
    let lines = text.split_inclusive('\n');
    let text: String = lines.filter(|line| !line.contains(" D-Bus")).collect();
    let mut text = without_our_methods(&without_own_actions(&text));
    for (pattern, with) in [
        ("#-#-# #:#:#,# ", ""),
        ("uptime #:#:#", "uptime T"),
        ("uptime # day, #:#:#", "uptime T"),
        ("pid #,", "pid N,"),
        ("pid #)", "pid N)"),
        ("pid #\n", "pid N\n"),
        ("(pid #) ", "(pid N) "),
        ("RSS of big:big is #", "RSS of big:big is N"),
        (
            "too much memory (# bytes RSS)",
            "too much memory (N bytes RSS)",
        ),
        ("' (#)", "' (N)"),
        // Where in Python's source an exception was raised.
        (": file: ~", ""),
        ("4.3.0", "{version}"),
        ("5.0.0", "{version}"),
    ] {
        text = replace(&text, pattern, with);
    }
    if text.ends_with(|c: char| c.is_ascii_digit())
        && let Some(at) = text.rfind("pid ")
        && text[at + 4..].chars().all(|c| c.is_ascii_digit())
    {
        text.truncate(at + 4);
        text.push('N');
    }
    for month in MONTHS {
        for half in ["AM", "PM"] {
            text = replace(&text, &format!("{month} # #:# {half}"), "{date}");
        }
    }
    for channel in ["stdout", "stderr"] {
        for dash in ["supervisor", "other", "from-include"] {
            text = replace(
                &text,
                &format!("-{channel}---{dash}-@.log"),
                &format!("-{channel}---{dash}-RANDOM89.log"),
            );
        }
    }
    text
}

/// A location whose message ends with a `ctime` time.
pub(crate) fn location(value: &str) -> String {
    let Some((before, time)) = value.split_once("%20at%20") else {
        return value.to_owned();
    };
    let plain = time.replace("%20", " ").replace("%3A", ":");
    let words: Vec<&str> = plain.split_whitespace().collect();
    match words.as_slice() {
        [day, month, _, clock, year]
            if plain.len() == "Thu Jan  1 00:00:00 1970".len()
                && day.len() == 3
                && MONTHS.contains(month)
                && clock.len() == 8
                && year.len() == 4 =>
        {
            format!("{before}%20at%20{{ctime}}")
        }
        _ => value.to_owned(),
    }
}

/// Lines of Python's runtime on stderr.
pub(crate) fn stderr(all: &str) -> String {
    let mut out = String::new();
    let mut skip = false;
    let mut in_traceback = false;
    for line in all.lines() {
        if skip {
            skip = false;
            if line.starts_with("  ") {
                continue;
            }
        }
        if line == "  self.warnings.warn(" {
            continue;
        }
        // Of an uncaught exception only the last line is kept. The frames depend on the installation.
        if line == "Traceback (most recent call last):" {
            in_traceback = true;
            continue;
        }
        if in_traceback {
            if line.starts_with(' ') {
                continue;
            }
            in_traceback = false;
        }
        // The position in Python's source that raised a warning.
        let line = line
            .find(": UserWarning: ")
            .map_or(line, |at| &line[at + 2..]);
        if line.contains("pkg_resources") {
            skip = true;
            continue;
        }
        if is_place_of_error(line) {
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    text(&out)
}

/// `file:line:column: …`: after the reference's two lines about its first error our daemon lists the positions of all
/// errors.
fn is_place_of_error(line: &str) -> bool {
    let mut parts = line.splitn(4, ':').skip(1);
    let mut number = || {
        parts
            .next()
            .is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    number() && number()
}

/// Whether an activity log line depends on the machine and not on the program.
fn is_of_the_machine(line: &str) -> bool {
    line.contains("Supervisor is running as root.")
        || line.contains("Increased RLIMIT_")
        || line.contains("Set uid to user 0 succeeded")
}

/// Lines except those of the machine.
pub(crate) fn machine_free(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !is_of_the_machine(line))
        .map(str::to_owned)
        .collect()
}

/// Whether only our daemon writes such a line.
fn is_ours(line: &str) -> bool {
    // The template of warnings about the configuration has no fixed text. These are our warnings.
    if line.starts_with("WARN ") && line.contains(": unknown ") && line.ends_with(" is ignored") {
        return true;
    }
    // A line is `LEVL text`.
    let Some((letters, text)) = line.split_once(' ') else {
        return false;
    };
    LINES
        .iter()
        .filter(|doc| doc.ours && doc.level.letters() == letters)
        .any(|doc| matches_template(text, doc.template))
}

fn matches_template(text: &str, template: &str) -> bool {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        pieces.push(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    pieces.push(rest);
    // A template of placeholders only has no fixed text.
    if pieces.iter().all(|piece| piece.trim().is_empty()) {
        return false;
    }
    let mut at = 0;
    for (i, piece) in pieces.iter().enumerate() {
        if i == 0 {
            if !text.starts_with(piece) {
                return false;
            }
            at = piece.len();
        } else if i == pieces.len() - 1 && !piece.is_empty() {
            return text.len() >= at + piece.len() && text[at..].ends_with(piece);
        } else {
            match text[at..].find(piece) {
                Some(found) => at += found + piece.len(),
                None => return false,
            }
        }
    }
    true
}

/// Lines of an activity log without times, except those of the machine and those that only our daemon writes.
pub(crate) fn log(lines: &str, machine: bool) -> Vec<String> {
    text(lines)
        .lines()
        .filter(|line| (machine || !is_of_the_machine(line)) && !is_ours(line))
        .map(str::to_owned)
        .collect()
}
