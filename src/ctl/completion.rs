//! What words of the client's command line and of its shell can become. Names of processes are the server's, if it says
//! them in time; everything else is in the tables.

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Duration;

use super::client::Client;
use super::command::{self, ACTIONS, Action, Takes};
use super::file;
use super::options::{self, CommandLine};
use super::process::ask_table;
use super::reply::{self, Process};
use crate::config::completion::{self, Completion, Offer, Place, Question};
use crate::domain::{Channel, Signal};

/// How long the file and the server together may take: somebody has pressed a key and looks at the screen.
const WITHIN: Duration = Duration::from_millis(1000);

/// A process that the server knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    group: String,
    name: String,
    state: String,
}

impl Live {
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

/// What a shell may offer.
pub(super) fn answer(question: &Question) -> Completion {
    if question.program.is_empty() {
        return Completion::default();
    }
    let Question { before, word, .. } = question;
    match completion::place(before, word, &options::table()) {
        Place::Option => {
            let rows = options::ROWS.iter().map(|row| (row.opt, row.doc));
            completion::options(rows, word)
        }
        Place::Value { index, joined } => options::ROWS
            .get(index)
            .map(|row| completion::values(row.value, &joined, word))
            .unwrap_or_default(),
        Place::Word(first) => {
            let behind: Vec<&str> = before[first..].iter().map(String::as_str).collect();
            words(&behind, word, || live(&question.program, &before[..first]))
        }
    }
}

/// What `word` can become behind an action and its words; without any it is an action.
pub(super) fn words(before: &[&str], word: &str, live: impl FnOnce() -> Vec<Live>) -> Completion {
    let Some((name, before)) = before.split_first() else {
        return actions(word);
    };
    let Some(action) = command::find(name) else {
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
        let flags = action.flags.iter();
        return Completion::of(flags.map(|flag| Offer::new(flag.name, flag.doc)), word);
    }
    match (action.takes, place) {
        (Takes::Topic, 0) => actions(word),
        (Takes::Group, 0) | (Takes::Groups, _) => {
            let groups = all(action).into_iter().chain(groups(&live()));
            sorted(groups, word)
        }
        (Takes::Process | Takes::Log, 0) => {
            let processes = processes(&live(), word, false);
            sorted(processes.into_iter(), word)
        }
        (Takes::Log, 1) => {
            let channels = [Channel::Stdout, Channel::Stderr];
            let offers = channels.map(|channel| Offer::new(channel.name(), ""));
            Completion::of(offers, word)
        }
        (Takes::Signal, 0) => {
            // Either spelling is taken.
            let prefix = if word.starts_with("SIG") { "SIG" } else { "" };
            let names = Signal::names();
            let offers = names
                .map(|(name, number)| Offer::new(format!("{prefix}{name}"), number.to_string()));
            Completion::of(offers, word)
        }
        (Takes::Processes | Takes::Signal, _) => {
            let processes = processes(&live(), word, true);
            sorted(all(action).into_iter().chain(processes), word)
        }
        (Takes::Nothing | Takes::Topic | Takes::Group | Takes::Process | Takes::Log, _) => {
            Completion::default()
        }
    }
}

fn sorted(offers: impl Iterator<Item = Offer>, word: &str) -> Completion {
    let mut offers: Vec<Offer> = offers.collect();
    offers.sort();
    offers.dedup();
    Completion::of(offers, word)
}

fn actions(word: &str) -> Completion {
    let known = ACTIONS.iter().filter(|action| !action.help.is_empty());
    Completion::of(
        known.map(|action| Offer::new(action.name, action.brief())),
        word,
    )
}

fn all(action: &Action) -> Option<Offer> {
    let takes = action.takes_all();
    takes.then(|| Offer::new("all", "all processes"))
}

/// Groups with how many processes they have.
fn groups(live: &[Live]) -> Vec<Offer> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for process in live {
        *counts.entry(&process.group).or_default() += 1;
    }
    let told = |(group, count): (&str, usize)| match count {
        1 => Offer::new(group, "1 process"),
        count => Offer::new(group, format!("{count} processes")),
    };
    counts.into_iter().map(told).collect()
}

