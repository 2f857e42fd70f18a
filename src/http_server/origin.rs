//! Compares the names in `Origin`, `Referer` and `Host`, to tell foreign pages from our own.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap};

/// Whether a browser sends this request on behalf of a foreign page. Programs send no `Origin`.
///
/// With DNS rebinding, an attacker's name is equal in `Origin` and `Host`, so the name must also be one of our own.
// Differs: Supervisor accepts calls from any page that is open in a browser on the host.
pub(crate) fn is_foreign_page(headers: &HeaderMap, own_names: &[String]) -> bool {
    let text = |name| {
        headers
            .get(name)
            .map(|value: &header::HeaderValue| value.to_str().unwrap_or(""))
    };
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site"))
        && !matches!(site, "same-origin" | "none")
    {
        return true;
    }
    let Some(origin) = text(header::ORIGIN) else {
        return false;
    };
    let host = text(header::HOST).unwrap_or("");
    !is_same_authority(origin, host) || !is_own_name(&host_without_port(host), own_names)
}

/// Whether the URL in `Origin` or `Referer` has the same authority as `Host`.
pub(crate) fn is_same_authority(url: &str, host: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let plain = |authority: &str| {
        authority
            .trim_end_matches(default_port)
            .to_ascii_lowercase()
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    plain(authority) == plain(host)
}

/// Removes the port and the brackets from `host:port` or `[::1]:port`.
pub(crate) fn host_without_port(authority: &str) -> String {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => authority.split(':').next().unwrap_or(""),
    };
    host.to_ascii_lowercase()
}

/// Whether `host` can only mean this machine: an IP address, `localhost`, or one of `own_names`.
pub(crate) fn is_own_name(host: &str, own_names: &[String]) -> bool {
    host == "localhost"
        || host.parse::<IpAddr>().is_ok()
        || own_names.iter().any(|name| name == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_pages_are_recognized() {
        let own = ["box".to_owned()];
        let table = [
            (&[][..], false),
            (&[("host", "127.0.0.1:9001")], false),
            (
                &[
                    ("host", "127.0.0.1:9001"),
                    ("origin", "http://127.0.0.1:9001"),
                ],
                false,
            ),
            (&[("host", "Box:80"), ("origin", "http://box")], false),
            (
                &[("host", "[::1]:9001"), ("origin", "http://[::1]:9001")],
                false,
            ),
            (
                &[
                    ("host", "127.0.0.1:9001"),
                    ("origin", "http://127.0.0.1:9002"),
                ],
                true,
            ),
            (
                &[
                    ("host", "127.0.0.1:9001"),
                    ("origin", "https://evil.example"),
                ],
                true,
            ),
            (&[("host", "127.0.0.1:9001"), ("origin", "null")], true),
            (
                &[
                    ("host", "evil.example:9001"),
                    ("origin", "http://evil.example:9001"),
                ],
                true,
            ),
            (&[("origin", "http://127.0.0.1")], true),
            (&[("host", "box"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "box"), ("sec-fetch-site", "same-origin")], false),
        ];
        for (given, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, header::HeaderValue::from_static(value));
            }
            assert_eq!(is_foreign_page(&headers, &own), expected, "{given:?}");
        }
    }
}
