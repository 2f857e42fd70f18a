//! Configurations with Python plug-ins: everything except the plug-ins works.

use crate::host::Host;
use crate::support::LIMIT;
use crate::support::daemon::{Side, program, run};
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "plugins::daemon_and_client_work_without_python_plug_ins",
        cfg_65_cfg_66_plug_ins,
    )]
}

const PLUGINS: &str = "[rpcinterface:cache]\n\
                       supervisor.rpcinterface_factory=supervisor_cache.rpcinterface:make_cache_rpcinterface\nttl=5\n\
                       [ctlplugin:cache]\nsupervisor.ctl_factory=supervisor_cache.controllerplugin:make\n\
                       [program:long]\ncommand={test_child} forever\n";

fn cfg_65_cfg_66_plug_ins() -> Result<Outcome, String> {
    let mut host = Host::start(PLUGINS)?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    let log = host.place.read("log");
    for (section, place) in [
        ("[rpcinterface:cache]", "12:33"),
        ("[ctlplugin:cache]", "15:24"),
    ] {
        let warning = format!("WARN conf:{place}: {section} is a Python plug-in");
        expect(
            log.matches(&warning).count() == 1,
            format!("{warning} once; log:\n{log}"),
        )?;
    }
    let answer = host.daemon()?.call("cache.getItems", &[]);
    expect(answer.is_err(), "its methods do not exist")?;
    for (args, code, text) in [
        (&["status"][..], 0, "RUNNING"),
        (&["stop", "long"], 0, "long: stopped"),
        (&["status"], 3, "STOPPED"),
    ] {
        let got = host.ctl(args)?;
        expect(
            got.code == code && got.stdout.contains(text),
            format!("{args:?}: {got:?}"),
        )?;
        let warning = "Warning: conf:15:24: [ctlplugin:cache] is a Python plug-in";
        expect(
            got.stderr.starts_with(warning) && got.stderr.lines().count() == 1,
            format!("{args:?}: {got:?}"),
        )?;
    }
    let strict = |args: &[&str]| {
        let mut command = host
            .marked
            .command(&program(Side::Ours, "supervisord")?, host.place.path());
        command.args(args);
        run(command, host.place.path(), None, LIMIT)
    };
    let checked = strict(&["--check", "-c", "conf"])?;
    expect(
        checked.code == 0 && checked.stdout.matches("warning: ").count() == 2,
        format!("{checked:?}"),
    )?;
    let refused = strict(&["--check", "--strict", "-c", "conf"])?;
    expect(
        refused.code == 2 && refused.stderr.contains("2 errors"),
        format!("{refused:?}"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
