//! Tests of the keys for cgroup limits.

use std::sync::Arc;

use super::super::diff::{ConfigDiff, diff};
use super::super::lookup::Fake;
use super::super::options::DaemonOptions;
use super::super::problem::ConfigErrors;
use super::super::resources::CpuMax;
use super::super::spec::{CgroupLimits, Config, InternedDefault as _, KillMode, LimitAmount};
use super::load;

fn read(text: &str) -> Result<Config, ConfigErrors> {
    let machine = Fake::default().with("/etc/s.conf", &format!("[supervisord]\n{text}"));
    load("/etc/s.conf", &DaemonOptions::default(), &machine)
}

const ALL: &str = "memory_max=1GB\nmemory_high=infinity\ncpu_max=150%\ncpu_weight=20\nio_weight=10000\npids_max=7\n\
                   kill_mode=control-group\n";

#[test]
fn keys_become_values_in_programs_listeners_and_fcgi_programs() {
    let expected = CgroupLimits {
        memory_max: Some(LimitAmount(Some(1 << 30))),
        memory_high: Some(LimitAmount(None)),
        cpu_max: Some(CpuMax {
            quota: LimitAmount(Some(150_000)),
            period: 100_000,
        }),
        cpu_weight: Some(20),
        io_weight: Some(10_000),
        pids_max: Some(LimitAmount(Some(7))),
        kill_mode: KillMode::ControlGroup,
    };
    for section in [
        "[program:a]\n",
        "[eventlistener:a]\nevents=TICK_5\n",
        "[fcgi-program:a]\nsocket=unix:///x\n",
    ] {
        let found = |keys| {
            let config = read(&format!("{section}command=a\n{keys}")).expect("valid");
            Arc::clone(&config.groups[0].processes[0].resources)
        };
        assert_eq!(*found(ALL), expected, "{section}");
        assert!(Arc::ptr_eq(&found(""), &CgroupLimits::interned_default()));
        assert!(Arc::ptr_eq(
            &found("kill_mode=process\n"),
            &CgroupLimits::interned_default()
        ));
    }
}

#[test]
fn a_percentage_needs_no_second_sign_and_may_come_from_the_environment() {
    for text in ["150%", "150%%", "%(ENV_SHARE)s%%"] {
        let config = read(&format!(
            "environment=SHARE=150\n[program:a]\ncommand=a\ncpu_max={text}\n"
        ));
        let max = config.expect(text).groups[0].processes[0].resources.cpu_max;
        assert_eq!(
            max.map(|max| max.to_string()),
            Some("150000 100000".to_owned())
        );
    }
    assert!(read("[program:a]\ncommand=a\ncpu_max=0%\n").is_err());
}

#[test]
fn errors_have_a_position_and_name_the_expected_value() {
    for (line, told) in [
        (
            "memory_max=much",
            "invalid memory_max value 'much' in section 'program:a' (file: '/etc/s.conf'); memory_max takes a number of \
             bytes such as 65536, 512KB, 50MB or 1GB, or infinity",
        ),
        (
            "cpu_max=50",
            "invalid cpu_max value '50' in section 'program:a' (file: '/etc/s.conf'); cpu_max takes a percentage of one CPU such as 50% or 200%, infinity, or QUOTA PERIOD in microseconds",
        ),
        (
            "kill_mode=mixed",
            "invalid kill_mode value 'mixed' in section 'program:a' (file: '/etc/s.conf'); kill_mode takes process or \
             control-group",
        ),
    ] {
        let errors = read(&format!("[program:a]\ncommand=a\n{line}\n")).expect_err(line);
        let column = line.find('=').expect("a value") + 2;
        assert_eq!(
            errors.all[0].to_string(),
            format!("/etc/s.conf:4:{column}: {told}")
        );
    }
}

#[test]
fn errors_of_our_keys_are_all_reported_after_supervisors() {
    let text = "[program:a]\ncommand=a\npids_max=0\nio_weight=0\ncpu_weight=x\nmemory_high=-1\nstartsecs=z\n";
    let errors = read(text).expect_err("bad");
    assert!(
        errors
            .first
            .starts_with("invalid literal for int() with base 10: 'z'")
    );
    assert_eq!(errors.all.len(), 5);
}

#[test]
fn a_changed_limit_needs_no_restart() {
    let base = "[program:a]\ncommand=a\n";
    let groups = |text: &str| read(text).expect("valid").groups;
    let (before, after) = (groups(base), groups(&format!("{base}{ALL}")));
    let live = vec![before[0].name.clone()];
    assert_eq!(
        diff(&before, &after),
        ConfigDiff {
            live,
            ..ConfigDiff::default()
        }
    );
    assert_eq!(diff(&after, &after), ConfigDiff::default());
}
