//! When the program counts as started, what happens when it ends, and how it is stopped.

use super::super::value::{self, SECONDS, Span, Status};
use super::{SERVICE, Type, Work};
use crate::config::value as ours;
use crate::domain::Signal;

/// How long systemd waits for a program to stop unless the unit says otherwise.
const STOP_SECONDS: u64 = 90;
/// What stands for "for ever" where there is no such value: a year.
const YEAR_SECONDS: u64 = 31_536_000;
/// What stands for "however often".
const RETRIES_MAX: &str = "1000000";

/// The signals that pidproxy hands on and takes for its own end.
const PROXY_ENDS: [&str; 3] = ["TERM", "INT", "QUIT"];

/// `autorestart`.
const NEVER: &str = "false";
const ALWAYS: &str = "true";
const UNEXPECTED: &str = "unexpected";

impl Work<'_> {
    /// Readiness and signs of life.
    pub(super) fn start(&mut self, service: Type) {
        let both = self.span("TimeoutSec");
        let timeout = self.span("TimeoutStartSec").or(both);
        if let Some(access) = self.one("NotifyAccess") {
            self.section.say(
                "NotifyAccess",
                &access,
                "the program and all that it starts are heard, and nobody else",
            );
        }
        let watchdog = self.span("WatchdogSec");
        match (service, timeout) {
            (Type::Notify, Some(Span::For(time))) => {
                self.section
                    .set("ready_timeout", value::seconds(time).to_string());
            }
            (Type::Notify, Some(Span::Infinity)) => self.section.set("ready_timeout", "0"),
            (_, Some(_)) => self.section.say(
                "TimeoutStartSec",
                "",
                "only a program with notify=true or ready_fd= has a time in which to become ready",
            ),
            (_, None) => {}
        }
        match service {
            Type::Notify => self.section.set("notify", "true"),
            Type::Oneshot => self.section.set("startsecs", "0"),
            Type::Plain | Type::Forking => {}
        }
        match watchdog {
            Some(Span::For(time)) if !time.is_zero() => {
                if service == Type::Notify {
                    self.section
                        .set("watchdogsecs", value::seconds(time).to_string());
                } else {
                    self.section.say(
                        "WatchdogSec",
                        "",
                        "its signs of life come over NOTIFY_SOCKET: if it sends READY=1 too, set notify=true and watchdogsecs=",
                    );
                }
            }
            _ => {}
        }
        if let Some(true) = self.boolean("RemainAfterExit") {
            self.section.say(
                "RemainAfterExit",
                "yes",
                "a program that has ended is EXITED, and can be started again",
            );
        }
    }

    /// What its end leads to.
    pub(super) fn restart(&mut self, service: Type) {
        let mut expected = vec![0];
        expected.extend(self.codes("SuccessExitStatus", "only exit codes can be expected"));
        let prevented = self.codes(
            "RestartPreventExitStatus",
            "of signals, none keeps it from being restarted",
        );
        let forced = self.codes(
            "RestartForceExitStatus",
            "signals are judged by autorestart alone",
        );
        let restart = self.one("Restart").unwrap_or_else(|| "no".to_owned());
        let any_code = || (0..=u8::MAX).collect();
        let autorestart = match restart.as_str() {
            "no" => NEVER,
            "always" if prevented.is_empty() => ALWAYS,
            "always" => {
                if expected.len() > 1 {
                    self.section.say(
                        "SuccessExitStatus",
                        "",
                        "it is restarted after these too, so exitcodes= does not name them, and the log calls them unexpected",
                    );
                }
                expected.clear();
                UNEXPECTED
            }
            "on-failure" => {
                self.section.say(
                    "Restart",
                    &restart,
                    "here that goes for every signal too, also for HUP, INT, TERM and PIPE",
                );
                UNEXPECTED
            }
            "on-abnormal" | "on-abort" => {
                expected = any_code();
                UNEXPECTED
            }
            "on-watchdog" => {
                expected = any_code();
                self.section.say(
                    "Restart",
                    &restart,
                    "it is restarted after other signals than the watchdog's too",
                );
                UNEXPECTED
            }
            "on-success" => {
                self.section.say(
                    "Restart",
                    &restart,
                    "it is not restarted: only true, false and unexpected (which is on-failure) can be said",
                );
                NEVER
            }
            other => {
                self.not_understood("Restart", other);
                NEVER
            }
        };
        if autorestart == UNEXPECTED {
            expected.extend(&prevented);
            expected.retain(|code| !forced.contains(code));
        } else if !forced.is_empty() {
            self.section.say(
                "RestartForceExitStatus",
                "",
                "has a meaning with autorestart=unexpected only: leave those codes out of exitcodes=",
            );
        }
        expected.sort_unstable();
        expected.dedup();
        if expected != [0] || service == Type::Oneshot {
            let codes: Vec<String> = expected.iter().map(u8::to_string).collect();
            self.section.set("exitcodes", codes.join(","));
        }
        self.section.set("autorestart", autorestart);
        if autorestart == NEVER {
            // Supervisor tries a program that ends within startsecs again whatever autorestart says; systemd does not.
            self.section.set("startretries", "0");
        }
        self.pace(autorestart);
    }

    /// How soon, and how often.
    fn pace(&mut self, autorestart: &str) {
        let pause = self.span("RestartSec");
        if autorestart == NEVER {
            if pause.is_some() {
                self.section.say(
                    "RestartSec",
                    "",
                    "it is not restarted, so there is no pause",
                );
            }
        } else {
            match pause {
                Some(Span::For(time)) if time.as_secs() > 0 => {
                    self.section.set("restart_floor", value::seconds(time).to_string());
                    self.section.say(
                        "RestartSec",
                        "",
                        "restart_floor counts from the last start, not from the end; after a failed start the pause grows by a second each time",
                    );
                }
                Some(Span::Infinity) => {
                    self.section.set("autorestart", NEVER);
                    self.section.say("RestartSec", "infinity", "it is never restarted");
                }
                Some(Span::For(_)) => self.section.say(
                    "RestartSec",
                    "",
                    "a part of a second cannot be said; a restart comes a second after the last start at the earliest",
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
                    .all(section, name)
                    .pop()
                    .filter(|one| !one.value.is_empty())
                else {
                    continue;
                };
                let is_time = name != "StartLimitBurst";
                let is_zero = value::span(&last.value, SECONDS)
                    .is_some_and(|span| span == Span::For(std::time::Duration::ZERO));
                if is_time && is_zero && autorestart != NEVER {
                    self.section.set("startretries", RETRIES_MAX);
                } else {
                    self.section.say(
                        name,
                        &last.value,
                        "startretries= counts failed starts in a row, not those in a stretch of time",
                    );
                }
            }
        }
    }

    /// Exit codes of a list; says of everything else in it that it has no effect, for `why`.
    fn codes(&mut self, name: &'static str, why: &str) -> Vec<u8> {
        let words: Vec<String> = self
            .list(SERVICE, name)
            .into_iter()
            .flat_map(|one| one.value.split_whitespace())
            .map(str::to_owned)
            .collect();
        let mut codes = Vec::new();
        for word in words {
            match value::status(&word) {
                Some(Status::Code(code)) => codes.push(code),
                Some(Status::Signal(_)) => self.section.say(name, &word, why),
                None => self.not_understood(name, &word),
            }
        }
        codes
    }

    /// Signals and times of a stop.
    pub(super) fn stop(&mut self, service: Type) {
        let (stops, sent) = self.signal_of("ExecStop");
        for one in stops.iter().filter(|_| sent.is_none()) {
            self.section.say(
                "ExecStop",
                &one.value,
                "no command stops a program: it gets stopsignal, and KILL after stopwaitsecs",
            );
        }
        let named = self.one("KillSignal");
        let signal = match (sent, &named) {
            (Some(signal), _) => Some(signal),
            (None, Some(text)) => match ours::signal(text) {
                Ok(signal) => Some(signal),
                Err(_) => {
                    self.section.say(
                        "KillSignal",
                        text,
                        "stopsignal= takes signals with a name of their own only",
                    );
                    None
                }
            },
            (None, None) => None,
        };
        if let (Some(_), Some(text)) = (sent, &named) {
            self.section.say(
                "KillSignal",
                text,
                "the signal of ExecStop= is stopsignal, and KILL comes after stopwaitsecs",
            );
        }
        match signal.filter(|&signal| signal != Signal::TERM) {
            Some(signal)
                if service == Type::Forking && !PROXY_ENDS.contains(&short(signal).as_str()) =>
            {
                self.section.say(
                    "KillSignal",
                    &short(signal),
                    "pidproxy ends by TERM, INT and QUIT alone, so stopsignal stays TERM",
                );
            }
            Some(signal) => self.section.set("stopsignal", short(signal)),
            None => {}
        }
        let both = self.span("TimeoutSec");
        let wait = match self.span("TimeoutStopSec").or(both) {
            None => STOP_SECONDS,
            Some(Span::For(time)) if !time.is_zero() => value::seconds(time),
            // Zero is for ever too.
            Some(_) => {
                self.section
                    .say("TimeoutStopSec", "infinity", "stopwaitsecs is a year");
                YEAR_SECONDS
            }
        };
        self.section.set("stopwaitsecs", wait.to_string());
        self.kill_mode(service, sent.is_some());
        self.reload();
    }

    fn kill_mode(&mut self, service: Type, is_for_one: bool) {
        let mode = self
            .one("KillMode")
            .unwrap_or_else(|| "control-group".to_owned());
        match mode.as_str() {
            "control-group" | "mixed" => {
                // The daemon behind pidproxy is in a process group of its own, and gets what pidproxy gets.
                let to_all = mode == "control-group" && !is_for_one && service != Type::Forking;
                self.section
                    .set(if to_all { "stopasgroup" } else { "killasgroup" }, "true");
                self.section.set("kill_mode", "control-group");
            }
            "process" => {}
            "none" => self.section.say(
                "KillMode",
                "none",
                "a program that is stopped gets stopsignal, and KILL after stopwaitsecs",
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
                None => "nobody runs it; run it by hand, with the number that `supervisorctl pid NAME` prints for MAINPID".to_owned(),
            };
            self.section.say("ExecReload", &one.value, &text);
        }
        if let Some(signal) = self.one("ReloadSignal") {
            self.section
                .say("ReloadSignal", &signal, "see `supervisorctl signal`");
        }
    }
}

/// Without the `SIG`, as configurations have it.
fn short(signal: Signal) -> String {
    let text = signal.to_string();
    text.strip_prefix("SIG")
        .map_or_else(|| signal.number().to_string(), str::to_owned)
}
