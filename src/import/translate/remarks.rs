//! The remarks about directives without an equivalent: what to do instead, if there is something.

/// Remarks by directive, for all sections.
const EXACT: &[(&str, &str)] = &[
    (
        "ExecStartPre",
        "nothing runs before a start; a script that does this and ends in `exec` can be the command",
    ),
    (
        "ExecStartPost",
        "nothing runs after a start; an event listener for PROCESS_STATE_RUNNING can do it",
    ),
    (
        "ExecStopPost",
        "nothing runs after a stop; an event listener for PROCESS_STATE can do it",
    ),
    (
        "ExecCondition",
        "nothing is asked before a start; a script that asks and ends in `exec` can be the command",
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
    ("Conflicts", "programs do not stop one another"),
    (
        "OnFailure",
        "an event listener for PROCESS_STATE_FATAL and PROCESS_STATE_EXITED can react",
    ),
    (
        "OnSuccess",
        "an event listener for PROCESS_STATE_EXITED can react",
    ),
    (
        "RequiresMountsFor",
        "mounts are not waited for; supervisord.service comes after remote-fs.target",
    ),
    (
        "WantsMountsFor",
        "mounts are not waited for; supervisord.service comes after remote-fs.target",
    ),
    ("Documentation", "for people"),
    ("SourcePath", "for people"),
    ("DefaultDependencies", "there are no such dependencies"),
    ("AllowIsolate", "there are no targets"),
    (
        "RefuseManualStart",
        "rules of `allow=` in [unix_http_server] say who may start what",
    ),
    (
        "RefuseManualStop",
        "rules of `allow=` in [unix_http_server] say who may stop what",
    ),
    ("StopWhenUnneeded", "a program runs until it is stopped"),
    ("JobTimeoutSec", "there are no jobs"),
    ("JobRunningTimeoutSec", "there are no jobs"),
    (
        "FailureAction",
        "an event listener for PROCESS_STATE_FATAL can react",
    ),
    (
        "SuccessAction",
        "an event listener for PROCESS_STATE_EXITED can react",
    ),
    (
        "StartLimitAction",
        "an event listener for PROCESS_STATE_FATAL can react",
    ),
    ("Alias", "a program has one name"),
    ("Also", "import that unit too"),
    ("DefaultInstance", "import the instance by its whole name"),
    ("PIDFile", "nobody reads it unless pidproxy does"),
    ("BusName", "nobody waits for its name on the bus"),
    (
        "GuessMainPID",
        "the process that was started is the program",
    ),
    (
        "RuntimeMaxSec",
        "a program may run for ever; `timeout` before the command ends it",
    ),
    (
        "TimeoutAbortSec",
        "after the watchdog's ABRT it has stopwaitsecs",
    ),
    (
        "TimeoutStartFailureMode",
        "a program that is not ready in time is stopped as ever",
    ),
    (
        "TimeoutStopFailureMode",
        "a program that does not stop is killed with KILL",
    ),
    ("FinalKillSignal", "what does not stop gets KILL"),
    ("RestartKillSignal", "a restart stops with stopsignal"),
    ("WatchdogSignal", "the watchdog ends it with ABRT"),
    (
        "SendSIGKILL",
        "what does not stop within stopwaitsecs gets KILL",
    ),
    ("SendSIGHUP", "nothing but stopsignal is sent"),
    (
        "RestartSteps",
        "the pause after failed starts grows by a second each time",
    ),
    (
        "RestartMaxDelaySec",
        "the pause after failed starts grows by a second each time",
    ),
    (
        "RestartMode",
        "there are no dependencies that a restart could stop",
    ),
    (
        "OOMPolicy",
        "`status` tells of memory kills, and the program's end is treated like any other",
    ),
    (
        "Sockets",
        "no socket is handed to a program, but that of an [fcgi-program:x] on descriptor 0",
    ),
    (
        "FileDescriptorStoreMax",
        "descriptors of programs are not kept",
    ),
    ("NonBlocking", "no socket is handed to a program"),
    (
        "DynamicUser",
        "no user is made: make one (useradd --system, or sysusers.d) and set user=",
    ),
    ("PAMName", "no session is opened"),
    ("TTYPath", "a program has no terminal"),
    ("RootDirectory", "put /usr/sbin/chroot before the command"),
    ("RootImage", RESTRICTION),
    ("Slice", "all programs are in the scope of supervisord"),
    ("Delegate", "a program's cgroup is not its own"),
    (
        "CPUShares",
        "cpu_weight= is the new form: 100 is the usual share",
    ),
    ("StartupCPUWeight", "there is one weight for all times"),
    ("StartupIOWeight", "there is one weight for all times"),
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
    ("LogLevelMax", "every line goes to the journal"),
    (
        "LogExtraFields",
        "entries of the journal have SUPERVISOR_PROCESS and its like",
    ),
    (
        "SyslogFacility",
        "entries of the journal have the facility of daemons",
    ),
    (
        "SyslogLevel",
        "entries of the journal have the level of their stream",
    ),
    (
        "SyslogLevelPrefix",
        "entries of the journal have the level of their stream",
    ),
    ("Personality", "put setarch before the command"),
    (
        "IgnoreSIGPIPE",
        "PIPE is not ignored: programs start with all signals as the kernel has them",
    ),
    ("KeyringMode", RESTRICTION),
    ("SecureBits", "see capabilities= and no_new_privileges="),
    ("LockPersonality", RESTRICTION),
    ("MountFlags", RESTRICTION),
    ("MountAPIVFS", RESTRICTION),
    ("RemoveIPC", RESTRICTION),
    ("UtmpIdentifier", "no login is recorded"),
    ("PermissionsStartOnly", "user= goes for everything"),
    ("RootDirectoryStartOnly", "there is no RootDirectory="),
    ("RuntimeDirectoryPreserve", "nobody removes it"),
    (
        "CoredumpFilter",
        "write it to /proc/self/coredump_filter in a script that ends in `exec`",
    ),
    ("TimerSlackNSec", "it has the daemon's"),
    (
        "LoadCredential",
        "no credentials are handed over: let the program read the file",
    ),
    (
        "LoadCredentialEncrypted",
        "no credentials are handed over: let the program read the file",
    ),
    ("SetCredential", "no credentials are handed over"),
    ("SetCredentialEncrypted", "no credentials are handed over"),
    ("ImportCredential", "no credentials are handed over"),
];

const ORDER: &str = "units are not waited for; programs start by priority=, low numbers first (supervisord.service itself comes after network.target)";
const NEED: &str = "programs do not start or stop one another; priority= says which starts first";
const RESTRICTION: &str = "the program runs without this restriction";

/// Remarks by the beginning of a directive. The first match counts.
const BEGINNINGS: &[(&str, &str)] = &[
    (
        "Condition",
        "no condition is asked: the program starts in any case",
    ),
    (
        "Assert",
        "no condition is asked: the program starts in any case",
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
    ("Memory", "memory_max= and memory_high= are what there is"),
    (
        "ManagedOOM",
        "memory_max= and memory_high= are what there is",
    ),
    ("IO", "io_weight= is what there is"),
    (
        "BlockIO",
        "io_weight= is what there is: 100 is the usual share",
    ),
    ("CPU", "cpu_max= and cpu_weight= are what there is"),
    ("Log", "the journal has it its own way"),
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
        .map_or("has no equivalent, and no effect", |&(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directive_gets_a_sentence() {
        assert_eq!(of("Service", "PrivateTmp"), RESTRICTION);
        assert_eq!(of("Unit", "After"), ORDER);
        assert_eq!(
            of("Service", "Nonsense"),
            "has no equivalent, and no effect"
        );
        assert_eq!(of("X-Mine", "A"), "this section has no equivalent");
        let mut names: Vec<_> = EXACT.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), EXACT.len());
    }
}
