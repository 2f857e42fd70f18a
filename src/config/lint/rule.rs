//! RULES: what `supervisord --check` reports, declared once. The manual page and the codes of `--json` derive from these
//! rows.

/// How serious a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The daemon refuses the configuration.
    Error,
    /// The daemon accepts it, and it is probably a mistake.
    Warning,
    /// A fact that a reader may not know. It never changes the exit status.
    Info,
}

impl Severity {
    /// Every severity, the most serious first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];

    /// The word in reports and in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleScope {
    /// The files alone: the result is the same on every host.
    Files,
    /// The host too: its files, users and environment. `--any-host` leaves these rules out.
    Host,
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuleRow {
    /// The rule.
    pub rule: Rule,
    /// Its name for users and in JSON: lower case, words joined by `-`. It never changes its meaning.
    pub code: &'static str,
    /// The severity, unless the daemon itself refuses the configuration: then it is an error.
    pub severity: Severity,
    /// What it looks at.
    pub scope: RuleScope,
    /// What it finds, in one sentence.
    pub doc: &'static str,
    /// What to do, if the problem itself has no better remedy.
    pub remedy: &'static str,
}

/// Declares the rules and their rows.
macro_rules! rules {
    ($($rule:ident $code:literal $severity:ident $scope:ident $doc:literal $remedy:literal)*) => {
        /// A rule, by which a problem was found.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rule {
            $(#[doc = $doc] $rule,)*
        }

        /// Every rule, in the order of the manual page.
        pub const RULES: &[RuleRow] = &[
            $(RuleRow {
                rule: Rule::$rule,
                code: $code,
                severity: Severity::$severity,
                scope: RuleScope::$scope,
                doc: $doc,
                remedy: $remedy,
            },)*
        ];
    };
}

rules! {
    Syntax "syntax" Error Files
        "A line is neither a section, nor `KEY=VALUE`, nor a comment; or a file is not UTF-8."
        "write KEY=VALUE, or begin a comment with ;"
    MissingSection "missing-section" Error Files
        "The file has no `[supervisord]`."
        "add the line [supervisord]"
    MissingKey "missing-key" Error Files
        "A section lacks a key that it needs."
        "add the key"
    BadNumber "bad-number" Error Files
        "A value is not a number, or the number is out of its range."
        "write a number in the range of the key"
    BadValue "bad-value" Error Files
        "A key does not take this value."
        "see the key in supervisord.conf(5)"
    BadName "bad-name" Error Files
        "A name contains a blank, a colon or a slash."
        "use letters, digits, -, _ and . in names"
    BadExpansion "bad-expansion" Error Files
        "A `%` begins neither a known name nor `%%`."
        "write %% for a percent sign"
    UnsetVariable "unset-variable" Error Host
        "`%(ENV_X)s` names a variable that is not set."
        "set the variable in the environment of supervisord, or give a default: %(ENV_X:-TEXT)s"
    UnknownUser "unknown-user" Error Host
        "The host has no such user or group."
        "create the user or the group, or name another one"
    UnknownProgram "unknown-program" Error Files
        "A group names a program that no section defines."
        "name a program of this configuration"
    BadDependency "bad-dependency" Error Files
        "A dependency names something unknown, or dependencies form a cycle."
        "name a program, a group or GROUP:PROCESS, without a cycle"
    UnreadableFile "unreadable-file" Error Host
        "A configuration file is missing or cannot be read."
        "create the file, or correct its name or its permissions"

    DuplicateSection "duplicate-section" Warning Files
        "A section is defined in several places, also across included files. The last value of each key wins."
        "rename or remove one of the sections"
    DuplicateKey "duplicate-key" Warning Files
        "A section sets a key twice. Only the last value counts."
        "remove one of the two lines"
    UnknownSection "unknown-section" Warning Files
        "The daemon ignores a section that it does not know."
        "correct the name of the section, or remove it"
    UnknownKey "unknown-key" Warning Files
        "The daemon ignores a key that it does not know."
        "correct the name of the key, or remove it"
    ImpliedSection "implied-section" Warning Files
        "The file has neither `[supervisord]` nor `[rpcinterface:x]`. Both are assumed."
        "add [supervisord] and [rpcinterface:supervisor]"
    IncludedDaemonKey "included-daemon-key" Warning Files
        "An included file sets a key of `[supervisord]`."
        "set the key in the main file only"
    NestedInclude "nested-include" Warning Files
        "An included file has `[include]`, which has no effect."
        "name the files in the [include] of the main file"
    EmptyInclude "empty-include" Warning Host
        "A pattern of `[include]` matches no file, or a file cannot be read."
        "correct the pattern, or create the file"
    IncludeComma "include-comma" Warning Files
        "Patterns of `[include]` are separated by commas. A comma is part of a name."
        "separate the patterns by blanks"
    PythonPlugin "python-plugin" Warning Files
        "A section names a Python plug-in. Plug-ins are not loaded."
        "remove the section; see python plug-ins in supervisord.conf(5)"
    CutValue "cut-value" Warning Files
        "A value ends inside quotes, because a `;` or `#` after a blank begins a comment."
        "remove the blank before the ; or write the command into a script"
    SinglePercent "single-percent" Warning Files
        "A single `%` expands to all names and values."
        "write %% for a percent sign"

    MissingCommand "missing-command" Warning Host
        "The file of `command` does not exist, or is not in the search path."
        "install the program, or write its absolute path"
    NotExecutable "not-executable" Warning Host
        "The file of `command` cannot be executed."
        "make the file executable: chmod +x FILE"
    MissingInterpreter "missing-interpreter" Warning Host
        "The file of `command` is a script without a `#!` line, or its interpreter does not exist."
        "begin the script with a line such as #!/bin/sh"
    MissingDirectory "missing-directory" Warning Host
        "A directory does not exist. For a log or a file of the daemon it is an error."
        "create the directory"
    ShellSyntax "shell-syntax" Warning Files
        "`command` has syntax of a shell, which it does not go through: `&&`, `|`, `>`, `;`, `$NAME`, `~`, `cd`."
        "write command=/bin/sh -c '...'"
    QuotedCommand "quoted-command" Warning Files
        "Quotes around the whole `command` make it one word, the name of a file."
        "remove the quotes around the command"
    Assignment "assignment" Warning Files
        "`command` begins with `NAME=VALUE`, which only a shell understands."
        "set the variable with environment=NAME=\"VALUE\""
    ForkingDaemon "forking-daemon" Warning Files
        "The program goes into the background. The daemon sees it exit and starts it again and again."
        "start the program in the foreground"
    BufferedPython "buffered-python" Info Files
        "Python buffers its output when it is no terminal, so lines appear late in the log."
        "write python -u, or environment=PYTHONUNBUFFERED=\"1\""
    OpenCommand "open-command" Warning Host
        "Users other than root, or everybody, can change the file that a program executes."
        "correct the owner and the mode of the file and of the directories above it, or set user"
    OpenConfiguration "open-configuration" Warning Host
        "Users other than root can change a configuration file, or add one."
        "correct the owner and the mode of the file and of the directories above it"
    EnvFile "env-file" Warning Host
        "An env file is missing, cannot be read, or has a bad line."
        "create or correct the env file"

    NoProcesses "no-processes" Warning Files
        "`numprocs=0` makes no process."
        "write a number of at least 1, or autostart=false to start it by hand"
    NegativeNumber "negative-number" Warning Files
        "A time or a number of retries is negative. It counts as 0."
        "write 0 or a positive number"
    SmallSize "small-size" Warning Files
        "A size is so small that a unit is probably missing: a number alone counts bytes."
        "add a unit such as KB, MB or GB"
    LogWord "log-word" Warning Files
        "A log target is a word that is probably not meant as a file name."
        "write one of NONE, AUTO, syslog, journal and memory, or a path with a slash"
    SharedLog "shared-log" Warning Files
        "Several programs, processes or streams write and rotate one file, and lose lines."
        "give each its own file, for example with %(process_num)d in the name, or use redirect_stderr"
    RotatedStream "rotated-stream" Warning Files
        "A stream such as `/dev/stdout` is rotated, which is impossible."
        "set the maxbytes of the log to 0"
    UnwritableLog "unwritable-log" Warning Host
        "The user that writes a log, or another file of the daemon, cannot write to its directory."
        "change the owner of the directory, or name another directory"
    UnrotatedLog "unrotated-log" Warning Files
        "An AUTO log is never rotated."
        "set its maxbytes above 0"
    UnusedLog "unused-log" Warning Files
        "`redirect_stderr` is set, so `stderr_logfile` has no effect."
        "remove redirect_stderr or stderr_logfile"
    DeprecatedSyslog "deprecated-syslog" Warning Files
        "`*_logfile=syslog` is deprecated in Supervisor."
        "write stdout_syslog=true or stderr_syslog=true"

    EmptyGroup "empty-group" Warning Files
        "A group has no programs."
        "list the members in programs, or remove the group"
    DuplicateMember "duplicate-member" Warning Files
        "A group names a program twice."
        "remove one of the two names"
    SeveralGroups "several-groups" Warning Files
        "Several groups name one program, so each of them runs its own processes of it."
        "keep the program in one group"
    DuplicateName "duplicate-name" Warning Files
        "Several groups, or several processes of one group, have the same name. Only one of them is used."
        "give each its own name"
    SharedSocket "shared-socket" Warning Files
        "Several programs have the same socket, or an fcgi program has none."
        "give each program its own socket"
    WaitsBySleep "waits-by-sleep" Info Files
        "A program begins with `sleep` or a loop that waits for another one. `priority` orders starts, but waits for nothing."
        "name the other program in depends_on"
    UnreachableDependency "unreachable-dependency" Warning Files
        "A dependency waits for what does not happen: the program has no processes, or is always restarted and should have exited."
        "correct the condition in depends_on, or the program that it names"
    StopTime "stop-time" Info Files
        "Stopping may take longer than `TimeoutStopSec` of the unit. The daemon asks systemd for more time; other service managers and containers do not wait."
        "set a longer timeout where the daemon is not started by supervisord.service, or a shorter stopwaitsecs"
    NoGrace "no-grace" Info Files
        "The program is killed at once, so it cannot clean up."
        "set stopsignal=TERM and stopwaitsecs of at least 1"
    NoEffect "no-effect" Warning Files
        "A key has no effect without another key."
        "remove the key, or set the other one"
    MissingRight "missing-right" Warning Host
        "A key needs privileges or a cgroup that the daemon does not have on this host."
        "run the daemon as root with the cgroup controllers, or remove the key"
    ClearPassword "clear-password" Warning Files
        "A TCP port that other hosts can reach asks for a password, which travels unencrypted."
        "listen on 127.0.0.1 behind a proxy with TLS, or use [unix_http_server]"
    OpenPort "open-port" Warning Files
        "A TCP port that other hosts can reach asks for no password: everybody there can run programs."
        "listen on 127.0.0.1, or set username and password"
}

impl Rule {
    /// The row of this rule.
    #[must_use]
    pub fn row(self) -> &'static RuleRow {
        &RULES[self as usize]
    }

    /// Its name for users and in JSON.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.row().code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_the_rules_and_codes_are_unique() {
        for (index, row) in RULES.iter().enumerate() {
            assert_eq!(row.rule as usize, index);
            let same = RULES.iter().filter(|other| other.code == row.code);
            assert_eq!(same.count(), 1, "{}", row.code);
            let is_plain = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(row.code.chars().all(is_plain), "{}", row.code);
            assert!(
                row.doc.ends_with('.') && !row.remedy.ends_with('.'),
                "{}",
                row.code
            );
        }
    }
}
