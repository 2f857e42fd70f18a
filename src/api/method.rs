//! The description of a method: its parameters, the conversion of arguments, and the resulting call.
//!
//! [`METHODS`] lists the methods. The servers perform the calls.
//!
//! # Source
//! Supervisor manual, "XML-RPC API Documentation".

use super::argument::{ArgValue, Args, convert_argument};
use super::xmlrpc::RpcValue;
use super::{
    ConfigCall, Fault, FaultCode, LogRef, METHODS, Permission, Request, ResultKind, TableColumns,
};
use crate::domain::Level;

/// An XML-RPC type, as in `system.methodSignature`.
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
    /// Returns the name in signatures.
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

/// The kind of a parameter, which decides how its argument is converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// A namespec. Only a text is accepted.
    Namespec,
    /// Any single value as text: the name of a group, the name or number of a signal, the type of an event.
    Word,
    /// Text or bytes for a process.
    Data,
    /// An integer, also as digits in a text.
    Int,
    /// A truth value as in Python: false if it is empty or zero.
    Truth,
    /// An array.
    List,
    /// A name, or an array of names.
    Names,
    /// An integer, at least 1. Default: 1.
    Count,
    /// A level of the activity log, by its four letters or its number. Default: INFO.
    Level,
    /// A struct of single values. Each becomes a text. Default: empty.
    Options,
    /// Any text. Default: empty.
    Text,
    /// A truth value as [`ParamKind::Truth`]. Default: false.
    Flag,
}

impl ParamKind {
    /// Returns the type in signatures.
    #[must_use]
    pub const fn wire(self) -> WireType {
        match self {
            Self::Namespec | Self::Word | Self::Data | Self::Level | Self::Text => WireType::Text,
            Self::Int | Self::Count => WireType::Int,
            Self::Truth | Self::Flag => WireType::Bool,
            Self::List | Self::Names => WireType::Array,
            Self::Options => WireType::Struct,
        }
    }

    /// Returns the default, as the help shows it and as an argument. `None`: the argument is required.
    fn default(self) -> Option<(&'static str, ArgValue)> {
        match self {
            Self::Truth => Some(("true", ArgValue::Truth(true))),
            Self::Count => Some(("1", ArgValue::Count(1))),
            Self::Level => Some(("INFO", ArgValue::Level(Level::Info))),
            Self::Options => Some(("{}", ArgValue::Options(Vec::new()))),
            Self::Text => Some(("\"\"", ArgValue::Text(String::new()))),
            Self::Flag => Some(("false", ArgValue::Truth(false))),
            Self::Namespec | Self::Word | Self::Data | Self::Int | Self::List | Self::Names => None,
        }
    }
}

impl ParamKind {
    /// Returns the default as text. `None`: the argument is required.
    pub(super) fn default_text(self) -> Option<&'static str> {
        self.default().map(|(word, _)| word)
    }
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// The name in the documentation. Arguments are passed by position.
    pub name: &'static str,
    /// The kind.
    pub kind: ParamKind,
    /// Whether it may be omitted. Then its kind must have a default.
    pub optional: bool,
    /// The description.
    pub doc: &'static str,
}

/// One method.
#[derive(Clone, Copy)]
pub struct Method {
    /// The full name and its aliases, e.g. `supervisor.getAPIVersion`.
    pub names: &'static [&'static str],
    /// The parameters in order. Optional ones come last.
    pub params: &'static [Param],
    /// The kind of the result.
    pub returns: ResultKind,
    /// The description of the result.
    pub result: &'static str,
    /// The faults of the method, besides UNKNOWN_METHOD, INCORRECT_PARAMETERS and SHUTDOWN_STATE.
    pub faults: &'static [FaultCode],
    /// The permission that a caller needs.
    pub permission: Permission,
    /// The HTTP method and the path below `/api/v1`, such as `GET /processes/{name}`. A name in braces is a parameter. Only
    /// methods that change nothing have GET. Empty: no route.
    pub route: &'static str,
    /// The description.
    pub doc: &'static str,
    /// Creates the call from the arguments, which are converted and complete.
    pub(super) bind: fn(&mut Args) -> Result<BoundCall, Fault>,
}

