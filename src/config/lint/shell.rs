//! Syntax of shells in a command, which no shell reads.

use super::super::lookup::Lookup;
use super::explained::Explained;
use super::input::{Findings, LintInput, LintProgram};
use super::rule::Rule;
use super::words::{CommandWord, shell_text};

/// Words that are operators of a shell.
const OPERATORS: &[&str] = &["&&", "||", "|", "|&", ";", "&", "(", ")"];
/// Commands that only shells have.
const BUILTINS: &[&str] = &[
    "cd", "source", ".", "export", "ulimit", "umask", "set", "if", "for", "while",
];

/// Checks the commands.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    for program in &input.programs {
        if let Some((part, explained)) = mistake(input.lookup, program) {
            let span = program.span_of_part("command", &part);
            found.push((span, explained.key("command")));
        }
    }
}

/// The first mistake of a command, and its text.
fn mistake(lookup: &dyn Lookup, program: &LintProgram<'_>) -> Option<(String, Explained)> {
    let (command, words) = (program.command, &program.words);
    let first = words.first()?;
    if words.len() == 1 && first.is_quoted && first.text.contains(' ') {
        let file = &first.text;
        // A quoted name of a file with a blank is right.
        if lookup.exists(file) {
            return None;
        }
        let text = format!("command: the quotes make one word of it, the name of a file: {file:?}");
        let remedy = format!("write command={file}");
        return Some((
            command.to_owned(),
            Explained::new(Rule::QuotedCommand, text).remedy(remedy),
        ));
    }
    if let Some((name, value)) = assignment(first) {
        let text = format!(
            "command: {name}={value} is taken for the name of a program; only a shell sets variables this way"
        );
        let rest = rest_after(command, &first.text);
        let remedy = format!("write environment={name}=\"{value}\" and command={rest}");
        return Some((
            first.text.clone(),
            Explained::new(Rule::Assignment, text).remedy(remedy),
        ));
    }
    // A shell reads its text; what is before the shell is rarely wrong.
    if shell_text(words).is_some() {
        return None;
    }
    let is_first = |at: usize| at == 0;
    let (part, what) = words.iter().enumerate().find_map(|(at, word)| {
        let what = shell_word(word, is_first(at))?;
        Some((word.text.clone(), what))
    })?;
    let text = format!("command: {part} {what}, and commands do not go through a shell");
    let inner = match program.entry("command").map(|entry| entry.value.as_str()) {
        Some(written) if !written.contains(['\'', '\n']) => written.to_owned(),
        _ => "...".to_owned(),
    };
    let remedy = match part.as_str() {
        "&" => "remove the &: the program must stay in the foreground".to_owned(),
        _ if part.starts_with('~') => "write the absolute path".to_owned(),
        _ if part.starts_with(['>', '1', '2']) => {
            "use stdout_logfile, stderr_logfile or redirect_stderr".to_owned()
        }
        _ => format!("write command=/bin/sh -c '{inner}'"),
    };
    Some((part, Explained::new(Rule::ShellSyntax, text).remedy(remedy)))
}

/// Whether only shells have a command of this name.
pub(super) fn is_builtin(word: &str) -> bool {
    BUILTINS.contains(&word)
}

/// What a word is in a shell, as the end of "X …". `None`: a plain word.
fn shell_word(word: &CommandWord, is_first: bool) -> Option<&'static str> {
    let bare = word.bare.as_str();
    if !word.is_quoted {
        if OPERATORS.contains(&bare) {
            return Some("is an operator of a shell");
        }
        if is_redirection(bare) {
            return Some("is a redirection of a shell");
        }
        if bare == "~" || bare.starts_with("~/") {
            return Some("is a home directory in a shell");
        }
        if bare.starts_with('`') || bare.contains("$(") {
            return Some("is a command substitution of a shell");
        }
        if bare.len() > 1 && bare.ends_with(';') && is_first {
            return Some("ends in an operator of a shell");
        }
        if is_first && is_builtin(bare) {
            return Some("is a command of a shell");
        }
    }
    names_variable(bare).then_some("is a variable of a shell")
}

/// Whether the word begins with a redirection, such as `>file`, `2>&1` or `<`.
fn is_redirection(bare: &str) -> bool {
    let rest = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = bare.len() - rest.len();
    let rest = rest
        .strip_prefix('&')
        .filter(|_| digits == 0)
        .unwrap_or(rest);
    digits <= 1 && (rest.starts_with('>') || rest == "<" || rest == "<<")
}

/// Whether the text has `$NAME` in capitals or `${`, as shells and users of systemd write it.
fn names_variable(text: &str) -> bool {
    text.match_indices('$').any(|(at, _)| {
        let rest = &text[at + 1..];
        let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
        rest.starts_with('{') || rest.starts_with(is_name)
    })
}

/// The name and the value of a word `NAME=VALUE`.
fn assignment(word: &CommandWord) -> Option<(&str, &str)> {
    let (name, value) = word.text.split_once('=')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    (begins && name.chars().all(is_name)).then_some((name, value))
}

/// The command after its first word.
fn rest_after<'c>(command: &'c str, first: &str) -> &'c str {
    match command.trim_start().strip_prefix(first) {
        Some(rest) if !rest.trim().is_empty() => rest.trim(),
        _ => "...",
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::reports;

    #[test]
    fn syntax_of_a_shell_is_found() {
        for (command, code, part) in [
            ("/bin/a && /bin/b", "shell-syntax", "&&"),
            ("/bin/a | tee /tmp/x", "shell-syntax", "|"),
            ("/bin/a > /tmp/x", "shell-syntax", ">"),
            ("/bin/a >>/tmp/x", "shell-syntax", ">>/tmp/x"),
            ("/bin/a 2>&1", "shell-syntax", "2>&1"),
            ("/bin/a &", "shell-syntax", "&"),
            ("/bin/a $HOME/x", "shell-syntax", "$HOME/x"),
            ("/bin/a ${PORT}", "shell-syntax", "${PORT}"),
            ("/bin/a $(date)", "shell-syntax", "$(date)"),
            ("/bin/a ~/x", "shell-syntax", "~/x"),
            ("~/bin/a", "shell-syntax", "~/bin/a"),
            ("cd /srv && ./run", "shell-syntax", "cd"),
            ("PORT=80 /bin/a", "assignment", "PORT=80"),
            ("\"/bin/a -x\"", "quoted-command", "\"/bin/a -x\""),
        ] {
            let text = format!("[program:a]\ncommand={command}\n");
            let machine = Fake::default().with("/bin/a", "\u{0}");
            let found = reports(machine, &text);
            assert_eq!(found.len(), 1, "{command}: {found:?}");
            assert_eq!(found[0].explained.rule.code(), code, "{command}");
            let column = 9 + command.find(part).unwrap_or_default();
            assert_eq!(found[0].column, column, "{command}");
        }
    }

    #[test]
    fn other_words_are_no_syntax_of_a_shell() {
        for command in [
            "/bin/sh -c 'a && b | c > d; echo $HOME ~'",
            "/bin/a \"&&\" '|' \\;",
            "/bin/a -e '$x' 's/a$/b/' $1 a=b",
            "/bin/a http://h/?a=1&b=2 a>b 1",
            "'/bin/a b'",
            "/bin/a --pattern=~x ;x",
        ] {
            let text = format!("[program:a]\ncommand={command}\n");
            let machine = Fake::default()
                .with("/bin/a", "\u{0}")
                .with("/bin/sh", "\u{0}")
                .with("/bin/a b", "\u{0}");
            let found = reports(machine, &text);
            assert!(found.is_empty(), "{command}: {found:?}");
        }
    }
}
