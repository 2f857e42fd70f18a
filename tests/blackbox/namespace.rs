//! A PID namespace with the daemon as PID 1, as in a container.

use std::path::Path;

use crate::host::Host;
use crate::support::daemon::{Finished, Side, program, run};
use crate::support::{LIMIT, proc};

/// Starts the daemon as PID 1 of a new PID namespace. Returns its PID outside too. `None`: this machine allows no namespaces.
pub(crate) fn container(config: &str) -> Result<Option<(Host, i32)>, String> {
    let mut host = Host::new(config)?;
    let daemon = program(Side::Ours, "supervisord")?;
    let script = format!("exec {} -n -c conf", daemon.display());
    if !enter(&mut host, &script)? {
        return Ok(None);
    }
    let inside = inside(&host)?;
    Ok(Some((host, inside)))
}

/// Runs a shell script that becomes the daemon as PID 1 of a new PID namespace. Returns whether this machine allows
/// namespaces.
pub(crate) fn enter(host: &mut Host, script: &str) -> Result<bool, String> {
    let mut command = host
        .marked
        .command(Path::new("/usr/bin/unshare"), host.place.path());
    command.args(["-pf", "--mount-proc", "--kill-child", "/bin/sh", "-c"]);
    command.arg(script);
    if let Err(error) = host.go_as(command, "s") {
        let why = host.place.read("err");
        if why.contains("unshare failed") || why.contains("Operation not permitted") {
            return Ok(false);
        }
        return Err(error);
    }
    Ok(true)
}

/// The PID outside of the daemon in its namespace.
pub(crate) fn inside(host: &Host) -> Result<i32, String> {
    proc::children(host.daemon()?.pid())
        .first()
        .map(|(pid, _)| *pid)
        .ok_or_else(|| "no child of unshare".to_owned())
}

/// Runs a client in the namespace of the process `inside`, as `docker exec` does.
pub(crate) fn exec(
    host: &Host,
    inside: i32,
    side: Side,
    args: &[&str],
) -> Result<Finished, String> {
    let mut enter = host
        .marked
        .command(Path::new("/usr/bin/nsenter"), host.place.path());
    enter
        .args(["-t", &inside.to_string(), "-p", "-m"])
        .arg(program(side, "supervisorctl")?)
        .args(["-c", &host.place.join("conf").display().to_string()])
        .args(args);
    run(enter, host.place.path(), None, LIMIT)
}
