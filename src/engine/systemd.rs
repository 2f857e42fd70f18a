//! The connection to the service manager: readiness, the status line, requests for more time, the watchdog, and the
//! sockets that it passed. Any service manager that speaks the protocol works; without one, the daemon does none of
//! this. `core::Fleet::status_report` decides what counts as ready.
//!
//! A message is a datagram to a socket whose queue may be full, and then sending blocks. So a separate thread sends,
//! and the engine only leaves the latest value of each kind for it. Only the engine's own loop leaves keepalives,
//! because they prove that the loop runs.
//!
//! # Source
//! sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3).

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::config::spec::ReadyWhen;
use crate::core::{Fleet, Phase};
use crate::domain::{Errno, SupervisorState, Tick};
use crate::handoff::PassedSocket;
use crate::heartbeat::{Heartbeat, Heartbeats, ThreadProblem};
use crate::sys;

/// Maximum number of phases that wait to be sent. A service manager that reads too slowly misses intermediate phases,
/// but never the last one.
const PHASES_MAX: usize = 16;
/// The interval between two status reports if at most the status line may have changed, in milliseconds.
const IDLE_MS: u64 = 1_000;
/// The same interval while somebody waits for the end of a phase.
const WAITING_MS: u64 = 20;
/// The minimum interval between two messages that contain only a status line, in milliseconds. People read slower, and
/// each message costs the service manager time.
const STATUS_MS: u64 = 250;
/// How much more time than known to be needed is requested, in milliseconds: to kill, to write out, to exit.
const MARGIN_MS: u64 = 10_000;
/// How long the exit of the daemon waits until the last message was sent.
const FLUSH_WAIT: Duration = Duration::from_secs(1);
/// The note added to the status line while there is no fd holder.
pub(super) const HOLDER_LOST: &str = "fd holder lost";
/// How soon a withheld keepalive is tried again, in milliseconds.
const WITHHELD_MS: u64 = 500;

/// Takes the sockets that were passed to this process. A second call returns none. It must be called before the daemon
/// opens descriptors.
///
/// # Errors
/// The environment variables contradict each other or the open descriptors.
pub fn passed_sockets() -> io::Result<Vec<PassedSocket>> {
    // Variables for another process are ignored. The crate would fail on their names.
    if sd_notify::listen_fds()?.len() == 0 {
        return Ok(Vec::new());
    }
    let (numbers, names): (Vec<_>, Vec<_>) = sd_notify::listen_fds_with_names()?.unzip();
    let sockets = sys::take_passed(&numbers)?.into_iter().zip(names);
    Ok(sockets
        .map(|(fd, name)| PassedSocket {
            fd,
            name,
            file: None,
        })
        .collect())
}

/// The name under which the service manager stores the descriptor of the fd holder.
const KEPT: &str = "keeper";

/// Stores this descriptor with the service manager, in place of the previous one. The manager passes it to the next
/// daemon of this service, unless the service was stopped meanwhile. Without a manager, or if it stores none, nothing
/// happens.
///
/// # Errors
/// The message cannot be sent.
///
/// # Source
/// sd_pid_notify_with_fds(3), FDSTORE=1.
pub fn store_holder(fd: BorrowedFd<'_>) -> io::Result<()> {
    sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(KEPT)])?;
    // The service manager drops it when the fd holder exits.
    sd_notify::notify_with_fds(&[NotifyState::FdStore, NotifyState::FdName(KEPT)], &[fd])
}

/// Takes the descriptor that [`store_holder`] stored out of the passed ones.
pub fn take_stored_holder(passed: &mut Vec<PassedSocket>) -> Option<OwnedFd> {
    let place = passed.iter().position(|socket| socket.name == KEPT)?;
    Some(passed.swap_remove(place).fd)
}

/// Tells the service manager what a start waits for, before there is a [`Notifier`].
pub fn report_waiting(status: &str) {
    // Without a manager nobody reads it.
    let _ = sd_notify::notify(&[NotifyState::Status(status)]);
}

