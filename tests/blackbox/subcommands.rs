//! The subcommands of the daemon's binary, where no systemd is needed.

use crate::host::Host;
use crate::support::daemon::{Finished, Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("subcommands::import_translates_units_to_sections", import),
        Trial::new("subcommands::mistakes_are_usage_errors", mistakes),
        Trial::new("subcommands::g05_version_has_two_lines", version),
        Trial::new("subcommands::g06_the_written_sample_loads", init),
        Trial::new(
            "subcommands::without_systemd_there_is_no_service",
            no_systemd,
        ),
    ]
}

fn supervisord(host: &Host, arguments: &[&str], input: Option<&str>) -> Result<Finished, String> {
    let mut command = host
        .marked
        .command(&program(Side::Ours, "supervisord")?, host.place.path());
    command.args(arguments);
    run(command, host.place.path(), input, LIMIT)
}

fn import() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let unit = "[Service]\nExecStart=/bin/sleep 1 %i\n[Install]\nWantedBy=x.target\n";
    host.place.write("a@.service", unit)?;
    host.place
        .write("b.service", "[Service]\nExecStart=/bin/b 'c\n")?;
    host.place
        .write("c.service", "[Service]\nExecStart=/bin/c\n")?;
    let got = supervisord(
        &host,
        &[
            "import",
            "./a@x.service",
            "b.service",
            "./c.service",
            "no-such-unit",
        ],
        None,
    )?;
    expect(
        got.code == 1
            && got
                .stdout
                .starts_with("; a@x.service\n[program:a@x]\ncommand=/bin/sleep 1 x\n")
            && got.stdout.contains("\n\n; c.service\n[program:c]\n")
            && got
                .stderr
                .contains("b.service:2: ExecStart=/bin/b 'c: missing closing quote\n")
            && got
                .stderr
                .contains("no-such-unit.service: not found in /etc/systemd/system, ")
            && got.stderr.lines().count() == 2,
        format!("{got:?}"),
    )?;
    // Straight into a configuration.
    let got = supervisord(&host, &["import", "--name", "web", "-"], Some(unit))?;
    expect(
        got.code == 0 && got.stderr.is_empty() && got.stdout.contains("[program:web]\n"),
        format!("{got:?}"),
    )?;
    host.place
        .write("conf", &format!("[supervisord]\n{}", got.stdout))?;
    let got = supervisord(&host, &["--check", "--strict", "-c", "conf"], None)?;
    expect(got.code == 0, format!("{got:?}"))?;
    Ok(Outcome::Passed)
}

fn version() -> Result<Outcome, String> {
    let got = supervisord(&Host::new("")?, &["version"], None)?;
    let expected = format!("Version: {}\n Commit: ", env!("CARGO_PKG_VERSION"));
    expect(
        got.code == 0 && got.stdout.starts_with(&expected) && got.stdout.lines().count() == 2,
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn init() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let got = supervisord(&host, &["init", "-o", "new.conf"], None)?;
    expect(
        got.code == 0 && got.stdout.is_empty() && got.stderr.is_empty(),
        format!("{got:?}"),
    )?;
    let written = host.place.read("new.conf");
    let got = supervisord(&host, &["--check", "--strict", "-c", "new.conf"], None)?;
    expect(got.code == 0 && got.stderr.is_empty(), format!("{got:?}"))?;
    // It overwrites nothing, and follows no link.
    host.place.write("mine.conf", "mine")?;
    for name in ["mine.conf", "link.conf"] {
        if name == "link.conf" {
            std::os::unix::fs::symlink("nowhere.conf", host.place.join(name))
                .map_err(|error| error.to_string())?;
        }
        let got = supervisord(&host, &["init", "--output", name], None)?;
        expect(
            got.code == 1
                && got
                    .stderr
                    .contains(&format!("cannot write {name}: it exists already")),
            format!("{got:?}"),
        )?;
    }
    expect(
        host.place.read("mine.conf") == "mine" && !host.place.join("nowhere.conf").exists(),
        "a file was changed",
    )?;
    let got = supervisord(&host, &["init", "-o", "-"], None)?;
    expect(got.code == 0 && got.stdout == written, "another sample")?;
    let got = supervisord(&host, &["init"], None)?;
    expect(
        got.code == 2 && got.stderr.contains("--output"),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn mistakes() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let positional =
        "Error: positional arguments are not supported: ['import', 'x']\nFor help, use ";
    let unexpected = "error: unexpected argument '-x' found\n";
    let unknown = "error: invalid value 'reinstall' for '<ACTION>'\n  [possible values: install, ";
    for (arguments, told) in [
        (
            &["import"][..],
            "print systemd units as [program:x] sections\n\nUsage: ",
        ),
        (&["import", "-x"], unexpected),
        (
            &["service"],
            "install this binary as a systemd service, and control the service",
        ),
        (
            &["service", "-c", "conf"],
            "error: the following required arguments were not provided:\n  <ACTION>\n",
        ),
        (
            &["service", "restart", "now"],
            "error: unexpected argument 'now' found\n",
        ),
        (&["service", "reinstall"], unknown),
        (
            &["service", "install", "-c"],
            "error: a value is required for '--configuration <FILE>' but none was supplied\n",
        ),
        // In another position the word has its old meaning.
        (&["-n", "import", "x"], positional),
        (&["-n", "-c", "conf", "import", "x"], positional),
    ] {
        let got = supervisord(&host, arguments, None)?;
        expect(
            got.code == 2 && got.stdout.is_empty() && got.stderr.starts_with(told),
            format!("{arguments:?}: {got:?}"),
        )?;
    }
    for (arguments, told) in [
        (&["import", "-h"][..], "Usage: "),
        (&["service", "--help"], "uninstall"),
        (&["-h"], "import"),
    ] {
        let got = supervisord(&host, arguments, None)?;
        expect(
            got.code == 0 && got.stdout.contains(told) && got.stderr.is_empty(),
            format!("{arguments:?}: {got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn no_systemd() -> Result<Outcome, String> {
    if std::path::Path::new("/run/systemd/system").exists() {
        return Ok(Outcome::Skipped("this machine runs systemd".to_owned()));
    }
    if !is_root() {
        return Ok(Outcome::Skipped("not root".to_owned()));
    }
    let host = Host::new("")?;
    for action in ["install", "uninstall", "start", "stop", "restart", "status"] {
        let got = supervisord(&host, &["service", action, "-c", "conf"], None)?;
        expect(
            got.code == 1
                && got.stdout.is_empty()
                && got.stderr.contains("this machine does not run systemd")
                && got.stderr.lines().count() == 1,
            format!("{action}: {got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}
