//! What the process uses with all its children, now and in the last hour, and its limits.

use maud::{Markup, html};

use super::process_page::ProcessPage;
use super::sparkline::sparkline;
use crate::server::calls::cgroup_usage::{CgroupUsage, PRESSURES};
use crate::server::calls::process_report::limits;
use crate::sys;
use crate::web::row::{format_percent, format_size};
use crate::web::texts::Text;

pub(super) fn usage(page: &ProcessPage<'_>) -> Markup {
    let report = page.report;
    let now = sys::now().mono;
    let ago = |at| now.nanos_since(at) / 1_000_000_000;
    let mut cpu: Vec<(u64, u64)> = report
        .past
        .iter()
        .filter_map(|sample| Some((ago(sample.at), u64::from(sample.permille?))))
        .collect();
    let mut memory: Vec<(u64, u64)> = report
        .past
        .iter()
        .map(|sample| (ago(sample.at), u64::from(sample.kib)))
        .collect();
    if let Some(usage) = &report.usage {
        memory.push((0, usage.tree_memory / 1024));
        cpu.extend(usage.tree_permille.map(|permille| (0, permille)));
    }
    let cpu_now = report.usage.and_then(|usage| usage.tree_permille);
    let memory_now = report.usage.map(|usage| usage.tree_memory);
    let limits = limits(&report.details.spec);
    html! {
        section #usage.card.live-part aria-labelledby="usage-title" {
            h2 #usage-title { (page.say(Text::Resources)) }
            @if report.usage.is_none() && cpu.is_empty() && memory.is_empty() {
                p.note { (page.say(Text::NotRunningNow)) }
            } @else {
                (figure(page, Text::ColumnCpu, cpu_now.map(format_percent), &cpu, format_percent))
                (figure(page, Text::ColumnMemory, memory_now.map(format_size), &memory, |kib| format_size(kib * 1024)))
            }
            @if let Some(cgroup) = &report.cgroup { (cgroup_figures(page, cgroup)) }
            @if let Some(open) = report.open_files {
                dl { div { dt { (page.say(Text::OpenFiles)) } dd { (open) } } }
            }
            @if !limits.is_empty() {
                h3 { (page.say(Text::Limits)) }
                dl.limits {
                    @for (key, value) in &limits { div { dt { code { (key) } } dd { (limit_text(key, value)) } } }
                }
            }
        }
    }
}

/// A figure with its curve. `format` writes the values of the points.
fn figure(
    page: &ProcessPage<'_>,
    label: Text,
    now: Option<String>,
    points: &[(u64, u64)],
    format: impl Fn(u64) -> String,
) -> Markup {
    let most = points.iter().map(|point| point.1).max();
    let name = page.say(label);
    let highest = most.map(|most| page.fill(Text::Highest, &[&format(most)]));
    let now = now.unwrap_or_else(|| {
        let is_running = page.report.usage.is_some();
        let text = if is_running {
            Text::Measuring
        } else {
            Text::NotRunningNow
        };
        page.say(text).to_owned()
    });
    let label = page.fill(
        Text::CurveOf,
        &[&name, &now, &highest.clone().unwrap_or_default()],
    );
    html! {
        div.figure {
            div { span.label { (name) } b { (now) } @if let Some(highest) = &highest { small { (highest) } } }
            @if points.len() > 1 {
                (sparkline(points, most.unwrap_or(0), &label))
            } @else {
                p.note { (page.say(Text::CurveBegins)) }
            }
        }
    }
}

fn cgroup_figures(page: &ProcessPage<'_>, cgroup: &CgroupUsage) -> Markup {
    let sizes = [
        (Text::MemoryPeak, cgroup.memory_peak),
        (Text::BytesRead, cgroup.read_bytes),
        (Text::BytesWritten, cgroup.written_bytes),
    ];
    let waits = PRESSURES.iter().zip(cgroup.pressures);
    let waits: Vec<(&str, u64)> = waits
        .filter_map(|((name, _), total)| Some((*name, total?)))
        .collect();
    html! {
        dl {
            @for (label, bytes) in sizes {
                @if let Some(bytes) = bytes { div { dt { (page.say(label)) } dd { (format_size(bytes)) } } }
            }
            @if let Some(pids) = cgroup.pids { div { dt { (page.say(Text::ProcessesAndThreads)) } dd { (pids) } } }
            @if !waits.is_empty() {
                div {
                    dt { (page.say(Text::Pressure)) }
                    dd {
                        @for (at, (name, micros)) in waits.iter().enumerate() {
                            @if at > 0 { ", " }
                            (name) " " (seconds(*micros))
                        }
                    }
                }
            }
        }
    }
}

/// Microseconds as seconds with two digits.
fn seconds(micros: u64) -> String {
    format!(
        "{}.{:02} s",
        micros / 1_000_000,
        micros % 1_000_000 / 10_000
    )
}

/// The value of a limit: bytes in a readable unit, and processor time as a percentage instead of the kernel's microseconds for
/// each period.
fn limit_text(key: &str, value: &str) -> String {
    if key == "cpu_max" {
        return percentage(value).unwrap_or_else(|| value.to_owned());
    }
    match value.parse::<u64>() {
        Ok(bytes) if key.starts_with("memory") => format_size(bytes),
        _ => value.to_owned(),
    }
}

/// `40000 100000` as 40 %. `None`: it is no share, such as `max 100000`.
fn percentage(value: &str) -> Option<String> {
    let (part, period) = value.split_once(' ')?;
    let (part, period): (u64, u64) = (part.parse().ok()?, period.parse().ok()?);
    let permille = part.checked_mul(1000)?.checked_div(period)?;
    Some(format_percent(permille))
}
