//! A6: root never opens a file in another user's directory by name twice when it makes, changes or removes the file. A
//! user who exchanges files and links there gains nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::daemon::answers;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, wait_for};

type Test = fn() -> Result<(), String>;

pub(crate) fn tests() -> Vec<Trial> {
    let list: &[(&str, Test)] = &[
        ("a_race_for_the_socket_changes_no_other_file", socket_race),
        (
            "a_users_directory_link_is_refused_for_the_socket",
            linked_socket,
        ),
        (
            "a_users_directory_link_is_refused_for_pidfile_and_logs",
            linked_files,
        ),
        ("a_directory_replaced_later_loses_nothing", exchanged),
        ("links_of_root_keep_working", links_of_root),
    ];
    list.iter()
        .map(|&(name, test)| {
            Trial::new(format!("trust::a6_{name}"), move || {
                if !is_root() {
                    return Ok(Outcome::Skipped("needs root".to_owned()));
                }
                test().map(|()| Outcome::Passed)
            })
        })
        .collect()
}

/// The UID of nobody.
const USER: u32 = 65534;
/// Starts of the daemon during the attack.
const STARTS: usize = 12;

/// A host with a directory `att` of another user, and one of root with a file that must not change.
fn host(config: &str) -> Result<Host, String> {
    let host = Host::new("")?;
    let make = |name: &str| -> std::io::Result<()> {
        fs::create_dir(host.place.join(name))?;
        fs::set_permissions(host.place.join(name), fs::Permissions::from_mode(0o755))
    };
    make("att").map_err(|e| e.to_string())?;
    make("roots").map_err(|e| e.to_string())?;
    chown(host.place.join("att"), Some(USER), Some(USER)).map_err(|e| e.to_string())?;
    host.place.write("roots/victim", "precious")?;
    fs::set_permissions(
        host.place.join("roots/victim"),
        fs::Permissions::from_mode(0o600),
    )
    .map_err(|e| e.to_string())?;
    let head = "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n";
    host.place
        .write("conf", &host.fill(&format!("{head}{config}")))?;
    Ok(host)
}

/// A process of the other user, killed with the test.
struct Attacker(Child);

