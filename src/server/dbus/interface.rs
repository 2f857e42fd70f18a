//! BUS_METHODS, PROPERTIES and SIGNALS: the tables of our D-Bus interface. Dispatch, introspection and the manual
//! page derive from them. The meaning, parameters and permission of a call come from the row of METHODS that it
//! names.

use crate::api::{METHODS, Method, ParamKind};

/// The bus name. All interface names begin with it.
pub(super) const BUS_NAME: &str = "org.supervisord.Supervisor1";

/// The kinds of our objects. Each has an interface of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Manager,
    Group,
    Process,
}

impl ObjectKind {
    pub(super) const ALL: [Self; 3] = [Self::Manager, Self::Group, Self::Process];

    /// The interface name.
    pub(super) const fn interface(self) -> &'static str {
        match self {
            Self::Manager => "org.supervisord.Supervisor1.Manager",
            Self::Group => "org.supervisord.Supervisor1.Group",
            Self::Process => "org.supervisord.Supervisor1.Process",
        }
    }

    /// Number of a method's leading parameters that the object itself supplies, by its name.
    const fn implied_params(self) -> usize {
        match self {
            Self::Manager => 0,
            Self::Group | Self::Process => 1,
        }
    }
}

/// The type of a call's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyType {
    /// No value: the call succeeded.
    Done,
    Text,
    Number,
    /// The daemon's state.
    State,
    /// One process, with the names of `supervisor.getProcessInfo`.
    Info,
    /// Several such structs, or those of `supervisor.getAllConfigInfo`.
    Infos,
    /// The result for each process.
    Results,
    /// The differences between the configuration files and the active configuration.
    Difference,
    /// The end of a log.
    Tail,
    /// The processes added and removed by a new number of processes.
    Scaled,
    /// Group names.
    Names,
    /// Lines of text.
    Lines,
}

impl ReplyType {
    /// Name and D-Bus type of each value.
    pub(super) const fn values(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Done => &[],
            Self::Text => &[("text", "s")],
            Self::Number => &[("number", "i")],
            Self::State => &[("code", "i"), ("name", "s")],
            Self::Info => &[("info", "a{sv}")],
            Self::Infos => &[("infos", "aa{sv}")],
            Self::Results => &[("results", "a(ssis)")],
            Self::Difference => &[("added", "as"), ("changed", "as"), ("removed", "as")],
            Self::Tail => &[("text", "s"), ("size", "x"), ("overflow", "b")],
            Self::Scaled => &[("added", "as"), ("removed", "as")],
            Self::Names => &[("names", "as")],
            Self::Lines => &[("lines", "as")],
        }
    }
}

/// How a call is executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallBinding {
    /// By this method of METHODS.
    Method(&'static str),
    /// By several methods, as in `supervisorctl update`. It needs the permission of `reread`.
    Update,
}

/// One method of one of our interfaces.
#[derive(Debug)]
pub(super) struct BusMethod {
    pub(super) kind: ObjectKind,
    pub(super) name: &'static str,
    pub(super) binding: CallBinding,
    pub(super) reply: ReplyType,
    /// The verb that polkit rules see. Methods with the same effect have the same verb.
    pub(super) verb: &'static str,
}

const fn call(
    kind: ObjectKind,
    name: &'static str,
    method: &'static str,
    verb: &'static str,
    outcome: ReplyType,
) -> BusMethod {
    BusMethod {
        kind,
        name,
        binding: CallBinding::Method(method),
        reply: outcome,
        verb,
    }
}

use ObjectKind::{Group, Manager, Process};
use ReplyType::{
    Difference, Done, Info, Infos, Lines, Names, Number, Results, Scaled, State, Tail, Text,
};

