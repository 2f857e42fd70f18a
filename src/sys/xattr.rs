//! Copies the extended attributes of a file, among which are its access control list and its security label.
#![expect(unsafe_code, reason = "the calls for extended attributes")]

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd as _, OwnedFd};

use crate::domain::Errno;

/// The attribute with the access control list.
const ACCESS_LIST: &CStr = c"system.posix_acl_access";

/// Gives a new file the extended attributes of another one. The new file may have inherited an access control list from
/// its directory; it goes if the other file has none. Attributes of the kernel's security modules are copied as far as
/// the kernel permits, because it labels new files itself.
///
/// # Errors
/// ENOSPC, EPERM, …
///
/// # Source
/// xattr(7), acl(5).
pub(super) fn copy_attributes(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let names = match names(from) {
        Err(Errno(libc::ENOTSUP)) => return Ok(()),
        names => names?,
    };
    if !names.iter().any(|name| name.as_c_str() == ACCESS_LIST) {
        // SAFETY: the descriptor is open, and the name ends in a zero byte.
        let removed = unsafe { libc::fremovexattr(to.as_raw_fd(), ACCESS_LIST.as_ptr()) };
        match checked(removed as isize) {
            Ok(_) | Err(Errno(libc::ENODATA | libc::ENOTSUP)) => {}
            Err(error) => return Err(error),
        }
    }
    for name in &names {
        let is_of_kernel = !name.as_bytes().starts_with(b"user.") && name.as_c_str() != ACCESS_LIST;
        match copy_attribute(from, to, name) {
            Err(Errno(libc::EPERM | libc::EACCES | libc::ENOTSUP | libc::EINVAL))
                if is_of_kernel => {}
            result => result?,
        }
    }
    Ok(())
}

fn copy_attribute(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let value = read_all(|buffer| {
        // SAFETY: the descriptor is open, the name ends in a zero byte, and the buffer is writable for its length.
        unsafe {
            libc::fgetxattr(
                from.as_raw_fd(),
                name.as_ptr(),
                buffer.as_mut_ptr().cast(),
                buffer.len(),
            )
        }
    });
    let value = match value {
        // Another process removed it meanwhile.
        Err(Errno(libc::ENODATA)) => return Ok(()),
        value => value?,
    };
    // SAFETY: the descriptor is open, the name ends in a zero byte, and the value is readable for its length.
    let result = unsafe {
        libc::fsetxattr(
            to.as_raw_fd(),
            name.as_ptr(),
            value.as_ptr().cast(),
            value.len(),
            0,
        )
    };
    checked(result as isize).map(|_| ())
}

/// The names of the attributes of a file.
fn names(file: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let list = read_all(|buffer| {
        // SAFETY: the descriptor is open, and the buffer is writable for its length.
        unsafe { libc::flistxattr(file.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) }
    })?;
    let names = list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

/// Calls with a buffer of the size that the kernel asks for, which may grow between two calls.
fn read_all(call: impl Fn(&mut [u8]) -> isize) -> Result<Vec<u8>, Errno> {
    loop {
        let size = checked(call(&mut []))?;
        let mut buffer = vec![0; size];
        if size == 0 {
            return Ok(buffer);
        }
        match checked(call(&mut buffer)) {
            Err(Errno(libc::ERANGE)) => {}
            len => {
                buffer.truncate(len?);
                return Ok(buffer);
            }
        }
    }
}

fn checked(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| Errno::from(&std::io::Error::last_os_error()))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const NOTE: &CStr = c"user.note";

    /// Sets an attribute. False: the file system has no such attributes.
    fn set(file: &OwnedFd, name: &CStr, value: &[u8]) -> bool {
        // SAFETY: the descriptor is open, the name ends in a zero byte, and the value is readable for its length.
        let result = unsafe {
            libc::fsetxattr(
                file.as_raw_fd(),
                name.as_ptr(),
                value.as_ptr().cast(),
                value.len(),
                0,
            )
        };
        match checked(result as isize) {
            Err(Errno(libc::ENOTSUP)) => false,
            result => result.is_ok(),
        }
    }

    fn get(file: &OwnedFd, name: &CStr) -> Option<Vec<u8>> {
        let value = read_all(|buffer| {
            // SAFETY: the descriptor is open, the name ends in a zero byte, and the buffer is writable for its length.
            unsafe {
                libc::fgetxattr(
                    file.as_raw_fd(),
                    name.as_ptr(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                )
            }
        });
        value.ok()
    }

    /// An access control list: the owner reads and writes, and so does user 65534; nobody else has access.
    fn access_list() -> Vec<u8> {
        const NO_ID: u32 = u32::MAX;
        let entries: [(u16, u16, u32); 5] = [
            (1, 6, NO_ID),
            (2, 6, 65_534),
            (4, 0, NO_ID),
            (0x10, 6, NO_ID),
            (0x20, 0, NO_ID),
        ];
        let mut bytes = 2_u32.to_le_bytes().to_vec();
        for (tag, rights, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(rights.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn attributes_and_access_lists_are_copied_or_removed() {
        let path = |name: &str| {
            let name = format!("supervisord-xattr-{name}-{}", std::process::id());
            std::env::temp_dir().join(name)
        };
        let open = |name: &str| OwnedFd::from(File::create(path(name)).expect("created"));
        let (from, to) = (open("from"), open("to"));
        let has_note = set(&from, NOTE, b"text");
        let has_list = set(&from, ACCESS_LIST, &access_list());
        assert_eq!(copy_attributes(&from, &to), Ok(()));
        assert_eq!(get(&to, NOTE), has_note.then(|| b"text".to_vec()));
        assert_eq!(get(&to, ACCESS_LIST), has_list.then(access_list));
        let plain = open("plain");
        assert_eq!(copy_attributes(&plain, &to), Ok(()));
        assert_eq!(get(&to, ACCESS_LIST), None);
        for name in ["from", "to", "plain"] {
            std::fs::remove_file(path(name)).expect("removed");
        }
    }
}
