//! Draws the screen: a header, the table, the log pane and a line at the bottom.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Row, Table};

use super::keys::{KeyMode, TopState};
use super::model::{TopRow, is_running, percent, size};
use super::once::{cells_of, name_of};
use crate::domain::ProcessState;

/// The lines of the help.
const HELP: &[&str] = &[
    "Up, Down, j, k       select a row",
    "PgUp, PgDn, g, G     by pages, to the first or last row",
    "Enter, Space         collapse or expand a group",
    "/                    filter by name or state; Esc ends it",
    "o                    order by name, CPU or memory",
    "l                    show the log of the selected process",
    "e                    its standard error instead, or back",
    "s, x, r              start, stop or restart what is selected",
    "H, R                 put it on hold, or release it",
    "u                    ask the daemon now",
    "q, Ctrl-C            leave",
];
/// The part of the height that the log pane has, in percent.
const LOG_PERCENT: u16 = 40;

/// Draws everything. `is_plain`: without colours.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut TopState, is_plain: bool) {
    let log = match state.has_log {
        true => Constraint::Percentage(LOG_PERCENT),
        false => Constraint::Length(0),
    };
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(3),
        log,
        Constraint::Length(1),
    ])
    .split(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Line::from(header(state)).style(bold), areas[0]);
    draw_table(frame, state, areas[1], is_plain);
    if state.has_log {
        draw_log(frame, state, areas[2]);
    }
    frame.render_widget(Line::from(bottom(state)), areas[3]);
    if state.mode == KeyMode::Help {
        draw_help(frame);
    }
}

/// The sums of all processes.
fn header(state: &TopState) -> String {
    let processes = state.model.processes();
    let running = processes.iter().filter(|one| is_running(one)).count();
    let count = |wanted: ProcessState| {
        let of_state = processes
            .iter()
            .filter(|one| ProcessState::from_code(one.statecode) == Some(wanted));
        of_state.count()
    };
    let (fatal, backoff) = (count(ProcessState::Fatal), count(ProcessState::Backoff));
    let cpu = processes.iter().filter_map(|one| one.cpu_permille).sum();
    let memory = processes.iter().filter_map(|one| one.memory_bytes).sum();
    let mut text = format!(
        "{} processes, {running} RUNNING, {fatal} FATAL, {backoff} BACKOFF   CPU {}%   memory {}   order: {}",
        processes.len(),
        percent(Some(cpu)),
        size(Some(memory)),
        state.model.order().word()
    );
    if !state.failure.is_empty() {
        text = format!("NO ANSWER ({})   {text}", state.failure);
    }
    text
}

fn draw_table(frame: &mut Frame<'_>, state: &mut TopState, area: Rect, is_plain: bool) {
    // The heading takes one line.
    let height = usize::from(area.height.saturating_sub(1));
    state.page = height;
    let (rows, selected) = state.model.visible(height);
    let rows = rows.to_vec();
    let model = &state.model;
    let lines = rows.iter().enumerate().map(|(at, row)| {
        let cells = cells_of(model, row);
        let line = Row::new([
            name_of(model, row),
            cells.state,
            format!("{:>7}", cells.pid),
            format!("{:>5}", cells.cpu),
            format!("{:>5}", cells.memory),
            format!("{:>11}", cells.pressure),
            cells.description,
        ]);
        let mut style = match row {
            TopRow::Group(_) => Style::new().add_modifier(Modifier::BOLD),
            TopRow::Process { index, .. } => style_of(model.process(*index).statecode, is_plain),
        };
        if at == selected {
            style = style.add_modifier(Modifier::REVERSED);
        }
        line.style(style)
    });
    let widths = [
        Constraint::Fill(2),
        Constraint::Length(9),
        Constraint::Length(7),
        Constraint::Length(5),
        Constraint::Length(5),
        Constraint::Length(11),
        Constraint::Fill(3),
    ];
    let heading = Row::new([
        "NAME",
        "STATE",
        "    PID",
        " CPU%",
        "  MEM",
        "PSI c/m/i %",
        "DESCRIPTION",
    ]);
    let heading = heading.style(Style::new().add_modifier(Modifier::UNDERLINED));
    frame.render_widget(Table::new(lines, widths).header(heading), area);
}

/// The colour of a state, beside its word.
fn style_of(state: i64, is_plain: bool) -> Style {
    let color = match ProcessState::from_code(state) {
        _ if is_plain => return Style::new(),
        Some(ProcessState::Fatal | ProcessState::Backoff | ProcessState::Unknown) => Color::Red,
        Some(ProcessState::Starting | ProcessState::Stopping) => Color::Yellow,
        Some(ProcessState::Stopped | ProcessState::Exited) => Color::DarkGray,
        Some(ProcessState::Running) | None => return Style::new(),
    };
    Style::new().fg(color)
}

