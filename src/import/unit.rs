//! Parses a unit file and its drop-ins into their assignments, in order.

/// One `Directive=value` in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// The name of the section that contains it.
    pub(super) section: String,
    /// The directive.
    pub(super) name: String,
    /// The value, trimmed. Continuation lines are joined by spaces.
    pub(super) value: String,
    /// Its place: `file:line`.
    pub(super) place: String,
}

/// The name of a unit, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnitName {
    /// The whole name: `a@b.service`.
    pub(super) full: String,
    /// The part before `@` or the suffix: `a`.
    pub(super) prefix: String,
    /// The part between `@` and the suffix: `b`. `None`: the unit is not an instance.
    pub(super) instance: Option<String>,
}

/// A unit with its drop-ins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SystemdUnit {
    /// Its name.
    pub(super) name: UnitName,
    /// All assignments of its files, in the order in which they apply.
    pub(super) assignments: Vec<Assignment>,
    /// Lines that systemd ignores: place, line, reason.
    pub(super) passed_over: Vec<(String, String, &'static str)>,
}

/// The suffix of services, the only units that become programs.
pub(super) const SUFFIX: &str = ".service";

impl UnitName {
    /// Splits a name. A name without a suffix gets that of services.
    #[must_use]
    pub(super) fn new(name: &str) -> Self {
        let stem = name.strip_suffix(SUFFIX).unwrap_or(name);
        let (prefix, instance) = match stem.split_once('@') {
            Some((prefix, instance)) => (prefix, Some(instance.to_owned())),
            None => (stem, None),
        };
        Self {
            full: format!("{stem}{SUFFIX}"),
            prefix: prefix.to_owned(),
            instance,
        }
    }

    /// The name without the suffix.
    #[must_use]
    pub(super) fn stem(&self) -> &str {
        self.full.strip_suffix(SUFFIX).unwrap_or(&self.full)
    }

    /// Whether the unit is a template without an instance name.
    #[must_use]
    pub(super) fn is_template(&self) -> bool {
        self.instance.as_deref() == Some("")
    }
}

impl SystemdUnit {
    /// A unit without assignments.
    #[must_use]
    pub(super) fn new(name: UnitName) -> Self {
        Self {
            name,
            assignments: Vec::new(),
            passed_over: Vec::new(),
        }
    }

    /// Parses a file. `file`: its name in places.
    ///
    /// # Errors
    /// An invalid section header, because of which systemd refuses the whole file. With its place.
    ///
    /// # Source
    /// systemd.syntax(7).
    pub(super) fn read(&mut self, file: &str, text: &str) -> Result<(), String> {
        let mut section = None;
        for (number, line) in logical_lines(text) {
            let place = format!("{file}:{number}");
            if let Some(rest) = line.strip_prefix('[') {
                let Some(name) = rest.strip_suffix(']') else {
                    return Err(format!("{place}: a section header ends in ]: {line}"));
                };
                let name = name.trim();
                // No systemd section has such a name.
                let is_valid = !name.is_empty() && !name.contains(['[', ']', '\\']);
                section = is_valid.then(|| name.to_owned());
                if !is_valid {
                    self.passed_over.push((place, line, "unknown section"));
                }
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                self.passed_over.push((place, line, "no = in the line"));
                continue;
            };
            let name = name.trim();
            let is_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            match &section {
                _ if !is_name => self.passed_over.push((place, line, "unknown directive")),
                None => {
                    let why = "it is outside of any section";
                    self.passed_over.push((place, line, why));
                }
                Some(section) => self.assignments.push(Assignment {
                    section: section.clone(),
                    name: name.to_owned(),
                    value: value.trim().to_owned(),
                    place,
                }),
            }
        }
        Ok(())
    }
}

/// The lines that are not empty or comments, with continuation lines joined. Each has the number of its first line.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.replace("\r\n", "\n");
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(text.split(['\n', '\r', '\0'])) {
        let line = line.trim_start_matches([' ', '\t']);
        if line.starts_with(['#', ';']) {
            continue;
        }
        let (first, mut joined) = open.take().unwrap_or((number, String::new()));
        joined.push_str(line);
        if is_continued(&joined) {
            joined.pop();
            joined.push(' ');
            open = Some((first, joined));
        } else {
            found.push((first, joined));
        }
    }
    found.extend(open);
    found
        .into_iter()
        .map(|(number, line)| (number, line.trim().to_owned()))
        .filter(|(_, line)| !line.is_empty())
        .collect()
}

/// Whether the line ends in a backslash that is not itself escaped.
fn is_continued(line: &str) -> bool {
    let backslashes = line.bytes().rev().take_while(|&byte| byte == b'\\').count();
    backslashes % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut unit = SystemdUnit::new(UnitName::new("x"));
        if let Err(error) = unit.read("f", text) {
            return format!("! {error}");
        }
        let assignments = unit
            .assignments
            .iter()
            .map(|one| format!("{} [{}]{}={}", one.place, one.section, one.name, one.value));
        let passed = unit
            .passed_over
            .iter()
            .map(|(place, line, why)| format!("{place} {line}: {why}"));
        assignments.chain(passed).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn lines_are_parsed_as_in_systemd() {
        for (text, expected) in [
            ("", ""),
            ("[S]\nA=b\n", "f:2 [S]A=b"),
            ("\u{feff}[S]\r\n  A = b \r\n", "f:2 [S]A=b"),
            ("[S]\nA=b \\\n  c \\\nd\nB=x", "f:2 [S]A=b  c  d|f:5 [S]B=x"),
            ("[S]\nA=b \\\n# no\n   ; nor this\n  c\n", "f:2 [S]A=b  c"),
            ("[S]\nA=b \\\n\nB=c\n", "f:2 [S]A=b|f:4 [S]B=c"),
            ("[S]\nA=b\\", "f:2 [S]A=b"),
            ("[S]\nA=b\\\\\nB=c", "f:2 [S]A=b\\\\|f:3 [S]B=c"),
            ("[S]\nA=1\nA=\nA=2", "f:2 [S]A=1|f:3 [S]A=|f:4 [S]A=2"),
            (
                "[S]\nA=1\n[T]\nB=2\n[S]\nA=3",
                "f:2 [S]A=1|f:4 [T]B=2|f:6 [S]A=3",
            ),
            ("[S]\nA='b' \"c\"\\t; d # e", "f:2 [S]A='b' \"c\"\\t; d # e"),
            (
                "[S]\nA=b:c=d\nB:c=d",
                "f:2 [S]A=b:c=d|f:3 B:c=d: unknown directive",
            ),
            ("[S]\nfoo\nA=b", "f:3 [S]A=b|f:2 foo: no = in the line"),
            ("A=b", "f:1 A=b: it is outside of any section"),
            ("[S]\n=b", "f:2 =b: unknown directive"),
            ("[S\nA=b", "! f:1: a section header ends in ]: [S"),
            (
                "[a]b]\nA=b",
                "f:1 [a]b]: unknown section|f:2 A=b: it is outside of any section",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_unit_name_is_split_into_parts() {
        let name = UnitName::new("a@b-c.service");
        assert_eq!(
            (name.prefix.as_str(), name.instance.as_deref(), name.stem()),
            ("a", Some("b-c"), "a@b-c")
        );
        assert!(UnitName::new("a@.service").is_template());
        assert_eq!(UnitName::new("nginx").full, "nginx.service");
        assert_eq!(UnitName::new("a.b").full, "a.b.service");
    }
}
