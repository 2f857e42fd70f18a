//! Reads the env files of a process at each spawn, so that a changed file counts at the next start.
//!
//! The files are read with the daemon's rights, because their usual content is secrets that only root can read. They are
//! opened like logs: a link or a hard link that another user made leads nowhere.

use std::borrow::Cow;
use std::path::Path;

use crate::config::env_file::{ENV_FILE_BYTES_MAX, parse_env_file};
use crate::config::spec::{IfMissing, ProcessSpec};
use crate::domain::{Line, SpawnError, from_bytes};
use crate::sys::{SmallFileError, read_small_file};

/// The configured variables of a process, with those of its env files. A later variable of the same name wins.
pub(super) type Variables<'a> = Cow<'a, [(String, String)]>;

/// Reads the env files of a process. May block on the file system. `log` gets a warning for each missing file of
/// `envFiles`.
///
/// # Errors
/// A file cannot be read, has a bad line, or is missing although it must not be.
pub(super) fn configured_variables<'a>(
    spec: &'a ProcessSpec,
    log: &mut dyn FnMut(Line),
) -> Result<Variables<'a>, SpawnError> {
    let Some(env_files) = &spec.env_files else {
        return Ok(Cow::Borrowed(&spec.environment));
    };
    let mut all = spec.environment.to_vec();
    for file in &env_files.files {
        let path = &file.path;
        let bytes = match read_small_file(Path::new(path), ENV_FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(SmallFileError::Missing) if file.if_missing == IfMissing::Ignore => continue,
            Err(SmallFileError::Missing) if file.if_missing == IfMissing::Warn => {
                log(Line::EnvFileMissing {
                    name: spec.name.clone(),
                    path: path.clone(),
                });
                continue;
            }
            Err(error) => {
                return Err(SpawnError::EnvFile {
                    place: path.clone(),
                    reason: error.to_string(),
                });
            }
        };
        let parsed = parse_env_file(&from_bytes(&bytes)).map_err(|error| SpawnError::EnvFile {
            place: format!("{path}:{}", error.line),
            reason: error.reason,
        })?;
        all.extend(parsed.variables);
    }
    all.extend_from_slice(&env_files.own);
    Ok(Cow::Owned(all))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::spec;
    use super::*;
    use crate::config::spec::{EnvFileSpec, EnvFiles};

    #[test]
    fn g33_files_override_the_daemons_variables_and_environment_overrides_files() {
        let dir = std::env::temp_dir().join(format!("supervisord-env-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("directory");
        let file = |name: &str, text: &str, if_missing| {
            let path = dir.join(name);
            if !text.is_empty() {
                std::fs::write(&path, text).expect("written");
            }
            EnvFileSpec {
                path: path.to_string_lossy().into_owned(),
                if_missing,
            }
        };
        let mut process = spec("/bin/sh", &[("D", "daemon"), ("F", "daemon"), ("O", "own")]);
        let mut read = |files: Vec<EnvFileSpec>| {
            process.env_files = Some(Arc::new(EnvFiles {
                files,
                own: Arc::from([("O".to_owned(), "own".to_owned())]),
            }));
            let mut lines = Vec::new();
            let found = configured_variables(&process, &mut |line| lines.push(line.to_string()));
            let found = found.map(|all| {
                let value = |name: &str| {
                    let last = all.iter().rev().find(|(known, _)| known == name);
                    last.map(|(_, value)| value.clone()).unwrap_or_default()
                };
                ["D", "F", "G", "O"].map(value).join(" ")
            });
            (found.map_err(|error| error.to_string()), lines)
        };
        let first = || file("first", "F=1\nG=1\nO=1\n", IfMissing::Warn);
        let second = || file("second", "G=2", IfMissing::Fail);
        let none = |if_missing| file("none", "", if_missing);
        assert_eq!(
            read(vec![first(), second(), none(IfMissing::Ignore)]),
            (Ok("daemon 1 2 own".to_owned()), vec![])
        );
        let (found, lines) = read(vec![second(), none(IfMissing::Warn), first()]);
        assert_eq!(found, Ok("daemon 1 1 own".to_owned()));
        let path = dir.display();
        assert_eq!(
            lines,
            [format!(
                "proc: env file {path}/none does not exist; starting without it"
            )]
        );
        assert_eq!(
            read(vec![none(IfMissing::Fail)]).0,
            Err(format!("env file {path}/none: the file does not exist"))
        );
        let bad = || file("bad", "A=1\nsecret\n", IfMissing::Warn);
        assert_eq!(
            read(vec![bad()]).0,
            Err(format!(
                "env file {path}/bad:2: expected KEY=VALUE, and there is no ="
            ))
        );
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
