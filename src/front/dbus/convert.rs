//! Values: what messages carry → what METHODS take, and what methods answer → what messages carry. It must not know who
//! asks, nor what for.

use std::collections::HashMap;

use zbus::message::Body;
use zbus::{Array, Dict, Signature, Structure, Variant};

use super::calls::{Call, Outcome};
use super::refusal::Refusal;
use crate::api::xmlrpc::Value;

/// What a message carries, one value after the other.
pub(super) type Values = Vec<Variant<'static>>;

/// The arguments of a call, if they are of its types, exactly.
///
/// # Errors
/// INVALID_ARGS, with what it takes.
pub(super) fn arguments(call: &Call, body: &Body) -> Result<Vec<Value>, Refusal> {
    let takes = call.takes();
    let given = body.signature().to_string_no_parens();
    let wrong = || {
        let of = |types: &str| match types {
            "" => "no arguments".to_owned(),
            types => format!("({types})"),
        };
        Refusal::invalid(format!(
            "{} takes {}, not {}",
            call.name,
            of(&takes),
            of(&given)
        ))
    };
    if given != takes {
        return Err(wrong());
    }
    if takes.is_empty() {
        return Ok(Vec::new());
    }
    let read: Structure<'_> = body.deserialize().map_err(|_| wrong())?;
    let values = read.into_fields().into_iter().map(value);
    values.collect::<Option<Vec<_>>>().ok_or_else(wrong)
}

