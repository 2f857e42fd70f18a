//! Generates the manual page supervisorctl(1) from ACTIONS, the options and the exit statuses.

use super::action::CtlAction;
use super::actions::ACTIONS;
use super::go_actions::GO_ACTIONS;
use super::{exit, options};
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
`supervisorctl` controls a running supervisord(8): it starts, stops and restarts programs, shows their states and logs, and
applies changes of the configuration. With an action, it runs the action and exits. Without an action, it is an interactive
shell.

`-s` sets the address of the daemon; the default is `serverurl` in the section `[supervisorctl]` of the configuration, which
is searched like the configuration of the daemon.";

const NAMES: &str = "\
Actions on processes take names as `status` prints them: <process>, or <group>`:`<process> if the group has another name than
the process. <group>`:*` selects all processes of a group, `all` all processes. The name of a group alone selects the group
if no process has this name. Patterns such as `web*`, `jobs:m?il` and `*:api` select all names that match; a pattern without a
colon is compared with names as `status` prints them. Where an action takes one process, a pattern must match one. Quote patterns in a shell.

All actions also exit with status 2 for wrong options, 4 if the daemon refuses the connection, 7 if the socket does not exist,
3 or 5 if the daemon does not offer the API, and 130 after Ctrl-C, unless their entry says otherwise.";

const GO: &str = "\
`supervisord ctl` (supervisord(8)) accepts these actions, and all others but those of the shell. They are those of the Go project; \
`reload` means something else there.";

const TERMINAL: &str = "\
Without a terminal as standard output, and without options that Supervisor lacks, the output is that of Supervisor. At a terminal:

States have colours, unless `NO_COLOR` is set; `--color` decides otherwise. Columns are aligned by the width of characters. The
descriptions of `status` explain states: `for 4 s of 10 s` (STARTING: the process has been up for 4 of `startsecs`), `SIGKILL in 6 s`
(STOPPING), `retry 2 of 3 in 2 s` (BACKOFF), and for a process that has exited how and when, with 24 hours and its age. `status --watch` shows
the states again every second.

An action that takes longer than a second shows what it waits for: `stopping 3 of 7, api: SIGKILL in 6 s` means that 3 of 7 processes have not
exited yet. Ctrl-C ends the client, not the action: it says what the daemon goes on with. `shutdown` waits until the daemon has exited.
After several results, failures come last, each with its reason, then a summary.

Misspelt names and actions get a suggestion on standard error. If the daemon cannot be reached, the message names the address, the errno,
and what to do next.";

const JSON: &str = "\
With `--json` or `-o json`, every action but `fg`, `tail -f` and `maintail -f` prints one line of JSON to standard output (`logs`: one for each line of
the logs). Errors go to standard error too. The exit status is the same as without the option. The member `schema` is 1. It increases when a member
changes its meaning or is removed; new members can appear at any time. Some actions have members of their own, which the
following list has. The others print `action`, `results`, `errors` and `output`. If an action of the list fails before it has anything to print, it
prints the same members. `program -o json` prints the result of the method that it calls (supervisord-xmlrpc(7)).";

