//! Checks the text of an item that a server gave.

use md5::{Digest as _, Md5};

use super::super::protocol::{FailureKind, ItemFailure, ItemText, TEXT_BYTES_MAX};
use super::failure::failure;

/// The types that a server accepts in a publish. Others are published as text.
const TYPES: [&str; 7] = ["text", "json", "xml", "yaml", "html", "properties", "toml"];

/// What a server has of an item that exists.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum ItemRead {
    /// A text.
    Text(ItemText, ItemType),
    /// Something that is no configuration text: it is empty, too large or not UTF-8.
    Unusable {
        failure: ItemFailure,
        /// Its MD5.
        md5: String,
    },
}

impl ItemRead {
    /// The text.
    ///
    /// # Errors
    /// It is not usable.
    pub(in super::super) fn into_text(self) -> Result<ItemText, ItemFailure> {
        match self {
            Self::Text(text, _) => Ok(text),
            Self::Unusable { failure, .. } => Err(failure),
        }
    }
}

/// The type of an item, which a publish keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct ItemType(pub(super) &'static str);

impl ItemType {
    /// The type with this name. An unknown or missing one is `text`.
    pub(super) fn named(name: Option<&str>) -> Self {
        let known = TYPES.iter().find(|known| name == Some(**known));
        Self(known.copied().unwrap_or(TYPES[0]))
    }
}

/// The MD5 of these bytes in lower-case hexadecimal digits.
pub(super) fn md5_of(bytes: &[u8]) -> String {
    format!("{:x}", Md5::digest(bytes))
}

/// Checks the bytes of an item. `stated_md5`: the MD5 that the answer states.
///
/// # Errors
/// `Away`: the bytes do not have the stated MD5, so they were damaged or cut on the way.
pub(super) fn check_text(
    server: &str,
    bytes: Vec<u8>,
    stated_md5: Option<&str>,
    item_type: ItemType,
) -> Result<ItemRead, ItemFailure> {
    let md5 = md5_of(&bytes);
    // Something else than an MD5 states nothing.
    let stated = stated_md5.filter(|stated| stated.len() == md5.len());
    if stated.is_some_and(|stated| !stated.eq_ignore_ascii_case(&md5)) {
        let reason = "the text is damaged: it does not have the MD5 that the server states";
        return Err(failure(FailureKind::Away, server, reason));
    }
    let unusable = |reason: &str, md5: String| {
        let failure = failure(FailureKind::Unusable, server, reason);
        Ok(ItemRead::Unusable { failure, md5 })
    };
    if bytes.is_empty() {
        return unusable("the item is empty", md5);
    }
    if bytes.len() > TEXT_BYTES_MAX {
        let reason = format!("the item is larger than {TEXT_BYTES_MAX} bytes");
        return unusable(&reason, md5);
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return unusable("the item is not UTF-8", md5);
    };
    let text = ItemText {
        text,
        md5,
        server: server.to_owned(),
    };
    Ok(ItemRead::Text(text, item_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], stated: Option<&str>) -> Result<ItemRead, ItemFailure> {
        check_text("http://x", bytes.to_vec(), stated, ItemType::named(None))
    }

    fn unusable(bytes: &[u8]) -> String {
        match check(bytes, None) {
            Ok(ItemRead::Unusable { failure, md5 }) => {
                assert_eq!(failure.kind, FailureKind::Unusable);
                assert_eq!(md5, md5_of(bytes));
                failure.message
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn texts_have_the_md5_of_their_utf_8() {
        let text = check("é\r\n%%".as_bytes(), None)
            .and_then(ItemRead::into_text)
            .expect("usable");
        assert_eq!(text.text, "é\r\n%%");
        assert_eq!(text.md5, md5_of("é\r\n%%".as_bytes()));
        assert_eq!(md5_of(b""), "d41d8cd98f00b204e9800998ecf8427e");
    }

    #[test]
    fn a_text_without_its_md5_is_damaged() {
        let md5 = md5_of(b"abc");
        assert!(check(b"abc", Some(&md5)).is_ok());
        assert!(check(b"abc", Some(&md5.to_uppercase())).is_ok());
        assert!(check(b"abc", Some("none")).is_ok());
        let damaged = check(b"ab", Some(&md5)).expect_err("cut");
        assert_eq!(damaged.kind, FailureKind::Away);
    }

    #[test]
    fn what_is_no_text_is_unusable() {
        assert_eq!(unusable(b""), "http://x: the item is empty");
        assert_eq!(unusable(b"\xff"), "http://x: the item is not UTF-8");
        assert!(unusable(&vec![b'x'; TEXT_BYTES_MAX + 1]).contains("larger than 1048576"));
    }

    #[test]
    fn types_are_kept_if_a_publish_accepts_them() {
        assert_eq!(ItemType::named(Some("properties")).0, "properties");
        assert_eq!(ItemType::named(Some("unset")).0, "text");
        assert_eq!(ItemType::named(None).0, "text");
    }
}
