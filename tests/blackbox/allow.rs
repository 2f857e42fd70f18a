//! `allow=`: permissions of clients of a unix socket, by the credentials that the kernel reports.

use std::os::unix::process::CommandExt as _;

use crate::host::Host;
use crate::support::daemon::{Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root};

/// A user and a group without an entry in passwd and group.
const OPERATOR: u32 = 61_234;
const STRANGER: u32 = 61_235;
const GROUP: u32 = 61_236;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "allow::each_user_has_the_permissions_of_its_rule",
        rules,
    )]
}

fn rules() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped(
            "needs root, to be several users".to_owned(),
        ));
    }
    let host = Host::start(
        "[unix_http_server]\nallow=nobody control logs on web g:b\n      @nogroup status\n\
         [program:web]\ncommand={test_child} forever\nstartsecs=0\n\
         [program:other]\ncommand={test_child} forever\nstartsecs=0\n\
         [group:g]\nprograms=a,b\n\
         [program:a]\ncommand={test_child} forever\nstartsecs=0\n\
         [program:b]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    let daemon = host.daemon.as_ref().ok_or("a daemon")?;
    for name in ["web", "other", "g:a", "g:b"] {
        daemon.wait_state(name, "RUNNING")?;
    }
    let nobody = nix::unistd::User::from_name("nobody")
        .ok()
        .flatten()
        .ok_or("no user nobody")?;
    let nogroup = nix::unistd::Group::from_name("nogroup")
        .ok()
        .flatten()
        .ok_or("no group nogroup")?;
    let (nobody, nogroup) = (nobody.uid.as_raw(), nogroup.gid.as_raw());
    // The client must be able to reach the socket.
    let open = |path: &std::path::Path, mode| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
            .map_err(|error| error.to_string())
    };
    open(host.place.path(), 0o755)?;
    open(&host.place.join("conf"), 0o644)?;
    let asks = |uid: u32, gid: u32, args: &[&str], code: i32, parts: &[&str]| {
        let mut command = host
            .marked
            .command(&program(Side::Ours, "supervisorctl")?, host.place.path());
        // The process has no CAP_SETUID afterwards. It also gives up the groups of root.
        command.uid(uid).gid(gid).args(["-c", "conf"]).args(args);
        let got = run(command, host.place.path(), Some(""), LIMIT)?;
        let said = format!("{}{}", got.stdout, got.stderr);
        let fits = got.code == code && parts.iter().all(|part| said.contains(part));
        expect(
            fits,
            format!(
                "{uid}:{gid} {args:?}: status {}, expected {code}: {said:?}",
                got.code
            ),
        )
    };
    let refused = "permission denied";
    asks(nobody, GROUP, &["status"], 0, &["g:b", "web"])?;
    asks(nobody, GROUP, &["restart", "web"], 0, &["web: started"])?;
    asks(nobody, GROUP, &["stop", "g:b"], 0, &["g:b: stopped"])?;
    // A process that the client may not see does not exist for it.
    asks(nobody, GROUP, &["stop", "other"], 1, &["no such process"])?;
    asks(nobody, GROUP, &["stop", "g:a"], 1, &["no such process"])?;
    asks(nobody, GROUP, &["stop", "all"], 0, &["web: stopped"])?;
    asks(nobody, GROUP, &["maintail"], 1, &[])?;
    asks(
        nobody,
        GROUP,
        &["shutdown"],
        1,
        &[refused, "permission shutdown"],
    )?;
    asks(nobody, GROUP, &["scale", "web", "2"], 1, &[refused])?;
    // By group: may read, and no more.
    asks(
        OPERATOR,
        nogroup,
        &["status"],
        3,
        &["other", "RUNNING", "web"],
    )?;
    asks(
        OPERATOR,
        nogroup,
        &["start", "web"],
        1,
        &[refused, "permission control"],
    )?;
    asks(STRANGER, GROUP, &["status"], 1, &[refused])?;
    // Root needs no rule.
    host.expect_ctl(&["start", "web"], 0, &["web: started"])?;
    expect(daemon.state("other") == "RUNNING", "other was stopped")?;
    let log = host.place.read("log");
    for line in [
        format!("audit: unix uid={nobody} pid="),
        format!("audit: unix uid={OPERATOR} pid="),
        "stop other: BAD_NAME".to_owned(),
        "restart web".to_owned(),
    ] {
        // A restart is a stop and a start.
        let line = line.replace("restart web", "start web: accepted");
        expect(
            log.contains(&line),
            format!("no audit line {line:?} in {log}"),
        )?;
    }
    Ok(Outcome::Passed)
}
