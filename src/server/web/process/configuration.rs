//! The configuration with which the process runs: each key with its value and where it is written.

use maud::{Markup, html};

use super::super::page::PROGRAM;
use super::process_page::ProcessPage;
use crate::config::key::SectionKind;
use crate::http_server::percent_encoding::url_quoted;
use crate::server::calls::effective_config::{EffectiveKey, effective_keys};
use crate::web::texts::Text;

pub(super) fn keys(page: &ProcessPage<'_>) -> Markup {
    let details = &page.report.details;
    let all = effective_keys(details, page.rights.configure);
    let (set, defaults): (Vec<_>, Vec<_>) = all.into_iter().partition(|key| key.is_set);
    let template = details.template.as_deref();
    let is_program = template
        .is_some_and(|template| SectionKind::of(&template.section) == Some(SectionKind::Program));
    let edit = template.filter(|_| page.rights.configure && is_program);
    html! {
        section #configuration aria-labelledby="configuration-title" {
            h2 #configuration-title {
                (page.say(Text::Configuration))
                @if let Some(template) = edit {
                    " " a.more href={ (PROGRAM) "?do=edit&name=" (url_quoted(template.program())) } { (page.say(Text::Edit)) }
                }
            }
            (table(page, &set))
            details {
                summary { (page.fill(Text::DefaultKeys, &[&defaults.len()])) }
                (table(page, &defaults))
            }
        }
    }
}

fn table(page: &ProcessPage<'_>, keys: &[EffectiveKey]) -> Markup {
    html! {
        table.plain-table.keys {
            thead { tr {
                th scope="col" { (page.say(Text::ColumnKey)) }
                th scope="col" { (page.say(Text::ColumnValue)) }
                th scope="col" { (page.say(Text::ColumnOrigin)) }
            } }
            tbody {
                @for key in keys {
                    tr.changed[key.is_changed] {
                        th scope="row" { code title=(key.doc) { (key.key) } }
                        td {
                            span.value { (key.value) }
                            @if let Some(expanded) = &key.expanded { span.expanded { "→ " (expanded) } }
                        }
                        td.origin {
                            @match &key.origin {
                                Some((file, line)) => { (file) ":" (line) },
                                None if key.is_set => { (page.say(Text::Unknown)) },
                                None => { (page.say(Text::Default)) },
                            }
                            @if key.is_set && !key.is_changed { " " (page.say(Text::SameAsDefault)) }
                        }
                    }
                }
            }
        }
    }
}
