//! The scope of all programs, beside the daemon's service: its name, its path, and how it is made.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::bus::{self, Transport};
use super::scope_holder;
use crate::fd_holder::FdHolder;
use crate::sys::Cgroup;

/// How long the scope may take to appear, per transport.
const MADE_WAIT: Duration = Duration::from_secs(8);
/// Interval of checks during that time. PID 1's signal about it would need a subscription and an event loop.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long to wait before the request is repeated.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The scope of one service's programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// The daemon's service.
    pub(super) service: String,
    /// The name of the scope, unique per service.
    pub(super) name: String,
    /// The slice of the service and the scope.
    pub(super) slice: String,
    /// The cgroup path of the scope.
    pub(super) path: String,
}

/// An existing scope.
#[derive(Debug)]
pub(super) struct EnteredScope {
    pub(super) cgroup: Cgroup,
    /// Its fd holder, unless the caller already has it.
    pub(super) holder: Option<FdHolder>,
    /// Whether the scope did not exist, or was about to vanish.
    pub(super) was_made: bool,
}

impl Scope {
    /// The scope for a daemon at this cgroup path, if the path is that of a service of PID 1.
    pub(super) fn of(own: &str) -> Option<Self> {
        let (parent, service) = own.rsplit_once('/').unwrap_or(("", own));
        let unit = service.strip_suffix(".service")?;
        // Services of a user's service manager are below the service of that manager.
        if parent.split('/').any(|part| part.ends_with(".service")) {
            return None;
        }
        let slice = match parent.rsplit('/').next() {
            Some(slice) if slice.ends_with(".slice") => slice,
            Some("") | None => "-.slice",
            Some(_) => return None,
        };
        // An instance of a template would need a template of the scope, so `@` is written in systemd's escaped form.
        let name = format!("{}-programs.scope", unit.replace('@', "\\x40"));
        let slash = if parent.is_empty() { "" } else { "/" };
        Some(Self {
            service: service.to_owned(),
            path: format!("{parent}{slash}{name}"),
            name,
            slice: slice.to_owned(),
        })
    }

    /// Finds or makes the scope.
    ///
    /// # Errors
    /// The reason why there is no scope, as a text for people.
    pub(super) fn enter(&self, top: &Cgroup, is_held: bool) -> Result<EnteredScope, String> {
        let text = |error: io::Error| error.to_string();
        let started = |error: crate::fd_holder::FdHolderError| error.to_string();
        let entered = |cgroup, holder, was_made| EnteredScope {
            cgroup,
            holder,
            was_made,
        };
        if let Some(found) = self.found(top) {
            if is_held {
                return Ok(entered(found, None, false));
            }
            if let Some(holder) = scope_holder::holder_in(&found) {
                return Ok(entered(found, Some(holder), false));
            }
            // If the existing fd holder cannot be used, leave it alone: a daemon of another version may still need it.
            let (pid, holder) = scope_holder::start_holder().map_err(started)?;
            move_holder_in(&found, pid).map_err(text)?;
            return Ok(entered(found, Some(holder), false));
        }
        let (pid, holder) = scope_holder::start_holder().map_err(started)?;
        match self.make(top, pid) {
            Ok(made) => Ok(entered(made, Some(holder), true)),
            Err(error) => {
                kill_holder(pid);
                Err(error)
            }
        }
    }

    /// The fd holder in this scope, if the scope exists.
    pub(super) fn holder(&self, top: &Cgroup) -> Option<FdHolder> {
        scope_holder::holder_in(&self.found(top)?)
    }

    /// The existing scope with processes of a previous daemon.
    fn found(&self, top: &Cgroup) -> Option<Cgroup> {
        let found = top.open(&self.path).ok()?;
        found.is_populated().ok()?.then_some(found)
    }

    fn make(&self, top: &Cgroup, pid: i32) -> Result<Cgroup, String> {
        let mut why = String::new();
        for way in [Transport::Private, Transport::Bus] {
            let until = Instant::now() + MADE_WAIT;
            // Repeat the request: a scope of this name may still be vanishing.
            while Instant::now() < until {
                let asked = match bus::start_scope(way, self, pid) {
                    Ok(asked) => asked,
                    Err(error) => {
                        why = error;
                        break;
                    }
                };
                if let Some(made) = self.wait_for(top, pid) {
                    move_holder_in(&made, pid).map_err(|error| error.to_string())?;
                    return Ok(made);
                }
                drop(asked);
                why = format!(
                    "{} did not appear within {} s",
                    self.name,
                    MADE_WAIT.as_secs()
                );
            }
        }
        Err(why)
    }

    /// Waits for the scope with the placeholder process in it. `None`: it did not appear in time.
    fn wait_for(&self, top: &Cgroup, pid: i32) -> Option<Cgroup> {
        let until = Instant::now() + ASK_AGAIN;
        while Instant::now() < until {
            if let Ok(made) = top.open(&self.path)
                && made.pids().is_ok_and(|pids| pids.contains(&pid))
            {
                return Some(made);
            }
            sleep(LOOK_EVERY);
        }
        None
    }
}

/// Moves the placeholder to a leaf cgroup: a cgroup with enabled controllers must have no process.
fn move_holder_in(scope: &Cgroup, pid: i32) -> io::Result<()> {
    scope.make(scope_holder::DIRECTORY)?;
    scope.open(scope_holder::DIRECTORY)?.move_in(pid)
}

/// Kills a placeholder that is not needed. It is an unreaped child, so its pid cannot have been reused.
fn kill_holder(pid: i32) {
    if let Ok(pidfd) = crate::sys::open_pidfd(pid) {
        let _ = crate::sys::send_signal(&pidfd, crate::domain::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_of_pid_1_has_its_own_scope() {
        for (own, expected) in [
            (
                "system.slice/supervisord.service",
                Some(("system.slice", "system.slice/supervisord-programs.scope")),
            ),
            (
                "a.slice/a-b.slice/x.service",
                Some(("a-b.slice", "a.slice/a-b.slice/x-programs.scope")),
            ),
            (
                "system.slice/system-supervisord.slice/supervisord@one.service",
                Some((
                    "system-supervisord.slice",
                    "system.slice/system-supervisord.slice/supervisord\\x40one-programs.scope",
                )),
            ),
            ("x.service", Some(("-.slice", "x-programs.scope"))),
            ("system.slice/x.service/inner", None),
            (
                "user.slice/user-0.slice/user@0.service/app.slice/x.service",
                None,
            ),
            ("user.slice/user-0.slice/session-1.scope", None),
            ("docker/x.service", None),
            ("", None),
        ] {
            let scope = Scope::of(own);
            let found = scope
                .as_ref()
                .map(|scope| (scope.slice.as_str(), scope.path.as_str()));
            assert_eq!(found, expected, "{own}");
        }
    }
}
