//! Translates when the program counts as started, whether it restarts, and how it is stopped.

use super::super::value::{self, ExitItem, SECONDS, TimeSpan};
use super::{SERVICE, ServiceType, Translation};
use crate::config::value as ours;
use crate::domain::Signal;

/// systemd's default time to wait for a program to stop.
const STOP_SECONDS: u64 = 90;
/// A year replaces "forever" for keys without such a value.
const YEAR_SECONDS: u64 = 31_536_000;
/// Replaces "unlimited" for retries.
const RETRIES_MAX: &str = "1000000";

/// The signals that pidproxy forwards and then exits.
const PROXY_ENDS: [&str; 3] = ["TERM", "INT", "QUIT"];

/// Values of `autorestart`.
const NEVER: &str = "false";
const ALWAYS: &str = "true";
const UNEXPECTED: &str = "unexpected";

impl Translation<'_> {
    /// Translates readiness and keepalives.
    pub(super) fn translate_start(&mut self, service: ServiceType) {
        let both = self.span("TimeoutSec");
        let timeout = self.span("TimeoutStartSec").or(both);
        if let Some(access) = self.last_assignment("NotifyAccess") {
            self.section.add_remark(
                "NotifyAccess",
                &access,
                "only the program and its descendants may send notifications",
            );
        }
        let watchdog = self.span("WatchdogSec");
        match (service, timeout) {
            (ServiceType::Notify, Some(TimeSpan::For(time))) => {
                self.section
                    .set("ready_timeout", value::seconds(time).to_string());
            }
            (ServiceType::Notify, Some(TimeSpan::Infinity)) => {
                self.section.set("ready_timeout", "0")
            }
            (_, Some(_)) => self.section.add_remark(
                "TimeoutStartSec",
                "",
                "a readiness timeout needs notify=true or ready_fd=",
            ),
            (_, None) => {}
        }
        match service {
            ServiceType::Notify => self.section.set("notify", "true"),
            ServiceType::Oneshot => self.section.set("startsecs", "0"),
            ServiceType::Plain | ServiceType::Forking => {}
        }
        match watchdog {
            Some(TimeSpan::For(time)) if !time.is_zero() => {
                if service == ServiceType::Notify {
                    self.section
                        .set("watchdogsecs", value::seconds(time).to_string());
                } else {
                    self.section.add_remark(
                        "WatchdogSec",
                        "",
                        "watchdog keepalives need NOTIFY_SOCKET: if the program sends READY=1 too, set notify=true and watchdogsecs=",
                    );
                }
            }
            _ => {}
        }
        if let Some(true) = self.boolean("RemainAfterExit") {
            self.section.add_remark(
                "RemainAfterExit",
                "yes",
                "a program that has exited is EXITED and can be started again",
            );
        }
    }

    /// Translates when the program is restarted.
    pub(super) fn translate_restart(&mut self, service: ServiceType) {
        let mut expected = vec![0];
        expected.extend(self.codes("SuccessExitStatus", "exitcodes= takes exit codes only"));
        let prevented = self.codes("RestartPreventExitStatus", "no signal prevents a restart");
        let forced = self.codes(
            "RestartForceExitStatus",
            "for signals, only autorestart decides",
        );
        let autorestart = self.choose_autorestart(&mut expected, !prevented.is_empty());
        if autorestart == UNEXPECTED {
            expected.extend(&prevented);
            expected.retain(|code| !forced.contains(code));
        } else if !forced.is_empty() {
            self.section.add_remark(
                "RestartForceExitStatus",
                "",
                "works only with autorestart=unexpected: remove those codes from exitcodes=",
            );
        }
        expected.sort_unstable();
        expected.dedup();
        if expected != [0] || service == ServiceType::Oneshot {
            let codes: Vec<String> = expected.iter().map(u8::to_string).collect();
            self.section.set("exitcodes", codes.join(","));
        }
        self.section.set("autorestart", autorestart);
        if autorestart == NEVER {
            // Supervisor retries a program that exits within startsecs regardless of autorestart; systemd does not.
            self.section.set("startretries", "0");
        }
        self.translate_pace(autorestart);
    }

    /// Returns the value of `autorestart` for the unit's `Restart`, and changes the expected exit codes where only they can
    /// express it. `prevents`: the unit has exit codes that prevent a restart.
    fn choose_autorestart(&mut self, expected: &mut Vec<u8>, prevents: bool) -> &'static str {
        let restart = self
            .last_assignment("Restart")
            .unwrap_or_else(|| "no".to_owned());
        let any_code = || (0..=u8::MAX).collect();
        match restart.as_str() {
            "no" => NEVER,
            "always" if !prevents => ALWAYS,
            "always" => {
                if expected.len() > 1 {
                    self.section.add_remark(
                        "SuccessExitStatus",
                        "",
                        "the program is restarted after these codes too, so they are not in exitcodes= and the log calls them unexpected",
                    );
                }
                expected.clear();
                UNEXPECTED
            }
            "on-failure" => {
                self.section.add_remark(
                    "Restart",
                    &restart,
                    "every signal causes a restart too, including HUP, INT, TERM and PIPE",
                );
                UNEXPECTED
            }
            "on-abnormal" | "on-abort" => {
                *expected = any_code();
                UNEXPECTED
            }
            "on-watchdog" => {
                *expected = any_code();
                self.section.add_remark(
                    "Restart",
                    &restart,
                    "the program is restarted after any other signal too",
                );
                UNEXPECTED
            }
            "on-success" => {
                self.section.add_remark(
                    "Restart",
                    &restart,
                    "the program is not restarted: autorestart= takes true, false and unexpected (on-failure)",
                );
                NEVER
            }
            other => {
                self.not_understood("Restart", other);
                NEVER
            }
        }
    }

    /// Translates the pause before a restart and the limit of restarts.
    fn translate_pace(&mut self, autorestart: &str) {
        let pause = self.span("RestartSec");
        if autorestart == NEVER {
            if pause.is_some() {
                self.section
                    .add_remark("RestartSec", "", "the program is not restarted");
            }
        } else {
            match pause {
                Some(TimeSpan::For(time)) if time.as_secs() > 0 => {
                    self.section.set("restart_floor", value::seconds(time).to_string());
                    self.section.add_remark(
                        "RestartSec",
                        "",
                        "restart_floor counts from the last start, not from the exit; after failed starts the delay grows by one second each time",
                    );
                }
                Some(TimeSpan::Infinity) => {
                    self.section.set("autorestart", NEVER);
                    self.section.add_remark("RestartSec", "infinity", "the program is never restarted");
                }
                Some(TimeSpan::For(_)) => self.section.add_remark(
                    "RestartSec",
                    "",
                    "restart_floor= takes whole seconds; a restart happens at least one second after the last start",
                ),
                None => {}
            }
        }
        for section in ["Unit", SERVICE] {
            let names = [
                "StartLimitIntervalSec",
                "StartLimitInterval",
                "StartLimitBurst",
            ];
            for name in names {
                let Some(last) = self
                    .all_assignments(section, name)
                    .pop()
                    .filter(|one| !one.value.is_empty())
                else {
                    continue;
                };
                let is_time = name != "StartLimitBurst";
                let is_zero = value::span(&last.value, SECONDS)
                    .is_some_and(|span| span == TimeSpan::For(std::time::Duration::ZERO));
                if is_time && is_zero && autorestart != NEVER {
                    self.section.set("startretries", RETRIES_MAX);
                } else {
                    self.section.add_remark(
                        name,
                        &last.value,
                        "startretries= counts consecutive failed starts, not failed starts in an interval",
                    );
                }
            }
        }
    }

    /// Parses a list of exit codes. Adds a remark with the reason `why` about all other items.
    fn codes(&mut self, name: &'static str, why: &str) -> Vec<u8> {
        let words: Vec<String> = self
            .list_assignments(SERVICE, name)
            .into_iter()
            .flat_map(|one| one.value.split_whitespace())
            .map(str::to_owned)
            .collect();
        let mut codes = Vec::new();
        for word in words {
            match value::status(&word) {
                Some(ExitItem::Code(code)) => codes.push(code),
                Some(ExitItem::Signal(_)) => self.section.add_remark(name, &word, why),
                None => self.not_understood(name, &word),
            }
        }
        codes
    }

    /// Translates the signals and times of a stop.
    pub(super) fn translate_stop(&mut self, service: ServiceType) {
        let (stops, sent) = self.signal_of("ExecStop");
        for one in stops.iter().filter(|_| sent.is_none()) {
            self.section.add_remark(
                "ExecStop",
                &one.value,
                "no command is run to stop a program: it gets stopsignal, then SIGKILL after stopwaitsecs",
            );
        }
        let named = self.last_assignment("KillSignal");
        let signal = match (sent, &named) {
            (Some(signal), _) => Some(signal),
            (None, Some(text)) => match ours::signal(text) {
                Ok(signal) => Some(signal),
                Err(_) => {
                    self.section.add_remark(
                        "KillSignal",
                        text,
                        "stopsignal= takes only signals that have a name",
                    );
                    None
                }
            },
            (None, None) => None,
        };
        if let (Some(_), Some(text)) = (sent, &named) {
            self.section.add_remark(
                "KillSignal",
                text,
                "the signal of ExecStop= becomes stopsignal; SIGKILL follows after stopwaitsecs",
            );
        }
        match signal.filter(|&signal| signal != Signal::TERM) {
            Some(signal)
                if service == ServiceType::Forking
                    && !PROXY_ENDS.contains(&short(signal).as_str()) =>
            {
                self.section.add_remark(
                    "KillSignal",
                    &short(signal),
                    "pidproxy stops only on TERM, INT and QUIT, so stopsignal stays TERM",
                );
            }
            Some(signal) => self.section.set("stopsignal", short(signal)),
            None => {}
        }
        let both = self.span("TimeoutSec");
        let wait = match self.span("TimeoutStopSec").or(both) {
            None => STOP_SECONDS,
            Some(TimeSpan::For(time)) if !time.is_zero() => value::seconds(time),
            // Zero also means forever.
            Some(_) => {
                self.section.add_remark(
                    "TimeoutStopSec",
                    "infinity",
                    "stopwaitsecs is set to one year",
                );
                YEAR_SECONDS
            }
        };
        self.section.set("stopwaitsecs", wait.to_string());
        self.kill_mode(service, sent.is_some());
        self.reload();
    }

    fn kill_mode(&mut self, service: ServiceType, is_for_one: bool) {
        let mode = self
            .last_assignment("KillMode")
            .unwrap_or_else(|| "control-group".to_owned());
        match mode.as_str() {
            "control-group" | "mixed" => {
                // The daemon behind pidproxy is in a process group of its own, and gets the signals that pidproxy
                // forwards.
                let to_all =
                    mode == "control-group" && !is_for_one && service != ServiceType::Forking;
                self.section
                    .set(if to_all { "stopasgroup" } else { "killasgroup" }, "true");
                self.section.set("kill_mode", "control-group");
            }
            "process" => {}
            "none" => self.section.add_remark(
                "KillMode",
                "none",
                "a program is stopped with stopsignal, then SIGKILL after stopwaitsecs",
            ),
            other => self.not_understood("KillMode", other),
        }
    }

    fn reload(&mut self) {
        let name = self.section.name.clone();
        let (reloads, sent) = self.signal_of("ExecReload");
        for one in reloads {
            let text = match sent {
                Some(signal) => format!("supervisorctl signal {} {name}", short(signal)),
                None => "no equivalent; run the command yourself with the PID that `supervisorctl pid NAME` prints as MAINPID".to_owned(),
            };
            self.section.add_remark("ExecReload", &one.value, &text);
        }
        if let Some(signal) = self.last_assignment("ReloadSignal") {
            self.section
                .add_remark("ReloadSignal", &signal, "see `supervisorctl signal`");
        }
    }
}

/// The name without `SIG`, as configurations have it.
fn short(signal: Signal) -> String {
    let text = signal.to_string();
    text.strip_prefix("SIG")
        .map_or_else(|| signal.number().to_string(), str::to_owned)
}
