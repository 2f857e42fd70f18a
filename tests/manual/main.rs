//! The documentation for users: the manual pages are well-formed and complete, their examples work, and completion
//! works in real shells.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

mod completion;
mod examples;
mod guides;
mod pages;
mod recipes;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use support::LIMIT;
use support::daemon::{Daemon, Finished, Marked, Side, program, run};
use support::temp_dir::TempDir;
use support::wire::Address;

fn main() -> ExitCode {
    let mut tests = pages::tests();
    tests.extend(examples::tests());
    tests.extend(completion::tests());
    tests.extend(guides::tests());
    tests.extend(recipes::tests());
    support::runner::run(tests)
}

/// A file of this repository.
pub(crate) fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The path of a program. `None`: it is not installed.
pub(crate) fn installed(name: &str) -> Option<PathBuf> {
    let dirs = ["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"];
    let mut found = dirs.iter().map(|dir| Path::new(dir).join(name));
    found.find(|path| path.exists())
}

/// A directory with our programs under all their names. All processes that it starts are killed on drop.
pub(crate) struct Scene {
    pub(crate) place: TempDir,
    marked: Marked,
}

impl Scene {
    pub(crate) fn new() -> Result<Self, String> {
        let place = TempDir::new()?;
        let bin = place.join("bin");
        std::fs::create_dir(&bin).map_err(|e| e.to_string())?;
        let ours = |name| program(Side::Ours, name);
        for (name, target) in [
            ("supervisord", ours("supervisord")?),
            ("supervisorctl", ours("supervisorctl")?),
            ("pidproxy", ours("supervisord")?),
            ("echo_supervisord_conf", ours("supervisord")?),
        ] {
            std::os::unix::fs::symlink(target, bin.join(name)).map_err(|e| e.to_string())?;
        }
        Ok(Self {
            place,
            marked: Marked::new(),
        })
    }

    /// A command that finds our programs first in PATH.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = self.marked.command(program, self.place.path());
        let bin = self.place.join("bin");
        command
            .env("PATH", format!("{}:/usr/sbin:/usr/bin:/bin", bin.display()))
            .env("TERM", "xterm");
        command
    }

    /// Runs one of our programs, or an installed one, until it exits.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<Finished, String> {
        let ours = self.place.join("bin").join(program);
        let path = match ours.exists() {
            true => ours,
            false => installed(program).ok_or_else(|| format!("{program} is not installed"))?,
        };
        let mut command = self.command(&path);
        command.args(arguments);
        run(command, self.place.path(), None, LIMIT)
    }

    /// Starts a daemon with `supervisord.conf` and the socket `s.sock`, and waits until it answers.
    pub(crate) fn daemon(&self, sections: &str) -> Result<Daemon, String> {
        let conf = format!(
            "[supervisord]\nlogfile=%(here)s/main.log\npidfile=%(here)s/main.pid\nchildlogdir=%(here)s\n\
             [unix_http_server]\nfile=%(here)s/s.sock\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix://%(here)s/s.sock\n{sections}"
        );
        let conf = self.place.write("supervisord.conf", &conf)?;
        let mut command = self.command(&program(Side::Ours, "supervisord")?);
        command.arg("-n").arg("-c").arg(conf);
        let address = Address::Unix(self.place.join("s.sock"));
        let mut daemon = Daemon::spawn(command, self.place.path(), address)?;
        match daemon.wait_ready(LIMIT)? {
            None => Ok(daemon),
            Some(code) => Err(format!(
                "the daemon ended with {code}: {}",
                self.place.read("err")
            )),
        }
    }
}
