//! A part of a log file of a node.

/// Maximum number of bytes of one part.
pub const LOG_BYTES_MAX: u32 = 1 << 20;

/// Which part of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRange {
    /// The last bytes, at most this number.
    Last(u32),
    /// What was written after an offset, its last bytes if there are more than this number.
    After {
        /// [`LogPart::end`] of an earlier part.
        offset: u64,
        /// Maximum number of bytes.
        bytes: u32,
    },
}

/// A part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// The text. Bytes that are not UTF-8 are replaced. It may contain control characters.
    pub text: String,
    /// The offset behind the part. `None`: the node did not say (the Go project).
    pub end: Option<u64>,
    /// Bytes before the part were left out.
    pub is_cut: bool,
}
