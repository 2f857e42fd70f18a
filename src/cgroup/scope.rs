//! The scope of all programs beside the service that the daemon is: what it is called, where it is, and how it comes to be.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::bus::{self, Transport};
use super::scope_holder;
use crate::fd_holder::FdHolder;
use crate::sys::Cgroup;

/// How long it may take until the scope is there, on each way.
const MADE_WAIT: Duration = Duration::from_secs(8);
/// How often it is looked at meanwhile: PID 1 tells it by a signal that needs a subscription and a loop of its own.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long to wait for it before asking again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The scope of the programs of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    /// The service that we are.
    pub(super) service: String,
    /// Its name: another one for each service.
    pub(super) name: String,
    /// The slice of both.
    pub(super) slice: String,
    /// Its path.
    pub(super) path: String,
}

/// A scope that is there.
#[derive(Debug)]
pub(super) struct EnteredScope {
    pub(super) cgroup: Cgroup,
    /// What holds it, unless it is the one that the caller has.
    pub(super) holder: Option<FdHolder>,
    /// It was not there, or was about to go.
    pub(super) was_made: bool,
}

impl Scope {
    /// The scope that belongs to our own path, if that is one of a service of PID 1.
    pub(super) fn of(own: &str) -> Option<Self> {
        let (parent, service) = own.rsplit_once('/').unwrap_or(("", own));
        let unit = service.strip_suffix(".service")?;
        // Services of a user's manager are below its own.
        if parent.split('/').any(|part| part.ends_with(".service")) {
            return None;
        }
        let slice = match parent.rsplit('/').next() {
            Some(slice) if slice.ends_with(".slice") => slice,
            Some("") | None => "-.slice",
            Some(_) => return None,
        };
        // An instance of a template would need a template of the scope. In systemd's own way of writing the sign.
        let name = format!("{}-programs.scope", unit.replace('@', "\\x40"));
        let slash = if parent.is_empty() { "" } else { "/" };
        Some(Self {
            service: service.to_owned(),
            path: format!("{parent}{slash}{name}"),
            name,
            slice: slice.to_owned(),
        })
    }

    /// The scope, found or made.
    ///
    /// # Errors
    /// Why there is none, for people.
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
            // Beside one that we cannot talk to, if there is one: a daemon of another version may still want it.
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

    /// The fd holder in this scope, if the scope is there.
    pub(super) fn holder(&self, top: &Cgroup) -> Option<FdHolder> {
        scope_holder::holder_in(&self.found(top)?)
    }

    /// One that is there already and has processes: those of a daemon before us.
    fn found(&self, top: &Cgroup) -> Option<Cgroup> {
        let found = top.open(&self.path).ok()?;
        found.is_populated().ok()?.then_some(found)
    }

    fn make(&self, top: &Cgroup, pid: i32) -> Result<Cgroup, String> {
        let mut why = String::new();
        for way in [Transport::Private, Transport::Bus] {
            let until = Instant::now() + MADE_WAIT;
            // Again and again, for one of this name may still be on its way out.
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

    /// The scope with the placeholder in it, if it is there soon.
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

/// Puts the placeholder where it is in nobody's way: a cgroup whose directories have controllers has no process itself.
fn move_holder_in(scope: &Cgroup, pid: i32) -> io::Result<()> {
    scope.make(scope_holder::DIRECTORY)?;
    scope.open(scope_holder::DIRECTORY)?.move_in(pid)
}

/// Ends a placeholder that has nothing to hold. It is our child and nobody has waited for it: the number is its own.
fn kill_holder(pid: i32) {
    if let Ok(pidfd) = crate::sys::open_pidfd(pid) {
        let _ = crate::sys::send_signal(&pidfd, crate::domain::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_service_of_pid_1_has_a_scope_beside_it() {
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
