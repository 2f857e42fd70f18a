//! INI files, expansion and `environment=`: any file gets an answer.

use std::collections::BTreeMap;

use supervisord::config::check_config;
use supervisord::config::expand::{self, ExpandNames, expand};
use supervisord::config::ini::{Ini, universal_newlines};
use supervisord::config::lint::Severity;
use supervisord::config::lookup::{Lookup, LookupError, UserEntry};
use supervisord::config::options::DaemonOptions;
use supervisord::config::{environment, shlex};
use supervisord::daemon::check;

use crate::mutate;
use crate::rng::Rng;
use crate::session::{Budget, Shown, run};

const PIECES: &[&str] = &[
    "[supervisord]\n",
    "[program:a]\n",
    "[program:a]\n",
    "[program:b c]\n",
    "[ program:d]\n",
    "[group:g]\n",
    "[eventlistener:l]\n",
    "[fcgi-program:f]\n",
    "[unix_http_server]\n",
    "[inet_http_server]\n",
    "[rpcinterface:supervisor]\n",
    "[rpcinterface:x]\n",
    "[supervisorctl]\n",
    "[include]\n",
    "[DEFAULT]\n",
    "[program-default]\n",
    "[supervisrd]\n",
    "command=/bin/cat\n",
    "command=cat 'a b' \"c\n",
    "command=x %(process_num)02d %(ENV_HOME)s ; comment\n",
    "numprocs=3\n",
    "numprocs=-9999999999999999999\n",
    "numprocs_start=9999999999999999999\n",
    "process_name=%(program_name)s_%(process_num)d\n",
    "process_name=%(ENV_X:-default)s\n",
    "programs=a,f,nosuch\n",
    "events=TICK_5,PROCESS_STATE\n",
    "events=TICK,\u{2028}\n",
    "socket=tcp://é:99999\n",
    "socket=unix:///tmp/%(program_name)s.sock\n",
    "socket_mode=0999\n",
    "socket_owner=a:b:c\n",
    "environment=A=\"é\n",
    "environment=A=1,B='2',C=%(here)s\n",
    "port=é:\n",
    "port=127.0.0.1:99999\n",
    "file=~nosuch/x\n",
    "files=/nosuch/[*\n",
    "files=inc/*.conf other.conf\n",
    "user=\n",
    "user=0:0\n",
    "user=me\n",
    "umask=-1\n",
    "stdout_logfile=a.log,journal,syslog\n",
    "stdout_logfile_maxbytes=99999999999999999999GB\n",
    "stderr_logfile=/dev/%%s\n",
    "redirect_stderr=maybe\n",
    "startsecs=%\n",
    "stopsignal=TERM, KILL\n",
    "exitcodes=0,-1,256\n",
    "memory_max=-5T\n",
    "cpu_max=50%%/0\n",
    "limit_nofile=5:4\n",
    "capabilities=cap_nosuch\n",
    "allow=nobody control on web g:b\n",
    "  é ; \"\n",
    "\t\n",
    "é\n",
    "=\n",
    "%(x)s",
    "%(",
    ")d",
    "\r",
    "\x0b",
    "\u{85}",
    "\u{feff}",
    "\0\n",
];

/// A machine with the files that the fuzzer wrote.
#[derive(Debug, Default)]
struct Paper(BTreeMap<String, Vec<u8>>);