const ANSWERS: &[(&str, &str)] = &[
    (
        "Every other action",
        "`action`: its name. `results`: array of objects for processes and groups, with `group`, `name` (null for a whole group), `namespec`, `ok` (false: the exit \
         status counts it as a failure), `code` (`SUCCESS` or the name of a fault, see supervisord-xmlrpc(7)) and `text` (such as `started` or `spawn error`). \
         `errors`: array of objects with `code` (the name of a fault or errno, `HTTP_` and a status, or `ERROR`) and `text`, for failures that concern no single process. \
         `output`: other text that the action prints, if any.",
    ),
    (
        "`status`",
        "`processes`: array of objects with `group`, `name`, `namespec`, `state` (its name), `statecode`, `pid` (0 if none), \
         `description`, `start`, `stop` and `now` (seconds since the epoch, 0 for never), `exitstatus`, `spawnerr`, `logs` \
         with the paths `stdout` and `stderr`, and `health` (`none`, `starting`, `healthy` or `unhealthy`). With `-v` also `restarts`, `lastexit`, `logtargets` (array of objects with `stream`, `target`, `written`, `dropped` and `fails`), `laststderr` (array of objects with `pid`, `exited`, `exit` and `text`: what dead instances wrote last to standard error) and `nextattempt` (seconds since the epoch, 0 \
         if none is due). `progress` (what happens next without a request, such as `SIGKILL in 6 s`; may be empty) is a member too. `errors`, if a name is unknown: array of objects with `name`, `error`, `code` and `text`.",
    ),
    (
        "`pid`",
        "`pid`: PID of the daemon. With names, `pids`: array of objects with `group`, `name`, `namespec` and `pid`.",
    ),
    (
        "`avail`",
        "`configs`: array of objects with `group`, `name`, `namespec`, `inuse`, `autostart`, `group_prio` and `process_prio`.",
    ),
    (
        "`config`",
        "`processes`: array of objects with `group`, `name`, `section`, `numprocs` and `keys`, as the method getProcessConfig returns them.",
    ),
    (
        "`diff`",
        "`sections`: array of objects with `section`, `change` (`added`, `removed` or `changed`), `reason` (null if the keys are the reason) and `keys`, as in `plan`.",
    ),
    (
        "`history`",
        "`requests`: array of objects, the oldest first, with `at` (seconds since the epoch), `local` (the same time in the zone of the daemon), \
         `who`, `verb`, `target` and `result`.",
    ),
    (
        "`hold`, `release`",
        "`results`: array of objects with `name`, `ok` and `error` (empty if `ok` is true).",
    ),
    (
        "`security`",
        "`programs`: array of objects as the method getSecurity returns them, the least confined first.",
    ),
    (
        "`top`",
        "`processes`: array of objects with `group`, `name`, `namespec`, `state`, `statecode`, `pid`, `description`, `cpu_permille`, \
         `memory_bytes`, `pids` and `pressure_permille` (array: CPU, memory, I/O); null where a figure is not known.",
    ),
    (
        "`why`",
        "`processes`: array of objects with `group`, `name`, `namespec`, `state`, `description`, `spawnerr`, `restarts`, `exits` (how often \
         attempts ended, by reason), `timeline` (array of objects with `at`, `local`, `what`: `request`, `refused` or a state, and `text`) and \
         `laststderr` (array of objects with `pid`, `exited`, `local`, `exit` and `stderr`).",
    ),
    (
        "`reread`",
        "`added`, `changed` and `removed`: arrays of group names.",
    ),
    (
        "`next`",
        "`schedules`: array of objects with `namespec`, `next` (seconds since the epoch, 0 for never), `next_local` (the same time \
         in the zone of the schedule), `skipped`, `missed` and `cron`.",
    ),
    (
        "`runs`",
        "`runs`: array of objects with `start`, `start_local`, `end` (0 if not ended), `end_local` and `result`.",
    ),
    (
        "`source`",
        "`kind` (`files`, `nacos` or `command`), `item`, `server`, `md5` (of the applied text), `newest_md5`, `up`, `rejected`, `error`, `read_at`, `applied_at` and `now` (seconds since the epoch, 0 for never) and `needs_restart`.",
    ),
    (
        "`plan`, `update --dry-run`",
        "`id`: hash of all groups that differ, as they are and as they would be. `groups`: array of objects with `name`, `action`, \
         `scaled` (true if `update` would give the group its configured processes, when it gets its name), `rolling` (how many processes `update` restarts at a time; 0: all), `keys` and `programs`. \
         `unchanged`: array of group names. A program has `section`, `action`, `reason` (null if the keys are the reason) and `keys`. \
         A key has `key`, `section`, `old` and `new` (as written; null if not set or hidden), `hidden` (true for `environment`, \
         `serverurl` and passwords, whose values are not shown), `live` (true if the change needs no restart) and `place` \
         (file:line of the new value, or null). `action` is `add`, `remove`, `restart`, `rescale`, `live` or `nothing`.",
    ),
    ("`version`", "`version`: version of the daemon."),
];

const SHELL: &str = "\
The shell prints the states, then a prompt. Tab completes actions and names; the arrow keys recall earlier lines, and
`history_file` saves them. `help` lists the actions, `help` <action> and `?`<action> describe one action. `exit`, `quit` and
the end of input (Ctrl-D, or the word `EOF`) leave the shell. `shutdown` and `reload` ask for confirmation, and at a terminal also what changes `all` processes. If the daemon
requires a password, the shell asks for it.";

const ACCESS: &str = "\
The file mode of a unix socket decides who can use it. In the packaged configuration, the socket belongs to the group
`supervisor`: if you see “permission denied”, join the group and log in again. With `allow=` in `[unix_http_server]`
(supervisord.conf(5)), the administrator can permit single actions to users; a refused request gets an error and writes an
audit line. A TCP port is open to everybody who knows its user name and password.

“refused connection” and “no such file” mean that no daemon listens on this address.

