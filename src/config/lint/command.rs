//! The file of a command: whether it exists, can be executed, and who can change it.

use std::collections::HashMap;

use super::super::lookup::{FileFacts, FileKind, Lookup};
use super::super::path::{join, normalize};
use super::explained::Explained;
use super::input::{Findings, LintInput, LintProgram};
use super::rule::Rule;
use super::shell::is_builtin;
use super::words::{Executed, is_shell, shell_text};

/// The search path of the daemon if neither it nor the program has a PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin:/usr/local/bin";
/// Maximum length of a `#!` line in the kernel, in bytes.
const INTERPRETER_MAX: usize = 256;

/// Answers of the machine. Many programs have the same command.
#[derive(Default)]
struct Answers {
    /// By search path, directory for relative names, and word.
    files: HashMap<(String, String, String), FileFound>,
    /// Why a file cannot be executed.
    unexecutable: HashMap<String, Option<Explained>>,
    /// Users other than root who can change a file.
    writers: HashMap<String, Option<String>>,
    /// Whether a directory exists.
    directories: HashMap<String, bool>,
}

/// The file that a command names, or what is wrong.
type FileFound = Result<(String, FileFacts), Explained>;

/// Checks the file of the command, and the directory of the program.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    let mut answers = Answers::default();
    let daemon_path = path_of(&input.lookup.env()).filter(|path| !path.is_empty());
    let daemon_path = daemon_path.unwrap_or_else(|| DEFAULT_PATH.to_owned());
    for program in &input.programs {
        check_directory(input, program, &mut answers, found);
        let Some(word) = program.words.first() else {
            continue;
        };
        // Other rules explain these.
        let is_explained = word.text.contains(char::is_whitespace)
            || word.bare.contains(['=', '$', '~', '`', ';'])
            || is_builtin(&word.text);
        // An env file may change the search path.
        let is_unknown = !word.text.contains('/')
            && program
                .first()
                .is_some_and(|process| process.env_files.is_some());
        if is_explained || is_unknown {
            continue;
        }
        let own = program
            .first()
            .and_then(|process| path_of(&process.environment));
        let path = own.unwrap_or_else(|| daemon_path.clone());
        let directory = match word.text.starts_with('/') {
            true => String::new(),
            false => directory_of(program).unwrap_or_default().to_owned(),
        };
        let key = (path, directory, word.text.clone());
        let answer = match answers.files.get(&key) {
            Some(known) => known.clone(),
            None => {
                let answer = find_file(input.lookup, &key.0, &key.1, &key.2);
                answers.files.insert(key, answer.clone());
                answer
            }
        };
        let span = || program.span_of_part("command", &word.text);
        match answer {
            Err(explained) => found.push((span(), explained)),
            Ok((path, facts)) => {
                let why = answers.unexecutable.entry(path.clone());
                let why = why.or_insert_with(|| unexecutable(input.lookup, &path, facts));
                found.extend(why.clone().map(|explained| (span(), explained)));
                check_writers(input, program, &path, &mut answers, found);
            }
        }
    }
}

fn directory_of<'p>(program: &LintProgram<'p>) -> Option<&'p str> {
    let directory = program.first()?.directory.as_ref()?;
    directory.to_str()
}

/// A directory that does not exist, so that the program cannot start.
fn check_directory(
    input: &LintInput<'_>,
    program: &LintProgram<'_>,
    answers: &mut Answers,
    found: &mut Findings,
) {
    let Some(directory) = directory_of(program) else {
        return;
    };
    let known = answers.directories.entry(directory.to_owned());
    if !*known.or_insert_with(|| input.lookup.is_dir(directory)) {
        let text = format!("directory: {directory} does not exist, so the program cannot start");
        let explained = Explained::new(Rule::MissingDirectory, text).key("directory");
        let remedy = format!("create it: mkdir -p {directory}");
        found.push((program.span("directory"), explained.remedy(remedy)));
    }
}

/// The value of PATH. `None`: it is not set.
fn path_of(variables: &[(String, String)]) -> Option<String> {
    let mut variables = variables.iter().rev();
    let found = variables.find(|(name, _)| name == "PATH");
    found.map(|(_, path)| path.clone())
}

/// The file that the daemon would execute for a word. `directory`: that of the program, for relative names.
fn find_file(lookup: &dyn Lookup, path: &str, directory: &str, word: &str) -> FileFound {
    let missing = |text: String, remedy: String| {
        let explained = Explained::new(Rule::MissingCommand, text).key("command");
        Err(explained.remedy(remedy))
    };
    if word.contains('/') {
        if let Some(facts) = lookup.file_facts(word) {
            return Ok((word.to_owned(), facts));
        }
        let inside = join(directory, word);
        return match !directory.is_empty() && lookup.exists(&inside) {
            true => missing(
                format!(
                    "command: {word} is relative to the directory in which supervisord was started, not to the directory of the program"
                ),
                format!("write {}", normalize(&inside)),
            ),
            false => missing(
                format!("command: the file {word} does not exist"),
                String::new(),
            ),
        };
    }
    let mut places = path.split(':').map(|directory| join(directory, word));
    match places.find_map(|path| Some((lookup.file_facts(&path)?, path))) {
        Some((facts, path)) => Ok((path, facts)),
        None => missing(
            format!("command: {word} is not in the search path {path}"),
            String::new(),
        ),
    }
}

