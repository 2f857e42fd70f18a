//! The action `program`: shows and changes programs where the configuration has them.

use std::io::{self, Read};

use serde_json::Value;

use super::editor::EditedText;
use super::error::CtlError;
use super::exit;
use super::plan::print_steps;
use super::program_words::{ProgramVerb, ProgramWords};
use super::reply::{as_text, unexpected};
use super::session::{CtlSession, is_at_terminal};
use crate::api::xmlrpc::RpcValue;
use crate::api::{FaultCode, PRESENT_VERSION};
use crate::config::plan::UpdatePlan;
use crate::domain::{Escaped, Foreign};

/// Maximum size of a section that `add` reads, in bytes.
const SECTION_BYTES_MAX: u64 = 1 << 20;
/// The action `program list|show|add|set|unset|edit|remove|copy …`.
pub(super) fn program(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let words = match ProgramWords::parse(arguments) {
        Ok(words) => words,
        Err(why) => return session.usage(&format!("Error: program: {why}"), exit::GENERIC),
    };
    session.json = words.json;
    match words.verb {
        ProgramVerb::List => list(session),
        ProgramVerb::Show => show(session, words.name()),
        ProgramVerb::Add => add(session, &words),
        ProgramVerb::Set | ProgramVerb::Unset => set(session, &words),
        ProgramVerb::Edit => edit(session, &words),
        ProgramVerb::Remove => remove(session, &words),
        ProgramVerb::Copy => {
            let new_name = words.operands.get(1).map_or("", String::as_str);
            let params = vec![RpcValue::text(words.name()), RpcValue::text(new_name)];
            let copy = ProgramCall::new("supervisord.copyProgram", params);
            change(session, &words, copy).map(drop)
        }
    }
}

/// A call of a method that changes a program.
#[derive(Clone)]
struct ProgramCall {
    method: &'static str,
    params: Vec<RpcValue>,
    /// The MD5 of the text that the user has seen. Empty: any.
    md5: String,
}

impl ProgramCall {
    fn new(method: &'static str, params: Vec<RpcValue>) -> Self {
        Self {
            method,
            params,
            md5: String::new(),
        }
    }

    /// Calls the method.
    fn send(&self, session: &mut CtlSession, is_dry: bool) -> Result<Value, CtlError> {
        let mut params = self.params.clone();
        params.push(RpcValue::text(&self.md5));
        params.push(RpcValue::Bool(is_dry));
        ask(session, self.method, params)
    }
}

/// Calls a method whose result is JSON.
fn ask(session: &mut CtlSession, method: &str, params: Vec<RpcValue>) -> Result<Value, CtlError> {
    let answer = session.call(method, params)?;
    serde_json::from_str(&as_text(&answer)?).map_err(|_| unexpected("JSON"))
}

fn list(session: &mut CtlSession) -> Result<(), CtlError> {
    let listed = match ask(session, "supervisord.listPrograms", Vec::new()) {
        Ok(listed) => listed,
        Err(failure) => return refuse(session, "", failure),
    };
    if session.json {
        return session.say(&listed.to_string());
    }
    let rows = listed["programs"].as_array().map(Vec::as_slice);
    let rows = rows.unwrap_or_default();
    let widths = rows.iter().map(|row| text_of(row, "name").chars().count());
    let width = widths.max().unwrap_or_default().max(30);
    for row in rows {
        let (name, file) = (text_of(row, "name"), text_of(row, "file"));
        session.say(&format!(
            "{:width$} {}:{}",
            Foreign(name).to_string(),
            Foreign(file),
            row["line"]
        ))?;
    }
    Ok(())
}

fn show(session: &mut CtlSession, name: &str) -> Result<(), CtlError> {
    match get(session, name) {
        Ok(got) if session.json => session.say(&got.to_string()),
        Ok(got) => say_lines(session, text_of(&got, "text")),
        Err(failure) => refuse(session, name, failure),
    }
}

/// A program with its text and the MD5 of its file.
fn get(session: &mut CtlSession, name: &str) -> Result<Value, CtlError> {
    ask(
        session,
        "supervisord.getProgram",
        vec![RpcValue::text(name)],
    )
}

