//! The base URL of a server, and the encoding of query strings and forms.

use hyper::Uri;

/// The base URL of a server: scheme, host, port and context path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// The text, as it was configured.
    pub text: String,
    /// Whether the scheme is https.
    pub is_tls: bool,
    /// The host: a name or an address, the latter without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The value of the header Host.
    pub authority: String,
    /// The context path, without a slash at its end.
    pub context: String,
}

impl ServerUrl {
    /// Parses a base URL.
    ///
    /// # Errors
    /// What is wrong with it, without the URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err("the scheme is neither http nor https".to_owned()),
        };
        let authority = uri.authority().ok_or("it has no host")?;
        if authority.as_str().contains('@') {
            return Err("it contains a user name or a password".to_owned());
        }
        if uri.query().is_some() {
            return Err("it has a query string".to_owned());
        }
        let host = authority.host();
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return Err("it has no host".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            is_tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(match is_tls {
                true => 443,
                false => 80,
            }),
            authority: authority.to_string(),
            context: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// Encodes a text for a query string or a form: all bytes but unreserved characters of RFC 3986.
pub(crate) fn percent_encode(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// Decodes such a text. `+` is a space. `None`: a percent sign without two digits, or not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let value = digit()? << 4 | digit()?;
                u8::try_from(value).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// The fields as a query string or the body of a form.
pub(crate) fn encode_fields<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = fields
        .into_iter()
        .map(|(name, value)| format!("{name}={}", percent_encode(value)))
        .collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed_or_refused() {
        let url = |text: &str| ServerUrl::parse(text).expect("valid");
        let one = url("http://127.0.0.1:8848/nacos");
        assert_eq!((one.is_tls, one.port), (false, 8848));
        assert_eq!((&*one.host, &*one.context), ("127.0.0.1", "/nacos"));
        let two = url("https://[::1]/");
        assert_eq!((two.is_tls, two.port), (true, 443));
        assert_eq!(
            (&*two.host, &*two.authority, &*two.context),
            ("::1", "[::1]", "")
        );
        for wrong in [
            "127.0.0.1:8848",
            "ftp://x/nacos",
            "http://u:secret@x/nacos",
            "http://x/nacos?a=b",
            "http:///nacos",
            "",
            "http://x y/",
        ] {
            let error = ServerUrl::parse(wrong).expect_err(wrong);
            assert!(!error.contains("secret"));
        }
    }

    #[test]
    fn fields_are_encoded_and_decoded() {
        let all: String = (1..0x250).filter_map(char::from_u32).collect();
        assert_eq!(percent_decode(&percent_encode(&all)), Some(all));
        assert_eq!(
            percent_encode("a.b-c_d~\u{1}\u{2} é%+"),
            "a.b-c_d~%01%02%20%C3%A9%25%2B"
        );
        assert_eq!(
            percent_decode("%01%02+%c3%a9"),
            Some("\u{1}\u{2} é".to_owned())
        );
        for wrong in ["%", "%0", "%0g", "%ff"] {
            assert_eq!(percent_decode(wrong), None);
        }
        assert_eq!(encode_fields([("a", "1&2"), ("b", "")]), "a=1%262&b=");
    }
}
