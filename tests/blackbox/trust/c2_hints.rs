//! Errors in a configuration quote the file, with a suggestion.

use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::c2_check_gives_hints", hints),
        Trial::new("trust::c2_an_empty_logfile_is_as_in_supervisor", empty),
        Trial::new("trust::c2_names_are_checked_after_expansion", expanded),
        Trial::new(
            "trust::c2_the_log_names_a_bounded_number_of_unknown_keys",
            bounded,
        ),
    ]
}

/// A file, texts that `--check` prints, texts that it does not print, and its exit status.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    i32,
);

const CASES: &[Case] = &[
    (
        "[supervisord]\n[include]\nfile=conf.d/*.conf\n",
        &["case:3:1:", "write files in place of file"],
        &["separated by commas", ":0:"],
        2,
    ),
    (
        "[supervisord]\n[include]\n",
        &["add a line such as files="],
        &[],
        2,
    ),
    (
        "[supervisord]\n[include]\nfiles=a.conf,b.conf\n",
        &["case:3:7: warning: [include] files takes patterns separated by blanks, not commas"],
        &[],
        0,
    ),
    (
        "\u{feff}[supervisord]\n[program:web]\ncommand=sleep\n",
        &["case:1:1:", "byte order mark (U+FEFF)", "1 error"],
        &[],
        2,
    ),
    (
        "[supervisord]\n[ program:web]\ncommand=sleep\n[program :api]\ncommand=sleep\n[program.x]\ncommand=sleep\n[db]\n\
         command=sleep\n",
        &[
            "did you mean [program:web]?",
            "did you mean [program:api]?",
            "did you mean [program:x]?",
            "did you mean [program:db]?",
        ],
        &[],
        0,
    ),
    (
        "[program-default]\nenvFiles=site.env\n[program:web]\ncommand=sleep\nenvFiles=web.env\n\
         restartPause=3\nstderr_logfile=syslog udp:logs.example.org:514\n",
        &["write syslog @HOST for a syslog server"],
        &[
            "envfiles",
            "unknown",
            "case: case",
            "envFiles in",
            "restartPause",
            "[program-default]",
        ],
        0,
    ),
    (
        "[program:web]\ncommand=sleep\ndepends_on=dv\n[program:db]\ncommand=sleep\ndepends_on=web\n",
        &[
            "case:3:12:",
            "depends_on in [program:web] names unknown program or group dv [bad-dependency]",
            "write db",
        ],
        &[],
        2,
    ),
    (
        "[program:web]\ncommand=sleep\nstdout_logfile=/dev/stdout,/tmp/web.log,/tmp/web.log\n",
        &["case:3:16:", "names /tmp/web.log twice"],
        &[],
        2,
    ),
    (
        "[supervisord]\nloglevel=wanr\n",
        &["\"wanr\" is not a log level", "write warn"],
        &[],
        2,
    ),
    (
        "[supervisord]\n[program:web]\ncommand=sleep\nstopsignal=TERM, KILL\n",
        &["case: ok"],
        &[],
        0,
    ),
    (
        "[program:web]\ncommand=sleep\nstopsignal=TERM NOSUCH\n",
        &["there is no signal \"NOSUCH\""],
        &[],
        2,
    ),
    (
        "[program:web]\ncommand=sleep\nstopsignal=TERM,,KILL\n",
        &["not a valid list of signals: 'TERM,,KILL': an item is empty"],
        &[],
        2,
    ),
    (
        "[program:web]\ncommand=sleep\nuser=nosuchuser:nosuchgroup\n",
        &["this host has no user \"nosuchuser:nosuchgroup\""],
        &[],
        2,
    ),
    (
        "[supervisord]\n[program:web]\ncommand=sleep\nprocess_name=%(ENV_NO_SUCH_SITE)s\n",
        &["the environment variable NO_SUCH_SITE is not set [unset-variable]"],
        &["for a literal %"],
        2,
    ),
    (
        "[supervisord]\n[program:db]\ncommand=sleep\ndependent_startup=true\ndependent_startup_wait_for=x:running\n[program:x]\ncommand=sleep\n",
        &["case: ok"],
        &["ignored", "warning"],
        0,
    ),
    (
        "[supervisord]\nstdout_logfile=/dev/stdout\nsocket_mode=0700\n[supervisorctl]\nuser=admin\n[program:web]\n\
         command=sleep\nlogfile=web.log\nrestart=always\nstdout_maxbytes=0\nloglevel=info\n",
        &[
            "case:2:1: warning: unknown key stdout_logfile in [supervisord] is ignored [unknown-key]",
            "did you mean logfile?",
            "it is a key of [fcgi-program:x]",
            "did you mean username?",
            "did you mean stdout_logfile?",
            "did you mean autorestart?",
            "did you mean stdout_logfile_maxbytes?",
            "it is a key of [supervisord]",
        ],
        &[],
        0,
    ),
    (
        "[supervisord]\n[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = \
         supervisor.rpcinterace:make_main_rpcinterface\n",
        &[
            "supervisor.rpcinterace:make_main_rpcinterface cannot be resolved within [rpcinterface:supervisor]",
        ],
        &["Python plug-in ("],
        2,
    ),
    (
        "[supervisord]\n[program:a]\ncommand=sleep\nredirect_stderr=true\nstderr_logfile=/tmp/x\nnumprocs=2\n\
         process_name=%(process_num)d\n",
        &["case:5:16: warning: stderr_logfile: redirect_stderr sends standard error"],
        &[],
        0,
    ),
];

