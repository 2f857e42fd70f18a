//! The cgroup of one process, from before its spawn until after its end. Between two lives of the process it may hold what
//! the last one left behind, which the next one then shares it with.

use std::io;
use std::sync::Arc;

use super::home::Home;
use super::name::name as cgroup_name;
use crate::config::resources::Setting;
use crate::config::spec::Resources;
use crate::domain::{Causes, Errno, Line, QualifiedName};
use crate::sys::{Cgroup, Counters};

/// The cgroup of one life.
#[derive(Debug, Clone)]
pub struct Seat {
    home: Arc<Home>,
    name: String,
    /// Whose it is.
    pub(super) process: QualifiedName,
    /// What was counted in it before this life.
    before: Counters,
}

/// Limits that the kernel refused.
pub(super) type Refused = Vec<(Setting, io::Error)>;

/// Makes the cgroup of this name, or takes the one that is there, and writes its limits.
///
/// # Errors
/// ENOENT, ENODEV: what it is to be made in is gone. EACCES, EROFS, EAGAIN, EMFILE.
pub(super) fn make(
    home: &Arc<Home>,
    process: &QualifiedName,
    resources: &Resources,
    refused: &mut Refused,
) -> io::Result<(Seat, Cgroup)> {
    let parent = home.open()?;
    let name = cgroup_name(&process.group, &process.process);
    let is_new = parent.make(&name)?;
    let cgroup = parent.open(&name)?;
    let before = if is_new {
        Counters::default()
    } else {
        cgroup.counters()
    };
    limit(home, &cgroup, resources, is_new, refused);
    let seat = Seat {
        home: Arc::clone(home),
        name,
        process: process.clone(),
        before,
    };
    Ok((seat, cgroup))
}

/// The cgroup of a process that is there.
///
/// # Errors
/// ENOENT: it has none.
pub(super) fn find(home: &Arc<Home>, process: &QualifiedName) -> io::Result<Seat> {
    let name = cgroup_name(&process.group, &process.process);
    home.open()?.open(&name)?;
    Ok(Seat {
        home: Arc::clone(home),
        name,
        process: process.clone(),
        before: Counters::default(),
    })
}

/// Writes the limits; a new cgroup has the others as they should be.
fn limit(home: &Home, cgroup: &Cgroup, resources: &Resources, is_new: bool, refused: &mut Refused) {
    for setting in resources.settings() {
        let Some(value) = &setting.value else {
            if !is_new {
                // Without its controller there is nothing to take back.
                let _ = cgroup.write(setting.file, setting.default);
            }
            continue;
        };
        let written = match cgroup.write(setting.file, value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => home
                .enable(setting.controller)
                .and_then(|()| cgroup.write(setting.file, value)),
            result => result,
        };
        if let Err(error) = written {
            refused.push((setting, error));
        }
    }
}

/// The line about a limit that was refused.
pub(super) fn refusal(name: &QualifiedName, setting: &Setting, error: &io::Error) -> Line {
    let value = setting.value.as_deref().unwrap_or_default();
    let value = value.strip_prefix("default ").unwrap_or(value);
    Line::LimitRefused {
        name: name.clone(),
        setting: format!("{}={value}", setting.key),
        error: Errno::from(error),
    }
}

impl Seat {
    /// # Errors
    /// ENOENT, ENODEV: it is gone.
    pub(super) fn open(&self) -> io::Result<Cgroup> {
        self.home.open()?.open(&self.name)
    }

    /// Writes other limits; answers those that were refused.
    ///
    /// # Errors
    /// ENOENT, ENODEV: it is gone.
    pub(super) fn limit(&self, resources: &Resources) -> io::Result<Refused> {
        let mut refused = Vec::new();
        limit(&self.home, &self.open()?, resources, false, &mut refused);
        Ok(refused)
    }

    /// What this life met.
    pub(super) fn causes(&self, cgroup: &Cgroup) -> Causes {
        let (now, before) = (cgroup.counters(), self.before);
        Causes {
            oom_kill: now.oom_kill > before.oom_kill,
            pids_max: now.pids_max > before.pids_max,
            memory_high: now.memory_high > before.memory_high,
        }
    }

    /// Removes it, unless somebody is in it.
    pub(super) fn remove(&self) {
        // It may hold what was left behind, or be gone with the scope; the next life takes it as it is.
        let _ = self.home.open().and_then(|home| home.remove(&self.name));
    }
}
