//! The frame of every page.

use maud::{DOCTYPE, Markup, html};

use crate::domain::VERSION;

/// A page with its scripts, which run where a browser runs them; `bar` stands at the top, beside the names.
pub(super) fn framed(title: &str, scripts: &[&str], bar: &Markup, content: &Markup) -> Markup {
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
                footer #footer { "supervisord " (VERSION) }
            }
        }
    }
}

/// A page with little on it.
pub(super) fn plain(title: &str, content: &Markup) -> Markup {
    let content = html! { div.plain { (content) } };
    framed(title, &[], &html! {}, &content)
}
