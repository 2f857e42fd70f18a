//! Turns the messages of errors, most of which are Supervisor's, into plain English with a remedy.

use super::super::expand::VARIABLE;
use super::super::hint;
use super::super::key::{ConfigKey, ValueKind};
use super::explained::Explained;
use super::rule::Rule;

/// How a message of the daemon is explained: its text before the value, its text after the value, the rule, and the
/// explanation. `{}` in the explanation is replaced by the value in quotes.
type Pattern = (&'static str, &'static str, Rule, &'static str);

/// The messages with a plain explanation. All others explain themselves.
const PATTERNS: &[Pattern] = &[
    (
        "not a valid boolean value: ",
        "",
        Rule::BadValue,
        "{} is neither true nor false",
    ),
    (
        "",
        " can not be converted to an octal type",
        Rule::BadNumber,
        "{} is not an octal number",
    ),
    (
        "",
        " is below lower bound (0)",
        Rule::BadNumber,
        "{} is below 0",
    ),
    (
        "",
        " is below lower bound (1)",
        Rule::BadNumber,
        "{} is below 1",
    ),
    (
        "value ",
        " is not a valid signal number",
        Rule::BadValue,
        "there is no signal {}",
    ),
    (
        "value ",
        " is not a valid signal name",
        Rule::BadValue,
        "there is no signal {}",
    ),
    (
        "not a valid list of exit codes: ",
        "",
        Rule::BadNumber,
        "{} is not a list of exit codes",
    ),
    (
        "",
        " is not an existing directory",
        Rule::MissingDirectory,
        "the directory {} does not exist",
    ),
    (
        "The directory named as part of the path ",
        " does not exist",
        Rule::MissingDirectory,
        "the directory of {} does not exist",
    ),
    (
        "Invalid user name ",
        "",
        Rule::UnknownUser,
        "this host has no user {}",
    ),
    (
        "Invalid user id ",
        "",
        Rule::UnknownUser,
        "this host has no user {}",
    ),
    (
        "Invalid group name ",
        "",
        Rule::UnknownUser,
        "this host has no group {}",
    ),
    (
        "Invalid group id ",
        "",
        Rule::UnknownUser,
        "this host has no group {}",
    ),
    (
        "Invalid user:group definition ",
        "",
        Rule::UnknownUser,
        "this host has no such user or group: {}",
    ),
    (
        "bad logging level name ",
        "",
        Rule::BadValue,
        "{} is not a log level",
    ),
    (
        "no port number specified in ''",
        "",
        Rule::BadNumber,
        "the address has no port",
    ),
    (
        "not a valid port number: ",
        " ",
        Rule::BadNumber,
        "{} is not a port",
    ),
    (
        "Unexpected end of key/value pairs in value ",
        "",
        Rule::BadValue,
        "{} is not a list of NAME=\"VALUE\" pairs",
    ),
    (
        "No closing quotation",
        "",
        Rule::BadValue,
        "a quote is not closed",
    ),
    (
        "could not find config file ",
        "",
        Rule::UnreadableFile,
        "there is no file {}",
    ),
    (
        "could not read config file ",
        "",
        Rule::UnreadableFile,
        "the file {} cannot be read",
    ),
    (
        ".ini file has [include] section, but no files setting",
        "",
        Rule::MissingKey,
        "[include] does not say which files",
    ),
    (
        ".ini file does not include supervisord section",
        "",
        Rule::MissingSection,
        "the file has no section [supervisord]",
    ),
];

/// Parts of messages that explain themselves, with their rule. The first match counts.
const RULES_BY_PART: &[(&str, Rule)] = &[
    ("does not specify a", Rule::MissingKey),
    (" section requires an ", Rule::MissingKey),
    ("has no port value", Rule::MissingKey),
    ("has no file value", Rule::MissingKey),
    ("contains incomplete authentication", Rule::MissingKey),
    ("must be present within process_name", Rule::BadName),
    ("Invalid name: ", Rule::BadName),
    ("is badly formatted: ", Rule::BadExpansion),
    ("which cannot be expanded", Rule::BadExpansion),
    (
        "names unknown program or fcgi-program",
        Rule::UnknownProgram,
    ),
    ("names unknown ", Rule::BadDependency),
    ("depends on itself", Rule::BadDependency),
    ("dependencies form a cycle", Rule::BadDependency),
    (" bound (", Rule::BadNumber),
    ("Source contains parsing errors", Rule::Syntax),
    ("File contains no section headers", Rule::Syntax),
    ("codec can't decode", Rule::Syntax),
    ("Python plug-in", Rule::PythonPlugin),
    ("cannot be resolved within", Rule::PythonPlugin),
    ("unknown section [", Rule::UnknownSection),
    ("unknown key ", Rule::UnknownKey),
    ("users other than root can", Rule::OpenConfiguration),
];

/// The longest value in an explanation, in characters.
const SHOWN_MAX: usize = 80;

/// Explains an error of the daemon. `row`: that of the key. `key`: empty if it is not about one key. `hint`: what the
/// daemon adds to its message.
pub(in crate::config) fn explain(
    row: Option<&ConfigKey>,
    key: &str,
    sentence: &str,
    hint: &str,
) -> Explained {
    let (rule, plain) = match matched(row, sentence) {
        Some((rule, plain)) if key.is_empty() || plain.contains('[') => (rule, plain),
        Some((rule, plain)) => (rule, format!("{key}: {plain}")),
        None => {
            let mut parts = RULES_BY_PART.iter();
            let rule = parts.find(|(part, _)| sentence.contains(part));
            let first = sentence.lines().next().unwrap_or_default();
            // A message that names its section or its key needs no other place.
            let is_placed = key.is_empty() || first.contains('[') || first.contains(key);
            let plain = match is_placed {
                true => first.to_owned(),
                false => format!("{key}: {first}"),
            };
            (rule.map_or(Rule::BadValue, |(_, rule)| *rule), plain)
        }
    };
    let remedy = remedy(row, rule, hint);
    Explained::new(rule, plain).key(key).remedy(remedy).error()
}

/// Explains a name that cannot be expanded. Unlike the daemon, it does not list the whole environment.
pub(in crate::config) fn explain_unknown_name<'n>(
    key: &str,
    name: &str,
    known: impl Iterator<Item = &'n String>,
) -> Explained {
    let variable = name.strip_prefix(VARIABLE);
    let prefix = variable.map_or("", |_| VARIABLE);
    let near = known
        .filter(|known| known.starts_with(VARIABLE) == variable.is_some())
        .filter_map(|known| known.strip_prefix(prefix));
    let near = hint::of_case(variable.unwrap_or(name), near);
    let meant = near.map(|near| format!("did you mean %({prefix}{near})s?"));
    let (rule, plain, remedy) = match variable {
        Some(variable) => (
            Rule::UnsetVariable,
            format!("{key}: the environment variable {variable} is not set"),
            format!(
                "set {variable} in the environment of supervisord, or give a default: %({name}:-TEXT)s"
            ),
        ),
        None => (
            Rule::BadExpansion,
            format!("{key}: %({name})s is no known name"),
            "write %% for a percent sign".to_owned(),
        ),
    };
    let remedy = meant.map_or(remedy.clone(), |meant| format!("{meant} Or {remedy}"));
    Explained::new(rule, plain).key(key).remedy(remedy).error()
}

