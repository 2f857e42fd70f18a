//! Programs in a machine that number their lines, so that a test can check that the log has each line once.

use std::collections::BTreeMap;

use super::machine::{BINARIES, Machine};
use super::{LIMIT, expect, wait_for};

/// Number of writers.
pub const WRITERS: usize = 50;
/// How many of the writers have logs of JSON lines.
const JSON_WRITERS: usize = 5;

/// The test binary as a program inside the machine.
pub fn test_child() -> Result<String, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let name = own.file_name().and_then(|name| name.to_str());
    Ok(format!(
        "{BINARIES}/deps/{} test_child",
        name.ok_or("no name of our own")?
    ))
}

/// Programs that number their lines until /run/stop exists, one that exits with 3 when /run/die exists, and one that
/// writes nothing.
pub fn programs() -> Result<String, String> {
    let test_child = test_child()?;
    let plain = WRITERS - JSON_WRITERS;
    Ok(format!(
        "[program:w]
command={test_child} tell /run/stop 1000
process_name=w%(process_num)02d
numprocs={plain}
startsecs=0
autorestart=false
stdout_logfile=/var/log/w%(process_num)02d.log
stdout_logfile_maxbytes=1MB
stdout_logfile_backups=50
[program:json]
command={test_child} tell /run/stop 2000
process_name=json%(process_num)02d
numprocs={JSON_WRITERS}
startsecs=0
autorestart=false
stdout_logfile=/var/log/wjson%(process_num)02d.log
stdout_log_format=json
stdout_logfile_maxbytes=1MB
stdout_logfile_backups=500
[program:dies]
command={test_child} wait /run/die exit 3
startsecs=0
autorestart=unexpected
exitcodes=3
stdout_logfile=NONE
[program:quiet]
command=/bin/sleep infinity
startsecs=0
"
    ))
}

/// The PID of each process by name.
pub fn pids(machine: &Machine) -> Result<BTreeMap<String, String>, String> {
    let status = machine.ctl("status")?;
    Ok(status
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(' ')?;
            let (_, pid) = rest.split_once("pid ")?;
            Some((name.to_owned(), pid.split(',').next()?.to_owned()))
        })
        .collect())
}

/// Stops the writers and checks that the log has each of their lines once.
pub fn complete(machine: &Machine, writers: usize) -> Result<u64, String> {
    machine.sh("touch /run/stop")?;
    wait_for("the writers' end", LIMIT, || {
        machine.ctl("status").is_ok_and(|status| {
            status
                .lines()
                .filter(|line| line.contains("EXITED"))
                .count()
                >= writers
        })
    })?;
    // The oldest backup has the highest number.
    let counts = machine.sh("for log in /var/log/w[0-9]*.log; do
             cat $(ls $log.* 2>/dev/null | sort -t. -k3,3 -rn) $log | awk -v file=$log '
                 ended { print file, \"after the end\", $0; exit 1 }
                 $0 == \"end\" { ended = 1; next }
                 $0 + 0 != n || length($0) != 8 { print file, \"line\", NR, $0, \"not\", n; exit 1 }
                 { n++ }
                 END { if (!ended) { print file, \"no end at\", n; exit 1 } print n }'
         done")?;
    let mut counts: Vec<u64> = counts
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    let logs = machine.sh("ls /var/log/ | grep -E '^wjson[0-9]*[.]log$' || true")?;
    for log in logs.lines() {
        let text = machine.sh(&format!(
            "cd /var/log; cat $(ls {log}.* 2>/dev/null | sort -t. -k3,3 -rn) {log}"
        ))?;
        counts.push(json_lines(&text).map_err(|why| format!("{log}: {why}"))?);
    }
    if counts.len() == writers {
        Ok(counts.iter().sum())
    } else {
        Err(format!("{counts:?}"))
    }
}

/// Checks that each line is a JSON object with the fields of its form, that all are of one process, and that their
/// messages are the numbers from 0 on and then `end`. Returns how many numbers there are.
pub fn json_lines(text: &str) -> Result<u64, String> {
    let mut count = 0;
    let mut first_pid = None;
    let mut has_ended = false;
    for line in text.lines() {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).map_err(|error| format!("{error}: {line:?}"))?;
        for field in ["ts", "program", "group", "process", "stream"] {
            let is_text = object.get(field).is_some_and(serde_json::Value::is_string);
            expect(is_text, format!("no {field}: {line}"))?;
        }
        let pid = object.get("pid").and_then(serde_json::Value::as_i64);
        let is_same = pid.is_some() && pid == *first_pid.get_or_insert(pid);
        expect(is_same, format!("not of process {first_pid:?}: {line}"))?;
        let message = object.get("message").and_then(serde_json::Value::as_str);
        expect(!has_ended, format!("after the end: {line}"))?;
        if message == Some("end") {
            has_ended = true;
            continue;
        }
        let number = message.and_then(|text| text.parse().ok());
        expect(
            number == Some(count),
            format!("{line} where {count} should be"),
        )?;
        count += 1;
    }
    expect(has_ended, format!("no end after {count} lines"))?;
    Ok(count)
}
