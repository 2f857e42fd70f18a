//! The daemon's own user, and the users at the other ends of its sockets.

use std::io;
use std::os::fd::AsFd;

use nix::unistd::{Gid, Uid, getresgid, getresuid, getuid, setgid, setgroups, setuid};

use super::accounts::{Account, account};

/// Why the daemon cannot become another user. The `Display` texts are Supervisor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DropError {
    /// The daemon is not root.
    #[error("Can't drop privilege as nonroot user")]
    NotRoot,
    /// The user database does not contain the user.
    #[error("Can't find uid {0}")]
    Unknown(u32),
    /// setgroups failed.
    #[error("Could not set groups of effective user")]
    Groups,
    /// setgid failed or was incomplete.
    #[error("Could not set group id of effective user")]
    Group,
    /// setuid failed or was incomplete. Supervisor has no text for it.
    #[error("Could not set user id of effective user")]
    User,
}

/// Permanently switches the daemon to `uid` with that user's groups. Does nothing if it already is that user. Call it
/// before threads exist. `group`: see [`lookup_user`].
///
/// # Errors
/// The daemon may have lost part of its privileges, so it must exit.
///
/// # Source
/// Supervisor 4 manual, `[supervisord]`, user; credentials(7).
pub fn become_user(uid: u32, group: Option<u32>) -> Result<(), DropError> {
    let Account { gid, groups, .. } = match lookup_user(uid, group, group.is_some())? {
        UserSwitch::Already(_) => return Ok(()),
        UserSwitch::Root(account) => account,
    };
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let groups: Vec<Gid> = groups.into_iter().map(Gid::from_raw).collect();
    setgroups(&groups).map_err(|_| DropError::Groups)?;
    setgid(group).map_err(|_| DropError::Group)?;
    setuid(user).map_err(|_| DropError::User)?;
    let now = getresgid().map_err(|_| DropError::Group)?;
    if [now.real, now.effective, now.saved] != [group; 3] {
        return Err(DropError::Group);
    }
    let now = getresuid().map_err(|_| DropError::User)?;
    if [now.real, now.effective, now.saved] != [user; 3] {
        return Err(DropError::User);
    }
    Ok(())
}

/// The daemon's effective UID.
#[must_use]
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// Whether the daemon is, or can become, a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSwitch {
    /// The daemon already is that user.
    Already(Account),
    /// The daemon is root and can become that user.
    Root(Account),
}

/// Looks up a user and checks that the daemon can become that user. `group` replaces the user's primary group. If
/// `suffices`, an unknown user is accepted with `group` as its only group.
///
/// # Errors
/// [`DropError::Unknown`] and [`DropError::NotRoot`] only, in this order.
pub fn lookup_user(uid: u32, group: Option<u32>, suffices: bool) -> Result<UserSwitch, DropError> {
    let unknown = |gid| Account {
        uid,
        gid,
        groups: vec![gid],
    };
    let found = account(uid, group)
        .ok()
        .flatten()
        .or_else(|| group.filter(|_| suffices).map(unknown))
        .ok_or(DropError::Unknown(uid))?;
    let own = getuid();
    if own.as_raw() == uid {
        Ok(UserSwitch::Already(found))
    } else if own.is_root() {
        Ok(UserSwitch::Root(found))
    } else {
        Err(DropError::NotRoot)
    }
}

/// The process at the other end of a unix socket, as the kernel recorded it when the connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCredentials {
    /// PID, for information only, because PIDs are reused.
    pub pid: i32,
    /// Effective UID.
    pub uid: u32,
    /// Effective GID.
    pub gid: u32,
    /// Supplementary GIDs.
    pub groups: Vec<u32>,
}

/// Returns the credentials of the peer of a connected unix stream socket.
///
/// # Errors
/// ENOTSOCK, ENOPROTOOPT: not such a socket.
///
/// # Source
/// unix(7), SO_PEERCRED.
pub fn peer_credentials(socket: &impl AsFd) -> io::Result<PeerCredentials> {
    use nix::sys::socket::{getsockopt, sockopt};
    let found = getsockopt(socket, sockopt::PeerCredentials)?;
    Ok(PeerCredentials {
        pid: found.pid(),
        uid: found.uid(),
        gid: found.gid(),
        groups: super::socket::peer_groups(socket)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_of_a_socket_pair_is_this_process() {
        let (one, _two) = std::os::unix::net::UnixStream::pair().expect("pair");
        let found = peer_credentials(&one).expect("peer");
        assert_eq!(found.pid.unsigned_abs(), std::process::id());
        assert_eq!(found.uid, nix::unistd::geteuid().as_raw());
        assert_eq!(found.gid, nix::unistd::getegid().as_raw());
    }

    #[test]
    fn dmn_10_becoming_the_current_user_does_nothing() {
        let own = getuid().as_raw();
        if account(own, None).expect("asked").is_some() {
            assert_eq!(become_user(own, None), Ok(()));
        }
    }

    #[test]
    fn dmn_11_root_becomes_another_user_for_good() {
        if !getuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        crate::sys::test_fork::run_forked(|_file| {
            // On a plain system, user nobody is a member of no groups.
            become_user(65534, None).expect("changed");
            let status = std::fs::read_to_string("/proc/self/status").expect("status");
            let field = |name: &str| {
                let line = status
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .expect("field");
                line.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(field("Uid:"), ["65534"; 4]);
            assert_eq!(field("Gid:"), ["65534"; 4]);
            assert_eq!(field("Groups:"), ["65534"]);
            assert_eq!(field("CapEff:"), ["0000000000000000"]);
            assert_eq!(field("CapPrm:"), ["0000000000000000"]);
            // The process cannot become root again, nor any other user, but its own user is accepted.
            assert_eq!(become_user(0, None), Err(DropError::NotRoot));
            assert_eq!(become_user(65534, None), Ok(()));
            assert!(setuid(Uid::from_raw(0)).is_err());
            assert_eq!(
                lookup_user(u32::MAX - 1, None, false),
                Err(DropError::Unknown(u32::MAX - 1))
            );
            assert!(matches!(
                lookup_user(65534, None, false),
                Ok(UserSwitch::Already(_))
            ));
            assert_eq!(lookup_user(1, None, false), Err(DropError::NotRoot));
        });
    }

    #[test]
    fn refused_privilege_drops_have_supervisors_messages() {
        assert_eq!(
            become_user(u32::MAX - 1, None),
            Err(DropError::Unknown(u32::MAX - 1))
        );
        let texts = [
            (DropError::NotRoot, "Can't drop privilege as nonroot user"),
            (DropError::Unknown(7), "Can't find uid 7"),
            (DropError::Groups, "Could not set groups of effective user"),
            (DropError::Group, "Could not set group id of effective user"),
        ];
        for (error, text) in texts {
            assert_eq!(error.to_string(), text);
        }
    }
}
