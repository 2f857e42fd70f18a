//! The frame of all pages: title, navigation, language, theme, keys and messages.

use maud::{DOCTYPE, Markup, html};

use super::action_outcome::is_failure;
use super::language::PageRequest;
use super::texts::{Language, Text};
use crate::domain::VERSION;

/// Maximum length of a message that a page shows, in characters. It comes from the address, so anybody can set it.
const MESSAGE_MAX: usize = 500;

/// A key of the keyboard and what it does.
pub(crate) type PageKey = (&'static str, Text);

/// The keys of a page with a search field only.
pub(crate) const SEARCH_KEYS: &[PageKey] = &[
    ("/", Text::KeyFilter),
    ("Esc", Text::KeyClear),
    ("?", Text::KeyHelp),
];

/// What all pages of a program have in common.
pub(crate) struct Site<'a> {
    /// The name of the program, as the header and the footer show it.
    pub(crate) name: &'static str,
    /// The pages that every page links to: address relative to the root, and name.
    pub(crate) navigation: &'a [(&'static str, Text)],
    /// The texts of its scripts.
    pub(crate) script_texts: &'static [&'static [Text]],
}

/// What surrounds the content of a page.
pub(crate) struct Frame<'a> {
    site: &'a Site<'a>,
    request: &'a PageRequest,
    title: String,
    /// The address of this page in the navigation.
    current: Option<&'static str>,
    scripts: Vec<&'static str>,
    /// Seconds after which a browser without scripts loads the page again. `None`: it does not.
    refresh: Option<u32>,
    keys: &'static [PageKey],
    /// Shown in the header, after the navigation.
    bar: Markup,
    /// The message of an action, and the address to which its close button leads.
    message: Option<(&'a str, String)>,
}

impl<'a> Frame<'a> {
    /// A frame without scripts.
    pub(crate) fn new(
        site: &'a Site<'a>,
        request: &'a PageRequest,
        title: impl Into<String>,
    ) -> Self {
        Self {
            site,
            request,
            title: title.into(),
            current: None,
            scripts: Vec::new(),
            refresh: None,
            keys: &[],
            bar: html! {},
            message: None,
        }
    }

    /// Marks the page in the navigation.
    pub(crate) fn current(self, current: &'static str) -> Self {
        Self {
            current: Some(current),
            ..self
        }
    }

