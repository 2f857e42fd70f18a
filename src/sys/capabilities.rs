//! Capabilities of a cloned child, set by raw calls: its bounding, permitted, inheritable and ambient sets. The rules of
//! `child.rs` hold here: no allocation, no lock, no panic.
#![expect(
    unsafe_code,
    reason = "raw system calls in a child that shares our memory"
)]

use super::child::ask;
use crate::domain::Errno;

/// The highest number that the kernel's sets have room for.
const NUMBER_MAX: u32 = 63;
/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits, in two halves.
const VERSION: u32 = 0x2008_0522;

/// A capability that could not be taken away or given, and why.
pub(super) type Refused = (u32, Errno);

/// The kernel's `__user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// The kernel's `__user_cap_data_struct`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The sets of this process.
#[derive(Clone, Copy)]
struct Sets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

fn halves(set: u64) -> [u32; 2] {
    [(set & 0xffff_ffff) as u32, (set >> 32) as u32]
}

fn whole(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// A call of prctl with one or two numbers; the rest must be zero, and is.
fn prctl(option: i32, two: u32, three: u32) -> Result<usize, Errno> {
    // SAFETY: none of the options used here touches memory.
    unsafe {
        ask(
            libc::SYS_prctl,
            [option as usize, two as usize, three as usize, 0, 0],
        )
    }
}

fn get() -> Result<Sets, Errno> {
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut data = [Half {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    }; 2];
    // SAFETY: a live header, and as many halves as its version says; pid 0 is the caller.
    unsafe {
        ask(
            libc::SYS_capget,
            [
                (&raw mut header) as usize,
                data.as_mut_ptr() as usize,
                0,
                0,
                0,
            ],
        )?;
    }
    let [low, high] = data;
    Ok(Sets {
        effective: whole(low.effective, high.effective),
        permitted: whole(low.permitted, high.permitted),
        inheritable: whole(low.inheritable, high.inheritable),
    })
}

fn set(sets: Sets) -> Result<(), Errno> {
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let (effective, permitted, inheritable) = (
        halves(sets.effective),
        halves(sets.permitted),
        halves(sets.inheritable),
    );
    let half = |index: usize| Half {
        effective: effective[index],
        permitted: permitted[index],
        inheritable: inheritable[index],
    };
    let data = [half(0), half(1)];
    // SAFETY: as in `get`; the calling task alone is changed.
    unsafe {
        ask(
            libc::SYS_capset,
            [(&raw mut header) as usize, data.as_ptr() as usize, 0, 0, 0],
        )?;
    }
    Ok(())
}

/// Drops from the bounding set whatever is not in `allowed`, be it without a name yet. What is not there in the first
/// place needs no right to be dropped.
///
/// # Source
/// capabilities(7), PR_CAPBSET_DROP(2const).
pub(super) fn bound(allowed: u64) -> Result<(), Refused> {
    for number in 0..=NUMBER_MAX {
        if allowed >> number & 1 == 1 {
            continue;
        }
        match prctl(libc::PR_CAPBSET_READ, number, 0) {
            Ok(0) => {}
            Ok(_) => {
                prctl(libc::PR_CAPBSET_DROP, number, 0).map_err(|errno| (number, errno))?;
            }
            // The kernel knows no more.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Keeps the permitted set over the next change of user. Exec ends it.
pub(super) fn keep_permitted() -> Result<(), Errno> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0).map(drop)
}

/// Makes the ambient set `ambient`, if it is given, and keeps the inheritable one within `bounding`, for that is what
/// files could give the process back. `has_changed_user`: what is permitted only because it was kept goes too, and
/// nothing is effective until exec, so that the directory and the command are reached with the user's own rights.
///
/// # Source
/// capabilities(7), "Transformation of capabilities during execve()", PR_CAP_AMBIENT(2const).
pub(super) fn hand_on(
    bounding: Option<u64>,
    ambient: Option<u64>,
    has_changed_user: bool,
) -> Result<(), Refused> {
    let mut sets = get().map_err(|errno| (0, errno))?;
    let wanted = ambient.unwrap_or(0);
    let missing = wanted & !sets.permitted;
    if missing != 0 {
        return Err((missing.trailing_zeros(), Errno(libc::EPERM)));
    }
    sets.inheritable = match ambient {
        Some(ambient) => ambient,
        None => sets.inheritable & bounding.unwrap_or(u64::MAX),
    };
    if has_changed_user && ambient.is_some() {
        sets.permitted = wanted;
        sets.effective = 0;
    }
    // What leaves the inheritable set leaves the ambient one.
    set(sets).map_err(|errno| (wanted.trailing_zeros(), errno))?;
    for number in (0..=NUMBER_MAX).filter(|number| wanted >> number & 1 == 1) {
        // Not `prctl` with its zeroes alone: the number stands third.
        prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_RAISE as u32,
            number,
        )
        .map_err(|errno| (number, errno))?;
    }
    Ok(())
}

/// From here on no exec gives more rights.
pub(super) fn no_new_privileges() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}