fn draw_log(frame: &mut Frame<'_>, state: &TopState, area: Rect) {
    let title = match &state.watched {
        Some(log) if log.is_stderr => format!("{} stderr", log.name),
        Some(log) => format!("{} stdout", log.name),
        None => "select a process".to_owned(),
    };
    let height = usize::from(area.height.saturating_sub(1));
    let lines: Vec<&str> = state.log.lines().collect();
    let shown = &lines[lines.len().saturating_sub(height)..];
    let lines: Vec<Line<'_>> = shown
        .iter()
        .map(|line| Line::from(line.replace('\t', "    ").replace('\r', "")))
        .collect();
    let block = Block::new().borders(Borders::TOP).title(title);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// The line at the bottom: a question, the filter, the result of an action, or the keys.
fn bottom(state: &TopState) -> String {
    match &state.mode {
        KeyMode::Confirm(verb, name) => format!("{} {name}? (y/N)", verb.word()),
        KeyMode::Filter => format!("/{}", state.model.filter()),
        _ if !state.message.is_empty() => state.message.clone(),
        _ if !state.model.filter().is_empty() => {
            format!("filter: {}  (Esc ends it)", state.model.filter())
        }
        _ => "q quit  ? help  / filter  o order  l log  s start  x stop  r restart".to_owned(),
    }
}

fn draw_help(frame: &mut Frame<'_>) {
    let whole = frame.area();
    let height = u16::try_from(HELP.len() + 2).unwrap_or(u16::MAX);
    let area = Rect {
        x: whole.width.saturating_sub(64) / 2,
        y: whole.height.saturating_sub(height) / 2,
        width: whole.width.min(64),
        height: whole.height.min(height),
    };
    let lines: Vec<Line<'_>> = HELP.iter().copied().map(Line::from).collect();
    frame.render_widget(Clear, area);
    let block = Block::new().borders(Borders::ALL).title("Keys");
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::model::TopProcess;
    use super::*;

    /// The screen as lines without trailing blanks.
    fn drawn(state: &mut TopState, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a backend");
        let frame = terminal
            .draw(|frame| draw(frame, state, true))
            .expect("drawn");
        let area = frame.area;
        let line = |y: u16| {
            let cells = (0..area.width).map(|x| frame.buffer[(x, y)].symbol());
            cells.collect::<String>().trim_end().to_owned()
        };
        (0..area.height).map(line).collect()
    }

    fn state() -> TopState {
        let mut state = TopState::default();
        state.model.set_processes(vec![TopProcess {
            group: "web".to_owned(),
            name: "web_0".to_owned(),
            namespec: "web:web_0".to_owned(),
            state: "FATAL".to_owned(),
            statecode: 200,
            description: "can't find command".to_owned(),
            ..TopProcess::default()
        }]);
        state
    }

    #[test]
    fn the_screen_has_header_table_and_keys() {
        let mut state = state();
        let lines = drawn(&mut state, 100, 8);
        assert!(
            lines[0].starts_with("1 processes, 0 RUNNING, 1 FATAL, 0 BACKOFF"),
            "{lines:#?}"
        );
        assert!(
            lines[1].starts_with("NAME") && lines[1].contains("PSI c/m/i %"),
            "{lines:#?}"
        );
        assert!(
            lines[2].starts_with("- web") && lines[2].contains("0/1"),
            "{lines:#?}"
        );
        assert!(
            lines[3].starts_with("    web_0") && lines[3].contains("FATAL"),
            "{lines:#?}"
        );
        assert!(lines[7].starts_with("q quit"), "{lines:#?}");
        state.mode = KeyMode::Confirm(super::super::feed::TopVerb::Stop, "web:*".to_owned());
        assert_eq!(drawn(&mut state, 100, 8)[7], "stop web:*? (y/N)");
        state.mode = KeyMode::Help;
        assert!(
            drawn(&mut state, 100, 20)
                .iter()
                .any(|line| line.contains("Ctrl-C"))
        );
    }

    #[test]
    fn the_log_pane_shows_the_last_lines() {
        let mut state = state();
        state.has_log = true;
        state.log = (0..50)
            .map(|number| format!("line\t{number}\r\n"))
            .collect();
        let lines = drawn(&mut state, 80, 20);
        assert!(lines.iter().any(|line| line == "line    49"), "{lines:#?}");
        assert!(lines.iter().all(|line| line != "line    0"), "{lines:#?}");
    }

    #[test]
    fn a_tiny_terminal_is_no_error() {
        for (width, height) in [(1, 1), (2, 3), (10, 4)] {
            let mut state = state();
            state.has_log = true;
            state.mode = KeyMode::Help;
            assert_eq!(drawn(&mut state, width, height).len(), usize::from(height));
        }
    }
}
