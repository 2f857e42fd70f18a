//! The methods `supervisord.*` about the texts of the configuration: programs in files or in the item of a Nacos server, and
//! the server itself.

use super::super::config_call::{ConfigCall, ProgramChange, ProgramEdit};
use super::super::method::{BoundCall, Method, Param, ParamKind};
use super::super::{FaultCode, Permission, ResultKind};
use super::params::{optional, param};

const NAME: Param = param("name", ParamKind::Word, "The name of the program");
const TEXT: Param = param(
    "text",
    ParamKind::Word,
    "The section with its header, such as `[program:web]` and the lines below it",
);
const MD5: Param = optional(
    "md5",
    ParamKind::Text,
    "The MD5 of the text that the caller has seen; empty = any",
);
const DRY_RUN: Param = optional(
    "dry_run",
    ParamKind::Flag,
    "Return what would change, and change nothing",
);
/// The result of an edit.
const EDITED: &str = "JSON: name, text (the section; empty if it was removed), md5 (of the whole text that has the section now), file, changed, remote (the text of the Nacos server changes), lines_added, lines_removed, diff (unified, of all texts that change; values of secrets are masked) and plan, as in planUpdate";

fn edit(name: String, change: ProgramChange, (md5, dry_run): (String, bool)) -> BoundCall {
    BoundCall::Configuration(ConfigCall::EditProgram(ProgramEdit {
        name,
        change,
        md5,
        dry_run,
    }))
}

const fn setting(name: &'static str, doc: &'static str) -> Param {
    optional(name, ParamKind::Text, doc)
}

/// The settings of a server.
const SETTINGS: [Param; 7] = [
    setting("server", "Addresses of the servers, separated by commas"),
    setting("dataid", "The data ID"),
    setting("namespace", "The namespace ID; empty = public"),
    setting("group", "The group; empty = DEFAULT_GROUP"),
    setting("username", "The user; empty = none"),
    setting("password", "The password; empty = the saved one"),
    optional(
        "not_use_cache",
        ParamKind::Flag,
        "Never start with the text of the last run",
    ),
];

/// The names and values of the settings that were given.
fn settings(
    args: &mut super::super::argument::Args,
) -> Result<Vec<(String, String)>, super::super::Fault> {
    let mut given = Vec::new();
    for param in &SETTINGS {
        let value = match param.kind {
            ParamKind::Flag => args.truth()?.to_string(),
            _ => args.text()?,
        };
        if !value.is_empty() {
            given.push((param.name.to_owned(), value));
        }
    }
    Ok(given)
}