/// A call with valid arguments.
#[derive(Debug, Clone, PartialEq)]
pub enum BoundCall {
    /// Send this request to the engine.
    Engine(Request),
    /// Send this request to the engine. The namespec was a wildcard, and a BAD_NAME must contain it as given.
    Wildcard(Request, String),
    /// Send this request for processes to the engine, and answer with a table of text.
    ProcessTable(Request, TableColumns),
    /// Tell all that is known of a process, as JSON.
    ProcessDetails(String),
    /// Tell the configuration of a process, as JSON.
    ProcessConfig(String),
    /// Send this request for processes to the engine, and tell what they use.
    Usage(Request),
    /// Tell how well the programs that these names mean are confined, as JSON. No names: all.
    Security(Vec<String>),
    /// Read a part of a log.
    ReadLog {
        /// The log.
        of: LogRef,
        /// The first byte. Negative: counted from the end.
        offset: i64,
        /// The number of bytes. 0: to the end.
        length: i64,
    },
    /// Read the end of a process's log.
    TailLog {
        /// The log.
        of: LogRef,
        /// The offset that the client has read up to.
        offset: i64,
        /// The maximum number of bytes.
        length: i64,
    },
    /// Answer from the texts of the configuration.
    Configuration(ConfigCall),
    /// Answer with this text. Like all methods of `supervisor.*` it fails while the daemon is stopping.
    Constant(&'static str),
    /// `system.listMethods`
    ListMethods,
    /// `system.methodHelp`
    MethodHelp(String),
    /// `system.methodSignature`
    MethodSignature(String),
    /// `system.multicall`, with the elements as given.
    Multicall(Vec<RpcValue>),
}

/// Returns the method with this name or alias.
#[must_use]
pub fn find_method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.names.contains(&name))
}

/// Returns all names and aliases of the enabled namespaces, sorted.
#[must_use]
pub fn method_names(interface: &RpcInterfaces) -> Vec<&'static str> {
    let mut names: Vec<_> = METHODS
        .iter()
        .filter(|method| interface.offers(method))
        .flat_map(|method| method.names.iter().copied())
        .collect();
    names.sort_unstable();
    names
}

/// The enabled namespaces besides `system`, which is always enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcInterfaces {
    /// `[rpcinterface:supervisor]`: the namespaces `supervisor` and `supervisord`.
    // Differs: listMethods includes the names of `supervisord`.
    pub supervisor: bool,
    /// `[rpcinterface:twiddler]`: the methods that may be called, without their prefix. Empty: all. `None`: not
    /// enabled.
    pub twiddler: Option<Vec<String>>,
}

impl RpcInterfaces {
    /// Returns whether the namespace of `method` is enabled.
    #[must_use]
    pub fn offers(&self, method: &Method) -> bool {
        match method.namespace() {
            "system" => true,
            "twiddler" => self.twiddler.is_some(),
            _ => self.supervisor,
        }
    }

