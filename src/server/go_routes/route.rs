//! The addresses of the Go project, of both of its generations: with the name of a node, and without.

use hyper::Method;

use crate::domain::Channel;

/// A request to one of the addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server) struct GoRoute {
    /// The name of the node in the address. Empty: none, which means this one.
    pub(super) node: String,
    pub(super) action: GoAction,
}

/// What an address is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GoAction {
    /// All processes.
    ListPrograms,
    /// One process.
    ProgramInfo(String),
    /// Changes one process or group.
    Change(ProgramChange, String),
    /// Changes the processes in the body.
    ChangeMany(ProgramChange),
    /// A part of the log of a process.
    ProgramLog(String, Channel),
    /// All nodes.
    ListNodes,
    /// Whether a node answers.
    Ping,
    /// Reads the configuration and applies it.
    Reload,
    /// Stops the daemon.
    Shutdown,
    /// The configuration file of a program.
    ConfFile(String),
    /// The directory of logs, without the slash at its end.
    LogDirectory(String),
    /// The log files of a process.
    LogFiles(String),
    /// One log file of a process.
    LogFile(String, String),
}

/// How a process is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgramChange {
    Start,
    Stop,
    Restart,
}

impl GoRoute {
    /// The route of a decoded path. `None`: it is not one of them.
    pub(in crate::server) fn at(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let local = |action| {
            let node = String::new();
            Some(Self { node, action })
        };
        let on = |node: &str, action| {
            let node = node.to_owned();
            Some(Self { node, action })
        };
        match parts[..] {
            ["program", "list"] => local(GoAction::ListPrograms),
            ["program", "startPrograms"] => local(GoAction::ChangeMany(ProgramChange::Start)),
            ["program", "stopPrograms"] => local(GoAction::ChangeMany(ProgramChange::Stop)),
            ["program", verb, name] if !name.is_empty() => local(program_action(verb, name)?),
            ["program", "log", name, channel] if channel_of(channel).is_some() => {
                local(GoAction::ProgramLog(name.to_owned(), channel_of(channel)?))
            }
            ["program", verb, node, name] if !name.is_empty() => {
                on(node, program_action(verb, name)?)
            }
            ["program", "log", node, name, channel] => on(
                node,
                GoAction::ProgramLog(name.to_owned(), channel_of(channel)?),
            ),
            ["supervisor", "listNodes"] => local(GoAction::ListNodes),
            ["supervisor", verb] if verb != "ping" => local(node_action(verb)?),
            ["supervisor", node, verb] => on(node, node_action(verb)?),
            ["conf", name] if !name.is_empty() => local(GoAction::ConfFile(name.to_owned())),
            ["log", name] if !name.is_empty() => local(GoAction::LogDirectory(name.to_owned())),
            ["log", name, ""] if !name.is_empty() => local(GoAction::LogFiles(name.to_owned())),
            // A file has directories before its name if they have a date.
            ["log", name, ref file @ ..] if !name.is_empty() => {
                local(GoAction::LogFile(name.to_owned(), file.join("/")))
            }
            _ => None,
        }
    }

    /// Whether the route changes something.
    pub(super) const fn is_change(&self) -> bool {
        matches!(
            self.action,
            GoAction::Change(..) | GoAction::ChangeMany(_) | GoAction::Reload | GoAction::Shutdown
        )
    }

    /// Whether the route has this method.
    pub(super) fn has_method(&self, method: &Method) -> bool {
        match self.is_change() {
            true => *method == Method::POST || *method == Method::PUT,
            false => *method == Method::GET || *method == Method::HEAD,
        }
    }

    /// The methods of the route, for the header `Allow`.
    pub(super) const fn methods(&self) -> &'static str {
        match self.is_change() {
            true => "POST, PUT",
            false => "GET, HEAD",
        }
    }
}

fn program_action(verb: &str, name: &str) -> Option<GoAction> {
    let name = name.to_owned();
    Some(match verb {
        "info" => GoAction::ProgramInfo(name),
        "start" => GoAction::Change(ProgramChange::Start, name),
        "stop" => GoAction::Change(ProgramChange::Stop, name),
        "restart" => GoAction::Change(ProgramChange::Restart, name),
        _ => return None,
    })
}

fn node_action(verb: &str) -> Option<GoAction> {
    Some(match verb {
        "ping" => GoAction::Ping,
        "reload" => GoAction::Reload,
        "shutdown" => GoAction::Shutdown,
        _ => return None,
    })
}

fn channel_of(text: &str) -> Option<Channel> {
    match text {
        "stdout" => Some(Channel::Stdout),
        "stderr" => Some(Channel::Stderr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g52_g53_both_generations_of_addresses_are_read() {
        let name = || "g:a".to_owned();
        use GoAction::*;
        use ProgramChange::*;
        for (path, node, action) in [
            ("/program/list", "", ListPrograms),
            ("/program/info/g:a", "", ProgramInfo(name())),
            ("/program/info/n/g:a", "n", ProgramInfo(name())),
            ("/program/info//g:a", "", ProgramInfo(name())),
            ("/program/start/g:a", "", Change(Start, name())),
            ("/program/stop/n/g:a", "n", Change(Stop, name())),
            ("/program/restart/n/g:a", "n", Change(Restart, name())),
            ("/program/startPrograms", "", ChangeMany(Start)),
            ("/program/stopPrograms", "", ChangeMany(Stop)),
            (
                "/program/log/g:a/stdout",
                "",
                ProgramLog(name(), Channel::Stdout),
            ),
            (
                "/program/log/n/g:a/stderr",
                "n",
                ProgramLog(name(), Channel::Stderr),
            ),
            ("/supervisor/listNodes", "", ListNodes),
            ("/supervisor/n/ping", "n", Ping),
            ("/supervisor/reload", "", Reload),
            ("/supervisor/n/reload", "n", Reload),
            ("/supervisor/shutdown", "", Shutdown),
            ("/supervisor/n/shutdown", "n", Shutdown),
            ("/conf/g:a", "", ConfFile(name())),
            ("/log/g:a", "", LogDirectory(name())),
            ("/log/g:a/", "", LogFiles(name())),
            ("/log/g:a/x.1", "", LogFile(name(), "x.1".to_owned())),
            ("/log/g:a/d/x", "", LogFile(name(), "d/x".to_owned())),
        ] {
            let node = node.to_owned();
            assert_eq!(GoRoute::at(path), Some(GoRoute { node, action }), "{path}");
        }
        for path in [
            "",
            "/",
            "program/list",
            "//program/list",
            "/program/list/",
            "/program/start",
            "/program/start/",
            "/program/start/n/",
            "/program/fly/x",
            "/program/log/x",
            "/program/log/x/y/stdin",
            "/program/start/n/x/y",
            "/supervisor/ping",
            "/supervisor",
            "/conf/",
            "/conf/a/b",
            "/log/",
            "/logtail/a/stdout",
        ] {
            assert_eq!(GoRoute::at(path), None, "{path}");
        }
    }
}
