//! The .deb of the hub in a machine with a real systemd, without the daemon's package.

use crate::deb::apt;
use crate::made::{Kind, OURS, both};
use crate::support::expect;
use crate::support::machine::{Machine, trial_bare};
use crate::support::runner::{Outcome, Trial};

const UNIT: &str = "supervisord-hub.service";
/// The highest exposure that systemd-analyze may report, times ten.
const EXPOSURE_MAX: &str = "20";

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![trial_bare(
        "hub::its_package_runs_alone_and_a_purge_leaves_nothing",
        || both(Kind::Deb),
        |machine| {
            if machine.run(&["apt-get", "update", "-q"])?.code != 0 {
                return Ok(Outcome::Skipped(
                    "no packages of Debian to be had".to_owned(),
                ));
            }
            lived(machine).map(|()| Outcome::Passed)
        },
    )]
}

/// The answer of the hub to a request without a session.
fn version(machine: &Machine) -> Result<String, String> {
    machine.sh(
        "python3 -c 'import urllib.request as r; print(r.urlopen(\"http://127.0.0.1:5000/api/version\", timeout=9).read().decode())'",
    )
}

fn lived(machine: &Machine) -> Result<(), String> {
    let said = apt(
        machine,
        &format!("install python3 /shown/{}", Kind::Deb.hub_file(OURS)),
    )?;
    expect(!said.contains("warning"), said)?;
    // The administrator names hosts and sets a password first.
    let enabled = machine.run(&["systemctl", "is-enabled", UNIT])?;
    expect(enabled.stdout.trim() == "disabled", format!("{enabled:?}"))?;
    expect(
        machine.property(UNIT, "ActiveState")? == "inactive",
        machine.story(UNIT),
    )?;
    let files = "stat -c '%a %U:%G' /etc/supervisord-hub /etc/supervisord-hub/hub.toml";
    let modes = machine.sh(files)?;
    expect(
        modes
            .lines()
            .eq(["750 root:supervisord-hub", "640 root:supervisord-hub"]),
        modes,
    )?;

    machine
        .sh(&format!("systemctl enable --now {UNIT} 2>&1"))
        .map_err(|why| format!("{why}: {}", machine.story(UNIT)))?;
    machine.wait_property(UNIT, "ActiveState", "active")?;
    let answer = version(machine)?;
    expect(answer.contains("version"), answer)?;
    let pid = machine.property(UNIT, "MainPID")?;
    let status = machine.sh(&format!(
        "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs):' /proc/{pid}/status"
    ))?;
    expect(
        !status.contains("Uid:\t0\t")
            && status.contains("CapEff:\t0000000000000000")
            && status.contains("CapBnd:\t0000000000000000")
            && status.contains("NoNewPrivs:\t1"),
        status,
    )?;
    let exposure = machine.run(&[
        "systemd-analyze",
        "security",
        &format!("--threshold={EXPOSURE_MAX}"),
        UNIT,
    ])?;
    expect(
        exposure.code == 0,
        format!("too much exposure: {}", exposure.stdout),
    )?;
    // A reload reads the configuration, which only the group may read.
    machine.sh(&format!(
        "printf '[[nodes]]\\nname = \"away\"\\nhost = \"127.0.0.1\"\\nport = 9\\n' >>/etc/supervisord-hub/hub.toml
         systemctl reload {UNIT}"
    ))?;
    version(machine)?;
    expect(
        machine.property(UNIT, "MainPID")? == pid,
        machine.story(UNIT),
    )?;
    machine.sh("test -d /var/lib/private/supervisord-hub")?;

    apt(machine, "remove supervisord-hub")?;
    machine.sh(&format!(
        "! systemctl --quiet is-active {UNIT}; test -e /etc/supervisord-hub/hub.toml && test -d /var/lib/private/supervisord-hub"
    ))?;
    apt(machine, "purge supervisord-hub")?;
    machine
        .sh("test ! -e /etc/supervisord-hub && test ! -e /var/lib/private/supervisord-hub && test ! -e /var/lib/supervisord-hub")
        .map(drop)
}
