//! The remarks about directives without an equivalent: what to do instead, if there is something.

/// Remarks by directive, for all sections.
const EXACT: &[(&str, &str)] = &[
    (
        "ExecStartPre",
        "no equivalent; use a wrapper script as command that does this and ends with `exec`",
    ),
    (
        "ExecStartPost",
        "no equivalent; use an event listener for PROCESS_STATE_RUNNING",
    ),
    (
        "ExecStopPost",
        "no equivalent; use an event listener for PROCESS_STATE",
    ),
    (
        "ExecCondition",
        "no equivalent; use a wrapper script as command that checks the condition and ends with `exec`",
    ),
    ("After", ORDER),
    ("Before", ORDER),
    ("Requires", NEED),
    ("Requisite", NEED),
    ("Wants", NEED),
    ("BindsTo", NEED),
    ("PartOf", NEED),
    ("Upholds", NEED),
    ("PropagatesReloadTo", NEED),
    ("PropagatesStopTo", NEED),
    ("JoinsNamespaceOf", RESTRICTION),
    ("Conflicts", "programs do not stop each other"),
    (
        "OnFailure",
        "use an event listener for PROCESS_STATE_FATAL and PROCESS_STATE_EXITED",
    ),
    (
        "OnSuccess",
        "use an event listener for PROCESS_STATE_EXITED",
    ),
    (
        "RequiresMountsFor",
        "programs do not wait for mounts; supervisord.service starts after remote-fs.target",
    ),
    (
        "WantsMountsFor",
        "programs do not wait for mounts; supervisord.service starts after remote-fs.target",
    ),
    ("Documentation", "informational only"),
    ("SourcePath", "informational only"),
    (
        "DefaultDependencies",
        "supervisord has no such dependencies",
    ),
    ("AllowIsolate", "supervisord has no targets"),
    (
        "RefuseManualStart",
        "use rules of `allow=` in [unix_http_server] to restrict who may start programs",
    ),
    (
        "RefuseManualStop",
        "use rules of `allow=` in [unix_http_server] to restrict who may stop programs",
    ),
    ("StopWhenUnneeded", "programs run until they are stopped"),
    ("JobTimeoutSec", "supervisord has no jobs"),
    ("JobRunningTimeoutSec", "supervisord has no jobs"),
    (
        "FailureAction",
        "use an event listener for PROCESS_STATE_FATAL",
    ),
    (
        "SuccessAction",
        "use an event listener for PROCESS_STATE_EXITED",
    ),
    (
        "StartLimitAction",
        "use an event listener for PROCESS_STATE_FATAL",
    ),
    ("Alias", "a program has only one name"),
    ("Also", "import this unit too"),
    ("DefaultInstance", "import the instance by its full name"),
    ("PIDFile", "only pidproxy reads a pidfile"),
    ("BusName", "supervisord does not wait for bus names"),
    (
        "GuessMainPID",
        "the started process is the supervised process",
    ),
    (
        "RuntimeMaxSec",
        "no equivalent; put `timeout` before the command",
    ),
    (
        "TimeoutAbortSec",
        "stopwaitsecs applies after the watchdog's SIGABRT",
    ),
    (
        "TimeoutStartFailureMode",
        "on a readiness timeout the program is stopped with stopsignal",
    ),
    (
        "TimeoutStopFailureMode",
        "after stopwaitsecs the program gets SIGKILL",
    ),
    (
        "FinalKillSignal",
        "after stopwaitsecs the program gets SIGKILL",
    ),
    ("RestartKillSignal", "a restart uses stopsignal"),
    ("WatchdogSignal", "the watchdog uses SIGABRT"),
    ("SendSIGKILL", "after stopwaitsecs the program gets SIGKILL"),
    ("SendSIGHUP", "only stopsignal is sent"),
    (
        "RestartSteps",
        "the delay after failed starts grows by one second each time",
    ),
    (
        "RestartMaxDelaySec",
        "the delay after failed starts grows by one second each time",
    ),
    (
        "RestartMode",
        "supervisord has no dependencies that a restart could stop",
    ),
    (
        "OOMPolicy",
        "`status` shows OOM kills; the exit is treated like any other",
    ),
    (
        "Sockets",
        "programs get no sockets, except [fcgi-program:x] on file descriptor 0",
    ),
    (
        "FileDescriptorStoreMax",
        "file descriptors of programs are not stored",
    ),
    ("NonBlocking", "programs get no sockets"),
    (
        "DynamicUser",
        "no user is created (create one with useradd --system or sysusers.d, and set user=)",
    ),
    ("PAMName", "no PAM session is opened"),
    ("TTYPath", "programs have no terminal"),
    ("RootDirectory", "put /usr/sbin/chroot before the command"),
    ("RootImage", RESTRICTION),
    ("Slice", "all programs run in the scope of supervisord"),
    ("Delegate", "the cgroup of a program is not delegated to it"),
    ("CPUShares", "use cpu_weight= (default 100)"),
    ("StartupCPUWeight", "the weight is the same during startup"),
    ("StartupIOWeight", "the weight is the same during startup"),
    ("CPUAffinity", "put `taskset -c LIST` before the command"),
    ("CPUSchedulingPolicy", "put chrt before the command"),
    ("CPUSchedulingPriority", "put chrt before the command"),
    (
        "IOSchedulingClass",
        "put `ionice -c CLASS` before the command",
    ),
    (
        "IOSchedulingPriority",
        "put `ionice -n LEVEL` before the command",
    ),
    ("NUMAPolicy", "put numactl before the command"),
    ("NUMAMask", "put numactl before the command"),
    ("LogLevelMax", "every line is written to the journal"),
    (
        "LogExtraFields",
        "journal entries have SUPERVISOR_PROCESS and related fields",
    ),
    ("SyslogFacility", "journal entries have the facility daemon"),
    (
        "SyslogLevel",
        "journal entries have the priority of their stream",
    ),
    (
        "SyslogLevelPrefix",
        "journal entries have the priority of their stream",
    ),
    ("Personality", "put setarch before the command"),
    (
        "IgnoreSIGPIPE",
        "SIGPIPE is not ignored: programs start with default signal handling",
    ),
    ("KeyringMode", RESTRICTION),
    ("SecureBits", "see capabilities= and no_new_privileges="),
    ("LockPersonality", RESTRICTION),
    ("MountFlags", RESTRICTION),
    ("MountAPIVFS", RESTRICTION),
    ("RemoveIPC", RESTRICTION),
    ("UtmpIdentifier", "no utmp record is written"),
    (
        "PermissionsStartOnly",
        "user= applies to all files and commands",
    ),
    ("RootDirectoryStartOnly", "RootDirectory= has no equivalent"),
    ("RuntimeDirectoryPreserve", "the directory is not removed"),
    (
        "CoredumpFilter",
        "write the value to /proc/self/coredump_filter in a wrapper script that ends with `exec`",
    ),
    (
        "TimerSlackNSec",
        "the program inherits the value of supervisord",
    ),
    (
        "LoadCredential",
        "credentials are not passed: let the program read the file",
    ),
    (
        "LoadCredentialEncrypted",
        "credentials are not passed: let the program read the file",
    ),
    ("SetCredential", "credentials are not passed"),
    ("SetCredentialEncrypted", "credentials are not passed"),
    ("ImportCredential", "credentials are not passed"),
];

