//! The settings: their origins, their errors, and what they permit a text.

use super::{DATAID, Pair, programs};
use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{expect, is_root};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "nacos::the_section_and_the_saved_file_are_settings",
            section,
        ),
        Trial::new("nacos::a_setting_alone_or_wrong_is_an_error", errors),
        Trial::new("nacos::pinned_users_bind_the_text", pinned),
        Trial::new("nacos::an_unbounded_text_is_told_once", unbounded),
    ]
}

fn section() -> Result<Outcome, String> {
    let pair = Pair::new(&programs(&["one"]), "")?;
    let section = format!(
        "[nacos]\nserver={}\ndataid=other\ncache_dir={{dir}}/cache\n",
        pair.stub.address()
    );
    let mut host = pair.host;
    host.configure(&section)?;
    host.place.write(
        "supervisord.nacos.conf",
        &format!("[nacos]\ndataid={DATAID}\n"),
    )?;
    host.go()?;
    host.daemon()?.wait_state("one", "RUNNING")?;
    Ok(Outcome::Passed)
}

fn errors() -> Result<Outcome, String> {
    let host = Host::new("")?;
    for (options, part) in [
        (
            &["--nacos-server=h"][..],
            "--nacos-server needs dataid too (--nacos-dataid=...)",
        ),
        (
            &["--nacos-dataid", "d"],
            "--nacos-dataid needs server too (--nacos-server=...)",
        ),
        (
            &["--nacos-dataid=d", "--nacos-server=h:x"],
            "--nacos-server: invalid 'server' value 'h:x'",
        ),
        (
            &["--nacos-server=h", "--nacos-server=h"],
            "conflicting command line option '--nacos-server'",
        ),
    ] {
        let mut arguments = vec!["-n", "-c", "conf"];
        arguments.extend(options);
        let ended = host.run(&arguments)?;
        expect(
            ended.code == 2 && ended.stderr.contains(part),
            format!("{options:?}: {ended:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn pinned() -> Result<Outcome, String> {
    let good = "[program:one]\ncommand=sleep 1000\nuser=nobody\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n";
    if !is_root() {
        return Ok(Outcome::Skipped(
            "only root starts programs as another user".to_owned(),
        ));
    }
    let mut pair = Pair::new(good, "")?.option("--nacos-pinned-users=nobody");
    pair.go()?;
    let daemon = pair.host.daemon()?;
    daemon.wait_state("one", "RUNNING")?;
    let pid = daemon.pid_of("one");
    for bad in [
        "[program:two]\ncommand=sleep 1000\nuser=root\n",
        "[program:two]\ncommand=sleep 1000\nuser=nobody\nstdout_logfile={dir}/evil\n",
        "[supervisord]\nuser=root\n",
    ] {
        let md5 = pair.publish(&format!("{good}{bad}"));
        pair.wait_line(&format!("refused: MD5 {md5}"))?;
        expect(daemon.pid_of("one") == pid, "one was restarted")?;
    }
    expect(!pair.host.place.join("evil").exists(), "a file was made")?;
    Ok(Outcome::Passed)
}

fn unbounded() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("the line is about root".to_owned()));
    }
    let pair = Pair::started(&programs(&["one"]), "")?;
    pair.wait_line("can run commands as root on this host")?;
    Ok(Outcome::Passed)
}
