//! The test child: the test binary runs itself as a supervised program, so that no shell is needed.
//!
//! Its arguments are a list of steps that it runs in order, see [`TestChild::run_step`].

use std::fs;
use std::io::{BufRead, Write};
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, close, setpgid};

/// Runs the test child and never returns, if the first argument asks for it.
pub fn run_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some("test_child") {
        let mut test_child = TestChild {
            words: arguments[2..].to_vec(),
            at: 0,
            on: Vec::new(),
        };
        test_child.play();
        std::process::exit(0);
    }
}

struct TestChild {
    words: Vec<String>,
    at: usize,
    /// Signal → its steps, comma separated.
    on: Vec<(Signal, String)>,
}

fn out(bytes: &[u8]) {
    let mut stdout = std::io::stdout();
    drop(stdout.write_all(bytes));
    drop(stdout.flush());
}

fn signal_of(name: &str) -> Signal {
    format!("SIG{name}").parse().expect("a signal's name")
}

impl TestChild {
    fn next(&mut self) -> Option<String> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    fn number(&mut self) -> u64 {
        self.next()
            .and_then(|word| word.parse().ok())
            .expect("a number")
    }

    fn word(&mut self) -> String {
        self.next().expect("a word")
    }

    fn play(&mut self) {
        while let Some(step) = self.next() {
            self.run_step(&step);
        }
    }

