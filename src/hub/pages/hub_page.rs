//! One request for a page: its user, language and form, and the frame and answers that all pages use.

use std::fmt::Display;
use std::sync::Arc;

use hyper::{StatusCode, header};
use maud::{Markup, html};

use crate::http_server::budget::QuotaPermit;
use crate::http_server::percent_encoding::url_quoted;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::server::{HttpResponse, HubContext};
use crate::hub::users::{AccessLimits, Role};
use crate::web::form::Form;
use crate::web::frame::{Frame, Site};
use crate::web::language::PageRequest;
use crate::web::page_response::HTML;
use crate::web::texts::{HUB_SCRIPT_TEXTS, Language, SCRIPT_TEXTS, Text};

/// The result of a handler.
pub(super) type Reply = Result<HttpResponse, ApiError>;

/// The address of the overview relative to the root.
pub(super) const OVERVIEW: &str = "./";
pub(super) const ENVIRONMENTS: &str = "environments/";
pub(super) const GROUPS: &str = "groups/";
pub(super) const PROCESSES: &str = "processes/";
pub(super) const ACTIVITY: &str = "activity/";
pub(super) const USERS: &str = "users/";
pub(super) const OPERATIONS: &str = "operations/";

/// The pages that every page links to. The last one is for admins.
const NAVIGATION: &[(&str, Text)] = &[
    (OVERVIEW, Text::Hosts),
    (ENVIRONMENTS, Text::Environments),
    (GROUPS, Text::Groups),
    (PROCESSES, Text::Processes),
    (ACTIVITY, Text::Activity),
    (USERS, Text::Users),
];

/// What all pages have in common that a user with this role sees. `None`: nobody has logged in.
pub(super) fn site_of(role: Option<Role>) -> Site<'static> {
    let count = match role {
        None => 0,
        Some(Role::Admin) => NAVIGATION.len(),
        Some(_) => NAVIGATION.len() - 1,
    };
    Site {
        name: "supervisord-hub",
        navigation: &NAVIGATION[..count],
        script_texts: &[SCRIPT_TEXTS, HUB_SCRIPT_TEXTS],
    }
}

/// One request for a page.
pub(super) struct HubPage<'c> {
    pub(super) hub: &'c Arc<HubContext>,
    pub(super) call: &'c Call,
    pub(super) request: PageRequest,
    /// The parameters of the address and of the form.
    pub(super) form: Form,
    pub(super) limits: AccessLimits,
    site: Site<'static>,
    /// The token of its forms.
    pub(super) token: String,
}

impl<'c> HubPage<'c> {
    pub(super) fn new(hub: &'c Arc<HubContext>, call: &'c Call) -> Self {
        let (head, user) = (&call.request, call.principal.as_ref());
        Self {
            hub,
            call,
            request: PageRequest::new(&head.path, &head.query, &head.headers),
            form: Form::parse(&head.query, &call.body),
            limits: call.limits(),
            site: site_of(user.map(|user| user.role)),
            token: user.map_or_else(String::new, |user| user.form_token(hub)),
        }
    }

    pub(super) fn language(&self) -> Language {
        self.request.language
    }

