//! A plain list of files, as links relative to the page.

use maud::html;

use crate::http_server::percent_encoding::url_quoted;

/// Renders the list. Names may contain anything.
pub(in crate::server) fn render_file_list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let list = html! {
        pre {
            "\n"
            @for name in names {
                a href={ "./" (url_quoted(name)) } { (name) }
                "\n"
            }
        }
        "\n"
    };
    list.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let list = render_file_list(["a.log", "<b>&\""].into_iter());
        assert_eq!(
            list,
            "<pre>\n<a href=\"./a.log\">a.log</a>\n\
             <a href=\"./%3Cb%3E%26%22\">&lt;b&gt;&amp;&quot;</a>\n</pre>\n"
        );
    }
}
