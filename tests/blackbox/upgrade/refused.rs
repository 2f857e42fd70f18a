//! Upgrades that are impossible: the daemon gives the reason, and continues as before.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};

use super::{copy, expect_same, generation, pids, upgrade, wait_lines};
use crate::host::Host;
use crate::support::daemon::{Side, oracle, program, run};
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{CallError, Value};
use crate::support::{LIMIT, is_root, proc, wait_for};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("upgrade::an_upgrade_is_refused_during_other_work", busy),
        Trial::new("upgrade::an_upgrade_needs_permission", not_permitted),
        Trial::new("upgrade::a_binary_that_cannot_take_over_is_refused", unable),
        Trial::new("upgrade::a_binary_that_hangs_is_killed", hanging),
        Trial::new("upgrade::an_exec_that_fails_changes_nothing", late),
        Trial::new(
            "upgrade::a_failed_takeover_after_exec_ends_the_daemon",
            liar,
        ),
        Trial::new(
            "upgrade::the_installed_binary_runs_after_the_upgrade",
            rebuilt,
        ),
        Trial::new("upgrade::the_handoff_variable_reaches_no_program", variable),
        Trial::new(
            "upgrade::a_handoff_variable_set_by_hand_is_an_error",
            by_hand,
        ),
    ]
}

const PROGRAMS: &str = "[program:one]\ncommand={test_child} tell {dir}/stop 20000\nstartsecs=0\nautorestart=false\n\
                        stdout_logfile={dir}/one\nstdout_logfile_maxbytes=0\n\
                        [program:two]\ncommand={test_child} forever\nstartsecs=0\n";

/// A daemon that was started from a copy, which can be replaced.
struct Copied {
    host: Host,
    binary: PathBuf,
    before: BTreeMap<String, i64>,
}

impl Copied {
    fn start(config: &str) -> Result<Self, String> {
        let mut host = Host::new(config)?;
        let binary = host.place.join("supervisord");
        copy(&program(Side::Ours, "supervisord")?, &binary)?;
        host.go_from(&binary, |_| {})?;
        wait_for("all run", LIMIT, || {
            pids(&host).is_ok_and(|pids| !pids.is_empty() && pids.values().all(|&pid| pid != 0))
        })?;
        let before = pids(&host)?;
        Ok(Self {
            host,
            binary,
            before,
        })
    }

    /// Replaces the binary, as a package manager does.
    fn replace_by(&self, from: &Path, mode: u32) -> Result<(), String> {
        let new = self.host.place.join("supervisord.new");
        copy(from, &new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))
            .and_then(|()| fs::rename(&new, &self.binary))
            .map_err(|error| error.to_string())
    }

    fn replace_by_text(&self, text: &str, mode: u32) -> Result<(), String> {
        let source = self.host.place.write("source", &self.host.fill(text))?;
        self.replace_by(&source, mode)
    }

    fn restore(&self) -> Result<(), String> {
        self.replace_by(&program(Side::Ours, "supervisord")?, 0o755)
    }

    /// An upgrade that is refused at once.
    fn expect_refused(&self, what: &str, why: &str) -> Result<(), String> {
        let done = self.host.ctl(&["upgrade"])?;
        expect(
            done.code == 1
                && done.stdout.starts_with("upgrade: ERROR (")
                && done.stdout.lines().count() == 1
                && done.stdout.contains(why),
            format!("{what}: {done:?}"),
        )?;
        self.expect_unchanged(what)
    }

    fn expect_unchanged(&self, what: &str) -> Result<(), String> {
        let told = |why| format!("{what}: {why}");
        expect(
            generation(&self.host)? == 0,
            told("another generation".to_owned()),
        )?;
        expect_same(&self.host, &self.before).map_err(told)
    }

    /// Every line was written once.
    fn expect_whole(&mut self) -> Result<(), String> {
        self.host.expect_well()?;
        self.host.place.write("stop", "")?;
        self.host.daemon()?.wait_state("one", "EXITED")?;
        let text = self.host.place.read("one");
        let numbers: Vec<&str> = text.lines().collect();
        let (last, numbers) = numbers.split_last().ok_or("nothing was written")?;
        let is_whole = numbers
            .iter()
            .enumerate()
            .all(|(n, line)| line.parse() == Ok(n));
        expect(is_whole && *last == "end", "numbers are missing")
    }
}

