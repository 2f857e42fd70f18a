//! Nodes from a command that prints JSON.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::load::{FILE_BYTES_MAX, NODES_MAX, nodes_of};
use crate::hub::node::NodeConfig;

/// How long the command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// Runs the command and returns the nodes that it prints. Blocks until it ends, at most half a minute. `directory`: that of
/// the settings file, to which relative paths refer.
///
/// # Errors
/// Why there are none, in one line.
pub(in crate::hub) fn run_inventory(
    command: &[String],
    directory: &Path,
) -> Result<Vec<NodeConfig>, String> {
    let text = output_of(command)?;
    let toml = toml_of(&text)?;
    nodes_of("inventory_command", &toml, directory).map_err(|problems| {
        let first = problems.first().map(|problem| problem.text.clone());
        format!("what it printed is wrong: {}", first.unwrap_or_default())
    })
}

fn output_of(command: &[String]) -> Result<String, String> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok("[]".to_owned());
    };
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|error| format!("cannot start {program}: {error}"))?;
    let (sender, output) = mpsc::sync_channel(1);
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stdout
                .take(FILE_BYTES_MAX as u64 + 1)
                .read_to_end(&mut bytes);
            // An error means that nobody waits any more.
            let _ = sender.send(read.map(|_| bytes));
        });
    }
    let read = output.recv_timeout(COMMAND_LIMIT);
    if read.is_err() {
        // An error means that it has exited.
        let _ = child.kill();
    }
    let limit = COMMAND_LIMIT.as_secs();
    let bytes = match read {
        Ok(Ok(bytes)) if bytes.len() > FILE_BYTES_MAX => {
            let _ = child.kill();
            Err(format!(
                "{program} printed more than {FILE_BYTES_MAX} bytes"
            ))
        }
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(format!("cannot read what {program} prints: {error}")),
        Err(_) => Err(format!("{program} did not end within {limit} s")),
    };
    let status = child
        .wait()
        .map_err(|error| format!("cannot wait for {program}: {error}"))?;
    let bytes = bytes?;
    if !status.success() {
        return Err(format!("{program} failed: {status}"));
    }
    String::from_utf8(bytes).map_err(|_| format!("{program} printed text that is not UTF-8"))
}

/// Turns a JSON list of objects into a TOML list of tables, whose values are written the same way.
fn toml_of(text: &str) -> Result<String, String> {
    let parsed: Value =
        serde_json::from_str(text).map_err(|error| format!("it printed no JSON: {error}"))?;
    let Value::Array(nodes) = parsed else {
        return Err("it must print a list of objects".to_owned());
    };
    if nodes.len() > NODES_MAX {
        return Err(format!("it printed more than {NODES_MAX} nodes"));
    }
    let mut toml = String::new();
    for node in nodes {
        let Value::Object(members) = node else {
            return Err("it must print a list of objects".to_owned());
        };
        toml.push_str("[[nodes]]\n");
        for (name, value) in members {
            let name = Value::String(name);
            match value {
                Value::Null => {}
                Value::Object(_) => return Err(format!("{name}: expected no object")),
                value => {
                    // Writing to a string cannot fail.
                    let _ = writeln!(toml, "{name} = {value}");
                }
            }
        }
    }
    Ok(toml)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(output: &str) -> Result<Vec<NodeConfig>, String> {
        let command = ["printf", "%s", output].map(str::to_owned);
        run_inventory(&command, Path::new("/etc"))
    }

    #[test]
    fn nodes_are_read_from_json() {
        let printed = r#"[{"name":"a\"é","host":"h","port":9001,"enabled":false,"tags":["x","y"],"environment":null},
                          {"name":"b","url":"unix:///run/s","timeout":1.5}]"#;
        let nodes = run(printed).expect("valid");
        let shown: Vec<String> = nodes.iter().map(|node| node.address.to_string()).collect();
        assert_eq!(shown, ["http://h:9001", "unix:///run/s"]);
        assert_eq!((nodes[0].name.as_str(), nodes[0].enabled), ("a\"é", false));
        assert_eq!(nodes[0].tags, ["x", "y"]);
        assert_eq!(nodes[1].timeout, Duration::from_millis(1500));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (printed, expected) in [
            ("{}", "it must print a list of objects"),
            ("[1]", "it must print a list of objects"),
            ("[", "it printed no JSON"),
            (r#"[{"name":"a"}]"#, "host: a node needs a host or a url"),
            (
                r#"[{"name":"a","host":"h","port":0}]"#,
                "port: expected a number",
            ),
            (r#"[{"name":"a","host":{}}]"#, "expected no object"),
        ] {
            let error = run(printed).expect_err(printed);
            assert!(error.contains(expected), "{error}");
        }
        let failed = run_inventory(&["false".to_owned()], Path::new("/"));
        assert!(failed.expect_err("failed").contains("exit status: 1"));
        let absent = run_inventory(&["/no/such".to_owned()], Path::new("/"));
        assert!(
            absent
                .expect_err("absent")
                .contains("cannot start /no/such")
        );
    }
}
