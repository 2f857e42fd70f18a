//! Log files with a date, lines in another form, and what other programs do to log files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::daemon::{Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, is_root, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("log_files::l01_the_shell_wrapper_runs_unchanged", wrapper),
        Trial::new("log_files::l02_a_new_directory_with_each_date", dated),
        Trial::new("log_files::l03_closed_logs_are_compressed", compressed),
        Trial::new(
            "log_files::l02_activity_log_in_a_directory_with_each_date",
            activity_dated,
        ),
        Trial::new(
            "log_files::l03_closed_activity_logs_are_compressed_and_removed",
            activity_closed,
        ),
        Trial::new("log_files::l04_logrotate_create", || {
            logrotate("create", true)
        }),
        Trial::new("log_files::l04_logrotate_create_without_signal", || {
            logrotate("create", false)
        }),
        Trial::new("log_files::l04_logrotate_copytruncate", || {
            logrotate("copytruncate", false)
        }),
        Trial::new("log_files::l06_json_lines_survive_upgrades", upgraded),
        Trial::new("log_files::l06_forms_on_standard_output", on_stdout),
        Trial::new("log_files::l08_the_number_of_one_process", numbered),
    ]
}

/// The script that a document recommends for logs by date, as it is there.
const WRAPPER: &str = r#"#!/bin/bash

BASE_LOG_DIR=/logs
LOG_DIR=/logs/$(date '+%Y-%m-%d')

# 日志文件目录不存在时创建
if [ ! -d "$BASE_LOG_DIR" ]; then
    echo "mkdir $BASE_LOG_DIR"
    mkdir "$BASE_LOG_DIR"
fi
if [ ! -d "$LOG_DIR" ]; then
    echo "mkdir $LOG_DIR"
    mkdir "$LOG_DIR"
fi

# 需要将配置文件拷贝到日志文件下，使log配置中的here生效，将子进程日志记录到LOG_DIR下
CONF_PATH=$LOG_DIR/supervisord.conf
cp /conf/supervisord.conf "$CONF_PATH"

# 启动supervisord
supervisord -n -c "$CONF_PATH" -l "$LOG_DIR/supervisord.log"
"#;

/// The wrapper runs in a root directory of its own, in which `/logs` and `/conf` are free.
fn wrapper() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("only root can change the root".to_owned()));
    }
    let mut host = Host::new("")?;
    let root = host.place.join("root");
    for name in ["conf", "bin-of-ours"] {
        fs::create_dir_all(root.join(name)).map_err(|error| error.to_string())?;
    }
    let daemon = program(Side::Ours, "supervisord")?;
    let config = "[unix_http_server]\nfile={dir}/s\n[supervisord]\npidfile={dir}/pid\n\
         [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
         [program:app]\ncommand={test_child} say written err wrong forever\nstartsecs=0\n\
         stderr_logfile = %(here)s/%(program_name)s_%(process_num)02d_stderr.log\n\
         stdout_logfile = %(here)s/%(program_name)s_%(process_num)02d_stdout.log\n";
    host.place
        .write("root/conf/supervisord.conf", &host.fill(config))?;
    host.place.write("root/entrypoint.sh", WRAPPER)?;
    let prepare = "set -e\nfor d in /*; do n=$ROOT$d\n\
         case $d in /logs|/conf) continue;; esac\n\
         if [ -L $d ]; then cp -a $d $n\n\
         elif [ -d $d ]; then mkdir -p $n; mount --rbind $d $n; fi; done\n\
         ln -s $DAEMON $ROOT/bin-of-ours/supervisord\n\
         PATH=/bin-of-ours:$PATH exec chroot $ROOT /bin/bash /entrypoint.sh\n";
    let mut command = host
        .marked
        .command(Path::new("/usr/bin/unshare"), host.place.path());
    command
        .args([
            "-pfm",
            "--mount-proc",
            "--kill-child",
            "/bin/sh",
            "-c",
            prepare,
        ])
        .env("ROOT", &root)
        .env("DAEMON", &daemon);
    if let Err(error) = host.go_as(command, "s") {
        let why = host.place.read("err");
        return match why.contains("unshare failed") || why.contains("not permitted") {
            true => Ok(Outcome::Skipped(
                "this machine allows no namespaces".to_owned(),
            )),
            false => Err(format!("{error}: {why}")),
        };
    }
    let today = || -> Option<PathBuf> {
        let entry = fs::read_dir(root.join("logs")).ok()?.flatten().next()?;
        Some(entry.path())
    };
    for (name, text) in [
        ("app_00_stdout.log", "written\n"),
        ("app_00_stderr.log", "wrong\n"),
    ] {
        wait_for(name, LIMIT, || {
            today().is_some_and(|today| {
                fs::read_to_string(today.join(name)).is_ok_and(|got| got == text)
            })
        })?;
    }
    let log = today().ok_or("no directory")?.join("supervisord.log");
    let log = fs::read_to_string(&log).map_err(|error| error.to_string())?;
    expect(log.contains("spawned: 'app' with pid"), log)?;
    Ok(Outcome::Passed)
}

