//! `supervisord service` and `supervisord import`, with a real systemd to check the result.

use crate::service::{self, SLEEPER, UNIT, ctl, pid_of};
use crate::support::machine::{BINARIES, Done, Machine, trial};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("g07_a_service_can_be_installed_and_removed", lived),
        ("unusual_paths_work", odd),
        ("only_root_is_allowed", not_root),
        ("units_of_others_are_left_alone", foreign),
        ("an_error_writes_nothing", wrong),
        ("files_writable_by_others_are_refused", writable),
        (
            "an_imported_unit_has_the_arguments_and_variables_of_systemd",
            imported,
        ),
        (
            "an_imported_unit_has_the_limits_and_rights_of_systemd",
            confined,
        ),
        ("drop_ins_are_merged_as_systemd_merges_them", merged),
        ("every_unit_of_the_machine_can_be_read", everything),
    ];
    list.iter()
        .map(|&(name, test)| trial(format!("subcommands::{name}"), test))
        .collect()
}

const PATH: &str = "/etc/systemd/system/supervisord.service";
const CONFIGURATION: &str = "/etc/supervisor/supervisord.conf";

/// A configuration that works, and no unit of that name anywhere.
fn bare(machine: &Machine, programs: &str) -> Result<(), String> {
    service::install(machine, "", programs)?;
    machine
        .sh(
            "rm -rf /etc/systemd/system/supervisord.* /etc/systemd/system/super-2.*
             systemctl daemon-reload",
        )
        .map(drop)
}

/// Runs a shell command line with any result.
fn shell(machine: &Machine, script: &str) -> Result<Done, String> {
    machine.run(&["/bin/sh", "-c", script])
}

/// It fails with status 1, in one line that contains `told`, and leaves no unit.
fn refused(machine: &Machine, script: &str, told: &str) -> Result<(), String> {
    let done = shell(machine, script)?;
    expect(
        done.code == 1 && done.stderr.lines().count() == 1 && done.stderr.contains(told),
        format!("{script}: {told:?} is not in {done:?}"),
    )
}

fn is_there(machine: &Machine, path: &str) -> Result<bool, String> {
    Ok(machine.run(&["test", "-e", path])?.code == 0)
}

fn lived(machine: &Machine) -> Result<(), String> {
    bare(machine, SLEEPER)?;
    machine.write("/etc/supervisor/env", "FROM_FILE=yes\n")?;
    machine.sh(
        "cd /etc/supervisor && supervisord service install -c supervisord.conf --env-file env",
    )?;
    let enabled = machine.sh("systemctl is-enabled supervisord")?;
    expect(enabled.trim() == "enabled", enabled)?;
    expect(
        machine.property(UNIT, "ActiveState")? == "inactive",
        "it is not started unasked",
    )?;
    let text = machine.sh(&format!("cat {PATH}; stat -c %a:%U {PATH}"))?;
    for line in [
        &format!("ExecStart={BINARIES}/supervisord -n -c {CONFIGURATION}")[..],
        &format!("ExecReload={BINARIES}/supervisorctl -c {CONFIGURATION} update"),
        "EnvironmentFile=/etc/supervisor/env",
        "Type=notify",
        "644:root",
    ] {
        expect(
            text.lines().any(|have| have == line),
            format!("{line} in {text}"),
        )?;
    }
    let verified = machine.run(&["systemd-analyze", "verify", "--man=no", PATH])?;
    expect(
        verified.code == 0 && verified.stderr.is_empty(),
        format!("{verified:?}"),
    )?;

    machine.sh("supervisord service start")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    let pid = pid_of(machine, "web")?;
    let environment = machine.sh(&format!("tr '\\0' '\\n' < /proc/{pid}/environ"))?;
    expect(
        environment.lines().any(|line| line == "FROM_FILE=yes"),
        environment,
    )?;
    let status = shell(machine, "supervisord service status")?;
    expect(
        status.code == 0 && status.stdout.contains("active (running)"),
        format!("{status:?}"),
    )?;
    // A user without permission to change anything may read.
    let status = shell(machine, "runuser -u tester -- supervisord service status")?;
    expect(status.code == 0, format!("{status:?}"))?;
    machine.sh("systemctl reload supervisord")?;

    let daemon = machine.property(UNIT, "MainPID")?;
    machine.sh("supervisord service restart")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    expect(
        machine.property(UNIT, "MainPID")? != daemon,
        "another daemon",
    )?;
    expect(pid_of(machine, "web")? == pid, "the program ran on")?;

    // A second installation replaces the first.
    machine.sh("supervisord service install -c /etc/supervisor/supervisord.conf")?;
    expect(
        !machine
            .sh(&format!("cat {PATH}"))?
            .contains("EnvironmentFile="),
        "the new unit",
    )?;
    machine.sh("supervisord service stop")?;
    expect(
        shell(machine, "supervisord service status")?.code == 3,
        "systemctl's code for a service that is stopped",
    )?;
    machine.sh("supervisord service start; supervisord service uninstall")?;
    expect(!is_there(machine, PATH)?, "the unit is removed")?;
    expect(
        machine.property(UNIT, "LoadState")? == "not-found",
        machine.story(UNIT),
    )?;
    expect(
        machine.run(&["test", "-e", &format!("/proc/{pid}")])?.code != 0,
        "the program was stopped",
    )?;
    refused(
        machine,
        "supervisord service uninstall",
        "`service install` did not write it",
    )
}

