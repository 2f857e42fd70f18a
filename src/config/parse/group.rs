//! Parses `[group:x]`, and makes the groups of programs, listeners and fcgi programs that are in no `[group:x]`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::expand::ExpandValue;
use super::super::hint;
use super::super::key::{FcgiValues, GroupValues, ListenerValues, RESULT_HANDLER, SectionKind};
use super::super::lint::{Explained, Rule};
use super::super::path::normalize;
use super::super::plugin;
use super::super::problem::SourceSpan;
use super::super::python::{is_space, strip};
use super::super::spec::{Environment, FcgiSocket, GroupKind, GroupSpec, ProcessKind, ProcessSpec};
use super::super::value;
use super::dependencies::check_dependencies;
use super::program::{NAME_HINT, processes};
use super::{ConfigReader, RowCursor, SectionAt};
use crate::domain::{EVENTS, GroupName};

/// The default file mode of an fcgi socket.
const SOCKET_MODE: u32 = 0o700;

/// Parses all groups, sorted by (priority, name). `daemon`: the environment that every process has.
pub(super) fn read_groups(
    reader: &mut ConfigReader<'_>,
    daemon: &Environment,
) -> Vec<Arc<GroupSpec>> {
    let mut groups = Vec::new();
    let mut taken = HashSet::new();
    for section in group_of_section(reader, SectionKind::Group) {
        let made = group(reader, &section, daemon, &mut taken);
        groups.extend(with_programs(reader, made));
    }
    for section in group_of_section(reader, SectionKind::Program) {
        if !taken.contains(&section) {
            let made = program(reader, &section, daemon);
            groups.extend(with_programs(reader, made));
        }
    }
    for section in group_of_section(reader, SectionKind::Listener) {
        let made = listener(reader, &section, daemon);
        groups.extend(with_programs(reader, made));
    }
    for section in group_of_section(reader, SectionKind::Fcgi) {
        if !taken.contains(&section) {
            let made = fcgi(reader, &section, daemon);
            groups.extend(with_programs(reader, made));
        }
    }
    groups.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    // If two sections form groups of one name, the first counts.
    let mut names = HashSet::new();
    groups.retain(|group| {
        let is_new = names.insert(group.name.clone());
        if !is_new {
            let text = format!(
                "several groups are named {}; only the first by priority is used",
                group.name
            );
            reader.warn(Rule::DuplicateName, section_of(reader, group), text);
        }
        is_new
    });
    warn_of_shared_sockets(reader, &groups);
    check_dependencies(reader, &groups);
    groups.into_iter().map(Arc::new).collect()
}

/// Warns about programs with the same socket address: they do not share the socket, so the second one fails to start.
fn warn_of_shared_sockets(reader: &mut ConfigReader<'_>, groups: &[GroupSpec]) {
    let mut owners: HashMap<&str, (&GroupName, &str)> = HashMap::new();
    for group in groups {
        for process in &group.processes {
            let ProcessKind::Fcgi(socket) = &process.kind else {
                continue;
            };
            let own = (&group.name, &*socket.program);
            let first = *owners.entry(&socket.url).or_insert(own);
            if first != own {
                let text = format!(
                    "{} is the socket of {} in group {} and of {} in group {}; only one of them can use it at a time",
                    socket.url, first.1, first.0, own.1, own.0
                );
                let section = format!("{}{}", SectionKind::Fcgi.prefix(), socket.program);
                reader.warn_of_key(Rule::SharedSocket, &section, "socket", text);
            }
        }
    }
}

/// The span of the section that forms a group: its only program, or `[group:x]`.
fn section_of(reader: &ConfigReader<'_>, group: &GroupSpec) -> SourceSpan {
    let is_own = |section: &str| title(section) == group.name.as_str();
    match group
        .programs
        .first()
        .map(|program| &program.template.section)
    {
        Some(section) if is_own(section) => reader.span_of_section(section),
        _ => {
            let section = format!("{}{}", SectionKind::Group.prefix(), group.name);
            reader.span_of_section(&section)
        }
    }
}

fn group_of_section(reader: &ConfigReader<'_>, kind: SectionKind) -> Vec<String> {
    reader.names_of(|name| SectionKind::of(name) == Some(kind))
}