    /// Checks that the whitelist permits `method`, whose namespace is enabled.
    ///
    /// # Errors
    /// The method is not in the whitelist.
    pub fn permits(&self, method: &Method) -> Result<(), Fault> {
        let Some(list) = self.twiddler.as_deref().filter(|list| !list.is_empty()) else {
            return Ok(());
        };
        let name = method.names.first().map_or("", |name| name);
        match name.strip_prefix("twiddler.") {
            Some(name) if !list.iter().any(|permitted| permitted == name) => {
                Err(FaultCode::NotInWhitelist.of(name))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Method {
    /// Returns the namespace: the part of the names before the dot.
    #[must_use]
    pub fn namespace(&self) -> &'static str {
        let name = self.names.first().map_or("", |name| name);
        name.split_once('.').map_or("", |(space, _)| space)
    }

    /// Checks and converts arguments.
    ///
    /// # Errors
    /// INCORRECT_PARAMETERS; BAD_NAME for a wildcard if a single process is required.
    // Differs: an argument of a wrong type is INCORRECT_PARAMETERS. Supervisor answers 500 for most of them.
    pub fn bind_arguments(&self, given: Vec<RpcValue>) -> Result<BoundCall, Fault> {
        let required = self.params.iter().filter(|param| !param.optional).count();
        if given.len() < required || given.len() > self.params.len() {
            return Err(FaultCode::IncorrectParameters.bare());
        }
        self.bind_optional_arguments(given.into_iter().map(Some).collect())
    }

    /// Checks and converts arguments, of which optional ones may be absent in any place.
    ///
    /// # Errors
    /// The same as those of [`Method::bind_arguments`].
    pub fn bind_optional_arguments(
        &self,
        given: Vec<Option<RpcValue>>,
    ) -> Result<BoundCall, Fault> {
        let mut given = given.into_iter();
        let converted: Result<Vec<ArgValue>, Fault> = self
            .params
            .iter()
            .map(|param| match given.next().flatten() {
                Some(value) => convert_argument(param.kind, value),
                None => param
                    .kind
                    .default()
                    .filter(|_| param.optional)
                    .map(|(_, value)| value)
                    .ok_or_else(|| FaultCode::IncorrectParameters.bare()),
            })
            .collect();
        (self.bind)(&mut Args::new(converted?))
    }

    /// Returns `[return type, parameter types…]`.
    #[must_use]
    pub fn signature(&self) -> Vec<&'static str> {
        std::iter::once(self.returns.wire().name())
            .chain(self.params.iter().map(|param| param.kind.wire().name()))
            .collect()
    }

    /// Returns the text of `system.methodHelp`, with the same tags as Supervisor's help.
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
            let default = kind
                .default()
                .filter(|_| *optional)
                .map(|(text, _)| format!(" (default: {text})"))
                .unwrap_or_default();
            let kind = kind.wire().name();
            text.push_str(&format!("@param {kind} {name}  {doc}{default}\n"));
        }
        let kind = self.returns.wire().name();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{NAMES_MAX, OPTIONS_BYTES_MAX, RequestTarget};
    use crate::domain::Namespec;

    /// The answers of a running Supervisor 4.3.0 to `system.listMethods` and `system.methodSignature`.
    const REFERENCE: &[(&str, &[&str])] = &[
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

    /// The methods that supervisor_twiddler adds.
    // Differs: the plug-in declares the version as int and the level as `string|int`, which is not a type.
    const TWIDDLER: &[(&str, &[&str])] = &[
        (
            "twiddler.addProgramToGroup",
            &["boolean", "string", "string", "struct"],
        ),
        ("twiddler.getAPIVersion", &["string"]),
        ("twiddler.getGroupNames", &["array"]),
        ("twiddler.log", &["boolean", "string", "string"]),
        (
            "twiddler.removeProcessFromGroup",
            &["boolean", "string", "string"],
        ),
    ];

    #[test]
    fn rpc_14_the_methods_are_exactly_supervisors() {
        let with = |supervisor, twiddler: Option<&[&str]>| {
            let twiddler =
                twiddler.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
            method_names(&RpcInterfaces {
                supervisor,
                twiddler,
            })
        };
        let reference: Vec<_> = REFERENCE.iter().map(|(name, _)| *name).collect();
        // Methods that Supervisor does not have are in a namespace of their own.
        let (ours, theirs): (Vec<_>, Vec<_>) = with(true, None)
            .into_iter()
            .partition(|name| name.starts_with("supervisord."));
        assert_eq!(theirs, reference);
        assert!(ours.contains(&"supervisord.setNumprocs"));
        let system = [
            "system.listMethods",
            "system.methodHelp",
            "system.methodSignature",
            "system.multicall",
        ];
        assert_eq!(with(false, None), system);
        let twiddler = TWIDDLER.iter().map(|(name, _)| *name);
        let both: Vec<_> = system.into_iter().chain(twiddler).collect();
        assert_eq!(with(false, Some(&[])), both);
        // As in the plug-in, the whitelist does not hide methods.
        assert_eq!(with(false, Some(&["log"])), both);
    }

    #[test]
    fn a_whitelist_permits_only_the_methods_it_names() {
        let interfaces = RpcInterfaces {
            supervisor: true,
            twiddler: Some(vec!["log".to_owned()]),
        };
        let called = |name| interfaces.permits(find_method(name).expect("there"));
        assert_eq!(called("twiddler.log"), Ok(()));
        assert_eq!(called("supervisor.getPID"), Ok(()));
        let fault = called("twiddler.addProgramToGroup").expect_err("not in the list");
        assert_eq!(
            (fault.code.code(), fault.to_string()),
            (230, "UNKNOWN: addProgramToGroup".to_owned())
        );
    }

    #[test]
    fn options_are_single_values_within_a_bound() {
        let add = |options| {
            bind(
                "twiddler.addProgramToGroup",
                vec![RpcValue::text("g"), RpcValue::Int(5), options],
            )
        };
        let members = |value| RpcValue::Struct(vec![("startsecs".to_owned(), value)]);
        for (value, text) in [
            (RpcValue::text("x"), "x"),
            (RpcValue::Int(2), "2"),
            (RpcValue::Bool(false), "False"),
            (RpcValue::Bytes(b"/bin/cat".to_vec()), "/bin/cat"),
        ] {
            assert_eq!(
                add(members(value)),
                Ok(BoundCall::Engine(Request::AddProgram {
                    group: "g".to_owned(),
                    program: "5".to_owned(),
                    options: vec![("startsecs".to_owned(), text.to_owned())],
                }))
            );
        }
        let fault = |options| add(options).expect_err("refused").to_string();
        assert_eq!(fault(RpcValue::text("x")), "INCORRECT_PARAMETERS");
        assert_eq!(
            fault(members(RpcValue::Array(vec![]))),
            "INCORRECT_PARAMETERS: startsecs takes a single value"
        );
        assert_eq!(
            fault(members(RpcValue::Text("x".repeat(OPTIONS_BYTES_MAX)))),
            "INCORRECT_PARAMETERS: the options are longer than 1048576 bytes"
        );
    }

    #[test]
    fn log_levels_are_those_of_the_twiddler() {
        let log = |level: Option<RpcValue>| {
            let given = std::iter::once(RpcValue::text("x")).chain(level).collect();
            match bind("twiddler.log", given) {
                Ok(BoundCall::Engine(Request::WriteLog { level, .. })) => Some(level),
                _ => None,
            }
        };
        for (given, expected) in [
            (None, Some(Level::Info)),
            (Some(RpcValue::text("warn")), Some(Level::Warn)),
            (Some(RpcValue::text("CRIT")), Some(Level::Critical)),
            (Some(RpcValue::Int(3)), Some(Level::Blather)),
            (Some(RpcValue::Double(50.0)), Some(Level::Critical)),
            (Some(RpcValue::text("ERROR")), None),
            (Some(RpcValue::text("20")), None),
            (Some(RpcValue::Int(21)), None),
            (Some(RpcValue::Bool(true)), None),
        ] {
            assert_eq!(log(given.clone()), expected, "{given:?}");
        }
    }

    #[test]
    fn a_rolling_restart_takes_one_name_or_several() {
        let roll = |given| match bind("supervisord.rollingRestart", given) {
            Ok(BoundCall::Engine(Request::RollingRestart { targets, limits })) => {
                Ok((targets, limits.at_once))
            }
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Err(fault),
        };
        let cat = || RequestTarget::One(Namespec::parse("cat"), "cat".to_owned());
        assert_eq!(roll(vec![RpcValue::text("cat")]), Ok((vec![cat()], 1)));
        let several = ["all", "g:*", "all", "cat"].map(RpcValue::text);
        assert_eq!(
            roll(vec![RpcValue::Array(several.into()), RpcValue::Int(3)]),
            Ok((
                vec![
                    RequestTarget::All,
                    RequestTarget::Group("g".to_owned()),
                    cat()
                ],
                3
            ))
        );
        let many = vec![RpcValue::text("all"); NAMES_MAX + 1];
        assert_eq!(
            roll(vec![RpcValue::Array(many)]).map_err(|fault| fault.to_string()),
            Err("INCORRECT_PARAMETERS: more than 100000 names".to_owned())
        );
        for count in [
            RpcValue::Int(0),
            RpcValue::Int(-1),
            RpcValue::text("x"),
            RpcValue::Int(1 << 40),
        ] {
            assert!(roll(vec![RpcValue::text("cat"), count]).is_err());
        }
    }

    #[test]
    fn a_rolling_restart_takes_options() {
        let roll = |options: &[(&str, RpcValue)]| {
            let members = options.iter();
            let members = members.map(|(name, value)| ((*name).to_owned(), value.clone()));
            let given = vec![
                RpcValue::text("cat"),
                RpcValue::Int(1),
                RpcValue::Struct(members.collect()),
            ];
            match bind("supervisord.rollingRestart", given) {
                Ok(BoundCall::Engine(Request::RollingRestart { limits, .. })) => {
                    Ok((limits.max_failures, limits.healthy))
                }
                Ok(other) => panic!("{other:?}"),
                Err(fault) => Err(fault.to_string()),
            }
        };
        let failures = |value| ("max_failures", value);
        let wait = |word: &str| ("wait", RpcValue::text(word));
        assert_eq!(roll(&[]), Ok((0, false)));
        assert_eq!(
            roll(&[failures(RpcValue::Int(2)), wait("healthy")]),
            Ok((2, true))
        );
        assert_eq!(
            roll(&[failures(RpcValue::text("3")), wait("ready")]),
            Ok((3, false))
        );
        for (wrong, why) in [
            (
                wait("soon"),
                "INCORRECT_PARAMETERS: wait takes ready or healthy, not soon",
            ),
            (
                failures(RpcValue::Int(-1)),
                "INCORRECT_PARAMETERS: max_failures takes a number of processes, not -1",
            ),
            (
                ("pause", RpcValue::Int(1)),
                "INCORRECT_PARAMETERS: no option pause",
            ),
        ] {
            assert_eq!(roll(&[wrong]), Err(why.to_owned()));
        }
    }

    #[test]
    fn rpc_35_signatures_are_supervisors() {
        for (name, signature) in REFERENCE.iter().chain(TWIDDLER) {
            let method = find_method(name).expect("there");
            assert_eq!(method.signature(), *signature, "{name}");
            let help = method.help();
            assert!(
                help.contains(method.doc) && help.contains("@return"),
                "{name}"
            );
        }
    }

    /// Returns a valid argument for a parameter.
    fn sample(param: &Param) -> RpcValue {
        match param.kind {
            ParamKind::Names if param.name == "members" => RpcValue::text("pid"),
            ParamKind::Int | ParamKind::Count => RpcValue::Int(1),
            ParamKind::List => RpcValue::Array(vec![]),
            ParamKind::Level => RpcValue::text("INFO"),
            ParamKind::Options => RpcValue::Struct(vec![]),
            ParamKind::Flag => RpcValue::Bool(false),
            _ => RpcValue::text("x"),
        }
    }

    #[test]
    fn rpc_11_arity_is_exact() {
        for method in METHODS {
            let name = method.names[0];
            let full: Vec<_> = method.params.iter().map(sample).collect();
            assert!(method.bind_arguments(full.clone()).is_ok(), "{name}");
            let mut more = full.clone();
            more.push(RpcValue::Int(1));
            let fault = FaultCode::IncorrectParameters.bare();
            assert_eq!(method.bind_arguments(more), Err(fault.clone()), "{name}");
            let optional = method.params.last().is_some_and(|param| param.optional);
            if !full.is_empty() {
                let less = full[..full.len() - 1].to_vec();
                assert_eq!(method.bind_arguments(less).is_ok(), optional, "{name}");
            }
        }
    }

    #[test]
    fn a1_every_name_in_an_argument_is_checked() {
        /// Parameters of the kind Word that name no process.
        const FREE: [&str; 4] = ["type", "data", "message", "id"];
        for method in METHODS {
            for (at, param) in method.params.iter().enumerate() {
                let names = match param.kind {
                    ParamKind::Namespec => true,
                    ParamKind::Names => param.name != "members",
                    ParamKind::Word => !FREE.contains(&param.name),
                    _ => false,
                };
                let mut given: Vec<_> = method.params.iter().map(sample).collect();
                if names || param.kind == ParamKind::Word {
                    given[at] = RpcValue::text("a\nb");
                }
                let bound = method.bind_arguments(given).expect("valid arguments");
                // Calls that the server answers itself name no process.
                if let Some(request) = bound.request() {
                    let checked = request.check_names().is_err();
                    assert_eq!(checked, names, "{} {}", method.names[0], param.name);
                    let declares = [FaultCode::BadName, FaultCode::BadSignal]
                        .iter()
                        .any(|fault| method.faults.contains(fault));
                    assert!(declares || !names, "{} {}", method.names[0], param.name);
                }
            }
        }
    }

    #[test]
    fn a1_methods_that_need_more_than_status_or_logs_are_audited() {
        for method in METHODS {
            let given: Vec<_> = method.params.iter().map(sample).collect();
            let bound = method.bind_arguments(given).expect("valid arguments");
            let verb = match &bound {
                BoundCall::Configuration(call) => call.audit_entry().map(|entry| entry.verb),
                bound => bound
                    .request()
                    .and_then(|request| request.effect().audit_verb()),
            };
            let reads = match method.permission {
                Permission::Status | Permission::ReadLogs => true,
                // Read, but problems and plans name files and users, and texts contain secrets.
                _ => matches!(
                    method.names,
                    ["supervisord.getConfigProblems"
                        | "supervisord.planUpdate"
                        | "supervisord.getProcessConfig"
                        | "supervisord.listPrograms"
                        | "supervisord.getProgram"
                        | "supervisord.getNacos"
                        | "supervisord.testNacos"
                        | "supervisord.listNacosVersions"
                        | "supervisord.listNacosListeners"
                        | "supervisord.getNacosVersion"]
                ),
            };
            assert_eq!(verb.is_none(), reads, "{}", method.names[0]);
        }
    }

    #[test]
    fn rpc_10_only_methods_of_the_table_are_found() {
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
            assert!(find_method(name).is_none(), "{name}");
        }
    }

    fn bind(name: &str, params: Vec<RpcValue>) -> Result<BoundCall, Fault> {
        find_method(name).expect("there").bind_arguments(params)
    }

    #[test]
    fn rpc_11_wrong_argument_types_are_refused() {
        let of = || LogRef::Daemon;
        let read = |offset, length| {
            Ok(BoundCall::ReadLog {
                of: of(),
                offset,
                length,
            })
        };
        let wrong = || Err(FaultCode::IncorrectParameters.bare());
        let table = [
            (
                "ints",
                vec![RpcValue::Int(-5), RpcValue::Int(0)],
                read(-5, 0),
            ),
            (
                "digits",
                vec![RpcValue::text("0"), RpcValue::text(" 10 ")],
                read(0, 10),
            ),
            (
                "as Python's int",
                vec![RpcValue::Bool(true), RpcValue::Double(1.9)],
                read(1, 1),
            ),
            (
                "words",
                vec![RpcValue::text("a"), RpcValue::Int(0)],
                wrong(),
            ),
            (
                "huge",
                vec![RpcValue::Double(1e19), RpcValue::Int(0)],
                wrong(),
            ),
            (
                "no number",
                vec![RpcValue::Double(f64::NAN), RpcValue::Int(0)],
                wrong(),
            ),
            (
                "array",
                vec![RpcValue::Array(vec![]), RpcValue::Int(0)],
                wrong(),
            ),
        ];
        for (name, given, expected) in table {
            assert_eq!(bind("supervisor.readLog", given), expected, "{name}");
        }
        assert_eq!(
            bind("supervisor.getProcessInfo", vec![RpcValue::Int(5)]),
            wrong()
        );
        assert_eq!(
            bind("supervisor.addProcessGroup", vec![RpcValue::Int(5)]),
            Ok(BoundCall::Engine(Request::AddGroup("5".to_owned())))
        );
    }

    #[test]
    fn rpc_17_wait_accepts_any_value_with_pythons_truth() {
        let table = [
            (vec![], true),
            (vec![RpcValue::Bool(false)], false),
            (vec![RpcValue::Int(0)], false),
            (vec![RpcValue::Int(2)], true),
            (vec![RpcValue::text("")], false),
            (vec![RpcValue::text("false")], true),
        ];
        for (given, expected) in table {
            let start = Request::Start {
                target: RequestTarget::All,
                wait: expected,
            };
            assert_eq!(
                bind("supervisor.startAllProcesses", given),
                Ok(BoundCall::Engine(start))
            );
        }
    }

    #[test]
    fn rpc_19_wildcards_mean_the_group() {
        for name in ["g:*", "g:"] {
            let stop = Request::Stop {
                target: RequestTarget::Group("g".to_owned()),
                wait: true,
            };
            assert_eq!(
                bind("supervisor.stopProcess", vec![RpcValue::text(name)]),
                Ok(BoundCall::Wildcard(stop, name.to_owned()))
            );
            assert_eq!(
                bind("supervisor.clearProcessLogs", vec![RpcValue::text(name)]),
                Err(FaultCode::BadName.of(name))
            );
        }
        let one = RequestTarget::One(Namespec::parse("g:p"), "g:p".to_owned());
        assert_eq!(
            bind(
                "supervisor.signalProcess",
                vec![RpcValue::text("g:p"), RpcValue::Int(1)]
            ),
            Ok(BoundCall::Engine(Request::Signal {
                target: one,
                signal: "1".to_owned()
            }))
        );
    }

    #[test]
    fn d6_the_old_form_of_reset_numprocs_is_accepted() {
        let set = |program, numprocs| {
            let given = vec![RpcValue::text(program), RpcValue::Int(numprocs)];
            bind("supervisord.setNumprocs", given)
        };
        let reset = || BoundCall::Engine(Request::ResetNumprocs("g".to_owned()));
        assert_eq!(set("g:*", -1), Ok(reset()));
        let given = vec![RpcValue::text("g")];
        assert_eq!(bind("supervisord.resetNumprocs", given), Ok(reset()));
        for (program, numprocs) in [("g:*", 1), ("g:p", -1)] {
            let scale = Request::SetNumprocs {
                program: program.to_owned(),
                numprocs,
            };
            assert_eq!(set(program, numprocs), Ok(BoundCall::Engine(scale)));
        }
    }

    #[test]
    fn rpc_30_stdin_accepts_strings_or_bytes() {
        let send = |value| {
            bind(
                "supervisor.sendProcessStdin",
                vec![RpcValue::text("cat"), value],
            )
        };
        let wrote = |data: &[u8]| {
            Ok(BoundCall::Engine(Request::WriteStdin {
                name: "cat".to_owned(),
                data: data.to_vec(),
            }))
        };
        assert_eq!(send(RpcValue::text("é\n")), wrote("é\n".as_bytes()));
        assert_eq!(send(RpcValue::Bytes(vec![0, 255])), wrote(&[0, 255]));
        assert_eq!(
            send(RpcValue::Int(5)),
            Err(FaultCode::IncorrectParameters.of("5"))
        );
    }
}
