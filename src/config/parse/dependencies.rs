//! Checks what programs depend on, when all groups are read: every name exists, and no program depends on itself. The
//! time is linear in the number of programs and dependencies.

use std::collections::HashMap;

use super::super::dependency::{Dependencies, DependencyCondition, DependencyTarget};
use super::super::hint;
use super::super::key::SectionKind;
use super::super::lint::{Explained, Rule};
use super::super::problem::SourceSpan;
use super::super::spec::GroupSpec;
use super::{ConfigReader, SectionAt};

/// Maximum number of unknown names for which a known one is suggested, because each is compared with all names.
const SUGGESTIONS_MAX: usize = 20;
/// Maximum number of cycles that are reported.
const CYCLES_MAX: usize = 20;
/// Maximum number of programs of a cycle that a message shows.
const CHAIN_MAX: usize = 20;

/// The key of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    DependsOn,
    RestartWith,
    WaitFor,
}

impl Key {
    const fn name(self) -> &'static str {
        match self {
            Self::DependsOn => "depends_on",
            Self::RestartWith => "restart_with",
            Self::WaitFor => "dependent_startup_wait_for",
        }
    }
}

/// A program of a group, or all programs that one name means.
struct Node {
    /// `None`: the node is a name that means several programs, to which its edges lead.
    program: Option<Program>,
    edges: Vec<(usize, Key)>,
}

struct Program {
    section: String,
    title: String,
}

/// The programs of a configuration and what they depend on.
#[derive(Default)]
struct Graph {
    nodes: Vec<Node>,
    /// The node for each name that a dependency can have.
    named: HashMap<String, usize>,
    /// The program of each process of a group that a dependency names.
    processes: HashMap<(String, String), usize>,
}

/// Reports names that do not exist, and cycles.
pub(super) fn check_dependencies(reader: &mut ConfigReader<'_>, groups: &[GroupSpec]) {
    let all = groups.iter().flat_map(|group| &group.processes);
    if all.clone().all(|process| process.dependencies.is_empty()) {
        return;
    }
    let mut graph = Graph::default();
    let mut wanted = Vec::new();
    for group in groups {
        graph.add_group(group, &mut wanted);
    }
    let mut suggestions = 0;
    for (node, dependencies) in wanted {
        for (target, key) in edges(&dependencies) {
            match graph.find(&target) {
                Some(found) => graph.nodes[node].edges.push((found, key)),
                None => {
                    suggestions += 1;
                    let may_suggest = suggestions <= SUGGESTIONS_MAX;
                    unknown(reader, &graph, node, (&target, key), may_suggest);
                }
            }
        }
    }
    for cycle in graph.cycles() {
        report_cycle(reader, &graph, &cycle);
    }
}

/// The targets of a program with their keys.
fn edges(dependencies: &Dependencies) -> Vec<(DependencyTarget, Key)> {
    let depends_on = dependencies.depends_on.iter();
    let wait_for = dependencies.wait_for.iter();
    let wait_for = wait_for.filter(|_| dependencies.starts_with_plugin);
    let restart_with = dependencies.restart_with.iter();
    depends_on
        .map(|dependency| (dependency.target.clone(), Key::DependsOn))
        .chain(restart_with.map(|target| (target.clone(), Key::RestartWith)))
        .chain(wait_for.map(|dependency| (dependency.target.clone(), Key::WaitFor)))
        .collect()
}

impl Graph {
    fn node(&mut self, program: Option<Program>) -> usize {
        let edges = Vec::new();
        self.nodes.push(Node { program, edges });
        self.nodes.len() - 1
    }

    /// Adds a program to those that a name means.
    fn name(&mut self, name: String, program: usize) {
        let node = match self.named.get(&name) {
            Some(&node) => node,
            None => {
                let node = self.node(None);
                self.named.insert(name, node);
                node
            }
        };
        let edges = &mut self.nodes[node].edges;
        if !edges.iter().rev().take(1).any(|(last, _)| *last == program) {
            edges.push((program, Key::DependsOn));
        }
    }

