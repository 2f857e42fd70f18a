//! The steps before the first round: what the command line asks for, which file, which configuration.
//!
//! Everything that is wrong here ends the daemon early, with all reasons on standard error and status 2.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::fatal::{Fatal, USAGE, fail};
use super::machine::Machine;
use super::opening::Ground;
use super::recovery::{self, Left, Predecessor};
use super::succession::{self, Handover};
use super::{check, opening, reload, round};
use crate::config::completion::{Completion, Question};
use crate::config::options::{self, DaemonOptions};
use crate::config::spec::Config;
use crate::config::verb::{self, Errand, Verb};
use crate::config::{self, ConfigErrors, render, search};
use crate::domain::{Line, VERSION};
use crate::{engine, import, keeper, pidproxy, service, sys};

/// Runs the daemon, or whatever else `args` (with argv\[0\]) ask for.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    let argv0 = args.first().map_or("supervisord", String::as_str);
    // The same binary under other names.
    match Path::new(argv0).file_name().and_then(OsStr::to_str) {
        Some("echo_supervisord_conf") => return print(&render::sample()),
        // Its command's words need not be UTF-8.
        Some("pidproxy") => return pidproxy::run(&std::env::args_os().collect::<Vec<_>>()),
        Some(keeper::NAME) => return keeper::run(),
        _ => {}
    }
    // Differs: Supervisor knows no verbs. As any but the first word they are still positional arguments, and refused.
    if let Some(verb) = args.get(1).and_then(|word| Verb::find(word)) {
        return run_verb(verb, argv0, args.get(2..).unwrap_or_default());
    }
    match succession::inherited() {
        Ok(None) => {}
        Ok(Some(handover)) => return resume(argv0, args, handover),
        Err(reason) => return fail(argv0, &Fatal::Broken(reason)),
    }
    if let Some(question) = Question::read(args.get(1..).unwrap_or_default()) {
        return print(&completion(&question).to_string());
    }
    let machine = match Machine::new() {
        Ok(machine) => machine,
        Err(error) => {
            return fail(
                argv0,
                &Fatal::Usage(format!("cannot determine the working directory: {error}")),
            );
        }
    };
    if args.get(1).is_some_and(|word| word == succession::QUESTION) {
        return succession::answer(args.get(2..).unwrap_or_default(), &machine);
    }
    let options = match options::parse(args.get(1..).unwrap_or_default(), &machine) {
        Ok(options) => options,
        Err(sentence) => return fail(argv0, &Fatal::Usage(sentence)),
    };
    if options.help {
        return print(&options::usage(argv0));
    }
    if options.version {
        return print(&format!("{VERSION}\n"));
    }
    match begin(argv0, options, machine) {
        Ok(code) => code,
        Err(fatal) => fail(argv0, &fatal),
    }
}

fn run_verb(verb: &Verb, argv0: &str, args: &[String]) -> ExitCode {
    let refused = |sentence: &str| {
        eprintln!("Error: {sentence}\nFor help, use {argv0} {} -h", verb.name);
        ExitCode::from(USAGE)
    };
    let spoken = match verb.read(args) {
        Ok(spoken) => spoken,
        Err(sentence) => return refused(&sentence),
    };
    if spoken.option(verb::HELP).is_some() {
        return print(&verb.usage(argv0));
    }
    let words: Vec<&str> = spoken.words.iter().map(String::as_str).collect();
    let are_known = verb.words.is_empty()
        || matches!(&words[..], [word] if verb.words.iter().any(|known| known.name == *word));
    if words.is_empty() || !are_known {
        eprintln!("usage: supervisord {} {}", verb.name, verb.arguments);
        return ExitCode::from(USAGE);
    }
    let machine = match Machine::new() {
        Ok(machine) => machine,
        Err(error) => return refused(&format!("cannot determine the working directory: {error}")),
    };
    match verb.errand {
        Errand::Import => import::run(argv0, &spoken, &machine),
        Errand::Service => service::run(argv0, &spoken, &machine),
    }
}

/// What a shell may offer. It asks under one name about all that we have.
fn completion(question: &Question) -> Completion {
    match question.name() {
        "" | "echo_supervisord_conf" => Completion::default(),
        "pidproxy" => pidproxy::complete(question),
        _ => options::complete(question),
    }
}

