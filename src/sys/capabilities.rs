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
pub(super) type CapabilityError = (u32, Errno);

/// The kernel's `__user_cap_header_struct`.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// The kernel's `__user_cap_data_struct`.
#[repr(C)]
#[derive(Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The sets of this process.
#[derive(Clone, Copy)]
struct CapabilitySets {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

fn split_u64(set: u64) -> [u32; 2] {
    [(set & 0xffff_ffff) as u32, (set >> 32) as u32]
}

fn join_u64(low: u32, high: u32) -> u64 {
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

fn get_capabilities() -> Result<CapabilitySets, Errno> {
    let mut header = CapHeader {
        version: VERSION,
        pid: 0,
    };
    let mut data = [CapData {
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
    Ok(CapabilitySets {
        effective: join_u64(low.effective, high.effective),
        permitted: join_u64(low.permitted, high.permitted),
        inheritable: join_u64(low.inheritable, high.inheritable),
    })
}

fn set_capabilities(sets: CapabilitySets) -> Result<(), Errno> {
    let mut header = CapHeader {
        version: VERSION,
        pid: 0,
    };
    let (effective, permitted, inheritable) = (
        split_u64(sets.effective),
        split_u64(sets.permitted),
        split_u64(sets.inheritable),
    );
    let half = |index: usize| CapData {
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
pub(super) fn drop_bounding(allowed: u64) -> Result<(), CapabilityError> {
    for number in 0..=NUMBER_MAX {
        if allowed >> number & 1 == 1 {
            continue;
        }
        match prctl(libc::PR_CAPBSET_READ, number, 0) {
            Ok(0) => {}
            Ok(_) => {
                prctl(libc::PR_CAPBSET_DROP, number, 0).map_err(|errno| (number, errno))?;
            }
            // The kernel knows no more. Anything else is a filter that hides what is there.
            Err(Errno(libc::EINVAL)) => return Ok(()),
            Err(errno) => return Err((number, errno)),
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
pub(super) fn set_inheritable_and_ambient(
    bounding: Option<u64>,
    ambient: Option<u64>,
    has_changed_user: bool,
) -> Result<(), CapabilityError> {
    let mut sets = get_capabilities().map_err(|errno| (0, errno))?;
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
    set_capabilities(sets).map_err(|errno| (wanted.trailing_zeros(), errno))?;
    for number in (0..=NUMBER_MAX).filter(|number| wanted >> number & 1 == 1) {
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

#[cfg(test)]
mod tests {
    use super::super::test_fork::run_forked;
    use super::*;

    /// The set of this name that the kernel shows for us.
    fn shown(field: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        u64::from_str_radix(line.expect("field").trim(), 16).expect("hexadecimal")
    }

    /// Answers calls of prctl whose first argument is `option` with EPERM, in this process.
    fn refuse(option: i32) {
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
        let step = |code: u32, k, jf| libc::sock_filter {
            code: u16::try_from(code).expect("small"),
            jt: 0,
            jf,
            k,
        };
        let number = u32::try_from(libc::SYS_prctl).expect("small");
        let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
        // Offset 0: the call's number. Offset 16: the low half of its first argument.
        let first = if cfg!(target_endian = "little") {
            16
        } else {
            20
        };
        let mut program = [
            step(LOAD, 0, 0),
            step(JUMP_IF_EQUAL, number, 3),
            step(LOAD, first, 0),
            step(JUMP_IF_EQUAL, option.unsigned_abs(), 1),
            step(RETURN, refused, 0),
            step(RETURN, libc::SECCOMP_RET_ALLOW, 0),
        ];
        let program = libc::sock_fprog {
            len: 6,
            filter: program.as_mut_ptr(),
        };
        no_new_privileges().expect("anybody may");
        // SAFETY: a live filter program; it concerns this thread only.
        let result = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            )
        };
        assert_eq!(result, 0);
    }

    #[test]
    fn a_filter_that_hides_the_bounding_set_is_a_failure_and_no_end_of_it() {
        run_forked(|_file| {
            refuse(libc::PR_CAPBSET_READ);
            assert_eq!(drop_bounding(1 << 10), Err((0, Errno(libc::EPERM))));
        });
    }

    #[test]
    fn sets_are_made_as_asked_for_or_the_missing_right_is_named() {
        run_forked(|_file| {
            let before = ["CapPrm:", "CapEff:", "CapBnd:"].map(shown);
            let missing = (0..64).find(|number| before[0] >> number & 1 == 0);
            let missing = missing.expect("nobody has all 64");
            let refused = set_inheritable_and_ambient(None, Some(1 << missing), false);
            assert_eq!(refused, Err((missing, Errno(libc::EPERM))));
            assert_eq!(["CapPrm:", "CapEff:", "CapBnd:"].map(shown), before);
            if before[0] & 1 << 8 == 0 {
                // Without the right to change it the set stays; one that is empty already is as asked for.
                if before[2] != 0 {
                    let first = before[2].trailing_zeros();
                    assert_eq!(drop_bounding(0), Err((first, Errno(libc::EPERM))));
                }
                assert_eq!(drop_bounding(before[2]), Ok(()));
                return;
            }
            assert_eq!(drop_bounding(0b110), Ok(()));
            assert_eq!(shown("CapBnd:"), before[2] & 0b110);
            // What is permitted stays until exec, and can be handed on within the bounds alone.
            assert_eq!(shown("CapPrm:"), before[0]);
            assert_eq!(
                set_inheritable_and_ambient(Some(0b110), Some(0b10), false),
                Ok(())
            );
            assert_eq!((shown("CapInh:"), shown("CapAmb:")), (0b10, 0b10));
            assert_eq!(["CapPrm:", "CapEff:"].map(shown), before[..2]);
            assert_eq!(
                set_inheritable_and_ambient(Some(0b110), Some(0b1000), false),
                Err((3, Errno(libc::EPERM)))
            );
            // What leaves the bounds is handed on no more.
            assert_eq!(
                set_inheritable_and_ambient(Some(0b100), None, false),
                Ok(())
            );
            assert_eq!((shown("CapInh:"), shown("CapAmb:")), (0, 0));
            assert_eq!(set_inheritable_and_ambient(None, Some(0b100), true), Ok(()));
            for (field, set) in [
                ("CapPrm:", 0b100),
                ("CapEff:", 0),
                ("CapInh:", 0b100),
                ("CapAmb:", 0b100),
            ] {
                assert_eq!(shown(field), set, "{field}");
            }
        });
    }
}
