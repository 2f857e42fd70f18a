//! `%(ENV_X)s` of bytes that are not UTF-8 reaches programs byte for byte, in `environment`, `command` and `directory`
//! (Supervisor/supervisor#1393, #645).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, wait_for};

/// All of them.
pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "trust::c3_bytes_of_the_environment_reach_programs",
        bytes,
    )]
}

const CONFIG: &str = r#"
[program:a]
command=/bin/sh -c 'printf %%s "$XA|$XC|%(ENV_XB)s|" >out.part; pwd >>out.part; mv out.part {dir}/seen; exec sleep 1000'
directory={dir}/%(ENV_XB)s
environment=XC="<%(ENV_XB)s>"
[program:b]
command=/bin/sh -c '"$0" -c exit\ 0; exec sleep 1000' {dir}/%(ENV_XB)s/tool
[program:c]
command={dir}/%(ENV_XB)s/none
autorestart=false
startretries=0
"#;

fn bytes() -> Result<Outcome, String> {
    let mut host = Host::new(CONFIG)?;
    let value: &[u8] = b"a\xffb\xe9";
    let directory = host.place.path().join(OsStr::from_bytes(value));
    std::fs::create_dir(&directory).map_err(|error| error.to_string())?;
    host.go_with(|command| {
        command
            .env("XA", OsStr::from_bytes(b"\xfe"))
            .env("XB", OsStr::from_bytes(value));
    })?;
    let out = host.place.join("seen");
    wait_for("the program has written", LIMIT, || out.exists())
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    let found = std::fs::read(&out).map_err(|error| error.to_string())?;
    let mut expected = b"\xfe|<a\xffb\xe9>|a\xffb\xe9|".to_vec();
    let real = std::fs::canonicalize(&directory).map_err(|error| error.to_string())?;
    expected.extend_from_slice(real.as_os_str().as_bytes());
    expected.push(b'\n');
    if found != expected {
        let (found, expected) = (found.escape_ascii(), expected.escape_ascii());
        return Err(format!("{found} is not {expected}"));
    }
    // As the original prints such a path.
    host.daemon()?.wait_state("c", "FATAL")?;
    let info = host
        .daemon()?
        .info("c")
        .map_err(|error| error.to_string())?;
    let told = info
        .get("spawnerr")
        .and_then(|value| value.text().map(str::to_owned));
    let told = told.unwrap_or_default();
    if !told.ends_with("a\\udcffb\\udce9/none'") {
        return Err(format!("spawnerr is {told}"));
    }
    // What is handed over on the way keeps its bytes.
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    std::fs::remove_file(&out).map_err(|error| error.to_string())?;
    host.expect_ctl(&["restart", "a"], 0, &["a: started"])?;
    wait_for("the program has written again", LIMIT, || out.exists())?;
    let again = std::fs::read(&out).map_err(|error| error.to_string())?;
    if again != expected {
        return Err(format!("{} after an upgrade", again.escape_ascii()));
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}
