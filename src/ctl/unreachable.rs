//! Why the client cannot reach the daemon, and what to do, for people at a terminal. Reads `/proc` to find who holds a port.

use std::fs;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::access;
use super::error::CtlError;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// What failed, then one line per next step.
pub(super) struct Advice {
    pub(super) what: String,
    pub(super) next: Vec<String>,
}

/// Explains a failure to reach the server at `url`. `None`: the failure has another cause than the connection.
pub(super) fn explain(url: &str, failure: &CtlError) -> Option<Advice> {
    let shown = without_password(url);
    let socket = url.strip_prefix("unix://").map(Path::new);
    let cannot = |why: &str| format!("cannot reach supervisord at {shown}: {why}");
    let mut next = Vec::new();
    let what = match (failure.errno(), failure) {
        (Some(Errno::ENOENT), _) => {
            next.extend(start_it());
            next.push(other_address());
            cannot("the socket does not exist (ENOENT)")
        }
        (Some(Errno::ECONNREFUSED), _) => {
            next.extend(start_it());
            next.push(other_address());
            let what = if socket.is_some() { "socket" } else { "port" };
            cannot(&format!("no process listens on the {what} (ECONNREFUSED)"))
        }
        (Some(Errno::EACCES | Errno::EPERM), _) => match socket {
            Some(path) => cannot(&format!("{} (EACCES)", access::advice(path))),
            None => cannot(&failure.for_people()),
        },
        (Some(_), _) | (None, CtlError::Resolve(_) | CtlError::Io(_)) => {
            next.push(other_address());
            cannot(&failure.for_people())
        }
        (None, CtlError::Closed { .. } | CtlError::Garbage(_)) => {
            next.extend(holder(url));
            next.push(other_address());
            cannot(&failure.for_people())
        }
        (None, CtlError::Http { status, .. }) if *status != 401 => {
            next.extend(holder(url));
            next.push(other_address());
            cannot(&failure.for_people())
        }
        _ => return None,
    };
    Some(Advice { what, next })
}

/// How to see whether the daemon runs.
fn start_it() -> Option<String> {
    let has_systemd = Path::new("/run/systemd/system").exists();
    Some(match has_systemd {
        true => "see whether it runs: systemctl status supervisord".to_owned(),
        false => "start it: supervisord -c FILE".to_owned(),
    })
}

fn other_address() -> String {
    "another daemon: supervisorctl -c FILE, or -s http://HOST:PORT, or -s unix:///PATH".to_owned()
}

/// The process that holds the address, if it is on this host and may be seen.
fn holder(url: &str) -> Option<String> {
    let pid = match url.strip_prefix("unix://") {
        Some(path) => {
            let stream = UnixStream::connect(path).ok()?;
            getsockopt(&stream, PeerCredentials).ok()?.pid()
        }
        None => {
            let rest = url.strip_prefix("http://")?;
            let authority = rest.split('/').next()?.rsplit('@').next()?;
            let mut addresses = authority.to_socket_addrs().ok()?;
            let address = addresses.find(|address| address.ip().is_loopback())?;
            pid_of_inode(&listening_inode(address.ip(), address.port())?)?
        }
    };
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    let name = super::printable::line(name.trim());
    Some(format!("the address is held by {name} (PID {pid})"))
}

/// The inode of the socket that listens on a port of a loopback address.
fn listening_inode(address: IpAddr, port: u16) -> Option<String> {
    let tables: &[&str] = match address {
        IpAddr::V4(_) => &["/proc/net/tcp", "/proc/net/tcp6"],
        IpAddr::V6(_) => &["/proc/net/tcp6"],
    };
    tables.iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        inode_in(&text, port)
    })
}

/// The inode of the first listening socket with this port in a table like `/proc/net/tcp`.
fn inode_in(table: &str, port: u16) -> Option<String> {
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        let local = words.nth(1)?;
        let state = words.nth(1)?;
        let inode = words.nth(5)?;
        (local.ends_with(&suffix) && state == LISTENING).then(|| inode.to_owned())
    })
}

/// The process that has a descriptor of this socket. `None`: none that this user may see.
fn pid_of_inode(inode: &str) -> Option<i32> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?;
    for process in processes.flatten() {
        let Some(pid) = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let mut links = descriptors
            .flatten()
            .map(|entry| fs::read_link(entry.path()));
        if links.any(|link| link.is_ok_and(|link| link.as_os_str() == wanted.as_str())) {
            return Some(pid);
        }
    }
    None
}

/// The address without a user name and password.
fn without_password(url: &str) -> String {
    match url
        .strip_prefix("http://")
        .and_then(|rest| rest.rsplit_once('@'))
    {
        Some((_, rest)) => format!("http://{rest}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_listening_socket_is_found_by_its_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:2329 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 41 1 0 20\n\
             1: 0100007F:2329 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1 0 20\n";
        assert_eq!(inode_in(table, 9001).as_deref(), Some("42"));
        assert_eq!(inode_in(table, 9002), None);
    }

    #[test]
    fn a_failure_says_what_was_tried_why_it_failed_and_what_to_do() {
        let refused = CtlError::Io(io::Error::from_raw_os_error(Errno::ECONNREFUSED as i32));
        let advice = explain("http://me:secret@localhost:1", &refused).expect("advice");
        assert_eq!(
            advice.what,
            "cannot reach supervisord at http://localhost:1: no process listens on the port (ECONNREFUSED)"
        );
        assert!(
            advice
                .next
                .last()
                .is_some_and(|next| next.contains("-c FILE"))
        );
        assert!(explain("unix:///x", &CtlError::Overflow).is_none());
    }
}