    /// Adds the programs of a group. `wanted` gets each with its dependencies.
    fn add_group(
        &mut self,
        group: &GroupSpec,
        wanted: &mut Vec<(usize, std::sync::Arc<Dependencies>)>,
    ) {
        let name = group.name.as_str();
        let specs: HashMap<&str, _> = group
            .processes
            .iter()
            .map(|process| (process.name.as_str(), process))
            .collect();
        for program in &group.programs {
            let title = program.template.program().to_owned();
            let node = self.node(Some(Program {
                section: program.template.section.to_string(),
                title: title.clone(),
            }));
            self.name(title, node);
            self.name(name.to_owned(), node);
            self.name(format!("{name}:*"), node);
            for member in &program.members {
                let place = (name.to_owned(), member.as_str().to_owned());
                self.processes.insert(place, node);
            }
            let first = program.members.first();
            if let Some(spec) = first.and_then(|member| specs.get(member.as_str()))
                && !spec.dependencies.is_empty()
            {
                wanted.push((node, std::sync::Arc::clone(&spec.dependencies)));
            }
        }
    }

    fn find(&self, target: &DependencyTarget) -> Option<usize> {
        match target {
            DependencyTarget::Name(_) | DependencyTarget::Group(_) => {
                self.named.get(&target.to_string()).copied()
            }
            DependencyTarget::Process(group, process) => {
                let place = (group.to_string(), process.to_string());
                self.processes.get(&place).copied()
            }
        }
    }

    /// The cycles, each as the nodes from one to the next. A depth-first search with its own stack, because a chain may
    /// be long.
    fn cycles(&self) -> Vec<Vec<(usize, Key)>> {
        const ON_PATH: u8 = 1;
        const DONE: u8 = 2;
        let mut cycles = Vec::new();
        let mut colors = vec![0_u8; self.nodes.len()];
        for root in 0..self.nodes.len() {
            if colors[root] != 0 {
                continue;
            }
            // Each node of the path with the number of its edges that were followed.
            let mut path: Vec<(usize, usize)> = vec![(root, 0)];
            colors[root] = ON_PATH;
            while let Some((node, followed)) = path.last_mut() {
                let Some(&(next, _)) = self.nodes[*node].edges.get(*followed) else {
                    colors[*node] = DONE;
                    path.pop();
                    continue;
                };
                *followed += 1;
                match colors[next] {
                    0 => {
                        colors[next] = ON_PATH;
                        path.push((next, 0));
                    }
                    ON_PATH if cycles.len() < CYCLES_MAX => {
                        let from = path.iter().position(|&(node, _)| node == next);
                        let cycle = path[from.unwrap_or(0)..].iter();
                        let step = |&(node, followed): &(usize, usize)| {
                            let edge = self.nodes[node].edges.get(followed - 1);
                            (node, edge.map_or(Key::DependsOn, |&(_, key)| key))
                        };
                        cycles.push(cycle.map(step).collect());
                    }
                    _ => {}
                }
            }
        }
        cycles
    }
}

/// Reports a cycle at its first program, with the place of each of its dependencies.
fn report_cycle(reader: &mut ConfigReader<'_>, graph: &Graph, cycle: &[(usize, Key)]) {
    let programs: Vec<(&Program, Key)> = cycle
        .iter()
        .filter_map(|&(node, key)| Some((graph.nodes[node].program.as_ref()?, key)))
        .collect();
    // Begin with the program that comes first in the files.
    let place = |reader: &ConfigReader<'_>, (program, key): (&Program, Key)| -> SourceSpan {
        reader.span_of(section_of(program), key.name())
    };
    let spans: Vec<SourceSpan> = programs.iter().map(|&step| place(reader, step)).collect();
    let first = (0..programs.len()).min_by_key(|&index| {
        let span = spans[index];
        (span.file, span.line)
    });
    let Some(first) = first else {
        return;
    };
    let mut chain = String::new();
    for (count, index) in (first..programs.len()).chain(0..first).enumerate() {
        if count == CHAIN_MAX {
            chain.push_str(&format!("{} more -> ", programs.len() - count));
            break;
        }
        let title = &programs[index].0.title;
        chain.push_str(&format!("{title} ({}) -> ", reader.file_line(spans[index])));
    }
    let (program, key) = programs[first];
    let title = program.title.clone();
    let sentence = match programs.len() {
        1 => format!("{title} depends on itself: {chain}{title}"),
        _ => format!("dependencies form a cycle: {chain}{title}"),
    };
    let hint = format!("remove one of them from {}", key.name());
    reader.fail_with(section_of(program), key.name(), sentence, &hint);
}

