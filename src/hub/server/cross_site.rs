//! Refuses requests that a foreign page causes, and requests for a foreign host.

use hyper::header;

use super::request::HubRequest;
use crate::http_server::origin::{host_without_port, is_own_name, is_same_authority};

/// Whether a request names a host that is not this one. With DNS rebinding, a foreign page addresses the hub by a name of its
/// own.
pub(in crate::hub) fn is_foreign_host(request: &HubRequest, own_names: &[String]) -> bool {
    let host = request.host.as_deref().map(host_without_port);
    host.is_some_and(|host| !is_own_name(&host, own_names))
}

/// Whether a browser sends a request on behalf of a page of another site. Programs send neither header.
pub(in crate::hub) fn is_foreign_site(request: &HubRequest) -> bool {
    if let Some(site) = request.header("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return true;
    }
    let Some(origin) = request.headers.get(header::ORIGIN) else {
        return false;
    };
    let host = request.host.as_deref().unwrap_or_default();
    !is_same_authority(origin.to_str().unwrap_or_default(), host)
}
