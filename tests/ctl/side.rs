//! A reference daemon with its own directory, and clients that talk to it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::help::without_own_actions;

/// Time limit of every step.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The result of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: Option<i32>,
}

/// Runs `command` until it exits, or kills it at the limit.
pub(crate) fn finish(command: &mut Command, stdin: &str) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the client starts");
    let mut input = child.stdin.take().expect("piped");
    // A client that does not read its input may have exited already.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    collect(child)
}

/// The output of a running client until it exits.
pub(crate) fn collect(mut child: Child) -> Outcome {
    let mut out = child.stdout.take().expect("piped");
    let mut err = child.stderr.take().expect("piped");
    let reader = |mut from: Box<dyn Read + Send>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = from.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let (out, err) = (
        reader(Box::new(move_out(&mut out))),
        reader(Box::new(move_out(&mut err))),
    );
    let status = wait(&mut child, LIMIT);
    Outcome {
        stdout: out.join().expect("reads"),
        stderr: err.join().expect("reads"),
        status,
    }
}

fn move_out<T: std::os::fd::AsFd>(from: &mut T) -> fs::File {
    from.as_fd()
        .try_clone_to_owned()
        .expect("a descriptor")
        .into()
}

/// The exit status. `None`: the process was killed at the limit.
fn wait(child: &mut Child, limit: Duration) -> Option<i32> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("our child") {
            return status.code();
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One client with its daemon.
pub(crate) struct Side {
    pub(crate) dir: PathBuf,
    pub(crate) client: PathBuf,
    pub(crate) port: u16,
    daemon: Child,
}

impl Side {
    /// Starts a reference daemon for `client`, and waits until it answers and its programs run.
    pub(crate) fn start(oracle: &Path, client: &Path, name: &str, conf: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("ctl-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a port")
            .port();
        fs::write(
            dir.join("s.conf"),
            conf.replace("{port}", &port.to_string()),
        )
        .expect("a file");
        let daemon = Command::new(oracle.join("bin/supervisord"))
            .args(["-n", "-c"])
            .arg(dir.join("s.conf"))
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let side = Self {
            dir,
            client: client.to_owned(),
            port,
            daemon,
        };
        side.until("the first program runs", || {
            side.run(&["-c", "{dir}/s.conf", "status", "cat"], "")
                .status
                == Some(0)
        });
        side
    }

    /// Waits for a condition up to the limit.
    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let end = Instant::now() + LIMIT;
        while !condition() {
            assert!(Instant::now() < end, "not within the limit: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The command of a client. `{dir}` and `{port}` are replaced.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.client);
        command
            .current_dir(&self.dir)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent/home")
            .env("LANG", "C.UTF-8");
        for argument in arguments {
            command.arg(
                argument
                    .replace("{dir}", &self.dir.display().to_string())
                    .replace("{port}", &self.port.to_string()),
            );
        }
        command
    }

    /// Runs the client until it exits.
    pub(crate) fn run(&self, arguments: &[&str], stdin: &str) -> Outcome {
        finish(&mut self.command(arguments), stdin)
    }

    /// Runs the client until its output contains `text`, then sends SIGINT.
    pub(crate) fn follow(&self, arguments: &[&str], text: &str) -> Outcome {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the client starts");
        let mut out = child.stdout.take().expect("piped");
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count) = out.read(&mut piece) {
                if count == 0 || sender.send(piece[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        let end = Instant::now() + LIMIT;
        let mut seen = Vec::new();
        let mut interrupted = false;
        loop {
            if !interrupted && String::from_utf8_lossy(&seen).contains(text) && is_asleep(&child) {
                interrupt(&child);
                interrupted = true;
            }
            match receiver.recv_timeout(Duration::from_millis(100)) {
                Ok(piece) => seen.extend(piece),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) if Instant::now() > end => {
                    let _ = child.kill();
                }
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
        let status = wait(&mut child, LIMIT);
        let mut stderr = String::new();
        let _ = child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut stderr);
        Outcome {
            stdout: String::from_utf8_lossy(&seen).into_owned(),
            stderr,
            status,
        }
    }

    /// Replaces text in the daemon's configuration file.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.dir.join("s.conf");
        let text = fs::read_to_string(&path).expect("the file");
        assert!(text.contains(from), "nothing to edit: {from}");
        fs::write(&path, text.replace(from, to)).expect("written");
    }

    /// The PID of the daemon.
    pub(crate) fn daemon(&self) -> u32 {
        self.daemon.id()
    }
}

/// Whether the client sleeps, so that it is not printing.
fn is_asleep(child: &Child) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    state
        .rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with('S'))
}

/// Sends SIGINT to a client.
pub(crate) fn interrupt(child: &Child) {
    let pid = i32::try_from(child.id()).expect("a process number");
    let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
}

impl Drop for Side {
    fn drop(&mut self) {
        // SIGTERM stops every program too.
        let pid = i32::try_from(self.daemon.id()).expect("a process number");
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        if wait(&mut self.daemon, LIMIT).is_none() {
            eprintln!("the daemon {pid} had to be killed");
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Replaces values that may differ: directories, PIDs, times, the client's name, and Python's source lines.
pub(crate) fn normal(text: &str, side: &Side) -> String {
    let text = text
        .replace(&side.dir.display().to_string(), "DIR")
        .replace(&side.client.display().to_string(), "CLIENT")
        .replace(&format!(":{}", side.port), ":PORT");
    let text = without_own_actions(&text);
    text.split_inclusive('\n').map(normal_line).collect()
}

/// Our message where the reference client prints Python's class and representation of a fault.
/// Differs: our messages contain no class of Python.
pub(crate) fn fault_text(line: &str) -> Option<String> {
    let (before, fault) = line.split_once("<class 'xmlrpc.client.Fault'>, <Fault ")?;
    let (_, text) = fault.strip_suffix('>')?.split_once(": ")?;
    let quoted = text.get(1..text.len().checked_sub(1)?)?;
    Some(format!("{before}{}", quoted.replace("\\'", "'")))
}

fn normal_line(line: &str) -> String {
    let (text, end) = match line.strip_suffix('\n') {
        Some(text) => (text, "\n"),
        None => (line, ""),
    };
    let mut text = text.to_owned();
    if text.contains("error: <class")
        && let Some(at) = text.find(": file: ")
    {
        text.truncate(at);
    }
    if let Some(said) = fault_text(&text) {
        text = said;
    }
    if text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text = "PID".to_owned();
    }
    if let Some(rest) = text.strip_prefix("supervisor> ")
        && rest.len() > 1
        && rest.bytes().all(|byte| byte.is_ascii_digit())
    {
        text = "supervisor> PID".to_owned();
    }
    if let Some(at) = text.find(" pid ")
        && text.contains(", uptime ")
    {
        text.truncate(at);
        text.push_str(" pid, uptime");
    }
    if text.ends_with(" AM") || text.ends_with(" PM") {
        text.truncate(text.len().saturating_sub(15));
        text.push_str("DATE");
    }
    text + end
}
