//! The listening socket and the connections, each with a thread of its own.

use std::io::{BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;

use nix::sys::socket::{Backlog, listen, setsockopt, shutdown, sockopt};

use super::exchange::Exchange;
use super::http::{StubRequest, StubResponse, read_request};
use super::settings::Fault;
use super::shared::Shared;

/// How often a free port is looked for. Another process may take it first.
const TRIES: usize = 20;

/// The socket of all runs. It keeps its port while the server is stopped, so that nobody else gets it.
#[derive(Debug)]
pub(super) struct ListeningSocket {
    listener: Arc<TcpListener>,
    /// The port on 127.0.0.1.
    pub(super) port: u16,
}

impl ListeningSocket {
    /// A socket on this port, which listens. 0: a free one.
    pub(super) fn new(port: u16) -> Result<Self> {
        let with_port = |port| -> Result<Self> {
            let listener = Arc::new(TcpListener::bind(("127.0.0.1", port))?);
            Ok(Self { listener, port })
        };
        if port != 0 {
            return with_port(port);
        }
        // When a socket stops listening, the kernel takes a port back that the kernel has chosen.
        let free_port =
            || -> Result<SocketAddr> { TcpListener::bind(("127.0.0.1", 0))?.local_addr() };
        let mut sockets = (0..TRIES).map(|_| with_port(free_port()?.port()));
        let first = sockets.find(|socket| match socket {
            Err(error) => error.kind() != ErrorKind::AddrInUse,
            Ok(_) => true,
        });
        first.unwrap_or_else(|| Err(Error::from(ErrorKind::AddrInUse)))
    }

    /// Starts a run of the server. The thread ends with the run, after all its connections.
    pub(super) fn start(&self, shared: &Arc<Shared>) -> Result<JoinHandle<()>> {
        listen(&*self.listener, Backlog::MAXALLOWABLE)?;
        let run = shared.change(|state| {
            state.is_running = true;
            state.run += 1;
            state.run
        });
        let (shared, listener) = (shared.clone(), self.listener.clone());
        Ok(std::thread::spawn(move || accept(&listener, &shared, run)))
    }

    /// Ends a run of the server.
    pub(super) fn stop(&self, shared: &Shared, thread: JoinHandle<()>) {
        shared.end_run();
        // The socket keeps its port and refuses connections, and the thread's accept(2) fails.
        let how = nix::sys::socket::Shutdown::Both;
        let _ = shutdown(self.listener.as_raw_fd(), how);
        drop(thread.join());
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, run: u64) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming() {
        let added = shared.change(|state| {
            if !state.is_running {
                return None;
            }
            let stream = Arc::new(stream.ok()?);
            let number = state.next_number();
            state.connections.insert(number, stream.clone());
            Some((number, stream))
        });
        if let Some((number, stream)) = added {
            let shared = shared.clone();
            threads.retain(|thread| !thread.is_finished());
            threads.push(std::thread::spawn(move || {
                // A client that breaks a connection is no error of the server.
                drop(serve(&shared, &stream, run));
                shared.change(|state| state.connections.remove(&number));
            }));
        } else if !shared.lock().is_running {
            break;
        }
    }
    for thread in threads {
        drop(thread.join());
    }
}

fn serve(shared: &Shared, stream: &TcpStream, run: u64) -> Result<()> {
    let host = stream.peer_addr()?.ip().to_string();
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    stream.set_nodelay(true)?;
    while let Some(request) = read_request(&mut reader, &mut writer)? {
        let keeps_alive = request.keeps_alive();
        let (number, fault) = shared.record(&request);
        let exchange = Exchange {
            shared,
            run,
            host: &host,
            request: &request,
            has_wrong_md5: fault == Some(Fault::WrongMd5),
        };
        match fault {
            Some(Fault::BlackHole) => {
                let mut rest = Vec::new();
                reader.read_to_end(&mut rest)?;
                return Ok(());
            }
            Some(Fault::EndlessBody) => return write_endless_body(stream),
            Some(Fault::Delay(pause)) if !shared.pause(run, pause) => return Ok(()),
            _ => {}
        }
        let Some(response) = replaced(fault.as_ref(), &request).or_else(|| exchange.answer())
        else {
            return Ok(());
        };
        shared.record_status(number, response.status);
        let bytes = response.bytes(keeps_alive);
        match fault {
            Some(fault @ (Fault::Truncated | Fault::Reset)) => {
                // At least a part of the body is missing.
                let sent = bytes.len() - response.body.len().div_ceil(2);
                writer.write_all(&bytes[..sent])?;
                if fault == Fault::Reset {
                    reset_at_close(stream)?;
                }
                return Ok(());
            }
            _ => writer.write_all(&bytes)?,
        }
        if !keeps_alive {
            // The client may have more to say, and a close with unread bytes would be a reset.
            return stream.shutdown(Shutdown::Write);
        }
    }
    Ok(())
}

/// The answer of a fault that leaves the request without effect.
fn replaced(fault: Option<&Fault>, request: &StubRequest) -> Option<StubResponse> {
    match fault? {
        Fault::Status(status) => Some(fault_page(*status, &request.path)),
        Fault::Html => Some(StubResponse::new(
            200,
            "text/html",
            "<html><body><h1>Sign in to the network</h1></body></html>\n",
        )),
        Fault::BodyOf(size) => Some(StubResponse::text(200, vec![b'x'; *size])),
        _ => None,
    }
}

fn fault_page(status: u16, path: &str) -> StubResponse {
    let v3_code = match status {
        401 | 403 => 10_001,
        409 => 20_005,
        _ => 30_000,
    };
    if path.starts_with("/nacos/v3/") {
        let body = serde_json::json!({"code": v3_code, "message": "fault", "data": null});
        return StubResponse::json(status, &body);
    }
    StubResponse::text(status, format!("fault {status}"))
}

/// Makes the close of the connection a reset.
fn reset_at_close(stream: &TcpStream) -> Result<()> {
    let linger = nix::libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    Ok(setsockopt(stream, sockopt::Linger, &linger)?)
}

/// Sends text until the client closes the connection or the run ends.
fn write_endless_body(mut stream: &TcpStream) -> Result<()> {
    stream.write_all(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=UTF-8\r\nTransfer-Encoding: chunked\r\n\r\n",
    )?;
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "x".repeat(1 << 16));
    loop {
        stream.write_all(chunk.as_bytes())?;
    }
}
