//! Edits one program in the text of a configuration: adds, replaces, removes or copies its section, or sets one of its
//! keys. All other bytes of the text stay as they are: comments, order, blank lines, line ends.
//!
//! The rules:
//!
//! - *The section* is its header and the lines below it up to its last value, with the comments directly below that.
//!   Comments directly above the header belong to it too: a removal removes them, a replacement keeps them unless its
//!   text begins with comments of its own. A commented-out key directly below the values of the section before (such
//!   as `;autostart=false`) belongs to that one. Comments between blank lines belong to no section.
//! - *Add* appends the section behind the last line that is not blank, after one blank line. *Remove* removes one blank
//!   line before the section, so that a removal undoes an addition byte for byte. A file whose last line has no line end
//!   stays such a file.
//! - *A section in several places*, of one file or of several: the parser merges them, and the last value of a key
//!   counts. Here, its text is that of all of them; a replacement is written to the first place, and the others are
//!   removed ([`EditNote::Joined`]). A key is set where its value counts.
//! - *Groups*: a removed program is removed from the lists of its groups, and a group without other programs is removed
//!   too. A replacement with another name in its header renames the program, in the lists of its groups too.
//! - *Dependants*: a program that `depends_on`, `restart_with`, `dependent_startup_wait_for` or `exit_when` names can
//!   neither be removed nor renamed.
//!
//! After each edit, the parser reads both texts. If anything but the program and its groups differs, the edit is
//! refused ([`EditError::Entangled`]). Whether the new text is a valid configuration is for the caller to check, with
//! [`super::load`].

mod config_texts;
mod dependants;
mod draft;
mod error;
mod file_lines;
mod group_list;
mod key_edit;
mod line_diff;
mod masked_text;
mod origin;
#[cfg(test)]
mod random_tests;
mod section_text;
#[cfg(test)]
mod tests;

pub use config_texts::{ConfigTexts, KeyEdit};
pub use draft::{FileEdit, TextEdit};
pub use error::{Dependant, EditError, EditNote, EditPlace, SectionTextProblem, ValueProblem};
pub use line_diff::{DiffHunk, DiffLine, LineDiff};
pub use masked_text::{MASK, masked_diff, masked_text};
pub use origin::{NewProgramPlace, OriginPlace, ProgramOrigin, origin_of, place_of_new};
pub use section_text::program_of;
