//! A client that holds connections for nothing, as the test child `hostile KIND ADDRESS COUNT`. It says `ready` when all of
//! them were made and used once, and opens those again that the daemon has closed.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// The pause between two rounds over all connections.
const PAUSE: Duration = Duration::from_millis(50);
/// The length of a body that is announced.
const BODY: usize = 16 << 20;

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

struct Connection {
    stream: Box<dyn Stream>,
    /// What is sent, and how much of it was.
    request: Arc<[u8]>,
    sent: usize,
}

fn open(address: &str) -> std::io::Result<Box<dyn Stream>> {
    match address.parse::<u16>() {
        Ok(port) => {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_nonblocking(true)?;
            Ok(Box::new(stream))
        }
        Err(_) => {
            let stream = UnixStream::connect(address)?;
            stream.set_nonblocking(true)?;
            Ok(Box::new(stream))
        }
    }
}

fn request(kind: &str) -> Vec<u8> {
    match kind {
        "idle" => Vec::new(),
        // Never finished.
        "heads" => format!("POST /RPC2 HTTP/1.1\r\nX: {}", "x".repeat(60_000)).into_bytes(),
        "bodies" => {
            let head = format!("POST /RPC2 HTTP/1.1\r\nContent-Length: {BODY}\r\n\r\n");
            [head.as_bytes(), &vec![b'x'; BODY - 1]].concat()
        }
        "unread" | "slow" => {
            let body = super::wire::body("supervisor.getAllProcessInfo", &[]);
            format!(
                "POST /RPC2 HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        }
        other => panic!("no kind of client is called {other}"),
    }
}

/// One round of one connection. False: the daemon has closed it.
fn step(connection: &mut Connection, reads: bool) -> bool {
    let rest = &connection.request[connection.sent..];
    if !rest.is_empty() {
        match connection.stream.write(&rest[..rest.len().min(1 << 20)]) {
            Ok(count) => connection.sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
    }
    if !reads {
        return true;
    }
    match connection.stream.read(&mut [0]) {
        Ok(count) => count > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Never returns.
pub(super) fn run(kind: &str, address: &str, count: usize) {
    let request: Arc<[u8]> = request(kind).into();
    let mut connections: Vec<Option<Connection>> = (0..count).map(|_| None).collect();
    let mut said = false;
    loop {
        for slot in &mut connections {
            if slot.is_none() {
                *slot = open(address).ok().map(|stream| Connection {
                    stream,
                    request: request.clone(),
                    sent: 0,
                });
            }
            // Only they who read, or write on, learn that they were closed.
            if let Some(connection) = slot
                && !step(connection, kind != "unread")
            {
                *slot = None;
            }
        }
        if !said {
            said = true;
            println!("ready");
        }
        std::thread::sleep(PAUSE);
    }
}
