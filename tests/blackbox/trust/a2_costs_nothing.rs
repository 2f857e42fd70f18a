//! Clients that hold connections, half-sent requests or unread answers do not slow down others, with and without a rule
//! of `allow=` for them: root is answered over each socket, and memory stays bounded.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{self, Address};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// A user with read permission by group, and a user without a rule. Further UIDs count up from them.
const GUEST: u32 = 61_300;
const STRANGER: u32 = 61_400;
/// Connections of all hostile clients together, and the connections of one hostile process.
const CONNECTIONS: usize = 1000;
const EACH: usize = 100;
/// Largest growth of the daemon's memory.
const GROWTH_KIB: u64 = 64 << 10;
/// Root's requests under each kind of load.
const CALLS: usize = 5;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    for kind in ["idle", "heads", "bodies", "unread", "slow"] {
        for (who, first, users) in [
            ("a_stranger", STRANGER, 1),
            ("a_guest", GUEST, 1),
            ("many_guests", GUEST, 10),
        ] {
            tests.push(Trial::new(
                format!("trust::a2_{kind}_of_{who}_do_not_delay_root"),
                move || hostile(kind, first, users),
            ));
        }
        tests.push(Trial::new(
            format!("trust::a2_{kind}_over_tcp_do_not_delay_root"),
            move || hostile(kind, 0, 1),
        ));
    }
    tests.push(Trial::new(
        "trust::a2_a_denied_user_is_refused_before_the_body_is_read",
        told_before_the_body,
    ));
    tests
}

fn skipped() -> Outcome {
    Outcome::Skipped("needs root, to be several users".to_owned())
}

struct Scene {
    hostiles: Vec<Child>,
    host: Host,
    port: u16,
}

impl Drop for Scene {
    fn drop(&mut self) {
        for child in &mut self.hostiles {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A daemon with a thousand stopped programs: their list is a megabyte.
fn scene() -> Result<Scene, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| error.to_string())?
        .port();
    let host = Host::start(&format!(
        "[supervisord]\nminfds=8192\nloglevel=info\n\
         [unix_http_server]\nallow=@nogroup status\n\
         [inet_http_server]\nport=127.0.0.1:{port}\n\
         [program:many]\ncommand=/bin/true\nautostart=false\nnumprocs=1000\n\
         process_name=%(program_name)s_%(process_num)04d\n\
         stdout_logfile=NONE\nstderr_logfile=NONE\n"
    ))?;
    std::fs::set_permissions(host.place.path(), std::fs::Permissions::from_mode(0o755))
        .map_err(|error| error.to_string())?;
    Ok(Scene {
        hostiles: Vec::new(),
        host,
        port,
    })
}

impl Scene {
    /// Processes that hold [`CONNECTIONS`] connections, of `users` users from UID `first` on. 0: of root, over TCP.
    fn attack(&mut self, kind: &str, first: u32, users: u32) -> Result<(), String> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let address = match first {
            0 => self.port.to_string(),
            _ => self.host.place.join("s").display().to_string(),
        };
        let group = nix::unistd::Group::from_name("nogroup")
            .ok()
            .flatten()
            .ok_or("no group nogroup")?;
        let count = CONNECTIONS / EACH;
        for number in 0..count {
            let out = File::create(self.host.place.join(&format!("hostile{number}")))
                .map_err(|error| error.to_string())?;
            let mut command = self.host.marked.command(&me, std::path::Path::new("/"));
            command
                .args(["test_child", "hostile", kind, &address, &EACH.to_string()])
                .stdout(out);
            if first > 0 {
                let number = u32::try_from(number).map_err(|error| error.to_string())?;
                let uid = first + number % users;
                let gid = match first {
                    GUEST => group.gid.as_raw(),
                    _ => uid,
                };
                command.uid(uid).gid(gid);
            }
            self.hostiles
                .push(command.spawn().map_err(|error| error.to_string())?);
        }
        wait_for("all connections are there", LIMIT, || {
            (0..count).all(|number| {
                let said = self.host.place.read(&format!("hostile{number}"));
                said.contains("ready")
            })
        })
    }
}

fn hostile(kind: &str, first: u32, users: u32) -> Result<Outcome, String> {
    if !is_root() {
        return Ok(skipped());
    }
    // One test at a time: each is enough load.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut scene = scene()?;
    let pid = scene.host.daemon()?.pid();
    let mut addresses = vec![Address::Unix(scene.host.place.join("s"))];
    if first > 0 {
        addresses.push(Address::Port(scene.port));
    }
    let ask = |address: &Address| {
        wire::call_with(address, "supervisor.getAllProcessInfo", &[], "", LIMIT)
            .map_err(|error| format!("{address:?}: {error:?}"))
    };
    for address in &addresses {
        ask(address)?;
    }
    let base = proc::resident_kib(pid);
    scene.attack(kind, first, users)?;
    let (mut slowest, mut most) = (Duration::ZERO, 0);
    for _ in 0..CALLS {
        for address in &addresses {
            let begin = Instant::now();
            ask(address)?;
            slowest = slowest.max(begin.elapsed());
            most = most.max(proc::resident_kib(pid));
        }
    }
    if std::env::var_os("TRUST_MEASURE").is_some() {
        eprintln!(
            "{kind} {first} x{users}: slowest {slowest:?}, {base} KiB, at most {most} KiB, +{} KiB",
            most.saturating_sub(base)
        );
    }
    expect(
        most < base + GROWTH_KIB,
        format!("{base} KiB became {most} KiB"),
    )?;
    Ok(Outcome::Passed)
}

/// A client without a rule that announces a long body and sends none of it gets the answer at once.
fn told_before_the_body() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(skipped());
    }
    let scene = scene()?;
    let program = "\
import os, socket, sys
os.setgid(61400); os.setuid(61400)
s = socket.socket(socket.AF_UNIX); s.settimeout(30); s.connect(sys.argv[1])
s.sendall(b'POST /RPC2 HTTP/1.1\\r\\nContent-Length: 16777216\\r\\n\\r\\n')
answer = b''
while True:
    part = s.recv(65536)
    if not part: break
    answer += part
sys.stdout.write(answer.decode())
";
    let done = std::process::Command::new("python3")
        .args(["-c", program])
        .arg(scene.host.place.join("s"))
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    expect(
        said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains("FAILED: permission denied"),
        format!("{said:?} {}", String::from_utf8_lossy(&done.stderr)),
    )?;
    scene.host.wait_file("log", "uid=61400")?;
    let log = scene.host.place.read("log");
    expect(
        log.matches("uid=61400").count() == 1 && log.contains("FAILED: permission denied: user "),
        log,
    )?;
    Ok(Outcome::Passed)
}
