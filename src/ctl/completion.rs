//! Completion for the command line and the interactive shell. Process names come from the server if it answers in
//! time; everything else comes from the tables.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use super::action::{ArgKind, CtlAction};
use super::client::RpcClient;
use super::file;
use super::go_actions::ActionSet;
use super::options::{self, CtlCommandLine};
use super::program_words::VERBS;
use super::reply::{self, ProcessInfo};
use super::status::ask_table;
use crate::cli::completion::{self, Candidate, Completion, CompletionRequest, WordPosition};
use crate::cli::getopt::OptionSpec;
use crate::cli::options::OptionRow;
use crate::cli::subcommand::{Subcommand, SubcommandRequest};
use crate::domain::{Channel, Signal};

/// Time limit for reading the file and asking the server together, because a user is waiting after a key press.
const WITHIN: Duration = Duration::from_millis(1000);

/// A process that the server reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownProcess {
    group: String,
    name: String,
    state: String,
}

impl KnownProcess {
    pub(super) fn new(
        group: impl Into<String>,
        name: impl Into<String>,
        state: impl Into<String>,
    ) -> Self {
        Self {
            group: group.into(),
            name: name.into(),
            state: state.into(),
        }
    }
}

/// Completes a word of the `supervisorctl` command line, for a system shell.
pub(super) fn complete_command_line(request: &CompletionRequest) -> Completion {
    if request.program.is_empty() {
        return Completion::default();
    }
    let CompletionRequest { before, word, .. } = request;
    match completion::word_position(before, word, &options::table()) {
        WordPosition::Option => {
            let rows = options::ROWS.iter().map(|row| (row.opt, row.doc));
            completion::options(rows, word)
        }
        WordPosition::Value { index, joined } => options::ROWS
            .get(index)
            .map(|row| completion::values(row.value, &joined, word))
            .unwrap_or_default(),
        WordPosition::Word(first) => {
            let behind: Vec<&str> = before[first..].iter().map(String::as_str).collect();
            complete_word(ActionSet::Supervisorctl, &behind, word, || {
                let line = CtlCommandLine::read(&before[..first]).ok();
                known_processes(&request.program, line)
            })
        }
    }
}

/// Completes a word of the command line of `supervisord`, which selects `ctl`.
#[must_use]
pub fn complete_subcommand(request: &CompletionRequest) -> Completion {
    let CompletionRequest { before, word, .. } = request;
    let selected = Subcommand::of_command_line(before);
    let Some((subcommand, arguments)) = selected.filter(|(it, _)| it.is_client()) else {
        return Completion::default();
    };
    let rows: Vec<OptionRow> = subcommand.options().collect();
    let table: Vec<OptionSpec> = rows.iter().map(|row| row.opt).collect();
    match completion::word_position(&arguments, word, &table) {
        WordPosition::Option => {
            completion::options(rows.iter().map(|row| (row.opt, &*row.doc)), word)
        }
        WordPosition::Value { index, joined } => {
            completion::values(rows[index].value, &joined, word)
        }
        WordPosition::Word(first) => {
            let behind: Vec<&str> = arguments[first..].iter().map(String::as_str).collect();
            complete_word(ActionSet::Go, &behind, word, || {
                let mut words = arguments[..first].to_vec();
                // Their action does not matter.
                words.push("status".to_owned());
                let parsed = subcommand.parse_args(&request.program, &words).ok();
                let line = parsed.and_then(|request| match request {
                    SubcommandRequest::Ctl(args) => Some(CtlCommandLine::of_subcommand(args)),
                    _ => None,
                });
                known_processes(&request.program, line)
            })
        }
    }
}

