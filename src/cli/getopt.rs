//! Parses command lines like Supervisor: getopt with abbreviated long options and getopt's error messages.

/// An option of a program.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// The short option, without the dash.
    pub short: Option<char>,
    /// The long option, without dashes.
    pub long: Option<&'static str>,
    /// Whether it takes an argument.
    pub argument: bool,
    /// Whether Supervisor does not have it. It cannot be abbreviated, and does not make Supervisor's abbreviations
    /// ambiguous.
    pub ours: bool,
}

/// One option from a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedOption {
    /// Its index in the table.
    pub index: usize,
    /// Its name in Supervisor's errors: `-n`, `--nodaemon` (long names in full).
    pub spelled: String,
    /// Its argument, if it takes one.
    pub value: Option<String>,
}

/// Parses options until the first argument that is not an option, or `--`. Returns the options and the remaining
/// arguments.
///
/// # Errors
/// Python's messages: `option --foo not recognized`, `… not a unique prefix`, `… requires argument`, `… must not have
/// an argument`.
///
/// # Source
/// Python's `getopt` module.
pub fn getopt(
    args: &[String],
    table: &[OptionSpec],
) -> Result<(Vec<ParsedOption>, Vec<String>), String> {
    let mut given = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.as_slice().first() {
        if word == "-" || !word.starts_with('-') {
            break;
        }
        words.next();
        if word == "--" {
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            let (name, inline) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let index = find_long(name, table)?;
            let full = table[index].long.unwrap_or_default();
            let value = match (table[index].argument, inline) {
                (true, Some(value)) => Some(value),
                (true, None) => Some(
                    words
                        .next()
                        .cloned()
                        .ok_or_else(|| format!("option --{full} requires argument"))?,
                ),
                (false, Some(_)) => {
                    return Err(format!("option --{full} must not have an argument"));
                }
                (false, None) => None,
            };
            given.push(ParsedOption {
                index,
                spelled: format!("--{full}"),
                value,
            });
        } else {
            let mut letters = word[1..].chars();
            while let Some(letter) = letters.next() {
                let index = table
                    .iter()
                    .position(|opt| opt.short == Some(letter))
                    .ok_or_else(|| format!("option -{letter} not recognized"))?;
                let value = if table[index].argument {
                    let rest: String = letters.by_ref().collect();
                    if rest.is_empty() {
                        Some(
                            words
                                .next()
                                .cloned()
                                .ok_or_else(|| format!("option -{letter} requires argument"))?,
                        )
                    } else {
                        Some(rest)
                    }
                } else {
                    None
                };
                given.push(ParsedOption {
                    index,
                    spelled: format!("-{letter}"),
                    value,
                });
            }
        }
    }
    Ok((given, words.cloned().collect()))
}

/// Finds a long option: an exact name, or a unique prefix of one of Supervisor's own.
pub(super) fn find_long(name: &str, table: &[OptionSpec]) -> Result<usize, String> {
    if let Some(exact) = table.iter().position(|opt| opt.long == Some(name)) {
        return Ok(exact);
    }
    let mut candidates = table
        .iter()
        .enumerate()
        .filter(|(_, opt)| !opt.ours && opt.long.is_some_and(|long| long.starts_with(name)))
        .map(|(index, _)| index);
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(format!("option --{name} not a unique prefix")),
        (None, _) => Err(format!("option --{name} not recognized")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[OptionSpec] = &[
        OptionSpec {
            short: Some('n'),
            long: Some("nodaemon"),
            argument: false,
            ours: false,
        },
        OptionSpec {
            short: Some('c'),
            long: Some("configuration"),
            argument: true,
            ours: false,
        },
        OptionSpec {
            short: Some('k'),
            long: Some("nocleanup"),
            argument: false,
            ours: false,
        },
        OptionSpec {
            short: None,
            long: Some("nosuch-ours"),
            argument: false,
            ours: true,
        },
    ];

    fn run(line: &str) -> Result<String, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        getopt(&args, TABLE).map(|(given, rest)| {
            let options: Vec<String> = given
                .into_iter()
                .map(|g| format!("{}={}", g.spelled, g.value.unwrap_or_default()))
                .collect();
            format!("{} | {}", options.join(" "), rest.join(" "))
        })
    }

    #[test]
    fn dmn_02_prefixes_and_errors_are_getopts() {
        let table = [
            ("-nc x foo -k", Ok("-n= -c=x | foo -k")),
            ("-cx --nod", Ok("-c=x --nodaemon= | ")),
            ("--conf=a=b -- -n", Ok("--configuration=a=b | -n")),
            ("--nosuch-ours", Ok("--nosuch-ours= | ")),
            ("--no", Err("option --no not a unique prefix")),
            ("--nos", Err("option --nos not recognized")),
            ("--foo", Err("option --foo not recognized")),
            ("-x", Err("option -x not recognized")),
            ("-c", Err("option -c requires argument")),
            ("--conf", Err("option --configuration requires argument")),
            (
                "--nodaemon=1",
                Err("option --nodaemon must not have an argument"),
            ),
        ];
        for (line, expected) in table {
            assert_eq!(
                run(line),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{line}"
            );
        }
    }
}
