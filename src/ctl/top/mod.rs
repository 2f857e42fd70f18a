//! The action `top`: what the processes do and use, live on the screen or once as text.

mod feed;
mod keys;
mod model;
mod once;
mod screen;
mod screen_loop;
mod screen_terminal;

pub(super) use once::top;
pub(super) use screen_loop::show_screen;