impl Attacker {
    fn start(host: &Host, script: &str) -> Result<Self, String> {
        let child = Command::new("/bin/sh")
            .args(["-c", script])
            .current_dir(host.place.join("att"))
            .uid(USER)
            .gid(USER)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        child.map(Self).map_err(|e| e.to_string())
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn as_user(host: &Host, script: &str) -> Result<(), String> {
    let mut attacker = Attacker::start(host, script)?;
    let status = attacker.0.wait().map_err(|e| e.to_string())?;
    expect(status.success(), format!("{script}: {status:?}"))
}

/// Root's directory has not changed.
fn expect_unharmed(host: &Host, names: &[&str]) -> Result<(), String> {
    let victim = fs::metadata(host.place.join("roots/victim")).map_err(|e| e.to_string())?;
    expect(
        victim.mode() & 0o7777 == 0o600 && victim.uid() == 0 && victim.gid() == 0,
        format!("the victim is now {:o} of {}", victim.mode(), victim.uid()),
    )?;
    expect(
        host.place.read("roots/victim") == "precious",
        "the victim has another content",
    )?;
    let listed = fs::read_dir(host.place.join("roots")).map_err(|e| e.to_string())?;
    let mut found: Vec<String> = listed
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    found.sort_unstable();
    expect(found == names, format!("root's directory has {found:?}"))
}

const FILES: &str = "[supervisord]\nlogfile={dir}/log\npidfile={dir}/pid\nchildlogdir={dir}\n";

fn socket_race() -> Result<(), String> {
    let mut host = host(&format!(
        "[unix_http_server]\nfile={{dir}}/att/s\nchmod=0777\nchown=nobody\n{FILES}"
    ))?;
    let script = "while :; do
        for name in s.*; do
            ln -s ../roots/victim x && mv -f x \"$name\"; rm -f x
        done
    done";
    let attackers = [
        Attacker::start(&host, script)?,
        Attacker::start(&host, &script.replace(" x", " y"))?,
    ];
    let mut won = 0;
    for _ in 0..STARTS {
        // The attacker owns the directory and may prevent the daemon's start.
        if host.go_at("att/s").is_ok() {
            won += 1;
        }
        if let Some(mut daemon) = host.daemon.take() {
            daemon.signal(Signal::SIGTERM);
            daemon.wait_exit(LIMIT)?;
        }
        expect_unharmed(&host, &["victim"])?;
    }
    drop(attackers);
    println!("{won} of {STARTS} starts in spite of the attacker");
    // Without the attacker everything is as configured.
    as_user(&host, "rm -rf s s.* x y")?;
    host.go_at("att/s")?;
    let found = fs::symlink_metadata(host.place.join("att/s")).map_err(|e| e.to_string())?;
    expect(
        found.mode() & 0o7777 == 0o777 && found.uid() == USER,
        format!("the socket is {:o} of {}", found.mode(), found.uid()),
    )
}

fn linked_socket() -> Result<(), String> {
    let host = host(&format!(
        "[unix_http_server]\nfile={{dir}}/att/link/s\nchmod=0777\n{FILES}"
    ))?;
    as_user(&host, "ln -s ../roots link")?;
    let got = host.run(&["-n", "-c", "conf"])?;
    expect(
        got.code == 2 && got.stderr.contains("ELOOP"),
        format!("{got:?}"),
    )?;
    expect_unharmed(&host, &["victim"])
}

/// A file that looks like an old AUTO log.
const AUTO: &str = "x-stdout---supervisor-abcdefgh.log";

fn linked_files() -> Result<(), String> {
    let mut host = host(
        "[unix_http_server]\nfile={dir}/s\n[supervisord]\nlogfile={dir}/log\npidfile={dir}/att/link/pid\n\
         childlogdir={dir}/att/link\n",
    )?;
    host.place.write(&format!("roots/{AUTO}"), "old")?;
    as_user(&host, "ln -s ../roots link")?;
    host.go()?;
    host.wait_file("log", "could not write pidfile")?;
    host.wait_file("log", "Could not clear childlog dir")?;
    expect_unharmed(&host, &["victim", AUTO])?;
    let mut daemon = host.daemon.take().ok_or("not started")?;
    daemon.signal(Signal::SIGTERM);
    daemon.wait_exit(LIMIT)?;
    expect_unharmed(&host, &["victim", AUTO])
}

/// A link replaces the directory while the daemon runs. The daemon then exits and removes its own files.
fn exchanged() -> Result<(), String> {
    let mut host = host(
        "[unix_http_server]\nfile={dir}/att/d/s\n[supervisord]\nlogfile={dir}/log\npidfile={dir}/att/d/pid\n\
         childlogdir={dir}\n",
    )?;
    as_user(&host, "mkdir d")?;
    host.go_at("att/d/s")?;
    host.place.write("roots/pid", "another's")?;
    host.place.write("roots/s", "another's")?;
    as_user(&host, "mv d e && ln -s ../roots d")?;
    // Also at SIGUSR2, when the daemon checks the socket.
    let mut daemon = host.daemon.take().ok_or("not started")?;
    daemon.signal(Signal::SIGUSR2);
    host.wait_file("log", "cannot create it again")?;
    daemon.signal(Signal::SIGTERM);
    daemon.wait_exit(LIMIT)?;
    expect_unharmed(&host, &["pid", "s", "victim"])?;
    expect(
        host.place.read("roots/pid") == "another's" && host.place.read("roots/s") == "another's",
        "files of others were changed",
    )
}

/// As /var/run is a link to /run.
fn links_of_root() -> Result<(), String> {
    let mut host = host(
        "[unix_http_server]\nfile={dir}/link/s\n[supervisord]\nlogfile={dir}/log\npidfile={dir}/link/pid\n\
         childlogdir={dir}/link\n",
    )?;
    symlink("roots", host.place.join("link")).map_err(|e| e.to_string())?;
    host.place.write(&format!("roots/{AUTO}"), "old")?;
    host.go_at("link/s")?;
    expect_unharmed(&host, &["pid", "s", "victim"])?;
    let mut daemon = host.daemon.take().ok_or("not started")?;
    let address = daemon.address.clone();
    fs::remove_file(host.place.join("roots/s")).map_err(|e| e.to_string())?;
    wait_for("the socket is back", LIMIT, || answers(&address))?;
    daemon.signal(Signal::SIGTERM);
    daemon.wait_exit(LIMIT)?;
    expect_unharmed(&host, &["victim"])
}
