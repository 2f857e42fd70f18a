//! Where users, groups and hosts are looked up.
#![cfg_attr(
    all(target_feature = "crt-static", target_env = "gnu"),
    expect(unsafe_code, reason = "a function of glibc that no crate has")
)]

/// In a static binary: in files, and hosts by DNS too, whatever /etc/nsswitch.conf says. To ask another service, glibc would load
/// its library, and with that a second C library: a static binary crashes in it, for example in libnss_systemd, which most
/// hosts name. Elsewhere nothing changes.
///
/// To be called before the first look-up.
///
/// # Source
/// `__nss_configure_lookup` in glibc's `nss.h`. The crash is that of glibc 2.36 with `passwd: files systemd`.
pub fn use_builtin_services() {
    #[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
    for (base, services) in [
        (c"passwd", c"files"),
        (c"group", c"files"),
        (c"initgroups", c"files"),
        (c"hosts", c"files dns"),
    ] {
        // SAFETY: both are terminated, and live for ever. An unknown base would be EINVAL and change nothing.
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
