//! Whole units as people write them. The configuration's parser must accept the result with `strict`, and the result
//! must run the same command as systemd.

use std::sync::Arc;

use proptest::prelude::*;

use super::form;
use super::translate::{EnvironmentFile, TranslateInput, translate};
use super::unit::{SystemdUnit, UnitName};
use crate::config::lookup::Fake;
use crate::config::options::DaemonOptions;
use crate::config::spec::ProcessSpec;
use crate::config::{self, shlex};
use crate::domain::ProcessName;

/// The section of a unit.
fn imported(name: &str, text: &str) -> Result<String, Vec<String>> {
    let mut unit = SystemdUnit::new(UnitName::new(name));
    unit.read("f", text).map_err(|error| vec![error])?;
    let machine = Fake::default();
    let world = TranslateInput {
        lookup: &machine,
        environment_file: &|path| match path {
            "/etc/default/open" => {
                EnvironmentFile::Text("OPTS=\"--a 'b c' -d\"\nPORT=80\n".to_owned())
            }
            "/etc/default/private" => EnvironmentFile::Private,
            _ => EnvironmentFile::Missing,
        },
    };
    translate(&unit, &world).map(|section| section.render())
}

/// Parses a section with `strict`, in an included file, because an `[include]` changes the meaning of some texts.
fn read(section: &str) -> Arc<ProcessSpec> {
    let machine = Fake::default()
        .with("/etc/s.conf", "[supervisord]\n[include]\nfiles=x/*.conf\n")
        .with("/etc/x/a.conf", section)
        .with("/var/log/app/x", "");
    let options = DaemonOptions {
        strict: true,
        ..DaemonOptions::default()
    };
    let config = config::load("/etc/s.conf", &options, &machine)
        .unwrap_or_else(|errors| panic!("{:#?}\n{section}", errors.all));
    let notes: Vec<String> = config
        .notes
        .iter()
        .map(ToString::to_string)
        .filter(|note| {
            !note.contains("privileges") && !note.contains("Included") && !note.contains("included")
        })
        .collect();
    assert!(notes.is_empty(), "{notes:#?}\n{section}");
    assert_eq!(config.groups.len(), 1, "{section}");
    Arc::clone(&config.groups[0].processes[0])
}

fn argv(spec: &ProcessSpec) -> Vec<String> {
    shlex::shlex_split(&spec.command).expect("words")
}

struct Sample {
    name: &'static str,
    unit: &'static str,
    /// The command that systemd would run, or a wrapper around it.
    argv: &'static [&'static str],
    /// Lines of the section.
    has: &'static [&'static str],
}

