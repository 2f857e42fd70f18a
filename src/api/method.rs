//! What a method is: its parameters, how arguments are checked and converted, and what a call of it asks for.
//!
//! Which methods there are stands in [`METHODS`]; how a call is carried out is the fronts' business.
//!
//! # Source
//! Supervisor manual, "XML-RPC API Documentation".

use super::xmlrpc::Value;
use super::{Fault, FaultCode, LogOf, METHODS, Permission, Request};

/// A type on the wire, in the words of `system.methodSignature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireType {
    /// `string`
    Text,
    /// `int`
    Int,
    /// `boolean`
    Bool,
    /// `array`
    Array,
    /// `struct`
    Struct,
}

impl WireType {
    /// The word in signatures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Bool => "boolean",
            Self::Array => "array",
            Self::Struct => "struct",
        }
    }
}

/// What an argument is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// A namespec: text, nothing else.
    Namespec,
    /// Any single value, as text: a group's name, a signal's name or number, an event's type.
    Word,
    /// Text or bytes for a process.
    Data,
    /// A whole number; digits in a text will do.
    Int,
    /// Yes unless it is empty or nought, as in Python.
    Truth,
    /// An array.
    List,
}

impl ParamKind {
    /// The type in signatures.
    #[must_use]
    pub const fn wire(self) -> WireType {
        match self {
            Self::Namespec | Self::Word | Self::Data => WireType::Text,
            Self::Int => WireType::Int,
            Self::Truth => WireType::Bool,
            Self::List => WireType::Array,
        }
    }
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name in the documentation; arguments go by position.
    pub name: &'static str,
    /// What it is taken for.
    pub kind: ParamKind,
    /// It may be left out; only [`ParamKind::Truth`] is ever optional, and then means yes.
    pub optional: bool,
    /// What it is for.
    pub doc: &'static str,
}

/// One method.
pub struct Method {
    /// Its full name and its other names, e.g. `supervisor.getAPIVersion`.
    pub names: &'static [&'static str],
    /// In order; optional ones last.
    pub params: &'static [Param],
    /// Type of the result.
    pub returns: WireType,
    /// What the result is.
    pub result: &'static str,
    /// The faults it may answer with, besides UNKNOWN_METHOD, INCORRECT_PARAMETERS and SHUTDOWN_STATE.
    pub faults: &'static [FaultCode],
    /// What a caller must be granted.
    pub permission: Permission,
    /// What it does.
    pub doc: &'static str,
    /// Makes the request of the arguments, already converted and complete.
    pub(super) bind: fn(&mut Args) -> Result<Bound, Fault>,
}

/// A call with valid arguments: what a front has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// Ask the engine.
    Engine(Request),
    /// Ask the engine; the namespec was a wildcard, and a BAD_NAME must say it as given.
    Wildcard(Request, String),
    /// Read a part of a log.
    ReadLog {
        /// Whose.
        of: LogOf,
        /// First byte; negative: from the end.
        offset: i64,
        /// How many; 0: to the end.
        length: i64,
    },
    /// Read the end of a process's log.
    TailLog {
        /// Whose.
        of: LogOf,
        /// Where the client is.
        offset: i64,
        /// How many bytes.
        length: i64,
    },
    /// A fixed text; faults while the daemon is stopping, like every other `supervisor.*`.
    Constant(&'static str),
    /// `system.listMethods`
    ListMethods,
    /// `system.methodHelp`
    MethodHelp(String),
    /// `system.methodSignature`
    MethodSignature(String),
    /// `system.multicall`; the elements as given.
    Multicall(Vec<Value>),
}

/// The method of this name.
#[must_use]
pub fn method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.names.contains(&name))
}

/// Every name in order, aliases included; `supervisor.*` only if that interface is there.
#[must_use]
pub fn names(interface: SupervisorInterface) -> Vec<&'static str> {
    let mut names: Vec<_> = METHODS
        .iter()
        .filter(|method| interface.offers(method))
        .flat_map(|method| method.names.iter().copied())
        .collect();
    names.sort_unstable();
    names
}

