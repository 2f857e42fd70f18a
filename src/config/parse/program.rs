//! Parses the keys of programs and makes the processes of one section.

use std::path::Path;
use std::sync::Arc;

use super::super::environment;
use super::super::expand::{ExpandNames, ExpandValue, VARIABLE};
use super::super::hint;
use super::super::key::SectionKind;
use super::super::python::strip;
use super::super::spec::{
    AutoRestart, CgroupLimits, ConfiguredUser, Confinement, Environment, InternedDefault as _,
    LogSpec, LogTarget, NUMPROCS_MAX, NamedTargets, NotifySpec, ProcessKind, ProcessSpec,
    ProgramSpec, RateLimit,
};
use super::super::value::{self, LogTargets, LogfileValue};
use super::confinement::confinement;
use super::notify::notify;
use super::resources::resources;
use super::{ConfigReader, KeyResult, SectionAt};
use crate::domain::{Bytes, Channel, GroupName, Line, ProcessName, Seconds, Signal};

/// Values that are read once per section.
struct SectionValues {
    priority: i64,
    autostart: bool,
    autorestart: AutoRestart,
    startsecs: Seconds,
    startretries: i64,
    stopsignal: Signal,
    stopwaitsecs: Seconds,
    stopasgroup: bool,
    killasgroup: bool,
    exitcodes: Arc<[u8]>,
    redirect_stderr: bool,
    numprocs: i64,
    first: i64,
    restart_floor: Seconds,
    notify: NotifySpec,
    confinement: Arc<Confinement>,
    resources: Arc<CgroupLimits>,
    journal_limits: [Option<RateLimit>; 2],
    capture: [Bytes; 2],
    events: [bool; 2],
    server_url: Option<String>,
    user: Option<ConfiguredUser>,
    umask: Option<u32>,
    process_name: String,
    /// The name of the section is wrong, which is already reported.
    is_misnamed: bool,
}

/// The names of one stream's keys.
struct StreamKeys {
    logfile: &'static str,
    backups: &'static str,
    maxbytes: &'static str,
    syslog: &'static str,
    capture: &'static str,
    events: &'static str,
    journal_limit: &'static str,
}

impl StreamKeys {
    const OUT: Self = Self {
        logfile: "stdout_logfile",
        backups: "stdout_logfile_backups",
        maxbytes: "stdout_logfile_maxbytes",
        syslog: "stdout_syslog",
        capture: "stdout_capture_maxbytes",
        events: "stdout_events_enabled",
        journal_limit: "stdout_journal_rate_limit",
    };
    const ERR: Self = Self {
        logfile: "stderr_logfile",
        backups: "stderr_logfile_backups",
        maxbytes: "stderr_logfile_maxbytes",
        syslog: "stderr_syslog",
        capture: "stderr_capture_maxbytes",
        events: "stderr_events_enabled",
        journal_limit: "stderr_journal_rate_limit",
    };
    const BOTH: [Self; 2] = [Self::OUT, Self::ERR];
}

/// The values of one stream's keys.
struct StreamSpec {
    target: LogfileValue,
    spec: LogSpec,
}

