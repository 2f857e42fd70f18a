//! The manual pages about configuration files, generated from KEYS and EVENTS.

mod configuration;
mod events;
mod sample;

pub use configuration::configuration;
pub use events::events;
pub use sample::sample;
