//! FAMILIES: each metric, declared once.

use std::collections::HashMap;
use std::time::Duration;

use super::exposition::{ExpositionWriter, MetricKind, TextFormat};
use crate::api::ProcessView;
use crate::control::{MethodCalls, SourceHealth};
use crate::domain::{ProcessHealth, ProcessState};
use crate::output::TargetStats;
use crate::server::calls::cgroup_usage::{CgroupUsage, PRESSURES};
use crate::server::calls::process_usage::ProcessUsage;

/// Approximate size of the metrics of one process in bytes.
pub(super) const PROCESS_BYTES: usize = 1 << 10;

/// Takes the labels and the value of a sample.
type TakeSample<'a> = dyn FnMut(&[(&str, &str)], f64) + 'a;

/// What a scrape shows.
pub(super) struct Scrape {
    /// Sorted by group and name.
    pub(super) processes: Vec<ProcessView>,
    pub(super) usages: HashMap<i32, ProcessUsage>,
    /// The log targets of all processes.
    pub(super) targets: Vec<TargetStats>,
    pub(super) cgroups: HashMap<i32, CgroupUsage>,
    pub(super) daemon: DaemonFigures,
}

/// Figures of the daemon itself.
pub(super) struct DaemonFigures {
    /// `None`: not sampled.
    pub(super) usage: Option<ProcessUsage>,
    /// How long the engine took to answer the question for the processes.
    pub(super) engine_answer: Duration,
    /// How many times the daemon was replaced in place. `None`: not known.
    pub(super) generation: Option<u32>,
    /// Whether the server of the configuration works. `None`: the configuration is in local files.
    pub(super) source: Option<SourceHealth>,
    /// The number of open descriptors. `None`: not known.
    pub(super) open_fds: Option<u64>,
    /// The calls so far, by method.
    pub(super) calls: Vec<(&'static str, MethodCalls)>,
}

/// A process in a scrape.
#[derive(Clone, Copy)]
struct Scraped<'a> {
    view: &'a ProcessView,
    /// `None`: it does not run, or was not sampled yet.
    usage: Option<ProcessUsage>,
    /// `None`: it has no cgroup of its own.
    cgroup: Option<&'a CgroupUsage>,
}