const ORDER: &str = "programs do not wait for units; they start by priority=, low numbers first (supervisord.service starts after network.target)";
const NEED: &str = "programs do not start or stop each other; priority= sets the start order";
const RESTRICTION: &str = "the program runs without this restriction";

/// Remarks by the beginning of a directive. The first match counts.
const BEGINNINGS: &[(&str, &str)] = &[
    (
        "Condition",
        "conditions are not checked: the program always starts",
    ),
    (
        "Assert",
        "conditions are not checked: the program always starts",
    ),
    ("X-", "systemd ignores it too"),
    ("Protect", RESTRICTION),
    ("Private", RESTRICTION),
    ("Restrict", RESTRICTION),
    ("SystemCall", RESTRICTION),
    ("ReadWrite", RESTRICTION),
    ("ReadOnly", RESTRICTION),
    ("Inaccessible", RESTRICTION),
    ("Exec", RESTRICTION),
    ("NoExec", RESTRICTION),
    ("TemporaryFileSystem", RESTRICTION),
    ("Bind", RESTRICTION),
    ("MemoryDenyWriteExecute", RESTRICTION),
    ("Device", RESTRICTION),
    ("IPAddress", RESTRICTION),
    ("Socket", RESTRICTION),
    ("AppArmorProfile", RESTRICTION),
    ("SELinuxContext", RESTRICTION),
    ("SmackProcessLabel", RESTRICTION),
    ("Memory", "use memory_max= and memory_high="),
    ("ManagedOOM", "use memory_max= and memory_high="),
    ("IO", "use io_weight="),
    ("BlockIO", "use io_weight= (default 100)"),
    ("CPU", "use cpu_max= and cpu_weight="),
    ("Log", "journald uses its own settings"),
];

/// The remark about a directive that was not translated.
#[must_use]
pub(super) fn of(section: &str, name: &str) -> &'static str {
    if !["Unit", "Service", "Install"].contains(&section) {
        return "this section has no equivalent";
    }
    let exact = EXACT.iter().find(|(known, _)| *known == name);
    let beginning = || BEGINNINGS.iter().find(|(start, _)| name.starts_with(start));
    exact
        .or_else(beginning)
        .map_or("no equivalent; no effect", |&(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_has_a_remark() {
        assert_eq!(of("Service", "PrivateTmp"), RESTRICTION);
        assert_eq!(of("Unit", "After"), ORDER);
        assert_eq!(of("Service", "Nonsense"), "no equivalent; no effect");
        assert_eq!(of("X-Mine", "A"), "this section has no equivalent");
        let mut names: Vec<_> = EXACT.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EXACT.len());
    }
}
