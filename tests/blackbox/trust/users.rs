//! Calls by another user than the daemon's, over a socket with `allow=`.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::host::Host;
use crate::support::LIMIT;
use crate::support::daemon::{Finished, Side, program, run};

/// The user nobody, and a group without members.
pub(super) struct Nobody {
    pub(super) uid: u32,
    gid: u32,
}

impl Nobody {
    pub(super) fn find() -> Result<Self, String> {
        let user = nix::unistd::User::from_name("nobody").ok().flatten();
        let uid = user.ok_or("no user nobody")?.uid.as_raw();
        Ok(Self { uid, gid: 61_236 })
    }

    /// Makes a command that user's.
    pub(super) fn becomes(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Runs supervisorctl as that user.
    pub(super) fn ctl(&self, host: &Host, args: &[&str]) -> Result<Finished, String> {
        let client = program(Side::Ours, "supervisorctl")?;
        let mut command = host.marked.command(&client, host.place.path());
        self.becomes(&mut command);
        command.args(["-c", "conf"]).args(args);
        run(command, host.place.path(), Some(""), LIMIT)
    }

    /// Posts a body to the socket `s` so often; all answers.
    pub(super) fn post(&self, host: &Host, body: &[u8], count: u32) -> Result<String, String> {
        let file = host.place.join("body");
        std::fs::write(&file, body).map_err(|error| error.to_string())?;
        open(&file, 0o644)?;
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = host.marked.command(&me, host.place.path());
        self.becomes(&mut command);
        command.args(["test_child", "post", "s", "body", &count.to_string()]);
        let done = run(command, host.place.path(), None, LIMIT)?;
        if done.code != 0 {
            return Err(format!("{done:?}"));
        }
        Ok(done.stdout)
    }

    /// Sends what is in a file to the socket `s`; what comes back within a second or until the other side ends.
    pub(super) fn exchange(&self, host: &Host, file: &str) -> Result<String, String> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = host.marked.command(&me, host.place.path());
        self.becomes(&mut command);
        command.args(["test_child", "exchange", "s", file]);
        Ok(run(command, host.place.path(), None, LIMIT)?.stdout)
    }

    /// Calls a method of XML-RPC with texts.
    pub(super) fn call(&self, host: &Host, method: &str, texts: &[&str]) -> Result<String, String> {
        self.post(host, call(method, texts).as_bytes(), 1)
    }
}

/// A daemon whose place everybody can reach.
pub(super) fn reachable(config: &str) -> Result<Host, String> {
    let host = Host::start(config)?;
    open(host.place.path(), 0o755)?;
    open(&host.place.join("conf"), 0o644)?;
    Ok(host)
}

pub(super) fn open(path: &Path, mode: u32) -> Result<(), String> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| error.to_string())
}

/// The body of a call. Characters are written as they are, but for those that mean something to XML.
pub(super) fn call(method: &str, texts: &[&str]) -> String {
    let params: String = texts
        .iter()
        .map(|text| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;");
            format!("<param><value><string>{text}</string></value></param>")
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>"
    )
}
