//! Helpers for the tests of `spawn`: processes with a command, an environment or a socket.

use std::sync::Arc;

use crate::config::spec::{FcgiSocket, ProcessKind, ProcessSpec};
use crate::config::testing::program;
use crate::domain::GroupName;

/// The process `team:proc`.
pub(super) fn spec(command: &str, environment: &[(&str, &str)]) -> ProcessSpec {
    ProcessSpec {
        command: command.into(),
        environment: environment
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..program("team", "proc")
    }
}

/// A process of the group `group` that listens at `url`.
pub(super) fn fcgi(group: &str, url: &str, command: &str) -> ProcessSpec {
    ProcessSpec {
        group: GroupName::parse(group).expect("valid"),
        kind: ProcessKind::Fcgi(Arc::new(FcgiSocket {
            program: Arc::from("web"),
            url: url.to_owned(),
            mode: url.starts_with("unix").then_some(0o700),
            owner: (None, None),
            backlog: None,
        })),
        ..spec(command, &[])
    }
}