    pub(super) fn say(&self, text: Text) -> &'static str {
        self.language().say(text)
    }

    pub(super) fn fill(&self, text: Text, values: &[&dyn Display]) -> String {
        self.language().fill(text, values)
    }

    /// A parameter without the spaces around it. Empty: it is missing.
    pub(super) fn field(&self, name: &str) -> &str {
        self.form.get(name).unwrap_or_default().trim()
    }

    /// The role of the user. `None`: nobody has logged in.
    fn role(&self) -> Option<Role> {
        self.call.principal.as_ref().map(|user| user.role)
    }

    /// The name of the user.
    pub(super) fn user(&self) -> &str {
        let user = self.call.principal.as_ref();
        user.map_or("", |user| &user.name)
    }

    pub(super) fn must_change_password(&self) -> bool {
        let user = self.call.principal.as_ref();
        user.is_some_and(|user| user.must_change_password)
    }

    /// Whether the user may act on processes.
    pub(super) fn can_act(&self) -> bool {
        self.role() >= Some(Role::Operator) && !self.must_change_password()
    }

    /// Whether the user may do what only admins may.
    pub(super) fn can_manage(&self) -> bool {
        self.role() == Some(Role::Admin) && !self.must_change_password()
    }

    /// 400 for a form or an address that no page makes.
    pub(super) fn not_understood(&self) -> ApiError {
        ApiError::wrong(self.say(Text::NotUnderstood))
    }

    /// A place for a stream of the client.
    ///
    /// # Errors
    /// 503: it has too many.
    pub(super) fn stream_permit(&self) -> Result<QuotaPermit, ApiError> {
        let permit = self.hub.streams.acquire(self.call.request.guard.client);
        permit.ok_or_else(|| {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            ApiError::new(status, self.say(Text::TooManyStreams))
                .with_header(header::RETRY_AFTER, "1".to_owned())
        })
    }

    /// The field of a form with its token.
    pub(super) fn token_field(&self) -> Markup {
        html! { input type="hidden" name="token" value=(self.token); }
    }

    /// The frame of a page. The close button of its message leads to `way_on`.
    pub(super) fn frame(&self, title: impl Into<String>, way_on: &str) -> Frame<'_> {
        let frame = Frame::new(&self.site, &self.request, title);
        let frame = frame.message(self.form.get("message"), way_on.to_owned());
        frame.bar(&self.account())
    }

    /// The user, with the links of the own account.
    fn account(&self) -> Markup {
        let root = &self.request.root;
        html! {
            @if let Some(role) = self.role() {
                div.account {
                    a href={ (root) "profile/" } title=(self.say(Text::OwnAccount)) { (self.user()) }
                    span.note { (self.say(role_text(role))) }
                    form method="post" action={ (root) "logout/" } {
                        (self.token_field())
                        button { (self.say(Text::LogOut)) }
                    }
                }
            }
        }
    }

    /// Answers with a page.
    pub(super) fn answer(&self, status: StatusCode, frame: Frame<'_>, content: &Markup) -> Reply {
        let root = &self.request.root;
        let content = html! {
            @if self.must_change_password() {
                p.banner role="alert" {
                    (self.say(Text::MustChangePassword)) " "
                    a href={ (root) "profile/" } { (self.say(Text::ChangePassword)) }
                }
            }
            (content)
        };
        let html = frame.scripts_also(&["hub.js"]).render(&content);
        Ok(self.html(status, html))
    }

    /// Answers with a page that is rendered already.
    pub(super) fn html(&self, status: StatusCode, html: Markup) -> HttpResponse {
        HttpResponse::new(status, HTML, html.into_string())
    }

    /// Leads to another page, with a message. `address` is relative to the root; empty: the overview.
    pub(super) fn lead_to(&self, address: &str, message: &str) -> HttpResponse {
        let separator = if address.contains('?') { '&' } else { '?' };
        let message = match message {
            "" => String::new(),
            message => format!("{separator}message={}", url_quoted(message)),
        };
        see_other(format!("./{}{address}{message}", self.request.root))
    }
}

/// 303 to an address.
pub(super) fn see_other(location: String) -> HttpResponse {
    HttpResponse::new(StatusCode::SEE_OTHER, HTML, "").with_header(header::LOCATION, location)
}

/// The word for a role.
pub(super) const fn role_text(role: Role) -> Text {
    match role {
        Role::Viewer => Text::RoleViewer,
        Role::Operator => Text::RoleOperator,
        Role::Admin => Text::RoleAdmin,
    }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    url_quoted(name).replace('/', "%2F")
}

/// The address of the page of a host relative to the root.
pub(super) fn node_address(name: &str) -> String {
    format!("nodes/{}/", segment(name))
}

/// The address of the page of a group relative to the root.
pub(super) fn group_address(name: &str) -> String {
    format!("{GROUPS}{}/", segment(name))
}