/// All methods.
#[rustfmt::skip] // One row, one line.
pub(super) const BUS_METHODS: &[BusMethod] = &[
    // The daemon
    call(Manager, "GetAPIVersion", "supervisor.getAPIVersion", "status", Text),
    call(Manager, "GetSupervisorVersion", "supervisor.getSupervisorVersion", "status", Text),
    call(Manager, "GetIdentification", "supervisor.getIdentification", "status", Text),
    call(Manager, "GetState", "supervisor.getState", "status", State),
    call(Manager, "GetSchedules", "supervisord.getSchedules", "status", Lines),
    call(Manager, "GetRuns", "supervisord.getRuns", "status", Lines),
    call(Manager, "GetPID", "supervisor.getPID", "status", Number),
    call(Manager, "ReadLog", "supervisor.readLog", "read-log", Text),
    call(Manager, "ClearLog", "supervisor.clearLog", "clear-log", Done),
    call(Manager, "Shutdown", "supervisor.shutdown", "shutdown", Done),
    call(Manager, "Restart", "supervisor.restart", "reload", Done),
    call(Manager, "Reexecute", "supervisord.reexecute", "upgrade", Done),
    // Configuration
    call(Manager, "ReloadConfig", "supervisor.reloadConfig", "reread", Difference),
    call(Manager, "PlanUpdate", "supervisord.planUpdate", "reread", Text),
    call(Manager, "ReloadConfigIfPlan", "supervisord.reloadConfigIfPlan", "reread", Difference),
    call(Manager, "AddProcessGroup", "supervisor.addProcessGroup", "add", Done),
    call(Manager, "RemoveProcessGroup", "supervisor.removeProcessGroup", "remove", Done),
    call(Manager, "UpdateProcessGroup", "supervisord.updateProcessGroup", "update", Results),
    call(Manager, "GetPartialUpdates", "supervisord.getPartialUpdates", "status", Lines),
    BusMethod { kind: Manager, name: "Update", binding: CallBinding::Update, reply: Difference, verb: "update" },
    call(Manager, "GetAllConfigInfo", "supervisor.getAllConfigInfo", "avail", Infos),
    // States
    call(Manager, "GetProcessInfo", "supervisor.getProcessInfo", "status", Info),
    call(Manager, "GetAllProcessInfo", "supervisor.getAllProcessInfo", "status", Infos),
    // Start, stop, signal
    call(Manager, "StartProcess", "supervisor.startProcess", "start", Done),
    call(Manager, "StartProcessGroup", "supervisor.startProcessGroup", "start", Results),
    call(Manager, "StartAllProcesses", "supervisor.startAllProcesses", "start", Results),
    call(Manager, "StopProcess", "supervisor.stopProcess", "stop", Done),
    call(Manager, "StopProcessGroup", "supervisor.stopProcessGroup", "stop", Results),
    call(Manager, "StopAllProcesses", "supervisor.stopAllProcesses", "stop", Results),
    call(Manager, "SignalProcess", "supervisor.signalProcess", "signal", Done),
    call(Manager, "SignalProcessGroup", "supervisor.signalProcessGroup", "signal", Results),
    call(Manager, "SignalAllProcesses", "supervisor.signalAllProcesses", "signal", Results),
    call(Manager, "ReloadProcess", "supervisord.reloadProcess", "reload", Done),
    call(Manager, "ReloadProcessGroup", "supervisord.reloadProcessGroup", "reload", Results),
    call(Manager, "ReloadAllProcesses", "supervisord.reloadAllProcesses", "reload", Results),
    call(Manager, "RollingRestart", "supervisord.rollingRestart", "restart", Results),
    call(Manager, "RollingRestartWith", "supervisord.rollingRestart", "restart", Results),
    // Logs of processes, and talk
    call(Manager, "ReadProcessStdoutLog", "supervisor.readProcessStdoutLog", "read-log", Text),
    call(Manager, "ReadProcessStderrLog", "supervisor.readProcessStderrLog", "read-log", Text),
    call(Manager, "TailProcessStdoutLog", "supervisor.tailProcessStdoutLog", "read-log", Tail),
    call(Manager, "TailProcessStderrLog", "supervisor.tailProcessStderrLog", "read-log", Tail),
    call(Manager, "GetLastStderr", "supervisord.getLastStderr", "read-log", Lines),
    call(Manager, "ClearProcessLogs", "supervisor.clearProcessLogs", "clear-logs", Done),
    call(Manager, "ClearAllProcessLogs", "supervisor.clearAllProcessLogs", "clear-logs", Results),
    call(Manager, "SendProcessStdin", "supervisor.sendProcessStdin", "write-stdin", Done),
    call(Manager, "SendRemoteCommEvent", "supervisor.sendRemoteCommEvent", "event", Done),
    // Changes at run time
    call(Manager, "StartWithoutDependencies", "supervisord.startWithoutDependencies", "start", Done),
    call(Manager, "StopWithDependents", "supervisord.stopWithDependents", "stop", Results),
    call(Manager, "SetNumprocs", "supervisord.setNumprocs", "scale", Scaled),
    call(Manager, "ResetNumprocs", "supervisord.resetNumprocs", "scale", Scaled),
    call(Manager, "GetGroupNames", "twiddler.getGroupNames", "status", Names),
    call(Manager, "Log", "twiddler.log", "write-log", Done),
    call(Manager, "AddProgramToGroup", "twiddler.addProgramToGroup", "add-program", Done),
    call(Manager, "RemoveProcessFromGroup", "twiddler.removeProcessFromGroup", "remove-process", Done),
    // One group
    call(Group, "Start", "supervisor.startProcessGroup", "start", Results),
    call(Group, "Stop", "supervisor.stopProcessGroup", "stop", Results),
    call(Group, "Signal", "supervisor.signalProcessGroup", "signal", Results),
    call(Group, "Reload", "supervisord.reloadProcessGroup", "reload", Results),
    call(Group, "RollingRestart", "supervisord.rollingRestart", "restart", Results),
    call(Group, "RollingRestartWith", "supervisord.rollingRestart", "restart", Results),
    call(Group, "Remove", "supervisor.removeProcessGroup", "remove", Done),
    // One process
    call(Process, "GetInfo", "supervisor.getProcessInfo", "status", Info),
    call(Process, "Start", "supervisor.startProcess", "start", Done),
    call(Process, "Stop", "supervisor.stopProcess", "stop", Done),
    call(Process, "Reload", "supervisord.reloadProcess", "reload", Done),
    call(Process, "Restart", "supervisord.rollingRestart", "restart", Done),
    call(Process, "Signal", "supervisor.signalProcess", "signal", Done),
    call(Process, "ReadStdoutLog", "supervisor.readProcessStdoutLog", "read-log", Text),
    call(Process, "ReadStderrLog", "supervisor.readProcessStderrLog", "read-log", Text),
    call(Process, "TailStdoutLog", "supervisor.tailProcessStdoutLog", "read-log", Tail),
    call(Process, "TailStderrLog", "supervisor.tailProcessStderrLog", "read-log", Tail),
    call(Process, "ClearLogs", "supervisor.clearProcessLogs", "clear-logs", Done),
    call(Process, "SendStdin", "supervisor.sendProcessStdin", "write-stdin", Done),
];