/// Why the file cannot be executed. `None`: it can.
fn unexecutable(lookup: &dyn Lookup, path: &str, facts: FileFacts) -> Option<Explained> {
    let explained = |rule, text: String| Explained::new(rule, text).key("command");
    if facts.kind == FileKind::Directory {
        let text = format!("command: {path} is a directory");
        return Some(explained(Rule::NotExecutable, text).remedy("name a file in the directory"));
    }
    if facts.mode & 0o111 == 0 {
        let text = format!("command: {path} is not executable");
        let remedy = format!("run chmod +x {path}, or name the interpreter first");
        return Some(explained(Rule::NotExecutable, text).remedy(remedy));
    }
    let bytes = lookup.first_bytes(path)?;
    let rule = Rule::MissingInterpreter;
    let Some(line) = bytes.strip_prefix(b"#!") else {
        // A binary has a magic number; a text of letters is a script.
        let is_text = bytes
            .iter()
            .take(INTERPRETER_MAX)
            .all(|&byte| byte >= b'\t' && byte != 0x7f);
        let text = format!("command: the script {path} does not begin with #! and an interpreter");
        return is_text.then(|| explained(rule, text));
    };
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(INTERPRETER_MAX)]).into_owned();
    if line.ends_with('\r') {
        let text = format!(
            "command: the first line of {path} ends in a carriage return, which is part of the name of the interpreter"
        );
        let remedy = format!("convert the line ends: sed -i 's/\\r$//' {path}");
        return Some(explained(rule, text).remedy(remedy));
    }
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    match lookup.exists(interpreter) {
        true => None,
        false => {
            let text = format!("command: the interpreter {interpreter:?} of {path} does not exist");
            Some(
                explained(rule, text)
                    .remedy("install the interpreter, or correct the first line of the script"),
            )
        }
    }
}

/// Files of the command that users can change who could not run them as this user: the program, and the script of an
/// interpreter.
fn check_writers(
    input: &LintInput<'_>,
    program: &LintProgram<'_>,
    path: &str,
    answers: &mut Answers,
    found: &mut Findings,
) {
    let words = &program.words;
    let script = Executed::of(words)
        .filter(|executed| is_interpreter(executed.name()) && shell_text(words).is_none())
        .and_then(|executed| executed.texts().find(|text| text.starts_with('/')));
    let user = program.first().and_then(|process| process.user.as_ref());
    let user = user.or(input.daemon.user.as_ref());
    let as_root = user.map_or(input.lookup.uid(), |user| user.uid) == 0;
    for path in std::iter::once(path).chain(script) {
        let Some(facts) = input.lookup.file_facts(path) else {
            continue;
        };
        let everybody = facts.mode & 0o002 != 0 && facts.kind == FileKind::Regular;
        let other = as_root.then(|| {
            let known = answers.writers.entry(path.to_owned());
            known
                .or_insert_with(|| input.lookup.other_writer(path))
                .clone()
        });
        let other = other.flatten();
        let text = match (everybody, other) {
            (true, _) => {
                format!("command: everybody can change {path}, which this program executes")
            }
            (false, Some(why)) => {
                format!(
                    "command: users other than root can change {path}, which runs as root: {why}"
                )
            }
            (false, None) => continue,
        };
        let span = program.span_of_part("command", path);
        found.push((span, Explained::new(Rule::OpenCommand, text).key("command")));
        return;
    }
}

/// Whether the program runs the file that its first argument names.
fn is_interpreter(name: &str) -> bool {
    const NAMES: [&str; 7] = ["python", "perl", "ruby", "node", "php", "java", "lua"];
    is_shell(name) || NAMES.iter().any(|known| name.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::codes;

    fn machine() -> Fake {
        Fake::default()
            .with("/srv/run", "#!/bin/sh\n")
            .with("/bin/sh", "\u{0}ELF")
            .with("/srv/none", "echo hi\n")
            .with("/srv/dos", "#!/bin/sh\r\n")
            .with("/srv/gone", "#!/usr/bin/nosuch -x\n")
            .with("/srv/plain.txt", "#!/bin/sh\n")
            .with("/srv/everybodys", "#!/bin/sh\n")
    }

    #[test]
    fn files_of_commands_are_checked() {
        for (command, code) in [
            ("/srv/run", None),
            ("/nosuch", Some("missing-command")),
            ("nosuch", Some("missing-command")),
            ("sh script", None),
            ("./run", Some("missing-command")),
            ("/srv", Some("not-executable")),
            ("/srv/plain.txt", Some("not-executable")),
            ("/srv/none", Some("missing-interpreter")),
            ("/srv/dos", Some("missing-interpreter")),
            ("/srv/gone x", Some("missing-interpreter")),
        ] {
            let text = format!("[program:a]\ndirectory=/srv\ncommand={command}\n");
            let found = codes(machine(), &text);
            assert_eq!(
                found.first().map(String::as_str),
                code,
                "{command}: {found:?}"
            );
            assert!(found.len() <= 1, "{command}: {found:?}");
        }
        let text = "[program:a]\ncommand=/srv/run\ndirectory=/nosuch\n";
        assert_eq!(codes(machine(), text), ["missing-directory"]);
    }

    #[test]
    fn root_does_not_run_what_others_can_change() {
        let mut root = machine();
        root.uid = 0;
        for (command, user, count) in [
            ("/srv/everybodys", "root", 1),
            ("/bin/sh /srv/everybodys", "root", 1),
            ("/bin/sh -c /srv/everybodys", "root", 0),
            ("/srv/everybodys", "web", 0),
            ("/srv/run", "root", 0),
        ] {
            let text = format!("[program:a]\ncommand={command}\nuser={user}\n");
            let found = codes(root.clone(), &text);
            let opens = found.iter().filter(|code| *code == "open-command");
            assert_eq!(opens.count(), count, "{command} {user}: {found:?}");
        }
    }
}
