//! The log of a process of a host: the page, and its end as a file.

use std::sync::Arc;

use hyper::{StatusCode, header};
use maud::html;

use super::hub_page::{HubPage, Reply};
use super::node::{namespec_of, node_of};
use super::outcome::failure_text;
use crate::api::FaultCode;
use crate::domain::Channel;
use crate::hub::activity::ActivityEvent;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::node::{ActionError, LOG_BYTES_MAX, LogRange, NodeState, NodeView};
use crate::hub::server::{HttpResponse, HubContext};
use crate::web::log_view::{
    LogExcerpt, LogPart, LogQuery, LogSubject, StreamChoice, choose_streams, render_log,
};
use crate::web::styled_text::StyledText;
use crate::web::table::clear_question;
use crate::web::texts::Text;

/// The code of XML-RPC for a process without a log file.
const NO_FILE: i64 = FaultCode::NoFile.code() as i64;

/// `GET /nodes/{node}/tail.html`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let node = node_of(&page)?;
    let name = namespec_of(&page, &node, page.field("processname"))?;
    let language = page.language();
    let query = LogQuery::of(&page.form);
    let asked = StreamChoice::of(&page.form);
    let bytes = u32::try_from(query.limit).unwrap_or(u32::MAX);
    let read = async |channel: Channel| {
        let range = LogRange::Last(bytes.min(LOG_BYTES_MAX));
        let part = hub.fleet.log(&node.name, &name, channel, range).await;
        part.map(|part| {
            let excerpt = LogExcerpt {
                text: StyledText::parse(&part.text),
                end: part.end,
                ..LogExcerpt::default()
            };
            LogPart::of_process(&name, channel, excerpt)
        })
    };
    let (stdout, stderr) = tokio::join!(read(Channel::Stdout), read(Channel::Stderr));
    let mut subject = LogSubject::of_process(&name, asked);
    match choose_streams(asked, stdout, stderr) {
        Ok(shown) => {
            subject.choice = Some(shown.choice);
            subject.parts = shown.parts;
            subject.note = subject.note_of_streams();
            let (node, process) = (node.name.to_string(), name.clone());
            call.record(hub, &ActivityEvent::LogRead { node, process });
        }
        Err(error) => {
            let text = match &error {
                ActionError::Fault { code: NO_FILE, .. } => page.fill(Text::NoFileFor, &[&name]),
                other => page.fill(Text::ErrorMessage, &[&failure_text(other, language)]),
            };
            let excerpt = LogExcerpt::message(&text);
            subject.parts = vec![LogPart::of_process(&name, Channel::Stdout, excerpt)];
        }
    }
    if page.can_act() && node.state == NodeState::Connected {
        let (group, process) = name.split_once(':').unwrap_or((&name, &name));
        let ask = clear_question(process, group, language);
        subject.clear = Some((format!("clear {name}"), ask));
        subject.restart = Some(format!("restart {name}"));
    }
    let bar = html! { span.host { a href="./" { (node.name) } } };
    let title = page.fill(Text::LogOnHost, &[&name, &node.name]);
    let frame = page.frame(title, "./").bar(&bar);
    let html = render_log(frame, &page.token, &subject, &query, language);
    Ok(page.html(StatusCode::OK, html))
}

/// `GET /nodes/{node}/logfile`.
pub(super) async fn download(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let node = node_of(&page)?;
    let name = namespec_of(&page, &node, page.field("processname"))?;
    let channel = channel_named(&page, page.field("channel"))?;
    let text = read_end(&page, &node, &name, channel).await?;
    let (node_name, process) = (node.name.to_string(), name.clone());
    call.record(
        hub,
        &ActivityEvent::LogRead {
            node: node_name,
            process,
        },
    );
    let file = file_name(&format!("{}-{name}-{}", node.name, channel.name()));
    let disposition = format!("attachment; filename=\"{file}.log\"");
    Ok(
        HttpResponse::new(StatusCode::OK, "text/plain;charset=utf-8", text)
            .with_header(header::CONTENT_DISPOSITION, disposition),
    )
}

/// The stream with this name.
///
/// # Errors
/// 400: there is none.
pub(super) fn channel_named(page: &HubPage<'_>, name: &str) -> Result<Channel, ApiError> {
    match name {
        "stdout" => Ok(Channel::Stdout),
        "stderr" => Ok(Channel::Stderr),
        _ => Err(page.not_understood()),
    }
}

async fn read_end(
    page: &HubPage<'_>,
    node: &NodeView,
    name: &str,
    channel: Channel,
) -> Result<String, ApiError> {
    let range = LogRange::Last(LOG_BYTES_MAX);
    let part = page.hub.fleet.log(&node.name, name, channel, range).await;
    match part {
        Ok(part) => Ok(part.text),
        Err(ActionError::Fault { code: NO_FILE, .. }) => {
            Err(ApiError::unknown(page.fill(Text::NoFileFor, &[&name])))
        }
        Err(error) => Err(ApiError::new(
            StatusCode::BAD_GATEWAY,
            failure_text(&error, page.language()),
        )),
    }
}

/// A name without characters that mean something in a header or in a path.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    name.chars()
        .take(200)
        .map(|c| if plain(c) { c } else { '_' })
        .collect()
}