/// One argument of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BusArgument {
    pub(super) name: &'static str,
    pub(super) signature: &'static str,
    pub(super) doc: &'static str,
}

impl BusMethod {
    /// The row of METHODS that defines the meaning and permission.
    pub(super) fn method(&self) -> Option<&'static Method> {
        let name = match self.binding {
            CallBinding::Method(name) => name,
            CallBinding::Update => "supervisor.reloadConfig",
        };
        METHODS.iter().find(|method| method.names.contains(&name))
    }

    /// The arguments of the call, in order. D-Bus has no optional arguments.
    pub(super) fn arguments(&self) -> Vec<BusArgument> {
        if self.binding == CallBinding::Update {
            return vec![BusArgument {
                name: "groups",
                signature: "as",
                doc: "Groups to update; empty = all groups that differ",
            }];
        }
        let params = self.method().map_or(&[][..], |method| method.params);
        let taken = match self.name {
            // Restarting a single process takes no options of a rolling restart.
            "Restart" if self.kind == Process => 1,
            // The signature is older than the options.
            "RollingRestart" => 2,
            _ => params.len(),
        };
        let params = params.iter().take(taken).skip(self.kind.implied_params());
        params
            .map(|param| BusArgument {
                name: param.name,
                signature: signature(param.kind),
                doc: param.doc,
            })
            .collect()
    }

    /// The D-Bus signature of the arguments.
    pub(super) fn input_signature(&self) -> String {
        let arguments = self.arguments();
        arguments
            .iter()
            .map(|argument| argument.signature)
            .collect()
    }

    /// The description of the method.
    pub(super) fn doc(&self) -> &'static str {
        match self.binding {
            CallBinding::Method(_) => self.method().map_or("", |method| method.doc),
            CallBinding::Update => {
                "Read the configuration and apply the differences: removed and changed groups are stopped and removed, new and changed groups are added. Of a group with `rolling`, some processes at a time are restarted, and if only numbers of processes changed, the others are not touched."
            }
        }
    }
}

