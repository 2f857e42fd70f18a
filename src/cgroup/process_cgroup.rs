//! The cgroup of one process, from before its spawn until after its exit. It may still contain processes of the
//! previous instance; then the next instance shares it with them.
//!
//! A process without limits keeps one cgroup for all its instances, because making and removing cgroups takes kernel
//! locks that spawning needs. A process with limits gets a new cgroup, with fresh counters, for each instance.

use std::io;
use std::sync::{Arc, OnceLock};

use super::name::name as cgroup_name;
use super::root::CgroupRoot;
use crate::config::resources::CgroupSetting;
use crate::config::spec::CgroupLimits;
use crate::domain::{Errno, Line, QualifiedName, ResourceEvents};
use crate::sys::{Cgroup, CgroupEvents};

/// The cgroup of one instance.
#[derive(Debug, Clone)]
pub struct ProcessCgroup {
    root: Arc<CgroupRoot>,
    name: String,
    /// The process it belongs to.
    pub(super) process: QualifiedName,
    /// The counters of the cgroup when this instance began. Unset: not read yet, while the cgroup has no limits.
    before: OnceLock<CgroupEvents>,
}

/// Limits that the kernel refused, with the errors.
pub(super) type RefusedLimits = Vec<(CgroupSetting, io::Error)>;

/// Makes the cgroup of a process, or reuses the existing one, and writes its limits.
///
/// # Errors
/// ENOENT, ENODEV: the parent directory is gone. EACCES, EROFS, EAGAIN, EMFILE.
pub(super) fn create_cgroup(
    root: &Arc<CgroupRoot>,
    process: &QualifiedName,
    resources: &CgroupLimits,
    refused: &mut RefusedLimits,
) -> io::Result<(ProcessCgroup, Cgroup)> {
    let parent = root.directory()?;
    let process_cgroup = ProcessCgroup::new(root, process);
    let name = &process_cgroup.name;
    let has_limits = resources.is_some();
    if root.is_reused(process) {
        match parent.open(name) {
            Ok(cgroup) if !has_limits && cgroup.is_unmodified() => {
                return Ok((process_cgroup, cgroup));
            }
            // The process has limits now, or its program has divided the cgroup, or it was frozen or removed.
            _ => process_cgroup.remove(),
        }
    }
    let is_new = parent.make(name)?;
    let cgroup = parent.open(name)?;
    if is_new {
        let _ = process_cgroup.before.set(CgroupEvents::default());
    } else if has_limits {
        let _ = process_cgroup.before.set(cgroup.counters());
    }
    write_limits(root, &cgroup, resources, is_new, refused);
    if has_limits {
        root.stop_reusing(process);
    } else {
        root.reuse(process);
    }
    Ok((process_cgroup, cgroup))
}

/// Finds the existing cgroup of a process.
///
/// # Errors
/// ENOENT: it has none.
pub(super) fn find_cgroup(
    root: &Arc<CgroupRoot>,
    process: &QualifiedName,
) -> io::Result<ProcessCgroup> {
    let process_cgroup = ProcessCgroup::new(root, process);
    root.open()?.open(&process_cgroup.name)?;
    Ok(process_cgroup)
}

/// Writes the limits. In a new cgroup, the other limits already have their defaults.
fn write_limits(
    root: &CgroupRoot,
    cgroup: &Cgroup,
    resources: &CgroupLimits,
    is_new: bool,
    refused: &mut RefusedLimits,
) {
    for setting in resources.settings() {
        let Some(value) = &setting.value else {
            if !is_new {
                // Without the controller there is nothing to reset.
                let _ = cgroup.write(setting.file, setting.default);
            }
            continue;
        };
        let written = match cgroup.write(setting.file, value) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => root
                .enable(setting.controller)
                .and_then(|()| cgroup.write(setting.file, value)),
            result => result,
        };
        if let Err(error) = written {
            refused.push((setting, error));
        }
    }
}

/// The log line about a refused limit.
pub(super) fn limit_refused(
    name: &QualifiedName,
    setting: &CgroupSetting,
    error: &io::Error,
) -> Line {
    let value = setting.value.as_deref().unwrap_or_default();
    let value = value.strip_prefix("default ").unwrap_or(value);
    Line::LimitRefused {
        name: name.clone(),
        setting: format!("{}={value}", setting.key),
        error: Errno::from(error),
    }
}

impl ProcessCgroup {
    /// The cgroup of a process, whether or not it exists.
    pub(super) fn new(root: &Arc<CgroupRoot>, process: &QualifiedName) -> Self {
        Self {
            root: Arc::clone(root),
            name: cgroup_name(&process.group, &process.process),
            process: process.clone(),
            before: OnceLock::new(),
        }
    }

    /// Whether the cgroup stays for the next instance.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.root.is_reused(&self.process)
    }

    /// # Errors
    /// ENOENT, ENODEV: it is gone.
    pub(super) fn open(&self) -> io::Result<Cgroup> {
        self.root.open()?.open(&self.name)
    }

    /// Writes other limits. Returns those that the kernel refused.
    ///
    /// # Errors
    /// ENOENT, ENODEV: the cgroup is gone.
    pub(super) fn change_limits(&self, resources: &CgroupLimits) -> io::Result<RefusedLimits> {
        let mut refused = Vec::new();
        let cgroup = self.open()?;
        // Nothing was counted for instances without limits.
        self.before.get_or_init(|| cgroup.counters());
        self.root.stop_reusing(&self.process);
        write_limits(&self.root, &cgroup, resources, false, &mut refused);
        Ok(refused)
    }

    /// The resource events of this instance.
    pub(super) fn resource_events(&self, cgroup: &Cgroup) -> ResourceEvents {
        let now = cgroup.counters();
        let before = self.before.get().copied().unwrap_or_default();
        ResourceEvents {
            oom_kill: now.oom_kill > before.oom_kill,
            pids_max: now.pids_max > before.pids_max,
            memory_high: now.memory_high > before.memory_high,
        }
    }

    /// Removes the cgroup unless it has processes.
    pub fn remove(&self) {
        self.root.stop_reusing(&self.process);
        // Processes may remain in it, or it is gone with the scope; the next instance uses it as it is.
        let _ = self.root.open().and_then(|root| root.remove(&self.name));
    }
}