/// Whether the configuration has `[rpcinterface:supervisor]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupervisorInterface {
    /// Methods of `supervisor` and `system`.
    Present,
    /// Methods of `system` only.
    Absent,
}

impl SupervisorInterface {
    /// Whether `method` is there.
    #[must_use]
    pub fn offers(self, method: &Method) -> bool {
        self == Self::Present || method.names.iter().any(|name| name.starts_with("system."))
    }
}

impl Method {
    /// Checks and converts arguments.
    ///
    /// # Errors
    /// INCORRECT_PARAMETERS; BAD_NAME for a wildcard where one process is required.
    // Differs: an argument of a wrong type is INCORRECT_PARAMETERS; Supervisor answers 500 for most of them.
    pub fn bind(&self, given: Vec<Value>) -> Result<Bound, Fault> {
        let required = self.params.iter().filter(|param| !param.optional).count();
        if given.len() < required || given.len() > self.params.len() {
            return Err(FaultCode::IncorrectParameters.bare());
        }
        let mut given = given.into_iter();
        let converted: Result<Vec<Arg>, Fault> = self
            .params
            .iter()
            .map(|param| match given.next() {
                Some(value) => convert(param.kind, value),
                None => Ok(Arg::Truth(true)),
            })
            .collect();
        (self.bind)(&mut Args(converted?.into_iter()))
    }

    /// `[return type, parameter types…]`.
    #[must_use]
    pub fn signature(&self) -> Vec<&'static str> {
        std::iter::once(self.returns.name())
            .chain(self.params.iter().map(|param| param.kind.wire().name()))
            .collect()
    }

    /// What `system.methodHelp` says, with the tags that Supervisor's help has.
    #[must_use]
    pub fn help(&self) -> String {
        let mut text = format!("{}\n\n", self.doc);
        for Param {
            name,
            kind,
            optional,
            doc,
        } in self.params
        {
            let default = if *optional { " (default: true)" } else { "" };
            let kind = kind.wire().name();
            text.push_str(&format!("@param {kind} {name}  {doc}{default}\n"));
        }
        let kind = self.returns.name();
        text.push_str(&format!("@return {kind} result  {}\n", self.result));
        if !self.faults.is_empty() {
            let faults: Vec<_> = self
                .faults
                .iter()
                .map(|fault| format!("{} ({})", fault.name(), fault.code()))
                .collect();
            text.push_str(&format!("\nFaults: {}\n", faults.join(", ")));
        }
        text
    }
}

/// A converted argument.
pub(super) enum Arg {
    Text(String),
    Data(Vec<u8>),
    Int(i64),
    Truth(bool),
    List(Vec<Value>),
}

/// Converted arguments, taken in order. [`Method::bind`] made them of the declared kinds, so a mismatch would be a row of
/// METHODS that contradicts itself; a test binds every row.
pub(super) struct Args(std::vec::IntoIter<Arg>);

impl Args {
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
}