/// The rule and the explanation of a message in [`PATTERNS`]. A secret value is left out.
fn matched(row: Option<&ConfigKey>, sentence: &str) -> Option<(Rule, String)> {
    if let Some(rest) = sentence.strip_prefix("invalid '")
        && let Some((_, value)) = rest.split_once("' value ")
    {
        return Some((
            Rule::BadValue,
            format!("{} is not a valid value", shown(row, value)),
        ));
    }
    if let Some(rest) = sentence.strip_prefix("program section ")
        && let Some((section, what)) = rest.split_once(" does not specify a ")
    {
        return Some((Rule::MissingKey, format!("[{section}] has no {what}")));
    }
    if let Some(value) = sentence.strip_prefix("invalid literal for int() with base 10: ") {
        let what = match unquoted(value).parse::<f64>() {
            Ok(_) => "a whole number",
            Err(_) => "a number",
        };
        return Some((
            Rule::BadNumber,
            format!("{} is not {what}", shown(row, value)),
        ));
    }
    if sentence.starts_with("Format string ") && sentence.contains(" is badly formatted: ") {
        let plain = "a % begins neither %(NAME)s nor %%".to_owned();
        return Some((Rule::BadExpansion, plain));
    }
    if sentence.starts_with("Source contains parsing errors: ")
        && let Some((_, line)) = sentence.split_once("': ")
    {
        let plain = format!(
            "the line {} is neither KEY=VALUE nor a section",
            shown(row, line)
        );
        return Some((Rule::Syntax, plain));
    }
    PATTERNS.iter().find_map(|(before, after, rule, plain)| {
        let value = sentence.strip_prefix(before)?.strip_suffix(after)?;
        Some((*rule, plain.replacen("{}", &shown(row, value), 1)))
    })
}

