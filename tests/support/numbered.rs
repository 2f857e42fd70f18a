//! Programs in a machine that number their lines, so that it can be told afterwards whether each line is in the log once.

use std::collections::BTreeMap;

use super::machine::{BINARIES, Machine};
use super::{LIMIT, wait_for};

/// Writers, and lines a second of each, about.
pub const WRITERS: usize = 50;

/// The test binary as a program inside.
pub fn test_child() -> Result<String, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let name = own.file_name().and_then(|name| name.to_str());
    Ok(format!(
        "{BINARIES}/deps/{} test_child",
        name.ok_or("no name of our own")?
    ))
}

/// Programs that number their lines until /run/stop is there, one that ends with 3 when /run/die is, and one that is quiet.
pub fn programs() -> Result<String, String> {
    let test_child = test_child()?;
    Ok(format!(
        "[program:w]
command={test_child} tell /run/stop 1000
process_name=w%(process_num)02d
numprocs={WRITERS}
startsecs=0
autorestart=false
stdout_logfile=/var/log/w%(process_num)02d.log
stdout_logfile_maxbytes=1MB
stdout_logfile_backups=50
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

/// The pid of each process by name.
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

/// Ends the writers, and looks whether all of their lines are there once.
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
    let counts = machine.sh("for log in /var/log/w*.log; do
             cat $(ls $log.* 2>/dev/null | sort -t. -k3,3 -rn) $log | awk -v file=$log '
                 ended { print file, \"after the end\", $0; exit 1 }
                 $0 == \"end\" { ended = 1; next }
                 $0 + 0 != n || length($0) != 8 { print file, \"line\", NR, $0, \"not\", n; exit 1 }
                 { n++ }
                 END { if (!ended) { print file, \"no end at\", n; exit 1 } print n }'
         done")?;
    let counts: Vec<u64> = counts
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    if counts.len() == writers {
        Ok(counts.iter().sum())
    } else {
        Err(format!("{counts:?}"))
    }
}
