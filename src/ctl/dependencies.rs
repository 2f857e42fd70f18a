//! Actions that show what programs depend on: `graph` and `critical-chain`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::error::CtlError;
use super::reply::{self, ProcessDependencies};
use super::rolling::print_refusal;
use super::session::CtlSession;
use super::{exit, render};
use crate::api::xmlrpc::RpcValue;
use crate::domain::Namespec;

/// Maximum depth of a printed tree. Deeper branches are cut, and the last line says so.
const DEPTH_MAX: usize = 100;

/// The form of the output of `graph`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum GraphForm {
    Tree,
    Dot,
    Json,
}

/// The graph as JSON.
#[derive(Serialize)]
struct GraphJson<'a> {
    processes: Vec<&'a ProcessDependencies>,
}

/// The processes that have to do with dependencies, by name.
struct Graph {
    processes: BTreeMap<String, ProcessDependencies>,
}

/// The action `graph [-o dot|json] [name…]`.
pub(super) fn graph(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let mut words: Vec<&str> = arguments.split_whitespace().collect();
    let form = match words.iter().position(|word| word.starts_with("-o")) {
        None => GraphForm::Tree,
        Some(place) => {
            let joint = &words[place][2..];
            let (form, taken) = match joint {
                "" => (words.get(place + 1).copied().unwrap_or_default(), 2),
                form => (form, 1),
            };
            let form = match form {
                "tree" => GraphForm::Tree,
                "dot" => GraphForm::Dot,
                "json" => GraphForm::Json,
                other => {
                    return session.usage(
                        &format!("Error: graph -o takes tree, dot or json, not '{other}'"),
                        exit::INVALID_ARGUMENTS,
                    );
                }
            };
            words.drain(place..(place + taken).min(words.len()));
            form
        }
    };
    let Some(graph) = Graph::ask(session, "graph")? else {
        return Ok(());
    };
    let Some(roots) = graph.roots(session, &words)? else {
        return Ok(());
    };
    match form {
        GraphForm::Json => {
            let processes = graph.reached(&roots);
            session.say(&render::json(&GraphJson { processes }))
        }
        GraphForm::Dot => session.say(&graph.dot(&roots)),
        GraphForm::Tree if graph.processes.is_empty() => {
            session.say("No program depends on another.")
        }
        GraphForm::Tree => {
            for line in graph.tree(&roots) {
                session.say(&line)?;
            }
            Ok(())
        }
    }
}

/// The action `critical-chain [name…]`.
pub(super) fn critical_chain(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let Some(graph) = Graph::ask(session, "critical-chain")? else {
        return Ok(());
    };
    let names = if words.is_empty() {
        graph.last_up().into_iter().collect()
    } else {
        match graph.roots(session, &words)? {
            Some(names) => names,
            None => return Ok(()),
        }
    };
    if names.is_empty() {
        return session.say("No program depends on another.");
    }
    session
        .say("@ is the time of the last start, counted from the start of the first programs.")?;
    session.say("+ is the time from there until the process was RUNNING.")?;
    for name in names {
        session.say("")?;
        for line in graph.chain(&name) {
            session.say(&line)?;
        }
    }
    Ok(())
}

impl Graph {
    /// Asks the server. `None`: it does not support it, which was said.
    fn ask(session: &mut CtlSession, what: &str) -> Result<Option<Self>, CtlError> {
        if !session.is_up()? {
            return Ok(None);
        }
        let names = RpcValue::Array(Vec::new());
        match session.call("supervisord.getDependencies", vec![names]) {
            Ok(answer) => {
                let all = reply::all(&answer, ProcessDependencies::read)?;
                let named = all.into_iter().map(|process| (process.namespec(), process));
                Ok(Some(Self {
                    processes: named.collect(),
                }))
            }
            Err(failure) => {
                print_refusal(session, what, failure)?;
                Ok(None)
            }
        }
    }

