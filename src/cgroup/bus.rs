//! Asks the service manager, PID 1, for a scope. Over its private socket, which root may use and for which no message bus
//! is needed; where that cannot be had, over the system bus.

use std::time::Duration;

use zbus::Variant;
use zbus::connection::{Builder, Connection};

use super::scope::Scope;

/// How long the service manager may take to answer, however it is asked.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Where PID 1 itself listens.
const PRIVATE: &str = "unix:path=/run/systemd/private";
/// How long the scope's processes have from SIGTERM to SIGKILL if the daemon does not stop them. In microseconds.
const STOP_MICROS: u64 = 5_000_000;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The job to make it is queued.
    Queued,
    /// There is one of this name.
    Exists,
}

/// Asks for the scope with `pid` in it.
///
/// # Errors
/// Why there is none, for people.
///
/// # Source
/// org.freedesktop.systemd1(5), StartTransientUnit(); systemd.scope(5).
pub(super) fn start_scope(scope: &Scope, pid: i32) -> Result<Asked, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let asked = runtime.block_on(async {
        let asking = async {
            let connection = connect().await?;
            ask(&connection, scope, pid).await
        };
        match tokio::time::timeout(ANSWER_WAIT, asking).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(format!(
                "the service manager did not answer within {} s",
                ANSWER_WAIT.as_secs()
            )),
        }
    });
    // A connection that hangs must not hold us.
    runtime.shutdown_background();
    asked
}

async fn connect() -> zbus::Result<Connection> {
    match Builder::address(PRIVATE).p2p().build().await {
        Ok(connection) => Ok(connection),
        Err(_) => Builder::system().build().await,
    }
}

async fn ask(connection: &Connection, scope: &Scope, pid: i32) -> zbus::Result<Asked> {
    // Never BindsTo= or the propagation of stops: those act on a daemon that crashed, too. PartOf= with Before= lets the
    // programs be when the service restarts, and stops them, after it, when it stops.
    let properties: Vec<(&str, Variant<'_>)> = vec![
        (
            "Description",
            format!("Programs of {}", scope.service).into(),
        ),
        ("Slice", scope.slice.as_str().into()),
        ("Delegate", true.into()),
        ("PIDs", vec![pid.unsigned_abs()].into()),
        ("PartOf", vec![scope.service.as_str()].into()),
        ("Before", vec![scope.service.as_str()].into()),
        ("TasksMax", u64::MAX.into()),
        ("TimeoutStopUSec", STOP_MICROS.into()),
        // A scope that had to be killed would stay as failed, and its name would be taken.
        ("CollectMode", "inactive-or-failed".into()),
    ];
    let aux: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
    let reply = connection
        .call_method(
            Some("org.freedesktop.systemd1"),
            "/org/freedesktop/systemd1",
            Some("org.freedesktop.systemd1.Manager"),
            "StartTransientUnit",
            &(scope.name.as_str(), "fail", properties, aux),
        )
        .await;
    match reply {
        Ok(_) => Ok(Asked::Queued),
        Err(zbus::Error::MethodError(name, ..))
            if name.as_str() == "org.freedesktop.systemd1.UnitExists" =>
        {
            Ok(Asked::Exists)
        }
        Err(error) => Err(error),
    }
}
