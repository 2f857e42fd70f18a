//! Generates the unit: the shipped one, adapted to this binary and this configuration.

/// The shipped unit. Its comments explain every line.
const SHIPPED: &str = include_str!("../../systemd/supervisord.service");

/// The first line of a generated unit, which identifies it.
pub(super) const MARKER: &str = "# Written by `supervisord service install`. `install` replaces this file, `uninstall` removes it.";

/// The paths in a unit. All are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnitPaths {
    pub(super) daemon: String,
    pub(super) client: String,
    pub(super) configuration: String,
    pub(super) env_file: Option<String>,
}

/// A path with a character that a unit file cannot contain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path {0:?} cannot be used in a unit file")]
pub(super) struct UnrepresentablePath(pub(super) String);

/// Returns the unit's text.
///
/// # Errors
/// A path contains a control character.
pub(super) fn render_unit(paths: &UnitPaths) -> Result<String, UnrepresentablePath> {
    let daemon = escape_program(&paths.daemon)?;
    let client = escape_program(&paths.client)?;
    let configuration = escape_argument(&paths.configuration)?;
    let mut text = format!("{MARKER}\n#\n");
    for line in SHIPPED.lines() {
        if line.starts_with("ExecStart=") {
            text.push_str(&format!("ExecStart={daemon} -n -c {configuration}\n"));
        } else if line.starts_with("ExecReload=") {
            text.push_str(&format!("ExecReload={client} -c {configuration} update\n"));
        } else {
            text.push_str(line);
            text.push('\n');
        }
        if line == "[Service]"
            && let Some(file) = &paths.env_file
        {
            text.push_str(&format!(
                "# Environment variables for the daemon and its programs.\nEnvironmentFile={}\n",
                escape_path(file)?.replace('%', "%%")
            ));
        }
    }
    Ok(text)
}

fn escape_path(path: &str) -> Result<&str, UnrepresentablePath> {
    if path.contains(char::is_control) {
        Err(UnrepresentablePath(path.to_owned()))
    } else {
        Ok(path)
    }
}

/// Escapes a word of a command line, so that it has no specifiers, variables or quotes.
// Source: systemd.service(5), "Command Lines"; systemd.syntax(7), "Quoting".
fn escape_argument(path: &str) -> Result<String, UnrepresentablePath> {
    escape_program(path).map(|word| word.replace('$', "$$"))
}

/// Escapes the first word of a command line, in which variables are not expanded.
fn escape_program(path: &str) -> Result<String, UnrepresentablePath> {
    let escaped = escape_path(path)?
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@=~%$".contains(c);
    Ok(if escaped.chars().all(is_plain) {
        escaped
    } else {
        format!("\"{escaped}\"")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> UnitPaths {
        UnitPaths {
            daemon: "/opt/s/supervisord".to_owned(),
            client: "/opt/s/supervisorctl".to_owned(),
            configuration: "/etc/s.conf".to_owned(),
            env_file: None,
        }
    }

    fn differing(text: &str) -> Vec<&str> {
        let shipped: Vec<&str> = SHIPPED.lines().collect();
        text.lines()
            .filter(|line| !shipped.contains(line))
            .collect()
    }

    #[test]
    fn the_shipped_unit_is_changed_in_two_lines() {
        let text = render_unit(&paths()).expect("sayable");
        assert_eq!(
            differing(&text),
            [
                MARKER,
                "ExecStart=/opt/s/supervisord -n -c /etc/s.conf",
                "ExecReload=/opt/s/supervisorctl -c /etc/s.conf update",
            ]
        );
        // No line is lost, and two lines are added.
        assert_eq!(text.lines().count(), SHIPPED.lines().count() + 2);
        assert!(!text.contains("/usr/bin/supervisor"));
    }

    #[test]
    fn unusual_paths_are_escaped() {
        let odd = UnitPaths {
            daemon: "/opt/a b/100%/su\"per$visord".to_owned(),
            client: "/opt/c".to_owned(),
            configuration: "/etc/it's $HOME \\ %n.conf".to_owned(),
            env_file: Some("/etc/my env%".to_owned()),
        };
        assert_eq!(
            differing(&render_unit(&odd).expect("sayable")),
            [
                MARKER,
                "# Environment variables for the daemon and its programs.",
                "EnvironmentFile=/etc/my env%%",
                "ExecStart=\"/opt/a b/100%%/su\\\"per$visord\" -n -c \"/etc/it's $$HOME \\\\ %%n.conf\"",
                "ExecReload=/opt/c -c \"/etc/it's $$HOME \\\\ %%n.conf\" update",
            ]
        );
        let broken = UnitPaths {
            configuration: "/etc/a\nb".to_owned(),
            ..paths()
        };
        assert_eq!(
            render_unit(&broken),
            Err(UnrepresentablePath("/etc/a\nb".to_owned()))
        );
    }
}