/// A value in double quotes, without the quotes that it may have.
fn shown(row: Option<&ConfigKey>, value: &str) -> String {
    if row.is_some_and(|row| row.is_secret) {
        return "the value".to_owned();
    }
    let bare = unquoted(value);
    let mut text: String = bare.chars().take(SHOWN_MAX).collect();
    if text.len() < bare.len() {
        text.push('…');
    }
    format!("\"{text}\"")
}

/// A value without the quotes that Python writes around it.
fn unquoted(value: &str) -> &str {
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    quoted('\'').or_else(|| quoted('"')).unwrap_or(value)
}

/// What to do about an error. Empty: the remedy of its rule.
fn remedy(row: Option<&ConfigKey>, rule: Rule, hint: &str) -> String {
    if matches!(rule, Rule::UnknownUser | Rule::MissingDirectory) {
        return String::new();
    }
    if let Some(meant) = hint.strip_prefix("did you mean ")
        && let Some((meant, rest)) = meant.split_once('?')
    {
        let rest = rest.trim().strip_prefix("It is ");
        let more = rest.map_or(String::new(), |rest| format!(" (it takes {rest})"));
        let meant = meant.replace(" for ", " in place of ");
        return format!("write {meant}{more}");
    }
    if let Some(row) = row.filter(|_| rule == Rule::MissingKey) {
        let example = row.example.or(row.default).unwrap_or("...");
        return format!("add a line such as {}={example}", row.name);
    }
    let number = row.filter(|_| rule == Rule::BadNumber).map(|row| {
        let given = row.example.or(row.default).unwrap_or_default();
        // The default of many keys says "off", which is no example of a number.
        let is_useful = given.parse().is_ok_and(|number: i64| number > 1);
        let number = if is_useful { given } else { "4" };
        match row.kind {
            ValueKind::Integer => format!("write a whole number such as {number}"),
            ValueKind::ProcessCount => format!("write a whole number such as {number}, or cpus"),
            ValueKind::Seconds => format!("write a whole number of seconds such as {number}"),
            kind => format!("write {}", kind.expected()),
        }
    });
    number.unwrap_or_else(|| match hint.split_once(" takes ") {
        Some((key, what)) if !key.contains(' ') => format!("write {what}"),
        _ => hint.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::key::SectionKind;
    use super::*;

    #[test]
    fn errors_are_explained_with_the_value_and_a_remedy() {
        for (key, sentence, hint, code, plain, remedy) in [
            (
                "numprocs",
                "invalid literal for int() with base 10: 'abc'",
                "numprocs takes a whole number, or cpus",
                "bad-number",
                "numprocs: \"abc\" is not a number",
                "write a whole number such as 4, or cpus",
            ),
            (
                "autorestart",
                "invalid 'autorestart' value 'flase'",
                "did you mean false? It is true, false or unexpected",
                "bad-value",
                "autorestart: \"flase\" is not a valid value",
                "write false (it takes true, false or unexpected)",
            ),
            (
                "command",
                "program section program:a does not specify a command",
                "command takes a string",
                "missing-key",
                "[program:a] has no command",
                "add a line such as command=/usr/bin/python3 -m http.server 8000",
            ),
            (
                "user",
                "Invalid user name wwww",
                "user takes …",
                "unknown-user",
                "user: this host has no user \"wwww\"",
                "create the user or the group, or name another one",
            ),
            (
                "environment",
                "Unexpected end of key/value pairs in value 'TOKEN=a b'",
                "environment takes pairs such as KEY=\"value\"",
                "bad-value",
                "environment: the value is not a list of NAME=\"VALUE\" pairs",
                "write pairs such as KEY=\"value\"",
            ),
        ] {
            let row = ConfigKey::find(SectionKind::Program, key);
            let found = explain(row, key, sentence, hint);
            let expected = (code, plain, remedy);
            let found = (found.rule.code(), &*found.plain, &*found.remedy);
            assert_eq!(found, expected);
        }
    }
}