fn odd(machine: &Machine) -> Result<(), String> {
    bare(machine, SLEEPER)?;
    machine.sh("mkdir -p '/etc/supervisor/it is $HOME'
         cp /etc/supervisor/supervisord.conf '/etc/supervisor/it is $HOME/100%n \"x\".conf'
         cd '/etc/supervisor/it is $HOME'
         supervisord service install --name super-2 -c '100%n \"x\".conf'
         supervisord service start --name super-2")?;
    machine.wait_property("super-2.service", "StatusText", "1/1 running")?;
    machine.sh("systemctl reload super-2; supervisord service --name super-2 uninstall; rm -r '/etc/supervisor/it is $HOME'")?;
    expect(
        !is_there(machine, "/etc/systemd/system/super-2.service")?,
        "the unit is removed",
    )
}

fn not_root(machine: &Machine) -> Result<(), String> {
    bare(machine, SLEEPER)?;
    for action in ["install", "uninstall", "start", "stop", "restart"] {
        refused(
            machine,
            &format!("runuser -u tester -- supervisord service {action} -c {CONFIGURATION}"),
            "only root can do this",
        )?;
    }
    expect(!is_there(machine, PATH)?, "no unit")
}

fn foreign(machine: &Machine) -> Result<(), String> {
    bare(machine, SLEEPER)?;
    let install = format!("supervisord service install -c {CONFIGURATION}");
    let theirs = "[Service]\nExecStart=/bin/true\n";
    machine.write(PATH, theirs)?;
    refused(machine, &install, "was not written by `service install`")?;
    refused(
        machine,
        "supervisord service uninstall",
        "was not written by `service install`",
    )?;
    expect(machine.sh(&format!("cat {PATH}"))? == theirs, "untouched")?;
    machine.sh(&format!("ln -sf /dev/null {PATH}"))?;
    refused(machine, &install, "was not written by `service install`")?;
    machine.sh(&format!("rm {PATH}"))?;
    let packaged = "/usr/lib/systemd/system/supervisord.service";
    machine.write(packaged, theirs)?;
    let result = refused(
        machine,
        &install,
        "use `systemctl enable --now supervisord`",
    );
    machine.sh(&format!("rm {packaged}"))?;
    result?;
    expect(!is_there(machine, PATH)?, "no unit")
}

fn wrong(machine: &Machine) -> Result<(), String> {
    bare(
        machine,
        "[program:a]\ncommand=a\nstartsecs=soon\n[program:b]\nautostart=maybe\n",
    )?;
    let done = shell(
        machine,
        &format!("supervisord service install -c {CONFIGURATION}"),
    )?;
    expect(
        done.code == 1
            && done.stderr.contains(&format!("{CONFIGURATION}:15:11: "))
            && done.stderr.contains("autostart takes one of")
            && done
                .stderr
                .ends_with("has errors (nothing was installed)\n"),
        format!("{done:?}"),
    )?;
    refused(
        machine,
        "supervisord service install -c /no/such.conf 2>&1 >/dev/null | tail -1 >&2; exit 1",
        "has errors",
    )?;
    refused(
        machine,
        "supervisord service install --name a/b",
        "is not a valid unit name",
    )?;
    let done = shell(machine, "supervisord service")?;
    expect(
        done.code == 2
            && done
                .stderr
                .contains("Usage: supervisord service [OPTIONS] <ACTION>")
            && done.stderr.contains("uninstall"),
        format!("{done:?}"),
    )?;
    expect(!is_there(machine, PATH)?, "no unit")
}

fn writable(machine: &Machine) -> Result<(), String> {
    bare(machine, SLEEPER)?;
    let install = format!("supervisord service install -c {CONFIGURATION}");
    machine.sh(&format!("chmod 0666 {CONFIGURATION}"))?;
    refused(
        machine,
        &install,
        "users other than root can change /etc/supervisor/supervisord.conf",
    )?;
    machine.sh(&format!("chmod 0644 {CONFIGURATION}"))?;
    // A path that others can redirect is refused too.
    machine.sh(&format!(
        "install -d -o tester /srv/theirs; ln -s {CONFIGURATION} /srv/theirs/x; ln -s /srv/theirs /srv/way"
    ))?;
    let result = refused(
        machine,
        "supervisord service install -c /srv/way/x",
        "/srv/theirs belongs to uid",
    );
    machine.sh("rm -r /srv/theirs /srv/way")?;
    result?;
    // Included files are checked too.
    service::configure(machine, "", "[include]\nfiles=conf.d/*.conf\n")?;
    machine.write("/etc/supervisor/conf.d/x.conf", SLEEPER)?;
    machine.sh("chown tester /etc/supervisor/conf.d/x.conf")?;
    refused(
        machine,
        &install,
        "users other than root can change /etc/supervisor/conf.d/x.conf",
    )?;
    // A directory to which others can add files is refused too, even if no file in it matches yet (trust: A7).
    machine.sh("rm /etc/supervisor/conf.d/x.conf; chmod 0777 /etc/supervisor/conf.d")?;
    refused(
        machine,
        &install,
        "users other than root can change /etc/supervisor/conf.d",
    )?;
    machine.sh("rm -r /etc/supervisor/conf.d")?;
    machine.sh(&format!(
        "mkdir -p /srv/open && cp {BINARIES}/supervisord {BINARIES}/supervisorctl /srv/open && chmod 0777 /srv/open"
    ))?;
    let result = refused(
        machine,
        &format!("/srv/open/supervisord service install -c {CONFIGURATION}"),
        "/srv/open is writable by everybody",
    )
    .and_then(|()| machine.sh("chmod 0755 /srv/open; rm /srv/open/supervisorctl"))
    .and_then(|_| {
        refused(
            machine,
            &format!("/srv/open/supervisord service install -c {CONFIGURATION}"),
            "supervisorctl not found beside /srv/open/supervisord",
        )
    });
    machine.sh("rm -r /srv/open")?;
    result?;
    expect(!is_there(machine, PATH)?, "no unit")
}

/// Writes its arguments and variables to a file, with the side that gave them and the number of the command.
const WITNESS: &str = "\
import os, sys
who = ('ours' if 'SUPERVISOR_ENABLED' in os.environ else 'systemd') + '.' + sys.argv[1]
said = ascii(sys.argv[1:]) + '\\n'
for name in sorted(os.environ):
    if name[0] == 'X' or name in ('HOME', 'USER', 'LOGNAME'):
        said += name + ' ' + ascii(os.environ[name]) + '\\n'
said += os.getcwd() + '\\n'
with open('/tmp/witness/' + who + '.new', 'w') as file:
    file.write(said)
os.rename('/tmp/witness/' + who + '.new', '/tmp/witness/' + who)
";

/// All parts that command lines and variables can have.
const WORDS: &str = "\
[Unit]
Description=Words with 100%% of what is odd
[Service]
Type=oneshot
User=tester
EnvironmentFile=/etc/default/witness
Environment=X1=one \"X2=two 'words here' \\\\\\\\d\" 'X3=semi ;colon #hash' X4=\\x41\\u00e9
Environment=\"X5='quoted'\" X6=%p-%i \"X7=50%%\" X8=
Environment=\"X9=a\\nb\" \"XA=both ' and \\\"\"
ExecStart=/usr/bin/python3 /srv/witness.py first 'single quoted' \"double \\\"quoted\\\"\" mid'dle quo'ted \\
  # a comment between
  \\x41\\101\\u00e9\\s\\t|\\\\ \\d '' ';' \\; 'a ; b' \"#c\" a;b a#b 'x #y' ; -/bin/false ignored
ExecStart=/usr/bin/python3 /srv/witness.py second %i %I %f %p %n %N %% %%(here)s %%(ENV_X)s %t %S \\
  $X1 $X2 ${X2} a${X1}b${NONE}c $NONE $$X1 a$X1 $ ${X1 $XF ${XF} ${X9} ${XA} ${X5} \\
  'two\\nlines ' \" lead\" 'trail ' ';x' '#x' \\; \" ;\" ~ * ? [a] {b} | & > < ( ) ! ` é
[Install]
WantedBy=multi-user.target
";

/// One command, which needs no shell.
const PLAIN: &str = "\
[Service]
Type=exec
WorkingDirectory=~
User=tester
Environment=X1=one \"X2=two 'words here' \\\\\\\\d\" \"X3=a ; b\"
ExecStart=/usr/bin/python3 /srv/witness.py third 'a ; b' \"#c\" $X2 ${X2}${X3} \\t'x\\ny' $NONE %% \"%%(here)s\" \\; '' \"a\\\"b\"
[Install]
WantedBy=multi-user.target
";

fn imported(machine: &Machine) -> Result<(), String> {
    bare(machine, "[include]\nfiles=conf.d/*.conf\n")?;
    machine.write("/srv/witness.py", WITNESS)?;
    machine.write(
        "/etc/default/witness",
        "XF=\"from 'a file'\"\nX1=overridden\n",
    )?;
    machine.write("/etc/systemd/system/witness@.service", WORDS)?;
    machine.write("/etc/systemd/system/plain.service", PLAIN)?;
    machine.sh(
        "rm -rf /tmp/witness; mkdir -m 0777 /tmp/witness; chmod 0644 /etc/default/witness
         systemctl daemon-reload
         systemctl start 'witness@in-st\\x20ance.service' plain
         mkdir -p /etc/supervisor/conf.d
         supervisord import 'witness@in-st\\x20ance' plain > /etc/supervisor/conf.d/witness.conf",
    )?;
    let section = machine.sh("cat /etc/supervisor/conf.d/witness.conf")?;
    machine
        .sh("supervisord --check --strict --any-host -c /etc/supervisor/supervisord.conf")
        .map_err(|why| format!("{why}\n{section}"))?;
    machine.sh("supervisord service install -c /etc/supervisor/supervisord.conf; supervisord service start")?;
    let all = "cd /tmp/witness && ls ours.first ours.second ours.third systemd.first systemd.second systemd.third";
    let result = wait_for("all have run", LIMIT, || machine.sh(all).is_ok());
    let status = ctl(machine, "status")?;
    machine.sh("supervisord service uninstall; rm -r /etc/supervisor/conf.d")?;
    result.map_err(|why| format!("{why}: {status}\n{section}"))?;
    let [theirs, ours] =
        ["systemd", "ours"].map(|who| machine.sh(&format!("cat /tmp/witness/{who}.*")));
    let (theirs, ours) = (theirs?, ours?);
    machine
        .sh("rm -r /tmp/witness /etc/systemd/system/witness@.service /etc/systemd/system/plain.service; systemctl daemon-reload")?;
    expect(
        ["'a ; b'", "'%(here)s'", "X9 'a\\nb'", "HOME '/home/tester'"]
            .iter()
            .all(|said| theirs.contains(said)),
        format!("the witness saw too little: {theirs}"),
    )?;
    expect(
        ours == theirs,
        format!("systemd:\n{theirs}\nours:\n{ours}\nof\n{section}"),
    )
}

/// Writes its rights to a file, with the side that runs it.
const SHOW: &str = "\
who=systemd; [ -z \"$SUPERVISOR_ENABLED\" ] || who=ours
{ grep -E '^(Uid|Gid|Groups|Umask|NoNewPrivs|Cap)' /proc/self/status; cat /proc/self/limits /proc/self/oom_score_adj; nice; } > /tmp/witness/$who.new
mv /tmp/witness/$who.new /tmp/witness/$who
";

/// All values are below those of the machine, because in some containers not even root may have more.
const CONFINED: &str = "\
[Service]
User=tester
Group=daemon
SupplementaryGroups=adm
SupplementaryGroups=audio
UMask=0027
Nice=7
OOMScoreAdjust=321
LimitNOFILE=2000:3000
LimitCORE=1.5M
LimitCPU=2min
LimitRTTIME=5s:10s
LimitNPROC=500:600
LimitMSGQUEUE=4K
CapabilityBoundingSet=CAP_CHOWN CAP_KILL CAP_NET_BIND_SERVICE
CapabilityBoundingSet=~CAP_KILL
CapabilityBoundingSet=CAP_FOWNER
AmbientCapabilities=CAP_NET_BIND_SERVICE
AmbientCapabilities=CAP_CHOWN
NoNewPrivileges=yes
ExecStart=/bin/sh /srv/show.sh
[Install]
WantedBy=multi-user.target
";

fn confined(machine: &Machine) -> Result<(), String> {
    bare(machine, "[include]\nfiles=conf.d/*.conf\n")?;
    machine.write("/srv/show.sh", SHOW)?;
    machine.write("/etc/systemd/system/confined.service", CONFINED)?;
    machine.sh("rm -rf /tmp/witness; mkdir -m 0777 /tmp/witness
         systemctl daemon-reload
         systemctl start confined
         mkdir -p /etc/supervisor/conf.d
         supervisord import confined > /etc/supervisor/conf.d/confined.conf
         supervisord service install -c /etc/supervisor/supervisord.conf
         supervisord service start")?;
    let section = machine.sh("cat /etc/supervisor/conf.d/confined.conf")?;
    let result = wait_for("both have run", LIMIT, || {
        machine.sh("cd /tmp/witness && ls ours systemd").is_ok()
    });
    let status = ctl(machine, "status")?;
    machine.sh("supervisord service uninstall; rm -r /etc/supervisor/conf.d")?;
    result.map_err(|why| format!("{why}: {status}\n{section}"))?;
    let [theirs, ours] =
        ["systemd", "ours"].map(|who| machine.sh(&format!("cat /tmp/witness/{who}")));
    let (theirs, ours) = (theirs?, ours?);
    machine
        .sh("rm -r /tmp/witness /etc/systemd/system/confined.service; systemctl daemon-reload")?;
    expect(
        theirs.contains("Max open files            2000                 3000"),
        format!("the witness saw too little: {theirs}"),
    )?;
    expect(
        ours == theirs,
        format!("systemd:\n{theirs}\nours:\n{ours}\nof\n{section}"),
    )
}

fn merged(machine: &Machine) -> Result<(), String> {
    for (path, text) in [
        (
            "/usr/lib/systemd/system/merge-a.service",
            "[Service]\nExecStart=/bin/a\nNice=1\nEnvironment=A=1\n",
        ),
        (
            "/etc/systemd/system/merge-a.service.d/20.conf",
            "[Service]\nExecStart=\nExecStart=/bin/sleep 5\n",
        ),
        (
            "/usr/lib/systemd/system/merge-a.service.d/20.conf",
            "[Service]\nNice=9\n",
        ),
        (
            "/run/systemd/system/merge-.service.d/10.conf",
            "[Service]\nEnvironment=B=2\nNice=3\n",
        ),
    ] {
        machine.write(path, text)?;
    }
    machine.sh("systemctl daemon-reload")?;
    let nice = machine.property("merge-a.service", "Nice")?;
    let section = machine.sh("supervisord import merge-a.service")?;
    machine.sh(
        "rm -r /usr/lib/systemd/system/merge-a.service* /etc/systemd/system/merge-a.service.d /run/systemd/system/merge-.service.d
         systemctl daemon-reload",
    )?;
    for line in [
        "[program:merge-a]",
        "command=/bin/sleep 5",
        "environment=A=\"1\",B=\"2\"",
        &format!("nice={nice}"),
    ] {
        expect(
            section.lines().any(|have| have == line),
            format!("{line} in {section}"),
        )?;
    }
    Ok(())
}

/// Any installed unit becomes a section that the strict reader accepts, or a reason. Users and directories may be
/// missing.
fn everything(machine: &Machine) -> Result<(), String> {
    let script = "
        mkdir -p /tmp/every; cd /tmp/every; seen=0
        for file in /usr/lib/systemd/system/*.service; do
            name=$(basename $file)
            case $name in *@.service) name=${name%.service}1.service ;; esac
            code=0; supervisord import $name > x.conf 2> why || code=$?
            if [ $code = 1 ] && [ -s why ]; then
                grep -q 'no ExecStart=\\|is masked\\|^.*: No such file' why || { echo \"$name: $(cat why)\"; continue; }
            elif [ $code != 0 ]; then
                echo \"$name: status $code: $(cat why)\"
            else
                seen=$((seen + 1))
                { echo '[supervisord]'; cat x.conf; } > s.conf
                supervisord --check --strict --any-host -c s.conf > said 2>&1 ||
                    grep '^s.conf:.*: error: ' said | sed \"s/^/$name: /\"
            fi
        done
        echo \"seen $seen\"; rm -r /tmp/every";
    let said = machine.sh(script)?;
    println!("{}", said.trim());
    let seen: Option<u32> = said
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("seen ")?.parse().ok());
    expect(
        said.lines().count() == 1 && seen.is_some_and(|seen| seen > 20),
        said,
    )
}
