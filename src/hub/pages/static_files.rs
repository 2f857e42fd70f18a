//! The static files, and the choice of the language.

use std::sync::Arc;

use hyper::header;

use super::hub_page::{HubPage, Reply, see_other};
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::server::HubContext;
use crate::web::assets::find_asset;
use crate::web::language::choose_language;

/// `GET /stylesheets/{file}`.
pub(super) async fn style_sheet(hub: &Arc<HubContext>, call: Call) -> Reply {
    file(hub, &call, "stylesheets")
}

/// `GET /scripts/{file}`.
pub(super) async fn script(hub: &Arc<HubContext>, call: Call) -> Reply {
    file(hub, &call, "scripts")
}

/// `GET /images/{file}`.
pub(super) async fn image(hub: &Arc<HubContext>, call: Call) -> Reply {
    file(hub, &call, "images")
}

fn file(hub: &HubContext, call: &Call, directory: &str) -> Reply {
    let path = format!("{directory}/{}", call.param("file"));
    let found = find_asset(&path, &call.request.headers, hub.assets_modified);
    found.ok_or_else(ApiError::not_found)
}

/// `POST /language`.
pub(super) async fn language(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let (cookie, location) = choose_language(&page.form).ok_or_else(|| page.not_understood())?;
    Ok(see_other(location).with_header(header::SET_COOKIE, cookie))
}
