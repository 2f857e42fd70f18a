//! Parses the keys of programs and makes the processes of one section.

use std::path::Path;
use std::sync::Arc;

use super::super::environment;
use super::super::expand::{ExpandNames, ExpandValue, VARIABLE};
use super::super::hint;
use super::super::key::{ProgramValues, SectionKind, StreamValues};
use super::super::lint::{Explained, Rule};
use super::super::log_list::LogTargets;
use super::super::log_options::{LogForm, LogOptions};
use super::super::python::strip;
use super::super::spec::{
    EnvFileSpec, EnvFiles, Environment, IfMissing, InternedDefault as _, LogTarget, NUMPROCS_MAX,
    NamedTargets, ProcessKind, ProcessSpec, ProgramSpec, SyslogForm,
};
use super::super::value::{self, LogfileValue};
use super::health::health;
use super::readiness::readiness;
use super::restart::check_restarts;
use super::schedule::schedule;
use super::{ConfigReader, KeyResult, RowCursor, SectionAt};
use crate::domain::{Bytes, Capabilities, Channel, GroupName, Line, ProcessName};

/// The values of a section that all its processes have.
struct SectionCommon {
    values: ProgramValues,
    /// The name of each process before expansion.
    process_name: String,
    /// The text after the colon of the section's name.
    program: String,
    /// The name of the section is wrong, which is already reported.
    is_misnamed: bool,
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
        (
            "program_name".to_owned(),
            ExpandValue::Text(program.clone()),
        ),
        (
            "host_node_name".to_owned(),
            ExpandValue::Text(reader.hostname.clone()),
        ),
        ("group_name".to_owned(), ExpandValue::from(group.as_str())),
    ]);
    let (values, process_name) = common(reader, at, &names);
    let (numprocs, first) = (values.numprocs, values.numprocs_start);
    let common = SectionCommon {
        values,
        process_name,
        program,
        is_misnamed,
    };
    let count = if numprocs > NUMPROCS_MAX {
        // Differs: Supervisor has no limit.
        let sentence = format!("numprocs {numprocs} is above upper bound ({NUMPROCS_MAX})");
        reader.fail(at, "numprocs", sentence);
        1
    } else {
        numprocs
    };
    let mut found: Vec<Arc<ProcessSpec>> = Vec::new();
    // If `numprocs` is wrong or 0, one process is read nevertheless, to find the other errors.
    for number in first..first.saturating_add(count) {
        names.insert("process_num".to_owned(), ExpandValue::Number(number));
        names.insert("numprocs".to_owned(), ExpandValue::Number(numprocs));
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

/// Reads the keys of the section, first Supervisor's in its order, then new ones. Returns their
/// values, and the name of each process before expansion.
fn common(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    names: &ExpandNames,
) -> (ProgramValues, String) {
    let mut values = reader.program_defaults();
    let mut rows = RowCursor::new(at.kind);
    reader.fields(at, names, rows.to("umask"), &mut values);
    let process_name = several_processes(reader, at, &mut values);
    reader.fields(at, names, rows.to("watchdogsecs"), &mut values);
    readiness(reader, at, &mut values);
    check_restarts(reader, at, &values);
    reader.fields(at, names, rows.to("ambient_capabilities"), &mut values);
    check_ambient_capabilities(reader, at, &values);
    reader.fields(at, names, rows.rest_of_section(), &mut values);
    schedule(reader, at, &mut values);

    let ProgramValues {
        spec,
        confinement,
        resources,
        dependencies,
        ..
    } = &mut values;
    spec.confinement = std::mem::take(confinement).into_shared();
    spec.resources = std::mem::take(resources).into_shared();
    spec.dependencies = std::mem::take(dependencies).into_shared();
    spec.exitcodes = reader.share_codes(&spec.exitcodes);
    (values, process_name)
}

/// Checks the keys about several processes and about process groups. Returns the name of each process before expansion.
fn several_processes(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    values: &mut ProgramValues,
) -> String {
    let raw = reader.raw(at, "process_name").unwrap_or_default();
    let process_name = value::name(&raw).unwrap_or_else(|sentence| {
        reader.fail(at, "process_name", sentence);
        raw
    });
    if values.numprocs > 1 && !process_name.contains("%(process_num)") {
        reader.fail_with(
            at,
            "process_name",
            "%(process_num) must be present within process_name when numprocs > 1".to_owned(),
            "for example process_name = %(program_name)s_%(process_num)02d",
        );
    }
    let spec = &mut values.spec;
    spec.killasgroup = values.killasgroup.unwrap_or(spec.stopasgroup);
    if spec.stopasgroup && !spec.killasgroup {
        reader.fail_with(
            at,
            "killasgroup",
            "Cannot set stopasgroup=true and killasgroup=false".to_owned(),
            "remove killasgroup",
        );
    }
    process_name
}

/// Checks the ambient capabilities against the bounding set.
fn check_ambient_capabilities(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    values: &ProgramValues,
) {
    let confinement = &values.confinement;
    let allowed = confinement.capabilities.unwrap_or(Capabilities::ALL);
    let ambient = confinement.ambient_capabilities;
    let beyond = ambient.map_or(Capabilities::NONE, |set| set.without(allowed));
    if !beyond.is_none() {
        reader.fail_with(
            at,
            "ambient_capabilities",
            format!("capabilities does not allow {beyond}"),
            "each ambient capability must also be listed in capabilities",
        );
    }
}

/// Makes one process. Adds the variables of its environment to `names`.
fn process(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    names: &mut ExpandNames,
    common: &SectionCommon,
    (group, kind): (&GroupName, &ProcessKind),
    daemon: &Environment,
) -> Option<Arc<ProcessSpec>> {
    let own = own_environment(reader, at, names);
    for (name, value) in &own {
        names.insert(format!("ENV_{name}"), ExpandValue::Text(value.clone()));
    }
    let mut values = common.values.clone();
    let mut rows = RowCursor::of_process(at.kind);
    reader.fields(at, names, rows.to("stdout_syslog"), &mut values);
    stream(reader, at, Channel::Stdout, &mut values);
    reader.fields(at, names, rows.to("stderr_syslog"), &mut values);
    stream(reader, at, Channel::Stderr, &mut values);
    reader.fields(at, names, rows.rest(), &mut values);
    syslog_form(&mut values);
    health(reader, at, &mut values);
    log_options(&mut values, &common.program);
    warn_of_owners(reader, at, &values);
    let hooks = std::mem::take(&mut values.hooks);
    values.spec.on_fatal = std::mem::take(&mut values.spec.on_fatal).with_limit(hooks.timeout);
    values.spec.hooks = hooks.into_shared();
    let ProgramValues {
        mut spec,
        stderr,
        env_files,
        environment_files,
        watch,
        ..
    } = values;
    if spec.redirect_stderr {
        if matches!(stderr.targets.file, LogfileValue::File(_)) {
            let text = format!(
                "For [{}], redirect_stderr=true but stderr_logfile has also been set to a filename, the filename has been \
                 ignored",
                at.section
            );
            let plain = "stderr_logfile: redirect_stderr sends standard error to the log of standard output";
            let explained = Explained::new(Rule::UnusedLog, plain);
            let span = reader.span_of(at, "stderr_logfile");
            reader.warn_as(explained, span, Line::ConfigWarning { text });
        }
        spec.stderr.target = LogTarget::None;
        spec.stderr.more_files = Vec::new();
        // Clients see the configured value of stderr_syslog.
        spec.stderr.named = NamedTargets {
            syslog: spec.stderr.named.syslog,
            ..NamedTargets::default()
        };
    }
    let command = reader.text(at, "command", names);
    if command == KeyResult::Absent {
        let sentence = format!("program section {} does not specify a command", at.section);
        reader.fail(at, "command", sentence);
    }
    let name = process_name(reader, at, names, common);
    let name = name?;
    let command = command.ok()?;
    Some(Arc::new(ProcessSpec {
        name,
        group: group.clone(),
        kind: kind.clone(),
        watch: watch.into_spec(&command),
        command: reader.share(&command),
        env_files: env_file_specs(env_files, environment_files, &own),
        environment: merged(daemon, own),
        ..spec
    }))
}

/// The name of a process. `None`: it is wrong, which is reported.
fn process_name(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    names: &ExpandNames,
    common: &SectionCommon,
) -> Option<ProcessName> {
    let key = "process_name";
    // Almost every program has this name, which needs no formatter.
    let text = match &*common.process_name {
        "%(program_name)s" => common.program.clone(),
        pattern => reader.expanded(at, key, pattern, names, key).ok()?,
    };
    // Differs: Supervisor checks the name only before expansion, and then exits when it opens the logs.
    match ProcessName::expanded(&text) {
        Ok(name) => Some(name),
        Err(_) if common.is_misnamed => None,
        Err(error) => {
            let hint = format!(
                "{} expands to this name; {PROCESS_HINT}",
                common.process_name
            );
            reader.fail_with(at, key, error.to_string(), &hint);
            None
        }
    }
}

/// Parses the key `environment` of a section.
pub(super) fn own_environment(
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

/// The env files of a process: first those of `envFiles`. `None`: there are none.
fn env_file_specs(
    env_files: Vec<String>,
    environment_files: Vec<String>,
    own: &[(String, String)],
) -> Option<Arc<EnvFiles>> {
    let weak = env_files.into_iter().map(|path| EnvFileSpec {
        path,
        if_missing: IfMissing::Warn,
    });
    let strong = environment_files
        .into_iter()
        .map(|path| match path.strip_prefix('-') {
            Some(path) => EnvFileSpec {
                path: path.to_owned(),
                if_missing: IfMissing::Ignore,
            },
            None => EnvFileSpec {
                path,
                if_missing: IfMissing::Fail,
            },
        });
    let files: Vec<EnvFileSpec> = weak.chain(strong).collect();
    (!files.is_empty()).then(|| {
        Arc::new(EnvFiles {
            files,
            own: Arc::from(own),
        })
    })
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

/// Gives both logs the form of their messages for syslog.
fn syslog_form(values: &mut ProgramValues) {
    let form = std::mem::take(&mut values.syslog_form);
    let of = |stream: &StreamValues| SyslogForm {
        severity: stream.syslog_priority,
        ..form.clone()
    };
    values.spec.stdout.syslog_form = of(&values.stdout);
    values.spec.stderr.syslog_form = of(&values.stderr);
}

/// Gives each stream the options that both have in common.
fn log_options(values: &mut ProgramValues, program: &str) {
    let common = &values.logs;
    for (stream, log) in [
        (&values.stdout, &mut values.spec.stdout),
        (&values.stderr, &mut values.spec.stderr),
    ] {
        let form = stream.form.unwrap_or(common.form);
        let options = LogOptions {
            form,
            program: (form == LogForm::Json).then(|| Arc::from(program)),
            prefix: common.prefix.clone(),
            json_merge: common.json_merge,
            json_time_key: common.json_time_key.clone(),
            utc: common.utc,
            ..stream.options.clone()
        };
        log.options = options.into_shared();
    }
}

/// Warns about owners of logs that only root can set.
fn warn_of_owners(reader: &mut ConfigReader<'_>, at: SectionAt<'_>, values: &ProgramValues) {
    let uid = reader.lookup.uid();
    for (channel, stream) in [
        (Channel::Stdout, &values.stdout),
        (Channel::Stderr, &values.stderr),
    ] {
        if uid != 0 && stream.options.owner.is_some_and(|owner| owner != uid) {
            let key = format!("{}_logfile_owner", channel.name());
            let text = format!(
                "{key} in [{}] needs privileges that supervisord has only as root; the program may fail to start",
                at.section
            );
            let explained = Explained::from(Rule::MissingRight).key(&key);
            reader.warn(explained, reader.span_of(at, &key), text);
        }
    }
}

/// Turns the targets of a stream into its log, and warns about targets that are probably not meant.
fn stream(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    channel: Channel,
    values: &mut ProgramValues,
) {
    let name = channel.name();
    let key = |suffix: &str| format!("{name}_{suffix}");
    let (stream, log) = match channel {
        Channel::Stdout => (&mut values.stdout, &mut values.spec.stdout),
        Channel::Stderr => (&mut values.stderr, &mut values.spec.stderr),
    };
    let StreamValues {
        targets: LogTargets {
            file,
            more_files,
            named,
        },
        syslog,
        journal_limit,
        ..
    } = stream;
    if let LogfileValue::File(path) = file
        && let Some(what) = hint::of_logfile(path)
    {
        let text = format!("{path} {what}");
        reader.warn(Rule::LogWord, reader.span_of(at, &key("logfile")), text);
    }
    log.more_files.clone_from(more_files);
    log.named = named.clone();
    log.named.syslog |= *syslog;
    if let Some(journal) = &mut log.named.journal {
        journal.limit = *journal_limit;
    }
    if *file == LogfileValue::Syslog {
        let text = format!(
            "For [{}], {name}_logfile=syslog but this is deprecated and will be removed.  Use {name}_syslog=true to enable \
             syslog instead.",
            at.section
        );
        let plain = format!("{name}_logfile: syslog is deprecated in Supervisor");
        let remedy = format!("write {name}_syslog=true");
        let explained = Explained::new(Rule::DeprecatedSyslog, plain).remedy(remedy);
        let span = reader.span_of(at, &key("logfile"));
        reader.warn_as(explained, span, Line::ConfigWarning { text });
        *file = LogfileValue::None;
        log.named.syslog = true;
    }
    if *file == LogfileValue::Auto && log.maxbytes == Bytes(0) {
        let text = format!(
            "For [{}], AUTO logging used for {name}_logfile without rollover, set maxbytes > 0 to avoid filling up \
             filesystem unintentionally",
            at.section
        );
        let plain = format!("{name}_logfile: the AUTO log is never rotated and may fill the disk");
        let remedy = format!("set {name}_logfile_maxbytes above 0");
        let explained = Explained::new(Rule::UnrotatedLog, plain).remedy(remedy);
        let span = reader.span_of(at, &key("logfile_maxbytes"));
        // A wrong value, which is reported, leaves the default.
        if !reader.is_wrong(at, &key("logfile")) {
            reader.warn_as(explained, span, Line::ConfigWarning { text });
        }
    }
    log.target = match file {
        LogfileValue::Auto => LogTarget::Auto,
        LogfileValue::Memory => LogTarget::Memory,
        LogfileValue::File(path) if !path.is_empty() => LogTarget::File(Arc::from(Path::new(path))),
        LogfileValue::File(_) => LogTarget::Empty,
        LogfileValue::None | LogfileValue::Syslog => LogTarget::None,
    };
}
