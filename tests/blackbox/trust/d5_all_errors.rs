//! All errors and warnings are reported with their positions: by `--check`, on the client's standard error, and in the
//! log.

use std::os::unix::fs::PermissionsExt as _;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{expect, is_root};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "trust::d5_check_reports_errors_and_warnings_in_order",
            check,
        ),
        Trial::new("trust::d5_one_mistake_is_reported_once", once),
        Trial::new(
            "trust::d5_an_unreadable_file_is_reported_with_the_reason",
            unreadable,
        ),
        Trial::new(
            "trust::d5_the_client_prints_all_errors_to_standard_error",
            client,
        ),
        Trial::new(
            "trust::d5_warnings_of_a_valid_file_are_printed_and_logged_once",
            warnings,
        ),
    ]
}

fn check() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let text = "[supervisord]\nminfds=many\nlogfil=x\n[program:a]\ncommand=/bin/true\nautostart=maybe\n[progam:b]\n";
    host.place.write("broken", text)?;
    let got = host.run(&["--check", "-c", "broken"])?;
    let places: Vec<usize> = ["broken:2:8:", "broken:3:1:", "broken:6:11:", "broken:7:1:"]
        .iter()
        .filter_map(|place| got.stderr.find(place))
        .collect();
    expect(
        got.code == 2
            && places.len() == 4
            && places.is_sorted()
            && got.stderr.contains("warning: unknown key logfil")
            && got.stderr.ends_with("broken: 2 errors, 2 warnings\n"),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn once() -> Result<Outcome, String> {
    let host = Host::new("")?;
    for (text, sentence) in [
        (
            "[supervisord]\n[program:b:c]\ncommand=/bin/true\n",
            "Invalid name: 'b:c'",
        ),
        (
            "[supervisord]\n[program:b c]\ncommand=/bin/true\nnumprocs=3\nprocess_name=%(program_name)s_%(process_num)d\n",
            "Invalid name: 'b c'",
        ),
        (
            "[supervisord]\n[fcgi-program:f]\ncommand=/bin/true\nsocket=tcp://h:1\nuser=nosuch\n",
            "this host has no user \"nosuch\"",
        ),
        (
            "[supervisord]\n[include]\nfile=x\n",
            "does not say which files",
        ),
    ] {
        host.place.write("broken", text)?;
        let got = host.run(&["--check", "-c", "broken"])?;
        expect(
            got.code == 2
                && got.stderr.matches(sentence).count() == 1
                && !got.stderr.contains("warning: ")
                && !got.stderr.contains(":0:")
                && got.stderr.ends_with("broken: 1 error\n"),
            format!("{text}: {got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn unreadable() -> Result<Outcome, String> {
    let host = Host::new("")?;
    std::fs::create_dir(host.place.join("directory")).map_err(|e| e.to_string())?;
    let got = host.run(&["--check", "-c", "directory"])?;
    let told = "cannot be read: it is a directory [unreadable-file]\n";
    expect(
        got.code == 2 && got.stderr.contains(told) && !got.stderr.contains(":0:"),
        format!("{got:?}"),
    )?;
    // A start prints what the reference prints, and nothing twice.
    for (path, verb) in [("directory", "read"), ("missing", "find")] {
        let got = host.run(&["-n", "-c", path])?;
        let lines: Vec<&str> = got.stderr.lines().collect();
        let sentence = format!("Error: could not {verb} config file {path}");
        expect(
            got.code == 2 && lines.len() == 2 && lines[0] == sentence,
            format!("{got:?}"),
        )?;
    }
    if is_root() {
        return Ok(Outcome::Passed);
    }
    let path = host.place.write("secret", "[supervisord]\n")?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000))
        .map_err(|e| e.to_string())?;
    let got = host.run(&["--check", "-c", "secret"])?;
    expect(
        got.stderr.contains("cannot be read: Permission denied"),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn client() -> Result<Outcome, String> {
    let host = Host::start("[program:a]\ncommand={test_child} forever\nstartsecs=0\n")?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    let pid = host.daemon()?.pid_of("a");
    let lines = host.place.read("conf").lines().count();
    host.configure(
        "[program:a]\ncommand={test_child} forever\nstartsecs=many\nautostart=maybe\nmyKey=1\n",
    )?;
    let first =
        "CANT_REREAD: not a valid boolean value: 'maybe' in section 'program:a' (file: 'conf')\n";
    let head = lines - 3;
    let raised = format!("error: {first}");
    for (action, stdout) in [
        ("reread", format!("ERROR: {first}")),
        // Differs: the reference's client prints the fault as a class of Python.
        ("update", raised.clone()),
        ("reload", raised),
    ] {
        let got = host.ctl(&[action])?;
        let told: Vec<&str> = got.stderr.lines().collect();
        let begins = |line: usize, text: &str| {
            told.get(line)
                .is_some_and(|told| told.contains(text) && !told.contains(":0:"))
        };
        expect(
            got.code != 0
                && got.stdout == stdout
                && told.len() == 3
                && begins(0, &format!("conf:{}:11: error: invalid literal", head + 3))
                && begins(
                    1,
                    &format!("conf:{}:11: error: not a valid boolean", head + 4),
                )
                && begins(
                    2,
                    &format!("conf:{}:1: warning: unknown key myKey", head + 5),
                ),
            format!("{action}: {got:?}"),
        )?;
    }
    host.wait_file("log", "conf:")?;
    expect(
        host.place
            .read("log")
            .contains("not a valid boolean value: 'maybe'")
            && host.daemon()?.pid_of("a") == pid,
        host.log_end(),
    )?;
    Ok(Outcome::Passed)
}

fn warnings() -> Result<Outcome, String> {
    let program = "[program:a]\ncommand={test_child} forever\nstartsecs=0\n";
    let host = Host::start(program)?;
    host.expect_ctl(&["reread"], 0, &["No config updates to processes\n"])?;
    expect(host.ctl(&["reread"])?.stderr.is_empty(), "nothing is wrong")?;
    host.configure(&format!("{program}myKey=1\n"))?;
    for action in ["reread", "update"] {
        let got = host.ctl(&[action])?;
        expect(
            got.code == 0
                && got.stderr.lines().count() == 1
                && got
                    .stderr
                    .ends_with(": warning: unknown key myKey in [program:a] is ignored\n"),
            format!("{action}: {got:?}"),
        )?;
    }
    let logged = host.place.read("log").matches("unknown key myKey").count();
    expect(logged == 1, format!("{logged} times: {}", host.log_end()))?;
    Ok(Outcome::Passed)
}