/// Values left for the sending thread.
#[derive(Debug, Default)]
struct PendingNotify {
    phases: VecDeque<Phase>,
    status: Option<String>,
    more_time: Option<Duration>,
    is_alive: bool,
    /// A message is being sent.
    sending: bool,
    /// Why the last message could not be sent, until it was logged.
    failed: Option<Errno>,
    ended: bool,
}

impl PendingNotify {
    fn is_pending(&self) -> bool {
        !self.phases.is_empty()
            || self.status.is_some()
            || self.more_time.is_some()
            || self.is_alive
    }

    /// Takes the next message: at most one phase, and with the last phase everything else.
    fn take_message(&mut self) -> NotifyDatagram {
        let phase = self.phases.pop_front();
        if self.phases.is_empty() {
            NotifyDatagram {
                phase,
                status: self.status.take(),
                more_time: self.more_time.take(),
                is_alive: std::mem::take(&mut self.is_alive),
            }
        } else {
            NotifyDatagram {
                phase,
                ..NotifyDatagram::default()
            }
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct NotifyDatagram {
    phase: Option<Phase>,
    status: Option<String>,
    more_time: Option<Duration>,
    is_alive: bool,
}

impl NotifyDatagram {
    fn send(&self) -> io::Result<()> {
        // The crate's type has 32 bits, which is little more than an hour.
        let more_time = self
            .more_time
            .map(|time| format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()));
        let mut states = Vec::new();
        match self.phase {
            Some(Phase::Ready) => states.push(NotifyState::Ready),
            Some(Phase::Reloading) => {
                states.push(NotifyState::Reloading);
                states.push(NotifyState::monotonic_usec_now()?);
            }
            Some(Phase::Stopping) => states.push(NotifyState::Stopping),
            Some(Phase::Starting) | None => {}
        }
        states.extend(self.status.as_deref().map(NotifyState::Status));
        states.extend(more_time.as_deref().map(NotifyState::Custom));
        if self.is_alive {
            states.push(NotifyState::Watchdog);
        }
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(name) if name.as_bytes().starts_with(b"@") => send_abstract(&name, &states),
            // The crate sends to a path, or does nothing.
            Some(_) | None => sd_notify::notify(&states),
        }
    }
}

/// Sends to an abstract socket, whose name begins with `@` in place of a zero byte. The crate supports only paths.
fn send_abstract(name: &OsStr, states: &[NotifyState<'_>]) -> io::Result<()> {
    let text: String = states.iter().map(|state| format!("{state}\n")).collect();
    let name = name.as_bytes().get(1..).unwrap_or_default();
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?;
    socket.send(text.as_bytes()).map(drop)
}

#[derive(Debug, Default)]
struct NotifySlot {
    pending: Mutex<PendingNotify>,
    changed: Condvar,
}

impl NotifySlot {
    fn lock(&self) -> MutexGuard<'_, PendingNotify> {
        // No code panics while it holds the lock.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, leave: impl FnOnce(&mut PendingNotify)) {
        leave(&mut self.lock());
        self.changed.notify_all();
    }

    /// The body of the sending thread: sends pending values until the notifier is finished.
    fn send_all(&self) {
        let mut pending = self.lock();
        loop {
            if pending.is_pending() {
                let message = pending.take_message();
                pending.sending = true;
                drop(pending);
                let result = message.send();
                pending = self.lock();
                pending.sending = false;
                if let Err(error) = result {
                    pending.failed = Some(Errno::from(&error));
                }
                self.changed.notify_all();
            } else if pending.ended {
                return;
            } else {
                pending = self
                    .changed
                    .wait(pending)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

/// Sends status messages to the service manager. It exists for all runs. Without a service manager it does nothing.
#[derive(Debug)]
pub struct Notifier {
    /// `None`: there is no service manager.
    slot: Option<Arc<NotifySlot>>,
    /// The thread ID of the sending thread.
    sender: Option<i32>,
    /// Half of the watchdog interval, in milliseconds. `None`: no watchdog.
    watchdog_ms: Option<u64>,
    /// When the next keepalive is due. 0: at once.
    watchdog_at: Tick,
    /// The last phase that was left for sending.
    told: Phase,
    status: String,
    status_at: Tick,
    /// Until when the service manager has been told to wait.
    granted_until: Tick,
    /// A failure was logged. Later ones are not.
    has_complained: bool,
}

impl Notifier {
    /// Starts the sending thread if there is a service manager. It may start a thread, so call it after the daemon is
    /// in the background.
    ///
    /// # Errors
    /// EAGAIN, ENOMEM.
    pub fn start() -> io::Result<Self> {
        let wanted = std::env::var_os("NOTIFY_SOCKET").is_some_and(|name| !name.is_empty());
        let slot = wanted.then(Arc::<NotifySlot>::default);
        let mut sender = None;
        if let Some(slot) = &slot {
            let slot = Arc::clone(slot);
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::Builder::new()
                .name("systemd".to_owned())
                .spawn(move || {
                    // The receiver is gone only if this process exits.
                    let _ = tell.send(sys::thread_id());
                    slot.send_all();
                })?;
            sender = told.recv().ok();
        }
        let watchdog_ms = slot
            .as_ref()
            .and_then(|_| watchdog_ms(sd_notify::watchdog_enabled()));
        Ok(Self {
            sender,
            ..Self::new(slot, watchdog_ms)
        })
    }

    fn new(slot: Option<Arc<NotifySlot>>, watchdog_ms: Option<u64>) -> Self {
        Self {
            slot,
            sender: None,
            watchdog_ms,
            watchdog_at: Tick(0),
            told: Phase::Starting,
            status: String::new(),
            status_at: Tick(0),
            granted_until: Tick(0),
            has_complained: false,
        }
    }

    /// Reports that this image is about to be replaced, and waits a moment until the message was sent.
    pub fn reloading(&mut self) {
        let Some(slot) = &self.slot else {
            return;
        };
        self.told = Phase::Reloading;
        slot.update(|pending| pending.phases.push_back(Phase::Reloading));
        let busy = |pending: &mut PendingNotify| pending.is_pending() || pending.sending;
        let _ = slot
            .changed
            .wait_timeout_while(slot.lock(), FLUSH_WAIT, busy);
    }

    /// Sends a keepalive between two runs, when no engine sends any. If the daemon hangs there, the watchdog ends it
    /// after its usual interval.
    pub fn send_keepalive(&mut self, now: Tick) {
        self.watchdog_at = Tick(0);
        self.heartbeat(now);
    }

    /// Waits a moment until the last message was sent. A service manager that does not read does not hold up the exit.
    pub fn finish(self) {
        let Some(slot) = self.slot else {
            return;
        };
        slot.update(|pending| pending.ended = true);
        let busy = |pending: &mut PendingNotify| pending.is_pending() || pending.sending;
        // The daemon exits, so a failure cannot be reported.
        let _ = slot
            .changed
            .wait_timeout_while(slot.lock(), FLUSH_WAIT, busy);
    }

    /// Leaves a keepalive if one is due.
    fn heartbeat(&mut self, now: Tick) {
        if let (Some(slot), Some(watchdog_ms)) = (&self.slot, self.watchdog_ms)
            && self.watchdog_at <= now
        {
            self.watchdog_at = now.plus_millis(watchdog_ms);
            slot.update(|pending| pending.is_alive = true);
        }
    }

    /// Leaves what differs from the previous message. Returns false if the status line must wait, because the previous
    /// one was sent too recently.
    fn notify(&mut self, phase: Phase, status: String, busy_until: Tick, now: Tick) -> bool {
        let Some(slot) = &self.slot else {
            return true;
        };
        let is_news = phase != self.told && phase != Phase::Starting;
        let wanted_until = match phase {
            // The service manager waits for nothing in this phase.
            Phase::Ready => Tick(0),
            Phase::Starting | Phase::Reloading | Phase::Stopping => busy_until,
        };
        let more_time = (wanted_until > self.granted_until && wanted_until > now).then(|| {
            self.granted_until = wanted_until;
            Duration::from_nanos(wanted_until.plus_millis(MARGIN_MS).nanos_since(now))
        });
        let is_alone = !is_news && more_time.is_none();
        if is_alone && status == self.status {
            return true;
        }
        if is_alone && now < self.status_at.plus_millis(STATUS_MS) && !self.status.is_empty() {
            return false;
        }
        let status = (status != self.status).then(|| {
            self.status.clone_from(&status);
            self.status_at = now;
            status
        });
        slot.update(|pending| {
            if is_news {
                self.told = phase;
                if pending.phases.len() == PHASES_MAX {
                    pending.phases.pop_back();
                }
                pending.phases.push_back(phase);
            }
            if status.is_some() {
                pending.status = status;
            }
            if more_time.is_some() {
                pending.more_time = more_time;
            }
        });
        true
    }

    /// Returns why messages fail, the first time only.
    fn first_failure(&mut self) -> Option<Errno> {
        if self.has_complained {
            return None;
        }
        let failed = self.slot.as_ref()?.lock().failed?;
        self.has_complained = true;
        Some(failed)
    }
}

/// Returns the interval of keepalives, in milliseconds: half of the watchdog interval.
fn watchdog_ms(allowed: Option<Duration>) -> Option<u64> {
    let half = allowed.filter(|allowed| !allowed.is_zero())?.as_millis() / 2;
    Some(u64::try_from(half).unwrap_or(u64::MAX).max(1))
}

/// The notifier during one run, and when it must look at the fleet again.
pub(super) struct Systemd {
    notifier: Notifier,
    ready_when: ReadyWhen,
    phase: Phase,
    daemon_state: SupervisorState,
    /// The status may have changed since the last look.
    stale: bool,
    /// The next look must not be delayed.
    urgent: bool,
    looked_at: Tick,
    /// A note after the status line, and the status line when the note was added. The note is removed when the line
    /// changes. Empty: no note.
    note: (&'static str, Option<String>),
    /// The last keepalive that was due was withheld.
    is_withheld: bool,
    /// Why it was withheld, until that was logged.
    withheld: Option<ThreadProblem>,
}

impl Systemd {
    pub(super) fn new(notifier: Notifier, ready_when: ReadyWhen) -> Self {
        Self {
            notifier,
            ready_when,
            phase: Phase::Starting,
            daemon_state: SupervisorState::Running,
            stale: true,
            urgent: true,
            looked_at: Tick(0),
            note: ("", None),
            is_withheld: false,
            withheld: None,
        }
    }

    /// Watches for the exit of the sending thread. A slow send is no error, since the service manager may not read.
    pub(super) fn register_sender(&self, heartbeats: &Heartbeats) -> Option<Heartbeat> {
        let sender = self.notifier.sender?;
        Some(heartbeats.register_end_of("systemd", sender))
    }

    /// Adds a note to the status line until the line changes. [`HOLDER_LOST`] stays until the next note.
    pub(super) fn set_note(&mut self, note: &'static str) {
        self.note = (note, None);
        self.mark_urgent();
    }

    /// Returns the status line with the note added.
    fn noted(&mut self, status: String) -> String {
        let (note, line) = &mut self.note;
        if note.is_empty() {
            return status;
        }
        if line.get_or_insert_with(|| status.clone()) != &status && *note != HOLDER_LOST {
            self.note = ("", None);
            return status;
        }
        format!("{status}, {note}")
    }

    /// Takes the reason why a keepalive was withheld. Each is returned once.
    pub(super) fn take_withheld(&mut self) -> Option<ThreadProblem> {
        self.withheld.take()
    }

    /// Sends a keepalive if one is due and all threads work. The engine's own loop works, since it calls this.
    fn keepalive(&mut self, now: Tick, heartbeats: &Heartbeats) {
        if self.notifier.watchdog_ms.is_none() || self.notifier.watchdog_at > now {
            return;
        }
        match heartbeats.problem() {
            None => {
                self.is_withheld = false;
                self.notifier.heartbeat(now);
            }
            Some(trouble) => {
                self.notifier.watchdog_at = now.plus_millis(WITHHELD_MS);
                if !std::mem::replace(&mut self.is_withheld, true) {
                    self.withheld = Some(trouble);
                }
            }
        }
    }

    pub(super) fn into_notifier(self) -> Notifier {
        self.notifier
    }

    /// Returns whether the service manager was told in this run that the daemon is ready.
    pub(super) fn is_ready(&self) -> bool {
        self.phase != Phase::Starting
    }

    /// Continues after another image that was ready. Readiness then does not wait for processes that do not run.
    pub(super) fn resume(&mut self) {
        self.phase = Phase::Reloading;
        self.mark_urgent();
    }

    /// Marks that the status may have changed.
    pub(super) fn mark_stale(&mut self) {
        self.stale = true;
    }

    /// Marks a change of status that must be sent without delay.
    pub(super) fn mark_urgent(&mut self) {
        self.stale = true;
        self.urgent = true;
    }

    fn next_update(&self) -> Tick {
        let pause = match self.phase {
            Phase::Ready => IDLE_MS,
            Phase::Starting | Phase::Reloading | Phase::Stopping => WAITING_MS,
        };
        self.looked_at.plus_millis(pause)
    }

    /// Returns when something is due without an event. `None`: nothing is.
    pub(super) fn due(&self) -> Option<Tick> {
        self.notifier.slot.as_ref()?;
        let look = self.stale.then(|| self.next_update());
        let beat = self.notifier.watchdog_ms.map(|_| self.notifier.watchdog_at);
        look.into_iter().chain(beat).min()
    }

    /// Looks at the fleet if it is time and sends what has changed. Sends a keepalive if one is due and all threads
    /// work. Returns why messages fail, once.
    pub(super) fn update(
        &mut self,
        fleet: &Fleet,
        now: Tick,
        heartbeats: &Heartbeats,
    ) -> Option<Errno> {
        self.notifier.slot.as_ref()?;
        self.keepalive(now, heartbeats);
        if fleet.state() != self.daemon_state {
            self.daemon_state = fleet.state();
            self.mark_urgent();
        }
        if !self.stale || (!self.urgent && now < self.next_update()) {
            return None;
        }
        self.urgent = false;
        self.looked_at = now;
        let status_report = fleet.status_report(self.ready_when, self.phase);
        self.phase = status_report.phase;
        let status = self.noted(status_report.status);
        self.stale =
            !self
                .notifier
                .notify(status_report.phase, status, status_report.busy_until, now);
        self.notifier.first_failure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifier(watchdog_ms: Option<u64>) -> (Notifier, Arc<NotifySlot>) {
        let slot = Arc::<NotifySlot>::default();
        (Notifier::new(Some(Arc::clone(&slot)), watchdog_ms), slot)
    }

    fn messages(slot: &NotifySlot) -> Vec<NotifyDatagram> {
        let mut pending = slot.lock();
        std::iter::from_fn(|| pending.is_pending().then(|| pending.take_message())).collect()
    }

    fn ms(ms: u64) -> Tick {
        Tick(0).plus_millis(ms)
    }

    #[test]
    fn only_changes_are_sent() {
        let (mut notifier, slot) = notifier(None);
        notifier.notify(Phase::Starting, "a".to_owned(), Tick(0), ms(1));
        notifier.notify(Phase::Starting, "a".to_owned(), Tick(0), ms(2));
        let message = NotifyDatagram {
            status: Some("a".to_owned()),
            ..NotifyDatagram::default()
        };
        assert_eq!(messages(&slot), [message]);
        notifier.notify(Phase::Ready, "a".to_owned(), Tick(0), ms(3));
        assert!(!notifier.notify(Phase::Ready, "b".to_owned(), Tick(0), ms(4)));
        assert!(notifier.notify(Phase::Ready, "c".to_owned(), Tick(0), ms(1 + STATUS_MS)));
        let message = NotifyDatagram {
            phase: Some(Phase::Ready),
            status: Some("c".to_owned()),
            ..NotifyDatagram::default()
        };
        assert_eq!(messages(&slot), [message]);
        notifier.notify(Phase::Ready, "c".to_owned(), Tick(0), ms(6));
        assert_eq!(messages(&slot), []);
    }

    #[test]
    fn phases_stay_in_order_within_a_bound() {
        let (mut notifier, slot) = notifier(None);
        for round in 0..100 {
            notifier.notify(Phase::Reloading, String::new(), Tick(0), ms(round));
            notifier.notify(Phase::Ready, String::new(), Tick(0), ms(round));
        }
        notifier.notify(Phase::Stopping, String::new(), Tick(0), ms(100));
        let phases: Vec<Phase> = messages(&slot)
            .iter()
            .filter_map(|message| message.phase)
            .collect();
        assert_eq!(phases.len(), PHASES_MAX);
        assert_eq!(phases[..2], [Phase::Reloading, Phase::Ready]);
        assert_eq!(phases[PHASES_MAX - 1], Phase::Stopping);
    }

    #[test]
    fn more_time_is_requested_only_when_needed() {
        let (mut notifier, slot) = notifier(None);
        let asked = |notifier: &mut Notifier, phase, until, now| {
            notifier.notify(phase, String::new(), ms(until), ms(now));
            let found = messages(&slot).iter().find_map(|m| m.more_time);
            found.map(|time| u64::try_from(time.as_millis()).expect("short"))
        };
        assert_eq!(asked(&mut notifier, Phase::Ready, 60_000, 0), None);
        let stopping = Phase::Stopping;
        assert_eq!(
            asked(&mut notifier, stopping, 60_000, 1_000),
            Some(59_000 + MARGIN_MS)
        );
        assert_eq!(asked(&mut notifier, stopping, 60_000, 2_000), None);
        assert_eq!(asked(&mut notifier, stopping, 30_000, 2_000), None);
        assert_eq!(
            asked(&mut notifier, stopping, 90_000, 2_000),
            Some(88_000 + MARGIN_MS)
        );
        assert_eq!(asked(&mut notifier, stopping, 0, 91_000), None);
    }

    #[test]
    fn watchdog_messages_come_at_half_the_time() {
        assert_eq!(watchdog_ms(None), None);
        assert_eq!(watchdog_ms(Some(Duration::ZERO)), None);
        assert_eq!(watchdog_ms(Some(Duration::from_micros(1))), Some(1));
        assert_eq!(watchdog_ms(Some(Duration::from_secs(30))), Some(15_000));
        let (mut notifier, slot) = notifier(Some(15_000));
        let alive = |notifier: &mut Notifier, now| {
            notifier.heartbeat(ms(now));
            messages(&slot).iter().any(|message| message.is_alive)
        };
        assert!(alive(&mut notifier, 10));
        assert!(!alive(&mut notifier, 15_009));
        assert!(alive(&mut notifier, 15_010));
        assert!(!alive(&mut notifier, 30_009));
    }

    #[test]
    fn a_keepalive_is_sent_between_two_runs() {
        let (mut notifier, slot) = notifier(Some(15_000));
        notifier.heartbeat(ms(10));
        messages(&slot);
        notifier.send_keepalive(ms(20));
        assert!(messages(&slot).iter().any(|message| message.is_alive));
        // The engine continues with keepalives from here.
        notifier.heartbeat(ms(30));
        assert_eq!(messages(&slot), []);
    }

    #[test]
    fn an_abstract_socket_gets_messages() {
        let name = format!("@supervisord-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name.as_bytes()[1..]).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("bound");
        send_abstract(
            name.as_ref(),
            &[NotifyState::Ready, NotifyState::Status("up")],
        )
        .expect("sent");
        let mut buffer = [0; 64];
        let count = socket.recv(&mut buffer).expect("received");
        assert_eq!(&buffer[..count], b"READY=1\nSTATUS=up\n");
        let nobody = send_abstract("@supervisord-test-nobody".as_ref(), &[NotifyState::Ready]);
        assert!(nobody.is_err());
    }

    #[test]
    fn without_a_notify_socket_nothing_is_due() {
        let mut systemd = Systemd::new(Notifier::new(None, None), ReadyWhen::Started);
        systemd.mark_urgent();
        assert_eq!(systemd.due(), None);
        systemd.into_notifier().finish();
    }

    #[test]
    fn finish_does_not_wait_for_a_manager_that_does_not_read() {
        let (mut notifier, _slot) = notifier(None);
        // No thread takes the message.
        notifier.notify(Phase::Stopping, String::new(), Tick(0), ms(1));
        let begun = sys::now().mono;
        notifier.finish();
        assert!(sys::now().mono.nanos_since(begun) < 20 * 1_000_000_000);
    }
}
