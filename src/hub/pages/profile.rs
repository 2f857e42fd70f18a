//! The own account: role, limits, password and tokens.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::hub_page::{HubPage, Reply, role_text};
use super::users::limits_text;
use crate::hub::api::call::Call;
use crate::hub::api::session::{PasswordError, change_own_password};
use crate::hub::server::{HubContext, LoginProof};
use crate::web::texts::Text;

/// `GET /profile/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    show(&HubPage::new(hub, &call), StatusCode::OK, None)
}

/// The page. `problem`: why the password was not changed.
fn show(page: &HubPage<'_>, status: StatusCode, problem: Option<String>) -> Reply {
    let user = page.call.user()?;
    let title = page.say(Text::OwnAccount);
    let content = html! {
        div.process {
            header #state { h1 { (user.name) } span.word { (page.say(role_text(user.role))) } }
            p.note { (limits_text(page, &user.limits)) }
            @if user.proof == LoginProof::RemoteUser {
                p.note { (page.say(Text::PasswordAtProxy)) }
            }
            (password_form(page, problem.as_deref()))
            p { a href={ (page.request.root) "about/" } { (page.say(Text::About)) } }
            p.note { (page.say(Text::TokensHint)) " " code { "POST /api/v1/tokens" } }
        }
    };
    page.answer(status, page.frame(title, "./"), &content)
}

fn password_form(page: &HubPage<'_>, problem: Option<&str>) -> Markup {
    let field = |label, name, kind| {
        html! { label { (page.say(label)) input type="password" name=(name) autocomplete=(kind) required; } }
    };
    html! {
        section.card aria-labelledby="password-title" {
            h2 #password-title { (page.say(Text::ChangePassword)) }
            @if let Some(problem) = problem { p.problem role="alert" { (problem) } }
            form.stacked method="post" action={ (page.request.root) "profile/" } {
                (page.token_field())
                // For programs that keep passwords.
                input type="text" value=(page.user()) autocomplete="username" readonly hidden;
                (field(Text::OldPassword, "old", "current-password"))
                (field(Text::NewPassword, "new", "new-password"))
                (field(Text::NewPasswordAgain, "again", "new-password"))
                button.primary { (page.say(Text::ChangePassword)) }
            }
        }
    }
}

/// `POST /profile/`.
pub(super) async fn change_password(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let value = |name| page.form.get(name).unwrap_or_default();
    if value("new") != value("again") || value("new").is_empty() {
        let problem = page.say(Text::PasswordsDiffer).to_owned();
        return show(&page, StatusCode::BAD_REQUEST, Some(problem));
    }
    let problem = match change_own_password(hub, &call, value("old"), value("new")).await {
        Ok(()) => return Ok(page.lead_to("", page.say(Text::PasswordChanged))),
        Err(PasswordError::OldWrong) => page.say(Text::OldPasswordWrong).to_owned(),
        Err(PasswordError::TooLong) => page.say(Text::PasswordTooLong).to_owned(),
        Err(PasswordError::Known) => page.say(Text::PasswordKnown).to_owned(),
        Err(PasswordError::TooMany(seconds)) => page.fill(Text::TooManyLogins, &[&seconds]),
        Err(error) => return Err(error.into()),
    };
    show(&page, StatusCode::BAD_REQUEST, Some(problem))
}
