//! Files for editors, generated from KEYS and RULES: a schema of configurations, a schema of the report of
//! `supervisord --check --json`, syntax for Vim and a grammar for VS Code. `packaging/editor` has them.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::config::key::{self, ConfigKey, SectionKind, ValueKind};
use crate::config::lint::{RULES, Severity};

/// The kinds of sections, each with the expression for its name.
fn sections() -> Vec<(SectionKind, String)> {
    let mut kinds: Vec<SectionKind> = Vec::new();
    for (kind, _) in key::all() {
        if !kinds.contains(kind) {
            kinds.push(*kind);
        }
    }
    kinds.push(SectionKind::ProgramDefault);
    let name = |kind: SectionKind| {
        let prefix = kind.prefix();
        match kind {
            SectionKind::UnixServer | SectionKind::InetServer => format!("{prefix}(:[^\\]]+)?"),
            _ if prefix.ends_with(':') => format!("{prefix}[^\\]]+"),
            _ => prefix.to_owned(),
        }
    };
    kinds.into_iter().map(|kind| (kind, name(kind))).collect()
}

/// The names of all keys, sorted.
fn key_names() -> Vec<&'static str> {
    let names: BTreeSet<&str> = key::all().iter().map(|(_, key)| key.name).collect();
    names.into_iter().collect()
}

/// The words of boolean values.
const BOOLEANS: [&str; 8] = ["yes", "true", "on", "1", "no", "false", "off", "0"];

/// The schema of a key. Every value is text, because every value can contain `%(NAME)s`.
fn key_schema(key: &ConfigKey) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("string"));
    let new = if key.ours { " (new)" } else { "" };
    let expected = key.kind.expected();
    let description = format!("{}{new}. It takes {expected}.", key.doc);
    schema.insert("description".to_owned(), json!(description));
    if let Some(default) = key.default {
        schema.insert("default".to_owned(), json!(default));
    }
    if let Some(example) = key.example {
        schema.insert("examples".to_owned(), json!([example]));
    }
    let expansion = "%\\(.+\\)";
    let pattern = match key.kind {
        // JSON Schema has no flag for letters of any case.
        ValueKind::Boolean => Some(format!("^({ANY_CASE})$|{expansion}")),
        ValueKind::Integer | ValueKind::Seconds => Some(format!("^[+-]?[0-9]+$|{expansion}")),
        ValueKind::ByteSize => Some(format!("^[0-9]+([KkMmGg][Bb])?$|{expansion}")),
        _ => None,
    };
    if let Some(pattern) = pattern {
        schema.insert("pattern".to_owned(), json!(pattern));
    }
    Value::Object(schema)
}

/// [`BOOLEANS`] in any case.
const ANY_CASE: &str =
    "[Yy][Ee][Ss]|[Tt][Rr][Uu][Ee]|[Oo][Nn]|1|[Nn][Oo]|[Ff][Aa][Ll][Ss][Ee]|[Oo][Ff][Ff]|0";

/// The JSON Schema of a configuration as an object of sections, each an object of keys and their texts.
#[must_use]
pub fn configuration_schema() -> String {
    let patterns: Map<String, Value> = sections()
        .into_iter()
        .map(|(kind, name)| {
            let keys = kind
                .keys()
                .map(|key| (key.name.to_owned(), key_schema(key)));
            let keys: Map<String, Value> = keys.collect();
            let section = json!({
                "type": "object",
                "properties": keys,
                "additionalProperties": kind.is_open(),
            });
            (format!("^{name}$").replace("[^\\]]", "."), section)
        })
        .collect();
    pretty(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of supervisord",
        "type": "object",
        "patternProperties": patterns,
        "additionalProperties": false,
    }))
}

/// The JSON Schema of the report of `supervisord --check --json`.
#[must_use]
pub fn report_schema() -> String {
    let codes: Vec<Value> = RULES
        .iter()
        .map(|row| json!({"const": row.code, "description": row.doc.replace('`', "")}))
        .collect();
    let severities = Severity::ALL.map(Severity::word);
    let number = |what: &str| json!({"type": "integer", "minimum": 0, "description": what});
    let text = |what: &str| json!({"type": "string", "description": what});
    let properties = json!({
        "file": text("The file, named as when it was read"),
        "line": number("From 1; 0: the file as a whole"),
        "column": number("Of the first character, from 1; 0: the file as a whole"),
        "end_column": number("Of the first character behind the place; 0: the file as a whole"),
        "severity": {"enum": severities},
        "code": {"oneOf": codes},
        "key": text("The key; empty: the problem is not about one key"),
        "message": text("What is wrong"),
        "remedy": text("What to do"),
    });
    pretty(&json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Report of supervisord --check --json",
        "type": "object",
        "properties": {
            "file": text("The main file"),
            "problems": {
                "type": "array",
                "description": "By file and line",
                "items": object(&properties),
            },
            "errors": number("Number of problems with this severity"),
            "warnings": number("Number of problems with this severity"),
            "infos": number("Number of problems with this severity"),
        },
        "required": ["file", "problems", "errors", "warnings", "infos"],
        "additionalProperties": false,
    }))
}

/// An object that has all of these properties and no others.
fn object(properties: &Value) -> Value {
    let names: Vec<&String> = properties
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
    })
}

fn pretty(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).expect("texts and numbers are JSON");
    format!("{text}\n")
}

/// How many keys a line of the syntax for Vim has at most.
const KEYS_OF_LINE: usize = 12;