fn add(session: &mut CtlSession, words: &ProgramWords) -> Result<(), CtlError> {
    let file = words.operands.first().map_or("-", String::as_str);
    let text = match read_section(session, file) {
        Ok(text) => text,
        Err(error) => return session.refuse(&format!("ERROR: {}: {error}", Foreign(file))),
    };
    let params = vec![RpcValue::text(text), RpcValue::text("")];
    let add = ProgramCall::new("supervisord.addProgram", params);
    change(session, words, add).map(drop)
}

/// Reads the text of a section. `-`: standard input.
fn read_section(session: &mut CtlSession, file: &str) -> io::Result<String> {
    let mut text = String::new();
    match file {
        "-" => {
            while let Some(line) = session.input.next()? {
                text.push_str(&line);
                text.push('\n');
                if text.len() as u64 > SECTION_BYTES_MAX {
                    break;
                }
            }
        }
        file => {
            let opened = std::fs::File::open(file)?;
            opened
                .take(SECTION_BYTES_MAX + 1)
                .read_to_string(&mut text)?;
        }
    }
    match text.len() as u64 > SECTION_BYTES_MAX {
        true => Err(io::Error::other("the text is longer than 1 MiB")),
        false => Ok(text),
    }
}

fn set(session: &mut CtlSession, words: &ProgramWords) -> Result<(), CtlError> {
    let keys = words.keys.iter();
    let keys = keys.map(|(key, value)| (key.clone(), RpcValue::text(value)));
    let params = vec![
        RpcValue::text(words.name()),
        RpcValue::Struct(keys.collect()),
    ];
    let set = ProgramCall::new("supervisord.setProgramKeys", params);
    change(session, words, set).map(drop)
}

fn edit(session: &mut CtlSession, words: &ProgramWords) -> Result<(), CtlError> {
    let name = words.name();
    if !is_at_terminal() {
        return session
            .refuse("ERROR: program edit needs a terminal (program show, set and unset do not)");
    }
    let got = match get(session, name) {
        Ok(got) => got,
        Err(failure) => return refuse(session, name, failure),
    };
    let old = text_of(&got, "text");
    session.flush()?;
    let edited = match EditedText::new(name, old) {
        Ok(edited) => edited,
        Err(error) => {
            return session.refuse(&format!("ERROR: the text cannot be edited: {error}"));
        }
    };
    loop {
        let text = match edited.ask_editor() {
            Ok(text) => text,
            Err(error) => return keep(session, edited, &format!("ERROR: the editor: {error}")),
        };
        if text == old {
            return session.say(&format!("{}: unchanged", Foreign(name)));
        }
        let params = vec![RpcValue::text(name), RpcValue::text(text)];
        let mut call = ProgramCall::new("supervisord.setProgram", params);
        text_of(&got, "md5").clone_into(&mut call.md5);
        if change(session, words, call)? {
            return Ok(());
        }
        if !session.confirm_at_terminal("Edit again y/N? ")? {
            return keep(session, edited, "nothing changed");
        }
        session.exit = 0;
    }
}

/// Ends an edit whose text was not written, and tells where the text is.
fn keep(session: &mut CtlSession, edited: EditedText, why: &str) -> Result<(), CtlError> {
    let path = edited.keep();
    session.refuse(&format!("{why} (your text: {})", path.display()))
}

fn remove(session: &mut CtlSession, words: &ProgramWords) -> Result<(), CtlError> {
    let name = words.name();
    let params = vec![RpcValue::text(name)];
    let mut call = ProgramCall::new("supervisord.removeProgram", params);
    if !words.is_sure && !words.is_dry && is_at_terminal() {
        let seen = get(session, name).and_then(|got| {
            text_of(&got, "md5").clone_into(&mut call.md5);
            call.send(session, true)
        });
        match seen {
            Ok(seen) => print_trial(session, &seen)?,
            Err(failure) => return refuse(session, name, failure),
        }
        let question = format!("Really remove {} y/N? ", Foreign(name));
        if !session.confirm_at_terminal(&question)? {
            return session.refuse("program: cancelled, nothing changed");
        }
    }
    change(session, words, call).map(drop)
}