const SAMPLES: &[Sample] = &[
    Sample {
        name: "gunicorn.service",
        unit: "[Unit]\nDescription=Shop, served by gunicorn\nAfter=network.target postgresql.service\nRequires=gunicorn.socket\n\n\
               [Service]\nType=notify\nUser=web\nGroup=web\nRuntimeDirectory=gunicorn\nWorkingDirectory=/srv/shop\n\
               Environment=\"DJANGO_SETTINGS_MODULE=shop.settings\" WORKERS=3\n\
               ExecStart=/srv/shop/venv/bin/gunicorn \\\n          --workers ${WORKERS} \\\n          \
               --access-logformat '%%(h)s \"%%(r)s\" %%(s)s' \\\n          shop.wsgi:application\n\
               ExecReload=/bin/kill -s HUP $MAINPID\nKillMode=mixed\nTimeoutStopSec=5\nPrivateTmp=true\nProtectHome=yes\n\n\
               [Install]\nWantedBy=multi-user.target\n",
        argv: &[
            "/srv/shop/venv/bin/gunicorn",
            "--workers",
            "3",
            "--access-logformat",
            "%(h)s \"%(r)s\" %(s)s",
            "shop.wsgi:application",
        ],
        has: &[
            "[program:gunicorn]",
            "; gunicorn.service: Shop, served by gunicorn",
            "directory=/srv/shop",
            "user=web",
            "group=web",
            "notify=true",
            "autostart=true",
            "autorestart=false",
            "startretries=0",
            "stopwaitsecs=5",
            "killasgroup=true",
            "kill_mode=control-group",
            "stdout_logfile=journal",
            "environment=HOME=\"/srv/web\",LOGNAME=\"web\",USER=\"web\",RUNTIME_DIRECTORY=\"/run/gunicorn\",\
             DJANGO_SETTINGS_MODULE=\"shop.settings\",WORKERS=\"3\"",
            "; ExecReload=/bin/kill -s HUP $MAINPID: supervisorctl signal HUP gunicorn",
            "; RuntimeDirectory=gunicorn: the directory is not created; use a line of tmpfiles.d(5): d /run/gunicorn 0755 web web",
            "; PrivateTmp=true, ProtectHome=yes: the program runs without this restriction",
        ],
    },
    Sample {
        name: "node-app.service",
        unit: "[Service]\nExecStart=/usr/bin/node --max-old-space-size=512 /srv/app/index.js\nRestart=always\nRestartSec=10\n\
               StandardOutput=append:/var/log/app/out.log\nUser=me\nEnvironment=NODE_ENV=production PORT=3000\n\
               Environment='GREETING=it is \"fine\" now'\nLimitNOFILE=65536\nMemoryMax=512M\nCPUQuota=150%\nTasksMax=200\n\
               [Install]\nWantedBy=multi-user.target\n",
        argv: &[
            "/usr/bin/node",
            "--max-old-space-size=512",
            "/srv/app/index.js",
        ],
        has: &[
            "[program:node-app]",
            "autorestart=true",
            "restart_floor=10",
            "stdout_logfile=/var/log/app/out.log",
            "stdout_logfile_maxbytes=0",
            "redirect_stderr=true",
            "limit_nofile=65536",
            "memory_max=536870912",
            "cpu_max=150%",
            "pids_max=200",
            "environment=HOME=\"/home/me\",LOGNAME=\"me\",USER=\"me\",NODE_ENV=\"production\",PORT=\"3000\",\
             GREETING='it is \"fine\" now'",
            "stopasgroup=true",
            "stopwaitsecs=90",
        ],
    },
    Sample {
        name: "java-app.service",
        unit: "[Unit]\nStartLimitIntervalSec=0\n[Service]\nEnvironment=\"JAVA_OPTS=-Xms64m -Dx='a b' -Xmx1g\"\n\
               ExecStart=/usr/bin/java $JAVA_OPTS -jar /srv/app.jar\nSuccessExitStatus=143\nRestart=on-failure\n\
               RestartPreventExitStatus=3 SIGKILL\nTimeoutStopSec=1min 30s\nKillSignal=SIGINT\nNice=-5\nOOMScoreAdjust=-500\n\
               UMask=0027\n",
        argv: &[
            "/usr/bin/java",
            "-Xms64m",
            "-Dx=a b",
            "-Xmx1g",
            "-jar",
            "/srv/app.jar",
        ],
        has: &[
            "autorestart=unexpected",
            "exitcodes=0,3,143",
            "stopsignal=INT",
            "stopwaitsecs=90",
            "startretries=1000000",
            "autostart=false",
            "nice=-5",
            "oom_score_adj=-500",
            "umask=027",
        ],
    },
    Sample {
        name: "node_exporter.service",
        unit: "[Unit]\nDescription=Metrics of %H\n[Service]\nDynamicUser=yes\nEnvironmentFile=-/etc/default/open\n\
               ExecStart=/usr/local/bin/node_exporter $OPTS --web.listen-address=:${PORT} $NOTHING\n\
               AmbientCapabilities=CAP_NET_BIND_SERVICE\nCapabilityBoundingSet=CAP_NET_BIND_SERVICE\nNoNewPrivileges=yes\n\
               ProtectSystem=strict\nSyslogIdentifier=exporter\nLogRateLimitIntervalSec=10s\nLogRateLimitBurst=500\n",
        argv: &[
            "/usr/local/bin/node_exporter",
            "--a",
            "b c",
            "-d",
            "--web.listen-address=:80",
        ],
        has: &[
            "; node_exporter.service: Metrics of box",
            "capabilities=cap_net_bind_service",
            "ambient_capabilities=cap_net_bind_service",
            "no_new_privileges=true",
            "stdout_journal_rate_limit=500/10000ms",
            "stderr_journal_rate_limit=500/10000ms",
            "; DynamicUser=yes: no user is created (create one with useradd --system or sysusers.d, and set user=)",
            "; ExecStart=$NOTHING: the unit does not set the variable, so it expands to nothing, as under systemd",
        ],
    },
    Sample {
        name: "redis.service",
        unit: "[Service]\nType=forking\nPIDFile=/run/redis/redis.pid\nExecStartPre=-/usr/bin/mkdir -p /run/redis\n\
               ExecStart=/usr/bin/redis-server /etc/redis.conf --daemonize yes\nExecStop=/bin/kill -s TERM $MAINPID\n\
               TimeoutStopSec=0\nRestart=always\nRestartPreventExitStatus=1\nSuccessExitStatus=3\nUser=web\nLimitCORE=infinity\n\
               LimitMEMLOCK=1G:2G\nStandardOutput=null\n",
        argv: &[
            "pidproxy",
            "-exit-daemon-stop",
            "/run/redis/redis.pid",
            "/usr/bin/redis-server",
            "/etc/redis.conf",
            "--daemonize",
            "yes",
        ],
        has: &[
            "autorestart=unexpected",
            "exitcodes=1",
            "; SuccessExitStatus: the program is restarted after these codes too, so they are not in exitcodes= and the log calls them \
             unexpected",
            "stopwaitsecs=31536000",
            "limit_core=infinity",
            "limit_memlock=1073741824:2147483648",
            "stdout_logfile=NONE",
            "stderr_logfile=NONE",
            "; ExecStartPre=-/usr/bin/mkdir -p /run/redis: no equivalent; use a wrapper script as command \
             that does this and ends with `exec`",
        ],
    },
    Sample {
        name: r"worker@mail-in\x2dbox.service",
        unit: "[Service]\nExecStart=/srv/bin/worker --queue=%i --path=%f --name=%I --unit=%n --load=50%%\n\
               WorkingDirectory=-/srv/%p\nRestart=on-abnormal\nKillMode=process\n",
        argv: &[
            "/srv/bin/worker",
            r"--queue=mail-in\x2dbox",
            "--path=/mail/in-box",
            "--name=mail/in-box",
            r"--unit=worker@mail-in\x2dbox.service",
            "--load=50%",
        ],
        has: &[
            "[program:worker@mail-in_x2dbox]",
            "directory=/",
            "autorestart=unexpected",
        ],
    },
    Sample {
        name: "backup.service",
        unit: "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=-/bin/mkdir /srv/b\nExecStart=/bin/tar cf '/srv/b/a b.tar' /etc ; \
               /bin/echo it\\'s done\n",
        argv: &[
            "/bin/sh",
            "-ec",
            "set -f; /bin/mkdir /srv/b || :; /bin/tar cf '/srv/b/a b.tar' /etc; exec /bin/echo 'it'\\''s' done",
        ],
        has: &["startsecs=0", "autorestart=false", "exitcodes=0"],
    },
    Sample {
        name: "secret.service",
        unit: "[Service]\nEnvironment=A=1\nEnvironmentFile=/etc/default/private\nExecStart=/bin/app $OPTS ${A}x 'a b'\n",
        argv: &[
            "/bin/sh",
            "-c",
            "set -f; exec /bin/app $OPTS \"${A}\"x 'a b'",
        ],
        has: &[
            "environment=A=\"1\"",
            "; EnvironmentFile=/etc/default/private: no equivalent, and the file is private: add its variables to \
             environment= in a private configuration file",
        ],
    },
    Sample {
        name: "awkward.service",
        unit: "[Service]\nEnvironment=\"Q='\\\"\" \"LINES=a\\nb\" HASH='a #b' PLAIN=x\nExecStart=:/bin/x '' ';' \\; 'a ; b' \"#c\" \
               %%(here)s $HOME \\x41\\t\\\\ 'two\\nlines ' é\n",
        argv: &[
            "/usr/bin/env",
            "Q='\"",
            "LINES=a\nb",
            "HASH=a #b",
            "/bin/x",
            "",
            ";",
            ";",
            "a ; b",
            "#c",
            "%(here)s",
            "$HOME",
            "A\t\\",
            "two\nlines ",
            "é",
        ],
        has: &["environment=PLAIN=\"x\""],
    },
    Sample {
        name: "prefixed.service",
        unit: "[Service]\nType=exec\nUser=web\nExecStart=!!-/bin/a b\nKillMode=none\nStandardError=file:/var/log/app/e%%\n\
               Restart=on-success\nWatchdogSec=30\nTimeoutSec=1h\nCPUWeight=idle\nMemoryHigh=50%%\nUnheardOf=1\n\
               CapabilityBoundingSet=~CAP_SYS_ADMIN CAP_SYS_PTRACE\nCapabilityBoundingSet=~CAP_SYS_BOOT\n",
        argv: &["/bin/a", "b"],
        has: &[
            "stdout_logfile=journal",
            "stderr_logfile=/var/log/app/e%%%%",
            "stopwaitsecs=3600",
            "capabilities=~cap_sys_ptrace,cap_sys_admin,cap_sys_boot",
            "; Restart=on-success: the program is not restarted: autorestart= takes true, false and unexpected (on-failure)",
            "; MemoryHigh=50%: memory_high= cannot express this value; memory_high= takes a number of bytes such as 65536, 512KB, 50MB or 1GB, \
             or infinity",
            "; UnheardOf=1: no equivalent; no effect",
        ],
    },
    Sample {
        name: "ready.service",
        unit: "[Service]\nType=notify-reload\nExecStart=/bin/a\nTimeoutStartSec=infinity\nWatchdogSec=1500ms\nNotifyAccess=all\n\
               StandardOutput=journal\nStandardError=null\nKillSignal=SIGRTMIN+3\n",
        argv: &["/bin/a"],
        has: &[
            "notify=true",
            "ready_timeout=0",
            "watchdogsecs=2",
            "stdout_logfile=journal",
            "stderr_logfile=NONE",
            "; KillSignal=SIGRTMIN+3: stopsignal= takes only signals that have a name",
            "; Type=notify-reload: to reload its configuration: supervisorctl signal HUP ready",
        ],
    },
];

