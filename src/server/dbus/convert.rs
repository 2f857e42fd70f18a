//! Converts values: from D-Bus messages to arguments of METHODS, and from results of methods to D-Bus messages. This
//! module does not know callers or the meaning of calls.

use std::collections::HashMap;

use zbus::message::Body;
use zbus::{Array, Dict, Signature, Structure, Variant};

use super::error::BusError;
use super::interface::{BusMethod, ReplyType};
use crate::api::xmlrpc::RpcValue;
use crate::api::{ConfigView, MemberSink, ProcessView, Reply, TargetResult};
use crate::domain::GroupName;
use crate::server::calls::method_result::{MethodResult, namespecs, target_status};
use crate::server::calls::process_members::{RenderScratch, write_config, write_process};

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
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A string in a message.
pub(super) fn text_variant(text: &str) -> Variant<'static> {
    Variant::from(without_nul(text))
}

/// Renders the result of a method. `None`: the result does not have the type that its row of BUS_METHODS declares. A
/// test of all rows would find that.
pub(super) fn reply_values(outcome: ReplyType, result: MethodResult) -> Option<BusValues> {
    let reply = match (outcome, result) {
        (ReplyType::Done, _) => return Some(Vec::new()),
        (ReplyType::Tail, MethodResult::Tail(tail)) => {
            return Some(vec![
                text_variant(&tail.text),
                Variant::from(tail.size),
                Variant::from(tail.overflow),
            ]);
        }
        (_, MethodResult::Reply(reply)) => reply,
        (_, MethodResult::Tail(_) | MethodResult::Table(..)) => return None,
    };
    Some(match (outcome, reply) {
        (ReplyType::Text, Reply::Text(it)) => vec![text_variant(&it)],
        (ReplyType::Number, Reply::Pid(pid)) => vec![Variant::from(pid)],
        (ReplyType::State, Reply::State(state)) => {
            let code = i32::from(state.code());
            vec![Variant::from(code), text_variant(state.name())]
        }
        (ReplyType::Info, Reply::Processes(views)) => {
            let info = views.first().map_or_else(InfoDict::finish_empty, |view| {
                process_dict(view, &mut RenderScratch::default())
            });
            vec![Variant::from(info?)]
        }
        (ReplyType::Infos, Reply::Processes(views)) => {
            let mut scratch = RenderScratch::default();
            infos(views.iter().map(|view| process_dict(view, &mut scratch)))?
        }
        (ReplyType::Infos, Reply::Configs(views)) => infos(views.iter().map(config_dict))?,
        (ReplyType::Results, Reply::Results(results)) => statuses(&results)?,
        (
            ReplyType::Difference,
            Reply::Diff {
                added,
                changed,
                removed,
            },
        ) => [added, changed, removed]
            .map(|names| group_names(&names))
            .into(),
        (
            ReplyType::Scaled,
            Reply::Scaled {
                group,
                added,
                removed,
            },
        ) => [added, removed]
            .map(|names| names_variant(namespecs(&group, &names)))
            .into(),
        (ReplyType::Names, Reply::Names(names)) => vec![group_names(&names)],
        (ReplyType::Lines, Reply::Lines(lines)) => vec![names_variant(lines.into_iter())],
        _ => return None,
    })
}

fn infos(dicts: impl Iterator<Item = Option<Dict<'static, 'static>>>) -> Option<BusValues> {
    let mut infos = Array::new(&Signature::dict(Signature::Str, Signature::Variant));
    for info in dicts {
        infos.append(Variant::from(info?)).ok()?;
    }
    Some(vec![Variant::from(infos)])
}

fn statuses(results: &[TargetResult]) -> Option<BusValues> {
    let one = [
        Signature::Str,
        Signature::Str,
        Signature::I32,
        Signature::Str,
    ];
    let mut statuses = Array::new(&Signature::structure(one));
    for result in results {
        let (code, text) = target_status(result);
        let status = Structure::from((
            result.group.to_string(),
            result.process.to_string(),
            code,
            without_nul(&text),
        ));
        statuses.append(Variant::from(status)).ok()?;
    }
    Some(vec![Variant::from(statuses)])
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

/// Collects members in a dictionary of the type `a{sv}`. `None`: a member did not fit, which no type here can cause.
struct InfoDict(Option<Dict<'static, 'static>>);

impl InfoDict {
    fn new() -> Self {
        Self(Some(Dict::new(&Signature::Str, &Signature::Variant)))
    }

    /// A dictionary without members.
    fn finish_empty() -> Option<Dict<'static, 'static>> {
        Self::new().0
    }

    fn append(&mut self, name: &str, value: Variant<'static>) {
        let value = Variant::Variant(Box::new(value));
        self.0 = self.0.take().and_then(|mut dict| {
            dict.append(text_variant(name), value).ok()?;
            Some(dict)
        });
    }
}

impl MemberSink for InfoDict {
    fn text(&mut self, name: &'static str, text: &str) {
        self.append(name, text_variant(text));
    }

    fn int(&mut self, name: &'static str, number: i64) {
        self.append(name, Variant::from(number));
    }

    fn bool(&mut self, name: &'static str, truth: bool) {
        self.append(name, Variant::from(truth));
    }

    fn ints(&mut self, name: &'static str, numbers: impl Iterator<Item = i64>) {
        self.append(name, Variant::from(numbers.collect::<Vec<i64>>()));
    }
}

fn process_dict(view: &ProcessView, scratch: &mut RenderScratch) -> Option<Dict<'static, 'static>> {
    let mut info = InfoDict::new();
    write_process(view, scratch, &mut info);
    info.0
}

fn config_dict(view: &ConfigView) -> Option<Dict<'static, 'static>> {
    let mut info = InfoDict::new();
    write_config(view, &mut info);
    info.0
}

fn group_names(names: &[GroupName]) -> Variant<'static> {
    names_variant(names.iter().map(GroupName::to_string))
}

fn names_variant(names: impl Iterator<Item = String>) -> Variant<'static> {
    Variant::from(
        names
            .map(|name| without_nul(&name))
            .collect::<Vec<String>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::interface::BUS_METHODS;
    use super::*;
    use crate::api::FaultCode;
    use crate::config::testing::program;
    use crate::domain::{ProcessName, SupervisorState};
    use crate::server::calls::log_parts::LogTail;
    use crate::server::calls::process_members::tests::{cat, config_of};

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
            ReplyType::Lines => Reply::Lines(vec!["a\0b".to_owned()]),
        }
    }

    #[test]
    fn every_answer_has_the_types_of_its_row() {
        for call in BUS_METHODS {
            let result = match call.reply {
                ReplyType::Tail => MethodResult::Tail(LogTail {
                    text: "a\0b".to_owned(),
                    size: 3,
                    overflow: false,
                }),
                outcome => MethodResult::Reply(reply(outcome)),
            };
            let values = reply_values(call.reply, result).expect(call.name);
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
        let views = ["a", "b"].map(|name| config_of(program(name, name)));
        let result = MethodResult::Reply(Reply::Configs(views.into()));
        let values = reply_values(ReplyType::Infos, result).expect("types");
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
            let number = MethodResult::Reply(Reply::Pid(1));
            assert_eq!(reply_values(outcome, number), None, "{outcome:?}");
        }
    }
}
