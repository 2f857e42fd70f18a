//! D-Bus arguments: any method of any object with values of any type, over our own bus, with hand-written messages.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::host::Host;
use crate::mutate;
use crate::rng::Rng;
use crate::session::{Budget, run};
use crate::support::temp_dir::TempDir;
use crate::support::{LIMIT, wait_for};

const NAME: &str = "org.supervisord.Supervisor1";

const PATHS: &[&str] = &[
    "/org/supervisord/Supervisor1",
    "/org/supervisord/Supervisor1/group/web",
    "/org/supervisord/Supervisor1/group/web/web",
    "/org/supervisord/Supervisor1/group/_3a/_2f",
    "/org/supervisord/Supervisor1/group/_zz/_",
    "/org/supervisord",
    "/",
];

/// Interface and member. Calls that stop the daemon are left out.
const MEMBERS: &[(&str, &str)] = &[
    ("Manager", "GetState"),
    ("Manager", "ReadLog"),
    ("Manager", "ClearLog"),
    ("Manager", "ReloadConfig"),
    ("Manager", "AddProcessGroup"),
    ("Manager", "RemoveProcessGroup"),
    ("Manager", "Update"),
    ("Manager", "GetAllConfigInfo"),
    ("Manager", "GetProcessInfo"),
    ("Manager", "GetAllProcessInfo"),
    ("Manager", "StartProcess"),
    ("Manager", "StopProcessGroup"),
    ("Manager", "SignalProcess"),
    ("Manager", "SignalAllProcesses"),
    ("Manager", "RollingRestart"),
    ("Manager", "ReadProcessStdoutLog"),
    ("Manager", "TailProcessStderrLog"),
    ("Manager", "ClearProcessLogs"),
    ("Manager", "SendProcessStdin"),
    ("Manager", "SendRemoteCommEvent"),
    ("Manager", "SetNumprocs"),
    ("Manager", "GetGroupNames"),
    ("Manager", "Log"),
    ("Manager", "AddProgramToGroup"),
    ("Manager", "RemoveProcessFromGroup"),
    ("Group", "Signal"),
    ("Group", "RollingRestart"),
    ("Process", "Signal"),
    ("Process", "Restart"),
    ("Process", "TailStdoutLog"),
    ("Process", "SendStdin"),
    ("Nothing", "Nothing"),
];

const STANDARD: &[(&str, &str)] = &[
    ("org.freedesktop.DBus.Properties", "Get"),
    ("org.freedesktop.DBus.Properties", "GetAll"),
    ("org.freedesktop.DBus.Properties", "Set"),
    ("org.freedesktop.DBus.Introspectable", "Introspect"),
    ("org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
    ("org.freedesktop.DBus.Peer", "Ping"),
];

/// Signatures of real methods, and other ones.
const SIGNATURES: &[&str] = &[
    "",
    "s",
    "ss",
    "sb",
    "b",
    "sxx",
    "xx",
    "say",
    "ay",
    "su",
    "as",
    "ssa{ss}",
    "av",
    "v",
    "a{sv}",
    "(sx)",
    "aas",
    "d",
    "g",
    "o",
    "sssssssssss",
    "ssv",
];

const WORDS: &[&str] = &[
    "web",
    "web:web",
    "web:*",
    "*",
    ":",
    "TERM",
    "KILL",
    "0",
    "stdout",
    "PROCESS_STATE",
    NAME,
    ".Manager",
    "State",
    "é",
    "numprocs",
    "command",
    "/bin/true",
];

/// Whether a bus can be started.
pub(crate) fn is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join("dbus-daemon").exists())
}