/// The D-Bus type of a parameter.
const fn signature(kind: ParamKind) -> &'static str {
    match kind {
        ParamKind::Namespec | ParamKind::Word | ParamKind::Level | ParamKind::Text => "s",
        ParamKind::Data => "ay",
        ParamKind::Int => "x",
        ParamKind::Truth | ParamKind::Flag => "b",
        ParamKind::List => "av",
        ParamKind::Names => "as",
        ParamKind::Count => "u",
        ParamKind::Options => "a{ss}",
    }
}

/// One property of one of our interfaces. Everybody who may see states can read it, and nobody can write it.
#[derive(Debug)]
pub(super) struct BusProperty {
    pub(super) kind: ObjectKind,
    pub(super) name: &'static str,
    pub(super) signature: &'static str,
    /// Whether it can change, which PropertiesChanged then announces.
    pub(super) changes: bool,
    pub(super) doc: &'static str,
}

const fn property(
    kind: ObjectKind,
    name: &'static str,
    signature: &'static str,
    changes: bool,
    doc: &'static str,
) -> BusProperty {
    BusProperty {
        kind,
        name,
        signature,
        changes,
        doc,
    }
}

/// All properties.
#[rustfmt::skip] // One row, one line.
pub(super) const PROPERTIES: &[BusProperty] = &[
    property(Manager, "Version", "s", false, "Version of the daemon."),
    property(Manager, "PID", "i", false, "PID of the daemon."),
    property(Manager, "Identification", "s", false, "Value of `identifier` in `[supervisord]`."),
    property(Manager, "State", "s", true, "RUNNING, SHUTDOWN or RESTARTING."),
    property(Group, "Name", "s", false, "Name of the group."),
    property(Process, "Name", "s", false, "Name of the process in its group."),
    property(Process, "Group", "s", false, "Name of the group of the process."),
    property(Process, "State", "s", true, "STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN."),
    property(Process, "PID", "i", true, "PID of the process; 0 = not running."),
    property(Process, "Started", "x", true, "Time of the last start, in seconds since the epoch; 0 = never."),
    property(Process, "Stopped", "x", true, "Time of the last exit, in seconds since the epoch; 0 = never."),
    property(Process, "ExitStatus", "i", true, "Last exit code; -1 after a signal, 0 before the first exit."),
    property(Process, "SpawnError", "s", true, "Error of the last start; empty = no error."),
    property(Process, "Restarts", "t", true, "Number of restarts since the group was added."),
    property(Process, "NextAttempt", "x", true, "Time of the next automatic start, in seconds since the epoch, if the program has a key such as restart_delay; 0 = none is due."),
    property(Process, "Health", "s", true, "`none` (no health check, or not up), `starting` (not known yet), `healthy` or `unhealthy`."),
    property(Process, "StdoutLogfile", "s", true, "Log file of standard output; empty = no file."),
    property(Process, "StderrLogfile", "s", true, "Log file of standard error; empty = no file."),
];

/// One signal of one of our interfaces.
#[derive(Debug)]
pub(super) struct BusSignal {
    pub(super) kind: ObjectKind,
    pub(super) name: &'static str,
    pub(super) values: &'static [(&'static str, &'static str)],
    pub(super) doc: &'static str,
}

/// The signal for a changed process state.
pub(super) const STATE_CHANGED: &str = "StateChanged";
/// The signal that signals were dropped.
pub(super) const EVENTS_LOST: &str = "EventsLost";

/// All signals.
pub(super) const SIGNALS: &[BusSignal] = &[
    BusSignal {
        kind: Process,
        name: STATE_CHANGED,
        values: &[
            ("group", "s"),
            ("process", "s"),
            ("from", "s"),
            ("to", "s"),
            ("pid", "i"),
        ],
        doc: "The process changed its state; one signal for each change, in order.",
    },
    BusSignal {
        kind: Manager,
        name: EVENTS_LOST,
        values: &[("count", "t")],
        doc: "The daemon dropped signals of this many changes, because they came too fast. PropertiesChanged of all objects follows.",
    },
];

