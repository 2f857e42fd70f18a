//! Where the program's output goes.

use super::super::form;
use super::super::value::{self, SECONDS, TimeSpan};
use super::Translation;

/// What one stream is connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum StreamTarget {
    Journal,
    Null,
    File(String),
    /// The same as the other one.
    Inherit,
}

/// What journald allows unless the unit says otherwise, as systemd ships it.
const BURST: u64 = 10_000;
const INTERVAL_MILLIS: u128 = 30_000;

impl Translation<'_> {
    /// Both streams, and how much of them the journal takes.
    pub(super) fn streams(&mut self) {
        // Standard input is /dev/null, so what inherits from it is too.
        let stdout = match self.target("StandardOutput") {
            Some(StreamTarget::Inherit) => StreamTarget::Null,
            Some(target) => target,
            None => StreamTarget::Journal,
        };
        let stderr = self
            .target("StandardError")
            .unwrap_or(StreamTarget::Inherit);
        let is_shared = stderr == StreamTarget::Inherit || stderr == stdout;
        self.stream("stdout", &stdout);
        match (&stdout, is_shared) {
            // The journal keeps the streams apart, which loses nothing.
            (StreamTarget::Journal | StreamTarget::Null, true) => self.stream("stderr", &stdout),
            (_, true) => self.section.set("redirect_stderr", "true"),
            (_, false) => self.stream("stderr", &stderr),
        }
        self.rate_limit();
        if let Some(name) = self.last_assignment("SyslogIdentifier") {
            self.section.add_remark(
                "SyslogIdentifier",
                &name,
                "journal entries have the program's name as identifier",
            );
        }
        if let Some(input) = self
            .last_assignment("StandardInput")
            .filter(|input| input != "null")
        {
            self.section.add_remark(
                "StandardInput",
                &input,
                "standard input is a pipe that `supervisorctl fg` writes to",
            );
        }
    }

    fn target(&mut self, name: &'static str) -> Option<StreamTarget> {
        let text = self.last_assignment(name)?;
        let say = |work: &mut Self, why: &str| work.section.add_remark(name, &text, why);
        if let Some(path) = text.strip_prefix("append:").or_else(|| {
            text.strip_prefix("file:")
                .or_else(|| text.strip_prefix("truncate:"))
        }) {
            if !text.starts_with("append:") {
                say(self, "the file is not truncated; new lines are appended");
            }
            return Some(StreamTarget::File(path.to_owned()));
        }
        match text.as_str() {
            "inherit" => Some(StreamTarget::Inherit),
            "null" => Some(StreamTarget::Null),
            "journal" => Some(StreamTarget::Journal),
            "syslog" => {
                say(
                    self,
                    "the journal forwards to syslog; stdout_syslog=true sends to syslog directly",
                );
                Some(StreamTarget::Journal)
            }
            "journal+console" | "syslog+console" | "kmsg" | "kmsg+console" => {
                say(self, "is written to the journal only");
                Some(StreamTarget::Journal)
            }
            _ => {
                say(self, "is written to the journal instead");
                Some(StreamTarget::Journal)
            }
        }
    }

    fn stream(&mut self, stream: &str, target: &StreamTarget) {
        let (logfile, maxbytes) = match stream {
            "stdout" => ("stdout_logfile", "stdout_logfile_maxbytes"),
            _ => ("stderr_logfile", "stderr_logfile_maxbytes"),
        };
        match target {
            StreamTarget::Journal => self.section.set(logfile, "journal"),
            StreamTarget::Null | StreamTarget::Inherit => self.section.set(logfile, "NONE"),
            StreamTarget::File(path) => {
                // This key alone is expanded twice.
                match form::text_value(path).filter(|_| path.starts_with('/')) {
                    Some(text) => {
                        self.section.set(logfile, text.replace('%', "%%"));
                        // systemd never rotates it.
                        self.section.set(maxbytes, "0");
                    }
                    None => {
                        self.section
                            .add_remark(logfile, path, "cannot be used as a log file name")
                    }
                }
                let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
                if !directory.is_empty() && !self.world.lookup.is_dir(directory) {
                    self.section.add_remark(
                        logfile,
                        path,
                        &format!(
                            "create the directory {directory} before supervisord reads this file"
                        ),
                    );
                }
            }
        }
    }

    fn rate_limit(&mut self) {
        let interval = self.last_assignment("LogRateLimitIntervalSec");
        let burst = self.last_assignment("LogRateLimitBurst");
        if interval.is_none() && burst.is_none() {
            return;
        }
        let millis = match interval.as_deref().map(|text| value::span(text, SECONDS)) {
            None => Some(INTERVAL_MILLIS),
            Some(Some(TimeSpan::For(time))) => Some(time.as_micros().div_ceil(1000)),
            Some(_) => None,
        };
        let lines = match burst.as_deref() {
            None => Some(BURST),
            Some(text) => text.parse::<u64>().ok(),
        };
        let limit = match (lines, millis) {
            (Some(0), _) | (_, Some(0)) => return,
            (Some(lines), Some(millis)) => format!("{lines}/{millis}ms"),
            _ => {
                let text = [interval, burst].into_iter().flatten().collect::<Vec<_>>();
                self.not_understood("LogRateLimit", &text.join(" "));
                return;
            }
        };
        if crate::config::value::rate_limit(&limit).is_err() {
            self.not_understood("LogRateLimit", &limit);
            return;
        }
        for (logfile, key) in [
            ("stdout_logfile", "stdout_journal_rate_limit"),
            ("stderr_logfile", "stderr_journal_rate_limit"),
        ] {
            if self.section.get(logfile) == Some("journal") {
                self.section.set(key, limit.clone());
            }
        }
    }
}
