//! The frame common to all pages.

use maud::{DOCTYPE, Markup, html};

use super::action_outcome::is_failure;
use crate::domain::VERSION;

/// A page with its scripts. `bar` is shown at the top, beside the names.
pub(super) fn render_frame(
    title: &str,
    scripts: &[&str],
    bar: &Markup,
    content: &Markup,
) -> Markup {
    render_with_message(title, scripts, bar, content, None)
}

/// Like [`render_frame`], with the message of an action and the address to which the message's close button leads.
pub(super) fn render_with_message(
    title: &str,
    scripts: &[&str],
    bar: &Markup,
    content: &Markup,
    message: Option<(&str, &str)>,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link href="stylesheets/supervisor.css" rel="stylesheet" type="text/css";
                link href="images/icon.png" rel="icon" type="image/png";
                script src="scripts/theme.js" {}
                @for script in scripts {
                    script src={ "scripts/" (script) } defer {}
                }
            }
            body {
                header #header {
                    a.brand href="./" { img src="images/icon.png" alt="" width="22" height="22"; span { "supervisord" } }
                    (bar)
                    button #theme.script type="button" title="Dark or light" { "◐" }
                }
                main #content { (content) }
                (notices(message))
                footer #footer { "supervisord " (VERSION) }
            }
        }
    }
}

/// The message area. It is separate from the table, so that a message never moves a row. It is always present, though
/// empty, so that screen readers announce what appears in it.
fn notices(message: Option<(&str, &str)>) -> Markup {
    let (text, way_on) = message.unwrap_or(("", "./"));
    let is_failure = is_failure(text);
    html! {
        div #notices role="status" aria-live="polite" aria-atomic="false" {
            p #stale hidden {}
            div #notice.failed[is_failure] hidden[text.is_empty()] {
                p #statusmessage.status_msg.failed[is_failure] { (text) }
                a #dismiss href=(way_on) role="button" aria-label="Close the message" title="Close" { "×" }
            }
        }
    }
}

/// A simple page without scripts.
pub(super) fn render_plain(title: &str, content: &Markup) -> Markup {
    let content = html! { div.plain { (content) } };
    render_frame(title, &[], &html! {}, &content)
}
