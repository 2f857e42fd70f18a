//! One daemon of ours in its own directory.

use std::path::Path;
use std::process::Command;

use crate::support::daemon::{Daemon, Finished, Marked, Side, program, run};
use crate::support::temp_dir::TempDir;
use crate::support::wire::Address;
use crate::support::{LIMIT, proc, wait_for};

const HEAD: &str = "\
[unix_http_server]
file={dir}/s
[supervisord]
logfile={dir}/log
pidfile={dir}/pid
childlogdir={dir}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{dir}/s
";

/// Fields drop in order: the daemon, all marked processes, the files.
pub(crate) struct Host {
    pub(crate) daemon: Option<Daemon>,
    pub(crate) marked: Marked,
    pub(crate) place: TempDir,
}

impl Host {
    /// A directory with this configuration after the usual head.
    pub(crate) fn new(config: &str) -> Result<Self, String> {
        let host = Self {
            daemon: None,
            marked: Marked::new(),
            place: TempDir::new()?,
        };
        host.configure(config)?;
        Ok(host)
    }

    /// A running daemon with this configuration.
    pub(crate) fn start(config: &str) -> Result<Self, String> {
        let mut host = Self::new(config)?;
        host.go()?;
        Ok(host)
    }

    /// Writes the configuration again.
    pub(crate) fn configure(&self, config: &str) -> Result<(), String> {
        self.place
            .write("conf", &self.fill(&format!("{HEAD}{config}")))?;
        Ok(())
    }

    /// Replaces the placeholders of the directory.
    pub(crate) fn fill(&self, text: &str) -> String {
        let me = std::env::current_exe()
            .map(|path| path.display().to_string())
            .unwrap_or_default();
        text.replace("{dir}", &self.place.text())
            .replace("{test_child}", &format!("{me} test_child"))
    }

    /// Starts the daemon and waits until it answers.
    pub(crate) fn go(&mut self) -> Result<(), String> {
        self.go_with(|_| {})
    }

    /// As [`Self::go`], with a change of the command.
    pub(crate) fn go_with(&mut self, change: impl FnOnce(&mut Command)) -> Result<(), String> {
        self.go_from(&program(Side::Ours, "supervisord")?, change)
    }

    /// As [`Self::go`], with another socket file in the directory.
    pub(crate) fn go_at(&mut self, socket: &str) -> Result<(), String> {
        self.go_to(&program(Side::Ours, "supervisord")?, socket, |_| {})
    }

    /// As [`Self::go_with`], with another binary.
    pub(crate) fn go_from(
        &mut self,
        binary: &Path,
        change: impl FnOnce(&mut Command),
    ) -> Result<(), String> {
        self.go_to(binary, "s", change)
    }

    fn go_to(
        &mut self,
        binary: &Path,
        socket: &str,
        change: impl FnOnce(&mut Command),
    ) -> Result<(), String> {
        let mut command = self.marked.command(binary, self.place.path());
        command.args(["-n", "-c", "conf"]);
        change(&mut command);
        self.go_as(command, socket)
    }

    /// Runs a command that starts or becomes the daemon, and waits until the daemon answers at `socket`.
    pub(crate) fn go_as(&mut self, command: Command, socket: &str) -> Result<(), String> {
        let mut daemon = Daemon::spawn(
            command,
            self.place.path(),
            Address::Unix(self.place.join(socket)),
        )?;
        let ended = daemon.wait_ready(LIMIT)?;
        if let Some(code) = ended {
            return Err(format!(
                "the daemon ended with {code}: {}",
                self.place.read("err")
            ));
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    /// Runs the daemon until it exits.
    pub(crate) fn run(&self, args: &[&str]) -> Result<Finished, String> {
        let mut command = self
            .marked
            .command(&program(Side::Ours, "supervisord")?, self.place.path());
        command.args(args);
        run(command, self.place.path(), None, LIMIT)
    }

    /// The daemon.
    pub(crate) fn daemon(&self) -> Result<&Daemon, String> {
        self.daemon.as_ref().ok_or_else(|| "not started".to_owned())
    }

    /// Runs our supervisorctl.
    pub(crate) fn ctl(&self, args: &[&str]) -> Result<Finished, String> {
        let mut command = self
            .marked
            .command(&program(Side::Ours, "supervisorctl")?, self.place.path());
        command.args(["-c", "conf"]).args(args);
        run(command, self.place.path(), None, LIMIT)
    }

    /// Runs our supervisorctl and checks its output and exit code.
    pub(crate) fn expect_ctl(
        &self,
        args: &[&str],
        code: i32,
        parts: &[&str],
    ) -> Result<(), String> {
        let got = self.ctl(args)?;
        let missing: Vec<&&str> = parts
            .iter()
            .filter(|part| !got.stdout.contains(**part))
            .collect();
        if got.code != code || !missing.is_empty() {
            return Err(format!(
                "supervisorctl {args:?}: expected {code} and {parts:?}, got {got:?}"
            ));
        }
        Ok(())
    }

    /// Waits for a text in a file.
    pub(crate) fn wait_file(&self, name: &str, text: &str) -> Result<(), String> {
        wait_for(&format!("{name} has {text:?}"), LIMIT, || {
            self.place.read(name).contains(text)
        })
        .map_err(|why| format!("{why}; log:\n{}", self.log_end()))
    }

    /// The last lines of the activity log.
    pub(crate) fn log_end(&self) -> String {
        let text = self.place.read("log");
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// The daemon runs and answers, and has no zombies.
    pub(crate) fn expect_well(&mut self) -> Result<(), String> {
        let daemon = self.daemon.as_mut().ok_or("not started")?;
        if !daemon.is_alive() {
            return Err(format!("the daemon is dead: {}", self.place.read("err")));
        }
        let pid = daemon.pid();
        daemon
            .call("supervisor.getState", &[])
            .map_err(|e| format!("the daemon does not answer: {e}"))?;
        wait_for("no zombies", LIMIT, || proc::zombies(pid) == 0)
    }
}

/// Copies a program that will be executed. Another program copies it: a descriptor of ours that is open for writing could be
/// inherited by a child of another test, and the kernel executes no such file.
pub(crate) fn copy_program(from: &Path, to: &Path) -> Result<(), String> {
    let copied = Command::new("cp").arg(from).arg(to).status();
    match copied {
        Ok(status) if status.success() => Ok(()),
        other => Err(format!("cp {} {}: {other:?}", from.display(), to.display())),
    }
}

/// A TCP port of the loopback address that nobody uses now.
pub(crate) fn free_port() -> Result<u16, String> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| error.to_string())
}

/// A file of this directory.
pub(crate) fn source(name: &str) -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/blackbox/guide_configs")
        .join(name);
    std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))
}
