//! Logging in and out.

use std::sync::Arc;

use hyper::{StatusCode, header};
use maud::html;

use super::hub_page::{HubPage, Reply};
use crate::hub::api::call::Call;
use crate::hub::api::session::{self, LoginError};
use crate::hub::server::HubContext;
use crate::web::texts::Text;

/// `GET /login/`.
pub(super) async fn login_page(hub: &Arc<HubContext>, call: Call) -> Reply {
    form(&HubPage::new(hub, &call), StatusCode::OK, None)
}

/// The form. `problem`: why the last attempt failed.
fn form(page: &HubPage<'_>, status: StatusCode, problem: Option<String>) -> Reply {
    let title = page.say(Text::LogIn);
    let content = html! {
        div.plain {
            h1 { (title) }
            @if let Some(problem) = &problem { p.problem role="alert" { (problem) } }
            form.stacked #login method="post" action="./" {
                input type="hidden" name="back" value=(page.field("back"));
                label { (page.say(Text::UserName)) input type="text" name="username" value=(page.field("username")) autocomplete="username" autocapitalize="none" required autofocus; }
                label { (page.say(Text::Password)) input type="password" name="password" autocomplete="current-password" required; }
                button.primary { (title) }
            }
        }
    };
    page.answer(status, page.frame(title, "./"), &content)
}

/// `POST /login/`.
pub(super) async fn log_in(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let password = page.form.get("password").unwrap_or_default();
    match session::log_in(hub, &call.request, page.field("username"), password).await {
        Ok(logged_in) => {
            // What the dot begins is below the root, whatever follows.
            let back = match logged_in.must_change_password {
                true => "profile/".to_owned(),
                false => format!("./{}", page.field("back")),
            };
            let answer = page.lead_to(&back, "");
            Ok(answer.with_header(header::SET_COOKIE, logged_in.cookie))
        }
        Err(LoginError::Wrong) => {
            let problem = page.say(Text::WrongLogin).to_owned();
            form(&page, StatusCode::FORBIDDEN, Some(problem))
        }
        Err(LoginError::TooMany(seconds)) => {
            let problem = page.fill(Text::TooManyLogins, &[&seconds]);
            let answer = form(&page, StatusCode::TOO_MANY_REQUESTS, Some(problem))?;
            Ok(answer.with_header(header::RETRY_AFTER, seconds.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /logout/`.
pub(super) async fn log_out(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let answer = page.lead_to("login/", "");
    Ok(match session::log_out(hub, &call).await? {
        Some(cookie) => answer.with_header(header::SET_COOKIE, cookie),
        // A reverse proxy has logged the user in, and must log the user out.
        None => page.lead_to("", page.say(Text::LogOutAtProxy)),
    })
}
