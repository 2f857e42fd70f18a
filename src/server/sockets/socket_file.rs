//! The file of a unix socket: how it is created, and that it is removed only while it is ours.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::bind_error::BindError;
use crate::domain::Errno;
use crate::handoff::SocketFileName;
use crate::sys::safe_open::{FileId, SafePath};
use crate::sys::{self, SocketRefusal};

/// Length of the accept queue, per socket.
pub(super) const BACKLOG: i32 = 1024;

/// The file of a unix socket. Dropping it removes the file.
#[derive(Debug)]
pub(in crate::server) struct SocketFile(pub(super) SocketFileName);

impl SocketFile {
    fn id(&self) -> FileId {
        FileId {
            device: self.0.device,
            inode: self.0.inode,
        }
    }

    /// Opens the file with O_PATH. `None`: the path is gone or names another file.
    pub(in crate::server) fn open_if_current(&self) -> Option<OwnedFd> {
        let found = SafePath::resolve(&self.0.path)
            .and_then(|place| place.open_path_fd())
            .ok()?;
        (FileId::of(&found) == Ok(self.id())).then_some(found)
    }

    /// Returns the name without removing the file, for the next run.
    pub(in crate::server) fn into_name(self) -> SocketFileName {
        let name = self.0.clone();
        std::mem::forget(self);
        name
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A file that cannot be removed is stale at the next start, which removes it.
        if let Ok(place) = SafePath::resolve(&self.0.path) {
            place.unlink_if(self.id());
        }
    }
}

/// How to create the file of a unix socket, now or after somebody removes it.
#[derive(Debug, Clone)]
pub(in crate::server) struct SocketFileSpec {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) owner: (Option<u32>, Option<u32>),
}

impl SocketFileSpec {
    /// A file owned by the test's own user.
    #[cfg(test)]
    pub(in crate::server) const fn for_test(path: PathBuf) -> Self {
        Self {
            path,
            mode: 0o700,
            owner: (None, None),
        }
    }

    /// The path of the file.
    pub(in crate::server) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the socket under a temporary name, sets its mode and owner, and then links it to its path. So the path
    /// always names a finished socket, and only one of two daemons gets it. All steps use the directory resolved
    /// first, by the rules of [`SafePath`].
    ///
    /// # Errors
    /// See [`BindError`]; EEXIST: the path exists. Nothing is left behind then.
    pub(in crate::server) fn create(&self) -> Result<(UnixListener, SocketFile), BindError> {
        self.create_with(|place, file| Ok(place.link_here(file)?))
    }

    pub(super) fn create_with(
        &self,
        link: impl FnOnce(&SafePath, &OwnedFd) -> Result<(), BindError>,
    ) -> Result<(UnixListener, SocketFile), BindError> {
        let place = SafePath::resolve(&self.path)?;
        let made = sys::listen_at(&place, self.mode, self.owner, BACKLOG).map_err(|refusal| {
            let (uid, gid) = self.owner;
            match refusal {
                SocketRefusal::Owner(Errno(libc::EPERM)) => BindError::Chown {
                    path: self.path.clone(),
                    uid: uid.map_or(-1, i64::from),
                    gid: gid.map_or(-1, i64::from),
                    user: sys::own_user_name(),
                },
                SocketRefusal::Owner(error) | SocketRefusal::Other(error) => error.into(),
            }
        })?;
        link(&place, &made.file)?;
        let file = SocketFile(SocketFileName {
            path: self.path.clone(),
            device: made.id.device,
            inode: made.id.inode,
        });
        Ok((UnixListener::from(made.socket), file))
    }
}
