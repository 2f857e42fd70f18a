//! Why something was not done.

use std::io;

use super::unit::UnrepresentablePath;

/// A reason, and where there is one the remedy. One line each.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    /// The caller cannot do it.
    #[error("permission denied: only root can do this (use sudo)")]
    NotRoot,
    /// Nobody is there who could.
    #[error("this machine does not run systemd: {0} does not exist (run supervisord directly)")]
    NoSystemd(&'static str),
    /// A name that no unit can have.
    #[error("{0:?} is not a valid unit name (use letters, digits, -, _ and .)")]
    Name(String),
    /// There is no configuration.
    #[error("{0}")]
    NoConfiguration(String),
    /// The configuration is wrong; what is wrong has been said.
    #[error("the configuration {0} has errors (nothing was installed)")]
    Configuration(String),
    /// Our own program cannot be named.
    #[error("cannot determine the path of this program: {0}")]
    Executable(String),
    /// The client that reloads the daemon.
    #[error("supervisorctl not found beside {0} (the service needs it for `systemctl reload`)")]
    NoClient(String),
    /// A file that the service needs.
    #[error("{path}: {error}")]
    Unreadable { path: String, error: io::Error },
    /// Whoever can write it would be root.
    #[error(
        "users other than root can change {path}, which a service of root would use: {why} (chown root, chmod go-w, or move it)"
    )]
    Writable { path: String, why: String },
    /// A package did it already.
    #[error("a package has installed {path} (use `systemctl enable --now {name}`)")]
    Packaged { path: String, name: String },
    /// It is somebody else's.
    #[error("{0} was not written by `service install` (remove it, or use another --name)")]
    Foreign(String),
    /// It is not there.
    #[error("{0} does not exist, or `service install` did not write it")]
    NotInstalled(String),
    /// A path that no unit can hold.
    #[error(transparent)]
    Unsayable(#[from] UnrepresentablePath),
    /// The unit could not be written or removed.
    #[error("cannot {verb} {path}: {error}")]
    File {
        verb: &'static str,
        path: String,
        error: io::Error,
    },
    /// systemd's own client.
    #[error("cannot run systemctl: {0}")]
    Systemctl(String),
    /// It said why.
    #[error("`systemctl {0}` failed")]
    Failed(String),
}
