//! Translates the command, its wrappers, and its working directory.

use super::super::form;
use super::super::unit::Assignment;
use super::super::words::{self, CommandItem, ExecCommand, VariableValue};
use super::environment::ProgramVariables;
use super::{SERVICE, ServiceType, Translation};
use crate::domain::Signal;

/// The spellings of `MAINPID` in command lines.
const MAIN: [&str; 2] = ["$MAINPID", "${MAINPID}"];

impl<'a> Translation<'a> {
    /// Translates the command. Returns the variables of the program.
    pub(super) fn command(
        &mut self,
        service: ServiceType,
        variables: &ProgramVariables,
    ) -> Result<(), Vec<String>> {
        let list = self.list_assignments(SERVICE, "ExecStart");
        let Some(first) = list.first() else {
            return Err(vec![format!(
                "{}: [Service] has no ExecStart=",
                self.unit.name.full
            )]);
        };
        let place = first.place.clone();
        let mut errors = Vec::new();
        let mut commands: Vec<ExecCommand> = Vec::new();
        for one in list {
            match self.execs(one) {
                Ok(execs) => commands.extend(execs),
                Err(error) => errors.push(error),
            }
        }
        if commands.len() > 1 && service != ServiceType::Oneshot {
            errors.push(format!(
                "{place}: only Type=oneshot may have more than one command in ExecStart="
            ));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for exec in &commands {
            self.say_of_prefixes(exec, commands.len() == 1);
        }
        let mut words = self.command_words(&commands, variables);
        let others = self.write(variables);
        if !others.is_empty() {
            words = with_variables(others, words);
        }
        if service == ServiceType::Forking {
            words = self.forking(words);
        }
        match form::command_value(&words) {
            Ok(command) => {
                self.section.set("command", command);
                Ok(())
            }
            Err(why) => Err(vec![format!(
                "{place}: ExecStart= cannot be a command: {why}"
            )]),
        }
    }

    /// Parses the commands of one assignment, with specifiers replaced.
    fn execs(&mut self, one: &Assignment) -> Result<Vec<ExecCommand>, String> {
        let mut execs = words::commands(&one.value)
            .map_err(|error| format!("{}: {}={}: {error}", one.place, one.name, one.value))?;
        for exec in &mut execs {
            for word in &mut exec.words {
                *word = self.specified(&one.name, word);
            }
        }
        Ok(execs)
    }

    fn say_of_prefixes(&mut self, exec: &ExecCommand, is_alone: bool) {
        let path = exec.words.first().cloned().unwrap_or_default();
        let letters = exec.prefixes;
        // If there are several commands, the shell that runs them handles failures.
        if letters.may_fail && is_alone {
            self.section.add_remark(
                "ExecStart",
                &format!("-{path}"),
                "systemd ignores every exit code here; list the expected codes in exitcodes=",
            );
        }
        if let Some(name) = &exec.name {
            self.section.add_remark(
                "ExecStart",
                &format!("@{path}"),
                &format!("argv[0] cannot be set to {name}; the program sees its path"),
            );
        }
        if letters.is_privileged {
            self.section.add_remark(
                "ExecStart",
                &format!("+{path}"),
                "systemd starts the command as root in spite of User=; remove user= for the same effect",
            );
        }
    }

    /// Returns the words of the final command.
    fn command_words(
        &mut self,
        commands: &[ExecCommand],
        variables: &ProgramVariables,
    ) -> Vec<String> {
        let lines: Vec<Vec<CommandItem>> = commands
            .iter()
            .map(|exec| {
                let mut items = words::substitute(exec, |name| {
                    let found = variables.find(name);
                    if found == VariableValue::Unset {
                        self.section.add_remark(
                            "ExecStart",
                            &format!("${name}"),
                            "the unit does not set the variable, so it expands to nothing, as under systemd",
                        );
                    }
                    found
                });
                if exec.prefixes.is_for_a_shell {
                    let script = items.iter().map(script_word).collect::<Vec<_>>().join(" ");
                    items = ["/bin/sh", "-c", &script]
                        .map(|text| CommandItem::Text(text.to_owned()))
                        .into();
                }
                items
            })
            .collect();
        if let ([line], [_]) = (&lines[..], commands) {
            let plain: Option<Vec<String>> = line
                .iter()
                .map(|item| match item {
                    CommandItem::Text(text) => Some(text.clone()),
                    CommandItem::Script(_) => None,
                })
                .collect();
            return plain.unwrap_or_else(|| {
                self.section.add_remark(
                    "command",
                    "",
                    "a shell expands variables that are known only at start; unlike systemd, it treats quotes in them literally",
                );
                shell("-c", format!("set -f; exec {}", script_line(line)))
            });
        }
        let last = lines.len().saturating_sub(1);
        let script: Vec<String> = lines
            .iter()
            .zip(commands)
            .enumerate()
            .map(
                |(index, (line, exec))| match (index, exec.prefixes.may_fail) {
                    (_, true) => format!("{} || :", script_line(line)),
                    (index, false) if index == last => format!("exec {}", script_line(line)),
                    _ => script_line(line),
                },
            )
            .collect();
        shell("-ec", format!("set -f; {}", script.join("; ")))
    }

    /// Wraps a daemon that puts itself into the background in pidproxy.
    fn forking(&mut self, words: Vec<String>) -> Vec<String> {
        match self.last_assignment("PIDFile") {
            Some(path) => {
                let path = if path.starts_with('/') {
                    path
                } else {
                    format!("/run/{path}")
                };
                self.section.add_remark(
                    "Type",
                    "forking",
                    "pidproxy runs the forking command; an option that keeps it in the foreground is better, without pidproxy",
                );
                let proxy = ["pidproxy", "-exit-daemon-stop", &path].map(str::to_owned);
                proxy.into_iter().chain(words).collect()
            }
            None => {
                self.section.add_remark(
                    "Type",
                    "forking",
                    "the command forks to the background and cannot be supervised: add its foreground option (or its \
                 pidfile option, with pidproxy before the command)",
                );
                words
            }
        }
    }

    pub(super) fn directory(&mut self, user: Option<&str>) {
        let Some(value) = self.last_assignment("WorkingDirectory") else {
            // systemd runs a program without this directive in /; supervisord would use its own working directory.
            self.section.set("directory", "/");
            return;
        };
        let (path, is_optional) = match value.strip_prefix('-') {
            Some(path) => (path, true),
            None => (value.as_str(), false),
        };
        let path = if path == "~" {
            match self.world.lookup.home(Some(user.unwrap_or("root"))) {
                Some(home) => home,
                None => {
                    self.section.add_remark(
                        "WorkingDirectory",
                        &value,
                        "the home directory of the user is unknown here; set directory=",
                    );
                    return;
                }
            }
        } else {
            path.to_owned()
        };
        if is_optional && !self.world.lookup.is_dir(&path) {
            self.section.set("directory", "/");
            self.section.add_remark(
                "WorkingDirectory",
                &value,
                "the directory does not exist now, so directory= is not set: with a missing directory the start would fail",
            );
        } else {
            self.text("directory", "WorkingDirectory", &path);
        }
    }

    /// The signal that an `ExecStop=` or `ExecReload=` sends to the program, if it does nothing else.
    pub(super) fn signal_of(&mut self, name: &'a str) -> (Vec<&'a Assignment>, Option<Signal>) {
        let list = self.list_assignments(SERVICE, name);
        let signal = match &list[..] {
            [one] => words::commands(&one.value)
                .ok()
                .and_then(|execs| match &execs[..] {
                    [exec] => kill_signal(&exec.words),
                    _ => None,
                }),
            _ => None,
        };
        (list, signal)
    }
}

/// Recognizes `kill` with an optional signal and the main process.
fn kill_signal(words: &[String]) -> Option<Signal> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (program, rest) = words.split_first()?;
    let (target, options) = rest.split_last()?;
    if program.rsplit('/').next() != Some("kill") || !MAIN.contains(target) {
        return None;
    }
    let name = match options {
        [] => "TERM",
        ["-s" | "--signal" | "-n", name] => name,
        [option] => option
            .strip_prefix("--signal=")
            .or_else(|| option.strip_prefix("-s"))
            .or_else(|| option.strip_prefix('-'))?,
        _ => return None,
    };
    Signal::parse(name).ok()
}