    /// The processes to begin with: the named ones, or those that no other depends on. `None`: a name is unknown, which
    /// was said.
    fn roots(
        &self,
        session: &mut CtlSession,
        words: &[&str],
    ) -> Result<Option<Vec<String>>, CtlError> {
        if words.is_empty() {
            let needed: BTreeSet<&String> = self
                .processes
                .values()
                .flat_map(|process| &process.depends_on)
                .flat_map(|need| &need.processes)
                .collect();
            let names = self.processes.keys();
            return Ok(Some(
                names
                    .filter(|name| !needed.contains(name))
                    .cloned()
                    .collect(),
            ));
        }
        let mut roots = Vec::new();
        for word in words {
            let spec = Namespec::parse(word);
            let is_meant = |process: &&ProcessDependencies| {
                process.group == spec.group
                    && spec
                        .process
                        .as_ref()
                        .is_none_or(|name| *name == process.name)
                    || !word.contains(':') && process.group == *word
            };
            let before = roots.len();
            let found = self.processes.values().filter(is_meant);
            roots.extend(found.map(ProcessDependencies::namespec));
            if roots.len() == before {
                session.say(&format!(
                    "{word}: ERROR (no such process, or it has no dependencies)"
                ))?;
                session.exit = exit::GENERIC;
                return Ok(None);
            }
        }
        Ok(Some(roots))
    }

    /// The processes that `roots` lead to, by name.
    fn reached(&self, roots: &[String]) -> Vec<&ProcessDependencies> {
        let mut reached: BTreeMap<&str, &ProcessDependencies> = BTreeMap::new();
        let mut left: Vec<&str> = roots.iter().map(String::as_str).collect();
        while let Some(name) = left.pop() {
            let Some(process) = self.processes.get(name) else {
                continue;
            };
            if reached.insert(name, process).is_none() {
                let needs = process.depends_on.iter();
                left.extend(needs.flat_map(|need| need.processes.iter().map(String::as_str)));
            }
        }
        reached.into_values().collect()
    }

    /// The graph in the language of Graphviz.
    fn dot(&self, roots: &[String]) -> String {
        let quoted =
            |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let mut lines = vec!["digraph dependencies {".to_owned()];
        for process in self.reached(roots) {
            let name = process.namespec();
            let label = format!("{name}\\n{}", process.statename);
            lines.push(format!(
                "  {} [label=\"{}\"];",
                quoted(&name),
                label.replace('"', "\\\"")
            ));
            for need in &process.depends_on {
                for other in &need.processes {
                    let style = if need.met { "" } else { ", style=dashed" };
                    lines.push(format!(
                        "  {} -> {} [label={}{style}];",
                        quoted(&name),
                        quoted(other),
                        quoted(&need.condition)
                    ));
                }
            }
        }
        lines.push("}".to_owned());
        lines.join("\n")
    }

