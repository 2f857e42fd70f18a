//! The version of the hub, and where to read more.

use std::sync::Arc;

use hyper::StatusCode;
use maud::html;

use super::hub_page::{HubPage, Reply};
use crate::domain::VERSION;
use crate::hub::api::call::Call;
use crate::hub::server::HubContext;
use crate::web::texts::Text;

/// `GET /about/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let title = page.say(Text::About);
    let root = &page.request.root;
    let content = html! {
        h1 { "supervisord-hub " (VERSION) }
        p { (page.say(Text::AboutHint)) }
        ul {
            li { a href={ (root) "api/v1/openapi.json" } { (page.say(Text::InterfaceDescription)) } }
            li { a href={ (root) "api/v1/sd" } { (page.say(Text::PrometheusTargets)) } }
            li { code { "man 8 supervisord-hub" } }
        }
    };
    let content = html! { div.plain { (content) } };
    page.answer(StatusCode::OK, page.frame(title, "./"), &content)
}
