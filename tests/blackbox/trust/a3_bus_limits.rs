//! Limits of D-Bus are counted for each connection and user: a flood of one user, or of several, does not make root's
//! calls fail. Here with a bus of our own; `tests/systemd` has the machine's.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, wait_for};

/// The users of a flood. The bus lets only those in that have an entry.
const USERS: [&str; 3] = ["nobody", "daemon", "bin"];
/// Connections of all users together. With 64 calls of each that wait, they were more than the bus side had places for.
const CONNECTIONS: u32 = 81;
/// Calls that each of them sends at once.
const CALLS: u32 = 100;
/// Calls of root under the flood.
const ROOT_CALLS: u32 = 5;
const NAME: &str = "org.supervisord.Supervisor1";

/// All of them.
pub(crate) fn tests() -> Vec<Trial> {
    [("one_user", 1), ("three_users", 3)]
        .map(|(who, users)| {
            Trial::new(
                format!("trust::a3_root_is_answered_in_a_flood_of_{who}"),
                move || flood(users),
            )
        })
        .into()
}

/// Children that end with the test.
struct Children(Vec<Child>);

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn flood(users: usize) -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped(
            "needs root, to be several users".to_owned(),
        ));
    }
    // One at a time: each is load enough.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let path = std::env::var_os("PATH").unwrap_or_default();
    for tool in ["dbus-daemon", "busctl", "python3"] {
        if !std::env::split_paths(&path).any(|directory| directory.join(tool).exists()) {
            return Ok(Outcome::Skipped(format!("{tool} is not installed")));
        }
    }
    let mut children = Children(Vec::new());
    let mut host = Host::new("[supervisord]\ndbus=system\n")?;
    let socket = host.place.join("bus");
    let open = |path: &std::path::Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            .map_err(|error| error.to_string())
    };
    open(host.place.path())?;
    let address = format!("unix:path={}", socket.display());
    host.place.write(
        "bus.conf",
        &format!(
            "<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
             <allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy></busconfig>"
        ),
    )?;
    let spawn = |command: &mut Command| {
        command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())
    };
    children.0.push(spawn(
        Command::new("dbus-daemon")
            .args(["--nofork", "--nopidfile"])
            .arg(format!(
                "--config-file={}",
                host.place.join("bus.conf").display()
            ))
            .stdout(Stdio::null()),
    )?);
    wait_for("the bus listens", LIMIT, || {
        std::os::unix::net::UnixStream::connect(&socket).is_ok()
    })?;
    let for_daemon = address.clone();
    host.go_with(|command| {
        command.env("DBUS_SYSTEM_BUS_ADDRESS", for_daemon);
    })?;
    wait_for("it is on the bus", LIMIT, || {
        host.place
            .read("log")
            .contains(" INFO connected to the system D-Bus as ")
    })?;
    let connections = CONNECTIONS / u32::try_from(users).map_err(|error| error.to_string())?;
    let program = include_str!("../../support/bus_flood.py");
    for (number, user) in USERS.iter().enumerate().take(users) {
        let out =
            File::create(host.place.join(&format!("flood{number}"))).map_err(|e| e.to_string())?;
        let uid = nix::unistd::User::from_name(user)
            .ok()
            .flatten()
            .ok_or_else(|| format!("no user {user}"))?
            .uid
            .as_raw();
        children.0.push(spawn(
            Command::new("python3")
                .args(["-c", program])
                .arg(&socket)
                .args([uid, connections, CALLS].map(|number| number.to_string()))
                .stdout(out),
        )?);
    }
    wait_for("the flood has begun", LIMIT, || {
        (0..users).all(|number| host.place.read(&format!("flood{number}")).contains("ready"))
    })?;
    let mut slowest = Duration::ZERO;
    for number in 1..=ROOT_CALLS {
        let begin = Instant::now();
        let done = Command::new("busctl")
            .arg(format!("--address={address}"))
            // The bus itself is slow under such a load; what counts is that no call is refused.
            .args([
                "--timeout=120",
                "call",
                NAME,
                "/org/supervisord/Supervisor1",
            ])
            .args([&format!("{NAME}.Manager"), "GetState"])
            .output()
            .map_err(|error| error.to_string())?;
        slowest = slowest.max(begin.elapsed());
        expect(
            done.status.success(),
            format!(
                "call {number} of root: {}",
                String::from_utf8_lossy(&done.stderr)
            ),
        )?;
    }
    if std::env::var_os("TRUST_MEASURE").is_some() {
        eprintln!("{users} users: slowest {slowest:?}");
    }
    Ok(Outcome::Passed)
}
