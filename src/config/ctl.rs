//! `[supervisorctl]`: the client's part of the configuration. The client never follows `[include]`.

use super::expand::ExpandNames;
use super::key::{CTL_FACTORY, ClientValues, ConfigKey, SectionKind};
use super::lookup::Lookup;
use super::parse::{ConfigReader, KeyResult, RowCursor, SectionAt};
use super::path::{absolute, expand_user};
use super::plugin;
use super::problem::{ConfigErrors, SourceSpan};

/// The factory of the plug-in supervisor-serialrestart.
const SERIALRESTART: &str =
    "supervisorserialrestart.controllerplugin:make_serialrestart_controllerplugin";

/// The client's settings from the file. The command line overrides all of them.
#[derive(Clone, PartialEq, Eq)]
pub struct CtlSpec {
    /// `http://…`, or `unix://` and an absolute path.
    pub serverurl: String,
    /// For servers with authentication.
    pub username: Option<String>,
    /// For servers with authentication. Never printed.
    pub password: Option<String>,
    /// The prompt without `> `.
    pub prompt: String,
    /// An absolute path.
    pub history_file: Option<String>,
    /// Warnings to print on standard error first.
    pub warnings: Vec<String>,
}

impl std::fmt::Debug for CtlSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CtlSpec")
            .field("serverurl", &self.serverurl)
            .field("username", &self.username)
            .field("prompt", &self.prompt)
            .field("history_file", &self.history_file)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl Default for CtlSpec {
    /// The settings without a file.
    fn default() -> Self {
        let default = |name| {
            ConfigKey::find(SectionKind::Client, name)
                .and_then(|key| key.default)
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            serverurl: default("serverurl"),
            username: None,
            password: None,
            prompt: default("prompt"),
            history_file: None,
            warnings: Vec::new(),
        }
    }
}

/// Reads the section from the file at `path`, which messages name as given. `is_required`: a file without the section is
/// an error.
///
/// # Errors
/// All errors in it.
pub fn ctl_spec(
    path: &str,
    lookup: &dyn Lookup,
    is_required: bool,
) -> Result<CtlSpec, ConfigErrors> {
    let mut reader = ConfigReader::open(path, lookup)?;
    let section = SectionKind::Client.prefix();
    if reader.ini.section(section).is_none() && is_required {
        reader.report.add(
            SourceSpan::default(),
            ".ini file does not include supervisorctl section",
            "the line [supervisorctl] is enough",
        );
    }
    let at = reader.at(section, SectionKind::Client);
    let nothing = ExpandNames::new();
    let here = reader.only_here();
    let mut values: ClientValues = reader.defaults(at.kind);
    let mut rows = RowCursor::new(at.kind);
    reader.fields(at, &here, rows.to("serverurl"), &mut values);
    reader.fields(at, &nothing, rows.to("password"), &mut values);
    reader.fields(at, &here, rows.rest(), &mut values);
    let mut warnings = Vec::new();
    for plugin_section in
        reader.names_of(|name| SectionKind::of(name) == Some(SectionKind::CtlPlugin))
    {
        let at = SectionAt::new(&plugin_section, SectionKind::CtlPlugin);
        match reader.text(at, CTL_FACTORY, &nothing) {
            KeyResult::Wrong => {}
            KeyResult::Absent => reader.fail(
                at,
                CTL_FACTORY,
                format!("section [{plugin_section}] does not specify a {CTL_FACTORY}"),
            ),
            // The action of this plug-in is built in.
            KeyResult::Is(factory) if factory == SERIALRESTART => {}
            // Differs: Supervisor exits if it cannot load the module. All other actions work without it.
            KeyResult::Is(factory) => warnings.push(reader.report.shown(
                reader.span_of(at, CTL_FACTORY),
                &plugin::actions_text(&plugin_section, &factory),
            )),
        }
    }
    reader.finish()?;
    let history_file = values.history_file.filter(|path| !path.is_empty());
    Ok(CtlSpec {
        serverurl: server_url(&values.serverurl, lookup),
        username: values.username,
        password: values.password,
        prompt: values.prompt,
        history_file: history_file.map(|path| absolute(&expand_user(&path, lookup), lookup)),
        warnings,
    })
}