/// A bus that exits with the run.
struct Bus(Child);

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes of a message under construction.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        while !self.0.len().is_multiple_of(to) {
            self.0.push(0);
        }
    }

    fn number(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_le_bytes());
    }

    /// Strings are UTF-8 without NUL.
    fn text(&mut self, text: &str) {
        let text = text.replace('\0', "");
        self.number(u32::try_from(text.len()).expect("short"));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(u8::try_from(text.len()).expect("short"));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    /// Writes a random value of the first type of `signature`. Returns the rest of the signature.
    fn value<'a>(&mut self, signature: &'a str, rng: &mut Rng) -> &'a str {
        let (kind, rest) = signature.split_at(1);
        match kind {
            "s" => self.text(&mutate::text(rng, WORDS, 3)),
            "o" => self.text(rng.pick(PATHS)),
            "g" => self.signature(rng.pick(SIGNATURES)),
            "b" => self.number(u32::from(rng.one_in(2))),
            "u" => {
                let value = rng.pick(&[0, 1, 2, 3, u32::MAX]);
                self.number(value);
            }
            "y" => self.0.push(u8::try_from(rng.below(256)).expect("a byte")),
            "x" | "d" => {
                self.align(8);
                let value = rng.pick(&[0, 1, 100, -1, i64::MAX, i64::MIN]);
                self.0.extend(value.to_le_bytes());
            }
            "v" => {
                let inner = rng.pick(&["s", "x", "b", "as", "(sx)", "d", "v"]);
                self.signature(inner);
                self.value(inner, rng);
            }
            "a" => return self.array(rest, rng),
            "(" => {
                self.align(8);
                let mut left = rest;
                while !left.starts_with(')') {
                    left = self.value(left, rng);
                }
                return &left[1..];
            }
            other => unreachable!("no such type: {other}"),
        }
        rest
    }

    fn array<'a>(&mut self, of: &'a str, rng: &mut Rng) -> &'a str {
        self.number(0);
        let place = self.0.len() - 4;
        let is_struct = of.starts_with(['(', '{']);
        self.align(match of.as_bytes()[0] {
            b'(' | b'{' | b'x' | b'd' => 8,
            b'y' | b'g' | b'v' => 1,
            _ => 4,
        });
        let start = self.0.len();
        let count = rng.below(4);
        let mut rest = after(of);
        for _ in 0..count {
            if is_struct {
                self.align(8);
            }
            if let Some(inner) = of.strip_prefix('{') {
                let left = self.value(inner, rng);
                rest = &self.value(left, rng)[1..];
            } else {
                rest = self.value(of, rng);
            }
        }
        let length = u32::try_from(self.0.len() - start).expect("short");
        self.0[place..place + 4].copy_from_slice(&length.to_le_bytes());
        rest
    }
}

/// The part of a signature after its first type.
fn after(signature: &str) -> &str {
    let mut depth = 0;
    for (place, c) in signature.char_indices() {
        match c {
            'a' if depth == 0 => return after(&signature[place + 1..]),
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &signature[place + 1..];
        }
    }
    ""
}

fn message(serial: u32, to: &str, call: [&str; 3], signature: &str, body: &[u8]) -> Vec<u8> {
    let [path, interface, member] = call;
    let mut fields = Writer::default();
    for (code, kind, text) in [
        (1, "o", path),
        (6, "s", to),
        (2, "s", interface),
        (3, "s", member),
        (8, "g", signature),
    ] {
        if text.is_empty() {
            continue;
        }
        fields.align(8);
        fields.0.push(code);
        fields.signature(kind);
        match kind {
            "g" => fields.signature(text),
            _ => fields.text(text),
        }
    }
    let mut head = Writer(b"l\x01\x00\x01".to_vec());
    head.number(u32::try_from(body.len()).expect("short"));
    head.number(serial);
    head.number(u32::try_from(fields.0.len()).expect("short"));
    head.0.extend(&fields.0);
    head.align(8);
    head.0.extend(body);
    head.0
}

/// One connection to the bus.
struct Caller {
    stream: UnixStream,
    serial: u32,
}

impl Caller {
    fn connect(path: &Path) -> Result<Self, String> {
        let said = |error: std::io::Error| format!("the bus: {error}");
        let mut stream = UnixStream::connect(path).map_err(said)?;
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .map_err(said)?;
        let uid = nix::unistd::geteuid().to_string();
        let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
        stream
            .write_all(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())
            .map_err(said)?;
        let mut answer = [0; 256];
        let count = stream.read(&mut answer).map_err(said)?;
        if !answer[..count].starts_with(b"OK") {
            return Err("the bus does not take us".to_owned());
        }
        stream.write_all(b"BEGIN\r\n").map_err(said)?;
        let mut caller = Self { stream, serial: 0 };
        let bus = "org.freedesktop.DBus";
        caller.call(bus, ["/org/freedesktop/DBus", bus, "Hello"], "", &[])?;
        Ok(caller)
    }

