//! Log lines of threads that write to slow targets. The reactor logs them in its next turn.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::Line;
use crate::sys::Waker;

/// Maximum number of lines that wait. Further lines are dropped: the counters of the targets have the numbers.
const LINES_MAX: usize = 1000;

/// The lines that wait, and the waker of the reactor.
static LATE: Mutex<(Vec<Line>, Option<Waker>)> = Mutex::new((Vec::new(), None));

fn late() -> MutexGuard<'static, (Vec<Line>, Option<Waker>)> {
    LATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the waker of the reactor that logs the lines. Until then, nobody logs them.
pub(super) fn set_waker(waker: Waker) {
    // The unit tests have many reactors at a time, and none must log the lines of another test.
    if !cfg!(test) {
        late().1 = Some(waker);
    }
}

/// Logs lines soon. Never blocks.
pub(super) fn log(lines: impl IntoIterator<Item = Line>) {
    let mut late = late();
    let Some(waker) = late.1.clone() else { return };
    let before = late.0.len();
    late.0.extend(lines);
    late.0.truncate(LINES_MAX);
    if late.0.len() > before {
        waker.wake();
    }
}

/// Takes the lines.
pub(super) fn take() -> Vec<Line> {
    std::mem::take(&mut late().0)
}