/// Makes the processes of a section, by (priority, name), and adds the section to the reader's programs. After an error
/// the rest of the section is read for more errors, but the result is useless.
///
/// `daemon`: the environment that every process has.
pub(super) fn processes(
    reader: &mut ConfigReader<'_>,
    section: &str,
    group: &GroupName,
    kind: &ProcessKind,
    daemon: &Environment,
) -> Vec<Arc<ProcessSpec>> {
    let at = SectionAt {
        located: true,
        // Use the rows of programs for listeners too: a listener's own priority is that of its group.
        ..reader.at(section, SectionKind::Program)
    };
    let title = section.split_once(':').map_or("", |(_, name)| name);
    let is_named = value::name(title);
    let is_misnamed = is_named.is_err();
    let program = is_named.unwrap_or_else(|sentence| {
        reader.fail_with(at, "", sentence, NAME_HINT);
        strip(title).to_owned()
    });
    let mut names = ExpandNames::from([
        ("here".to_owned(), ExpandValue::Text(reader.here.clone())),
        ("program_name".to_owned(), ExpandValue::Text(program)),
        (
            "host_node_name".to_owned(),
            ExpandValue::Text(reader.hostname.clone()),
        ),
        ("group_name".to_owned(), ExpandValue::from(group.as_str())),
    ]);
    let mut common = common(reader, at, &names);
    common.is_misnamed = is_misnamed;
    let count = if common.numprocs > NUMPROCS_MAX {
        // Differs: Supervisor has no limit.
        let sentence = format!(
            "numprocs {} is above upper bound ({NUMPROCS_MAX})",
            common.numprocs
        );
        reader.fail(at, "numprocs", sentence);
        1
    } else {
        common.numprocs
    };
    let mut found: Vec<Arc<ProcessSpec>> = Vec::new();
    // If `numprocs` is wrong or 0, one process is read nevertheless, to find the other errors.
    for number in common.first..common.first.saturating_add(count) {
        names.insert("process_num".to_owned(), ExpandValue::Number(number));
        names.insert("numprocs".to_owned(), ExpandValue::Number(common.numprocs));
        // Variables of the previous process stay known, unless the daemon has one of that name. This is an accident in
        // Supervisor that configurations may rely on.
        let is_variable = |name: &str| name.starts_with(VARIABLE);
        names.retain(|name, _| !(is_variable(name) && reader.env.contains_key(name)));
        let before = reader.report.len();
        found.extend(process(
            reader,
            at,
            &mut names,
            &common,
            (group, kind),
            daemon,
        ));
        // The next process would have the same errors.
        if reader.report.len() != before {
            break;
        }
    }
    let program = ProgramSpec {
        template: reader.template(section, kind, daemon),
        members: found.iter().map(|process| process.name.clone()).collect(),
        scaled: false,
    };
    reader.programs.push(program);
    found.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    found
}

/// The rule for names, for messages.
pub(super) const NAME_HINT: &str = "names cannot contain blanks, colons or slashes";

/// The rule for process names after expansion, for messages.
const PROCESS_HINT: &str = "process names cannot contain slashes or control characters";

/// Reads the keys in Supervisor's order.
fn common(reader: &mut ConfigReader<'_>, at: SectionAt<'_>, names: &ExpandNames) -> SectionValues {
    let lookup = reader.lookup;
    let priority = reader.integer(at, "priority", names);
    let autostart = reader.boolean(at, "autostart", names);
    let autorestart = reader.value(at, "autorestart", names, value::auto_restart);
    let startsecs = Seconds(reader.integer(at, "startsecs", names));
    let startretries = reader.integer(at, "startretries", names);
    let stopsignal = reader.value(at, "stopsignal", names, value::signal);
    let stopwaitsecs = Seconds(reader.integer(at, "stopwaitsecs", names));
    let stopasgroup = reader.boolean(at, "stopasgroup", names);
    let killasgroup = match reader.value(at, "killasgroup", names, value::boolean) {
        KeyResult::Is(value) => value,
        KeyResult::Absent | KeyResult::Wrong => stopasgroup,
    };
    let exitcodes = reader.value(at, "exitcodes", names, value::exit_codes);
    let redirect_stderr = reader.boolean(at, "redirect_stderr", names);
    // With a wrong number, read one process nevertheless, to find its errors.
    let numprocs = match reader.value(at, "numprocs", names, value::integer) {
        KeyResult::Is(number) => number,
        KeyResult::Absent | KeyResult::Wrong => 1,
    };
    let first = reader.integer(at, "numprocs_start", names);
    let mut capture = [Bytes(0); 2];
    let mut events = [false; 2];
    for (index, keys) in StreamKeys::BOTH.iter().enumerate() {
        capture[index] = reader.bytes(at, keys.capture, names);
        events[index] = reader.boolean(at, keys.events, names);
    }
    let server_url = reader
        .text(at, "serverurl", names)
        .ok()
        .filter(|url| strip(url).to_uppercase() != "AUTO");
    let user = reader
        .value(at, "user", names, |text| ConfiguredUser::find(text, lookup))
        .ok();
    let umask = reader.value(at, "umask", names, value::octal).ok();
    let process_name = reader.raw(at, "process_name").unwrap_or_default();
    let process_name = value::name(&process_name).unwrap_or_else(|sentence| {
        reader.fail(at, "process_name", sentence);
        process_name
    });
    if numprocs > 1 && !process_name.contains("%(process_num)") {
        reader.fail_with(
            at,
            "process_name",
            "%(process_num) must be present within process_name when numprocs > 1".to_owned(),
            "for example process_name = %(program_name)s_%(process_num)02d",
        );
    }
    if stopasgroup && !killasgroup {
        reader.fail_with(
            at,
            "killasgroup",
            "Cannot set stopasgroup=true and killasgroup=false".to_owned(),
            "remove killasgroup",
        );
    }
    // New keys come last, so that Supervisor's errors stay the first ones.
    let restart_floor = reader.value(at, "restart_floor", names, |text| {
        match value::integer(text) {
            Ok(seconds) if seconds < 0 => Err(format!("{seconds} is below lower bound (0)")),
            other => other,
        }
    });
    let journal_limits = StreamKeys::BOTH.map(|keys| {
        let limit = reader.value(at, keys.journal_limit, names, value::rate_limit);
        limit.ok().flatten()
    });
    SectionValues {
        priority,
        autostart,
        autorestart: autorestart.ok().unwrap_or(AutoRestart::Unexpected),
        startsecs,
        startretries,
        stopsignal: stopsignal.ok().unwrap_or(Signal::TERM),
        stopwaitsecs,
        stopasgroup,
        killasgroup,
        exitcodes: reader.share_codes(exitcodes.ok().unwrap_or_default()),
        redirect_stderr,
        numprocs,
        first,
        restart_floor: Seconds(restart_floor.ok().unwrap_or_default()),
        notify: notify(reader, at, names, startsecs),
        confinement: confinement(reader, at, names).into_shared(),
        resources: resources(reader, at, names).into_shared(),
        journal_limits,
        capture,
        events,
        server_url,
        user,
        umask,
        process_name,
        is_misnamed: false,
    }
}

