//! The manual page echo_supervisord_conf(1).

use crate::domain::roff::{Example, Page};

/// Returns the manual page echo_supervisord_conf(1) in roff.
#[must_use]
pub fn sample() -> String {
    let mut page = Page::new("echo_supervisord_conf", "the code");
    page.synopsis(&["`echo_supervisord_conf`"]);
    page.section("DESCRIPTION");
    page.prose(
        "It prints a configuration file for supervisord(8) with every section and every key there is, each with what it does \
         and its default. What a file must have is set; all else is commented out.\n\n\
         It takes no options, reads nothing and writes to standard output only. It is a link to `supervisord`, which does \
         this when it is called by that name.",
    );
    page.section("EXIT STATUS");
    page.prose("0, always.");
    page.section("EXAMPLES");
    page.prose("A file to begin with, which is valid as it is:");
    page.example(
        Example::Shell,
        "echo_supervisord_conf > supervisord.conf\nsupervisord --check -c supervisord.conf",
    );
    page.prose("Every key about readiness:");
    page.example(Example::Shell, "echo_supervisord_conf | grep ready");
    page.see_also(&[])
}
