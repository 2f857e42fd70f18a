//! The users, for admins.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::hub_page::{HubPage, Reply, USERS, role_text};
use super::lists::{filter_form, filter_of, matches};
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::api::manage_users::{UserChange, change_user, create_user, remove_user};
use crate::hub::server::HubContext;
use crate::hub::users::{AccessLimits, Role, User, check_user_name};
use crate::web::frame::SEARCH_KEYS;
use crate::web::texts::Text;

/// The user whom nobody can delete, as in Cesi.
const KEPT: &str = "admin";
const ROLES: [Role; 3] = [Role::Viewer, Role::Operator, Role::Admin];

/// What a user may reach, in words.
pub(super) fn limits_text(page: &HubPage<'_>, limits: &AccessLimits) -> String {
    let part = |text: Text, patterns: &[String]| match patterns {
        [] => None,
        patterns => Some(page.fill(text, &[&patterns.join(", ")])),
    };
    let parts = [
        part(Text::OnlyEnvironments, &limits.environments),
        part(Text::OnlyGroups, &limits.groups),
    ];
    match parts.into_iter().flatten().collect::<Vec<_>>().join("; ") {
        all if all.is_empty() => page.say(Text::NoLimits).to_owned(),
        limits => limits,
    }
}

/// `GET /users/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    show(&HubPage::new(hub, &call), StatusCode::OK, None)
}

/// The page. `problem`: why nothing was changed.
fn show(page: &HubPage<'_>, status: StatusCode, problem: Option<&str>) -> Reply {
    let users = page.hub.users.all();
    let filter = filter_of(page);
    let title = page.say(Text::Users);
    let content = html! {
        div.tools { h1 { (title) } (filter_form(page, &filter, Text::FilterUsers)) }
        @if let Some(problem) = problem { p.problem role="alert" { (page.say(Text::NotDone)) ": " (problem) } }
        div #users data-rows {
            table.plain-table {
                thead { tr {
                    th scope="col" { (page.say(Text::UserName)) }
                    th scope="col" { (page.say(Text::ColumnRole)) }
                    th scope="col" { (page.say(Text::ColumnLimits)) }
                    @if page.can_manage() { th scope="col" { (page.say(Text::ColumnAction)) } }
                } }
                tbody { @for user in users.iter() {
                    @let words = format!("{} {}", user.name, page.say(role_text(user.role))).to_lowercase();
                    tr data-w=(words) hidden[!matches(&words, &filter)] {
                        th scope="row" { (user.name) }
                        td {
                            (page.say(role_text(user.role)))
                            @if user.must_change_password { " " span.word.red { (page.say(Text::DefaultPassword)) } }
                        }
                        td { (limits_text(page, &user.limits)) }
                        @if page.can_manage() { td { (change_form(page, user)) } }
                    }
                } }
            }
        }
        @if page.can_manage() { (add_form(page)) }
    };
    let frame = page.frame(title, "./").current(USERS);
    let frame = frame.scripts(&["process.js"], SEARCH_KEYS);
    page.answer(status, frame, &content)
}

/// The fields for the role and the limits.
fn fields(page: &HubPage<'_>, role: Role, limits: &AccessLimits) -> Markup {
    html! {
        label { (page.say(Text::ColumnRole)) select name="role" {
            @for offered in ROLES {
                option value=(offered) selected[offered == role] { (page.say(role_text(offered))) }
            }
        } }
        label { (page.say(Text::LimitEnvironments)) input type="text" name="environments" value=(limits.environments.join(", ")) placeholder="prod*, test" autocomplete="off"; }
        label { (page.say(Text::LimitGroups)) input type="text" name="groups" value=(limits.groups.join(", ")) placeholder="web*" autocomplete="off"; }
    }
}

fn change_form(page: &HubPage<'_>, user: &User) -> Markup {
    html! {
        details {
            summary { (page.say(Text::Edit)) }
            form.stacked method="post" action={ (page.request.root) (USERS) } {
                (page.token_field())
                // Not of the type hidden, for programs that keep passwords.
                input type="text" name="name" value=(user.name) autocomplete="username" readonly hidden;
                (fields(page, user.role, &user.limits))
                label { (page.say(Text::NewPassword)) input type="password" name="password" autocomplete="new-password" placeholder=(page.say(Text::PasswordKept)); }
                div.line {
                    button name="do" value="change" { (page.say(Text::Save)) }
                    @if user.name != KEPT {
                        button.stop name="do" value="delete" data-ask=(page.fill(Text::DeleteQuestion, &[&user.name])) { (page.say(Text::Delete)) }
                    }
                }
            }
        }
    }
}

fn add_form(page: &HubPage<'_>) -> Markup {
    html! {
        section.card #add aria-labelledby="add-title" {
            h2 #add-title { (page.say(Text::AddUser)) }
            form.stacked method="post" action={ (page.request.root) (USERS) } {
                (page.token_field())
                label { (page.say(Text::UserName)) input type="text" name="name" autocomplete="username" autocapitalize="none" required; }
                label { (page.say(Text::Password)) input type="password" name="password" autocomplete="new-password" required; }
                label { (page.say(Text::NewPasswordAgain)) input type="password" name="again" autocomplete="new-password" required; }
                (fields(page, Role::Operator, &AccessLimits::default()))
                p.note { (page.say(Text::LimitsHint)) }
                button.primary name="do" value="add" { (page.say(Text::AddUser)) }
            }
        }
    }
}

/// `POST /users/`.
pub(super) async fn change(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let done = match page.field("do") {
        "add" => add(&page).await,
        "change" => edit(&page).await,
        "delete" => {
            let removed = remove_user(hub, &call, page.field("name")).await;
            removed.map(|()| Text::Deleted)
        }
        _ => Err(page.not_understood()),
    };
    match done {
        Ok(text) => {
            let message = page.fill(text, &[&page.field("name")]);
            Ok(page.lead_to(USERS, &message))
        }
        Err(error) => show(&page, error.status, Some(&error.message)),
    }
}

/// The role and the limits of a form.
fn role_and_limits(page: &HubPage<'_>) -> Result<(Role, AccessLimits), ApiError> {
    let role = Role::named(page.field("role"));
    let role = role.ok_or_else(|| page.not_understood())?;
    let patterns = |name: &str| {
        let parts = page.field(name).split([',', '\n']);
        let parts = parts.map(str::trim).filter(|part| !part.is_empty());
        parts.map(str::to_owned).collect()
    };
    let limits = AccessLimits {
        environments: patterns("environments"),
        groups: patterns("groups"),
    };
    limits.check().map_err(ApiError::wrong)?;
    Ok((role, limits))
}

async fn add(page: &HubPage<'_>) -> Result<Text, ApiError> {
    let (role, limits) = role_and_limits(page)?;
    let name = page.field("name");
    check_user_name(name).map_err(ApiError::wrong)?;
    let password = page.form.get("password").unwrap_or_default();
    if page.form.get("again") != Some(password) {
        return Err(ApiError::wrong(page.say(Text::PasswordsDiffer)));
    }
    create_user(page.hub, page.call, name, password, role, limits).await?;
    Ok(Text::UserAdded)
}

async fn edit(page: &HubPage<'_>) -> Result<Text, ApiError> {
    let (role, limits) = role_and_limits(page)?;
    let change = UserChange {
        role: Some(role),
        limits: Some(limits),
        password: page.form.get("password").map(str::to_owned),
    };
    change_user(page.hub, page.call, page.field("name"), change).await?;
    Ok(Text::Saved)
}
