//! Text → typed configuration → difference.

mod allow;
pub mod completion;
pub mod confinement;
pub mod ctl;
pub mod diff;
pub mod environment;
pub mod expand;
pub mod getopt;
mod glob;
mod hint;
pub mod ini;
pub mod key;
mod lint;
pub mod lookup;
pub mod manual;
pub mod options;
mod parse;
mod path;
mod plugin;
mod problem;
mod python;
pub mod render;
pub mod resources;
pub mod search;
mod sparse;
pub mod spec;
#[cfg(test)]
pub(crate) mod testing;
pub mod value;
pub mod verb;
pub mod words;

pub use glob::fits;
pub use parse::{compose, load};
pub use path::{absolute, expand_user, normalize};
pub use problem::{ConfigErrors, ERROR, PROBLEMS_MAX, Problem, Span, WARNING, warning_lines};
