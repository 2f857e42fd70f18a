//! Chooses the name services for users, groups and hosts.
#![cfg_attr(
    all(target_feature = "crt-static", target_env = "gnu"),
    expect(unsafe_code, reason = "a function of glibc that no crate has")
)]

/// In a static binary, looks up users and groups in files, and hosts in files and DNS, whatever /etc/nsswitch.conf
/// says. For other services glibc would load their library and with it a second C library, which crashes a static
/// binary, for example in libnss_systemd, which most hosts configure. Dynamic binaries are not affected.
///
/// Call it before the first look-up.
///
/// # Source
/// `__nss_configure_lookup` in glibc's `nss.h`. The crash was seen with glibc 2.36 and `passwd: files systemd`.
pub fn use_builtin_services() {
    #[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
    for (base, services) in [
        (c"passwd", c"files"),
        (c"group", c"files"),
        (c"initgroups", c"files"),
        (c"hosts", c"files dns"),
    ] {
        // SAFETY: both strings are terminated and static. An unknown database would be EINVAL and change nothing.
        unsafe { __nss_configure_lookup(base.as_ptr(), services.as_ptr()) };
    }
}

#[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
unsafe extern "C" {
    fn __nss_configure_lookup(
        base: *const libc::c_char,
        services: *const libc::c_char,
    ) -> libc::c_int;
}
