//! Unit tests of the core: a script of moments and inputs, and for each the actions and the next deadline.

mod bench;
mod daemon;
mod life;
mod live;
mod requests;
mod rolling;
mod stop;
