//! The message of a cloned child that cannot execute its program. The rules of `child.rs` apply: no allocation, no
//! lock, no panic.

use super::capabilities;
use crate::domain::{Capabilities, Errno};

/// The parts of a message that follow "supervisor: couldn't ".
pub(super) type ChildMessage<'a> = [&'a [u8]; 5];

/// The message about an action that failed with an errno.
pub(super) fn errno_message(action: &'static [u8]) -> impl Fn(Errno) -> ChildMessage<'static> {
    move |errno| [action, b": ", errno.name().as_bytes(), b"", b""]
}

/// The suffix of a message that names the missing privilege. Empty if the errno has another cause.
pub(super) fn missing_right(errno: Errno, right: &'static str) -> &'static [u8] {
    match errno {
        Errno(libc::EPERM | libc::EACCES) => right.as_bytes(),
        _ => b"",
    }
}

/// The message about one capability.
pub(super) fn capability_message(
    verb: &'static [u8],
    key: &'static [u8],
    (number, errno): capabilities::CapabilityError,
) -> ChildMessage<'static> {
    let name = Capabilities::name_of(number).as_bytes();
    [verb, name, key, b": ", errno.name().as_bytes()]
}