`reread`, `update` and `reload` print all errors and warnings of the configuration to standard error, with file, line and
column, after the output of Supervisor.";

const COMPLETION: &str = "\
The package installs completion for bash(1), zsh(1) and fish(1). It completes options, actions and their arguments, and the
names of the current processes if the daemon answers within one second.

The scripts call `supervisorctl --complete` <index> <word> ..., where the words are the command line including the name of the
program, and the index, from 0, is the word at the cursor. The command prints one candidate per line, with a tab and a
description if there is one. A line that begins with a tab names candidates that the shell must supply: `files`,
`directories` or `users`. The command prints no errors, never prompts and always exits with status 0.";

const EXAMPLES: &[(&str, Example, &str)] = &[
    (
        "Show all processes, and the processes of one group:",
        Example::Shell,
        "supervisorctl status\nsupervisorctl status 'jobs:*'",
    ),
    (
        "Restart one process, then the processes of a group one after another:",
        Example::Shell,
        "supervisorctl restart web\nsupervisorctl serialrestart 'jobs:*'",
    ),
    (
        "Show changes of the configuration files, then apply them:",
        Example::Shell,
        "supervisorctl reread\nsupervisorctl update",
    ),
    (
        "Show what an update would do, and do exactly this:",
        Example::Shell,
        "supervisorctl plan\nsupervisorctl update --if-plan \"$(supervisorctl plan -o json | jq -r .id)\"",
    ),
    (
        "Print the last 500 bytes of standard error; follow standard output:",
        Example::Shell,
        "supervisorctl tail -500 web stderr\nsupervisorctl tail -f web",
    ),
    (
        "Signal a program to reopen its logs:",
        Example::Shell,
        "supervisorctl signal USR1 web",
    ),
    (
        "Run six processes of a program until `update worker`:",
        Example::Shell,
        "supervisorctl scale worker 6",
    ),
    (
        "In scripts: list all processes that are not RUNNING; test one process:",
        Example::Shell,
        "supervisorctl status --json | jq -r '.processes[] | select(.state != \"RUNNING\") | .namespec'\n\
         if supervisorctl status web >/dev/null; then echo it runs; fi",
    ),
    (
        "Control a daemon on another host:",
        Example::Machine,
        "supervisorctl -s http://host.example:9001 -u admin -p \"$PASSWORD\" status",
    ),
];

/// The manual page supervisorctl(1), in roff.
#[must_use]
pub fn page() -> String {
    let mut page = Page::new("supervisorctl", "the tables of actions and options");
    page.synopsis(&["`supervisorctl` [<option> ...] [<action> [<argument> ...]]"]);
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.section("OPTIONS");
    page.prose("Options must come before the action.");
    for row in options::ROWS {
        let short = row.opt.short.map(|letter| format!("`-{letter}`, "));
        let value = match row.value {
            "" => String::new(),
            value => format!(" <{}>", value.to_lowercase()),
        };
        page.entry(
            &format!(
                "{}`--{}`{value}",
                short.unwrap_or_default(),
                row.opt.long.unwrap_or_default()
            ),
            &sentence(row.doc),
        );
    }
    page.section("ACTIONS");
    page.prose(NAMES);
    for (title, are_ours) in [
        ("Actions of Supervisor", false),
        ("Actions that Supervisor does not have", true),
    ] {
        page.part(title);
        let of_kind = |action: &&CtlAction| action.is_ours == are_ours && !action.help.is_empty();
        for action in ACTIONS.iter().filter(of_kind) {
            described(&mut page, action);
        }
    }
    page.part("Actions of supervisord ctl");
    page.prose(GO);
    for action in GO_ACTIONS.iter().filter(|action| action.listed) {
        described(&mut page, action);
    }
    page.section("AT A TERMINAL");
    page.prose(TERMINAL);
    page.section("JSON");
    page.prose(JSON);
    for (action, members) in ANSWERS {
        page.entry(action, members);
    }
    page.section("THE SHELL");
    page.prose(SHELL);
    page.section("EXIT STATUS");
    for (status, what) in exit::STATUSES {
        page.entry(&status.to_string(), what);
    }
    page.section("WHO MAY USE THE SOCKET");
    page.prose(ACCESS);
    page.section("COMPLETION");
    page.prose(COMPLETION);
    page.section("FILES");
    page.entry(
        "`/etc/supervisor/supervisord.conf`, `/etc/supervisord.conf`",
        "The packaged configuration. The client does not follow `[include]`.",
    );
    page.entry(
        "`/run/supervisor/supervisor.sock`",
        "The socket of the packaged configuration.",
    );
    page.section("EXAMPLES");
    for (what, kind, text) in EXAMPLES {
        page.prose(what);
        page.example(*kind, text);
    }
    page.see_also(&[("bash", 1), ("fish", 1), ("zsh", 1), ("jq", 1)])
}