/// A list of texts, for the call that is several.
pub(super) fn texts(values: Vec<Value>) -> Vec<String> {
    let lists = values.into_iter().flat_map(|value| match value {
        Value::Array(items) => items,
        other => vec![other],
    });
    lists
        .filter_map(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
        .collect()
}

/// One argument, of the types that CALLS has.
fn value(given: Variant<'_>) -> Option<Value> {
    Some(match given {
        Variant::Str(text) => Value::Text(text.as_str().to_owned()),
        Variant::Bool(truth) => Value::Bool(truth),
        Variant::I64(number) => Value::Int(number),
        Variant::U32(number) => Value::Int(i64::from(number)),
        Variant::Array(array) if *array.element_signature() == Signature::U8 => {
            let bytes = array.inner().iter().map(|byte| match byte {
                Variant::U8(byte) => Some(*byte),
                _ => None,
            });
            Value::Bytes(bytes.collect::<Option<_>>()?)
        }
        Variant::Array(array) => {
            let items = array.inner().iter().map(|item| match item {
                Variant::Str(text) => Some(Value::text(text.as_str())),
                _ => None,
            });
            Value::Array(items.collect::<Option<_>>()?)
        }
        Variant::Dict(dict) => {
            let members = dict.iter().map(|(key, value)| match (key, value) {
                (Variant::Str(key), Variant::Str(value)) => {
                    Some((key.as_str().to_owned(), Value::text(value.as_str())))
                }
                _ => None,
            });
            Value::Struct(members.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// A text as messages can carry it: a NUL would end it, and the bus would close the connection for it.
pub(super) fn text(text: &str) -> Variant<'static> {
    Variant::from(text.replace('\0', "\u{fffd}"))
}

/// What a method answered. None if it is not what its row of CALLS promises, which a test of all rows would find.
pub(super) fn answer(outcome: Outcome, value: Value) -> Option<Values> {
    Some(match (outcome, value) {
        (Outcome::Done, _) => Vec::new(),
        (Outcome::Text, Value::Text(it)) => vec![text(&it)],
        (Outcome::Number, Value::Int(number)) => vec![Variant::from(small(number))],
        (Outcome::State, Value::Struct(members)) => {
            let (code, name) = (int(&members, "statecode")?, word(&members, "statename")?);
            vec![Variant::from(small(code)), text(name)]
        }
        (Outcome::Info, Value::Struct(members)) => vec![Variant::from(info(members)?)],
        (Outcome::Infos, Value::Array(items)) => {
            let mut infos = Array::new(&info_signature());
            for item in items {
                let Value::Struct(members) = item else {
                    return None;
                };
                infos.append(Variant::from(info(members)?)).ok()?;
            }
            vec![Variant::from(infos)]
        }
        (Outcome::Results, Value::Array(items)) => {
            let one = [
                Signature::Str,
                Signature::Str,
                Signature::I32,
                Signature::Str,
            ];
            let mut results = Array::new(&Signature::structure(one));
            for item in items {
                let Value::Struct(members) = item else {
                    return None;
                };
                let result = Structure::from((
                    word(&members, "group")?.to_owned(),
                    word(&members, "name")?.to_owned(),
                    small(int(&members, "status")?),
                    word(&members, "description")?.replace('\0', "\u{fffd}"),
                ));
                results.append(Variant::from(result)).ok()?;
            }
            vec![Variant::from(results)]
        }
        // XML-RPC has the three in a list of one.
        (Outcome::Difference, Value::Array(mut outer)) => match outer.pop() {
            Some(Value::Array(lists)) if lists.len() == 3 => {
                lists.into_iter().map(names).collect::<Option<_>>()?
            }
            _ => return None,
        },
        (Outcome::Tail, Value::Array(parts)) => match parts.as_slice() {
            [Value::Text(it), Value::Int(size), Value::Bool(overflow)] => {
                vec![text(it), Variant::from(*size), Variant::from(*overflow)]
            }
            _ => return None,
        },
        (Outcome::Scaled, Value::Struct(members)) => members
            .into_iter()
            .map(|(_, list)| names(list))
            .collect::<Option<_>>()?,
        (Outcome::Names, list) => vec![names(list)?],
        _ => return None,
    })
}

/// Properties by name, as `a{sv}`.
pub(super) fn dictionary(
    members: Vec<(&str, Variant<'static>)>,
) -> HashMap<String, Variant<'static>> {
    let members = members.into_iter();
    members
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn info_signature() -> Signature {
    Signature::dict(Signature::Str, Signature::Variant)
}

fn info(members: Vec<(String, Value)>) -> Option<Dict<'static, 'static>> {
    let mut info = Dict::new(&Signature::Str, &Signature::Variant);
    for (name, value) in members {
        let value = match value {
            Value::Text(it) => text(&it),
            Value::Int(number) => Variant::from(number),
            Value::Bool(truth) => Variant::from(truth),
            // The one list there is: exit codes.
            Value::Array(items) => {
                let numbers = items.into_iter().map(|item| match item {
                    Value::Int(number) => Some(number),
                    _ => None,
                });
                Variant::from(numbers.collect::<Option<Vec<i64>>>()?)
            }
            Value::Bytes(_) | Value::DateTime(_) | Value::Double(_) | Value::Struct(_) => {
                return None;
            }
        };
        let value = Variant::Variant(Box::new(value));
        info.append(text(&name), value).ok()?;
    }
    Some(info)
}

fn names(list: Value) -> Option<Variant<'static>> {
    let Value::Array(items) = list else {
        return None;
    };
    let names = items.into_iter().map(|item| match item {
        Value::Text(name) => Some(name.replace('\0', "\u{fffd}")),
        _ => None,
    });
    names.collect::<Option<Vec<String>>>().map(Variant::from)
}

fn member<'a>(members: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    members
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

fn word<'a>(members: &'a [(String, Value)], name: &str) -> Option<&'a str> {
    match member(members, name) {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}

fn int(members: &[(String, Value)], name: &str) -> Option<i64> {
    match member(members, name) {
        Some(Value::Int(number)) => Some(*number),
        _ => None,
    }
}

/// Codes and numbers of processes, which always fit.
fn small(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::calls::CALLS;
    use super::*;
    use crate::api::{FaultCode, Reply, TargetResult};
    use crate::domain::{GroupName, ProcessName, SupervisorState};
    use crate::front::view::{self, tests::cat};

    /// An answer of the engine of the kind that the call has.
    fn reply(outcome: Outcome) -> Reply {
        let process = ProcessName::parse("p").expect("valid");
        let group = GroupName::parse("g").expect("valid");
        match outcome {
            Outcome::Done => Reply::Done,
            Outcome::Text | Outcome::Tail => Reply::Text("a\0b".to_owned()),
            Outcome::Number => Reply::Pid(7),
            Outcome::State => Reply::State(SupervisorState::Running),
            Outcome::Info | Outcome::Infos => Reply::Processes(vec![cat()]),
            Outcome::Results => Reply::Results(vec![TargetResult {
                process,
                group,
                fault: Some(FaultCode::Failed.of("permission denied: g:p")),
            }]),
            Outcome::Difference => Reply::Diff {
                added: vec![group],
                changed: Vec::new(),
                removed: Vec::new(),
            },
            Outcome::Scaled => Reply::Scaled {
                group,
                added: vec![process],
                removed: Vec::new(),
            },
            Outcome::Names => Reply::Names(vec![group]),
        }
    }

    #[test]
    fn every_answer_is_of_the_types_that_its_row_says() {
        for call in CALLS {
            let returns = call.method().expect(call.name).returns;
            let value = match call.outcome {
                Outcome::Tail => {
                    Value::Array(vec![Value::text("a\0b"), Value::Int(3), Value::Bool(false)])
                }
                outcome => view::reply(reply(outcome), returns),
            };
            let values = answer(call.outcome, value).expect(call.name);
            let types: Vec<String> = values
                .iter()
                .map(|value| value.value_signature().to_string())
                .collect();
            let said: Vec<&str> = call
                .outcome
                .values()
                .iter()
                .map(|(_, types)| *types)
                .collect();
            assert_eq!(types, said, "{}", call.name);
            // A NUL in a text would cost us the connection.
            assert!(!format!("{values:?}").contains("\\0"), "{}", call.name);
        }
    }

    #[test]
    fn the_configuration_has_types_of_the_bus_too() {
        let row = |exitcodes| {
            Value::Struct(vec![
                ("autostart".to_owned(), Value::Bool(true)),
                ("exitcodes".to_owned(), Value::Array(exitcodes)),
                ("uid".to_owned(), Value::Int(1000)),
                ("command".to_owned(), Value::text("x")),
            ])
        };
        let value = Value::Array(vec![row(vec![Value::Int(0)]), row(vec![])]);
        let values = answer(Outcome::Infos, value).expect("types");
        assert_eq!(values[0].value_signature().to_string(), "aa{sv}");
    }

    #[test]
    fn what_is_of_another_kind_is_no_answer() {
        for outcome in [
            Outcome::Text,
            Outcome::Info,
            Outcome::Difference,
            Outcome::Tail,
        ] {
            assert_eq!(answer(outcome, Value::Int(1)), None, "{outcome:?}");
        }
    }
}
