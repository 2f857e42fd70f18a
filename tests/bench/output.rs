//! Measures how fast output of a process reaches its log, compared with a minimal read and write loop.
//!
//! `cargo bench --bench output`: a child writes 1 GiB to a file in the system's temporary directory, in turn through a
//! read and write loop and through the output thread, with and without an in-flight log. The goal is 0.9. With `lines`
//! the child writes line by line, which is the most expensive case for an in-flight log.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use supervisord::config::spec::{
    AutoRestart, LogSpec, LogTarget, NamedTargets, ProcessKind, ProcessSpec,
};
use supervisord::domain::{
    Bytes, GroupName, InstanceId, Level, LogPaths, ProcessName, Seconds, Signal,
};
use supervisord::effects::{OutputEffect, OutputOutcome};
use supervisord::heartbeat::Heartbeats;
use supervisord::output::{
    Activity, IN_FLIGHT_LOG_BYTES, OutputCommand, OutputOptions, OutputReport, start,
};
use supervisord::sys::SharedBuffer;

/// The number of bytes that the child writes.
const TOTAL_BYTES: usize = 1 << 30;
const ROUNDS: usize = 5;
/// The bytes of one write when the child writes lines.
const LINE_BYTES: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("write") {
        return Ok(write_all()?);
    }
    let path = std::env::temp_dir().join(format!("supervisord-bench-{}", std::process::id()));
    let mut rows = Vec::new();
    for _ in 0..ROUNDS {
        let plain = timed(&path, |path| plain_loop(path, 64 << 10))?;
        let wide = timed(&path, |path| plain_loop(path, 128 << 10))?;
        let thread = timed(&path, |path| through_thread(path, false))?;
        let kept = timed(&path, |path| through_thread(path, true))?;
        rows.push([plain, wide, thread, kept]);
    }
    let best = |column: usize| rows.iter().map(|row| row[column]).min().unwrap_or_default();
    let [plain, wide, thread, kept] = [0, 1, 2, 3].map(best);
    let speed = |time: Duration| total() as f64 / time.as_secs_f64() / 1e9;
    println!("plain loop, 64 KiB reads   {:.2} GB/s", speed(plain));
    println!("plain loop, 128 KiB reads  {:.2} GB/s", speed(wide));
    println!("output thread              {:.2} GB/s", speed(thread));
    println!("output thread with ledger  {:.2} GB/s", speed(kept));
    println!(
        "ratio                      {:.2}",
        speed(thread) / speed(plain)
    );
    println!(
        "ratio with ledger          {:.2}",
        speed(kept) / speed(plain)
    );
    Ok(())
}

fn is_by_lines() -> bool {
    std::env::args().any(|word| word == "lines")
}

/// The number of bytes that the child writes.
fn total() -> usize {
    if is_by_lines() {
        TOTAL_BYTES / 16
    } else {
        TOTAL_BYTES
    }
}

fn write_all() -> io::Result<()> {
    let chunk = vec![b'x'; if is_by_lines() { LINE_BYTES } else { 64 << 10 }];
    let mut stdout = File::from(std::os::fd::AsFd::as_fd(&io::stdout()).try_clone_to_owned()?);
    for _ in 0..total() / chunk.len() {
        stdout.write_all(&chunk)?;
    }
    Ok(())
}

fn timed(
    path: &Path,
    run: impl Fn(&Path) -> Result<(), Box<dyn Error>>,
) -> Result<Duration, Box<dyn Error>> {
    let begin = Instant::now();
    run(path)?;
    let time = begin.elapsed();
    if path.metadata()?.len() != total() as u64 {
        return Err("bytes are missing".into());
    }
    std::fs::remove_file(path)?;
    Ok(time)
}

fn child(stdout: Stdio) -> io::Result<std::process::Child> {
    Program::new(std::env::current_exe()?)
        .arg("write")
        .args(is_by_lines().then_some("lines"))
        .stdout(stdout)
        .spawn()
}

fn plain_loop(path: &Path, size: usize) -> Result<(), Box<dyn Error>> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    let (mut reader, writer) = io::pipe()?;
    let mut child = child(writer.into())?;
    let mut buffer = vec![0; size];
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count])?;
    }
    child.wait()?;
    Ok(())
}

fn through_thread(path: &Path, with_in_flight_log: bool) -> Result<(), Box<dyn Error>> {
    let log = |target| LogSpec {
        target,
        // The default size limit is active but never reached, because both write one file.
        maxbytes: Bytes(i64::MAX),
        backups: 10,
        capture_maxbytes: Bytes(0),
        events: false,
        named: NamedTargets::default(),
    };
    let spec = ProcessSpec {
        name: ProcessName::parse("bench")?,
        group: GroupName::parse("bench")?,
        command: "".into(),
        directory: None,
        umask: None,
        priority: 999,
        autostart: true,
        autorestart: AutoRestart::Never,
        startsecs: Seconds(1),
        startretries: 3,
        exitcodes: Arc::from([0]),
        stopsignal: Signal::TERM,
        stopwaitsecs: Seconds(10),
        stopasgroup: false,
        killasgroup: false,
        user: None,
        redirect_stderr: true,
        stdout: log(LogTarget::File(path.into())),
        stderr: log(LogTarget::None),
        environment: Arc::from([]),
        server_url: None,
        kind: ProcessKind::Program,
        restart_floor: Seconds(1),
        notify: supervisord::config::spec::NotifySpec::default(),
        confinement: Arc::default(),
        resources: Arc::default(),
    };
    let activity = Activity::open(Path::new("/dev/null"), Bytes(0), 0, Level::Info, false)?;
    let heartbeats = Heartbeats::start(|trouble| panic!("{trouble}"))?;
    let (sender, reports) = mpsc::channel();
    let options = OutputOptions {
        activity,
        strip_ansi: false,
        fd_store: None,
        in_flight_log: with_in_flight_log
            .then(|| SharedBuffer::new("ledger", IN_FLIGHT_LOG_BYTES))
            .transpose()?
            .map(|buffer| (0, buffer)),
        heartbeats: heartbeats.clone(),
    };
    let output = start(options, move |report| drop(sender.send(report)))?;
    let instance = InstanceId {
        slot: 0,
        incarnation: 1,
    };
    let paths = LogPaths {
        stdout: Some(path.into()),
        stderr: None,
    };
    output.send(OutputCommand::Effect(OutputEffect::Prepare(
        instance,
        Arc::new(spec),
        paths,
    )));
    let OutputReport::Prepared(_, ends) = reports.recv()? else {
        return Err("not prepared".into());
    };
    let mut child = child(ends.stdout.into())?;
    output.send(OutputCommand::Effect(OutputEffect::Read(
        instance,
        i32::try_from(child.id())?,
    )));
    child.wait()?;
    output.send(OutputCommand::Effect(OutputEffect::Drain(instance)));
    if !matches!(
        reports.recv()?,
        OutputReport::Outcome(OutputOutcome::Drained(_))
    ) {
        return Err("not drained".into());
    }
    output.send(OutputCommand::Stop);
    output.join();
    heartbeats.stop();
    Ok(())
}
