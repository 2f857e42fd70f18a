//! What the pages of the daemon and of the hub share: the frame of a page, its texts in all languages, its forms, the table of
//! processes, logs as text with styles, and the static files. This room knows neither where processes come from nor who asks.

pub(crate) mod action_outcome;
pub(crate) mod assets;
pub(crate) mod form;
pub(crate) mod frame;
pub(crate) mod language;
pub(crate) mod log_lines;
pub(crate) mod log_view;
pub(crate) mod page_actions;
pub(crate) mod page_response;
pub(crate) mod row;
pub(crate) mod row_text;
pub(crate) mod styled_text;
pub(crate) mod table;
pub(crate) mod table_view;
pub(crate) mod texts;
pub(crate) mod toolbar;