fn hints() -> Result<Outcome, String> {
    let host = Host::new("")?;
    for (text, says, says_not, code) in CASES {
        host.place.write("case", text)?;
        let got = host.run(&["--check", "-c", "case"])?;
        let said = format!("{}{}", got.stdout, got.stderr);
        let missing: Vec<_> = says.iter().filter(|part| !said.contains(**part)).collect();
        let wrong: Vec<_> = says_not
            .iter()
            .filter(|part| said.contains(**part))
            .collect();
        expect(
            got.code == *code && missing.is_empty() && wrong.is_empty(),
            format!(
                "{text}: {missing:?} missing, {wrong:?} there, status {}: {said}",
                got.code
            ),
        )?;
        let mut lines: Vec<&str> = said.lines().filter(|line| line.contains(": ")).collect();
        let count = lines.len();
        lines.sort_unstable();
        lines.dedup();
        expect(
            lines.len() == count,
            format!("{text}: a line twice: {said}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn empty() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:a]\ncommand=/bin/sh -c 'echo hi; exec sleep 1000'\nstartsecs=0\nstdout_logfile=\nstderr_logfile=''\n\
         [program:b]\ncommand=/bin/sleep 1000\nstartsecs=0\nstdout_logfile=NONE\n",
    )?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    let answer = host.daemon()?.call("supervisor.getAllConfigInfo", &[]);
    let answer = format!("{answer:?}");
    expect(
        answer.contains("\"stdout_logfile\": Text(\"\")")
            && answer.contains("\"stdout_logfile\": Text(\"none\")")
            && answer.contains("\"stderr_logfile\": Text(\"''\")"),
        answer,
    )?;
    expect(
        host.place.join("''").is_file(),
        "two quotes are the name of a file, as in Supervisor",
    )?;
    Ok(Outcome::Passed)
}

fn expanded() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[program:web]\ncommand=/bin/sleep 1000\nstartsecs=0\nprocess_name=%(ENV_SITE)s\n",
    )?;
    host.go_with(|command| {
        command.env("SITE", "a:b c");
    })?;
    host.daemon()?.wait_state("web:a:b c", "RUNNING")?;
    host.expect_ctl(&["status"], 3, &["web:a:b c"])
        .or_else(|_| host.expect_ctl(&["status"], 0, &["web:a:b c", "RUNNING"]))?;
    host.expect_ctl(&["stop", "web:*"], 0, &["stopped"])?;
    Ok(Outcome::Passed)
}

fn bounded() -> Result<Outcome, String> {
    let keys: String = (0..40)
        .map(|number| format!("other_tool_{number}=1\n"))
        .collect();
    let host = Host::start(&format!("[program:a]\ncommand=/bin/sleep 1000\n{keys}"))?;
    let log = host.place.read("log");
    let lines = log.matches("unknown").count();
    expect(
        lines <= 10
            && log.contains(
                "32 more unknown keys or sections are ignored (supervisord --check lists them)",
            ),
        format!("{lines}: {log}"),
    )?;
    let got = host.run(&["--check", "-c", "conf"])?;
    let lines = got.stdout.matches("unknown key other_tool_").count();
    expect(lines == 40, format!("{lines}: {got:?}"))?;
    Ok(Outcome::Passed)
}