    /// The lines of a tree. Each process has its branches once.
    fn tree(&self, roots: &[String]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut shown = BTreeSet::new();
        for root in roots {
            self.branch(root, "", ("", ""), "", &mut shown, &mut lines, 0);
        }
        lines
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one line of the tree and its position"
    )]
    fn branch<'g>(
        &'g self,
        name: &'g str,
        indent: &str,
        (own, below): (&str, &str),
        condition: &str,
        shown: &mut BTreeSet<&'g str>,
        lines: &mut Vec<String>,
        depth: usize,
    ) {
        let Some(process) = self.processes.get(name) else {
            lines.push(format!("{indent}{own}{name}"));
            return;
        };
        let mut line = format!("{indent}{own}{name}  {}", process.statename);
        if !condition.is_empty() {
            line.push_str(&format!("  ({condition})"));
        }
        if !process.held_up.is_empty() {
            line.push_str(&format!("  {}", process.held_up));
        }
        let is_new = shown.insert(name);
        if !process.depends_on.is_empty() && (!is_new || depth == DEPTH_MAX) {
            line.push_str("  ...");
        }
        lines.push(line);
        if !is_new || depth == DEPTH_MAX {
            return;
        }
        let indent = format!("{indent}{below}");
        let needs = process.depends_on.iter();
        let branches: Vec<(&str, String)> = needs
            .flat_map(|need| {
                let mut label = need.condition.clone();
                if !need.met {
                    label.push_str(", not met");
                }
                let missing = need.processes.is_empty().then_some(need.target.as_str());
                let names = need.processes.iter().map(String::as_str).chain(missing);
                names.map(move |name| (name, label.clone()))
            })
            .collect();
        let last = branches.len().saturating_sub(1);
        for (place, (name, label)) in branches.iter().enumerate() {
            let ends = if place == last {
                ("`-", "  ")
            } else {
                ("|-", "| ")
            };
            self.branch(name, &indent, ends, label, shown, lines, depth + 1);
        }
    }

    /// The process that was RUNNING last, of those that depend on others and wait for nothing; else one that waits.
    fn last_up(&self) -> Option<String> {
        let depending = || {
            let processes = self.processes.iter();
            processes.filter(|(_, process)| !process.depends_on.is_empty())
        };
        let waits = |process: &ProcessDependencies| process.held_up.starts_with("waiting");
        let waiting = depending().find(|(_, process)| waits(process));
        let last = || depending().max_by_key(|(_, process)| process.up_at());
        let found = waiting.or_else(last);
        found.map(|(name, _)| name.clone())
    }

    /// The lines of a chain: a process, and below it what it waited for last.
    fn chain(&self, name: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let mut known = BTreeSet::new();
        let mut next = Some(name.to_owned());
        while let Some(name) = next.take() {
            let Some(process) = self.processes.get(&name) else {
                break;
            };
            if !known.insert(name.clone()) {
                break;
            }
            let depth = known.len() - 1;
            let indent = match depth {
                0 => String::new(),
                depth => format!("{}`-", "  ".repeat(depth - 1)),
            };
            lines.push(format!("{indent}{name} {}", process.times()));
            let is_waiting = process.held_up.starts_with("waiting");
            let needs = process.depends_on.iter();
            next = needs
                .filter(|need| !is_waiting || !need.met)
                .flat_map(|need| &need.processes)
                .max_by_key(|name| {
                    let process = self.processes.get(*name);
                    process.map(|process| (!process.is_up(), process.up_at()))
                })
                .cloned();
        }
        lines
    }
}

impl ProcessDependencies {
    fn is_up(&self) -> bool {
        self.ready >= 0
    }

    /// Milliseconds until it was RUNNING, from the start of the first programs. -1: it is not.
    const fn up_at(&self) -> i64 {
        if self.started < 0 || self.ready < 0 {
            -1
        } else {
            self.started + self.ready
        }
    }

    /// `@time +duration`, and what holds it up.
    fn times(&self) -> String {
        let mut text = match (self.started, self.ready) {
            _ if self.held_up.starts_with("waiting") => String::new(),
            (..0, _) => "not started".to_owned(),
            (started, ..0) => format!("@{} {}", span(started), self.statename),
            (started, ready) => format!("@{} +{}", span(started), span(ready)),
        };
        if !self.held_up.is_empty() {
            let blank = if text.is_empty() { "" } else { ", " };
            text.push_str(&format!("{blank}{}", self.held_up));
        }
        text
    }
}

/// A number of milliseconds for people: `20ms`, `1.003s`, `2min 5.100s`.
fn span(millis: i64) -> String {
    let (minutes, seconds, rest) = (millis / 60_000, millis / 1000 % 60, millis % 1000);
    match (minutes, seconds) {
        (0, 0) => format!("{rest}ms"),
        (0, seconds) => format!("{seconds}.{rest:03}s"),
        (minutes, seconds) => format!("{minutes}min {seconds}.{rest:03}s"),
    }
}

