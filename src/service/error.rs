//! Why something was not done.

use std::io;

use super::unit::UnrepresentablePath;

/// A reason, and where there is one the remedy. One line each.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    /// The caller cannot do it.
    #[error("only root can do that; use sudo")]
    NotRoot,
    /// Nobody is there who could.
    #[error("this machine does not run systemd (there is no {0}); start supervisord itself")]
    NoSystemd(&'static str),
    /// A name that no unit can have.
    #[error("{0:?} is no name for a unit: letters, digits, -, _ and . are")]
    Name(String),
    /// There is no configuration.
    #[error("{0}")]
    NoConfiguration(String),
    /// The configuration is wrong; what is wrong has been said.
    #[error("the configuration {0} has errors; nothing was installed")]
    Configuration(String),
    /// Our own program cannot be named.
    #[error("cannot tell where this program is: {0}")]
    Executable(String),
    /// The client that reloads the daemon.
    #[error("there is no supervisorctl beside {0}; the service needs it for `systemctl reload`")]
    NoClient(String),
    /// A file that the service needs.
    #[error("{path}: {error}")]
    Unreadable { path: String, error: io::Error },
    /// Whoever can write it would be root.
    #[error(
        "{path} can be changed by others than root, and a service of root would use it: {why}; give it to root (chown root, chmod go-w), or put it elsewhere"
    )]
    Writable { path: String, why: String },
    /// A package did it already.
    #[error("a package has installed {path}; `systemctl enable --now {name}` suffices")]
    Packaged { path: String, name: String },
    /// It is somebody else's.
    #[error(
        "{0} was not written by `service install`, so it is left alone; remove it yourself, or choose another --name"
    )]
    Foreign(String),
    /// It is not there.
    #[error("there is no {0} that `service install` wrote")]
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