/// Finds a method by object kind and name.
pub(super) fn find_method(kind: ObjectKind, name: &str) -> Option<&'static BusMethod> {
    BUS_METHODS
        .iter()
        .find(|call| call.kind == kind && call.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Methods of METHODS that are not on D-Bus, with the reason.
    const EDITING: &str = "texts of the configuration are for people, who edit them on the page, by REST and with supervisorctl";
    const DETAILS: &str =
        "the object of a process has properties, and the rest is JSON for pages and scripts";
    const HOLDS: &str =
        "people put processes on hold, with supervisorctl or by REST; Description tells it";
    const WITHOUT: &[(&str, &str)] = &[
        ("supervisord.listPrograms", EDITING),
        ("supervisord.getProgram", EDITING),
        ("supervisord.addProgram", EDITING),
        ("supervisord.setProgram", EDITING),
        ("supervisord.setProgramKeys", EDITING),
        ("supervisord.removeProgram", EDITING),
        ("supervisord.copyProgram", EDITING),
        ("supervisord.getSource", EDITING),
        ("supervisord.getNacos", EDITING),
        ("supervisord.setNacos", EDITING),
        ("supervisord.leaveNacos", EDITING),
        ("supervisord.testNacos", EDITING),
        ("supervisord.listNacosVersions", EDITING),
        ("supervisord.listNacosListeners", EDITING),
        ("supervisord.getNacosVersion", EDITING),
        ("supervisord.restoreNacosVersion", EDITING),
        ("supervisord.holdProcess", HOLDS),
        ("supervisord.releaseProcess", HOLDS),
        ("supervisord.getSecurity", DETAILS),
        (
            "supervisord.getUsage",
            "figures that change all the time are read by polling, not by properties",
        ),
        (
            "supervisord.getAuditTrail",
            "the journal has the audit lines, and more of them",
        ),
        ("supervisord.getProcessDetails", DETAILS),
        ("supervisord.getProcessConfig", DETAILS),
        (
            "supervisord.getConfigProblems",
            "the error of ReloadConfig has the first, and the log has all",
        ),
        (
            "supervisord.getDependencies",
            "the property Description tells what a process waits for",
        ),
        (
            "supervisord.getGeneration",
            "each image takes the bus name anew, which the bus tells",
        ),
        (
            "supervisord.getProcessTable",
            "a list on the bus is compact already",
        ),
        ("system.listMethods", "introspection tells it"),
        ("system.methodHelp", "the manual page tells it"),
        ("system.methodSignature", "introspection tells it"),
        (
            "system.multicall",
            "calls on a bus need not wait for each other",
        ),
        (
            "twiddler.getAPIVersion",
            "the interface has no plug-in's version",
        ),
    ];

    #[test]
    fn every_method_has_its_counterpart() {
        for method in METHODS {
            let name = method.names[0];
            let excused = WITHOUT.iter().any(|(known, _)| *known == name);
            let (_, short) = name.split_once('.').expect("a namespace");
            let pascal = short[..1].to_uppercase() + &short[1..];
            let there = find_method(Manager, &pascal)
                .is_some_and(|call| call.binding == CallBinding::Method(name));
            assert!(there != excused, "{name}");
        }
        for (name, why) in WITHOUT {
            assert!(
                crate::api::find_method(name).is_some() && !why.is_empty(),
                "{name}"
            );
        }
    }

    #[test]
    fn rows_agree_with_their_methods() {
        for call in BUS_METHODS {
            let method = call.method().expect(call.name);
            let signatures = call.input_signature();
            assert!(!signatures.contains("av"), "{}: {signatures}", call.name);
            if call.kind != Manager {
                let first = method.params.first().expect(call.name).kind;
                assert!(
                    matches!(
                        first,
                        ParamKind::Namespec | ParamKind::Word | ParamKind::Names
                    ),
                    "{}",
                    call.name
                );
            }
            let same = BUS_METHODS
                .iter()
                .filter(|other| other.kind == call.kind && other.name == call.name);
            assert_eq!(same.count(), 1, "{}", call.name);
        }
    }

    #[test]
    fn signatures_are_strict() {
        let table = [
            (Manager, "StartProcess", "sb"),
            (Manager, "ReadProcessStdoutLog", "sxx"),
            (Manager, "SendProcessStdin", "say"),
            (Manager, "RollingRestart", "asu"),
            (Manager, "AddProgramToGroup", "ssa{ss}"),
            (Manager, "Update", "as"),
            (Group, "Start", "b"),
            (Group, "RollingRestart", "u"),
            (Group, "RollingRestartWith", "ua{ss}"),
            (Manager, "RollingRestartWith", "asua{ss}"),
            (Process, "Restart", ""),
            (Process, "Stop", "b"),
            (Process, "TailStdoutLog", "xx"),
        ];
        for (kind, name, takes) in table {
            assert_eq!(
                find_method(kind, name).expect(name).input_signature(),
                takes,
                "{name}"
            );
        }
    }
}
