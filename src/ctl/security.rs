//! The action `security`: how well programs are confined, and which key to set next. Only our own server supports it.

use serde::{Deserialize, Serialize};

use super::error::CtlError;
use super::reply::{as_text, unexpected};
use super::rolling::print_refusal;
use super::session::CtlSession;
use super::{printable, render};
use crate::api::xmlrpc::RpcValue;

/// A program with its score.
#[derive(Debug, Serialize, Deserialize)]
struct ScoredProgram {
    name: String,
    group: String,
    section: Option<String>,
    processes: u64,
    /// 0 to 100.
    score: u32,
    /// Those with the most points first.
    checks: Vec<ScoredCheck>,
}

/// Whether a program is confined in one way.
#[derive(Debug, Serialize, Deserialize)]
struct ScoredCheck {
    key: String,
    met: bool,
    points: u32,
    effect: String,
    example: String,
}

#[derive(Serialize, Deserialize)]
struct ScoredPrograms {
    programs: Vec<ScoredProgram>,
}

/// The action `security [name…]`.
pub(super) fn security(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let mut names = session.words(arguments);
    names.retain(|name| *name != "all");
    if !session.is_up()? {
        return Ok(());
    }
    let wanted = names.iter().map(|name| RpcValue::text(*name)).collect();
    let params = vec![RpcValue::Array(wanted)];
    let answer = match session.call("supervisord.getSecurity", params) {
        Err(failure) => return print_refusal(session, "security", failure),
        Ok(answer) => as_text(&answer)?,
    };
    let mut found: ScoredPrograms =
        serde_json::from_str(&answer).map_err(|_| unexpected("scores"))?;
    if found.programs.is_empty() && !names.is_empty() {
        return session.refuse(&format!("{}: ERROR (no such process)", names.join(" ")));
    }
    found.programs.sort_by_key(|program| program.score);
    if session.json {
        return session.say(&render::json(&found));
    }
    let lines = match names.is_empty() {
        true => table(&found.programs),
        false => found.programs.iter().flat_map(details).collect(),
    };
    for line in lines {
        session.say(&line)?;
    }
    Ok(())
}

/// One line for each program, the least confined first.
fn table(programs: &[ScoredProgram]) -> Vec<String> {
    let width = programs.iter().map(|program| program.name.chars().count());
    let width = width.max().unwrap_or(0);
    programs
        .iter()
        .map(|program| {
            let next = match program.next() {
                Some((check, score)) => {
                    format!("next: {}={} ({score})", check.key, check.example)
                }
                None => "nothing left to set".to_owned(),
            };
            printable::all(&format!(
                "{:width$}  {:>3}/100  {next}",
                program.name, program.score
            ))
        })
        .collect()
}

/// All checks of a program.
fn details(program: &ScoredProgram) -> Vec<String> {
    let section = program.section.as_deref().unwrap_or("unknown section");
    let mut lines = vec![printable::all(&format!(
        "{} [{section}]: {}/100",
        program.name, program.score
    ))];
    for check in &program.checks {
        let mark = if check.met { '+' } else { '-' };
        let text = format!(
            "  {mark} {:3} {}: {}",
            check.points, check.key, check.effect
        );
        lines.push(printable::all(&text));
    }
    if let Some((check, score)) = program.next() {
        let text = format!(
            "  next: {}={}, for example, which makes it {score}/100",
            check.key, check.example
        );
        lines.push(printable::all(&text));
    }
    lines
}

impl ScoredProgram {
    /// The key that adds most, and the score with it. `None`: all are set.
    fn next(&self) -> Option<(&ScoredCheck, u32)> {
        let check = self.checks.iter().find(|check| !check.met)?;
        Some((check, self.score.saturating_add(check.points)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(score: u32, met: [bool; 2]) -> ScoredProgram {
        let check = |key: &str, points: u32, met: bool| ScoredCheck {
            key: key.to_owned(),
            met,
            points,
            effect: "it cannot".to_owned(),
            example: "true".to_owned(),
        };
        ScoredProgram {
            name: "web".to_owned(),
            group: "web".to_owned(),
            section: Some("program:web".to_owned()),
            processes: 1,
            score,
            checks: vec![check("user", 60, met[0]), check("sandbox", 40, met[1])],
        }
    }

    #[test]
    fn the_next_key_is_the_one_that_adds_most() {
        let (none, one, both) = (
            program(0, [false, false]),
            program(60, [true, false]),
            program(100, [true, true]),
        );
        assert_eq!(
            table(&[none, one, both]),
            [
                "web    0/100  next: user=true (60)",
                "web   60/100  next: sandbox=true (100)",
                "web  100/100  nothing left to set",
            ]
        );
        assert_eq!(
            details(&program(60, [true, false])),
            [
                "web [program:web]: 60/100",
                "  +  60 user: it cannot",
                "  -  40 sandbox: it cannot",
                "  next: sandbox=true, for example, which makes it 100/100",
            ]
        );
    }
}
