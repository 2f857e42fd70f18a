//! The format of packets.
//!
//! ```text
//! 0        1     2        3   4            8             16
//! version  kind  reason   0   count (LE)   nonce (LE)    name, or the fd holder's pid (4 bytes, LE) in WELCOME
//! ```

use std::fmt;

/// The version of the protocol. HELLO and WELCOME are the same in all versions, so that both sides can compare
/// versions.
pub const VERSION: u8 = 1;
/// The name of the fd holder's process, as argv\[0\].
pub const NAME: &str = "supervisord-fd-holder";
/// The name of the process in older versions. Such a process may still hold the scope.
pub const OLD_NAME: &str = "supervisord-keeper";
/// Maximum length of a name, in bytes of UTF-8. The minimum is one.
pub const NAME_BYTES_MAX: usize = 32;
/// Maximum number of descriptors per name. The minimum is one.
pub const STORE_DESCRIPTORS_MAX: usize = 64;
/// Length of the header before the name.
const HEADER_BYTES: usize = 16;
/// Maximum length of a packet.
pub(super) const PACKET_BYTES_MAX: usize = HEADER_BYTES + NAME_BYTES_MAX;

/// The kind of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum PacketKind {
    /// Ask for version and pid.
    Hello = 1,
    /// Store these descriptors under this name; they replace those it had.
    Store = 2,
    /// Close the descriptors of this name. A missing name is no error.
    Remove = 3,
    /// Send copies of everything.
    List = 4,
    /// Report when everything before this is done.
    Barrier = 5,
    /// Exit.
    Quit = 6,
    /// The answer to Hello: version, pid, number of names.
    Welcome = 129,
    /// One name with its descriptors, for List.
    Item = 130,
    /// The end of a list, with the number of its items.
    End = 131,
    /// The answer to Barrier.
    Done = 132,
    /// A Store or Remove was refused.
    Refused = 133,
    /// This version does not know the request.
    Unknown = 134,
}

impl PacketKind {
    const ALL: [Self; 12] = [
        Self::Hello,
        Self::Store,
        Self::Remove,
        Self::List,
        Self::Barrier,
        Self::Quit,
        Self::Welcome,
        Self::Item,
        Self::End,
        Self::Done,
        Self::Refused,
        Self::Unknown,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RefusalReason {
    /// The name is empty, too long or not UTF-8.
    Name = 1,
    /// No descriptors came with the name, or too many.
    Descriptors = 2,
    /// The fd holder has the maximum number of names.
    Names = 3,
    /// The limit of open files is reached, so some descriptors did not arrive.
    OpenFiles = 4,
}

impl RefusalReason {
    const ALL: [Self; 4] = [Self::Name, Self::Descriptors, Self::Names, Self::OpenFiles];

    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name is empty, too long or not UTF-8",
            Self::Descriptors => "the message has no or too many file descriptors",
            Self::Names => "too many names are stored",
            Self::OpenFiles => "the fd holder reached its limit of open files",
        })
    }
}

/// The fields of one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HolderMessage<'a> {
    pub(super) version: u8,
    /// `None`: a kind of another version.
    pub(super) kind: Option<PacketKind>,
    /// A [`RefusalReason`], or 0.
    pub(super) reason: u8,
    pub(super) count: u32,
    pub(super) nonce: u64,
    pub(super) name: &'a [u8],
}

impl<'a> HolderMessage<'a> {
    pub(super) fn new(kind: PacketKind, nonce: u64) -> Self {
        Self {
            version: VERSION,
            kind: Some(kind),
            reason: 0,
            count: 0,
            nonce,
            name: &[],
        }
    }

    pub(super) fn named(self, name: &'a [u8]) -> Self {
        Self { name, ..self }
    }

    pub(super) fn counted(self, count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self { count, ..self }
    }

    /// Parses a packet. `None`: too short or too long for any version.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (header, name) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [version, kind, reason, _, rest @ ..] = *header;
        let (count, nonce) = rest.split_first_chunk::<4>()?;
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        Some(Self {
            version,
            kind: PacketKind::from_code(kind),
            reason,
            count: u32::from_le_bytes(*count),
            nonce: u64::from_le_bytes(nonce.try_into().ok()?),
            name,
        })
    }

    /// Returns the bytes of the packet. The length of the name is not checked here; the fd holder refuses it.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let kind = self.kind.map_or(0, |kind| kind as u8);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.name.len());
        bytes.extend([self.version, kind, self.reason, 0]);
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.nonce.to_le_bytes());
        bytes.extend(self.name);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_message_reads_back() {
        for kind in PacketKind::ALL {
            let message = HolderMessage {
                reason: 3,
                ..HolderMessage::new(kind, 0x0102_0304_0506_0708)
            }
            .named(b"o17")
            .counted(9);
            let bytes = message.bytes();
            assert_eq!(HolderMessage::read(&bytes), Some(message));
            assert_eq!(bytes[..8], [1, kind as u8, 3, 0, 9, 0, 0, 0]);
            assert_eq!(bytes[8..], *b"\x08\x07\x06\x05\x04\x03\x02\x01o17");
        }
    }

    #[test]
    fn malformed_messages_are_refused_and_newer_versions_recognized() {
        let whole = HolderMessage::new(PacketKind::Store, 1).named(&[b'n'; NAME_BYTES_MAX]);
        let mut bytes = whole.bytes();
        assert_eq!(bytes.len(), PACKET_BYTES_MAX);
        for length in 0..HEADER_BYTES {
            assert_eq!(HolderMessage::read(&bytes[..length]), None);
        }
        bytes.push(b'n');
        assert_eq!(HolderMessage::read(&bytes), None);
        bytes.truncate(HEADER_BYTES);
        bytes[..2].copy_from_slice(&[9, 77]);
        let newer = HolderMessage::read(&bytes).expect("readable");
        assert_eq!((newer.version, newer.kind), (9, None));
    }

    #[test]
    fn reasons_have_their_codes() {
        for reason in RefusalReason::ALL {
            assert_eq!(RefusalReason::from_code(reason as u8), Some(reason));
            assert!(!reason.to_string().is_empty());
        }
        assert_eq!(RefusalReason::from_code(0), None);
    }
}
