//! Sets the capabilities of a cloned child by raw system calls: its bounding, permitted, inheritable and ambient
//! sets. The rules of `child.rs` apply: no allocation, no lock, no panic.
#![expect(
    unsafe_code,
    reason = "raw system calls in a child that shares our memory"
)]

use super::child_calls::ask;
use crate::domain::Errno;

/// The highest capability number that the kernel's sets can hold.
const NUMBER_MAX: u32 = 63;
/// `_LINUX_CAPABILITY_VERSION_3`: 64-bit sets, each in two halves.
const VERSION: u32 = 0x2008_0522;

/// The number of the capability that could not be set or dropped, and the error.
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

/// The capability sets of this process.
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

/// Calls prctl with one or two arguments. The other arguments must be zero.
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
    // SAFETY: as for capget above; only the calling task is changed.
    unsafe {
        ask(
            libc::SYS_capset,
            [(&raw mut header) as usize, data.as_ptr() as usize, 0, 0, 0],
        )?;
    }
    Ok(())
}

/// Drops every capability from the bounding set that is not in `allowed`, also numbers that have no name yet. A
/// capability that is already missing needs no privilege to drop.
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
            // The kernel knows no higher numbers. Any other error comes from a filter that hides the capability.
            Err(Errno(libc::EINVAL)) => return Ok(()),
            Err(errno) => return Err((number, errno)),
        }
    }
    Ok(())
}

/// Keeps the permitted set across the next change of user. Exec resets this flag.
pub(super) fn keep_permitted() -> Result<(), Errno> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0).map(drop)
}

/// Sets the ambient set to `ambient`, if given, and limits the inheritable set to `bounding`, because file
/// capabilities could restore inheritable ones. `has_changed_user`: also drops what is permitted only because it was
/// kept, and clears the effective set until exec. So the directory and the command are accessed with the user's own
/// privileges.
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
    // The kernel also removes from the ambient set what is removed from the inheritable set.
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

/// Sets no_new_privs: no later exec grants more privileges.
pub(super) fn no_new_privileges() -> Result<(), Errno> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::test_fork::run_forked;
    use super::*;

    /// The capability set in the field `field` of our /proc/self/status.
    fn shown(field: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        u64::from_str_radix(line.expect("field").trim(), 16).expect("hexadecimal")
    }

    /// Makes prctl fail with EPERM in this thread if its first argument is `option`.
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
        // Offset 0: the system call number. Offset 16: the low half of its first argument.
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
    fn a_filter_that_hides_the_bounding_set_is_an_error() {
        run_forked(|_file| {
            refuse(libc::PR_CAPBSET_READ);
            assert_eq!(drop_bounding(1 << 10), Err((0, Errno(libc::EPERM))));
        });
    }

    #[test]
    fn capability_sets_are_set_or_the_missing_capability_is_named() {
        run_forked(|_file| {
            let before = ["CapPrm:", "CapEff:", "CapBnd:"].map(shown);
            let missing = (0..64).find(|number| before[0] >> number & 1 == 0);
            let missing = missing.expect("nobody has all 64");
            let refused = set_inheritable_and_ambient(None, Some(1 << missing), false);
            assert_eq!(refused, Err((missing, Errno(libc::EPERM))));
            assert_eq!(["CapPrm:", "CapEff:", "CapBnd:"].map(shown), before);
            if before[0] & 1 << 8 == 0 {
                // Without CAP_SETPCAP the set cannot be changed; an empty set needs no change.
                if before[2] != 0 {
                    let first = before[2].trailing_zeros();
                    assert_eq!(drop_bounding(0), Err((first, Errno(libc::EPERM))));
                }
                assert_eq!(drop_bounding(before[2]), Ok(()));
                return;
            }
            assert_eq!(drop_bounding(0b110), Ok(()));
            assert_eq!(shown("CapBnd:"), before[2] & 0b110);
            // Permitted capabilities stay until exec, but only those in the bounding set can be inherited.
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
            // A capability that leaves the bounding set is no longer inheritable.
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
