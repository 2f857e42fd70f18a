//! The configuration from a Nacos server: starts, changes, outages, settings, and what a text may do.

mod bad_input;
pub(crate) mod changes;
mod document;
mod kills;
mod origins;
mod pages;
mod programs;
mod rnacos;
mod saved;
mod starts;

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::LIMIT;
use crate::support::nacos::{NacosSettings, NacosStub};
use crate::support::runner::Trial;

/// The tests of this room.
pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = starts::tests();
    tests.extend(bad_input::tests());
    tests.extend(changes::tests());
    tests.extend(document::tests());
    tests.extend(kills::tests());
    tests.extend(origins::tests());
    tests.extend(pages::tests());
    tests.extend(programs::tests());
    tests.extend(rnacos::tests());
    tests.extend(saved::tests());
    tests
}

const GROUP: &str = "DEFAULT_GROUP";
const DATAID: &str = "supervisord.conf";

/// Programs that run until they are stopped.
fn programs(names: &[&str]) -> String {
    let section = |name: &&str| format!("[program:{name}]\ncommand=sleep 1000\nstartsecs=0\n");
    names.iter().map(section).collect()
}

/// A server with one item, and a daemon whose configuration is that item and a local file.
struct Pair {
    stub: NacosStub,
    host: Host,
    options: Vec<String>,
}

impl Pair {
    fn new(text: &str, local: &str) -> Result<Self, String> {
        Self::with(NacosSettings::default(), text, local)
    }

    fn with(settings: NacosSettings, text: &str, local: &str) -> Result<Self, String> {
        let stub = NacosStub::start(settings)?;
        let host = Host::new(local)?;
        if !text.is_empty() {
            stub.publish("", GROUP, DATAID, &host.fill(text));
        }
        let options = vec![
            format!("--nacos-server={}", stub.address()),
            format!("--nacos-dataid={DATAID}"),
            format!("--nacos-cache-dir={}/cache", host.place.text()),
        ];
        Ok(Self {
            stub,
            host,
            options,
        })
    }

    fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    fn go(&mut self) -> Result<(), String> {
        let options = self.options.clone();
        self.host.go_with(|command| {
            command.args(options);
        })
    }

    fn started(text: &str, local: &str) -> Result<Self, String> {
        let mut pair = Self::new(text, local)?;
        pair.go()?;
        Ok(pair)
    }

    /// Ends the daemon with a signal.
    fn end(&mut self, signal: Signal) -> Result<(), String> {
        let daemon = self.host.daemon.as_mut().ok_or("not started")?;
        daemon.signal(signal);
        daemon.wait_exit(LIMIT).map(drop)
    }

    fn publish(&self, text: &str) -> String {
        self.stub.publish("", GROUP, DATAID, &self.host.fill(text))
    }

    /// Waits for a line of the activity log.
    fn wait_line(&self, line: &str) -> Result<(), String> {
        self.host.wait_file("log", line)
    }

    fn wait_applied(&self, md5: &str) -> Result<(), String> {
        self.wait_line(&format!("applied: MD5 {md5}"))
    }

    /// The value of a metric. `None`: the daemon does not have it.
    fn metric(&self, name: &str) -> Option<String> {
        let mut command = std::process::Command::new("curl");
        command.args(["-s", "-m", "30", "--unix-socket"]);
        command.arg(self.host.place.join("s"));
        let output = command.arg("http://localhost/metrics").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(str::to_owned)
    }

    fn snapshot(&self) -> String {
        let name = format!("cache/public@@{GROUP}@@{DATAID}");
        self.host.place.read(&name)
    }

    fn states(&self) -> Result<String, String> {
        Ok(self.host.ctl(&["status"])?.stdout)
    }
}
