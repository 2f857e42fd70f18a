//! The program `supervisord-hub`: starts, serves until a signal ends it, and reads its settings again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use sd_notify::NotifyState;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::activity::{ActivityLog, ActivityLogSettings};
use super::api::handle_request;
use super::command_line::{self, HubArguments, HubTask, NAME};
use super::fleet::{Fleet, FleetSettings};
use super::node::{NodeConfig, NodeState};
use super::server::{HubContext, HubListener, HubParts, serve_listener};
use super::settings::{HubSettings, Settings, load, run_inventory};
use super::users::{
    SessionStore, StateDirectory, UserStore, first_user, import_database, new_secret,
};
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::budget::Budget;
use crate::sys;

/// Exit status of a program that was started in a wrong way.
const MISUSED: u8 = 2;
/// Maximum number of threads for look-ups of hosts, passwords and files. They are started when they are needed.
const THREADS_MAX: usize = 256;
/// Maximum number of connections of clients, and the share of the open files that they may have.
const CONNECTIONS_MAX: u64 = 1000;
const CONNECTIONS_SHARE: u64 = 4;
/// How long the first requests wait for the first attempts to reach the nodes.
const FIRST_ATTEMPTS_WITHIN: Duration = Duration::from_millis(1200);
/// How long the threads may take to end at the exit.
const EXIT_WITHIN: Duration = Duration::from_millis(500);

/// Runs the hub if the program was called as `supervisord-hub`, or with `hub` as its first argument. `None`: it was not.
#[must_use]
pub fn run_if_named(args: &[String]) -> Option<ExitCode> {
    let args = command_line::hub_arguments(args)?;
    Some(match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(status) => ExitCode::from(status),
    })
}

fn say(text: &str) {
    eprintln!("{NAME}: {text}");
}

/// Says what went wrong, and returns the exit status 1.
fn failed(text: impl std::fmt::Display) -> u8 {
    say(&text.to_string());
    1
}

fn run(args: &[String]) -> Result<(), u8> {
    let arguments = command_line::parse(args)?;
    let settings = read_settings(&arguments.config)?;
    match &arguments.task {
        HubTask::Check => {
            say("the settings are valid");
            Ok(())
        }
        HubTask::ImportCesi(database) => import(&settings, database.as_deref()),
        HubTask::Serve => serve(&arguments, settings),
    }
}

/// Reads the settings, and says what is wrong with them.
fn read_settings(path: &Path) -> Result<Settings, u8> {
    match load(path) {
        Ok(settings) => {
            for warning in &settings.warnings {
                say(&format!("warning: {warning}"));
            }
            Ok(settings)
        }
        Err(problems) => {
            for problem in &problems {
                say(&problem.to_string());
            }
            Err(MISUSED)
        }
    }
}

/// The directory of users and sessions.
fn state_path(settings: &HubSettings) -> PathBuf {
    if let Some(path) = &settings.state_directory {
        return path.into();
    }
    let given = std::env::var("STATE_DIRECTORY").unwrap_or_default();
    // systemd separates several directories with colons.
    match given.split(':').next() {
        Some(first) if !first.is_empty() => first.into(),
        _ => ".".into(),
    }
}

fn import(settings: &Settings, database: Option<&Path>) -> Result<(), u8> {
    let directory = StateDirectory::open(&state_path(&settings.hub)).map_err(failed)?;
    let named = settings.cesi.database.strip_prefix("sqlite:///");
    let database = database
        .map(Path::to_owned)
        .or_else(|| named.map(PathBuf::from));
    let database = database.ok_or_else(|| failed("name the database"))?;
    let imported = import_database(&database).map_err(failed)?;
    let users = UserStore::open(&directory, || first_user(&settings.cesi)).map_err(failed)?;
    let runtime = runtime().map_err(failed)?;
    let added = runtime.block_on(users.change(|users| {
        let before = users.len();
        for user in imported {
            if users.iter().all(|other| other.name != user.name) {
                users.push(user);
            }
        }
        Ok(users.len() - before)
    }));
    let added = added.map_err(failed)?;
    say(&format!(
        "{added} users were imported; users with the name of another one were not"
    ));
    Ok(())
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(THREADS_MAX)
        .build()
}

