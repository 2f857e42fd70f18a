//! The section that a form of keys describes.

use super::config_request::ConfigRequest;
use crate::config::ini::universal_newlines;
use crate::config::key::SectionKind;

/// The value of a key in the form. Browsers end lines with CR and LF; the parser knows CR alone as a line end too.
pub(super) fn value_of(request: &ConfigRequest<'_>, key: &str) -> String {
    let value = request.form.get(key).unwrap_or_default();
    universal_newlines(value).trim().to_owned()
}

/// A section with all values of the form.
pub(super) fn new_section(request: &ConfigRequest<'_>, name: &str) -> String {
    let mut text = format!("[program:{}]\n", name.trim());
    for row in SectionKind::Program.rows() {
        let value = value_of(request, row.name);
        if !value.is_empty() {
            // Further lines of a value are indented.
            text.push_str(&format!("{}={}\n", row.name, value.replace('\n', "\n    ")));
        }
    }
    text
}
