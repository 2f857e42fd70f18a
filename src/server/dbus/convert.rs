//! Converts values: from D-Bus messages to arguments of METHODS, and from method results to D-Bus messages. This
//! module does not know callers or the meaning of calls.

use std::collections::HashMap;

use zbus::message::Body;
use zbus::{Array, Dict, Signature, Structure, Variant};

use super::error::BusError;
use super::interface::{BusMethod, ReplyType};
use crate::api::xmlrpc::RpcValue;

/// The values of a message body, in order.
pub(super) type BusValues = Vec<Variant<'static>>;

/// Reads the arguments of a call. Their types must match exactly.
///
/// # Errors
/// INVALID_ARGS, with the expected types.
pub(super) fn arguments(call: &BusMethod, body: &Body) -> Result<Vec<RpcValue>, BusError> {
    let takes = call.input_signature();
    let given = body.signature().to_string_no_parens();
    let wrong = || {
        let of = |types: &str| match types {
            "" => "no arguments".to_owned(),
            types => format!("({types})"),
        };
        BusError::invalid(format!(
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
    let values = read.into_fields().into_iter().map(read_value);
    values.collect::<Option<Vec<_>>>().ok_or_else(wrong)
}

/// Flattens values into a list of strings, for calls that take a list.
pub(super) fn text_list(values: Vec<RpcValue>) -> Vec<String> {
    let lists = values.into_iter().flat_map(|value| match value {
        RpcValue::Array(items) => items,
        other => vec![other],
    });
    lists
        .filter_map(|value| match value {
            RpcValue::Text(text) => Some(text),
            _ => None,
        })
        .collect()
}

/// Converts one argument. `None`: a type that BUS_METHODS does not use.
fn read_value(given: Variant<'_>) -> Option<RpcValue> {
    Some(match given {
        Variant::Str(text) => RpcValue::Text(text.as_str().to_owned()),
        Variant::Bool(truth) => RpcValue::Bool(truth),
        Variant::I64(number) => RpcValue::Int(number),
        Variant::U32(number) => RpcValue::Int(i64::from(number)),
        Variant::Array(array) if *array.element_signature() == Signature::U8 => {
            let bytes = array.inner().iter().map(|byte| match byte {
                Variant::U8(byte) => Some(*byte),
                _ => None,
            });
            RpcValue::Bytes(bytes.collect::<Option<_>>()?)
        }
        Variant::Array(array) => {
            let items = array.inner().iter().map(|item| match item {
                Variant::Str(text) => Some(RpcValue::text(text.as_str())),
                _ => None,
            });
            RpcValue::Array(items.collect::<Option<_>>()?)
        }
        Variant::Dict(dict) => {
            let members = dict.iter().map(|(key, value)| match (key, value) {
                (Variant::Str(key), Variant::Str(value)) => {
                    Some((key.as_str().to_owned(), RpcValue::text(value.as_str())))
                }
                _ => None,
            });
            RpcValue::Struct(members.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

/// A string that a message can carry. A NUL is replaced, because the bus would close the connection for it.
pub(super) fn text_variant(text: &str) -> Variant<'static> {
    Variant::from(text.replace('\0', "\u{fffd}"))
}

/// Converts the result of a method. `None`: the result does not have the type that its row of BUS_METHODS declares. A
/// test of all rows would find that.
pub(super) fn reply_values(outcome: ReplyType, value: RpcValue) -> Option<BusValues> {
    Some(match (outcome, value) {
        (ReplyType::Done, _) => Vec::new(),
        (ReplyType::Text, RpcValue::Text(it)) => vec![text_variant(&it)],
        (ReplyType::Number, RpcValue::Int(number)) => vec![Variant::from(to_i32(number))],
        (ReplyType::State, RpcValue::Struct(members)) => {
            let (code, name) = (
                int_member(&members, "statecode")?,
                text_member(&members, "statename")?,
            );
            vec![Variant::from(to_i32(code)), text_variant(name)]
        }
        (ReplyType::Info, RpcValue::Struct(members)) => vec![Variant::from(info_dict(members)?)],
        (ReplyType::Infos, RpcValue::Array(items)) => {
            let mut infos = Array::new(&info_signature());
            for item in items {
                let RpcValue::Struct(members) = item else {
                    return None;
                };
                infos.append(Variant::from(info_dict(members)?)).ok()?;
            }
            vec![Variant::from(infos)]
        }
        (ReplyType::Results, RpcValue::Array(items)) => {
            let one = [
                Signature::Str,
                Signature::Str,
                Signature::I32,
                Signature::Str,
            ];
            let mut results = Array::new(&Signature::structure(one));
            for item in items {
                let RpcValue::Struct(members) = item else {
                    return None;
                };
                let result = Structure::from((
                    text_member(&members, "group")?.to_owned(),
                    text_member(&members, "name")?.to_owned(),
                    to_i32(int_member(&members, "status")?),
                    text_member(&members, "description")?.replace('\0', "\u{fffd}"),
                ));
                results.append(Variant::from(result)).ok()?;
            }
            vec![Variant::from(results)]
        }
        // XML-RPC wraps the three lists in a list of one element.
        (ReplyType::Difference, RpcValue::Array(mut outer)) => match outer.pop() {
            Some(RpcValue::Array(lists)) if lists.len() == 3 => lists
                .into_iter()
                .map(names_variant)
                .collect::<Option<_>>()?,
            _ => return None,
        },
        (ReplyType::Tail, RpcValue::Array(parts)) => match parts.as_slice() {
            [
                RpcValue::Text(it),
                RpcValue::Int(size),
                RpcValue::Bool(overflow),
            ] => {
                vec![
                    text_variant(it),
                    Variant::from(*size),
                    Variant::from(*overflow),
                ]
            }
            _ => return None,
        },
        (ReplyType::Scaled, RpcValue::Struct(members)) => members
            .into_iter()
            .map(|(_, list)| names_variant(list))
            .collect::<Option<_>>()?,
        (ReplyType::Names, list) => vec![names_variant(list)?],
        _ => return None,
    })
}

/// A dictionary of properties, of the type `a{sv}`.
pub(super) fn property_dict(
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

fn info_dict(members: Vec<(String, RpcValue)>) -> Option<Dict<'static, 'static>> {
    let mut info = Dict::new(&Signature::Str, &Signature::Variant);
    for (name, value) in members {
        let value = match value {
            RpcValue::Text(it) => text_variant(&it),
            RpcValue::Int(number) => Variant::from(number),
            RpcValue::Bool(truth) => Variant::from(truth),
            // Exit codes are the only list.
            RpcValue::Array(items) => {
                let numbers = items.into_iter().map(|item| match item {
                    RpcValue::Int(number) => Some(number),
                    _ => None,
                });
                Variant::from(numbers.collect::<Option<Vec<i64>>>()?)
            }
            RpcValue::Bytes(_)
            | RpcValue::DateTime(_)
            | RpcValue::Double(_)
            | RpcValue::Struct(_) => {
                return None;
            }
        };
        let value = Variant::Variant(Box::new(value));
        info.append(text_variant(&name), value).ok()?;
    }
    Some(info)
}

fn names_variant(list: RpcValue) -> Option<Variant<'static>> {
    let RpcValue::Array(items) = list else {
        return None;
    };
    let names = items.into_iter().map(|item| match item {
        RpcValue::Text(name) => Some(name.replace('\0', "\u{fffd}")),
        _ => None,
    });
    names.collect::<Option<Vec<String>>>().map(Variant::from)
}

fn member<'a>(members: &'a [(String, RpcValue)], name: &str) -> Option<&'a RpcValue> {
    members
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

fn text_member<'a>(members: &'a [(String, RpcValue)], name: &str) -> Option<&'a str> {
    match member(members, name) {
        Some(RpcValue::Text(text)) => Some(text),
        _ => None,
    }
}

fn int_member(members: &[(String, RpcValue)], name: &str) -> Option<i64> {
    match member(members, name) {
        Some(RpcValue::Int(number)) => Some(*number),
        _ => None,
    }
}

/// Converts a status code or PID, which always fits.
fn to_i32(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::interface::BUS_METHODS;
    use super::*;
    use crate::api::{FaultCode, Reply, TargetResult};
    use crate::domain::{GroupName, ProcessName, SupervisorState};
    use crate::server::calls::process_members::tests::cat;
    use crate::server::xmlrpc::render;

    /// A reply of the engine for this type of result.
    fn reply(outcome: ReplyType) -> Reply {
        let process = ProcessName::parse("p").expect("valid");
        let group = GroupName::parse("g").expect("valid");
        match outcome {
            ReplyType::Done => Reply::Done,
            ReplyType::Text | ReplyType::Tail => Reply::Text("a\0b".to_owned()),
            ReplyType::Number => Reply::Pid(7),
            ReplyType::State => Reply::State(SupervisorState::Running),
            ReplyType::Info | ReplyType::Infos => Reply::Processes(vec![cat()]),
            ReplyType::Results => Reply::Results(vec![TargetResult {
                process,
                group,
                fault: Some(FaultCode::Failed.of("permission denied: g:p")),
            }]),
            ReplyType::Difference => Reply::Diff {
                added: vec![group],
                changed: Vec::new(),
                removed: Vec::new(),
            },
            ReplyType::Scaled => Reply::Scaled {
                group,
                added: vec![process],
                removed: Vec::new(),
            },
            ReplyType::Names => Reply::Names(vec![group]),
        }
    }

    #[test]
    fn every_answer_has_the_types_of_its_row() {
        for call in BUS_METHODS {
            let returns = call.method().expect(call.name).returns;
            let value = match call.reply {
                ReplyType::Tail => RpcValue::Array(vec![
                    RpcValue::text("a\0b"),
                    RpcValue::Int(3),
                    RpcValue::Bool(false),
                ]),
                outcome => render::render_reply(reply(outcome), returns),
            };
            let values = reply_values(call.reply, value).expect(call.name);
            let types: Vec<String> = values
                .iter()
                .map(|value| value.value_signature().to_string())
                .collect();
            let said: Vec<&str> = call
                .reply
                .values()
                .iter()
                .map(|(_, types)| *types)
                .collect();
            assert_eq!(types, said, "{}", call.name);
            // A NUL in a string would close the connection.
            assert!(!format!("{values:?}").contains("\\0"), "{}", call.name);
        }
    }

    #[test]
    fn the_configuration_has_d_bus_types() {
        let row = |exitcodes| {
            RpcValue::Struct(vec![
                ("autostart".to_owned(), RpcValue::Bool(true)),
                ("exitcodes".to_owned(), RpcValue::Array(exitcodes)),
                ("uid".to_owned(), RpcValue::Int(1000)),
                ("command".to_owned(), RpcValue::text("x")),
            ])
        };
        let value = RpcValue::Array(vec![row(vec![RpcValue::Int(0)]), row(vec![])]);
        let values = reply_values(ReplyType::Infos, value).expect("types");
        assert_eq!(values[0].value_signature().to_string(), "aa{sv}");
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        for outcome in [
            ReplyType::Text,
            ReplyType::Info,
            ReplyType::Difference,
            ReplyType::Tail,
        ] {
            assert_eq!(reply_values(outcome, RpcValue::Int(1)), None, "{outcome:?}");
        }
    }
}