    fn run_step(&mut self, step: &str) {
        match step {
            // hostile KIND PATH COUNT: see `hostile`
            "hostile" => {
                let (kind, path, count) = (self.word(), self.word(), self.number());
                super::hostile::run(&kind, &path, usize::try_from(count).expect("few"));
            }
            // exit CODE
            "exit" => {
                let code = self.number();
                std::process::exit(i32::try_from(code).expect("a small number"));
            }
            // say TEXT / err TEXT: a line on stdout or stderr; part TEXT: without newline
            "say" => out(format!("{}\n", self.word()).as_bytes()),
            "part" => out(self.word().as_bytes()),
            "err" => {
                let text = self.word();
                drop(std::io::stderr().write_all(format!("{text}\n").as_bytes()));
            }
            // hex BYTES: raw bytes on stdout
            "hex" => {
                let text = self.word();
                let bytes: Vec<u8> = (0..text.len() / 2)
                    .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex"))
                    .collect();
                out(&bytes);
            }
            // sleep MS: part of the program's behaviour, not a wait of the test
            "sleep" => {
                let ms = self.number();
                self.rest(Some(Duration::from_millis(ms)));
            }
            "forever" => self.rest(None),
            // wait FILE: until the file exists
            "wait" => {
                let file = self.word();
                while !std::path::Path::new(&file).exists() {
                    self.rest(Some(Duration::from_millis(10)));
                }
            }
            // touch FILE: makes it, empty. It appears when its descriptor is closed, so a test that waits for it sees only
            // the descriptors that the child was started with.
            "touch" => {
                let file = self.word();
                let new = format!("{file}.{}", std::process::id());
                if fs::write(&new, "").is_ok() {
                    drop(fs::rename(new, file));
                }
            }
            // end-thread PID NAME: ends one thread of another process
            "end-thread" => {
                let pid = self.number();
                let name = self.word();
                let pid = i32::try_from(pid).expect("a pid");
                if let Err(why) = super::thread::end(pid, &name) {
                    out(format!("{why}\n").as_bytes());
                    std::process::exit(1);
                }
            }
            // ignore SIG: blocked for ever
            "ignore" => {
                let mut set = SigSet::empty();
                set.add(signal_of(&self.word()));
                set.thread_block().expect("blocking cannot fail");
            }
            // on SIG step,step: when the signal arrives while sleeping or forever
            "on" => {
                let signal = signal_of(&self.word());
                let steps = self.word();
                let mut set = SigSet::empty();
                set.add(signal);
                set.thread_block().expect("blocking cannot fail");
                self.on.push((signal, steps));
            }
            // kill SIG: itself
            "kill" => {
                let _ = raise(signal_of(&self.word()));
            }
            "abort" => std::process::abort(),
            // numbers FROM COUNT: numbered lines
            "numbers" => {
                let from = self.number();
                let count = self.number();
                let mut text = String::new();
                for n in from..from + count {
                    text.push_str(&format!("{n:08}\n"));
                    if text.len() > 4000 {
                        out(text.as_bytes());
                        text.clear();
                    }
                }
                out(text.as_bytes());
            }
            // count FILE MICROS: numbered lines in pieces of some thousand bytes, with this pause between them, until
            // FILE exists
            "count" => {
                let file = self.word();
                let pause = Duration::from_micros(self.number());
                self.count(&file, pause);
            }
            // tell FILE MICROS: the same, each line a piece of its own
            "tell" => {
                let file = self.word();
                let pause = Duration::from_micros(self.number());
                let mut n: u64 = 0;
                while !std::path::Path::new(&file).exists() {
                    out(format!("{n:08}\n").as_bytes());
                    n += 1;
                    self.rest(Some(pause));
                }
                out(b"end\n");
            }
            // stream FILE: numbered lines without end, from the number in FILE on. FILE.lives gets a line with the
            // first number of each instance
            "stream" => {
                let file = self.word();
                self.stream(&file);
            }
            // flood BYTES: that many bytes in pieces of 64 KiB
            "flood" => {
                let mut left = usize::try_from(self.number()).expect("fits");
                let piece = vec![b'x'; 65536];
                while left > 0 {
                    let now = left.min(piece.len());
                    out(&piece[..now]);
                    left -= now;
                }
            }
            // nth FILE A B C: on the n-th run exit with the n-th argument; the last repeats. `-` does not exit
            "nth" => {
                let file = self.word();
                let codes = self.word();
                let n = fs::read(&file).map_or(0, |bytes| bytes.len());
                drop(fs::write(&file, vec![b'.'; n + 1]));
                let codes: Vec<&str> = codes.split(',').collect();
                let code = codes.get(n).or(codes.last()).expect("a code");
                if *code != "-" {
                    std::process::exit(code.parse().expect("a code"));
                }
            }
            // closeout / closeerr: closes the descriptor and keeps running
            "closeout" => drop(close(1)),
            "closeerr" => drop(close(2)),
            // echo: each line of stdin to stdout, until the end
            "echo" => {
                for line in std::io::stdin().lock().lines() {
                    match line {
                        Ok(line) => out(format!("{line}\n").as_bytes()),
                        Err(_) => break,
                    }
                }
                out(b"eof\n");
            }
            // env NAME: the variable
            "env" => {
                let name = self.word();
                let value = std::env::var(&name).unwrap_or_else(|_| "(unset)".to_owned());
                out(format!("{name}={value}\n").as_bytes());
            }
            "cwd" => {
                let cwd = std::env::current_dir().unwrap_or_default();
                out(format!("{}\n", cwd.display()).as_bytes());
            }
            "stdinname" => {
                let fd = std::io::stdin().as_raw_fd();
                let name = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
                let name = name.display().to_string();
                let kind = name.split(':').next().unwrap_or_default().to_owned();
                out(format!("stdin {kind}\n").as_bytes());
            }
            // child step,step: a grandchild that inherits stdout, not waited for
            "child" | "quietchild" => {
                let steps = self.word();
                let me = std::env::current_exe().expect("exists");
                let mut command = Command::new(me);
                command.arg("test_child").args(steps.split(','));
                if step == "quietchild" {
                    command.stdout(Stdio::null()).stderr(Stdio::null());
                }
                drop(command.stdin(Stdio::null()).spawn());
            }
            // listen FILE ANSWERS: an event listener, see `listener`
            "listen" => {
                let file = self.word();
                let answers = self.word();
                super::listener::listen(&file, &answers);
            }
            // messages RATE SECONDS FILE: RATE numbered messages a second between capture tokens, once FILE exists
            "messages" => {
                let rate = self.number();
                let seconds = self.number();
                let file = self.word();
                while !std::path::Path::new(&file).exists() {
                    self.rest(Some(Duration::from_millis(10)));
                }
                super::listener::messages(rate, seconds);
            }
            // web PORT FILE, mail PORT FILE: servers, see `fake_server`
            "web" | "mail" => {
                let port = self.word().parse().expect("a port");
                let file = self.word();
                match step {
                    "web" => super::fake_server::web(port, &file),
                    _ => super::fake_server::mail(port, &file),
                }
            }
            // nacos PORT [USER PASSWORD]: a stub Nacos server, see `nacos`
            "nacos" => {
                let port = self.word().parse().expect("a port");
                let account = self.next().map(|user| (user, self.word()));
                super::nacos::serve(port, account);
            }
            // notify TEXT: a message to its NOTIFY_SOCKET; `\n` in it is a line's end
            "notify" => super::notifier::notify(&self.word()),
            // notifyto FILE TEXT: the same to the socket that FILE names
            "notifyto" => {
                let file = self.word();
                let address = fs::read_to_string(file).unwrap_or_default();
                let text = self.word();
                drop(super::notifier::send(address.trim(), &text));
            }
            // join FILE: the process group that FILE names
            "join" => {
                let file = self.word();
                let text = fs::read_to_string(file).unwrap_or_default();
                let group = text.trim().parse().expect("a number");
                setpgid(Pid::from_raw(0), Pid::from_raw(group)).expect("joined");
            }
            // beats MS COUNT FILE, floodnotify FILE, barrier: see `notifier`
            "beats" => {
                let ms = self.number();
                let count = self.number();
                super::notifier::beats(ms, count, &self.word());
            }
            "floodnotify" => super::notifier::flood_own(&self.word()),
            "barrier" => {
                super::notifier::barrier().expect("a barrier");
                out(b"barrier passed\n");
            }
            // newline N: a newline on descriptor N
            "newline" => {
                let path = format!("/proc/self/fd/{}", self.number());
                drop(fs::write(path, "\n"));
            }
            // post SOCKET FILE COUNT: posts this body COUNT times to the XML-RPC of a unix socket over one connection
            // and prints each answer
            "post" => {
                let address = super::wire::Address::Unix(self.word().into());
                let body = fs::read(self.word()).expect("a body");
                let mut connection = super::wire::Connection::open(&address).expect("a server");
                let head = format!(
                    "POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                for _ in 0..self.number() {
                    let sent = connection.send(head.as_bytes());
                    sent.and_then(|()| connection.send(&body)).expect("sent");
                    let answer = connection.answer().expect("read").expect("an answer");
                    out(answer.status.as_bytes());
                    out(b"\n");
                    out(&answer.body);
                }
            }
            // exchange SOCKET FILE: sends FILE to a unix socket and prints the answer of the next second
            "exchange" => {
                let address = super::wire::Address::Unix(self.word().into());
                let sent = fs::read(self.word()).expect("what to send");
                let mut connection = super::wire::Connection::open(&address).expect("a server");
                connection.send(&sent).expect("sent");
                // No answer contains this.
                out(&connection.read_until(b"\0\0", Duration::from_secs(1)));
            }
            "pid" => out(format!("{}\n", std::process::id()).as_bytes()),
            other => panic!("no such step: {other}"),
        }
    }

