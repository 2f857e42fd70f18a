//! The capabilities of this process, from the package `caps`. It allocates, so a child before its exec uses
//! `capabilities.rs` instead.

use std::io;

use caps::CapSet;

use crate::domain::Capabilities;

/// The effective capabilities of the calling thread, without those that have no name.
///
/// # Errors
/// A system call filter refuses the call.
pub fn own_capabilities() -> io::Result<Capabilities> {
    read_set(CapSet::Effective)
}

/// The capabilities that the calling thread has, can make effective, or could inherit to a program: its permitted and its
/// inheritable set, which the effective and the ambient set are parts of.
///
/// # Errors
/// A system call filter refuses the call.
pub fn held_capabilities() -> io::Result<Capabilities> {
    Ok(read_set(CapSet::Permitted)?.with(read_set(CapSet::Inheritable)?))
}

fn read_set(set: CapSet) -> io::Result<Capabilities> {
    let set = caps::read(None, set).map_err(io::Error::other)?;
    let bits = set.iter().fold(0, |bits, one| bits | one.bitmask());
    Ok(Capabilities::from_bits(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_caps() {
        let known = caps::all();
        assert_eq!(known.len(), Capabilities::all_names().count());
        for capability in known {
            let name = capability.to_string();
            let number = u32::from(capability.index());
            let bits = Capabilities::named(&name).map(Capabilities::bits);
            assert_eq!(bits, Some(1 << number), "{name}");
            assert_eq!(Capabilities::name_of(number), name.to_lowercase());
        }
    }

    #[test]
    fn the_set_is_the_kernels() {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let bits = u64::from_str_radix(line.expect("field").trim(), 16).expect("hexadecimal");
        let own = own_capabilities().expect("allowed");
        assert_eq!(own, Capabilities::from_bits(bits));
    }
}
