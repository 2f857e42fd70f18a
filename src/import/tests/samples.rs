//! Units as people write them.

use super::{argv, imported, read};
use crate::domain::ProcessName;

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
