//! The errors of `supervisord service`.

use std::io;

use super::unit::UnrepresentablePath;

/// An error, with a remedy if there is one. One line each.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    /// The caller is not root.
    #[error("permission denied: only root can do this (use sudo)")]
    NotRoot,
    /// systemd is not available.
    #[error("this machine does not run systemd: {0} does not exist (run supervisord directly)")]
    NoSystemd(&'static str),
    /// The name is invalid for a unit.
    #[error("{0:?} is not a valid unit name (use letters, digits, -, _ and .)")]
    Name(String),
    /// There is no configuration.
    #[error("{0}")]
    NoConfiguration(String),
    /// The configuration has errors, which were printed.
    #[error("the configuration {0} has errors (nothing was installed)")]
    Configuration(String),
    /// The path of the daemon's binary is unknown.
    #[error("cannot determine the path of this program: {0}")]
    Executable(String),
    /// The client, which reloads the daemon, is missing.
    #[error("supervisorctl not found beside {0} (the service needs it for `systemctl reload`)")]
    NoClient(String),
    /// A file that the service needs cannot be read.
    #[error("{path}: {error}")]
    Unreadable { path: String, error: io::Error },
    /// A user who can write the file would become root.
    #[error(
        "users other than root can change {path}, which a service of root would use: {why} (chown root, chmod go-w, or move it)"
    )]
    Writable { path: String, why: String },
    /// A package has installed the unit.
    #[error("a package has installed {path} (use `systemctl enable --now {name}`)")]
    Packaged { path: String, name: String },
    /// The unit was not written by this program.
    #[error("{0} was not written by `service install` (remove it, or use another --name)")]
    Foreign(String),
    /// The unit is not installed.
    #[error("{0} does not exist, or `service install` did not write it")]
    NotInstalled(String),
    /// The path cannot be written in a unit.
    #[error(transparent)]
    Unsayable(#[from] UnrepresentablePath),
    /// The unit could not be written or removed.
    #[error("cannot {verb} {path}: {error}")]
    File {
        verb: &'static str,
        path: String,
        error: io::Error,
    },
    /// systemctl could not be run.
    #[error("cannot run systemctl: {0}")]
    Systemctl(String),
    /// systemctl failed and printed why.
    #[error("`systemctl {0}` failed")]
    Failed(String),
}
