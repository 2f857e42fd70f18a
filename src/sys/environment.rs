//! The environment of the daemon itself.
#![expect(unsafe_code, reason = "setenv, which must not race with other threads")]

/// Sets a variable in the environment of this process.
///
/// # Panics
/// Another thread exists, which could read the environment at the same time; or the name is empty or contains `=` or
/// NUL.
pub fn set_environment_variable(name: &str, value: &std::ffi::OsStr) {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    assert_eq!(
        threads, 1,
        "the environment is only changed before threads exist"
    );
    // SAFETY: no other thread exists.
    unsafe { std::env::set_var(name, value) };
}
