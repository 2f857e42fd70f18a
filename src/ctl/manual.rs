//! Generates the manual page supervisorctl(1) from ACTIONS, the options and the exit statuses.

use super::command::{ACTIONS, CtlAction};
use super::exit;
use super::options;
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
`supervisorctl` asks a running supervisord(8) to start, stop and restart programs, shows their states and logs, and takes
changes of the configuration over. With an action it does that and ends; without one it is a shell in which one action is
typed after the other.

Where the daemon answers is said by `-s`, else by `serverurl` in the section `[supervisorctl]` of the configuration; the
file is found as the daemon finds its own.";

const NAMES: &str = "\
Actions on processes take names as `status` prints them: <process>, or <group>`:`<process> where the group has another name
than the process. <group>`:*` is every process of a group, `all` every process there is. A group's name alone means the
group, if no process has that name. A shell may expand the asterisk if files fit; quote it then.";

const JSON: &str = "\
With `--json` the actions `avail`, `pid`, `reread`, `status` and `version` print one line of JSON on standard output;
complaints go to standard error. Its member `schema` is 1, and rises when something that was there changes its meaning or
goes away; members may be added. The exit status is the same as without.";

const ANSWERS: &[(&str, &str)] = &[
    (
        "`status`",
        "`processes`: array of objects with `group`, `name`, `namespec`, `state` (its name), `statecode`, `pid` (0 if none), \
         `description`, `start`, `stop` and `now` (seconds since the epoch, 0 for never), `exitstatus`, `spawnerr`, and `logs` \
         with the paths `stdout` and `stderr`. `errors`, if a name is not known: array of objects with `name` and `error`.",
    ),
    (
        "`pid`",
        "`pid`: that of the daemon. With names, `pids`: array of objects with `group`, `name`, `namespec` and `pid`.",
    ),
    (
        "`avail`",
        "`configs`: array of objects with `group`, `name`, `namespec`, `inuse`, `autostart`, `group_prio` and `process_prio`.",
    ),
    (
        "`reread`",
        "`added`, `changed` and `removed`: arrays of names of groups.",
    ),
    ("`version`", "`version`: that of the daemon."),
];

const SHELL: &str = "\
The shell shows the states, then a prompt. Tab completes actions and names; the arrow keys recall earlier lines, which
`history_file` keeps from one time to the next. `help` lists the actions, `help` <action> and `?`<action> tell about one.
`exit`, `quit` and the end of input (Ctrl-D, or the word `EOF`) leave it. Actions that end something ask for consent. If the
daemon wants a password it is asked for.";

const ACCESS: &str = "\
A unix socket can be used by whom its file's mode allows. The packages' configuration gives it to the group `supervisor`: to
become a member, and log in again, is the remedy for “Permission denied”. The daemon's administrator can instead say by
`allow=` in `[unix_http_server]` who may do what (supervisord.conf(5)); who is not allowed something is told so, and the log has
a line. A port is open to whoever knows its user name and password.

“refused connection” and “no such file” mean that no daemon runs there.

`reread`, `update` and `reload` say on standard error what is wrong with the configuration: every error and every warning, with
file, line and column. What Supervisor prints stays as it is, and comes first.";

const COMPLETION: &str = "\
Completion for bash(1), zsh(1) and fish(1) is installed with the package. It knows options, actions and their words, and the
names of the processes that the daemon has at that moment, if it answers within a second.

`supervisorctl --complete` <index> <word> ... is what those scripts call, as its first option: words as they stand on the
command line, the program's own name first, and the place of the one that is being typed, from 0 on. It prints candidates,
one a line, each with a description behind a tab character if it has one. A line with nothing before the tab stands for names
of another kind, which shells know better: `files`, `directories`, `users`. It never asks for anything, is
silent about errors and always ends with status 0.";

const EXAMPLES: &[(&str, Example, &str)] = &[
    (
        "What runs, and what of one group does:",
        Example::Shell,
        "supervisorctl status\nsupervisorctl status 'jobs:*'",
    ),
    (
        "Restart one process, then a group, one after the other:",
        Example::Shell,
        "supervisorctl restart web\nsupervisorctl serialrestart 'jobs:*'",
    ),
    (
        "Take over what has changed in the files, after a look at it:",
        Example::Shell,
        "supervisorctl reread\nsupervisorctl update",
    ),
    (
        "The last 500 bytes of standard error; everything from now on:",
        Example::Shell,
        "supervisorctl tail -500 web stderr\nsupervisorctl tail -f web",
    ),
    (
        "Have a program open its logs again:",
        Example::Shell,
        "supervisorctl signal USR1 web",
    ),
    (
        "Six processes instead of three, until `update worker`:",
        Example::Shell,
        "supervisorctl scale worker 6",
    ),
    (
        "For scripts: names of all that does not run, and whether a process runs:",
        Example::Shell,
        "supervisorctl status --json | jq -r '.processes[] | select(.state != \"RUNNING\") | .namespec'\n\
         if supervisorctl status web >/dev/null; then echo it runs; fi",
    ),
    (
        "A daemon elsewhere:",
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
    page.prose("Options stand before the action.");
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
    for (title, are_ours) in [("Actions of Supervisor", false), ("Actions of ours", true)] {
        page.part(title);
        let of_kind = |action: &&CtlAction| action.is_ours == are_ours && !action.help.is_empty();
        for action in ACTIONS.iter().filter(of_kind) {
            described(&mut page, action);
        }
    }
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
        "The configuration, as packages install it. The client follows no `[include]`.",
    );
    page.entry(
        "`/run/supervisor/supervisor.sock`",
        "The socket, as packages configure it.",
    );
    page.section("EXAMPLES");
    for (what, kind, text) in EXAMPLES {
        page.prose(what);
        page.example(*kind, text);
    }
    page.see_also(&[("bash", 1), ("fish", 1), ("zsh", 1), ("jq", 1)])
}

/// Appends an action with its help text.
fn described(page: &mut Page, action: &CtlAction) {
    for (usage, doc) in action.usages() {
        let usage = usage
            .replace("<signal name>", "<signal>")
            .replace("<gname>", "<group>");
        page.entry(&format!("`{usage}`"), &sentence(&doc));
    }
    for note in action.notes() {
        page.more(&sentence(note));
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
    use super::*;

    #[test]
    fn every_member_of_an_answer_is_told() {
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
        for value in [
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
    fn every_action_that_answers_in_json_is_told() {
        for action in ACTIONS {
            let has = action.help_ours.contains("--json");
            assert_eq!(
                JSON.contains(&format!("`{}`", action.name)),
                has,
                "{}",
                action.name
            );
        }
    }
}
