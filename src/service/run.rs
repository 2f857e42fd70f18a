//! Runs the subcommand: checks everything first, then acts.

use std::process::ExitCode;

use super::error::ServiceError;
use super::unit::{self, UnitPaths};
use super::unit_files;
use crate::cli::subcommand::{ServiceAction, ServiceArgs};
use crate::config::lookup::Lookup;
use crate::config::options::DaemonOptions;
use crate::config::{self, search};
use crate::domain::Line;
use crate::sys;

const CLIENT: &str = "supervisorctl";

/// Runs the action. On failure it prints the reason to standard error and returns a non-zero status.
#[must_use]
pub fn run_service(argv0: &str, args: &ServiceArgs, lookup: &dyn Lookup) -> ExitCode {
    let done = prepare(args).and_then(|name| match args.action {
        ServiceAction::Install => install(argv0, &name, args, lookup),
        ServiceAction::Uninstall => uninstall(&name),
        ServiceAction::Status => {
            unit_files::systemctl(&["--no-pager", "--full", "status", &unit_file_name(&name)])
        }
        ServiceAction::Start | ServiceAction::Stop | ServiceAction::Restart => {
            unit_files::systemctl(&[args.action.name(), &unit_file_name(&name)])
        }
    });
    match done {
        Ok(code) => ExitCode::from(code),
        Err(refused) => {
            eprintln!("{argv0}: {refused}");
            ExitCode::FAILURE
        }
    }
}

fn unit_file_name(name: &str) -> String {
    format!("{name}.service")
}

/// Makes the checks that all actions need. Returns the unit's name.
fn prepare(args: &ServiceArgs) -> Result<String, ServiceError> {
    let name = unit_files::unit_name(&args.name)?;
    unit_files::check_systemd()?;
    if args.action != ServiceAction::Status && sys::effective_uid() != 0 {
        return Err(ServiceError::NotRoot);
    }
    Ok(name)
}

fn install(
    argv0: &str,
    name: &str,
    args: &ServiceArgs,
    lookup: &dyn Lookup,
) -> Result<u8, ServiceError> {
    unit_files::check_free(name)?;
    let paths = paths(argv0, args, lookup)?;
    let text = unit::render_unit(&paths)?;
    check_configuration(&paths.configuration, lookup)?;
    // The service runs these as root, so a user who can change one of them would become root.
    for path in [&paths.daemon, &paths.client]
        .into_iter()
        .chain(&paths.env_file)
    {
        unit_files::check_owner(path, lookup)?;
    }
    let path = unit_files::unit_path(name);
    unit_files::write_unit(&path, &text)?;
    let unit = unit_file_name(name);
    for words in [&["daemon-reload"][..], &["enable", &unit]] {
        run_systemctl(words)?;
    }
    println!(
        "installed {} for {} (starts at boot; to start it now: systemctl start {name})",
        path.display(),
        paths.configuration
    );
    Ok(0)
}

fn uninstall(name: &str) -> Result<u8, ServiceError> {
    let path = unit_files::unit_path(name);
    if path.symlink_metadata().is_err() {
        return Err(ServiceError::NotInstalled(path.display().to_string()));
    }
    if !unit_files::is_ours(&path) {
        return Err(ServiceError::Foreign(path.display().to_string()));
    }
    let unit = unit_file_name(name);
    run_systemctl(&["stop", &unit])?;
    run_systemctl(&["disable", &unit])?;
    unit_files::remove_unit(&path)?;
    run_systemctl(&["daemon-reload"])?;
    println!("removed {}", path.display());
    Ok(0)
}

/// Runs systemctl, which must succeed.
fn run_systemctl(words: &[&str]) -> Result<(), ServiceError> {
    match unit_files::systemctl(words)? {
        0 => Ok(()),
        _ => Err(ServiceError::Failed(words.join(" "))),
    }
}

/// The absolute paths for the unit.
fn paths(argv0: &str, args: &ServiceArgs, lookup: &dyn Lookup) -> Result<UnitPaths, ServiceError> {
    let daemon =
        std::env::current_exe().map_err(|error| ServiceError::Executable(error.to_string()))?;
    let shown = daemon.display().to_string();
    // The kernel appends a note to the path of a file that was replaced or removed.
    if !daemon.is_file() {
        return Err(ServiceError::Executable(format!(
            "{shown} no longer exists"
        )));
    }
    let client = daemon.with_file_name(CLIENT);
    if !client.is_file() {
        return Err(ServiceError::NoClient(shown));
    }
    let text = |path: &std::path::Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| ServiceError::Executable(format!("{} is not UTF-8", path.display())))
    };
    let configuration = match &args.configuration {
        Some(path) => path.clone(),
        None => search::find_config(argv0, lookup)
            .ok_or_else(|| ServiceError::NoConfiguration(search::not_found(argv0, lookup)))?,
    };
    Ok(UnitPaths {
        daemon: text(&daemon)?,
        client: text(&client)?,
        configuration: config::absolute(&configuration, lookup),
        env_file: args
            .env_file
            .as_ref()
            .map(|path| config::absolute(path, lookup)),
    })
}

/// Reads the configuration like the daemon, and prints each error on its line.
fn check_configuration(path: &str, lookup: &dyn Lookup) -> Result<(), ServiceError> {
    let config = match config::load(path, &DaemonOptions::default(), lookup) {
        Ok(config) => config,
        Err(errors) => {
            for line in errors.lines() {
                eprintln!("{line}");
            }
            return Err(ServiceError::Configuration(path.to_owned()));
        }
    };
    unit_files::check_owner(path, lookup)?;
    for note in &config.notes {
        if let Line::IncludedFile { path } = note {
            unit_files::check_owner(path, lookup)?;
        }
    }
    // A user who can add a file that a pattern matches can write the configuration.
    for directory in &config.listed {
        unit_files::check_directory(directory, lookup)?;
    }
    Ok(())
}
