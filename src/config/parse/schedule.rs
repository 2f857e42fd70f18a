//! The schedule of a program, and the defaults that it changes.

use super::super::key::ProgramValues;
use super::super::lint::{Explained, Rule};
use super::super::schedule::ScheduleSpec;
use super::super::spec::AutoRestart;
use super::{ConfigReader, SectionAt};
use crate::domain::Seconds;

use std::sync::Arc;

/// Keys without effect in a program without `cron`.
const FURTHER_KEYS: [&str; 3] = ["cron_overlap", "cron_missed", "cron_jitter"];

/// Sets the schedule of a program with `cron`. Such a program starts by its schedule only, and may be short: it has
/// `autostart=false`, `autorestart=false` and `startsecs=0` unless these keys are set.
pub(super) fn schedule(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    values: &mut ProgramValues,
) {
    let is_set = |reader: &ConfigReader<'_>, key| reader.entry(at, key).is_some();
    let Some(cron) = values.cron.take() else {
        for key in FURTHER_KEYS {
            if is_set(reader, key) && !is_set(reader, "cron") {
                let text = format!("{key} has no effect without cron");
                let explained = Explained::from(Rule::NoEffect).key(key);
                reader.warn(explained, reader.span_of(at, key), text);
            }
        }
        return;
    };
    let spec = &mut values.spec;
    spec.schedule = Some(Arc::new(ScheduleSpec {
        cron,
        overlap: values.cron_overlap,
        missed: values.cron_missed,
        jitter: values.cron_jitter,
    }));
    if !is_set(reader, "autostart") {
        spec.autostart = false;
    }
    if !is_set(reader, "autorestart") {
        spec.autorestart = AutoRestart::Never;
    }
    if !is_set(reader, "startsecs") {
        spec.startsecs = Seconds(0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::load;
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;
    use super::super::super::problem::ConfigErrors;
    use super::super::super::schedule::{CronMissed, CronOverlap};
    use super::super::super::spec::{AutoRestart, Config};
    use crate::domain::Seconds;

    fn at(lines: &str) -> Result<Config, ConfigErrors> {
        let text = format!("[supervisord]\n[program:a]\ncommand=c\n{lines}\n");
        let machine = Fake::default().with("/etc/s.conf", &text);
        load("/etc/s.conf", &DaemonOptions::default(), &machine)
    }

    #[test]
    fn g43_a_schedule_changes_defaults_that_are_not_set() {
        let spec = |lines: &str| {
            let config = at(lines).expect(lines);
            let spec = config.groups[0].processes[0].clone();
            (
                spec.autostart,
                spec.autorestart,
                spec.startsecs,
                spec.schedule.clone(),
            )
        };
        let (autostart, autorestart, startsecs, schedule) = spec("cron= @daily ");
        assert_eq!(
            (autostart, autorestart, startsecs),
            (false, AutoRestart::Never, Seconds(0))
        );
        let schedule = schedule.expect("a schedule");
        assert_eq!(&*schedule.cron, "@daily");
        assert_eq!(
            (schedule.overlap, schedule.missed, schedule.jitter),
            (CronOverlap::Skip, CronMissed::Skip, Seconds(0))
        );
        let (autostart, autorestart, startsecs, schedule) = spec(
            "cron=TZ=UTC */5 * * * *\nautostart=true\nautorestart=unexpected\nstartsecs=3\ncron_overlap=Kill\n\
             cron_missed=once\ncron_jitter=30",
        );
        assert_eq!(
            (autostart, autorestart, startsecs),
            (true, AutoRestart::Unexpected, Seconds(3))
        );
        let schedule = schedule.expect("a schedule");
        assert_eq!(
            (schedule.overlap, schedule.missed, schedule.jitter),
            (CronOverlap::Kill, CronMissed::Once, Seconds(30))
        );
        let (autostart, autorestart, startsecs, schedule) = spec("");
        assert_eq!(
            (autostart, autorestart, startsecs),
            (true, AutoRestart::Unexpected, Seconds(1))
        );
        assert_eq!(schedule, None);
    }

    #[test]
    fn g67_wrong_schedules_refuse_to_load() {
        for (lines, error) in [
            (
                "cron=* *",
                "/etc/s.conf:4:6: invalid cron expression '* *': five or six fields are needed",
            ),
            (
                "cron=0 0 0 31 4 *",
                "/etc/s.conf:4:6: invalid cron expression '0 0 0 31 4 *': it never occurs",
            ),
            (
                "cron=TZ=No/Where @daily",
                "/etc/s.conf:4:6: invalid cron expression 'TZ=No/Where @daily': there is no time zone No/Where on this host",
            ),
            (
                "cron=@daily\ncron_overlap=both",
                "/etc/s.conf:5:14: invalid 'cron_overlap' value 'both'",
            ),
            (
                "cron=@daily\ncron_missed=all",
                "/etc/s.conf:5:13: invalid 'cron_missed' value 'all'",
            ),
        ] {
            let errors = at(lines).expect_err(lines);
            assert_eq!(errors.all.len(), 1, "{:?}", errors.all);
            let shown = errors.all[0].to_string();
            assert!(shown.starts_with(error), "{shown}");
        }
        let config = at("cron_jitter=5").expect("valid");
        let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            ["/etc/s.conf:4:13: cron_jitter has no effect without cron"]
        );
    }
}
