//! Reads the client's section of the configuration file. It accesses only that file, the environment and a home
//! directory. Users and groups do not matter to the client, and looking them up takes time.

use std::io::{self, Read};
use std::path::Path;

use super::options::CtlCommandLine;
use crate::config::ctl::{CtlSpec, ctl_spec, own_sections};
use crate::config::lookup::{Lookup, LookupError, UserEntry};
use crate::config::{ConfigErrors, search};

/// Maximum size of a configuration file in bytes. A larger one is an error.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Reads the section `[supervisorctl]` of the file that the command line names, or else of the file that is found. Without
/// a file, returns the defaults. `program`: the name under which this program was called.
///
/// # Errors
/// All errors of the file.
pub(super) fn read_ctl_section(
    line: &CtlCommandLine,
    program: &str,
) -> Result<CtlSpec, ConfigErrors> {
    let machine = CtlLookup;
    let found = match &line.file {
        Some(path) => Some(path.clone()),
        None => search::find_config(program, &machine),
    };
    found.map_or_else(
        || Ok(CtlSpec::default()),
        |path| ctl_spec(&path, &machine, line.needs_section),
    )
}

struct CtlLookup;

impl Lookup for CtlLookup {
    fn read(&self, path: &str) -> Result<Vec<u8>, LookupError> {
        let unreadable = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => LookupError::Missing(String::new()),
            io::ErrorKind::NotADirectory => LookupError::Missing(error.to_string()),
            _ => LookupError::Unreadable(error.to_string()),
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        // A file of ordinary size is read at once.
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let length = usize::try_from(length.min(FILE_BYTES_MAX)).unwrap_or_default();
        let mut bytes = Vec::with_capacity(length + 1);
        file.take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(LookupError::Unreadable("it is too large".to_owned()));
        }
        Ok(match own_sections(&bytes) {
            Some(text) => text.into_bytes(),
            None => bytes,
        })
    }

    fn exists(&self, path: &str) -> bool {
        Path::new(path).exists()
    }

    fn is_entry(&self, path: &str) -> bool {
        Path::new(path).symlink_metadata().is_ok()
    }

    fn is_dir(&self, path: &str) -> bool {
        Path::new(path).is_dir()
    }

    fn is_program(&self, path: &str) -> bool {
        Path::new(path).is_file()
            && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
    }

    fn list(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn user(&self, _: &str) -> Option<UserEntry> {
        None
    }

    fn user_of(&self, _: u32) -> Option<UserEntry> {
        None
    }

    fn group(&self, _: &str) -> Option<u32> {
        None
    }

    fn is_group(&self, _: u32) -> bool {
        false
    }

    fn uid(&self) -> u32 {
        nix::unistd::Uid::current().as_raw()
    }

    fn cwd(&self) -> String {
        // If the directory is gone or its name is not UTF-8, relative paths fail later with a message that contains
        // the path.
        std::env::current_dir()
            .ok()
            .and_then(|path| path.into_os_string().into_string().ok())
            .unwrap_or_else(|| ".".to_owned())
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        let home = |user: nix::unistd::User| user.dir.into_os_string().into_string().ok();
        match user {
            Some(name) => nix::unistd::User::from_name(name)
                .ok()
                .flatten()
                .and_then(home),
            None => std::env::var("HOME").ok().or_else(|| {
                nix::unistd::User::from_uid(nix::unistd::Uid::current())
                    .ok()
                    .flatten()
                    .and_then(home)
            }),
        }
    }

    fn tempdir(&self) -> String {
        "/tmp".to_owned()
    }

    fn hostname(&self) -> String {
        String::new()
    }

    fn env(&self) -> Vec<(String, String)> {
        // A configuration cannot contain a variable that is not UTF-8, so such variables are left out.
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }
}