/// The rows.
pub(super) const METHODS: &[Method] = {
    use FaultCode::{
        BadName, CantReread, Conflict, Failed, IncorrectParameters, Unavailable, Unsupported,
    };
    use Permission::{Configure, Status, Update};
    use ResultKind::{Done, Json};
    &[
        Method {
            names: &["supervisord.listPrograms"],
            params: &[],
            returns: Json,
            result: "JSON: programs, an array of objects with name, file, line and md5 (of the whole text that has the section)",
            faults: &[BadName, CantReread, Unavailable],
            permission: Configure,
            route: "GET /programs",
            doc: "Return the `[program:x]` sections of all texts of the configuration: the local files, and the item of the Nacos server.",
            bind: |_| Ok(BoundCall::Configuration(ConfigCall::ListPrograms)),
        },
        Method {
            names: &["supervisord.getProgram"],
            params: &[NAME],
            returns: Json,
            result: "JSON: name, text (the section), md5 (of the whole text that has the section), file, and copy (a name for a copy that does not exist)",
            faults: &[BadName, CantReread, Unavailable],
            permission: Configure,
            route: "GET /programs/{name}",
            doc: "Return the section of a program as it is written, with its comments.",
            bind: |args| {
                Ok(BoundCall::Configuration(ConfigCall::GetProgram(
                    args.text()?,
                )))
            },
        },
        Method {
            names: &["supervisord.addProgram"],
            params: &[
                TEXT,
                optional(
                    "name",
                    ParamKind::Text,
                    "The name, which the header of the section must have; empty = the name of the header",
                ),
                MD5,
                DRY_RUN,
            ],
            returns: Json,
            result: EDITED,
            faults: &[
                BadName,
                CantReread,
                Conflict,
                Failed,
                IncorrectParameters,
                Unavailable,
            ],
            permission: Configure,
            route: "POST /programs",
            doc: "Add a program. Its section is written to the item of the Nacos server, or without one to a new file where `[include]` finds it, or to the configuration file. A local file is applied at once; an item when the server reports the change.",
            bind: |args| {
                let (text, name) = (args.text()?, args.text()?);
                let rest = (args.text()?, args.truth()?);
                Ok(edit(name, ProgramChange::Add(text), rest))
            },
        },
        Method {
            names: &["supervisord.setProgram"],
            params: &[NAME, TEXT, MD5, DRY_RUN],
            returns: Json,
            result: EDITED,
            faults: &[
                BadName,
                CantReread,
                Conflict,
                Failed,
                IncorrectParameters,
                Unavailable,
            ],
            permission: Configure,
            route: "PUT /programs/{name}",
            doc: "Replace the section of a program where it is written. A header with another name renames the program. Only the lines of the section change. The REST interface takes md5 also as the header `If-Match`.",
            bind: |args| {
                let (name, text) = (args.text()?, args.text()?);
                let rest = (args.text()?, args.truth()?);
                Ok(edit(name, ProgramChange::Replace(text), rest))
            },
        },
        Method {
            names: &["supervisord.setProgramKeys"],
            params: &[
                NAME,
                param(
                    "keys",
                    ParamKind::Options,
                    "Keys with their new values, as they are written in a file; an empty value removes the key",
                ),
                MD5,
                DRY_RUN,
            ],
            returns: Json,
            result: EDITED,
            faults: &[
                BadName,
                CantReread,
                Conflict,
                Failed,
                IncorrectParameters,
                Unavailable,
            ],
            permission: Configure,
            route: "PATCH /programs/{name}",
            doc: "Set or remove keys of a program where they are written. Only the lines of these keys change.",
            bind: |args| {
                let (name, keys) = (args.text()?, args.options()?);
                let rest = (args.text()?, args.truth()?);
                Ok(edit(name, ProgramChange::Set(keys), rest))
            },
        },
        Method {
            names: &["supervisord.removeProgram"],
            params: &[NAME, MD5, DRY_RUN],
            returns: Json,
            result: EDITED,
            faults: &[
                BadName,
                CantReread,
                Conflict,
                Failed,
                IncorrectParameters,
                Unavailable,
            ],
            permission: Configure,
            route: "DELETE /programs/{name}",
            doc: "Remove the section of a program, and its name from the lists of groups. A program that another one needs is not removed.",
            bind: |args| {
                let name = args.text()?;
                let rest = (args.text()?, args.truth()?);
                Ok(edit(name, ProgramChange::Remove, rest))
            },
        },
        Method {
            names: &["supervisord.copyProgram"],
            params: &[
                NAME,
                optional(
                    "new_name",
                    ParamKind::Text,
                    "The name of the copy; empty = NAME-copy",
                ),
                MD5,
                DRY_RUN,
            ],
            returns: Json,
            result: EDITED,
            faults: &[
                BadName,
                CantReread,
                Conflict,
                Failed,
                IncorrectParameters,
                Unavailable,
            ],
            permission: Configure,
            route: "POST /programs/{name}/copy",
            doc: "Add a copy of a program under another name.",
            bind: |args| {
                let (name, new_name) = (args.text()?, args.text()?);
                let rest = (args.text()?, args.truth()?);
                Ok(edit(name, ProgramChange::Copy(new_name), rest))
            },
        },
        Method {
            names: &["supervisord.getSource"],
            params: &[],
            returns: Json,
            result: "JSON: kind (files, nacos or command), item (namespace, group and data ID, or the command), server (or program), md5 (of the applied text), newest_md5, up (the text can be read), rejected (the newest text was refused), error, read_at (seconds since 1970; 0 = not in this run), applied_at (0 = no text is applied), now and needs_restart",
            faults: &[],
            permission: Status,
            route: "GET /source",
            doc: "Return where the configuration comes from besides local files, and the state of its text.",
            bind: |_| Ok(BoundCall::Configuration(ConfigCall::SourceState)),
        },
        Method {
            names: &["supervisord.getNacos"],
            params: &[],
            returns: Json,
            result: "JSON: server, dataid, namespace, group, username, has_password, not_use_cache, kind and item (as in getSource), active (the running configuration comes from this server), saved (the settings are saved ones), md5 (of the applied text), newest_md5, up, rejected, error, report (the errors of a text that was refused, each with its line), applied_at and needs_restart",
            faults: &[],
            permission: Update,
            route: "GET /nacos",
            doc: "Return the settings of the Nacos server, without the password, and the state of its item.",
            bind: |_| Ok(BoundCall::Configuration(ConfigCall::GetSource)),
        },
        Method {
            names: &["supervisord.setNacos"],
            params: &SETTINGS,
            returns: Json,
            result: "JSON as that of getNacos",
            faults: &[Failed, IncorrectParameters],
            permission: Configure,
            route: "PUT /nacos",
            doc: "Save the settings of a Nacos server in `supervisord.nacos.conf` beside the configuration file, with mode 0600. They take effect at a restart (supervisor.restart).",
            bind: |args| {
                Ok(BoundCall::Configuration(ConfigCall::SaveSource(settings(
                    args,
                )?)))
            },
        },
        Method {
            names: &["supervisord.leaveNacos"],
            params: &[],
            returns: Done,
            result: "Always true",
            faults: &[Failed],
            permission: Configure,
            route: "DELETE /nacos",
            doc: "Remove the saved settings of the Nacos server. It takes effect at a restart.",
            bind: |_| Ok(BoundCall::Configuration(ConfigCall::LeaveSource)),
        },
        Method {
            names: &["supervisord.testNacos"],
            params: &SETTINGS,
            returns: Json,
            result: "JSON: md5 and size of the text, server, and problems (those of reading it as a configuration)",
            faults: &[
                BadName,
                CantReread,
                Failed,
                IncorrectParameters,
                Unavailable,
            ],
            permission: Configure,
            route: "POST /nacos/test",
            doc: "Read the item with these settings and check its text. Nothing is changed. Settings that are not given are the saved ones.",
            bind: |args| {
                Ok(BoundCall::Configuration(ConfigCall::TestSource(settings(
                    args,
                )?)))
            },
        },
        Method {
            names: &["supervisord.listNacosListeners"],
            params: &[],
            returns: Json,
            result: "JSON: hosts, an array of objects with address, md5 (of the text that the host has) and current (it is the newest), and md5 (of the newest text)",
            faults: &[BadName, CantReread, Unavailable, Unsupported],
            permission: Configure,
            route: "GET /nacos/listeners",
            doc: "Return the hosts that use the item, where the Nacos server tells.",
            bind: |_| Ok(BoundCall::Configuration(ConfigCall::ListListeners)),
        },
        Method {
            names: &["supervisord.listNacosVersions"],
            params: &[],
            returns: Json,
            result: "JSON: versions, an array of objects with id, operation (I, U or D), author, time and md5, the newest first",
            faults: &[BadName, CantReread, Unavailable, Unsupported],
            permission: Configure,
            route: "GET /nacos/versions",
            doc: "Return the earlier texts of the item that the Nacos server has.",
            bind: |_| Ok(BoundCall::Configuration(ConfigCall::ListVersions)),
        },
        Method {
            names: &["supervisord.getNacosVersion"],
            params: &[param("id", ParamKind::Word, "The id of the version")],
            returns: Json,
            result: "JSON: id, text, md5, present_md5, and diff (unified, from the present text; values of secrets are masked)",
            faults: &[BadName, CantReread, Unavailable, Unsupported],
            permission: Configure,
            route: "GET /nacos/versions/{id}",
            doc: "Return an earlier text of the item.",
            bind: |args| {
                Ok(BoundCall::Configuration(ConfigCall::GetVersion(
                    args.text()?,
                )))
            },
        },
        Method {
            names: &["supervisord.restoreNacosVersion"],
            params: &[param("id", ParamKind::Word, "The id of the version"), MD5],
            returns: Json,
            result: "JSON: md5, and diff (unified, from the text before; values of secrets are masked)",
            faults: &[
                BadName,
                CantReread,
                Conflict,
                Failed,
                Unavailable,
                Unsupported,
            ],
            permission: Configure,
            route: "POST /nacos/versions/{id}/restore",
            doc: "Write an earlier text to the item, like an edit: it must be a valid configuration.",
            bind: |args| {
                let (id, md5) = (args.text()?, args.text()?);
                Ok(BoundCall::Configuration(ConfigCall::RestoreVersion {
                    id,
                    md5,
                }))
            },
        },
    ]
};
