//! A request: where it comes from, also behind reverse proxies, and what it asks for.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;

use crate::http_server::budget::ConnectionGuard;
use crate::hub::settings::HubSettings;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// A request without its body.
pub(in crate::hub) struct HubRequest {
    pub(in crate::hub) method: Method,
    /// The path below the base path, still percent-encoded.
    pub(in crate::hub) path: String,
    /// The query string, still percent-encoded. Empty: none.
    pub(in crate::hub) query: String,
    pub(in crate::hub) headers: HeaderMap,
    /// Who connected: the client or a reverse proxy.
    pub(in crate::hub) peer: IpAddr,
    /// The client, as a trusted proxy names it.
    pub(in crate::hub) address: IpAddr,
    /// The host that the client asked for. `None`: it named none.
    pub(in crate::hub) host: Option<String>,
    /// Whether the client speaks TLS with a trusted proxy.
    pub(in crate::hub) is_https: bool,
    /// The path above all paths of the hub, without a slash at its end.
    pub(in crate::hub) base_path: String,
    pub(in crate::hub) guard: Arc<ConnectionGuard>,
}

impl HubRequest {
    pub(in crate::hub) fn new(
        head: Parts,
        peer: IpAddr,
        guard: &Arc<ConnectionGuard>,
        settings: &HubSettings,
    ) -> Self {
        let headers = head.headers;
        let is_trusted = settings.trusts_proxy(peer);
        let forwarded = |name: &HeaderName| match is_trusted {
            true => headers.get(name).and_then(|value| value.to_str().ok()),
            false => None,
        };
        let address =
            forwarded(&FORWARDED_FOR).map_or(peer, |list| client_of(list, peer, settings));
        let host = forwarded(&FORWARDED_HOST).map(last_item);
        let host = host.or_else(|| headers.get(header::HOST)?.to_str().ok());
        let host = host.map(str::to_owned);
        let proto = forwarded(&FORWARDED_PROTO).map(last_item);
        let is_https = proto.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let path = head.uri.path();
        let base = settings.base_path.as_str();
        // A proxy may remove the base path or leave it.
        let below = path.strip_prefix(base).filter(|rest| rest.starts_with('/'));
        let path = match below {
            None if path == base => "/",
            None => path,
            Some(below) => below,
        };
        Self {
            method: head.method,
            path: path.to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            peer,
            address: address.to_canonical(),
            host,
            is_https,
            base_path: base.to_owned(),
            guard: guard.clone(),
            headers,
        }
    }

    /// The text of a header. `None`: it is missing or no text.
    pub(in crate::hub) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a cookie. `None`: there is none.
    pub(in crate::hub) fn cookie(&self, name: &str) -> Option<&str> {
        let lines = self.headers.get_all(header::COOKIE).iter();
        let pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'));
        pairs
            .filter_map(|pair| pair.trim().split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

fn last_item(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or(list).trim()
}

/// The client in a list of `X-Forwarded-For`: its last address that is not of a trusted proxy. A client can
/// write any addresses before its own.
fn client_of(list: &str, peer: IpAddr, settings: &HubSettings) -> IpAddr {
    let mut client = peer;
    for item in list.rsplit(',') {
        let Ok(address) = item.trim().trim_matches(['[', ']']).parse() else {
            break;
        };
        client = address;
        if !settings.trusts_proxy(address) {
            break;
        }
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::settings::Network;

    #[test]
    fn the_client_is_the_last_address_that_is_no_proxy() {
        let settings = HubSettings {
            trusted_proxies: vec![Network::parse("10.0.0.0/8").expect("valid")],
            ..HubSettings::default()
        };
        let peer: IpAddr = "10.0.0.1".parse().expect("valid");
        for (list, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("1.2.3.4, unknown", "10.0.0.1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            let client = client_of(list, peer, &settings);
            assert_eq!(client.to_string(), expected, "{list}");
        }
    }
}
