//! The .rpm, installed into a scratch root, and with scriptlets into a machine that has systemd and rpm. dnf and
//! SELinux in enforcing mode need a machine of that distribution, which these tests do not have.

use crate::deb::UNIT;
use crate::made::{HIGHER, Kind, OURS, both, has};
use crate::support::machine::{Machine, trial_bare};
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::{LIMIT, expect, is_root, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("rpm::it_installs_into_a_root", root),
        trial_bare(
            "rpm::it_can_be_installed_upgraded_and_removed",
            || both(Kind::Rpm),
            |machine| {
                let script = "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends rpm </dev/null";
                if machine.run(&["/bin/sh", "-ec", script])?.code != 0 {
                    return Ok(Outcome::Skipped(
                        "no rpm to be had in the machine".to_owned(),
                    ));
                }
                lived(machine).map(|()| Outcome::Passed)
            },
        ),
    ]
}

/// Files of the package that other packages expect.
const FILES: [&str; 17] = [
    "/etc/supervisord.conf",
    "/etc/supervisord.d",
    "/etc/logrotate.d/supervisord",
    "/usr/bin/supervisord",
    "/usr/bin/supervisorctl",
    "/usr/bin/echo_supervisord_conf",
    "/usr/bin/pidproxy",
    "/usr/libexec/supervisord-agent",
    "/usr/lib/systemd/system/supervisord.service",
    "/usr/lib/systemd/system/supervisord.socket",
    "/usr/lib/systemd/system/supervisor.service",
    "/usr/lib/sysusers.d/supervisord.conf",
    "/usr/lib/tmpfiles.d/supervisord.conf",
    "/usr/share/dbus-1/system.d/org.supervisord.Supervisor1.conf",
    "/usr/share/polkit-1/actions/org.supervisord.Supervisor1.policy",
    "/usr/share/bash-completion/completions/supervisorctl",
    "/usr/share/man/man8/supervisord.8.gz",
];

fn output(command: &mut std::process::Command) -> Result<String, String> {
    let done = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        Ok(text)
    } else {
        Err(format!(
            "{command:?}: {text}{}",
            String::from_utf8_lossy(&done.stderr)
        ))
    }
}

fn root() -> Result<Outcome, String> {
    let directory = match both(Kind::Rpm) {
        Ok(directory) => directory,
        Err(Ok(why)) => return Ok(Outcome::Skipped(why)),
        Err(Err(error)) => return Err(error),
    };
    if !is_root() {
        return Ok(Outcome::Skipped(
            "installing into a root needs root".to_owned(),
        ));
    }
    let file = directory.join(Kind::Rpm.file(OURS));
    let place = TempDir::new()?;
    let scratch = place.path().join("root");
    let mut install = std::process::Command::new("rpm");
    install
        .args([
            "--install",
            "--nodeps",
            "--noscripts",
            "--ignorearch",
            "--root",
        ])
        .arg(&scratch)
        .arg(&file);
    output(&mut install)?;
    for path in FILES {
        let found = scratch.join(path.trim_start_matches('/'));
        expect(
            found.symlink_metadata().is_ok(),
            format!("there is no {path}"),
        )?;
    }
    let query = |what: &str| {
        output(
            std::process::Command::new("rpm")
                .args(["--query", "--package", what])
                .arg(&file),
        )
    };
    let changelog = query("--changelog")?;
    let first = changelog.lines().next().unwrap_or_default();
    expect(first.ends_with(&format!(" - {OURS}-1")), changelog.as_str())?;
    let provides = query("--provides")?;
    expect(
        provides.contains(&format!("supervisor = {OURS}-1"))
            && query("--obsoletes")?.contains("supervisor < 5"),
        provides,
    )?;
    expect(
        query("--configfiles")?
            .lines()
            .eq(["/etc/logrotate.d/supervisord", "/etc/supervisord.conf"]),
        "configuration files",
    )?;
    // The unit uses the paths of this distribution.
    let unit = std::fs::read_to_string(scratch.join("usr/lib/systemd/system/supervisord.service"));
    let unit = unit.map_err(|error| error.to_string())?;
    expect(
        unit.contains("-c /etc/supervisord.conf\n") && !unit.contains("/etc/supervisor/"),
        unit,
    )?;
    if !has("systemd-analyze") {
        return Ok(Outcome::Passed);
    }
    // The programs and the manual pages are in the scratch root, so `systemd-analyze` may only report that they are
    // missing.
    let mut verify = std::process::Command::new("systemd-analyze");
    verify
        .args(["verify", "--man=no", "--recursive-errors=no", "--root"])
        .arg(&scratch)
        .arg("/usr/lib/systemd/system/supervisord.service");
    output(&mut verify)?;
    Ok(Outcome::Passed)
}

fn lived(machine: &Machine) -> Result<(), String> {
    let rpm = |words: &str| machine.sh(&format!("rpm {words} 2>&1"));
    let file = |version: &str| format!("/shown/{}", Kind::Rpm.file(version));
    rpm(&format!("--install --nodeps {}", file(OURS)))?;
    // The presets decide. Debian's presets enable every unit.
    expect(
        machine.sh("systemctl is-enabled supervisord")?.trim() == "enabled",
        "not enabled",
    )?;
    expect(
        machine.property(UNIT, "ActiveState")? == "inactive",
        "an .rpm starts nothing",
    )?;
    machine.sh("getent group supervisor && test -d /run/supervisor")?;
    machine.write(
        "/etc/supervisord.d/web.ini",
        "[program:web]\ncommand=/bin/sleep infinity\nstartsecs=0\n",
    )?;
    machine.sh("systemctl start supervisord")?;
    let status = machine.sh("supervisorctl status")?;
    expect(status.contains(" RUNNING "), &*status)?;
    let seen = || -> Result<[String; 3], String> {
        Ok([
            machine.property(UNIT, "MainPID")?,
            machine.property(UNIT, "ActiveEnterTimestampMonotonic")?,
            machine.sh("supervisorctl pid web")?,
        ])
    };
    let before = seen()?;
    machine.sh("echo '; changed' >>/etc/supervisord.conf")?;
    rpm(&format!("--upgrade --nodeps {}", file(HIGHER)))?;
    expect(
        machine.sh("supervisorctl version")?.trim() == HIGHER,
        "not upgraded",
    )?;
    expect(
        seen()? == before,
        format!("{before:?} became {:?}", seen()?),
    )?;
    machine.sh("grep -q '; changed' /etc/supervisord.conf")?;

    rpm("--erase supervisord")?;
    wait_for("the program's end", LIMIT, || {
        machine
            .run(&["test", "-e", &format!("/proc/{}", before[2].trim())])
            .is_ok_and(|done| done.code != 0)
    })?;
    machine
        .sh("! systemctl is-active supervisord >/dev/null; test ! -e /usr/bin/supervisord; test ! -e /etc/systemd/system/multi-user.target.wants/supervisord.service
             grep -q '; changed' /etc/supervisord.conf.rpmsave; test -e /etc/supervisord.d/web.ini")
        .map(drop)
}
