//! `supervisorctl`: arguments → [`supervisord::ctl::run`] → exit status; nothing else.
fn main() {}