/// Makes a change, or shows what it would do, and prints it. Returns whether it was accepted.
fn change(
    session: &mut CtlSession,
    words: &ProgramWords,
    call: ProgramCall,
) -> Result<bool, CtlError> {
    let answer = match call.send(session, words.is_dry) {
        Ok(answer) => answer,
        Err(failure) => {
            let name = words.operands.first().map_or("", String::as_str);
            return refuse(session, name, failure).map(|()| false);
        }
    };
    if words.is_dry && plan_of(&answer)?.is_some_and(|plan| !plan.is_empty()) {
        session.exit = exit::PLAN_HAS_CHANGES;
    }
    if session.json {
        session.say(&answer.to_string())?;
    } else if words.is_dry {
        print_trial(session, &answer)?;
    } else {
        print_done(session, words.verb, &answer)?;
    }
    Ok(true)
}

/// Prints the difference and the plan of a change that was not made.
fn print_trial(session: &mut CtlSession, answer: &Value) -> Result<(), CtlError> {
    say_lines(session, text_of(answer, "diff"))?;
    match plan_of(answer)? {
        Some(plan) => print_steps(session, &plan),
        None => Ok(()),
    }
}

/// Prints what a change did.
fn print_done(session: &mut CtlSession, verb: ProgramVerb, answer: &Value) -> Result<(), CtlError> {
    let (name, file) = (text_of(answer, "name"), text_of(answer, "file"));
    if answer["changed"] == false {
        return session.say(&format!("{}: unchanged", Foreign(name)));
    }
    let done = verb.done();
    session.say(&format!(
        "{}: {done} {} (+{} -{} lines)",
        Foreign(name),
        Foreign(file),
        answer["lines_added"],
        answer["lines_removed"],
    ))?;
    if let Some(plan) = plan_of(answer)? {
        print_steps(session, &plan)?;
    }
    match answer["remote"] == true {
        true => session.say(
            "published: each daemon with this item applies it when the server reports the change",
        ),
        false => Ok(()),
    }
}

fn plan_of(answer: &Value) -> Result<Option<UpdatePlan>, CtlError> {
    let plan = answer["plan"].clone();
    match plan.is_null() {
        true => Ok(None),
        false => serde_json::from_value(plan)
            .map(Some)
            .map_err(|_| unexpected("a plan")),
    }
}

/// Prints a text that is not ours line by line, without control characters.
fn say_lines(session: &mut CtlSession, text: &str) -> Result<(), CtlError> {
    for line in text.lines() {
        let line: Vec<String> = line
            .split('\t')
            .map(|part| Escaped(part).to_string())
            .collect();
        session.say(&line.join("\t"))?;
    }
    Ok(())
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Prints why a call failed: all problems of a text, each on a line.
fn refuse(session: &mut CtlSession, name: &str, failure: CtlError) -> Result<(), CtlError> {
    if failure.is_fault(FaultCode::UnknownMethod) {
        session.complain("ERROR: the daemon does not support changes of programs")?;
        session.exit = exit::UNIMPLEMENTED;
        return Ok(());
    }
    if failure.is_fault(FaultCode::BadName) {
        return session.refuse(&format!("ERROR: no such program: {}", Foreign(name)));
    }
    let CtlError::Fault(fault) = failure else {
        return Err(failure);
    };
    let reason = match fault.text.split_once(": ") {
        Some((code, reason)) if code.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') => reason,
        _ => &fault.text,
    };
    let reason = reason.split(PRESENT_VERSION).next().unwrap_or(reason);
    for problem in problems(reason) {
        session.refuse(&format!("ERROR: {}", Foreign(&problem)))?;
    }
    Ok(())
}

/// The problems of a fault. They are joined by semicolons, which a problem contains too; a new one begins with a place.
fn problems(reason: &str) -> Vec<String> {
    let mut problems: Vec<String> = Vec::new();
    for part in reason.split("; ") {
        let first = part.split_whitespace().next().unwrap_or_default();
        let mut fields = first.trim_end_matches(':').rsplit(':');
        let mut is_number = || {
            fields
                .next()
                .is_some_and(|field| field.parse::<u32>().is_ok())
        };
        let is_placed = first.ends_with(':') && is_number() && is_number();
        match problems.last_mut() {
            Some(last) if !is_placed => {
                last.push_str("; ");
                last.push_str(part);
            }
            _ => problems.push(part.to_owned()),
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_begin_with_their_places() {
        let joined = "a:3:11: no number; startsecs takes one; b:4:1: no signal";
        let parted = ["a:3:11: no number; startsecs takes one", "b:4:1: no signal"];
        assert_eq!(problems(joined), parted);
    }
}