/// Appends the entry of an action: its description, forms, notes and exit statuses.
fn described(page: &mut Page, action: &CtlAction) {
    page.entry(&format!("`{}`", action.name), action.about);
    for (usage, doc) in action.usages() {
        let usage = usage
            .replace("<signal name>", "<signal>")
            .replace("<gname>", "<group>");
        let doc = match doc.is_empty() {
            true => String::new(),
            false => format!(": {}", sentence(&doc)),
        };
        page.more(&format!("`{usage}`{doc}"));
    }
    for note in action.notes() {
        page.more(&sentence(note));
    }
    let exits: Vec<String> = action
        .exits
        .iter()
        .map(|(status, what)| format!("{status} – {what}"))
        .collect();
    if !exits.is_empty() {
        page.more(&format!("Exit status: {}.", exits.join("; ")));
    }
}

/// Capitalises text and adds a full stop. Empty text stays empty.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::reply::{ConfigInfo, ProcessInfo, ProcessJson, ReloadResult};
    use super::super::results::ActionJson;
    use super::*;
    use crate::config::diff::GroupAction;
    use crate::config::plan::{GroupPlan, KeyChange, ProgramPlan, UpdatePlan};

    #[test]
    fn every_member_of_an_answer_is_documented() {
        let process = ProcessInfo::default();
        let configured = ConfigInfo {
            group: String::new(),
            name: String::new(),
            namespec: String::new(),
            inuse: false,
            autostart: false,
            group_prio: 0,
            process_prio: 0,
        };
        let difference = ReloadResult {
            added: Vec::new(),
            changed: Vec::new(),
            removed: Vec::new(),
        };
        let text: String = ANSWERS.iter().map(|(_, members)| *members).collect();
        let change = KeyChange {
            key: String::new(),
            section: String::new(),
            old: None,
            new: None,
            hidden: false,
            live: false,
            place: None,
        };
        let program = ProgramPlan {
            section: String::new(),
            action: GroupAction::Restart,
            reason: None,
            keys: vec![change.clone()],
        };
        let group = GroupPlan {
            name: crate::domain::GroupName::parse("g").expect("valid"),
            action: GroupAction::Restart,
            scaled: false,
            rolling: 0,
            keys: Vec::new(),
            programs: vec![program.clone()],
        };
        let plan = UpdatePlan {
            id: String::new(),
            groups: Vec::new(),
            unchanged: Vec::new(),
        };
        for value in [
            serde_json::to_value(plan),
            serde_json::to_value(group),
            serde_json::to_value(program),
            serde_json::to_value(change),
            serde_json::to_value(ProcessJson::from(&process)),
            serde_json::to_value(configured),
            serde_json::to_value(difference),
        ] {
            let value = value.expect("written");
            for name in value.as_object().expect("an object").keys() {
                assert!(text.contains(&format!("`{name}`")), "{name}");
            }
        }
    }

    #[test]
    fn every_action_is_described_with_known_exit_statuses() {
        let own = GO_ACTIONS.iter().filter(|action| action.listed);
        let all = ACTIONS.iter().filter(|action| !action.help.is_empty());
        for action in all.chain(own) {
            assert!(action.about.ends_with('.'), "{}", action.name);
            for (status, what) in action.exits {
                let is_known = exit::STATUSES.iter().any(|(known, _)| known == status);
                assert!(is_known && !what.is_empty(), "{} {status}", action.name);
            }
        }
    }

    #[test]
    fn every_action_with_json_of_its_own_is_documented() {
        // Lines of logs have no members to describe.
        let own = ACTIONS
            .iter()
            .filter(|action| action.help_ours.contains("--json") && action.name != "logs");
        for action in own {
            let name = format!("`{}", action.name);
            assert!(
                ANSWERS.iter().any(|(who, _)| who.contains(&name)),
                "{}",
                action.name
            );
        }
        let report = serde_json::to_value(ActionJson {
            action: "",
            results: &[],
            errors: &[],
            output: "text",
        });
        let (_, members) = ANSWERS[0];
        for name in report
            .expect("written")
            .as_object()
            .expect("an object")
            .keys()
        {
            assert!(members.contains(&format!("`{name}`")), "{name}");
        }
    }
}
