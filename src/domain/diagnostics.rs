//! Which diagnostics of the daemon are recorded: the value of the key `diagnostics`.

use serde::{Deserialize, Serialize};

/// The lowest level of events that are recorded. The order is from none to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum DiagnosticsLevel {
    /// Nothing is recorded.
    #[default]
    Off,
    /// Errors.
    Error,
    /// Warnings too.
    Warn,
    /// Also the steps of the daemon.
    Info,
    /// Also what each step did.
    Debug,
    /// Everything.
    Trace,
}

const LEVELS: [(&str, DiagnosticsLevel); 6] = [
    ("off", DiagnosticsLevel::Off),
    ("error", DiagnosticsLevel::Error),
    ("warn", DiagnosticsLevel::Warn),
    ("info", DiagnosticsLevel::Info),
    ("debug", DiagnosticsLevel::Debug),
    ("trace", DiagnosticsLevel::Trace),
];

/// A level for all modules of the daemon, and other levels for some of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DiagnosticsFilter {
    level: DiagnosticsLevel,
    /// Paths of modules below the crate, such as `engine` or `server::web`, with their levels.
    modules: Vec<(String, DiagnosticsLevel)>,
}

/// The name of the crate, with which every target begins.
const CRATE: &str = "supervisord";

impl DiagnosticsFilter {
    /// Parses a level, and after commas further levels of modules: `info` or `warn,engine=trace,server=debug`.
    ///
    /// # Errors
    /// What is not a level or not the name of a module.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let level = parse_level(parts.next().unwrap_or_default())?;
        let mut modules = Vec::new();
        for part in parts {
            let (module, level) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} is not MODULE=LEVEL"))?;
            let module = module.trim();
            let is_path = |c: char| c.is_ascii_alphanumeric() || "_:".contains(c);
            if module.is_empty() || !module.chars().all(is_path) {
                return Err(format!("{module:?} is not the name of a module"));
            }
            modules.push((module.to_owned(), parse_level(level.trim())?));
        }
        Ok(Self { level, modules })
    }

    /// Whether nothing is recorded.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.highest() == DiagnosticsLevel::Off
    }

    /// The highest level that some module records.
    #[must_use]
    pub fn highest(&self) -> DiagnosticsLevel {
        let levels = self.modules.iter().map(|&(_, level)| level);
        levels.fold(self.level, DiagnosticsLevel::max)
    }

    /// The level for a target, which is the path of a module with the name of the crate. The longest name of a module
    /// that fits decides, and the last one of equal length. At least errors are recorded, unless all modules are off, so
    /// that lost events are always reported. Targets of other crates are off: they could record messages with secrets
    /// and bytes of logs.
    #[must_use]
    pub fn level_of(&self, target: &str) -> DiagnosticsLevel {
        let Some(path) = target.strip_prefix(CRATE) else {
            return DiagnosticsLevel::Off;
        };
        if !path.is_empty() && !path.starts_with("::") {
            return DiagnosticsLevel::Off;
        }
        let path = path.strip_prefix("::").unwrap_or_default();
        let is_in = |module: &str| {
            path.strip_prefix(module)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let fitting = self.modules.iter().filter(|(module, _)| is_in(module));
        let level = fitting
            .max_by_key(|(module, _)| module.len())
            .map_or(self.level, |&(_, level)| level);
        match self.is_off() {
            true => level,
            false => level.max(DiagnosticsLevel::Error),
        }
    }
}

fn parse_level(name: &str) -> Result<DiagnosticsLevel, String> {
    LEVELS
        .iter()
        .find(|(known, _)| name.eq_ignore_ascii_case(known))
        .map(|&(_, level)| level)
        .ok_or_else(|| format!("bad diagnostics level {name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_modules() {
        use DiagnosticsLevel::{Debug, Info, Off, Trace, Warn};
        let parse = |text| DiagnosticsFilter::parse(text).expect(text);
        assert!(parse("off").is_off() && DiagnosticsFilter::default().is_off());
        assert!(!parse("off, engine=debug").is_off());
        let filter = parse("WARN,engine=trace,server=info,server::web = debug,server=warn");
        assert_eq!(filter.highest(), Trace);
        for (target, level) in [
            ("supervisord", Warn),
            ("supervisord::daemon::start", Warn),
            ("supervisord::engine", Trace),
            ("supervisord::engine::bus", Trace),
            ("supervisord::engines", Warn),
            ("supervisord::server::dbus", Warn),
            ("supervisord::server::web::live", Debug),
            ("supervisord2", Off),
            ("zbus::connection", Off),
        ] {
            assert_eq!(filter.level_of(target), level, "{target}");
        }
        assert_eq!(parse("info").level_of("supervisord::x"), Info);
        assert_eq!(parse("off").level_of("supervisord::x"), Off);
        let errors = parse("off,engine=debug").level_of("supervisord::x");
        assert_eq!(errors, DiagnosticsLevel::Error);
    }

    #[test]
    fn wrong_values_are_named() {
        for (text, expected) in [
            ("", "bad diagnostics level \"\""),
            ("loud", "bad diagnostics level \"loud\""),
            ("info,", "\"\" is not MODULE=LEVEL"),
            ("info,engine", "\"engine\" is not MODULE=LEVEL"),
            ("info,=debug", "\"\" is not the name of a module"),
            ("info,a b=debug", "\"a b\" is not the name of a module"),
            ("info,engine=x", "bad diagnostics level \"x\""),
        ] {
            assert_eq!(
                DiagnosticsFilter::parse(text),
                Err(expected.to_owned()),
                "{text}"
            );
        }
    }
}
