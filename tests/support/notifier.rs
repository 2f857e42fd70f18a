//! The test child as a program that speaks the protocol of sd_notify(3), and as one that should not.

use std::io::{IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// A socket that can send to what `NOTIFY_SOCKET` would say.
pub fn connected(address: &str) -> std::io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.strip_prefix('@') {
        Some(name) => {
            socket.connect_addr(&SocketAddr::from_abstract_name(name.as_bytes())?)?;
        }
        None => socket.connect(address)?,
    }
    Ok(socket)
}

/// Sends one message to an address; `\n` in it stands for a line's end, `\t` for a tab.
pub fn send(address: &str, text: &str) -> std::io::Result<()> {
    connected(address)?
        .send(text.replace("\\n", "\n").replace("\\t", "\t").as_bytes())
        .map(drop)
}

fn own() -> String {
    std::env::var("NOTIFY_SOCKET").unwrap_or_default()
}

/// Sends one message to its own socket.
pub fn notify(text: &str) {
    if let Err(error) = send(&own(), text) {
        drop(std::io::stderr().write_all(format!("notify: {error}\n").as_bytes()));
    }
}

/// `count` watchdog messages with `ms` milliseconds after each; each is a byte more in `file`.
pub fn beats(ms: u64, count: u64, file: &str) {
    let mut told = std::fs::File::options()
        .create(true)
        .append(true)
        .open(file)
        .expect("a file");
    for _ in 0..count {
        notify("WATCHDOG=1");
        drop(told.write_all(b"."));
        std::thread::sleep(Duration::from_millis(ms));
    }
}

/// Sends a thousand messages between two looks at whether `until` exists, without rest.
pub fn flood(address: &str, until: &str) {
    let Ok(socket) = connected(address) else {
        return;
    };
    while !std::path::Path::new(until).exists() {
        for number in 0..1000 {
            if socket
                .send(format!("STATUS=flood {number}").as_bytes())
                .is_err()
            {
                return;
            }
        }
    }
}

/// As the one of one's own socket.
pub fn flood_own(until: &str) {
    flood(&own(), until);
}

/// Waits until everything that was sent before has been handled.
pub fn barrier() -> std::io::Result<()> {
    let socket = connected(&own())?;
    let (mut reader, writer) = std::io::pipe()?;
    let fds = [writer.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let text = [IoSlice::new(b"BARRIER=1")];
    sendmsg::<()>(socket.as_raw_fd(), &text, &rights, MsgFlags::empty(), None)?;
    drop(writer);
    reader.read(&mut [0]).map(drop)
}
