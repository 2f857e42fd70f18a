//! Whose rights the daemon has, and whose rights the other end of a socket has.

use std::io;
use std::os::fd::AsFd;

use nix::unistd::{Gid, Uid, getresgid, getresuid, getuid, setgid, setgroups, setuid};

use super::accounts::{Account, account};

/// Why the daemon cannot become another user. Its `Display` is Supervisor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DropError {
    /// Only root may.
    #[error("Can't drop privilege as nonroot user")]
    NotRoot,
    /// The data base does not know the user (any more).
    #[error("Can't find uid {0}")]
    Unknown(u32),
    /// setgroups was refused.
    #[error("Could not set groups of effective user")]
    Groups,
    /// setgid was refused, or did not do all.
    #[error("Could not set group id of effective user")]
    Group,
    /// setuid was refused, or did not do all. Supervisor has no text for it.
    #[error("Could not set user id of effective user")]
    User,
}

/// Makes the daemon `uid`, with that user's groups, for good. Does nothing if it is that user already. To be called before
/// threads are made. `group`: see [`lookup_user`].
///
/// # Errors
/// The rights that the daemon had may be gone in part: it must end.
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

/// The user whose rights the daemon has.
#[must_use]
pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// How the daemon stands to a user that something is to run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserSwitch {
    /// It is that user.
    Already(Account),
    /// It is root, and may become that user.
    Root(Account),
}

/// Looks a user up, and whether the daemon may become it. `group` takes the place of the user's primary group. A user whom
/// nobody knows has that group only, if that `suffices`.
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

/// Who is at the other end of a unix socket, as the kernel noted when the connection was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The process, for the record only: numbers are reused.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Asks who is at the other end of a connected unix stream socket.
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
    fn the_peer_of_a_socket_pair_is_ourselves() {
        let (one, _two) = std::os::unix::net::UnixStream::pair().expect("pair");
        let found = peer_credentials(&one).expect("peer");
        assert_eq!(found.pid.unsigned_abs(), std::process::id());
        assert_eq!(found.uid, nix::unistd::geteuid().as_raw());
        assert_eq!(found.gid, nix::unistd::getegid().as_raw());
    }

    #[test]
    fn dmn_10_becoming_whom_we_are_does_nothing() {
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
            // The group data base of a plain system lists nobody nowhere.
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
            // No way back, nor to anybody else; but to oneself.
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
    fn opt_texts_of_refused_drops() {
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
