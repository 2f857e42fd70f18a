//! Renders results of methods as XML-RPC values.

use crate::api::xmlrpc::RpcValue;
use crate::api::{
    ConfigView, DependencyNeed, DependencyView, PROCESS_MEMBERS, ProcessView, Reply, TableColumns,
    TableWriter, TargetResult, WireType,
};
use crate::domain::{GroupName, ProcessName};
use crate::server::calls::log_parts::LogTail;
use crate::server::calls::method_result::{MethodResult, namespecs, target_status};
use crate::server::calls::process_members::{
    RenderScratch, path_or, write_config, write_process, write_row,
};

/// Renders the result of a method. `returns` is the return type that METHODS declares for the method.
pub(in crate::server) fn render_result(result: MethodResult, returns: WireType) -> RpcValue {
    match result {
        MethodResult::Reply(reply) => render_reply(reply, returns),
        MethodResult::Tail(LogTail {
            text,
            size,
            overflow,
        }) => RpcValue::Array(vec![
            RpcValue::Text(text),
            RpcValue::Int(size),
            RpcValue::Bool(overflow),
        ]),
        MethodResult::Table(views, columns) => render_table(&views, columns),
    }
}

/// Renders a reply. `returns` is the return type that METHODS declares for the method.
fn render_reply(reply: Reply, returns: WireType) -> RpcValue {
    match reply {
        Reply::Done => RpcValue::Bool(true),
        Reply::State(state) => struct_value([
            ("statecode", RpcValue::Int(i64::from(state.code()))),
            ("statename", RpcValue::text(state.name())),
        ]),
        Reply::Pid(pid) => RpcValue::Int(i64::from(pid)),
        Reply::Text(text) => RpcValue::Text(text),
        Reply::Processes(views) => {
            let mut scratch = RenderScratch::default();
            let mut infos = views.iter().map(|view| {
                let mut members = Vec::with_capacity(PROCESS_MEMBERS.len());
                write_process(view, &mut scratch, &mut members);
                RpcValue::Struct(members)
            });
            match returns {
                WireType::Struct => infos.next().unwrap_or(RpcValue::Struct(Vec::new())),
                _ => RpcValue::Array(infos.collect()),
            }
        }
        Reply::Configs(views) => RpcValue::Array(views.iter().map(config_value).collect()),
        // Its methods answer with JSON.
        Reply::Details(_) => RpcValue::text(""),
        Reply::Dependencies(views) => {
            RpcValue::Array(views.into_iter().map(dependency_value).collect())
        }
        Reply::Results(results) => RpcValue::Array(results.iter().map(render_status).collect()),
        Reply::Diff {
            added,
            changed,
            removed,
        } => {
            let triple = [added, changed, removed].map(|names| names_value(&names));
            RpcValue::Array(vec![RpcValue::Array(triple.into())])
        }
        Reply::Journal(_) => RpcValue::text(""),
        Reply::LogFile(file) => RpcValue::text(path_or(file.as_ref(), "")),
        Reply::Names(names) => names_value(&names),
        Reply::Lines(lines) => RpcValue::Array(lines.into_iter().map(RpcValue::Text).collect()),
        Reply::Generation {
            generation,
            is_upgrading,
        } => struct_value([
            ("generation", RpcValue::Int(i64::from(generation))),
            ("upgrading", RpcValue::Bool(is_upgrading)),
        ]),
        Reply::Scaled {
            group,
            added,
            removed,
        } => {
            let list = |names: &[ProcessName]| {
                RpcValue::Array(namespecs(&group, names).map(RpcValue::Text).collect())
            };
            struct_value([("added", list(&added)), ("removed", list(&removed))])
        }
    }
}

