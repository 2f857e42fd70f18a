//! Sends messages to syslog servers, each from a thread of its own with a bounded queue. Names are resolved and
//! connections are made on that thread, so that nobody waits for a name server or for a slow syslog server.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::late_lines;
use super::target_stats::TargetCounters;
use crate::config::spec::{SyslogServer, SyslogTransport};
use crate::domain::Line;

/// Maximum bytes that wait for one server. Beyond it, the oldest messages are dropped.
pub(super) const QUEUE_BYTES_MAX: usize = 1 << 20;
/// How long one step of a connection may take: to connect to one address, or to send one message.
const STEP_TIME: Duration = Duration::from_secs(5);
/// Delay after the first failure in a row. It doubles with each further one.
const RETRY_MIN: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 500 });
/// Maximum delay between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How long a thread without messages waits before it checks whether its server is still a target.
const IDLE_TIME: Duration = Duration::from_secs(60);

/// A message in its final form.
#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    /// Number of bytes of output in it, for the counters.
    output: usize,
    counters: Arc<TargetCounters>,
}

#[derive(Debug, Default)]
struct QueueState {
    messages: VecDeque<Message>,
    bytes: usize,
    has_thread: bool,
    /// Whether a message is being sent: it is not in the queue.
    is_sending: bool,
    is_failing: bool,
    /// Bytes of output that were dropped since the last log line about lost bytes.
    lost: u64,
    /// Whether a log line says that messages are dropped.
    is_told: bool,
}

/// The queue of one server, which all streams with the server share.
#[derive(Debug)]
pub(super) struct SyslogQueue {
    server: SyslogServer,
    state: Mutex<QueueState>,
    changed: Condvar,
}

/// The queues of all servers.
static QUEUES: Mutex<Vec<Weak<SyslogQueue>>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn all() -> Vec<Arc<SyslogQueue>> {
    lock(&QUEUES).iter().filter_map(Weak::upgrade).collect()
}

