//! The arguments of a call: named values of the path, the query and a JSON body, checked by the parameters of METHODS.

use std::fmt;

use hyper::header::HeaderValue;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::query::Query;
use super::routes::PathParam;
use crate::api::xmlrpc::RpcValue;
use crate::api::{BoundCall, Fault, FaultCode, Method, Param, ParamKind};
use crate::domain::{Foreign, Level};
use crate::http_server::percent_encoding::percent_decoded;

/// Maximum length of a body, in bytes.
pub(super) const BODY_MAX: usize = 1 << 20;

/// The parameter that the header `If-Match` has too.
const VERSION_PARAM: &str = "md5";

/// Whether a method takes the version that a change expects.
pub(super) fn takes_version(method: &Method) -> bool {
    let mut params = method.params.iter();
    params.any(|param| param.name == VERSION_PARAM)
}

/// The members of the JSON object in a body. A name occurs once.
#[derive(Debug, Default)]
pub(super) struct BodyObject(Vec<(String, Value)>);

impl BodyObject {
    /// Parses a body. Nesting is bounded by the parser.
    ///
    /// # Errors
    /// The body is no JSON object, or has a name twice.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Fault> {
        serde_json::from_slice(body).map_err(|error| {
            let text = format!(
                "the body is not a JSON object: {}",
                Foreign(&error.to_string())
            );
            FaultCode::IncorrectParameters.of(text)
        })
    }

    /// Adds the MD5 of the header `If-Match` for a method that takes one.
    ///
    /// # Errors
    /// It is not one MD5 in quotes, or the body has another one.
    pub(super) fn with_version(
        mut self,
        method: &Method,
        header: Option<&HeaderValue>,
    ) -> Result<Self, Fault> {
        let Some(header) = header.filter(|_| takes_version(method)) else {
            return Ok(self);
        };
        let refuse = |text: &str| Err(FaultCode::IncorrectParameters.of(text));
        let text = header.to_str().unwrap_or_default().trim();
        let md5 = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'))
            .filter(|md5| !md5.is_empty());
        let Some(md5) = md5.or_else(|| (text == "*").then_some("")) else {
            return refuse("If-Match takes one MD5 in double quotes");
        };
        match self.0.iter().find(|(name, _)| name == VERSION_PARAM) {
            Some((_, Value::String(given))) if given == md5 || md5.is_empty() => {}
            Some(_) => return refuse("If-Match and md5 differ"),
            None => self
                .0
                .push((VERSION_PARAM.to_owned(), Value::String(md5.to_owned()))),
        }
        Ok(self)
    }

    /// Removes a member that repeats a parameter of the path.
    ///
    /// # Errors
    /// It has another value.
    fn take_repeated(&mut self, param: &Param, value: &RpcValue) -> Result<(), Fault> {
        match (self.take(param.name), value) {
            (None, _) => Ok(()),
            (Some(Value::String(given)), RpcValue::Text(text)) if given == *text => Ok(()),
            (Some(_), _) => {
                let name = param.name;
                let text = format!("{name} has one value in the path and another one in the body");
                Err(FaultCode::IncorrectParameters.of(text))
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(given, _)| given == name)?;
        Some(self.0.swap_remove(at).1)
    }
}

