//! Started through PATH, both programs find `../etc/supervisord.conf` beside themselves, as the original does.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::host::Host;
use crate::support::daemon::{Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect};

/// All of them.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::d8_the_daemon_finds_its_file_beside_it", daemon),
        Trial::new("trust::d8_the_client_finds_its_file_beside_it", client),
    ]
}

/// A tree like /usr/local with our programs in `bin`, and a shell in it that finds them there.
fn shell(host: &Host, script: &str) -> Result<Command, String> {
    let bin = host.place.join("local/bin");
    if !bin.exists() {
        fs::create_dir_all(&bin).map_err(|e| e.to_string())?;
        fs::create_dir_all(host.place.join("local/etc")).map_err(|e| e.to_string())?;
        fs::create_dir_all(host.place.join("elsewhere")).map_err(|e| e.to_string())?;
        for name in ["supervisord", "supervisorctl"] {
            let binary = program(Side::Ours, name)?;
            std::os::unix::fs::symlink(binary, bin.join(name)).map_err(|e| e.to_string())?;
        }
    }
    let mut command = host
        .marked
        .command(Path::new("/bin/sh"), &host.place.join("elsewhere"));
    let path = format!("/usr/bin:/bin:{}", bin.display());
    command.args(["-c", script]).env("PATH", path);
    Ok(command)
}

fn daemon() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let script = "supervisord --check";
    let command = shell(&host, script)?;
    let got = run(command, host.place.path(), None, LIMIT)?;
    // Every place is told if none has a file; one of the machine's own would be found.
    let beside = host
        .place
        .join("local/etc/supervisord.conf")
        .display()
        .to_string();
    expect(
        got.code == 0 || got.stderr.contains(&beside),
        format!("{got:?}"),
    )?;
    host.place
        .write("local/etc/supervisord.conf", "[supervisord]\n")?;
    let got = run(shell(&host, script)?, host.place.path(), None, LIMIT)?;
    expect(
        got.code == 0 && got.stdout.ends_with(&format!("{beside}: ok\n")),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn client() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let command = shell(&host, "supervisorctl status")?;
    host.place.write(
        "local/etc/supervisord.conf",
        &host.fill("[supervisorctl]\nserverurl=unix://{dir}/nobody\n"),
    )?;
    let got = run(command, host.place.path(), None, LIMIT)?;
    expect(
        got.stdout.contains("/nobody no such file"),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}
