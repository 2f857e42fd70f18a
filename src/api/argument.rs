//! Arguments of a call: values on the wire → what the parameters of METHODS take. It must not know what methods do.

use std::collections::HashSet;

use super::xmlrpc::Value;
use super::{Fault, FaultCode, ParamKind};
use crate::domain::Level;

/// The most bytes that the options of a program added at run time may have together; they are kept as long as it is there.
pub const OPTIONS_BYTES_MAX: usize = 1 << 20;

/// The most names that one argument may hold: as many as processes that a group may have.
pub const NAMES_MAX: usize = 100_000;

/// A converted argument.
pub(super) enum Arg {
    Text(String),
    Data(Vec<u8>),
    Int(i64),
    Truth(bool),
    List(Vec<Value>),
    Names(Vec<String>),
    Count(u32),
    Level(Level),
    Options(Vec<(String, String)>),
}

/// Converted arguments, taken in order. [`super::Method::bind`] made them of the declared kinds, so a mismatch would be a row of
/// METHODS that contradicts itself; a test binds every row.
pub(super) struct Args(std::vec::IntoIter<Arg>);

impl Args {
    pub(super) fn new(args: Vec<Arg>) -> Self {
        Self(args.into_iter())
    }

    pub(super) fn text(&mut self) -> Result<String, Fault> {
        match self.0.next() {
            Some(Arg::Text(text)) => Ok(text),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn data(&mut self) -> Result<Vec<u8>, Fault> {
        match self.0.next() {
            Some(Arg::Data(data)) => Ok(data),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn int(&mut self) -> Result<i64, Fault> {
        match self.0.next() {
            Some(Arg::Int(number)) => Ok(number),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn truth(&mut self) -> Result<bool, Fault> {
        match self.0.next() {
            Some(Arg::Truth(truth)) => Ok(truth),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn list(&mut self) -> Result<Vec<Value>, Fault> {
        match self.0.next() {
            Some(Arg::List(list)) => Ok(list),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn names(&mut self) -> Result<Vec<String>, Fault> {
        match self.0.next() {
            Some(Arg::Names(names)) => Ok(names),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn count(&mut self) -> Result<u32, Fault> {
        match self.0.next() {
            Some(Arg::Count(count)) => Ok(count),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn level(&mut self) -> Result<Level, Fault> {
        match self.0.next() {
            Some(Arg::Level(level)) => Ok(level),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn options(&mut self) -> Result<Vec<(String, String)>, Fault> {
        match self.0.next() {
            Some(Arg::Options(options)) => Ok(options),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }
}

/// Converts a value to what a parameter takes.
///
/// # Errors
/// INCORRECT_PARAMETERS.
pub(super) fn convert(kind: ParamKind, value: Value) -> Result<Arg, Fault> {
    let wrong = || FaultCode::IncorrectParameters.bare();
    match kind {
        ParamKind::Namespec => match value {
            Value::Text(text) => Ok(Arg::Text(text)),
            Value::Bytes(bytes) => String::from_utf8(bytes).map(Arg::Text).map_err(|_| wrong()),
            _ => Err(wrong()),
        },
        ParamKind::Word => word(value).map(Arg::Text).ok_or_else(wrong),
        ParamKind::Data => match value {
            Value::Text(text) => Ok(Arg::Data(text.into_bytes())),
            Value::Bytes(bytes) => Ok(Arg::Data(bytes)),
            other => Err(match word(other) {
                Some(word) => FaultCode::IncorrectParameters.of(word),
                None => wrong(),
            }),
        },
        ParamKind::Int => int(&value).map(Arg::Int).ok_or_else(wrong),
        ParamKind::Truth => Ok(Arg::Truth(match value {
            Value::Int(number) => number != 0,
            Value::Bool(truth) => truth,
            Value::Double(number) => number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::DateTime(_) => true,
            Value::Bytes(bytes) => !bytes.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Struct(members) => !members.is_empty(),
        })),
        ParamKind::List => match value {
            Value::Array(items) => Ok(Arg::List(items)),
            _ => Err(wrong()),
        },
        ParamKind::Names => match value {
            Value::Array(items) if items.len() > NAMES_MAX => {
                Err(FaultCode::IncorrectParameters.of(format!("more than {NAMES_MAX} names")))
            }
            Value::Array(items) => {
                let names: Option<Vec<String>> = items.into_iter().map(word).collect();
                let mut seen = HashSet::new();
                let mut names = names.ok_or_else(wrong)?;
                // One name a thousand times must not be a thousand times the work.
                names.retain(|name| seen.insert(name.clone()));
                Ok(Arg::Names(names))
            }
            other => word(other)
                .map(|name| Arg::Names(vec![name]))
                .ok_or_else(wrong),
        },
        ParamKind::Count => int(&value)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|&number| number > 0)
            .map(Arg::Count)
            .ok_or_else(wrong),
        ParamKind::Level => level(&value).map(Arg::Level).ok_or_else(wrong),
        ParamKind::Options => match value {
            Value::Struct(members) => options(members).map(Arg::Options),
            _ => Err(wrong()),
        },
    }
}

/// A level as the plug-in supervisor_twiddler takes it: four letters in any case, or the number itself, never as a text.
fn level(value: &Value) -> Option<Level> {
    let known = |is: &dyn Fn(Level, &str) -> bool| {
        Level::ALL
            .into_iter()
            .find(|(level, _, letters)| is(*level, letters))
            .map(|(level, _, _)| level)
    };
    match value {
        Value::Text(text) => known(&|_, letters| letters.eq_ignore_ascii_case(text)),
        Value::Int(number) => known(&|level, _| i64::from(level as u8) == *number),
        // Python finds a number by its worth, whatever its type.
        Value::Double(number) => known(&|level, _| f64::from(level as u8) == *number),
        Value::Bool(_)
        | Value::Bytes(_)
        | Value::DateTime(_)
        | Value::Array(_)
        | Value::Struct(_) => None,
    }
}

/// Keys and values of a section, each value as Python's `str` prints it.
fn options(members: Vec<(String, Value)>) -> Result<Vec<(String, String)>, Fault> {
    let mut bytes = 0;
    let mut options = Vec::with_capacity(members.len());
    for (key, value) in members {
        let Some(value) = word(value) else {
            let text = format!("{key} takes a single value");
            return Err(FaultCode::IncorrectParameters.of(text));
        };
        bytes += key.len() + value.len();
        if bytes > OPTIONS_BYTES_MAX {
            let text = format!("the options are longer than {OPTIONS_BYTES_MAX} bytes");
            return Err(FaultCode::IncorrectParameters.of(text));
        }
        options.push((key, value));
    }
    Ok(options)
}

/// A single value as Python's `str` prints it.
fn word(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Bytes(bytes) => String::from_utf8(bytes).ok(),
        Value::Int(number) => Some(number.to_string()),
        Value::Double(number) => Some(format!("{number:?}")),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::DateTime(_) | Value::Array(_) | Value::Struct(_) => None,
    }
}

/// A single value as Python's `int` takes it.
fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Bool(truth) => Some(i64::from(*truth)),
        Value::Text(text) => text.trim().parse().ok(),
        // The bounds are exact in a double, and what lies between them has a whole part that fits.
        Value::Double(number) if (-9.2e18..=9.2e18).contains(number) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "in range, and Python truncates"
            )]
            Some(*number as i64)
        }
        _ => None,
    }
}