/// Where the samples of a family come from.
enum Source {
    /// Each process gives one sample, or none, with the labels `group` and `name`.
    Process(fn(Scraped<'_>) -> Option<f64>),
    /// Each process gives any number of samples, with a label of their own besides.
    Labelled(&'static str, fn(Scraped<'_>) -> Vec<(&'static str, f64)>),
    /// The number of processes in each state, with the label `state`.
    States,
    /// Each log target gives one sample, with the labels `group`, `name`, `stream` and `target`.
    LogTarget(fn(&TargetStats) -> u64),
    /// One sample with the label `version`.
    Build,
    /// One sample of the daemon itself, or none.
    Daemon(fn(&DaemonFigures) -> Option<f64>),
    /// Each method that was called gives one sample, with the label `method`.
    Calls(fn(MethodCalls) -> f64),
}

/// A family: its name, kind, help and source.
struct Family(&'static str, MetricKind, &'static str, Source);

use MetricKind::{Counter, Gauge, InheritedCounter};

/// Sorted by name. The first four have the names, types and texts of node_exporter and of the Go project.
const FAMILIES: &[Family] = &[
    Family(
        "node_supervisord_exit_status",
        Gauge,
        "Process Exit Status",
        Source::Process(|of| Some(f64::from(of.view.exit_status))),
    ),
    Family(
        "node_supervisord_start_time_seconds",
        InheritedCounter,
        "Process start time",
        Source::Process(|of| is_up(of.view).then_some(seconds(of.view.start))),
    ),
    Family(
        "node_supervisord_state",
        Gauge,
        "Process State",
        Source::Process(|of| Some(f64::from(of.view.state.code()))),
    ),
    Family(
        "node_supervisord_up",
        Gauge,
        "Process Up",
        Source::Process(|of| Some(f64::from(u8::from(is_up(of.view))))),
    ),
    Family(
        "process_cpu_seconds_total",
        Counter,
        "CPU time of the daemon in seconds.",
        Source::Daemon(|daemon| daemon.usage.map(cpu_seconds)),
    ),
    Family(
        "process_open_fds",
        Gauge,
        "Number of open file descriptors of the daemon.",
        Source::Daemon(|daemon| daemon.open_fds.map(count)),
    ),
    Family(
        "process_resident_memory_bytes",
        Gauge,
        "Resident memory of the daemon in bytes.",
        Source::Daemon(|daemon| daemon.usage.map(memory_bytes)),
    ),
    Family(
        "supervisord_build_info",
        Gauge,
        "1, with the version of the daemon.",
        Source::Build,
    ),
    Family(
        "supervisord_call_seconds_total",
        Counter,
        "Time from the calls of the method to the answers of the engine, in seconds.",
        Source::Calls(|calls| calls.time.as_secs_f64()),
    ),
    Family(
        "supervisord_calls_total",
        Counter,
        "Number of calls of the method that the engine answered.",
        Source::Calls(|calls| count(calls.count)),
    ),
    Family(
        "supervisord_cgroup_cpu_seconds_total",
        Counter,
        "CPU time of the cgroup of the process in seconds, with its children.",
        Source::Process(|of| of.cgroup?.cpu_micros.map(micros)),
    ),
    Family(
        "supervisord_cgroup_memory_bytes",
        Gauge,
        "Memory of the cgroup of the process in bytes, with its children and their page cache.",
        Source::Process(|of| of.cgroup?.memory.map(count)),
    ),
    Family(
        "supervisord_cgroup_pids",
        Gauge,
        "Number of processes and threads in the cgroup of the process.",
        Source::Process(|of| of.cgroup?.pids.map(count)),
    ),
    Family(
        "supervisord_cgroup_pressure_seconds_total",
        Counter,
        "Time in which the cgroup of the process had to wait for the resource, in seconds.",
        Source::Labelled("resource", |of| {
            let pressures = of.cgroup.map(|cgroup| cgroup.pressures);
            let pressures = pressures.unwrap_or_default().into_iter().zip(PRESSURES);
            pressures
                .filter_map(|(total, (resource, _))| Some((resource, micros(total?))))
                .collect()
        }),
    ),
    Family(
        "supervisord_cgroup_read_bytes_total",
        Counter,
        "Bytes that the cgroup of the process read from block devices.",
        Source::Process(|of| of.cgroup?.read_bytes.map(count)),
    ),
    Family(
        "supervisord_cgroup_written_bytes_total",
        Counter,
        "Bytes that the cgroup of the process wrote to block devices.",
        Source::Process(|of| of.cgroup?.written_bytes.map(count)),
    ),
    Family(
        "supervisord_engine_answer_seconds",
        Gauge,
        "How long the engine took to answer this scrape, in seconds.",
        Source::Daemon(|daemon| Some(daemon.engine_answer.as_secs_f64())),
    ),
    Family(
        "supervisord_handoffs_total",
        Counter,
        "How many times the daemon was replaced in place by a new one.",
        Source::Daemon(|daemon| daemon.generation.map(f64::from)),
    ),
    Family(
        "supervisord_log_bytes_total",
        Counter,
        "Bytes of output that the log target took.",
        Source::LogTarget(|target| target.written),
    ),
    Family(
        "supervisord_log_dropped_bytes_total",
        Counter,
        "Bytes of output that were dropped because the log target failed or was too slow.",
        Source::LogTarget(|target| target.dropped),
    ),
    Family(
        "supervisord_nacos_config_rejected",
        Gauge,
        "1 if the newest text of the Nacos item was refused, else 0.",
        Source::Daemon(|daemon| nacos(daemon).map(|source| f64::from(source.is_rejected))),
    ),
    Family(
        "supervisord_nacos_up",
        Gauge,
        "1 if the Nacos item of the configuration can be read, else 0.",
        Source::Daemon(|daemon| nacos(daemon).map(|source| f64::from(source.is_up))),
    ),
    Family(
        "supervisord_process_cpu_seconds_total",
        Counter,
        "CPU time of the running process in seconds, without its children.",
        Source::Process(|of| of.usage.map(cpu_seconds)),
    ),
    Family(
        "supervisord_process_events_discarded_total",
        Counter,
        "Events that the pool of the event listener has discarded.",
        Source::Process(|of| {
            (of.view.events_discarded > 0).then_some(count(of.view.events_discarded))
        }),
    ),
    Family(
        "supervisord_process_events_waiting",
        Gauge,
        "Events that wait in the pool of the event listener.",
        Source::Process(|of| (of.view.events_waiting > 0).then_some(count(of.view.events_waiting))),
    ),
    Family(
        "supervisord_process_exit_time_seconds",
        Gauge,
        "When the process last exited, in seconds since the epoch.",
        Source::Process(|of| (of.view.stop > 0).then_some(seconds(of.view.stop))),
    ),
    Family(
        "supervisord_process_exits_total",
        Counter,
        "How many attempts to run the process ended, by reason, since its group was added.",
        Source::Labelled("reason", |of| {
            let counts = of.view.exits.each();
            counts
                .map(|(reason, count)| (reason, f64::from(count)))
                .collect()
        }),
    ),
    Family(
        "supervisord_process_healthy",
        Gauge,
        "1 if the health check of the process succeeds, 0 if it fails.",
        Source::Process(|of| match of.view.health {
            ProcessHealth::None | ProcessHealth::Starting => None,
            ProcessHealth::Healthy => Some(1.0),
            ProcessHealth::Unhealthy(_) => Some(0.0),
        }),
    ),
    Family(
        "supervisord_process_limit_hit",
        Gauge,
        "1 for each limit that the last instance of the process hit.",
        Source::Labelled("limit", |of| {
            let events = of.view.resource_events.each();
            events.map(|(word, _)| (word, 1.0)).collect()
        }),
    ),
    Family(
        "supervisord_process_next_attempt_time_seconds",
        Gauge,
        "When the next automatic start is due, in seconds since the epoch.",
        Source::Process(|of| of.view.next_attempt.map(seconds)),
    ),
    Family(
        "supervisord_process_next_run_time_seconds",
        Gauge,
        "When the process runs next by its schedule, in seconds since the epoch.",
        Source::Process(|of| of.view.next_run.map(seconds)),
    ),
    Family(
        "supervisord_process_resident_memory_bytes",
        Gauge,
        "Resident memory of the running process in bytes, without its children.",
        Source::Process(|of| of.usage.map(memory_bytes)),
    ),
    Family(
        "supervisord_process_restarts_total",
        Counter,
        "How many times the process was started again since its group was added.",
        Source::Process(|of| Some(count(of.view.restarts))),
    ),
    Family(
        "supervisord_processes",
        Gauge,
        "Number of processes in each state.",
        Source::States,
    ),
    Family(
        "supervisord_source_applied_time_seconds",
        Gauge,
        "When the text of the source of the configuration was applied, as a Unix time.",
        Source::Daemon(|daemon| daemon.source.map(|source| seconds(source.applied_at))),
    ),
    Family(
        "supervisord_source_config_rejected",
        Gauge,
        "1 if the newest text of the source of the configuration was refused, else 0.",
        Source::Daemon(|daemon| daemon.source.map(|source| f64::from(source.is_rejected))),
    ),
    Family(
        "supervisord_source_up",
        Gauge,
        "1 if the text of the source of the configuration can be read, else 0.",
        Source::Daemon(|daemon| daemon.source.map(|source| f64::from(source.is_up))),
    ),
];

/// As node_exporter does, a process that is being stopped is up.
fn is_up(view: &ProcessView) -> bool {
    matches!(
        view.state,
        ProcessState::Starting | ProcessState::Running | ProcessState::Stopping
    )
}

/// A time. Prometheus stores all values as f64, which is exact for seconds.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn seconds(time: i64) -> f64 {
    time as f64
}

/// A counter. Prometheus stores all values as f64, which is exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn count(number: u64) -> f64 {
    number as f64
}

/// The source, if it is a Nacos server.
fn nacos(daemon: &DaemonFigures) -> Option<SourceHealth> {
    daemon.source.filter(|source| source.is_nacos)
}

fn cpu_seconds(usage: ProcessUsage) -> f64 {
    count(usage.cpu_millis) / 1000.0
}

fn memory_bytes(usage: ProcessUsage) -> f64 {
    count(usage.memory)
}

fn micros(number: u64) -> f64 {
    count(number) / 1_000_000.0
}

impl Scrape {
    /// Sorts the processes by group and name.
    pub(super) fn sort(&mut self) {
        self.processes.sort_by(|a, b| {
            (a.group.as_str(), a.name.as_str()).cmp(&(b.group.as_str(), b.name.as_str()))
        });
    }