/// Makes one process. Adds the variables of its environment to `names`.
fn process(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    names: &mut ExpandNames,
    common: &SectionValues,
    (group, kind): (&GroupName, &ProcessKind),
    daemon: &Environment,
) -> Option<Arc<ProcessSpec>> {
    let own = variables(reader, at, names);
    for (name, value) in &own {
        names.insert(format!("ENV_{name}"), ExpandValue::Text(value.clone()));
    }
    let directory = reader.text(at, "directory", names).ok();
    let stdout = stream(reader, at, Channel::Stdout, names, common);
    let mut stderr = stream(reader, at, Channel::Stderr, names, common);
    if common.redirect_stderr {
        if matches!(stderr.target, LogfileValue::File(_)) {
            let text = format!(
                "For [{}], redirect_stderr=true but stderr_logfile has also been set to a filename, the filename has been \
                 ignored",
                at.section
            );
            let span = reader.span_of(at, "stderr_logfile");
            reader.warn_as(span, Line::ConfigWarning { text });
        }
        stderr.spec.target = LogTarget::None;
        stderr.spec.named.journal = None;
    }
    let command = reader.text(at, "command", names);
    if command == KeyResult::Absent {
        let sentence = format!("program section {} does not specify a command", at.section);
        reader.fail(at, "command", sentence);
    }
    let name = match reader.expanded(
        at,
        "process_name",
        &common.process_name,
        names,
        "process_name",
    ) {
        // Differs: Supervisor checks the name only before expansion, and then exits when it opens the logs.
        KeyResult::Is(text) => match ProcessName::expanded(&text) {
            Ok(name) => Some(name),
            Err(_) if common.is_misnamed => None,
            Err(error) => {
                let hint = format!(
                    "{} expands to this name; {PROCESS_HINT}",
                    common.process_name
                );
                reader.fail_with(at, "process_name", error.to_string(), &hint);
                None
            }
        },
        KeyResult::Absent | KeyResult::Wrong => None,
    };
    Some(Arc::new(ProcessSpec {
        name: name?,
        group: group.clone(),
        kind: kind.clone(),
        command: reader.share(&command.ok()?),
        directory: directory.map(|path| Arc::from(Path::new(&path))),
        umask: common.umask,
        priority: common.priority,
        autostart: common.autostart,
        autorestart: common.autorestart,
        startsecs: common.startsecs,
        startretries: common.startretries,
        exitcodes: common.exitcodes.clone(),
        stopsignal: common.stopsignal,
        stopwaitsecs: common.stopwaitsecs,
        stopasgroup: common.stopasgroup,
        killasgroup: common.killasgroup,
        user: common.user.clone(),
        redirect_stderr: common.redirect_stderr,
        stdout: stdout.spec,
        stderr: stderr.spec,
        environment: merged(daemon, own),
        server_url: common.server_url.clone(),
        restart_floor: common.restart_floor,
        notify: common.notify,
        confinement: Arc::clone(&common.confinement),
        resources: Arc::clone(&common.resources),
    }))
}