/// Adds the sections that were read for a group, each with those of its processes that no later section replaced.
fn with_programs(reader: &mut ConfigReader<'_>, group: Option<GroupSpec>) -> Option<GroupSpec> {
    let mut programs = std::mem::take(&mut reader.programs);
    let mut seen = HashSet::new();
    for program in programs.iter_mut().rev() {
        program.members.retain(|name| seen.insert(name.clone()));
        program.members.shrink_to_fit();
    }
    programs.shrink_to_fit();
    group.map(|group| GroupSpec { programs, ..group })
}

/// The text after the first colon.
fn title(section: &str) -> &str {
    section.split_once(':').map_or("", |(_, name)| name)
}

/// The name of the group that `section` forms. A wrong name is reported, and reading continues with an empty one.
fn name(reader: &mut ConfigReader<'_>, at: SectionAt<'_>) -> GroupName {
    let checked = value::name(title(at.section))
        .and_then(|name| GroupName::parse(&name).map_err(|error| error.to_string()));
    checked.unwrap_or_else(|sentence| {
        reader.fail_with(at, "", sentence, NAME_HINT);
        nameless()
    })
}

fn nameless() -> GroupName {
    GroupName::parse("").expect("an empty name holds no forbidden character")
}

fn group(
    reader: &mut ConfigReader<'_>,
    section: &str,
    daemon: &Environment,
    taken: &mut HashSet<String>,
) -> Option<GroupSpec> {
    let at = reader.at(section, SectionKind::Group);
    let here = reader.only_here();
    let name = name(reader, at);
    let mut values: GroupValues = reader.defaults(at.kind);
    reader.fields(at, &here, RowCursor::new(at.kind).rest(), &mut values);
    let GroupValues {
        programs,
        priority,
        rolling,
    } = values;
    // Supervisor's message names the section it looked at last, which is that of the previous member.
    let mut label = section.to_owned();
    let mut members = Vec::new();
    for program in programs {
        let plain = format!("{}{program}", SectionKind::Program.prefix());
        let fcgi = format!("{}{program}", SectionKind::Fcgi.prefix());
        let (has_plain, has_fcgi) = (
            reader.ini.section(&plain).is_some(),
            reader.ini.section(&fcgi).is_some(),
        );
        match (has_plain, has_fcgi) {
            (false, false) => {
                let explained = unknown_member(reader, &program);
                let sentence = format!("[{label}] names unknown program or fcgi-program {program}");
                let hint = format!("programs takes program names, as in [{plain}]");
                reader.fail_explained(at, sentence, &hint, explained);
            }
            (true, true) => reader.fail_with(
                at,
                "programs",
                format!(
                    "[{label}] name {program} is ambiguous (exists as program and fcgi-program)"
                ),
                "rename one of the two",
            ),
            _ => {
                label = if has_plain { plain } else { fcgi };
                taken.insert(label.clone());
                let kind = if has_plain {
                    ProcessKind::Program
                } else {
                    member_kind(reader, &label)
                };
                members.extend(processes(reader, &label, &name, &kind, daemon));
            }
        }
    }
    Some(GroupSpec {
        processes: unique(reader, members, section),
        name,
        priority,
        kind: GroupKind::Programs,
        programs: Vec::new(),
        rolling,
    })
}

/// What `--check` says about a member of a group that no section defines.
fn unknown_member(reader: &ConfigReader<'_>, program: &str) -> Explained {
    let is_program = |section: &&str| {
        let kind = SectionKind::of(section);
        matches!(kind, Some(SectionKind::Program | SectionKind::Fcgi))
    };
    let sections = reader.ini.sections().iter();
    let names = sections.map(|section| section.name.as_str());
    let near = hint::of_name(program, names.filter(is_program).map(title));
    let plain = match program {
        "" => "programs: the list has an empty item".to_owned(),
        program => format!("programs: there is no program {program}"),
    };
    let remedy = near.map_or(String::new(), |near| format!("did you mean {near}?"));
    let explained = Explained::new(Rule::UnknownProgram, plain).key("programs");
    explained.remedy(remedy).error()
}