fn busy() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:w]\ncommand={test_child} forever\nprocess_name=w%(process_num)d\nnumprocs=3\nstartsecs=2\n\
         [program:mule]\ncommand={test_child} ignore TERM forever\nprocess_name=m%(process_num)d\nnumprocs=2\nstartsecs=0\n\
         stopwaitsecs=3\n",
    )?;
    for name in ["w:w0", "w:w1", "w:w2", "mule:m0", "mule:m1"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    let refused = |why: &str| {
        let line = format!("upgrade: ERROR (not while {why})\n");
        host.expect_ctl(&["upgrade"], 1, &[&line])
    };
    std::thread::scope(|scope| {
        let rolling = scope.spawn(|| host.ctl(&["serialrestart", "w:*"]));
        wait_for("it has begun", LIMIT, || {
            host.daemon()
                .is_ok_and(|daemon| daemon.state("w:w0") != "RUNNING")
        })?;
        refused("a rolling restart is running")?;
        let done = rolling.join().map_err(|_| "a panic")??;
        expect(done.code == 0, format!("{done:?}"))?;
        let scaling = scope.spawn(|| host.ctl(&["scale", "mule", "1"]));
        wait_for("it has begun", LIMIT, || {
            host.daemon()
                .is_ok_and(|daemon| daemon.state("mule:m1") == "STOPPING")
        })?;
        refused("a program is being scaled")?;
        let done = scaling.join().map_err(|_| "a panic")??;
        expect(done.code == 0, format!("{done:?}"))
    })?;
    expect(generation(&host)? == 0, "it was upgraded")?;
    // A second upgrade while one is in progress is refused with that reason.
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || {
            host.daemon()
                .map(|daemon| daemon.call("supervisord.upgrade", &[]))
        };
        let threads = [0, 1].map(|_| scope.spawn(ask));
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok()?.ok())
            .collect()
    });
    let faults: Vec<_> = answers
        .iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect();
    let is_told = |fault: &&CallError| matches!(fault, CallError::Fault(30, why) if why.contains("an upgrade is running") || why.contains("try again"));
    expect(
        answers.len() == 2 && faults.len() <= 1 && faults.iter().all(is_told),
        format!("{answers:?}"),
    )?;
    wait_lines(&host, "re-executed: version", 2 - faults.len())?;
    // During a shutdown.
    let own = host.daemon()?.pid();
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    let done = host.ctl(&["upgrade"])?;
    expect(done.code != 0 || !proc::alive(own), format!("{done:?}"))?;
    let daemon = host.daemon.as_mut().ok_or("not started")?;
    expect(daemon.wait_exit(LIMIT)? == 0, "no orderly end")?;
    Ok(Outcome::Passed)
}

fn not_permitted() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped(
            "needs root, to be several users".to_owned(),
        ));
    }
    const NOBODY: u32 = 65_534;
    let mut host = Host::start(
        "[unix_http_server]\nallow=nobody status control signal logs\n[program:two]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    host.daemon()?.wait_state("two", "RUNNING")?;
    let before = pids(&host)?;
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
            .map_err(|error| error.to_string())
    };
    open(host.place.path(), 0o755)?;
    open(&host.place.join("conf"), 0o644)?;
    let client = host.place.join("supervisorctl");
    copy(&program(Side::Ours, "supervisorctl")?, &client)?;
    open(&client, 0o755)?;
    let as_nobody = |args: &[&str]| {
        let mut command = host.marked.command(&client, host.place.path());
        command
            .uid(NOBODY)
            .gid(NOBODY)
            .args(["-c", "conf"])
            .args(args);
        run(command, host.place.path(), None, LIMIT)
    };
    let done = as_nobody(&["status"])?;
    expect(done.code == 0, format!("{done:?}"))?;
    let done = as_nobody(&["upgrade"])?;
    expect(
        done.code == 1
            && done
                .stdout
                .starts_with("upgrade: ERROR (permission denied: "),
        format!("{done:?}"),
    )?;
    expect(generation(&host)? == 0, "it was upgraded")?;
    expect_same(&host, &before)?;
    wait_lines(&host, " upgrade : FAILED: permission denied: ", 1)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn unable() -> Result<Outcome, String> {
    let mut it = Copied::start(PROGRAMS)?;
    fs::remove_file(&it.binary).map_err(|error| error.to_string())?;
    it.expect_refused("removed", "No such file or directory")?;
    fs::create_dir(&it.binary).map_err(|error| error.to_string())?;
    it.expect_refused("a directory", "Permission denied")?;
    fs::remove_dir(&it.binary).map_err(|error| error.to_string())?;
    it.replace_by_text("this is no program\n", 0o755)?;
    it.expect_refused("a text", "supervisord: ")?;
    it.replace_by_text("#!/bin/sh\nexit 2\n", 0o755)?;
    it.expect_refused("one that fails", "it cannot adopt the processes")?;
    it.replace_by_text("#!/bin/sh\necho I would rather not\nexit 1\n", 0o755)?;
    it.expect_refused("one that says why", "I would rather not")?;
    it.replace_by_text("#!/bin/sh\nprintf 'a\\033[31mb\\nc\\n'\n", 0o755)?;
    it.expect_refused("one that says odd things", "supervisord: a [31mb c)")?;
    it.replace_by_text("#!/bin/sh\nkill -9 $$\n", 0o755)?;
    it.expect_refused("one that dies", "it cannot adopt the processes")?;
    it.replace_by(&program(Side::Ours, "supervisord")?, 0o644)?;
    it.expect_refused("not executable", "Permission denied")?;
    it.replace_by(&program(Side::Ours, "supervisorctl")?, 0o755)?;
    it.expect_refused("supervisorctl", "supervisord: ")?;
    if let Some(venv) = oracle() {
        it.replace_by(&venv.join("bin/supervisord"), 0o755)?;
        it.expect_refused("the reference one", "it cannot adopt the processes")?;
    }
    // The log has a line for each.
    let refusals = if oracle().is_some() { 10 } else { 9 };
    wait_lines(&it.host, "ERRO upgrade refused: ", refusals)?;
    it.restore()?;
    upgrade(&it.host)?;
    expect_same(&it.host, &it.before)?;
    it.expect_whole()?;
    Ok(Outcome::Passed)
}

