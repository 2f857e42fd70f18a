//! The activity log: who did what, where, and what came of it.

use std::sync::Arc;

use hyper::StatusCode;
use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::hub_page::{ACTIVITY, HubPage, OPERATIONS, Reply};
use super::lists::{filter_form, filter_of, matches};
use crate::hub::activity::{ActivityEvent, ActivityRecord};
use crate::hub::api::call::Call;
use crate::hub::api::visible_records::visible_records;
use crate::hub::server::HubContext;
use crate::web::frame::SEARCH_KEYS;
use crate::web::texts::Text;

/// Number of records that the page shows.
const RECORDS_SHOWN: usize = 500;

/// The records as a table.
pub(super) fn render_records(page: &HubPage<'_>, records: &[ActivityRecord]) -> Markup {
    let zone = crate::sys::time_zone();
    html! {
        @if records.is_empty() { p.note { (page.say(Text::NoActivity)) } } @else {
            table.plain-table.activity {
                thead { tr {
                    th scope="col" { (page.say(Text::ColumnTime)) }
                    th scope="col" { (page.say(Text::UserName)) }
                    th scope="col" { (page.say(Text::ColumnEvent)) }
                    th scope="col" { (page.say(Text::ColumnResult)) }
                    th scope="col" { (page.say(Text::ColumnAddress)) }
                } }
                tbody { @for record in records { (render_record(record, &zone)) } }
            }
        }
    }
}

fn words(record: &ActivityRecord) -> String {
    let parts = [&record.user, &record.address, &record.text, &record.result];
    parts.map(String::as_str).join(" ").to_lowercase()
}

fn render_record(record: &ActivityRecord, zone: &TimeZone) -> Markup {
    let time = record.time.to_zoned(zone.clone());
    html! {
        tr data-w=(words(record)) {
            td.time { (time.strftime("%Y-%m-%d %H:%M:%S")) }
            td { (record.user) }
            td { (record.text) }
            td class=(if record.is_success() { "met" } else { "unmet" }) { (record.result) }
            td.time { (record.address) }
        }
    }
}

/// `GET /activity/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let filter = filter_of(&page);
    let mut records = visible_records(hub, &call, usize::MAX)?;
    records.retain(|record| matches(&words(record), &filter));
    records.truncate(RECORDS_SHOWN);
    let title = page.say(Text::Activity);
    let content = html! {
        div.tools {
            h1 { (title) }
            a.button href="./" { (page.say(Text::Refresh)) }
            a.button href={ (page.request.root) (OPERATIONS) } { (page.say(Text::Operations)) }
            (filter_form(&page, &filter, Text::FilterActivity))
            @if page.can_manage() {
                form method="post" action={ (page.request.root) "activity/clear" } {
                    (page.token_field())
                    button.clear data-ask=(page.say(Text::ClearActivityQuestion)) { (page.say(Text::ClearActivity)) }
                }
            }
        }
        div #records.live-part data-rows { (render_records(&page, &records)) }
    };
    let frame = page.frame(title, "./").current(ACTIVITY);
    let frame = frame.scripts(&["process.js"], SEARCH_KEYS);
    page.answer(StatusCode::OK, frame, &content)
}

/// `POST /activity/clear`.
pub(super) async fn clear(hub: &Arc<HubContext>, call: Call) -> Reply {
    hub.activity.clear();
    call.record(hub, &ActivityEvent::LogCleared);
    let page = HubPage::new(hub, &call);
    Ok(page.lead_to(ACTIVITY, page.say(Text::ActivityCleared)))
}