/// Returns the file with only the sections that the client reads, each line in its place. `None`: a line of another
/// section is not clearly a key with a value, a comment or a continuation line, so the whole file must be parsed for
/// errors.
///
/// A configuration with all programs of a machine may have a hundred thousand lines, of which the client needs five.
#[must_use]
pub fn own_sections(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    // Another kind of line end, or a byte order mark.
    if text.contains(['\r', '\u{feff}']) {
        return None;
    }
    let mut kept = String::new();
    let mut is_kept = true;
    // Whether the previous line belongs to a key, so that an indented line continues its value.
    let mut has_key = false;
    for line in text.split_inclusive('\n') {
        let first = line.as_bytes().first().copied().unwrap_or(b'\n');
        if first == b'[' {
            let (name, rest) = line[1..].split_once(']')?;
            if name.is_empty() || !rest.trim_ascii().is_empty() {
                return None;
            }
            is_kept = is_own(name);
            has_key = false;
        } else if !is_kept {
            match first {
                b'\n' | b';' | b'#' => {}
                b' ' | b'\t' if has_key || line.trim_ascii().is_empty() => {}
                b'a'..=b'z' | b'A'..=b'Z' | b'_' if is_pair(line) => has_key = true,
                _ => return None,
            }
        }
        kept.push_str(if is_kept { line } else { "\n" });
    }
    Some(kept)
}

/// Whether the client reads the section of this name.
fn is_own(name: &str) -> bool {
    name == "DEFAULT"
        || matches!(
            SectionKind::of(name),
            Some(SectionKind::Client | SectionKind::CtlPlugin)
        )
}

/// Whether a separator between key and value comes before anything that could be a comment.
fn is_pair(line: &str) -> bool {
    line.find(['=', ':', ';', '#'])
        .is_some_and(|at| matches!(line.as_bytes()[at], b'=' | b':'))
}