    fn scraped<'a>(&'a self, view: &'a ProcessView) -> Scraped<'a> {
        let runs = view.pid != 0;
        let usage = self.usages.get(&view.pid).filter(|_| runs);
        Scraped {
            view,
            usage: usage.copied(),
            cgroup: self.cgroups.get(&view.pid).filter(|_| runs),
        }
    }

    /// Whether the caller may see the process of a log target.
    fn shows(&self, of: &TargetStats) -> bool {
        let key = (of.group.as_str(), of.name.as_str());
        let key_of = |view: &ProcessView| (view.group.as_str(), view.name.as_str()).cmp(&key);
        self.processes.binary_search_by(key_of).is_ok()
    }

    /// The text of all families that have a sample.
    pub(super) fn written(&self, format: TextFormat) -> String {
        let mut to = ExpositionWriter::new(format, self.processes.len() * PROCESS_BYTES);
        for Family(name, kind, help, source) in FAMILIES {
            let mut has_head = false;
            self.each_sample(source, &mut |labels, value| {
                if !has_head {
                    to.family(name, *kind, help);
                    has_head = true;
                }
                to.sample(name, labels, value);
            });
        }
        to.finish()
    }

    fn each_sample(&self, source: &Source, give: &mut TakeSample<'_>) {
        match source {
            Source::Process(value) => {
                for view in &self.processes {
                    if let Some(value) = value(self.scraped(view)) {
                        give(&labels_of(view), value);
                    }
                }
            }
            Source::Labelled(label, words) => {
                for view in &self.processes {
                    for (word, value) in words(self.scraped(view)) {
                        let [group, name] = labels_of(view);
                        let mut labels = [group, (label, word), name];
                        labels.sort_unstable();
                        give(&labels, value);
                    }
                }
            }
            Source::States => {
                for state in ProcessState::ALL {
                    let those = self.processes.iter().filter(|view| view.state == state);
                    give(&[("state", state.name())], count(those.count() as u64));
                }
            }
            Source::LogTarget(value) => {
                for of in self.targets.iter().filter(|of| self.shows(of)) {
                    let labels = [
                        ("group", of.group.as_str()),
                        ("name", of.name.as_str()),
                        ("stream", of.channel.name()),
                        ("target", &of.target),
                    ];
                    give(&labels, count(value(of)));
                }
            }
            Source::Build => give(&[("version", crate::domain::VERSION)], 1.0),
            Source::Daemon(value) => {
                if let Some(value) = value(&self.daemon) {
                    give(&[], value);
                }
            }
            Source::Calls(value) => {
                for &(method, calls) in &self.daemon.calls {
                    give(&[("method", method)], value(calls));
                }
            }
        }
    }
}

fn labels_of(view: &ProcessView) -> [(&'static str, &str); 2] {
    [("group", view.group.as_str()), ("name", view.name.as_str())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Channel, ProcessName, ResourceEvents};
    use crate::server::calls::process_members::tests::cat;

    fn named(name: &str, state: ProcessState) -> ProcessView {
        ProcessView {
            name: ProcessName::parse(name).expect("valid"),
            state,
            ..cat()
        }
    }

    fn written(processes: Vec<ProcessView>) -> String {
        written_with(processes, Vec::new())
    }

    fn written_with(processes: Vec<ProcessView>, targets: Vec<TargetStats>) -> String {
        let usage = ProcessUsage {
            cpu_permille: None,
            cpu_millis: 1_250,
            memory: 4096,
            tree_permille: None,
            tree_memory: 4096,
        };
        let mut scrape = Scrape {
            processes,
            usages: HashMap::from([(7, usage)]),
            targets,
            cgroups: HashMap::new(),
            daemon: DaemonFigures {
                usage: Some(usage),
                engine_answer: Duration::from_millis(2),
                generation: Some(3),
                source: Some(SourceHealth {
                    is_nacos: true,
                    applied_at: 1_700_000_000,
                    is_up: true,
                    is_rejected: false,
                }),
                open_fds: None,
                calls: vec![(
                    "supervisor.getState",
                    MethodCalls {
                        count: 2,
                        time: Duration::from_millis(500),
                    },
                )],
            },
        };
        scrape.sort();
        scrape.written(TextFormat::Text)
    }

    #[test]
    fn families_are_sorted_and_counters_end_in_total() {
        let names: Vec<&str> = FAMILIES.iter().map(|family| family.0).collect();
        assert!(names.is_sorted());
        for Family(name, kind, help, _) in FAMILIES {
            assert_eq!(*kind == Counter, name.ends_with("_total"), "{name}");
            assert!(!help.contains(['\\', '\n']), "{name}");
        }
    }

    #[test]
    fn m01_the_four_families_are_those_of_node_exporter() {
        let stopped = ProcessView {
            exit_status: 3,
            pid: 0,
            ..named("b", ProcessState::Exited)
        };
        let text = written(vec![stopped, named("a", ProcessState::Stopping)]);
        let inherited: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("node_supervisord_"))
            .collect();
        assert_eq!(
            inherited,
            [
                "# HELP node_supervisord_exit_status Process Exit Status",
                "# TYPE node_supervisord_exit_status gauge",
                "node_supervisord_exit_status{group=\"cat\",name=\"a\"} 0",
                "node_supervisord_exit_status{group=\"cat\",name=\"b\"} 3",
                "# HELP node_supervisord_start_time_seconds Process start time",
                "# TYPE node_supervisord_start_time_seconds counter",
                "node_supervisord_start_time_seconds{group=\"cat\",name=\"a\"} 1795203927",
                "# HELP node_supervisord_state Process State",
                "# TYPE node_supervisord_state gauge",
                "node_supervisord_state{group=\"cat\",name=\"a\"} 40",
                "node_supervisord_state{group=\"cat\",name=\"b\"} 100",
                "# HELP node_supervisord_up Process Up",
                "# TYPE node_supervisord_up gauge",
                "node_supervisord_up{group=\"cat\",name=\"a\"} 1",
                "node_supervisord_up{group=\"cat\",name=\"b\"} 0",
            ]
        );
    }

    #[test]
    fn l07_each_log_target_has_counters() {
        let target = |name: &str, target: &str| TargetStats {
            group: named(name, ProcessState::Running).group,
            name: ProcessName::parse(name).expect("valid"),
            channel: Channel::Stderr,
            target: target.to_owned(),
            written: 12,
            dropped: 3,
            is_failing: false,
        };
        let targets = vec![
            target("a", "syslog @udp:h:514"),
            target("a", "/var/log/\"a\""),
            target("hidden", "/x"),
        ];
        let processes = vec![named("a", ProcessState::Running)];
        let text = written_with(processes, targets);
        let of_a = "{group=\"cat\",name=\"a\",stream=\"stderr\",target=";
        for (family, value) in [("log_bytes_total", 12), ("log_dropped_bytes_total", 3)] {
            for target in ["syslog @udp:h:514", "/var/log/\\\"a\\\""] {
                let sample = format!("supervisord_{family}{of_a}\"{target}\"}} {value}\n");
                assert!(text.contains(&sample), "{sample} in {text}");
            }
        }
        assert!(!text.contains("hidden"), "{text}");
    }

    #[test]
    fn a_family_without_a_sample_is_left_out() {
        let text = written(vec![named("a", ProcessState::Running)]);
        for absent in [
            "_limit_hit",
            "_next_run_time",
            "_events_discarded",
            "_healthy",
        ] {
            assert!(!text.contains(absent), "{text}");
        }
        for present in [
            "supervisord_process_cpu_seconds_total{group=\"cat\",name=\"a\"} 1.25\n",
            "supervisord_process_resident_memory_bytes{group=\"cat\",name=\"a\"} 4096\n",
            "process_cpu_seconds_total 1.25\n",
            "supervisord_engine_answer_seconds 0.002\n",
            "supervisord_handoffs_total 3\n",
            "supervisord_calls_total{method=\"supervisor.getState\"} 2\n",
            "supervisord_call_seconds_total{method=\"supervisor.getState\"} 0.5\n",
            "supervisord_processes{state=\"RUNNING\"} 1\n",
            "supervisord_processes{state=\"FATAL\"} 0\n",
        ] {
            assert!(text.contains(present), "{text}");
        }
        let unhealthy = ProcessView {
            health: ProcessHealth::Unhealthy("HTTP status 503".to_owned()),
            ..named("a", ProcessState::Running)
        };
        assert!(
            written(vec![unhealthy])
                .contains("supervisord_process_healthy{group=\"cat\",name=\"a\"} 0\n")
        );
        let limited = ProcessView {
            resource_events: ResourceEvents {
                oom_kill: true,
                ..ResourceEvents::NONE
            },
            ..named("a", ProcessState::Running)
        };
        assert!(written(vec![limited]).contains(
            "supervisord_process_limit_hit{group=\"cat\",limit=\"oom_kill\",name=\"a\"} 1\n"
        ));
    }
}
