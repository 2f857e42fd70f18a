//! Manual pages about what stands in configuration files, drawn from KEYS and EVENTS.

mod configuration;
mod events;
mod sample;

pub use configuration::configuration;
pub use events::events;
pub use sample::sample;