fn section_of(program: &Program) -> SectionAt<'_> {
    SectionAt::new(&program.section, SectionKind::Program)
}

/// Reports a name that no program, group or process has.
fn unknown(
    reader: &mut ConfigReader<'_>,
    graph: &Graph,
    node: usize,
    (target, key): (&DependencyTarget, Key),
    may_suggest: bool,
) {
    let Some(program) = &graph.nodes[node].program else {
        return;
    };
    let at = section_of(program);
    let what = match target {
        DependencyTarget::Name(_) => "program or group",
        DependencyTarget::Group(_) => "group",
        DependencyTarget::Process(..) => "process",
    };
    let sentence = format!(
        "{} in [{}] names unknown {what} {target}",
        key.name(),
        program.section
    );
    let near = may_suggest.then(|| nearest(graph, target)).flatten();
    if key == Key::WaitFor {
        // Supervisor ignores the plug-in's keys, and the plug-in would never start the program.
        let hint = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
        let text = format!("{sentence}; it is not waited for{hint}");
        let explained = Explained::from(Rule::BadDependency).key(key.name());
        return reader.warn(explained, reader.span_of(at, key.name()), text);
    }
    let hint = match near {
        Some(near) => format!("did you mean {near}?"),
        None => format!("{} takes programs, groups or GROUP:PROCESS", key.name()),
    };
    reader.fail_with(at, key.name(), sentence, &hint);
}

