//! Log files that are opened again, cleared, full or slow.

use super::*;

#[test]
fn out_07_a_thousand_reopens_leak_no_descriptor() {
    let bench = Bench::new("reopen", Level::Info);
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    // Only files in this test's directory: other tests open files at the same time.
    let count = || {
        std::fs::read_dir("/proc/self/fd")
            .expect("proc")
            .flatten()
            .filter(|entry| {
                std::fs::read_link(entry.path())
                    .is_ok_and(|target| target.starts_with(bench.dir.root()))
            })
            .count()
    };
    bench.sync();
    let before = count();
    for cycle in 0..1000 {
        if cycle % 10 == 0 {
            std::fs::rename(bench.dir.path("out"), bench.dir.path("rotated")).expect("there");
        }
        bench
            .output
            .send(OutputCommand::Effect(OutputEffect::ReopenLogs));
        bench.sync();
        assert!(bench.dir.path("out").exists());
    }
    // The first count may include a file that another thread was about to close.
    assert!(count() <= before, "{} files, {before} before", count());
    ends.stdout.write_all(b"after").expect("room");
    bench.sees("out", "after");
}

#[test]
fn out_08_clearing_empties_and_leaves_backups() {
    let bench = Bench::new("clear", Level::Info);
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    ends.stdout.write_all(b"old").expect("room");
    bench.sees("out", "old");
    std::fs::write(bench.dir.path("out.1"), "backup").expect("written");
    let clear = || {
        bench
            .output
            .send(OutputCommand::Effect(OutputEffect::ClearLogs {
                ticket: Ticket(9),
                slot: INSTANCE.slot,
                logs: bench.paths(),
            }));
        let report = bench.next();
        assert!(
            matches!(
                report,
                OutputReport::Outcome(OutputOutcome::Answered {
                    ticket: Ticket(9),
                    result: Ok(())
                })
            ),
            "{report:?}"
        );
    };
    clear();
    assert_eq!(
        std::fs::read(bench.dir.path("out")).expect("made anew"),
        b""
    );
    ends.stdout.write_all(b"new").expect("room");
    bench.sees("out", "new");
    assert_eq!(bench.read("out"), "new");
    assert_eq!(bench.read("out.1"), "backup");
    drop(ends);
    bench.drain(INSTANCE);
    clear();
    assert!(!bench.dir.path("out").exists(), "a stopped process's too");
    clear();
}

#[test]
fn rpc_28_the_daemons_log_can_be_cleared() {
    let bench = Bench::new("clear-daemon", Level::Info);
    bench.output.log(Line::Started { pid: 1 });
    bench.sees("activity", "pid 1");
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::ClearDaemonLog(Ticket(
            4,
        ))));
    assert!(matches!(
        bench.next(),
        OutputReport::Outcome(OutputOutcome::Answered {
            ticket: Ticket(4),
            result: Ok(())
        })
    ));
    assert_eq!(bench.read("activity"), "");
    std::fs::remove_file(bench.dir.path("activity")).expect("there");
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::ClearDaemonLog(Ticket(
            5,
        ))));
    assert!(matches!(
        bench.next(),
        OutputReport::Outcome(OutputOutcome::Answered {
            ticket: Ticket(5),
            result: Err(Errno::NOENT)
        })
    ));
}

#[test]
fn a_log_that_cannot_be_opened_is_a_spawn_error() {
    let bench = Bench::new("spawnerr", Level::Info);
    let mut paths = bench.paths();
    paths.stderr = Some(bench.dir.path("no/such").into());
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::Prepare(
            INSTANCE,
            Arc::new(spec("cat")),
            paths,
        )));
    let OutputReport::Outcome(OutputOutcome::PrepareFailed(instance, error)) = bench.next() else {
        panic!("it cannot be opened");
    };
    assert_eq!(instance, INSTANCE);
    assert_eq!(
        error.to_string(),
        "unknown error making dispatchers for 'cat': ENOENT"
    );
    assert_eq!(
        spawn_error(&spec("cat"), errno(nix::errno::Errno::EMFILE)).to_string(),
        "too many open files to spawn 'cat'"
    );
}

#[test]
fn a_full_disk_is_logged_once_and_the_program_continues() {
    // Regression test for Supervisor#87, #1648, #402 and #1311.
    let bench = Bench::new("full", Level::Info);
    let link = bench.dir.path("out");
    std::os::unix::fs::symlink("/dev/full", &link).expect("linked");
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    for _ in 0..10 {
        ends.stdout.write_all(&[b'x'; 10_000]).expect("it is read");
    }
    bench.sees("activity", "ERRO cat: cannot write stdout to");
    // The disk has room again.
    bench.settled(&ends.stdout);
    std::fs::remove_file(&link).expect("there");
    ends.stdout.write_all(b"works").expect("it is read");
    bench.sees("activity", "works again; 100000 bytes were lost");
    assert_eq!(bench.read("out"), "works");
    let told = bench.read("activity").matches("cannot write").count();
    assert_eq!(told, 1);
}

