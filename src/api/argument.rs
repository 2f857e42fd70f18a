//! Arguments of a call: converts XML-RPC values to the parameters that METHODS declares.

use std::collections::HashSet;

use super::xmlrpc::RpcValue;
use super::{Fault, FaultCode, ParamKind};
use crate::domain::Level;

/// Maximum size of all options of a program that is added at run time, in bytes. The daemon keeps them as long as the
/// program.
pub const OPTIONS_BYTES_MAX: usize = 1 << 20;

/// Maximum number of names in one argument: as many as a group may have processes.
pub const NAMES_MAX: usize = 100_000;

/// A converted argument.
pub(super) enum ArgValue {
    Text(String),
    Data(Vec<u8>),
    Int(i64),
    Truth(bool),
    List(Vec<RpcValue>),
    Names(Vec<String>),
    Count(u32),
    Level(Level),
    Options(Vec<(String, String)>),
}

/// Converted arguments, taken in order. [`super::Method::bind_arguments`] converts them to the declared kinds, so a
/// mismatch means that a row of METHODS contradicts itself. A test binds every row.
pub(super) struct Args(std::vec::IntoIter<ArgValue>);

impl Args {
    pub(super) fn new(args: Vec<ArgValue>) -> Self {
        Self(args.into_iter())
    }