#[test]
fn an_imported_section_runs_the_command_of_its_unit() {
    for sample in SAMPLES {
        let section = imported(sample.name, sample.unit).expect(sample.name);
        let spec = read(&section);
        assert_eq!(argv(&spec), sample.argv, "{section}");
        for line in sample.has {
            assert!(
                section.lines().any(|have| have == *line),
                "{line}\nis not in\n{section}"
            );
        }
        // Every directive becomes a key or a remark.
        assert!(ProcessName::parse(spec.name.as_str()).is_ok());
    }
}

#[test]
fn a_unit_that_cannot_run_is_an_error_with_its_position() {
    for (unit, expected) in [
        (
            "[Service]\nType=simple\n",
            "a.service: [Service] has no ExecStart=",
        ),
        (
            "[Service]\nExecStart=/bin/a\nExecStart=\n",
            "a.service: [Service] has no ExecStart=",
        ),
        (
            "[Service]\nExecStart=/bin/a 'b\n",
            "f:2: ExecStart=/bin/a 'b: missing closing quote",
        ),
        (
            "[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n",
            "f:2: only Type=oneshot may have more than one command in ExecStart=",
        ),
        (
            "[Service]\nExecStart=/bin/a \\r\n",
            "f:2: ExecStart= cannot be a command: the character '\\r' is not allowed in a configuration",
        ),
        ("[Service\n", "f:1: a section header ends in ]: [Service"),
    ] {
        assert_eq!(
            imported("a", unit),
            Err(vec![expected.to_owned()]),
            "{unit}"
        );
    }
}