/// One process in `graph -o json`.
impl Serialize for ProcessDependencies {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct ProcessJson<'a> {
            group: &'a str,
            name: &'a str,
            namespec: String,
            state: &'a str,
            held_up: &'a str,
            started_ms: Option<i64>,
            ready_ms: Option<i64>,
            depends_on: Vec<NeedJson<'a>>,
        }
        #[derive(Serialize)]
        struct NeedJson<'a> {
            target: &'a str,
            condition: &'a str,
            met: bool,
            processes: &'a [String],
        }
        let known = |millis: i64| (millis >= 0).then_some(millis);
        let needs = self.depends_on.iter().map(|need| NeedJson {
            target: &need.target,
            condition: &need.condition,
            met: need.met,
            processes: &need.processes,
        });
        ProcessJson {
            group: &self.group,
            name: &self.name,
            namespec: self.namespec(),
            state: &self.statename,
            held_up: &self.held_up,
            started_ms: known(self.started),
            ready_ms: known(self.ready),
            depends_on: needs.collect(),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::DependencyOf;
    use super::*;

    fn process(
        name: &str,
        started: i64,
        ready: i64,
        needs: &[(&str, bool)],
    ) -> ProcessDependencies {
        ProcessDependencies {
            name: name.to_owned(),
            group: name.to_owned(),
            statename: "RUNNING".to_owned(),
            held_up: String::new(),
            started,
            ready,
            depends_on: needs
                .iter()
                .map(|(name, met)| DependencyOf {
                    target: (*name).to_owned(),
                    condition: "up".to_owned(),
                    met: *met,
                    processes: vec![(*name).to_owned()],
                })
                .collect(),
            dependents: Vec::new(),
        }
    }

    fn graph(processes: Vec<ProcessDependencies>) -> Graph {
        let named = processes
            .into_iter()
            .map(|process| (process.namespec(), process));
        Graph {
            processes: named.collect(),
        }
    }

    #[test]
    fn a_tree_shows_each_branch_once() {
        let graph = graph(vec![
            process("web", 2100, 1003, &[("db", true), ("api", true)]),
            process("api", 1050, 1004, &[("db", false)]),
            process("db", 20, 1001, &[("disk", true)]),
            process("disk", 0, 5, &[]),
        ]);
        assert_eq!(
            graph.tree(&["web".to_owned()]),
            [
                "web  RUNNING",
                "|-db  RUNNING  (up)",
                "| `-disk  RUNNING  (up)",
                "`-api  RUNNING  (up)",
                "  `-db  RUNNING  (up, not met)  ...",
            ]
        );
    }

    #[test]
    fn a_chain_follows_what_was_up_last() {
        let mut web = process("web", 2100, 1003, &[("cache", true), ("db", true)]);
        let cache = process("cache", 10, 20, &[]);
        let db = process("db", 62_050, 1004, &[]);
        assert_eq!(
            graph(vec![web.clone(), cache.clone(), db.clone()]).chain("web"),
            ["web @2.100s +1.003s", "`-db @1min 2.050s +1.004s"]
        );
        web.held_up = "waiting for cache (STARTING)".to_owned();
        web.depends_on[0].met = false;
        let starting = ProcessDependencies {
            ready: -1,
            statename: "STARTING".to_owned(),
            ..cache
        };
        let graph = graph(vec![web, starting, db]);
        assert_eq!(graph.last_up().as_deref(), Some("web"));
        assert_eq!(
            graph.chain("web"),
            ["web waiting for cache (STARTING)", "`-cache @10ms STARTING"]
        );
    }

    #[test]
    fn dot_quotes_names() {
        let graph = graph(vec![
            process("a\"b", 0, 0, &[("c", false)]),
            process("c", 0, 0, &[]),
        ]);
        assert_eq!(
            graph.dot(&["a\"b".to_owned()]),
            "digraph dependencies {\n  \"a\\\"b\" [label=\"a\\\"b\\nRUNNING\"];\n  \"a\\\"b\" -> \"c\" [label=\"up\", \
             style=dashed];\n  \"c\" [label=\"c\\nRUNNING\"];\n}"
        );
    }
}
