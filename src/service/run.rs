//! The verb: what is checked before anything is done, and the order in which it is done.

use std::process::ExitCode;

use super::refused::Refused;
use super::site;
use super::unit::{self, Paths};
use crate::config::lookup::Lookup;
use crate::config::options::DaemonOptions;
use crate::config::verb::{CONFIGURATION, ENV_FILE, NAME, Spoken};
use crate::config::{self, search};
use crate::domain::Line;
use crate::sys;

/// What the unit is called if nobody says.
const UNIT: &str = "supervisord";
const CLIENT: &str = "supervisorctl";

/// Does what the word says; on failure it is said on standard error, and the status is not 0.
#[must_use]
pub fn run(argv0: &str, spoken: &Spoken, lookup: &dyn Lookup) -> ExitCode {
    let action = spoken.words.first().map_or("", String::as_str);
    let done = prepare(action, spoken).and_then(|name| match action {
        "install" => install(argv0, &name, spoken, lookup),
        "uninstall" => uninstall(&name),
        "status" => site::systemctl(&["--no-pager", "--full", "status", &unit_of(&name)]),
        other => site::systemctl(&[other, &unit_of(&name)]),
    });
    match done {
        Ok(code) => ExitCode::from(code),
        Err(refused) => {
            eprintln!("{argv0}: {refused}");
            ExitCode::FAILURE
        }
    }
}

fn unit_of(name: &str) -> String {
    format!("{name}.service")
}

/// What all actions need; answers the unit's name.
fn prepare(action: &str, spoken: &Spoken) -> Result<String, Refused> {
    let name = site::unit_name(spoken.option(NAME).unwrap_or(UNIT))?;
    site::check_systemd()?;
    if action != "status" && sys::effective_uid() != 0 {
        return Err(Refused::NotRoot);
    }
    Ok(name)
}

fn install(argv0: &str, name: &str, spoken: &Spoken, lookup: &dyn Lookup) -> Result<u8, Refused> {
    site::check_free(name)?;
    let paths = paths(argv0, spoken, lookup)?;
    let text = unit::render(&paths)?;
    check_configuration(&paths.configuration, lookup)?;
    // The service runs these as root, so whoever can change one of them would be root.
    for path in [&paths.daemon, &paths.client]
        .into_iter()
        .chain(&paths.env_file)
    {
        site::check_owner(path, lookup)?;
    }
    let path = site::unit_path(name);
    site::write(&path, &text)?;
    let unit = unit_of(name);
    for words in [&["daemon-reload"][..], &["enable", &unit]] {
        must(words)?;
    }
    println!(
        "installed {} for {} (starts at boot; to start it now: systemctl start {name})",
        path.display(),
        paths.configuration
    );
    Ok(0)
}

fn uninstall(name: &str) -> Result<u8, Refused> {
    let path = site::unit_path(name);
    if path.symlink_metadata().is_err() {
        return Err(Refused::NotInstalled(path.display().to_string()));
    }
    if !site::is_ours(&path) {
        return Err(Refused::Foreign(path.display().to_string()));
    }
    let unit = unit_of(name);
    must(&["stop", &unit])?;
    must(&["disable", &unit])?;
    site::remove(&path)?;
    must(&["daemon-reload"])?;
    println!("removed {}", path.display());
    Ok(0)
}

/// Runs systemd's client, which has to succeed.
fn must(words: &[&str]) -> Result<(), Refused> {
    match site::systemctl(words)? {
        0 => Ok(()),
        _ => Err(Refused::Failed(words.join(" "))),
    }
}

/// Absolute paths of all that the unit names.
fn paths(argv0: &str, spoken: &Spoken, lookup: &dyn Lookup) -> Result<Paths, Refused> {
    let daemon = std::env::current_exe().map_err(|error| Refused::Executable(error.to_string()))?;
    let shown = daemon.display().to_string();
    // The kernel says so of a file that was replaced or removed.
    if !daemon.is_file() {
        return Err(Refused::Executable(format!("{shown} no longer exists")));
    }
    let client = daemon.with_file_name(CLIENT);
    if !client.is_file() {
        return Err(Refused::NoClient(shown));
    }
    let text = |path: &std::path::Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Refused::Executable(format!("{} is not UTF-8", path.display())))
    };
    let configuration = match spoken.option(CONFIGURATION) {
        Some(path) => path.to_owned(),
        None => search::find(argv0, lookup)
            .ok_or_else(|| Refused::NoConfiguration(search::not_found(argv0, lookup)))?,
    };
    Ok(Paths {
        daemon: text(&daemon)?,
        client: text(&client)?,
        configuration: config::absolute(&configuration, lookup),
        env_file: spoken
            .option(ENV_FILE)
            .map(|path| config::absolute(path, lookup)),
    })
}

/// Reads the configuration as the daemon would; what is wrong with it is said here, each on its line.
fn check_configuration(path: &str, lookup: &dyn Lookup) -> Result<(), Refused> {
    let config = match config::load(path, &DaemonOptions::default(), lookup) {
        Ok(config) => config,
        Err(errors) => {
            for line in errors.lines() {
                eprintln!("{line}");
            }
            return Err(Refused::Configuration(path.to_owned()));
        }
    };
    site::check_owner(path, lookup)?;
    for note in &config.notes {
        if let Line::IncludedFile { path } = note {
            site::check_owner(path, lookup)?;
        }
    }
    // Whoever adds a file that a pattern matches has written the configuration.
    for directory in &config.listed {
        site::check_directory(directory, lookup)?;
    }
    Ok(())
}