fn program(
    reader: &mut ConfigReader<'_>,
    section: &str,
    daemon: &Environment,
) -> Option<GroupSpec> {
    let at = reader.at(section, SectionKind::Program);
    let here = reader.only_here();
    let name = name(reader, at);
    let priority = reader.integer(at, "priority", &here);
    let rolling = rolling(reader, at);
    let members = processes(reader, section, &name, &ProcessKind::Program, daemon);
    Some(GroupSpec {
        processes: unique(reader, members, section),
        name,
        priority,
        kind: GroupKind::Programs,
        programs: Vec::new(),
        rolling,
    })
}

/// The `rolling` of a program that forms its own group.
fn rolling(reader: &mut ConfigReader<'_>, at: SectionAt<'_>) -> u32 {
    let here = reader.only_here();
    let rolling = reader.value(at, "rolling", &here, value::rolling);
    rolling.ok().unwrap_or_default()
}

fn listener(
    reader: &mut ConfigReader<'_>,
    section: &str,
    daemon: &Environment,
) -> Option<GroupSpec> {
    let at = reader.at(section, SectionKind::Listener);
    let here = reader.only_here();
    let mut values: ListenerValues = reader.defaults(at.kind);
    let mut rows = RowCursor::new(at.kind);
    reader.fields(at, &here, rows.to("buffer_size"), &mut values);
    let buffer_size = values.buffer_size;
    if buffer_size < 1 {
        let sentence = format!("[{section}] section sets invalid buffer_size ({buffer_size})");
        reader.fail(at, "buffer_size", sentence);
    }
    reader.fields(at, &here, rows.to("result_handler"), &mut values);
    check_result_handler(reader, at, &values.result_handler);
    reader.fields(at, &here, rows.rest(), &mut values);
    let ListenerValues {
        priority,
        result_handler,
        events,
        ..
    } = values;
    check_events(reader, at, &events);
    if reader.boolean(at, "redirect_stderr", &here) {
        reader.fail_with(
            at,
            "redirect_stderr",
            format!(
                "[{section}] section sets redirect_stderr=true but this is not allowed because it will interfere with \
                 the eventlistener protocol"
            ),
            "",
        );
    }
    // Supervisor checks the name only with the processes, where its message ends in the section and the file.
    let name = value::name(title(section))
        .ok()
        .and_then(|name| GroupName::parse(&name).ok())
        .unwrap_or_else(nameless);
    let members = processes(reader, section, &name, &ProcessKind::Listener, daemon);
    Some(GroupSpec {
        processes: unique(reader, members, section),
        name,
        priority,
        kind: GroupKind::Listeners {
            events,
            buffer_size,
            result_handler,
        },
        programs: Vec::new(),
        rolling: 0,
    })
}

fn check_result_handler(reader: &mut ConfigReader<'_>, at: SectionAt<'_>, handler: &str) {
    let (key, section) = ("result_handler", at.section);
    if handler == RESULT_HANDLER {
        return;
    }
    if plugin::is_foreign(handler) {
        // Differs: Supervisor calls it. Here the value is kept, and the core judges the results.
        let text = plugin::result_handler_text(section, handler);
        reader.foreign(at, key, text);
    } else {
        let sentence = format!("{handler} cannot be resolved within [{section}]");
        reader.fail_of(at, key, sentence, handler);
    }
}

fn check_events(reader: &mut ConfigReader<'_>, at: SectionAt<'_>, events: &[String]) {
    if events.is_empty() && !reader.is_wrong(at, "events") {
        let sentence = format!("[{}] section requires an \"events\" line", at.section);
        reader.fail(at, "events", sentence);
    }
    for event in events {
        if !EVENTS.iter().any(|known| known.name == event) {
            reader.fail_with(
                at,
                "events",
                format!("Unknown event type {event} in [{}] events", at.section),
                "events takes event types such as PROCESS_STATE, TICK_60 or EVENT, separated by commas",
            );
        }
    }
}

/// The kind of processes of an fcgi program that is a member of a `[group:x]`.
// Differs: Supervisor makes ordinary programs of them, without a socket. A program without the key `socket`, which
// Supervisor accepts there, still becomes one.
fn member_kind(reader: &mut ConfigReader<'_>, section: &str) -> ProcessKind {
    let at = reader.at(section, SectionKind::Fcgi);
    if matches!(reader.raw(at, "socket").as_deref(), None | Some("")) {
        let text = format!(
            "[{section}] has no socket; as a member of a group it runs as an ordinary program"
        );
        reader.warn(Rule::SharedSocket, reader.span_of_section(section), text);
        return ProcessKind::Program;
    }
    let program = value::name(title(section)).unwrap_or_default();
    match fcgi_socket(reader, at, &program) {
        Some(socket) => ProcessKind::Fcgi(Arc::new(socket)),
        None => ProcessKind::Program,
    }
}