    fn count(&self, file: &str, pause: Duration) {
        let mut n: u64 = 0;
        while !std::path::Path::new(file).exists() {
            let mut piece = String::new();
            for _ in 0..450 {
                piece.push_str(&format!("{n:08}\n"));
                n += 1;
            }
            out(piece.as_bytes());
            self.rest(Some(pause));
        }
        out(b"end\n");
    }

    fn stream(&self, file: &str) {
        let mut n: u64 = fs::read_to_string(file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        let lives = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(format!("{file}.lives"));
        if let Ok(mut lives) = lives {
            drop(lives.write_all(format!("{n}\n").as_bytes()));
        }
        let mut stdout = std::io::stdout();
        loop {
            n += 1;
            // The number is stored before one write(2) writes the line. A kill in between loses the line. The next
            // instance puts that number in FILE.lives, so the test can tell.
            let next = format!("{file}.next");
            drop(fs::write(&next, n.to_string()));
            drop(fs::rename(&next, file));
            if stdout.write_all(format!("{n:08}\n").as_bytes()).is_err() {
                break;
            }
            drop(stdout.flush());
            self.rest(Some(Duration::from_millis(2)));
        }
    }

    /// Sleeps, and handles the signals that `on` named.
    fn rest(&self, how_long: Option<Duration>) {
        if self.on.is_empty() {
            // No descriptor here: tests look at the open descriptors of this process.
            match how_long {
                Some(how_long) => std::thread::sleep(how_long),
                None => loop {
                    std::thread::park();
                },
            }
            return;
        }
        let mut set = SigSet::empty();
        for (signal, _) in &self.on {
            set.add(*signal);
        }
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).expect("a descriptor");
        let end = how_long.map(|d| std::time::Instant::now() + d);
        loop {
            let timeout = match end {
                None => PollTimeout::NONE,
                Some(end) => {
                    let left = end.saturating_duration_since(std::time::Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    PollTimeout::try_from(left + Duration::from_millis(1))
                        .unwrap_or(PollTimeout::MAX)
                }
            };
            let mut fds = [PollFd::new(
                std::os::fd::AsFd::as_fd(&fd),
                PollFlags::POLLIN,
            )];
            let _ = poll(&mut fds, timeout);
            let ready = fds[0]
                .revents()
                .is_some_and(|events| events.contains(PollFlags::POLLIN));
            if ready && let Ok(Some(info)) = fd.read_signal() {
                let number = i32::try_from(info.ssi_signo).expect("a signal");
                for (signal, steps) in &self.on {
                    if *signal as i32 == number {
                        let mut inner = Self {
                            words: steps.split([',', '+']).map(str::to_owned).collect(),
                            at: 0,
                            on: self.on.clone(),
                        };
                        inner.play();
                    }
                }
            }
        }
    }
}