#[test]
fn a_drop_in_resets_and_adds() {
    let mut unit = SystemdUnit::new(UnitName::new("a"));
    unit.read(
        "a",
        "[Service]\nExecStart=/bin/a\nEnvironment=A=1\nRestart=always\n",
    )
    .expect("read");
    unit.read(
        "d",
        "[Service]\nExecStart=\nExecStart=/bin/b\nEnvironment=B=2\nRestart=\n",
    )
    .expect("read");
    let machine = Fake::default();
    let world = TranslateInput {
        lookup: &machine,
        environment_file: &|_| EnvironmentFile::Missing,
    };
    let section = translate(&unit, &world).expect("translated").render();
    assert_eq!(argv(&read(&section)), ["/bin/b"]);
    assert!(
        section.contains("environment=A=\"1\",B=\"2\"\n"),
        "{section}"
    );
    assert!(section.contains("autorestart=false\n"), "{section}");
}

/// Pieces of units, valid and invalid.
fn lines() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "ExecStart",
        "ExecStop",
        "ExecReload",
        "Environment",
        "EnvironmentFile",
        "Restart",
        "RestartSec",
        "Type",
        "PIDFile",
        "TimeoutStopSec",
        "KillSignal",
        "KillMode",
        "LimitNOFILE",
        "LimitCPU",
        "Nice",
        "CPUQuota",
        "CPUQuotaPeriodSec",
        "MemoryMax",
        "TasksMax",
        "CapabilityBoundingSet",
        "AmbientCapabilities",
        "UMask",
        "StandardOutput",
        "StandardError",
        "WorkingDirectory",
        "SuccessExitStatus",
        "WatchdogSec",
        "LogRateLimitBurst",
        "LogRateLimitIntervalSec",
        "Foo",
        "X-y",
        "RuntimeDirectory",
        "TimeoutStartSec",
        "IOWeight",
        "OOMScoreAdjust",
        "NoNewPrivileges",
        "UnsetEnvironment",
    ]);
    let values = prop_oneof![
        "[ -~]{0,20}",
        "(-|@|:|!)?/bin/[a-z]{1,3}( ([a-z$%{}'\"\\\\;#=]{1,6}|\\$A|\\$\\{A\\}|%i|%%|\\\\x4[0-9])){0,4}",
        "[0-9]{1,6}(s|min|ms|%|K|M|G)?",
        prop::sample::select(vec![
            "notify",
            "forking",
            "oneshot",
            "always",
            "on-failure",
            "on-abnormal",
            "no",
            "infinity",
            "0",
            "A=1",
            "A='b c' B=\"#\"",
            "/run/a.pid",
            "SIGINT",
            "mixed",
            "CAP_CHOWN",
            "~CAP_CHOWN",
            "inherit",
            "null",
            "append:/tmp/x",
            "file:/tmp/%n",
            "-/x",
            "~",
            "143 SIGTERM",
            "1:2",
            "",
        ])
        .prop_map(str::to_owned),
    ];
    (names, values).prop_map(|(name, value)| format!("{name}={value}\n"))
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "(\\PC|[\\n\\r\\t=\\\\\\[\\];#%$'\"]){0,200}", name in "\\PC{0,12}") {
        let _ = imported(&name, &text);
        let _ = imported(&name, &format!("[Service]\nExecStart={text}"));
        let _ = imported(&name, &format!("[Service]\nExecStart=/a\nEnvironment={text}"));
    }

    #[test]
    fn every_imported_section_is_valid(given in prop::collection::vec(lines(), 0..12)) {
        let unit = format!("[Service]\nExecStart=/bin/a b\n{}", given.concat());
        if let Ok(section) = imported("a@b.service", &unit) {
            let spec = read(&section);
            prop_assert!(shlex::shlex_split(&spec.command).is_ok());
        }
    }

    #[test]
    fn imported_arguments_read_back_from_the_configuration(
        given in prop::collection::vec("([ -~]|[\\n\\té\u{a0}\u{2028}\\x0b\\x1c]|%\\(here\\)s| ;| #|\\n +;){0,12}", 1..5)
    ) {
        let command = form::command_value(&given).expect("sayable");
        let spec = read(&format!("[program:a]\ncommand={command}\n"));
        prop_assert_eq!(argv(&spec), given);
    }

    #[test]
    fn imported_variables_read_back_from_the_configuration(value in "([ -~]|[\\té]|%\\(here\\)s| ;| #){0,12}") {
        if let Some(pair) = form::variable_pair("X", &value) {
            let spec = read(&format!("[program:a]\ncommand=a\nenvironment={pair}\n"));
            prop_assert_eq!(&spec.environment[..], &[("X".to_owned(), value)][..]);
        }
    }
}

