//! The terminal in raw mode on its other screen, and its way back: at the end, after a panic and at a signal.

use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

use nix::sys::signal::Signal;
use nix::sys::termios::{self, SetArg, Termios};
use signal_hook::consts::{SIGHUP, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// Enters the other screen and hides the cursor.
const ENTER: &[u8] = b"\x1b[?1049h\x1b[2J\x1b[?25l";
/// Resets the style, shows the cursor and leaves the other screen.
const LEAVE: &[u8] = b"\x1b[0m\x1b[?25h\x1b[?1049l";
/// Signals that end the program, besides the one of the interrupt key, which the session handles.
const ENDING: [i32; 3] = [SIGTERM, SIGHUP, SIGQUIT];

/// The settings of the terminal before. `None`: it has them.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The terminal in raw mode, until this value drops.
pub(super) struct RawTerminal(());

impl RawTerminal {
    /// Enters raw mode. From now on a panic and the signals that end the program restore the terminal first.
    ///
    /// # Errors
    /// The terminal or the thread for signals fails.
    pub(super) fn enter() -> io::Result<Self> {
        restore_at_the_end()?;
        set_raw()?;
        Ok(Self(()))
    }

    /// Stops the program as Ctrl-Z does, with the terminal as it was before, and goes on later.
    ///
    /// # Errors
    /// The terminal fails.
    pub(super) fn suspend(&self) -> io::Result<()> {
        restore();
        nix::sys::signal::raise(Signal::SIGSTOP)?;
        set_raw()
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        restore();
    }
}

fn set_raw() -> io::Result<()> {
    let stdin = io::stdin();
    let before = termios::tcgetattr(&stdin)?;
    let mut raw = before.clone();
    termios::cfmakeraw(&mut raw);
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    termios::tcsetattr(&stdin, SetArg::TCSADRAIN, &raw)?;
    let mut out = io::stdout();
    out.write_all(ENTER)?;
    out.flush()
}

/// Gives the terminal back its settings and its screen. Does nothing the second time.
fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(before) = before else {
        return;
    };
    // The terminal may be gone, which leaves nothing to restore. The buffer of the standard library may be locked by the
    // thread that draws, so the bytes go around it.
    let _ = nix::unistd::write(io::stdout(), LEAVE);
    let _ = termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &before);
}

/// Lets panics and signals restore the terminal before they end the program.
fn restore_at_the_end() -> io::Result<()> {
    static HOOK: Once = Once::new();
    static WAITS: Mutex<bool> = Mutex::new(false);
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
    });
    let mut waits = WAITS.lock().unwrap_or_else(PoisonError::into_inner);
    // The shell may show the screen several times.
    if *waits {
        return Ok(());
    }
    // A handler, not a mask: threads that exist already have none of these signals blocked.
    let mut ending = Signals::new(ENDING)?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if let Some(signal) = ending.forever().next() {
                restore();
                std::process::exit(128 + signal);
            }
        })?;
    *waits = true;
    Ok(())
}
