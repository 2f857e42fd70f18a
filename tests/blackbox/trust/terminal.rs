//! A client at a real terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::host::Host;
use crate::support::daemon::{Side, program, wait_exit};
use crate::support::{LIMIT, wait_for};

/// One run of our client whose three streams are a terminal.
pub(crate) struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<Vec<u8>>>,
    /// Whether everything was read: the client has closed the terminal.
    is_whole: Arc<AtomicBool>,
}

impl Terminal {
    /// Starts `supervisorctl -c conf` with these arguments.
    pub(crate) fn start(host: &Host, args: &[&str]) -> Result<Self, String> {
        Self::start_with(host, args, &[])
    }

    /// As [`Self::start`], with variables of the environment.
    pub(crate) fn start_with(
        host: &Host,
        args: &[&str],
        variables: &[(&str, String)],
    ) -> Result<Self, String> {
        Self::start_in(host, args, variables, None)
    }

    /// As [`Self::start`], in a terminal with these numbers of rows and columns.
    pub(crate) fn start_sized(
        host: &Host,
        args: &[&str],
        (rows, columns): (u16, u16),
    ) -> Result<Self, String> {
        let size = nix::pty::Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Self::start_in(host, args, &[], Some(size))
    }

    fn start_in(
        host: &Host,
        args: &[&str],
        variables: &[(&str, String)],
        size: Option<nix::pty::Winsize>,
    ) -> Result<Self, String> {
        let mut command = host
            .marked
            .command(&program(Side::Ours, "supervisorctl")?, host.place.path());
        command.args(["-c", "conf"]).args(args);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        Self::run_in(command, size)
    }

    /// Runs a command whose three streams are a terminal.
    pub(crate) fn run(command: Command) -> Result<Self, String> {
        Self::run_in(command, None)
    }

    fn run_in(mut command: Command, size: Option<nix::pty::Winsize>) -> Result<Self, String> {
        let terminal = nix::pty::openpty(size.as_ref(), None).map_err(|e| e.to_string())?;
        let end =
            || -> Result<OwnedFd, String> { terminal.slave.try_clone().map_err(|e| e.to_string()) };
        command.stdin(end()?).stdout(end()?).stderr(end()?);
        let child = command.spawn().map_err(|e| e.to_string())?;
        drop(command);
        let keys = File::from(terminal.master);
        let mut from = keys.try_clone().map_err(|e| e.to_string())?;
        let screen = Arc::new(Mutex::new(Vec::new()));
        let shown = Arc::clone(&screen);
        let is_whole = Arc::new(AtomicBool::new(false));
        let whole = Arc::clone(&is_whole);
        // The thread ends with the terminal: when the client and this value are gone.
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut piece) {
                shown
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend_from_slice(&piece[..count]);
            }
            whole.store(true, Ordering::SeqCst);
        });
        Ok(Self {
            child,
            keys,
            screen,
            is_whole,
        })
    }

    /// Everything shown so far.
    pub(crate) fn screen(&self) -> String {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&screen).into_owned()
    }

    /// Everything shown by a client that has exited. It must have left no process at the terminal.
    pub(crate) fn screen_at_end(&self) -> String {
        // If this fails, the screen lacks what the test expects.
        let _ = wait_for("the end of the screen", LIMIT, || {
            self.is_whole.load(Ordering::SeqCst)
        });
        self.screen()
    }

    /// Waits until the screen has this text.
    pub(crate) fn wait(&self, text: &str) -> Result<(), String> {
        wait_for(&format!("the screen has {text:?}"), LIMIT, || {
            self.screen().contains(text)
        })
        .map_err(|why| format!("{why}; it has {:?}", self.screen()))
    }

    /// The settings of the terminal.
    pub(crate) fn settings(&self) -> Result<nix::sys::termios::Termios, String> {
        nix::sys::termios::tcgetattr(&self.keys).map_err(|e| e.to_string())
    }

    /// The PID of the client.
    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("pids fit"))
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) -> Result<(), String> {
        self.keys
            .write_all(keys.as_bytes())
            .map_err(|e| e.to_string())
    }

    /// Interrupts the client, as the key does where the terminal is the controlling one.
    pub(crate) fn interrupt(&self) {
        let _ = nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGINT);
    }

    /// Waits until the client exits. Returns its exit code.
    pub(crate) fn end(&mut self) -> Result<i32, String> {
        let status = wait_exit(&mut self.child, LIMIT)
            .map_err(|why| format!("{why}; the screen has {:?}", self.screen()))?;
        Ok(status.code().unwrap_or(-1))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