/// Makes a socket's path absolute. Returns other addresses unchanged.
fn server_url(url: &str, lookup: &dyn Lookup) -> String {
    match url.strip_prefix("unix://") {
        Some(path) => format!("unix://{}", absolute(&expand_user(path, lookup), lookup)),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::lookup::Fake;
    use super::*;

    fn spec(text: &str) -> Result<CtlSpec, String> {
        let machine = Fake::default().with("/etc/s.conf", text);
        ctl_spec("/etc/s.conf", &machine, true).map_err(|errors| errors.first)
    }

    #[test]
    fn cfg_66_the_client_has_supervisors_keys_and_defaults() {
        assert_eq!(spec("[supervisorctl]"), Ok(CtlSpec::default()));
        assert_eq!(CtlSpec::default().serverurl, "http://localhost:9001");
        assert_eq!(CtlSpec::default().prompt, "supervisor");
        assert_eq!(
            spec(
                "[supervisorctl]\nserverurl=unix://%(here)s/../run/s.sock\nusername=%(ENV_HOME)s\npassword=p\n\
                 prompt=x\nhistory_file=~/h"
            ),
            Ok(CtlSpec {
                serverurl: "unix:///run/s.sock".to_owned(),
                username: Some("/home/me".to_owned()),
                password: Some("p".to_owned()),
                prompt: "x".to_owned(),
                history_file: Some("/home/me/h".to_owned()),
                warnings: Vec::new(),
            })
        );
        assert_eq!(
            spec("[x]"),
            Err(".ini file does not include supervisorctl section".to_owned())
        );
        assert_eq!(
            spec("[supervisorctl]\nprompt=%(here)s"),
            Err(
                "Format string '%(here)s' for 'supervisorctl.prompt' contains names ('here') which cannot be expanded. \
                 Available names: ENV_HOME"
                    .to_owned()
            )
        );
        assert_eq!(
            spec(&format!(
                "[supervisorctl]\n[ctlplugin:x]\n{CTL_FACTORY}={SERIALRESTART}\n"
            ))
            .map(|spec| spec.warnings),
            Ok(Vec::new())
        );
        assert_eq!(
            spec("[supervisorctl]\n[ctlplugin:x]\n"),
            Err("section [ctlplugin:x] does not specify a supervisor.ctl_factory".to_owned())
        );
    }

    #[test]
    fn only_the_clients_sections_remain_on_their_original_lines() {
        let text = "; comment\n[supervisord]\nlogfile = /x ; c\n\n[supervisorctl]\nprompt=a\n b\n[program:x]\ncommand=a\n  \
                    b\n\n  c\n# comment\nenvironment=A=\"1\"\n[DEFAULT]\nx=y\n[ctlplugin:z]\nk=v\n";
        assert_eq!(
            own_sections(text.as_bytes()).as_deref(),
            Some(
                "; comment\n\n\n\n[supervisorctl]\nprompt=a\n b\n\n\n\n\n\n\n\n[DEFAULT]\nx=y\n[ctlplugin:z]\nk=v\n"
            )
        );
    }

    #[test]
    fn a_file_with_an_ambiguous_line_is_read_whole() {
        for line in [
            "nonsense",
            "nonsense ; = x",
            "= x",
            " indented = 1",
            "[half",
            "[]",
            "[a] b",
            "\u{e9} = 1",
            "a = 1\r",
        ] {
            let text = format!("[supervisorctl]\n[program:x]\n{line}\n");
            assert_eq!(own_sections(text.as_bytes()), None, "{line:?}");
        }
        assert_eq!(own_sections(b"[program:x]\n\xff=1\n"), None);
    }

    #[test]
    fn own_sections_give_the_same_result_as_the_whole_file() {
        let texts = [
            "[supervisorctl]\nprompt=x\n[program:a]\ncommand=b\n c\n[supervisorctl]\nusername=u\n",
            "[program:a]\ncommand=b\n[supervisorctl]\nprompt=%(here)s\n",
            "[program:a]\ncommand=b\n\n[ctlplugin:x]\nk=v\n[supervisorctl]\n",
            "[program:a]\ncommand=b\n",
            "[program:a]\ncommand=b\n[supervisorctl]\nbroken\n",
            "[program:a]\nbroken\n[supervisorctl]\nprompt=x\n",
            "x=y\n[program:a]\ncommand=b\n[supervisorctl]\n",
            "[DEFAULT]\nprompt=d\n[program:a]\ncommand=b\n[supervisorctl]\n",
        ];
        for text in texts {
            let kept = own_sections(text.as_bytes()).unwrap_or_else(|| text.to_owned());
            let shown = |text: &str| {
                let machine = Fake::default().with("/etc/s.conf", text);
                ctl_spec("/etc/s.conf", &machine, true)
                    .map_err(|errors| (errors.first.clone(), format!("{:?}", errors.all)))
            };
            assert_eq!(shown(&kept), shown(text), "{text}");
        }
    }

    #[test]
    fn cfg_06_includes_are_not_followed() {
        let machine = Fake::default()
            .with("/etc/s.conf", "[supervisorctl]\n[include]\nfiles=x.conf")
            .with("/etc/x.conf", "[supervisorctl]\nprompt=no\n");
        let spec = ctl_spec("/etc/s.conf", &machine, true).expect("valid");
        assert_eq!(spec.prompt, "supervisor");
    }

    #[test]
    fn cfg_04_missing_and_unreadable_files_are_errors() {
        for (path, expected) in [
            ("/no", "could not find config file /no"),
            ("/tmp", "could not read config file /tmp"),
        ] {
            let errors = ctl_spec(path, &Fake::default(), true).expect_err(path);
            assert_eq!(errors.first, expected);
        }
    }

    #[test]
    fn cfg_66_each_plug_in_gives_one_warning_with_its_position() {
        let spec = spec("[supervisorctl]\n[ctlplugin:x]\nsupervisor.ctl_factory = a.b:c\nk=v\n")
            .expect("valid");
        assert_eq!(
            spec.warnings,
            [
                "/etc/s.conf:3:26: [ctlplugin:x] is a Python plug-in (a.b:c), which is not supported; its actions are not available \
                 (use a script that calls supervisorctl or the API)"
            ]
        );
    }

    #[test]
    fn passwords_are_not_printed() {
        let spec = spec("[supervisorctl]\npassword=secret").expect("valid");
        assert!(!format!("{spec:?}").contains("secret"));
    }
}