/// Each directive changes the section: it adds a key, or a remark that names it.
#[test]
fn every_directive_is_translated_or_mentioned() {
    const GIVEN: &str = "Type=idle|Type=dbus|BusName=a.b|PIDFile=/x|RemainAfterExit=yes|GuessMainPID=no|ExecStartPre=/x|ExecStartPost=/x|\
        ExecCondition=/x|ExecReload=/x|ExecReload=/bin/kill -HUP $MAINPID|ExecStop=/x|ExecStop=/bin/kill -INT $MAINPID|ExecStopPost=/x|\
        RestartSec=5|RestartSec=infinity|TimeoutStartSec=5|TimeoutStopSec=5|TimeoutSec=5|TimeoutAbortSec=5|RuntimeMaxSec=5|\
        WatchdogSec=5|Restart=always|Restart=on-success|Restart=on-watchdog|Restart=sometimes|SuccessExitStatus=3|\
        SuccessExitStatus=SIGKILL|SuccessExitStatus=x|RestartPreventExitStatus=SIGKILL|RestartForceExitStatus=3|NotifyAccess=all|\
        Sockets=x|User=web|Group=web|DynamicUser=yes|SupplementaryGroups=me|WorkingDirectory=/tmp|WorkingDirectory=~|\
        WorkingDirectory=-/no|RootDirectory=/x|UMask=077|UMask=x|Environment=A=1|Environment=A|Environment='|\
        EnvironmentFile=/etc/default/open|EnvironmentFile=-/no|EnvironmentFile=/no|PassEnvironment=A|UnsetEnvironment=A|\
        StandardInput=socket|StandardOutput=null|StandardOutput=tty|StandardOutput=file:/tmp/x|StandardOutput=append:/tmp/x|\
        StandardOutput=append:x|StandardOutput=append:/no/x|StandardError=null|SyslogIdentifier=x|LogRateLimitBurst=5|\
        LogRateLimitIntervalSec=5|LogRateLimitIntervalSec=x|LimitNOFILE=5|LimitNOFILE=x|LimitCPU=infinity|Nice=5|Nice=99|\
        OOMScoreAdjust=5|CapabilityBoundingSet=|CapabilityBoundingSet=~CAP_KILL|CapabilityBoundingSet=CAP_X|\
        AmbientCapabilities=CAP_KILL|NoNewPrivileges=yes|NoNewPrivileges=x|MemoryMax=5M|MemoryMax=50%|MemoryHigh=5M|MemoryLimit=5M|\
        MemorySwapMax=5|CPUQuota=50%|CPUQuota=x|CPUWeight=5|CPUWeight=idle|CPUShares=5|IOWeight=5|IOWeight=x|IOReadBandwidthMax=x|\
        TasksMax=5|TasksMax=x|KillMode=process|KillMode=mixed|KillMode=none|KillMode=x|KillSignal=INT|KillSignal=SIGRTMIN+1|\
        SendSIGKILL=no|FinalKillSignal=INT|PrivateTmp=yes|ProtectHome=yes|SystemCallFilter=x|RuntimeDirectory=x|StateDirectory=x|\
        LogsDirectory=x|LoadCredential=x|Slice=x|Delegate=yes|OOMPolicy=stop|StartLimitBurst=5|StartLimitInterval=0|Nonsense=x|X-a=x|\
        ReloadSignal=HUP|CPUAffinity=1|foo|=x|User=%b";
    let section = |line: &str| {
        imported("a", &format!("[Service]\nExecStart=/bin/a\n{line}\n")).expect("translated")
    };
    let bare = section("");
    for line in GIVEN.split('|') {
        assert_ne!(section(line), bare, "{line}");
    }
    for line in [
        "[Unit]\nAfter=x",
        "[Unit]\nConditionHost=x",
        "[Install]\nAlias=x",
        "[X-mine]\nA=b",
    ] {
        assert_ne!(section(line), bare, "{line}");
    }
}
