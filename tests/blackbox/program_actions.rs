//! `supervisorctl program`: its output, exit statuses, questions and the editor.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value as Json;

use crate::host::Host;
use crate::support::daemon::{Finished, Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};
use crate::trust::terminal::Terminal;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("program_actions::programs_are_shown_and_changed", changes),
        Trial::new("program_actions::a_trial_changes_nothing", trials),
        Trial::new("program_actions::errors_are_clear", errors),
        Trial::new(
            "program_actions::a_removal_at_a_terminal_asks_once",
            removal,
        ),
        Trial::new("program_actions::an_editor_changes_a_section", edits),
    ]
}

const MAIN: &str = "[include]\nfiles=conf.d/*.conf\n\
    [program:web]\n; the web server\ncommand=sleep 1000\nstartsecs=0\n\n\
    [program:db]\ncommand=sleep 1000\nstartsecs=0\n\n\
    [program:job]\ncommand=sleep 1000\nstartsecs=0\ndepends_on=db\n";

fn host() -> Result<Host, String> {
    let mut host = Host::new(MAIN)?;
    std::fs::create_dir(host.place.join("conf.d")).map_err(|error| error.to_string())?;
    host.go()?;
    for name in ["web", "db", "job"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    Ok(host)
}

/// Runs `supervisorctl program` with words and standard input.
fn program_with(host: &Host, words: &[&str], input: &str) -> Result<Finished, String> {
    let binary = program(Side::Ours, "supervisorctl")?;
    let mut command = host.marked.command(&binary, host.place.path());
    command.args(["-c", "conf", "program"]).args(words);
    run(command, host.place.path(), Some(input), LIMIT)
}

fn expect_program(
    host: &Host,
    words: &[&str],
    input: &str,
    code: i32,
    parts: &[&str],
) -> Result<String, String> {
    let got = program_with(host, words, input)?;
    let is_right = got.code == code && parts.iter().all(|part| got.stdout.contains(part));
    expect(
        is_right,
        format!("{words:?}: expected {code} {parts:?}, got {got:?}"),
    )?;
    Ok(got.stdout)
}

fn json(text: &str) -> Result<Json, String> {
    expect(text.trim_end().lines().count() == 1, text)?;
    serde_json::from_str(text).map_err(|error| format!("{error}: {text}"))
}

fn changes() -> Result<Outcome, String> {
    let host = host()?;
    let ask =
        |words: &[&str], input: &str, parts: &[&str]| expect_program(&host, words, input, 0, parts);
    ask(&["list"], "", &["web ", " conf:", "db ", "job "])?;
    let listed = json(&ask(&["list", "-o", "json"], "", &[])?)?;
    expect(listed["programs"][0]["name"] == "web", listed.to_string())?;
    let shown = ask(&["show", "web"], "", &[])?;
    expect(
        shown == "[program:web]\n; the web server\ncommand=sleep 1000\nstartsecs=0\n",
        shown,
    )?;
    let shown = json(&ask(&["show", "web", "-o", "json"], "", &[])?)?;
    expect(shown["copy"] == "web-copy", shown.to_string())?;
    // A value with blanks, quotes and a word like an option.
    ask(
        &[
            "set",
            "web",
            "command=sh -c \"sleep 1000; : -h\"",
            "stopwaitsecs=7",
        ],
        "",
        &[
            "web: changed in conf (+2 -1 lines)",
            "web: restart",
            "stopwaitsecs: default \"10\" -> \"7\"",
            "1 to restart, 2 unchanged",
        ],
    )?;
    ask(
        &["show", "web"],
        "",
        &["command=sh -c \"sleep 1000; : -h\"\n"],
    )?;
    ask(
        &["unset", "web", "stopwaitsecs"],
        "",
        &["web: changed in conf (+0 -1 lines)"],
    )?;
    ask(&["unset", "web", "stopwaitsecs"], "", &["web: unchanged"])?;
    let section = "[program:new]\ncommand=sleep 1000\nstartsecs=0\n";
    ask(
        &["add"],
        section,
        &[
            "new: added to ",
            "conf.d/new.conf (+3 -0 lines)",
            "new: add",
            "1 to add",
        ],
    )?;
    host.daemon()?.wait_state("new", "RUNNING")?;
    host.place
        .write("section", &section.replace("new", "other"))?;
    ask(&["add", "section"], "", &["other: added to "])?;
    host.daemon()?.wait_state("other", "RUNNING")?;
    ask(&["copy", "new"], "", &["new-copy: added to "])?;
    ask(&["copy", "new", "third"], "", &["third: added to "])?;
    host.daemon()?.wait_state("third", "RUNNING")?;
    let removed = json(&ask(&["remove", "third", "-o", "json"], "", &[])?)?;
    expect(
        removed["changed"] == true && removed["name"] == "third",
        removed.to_string(),
    )?;
    ask(
        &["remove", "new"],
        "",
        &["new: removed from ", "1 to remove"],
    )?;
    wait_for("new is gone", LIMIT, || {
        host.ctl(&["status"])
            .is_ok_and(|got| !got.stdout.contains("new "))
    })?;
    Ok(Outcome::Passed)
}

fn trials() -> Result<Outcome, String> {
    let host = host()?;
    let main = host.place.read("conf");
    let web = host.daemon()?.pid_of("web");
    for (words, parts) in [
        (
            &["set", "web", "priority=1", "--dry-run"][..],
            &[
                "--- conf\n+++ conf\n@@ ",
                "\n+priority=1\n",
                "web: restart",
                "1 to restart",
            ][..],
        ),
        (
            &["remove", "--dry-run", "web"],
            &["\n-[program:web]\n", "web: remove"],
        ),
        (
            &["copy", "--dry-run", "web"],
            &["\n+[program:web-copy]\n", "web-copy: add"],
        ),
    ] {
        expect_program(&host, words, "", 2, parts)?;
    }
    let words = ["set", "web", "priority=1", "--dry-run", "-o", "json"];
    let told = json(&expect_program(&host, &words, "", 2, &[])?)?;
    expect(
        told["lines_added"] == 1 && told["lines_removed"] == 0 && told["remote"] == false,
        told.to_string(),
    )?;
    expect_program(
        &host,
        &["set", "web", "startsecs=0", "--dry-run"],
        "",
        0,
        &["nothing to do"],
    )?;
    expect(host.place.read("conf") == main, "a trial wrote")?;
    expect(host.daemon()?.pid_of("web") == web, "a trial restarted")?;
    Ok(Outcome::Passed)
}

fn errors() -> Result<Outcome, String> {
    let host = host()?;
    let main = host.place.read("conf");
    for (words, input, parts) in [
        (
            &["show", "none"][..],
            "",
            &["ERROR: no such program: none\n"][..],
        ),
        (
            &["remove", "db"],
            "",
            &["ERROR: db is needed by depends_on of [program:job] at conf:"],
        ),
        (
            &["add"],
            "[program:x]\ncommand=a\nstartsecs=soon\nstopsignal=NOPE\n",
            &["x.conf:3:11: ", "x.conf:4:"],
        ),
        (
            &["add"],
            "[program:web]\ncommand=a\n",
            &["ERROR: web exists already: [program:web] at conf:"],
        ),
        (
            &["add"],
            "",
            &["ERROR: line 1: expected the header [program:NAME]"],
        ),
        (&["add", "absent"], "", &["ERROR: absent: No such file"]),
        (
            &["set", "web", "x"],
            "",
            &["Error: program: set takes KEY=VALUE", "program list"],
        ),
        (&["set", "web", "numprocs=many"], "", &["ERROR: conf:"]),
        (
            &["edit", "web"],
            "",
            &["ERROR: program edit needs a terminal"],
        ),
        (&["paint"], "", &["Error: program: cannot paint"]),
        (&[], "", &["Error: program: what to do is missing"]),
        (
            &["list", "--all"],
            "",
            &["Error: program: no option --all (nothing changed)"],
        ),
    ] {
        expect_program(&host, words, input, 1, parts)?;
    }
    expect_program(&host, &["--help"], "", 0, &["program edit <name>"])?;
    host.expect_ctl(&["help", "program"], 0, &["program copy <name>"])?;
    expect(host.place.read("conf") == main, "an error wrote")?;
    Ok(Outcome::Passed)
}

fn removal() -> Result<Outcome, String> {
    let host = host()?;
    let main = host.place.read("conf");
    let mut client = Terminal::start(&host, &["program", "remove", "web"])?;
    client.wait("Really remove web y/N? ")?;
    let screen = client.screen();
    expect(
        screen.contains("-[program:web]") && screen.contains("web: remove"),
        screen,
    )?;
    client.press("n\n")?;
    client.wait("program: cancelled, nothing changed")?;
    expect(client.end()? == 1, "a refused question")?;
    expect(host.place.read("conf") == main, "a cancelled removal wrote")?;
    let mut client = Terminal::start(&host, &["program", "remove", "web"])?;
    client.wait("Really remove web y/N? ")?;
    client.press("y\n")?;
    client.wait("web: removed from conf")?;
    expect(client.end()? == 0, client.screen())?;
    let mut client = Terminal::start(&host, &["program", "remove", "--yes", "job"])?;
    client.wait("job: removed from conf")?;
    expect(
        client.end()? == 0 && !client.screen().contains("y/N"),
        client.screen(),
    )?;
    Ok(Outcome::Passed)
}

fn edits() -> Result<Outcome, String> {
    let host = host()?;
    let editor = host.place.join("editor");
    let edit = |script: &str| {
        std::fs::write(&editor, format!("#!/bin/sh\n{script}\n")).map_err(|e| e.to_string())?;
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&editor, mode).map_err(|e| e.to_string())?;
        let variables = [
            ("EDITOR", format!("{} --wait", editor.display())),
            ("TMPDIR", host.place.text()),
        ];
        Terminal::start_with(&host, &["program", "edit", "web"], &variables)
    };
    let mut client = edit("exit 0")?;
    client.wait("web: unchanged")?;
    expect(client.end()? == 0, client.screen())?;
    // The file is private, and gone afterwards.
    let mut client = edit("stat -c mode=%a \"$2\"; sed -i s/1000/2000/ \"$2\"")?;
    client.wait("web: changed in conf (+1 -1 lines)")?;
    expect(
        client.end()? == 0 && client.screen().contains("mode=600"),
        client.screen(),
    )?;
    expect(
        host.place
            .read("conf")
            .contains("; the web server\ncommand=sleep 2000"),
        "the edit is lost",
    )?;
    let left = || {
        let files = std::fs::read_dir(host.place.path())
            .into_iter()
            .flatten()
            .flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        names
            .filter(|name| name.starts_with("supervisorctl-"))
            .collect::<Vec<_>>()
    };
    expect(left().is_empty(), format!("{:?}", left()))?;
    // A wrong text can be corrected.
    let mut client = edit(
        "case $(cat \"$2\") in *soon*) sed -i s/soon/5/ \"$2\";; *) echo startsecs=soon >> \"$2\"; sed -i /=0/d \"$2\";; esac",
    )?;
    client.wait("Edit again y/N? ")?;
    expect(client.screen().contains("invalid literal"), client.screen())?;
    client.press("y\n")?;
    client.wait("web: changed in conf")?;
    expect(client.end()? == 0, client.screen())?;
    expect(
        host.place.read("conf").contains("startsecs=5"),
        host.place.read("conf"),
    )?;
    // Another writer changes the file meanwhile: the text of this one is kept.
    let conf = host.place.join("conf");
    let mut client = edit(&format!(
        "echo '; theirs' >> {}; sed -i s/2000/3000/ \"$2\"",
        conf.display()
    ))?;
    client.wait("Edit again y/N? ")?;
    expect(
        client.screen().contains("was changed by another writer"),
        client.screen(),
    )?;
    client.press("n\n")?;
    client.wait("(your text: ")?;
    expect(client.end()? == 1, client.screen())?;
    let kept = left();
    expect(
        kept.len() == 1 && host.place.read(&kept[0]).contains("sleep 3000"),
        format!("{kept:?}"),
    )?;
    expect(
        host.place.read("conf").ends_with("; theirs\n"),
        "theirs is lost",
    )?;
    Ok(Outcome::Passed)
}
