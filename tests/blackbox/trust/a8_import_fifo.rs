//! `supervisord import` reads regular files only: a FIFO made it wait for ever.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// All of them.
pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new("trust::a8_import_of_a_fifo_is_refused", fifo)]
}

fn make(path: &Path) -> Result<(), String> {
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o644);
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|e| e.to_string())?;
    nix::unistd::mkfifo(path.as_c_str(), mode).map_err(|e| e.to_string())
}

fn fifo() -> Result<Outcome, String> {
    let host = Host::new("")?;
    make(&host.place.join("pipe.service"))?;
    std::fs::create_dir(host.place.join("w.service.d")).map_err(|e| e.to_string())?;
    host.place
        .write("w.service", "[Service]\nExecStart=/bin/true\n")?;
    make(&host.place.join("w.service.d/10.conf"))?;
    std::os::unix::fs::symlink("/dev/zero", host.place.join("zero.service"))
        .map_err(|e| e.to_string())?;
    let _socket = std::os::unix::net::UnixListener::bind(host.place.join("sock.service"))
        .map_err(|e| e.to_string())?;
    for (word, why) in [
        (
            "./pipe.service",
            "pipe.service: it is a FIFO, not a regular file",
        ),
        ("./w.service", "10.conf: it is a FIFO, not a regular file"),
        (
            "./zero.service",
            "zero.service: it is a device, not a regular file",
        ),
        ("/dev/zero", "/dev/zero: it is a device, not a regular file"),
        ("./sock.service", "sock.service: it is not a regular file"),
    ] {
        let got = host.run(&["import", word])?;
        expect(
            got.code == 1 && got.stdout.is_empty() && got.stderr.contains(why),
            format!("{word}: {got:?}"),
        )?;
    }
    // The variables of a FIFO are not read either.
    make(&host.place.join("env"))?;
    host.place.write(
        "e.service",
        &host.fill("[Service]\nExecStart=/bin/true\nEnvironmentFile={dir}/env\n"),
    )?;
    let got = host.run(&["import", "./e.service"])?;
    expect(got.stdout.contains("[program:e]"), format!("{got:?}"))?;
    Ok(Outcome::Passed)
}