fn fcgi(reader: &mut ConfigReader<'_>, section: &str, daemon: &Environment) -> Option<GroupSpec> {
    let at = reader.at(section, SectionKind::Fcgi);
    let here = reader.only_here();
    let name = name(reader, at);
    let priority = reader.integer(at, "priority", &here);
    let rolling = rolling(reader, at);
    let lookup = reader.lookup;
    // Supervisor reports a wrong user here, without section and file, before errors of the socket.
    reader.value(at, "user", &here, |text| value::run_as(text, lookup));
    let socket = fcgi_socket(reader, at, name.as_str()).map(Arc::new);
    let kind = match &socket {
        Some(socket) => ProcessKind::Fcgi(socket.clone()),
        // The error is reported; read the processes for further errors.
        None => ProcessKind::Program,
    };
    let members = processes(reader, section, &name, &kind, daemon);
    Some(GroupSpec {
        programs: Vec::new(),
        rolling,
        kind: GroupKind::Fcgi(socket?),
        processes: unique(reader, members, section),
        name,
        priority,
    })
}

/// Parses the socket of an fcgi program. `None`: it is wrong, which is reported.
fn fcgi_socket(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    program: &str,
) -> Option<FcgiSocket> {
    let section = at.section;
    let here = reader.only_here();
    let lookup = reader.lookup;
    // Errors in the user are reported with the processes.
    let user = reader.text(at, "user", &here).ok();
    let user = user.and_then(|text| value::run_as(&text, lookup).ok());
    let mut values: FcgiValues = reader.defaults(at.kind);
    let mut rows = RowCursor::new(at.kind);
    reader.fields(at, &here, rows.to("socket_mode"), &mut values);
    let mut names = here;
    names.insert("program_name".to_owned(), ExpandValue::from(program));
    reader.fields(at, &names, rows.rest(), &mut values);
    let FcgiValues {
        socket: written,
        mode,
        owner,
        backlog,
    } = values;
    if reader.is_wrong(at, "socket") {
        return None;
    }
    if written.is_empty() {
        let sentence = format!("[{section}] section requires a \"socket\" line");
        reader.fail(at, "socket", sentence);
        return None;
    }
    let url = match socket(&written, owner.is_some() || mode.is_some()) {
        Ok(url) => url,
        Err(sentence) => {
            reader.fail(at, "socket", format!("{sentence} in [{section}] socket"));
            return None;
        }
    };
    let is_unix = url.starts_with("unix://");
    // The socket of another user's program belongs to that user by default.
    let owner = owner.or_else(|| {
        let (uid, gid) = user.filter(|&(uid, _)| is_unix && uid != lookup.uid())?;
        let its_own = || lookup.user_of(uid).map(|user| user.gid);
        Some((Some(uid), gid.or_else(its_own)))
    });
    Some(FcgiSocket {
        program: Arc::from(program),
        url,
        mode: mode.or(is_unix.then_some(SOCKET_MODE)),
        owner: owner.unwrap_or_default(),
        backlog,
    })
}

/// Normalizes the address of an fcgi socket. The tuples in errors are Supervisor's.
fn socket(url: &str, has_params: bool) -> Result<String, String> {
    use crate::domain::python_repr;
    if let Some(path) = url.strip_prefix("unix://") {
        return if path.starts_with('/') {
            Ok(format!("unix://{}", normalize(path)))
        } else {
            Err(format!(
                "('Unix socket path %s is not an absolute path', {})",
                python_repr(path)
            ))
        };
    }
    if has_params {
        return Err(
            "socket_owner and socket_mode params should only be used with a Unix domain socket"
                .to_owned(),
        );
    }
    let parts = url.strip_prefix("tcp://").and_then(|rest| {
        let (host, port) = rest.split_once(':')?;
        let is_host = !host.is_empty() && !host.contains(is_space);
        let is_port = !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
        (is_host && is_port).then_some((host, port))
    });
    match parts {
        Some((host, port)) => {
            let port = value::port(port)?;
            Ok(format!("tcp://{}:{port}", host.to_lowercase()))
        }
        None => Err(format!("('Bad socket format %s', {})", python_repr(url))),
    }
}

