//! Finds the file of a command. It asks the file system, which may block, so only the spawner threads use it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::env_files::Variables;
use super::plan::SpawnBase;
use crate::config::shlex;
use crate::config::spec::ProcessSpec;
use crate::domain::{SpawnError, from_bytes, to_bytes};

/// The search path if neither the program nor the daemon has a PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin:/usr/local/bin";

/// A command that can be executed, as far as the daemon can tell.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolvedCommand {
    /// The file to execute.
    pub(super) path: PathBuf,
    /// The arguments. The first one is as written.
    pub(super) words: Vec<String>,
}

/// Splits the command and finds its file, with the daemon's privileges and in the daemon's working directory.
pub(super) fn resolve_command(
    base: &SpawnBase,
    spec: &ProcessSpec,
    variables: &Variables<'_>,
) -> Result<ResolvedCommand, SpawnError> {
    let cannot_parse = |reason: String| SpawnError::CannotParse {
        command: spec.command.to_string(),
        reason,
    };
    let words =
        shlex::shlex_split(&spec.command).map_err(|error| cannot_parse(error.to_string()))?;
    let word = words.first().ok_or(SpawnError::Empty)?;
    if words.iter().any(|word| word.contains('\0')) {
        return Err(cannot_parse("embedded null byte".to_owned()));
    }
    let file = to_bytes(word);
    let file = OsStr::from_bytes(&file);
    let (path, metadata) = if word.contains('/') {
        (PathBuf::from(file), std::fs::metadata(file).ok())
    } else {
        search(&search_path(base, variables), file)
    };
    let shown = || from_bytes(path.as_os_str().as_bytes());
    let metadata = metadata.ok_or_else(|| SpawnError::NotFound(shown()))?;
    if metadata.is_dir() {
        Err(SpawnError::Directory(shown()))
    } else if metadata.permissions().mode() & 0o111 == 0 {
        Err(SpawnError::NotExecutable(shown()))
    } else if access(&path, AccessFlags::X_OK).is_err() {
        Err(SpawnError::NoPermission(shown()))
    } else {
        Ok(ResolvedCommand { path, words })
    }
}

/// Returns the files that decide which one a command executes: those that come first in the search path and do not exist,
/// and then the one that exists. Empty: the command cannot be split.
pub(super) fn command_places(
    base: &SpawnBase,
    spec: &ProcessSpec,
    variables: &Variables<'_>,
) -> Vec<PathBuf> {
    let words = shlex::shlex_split(&spec.command).unwrap_or_default();
    let Some(word) = words.first().map(|word| to_bytes(word)) else {
        return Vec::new();
    };
    let file = OsStr::from_bytes(&word);
    if word.contains(&b'/') {
        return vec![PathBuf::from(file)];
    }
    let mut places = Vec::new();
    for path in search_places(&search_path(base, variables), file) {
        let is_there = std::fs::metadata(&path).is_ok();
        places.push(path);
        if is_there {
            break;
        }
    }
    places
}

/// The PATH of the program's configuration, even if it is empty; else the daemon's, unless it is empty; else the
/// default.
fn search_path(base: &SpawnBase, variables: &Variables<'_>) -> OsString {
    let configured = variables.iter().rev().find(|(name, _)| name == "PATH");
    match configured {
        Some((_, value)) => OsStr::from_bytes(&to_bytes(value)).to_owned(),
        None => base.path().unwrap_or_else(|| DEFAULT_PATH.into()),
    }
}

/// The file in each directory of a search path.
fn search_places(path: &OsStr, word: &OsStr) -> impl Iterator<Item = PathBuf> {
    path.as_bytes()
        .split(|&byte| byte == b':')
        .map(move |directory| Path::new(OsStr::from_bytes(directory)).join(word))
}