/// Prepends `env` with variables that `environment=` cannot contain.
fn with_variables(variables: Vec<String>, words: Vec<String>) -> Vec<String> {
    let mut all = vec!["/usr/bin/env".to_owned()];
    all.extend(variables);
    // `env` would take a path with `=` for another variable.
    if words.first().is_some_and(|path| path.contains('=')) {
        all.extend(["/bin/sh", "-c", "exec \"$0\" \"$@\""].map(str::to_owned));
    }
    all.extend(words);
    all
}

fn shell(option: &str, script: String) -> Vec<String> {
    vec!["/bin/sh".to_owned(), option.to_owned(), script]
}

fn script_line(items: &[CommandItem]) -> String {
    items.iter().map(script_word).collect::<Vec<_>>().join(" ")
}

fn script_word(item: &CommandItem) -> String {
    match item {
        CommandItem::Text(text) => form::shell_quote(text),
        CommandItem::Script(script) => script.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_of_the_main_process_becomes_a_stop_signal() {
        for (line, expected) in [
            ("/bin/kill -HUP $MAINPID", Some("HUP")),
            ("/bin/kill -s SIGQUIT ${MAINPID}", Some("QUIT")),
            ("/usr/bin/kill --signal=USR2 $MAINPID", Some("USR2")),
            ("kill $MAINPID", Some("TERM")),
            ("/bin/kill -HUP 1", None),
            ("/bin/pkill -HUP $MAINPID", None),
            ("/bin/kill -x y $MAINPID", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let expected = expected.and_then(|name| Signal::parse(name).ok());
            assert_eq!(kill_signal(&words), expected, "{line}");
        }
    }
}