    /// Adds the scripts of the page, and the keys that they know.
    pub(crate) fn scripts(
        self,
        scripts: &'static [&'static str],
        keys: &'static [PageKey],
    ) -> Self {
        Self {
            scripts: scripts.to_vec(),
            keys,
            ..self
        }
    }

    /// Adds further scripts.
    pub(crate) fn scripts_also(mut self, scripts: &[&'static str]) -> Self {
        self.scripts.extend_from_slice(scripts);
        self
    }

    /// Makes browsers without scripts load the page again after so many seconds.
    pub(crate) fn refresh(self, seconds: u32) -> Self {
        Self {
            refresh: Some(seconds),
            ..self
        }
    }

    /// Adds to the header, after the navigation.
    pub(crate) fn bar(mut self, bar: &Markup) -> Self {
        self.bar.0.push_str(&bar.0);
        self
    }

    /// Shows the message of an action, at most [`MESSAGE_MAX`] characters of it. Its close button leads to `way_on`.
    pub(crate) fn message(self, text: Option<&'a str>, way_on: String) -> Self {
        let cut = |text: &'a str| match text.char_indices().nth(MESSAGE_MAX) {
            Some((end, _)) => &text[..end],
            None => text,
        };
        let message = text.map(|text| (cut(text), way_on));
        Self { message, ..self }
    }

    /// The page with its content.
    pub(crate) fn render(&self, content: &Markup) -> Markup {
        let language = self.request.language;
        let root = &self.request.root;
        html! {
            (DOCTYPE)
            html lang=(language.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="texts" content=(texts_of_scripts(self.site, language));
                    @if let Some(seconds) = self.refresh { noscript { meta http-equiv="refresh" content=(seconds); } }
                    title { (self.title) }
                    link href={ (root) "stylesheets/supervisor.css" } rel="stylesheet" type="text/css";
                    link href={ (root) "images/icon.png" } rel="icon" type="image/png";
                    script src={ (root) "scripts/theme.js" } {}
                    @for script in &self.scripts {
                        script src={ (root) "scripts/" (script) } defer {}
                    }
                }
                body {
                    a.skip href="#content" { (language.say(Text::SkipToContent)) }
                    (self.header())
                    main #content tabindex="-1" { (content) }
                    (self.notices())
                    @if !self.keys.is_empty() { (render_keys(self.keys, language)) }
                    footer #footer { (self.site.name) " " (VERSION) }
                }
            }
        }
    }

    /// A page of a few sentences.
    pub(crate) fn render_plain(&self, content: &Markup) -> Markup {
        self.render(&html! { div.plain { (content) } })
    }

    fn header(&self) -> Markup {
        let PageRequest {
            language,
            address,
            root,
        } = self.request;
        html! {
            header #header {
                a.brand href={ (root) "./" } aria-label=(self.site.name) {
                    img src={ (root) "images/icon.png" } alt="" width="22" height="22";
                    span { (self.site.name) }
                }
                nav.pages aria-label=(language.say(Text::Navigation)) {
                    @for &(page, name) in self.site.navigation {
                        a href={ (root) (page) } aria-current=[(self.current == Some(page)).then_some("page")] { (language.say(name)) }
                    }
                }
                (self.bar)
                div.settings {
                    form #language method="post" action={ (root) "language" } aria-label=(language.say(Text::SwitchLanguage)) {
                        input type="hidden" name="back" value=(address);
                        @for other in Language::ALL.into_iter().filter(|other| other != language) {
                            button name="lang" value=(other.cookie_value()) lang=(other.tag()) { (other.own_name()) }
                        }
                    }
                    @if !self.keys.is_empty() {
                        button #help.script type="button" title=(language.say(Text::Keys)) aria-label=(language.say(Text::Keys)) aria-haspopup="dialog" { "?" }
                    }
                    button #theme.script type="button" title=(language.say(Text::Theme)) aria-label=(language.say(Text::Theme)) { "◐" }
                }
            }
        }
    }

    /// The message area. It is separate from the table, so that a message never moves a row. It is always present, though
    /// empty, so that screen readers announce what appears in it.
    fn notices(&self) -> Markup {
        let language = self.request.language;
        let (text, way_on) = match &self.message {
            Some((text, way_on)) => (*text, way_on.as_str()),
            None => ("", "./"),
        };
        let is_failure = is_failure(text);
        html! {
            div #notices role="status" aria-live="polite" aria-atomic="false" {
                p #stale hidden {}
                div #notice.failed[is_failure] hidden[text.is_empty()] {
                    div.said {
                        p #statusmessage.status_msg.failed[is_failure] { (text) }
                        ul #results hidden {}
                    }
                    a #dismiss href=(way_on) role="button" aria-label=(language.say(Text::CloseMessage)) title=(language.say(Text::Close)) { "×" }
                }
            }
        }
    }
}

/// The dialog with the keys of a page, which a script opens.
fn render_keys(keys: &[PageKey], language: Language) -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { (language.say(Text::Keys)) }
            dl {
                @for (key, text) in keys {
                    div { dt { kbd { (key) } } dd { (language.say(*text)) } }
                }
            }
            form method="dialog" { button autofocus { (language.say(Text::Close)) } }
        }
    }
}

/// The texts of the scripts in one language, as JSON.
fn texts_of_scripts(site: &Site<'_>, language: Language) -> String {
    let texts = site.script_texts.iter().copied().flatten();
    let texts = texts.map(|text| (text.name().to_owned(), language.say(*text).into()));
    serde_json::Value::Object(texts.collect()).to_string()
}