    pub(super) fn text(&mut self) -> Result<String, Fault> {
        match self.0.next() {
            Some(ArgValue::Text(text)) => Ok(text),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn data(&mut self) -> Result<Vec<u8>, Fault> {
        match self.0.next() {
            Some(ArgValue::Data(data)) => Ok(data),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn int(&mut self) -> Result<i64, Fault> {
        match self.0.next() {
            Some(ArgValue::Int(number)) => Ok(number),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn truth(&mut self) -> Result<bool, Fault> {
        match self.0.next() {
            Some(ArgValue::Truth(truth)) => Ok(truth),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn list(&mut self) -> Result<Vec<RpcValue>, Fault> {
        match self.0.next() {
            Some(ArgValue::List(list)) => Ok(list),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn names(&mut self) -> Result<Vec<String>, Fault> {
        match self.0.next() {
            Some(ArgValue::Names(names)) => Ok(names),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn count(&mut self) -> Result<u32, Fault> {
        match self.0.next() {
            Some(ArgValue::Count(count)) => Ok(count),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn level(&mut self) -> Result<Level, Fault> {
        match self.0.next() {
            Some(ArgValue::Level(level)) => Ok(level),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    pub(super) fn options(&mut self) -> Result<Vec<(String, String)>, Fault> {
        match self.0.next() {
            Some(ArgValue::Options(options)) => Ok(options),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }
}

/// Converts a value to the kind of a parameter.
///
/// # Errors
/// INCORRECT_PARAMETERS.
pub(super) fn convert_argument(kind: ParamKind, value: RpcValue) -> Result<ArgValue, Fault> {
    let wrong = || FaultCode::IncorrectParameters.bare();
    match kind {
        ParamKind::Namespec => match value {
            RpcValue::Text(text) => Ok(ArgValue::Text(text)),
            RpcValue::Bytes(bytes) => String::from_utf8(bytes)
                .map(ArgValue::Text)
                .map_err(|_| wrong()),
            _ => Err(wrong()),
        },
        ParamKind::Word | ParamKind::Text => {
            python_str(value).map(ArgValue::Text).ok_or_else(wrong)
        }
        ParamKind::Data => match value {
            RpcValue::Text(text) => Ok(ArgValue::Data(text.into_bytes())),
            RpcValue::Bytes(bytes) => Ok(ArgValue::Data(bytes)),
            other => Err(match python_str(other) {
                Some(word) => FaultCode::IncorrectParameters.of(word),
                None => wrong(),
            }),
        },
        ParamKind::Int => python_int(&value).map(ArgValue::Int).ok_or_else(wrong),
        ParamKind::Truth | ParamKind::Flag => Ok(ArgValue::Truth(match value {
            RpcValue::Int(number) => number != 0,
            RpcValue::Bool(truth) => truth,
            RpcValue::Double(number) => number != 0.0,
            RpcValue::Text(text) => !text.is_empty(),
            RpcValue::DateTime(_) => true,
            RpcValue::Bytes(bytes) => !bytes.is_empty(),
            RpcValue::Array(items) => !items.is_empty(),
            RpcValue::Struct(members) => !members.is_empty(),
        })),
        ParamKind::List => match value {
            RpcValue::Array(items) => Ok(ArgValue::List(items)),
            _ => Err(wrong()),
        },
        ParamKind::Names => match value {
            RpcValue::Array(items) if items.len() > NAMES_MAX => {
                Err(FaultCode::IncorrectParameters.of(format!("more than {NAMES_MAX} names")))
            }
            RpcValue::Array(items) => {
                let names: Option<Vec<String>> = items.into_iter().map(python_str).collect();
                let mut seen = HashSet::new();
                let mut names = names.ok_or_else(wrong)?;
                // Remove duplicates, so that repeated names cause no repeated work.
                names.retain(|name| seen.insert(name.clone()));
                Ok(ArgValue::Names(names))
            }
            other => python_str(other)
                .map(|name| ArgValue::Names(vec![name]))
                .ok_or_else(wrong),
        },
        ParamKind::Count => python_int(&value)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|&number| number > 0)
            .map(ArgValue::Count)
            .ok_or_else(wrong),
        ParamKind::Level => level(&value).map(ArgValue::Level).ok_or_else(wrong),
        ParamKind::Options => match value {
            RpcValue::Struct(members) => options(members).map(ArgValue::Options),
            _ => Err(wrong()),
        },
    }
}

/// Parses a level as the plug-in supervisor_twiddler does: four letters in any case, or the number, but not as a text.
fn level(value: &RpcValue) -> Option<Level> {
    let known = |is: &dyn Fn(Level, &str) -> bool| {
        Level::ALL
            .into_iter()
            .find(|(level, _, letters)| is(*level, letters))
            .map(|(level, _, _)| level)
    };
    match value {
        RpcValue::Text(text) => known(&|_, letters| letters.eq_ignore_ascii_case(text)),
        RpcValue::Int(number) => known(&|level, _| i64::from(level as u8) == *number),
        // Python compares numbers by value, whatever their type.
        RpcValue::Double(number) => known(&|level, _| f64::from(level as u8) == *number),
        RpcValue::Bool(_)
        | RpcValue::Bytes(_)
        | RpcValue::DateTime(_)
        | RpcValue::Array(_)
        | RpcValue::Struct(_) => None,
    }
}

/// Converts the keys and values of a section. Each value becomes a text like Python's `str`.
fn options(members: Vec<(String, RpcValue)>) -> Result<Vec<(String, String)>, Fault> {
    let mut bytes = 0;
    let mut options = Vec::with_capacity(members.len());
    for (key, value) in members {
        let Some(value) = python_str(value) else {
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

/// Returns a single value like Python's `str`. `None`: it is not a single value.
fn python_str(value: RpcValue) -> Option<String> {
    match value {
        RpcValue::Text(text) => Some(text),
        RpcValue::Bytes(bytes) => String::from_utf8(bytes).ok(),
        RpcValue::Int(number) => Some(number.to_string()),
        RpcValue::Double(number) => Some(format!("{number:?}")),
        RpcValue::Bool(true) => Some("True".to_owned()),
        RpcValue::Bool(false) => Some("False".to_owned()),
        RpcValue::DateTime(_) | RpcValue::Array(_) | RpcValue::Struct(_) => None,
    }
}

/// Returns a single value like Python's `int`. `None`: it is not a number.
fn python_int(value: &RpcValue) -> Option<i64> {
    match value {
        RpcValue::Int(number) => Some(*number),
        RpcValue::Bool(truth) => Some(i64::from(*truth)),
        RpcValue::Text(text) => text.trim().parse().ok(),
        // The limits are exact as doubles, and the integer part of every value between them fits.
        RpcValue::Double(number) if (-9.2e18..=9.2e18).contains(number) =>
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
