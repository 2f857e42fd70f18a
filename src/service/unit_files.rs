//! The unit files on this machine: finds out which program owns one, writes and removes them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::ServiceError;
use super::unit::MARKER;
use crate::config::lookup::Lookup;

/// Exists while systemd is the service manager.
// Source: sd_booted(3).
const BOOTED: &str = "/run/systemd/system";
/// The directory of the administrator's units.
const OWN: &str = "/etc/systemd/system";
/// The directories of packaged units.
const PACKAGED: [&str; 2] = ["/usr/lib/systemd/system", "/lib/systemd/system"];
/// Other directories whose units ours would override.
const OTHERS: [&str; 1] = ["/usr/local/lib/systemd/system"];
/// systemctl. PATH is not searched, because root may have inherited it from another user.
const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];

/// Maximum length of a name, so that it is a valid file name with suffix and prefix of temporary files.
const NAME_BYTES_MAX: usize = 200;

/// Checks that systemd is the service manager.
///
/// # Errors
/// It is not.
pub(super) fn check_systemd() -> Result<(), ServiceError> {
    if Path::new(BOOTED).is_dir() {
        Ok(())
    } else {
        Err(ServiceError::NoSystemd(BOOTED))
    }
}

/// Returns the name of a unit without its suffix.
///
/// # Errors
/// It is invalid, or a template.
pub(super) fn unit_name(text: &str) -> Result<String, ServiceError> {
    let stem = text.strip_suffix(".service").unwrap_or(text);
    let is_name = !stem.is_empty()
        && stem.len() <= NAME_BYTES_MAX
        && !stem.starts_with(['.', '-'])
        && stem
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_name {
        Ok(stem.to_owned())
    } else {
        Err(ServiceError::Name(text.to_owned()))
    }
}

/// The path of our unit with this name.
#[must_use]
pub(super) fn unit_path(name: &str) -> PathBuf {
    Path::new(OWN).join(format!("{name}.service"))
}

/// Checks that there is no unit with this name, or only one of ours.
///
/// # Errors
/// Another program owns it.
pub(super) fn check_free(name: &str) -> Result<(), ServiceError> {
    let exists = |directory: &&str| {
        Path::new(directory)
            .join(format!("{name}.service"))
            .symlink_metadata()
            .is_ok()
    };
    let shown = |directory: &str| format!("{directory}/{name}.service");
    let path = unit_path(name);
    if path.symlink_metadata().is_ok() && !is_ours(&path) {
        return Err(ServiceError::Foreign(path.display().to_string()));
    }
    if let Some(directory) = PACKAGED.iter().find(|directory| exists(directory)) {
        return Err(ServiceError::Packaged {
            path: shown(directory),
            name: name.to_owned(),
        });
    }
    match OTHERS.iter().find(|directory| exists(directory)) {
        Some(directory) => Err(ServiceError::Foreign(shown(directory))),
        None => Ok(()),
    }
}

/// Whether it is a file, not a symbolic link, that begins with [`MARKER`].
#[must_use]
pub(super) fn is_ours(path: &Path) -> bool {
    let is_file = path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    is_file && fs::read_to_string(path).is_ok_and(|text| text.lines().next() == Some(MARKER))
}

/// Checks that the file exists and that only root can change it, replace it, or redirect its path.
///
/// # Errors
/// It does not exist, or other users can.
pub(super) fn check_owner(path: &str, lookup: &dyn Lookup) -> Result<(), ServiceError> {
    fs::metadata(path).map_err(|error| ServiceError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    check_not_writable(path, lookup.other_writer(path))
}

/// Checks that only root can add files to a directory of included files, or create it if it is missing.
///
/// # Errors
/// Other users can.
pub(super) fn check_directory(path: &str, lookup: &dyn Lookup) -> Result<(), ServiceError> {
    check_not_writable(path, lookup.other_adder(path))
}

fn check_not_writable(path: &str, why: Option<String>) -> Result<(), ServiceError> {
    why.map_or(Ok(()), |why| {
        Err(ServiceError::Writable {
            path: path.to_owned(),
            why,
        })
    })
}

/// Writes a unit atomically.
///
/// # Errors
/// It cannot be written. The old unit is unchanged.
pub(super) fn write_unit(path: &Path, text: &str) -> Result<(), ServiceError> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("unit");
    // systemd ignores files whose names begin with a dot.
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let done = write_contents(&temporary, text)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| {
            let directory = path.parent().unwrap_or(Path::new("/"));
            File::open(directory)?.sync_all()
        });
    done.map_err(|error| {
        // The file may not exist.
        let _ = fs::remove_file(&temporary);
        ServiceError::File {
            verb: "write",
            path: path.display().to_string(),
            error,
        }
    })
}

fn write_contents(path: &Path, text: &str) -> io::Result<()> {
    const MODE: u32 = 0o644;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    // Independent of the umask.
    file.set_permissions(fs::Permissions::from_mode(MODE))?;
    file.sync_all()
}

/// Removes a unit.
///
/// # Errors
/// It cannot be removed.
pub(super) fn remove_unit(path: &Path) -> Result<(), ServiceError> {
    fs::remove_file(path).map_err(|error| ServiceError::File {
        verb: "remove",
        path: path.display().to_string(),
        error,
    })
}

/// Runs systemctl with inherited output. Returns its exit code.
///
/// # Errors
/// It cannot be run.
pub(super) fn systemctl(words: &[&str]) -> Result<u8, ServiceError> {
    let program = SYSTEMCTL
        .into_iter()
        .find(|path| Path::new(path).exists())
        .ok_or_else(|| ServiceError::Systemctl("it is not installed".to_owned()))?;
    let status = Command::new(program)
        .args(words)
        .status()
        .map_err(|error| ServiceError::Systemctl(error.to_string()))?;
    // Killed by a signal: no exit code, but a failure.
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unit_names_are_plain_services() {
        assert_eq!(unit_name("x.service").ok().as_deref(), Some("x"));
        assert_eq!(unit_name("my-super_1").ok().as_deref(), Some("my-super_1"));
        for name in [
            "", "a/b", "../x", "a b", "a@", "a%n", ".x", "-x", ".service",
        ] {
            assert!(unit_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_written_unit_is_recognized() {
        let dir = std::env::temp_dir().join(format!("supervisord-site-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("directory");
        let path = dir.join("x.service");
        fs::write(&path, "[Service]\n").expect("somebody else's");
        assert!(!is_ours(&path));
        write_unit(&path, &format!("{MARKER}\n[Service]\n")).expect("written");
        assert!(is_ours(&path));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o7777, 0o644);
        assert_eq!(fs::read_dir(&dir).expect("list").count(), 1);
        let link = dir.join("link.service");
        std::os::unix::fs::symlink(&path, &link).expect("link");
        assert!(!is_ours(&link));
        write_unit(&dir.join("no/x.service"), "").expect_err("no directory");
        fs::remove_dir_all(dir).expect("cleaned");
    }
}