impl<'de> Deserialize<'de> for BodyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = BodyObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<BodyObject, A::Error> {
                let mut members: Vec<(String, Value)> = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    // More names than any method has would make the search long.
                    if members.len() >= 16 {
                        return Err(A::Error::custom("too many members"));
                    }
                    if members.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("{name} is given twice")));
                    }
                    members.push((name, map.next_value()?));
                }
                Ok(BodyObject(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Binds the arguments of a call. `body`: the members of the body of a change. `None`: a GET, whose arguments are in the query.
///
/// # Errors
/// INCORRECT_PARAMETERS, with the name of the parameter and what it takes; those of the method itself.
pub(super) fn bind(
    method: &'static Method,
    path: &[PathParam<'_>],
    mut query: Query,
    body: Option<BodyObject>,
) -> Result<BoundCall, Fault> {
    let is_get = body.is_none();
    let mut body = body.unwrap_or_default();
    let mut given = Vec::with_capacity(method.params.len());
    for param in method.params {
        let value = match path.iter().find(|(name, _)| *name == param.name) {
            Some((_, segment)) => {
                let value = segment_value(param, segment)?;
                body.take_repeated(param, &value)?;
                Some(value)
            }
            None if is_get => query_value(param, query.take(param.name))?,
            None => match body.take(param.name) {
                Some(value) => Some(json_value(param, value)?),
                None => None,
            },
        };
        if value.is_none() && !param.optional {
            let (name, expected) = (param.name, expected(param.kind));
            let text = format!("{name} is missing ({expected}: {})", param.doc);
            return Err(FaultCode::IncorrectParameters.of(text));
        }
        given.push(value);
    }
    query.finish()?;
    if let Some((name, _)) = body.0.first() {
        let text = format!("no parameter {} in the body", Foreign(name));
        return Err(FaultCode::IncorrectParameters.of(text));
    }
    method.bind_optional_arguments(given)
}

/// What a parameter takes, for messages.
const fn expected(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Namespec | ParamKind::Word | ParamKind::Data | ParamKind::Text => "a string",
        ParamKind::Int => "an integer",
        ParamKind::Count => "an integer of at least 1",
        ParamKind::Truth | ParamKind::Flag => "true or false",
        ParamKind::List => "an array",
        ParamKind::Names => "a string or an array of strings",
        ParamKind::Level => "one of CRIT, ERRO, WARN, INFO, DEBG, TRAC, BLAT",
        ParamKind::Options => "an object whose values are strings, numbers or booleans",
    }
}

fn wrong(param: &Param, given: &str) -> Fault {
    let (name, expected) = (param.name, expected(param.kind));
    FaultCode::IncorrectParameters.of(format!("{name} takes {expected}, not {}", Foreign(given)))
}

fn count(number: i64) -> Option<RpcValue> {
    let is_count = u32::try_from(number).is_ok_and(|number| number > 0);
    is_count.then_some(RpcValue::Int(number))
}

/// The value of a segment of the path. Names in it are separated by commas, which many clients encode.
fn segment_value(param: &Param, segment: &str) -> Result<RpcValue, Fault> {
    let text = percent_decoded(segment);
    if param.kind == ParamKind::Names {
        return names_value(param, text.split(',').map(str::to_owned));
    }
    text_value(param, text)
}

/// The value of a list of names.
fn names_value(param: &Param, names: impl Iterator<Item = String>) -> Result<RpcValue, Fault> {
    let names = names.map(|name| match name.is_empty() {
        true => Err(FaultCode::IncorrectParameters.of(format!("{} has an empty name", param.name))),
        false => Ok(RpcValue::Text(name)),
    });
    names.collect::<Result<Vec<_>, _>>().map(RpcValue::Array)
}

/// The value of a parameter in the query. Without any value, a list is empty.
fn query_value(param: &Param, mut values: Vec<String>) -> Result<Option<RpcValue>, Fault> {
    if param.kind == ParamKind::Names {
        return names_value(param, values.into_iter()).map(Some);
    }
    if values.len() > 1 {
        let text = format!("{} is given more than once", param.name);
        return Err(FaultCode::IncorrectParameters.of(text));
    }
    values.pop().map(|text| text_value(param, text)).transpose()
}

fn text_value(param: &Param, text: String) -> Result<RpcValue, Fault> {
    let number = || {
        let is_plain = !text.starts_with('+');
        text.parse::<i64>().ok().filter(|_| is_plain)
    };
    let value = match param.kind {
        ParamKind::Namespec | ParamKind::Word | ParamKind::Data | ParamKind::Text => {
            return Ok(RpcValue::Text(text));
        }
        ParamKind::Int => number().map(RpcValue::Int),
        ParamKind::Count => number().and_then(count),
        ParamKind::Truth | ParamKind::Flag => text.parse().ok().map(RpcValue::Bool),
        ParamKind::Level => level(&text),
        ParamKind::List | ParamKind::Names | ParamKind::Options => None,
    };
    value.ok_or_else(|| wrong(param, &text))
}

/// The value of a member of the body.
fn json_value(param: &Param, value: Value) -> Result<RpcValue, Fault> {
    let found = match (param.kind, value) {
        (
            ParamKind::Namespec | ParamKind::Word | ParamKind::Data | ParamKind::Text,
            Value::String(text),
        ) => Ok(RpcValue::Text(text)),
        (ParamKind::Level, Value::String(text)) => level(&text).ok_or(Value::String(text)),
        (ParamKind::Int, value) => integer(&value).map(RpcValue::Int).ok_or(value),
        (ParamKind::Count, value) => integer(&value).and_then(count).ok_or(value),
        (ParamKind::Truth | ParamKind::Flag, Value::Bool(truth)) => Ok(RpcValue::Bool(truth)),
        (ParamKind::Names, Value::String(name)) => Ok(RpcValue::Text(name)),
        (ParamKind::Names, Value::Array(items)) => {
            let mut names = Vec::with_capacity(items.len());
            for item in items {
                match item {
                    Value::String(name) => names.push(RpcValue::Text(name)),
                    other => return Err(wrong(param, &format!("an array with {}", kind(&other)))),
                }
            }
            Ok(RpcValue::Array(names))
        }
        (ParamKind::Options, Value::Object(members)) => {
            let mut options = Vec::with_capacity(members.len());
            for (name, value) in members {
                let Some(value) = scalar(value) else {
                    let text = format!("{} takes a single value", Foreign(&name));
                    return Err(FaultCode::IncorrectParameters.of(text));
                };
                options.push((name, value));
            }
            Ok(RpcValue::Struct(options))
        }
        (_, value) => Err(value),
    };
    found.map_err(|value| wrong(param, &shown(&value)))
}

/// An integer, also one that is written with a fraction of zero, as JSON does not tell them apart.
fn integer(value: &Value) -> Option<i64> {
    /// The greatest double below which all integers are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Value::Number(number) = value else {
        return None;
    };
    number.as_i64().or_else(|| {
        let number = number.as_f64()?;
        #[expect(clippy::cast_possible_truncation, reason = "exact in this range")]
        let integer = (number.fract() == 0.0 && number.abs() < EXACT).then_some(number as i64);
        integer
    })
}

fn level(text: &str) -> Option<RpcValue> {
    let mut known = Level::ALL.into_iter();
    known
        .any(|(_, _, letters)| letters == text)
        .then(|| RpcValue::text(text))
}

fn scalar(value: Value) -> Option<RpcValue> {
    match value {
        Value::String(text) => Some(RpcValue::Text(text)),
        Value::Bool(truth) => Some(RpcValue::Bool(truth)),
        Value::Number(number) => Some(match number.as_i64() {
            Some(number) => RpcValue::Int(number),
            None => RpcValue::Double(number.as_f64()?),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value for messages: single values as they are, the kind of others.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("the string {text:?}"),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Request, RequestTarget, find_method};

    fn post(name: &str, path: &[PathParam<'_>], body: &str) -> Result<BoundCall, String> {
        let method = find_method(name).expect("there");
        BodyObject::parse(body.as_bytes())
            .and_then(|body| bind(method, path, Query::read(""), Some(body)))
            .map_err(|fault| fault.to_string())
    }

    fn get(name: &str, query: &str) -> Result<BoundCall, String> {
        let method = find_method(name).expect("there");
        let path = match name.starts_with("supervisor.readP") {
            true => &[("name", "a%3Ab")][..],
            false => &[],
        };
        bind(method, path, Query::read(query), None).map_err(|fault| fault.to_string())
    }

    #[test]
    fn bodies_have_named_members_of_their_types() {
        let roll = |body: &str| post("supervisord.rollingRestart", &[("names", "a,g%3A*")], body);
        let Ok(BoundCall::Engine(Request::RollingRestart { targets, limits })) =
            roll(r#"{"options": {"max_failures": 2}}"#)
        else {
            panic!("not bound");
        };
        assert_eq!(targets.len(), 2);
        assert_eq!(targets[1], RequestTarget::Group("g".to_owned()));
        // An optional parameter before a given one has its default.
        assert_eq!((limits.at_once, limits.max_failures), (1, 2));
        for (body, why) in [
            (
                r#"{"at_once": 0}"#,
                "at_once takes an integer of at least 1, not 0",
            ),
            (
                r#"{"at_once": "2"}"#,
                "at_once takes an integer of at least 1, not the string \"2\"",
            ),
            (r#"{"atonce": 1}"#, "no parameter atonce in the body"),
            (
                r#"{"names": "b"}"#,
                "names has one value in the path and another one in the body",
            ),
            (r#"{"options": {"wait": []}}"#, "wait takes a single value"),
            (
                r#"{"options": null}"#,
                "options takes an object whose values are strings, numbers or booleans, not null",
            ),
            (
                r#"{"at_once": 1, "at_once": 2}"#,
                "the body is not a JSON object: at_once is given twice at line 1 column 24",
            ),
            (
                "[]",
                "the body is not a JSON object: invalid type: sequence, expected an object at line 1 column 0",
            ),
            (
                "{",
                "the body is not a JSON object: EOF while parsing an object at line 1 column 1",
            ),
        ] {
            let expected = format!("INCORRECT_PARAMETERS: {why}");
            assert_eq!(roll(body), Err(expected), "{body}");
        }
        let deep = format!(
            r#"{{"options": {}1{}}}"#,
            "[".repeat(9999),
            "]".repeat(9999)
        );
        let fault = roll(&deep).expect_err("refused");
        assert!(fault.contains("recursion limit exceeded"), "{fault}");
        let start = post(
            "supervisor.startProcess",
            &[("name", "a")],
            r#"{"wait": 1}"#,
        );
        let why = "INCORRECT_PARAMETERS: wait takes true or false, not 1";
        assert_eq!(start, Err(why.to_owned()));
    }

    #[test]
    fn queries_have_their_types() {
        assert_eq!(
            get("supervisor.readProcessStdoutLog", "offset=-5&length=0"),
            Ok(BoundCall::ReadLog {
                of: crate::api::LogRef::Process("a:b".to_owned(), crate::domain::Channel::Stdout),
                offset: -5,
                length: 0,
            })
        );
        for (query, why) in [
            (
                "offset=1",
                "length is missing (an integer: Number of bytes to read; 0 = to the end)",
            ),
            ("offset=a&length=0", "offset takes an integer, not a"),
            ("offset=&length=0", "offset takes an integer, not "),
            ("offset=%2B1&length=0", "offset takes an integer, not +1"),
            (
                "offset=1&offset=2&length=0",
                "offset is given more than once",
            ),
            ("offset=1&length=0&x=1", "no parameter x in the query"),
        ] {
            let expected = format!("INCORRECT_PARAMETERS: {why}");
            let found = get("supervisor.readProcessStdoutLog", query);
            assert_eq!(found, Err(expected), "{query}");
        }
        let names = |query| match get("supervisord.getDependencies", query) {
            Ok(BoundCall::Engine(Request::Dependencies(names))) => names,
            other => panic!("{other:?}"),
        };
        assert_eq!(names("names=a&names=b%2Cc"), ["a", "b,c"]);
        assert!(names("").is_empty());
        assert_eq!(
            get("supervisord.getDependencies", "names=a&names="),
            Err("INCORRECT_PARAMETERS: names has an empty name".to_owned())
        );
    }

    #[test]
    fn a_fraction_of_zero_is_an_integer() {
        for (text, expected) in [
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("-1e3", Some(-1000)),
            ("5.5", None),
            ("1e300", None),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("true", None),
        ] {
            let value: Value = serde_json::from_str(text).expect("JSON");
            assert_eq!(integer(&value), expected, "{text}");
        }
    }
}
