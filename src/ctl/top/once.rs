//! The words of `top`, and its answer without a screen: one table, or JSON.

use std::io::IsTerminal;
use std::time::Duration;

use serde::Serialize;

use super::feed::TopSource;
use super::model::{TopModel, TopProcess, TopRow, percent, size};
use crate::ctl::action::{DELAY, ONCE};
use crate::ctl::error::CtlError;
use crate::ctl::option_words::{seconds, take_flag, take_value};
use crate::ctl::rolling::print_refusal;
use crate::ctl::session::CtlSession;
use crate::ctl::{exit, render};

/// The time between two looks, unless the option says otherwise.
const INTERVAL: Duration = Duration::from_secs(2);
/// Maximum time between two looks, in seconds.
const INTERVAL_SECS_MAX: i64 = 3600;
/// The time between the two looks of which one table is made: CPU and pressure are differences.
const ONCE_INTERVAL: Duration = Duration::from_millis(1100);

/// The action `top [--once] [-d seconds] [name…]`.
pub(in crate::ctl) fn top(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let mut words = session.words(arguments);
    let is_once = take_flag(&mut words, ONCE.name);
    let interval = take_value(&mut words, DELAY.name)
        .and_then(|value| value.map_or(Ok(None), |value| seconds(DELAY.name, value).map(Some)));
    let interval = match interval {
        Ok(None) => INTERVAL,
        Ok(Some(seconds @ 1..=INTERVAL_SECS_MAX)) => {
            Duration::from_secs(u64::try_from(seconds).unwrap_or(1))
        }
        Ok(Some(_)) => {
            let text = "Error: top: -d takes at most an hour";
            return session.usage(text, exit::INVALID_ARGUMENTS);
        }
        Err(text) => {
            return session.usage(&format!("Error: top: {text}"), exit::INVALID_ARGUMENTS);
        }
    };
    if !session.is_up()? {
        return Ok(());
    }
    let names = words.into_iter().filter(|word| *word != "all");
    let names: Vec<String> = names.map(str::to_owned).collect();
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    match session.show_top {
        Some(show) if is_terminal && !is_once && !session.json => show(session, names, interval),
        _ => once(session, names),
    }
}

/// Prints one table.
fn once(session: &mut CtlSession, names: Vec<String>) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct TopJson<'a> {
        processes: &'a [TopProcess],
    }
    let mut source = TopSource::new(session.client.again(), names);
    if let Err(failure) = source.processes() {
        return print_refusal(session, "top", failure);
    }
    std::thread::sleep(ONCE_INTERVAL);
    let mut model = TopModel::default();
    model.set_processes(source.processes()?);
    if session.json {
        let processes = model.processes();
        return session.say(&render::json(&TopJson { processes }));
    }
    for line in table(&model) {
        session.say(&line)?;
    }
    Ok(())
}

/// The table as text.
fn table(model: &TopModel) -> Vec<String> {
    let names: Vec<String> = model.rows().iter().map(|row| name_of(model, row)).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0).max("NAME".len());
    let mut lines = vec![format!(
        "{:width$}  {:8}  {:>7}  {:>5}  {:>5}  {:>12}  DESCRIPTION",
        "NAME", "STATE", "PID", "CPU%", "MEM", "PSI c/m/i %"
    )];
    for (row, name) in model.rows().iter().zip(names) {
        let cells = cells_of(model, row);
        let line = format!(
            "{name:width$}  {:8}  {:>7}  {:>5}  {:>5}  {:>12}  {}",
            cells.state, cells.pid, cells.cpu, cells.memory, cells.pressure, cells.description
        );
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// The cells of a row besides its name.
pub(super) struct RowCells {
    pub(super) state: String,
    pub(super) pid: String,
    pub(super) cpu: String,
    pub(super) memory: String,
    pub(super) pressure: String,
    pub(super) description: String,
}

/// The name of a row, with the marks of the tree.
pub(super) fn name_of(model: &TopModel, row: &TopRow) -> String {
    match row {
        TopRow::Group(group) => {
            let mark = if group.is_collapsed { '+' } else { '-' };
            format!("{mark} {}", group.name)
        }
        TopRow::Process {
            index,
            is_member: true,
        } => format!("    {}", model.process(*index).name),
        TopRow::Process { index, .. } => format!("  {}", model.process(*index).name),
    }
}

/// The figures of a row.
pub(super) fn cells_of(model: &TopModel, row: &TopRow) -> RowCells {
    match row {
        TopRow::Group(group) => RowCells {
            state: format!("{}/{}", group.running, group.members),
            pid: String::new(),
            cpu: percent(Some(group.cpu_permille)),
            memory: size(Some(group.memory_bytes)),
            pressure: String::new(),
            description: String::new(),
        },
        TopRow::Process { index, .. } => {
            let process = model.process(*index);
            let shares = process.pressure_permille;
            let shares = shares.iter().any(Option::is_some).then(|| {
                shares.map(|share| match share {
                    Some(share) => (share / 10).to_string(),
                    None => "-".to_owned(),
                })
            });
            RowCells {
                state: process.state.clone(),
                pid: match process.pid {
                    0 => String::new(),
                    pid => pid.to_string(),
                },
                cpu: percent(process.cpu_permille),
                memory: size(process.memory_bytes),
                pressure: shares.map_or_else(String::new, |shares| shares.join("/")),
                description: process.description.clone(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_process() {
        let mut model = TopModel::default();
        model.set_processes(vec![
            TopProcess {
                group: "web".to_owned(),
                name: "web_0".to_owned(),
                namespec: "web:web_0".to_owned(),
                state: "RUNNING".to_owned(),
                statecode: 20,
                pid: 7,
                description: "pid 7".to_owned(),
                cpu_permille: Some(15),
                memory_bytes: Some(2048),
                pids: Some(1),
                pressure_permille: [Some(10), None, Some(0)],
            },
            TopProcess {
                group: "zoo".to_owned(),
                name: "zoo".to_owned(),
                state: "STOPPED".to_owned(),
                ..TopProcess::default()
            },
        ]);
        assert_eq!(
            table(&model),
            [
                "NAME       STATE         PID   CPU%    MEM   PSI c/m/i %  DESCRIPTION",
                "- web      1/1                  1.5   2.0K",
                "    web_0  RUNNING         7    1.5   2.0K         1/-/0  pid 7",
                "  zoo      STOPPED",
            ]
        );
    }
}
