//! The query of a request: its parameters, each taken by what needs it. What nobody takes is refused.

use crate::api::{Fault, FaultCode};
use crate::domain::Foreign;
use crate::http_server::percent_encoding::percent_decoded;

/// Maximum number of values of one parameter that are matched against each process.
const VALUES_MAX: usize = 64;

/// A parameter of a query that METHODS does not have, because it is about the form of the answer.
pub(super) struct QueryParam {
    pub(super) name: &'static str,
    pub(super) kind: QueryKind,
    pub(super) doc: &'static str,
}

/// The values of a [`QueryParam`].
#[derive(Clone, Copy)]
pub(super) enum QueryKind {
    /// `0` or `1`.
    Switch,
    /// Any text, several times.
    Texts,
    /// One of these words, several times or separated by commas.
    Words(fn() -> Vec<&'static str>),
}

/// The parameters of a query that nobody has taken yet, in order.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query. A parameter without `=` has an empty value.
    pub(super) fn read(text: &str) -> Self {
        let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(name), decoded(value))
                })
                .collect(),
        )
    }

    /// Takes all values of a parameter.
    pub(super) fn take(&mut self, name: &str) -> Vec<String> {
        self.0
            .extract_if(.., |(given, _)| given == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// Takes the values of a parameter that is about the form of the answer.
    ///
    /// # Errors
    /// A value is none of those that the parameter has, or there are too many.
    pub(super) fn take_checked(&mut self, param: &QueryParam) -> Result<Vec<String>, Fault> {
        let name = param.name;
        let wrong = |value: &str, expected: &str| {
            let text = format!("{name} takes {expected}, not {}", Foreign(value));
            Err(FaultCode::IncorrectParameters.of(text))
        };
        let mut values = self.take(name);
        match param.kind {
            QueryKind::Switch => {
                if values.len() > 1 {
                    let text = format!("{name} is given more than once");
                    return Err(FaultCode::IncorrectParameters.of(text));
                }
                if let Some(value) = values.iter().find(|value| *value != "0" && *value != "1") {
                    return wrong(value, "0 or 1");
                }
            }
            QueryKind::Texts => {}
            QueryKind::Words(words) => {
                values = values
                    .iter()
                    .flat_map(|value| value.split(','))
                    .map(str::to_owned)
                    .collect();
                let words = words();
                if let Some(value) = values.iter().find(|value| !words.contains(&value.as_str())) {
                    return wrong(value, &words.join(", "));
                }
            }
        }
        if values.len() > VALUES_MAX {
            let text = format!("{name} is given more than {VALUES_MAX} times");
            return Err(FaultCode::IncorrectParameters.of(text));
        }
        Ok(values)
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// A parameter that nobody has taken.
    pub(super) fn finish(self) -> Result<(), Fault> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let text = format!("no parameter {} in the query", Foreign(name));
                Err(FaultCode::IncorrectParameters.of(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: QueryParam = QueryParam {
        name: "w",
        kind: QueryKind::Words(|| vec!["A", "B"]),
        doc: "",
    };
    const SWITCH: QueryParam = QueryParam {
        name: "s",
        kind: QueryKind::Switch,
        doc: "",
    };

    #[test]
    fn parameters_are_taken_once() {
        let mut query = Query::read("a=1&b=x+y%2B&a=2&&c");
        assert_eq!(query.take("a"), ["1", "2"]);
        assert_eq!(query.take("a"), [""; 0]);
        assert_eq!(query.take("b"), ["x y+"]);
        let fault = query.finish().expect_err("c is left").to_string();
        assert_eq!(fault, "INCORRECT_PARAMETERS: no parameter c in the query");
        assert_eq!(Query::read("").finish(), Ok(()));
    }

    #[test]
    fn values_are_checked() {
        let words = |text: &str| Query::read(text).take_checked(&WORDS);
        assert_eq!(words("w=A,B&w=A").expect("words").len(), 3);
        let fault = words("w=A,C").expect_err("no word").to_string();
        assert_eq!(fault, "INCORRECT_PARAMETERS: w takes A, B, not C");
        assert!(words("w=").is_err());
        let many = "w=A&".repeat(VALUES_MAX + 1);
        assert!(words(&many).is_err());
        let switch = |text: &str| Query::read(text).take_checked(&SWITCH).is_ok();
        assert!(switch("s=0") && switch("s=1") && switch(""));
        assert!(!switch("s=2") && !switch("s=") && !switch("s=1&s=1"));
    }
}