fn hanging() -> Result<Outcome, String> {
    let mut it = Copied::start(PROGRAMS)?;
    it.replace_by_text(
        "#!/bin/sh\nexec {test_child} touch {dir}/asked forever\n",
        0o755,
    )?;
    std::thread::scope(|scope| {
        let first = scope.spawn(|| it.expect_refused("one that hangs", "timed out"));
        wait_for("it is asked", LIMIT, || {
            it.host.place.join("asked").exists()
        })?;
        // Meanwhile everything works as before.
        it.host.expect_ctl(&["status"], 0, &["one ", "two "])?;
        let second = it.host.ctl(&["upgrade"])?;
        expect(
            second.code == 1 && second.stdout == "upgrade: ERROR (an upgrade is running)\n",
            format!("{second:?}"),
        )?;
        first.join().map_err(|_| "a panic")?
    })?;
    it.restore()?;
    upgrade(&it.host)?;
    it.expect_whole()?;
    Ok(Outcome::Passed)
}

/// The next image agrees, and can no longer be executed when its turn comes.
fn late() -> Result<Outcome, String> {
    let mut it = Copied::start(PROGRAMS)?;
    for (what, command) in [
        ("made a text", "chmod 644 {dir}/supervisord"),
        ("removed", "rm {dir}/supervisord"),
    ] {
        it.replace_by_text(&format!("#!/bin/sh\n{command}\necho agreed\n"), 0o755)?;
        let done = it.host.ctl(&["upgrade"])?;
        expect(
            done.code == 1
                && done.stdout == "upgrade: ERROR (failed; the daemon's log gives the reason)\n",
            format!("{what}: {done:?}"),
        )?;
        it.expect_unchanged(what)?;
    }
    wait_lines(&it.host, "ERRO upgrade refused: ", 2)?;
    let daemon = it.host.daemon()?;
    let info = daemon.info("one").map_err(|error| error.to_string())?;
    expect(
        info.get("statename").and_then(Value::text) == Some("RUNNING"),
        format!("{info}"),
    )?;
    // Descriptors opened for the next image are closed again: a new program does not inherit them.
    it.host
        .expect_ctl(&["restart", "two"], 0, &["two: started"])?;
    let two = it.host.daemon()?.pid_of("two");
    wait_for("it has three descriptors", LIMIT, || {
        proc::descriptor_numbers(two) == [0, 1, 2]
    })
    .map_err(|why| format!("{why}: {:?}", proc::descriptor_numbers(two)))?;
    it.before = pids(&it.host)?;
    it.restore()?;
    upgrade(&it.host)?;
    expect_same(&it.host, &it.before)?;
    it.expect_whole()?;
    Ok(Outcome::Passed)
}

