//! The manual page echo_supervisord_conf(1).

use crate::domain::roff::{Example, Page};

/// Returns the manual page echo_supervisord_conf(1) in roff.
#[must_use]
pub fn sample() -> String {
    let mut page = Page::new("echo_supervisord_conf", "the code");
    page.synopsis(&["`echo_supervisord_conf`"]);
    page.section("DESCRIPTION");
    page.prose(
        "`echo_supervisord_conf` prints a sample configuration for supervisord(8) with all sections and keys, their descriptions \
         and defaults. Required keys are set; all other keys are commented out.\n\n\
         The command has no options, reads no files and writes to standard output only. It is a link to `supervisord`, which \
         prints the sample when it is called by this name.",
    );
    page.section("EXIT STATUS");
    page.prose("Always 0.");
    page.section("EXAMPLES");
    page.prose("Create a configuration file and check it:");
    page.example(
        Example::Shell,
        "echo_supervisord_conf > supervisord.conf\nsupervisord --check -c supervisord.conf",
    );
    page.prose("Print all keys about readiness:");
    page.example(Example::Shell, "echo_supervisord_conf | grep ready");
    page.see_also(&[])
}