/// The names of the files in the host's directory that begin so, sorted.
fn files_named(host: &Host, begin: &str) -> Vec<String> {
    let entries = fs::read_dir(host.place.path()).into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(begin)).collect();
    names.sort();
    names
}

/// The texts of the files with this name in all directories, in the order of the directories.
fn in_directories(host: &Host, directory: &str, name: &str) -> Vec<String> {
    let entries = fs::read_dir(host.place.join(directory));
    let mut paths: Vec<PathBuf> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join(name))
        .collect();
    paths.sort();
    let texts = paths
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    texts.collect()
}

/// Whether texts are lines with the numbers from 0 on, none of them split.
fn numbers(texts: &[String]) -> Result<usize, String> {
    let mut next = 0;
    for text in texts {
        for line in text.lines() {
            if line == "end" {
                continue;
            }
            if line.parse() != Ok(next) {
                return Err(format!("{line:?} in place of {next}"));
            }
            next += 1;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(format!("a line is split: {:?}", text.lines().last()));
        }
    }
    Ok(next)
}

/// A date with seconds, so that the test sees several: the file changes without output, and under load no line is split.
fn dated() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[program-default]\nstartsecs=0\nstdout_logfile_datefmt=%%Y-%%m-%%dT%%H%%M%%S\n\
         [program:load]\ncommand={test_child} count {dir}/stop 100 forever\nstdout_logfile={dir}/logs/{date}/%(program_name)s_%(process_num)02d.log\n\
         [program:quiet]\ncommand={test_child} say once forever\nstdout_logfile={dir}/quiet-{date}.log\n",
    )?;
    fs::create_dir(host.place.join("logs")).map_err(|error| error.to_string())?;
    host.go()?;
    let quiet = || files_named(&host, "quiet-").len();
    let loads = || in_directories(&host, "logs", "load_00.log");
    wait_for("five dates", LIMIT, || loads().len() >= 5 && quiet() >= 3)?;
    // The log can be read by its name.
    let tail = host.ctl(&["tail", "load"])?.stdout;
    let line = tail.lines().nth(1).map(str::parse::<u64>);
    expect(matches!(line, Some(Ok(_))), format!("no lines: {tail:?}"))?;
    host.place.write("stop", "")?;
    wait_for("the end", LIMIT, || {
        loads().iter().any(|text| text.contains("end\n"))
    })?;
    let count = numbers(&loads())?;
    expect(count > 100, format!("only {count} lines"))?;
    host.expect_ctl(&["stop", "load"], 0, &[])?;
    // That of a process that does not run too.
    let last = loads().last().cloned().ok_or("no file")?;
    let tail = host.ctl(&["tail", "load"])?.stdout;
    expect(
        last.trim_end().ends_with(tail.trim_end()),
        format!("{tail:?} is not the end of {last:?}"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// Closed files get their date, are compressed by another thread, and the oldest go.
fn compressed() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:load]\ncommand={test_child} tell {dir}/stop 2000 forever\nstartsecs=0\nredirect_stderr=true\n\
         stdout_logfile={dir}/load-{date}.log\nstdout_logfile_datefmt=%%Y-%%m-%%dT%%H%%M%%S\n\
         stdout_logfile_keep=2\nstdout_logfile_compress=true\nstdout_logfile_mode=0640\n",
    )?;
    let names = || files_named(&host, "load-");
    let packed = || names().into_iter().find(|name| name.ends_with(".gz"));
    wait_for("a first compressed file", LIMIT, || packed().is_some())?;
    let oldest = packed();
    wait_for("it is removed after others", LIMIT, || {
        packed().is_some() && packed() != oldest
    })
    .map_err(|why| format!("{why}: {:?}", names()))?;
    host.place.write("stop", "")?;
    host.expect_ctl(&["stop", "load"], 0, &[])?;
    let packed = packed().ok_or("no compressed file")?;
    let mode = fs::metadata(host.place.join(&packed)).map_err(|error| error.to_string())?;
    let mode = std::os::unix::fs::MetadataExt::mode(&mode) & 0o777;
    expect(mode == 0o640, format!("mode {mode:o}"))?;
    let mut gzip = Command::new("gzip");
    gzip.arg("-dc").arg(host.place.join(&packed));
    let text = run(gzip, host.place.path(), None, LIMIT)?.stdout;
    let is_whole = text.ends_with('\n') && text.lines().count() > 10;
    expect(is_whole, format!("{packed}: {text:?}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The activity log goes on to a new directory without a line, and readers follow. Times are in UTC although the host is
/// elsewhere.
fn activity_dated() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[supervisord]\nlogfile={dir}/logs/{date}/daemon.log\nlogfile_datefmt=%%Y-%%m-%%dT%%H%%M%%S\n\
         logfile_timezone=UTC\n[program:quiet]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    fs::create_dir(host.place.join("logs")).map_err(|error| error.to_string())?;
    host.go_with(|command| {
        command.env("TZ", "Asia/Kolkata");
    })?;
    let logs = || in_directories(&host, "logs", "daemon.log");
    wait_for("four dates", LIMIT, || logs().len() >= 4)?;
    let all = || logs().concat();
    wait_for("a line", LIMIT, || all().contains("spawned: 'quiet'"))?;
    for text in logs() {
        expect(
            text.is_empty() || text.ends_with('\n'),
            format!("a line is split: {text:?}"),
        )?;
    }
    let empty = logs().iter().filter(|text| text.is_empty()).count();
    expect(empty > 0, format!("no file without a line: {:?}", logs()))?;
    // Both the name of the directory and the time of the line are in UTC.
    let entries = fs::read_dir(host.place.join("logs")).map_err(|error| error.to_string())?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    let name = names[0].to_string_lossy().into_owned();
    let line = all();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_err(|error| error.to_string())?.as_secs();
    for (what, hours, minutes) in [(&name, 11..13, 13..15), (&line, 11..13, 14..16)] {
        let part = |range| {
            what.get(range)
                .and_then(|text: &str| text.parse::<u64>().ok())
        };
        let (hours, minutes) = (
            part(hours).ok_or("no hour")?,
            part(minutes).ok_or("no minute")?,
        );
        let ago = (now % 86400 + 86400 - (hours * 60 + minutes) * 60) % 86400;
        expect(ago < 3600, format!("{what} is not in UTC: {ago} s ago"))?;
    }
    // The log is read and cleared by its name.
    host.expect_ctl(&["stop", "quiet"], 0, &["stopped"])?;
    host.daemon()?
        .call("supervisor.readLog", &[Value::Int(0), Value::Int(0)])
        .map_err(|error| error.to_string())?;
    host.daemon()?
        .call("supervisor.clearLog", &[])
        .map_err(|error| error.to_string())?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    wait_for("the next daemon's line", LIMIT, || {
        all().contains("re-executed: version")
    })?;
    let count = logs().len();
    wait_for("the next daemon's dates", LIMIT, || {
        logs().len() >= count + 2
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// An activity log of an earlier day gets its date at the start and is compressed; older ones go.
fn activity_closed() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[supervisord]\nlogfile_rotate=daily+size\nlogfile_maxbytes=400\nlogfile_keep=3\nlogfile_compress=true\n\
         [program:quiet]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    let days = |count: u64| std::time::SystemTime::now() - Duration::from_secs(count * 86400);
    for (name, age) in [
        ("log", 2),
        ("log.2001-01-01", 9),
        ("log.2001-01-02", 8),
        ("log.other", 9),
    ] {
        let path = host.place.write(name, &format!("{name}\n"))?;
        let file = fs::File::options().append(true).open(path);
        file.and_then(|file| file.set_modified(days(age)))
            .map_err(|error| error.to_string())?;
    }
    host.go()?;
    let names = || files_named(&host, "log.2");
    // Lines fill further files of today, and three closed ones stay.
    let mut turns = 0;
    wait_for("three compressed files", LIMIT, || {
        turns += 1;
        let restarted = host
            .ctl(&["restart", "quiet"])
            .is_ok_and(|done| done.code == 0);
        let names = names();
        restarted && turns > 8 && names.len() == 3 && names.iter().all(|name| name.ends_with(".gz"))
    })
    .map_err(|why| format!("{why}: {:?}", names()))?;
    let texts: Vec<String> = names()
        .iter()
        .map(|name| {
            let mut gzip = Command::new("gzip");
            gzip.arg("-dc").arg(host.place.join(name));
            run(gzip, host.place.path(), None, LIMIT).map(|done| done.stdout)
        })
        .collect::<Result<_, _>>()?;
    for text in &texts {
        let is_whole = text.ends_with('\n') && text.len() >= 400 && text.starts_with("20");
        expect(is_whole, format!("{:?}: {text:?}", names()))?;
    }
    expect(
        host.place.join("log.other").exists(),
        "another file is gone",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The real logrotate, again and again while a program writes. `signals`: it sends SIGUSR2 as its configuration says;
/// otherwise the daemon notices by itself that a file was moved away.
fn logrotate(way: &str, signals: bool) -> Result<Outcome, String> {
    let binary = ["/usr/sbin/logrotate", "/usr/bin/logrotate"];
    let Some(binary) = binary.iter().map(Path::new).find(|path| path.exists()) else {
        return Ok(Outcome::Skipped("logrotate is missing".to_owned()));
    };
    let mut host = Host::start(
        "[program:load]\ncommand={test_child} tell {dir}/stop 500 forever\nstartsecs=0\n\
         stdout_logfile={dir}/load.log\nstdout_logfile_maxbytes=0\nstdout_logfile_backups=0\n",
    )?;
    let reopen = match signals {
        true => "postrotate\nkill -USR2 `cat {dir}/pid`\nendscript\n",
        false => "",
    };
    let rules = format!("{{dir}}/load.log {{\nrotate 99\n{way}\nmissingok\n{reopen}}}\n");
    let rules = host.place.write("rotate.conf", &host.fill(&rules))?;
    let size = || fs::metadata(host.place.join("load.log")).map_or(0, |meta| meta.len());
    for turn in 0..4 {
        wait_for("output in the new file", LIMIT, || size() > 0)
            .map_err(|why| format!("{turn}: {why}; log:\n{}", host.log_end()))?;
        let mut command = host.marked.command(binary, host.place.path());
        command
            .arg("--force")
            .arg("--state")
            .arg(host.place.join("state"))
            .arg(&rules);
        let done = run(command, host.place.path(), None, LIMIT)?;
        expect(done.code == 0, format!("{done:?}"))?;
    }
    wait_for("output in the last file", LIMIT, || size() > 0)?;
    host.place.write("stop", "")?;
    host.wait_file("load.log", "end\n")?;
    let mut texts: Vec<String> = (1..=4)
        .rev()
        .map(|number| host.place.read(&format!("load.log.{number}")))
        .collect();
    texts.push(host.place.read("load.log"));
    let all = texts.concat();
    expect(!all.contains('\0'), "a file has a hole")?;
    if way == "create" {
        numbers(&texts)?;
    } else {
        // Lines between the copy and the truncation are lost by logrotate itself, and none by the daemon.
        let numbers: Vec<u64> = all.lines().filter_map(|line| line.parse().ok()).collect();
        expect(numbers.is_sorted(), "out of order")?;
        expect(numbers.len() > 10, format!("only {} lines", numbers.len()))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The messages of a file of JSON lines.
fn messages(text: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for line in text.lines() {
        let object: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        for field in ["ts", "program", "group", "process", "stream"] {
            expect(object[field].is_string(), format!("no {field}: {line}"))?;
        }
        expect(object["pid"].is_number(), format!("no pid: {line}"))?;
        all.push(object["message"].as_str().unwrap_or_default().to_owned());
    }
    Ok(all)
}

/// Upgrades under load: every line is in the file once, and parses.
fn upgraded() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:load]\ncommand={test_child} count {dir}/stop 200 forever\nstartsecs=0\n\
         stdout_logfile={dir}/load.json\nstdout_log_format=json\nstdout_logfile_maxbytes=100KB\nstdout_logfile_backups=9999\n\
         [program:torn]\ncommand={test_child} part 'one \u{4f60}' wait {dir}/stop say ' end' forever\nstartsecs=0\n\
         stdout_logfile={dir}/torn.json\nlog_format=json\n\
         [program:prefixed]\ncommand={test_child} part begun wait {dir}/stop say ' ended' forever\nstartsecs=0\n\
         stdout_logfile={dir}/prefixed.log\nlog_format=prefix\n",
    )?;
    for name in ["torn", "prefixed"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    host.wait_file("torn.json", "one")?;
    host.wait_file("prefixed.log", "begun")?;
    for _ in 0..5 {
        host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])
            .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    }
    host.place.write("stop", "")?;
    host.wait_file("torn.json", "end\"}\n")?;
    host.wait_file("prefixed.log", "ended\n")?;
    // A file that the last chunk has filled is rotated at once.
    let has_end = |name: &str| host.place.read(name).ends_with("\"message\":\"end\"}\n");
    wait_for("the end", LIMIT, || {
        has_end("load.json") || has_end("load.json.1")
    })?;
    let backups: Vec<u32> = fs::read_dir(host.place.path())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_prefix("load.json.")?.parse().ok()
        })
        .collect();
    let last = backups.iter().max().copied().unwrap_or(0);
    let mut texts: Vec<String> = (1..=last)
        .rev()
        .map(|number| host.place.read(&format!("load.json.{number}")))
        .collect();
    texts.push(host.place.read("load.json"));
    let mut lines = messages(&texts.concat())?;
    expect(lines.pop().as_deref() == Some("end"), "the end is missing")?;
    let count = numbers(&[lines.join("\n") + "\n"])?;
    expect(count > 1000, format!("only {count} lines"))?;
    let torn = messages(&host.place.read("torn.json"))?;
    expect(torn == ["one \u{4f60} end"], format!("{torn:?}"))?;
    let prefixed = host.place.read("prefixed.log");
    let is_one = prefixed.lines().count() == 1 && prefixed.ends_with(": begun ended\n");
    expect(is_one, prefixed)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// Whole lines of several programs on the daemon's standard output.
fn on_stdout() -> Result<Outcome, String> {
    let host = Host::start(
        "[program-default]\nstartsecs=0\nstdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\n\
         [program:a]\ncommand={test_child} part one wait {dir}/go say ' whole' err wrong forever\nlog_prefix=[%(program_name)s]\nlog_format=prefix\nredirect_stderr=true\n\
         [program:b]\ncommand={test_child} part two wait {dir}/go say ' \"whole\"' forever\nlog_format=json\njson_time_key=@timestamp\nlogfile_timezone=UTC\n",
    )?;
    for name in ["a", "b"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    host.place.write("go", "")?;
    host.wait_file("out", "[a] one whole\n")?;
    host.wait_file("out", "[a] wrong\n")?;
    host.wait_file("out", "two \\\"whole\\\"\"}\n")?;
    let text = host.place.read("out");
    let line = text
        .lines()
        .find(|line| line.starts_with('{'))
        .ok_or("no JSON")?;
    let object: serde_json::Value =
        serde_json::from_str(line).map_err(|error| error.to_string())?;
    let time = object["@timestamp"].as_str().unwrap_or_default();
    expect(time.ends_with('Z') && object["process"] == "b", line)?;
    host.daemon()?.signal(Signal::SIGTERM);
    Ok(Outcome::Passed)
}

/// `%(process_num)02d` is `00` for one process.
fn numbered() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:app]\ncommand={test_child} say out err wrong forever\nstartsecs=0\n\
         stderr_logfile = {dir}/%(program_name)s_%(process_num)02d_stderr.log\n\
         stdout_logfile = {dir}/%(program_name)s_%(process_num)02d_stdout.log\n",
    )?;
    host.wait_file("app_00_stdout.log", "out\n")?;
    host.wait_file("app_00_stderr.log", "wrong\n")?;
    Ok(Outcome::Passed)
}
