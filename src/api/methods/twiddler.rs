//! The methods `twiddler.*` of the plug-in supervisor_twiddler.

use super::super::method::{BoundCall, Method, Param, ParamKind};
use super::super::{FaultCode, Permission, Request, ResultKind};
use super::params::{DONE, GROUP_NAME, param};

/// The interface version that supervisor_twiddler reports.
const TWIDDLER_VERSION: &str = "1.0";

/// The methods of supervisor_twiddler.
pub(super) const METHODS: &[Method] = {
    use FaultCode::{BadName, Failed, IncorrectParameters, NotInWhitelist, StillRunning};
    use Permission::{Configure, Control, Status};
    use ResultKind::{Done, Text, Texts};
    &[
        Method {
            names: &["twiddler.getAPIVersion"],
            params: &[],
            returns: Text,
            result: "The version",
            faults: &[NotInWhitelist],
            permission: Status,
            route: "GET /twiddler/api-version",
            doc: "Return the version of the API of supervisor_twiddler.",
            bind: |_| Ok(BoundCall::Constant(TWIDDLER_VERSION)),
        },
        Method {
            names: &["twiddler.getGroupNames"],
            params: &[],
            returns: Texts,
            result: "Names, in the order in which the groups were added",
            faults: &[NotInWhitelist],
            permission: Status,
            route: "GET /twiddler/groups",
            doc: "Return the names of all active groups.",
            bind: |_| Ok(BoundCall::Engine(Request::GroupNames)),
        },
        Method {
            names: &["twiddler.log"],
            params: &[
                param("message", ParamKind::Word, "Text of the line"),
                Param {
                    name: "level",
                    kind: ParamKind::Level,
                    optional: true,
                    doc: "Level: `CRIT`, `ERRO`, `WARN`, `INFO`, `DEBG`, `TRAC`, `BLAT`, or its number",
                },
            ],
            returns: Done,
            result: DONE,
            faults: &[NotInWhitelist],
            permission: Control,
            route: "POST /twiddler/log",
            doc: "Write a line to the activity log of the daemon.",
            bind: |args| {
                let (message, level) = (args.text()?, args.level()?);
                Ok(BoundCall::Engine(Request::WriteLog { level, message }))
            },
        },
        Method {
            names: &["twiddler.addProgramToGroup"],
            params: &[
                GROUP_NAME,
                param("program_name", ParamKind::Word, "Name of the new program"),
                param(
                    "program_options",
                    ParamKind::Options,
                    "Keys and values as in a section [program:x]",
                ),
            ],
            returns: Done,
            result: DONE,
            faults: &[NotInWhitelist, BadName, IncorrectParameters, Failed],
            permission: Configure,
            route: "POST /twiddler/groups/{group_name}/add-program",
            doc: "Add a program to an active group, without a configuration file, until the group is removed or updated. Its processes with `autostart` start.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::AddProgram {
                    group: args.text()?,
                    program: args.text()?,
                    options: args.options()?,
                }))
            },
        },
        Method {
            names: &["twiddler.removeProcessFromGroup"],
            params: &[
                GROUP_NAME,
                param(
                    "process_name",
                    ParamKind::Word,
                    "Process, without its group",
                ),
            ],
            returns: Done,
            result: DONE,
            faults: &[NotInWhitelist, BadName, StillRunning],
            permission: Configure,
            route: "POST /twiddler/groups/{group_name}/remove-process",
            doc: "Remove a process from an active group. The process must be stopped. It returns when its group is added again.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::RemoveProcess {
                    group: args.text()?,
                    process: args.text()?,
                }))
            },
        },
    ]
};