/// Sorts processes by priority; those of equal priority keep the order of `members`, which is that of `programs=`. Of
/// processes with the same name the last replaces the first, as in Supervisor.
fn unique(
    reader: &mut ConfigReader<'_>,
    members: Vec<Arc<ProcessSpec>>,
    section: &str,
) -> Vec<Arc<ProcessSpec>> {
    let count = members.len();
    let mut places = HashMap::with_capacity(count);
    let mut unique: Vec<Arc<ProcessSpec>> = Vec::with_capacity(count);
    for process in members {
        match places.get(&process.name) {
            Some(&place) => unique[place] = process,
            None => {
                places.insert(process.name.clone(), unique.len());
                unique.push(process);
            }
        }
    }
    if unique.len() != count {
        let text = format!(
            "[{}] has several processes with the same name; only the last one is used",
            strip(section)
        );
        reader.warn(Rule::DuplicateName, reader.span_of_section(section), text);
    }
    // Differs: at its own start, Supervisor ignores the priorities of a group's members.
    unique.sort_by_key(|process| process.priority);
    unique
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;
    use super::super::load;
    use super::*;
    use crate::config::spec::Config;

    fn read(text: &str) -> Result<Config, String> {
        let machine = Fake::default().with("/etc/s.conf", &format!("[supervisord]\n{text}"));
        load("/etc/s.conf", &DaemonOptions::default(), &machine).map_err(|errors| errors.first)
    }

    fn notes(config: &Config) -> Vec<String> {
        config.notes.iter().map(ToString::to_string).collect()
    }

    const FCGI: &str = "[fcgi-program:f]\ncommand=c\nsocket=unix:///run/%(program_name)s\nnumprocs=2\n\
                        process_name=f%(process_num)d\nuser=web\n";

    #[test]
    fn cfg_59_each_process_has_the_socket_of_its_program_also_in_groups() {
        for (text, group) in [
            (FCGI.to_owned(), "f"),
            (format!("{FCGI}[group:g]\nprograms=f\n"), "g"),
        ] {
            let config = read(&text).expect("valid");
            assert_eq!(config.groups.len(), 1);
            assert_eq!(config.groups[0].name.as_str(), group);
            for process in &config.groups[0].processes {
                let ProcessKind::Fcgi(socket) = &process.kind else {
                    panic!("{text}: no socket");
                };
                let expected = FcgiSocket {
                    program: Arc::from("f"),
                    url: "unix:///run/f".to_owned(),
                    mode: Some(0o700),
                    owner: (Some(33), Some(33)),
                    backlog: None,
                };
                assert_eq!(**socket, expected);
            }
            assert_eq!(notes(&config), [""; 0]);
        }
    }

    #[test]
    fn cfg_59_a_member_without_a_socket_is_a_program_and_a_wrong_socket_is_refused() {
        let member = |socket: &str| {
            read(&format!(
                "[fcgi-program:f]\ncommand=c\n{socket}\n[group:g]\nprograms=f\n"
            ))
        };
        let config = member("").expect("valid");
        assert_eq!(config.groups[0].processes[0].kind, ProcessKind::Program);
        assert_eq!(
            notes(&config),
            [
                "/etc/s.conf:2:1: [fcgi-program:f] has no socket; as a member of a group it runs as an ordinary program"
            ]
        );
        assert_eq!(
            member("socket=unix://x").expect_err("relative"),
            "('Unix socket path %s is not an absolute path', 'x') in [fcgi-program:f] socket"
        );
    }

    #[test]
    fn cfg_59_an_address_of_two_programs_gives_a_warning() {
        let two = "[fcgi-program:a]\ncommand=c\nsocket=tcp://h:1\n[fcgi-program:b]\ncommand=c\nsocket=tcp://H:1\n";
        assert_eq!(
            notes(&read(two).expect("valid")),
            [
                "/etc/s.conf:7:8: tcp://h:1 is the socket of a in group a and of b in group b; only one of them can use it at a time"
            ]
        );
    }
}
