//! `supervisord`: arguments → [`supervisord::daemon::run`] → exit status; nothing else.
fn main() {}