/// Completes `word` after an action and its arguments in `before`. If `before` is empty, `word` is an action.
pub(super) fn complete_word(
    actions: ActionSet,
    before: &[&str],
    word: &str,
    live: impl FnOnce() -> Vec<KnownProcess>,
) -> Completion {
    let Some((name, before)) = before.split_first() else {
        return action_candidates(actions, word);
    };
    let Some(action) = actions.find_action(name) else {
        return Completion::default();
    };
    let mut place = 0;
    let mut awaits = false;
    for given in before {
        if std::mem::take(&mut awaits) {
            continue;
        }
        match given.strip_prefix('-') {
            Some(_) => {
                let mut flags = action.flags.iter();
                awaits = flags.any(|flag| flag.argument && flag.name == *given);
            }
            None => place += 1,
        }
    }
    if awaits {
        return Completion::default();
    }
    if word.starts_with('-') {
        let flags = action.options();
        return Completion::of(flags.map(|flag| Candidate::new(flag.name, flag.doc)), word);
    }
    match (action.takes, place) {
        (ArgKind::Topic, 0) => action_candidates(actions, word),
        (ArgKind::Group, 0) | (ArgKind::Groups, _) => {
            let groups = all_candidate(action)
                .into_iter()
                .chain(group_candidates(&live()));
            sorted(groups, word)
        }
        (ArgKind::Process | ArgKind::Log, 0) => {
            let processes = process_candidates(&live(), word, false);
            sorted(processes.into_iter(), word)
        }
        (ArgKind::ProgramVerb, 0) => {
            let verbs = VERBS.map(|row| Candidate::new(row.word, row.doc));
            Completion::of(verbs, word)
        }
        // The group of a program has its name, if no other group lists the program.
        (ArgKind::ProgramVerb, 1) if !matches!(before, ["list" | "add", ..]) => {
            sorted(group_candidates(&live()).into_iter(), word)
        }
        (ArgKind::Log, 1) => {
            let channels = [Channel::Stdout, Channel::Stderr];
            let candidates = channels.map(|channel| Candidate::new(channel.name(), ""));
            Completion::of(candidates, word)
        }
        (ArgKind::Signal, 0) => {
            // Both spellings are accepted, with and without SIG.
            let prefix = if word.starts_with("SIG") { "SIG" } else { "" };
            let names = Signal::names();
            let candidates = names.map(|(name, number)| {
                Candidate::new(format!("{prefix}{name}"), number.to_string())
            });
            Completion::of(candidates, word)
        }
        (ArgKind::Processes | ArgKind::Signal, _) => {
            let processes = process_candidates(&live(), word, true);
            sorted(all_candidate(action).into_iter().chain(processes), word)
        }
        (
            ArgKind::Nothing
            | ArgKind::Topic
            | ArgKind::Group
            | ArgKind::Process
            | ArgKind::Log
            | ArgKind::ProgramVerb,
            _,
        ) => Completion::default(),
    }
}

fn sorted(candidates: impl Iterator<Item = Candidate>, word: &str) -> Completion {
    let mut candidates: Vec<Candidate> = candidates.collect();
    candidates.sort();
    candidates.dedup();
    Completion::of(candidates, word)
}

fn action_candidates(actions: ActionSet, word: &str) -> Completion {
    let all = actions.actions().into_iter();
    let known = all.filter(|action| !action.help.is_empty());
    Completion::of(
        known.map(|action| Candidate::new(action.name, action.brief())),
        word,
    )
}

fn all_candidate(action: &CtlAction) -> Option<Candidate> {
    let takes = action.takes_all();
    takes.then(|| Candidate::new("all", "all processes"))
}

/// Groups, with their numbers of processes.
fn group_candidates(live: &[KnownProcess]) -> Vec<Candidate> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for process in live {
        *counts.entry(&process.group).or_default() += 1;
    }
    let told = |(group, count): (&str, usize)| match count {
        1 => Candidate::new(group, "1 process"),
        count => Candidate::new(group, format!("{count} processes")),
    };
    counts.into_iter().map(told).collect()
}

/// Processes by their shortest name, or by their full name if `word` contains a colon. If `many`, also groups.
fn process_candidates(live: &[KnownProcess], word: &str, many: bool) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for process in live {
        let KnownProcess { group, name, state } = process;
        if group == name && !word.contains(':') {
            candidates.push(Candidate::new(name, state));
            continue;
        }
        candidates.push(Candidate::new(format!("{group}:{name}"), state));
    }
    if many {
        for Candidate { text, doc } in group_candidates(live) {
            let is_alone = |process: &KnownProcess| process.group == text && process.name == text;
            if word.contains(':') || !live.iter().any(is_alone) {
                candidates.push(Candidate::new(format!("{text}:*"), doc));
            }
        }
    }
    candidates
}

/// All processes. Empty if the server does not answer.
pub(super) fn query_processes(client: &mut RpcClient) -> Vec<KnownProcess> {
    let answer = ask_table(client, &[], &["name", "group", "statename"]).or_else(|_| {
        let answer = client.call("supervisor.getAllProcessInfo", Vec::new())?;
        reply::all(&answer, ProcessInfo::read)
    });
    let processes = answer.unwrap_or_default().into_iter();
    processes
        .map(|process| KnownProcess::new(process.group, process.name, process.statename))
        .collect()
}

