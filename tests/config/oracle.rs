//! The reference program as a process that answers requests.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// The environment that both sides see.
pub(crate) const ENV: &[(&str, &str)] = &[
    ("FOO", "foo"),
    ("HOME", "/"),
    ("LC_ALL", "C.UTF-8"),
    ("PATH", "/bin:/usr/bin"),
    ("PERCENT", "50%d"),
];

/// A running reference process.
pub(crate) struct Oracle {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Oracle {
    /// Starts the process. `None`: there is no reference, and a message says that the test is skipped.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let Some(home) = std::env::var_os("SUPERVISOR_ORACLE") else {
            eprintln!("{test}: skipped, SUPERVISOR_ORACLE is not set");
            return None;
        };
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/config/oracle.py");
        let mut child = Command::new(PathBuf::from(home).join("bin/python"))
            .arg("-B")
            .arg(script)
            .env_clear()
            .envs(ENV.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Some(Self {
            child,
            stdin,
            stdout,
        })
    }

    /// Sends one kind of request for several cases. Returns one answer for each case.
    pub(crate) fn ask(&mut self, what: &str, cases: &[Value]) -> Vec<Value> {
        let stdin = self.stdin.as_mut().expect("open");
        let mut line = json!({"what": what, "cases": cases}).to_string();
        line.push('\n');
        stdin.write_all(line.as_bytes()).expect("the oracle reads");
        let mut answer = String::new();
        self.stdout
            .read_line(&mut answer)
            .expect("the oracle answers");
        match serde_json::from_str(&answer).expect("the oracle answers in JSON") {
            Value::Array(answers) => answers,
            other => panic!("not a list of answers: {other}"),
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // The process exits at the end of its standard input.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