/// The syntax for Vim.
#[must_use]
pub fn vim_syntax() -> String {
    // Vim: `\(`, `\|`, `\+`, `\?` are the operators.
    let section = |(_, name): (SectionKind, String)| {
        let name = name.replace('(', "\\%(").replace(")?", "\\)\\?");
        name.replace("]+", "]\\+")
    };
    let names: Vec<String> = sections().into_iter().map(section).collect();
    let keys: String = key_names()
        .chunks(KEYS_OF_LINE)
        .map(|keys| {
            let keys = keys.join("\\|");
            format!("syn match supervisordKey \"^\\c\\%({keys}\\)\\ze\\s*[=:]\"\n")
        })
        .collect();
    format!(
        "\" Vim syntax file for configurations of supervisord, generated from the table of keys; do not edit.
if exists(\"b:current_syntax\")
  finish
endif
syn match supervisordUnknownSection \"^\\[.*\\]\"
syn match supervisordSection \"^\\[\\%({}\\)\\]\"
syn match supervisordUnknownKey \"^[^][=:;# \\t][^=:]*\\ze\\s*[=:]\"
{keys}syn match supervisordExpansion \"%([^)]*)[-+ 0-9.#]*[a-zA-Z]\"
syn match supervisordPercent \"%%\"
syn match supervisordBoolean \"\\c[=:]\\s*\\zs\\%({}\\)\\ze\\s*\\%($\\|\\s[;#]\\)\"
syn match supervisordNumber \"[=:]\\s*\\zs-\\?\\d\\+\\%([KMG]B\\)\\?\\ze\\s*\\%($\\|\\s[;#]\\)\"
syn match supervisordComment \"^\\s*[;#].*$\"
syn match supervisordComment \"\\s[;#].*$\"
hi def link supervisordSection Title
hi def link supervisordUnknownSection Error
hi def link supervisordKey Identifier
hi def link supervisordUnknownKey Error
hi def link supervisordExpansion PreProc
hi def link supervisordPercent SpecialChar
hi def link supervisordBoolean Boolean
hi def link supervisordNumber Number
hi def link supervisordComment Comment
let b:current_syntax = \"supervisord\"
",
        names.join("\\|"),
        BOOLEANS.join("\\|"),
    )
}

/// The TextMate grammar for VS Code and other editors.
#[must_use]
pub fn textmate_grammar() -> String {
    let names: Vec<String> = sections().into_iter().map(|(_, name)| name).collect();
    let rule = |name: &str, pattern: String| json!({"name": format!("{name}.supervisord"), "match": pattern});
    let keys = key_names().join("|");
    pretty(&json!({
        "name": "supervisord",
        "scopeName": "source.supervisord",
        "fileTypes": [],
        "patterns": [
            rule("comment.line", "^\\s*[;#].*$|\\s[;#].*$".to_owned()),
            rule("entity.name.section", format!("^\\[(?:{})\\]", names.join("|"))),
            rule("invalid.illegal.section", "^\\[.*\\]".to_owned()),
            rule("keyword.other.key", format!("^(?i:{keys})(?=\\s*[=:])")),
            rule("invalid.unknown.key", "^[^\\[\\]=:;#\\s][^=:]*?(?=\\s*[=:])".to_owned()),
            rule("variable.other.expansion", "%\\([^)]*\\)[-+ 0-9.#]*[a-zA-Z]".to_owned()),
            rule("constant.character.escape", "%%".to_owned()),
            rule(
                "constant.language.boolean",
                format!("(?<=[=:])\\s*(?i:{})(?=\\s*($|\\s[;#]))", BOOLEANS.join("|")),
            ),
            rule(
                "constant.numeric",
                "(?<=[=:])\\s*-?\\d+(?i:[KMG]B)?(?=\\s*($|\\s[;#]))".to_owned(),
            ),
        ],
    }))
}

/// The line of a problem, for tools that read the report line by line: file, line, column, severity, message and code.
const PROBLEM_LINE: &str = "^(.+):(\\d+):(\\d+): (error|warning|info): (.+) \\[([a-z-]+)\\]$";

/// The package of the extension for VS Code: the language, its grammar and the matcher of problems.
#[must_use]
pub fn vscode_package(version: &str) -> String {
    pretty(&json!({
        "name": "supervisord",
        "displayName": "supervisord",
        "description": "Configurations of supervisord",
        "version": version,
        "publisher": "supervisord",
        "engines": {"vscode": "^1.60.0"},
        "categories": ["Programming Languages", "Linters"],
        "contributes": {
            "languages": [{
                "id": "supervisord",
                "aliases": ["supervisord"],
                "filenames": ["supervisord.conf"],
                "filenamePatterns": ["**/supervisor/conf.d/*.conf", "**/supervisord.d/*.ini"],
                "configuration": "./language-configuration.json",
            }],
            "grammars": [{
                "language": "supervisord",
                "scopeName": "source.supervisord",
                "path": "./supervisord.tmLanguage.json",
            }],
            "problemMatchers": [{
                "name": "supervisord",
                "owner": "supervisord",
                "fileLocation": ["autoDetect", "${workspaceFolder}"],
                "pattern": {
                    "regexp": PROBLEM_LINE,
                    "file": 1, "line": 2, "column": 3, "severity": 4, "message": 5, "code": 6,
                },
            }],
        },
    }))
}

/// The matcher of problems for GitHub Actions.
#[must_use]
pub fn github_matcher() -> String {
    pretty(&json!({
        "problemMatcher": [{
            "owner": "supervisord",
            "pattern": [{
                "regexp": PROBLEM_LINE,
                "file": 1, "line": 2, "column": 3, "severity": 4, "message": 5, "code": 6,
            }],
        }],
    }))
}