/// Blocks the signals in this thread and all later ones, and returns those that arrive.
fn receive_signals() -> std::io::Result<mpsc::Receiver<Signal>> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    let (sender, receiver) = mpsc::channel(8);
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            while let Ok(signal) = signals.wait() {
                if sender.blocking_send(signal).is_err() {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

fn serve(arguments: &HubArguments, settings: Settings) -> Result<(), u8> {
    if sys::effective_uid() == 0 {
        say("warning: it runs as root, and needs no rights (start it as another user)");
    }
    // It knows the passwords of all nodes. If this fails, other processes of its user can read them.
    let _ = nix::sys::prctl::set_dumpable(false);
    let signals = receive_signals().map_err(failed)?;
    let files = sys::raise_own_files().map_or(1024, |limit| limit.soft);
    let directory = StateDirectory::open(&state_path(&settings.hub)).map_err(failed)?;
    let users = UserStore::open(&directory, || first_user(&settings.cesi)).map_err(failed)?;
    let sessions = SessionStore::open(&directory).map_err(failed)?;
    let activity = ActivityLog::open(ActivityLogSettings {
        path: directory.path().join(&settings.cesi.activity_log),
        bytes_max: settings.hub.activity_log_bytes,
    });
    let runtime = runtime().map_err(failed)?;
    let (stop, stopped) = watch::channel(false);
    let result = {
        let _context = runtime.enter();
        let fleet = Fleet::new(FleetSettings {
            poll_interval: settings.hub.poll_interval,
        });
        let parts = HubParts {
            fleet,
            users,
            sessions,
            activity: activity.map_err(failed)?,
            form_key: new_secret().map_err(failed)?,
            stop: stopped,
        };
        let hub = HubContext::new(parts, settings.hub.clone());
        let connections = (files / CONNECTIONS_SHARE).clamp(16, CONNECTIONS_MAX);
        let service = HubService {
            config: arguments.config.clone(),
            nodes: Arc::new(NodeSources::default()),
            budget: Budget::new(usize::try_from(connections).unwrap_or(16)),
            hub,
        };
        runtime.block_on(service.run(arguments, settings, stop, signals))
    };
    // Look-ups of hosts may hang for a while; nobody waits for them.
    runtime.shutdown_timeout(EXIT_WITHIN);
    result
}

/// Where nodes come from.
#[derive(Debug, Default)]
struct NodeSources {
    /// The nodes of the files, then those of the inventory.
    nodes: Mutex<[Vec<NodeConfig>; 2]>,
    /// The settings were read again, so the command may be another one.
    changed: Notify,
}

impl NodeSources {
    fn replace(&self, source: usize, nodes: Vec<NodeConfig>, fleet: &Fleet) {
        let mut all = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        all[source] = nodes;
        fleet.replace_nodes(all.concat());
    }
}

/// The hub while it serves.
struct HubService {
    config: PathBuf,
    nodes: Arc<NodeSources>,
    budget: Arc<Budget>,
    hub: Arc<HubContext>,
}

impl HubService {
    /// Serves until a signal ends it.
    async fn run(
        self,
        arguments: &HubArguments,
        settings: Settings,
        stop: watch::Sender<bool>,
        mut signals: mpsc::Receiver<Signal>,
    ) -> Result<(), u8> {
        let bind = settings.hub.bind.clone();
        let mut bound = Vec::new();
        for address in arguments.addresses(&bind).map_err(failed)? {
            let listeners = HubListener::bind(&address).await;
            bound.extend(
                listeners
                    .map_err(|error| failed(format!("cannot listen at {address}: {error}")))?,
            );
            say(&format!("listens at http://{address}"));
        }
        self.nodes.replace(0, settings.nodes, &self.hub.fleet);
        // Clients that connect meanwhile wait in the backlog.
        wait_for_nodes(&self.hub.fleet).await;
        let mut servers = JoinSet::new();
        for listener in bound {
            let (hub, budget) = (self.hub.clone(), self.budget.clone());
            servers.spawn(serve_listener(listener, hub, budget, handle_request));
        }
        let mut tasks = JoinSet::new();
        let hub = self.hub.clone();
        tasks.spawn(async move { hub.looks.sweep().await });
        tasks.spawn(follow_inventory(
            self.hub.clone(),
            self.nodes.clone(),
            self.config.clone(),
        ));
        // Without a service manager this does nothing.
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        while let Some(signal) = signals.recv().await {
            match signal {
                Signal::SIGHUP => self.reload(&bind).await,
                _ => break,
            }
        }
        let _ = sd_notify::notify(&[NotifyState::Stopping]);
        stop.send_replace(true);
        while servers.join_next().await.is_some() {}
        Ok(())
    }

    /// Reads the settings again. Broken ones change nothing.
    async fn reload(&self, bind: &[String]) {
        if let Ok(reloading) = NotifyState::monotonic_usec_now() {
            let _ = sd_notify::notify(&[NotifyState::Reloading, reloading]);
        }
        let config = self.config.clone();
        match run_blocking(move || read_settings(&config)).await {
            Some(Ok(settings)) => {
                let before = self.hub.settings();
                if settings.hub.bind != bind
                    || settings.hub.poll_interval != before.poll_interval
                    || settings.hub.state_directory != before.state_directory
                {
                    say(
                        "warning: bind, poll_interval and state_directory change at the next start",
                    );
                }
                let count = settings.nodes.len();
                self.hub.replace_settings(settings.hub);
                self.nodes.replace(0, settings.nodes, &self.hub.fleet);
                self.nodes.changed.notify_one();
                say(&format!("the settings were read again: {count} nodes"));
            }
            _ => say("the settings were not read again; the old ones stay"),
        }
        let _ = sd_notify::notify(&[NotifyState::Ready]);
    }
}

/// Waits until the first attempt to reach each node has ended, but not for long, so that the first answers are not empty.
async fn wait_for_nodes(fleet: &Fleet) {
    let mut changes = fleet.subscribe();
    let settle = async {
        while fleet
            .nodes()
            .iter()
            .any(|node| node.state == NodeState::Connecting)
            && changes.next().await.is_some()
        {}
    };
    // A node that swallows packets is not waited for.
    let _ = timeout(FIRST_ATTEMPTS_WITHIN, settle).await;
}

/// Runs the inventory command regularly, for ever. A run that fails changes nothing.
async fn follow_inventory(hub: Arc<HubContext>, nodes: Arc<NodeSources>, config: PathBuf) {
    let mut last_error = String::new();
    loop {
        let settings = hub.settings();
        let command = settings.inventory_command.clone();
        let directory = config.parent().unwrap_or(Path::new("")).to_owned();
        let run = move || run_inventory(&command, &directory);
        let error = match run_blocking(run).await {
            Some(Ok(found)) => {
                nodes.replace(1, found, &hub.fleet);
                String::new()
            }
            Some(Err(error)) => error,
            None => "it failed".to_owned(),
        };
        // Log a failure once, not at each run.
        if error != last_error && !error.is_empty() {
            say(&format!(
                "inventory_command: {error}; the nodes of the last run stay"
            ));
        }
        last_error = error;
        // An error is the end of the pause.
        let _ = timeout(settings.inventory_interval, nodes.changed.notified()).await;
    }
}