#[test]
fn a_real_full_disk_loses_only_excess_data() {
    let bench = Bench::new("tmpfs", Level::Info);
    let disk = bench.dir.path("disk");
    std::fs::create_dir(&disk).expect("made");
    let mount = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "none"])
        .arg(&disk)
        .stderr(std::process::Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: mounting a small file system needs root");
        return;
    }
    struct Mounted(std::path::PathBuf);
    impl Drop for Mounted {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount")
                .args(["-l".as_ref(), self.0.as_os_str()])
                .status();
        }
    }
    let mounted = Mounted(disk.clone());
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, [b'b'; 32 << 10]).expect("room");
    let log = disk.join("log");
    let paths = LogPaths {
        stdout: Some(log.as_path().into()),
        stderr: None,
    };
    let mut ends = bench.prepare(INSTANCE, spec("cat"), paths);
    let mut text = Vec::new();
    for number in 0..10_000 {
        text.extend_from_slice(format!("line {number:5}\n").as_bytes());
    }
    ends.stdout.write_all(&text).expect("it is read");
    bench.sees("activity", "No space left on device");
    bench.settled(&ends.stdout);
    std::fs::remove_file(&ballast).expect("there");
    ends.stdout.write_all(b"works").expect("it is read");
    bench.sees("activity", "works again; ");
    let found = std::fs::read(&log).expect("there");
    let kept = found.len() - b"works".len();
    assert!(found[..kept] == text[..kept], "{}", bench.read("activity"));
    let lost = format!("{} bytes were lost", text.len() - kept);
    let activity = bench.read("activity");
    assert!(activity.contains(&lost), "{lost}: {activity}");
    drop(ends);
    bench.drain(INSTANCE);
    drop(mounted);
}

#[test]
fn a_slow_log_blocks_only_its_own_program_and_loses_nothing() {
    let bench = Bench::new("slow", Level::Info);
    let path = bench.dir.path("out");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opened");
    let mut rotating = spec("slow");
    rotating.stdout.maxbytes = Bytes(10);
    let mut ends = bench.prepare(INSTANCE, rotating, bench.paths());
    bench.sees("activity", "INFO slow: stdout log ");
    let all = 1 << 20;
    let writer = std::thread::spawn(move || {
        let text: Vec<u8> = (0..all).map(|n| b"0123456789"[n % 10]).collect();
        ends.stdout.write_all(&text).expect("at last");
        ends
    });
    // Another program is not delayed.
    let other = InstanceId {
        slot: 4,
        incarnation: 2,
    };
    let paths = LogPaths {
        stdout: Some(bench.dir.path("other").into()),
        stderr: None,
    };
    let mut quick = bench.prepare(other, spec("quick"), paths);
    quick.stdout.write_all(b"quick").expect("room");
    bench.sees("other", "quick");
    let mut seen = 0;
    let mut buffer = vec![0; 5000];
    while seen < all {
        let count = reader.read(&mut buffer).expect("read");
        for (offset, byte) in buffer[..count].iter().enumerate() {
            assert_eq!(*byte, b"0123456789"[(seen + offset) % 10]);
        }
        seen += count;
    }
    drop(writer.join().expect("written"));
    bench.drain(INSTANCE);
}

#[test]
fn an_exit_waits_for_a_slow_log_up_to_a_limit() {
    let bench = Bench::new("slow-end", Level::Info);
    let path = bench.dir.path("out");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opened");
    let mut ends = bench.prepare(INSTANCE, spec("slow"), bench.paths());
    let flags = OFlag::O_NONBLOCK;
    fcntl(&ends.stdout, FcntlArg::F_SETFL(flags)).expect("a pipe");
    let mut written = 0;
    // Until both pipes are full and one read waits between them.
    eventually("all is full", || {
        while let Ok(count) = ends.stdout.write(&[b'x'; 4096]) {
            written += count;
        }
        written > 2 * (64 << 10)
    });
    drop(ends);
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::Drain(INSTANCE)));
    let mut buffer = vec![0; 64 << 10];
    let mut seen = 0;
    while seen < written {
        seen += reader.read(&mut buffer).expect("read");
    }
    assert!(matches!(
        bench.next(),
        OutputReport::Outcome(OutputOutcome::Drained(INSTANCE))
    ));
    // And without any reader.
    let instance = InstanceId {
        slot: 3,
        incarnation: 2,
    };
    let mut ends = bench.prepare(instance, spec("slow"), bench.paths());
    fcntl(&ends.stdout, FcntlArg::F_SETFL(flags)).expect("a pipe");
    eventually("all is full", || {
        while let Ok(count) = ends.stdout.write(&[b'x'; 4096]) {
            written += count;
        }
        written - seen > 2 * (64 << 10)
    });
    bench.drain(instance);
    bench.sees("activity", "bytes of stdout for");
}

#[test]
fn a_log_pipe_without_reader_does_not_stop_the_program() {
    let bench = Bench::new("unread", Level::Info);
    let path = bench.dir.path("out");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let mut ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    ends.stdout.write_all(b"lost").expect("it is read");
    bench.sees("activity", "cat: cannot write stdout to");
    bench.settled(&ends.stdout);
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opened");
    ends.stdout.write_all(b"found").expect("room");
    let mut buffer = [0; 10];
    let count = reader.read(&mut buffer).expect("read");
    assert_eq!(&buffer[..count], b"found");
    bench.sees("activity", "works again; 4 bytes were lost");
}