fn convert(kind: ParamKind, value: Value) -> Result<Arg, Fault> {
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
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Target;
    use crate::domain::Namespec;

    /// What a running Supervisor 4.3.0 answers to `system.listMethods` and `system.methodSignature`.
    const GENUINE: &[(&str, &[&str])] = &[
        ("supervisor.addProcessGroup", &["boolean", "string"]),
        ("supervisor.clearAllProcessLogs", &["array"]),
        ("supervisor.clearLog", &["boolean"]),
        ("supervisor.clearProcessLog", &["boolean", "string"]),
        ("supervisor.clearProcessLogs", &["boolean", "string"]),
        ("supervisor.getAPIVersion", &["string"]),
        ("supervisor.getAllConfigInfo", &["array"]),
        ("supervisor.getAllProcessInfo", &["array"]),
        ("supervisor.getIdentification", &["string"]),
        ("supervisor.getPID", &["int"]),
        ("supervisor.getProcessInfo", &["struct", "string"]),
        ("supervisor.getState", &["struct"]),
        ("supervisor.getSupervisorVersion", &["string"]),
        ("supervisor.getVersion", &["string"]),
        ("supervisor.readLog", &["string", "int", "int"]),
        ("supervisor.readMainLog", &["string", "int", "int"]),
        (
            "supervisor.readProcessLog",
            &["string", "string", "int", "int"],
        ),
        (
            "supervisor.readProcessStderrLog",
            &["string", "string", "int", "int"],
        ),
        (
            "supervisor.readProcessStdoutLog",
            &["string", "string", "int", "int"],
        ),
        ("supervisor.reloadConfig", &["array"]),
        ("supervisor.removeProcessGroup", &["boolean", "string"]),
        ("supervisor.restart", &["boolean"]),
        (
            "supervisor.sendProcessStdin",
            &["boolean", "string", "string"],
        ),
        (
            "supervisor.sendRemoteCommEvent",
            &["boolean", "string", "string"],
        ),
        ("supervisor.shutdown", &["boolean"]),
        ("supervisor.signalAllProcesses", &["array", "string"]),
        ("supervisor.signalProcess", &["boolean", "string", "string"]),
        (
            "supervisor.signalProcessGroup",
            &["array", "string", "string"],
        ),
        ("supervisor.startAllProcesses", &["array", "boolean"]),
        ("supervisor.startProcess", &["boolean", "string", "boolean"]),
        (
            "supervisor.startProcessGroup",
            &["array", "string", "boolean"],
        ),
        ("supervisor.stopAllProcesses", &["array", "boolean"]),
        ("supervisor.stopProcess", &["boolean", "string", "boolean"]),
        (
            "supervisor.stopProcessGroup",
            &["array", "string", "boolean"],
        ),
        (
            "supervisor.tailProcessLog",
            &["array", "string", "int", "int"],
        ),
        (
            "supervisor.tailProcessStderrLog",
            &["array", "string", "int", "int"],
        ),
        (
            "supervisor.tailProcessStdoutLog",
            &["array", "string", "int", "int"],
        ),
        ("system.listMethods", &["array"]),
        ("system.methodHelp", &["string", "string"]),
        ("system.methodSignature", &["array", "string"]),
        ("system.multicall", &["array", "array"]),
    ];

    #[test]
    fn rpc_14_every_method_of_supervisor_is_there_and_no_other() {
        let genuine: Vec<_> = GENUINE.iter().map(|(name, _)| *name).collect();
        assert_eq!(names(SupervisorInterface::Present), genuine);
        assert_eq!(
            names(SupervisorInterface::Absent),
            [
                "system.listMethods",
                "system.methodHelp",
                "system.methodSignature",
                "system.multicall"
            ]
        );
    }

    #[test]
    fn rpc_35_signatures_are_supervisors() {
        for (name, signature) in GENUINE {
            let method = method(name).expect("there");
            assert_eq!(method.signature(), *signature, "{name}");
            let help = method.help();
            assert!(
                help.contains(method.doc) && help.contains("@return"),
                "{name}"
            );
        }
    }

    #[test]
    fn rpc_11_arity_is_exact() {
        for method in METHODS {
            let name = method.names[0];
            let value = |kind| match kind {
                ParamKind::Int => Value::Int(1),
                ParamKind::List => Value::Array(vec![]),
                _ => Value::text("x"),
            };
            let full: Vec<_> = method
                .params
                .iter()
                .map(|param| value(param.kind))
                .collect();
            assert!(method.bind(full.clone()).is_ok(), "{name}");
            let mut more = full.clone();
            more.push(Value::Int(1));
            let fault = FaultCode::IncorrectParameters.bare();
            assert_eq!(method.bind(more), Err(fault.clone()), "{name}");
            let optional = method.params.last().is_some_and(|param| param.optional);
            if !full.is_empty() {
                let less = full[..full.len() - 1].to_vec();
                assert_eq!(method.bind(less).is_ok(), optional, "{name}");
            }
        }
    }

    #[test]
    fn rpc_10_only_names_of_the_table_are_found() {
        for name in [
            "",
            "supervisor",
            "supervisor.",
            "supervisor._x",
            "supervisor.a.b",
            "supervisor.__init__",
            "system",
            "supervisor.supervisord.options.execve",
            "SUPERVISOR.getPID",
            "supervisor.getPID ",
        ] {
            assert!(method(name).is_none(), "{name}");
        }
    }

    fn bind(name: &str, params: Vec<Value>) -> Result<Bound, Fault> {
        method(name).expect("there").bind(params)
    }

    #[test]
    fn rpc_11_kinds_of_arguments() {
        let of = || LogOf::Daemon;
        let read = |offset, length| {
            Ok(Bound::ReadLog {
                of: of(),
                offset,
                length,
            })
        };
        let wrong = || Err(FaultCode::IncorrectParameters.bare());
        let table = [
            ("ints", vec![Value::Int(-5), Value::Int(0)], read(-5, 0)),
            (
                "digits",
                vec![Value::text("0"), Value::text(" 10 ")],
                read(0, 10),
            ),
            (
                "as Python's int",
                vec![Value::Bool(true), Value::Double(1.9)],
                read(1, 1),
            ),
            ("words", vec![Value::text("a"), Value::Int(0)], wrong()),
            ("huge", vec![Value::Double(1e19), Value::Int(0)], wrong()),
            (
                "no number",
                vec![Value::Double(f64::NAN), Value::Int(0)],
                wrong(),
            ),
            ("array", vec![Value::Array(vec![]), Value::Int(0)], wrong()),
        ];
        for (name, given, expected) in table {
            assert_eq!(bind("supervisor.readLog", given), expected, "{name}");
        }
        assert_eq!(
            bind("supervisor.getProcessInfo", vec![Value::Int(5)]),
            wrong()
        );
        assert_eq!(
            bind("supervisor.addProcessGroup", vec![Value::Int(5)]),
            Ok(Bound::Engine(Request::AddGroup("5".to_owned())))
        );
    }

    #[test]
    fn rpc_17_wait_is_what_python_takes_for_true() {
        let table = [
            (vec![], true),
            (vec![Value::Bool(false)], false),
            (vec![Value::Int(0)], false),
            (vec![Value::Int(2)], true),
            (vec![Value::text("")], false),
            (vec![Value::text("false")], true),
        ];
        for (given, expected) in table {
            let start = Request::Start {
                target: Target::All,
                wait: expected,
            };
            assert_eq!(
                bind("supervisor.startAllProcesses", given),
                Ok(Bound::Engine(start))
            );
        }
    }

    #[test]
    fn rpc_19_wildcards_mean_the_group() {
        for name in ["g:*", "g:"] {
            let stop = Request::Stop {
                target: Target::Group("g".to_owned()),
                wait: true,
            };
            assert_eq!(
                bind("supervisor.stopProcess", vec![Value::text(name)]),
                Ok(Bound::Wildcard(stop, name.to_owned()))
            );
            assert_eq!(
                bind("supervisor.clearProcessLogs", vec![Value::text(name)]),
                Err(FaultCode::BadName.of(name))
            );
        }
        let one = Target::One(Namespec::parse("g:p"), "g:p".to_owned());
        assert_eq!(
            bind(
                "supervisor.signalProcess",
                vec![Value::text("g:p"), Value::Int(1)]
            ),
            Ok(Bound::Engine(Request::Signal {
                target: one,
                signal: "1".to_owned()
            }))
        );
    }

    #[test]
    fn rpc_30_stdin_takes_text_or_bytes() {
        let send = |value| {
            bind(
                "supervisor.sendProcessStdin",
                vec![Value::text("cat"), value],
            )
        };
        let wrote = |data: &[u8]| {
            Ok(Bound::Engine(Request::WriteStdin {
                name: "cat".to_owned(),
                data: data.to_vec(),
            }))
        };
        assert_eq!(send(Value::text("é\n")), wrote("é\n".as_bytes()));
        assert_eq!(send(Value::Bytes(vec![0, 255])), wrote(&[0, 255]));
        assert_eq!(
            send(Value::Int(5)),
            Err(FaultCode::IncorrectParameters.of("5"))
        );
    }
}
