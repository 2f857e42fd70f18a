//! The manual pages about configuration files, generated from KEYS, EVENTS and the table of transitions. The pages about
//! one room, such as supervisorctl(1), are in files `manual.rs` of those rooms.

mod configuration;
pub mod editor;
mod events;
mod sample;

pub use configuration::configuration;
pub use events::events;
pub use sample::sample;
