//! The source document's chapter about Nacos, typed literally.

use super::{DATAID, GROUP, programs};
use crate::host::Host;
use crate::support::nacos::{NacosSettings, NacosStub};
use crate::support::runner::{Outcome, Trial};

pub(super) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "nacos::the_option_line_of_the_document_works",
        option_line,
    )]
}

fn option_line() -> Result<Outcome, String> {
    let stub = NacosStub::start(NacosSettings {
        account: Some(("nacos", "nacos")),
        ..NacosSettings::default()
    })?;
    let mut host = Host::new("")?;
    let head = host.place.read("conf");
    let text = format!("{head}{}", programs(&["test"]));
    stub.publish("", GROUP, DATAID, &text);
    let line = "--nacos-server=127.0.0.1:8848 --nacos-dataid=supervisord.conf --nacos-namespace=public --nacos-group=DEFAULT_GROUP --nacos-username=nacos --nacos-password=nacos --nacos-not-use-cache";
    let line = line.replace("127.0.0.1:8848", &stub.address());
    let program =
        crate::support::daemon::program(crate::support::daemon::Side::Ours, "supervisord")?;
    let mut command = host.marked.command(&program, host.place.path());
    // Without -c no file is searched.
    command.arg("-n").args(line.split(' '));
    command.env("STATE_DIRECTORY", host.place.join("state"));
    host.go_as(command, "s")?;
    host.daemon()?.wait_state("test", "RUNNING")?;
    let snapshot = format!("state/public@@{GROUP}@@{DATAID}");
    host.wait_file(&snapshot, "[program:test]")?;
    Ok(Outcome::Passed)
}