/// The daemon must believe the answer of the next image: when that image exits, the daemon has exited.
fn liar() -> Result<Outcome, String> {
    let mut it = Copied::start("[program:two]\ncommand={test_child} forever\nstartsecs=0\n")?;
    it.replace_by_text(
        "#!/bin/sh\n[ \"$1\" = --approve-handover ] && echo agreed && exit 0\nexit 3\n",
        0o755,
    )?;
    let done = it.host.ctl(&["upgrade"])?;
    expect(
        done.code == 1 && done.stdout == "upgrade: ERROR (the daemon exited)\n",
        format!("{done:?}"),
    )?;
    let daemon = it.host.daemon.as_mut().ok_or("not started")?;
    expect(daemon.wait_exit(LIMIT)? == 3, "another end")?;
    // Programs keep running, and the daemon can be started again.
    let two = i32::try_from(it.before["two"]).unwrap_or(0);
    expect(proc::alive(two), "the program went with it")?;
    let done = it.host.ctl(&["upgrade"])?;
    expect(done.code != 0, format!("{done:?}"))?;
    it.restore()?;
    let binary = it.binary.clone();
    it.host.go_from(&binary, |_| {})?;
    it.host.daemon()?.wait_state("two", "RUNNING")?;
    Ok(Outcome::Passed)
}

fn rebuilt() -> Result<Outcome, String> {
    let mut it = Copied::start(PROGRAMS)?;
    let runs = || {
        let exe = format!("/proc/{}/exe", it.host.daemon()?.pid());
        fs::metadata(exe)
            .map(|meta| meta.len())
            .map_err(|error| error.to_string())
    };
    let length = runs()?;
    for more in 1..=3 {
        let mut bytes =
            fs::read(program(Side::Ours, "supervisord")?).map_err(|error| error.to_string())?;
        bytes.extend(vec![b'x'; more]);
        let source = it.host.place.join("rebuilt");
        fs::write(&source, bytes).map_err(|error| error.to_string())?;
        it.replace_by(&source, 0o755)?;
        upgrade(&it.host)?;
        expect(runs()? == length + more as u64, "the old one runs")?;
        expect_same(&it.host, &it.before)?;
    }
    it.expect_whole()?;
    Ok(Outcome::Passed)
}

fn variable() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:two]\ncommand={test_child} forever\nstartsecs=0\nenvironment=MINE=\"1\"\n",
    )?;
    host.daemon()?.wait_state("two", "RUNNING")?;
    for _ in 0..2 {
        upgrade(&host)?;
        host.expect_ctl(&["restart", "two"], 0, &["two: started"])?;
        let pid = host.daemon()?.pid_of("two");
        wait_for("it has its environment", LIMIT, || {
            proc::environ(pid).contains_key("MINE")
        })?;
        let environ = proc::environ(pid);
        expect(
            !environ.contains_key("SUPERVISORD_HANDOVER"),
            format!("{environ:?}"),
        )?;
        wait_for("it has three descriptors", LIMIT, || {
            proc::descriptor_numbers(pid) == [0, 1, 2]
        })?;
    }
    let log = host.place.read("log");
    expect(!log.contains("SUPERVISORD_HANDOVER"), log)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// An invalid value of the variable is reported, and nothing is done.
fn by_hand() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let file = host.place.write("file", "{}")?;
    let opened = fs::File::open(&file).map_err(|error| error.to_string())?;
    let unsealed = nix::sys::memfd::memfd_create("state", nix::sys::memfd::MFdFlags::empty())
        .map_err(|error| error.to_string())?;
    let (foreign, unsealed_number) = (
        opened.as_raw_fd().to_string(),
        unsealed.as_raw_fd().to_string(),
    );
    // Our descriptor is close-on-exec. This one must stay open in the program.
    nix::fcntl::fcntl(
        &opened,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .map_err(|error| error.to_string())?;
    for (value, why) in [
        ("", "SUPERVISORD_HANDOVER is not a number"),
        ("nonsense", "SUPERVISORD_HANDOVER is not a number"),
        ("99999999999", "SUPERVISORD_HANDOVER is not a number"),
        ("-1", "cannot read the state from before the re-execution: "),
        ("0", "cannot read the state from before the re-execution: "),
        ("2", "cannot read the state from before the re-execution: "),
        (
            "12345",
            "cannot read the state from before the re-execution: ",
        ),
        (&foreign, "not a sealed memory file"),
        (&unsealed_number, "not sealed"),
    ] {
        let mut command = host
            .marked
            .command(&program(Side::Ours, "supervisord")?, host.place.path());
        command
            .args(["-n", "-c", "conf"])
            .env("SUPERVISORD_HANDOVER", value);
        let done = run(command, host.place.path(), None, LIMIT)?;
        expect(
            done.code == 1 && done.stderr.contains(why) && done.stdout.is_empty(),
            format!("{value:?}: {done:?}"),
        )?;
        for name in ["s", "pid", "log"] {
            expect(
                !host.place.join(name).exists(),
                format!("{value:?}: {name} was made"),
            )?;
        }
    }
    Ok(Outcome::Passed)
}