fn variables(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    names: &ExpandNames,
) -> Vec<(String, String)> {
    let text = reader.raw(at, "environment").unwrap_or_default();
    let KeyResult::Is(text) = reader.expanded(at, "environment", &text, names, "environment")
    else {
        return Vec::new();
    };
    match environment::parse(&text) {
        Ok(pairs) => pairs,
        Err(sentence) => {
            reader.fail(at, "environment", sentence);
            Vec::new()
        }
    }
}

/// The daemon's variables, overridden by the process's own.
fn merged(daemon: &Environment, own: Vec<(String, String)>) -> Environment {
    if own.is_empty() {
        return daemon.clone();
    }
    let mut all = daemon.to_vec();
    for (name, value) in own {
        match all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => all.push((name, value)),
        }
    }
    Arc::from(all)
}

fn stream(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    channel: Channel,
    names: &ExpandNames,
    common: &SectionValues,
) -> StreamSpec {
    let lookup = reader.lookup;
    let stream = channel.name();
    let (index, keys) = match channel {
        Channel::Stdout => (0, StreamKeys::OUT),
        Channel::Stderr => (1, StreamKeys::ERR),
    };
    let key = keys.logfile;
    let configured = match reader.text(at, key, names) {
        // Expand again: an accident in Supervisor, because of which users write %%%% for %.
        KeyResult::Is(text) => match reader.expanded(at, key, &text, names, key) {
            KeyResult::Is(text) => match value::log_targets(&text, lookup) {
                Ok(targets) => Some(targets),
                Err(sentence) => {
                    reader.fail_of(at, key, sentence, &text);
                    None
                }
            },
            KeyResult::Absent | KeyResult::Wrong => None,
        },
        KeyResult::Absent | KeyResult::Wrong => None,
    };
    if let Some(LogTargets {
        file: LogfileValue::File(path),
        ..
    }) = &configured
        && let Some(what) = hint::of_logfile(path)
    {
        let text = format!("{path} {what}");
        reader.warn(reader.span_of(at, key), text);
    }
    let backups = reader.integer(at, keys.backups, names);
    let maxbytes = reader.bytes(at, keys.maxbytes, names);
    let syslog = reader.boolean(at, keys.syslog, names);
    let LogTargets {
        file: mut target,
        mut named,
    } = configured.unwrap_or(LogTargets {
        file: LogfileValue::None,
        named: NamedTargets::default(),
    });
    named.syslog |= syslog;
    if let Some(journal) = &mut named.journal {
        journal.limit = common.journal_limits[index];
    }
    if target == LogfileValue::Syslog {
        let text = format!(
            "For [{}], {key}=syslog but this is deprecated and will be removed.  Use {stream}_syslog=true to enable syslog \
             instead.",
            at.section
        );
        reader.warn_as(reader.span_of(at, key), Line::ConfigWarning { text });
        target = LogfileValue::None;
        named.syslog = true;
    }
    if target == LogfileValue::Auto && maxbytes == Bytes(0) {
        let text = format!(
            "For [{}], AUTO logging used for {key} without rollover, set maxbytes > 0 to avoid filling up filesystem \
             unintentionally",
            at.section
        );
        let span = reader.span_of(at, keys.maxbytes);
        reader.warn_as(span, Line::ConfigWarning { text });
    }
    StreamSpec {
        spec: LogSpec {
            target: match &target {
                LogfileValue::Auto => LogTarget::Auto,
                LogfileValue::File(path) if !path.is_empty() => {
                    LogTarget::File(Arc::from(Path::new(path)))
                }
                LogfileValue::File(_) => LogTarget::Empty,
                LogfileValue::None | LogfileValue::Syslog => LogTarget::None,
            },
            maxbytes,
            backups,
            capture_maxbytes: common.capture[index],
            events: common.events[index],
            named,
        },
        target,
    }
}