/// Goes on where an earlier image of this process has ended.
fn resume(argv0: &str, args: &[String], mut handover: Handover) -> ExitCode {
    let machine = Machine::seen_from(handover.cwd.clone());
    let result = options::parse(args.get(1..).unwrap_or_default(), &machine)
        .map_err(Fatal::Usage)
        .and_then(|options| {
            let reserved = opening::reserve()?;
            let options = with_config_path(argv0, options, &machine)?;
            let ground = Ground {
                options: Arc::new(options),
                machine: Arc::new(machine),
                passed: std::mem::take(&mut handover.passed),
            };
            round::resume(handover, ground, reserved)
        });
    match result {
        Ok(code) => code,
        Err(fatal) => fail(argv0, &fatal),
    }
}

/// The same options with the configuration file that was found if none was named.
fn with_config_path(
    argv0: &str,
    mut options: DaemonOptions,
    machine: &Machine,
) -> Result<DaemonOptions, Fatal> {
    if options.config_path.is_none() {
        let found = search::find(argv0, machine);
        let found = found.ok_or_else(|| Fatal::Usage(search::not_found(argv0, machine)))?;
        options.config_path = Some(found);
        options.is_found = true;
    }
    Ok(options)
}

fn begin(argv0: &str, options: DaemonOptions, machine: Machine) -> Result<ExitCode, Fatal> {
    sys::check_kernel().map_err(|error| Fatal::Usage(error.to_string()))?;
    if options.config_path.is_none() && sys::effective_uid() == 0 {
        eprintln!(
            "{argv0}: UserWarning: Supervisord is running as root and it is searching for its configuration file in \
             default locations (including its current working directory); you probably want to specify a \"-c\" \
             argument specifying an absolute path to a configuration file for improved security."
        );
    }
    let options = with_config_path(argv0, options, &machine)?;
    let path = options.config_path.clone().unwrap_or_default();
    let first = config::load(&path, &options, &machine);
    if options.check {
        let code = checked(&path, &first);
        // The process ends: nobody needs the memory, piece by piece.
        std::mem::forget(first);
        return Ok(code);
    }
    // Nothing of ours is open.
    let (mut passed, complaint) = match engine::passed_sockets() {
        Ok(passed) => (passed, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    // Before a predecessor's descriptors, which can be thousands.
    let reserved = opening::reserve()?;
    let predecessor = recovery::find(engine::take_kept(&mut passed));
    let first = match &predecessor {
        // Programs run whose configuration had the section: a file that was cut since is an error, as for a daemon that runs.
        Some(Predecessor {
            left: Left::Legacy(recovery),
            ..
        }) if first.as_ref().is_ok_and(|first| first.is_implied) => {
            let options = reload::options_of(&options, &recovery.handover.config);
            config::load(&path, &options, &machine)
        }
        _ => first,
    };
    let mut first = match (first, &predecessor) {
        (Ok(first), _) => first,
        (
            Err(errors),
            Some(Predecessor {
                left: Left::Legacy(recovery),
                ..
            }),
        ) => recovery.goes_on_with(&errors),
        (Err(errors), _) => return Err(Fatal::Config(errors)),
    };
    if let Some(error) = complaint {
        first.notes.push(Line::PassedSocketsUnknown { error });
    }
    // Differs: a relative path goes on to mean what it means now, for the machine remembers our directory. Supervisor
    // resolves it against whatever directory it has changed to when it reloads.
    let ground = Ground {
        options: Arc::new(options),
        machine: Arc::new(machine),
        passed,
    };
    round::all(first, ground, predecessor, reserved)
}

fn checked(path: &str, result: &Result<Config, ConfigErrors>) -> ExitCode {
    match result {
        Ok(config) => {
            println!("{}{path}: ok", check::warnings(&config.warnings));
            ExitCode::SUCCESS
        }
        Err(errors) => {
            eprint!("{}", check::report(errors, check::wants_colour()));
            ExitCode::from(USAGE)
        }
    }
}

fn print(text: &str) -> ExitCode {
    // A closed pipe behind `supervisord --help | head` is nobody's fault.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
