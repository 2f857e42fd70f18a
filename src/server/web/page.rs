//! The addresses of the pages, and their frame.

use hyper::http::request::Parts;

use crate::http_server::percent_encoding::url_quoted;
use crate::web::frame::{Frame, Site};
use crate::web::language::PageRequest;
use crate::web::texts::{SCRIPT_TEXTS, Text};

/// What all pages of the daemon have in common.
pub(super) static SITE: Site<'_> = Site {
    name: "supervisord",
    navigation: &NAVIGATION,
    script_texts: &[SCRIPT_TEXTS],
};

/// The request of a page.
pub(super) fn page_request(head: &Parts) -> PageRequest {
    let query = head.uri.query().unwrap_or("");
    PageRequest::new(head.uri.path(), query, &head.headers)
}

/// The frame of a page.
pub(super) fn frame(request: &PageRequest, title: impl Into<String>) -> Frame<'_> {
    Frame::new(&SITE, request, title)
}

/// The pages that every page links to: address and name.
const NAVIGATION: [(&str, Text); 4] = [
    (STATUS, Text::Processes),
    (PROGRAMS, Text::Programs),
    (NACOS, Text::NacosConfiguration),
    (DAEMON_LOG, Text::DaemonLog),
];

/// The address of the status page.
pub(super) const STATUS: &str = "./";
/// The address of the list of programs in the configuration.
pub(super) const PROGRAMS: &str = "programs.html";
/// The address of the form for one program.
pub(super) const PROGRAM: &str = "program.html";
/// The address of the page of one process.
pub(super) const PROCESS: &str = "process.html";
/// The address of the page of one group.
pub(super) const GROUP: &str = "group.html";
/// The address of the page of a process with this name.
pub(super) fn process_address(name: &str) -> String {
    format!("{PROCESS}?name={}", url_quoted(name))
}

/// The address of the page of a group with this name.
pub(super) fn group_address(name: &str) -> String {
    format!("{GROUP}?name={}", url_quoted(name))
}

/// The address of the page with the plan of an update.
pub(super) const UPDATE: &str = "update.html";
/// The address of the page of the Nacos server.
pub(super) const NACOS: &str = "nacos.html";
/// The address of earlier versions of the item of the Nacos server.
pub(super) const VERSIONS: &str = "versions.html";
/// The address of the daemon's log.
pub(super) const DAEMON_LOG: &str = "maintail.html?limit=65536";
