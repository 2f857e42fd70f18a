//! Sets limits and privileges of a cloned child that do not depend on its user. The rules of `child.rs` apply: no
//! allocation, no lock, no panic.
#![expect(
    unsafe_code,
    reason = "raw system calls in a child that shares our memory"
)]

use std::ffi::c_int;

use super::child_calls::{ask, call, fd};
use super::child_message::{ChildMessage, capability_message, missing_right};
use super::plan::{ChildBounds, ConfiguredValue};
use super::{capabilities, limits};
use crate::domain::{Errno, Limit, Resource};

/// Sets one resource limit of the child.
pub(super) fn set_limit(resource: Resource, limit: Limit) -> Result<(), Errno> {
    let value = limits::to_rlimit(limit);
    // SAFETY: the value is live; pid 0 is the child itself, whose limits are its own.
    unsafe {
        call(
            libc::SYS_prlimit64,
            [
                0,
                limits::resource_number(resource),
                (&raw const value) as usize,
                0,
            ],
        )
    }
}

/// Sets everything that does not depend on the user, while the child has the daemon's privileges.
pub(super) fn apply_bounds(bounds: &ChildBounds) -> Result<(), ChildMessage<'_>> {
    // Before the limits, because a limit on open files could leave no room for this descriptor.
    if let Some(ConfiguredValue { value, text }) = &bounds.oom_score_adj
        && let Err((errno, right)) = write_oom_score_adj(value.as_bytes())
    {
        return Err(not_set(text, errno, right));
    }
    for ConfiguredValue { value, text } in &bounds.limits {
        let &(resource, limit) = value;
        if let Err(errno) = set_limit(resource, limit) {
            let right = match resource {
                Resource::Files => ", needs CAP_SYS_RESOURCE, and at most fs.nr_open",
                _ => ", needs CAP_SYS_RESOURCE",
            };
            return Err(not_set(text, errno, right));
        }
    }
    if let Some(ConfiguredValue { value, text }) = &bounds.nice {
        // Sign-extended; the kernel reads the low half.
        let value = c_int::from(*value) as usize;
        // SAFETY: no memory involved; id 0 is the child itself.
        let result = unsafe {
            call(
                libc::SYS_setpriority,
                [libc::PRIO_PROCESS as usize, 0, value, 0],
            )
        };
        if let Err(errno) = result {
            let right = ", needs CAP_SYS_NICE or a higher limit_nice";
            return Err(not_set(text, errno, right));
        }
    }
    if let Some(allowed) = bounds.bounding {
        capabilities::drop_bounding(allowed)
            .map_err(|refused| capability_message(b"drop ", b" (capabilities)", refused))?;
    }
    Ok(())
}

/// The message about a configured value that could not be set. `right`: the privilege for it.
fn not_set<'a>(text: &'a str, errno: Errno, right: &'static str) -> ChildMessage<'a> {
    [
        b"set ",
        text.as_bytes(),
        b": ",
        errno.name().as_bytes(),
        missing_right(errno, right),
    ]
}

/// Writes the child's OOM score adjustment. The kernel applies it to this child alone although it shares the daemon's
/// memory, because it makes an exception for CLONE_VFORK children. An error comes with the missing privilege, if that
/// is the cause.
fn write_oom_score_adj(text: &[u8]) -> Result<(), (Errno, &'static str)> {
    const FILE: &[u8] = b"/proc/self/oom_score_adj\0";
    // The /proc files of an undumpable process, such as one that changed its user, belong to root.
    const NOT_OURS: &str = ", its file belongs to root because supervisord dropped root";
    // SAFETY: a NUL-terminated string; then a live buffer of the stated length. The descriptor table is the child's own,
    // and exec closes the new descriptor at the latest.
    unsafe {
        let opened = ask(
            libc::SYS_openat,
            [
                fd(libc::AT_FDCWD),
                FILE.as_ptr() as usize,
                (libc::O_WRONLY | libc::O_CLOEXEC) as usize,
                0,
                0,
            ],
        )
        .map_err(|errno| (errno, NOT_OURS))?;
        let written = call(
            libc::SYS_write,
            [opened, text.as_ptr() as usize, text.len(), 0],
        );
        let _ = call(libc::SYS_close, [opened, 0, 0, 0]);
        written.map_err(|errno| (errno, ", needs CAP_SYS_RESOURCE"))
    }
}
