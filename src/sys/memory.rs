//! Which memory this process keeps.
#![expect(unsafe_code, reason = "mallopt, madvise")]

/// Bytes from which an allocation gets a mapping of its own, which goes back to the kernel when it is freed.
const OWN_MAPPING_BYTES: i32 = 128 << 10;

/// Makes the allocator give memory back: one heap for all threads instead of one per thread, and mappings of their own for
/// large allocations, whatever was freed before. A supervisor is measured by what it keeps when nothing happens, and four
/// threads that rarely allocate at the same time gain nothing from heaps of their own. To be called before there are
/// threads.
///
/// # Source
/// mallopt(3). Measured with 1,000 programs after 500 full listings: 16.0 MB of anonymous memory without it.
pub fn keep_little() {
    for (parameter, value) in [
        (libc::M_ARENA_MAX, 1),
        (libc::M_MMAP_THRESHOLD, OWN_MAPPING_BYTES),
        (libc::M_TRIM_THRESHOLD, OWN_MAPPING_BYTES),
    ] {
        // SAFETY: no memory is involved; an unknown parameter is refused. Nobody else is in the allocator yet.
        unsafe { libc::mallopt(parameter, value) };
    }
}

/// Gives free memory back to the kernel, between allocations that live on too. For the moments after something large and
/// short-lived, such as reading a configuration: a thousand programs leave 2.5 MB behind.
///
/// # Source
/// malloc_trim(3).
pub fn give_back() {
    // SAFETY: it only looks at free memory, under the allocator's own lock.
    unsafe { libc::malloc_trim(0) };
}

// The linker defines both: where the program begins in memory, and where its code ends. All between is read-only.
unsafe extern "C" {
    static __executable_start: u8;
    static etext: u8;
}

/// Unmaps the program's code and constants. The kernel maps again what is used, from its page cache, 16 pages at a time.
///
/// For the moment when the start is over: most of the code that a start runs is never run again, but counts as memory of
/// this process for as long as it is mapped.
///
/// # Source
/// MADV_DONTNEED(2const). Measured: 1.9 MiB of 4.4.
pub fn unmap_code() {
    let start = (&raw const __executable_start).cast_mut();
    let bytes = (&raw const etext).addr().saturating_sub(start.addr());
    // SAFETY: the range is mapped from the program's file, which cannot be written while it runs, and this process never
    // writes to it. So each page has the same content when it is mapped again. An error changes nothing.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) };
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_large_allocation_still_works() {
        super::keep_little();
        super::give_back();
        assert_eq!(vec![1_u8; 1 << 20].len(), 1 << 20);
    }

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