impl Lookup for Paper {
    fn read(&self, path: &str) -> Result<Vec<u8>, LookupError> {
        let missing = || LookupError::Missing("no such file".to_owned());
        self.0.get(path).cloned().ok_or_else(missing)
    }
    fn exists(&self, path: &str) -> bool {
        self.is_dir(path) || self.0.contains_key(path)
    }
    fn is_entry(&self, path: &str) -> bool {
        self.exists(path)
    }
    fn is_dir(&self, path: &str) -> bool {
        matches!(path, "/" | "/etc" | "/etc/inc" | "/tmp" | "/var/log")
    }
    fn list(&self, path: &str) -> Vec<String> {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let below = self.0.keys().filter_map(|name| name.strip_prefix(&prefix));
        below
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }
    fn user(&self, name: &str) -> Option<UserEntry> {
        (name == "me").then(|| UserEntry {
            uid: 1000,
            gid: 1000,
            home: "/home/me".to_owned(),
        })
    }
    fn user_of(&self, uid: u32) -> Option<UserEntry> {
        (uid == 1000).then(|| self.user("me")).flatten()
    }
    fn group(&self, name: &str) -> Option<u32> {
        (name == "me").then_some(1000)
    }
    fn is_group(&self, gid: u32) -> bool {
        gid == 1000
    }
    fn uid(&self) -> u32 {
        0
    }
    fn cwd(&self) -> String {
        "/etc".to_owned()
    }
    fn home(&self, _user: Option<&str>) -> Option<String> {
        None
    }
    fn tempdir(&self) -> String {
        "/tmp".to_owned()
    }
    fn hostname(&self) -> String {
        "host".to_owned()
    }
    fn env(&self) -> Vec<(String, String)> {
        vec![("HOME".to_owned(), "/home/%(me)s".to_owned())]
    }
}

/// Whole files with their includes, through the reader, the parser and the report.
pub(crate) fn files(budget: Budget) -> Result<u64, String> {
    let mut valid = 0_u64;
    let cases = run("config", budget, |rng, shown| {
        let mut paper = Paper::default();
        let mut all = Vec::new();
        for path in ["/etc/main.conf", "/etc/inc/a.conf", "/etc/inc/b.conf"] {
            let start = if rng.one_in(6) { "" } else { "[supervisord]\n" };
            let text = start.to_owned() + &mutate::text(rng, PIECES, 14);
            let text = mutate::bytes(rng, text.into_bytes(), 2);
            all.extend_from_slice(&text);
            paper.0.insert(path.to_owned(), text);
        }
        shown.note(&all);
        let report = check_config("/etc/main.conf", &DaemonOptions::default(), &paper);
        valid += u64::from(report.count(Severity::Error) == 0);
        let shown = check::report("/etc/main.conf", &report, rng.one_in(2));
        if shown.contains(":0:0:") {
            return Err(format!("a place that is none: {shown}"));
        }
        Ok(())
    })?;
    // A short replay proves nothing about this.
    if cases > 1000 && valid < cases / 100 {
        return Err(format!("only {valid} of {cases} files were valid"));
    }
    Ok(cases)
}

/// The small languages alone: INI sections, `%` formats, environments, command lines.
pub(crate) fn languages(budget: Budget) -> Result<u64, String> {
    run("languages", budget, |rng, shown| {
        let text = mutate::text(rng, PIECES, 20);
        let text = String::from_utf8_lossy(&mutate::bytes(rng, text.into_bytes(), 4)).into_owned();
        shown.note(text.as_bytes());
        try_all(&text, rng, shown)
    })
}

fn try_all(text: &str, rng: &mut Rng, _shown: &Shown) -> Result<(), String> {
    let mut ini = Ini::default();
    let lines = universal_newlines(text);
    if let Err(error) = ini.read("f", 0, &lines) {
        let last = lines.lines().count() + 1;
        if error.lines.is_empty() || error.sentence.is_empty() {
            return Err(format!("an error without a message: {error:?}"));
        }
        if text.len() < 1 << 16 && format!("{error:?}").len() > 1 << 20 {
            return Err(format!("an error far longer than its text of {last} lines"));
        }
    }
    let names = ExpandNames::from([
        ("here".to_owned(), expand::ExpandValue::from("/etc")),
        ("process_num".to_owned(), expand::ExpandValue::Number(7)),
        ("ENV_HOME".to_owned(), expand::ExpandValue::from("/home/é")),
    ]);
    // A width may be large, but the result must not be larger than the width.
    if let Ok(done) = expand(text, &[&names], "place")
        && done.len() > (1 << 26)
    {
        return Err(format!("{} bytes of {}", done.len(), text.len()));
    }
    let _ = environment::parse(text);
    let _ = shlex::shlex_split(text);
    let _ = rng;
    Ok(())
}
