//! The text of one program section: checked, with its name, ready to be inserted into a file.

use super::super::key::SectionKind;
use super::super::line_role::LineRole;
use super::super::python::is_space;
use super::super::value;
use super::error::{EditError, SectionTextProblem};
use super::file_lines::{FileLines, split_end};
use crate::domain::GroupName;

/// The text of one program section.
pub(super) struct SectionText {
    /// The name of the program.
    pub(super) name: String,
    /// The name of the section, as written between the brackets.
    pub(super) section: String,
    /// Comment lines above the header, without line ends.
    pub(super) above: Vec<String>,
    /// The header and the lines below it, without line ends.
    pub(super) lines: Vec<String>,
}

impl SectionText {
    /// Checks a text. Blank lines at its beginning and end go, and those between its comments and the header or its
    /// last value and the comments below that: comments behind a blank line would belong to no section.
    ///
    /// # Errors
    /// [`EditError::SectionText`], [`EditError::InvalidName`].
    pub(super) fn parse(text: &str) -> Result<Self, EditError> {
        let problem = |line: usize, problem| EditError::SectionText { line, problem };
        let file = FileLines::new(text);
        let mut headers = file.blocks.iter();
        let first = headers
            .next()
            .map_or(file.lines.len(), |block| block.header);
        let is_homeless = |role: &LineRole<'_>| matches!(role, LineRole::Homeless);
        let homeless = file.lines.iter().position(|line| is_homeless(&line.role));
        let Some(block) = file.blocks.first().filter(|_| homeless.is_none()) else {
            let line = homeless.unwrap_or_default() + 1;
            return Err(problem(line, SectionTextProblem::NoHeader));
        };
        if let Some(second) = headers.next() {
            return Err(problem(second.header + 1, SectionTextProblem::SecondHeader));
        }
        let Some(title) = block.name.strip_prefix(SectionKind::Program.prefix()) else {
            return Err(problem(first + 1, SectionTextProblem::NotProgram));
        };
        let name = check_name(title)?;
        let bad = file.lines.iter().position(|line| match &line.role {
            LineRole::Bad => true,
            LineRole::Key(parts) => parts.key.is_empty(),
            _ => false,
        });
        if let Some(bad) = bad {
            return Err(problem(bad + 1, SectionTextProblem::NotKey));
        }
        let is_blank = |index: &usize| matches!(file.lines[*index].role, LineRole::Blank);
        let line = |index: usize| split_end(file.lines[index].text).0.to_owned();
        let above = (0..first).filter(|index| !is_blank(index)).map(line);
        let below = (block.end..file.lines.len()).filter(|index| !is_blank(index));
        // An indented header could continue the value of the section before.
        let header = line(first).trim_start_matches(is_space).to_owned();
        let rest = (first + 1..block.end).chain(below).map(line);
        Ok(Self {
            name,
            section: block.name.to_owned(),
            above: above.collect(),
            lines: std::iter::once(header).chain(rest).collect(),
        })
    }

    /// The text as a file of its own.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for line in self.above.iter().chain(&self.lines) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// The name of the program in the header of a section. `text`: the whole section with its header.
///
/// # Errors
/// The text is not one section of a program.
pub fn program_of(text: &str) -> Result<String, EditError> {
    SectionText::parse(text).map(|section| section.name)
}

/// Checks the name of a program by the rules of the parser, and that a header with it is read as written. Returns the
/// name without outer blanks.
///
/// # Errors
/// [`EditError::InvalidName`].
pub(super) fn check_name(name: &str) -> Result<String, EditError> {
    let invalid = |reason: String| EditError::InvalidName {
        name: name.to_owned(),
        reason,
    };
    let checked = value::name(name).map_err(invalid)?;
    GroupName::parse(name).map_err(|error| invalid(error.to_string()))?;
    if checked.is_empty() {
        return Err(invalid("the name is empty".to_owned()));
    }
    let header = format!("[{}{checked}]", SectionKind::Program.prefix());
    let is_read = FileLines::new(&header)
        .blocks
        .first()
        .is_some_and(|block| block.name.len() == header.len() - 2);
    if !is_read || checked.contains(char::is_control) {
        return Err(invalid(format!("Invalid name: {checked:?}")));
    }
    Ok(checked)
}

/// The header of a section with another name. `line`: the old header.
pub(super) fn renamed_header(line: &str, section: &str, name: &str) -> String {
    let (line, _) = split_end(line);
    let name = format!("[{}{name}]", SectionKind::Program.prefix());
    line.replacen(&format!("[{section}]"), &name, 1)
}
