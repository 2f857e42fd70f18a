//! Turns configuration text into a typed, checked configuration, and compares two configurations.

mod allow;
pub mod confinement;
pub mod ctl;
pub mod dependency;
pub mod diff;
pub mod edit;
pub mod edited_files;
pub mod env_file;
pub mod environment;
mod exit_when;
pub mod expand;
mod glob;
pub mod health;
mod hint;
pub mod hooks;
pub mod ini;
mod ini_line;
mod interned_default;
pub mod key;
mod key_origins;
#[cfg(test)]
mod keys_tests;
mod line_role;
pub mod lint;
pub mod log_list;
pub mod log_options;
pub(crate) mod log_target;
pub mod lookup;
pub mod nacos;
mod notification;
pub mod options;
mod parse;
mod path;
pub mod plan;
mod plugin;
mod problem;
mod python;
pub mod render;
pub mod resources;
pub mod restart_policy;
pub mod saved_settings;
mod schedule;
pub mod script;
pub mod search;
pub mod security;
pub mod shlex;
pub mod source;
pub mod spec;
#[cfg(test)]
pub(crate) mod testing;
pub mod tokens;
pub mod value;
pub mod watch;

pub use glob::matches_name;
pub use hint::of_name as closest_word;
pub use hint::of_name as closest_known;
pub use parse::{
    build_group_change, check_config, load, load_with_places, parse_nacos_keys, read_nacos_texts,
    read_source_settings,
};
pub use path::{absolute, expand_user, normalize};
pub use problem::{
    CheckReport, ConfigErrors, ConfigProblem, ERROR, PROBLEMS_MAX, SourceSpan, Sources, WARNING,
    warning_lines,
};
