//! Health checks of programs: what is checked, how often, and what follows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::python::integer;
use super::script::Script;
use super::value;
use crate::domain::{LinePattern, Seconds, Signal};

/// The largest period of the keys `health_*` until the first result.
const QUICK_PERIOD: Seconds = Seconds(1);

/// The health check of a program. It runs while a process is RUNNING, one check at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HealthSpec {
    /// The check.
    #[serde(rename = "script")]
    pub check: HealthCheck,
    /// From the spawn to the first check.
    pub initial_delay: Seconds,
    /// From the end of one check to the next, until the process is known to be healthy or unhealthy.
    pub first_period: Seconds,
    /// From the end of one check to the next afterwards.
    pub period: Seconds,
    /// Maximum duration of one check.
    pub timeout: Seconds,
    /// From the spawn: until then failures do not count, unless the process was healthy before.
    pub start_period: Seconds,
    /// Consecutive successes after which the process is healthy, at least 1.
    pub success_threshold: u32,
    /// Consecutive failures after which the process is unhealthy, at least 1.
    pub failure_threshold: u32,
    /// Runs when the process becomes healthy. `None`: nothing.
    pub on_healthy: Option<Script>,
    /// What follows when the process becomes unhealthy.
    pub on_unhealthy: HealthAction,
}

/// What tells whether a process is healthy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HealthCheck {
    /// A script that succeeds. Version 5.0.0 wrote it without the name of this variant.
    Script(Script),
    /// The absence of lines in the output of the process.
    Log {
        /// A line that matches makes the process unhealthy at once. It is healthy again when no line has matched for
        /// [`HealthSpec::period`].
        log: LinePattern,
    },
}

/// What follows when a process becomes unhealthy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum HealthAction {
    /// Nothing: the state is only shown.
    None,
    /// The process is stopped and started again, whatever `autorestart` says.
    Restart,
    /// The process is stopped.
    Stop,
    /// This signal is sent to the process.
    Signal(Signal),
    /// This script runs.
    Script(Script),
}

/// The keys of a section, as far as they are set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::config) struct HealthValues {
    pub(in crate::config) liveness: LivenessValues,
    pub(in crate::config) http: Option<Script>,
    pub(in crate::config) tcp: Option<Script>,
    pub(in crate::config) command: Option<Script>,
    pub(in crate::config) log: Option<LinePattern>,
    pub(in crate::config) interval: Seconds,
    pub(in crate::config) timeout: Seconds,
    pub(in crate::config) retries: u32,
    pub(in crate::config) start_period: Seconds,
    pub(in crate::config) on_unhealthy: Option<HealthAction>,
}

/// The keys that the Go project has too.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::config) struct LivenessValues {
    pub(in crate::config) script: Option<Script>,
    pub(in crate::config) initial_delay: Seconds,
    pub(in crate::config) period: Seconds,
    pub(in crate::config) timeout: Seconds,
    pub(in crate::config) success_threshold: u32,
    pub(in crate::config) failure_threshold: u32,
    pub(in crate::config) success_action: Option<Script>,
    pub(in crate::config) failure_action: Option<HealthAction>,
}

impl HealthValues {
    /// The keys of a check that are set.
    pub(in crate::config) fn checks(&self) -> impl Iterator<Item = &'static str> {
        [
            ("liveness_check_script", self.liveness.script.is_some()),
            ("health_http", self.http.is_some()),
            ("health_tcp", self.tcp.is_some()),
            ("health_command", self.command.is_some()),
            ("health_log", self.log.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_set)| is_set.then_some(key))
    }

    /// The check that these keys describe. `None`: there is none.
    pub(in crate::config) fn into_spec(self) -> Option<Arc<HealthSpec>> {
        let Self {
            liveness,
            http,
            tcp,
            command,
            log,
            interval,
            timeout,
            retries,
            start_period,
            on_unhealthy,
        } = self;
        let script = http.or(tcp).or(command).map(HealthCheck::Script);
        let ours = script.or(log.map(|log| HealthCheck::Log { log }));
        let spec = match (liveness.script, ours) {
            (Some(script), _) => HealthSpec {
                check: HealthCheck::Script(script),
                initial_delay: liveness.initial_delay,
                first_period: liveness.period,
                period: liveness.period,
                timeout: liveness.timeout,
                start_period: Seconds(0),
                success_threshold: liveness.success_threshold,
                failure_threshold: liveness.failure_threshold,
                on_healthy: liveness.success_action,
                on_unhealthy: liveness.failure_action.unwrap_or(HealthAction::Restart),
            },
            (None, Some(check)) => HealthSpec {
                check,
                initial_delay: Seconds(0),
                first_period: Seconds(interval.0.min(QUICK_PERIOD.0)),
                period: interval,
                timeout,
                start_period,
                success_threshold: 1,
                failure_threshold: retries,
                on_healthy: None,
                on_unhealthy: on_unhealthy.unwrap_or(HealthAction::Restart),
            },
            (None, None) => return None,
        };
        Some(Arc::new(spec))
    }
}