/// Suggests a target for an unknown one.
fn nearest(graph: &Graph, target: &DependencyTarget) -> Option<String> {
    let names = || graph.named.keys().map(String::as_str).collect::<Vec<_>>();
    let sorted = |mut names: Vec<&str>| -> Vec<String> {
        names.sort_unstable();
        names.into_iter().map(str::to_owned).collect()
    };
    let close = |word: &str| {
        let mut names = sorted(names());
        names.retain(|name| name.contains(':') == word.contains(':'));
        hint::of_name(word, names.iter().map(String::as_str)).map(str::to_owned)
    };
    match target {
        DependencyTarget::Name(name) => {
            let is_process = |(group, process): &&(String, String)| {
                *process == **name && !graph.named.contains_key(&format!("{group}:{process}"))
            };
            let process = graph.processes.keys().filter(is_process).min();
            let process = process.map(|(group, process)| format!("{group}:{process}"));
            process.or_else(|| close(name))
        }
        DependencyTarget::Group(_) => close(&target.to_string()),
        DependencyTarget::Process(group, process) => {
            let words = DependencyCondition::WORDS.iter().map(|(word, _)| *word);
            if graph.named.contains_key(&**group)
                && let Some(word) = hint::of_name(process, words)
            {
                return Some(format!("{group}:{word}"));
            }
            let own = graph.processes.keys().filter(|(own, _)| *own == **group);
            let names = sorted(own.map(|(_, process)| process.as_str()).collect());
            let near = hint::of_name(process, names.iter().map(String::as_str));
            near.map(|near| format!("{group}:{near}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::load;
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;

    fn errors(text: &str) -> Vec<String> {
        let machine = Fake::default().with("/s.conf", &format!("[supervisord]\n{text}"));
        match load("/s.conf", &DaemonOptions::default(), &machine) {
            Ok(config) => {
                let warnings = config.warnings.iter();
                warnings.map(|warning| format!("ok {warning}")).collect()
            }
            Err(errors) => errors.all.iter().map(ToString::to_string).collect(),
        }
    }

    fn program(name: &str, more: &str) -> String {
        format!("[program:{name}]\ncommand=c\n{more}\n")
    }

    #[test]
    fn g30_a_cycle_is_an_error_with_its_chain() {
        let file = program("a", "depends_on=b")
            + &program("b", "depends_on=c:started, d")
            + &program("c", "restart_with=a")
            + &program("d", "");
        assert_eq!(
            errors(&file),
            [
                "/s.conf:4:12: dependencies form a cycle: a (/s.conf:4) -> b (/s.conf:7) -> c (/s.conf:10) -> a; \
                 remove one of them from depends_on"
            ]
        );
        let plugin = program(
            "a",
            "dependent_startup=true\ndependent_startup_wait_for=b:exited",
        ) + &program("b", "depends_on=a");
        assert_eq!(
            errors(&plugin),
            [
                "/s.conf:5:28: dependencies form a cycle: a (/s.conf:5) -> b (/s.conf:8) -> a; remove one of them from \
                 dependent_startup_wait_for"
            ]
        );
    }

    #[test]
    fn g30_a_program_must_not_depend_on_itself() {
        for (more, name) in [
            ("depends_on=a", "a"),
            ("depends_on=a:*", "a"),
            ("depends_on=a:a:ready", "a"),
        ] {
            assert_eq!(
                errors(&program(name, more)),
                [
                    "/s.conf:4:12: a depends on itself: a (/s.conf:4) -> a; remove one of them from depends_on"
                ],
                "{more}"
            );
        }
        // Through its own group.
        let file = program("a", "depends_on=g") + "[group:g]\nprograms=a\n";
        assert_eq!(errors(&file).len(), 1);
    }

    #[test]
    fn g30_an_unknown_name_is_an_error_with_a_suggestion() {
        let many = "numprocs=2\nprocess_name=%(program_name)s_%(process_num)d";
        for (name, message) in [
            (
                "cahe",
                "depends_on in [program:a] names unknown program or group cahe; did you mean cache?",
            ),
            (
                "zzz",
                "depends_on in [program:a] names unknown program or group zzz; depends_on takes programs, groups or \
                 GROUP:PROCESS",
            ),
            (
                "cache_1",
                "depends_on in [program:a] names unknown program or group cache_1; did you mean cache:cache_1?",
            ),
            (
                "cache:cache_2",
                "depends_on in [program:a] names unknown process cache:cache_2; did you mean cache:cache_0?",
            ),
            (
                "cache:redy",
                "depends_on in [program:a] names unknown process cache:redy; did you mean cache:ready?",
            ),
            (
                "cach:*",
                "depends_on in [program:a] names unknown group cach:*; did you mean cache:*?",
            ),
        ] {
            let file = program("a", &format!("depends_on={name}")) + &program("cache", many);
            assert_eq!(errors(&file), [format!("/s.conf:4:12: {message}")]);
        }
    }

    #[test]
    fn g71_an_unknown_name_of_the_plugin_is_a_warning() {
        let file = program(
            "a",
            "dependent_startup=true\ndependent_startup_wait_for=x:running",
        );
        assert_eq!(
            errors(&file),
            [
                "ok /s.conf:5:28: dependent_startup_wait_for in [program:a] names unknown program or group x; it is not \
                 waited for"
            ]
        );
        assert_eq!(
            errors(&program("a", "dependent_startup_wait_for=x:running")),
            [""; 0]
        );
    }

    #[test]
    fn g29_names_of_programs_groups_and_processes_are_known() {
        let many = "numprocs=2\nprocess_name=%(program_name)s_%(process_num)d";
        let file = program("a", "depends_on=b g c:* g:b:started c:c_1:ready none")
            + &program("b", "")
            + &program("c", many)
            + &program("none", "numprocs=0")
            + "[group:g]\nprograms=b\n[fcgi-program:f]\ncommand=c\nsocket=tcp://h:1\ndepends_on=a\n\
               [eventlistener:l]\ncommand=c\nevents=EVENT\ndepends_on=f\n";
        assert_eq!(errors(&file), [""; 0]);
    }

    #[test]
    fn ten_thousand_programs_are_checked_without_recursion() {
        let chain: String = (0..10_000)
            .map(|number| {
                program(
                    &format!("p{number}"),
                    &format!("depends_on=p{}", number + 1),
                )
            })
            .collect();
        let cycle = errors(&(chain.clone() + &program("p10000", "depends_on=p0")));
        assert_eq!(cycle.len(), 1);
        assert!(
            cycle[0].ends_with("9981 more -> p0; remove one of them from depends_on"),
            "{}",
            cycle[0]
        );
        assert_eq!(errors(&(chain + &program("p10000", ""))), [""; 0]);
    }
}