/// Waits until all servers that work have taken all messages, until `limit` at most.
pub(super) fn flush_all(limit: Duration) {
    let by = Instant::now() + limit;
    for queue in all() {
        let mut state = lock(&queue.state);
        while !state.is_failing && (state.is_sending || !state.messages.is_empty()) {
            let left = by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = queue.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl SyslogQueue {
    /// Returns the queue of a server. Does not connect.
    pub(super) fn of(server: &SyslogServer) -> Arc<Self> {
        let mut queues = lock(&QUEUES);
        queues.retain(|queue| queue.strong_count() > 0);
        let found = queues.iter().filter_map(Weak::upgrade);
        if let Some(queue) = found.into_iter().find(|queue| queue.server == *server) {
            return queue;
        }
        let queue = Arc::new(Self {
            server: server.clone(),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        queues.push(Arc::downgrade(&queue));
        queue
    }

    /// Queues a message with `output` bytes of output. Never blocks; drops the oldest messages if the queue is full.
    pub(super) fn push(
        self: &Arc<Self>,
        bytes: Vec<u8>,
        output: usize,
        counters: &Arc<TargetCounters>,
    ) {
        let mut state = lock(&self.state);
        state.bytes += bytes.len();
        state.messages.push_back(Message {
            bytes,
            output,
            counters: counters.clone(),
        });
        while state.bytes > QUEUE_BYTES_MAX
            && let Some(oldest) = state.messages.pop_front()
        {
            state.bytes -= oldest.bytes.len();
            state.lose(oldest.output, &oldest.counters);
        }
        if state.lost > 0 && !std::mem::replace(&mut state.is_told, true) {
            let server = self.server.to_string();
            late_lines::log([Line::SyslogServerDrops { server }]);
        }
        if !state.has_thread {
            let queue = self.clone();
            let thread = std::thread::Builder::new().name("syslog".to_owned());
            // If there is no memory for a thread, the next message tries again.
            state.has_thread = thread.spawn(move || queue.run()).is_ok();
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Sends messages until no stream has the server as target any more.
    fn run(self: Arc<Self>) {
        let mut connection = None;
        let mut retry = RETRY_MIN;
        while let Some(message) = self.next() {
            match self.send(&mut connection, &message.bytes) {
                Ok(()) => {
                    retry = RETRY_MIN;
                    self.sent(&message);
                }
                Err(error) => {
                    connection = None;
                    self.failed(message, &error);
                    std::thread::sleep(retry);
                    retry = (retry * 2).min(RETRY_MAX);
                }
            }
        }
    }

    /// Waits for the next message. `None`: nobody uses the queue any more.
    fn next(self: &Arc<Self>) -> Option<Message> {
        let mut state = lock(&self.state);
        loop {
            if let Some(message) = state.messages.pop_front() {
                state.bytes -= message.bytes.len();
                state.is_sending = true;
                return Some(message);
            }
            if Arc::strong_count(self) == 1 {
                state.has_thread = false;
                return None;
            }
            let waited = self.changed.wait_timeout(state, IDLE_TIME);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn send(&self, connection: &mut Option<Connection>, bytes: &[u8]) -> io::Result<()> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(Connection::open(&self.server)?),
        };
        connection.send(bytes)
    }

    fn sent(&self, message: &Message) {
        message.counters.count_written(message.output);
        let mut state = lock(&self.state);
        state.is_sending = false;
        let works_again = state.is_failing || state.is_told;
        if works_again && state.bytes < QUEUE_BYTES_MAX / 2 {
            state.is_failing = false;
            state.is_told = false;
            let lost = std::mem::take(&mut state.lost);
            let server = self.server.to_string();
            late_lines::log([Line::SyslogServerRecovered { server, lost }]);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Returns a message to the queue after a failure.
    fn failed(&self, message: Message, error: &io::Error) {
        let mut state = lock(&self.state);
        state.is_sending = false;
        if state.bytes + message.bytes.len() > QUEUE_BYTES_MAX {
            state.lose(message.output, &message.counters);
        } else {
            state.bytes += message.bytes.len();
            state.messages.push_front(message);
        }
        if !std::mem::replace(&mut state.is_failing, true) {
            late_lines::log([Line::SyslogServerFailed {
                server: self.server.to_string(),
                error: error.to_string(),
            }]);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Whether the last attempt to send failed.
    #[cfg(test)]
    fn is_failing(&self) -> bool {
        lock(&self.state).is_failing
    }
}

impl QueueState {
    fn lose(&mut self, output: usize, counters: &TargetCounters) {
        counters.count_dropped(output);
        self.lost += output as u64;
    }
}

/// A connection to a server.
enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Connection {
    /// Resolves the name and connects. May take long.
    fn open(server: &SyslogServer) -> io::Result<Self> {
        let mut last = io::Error::other("the name has no address");
        for address in (&*server.host, server.port).to_socket_addrs()? {
            let opened = match server.transport {
                SyslogTransport::Udp => Self::udp(address),
                SyslogTransport::Tcp => Self::tcp(address),
            };
            match opened {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn udp(address: SocketAddr) -> io::Result<Self> {
        let any = match address {
            SocketAddr::V4(_) => "0.0.0.0:0",
            SocketAddr::V6(_) => "[::]:0",
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        Ok(Self::Udp(socket))
    }

    fn tcp(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, STEP_TIME)?;
        stream.set_write_timeout(Some(STEP_TIME))?;
        Ok(Self::Tcp(stream))
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(bytes).map(drop),
            Self::Tcp(stream) => {
                // A server that is gone has closed its end. The first write afterwards would succeed nevertheless.
                stream.set_nonblocking(true)?;
                let peeked = stream.peek(&mut [0]);
                stream.set_nonblocking(false)?;
                match peeked {
                    Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => {}
                }
                stream.write_all(bytes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, Read as _};
    use std::net::TcpListener;

    use super::*;
    use crate::output::testing::eventually;

    fn server(transport: SyslogTransport, port: u16) -> SyslogServer {
        SyslogServer {
            transport,
            host: Arc::from("127.0.0.1"),
            port,
        }
    }

    #[test]
    fn g39_a_server_that_is_away_gets_the_queue_when_it_returns() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let queue = SyslogQueue::of(&server(SyslogTransport::Tcp, address.port()));
        let counters = Arc::default();
        queue.push(b"one\n".to_vec(), 3, &counters);
        eventually("the server is away", || queue.is_failing());
        queue.push(b"two\n".to_vec(), 3, &counters);
        assert_eq!((counters.written(), counters.dropped()), (0, 0));
        let listener = TcpListener::bind(address).expect("bound again");
        let (mut stream, _) = listener.accept().expect("connected");
        let mut text = [0; 8];
        stream.read_exact(&mut text).expect("both");
        assert_eq!(&text, b"one\ntwo\n");
        eventually("both are counted", || counters.written() == 6);
        // The server closes the connection: nothing is written into the void.
        drop(stream);
        queue.push(b"three\n".to_vec(), 5, &counters);
        let (mut stream, _) = listener.accept().expect("connected again");
        let mut text = [0; 6];
        stream.read_exact(&mut text).expect("the third");
        assert_eq!(&text, b"three\n");
    }

    #[test]
    fn l07_a_full_queue_drops_the_oldest_and_counts() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let queue = SyslogQueue::of(&server(SyslogTransport::Tcp, address.port()));
        let counters: Arc<TargetCounters> = Arc::default();
        let count = 3 * QUEUE_BYTES_MAX / 1000;
        for number in 0..count {
            let mut message = format!("{number} ").into_bytes();
            message.resize(999, b'x');
            message.push(b'\n');
            queue.push(message, 999, &counters);
        }
        let kept = lock(&queue.state).bytes;
        assert!(kept <= QUEUE_BYTES_MAX, "{kept}");
        // One more message may be with the thread.
        let most = 999 * (count - kept / 1000) as u64;
        assert!((most - 999..=most).contains(&counters.dropped()));
        let listener = TcpListener::bind(address).expect("bound again");
        let (stream, _) = listener.accept().expect("connected");
        let mut lines = io::BufReader::new(stream).lines();
        let last = lines.find_map(|line| {
            let line = line.expect("text");
            assert_eq!(line.len(), 999, "each line is whole");
            line.starts_with(&format!("{} ", count - 1)).then_some(line)
        });
        assert!(last.is_some(), "the newest line is kept");
        eventually("all is counted", || {
            counters.written() + counters.dropped() == 999 * count as u64
        });
    }

    #[test]
    fn g39_a_datagram_is_one_message() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let port = socket.local_addr().expect("bound").port();
        let queue = SyslogQueue::of(&server(SyslogTransport::Udp, port));
        let counters = Arc::default();
        queue.push(b"one".to_vec(), 3, &counters);
        queue.push(b"two".to_vec(), 3, &counters);
        let mut buffer = [0; 100];
        for expected in ["one", "two"] {
            let count = socket.recv(&mut buffer).expect("received");
            assert_eq!(&buffer[..count], expected.as_bytes());
        }
        flush_all(Duration::from_secs(10));
        assert_eq!(counters.written(), 6);
    }
}