/// Parses a number of checks or seconds that is at least 1.
fn positive(text: &str) -> Result<i64, String> {
    match integer(text)? {
        number if number < 1 => Err(format!("{number} is below lower bound (1)")),
        number => Ok(number),
    }
}

/// Parses a period or a time limit of at least one second.
pub(in crate::config) fn period(text: &str) -> Result<Seconds, String> {
    positive(text).map(Seconds)
}

/// Parses a number of checks.
pub(in crate::config) fn threshold(text: &str) -> Result<u32, String> {
    let number = positive(text)?;
    u32::try_from(number).map_err(|_| format!("{number} is above upper bound ({})", u32::MAX))
}

/// Parses an HTTP check. The scheme may be missing: then it is plain HTTP.
pub(in crate::config) fn http(text: &str) -> Result<Script, String> {
    with_scheme("http://", text)
}

/// Parses a TCP check. The scheme may be missing.
pub(in crate::config) fn tcp(text: &str) -> Result<Script, String> {
    with_scheme("tcp://", text)
}

fn with_scheme(scheme: &str, text: &str) -> Result<Script, String> {
    match text
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .contains("://")
    {
        true if text.starts_with(scheme) => Script::parse(text),
        true if scheme == "http://" && text.starts_with("https://") => Script::parse(text),
        true => Err(format!("{text:?} does not begin with {scheme}")),
        false => Script::parse(&format!("{scheme}{text}")),
    }
}

/// Parses the command of a check.
pub(in crate::config) fn command(text: &str) -> Result<Script, String> {
    match Script::parse(text)? {
        script @ Script::Command(_) => Ok(script),
        Script::Tcp(_) | Script::Http(_) => Err(format!("{text:?} is no command")),
    }
}

/// Parses `liveness_check_failure_action`: `restart`, `stop` or a script.
pub(in crate::config) fn failure_action(text: &str) -> Result<HealthAction, String> {
    match text.to_lowercase().as_str() {
        "restart" => Ok(HealthAction::Restart),
        "stop" => Ok(HealthAction::Stop),
        _ => Script::parse(text).map(HealthAction::Script),
    }
}

/// Parses `on_unhealthy`: `restart`, `stop`, `none` or `signal:NAME`.
pub(in crate::config) fn on_unhealthy(text: &str) -> Result<HealthAction, String> {
    match text.to_lowercase().as_str() {
        "restart" => Ok(HealthAction::Restart),
        "stop" => Ok(HealthAction::Stop),
        "none" => Ok(HealthAction::None),
        lower => match lower.strip_prefix("signal:") {
            Some(name) => value::signal(name).map(HealthAction::Signal),
            None => Err(format!(
                "{text:?} is not restart, stop, none or signal:NAME"
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::script::HostPort;

    #[test]
    fn actions_are_words_or_scripts_with_their_letter_case() {
        let script = |text: &str| HealthAction::Script(Script::Command(text.to_owned()));
        for (text, action) in [
            ("Restart", HealthAction::Restart),
            ("stop", HealthAction::Stop),
            ("/Opt/Notify UP", script("/Opt/Notify UP")),
        ] {
            assert_eq!(failure_action(text), Ok(action));
        }
        assert_eq!(
            on_unhealthy("signal:hup"),
            value::signal("HUP").map(HealthAction::Signal)
        );
        assert!(on_unhealthy("signal:nosuch").is_err());
        assert!(on_unhealthy("/opt/x").is_err());
    }

    #[test]
    fn g46_only_our_own_keys_check_quickly_at_first() {
        let check = command("check").ok();
        let liveness = HealthValues {
            liveness: LivenessValues {
                script: check.clone(),
                period: Seconds(60),
                ..LivenessValues::default()
            },
            ..HealthValues::default()
        };
        let ours = HealthValues {
            command: check,
            interval: Seconds(60),
            ..HealthValues::default()
        };
        for (values, first) in [(liveness, 60), (ours, 1)] {
            let spec = values.into_spec().expect("a check");
            assert_eq!(
                (spec.first_period, spec.period),
                (Seconds(first), Seconds(60))
            );
        }
    }

    #[test]
    fn schemes_may_be_missing_but_not_wrong() {
        let server = HostPort {
            host: "h".to_owned(),
            port: 1,
        };
        assert_eq!(tcp("h:1"), Ok(Script::Tcp(server.clone())));
        assert_eq!(tcp("tcp://h:1"), Ok(Script::Tcp(server)));
        assert_eq!(http("h/a"), http("http://h/a"));
        for wrong in [tcp("http://h"), http("tcp://h:1"), command("tcp://h:1")] {
            assert!(wrong.is_err());
        }
        assert!(http("https://h").is_ok() && tcp("https://h").is_err());
        assert!(
            period("0").is_err() && threshold("-1").is_err() && threshold("5000000000").is_err()
        );
    }
}
