//! The loop of the screen: keys, answers of the server, drawing.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::feed::{Feed, FeedAnswer};
use super::keys::{KeyEffect, TopState};
use super::screen::draw;
use super::screen_terminal::RawTerminal;
use crate::ctl::error::CtlError;
use crate::ctl::exit;
use crate::ctl::session::CtlSession;
use crate::ctl::terminal::InterruptWatch;

/// How long to wait for a key before the loop looks for answers of the server.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// Shows the screen until the user leaves it.
pub(in crate::ctl) fn show_screen(
    session: &mut CtlSession,
    names: Vec<String>,
    interval: Duration,
) -> Result<(), CtlError> {
    session.flush()?;
    let client = session.client.again();
    // An interrupt from outside must not end the program before the terminal is restored.
    let interrupts = session.interrupts()?;
    let interrupt = interrupts.watch();
    let terminal = RawTerminal::enter().map_err(CtlError::Input)?;
    let feed = Feed::start(client, names, interval).map_err(CtlError::Input)?;
    let result = run(&terminal, &feed, &interrupt);
    drop(terminal);
    if result.map_err(CtlError::Input)? == ScreenEnd::Interrupted {
        session.leaving = true;
        session.exit = exit::INTERRUPTED;
    }
    Ok(())
}

/// Why the screen has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScreenEnd {
    /// The user left it.
    Left,
    /// SIGINT.
    Interrupted,
}

fn run(raw: &RawTerminal, feed: &Feed, interrupt: &InterruptWatch<'_>) -> io::Result<ScreenEnd> {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
    let mut state = TopState::default();
    let mut is_changed = true;
    loop {
        if is_changed {
            terminal.draw(|frame| draw(frame, &mut state, is_plain))?;
        }
        is_changed = false;
        if event::poll(KEY_WAIT)? {
            is_changed = true;
            let effect = match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => state.press(key),
                // A new size, too: it is drawn.
                _ => KeyEffect::Draw,
            };
            match effect {
                KeyEffect::Quit => return Ok(ScreenEnd::Left),
                KeyEffect::Draw => {}
                KeyEffect::Send(command) => send(feed, &mut state, command),
                KeyEffect::Suspend => {
                    raw.suspend()?;
                    terminal.clear()?;
                }
            }
        }
        if is_interrupted(interrupt)? {
            return Ok(ScreenEnd::Interrupted);
        }
        loop {
            match feed.answers.try_recv() {
                Ok(answer) => {
                    is_changed = true;
                    take(feed, &mut state, answer);
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    return Err(io::Error::other(
                        "the thread that asks the daemon has ended",
                    ));
                }
            }
        }
    }
}

fn is_interrupted(interrupt: &InterruptWatch<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::new(interrupt.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::ZERO) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn send(feed: &Feed, state: &mut TopState, command: super::feed::FeedCommand) {
    if !feed.send(command) {
        state.message = "the daemon is slow; try again".to_owned();
        // What the feed did not get, it gets with the next selection.
        state.watched = None;
    }
}

/// Puts an answer of the server on the screen.
fn take(feed: &Feed, state: &mut TopState, answer: FeedAnswer) {
    match answer {
        FeedAnswer::Processes(processes) => {
            state.failure.clear();
            state.model.set_processes(processes);
            if let KeyEffect::Send(command) = state.follow_selection() {
                send(feed, state, command);
            }
        }
        FeedAnswer::Log(log, text) => {
            if state.watched.as_ref() == Some(&log) {
                state.log = text.unwrap_or_else(|failure| format!("({failure})"));
            }
        }
        FeedAnswer::Done(text) => state.message = text,
        FeedAnswer::Failed(text) => state.failure = text,
    }
}
