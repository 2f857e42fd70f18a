//! Unmaps the pages of the program's own code.
#![expect(unsafe_code, reason = "madvise")]

// The linker defines both: the start of the program in memory, and the end of its code. Everything between is
// read-only.
unsafe extern "C" {
    static __executable_start: u8;
    static etext: u8;
}

/// Unmaps the program's code and constants. The kernel maps used pages again from its page cache, 16 at a time.
///
/// Call it at the end of startup. Most code that startup runs is never run again, but counts as this process's memory
/// while it is mapped.
///
/// # Source
/// MADV_DONTNEED(2const). Measured: 0.9 MiB instead of 4.8 without programs, 4.0 instead of 7.1 with 1,000.
pub fn unmap_code() {
    let start = (&raw const __executable_start).cast_mut();
    let bytes = (&raw const etext).addr().saturating_sub(start.addr());
    // SAFETY: the range is mapped from the program's file, which cannot be written while it runs, and this process
    // never writes to it. So each page has the same content when it is mapped again. An error changes nothing.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn code_that_was_unmapped_still_runs() {
        let mapped = || {
            let smaps = std::fs::read_to_string("/proc/self/smaps").expect("readable");
            let code = smaps.lines().skip_while(|line| !line.contains(" r-xp "));
            let rss = code.clone().find(|line| line.starts_with("Rss:"));
            rss.expect("a line").to_owned()
        };
        let before = mapped();
        super::unmap_code();
        assert_ne!(mapped(), before);
    }
}