/// Processes by their shortest name, and groups of several if `many` may be meant; with a colon in `word` by the long one.
fn processes(live: &[Live], word: &str, many: bool) -> Vec<Offer> {
    let mut offers = Vec::new();
    for process in live {
        let Live { group, name, state } = process;
        if group == name && !word.contains(':') {
            offers.push(Offer::new(name, state));
            continue;
        }
        offers.push(Offer::new(format!("{group}:{name}"), state));
    }
    if many {
        for Offer { text, doc } in groups(live) {
            let is_alone = |process: &Live| process.group == text && process.name == text;
            if word.contains(':') || !live.iter().any(is_alone) {
                offers.push(Offer::new(format!("{text}:*"), doc));
            }
        }
    }
    offers
}

/// Every process; none if the server does not say.
pub(super) fn ask(client: &mut Client) -> Vec<Live> {
    let answer = ask_table(client, &[], &["name", "group", "statename"]).or_else(|_| {
        let answer = client.call("supervisor.getAllProcessInfo", Vec::new())?;
        reply::all(&answer, Process::read)
    });
    let processes = answer.unwrap_or_default().into_iter();
    processes
        .map(|process| Live::new(process.group, process.name, process.statename))
        .collect()
}

/// Every process of the server that these options and their file mean; none if it does not say so in time. Whatever takes
/// longer, a name service or a disk, ends with us.
fn live(program: &str, options: &[String]) -> Vec<Live> {
    let (program, options) = (program.to_owned(), options.to_vec());
    let (tell, told) = mpsc::channel();
    let asking = std::thread::Builder::new().spawn(move || {
        let client = CommandLine::read(&options).ok().and_then(|line| {
            let section = file::section(line.file.as_deref(), &program).ok()?;
            let options = line.over(section);
            let credentials = options.username.zip(options.password);
            Some(Client::new(&options.url, credentials))
        });
        // Nobody listens any more if it took too long.
        let _ = tell.send(client.map(|mut client| ask(&mut client)));
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
                Live::new("cat", "cat", "RUNNING"),
                Live::new("num", "num_00", "STOPPED"),
                Live::new("num", "num_01", "RUNNING"),
                Live::new("two", "a\nb", "RUNNING"),
                Live::new("two", "two", "RUNNING"),
            ]
        };
        let offers = words(&before, word, live).offers.into_iter();
        offers.map(|offer| offer.text).collect()
    }

    #[test]
    fn ctl_02_each_word_by_what_its_action_takes() {
        let table: [(&str, &[&str]); 24] = [
            ("seri", &["serialrestart"]),
            (
                "start ",
                &["all", "cat", "num:*", "num:num_00", "num:num_01", "two"],
            ),
            ("start cat:", &["cat:*", "cat:cat"]),
            ("start two:", &["two:*", "two:two"]),
            ("start a", &["all"]),
            ("start x", &[]),
            ("start -", &[]),
            ("status --", &["--json"]),
            ("status --json n", &["num:*", "num:num_00", "num:num_01"]),
            ("fg n", &["num:num_00", "num:num_01"]),
            ("fg cat ", &[]),
            ("tail -", &["-f"]),
            ("tail -f c", &["cat"]),
            ("tail -100 num:num_00 ", &["stdout", "stderr"]),
            ("tail cat stde", &["stderr"]),
            ("tail cat stderr ", &[]),
            ("maintail -", &["-f"]),
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
    fn offers_say_what_they_are() {
        let live = || {
            vec![
                Live::new("num", "num_00", "STOPPED"),
                Live::new("num", "num_01", "RUNNING"),
            ]
        };
        assert_eq!(
            words(&["stop"], "num", live).to_string(),
            "num:*\t2 processes\nnum:num_00\tSTOPPED\nnum:num_01\tRUNNING\n"
        );
        assert_eq!(
            words(&["update"], "n", live).to_string(),
            "num\t2 processes\n"
        );
        assert_eq!(words(&["signal"], "KI", live).to_string(), "KILL\t9\n");
        assert_eq!(
            words(&[], "shut", Vec::new).to_string(),
            "shutdown\tShut the remote supervisord down.\n"
        );
    }

    #[test]
    fn options_and_files_need_no_server() {
        let asked = |line: &str| {
            let mut before: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let word = before.pop().unwrap_or_default();
            answer(&Question {
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
        // No file, so no names, and nothing is said of it.
        assert_eq!(asked("-c /no/file start "), "all\tall processes\n");
        assert_eq!(answer(&Question::default()), Completion::default());
    }
}