/// All processes of the server that the command line and the configuration file select. Empty if the server does not
/// answer in time. Slower look-ups end with this process.
fn known_processes(program: &str, line: Option<CtlCommandLine>) -> Vec<KnownProcess> {
    let program = program.to_owned();
    let (tell, told) = mpsc::channel();
    let asking = std::thread::Builder::new().spawn(move || {
        let client = line.and_then(|line| {
            let section = file::read_ctl_section(&line, &program).ok()?;
            let options = line.over(section);
            let credentials = options.username.zip(options.password);
            Some(RpcClient::new(&options.url, credentials))
        });
        // An error means that the time limit has passed.
        let _ = tell.send(client.map(|mut client| query_processes(&mut client)));
    });
    match asking {
        Ok(_) => told.recv_timeout(WITHIN).ok().flatten().unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(line: &str) -> Vec<String> {
        let mut before: Vec<&str> = line.split(' ').collect();
        let word = before.pop().unwrap_or_default();
        let live = || {
            vec![
                KnownProcess::new("cat", "cat", "RUNNING"),
                KnownProcess::new("num", "num_00", "STOPPED"),
                KnownProcess::new("num", "num_01", "RUNNING"),
                KnownProcess::new("two", "a\nb", "RUNNING"),
                KnownProcess::new("two", "two", "RUNNING"),
            ]
        };
        let candidates = complete_word(ActionSet::Supervisorctl, &before, word, live)
            .candidates
            .into_iter();
        candidates.map(|candidate| candidate.text).collect()
    }

    #[test]
    fn ctl_02_completion_goes_by_the_arguments_of_an_action() {
        let table: [(&str, &[&str]); 26] = [
            ("seri", &["serialrestart"]),
            (
                "start ",
                &["all", "cat", "num:*", "num:num_00", "num:num_01", "two"],
            ),
            ("start cat:", &["cat:*", "cat:cat"]),
            ("start two:", &["two:*", "two:two"]),
            ("start a", &["all"]),
            ("start x", &[]),
            ("start -", &["--no-deps", "--json"]),
            ("stop -", &["--with-dependents", "--json"]),
            (
                "restart -",
                &["--rolling", "-n", "--max-failures", "--wait", "--json"],
            ),
            ("status --", &["--json", "--watch"]),
            ("status --json n", &["num:*", "num:num_00", "num:num_01"]),
            ("fg n", &["num:num_00", "num:num_01"]),
            ("fg cat ", &[]),
            ("tail -", &["-f", "--json"]),
            ("tail -f c", &["cat"]),
            ("tail -100 num:num_00 ", &["stdout", "stderr"]),
            ("tail cat stde", &["stderr"]),
            ("tail cat stderr ", &[]),
            ("maintail -", &["-f", "--json"]),
            ("signal US", &["USR1", "USR2"]),
            ("signal SIGH", &["SIGHUP"]),
            ("signal HUP al", &["all"]),
            ("serialrestart -n ", &[]),
            ("update ", &["all", "cat", "num", "two"]),
            ("scale num ", &[]),
            ("version c", &[]),
        ];
        for (line, expected) in table {
            assert_eq!(offered(line), expected, "{line:?}");
        }
    }

    #[test]
    fn g08_the_words_of_ctl_are_completed() {
        let offered = |line: &str| {
            let mut before: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let word = before.pop().unwrap_or_default();
            let program = "supervisord".to_owned();
            let request = CompletionRequest {
                program,
                before,
                word,
            };
            let found = complete_subcommand(&request).candidates.into_iter();
            found.map(|candidate| candidate.text).collect::<Vec<_>>()
        };
        for (line, expected) in [
            ("ctl sta", &["start", "start-group", "status"][..]),
            ("-c f ctl log", &["logs", "logtail"]),
            ("ctl -s unix:///x sto", &["stop", "stop-group"]),
            ("ctl --pas", &["--password"]),
            ("ctl help relo", &["reload"]),
            ("ctl qui", &[]),
            ("ctl logtail -", &["-t", "--json"]),
            ("ctl status --j", &["--json"]),
            ("import sta", &[]),
        ] {
            assert_eq!(offered(line), expected, "{line}");
        }
    }

    #[test]
    fn candidates_have_descriptions() {
        let live = || {
            vec![
                KnownProcess::new("num", "num_00", "STOPPED"),
                KnownProcess::new("num", "num_01", "RUNNING"),
            ]
        };
        assert_eq!(
            complete_word(ActionSet::Supervisorctl, &["stop"], "num", live).to_string(),
            "num:*\t2 processes\nnum:num_00\tSTOPPED\nnum:num_01\tRUNNING\n"
        );
        assert_eq!(
            complete_word(ActionSet::Supervisorctl, &["update"], "n", live).to_string(),
            "num\t2 processes\n"
        );
        assert_eq!(
            complete_word(ActionSet::Supervisorctl, &["signal"], "KI", live).to_string(),
            "KILL\t9\n"
        );
        assert_eq!(
            complete_word(ActionSet::Supervisorctl, &[], "shut", Vec::new).to_string(),
            "shutdown\tShut the remote supervisord down.\n"
        );
    }

    #[test]
    fn options_and_files_are_completed_without_a_server() {
        let asked = |line: &str| {
            let mut before: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let word = before.pop().unwrap_or_default();
            complete_command_line(&CompletionRequest {
                program: "supervisorctl".to_owned(),
                before,
                word,
            })
            .to_string()
        };
        assert_eq!(asked("-c "), "\tfiles\n");
        assert_eq!(asked("--configuration=/e"), "\tfiles\n");
        assert_eq!(asked("-s "), "");
        assert_eq!(
            asked("-c x --int"),
            "--interactive\tstart the interactive shell, also after an action\n"
        );
        assert_eq!(asked("-c /no/file upg").split('\t').next(), Some("upgrade"));
        // Without the file there are no names, and no error is printed.
        assert_eq!(asked("-c /no/file start "), "all\tall processes\n");
        assert_eq!(
            complete_command_line(&CompletionRequest::default()),
            Completion::default()
        );
    }
}