fn struct_value<const N: usize>(fields: [(&str, RpcValue); N]) -> RpcValue {
    RpcValue::Struct(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn names_value(names: &[GroupName]) -> RpcValue {
    RpcValue::Array(
        names
            .iter()
            .map(|name| RpcValue::text(name.as_str()))
            .collect(),
    )
}

/// Renders processes as a table that is one XML-RPC value.
fn render_table(views: &[ProcessView], columns: TableColumns) -> RpcValue {
    let mut scratch = RenderScratch::default();
    let mut table = TableWriter::text_table(columns);
    for view in views {
        write_row(&mut table, view, &mut scratch);
    }
    RpcValue::Text(table.into_text())
}

fn config_value(view: &ConfigView) -> RpcValue {
    let mut members = Vec::new();
    write_config(view, &mut members);
    RpcValue::Struct(members)
}

fn dependency_value(view: DependencyView) -> RpcValue {
    let need = |need: DependencyNeed| {
        struct_value([
            ("target", RpcValue::Text(need.target)),
            ("condition", RpcValue::Text(need.condition)),
            ("met", RpcValue::Bool(need.is_met)),
            ("processes", texts_value(need.processes)),
        ])
    };
    // XML-RPC integers have 32 bits.
    let millis = |millis: Option<i64>| {
        RpcValue::Int(millis.map_or(-1, |millis| millis.min(i64::from(i32::MAX))))
    };
    struct_value([
        ("name", RpcValue::text(view.name.as_str())),
        ("group", RpcValue::text(view.group.as_str())),
        ("statename", RpcValue::text(view.state.name())),
        ("held_up", RpcValue::Text(view.held_up)),
        ("started", millis(view.started_after)),
        ("ready", millis(view.ready_after)),
        (
            "depends_on",
            RpcValue::Array(view.needs.into_iter().map(need).collect()),
        ),
        ("dependents", texts_value(view.running_dependents)),
    ])
}

fn texts_value(texts: Vec<String>) -> RpcValue {
    RpcValue::Array(texts.into_iter().map(RpcValue::Text).collect())
}

fn render_status(result: &TargetResult) -> RpcValue {
    let (code, text) = target_status(result);
    struct_value([
        ("name", RpcValue::text(result.process.as_str())),
        ("group", RpcValue::text(result.group.as_str())),
        ("status", RpcValue::Int(i64::from(code))),
        ("description", RpcValue::Text(text)),
    ])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::api::FaultCode;
    use crate::config::spec::{ConfiguredUser, LogSpec, LogTarget, ProcessSpec};
    use crate::config::testing::{log_spec, program};
    use crate::domain::{Bytes, GroupName, ProcessName, SupervisorState};
    use crate::server::calls::process_members::tests::{cat, config_of};

    #[test]
    fn rpc_22_process_info_has_supervisors_fields() {
        let RpcValue::Struct(members) =
            render_reply(Reply::Processes(vec![cat()]), WireType::Struct)
        else {
            panic!("not a struct");
        };
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, PROCESS_MEMBERS);
        let info = RpcValue::Struct(members);
        assert_eq!(info.member("logfile"), Some(&RpcValue::text("")));
        assert_eq!(info.member("stderr_logfile"), Some(&RpcValue::text("/e")));
        let far = ProcessView {
            start: i64::MAX,
            ..cat()
        };
        let RpcValue::Array(infos) = render_reply(Reply::Processes(vec![far]), WireType::Array)
        else {
            panic!("not an array");
        };
        assert_eq!(
            infos[0].member("start"),
            Some(&RpcValue::Int(2_147_483_647))
        );
    }

    #[test]
    fn rpc_15_and_rpc_32_small_answers_are_supervisors() {
        let group = |name| GroupName::parse(name).expect("valid");
        let diff = Reply::Diff {
            added: vec![group("a")],
            changed: vec![],
            removed: vec![group("b"), group("c")],
        };
        let texts =
            |names: &[&str]| RpcValue::Array(names.iter().map(|n| RpcValue::text(*n)).collect());
        assert_eq!(
            render_reply(diff, WireType::Array),
            RpcValue::Array(vec![RpcValue::Array(vec![
                texts(&["a"]),
                texts(&[]),
                texts(&["b", "c"])
            ])])
        );
        assert_eq!(
            render_reply(Reply::State(SupervisorState::Running), WireType::Struct),
            struct_value([
                ("statecode", RpcValue::Int(1)),
                ("statename", RpcValue::text("RUNNING"))
            ])
        );
        let failed = TargetResult {
            process: ProcessName::parse("p").expect("valid"),
            group: group("g"),
            fault: Some(FaultCode::BadSignal.of("x")),
        };
        assert_eq!(
            render_status(&failed),
            struct_value([
                ("name", RpcValue::text("p")),
                ("group", RpcValue::text("g")),
                ("status", RpcValue::Int(11)),
                ("description", RpcValue::text("BAD_SIGNAL: x")),
            ])
        );
    }

    #[test]
    fn rpc_25_config_info_has_supervisors_fields() {
        let log = |target| LogSpec {
            maxbytes: Bytes(52_428_800),
            backups: 10,
            ..log_spec(target)
        };
        let view = ConfigView {
            stderr_auto: Some(Path::new("/tmp/b-stderr---supervisor-x.log").into()),
            ..config_of(ProcessSpec {
                directory: Some(Path::new("/tmp").into()),
                exitcodes: [0, 2].into(),
                user: Some(ConfiguredUser {
                    name: "root".to_owned(),
                    uid: 0,
                    gid: None,
                }),
                stdout: log(LogTarget::None),
                stderr: log(LogTarget::Auto),
                ..program("b", "b")
            })
        };
        let int = RpcValue::Int;
        // Names, order and values as the reference Supervisor sends them for the same program.
        let expected = struct_value([
            ("autostart", RpcValue::Bool(true)),
            ("directory", RpcValue::text("/tmp")),
            ("uid", int(0)),
            ("command", RpcValue::text("/bin/cat")),
            ("exitcodes", RpcValue::Array(vec![int(0), int(2)])),
            ("group", RpcValue::text("b")),
            ("group_prio", int(999)),
            ("inuse", RpcValue::Bool(true)),
            ("killasgroup", RpcValue::Bool(false)),
            ("name", RpcValue::text("b")),
            ("process_prio", int(999)),
            ("redirect_stderr", RpcValue::Bool(false)),
            ("startretries", int(3)),
            ("startsecs", int(1)),
            ("stdout_capture_maxbytes", int(0)),
            ("stdout_events_enabled", RpcValue::Bool(false)),
            ("stdout_logfile", RpcValue::text("none")),
            ("stdout_logfile_backups", int(10)),
            ("stdout_logfile_maxbytes", int(52_428_800)),
            ("stdout_syslog", RpcValue::Bool(false)),
            ("stopsignal", int(15)),
            ("stopwaitsecs", int(10)),
            ("stderr_capture_maxbytes", int(0)),
            ("stderr_events_enabled", RpcValue::Bool(false)),
            (
                "stderr_logfile",
                RpcValue::text("/tmp/b-stderr---supervisor-x.log"),
            ),
            ("stderr_logfile_backups", int(10)),
            ("stderr_logfile_maxbytes", int(52_428_800)),
            ("stderr_syslog", RpcValue::Bool(false)),
            ("serverurl", RpcValue::text("none")),
        ]);
        assert_eq!(config_value(&view), expected);
        let unmade = ConfigView {
            stderr_auto: None,
            ..view
        };
        assert_eq!(
            config_value(&unmade).member("stderr_logfile"),
            Some(&RpcValue::text("auto"))
        );
    }
}
