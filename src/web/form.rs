//! Request parameters: the query string and the urlencoded body of a POST.

use std::collections::HashMap;

use crate::http_server::percent_encoding::percent_decoded;

/// Request parameters by name. Of repeated names, the first in the query and the last in the body counts; the body
/// overrides the query.
///
/// # Source
/// Supervisor's `web.py`. Blank values count as absent, as in Python's `parse_qs`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Form {
    values: HashMap<String, String>,
    /// The parameters of the body in order, with repeated names.
    body: Vec<(String, String)>,
}

impl Form {
    /// Reads a query and the body of a POST.
    pub(crate) fn parse(query: &str, body: &[u8]) -> Self {
        let mut form = Self::of_query(query);
        for (name, value) in pairs(&String::from_utf8_lossy(body)) {
            form.values.insert(name.clone(), value.clone());
            form.body.push((name, value));
        }
        form
    }

    /// Reads a query alone.
    pub(crate) fn of_query(query: &str) -> Self {
        let mut form = Self::default();
        for (name, value) in pairs(query) {
            form.values.entry(name).or_insert(value);
        }
        form
    }

    /// The value of a parameter. `None`: absent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// All values of a parameter of the body, such as those of check boxes with the same name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.body.iter().filter(move |(other, _)| other == name);
        named.map(|(_, value)| value.as_str())
    }
}

fn pairs(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (!value.is_empty()).then(|| (url_decoded(name), url_decoded(value)))
    })
}

fn url_decoded(text: &str) -> String {
    percent_decoded(&text.replace('+', " "))
}

#[cfg(test)]
impl Form {
    pub(crate) fn from_query(query: &str) -> Self {
        Self {
            values: pairs(query).collect(),
            body: pairs(query).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_02_parameters_are_decoded() {
        let form =
            Form::from_query("processname=a%3Ab&action=start&x=&y&message=all+is%20well%2B&=z");
        assert_eq!(form.get("processname"), Some("a:b"));
        assert_eq!(form.get("action"), Some("start"));
        assert_eq!(form.get("message"), Some("all is well+"));
        assert_eq!(form.get("x"), None);
        assert_eq!(form.get("y"), None);
        assert_eq!(form.get(""), Some("z"));
        let form = Form::from_query("selected=a%3Ab&do=x&selected=c");
        assert!(form.all("selected").eq(["a:b", "c"]));
        assert_eq!(form.all("x").count(), 0);
    }
}
