//! Drop-ins, errors, and each directive by itself.

use super::{argv, imported, read};
use crate::config::lookup::Fake;
use crate::import::translate::{EnvironmentFile, TranslateInput, translate};
use crate::import::unit::{SystemdUnit, UnitName};

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