/// The first directory that has the file wins, even if the file cannot be executed.
fn search(path: &OsStr, word: &OsStr) -> (PathBuf, Option<std::fs::Metadata>) {
    search_places(path, word)
        .find_map(|path| {
            std::fs::metadata(&path)
                .ok()
                .map(|found| (path, Some(found)))
        })
        .unwrap_or_else(|| (PathBuf::from(word), None))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::super::testing::spec;
    use super::*;

    fn base(path: Option<&str>) -> SpawnBase {
        SpawnBase::new(
            path.map(|path| ("PATH".into(), path.into())),
            None,
            Vec::new(),
        )
    }

    /// A directory with a file of each kind, removed when dropped.
    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Self {
            let home =
                std::env::temp_dir().join(format!("supervisord-{name}-{}", std::process::id()));
            std::fs::create_dir_all(home.join("second")).expect("directory");
            std::fs::create_dir_all(home.join("directory")).expect("directory");
            for (file, mode) in [
                ("plain", 0o644),
                ("run", 0o755),
                ("second/plain", 0o755),
                ("second/other", 0o755),
            ] {
                std::fs::write(home.join(file), "").expect("written");
                std::fs::set_permissions(home.join(file), PermissionsExt::from_mode(mode))
                    .expect("mode");
            }
            Self(home)
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// (command, the program's PATH, the daemon's PATH, result). `{}` is the directory.
    type Row = (
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
        Result<&'static str, &'static str>,
    );

    /// A missing directory, then both directories of [`Home`].
    const BOTH: &str = "/nonexistent:{}:{}/second";

    const TABLE: &[Row] = &[
        ("sh -c x", None, None, Ok("/bin/sh")),
        ("sh", None, Some(""), Ok("/bin/sh")),
        (
            "sh",
            None,
            Some("/nonexistent"),
            Err("can't find command 'sh'"),
        ),
        (
            "sh",
            Some("/nonexistent"),
            Some("/bin"),
            Err("can't find command 'sh'"),
        ),
        ("sh", Some(""), Some("/bin"), Err("can't find command 'sh'")),
        ("run", Some(BOTH), None, Ok("{}/run")),
        ("other", None, Some(BOTH), Ok("{}/second/other")),
        ("other", Some("{}/second/"), None, Ok("{}/second/other")),
        // The first one is found, although only the second can be executed.
        (
            "plain",
            None,
            Some(BOTH),
            Err("command at '{}/plain' is not executable"),
        ),
        ("{}/run a", None, None, Ok("{}/run")),
        ("{}/none a", None, None, Err("can't find command '{}/none'")),
        ("{}/run/x", None, None, Err("can't find command '{}/run/x'")),
        (
            "{}/plain",
            None,
            None,
            Err("command at '{}/plain' is not executable"),
        ),
        (
            "{}/directory",
            None,
            None,
            Err("command at '{}/directory' is a directory"),
        ),
        (
            "directory",
            None,
            Some("{}"),
            Err("command at '{}/directory' is a directory"),
        ),
        (
            "'it'\"'\"'s'",
            None,
            None,
            Err("can't find command \"it's\""),
        ),
        (
            "'' a",
            None,
            Some("{}"),
            Err("command at '{}/' is a directory"),
        ),
        ("", None, None, Err("command is empty")),
        ("  ", None, None, Err("command is empty")),
        (
            "a 'b",
            None,
            None,
            Err("can't parse command \"a 'b\": No closing quotation"),
        ),
        (
            "a\\",
            None,
            None,
            Err("can't parse command 'a\\\\': No escaped character"),
        ),
        (
            "a b\0",
            None,
            None,
            Err("can't parse command 'a b\\x00': embedded null byte"),
        ),
    ];

    fn fill(text: &str, home: &Home) -> String {
        text.replace("{}", home.0.to_str().expect("utf-8"))
    }

    #[test]
    fn prc_13_14_commands_are_found_as_in_supervisor() {
        let home = Home::new("command");
        for (command, programs, daemons, expected) in TABLE {
            let fill = |text: &str| fill(text, &home);
            let environment: Vec<(&str, String)> =
                programs.iter().map(|path| ("PATH", fill(path))).collect();
            let environment: Vec<(&str, &str)> = environment
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let daemons = daemons.map(fill);
            let spec = spec(&fill(command), &environment);
            let variables = Cow::Borrowed(&*spec.environment);
            let found = resolve_command(&base(daemons.as_deref()), &spec, &variables);
            let found = found
                .map(|command| command.path.to_string_lossy().into_owned())
                .map_err(|error| error.to_string());
            assert_eq!(
                found,
                expected.map(fill).map_err(fill),
                "{command:?} {programs:?} {daemons:?}"
            );
        }
    }

    #[test]
    fn prc_14_arguments_are_passed_as_written() {
        let spec = spec("sh -c 'exit 1'", &[]);
        let found = resolve_command(&base(Some("/bin")), &spec, &Cow::Borrowed(&[]));
        let found = found.expect("found");
        assert_eq!(found.words, ["sh", "-c", "exit 1"]);
    }

    #[test]
    fn places_end_with_the_file_that_is_executed() {
        let home = Home::new("places");
        let places = |command: &str, path: &str| {
            let spec = spec(command, &[("PATH", &fill(path, &home))]);
            let found = command_places(&base(None), &spec, &Cow::Borrowed(&*spec.environment));
            let found = found.iter().map(|path| path.to_string_lossy().into_owned());
            found.collect::<Vec<_>>()
        };
        let expected = |list: &[&str]| {
            list.iter()
                .map(|text| fill(text, &home))
                .collect::<Vec<_>>()
        };
        let tried = ["/nonexistent/other", "{}/other", "{}/second/other"];
        assert_eq!(places("other x", BOTH), expected(&tried));
        assert_eq!(places("none", "/a:/b"), ["/a/none", "/b/none"]);
        assert_eq!(places("/a/b c", BOTH), ["/a/b"]);
        assert_eq!(places("a 'b", BOTH), [""; 0]);
    }

    /// The same table, run by the reference.
    #[test]
    fn prc_13_14_command_lookup_matches_the_reference() {
        use std::io::Write;
        use std::process::{Command, Stdio};

        const SCRIPT: &str = "
import json, os, sys
from supervisor.options import ProcessConfig, ProcessException, ServerOptions
from supervisor.process import Subprocess
class Config:
    get_path = ProcessConfig.get_path
    options = ServerOptions()
def find(command, programs, daemons):
    os.environ.pop('PATH', None)
    if daemons is not None:
        os.environ['PATH'] = daemons
    config = Config()
    config.command = command
    config.environment = {} if programs is None else {'PATH': programs}
    try:
        return {'Ok': Subprocess(config).get_execv_args()[0]}
    except ProcessException as error:
        return {'Err': error.args[0]}
json.dump([find(*row) for row in json.load(sys.stdin)], sys.stdout)
";
        let Some(oracle) = std::env::var_os("SUPERVISOR_ORACLE") else {
            eprintln!("skipped: SUPERVISOR_ORACLE is not set");
            return;
        };
        let home = Home::new("oracle");
        // Supervisor fails on a NUL byte with an internal Python error.
        let rows: Vec<&Row> = TABLE
            .iter()
            .filter(|(command, ..)| !command.contains('\0'))
            .collect();
        let questions: Vec<_> = rows
            .iter()
            .map(|(command, programs, daemons, _)| {
                let fill = |text: &str| fill(text, &home);
                (fill(command), programs.map(fill), daemons.map(fill))
            })
            .collect();
        let mut python = Command::new(Path::new(&oracle).join("bin/python"))
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle's python");
        let mut stdin = python.stdin.take().expect("piped");
        stdin
            .write_all(&serde_json::to_vec(&questions).expect("json"))
            .expect("written");
        drop(stdin);
        let output = python.wait_with_output().expect("ended");
        let answers: Vec<Result<String, String>> =
            serde_json::from_slice(&output.stdout).expect("json");
        assert_eq!(answers.len(), rows.len());
        for ((command, .., expected), answer) in rows.iter().zip(answers) {
            let fill = |text: &str| fill(text, &home);
            assert_eq!(answer, expected.map(fill).map_err(fill), "{command:?}");
        }
    }
}