    /// Sends a call and waits for any answer. Returns whether the answer was an error.
    fn call(
        &mut self,
        to: &str,
        call: [&str; 3],
        signature: &str,
        body: &[u8],
    ) -> Result<bool, String> {
        self.serial += 1;
        let bytes = message(self.serial, to, call, signature, body);
        let said = |error: std::io::Error| format!("no answer to {call:?} ({signature}): {error}");
        self.stream.write_all(&bytes).map_err(said)?;
        loop {
            let mut head = [0; 16];
            self.stream.read_exact(&mut head).map_err(said)?;
            let number = |at: usize| {
                u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
            };
            let fields = number(12) as usize;
            let mut rest = vec![0; fields.next_multiple_of(8) + number(4) as usize];
            self.stream.read_exact(&mut rest).map_err(said)?;
            // A signal is no answer. The first one reports our own name.
            if matches!(head[1], 2 | 3) && reply_serial(&rest[..fields]) == Some(self.serial) {
                return Ok(head[1] == 3);
            }
        }
    }
}

/// The serial that an answer belongs to: the field with code 5, of type u.
fn reply_serial(fields: &[u8]) -> Option<u32> {
    let place = fields
        .windows(4)
        .enumerate()
        .find(|(place, bytes)| place.is_multiple_of(8) && bytes == b"\x05\x01u\0")?
        .0;
    let bytes = fields.get(place + 4..place + 8)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Any method with any arguments: each call gets an answer, and the daemon answers others afterwards.
pub(crate) fn arguments(budget: Budget) -> Result<u64, String> {
    let place = TempDir::new()?;
    let path = place.join("bus");
    let daemon = Command::new("dbus-daemon")
        .args(["--session", "--nofork", "--nopidfile"])
        .arg(format!("--address=unix:path={}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| error.to_string())?;
    let _bus = Bus(daemon);
    wait_for("the bus listens", LIMIT, || {
        UnixStream::connect(&path).is_ok()
    })?;
    let mut host = Host::new(
        "[supervisord]\ndbus=session\n[program:web]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    host.go_with(|command| {
        command.env(
            "DBUS_SESSION_BUS_ADDRESS",
            format!("unix:path={}", path.display()),
        );
    })?;
    wait_for("the daemon is on the bus", LIMIT, || {
        host.place
            .read("log")
            .contains("connected to the session D-Bus")
    })?;
    let mut caller = Caller::connect(&path)?;
    let mut well = 0_u64;
    let cases = run("bus", budget, |rng, shown| {
        let (interface, member) = if rng.one_in(4) {
            let (interface, member) = rng.pick(STANDARD);
            (interface.to_owned(), member)
        } else {
            let (interface, member) = rng.pick(MEMBERS);
            (format!("{NAME}.{interface}"), member)
        };
        let interface = if rng.one_in(10) {
            String::new()
        } else {
            interface
        };
        let signature = rng.pick(SIGNATURES);
        let mut body = Writer::default();
        let mut left = signature;
        while !left.is_empty() {
            left = body.value(left, rng);
        }
        let call = [rng.pick(PATHS), interface.as_str(), member];
        shown.note(format!("{call:?} {signature} {:?}", body.0).as_bytes());
        let is_error = caller.call(NAME, call, signature, &body.0)?;
        well += u64::from(!is_error);
        let state = [PATHS[0], "org.supervisord.Supervisor1.Manager", "GetState"];
        match caller.call(NAME, state, "", &[]) {
            Ok(false) => Ok(()),
            Ok(true) => Err(format!("GetState is an error; log:\n{}", host.log_end())),
            Err(error) => Err(format!("{error}; log:\n{}", host.log_end())),
        }
    })?;
    // Most calls are refused by design, and more of them once a call has removed the group.
    if cases > 1000 && well == 0 {
        return Err(format!("none of {cases} calls was carried out"));
    }
    Ok(cases)
}
