//! Log files in other forms, with dates, and in the hands of others.

use std::fs;

use super::*;
use crate::config::log_options::{LogForm, LogKeep, LogOptions, LogRotate};
use crate::config::spec::ProcessSpec;
use crate::domain::{Bytes, GroupName, LogPeriod, ProcessName};
use crate::output::testing::TempDir;

const DAY: i64 = 24 * 3600 * 1_000_000_000;

fn spec() -> ProcessSpec {
    let name = ProcessName::parse("cat").expect("a name");
    let group = GroupName::parse("cat").expect("a name");
    ProcessSpec::new(name, group)
}

fn rules(path: &Path, options: LogOptions) -> LogRules {
    LogRules {
        path: path.into(),
        maxbytes: Bytes(0),
        backups: 0,
        private: false,
        options: options.into_shared(),
    }
}

fn open(rules: &LogRules, is_new: bool) -> FileSink {
    let spec = spec();
    let source = SinkSource::of_stdout(&spec);
    let mut lines = Vec::new();
    let mut sink = FileSink::open(&source, rules.clone(), &mut lines).expect("opened");
    if is_new {
        sink.close_foreign_line(&mut lines);
    }
    sink.set_pid(7);
    assert_eq!(lines, []);
    sink
}

fn write(sink: &mut FileSink, wall: Wall, data: &[u8]) {
    let mut lines = Vec::new();
    let now = Now {
        mono: sys::now().mono,
        wall,
    };
    sink.prepare(now, &mut lines);
    sink.write(data, &mut lines);
    assert_eq!(lines, []);
}

fn json() -> LogOptions {
    LogOptions {
        form: LogForm::Json,
        ..LogOptions::default()
    }
}

fn prefix() -> LogOptions {
    LogOptions {
        form: LogForm::Prefix,
        ..LogOptions::default()
    }
}

fn daily() -> LogOptions {
    LogOptions {
        rotate: LogRotate {
            by_size: false,
            period: Some(LogPeriod::Day),
        },
        ..LogOptions::default()
    }
}

/// The contents of all files of a directory, without those of directories, in the order of the names.
fn files(dir: &TempDir) -> Vec<(String, String)> {
    let mut all: Vec<_> = fs::read_dir(dir.root())
        .expect("there")
        .flatten()
        .map(|entry| {
            let text = fs::read(entry.path()).unwrap_or_default();
            let name = entry.file_name().into_string().expect("text");
            (name, String::from_utf8_lossy(&text).into_owned())
        })
        .collect();
    all.sort();
    all
}

/// A daemon that is killed after any number of bytes of a chunk: the next one adds what is missing, and nothing twice.
#[test]
fn l06_a_killed_daemon_loses_no_byte_and_writes_none_twice() {
    let before: &[u8] = "\u{e9}first\nbegun \u{4f60}".as_bytes();
    // Cuts a character, too.
    let (before, torn) = before.split_at(before.len() - 1);
    let chunk = [torn, b" and ended\nsecond\nthird, not ended \xe4\xbd"].concat();
    for options in [json(), prefix()] {
        let whole = {
            let dir = TempDir::new("form-whole");
            let mut sink = open(&rules(&dir.path("log"), options.clone()), true);
            write(&mut sink, Wall(DAY), before);
            write(&mut sink, Wall(2 * DAY), &chunk);
            fs::read(dir.path("log")).expect("there")
        };
        let mut length = None;
        for written in 0.. {
            let dir = TempDir::new("form-cut");
            let rules = rules(&dir.path("log"), options.clone());
            let mut sink = open(&rules, true);
            write(&mut sink, Wall(DAY), before);
            sink.prepare(
                Now {
                    mono: sys::now().mono,
                    wall: Wall(2 * DAY),
                },
                &mut Vec::new(),
            );
            let mark = sink.mark().expect("a plain file");
            drop(sink);
            let begin = usize::try_from(mark.length).expect("small");
            length = length.or(Some(whole.len() - begin));
            if Some(written) > length {
                break;
            }
            fs::write(&rules.path, &whole[..begin + written]).expect("written");
            let mut next = open(&rules, false);
            let mut lines = Vec::new();
            next.write_recovered(&chunk, mark, &mut lines);
            assert_eq!(lines, []);
            let text = fs::read(&rules.path).expect("there");
            assert!(
                text == whole,
                "{written}: {}",
                String::from_utf8_lossy(&text)
            );
            // And it goes on where the line was cut.
            write(&mut next, Wall(3 * DAY), b"\xa0.\n");
            next.close(&mut lines);
            let text = fs::read_to_string(&rules.path).expect("UTF-8");
            assert!(text.contains("third, not ended \u{4f60}."), "{text}");
        }
    }
}

#[test]
fn l06_a_killed_daemon_at_the_change_of_the_date() {
    let dir = TempDir::new("form-date");
    let path = dir.path("log-{date}");
    let rules = rules(
        &path,
        LogOptions {
            utc: true,
            ..json()
        },
    );
    let now = sys::now().wall;
    let mut sink = open(&rules, true);
    write(&mut sink, now, b"one\nbeg");
    let tomorrow = Now {
        mono: sys::now().mono,
        wall: Wall(now.0 + DAY),
    };
    sink.prepare(tomorrow, &mut Vec::new());
    let mark = sink.mark().expect("a plain file");
    sink.write(b"un\ntwo\nthree\nfo", &mut Vec::new());
    let expected = files(&dir);
    assert_eq!(expected.len(), 2);
    assert!(expected[0].1.ends_with("\"begun\"}\n"), "{expected:?}");
    let second = dir.path(&expected[1].0);
    let text = expected[1].1.clone();
    assert_eq!(text.lines().count(), 3);
    drop(sink);
    for written in [0, 1, text.len() / 2, text.len()] {
        fs::write(&second, &text[..written]).expect("written");
        let mut next = open(&rules, false);
        // The daemon of tomorrow.
        next.prepare(tomorrow, &mut Vec::new());
        next.write_recovered(b"un\ntwo\nthree\nfo", mark, &mut Vec::new());
        assert_eq!(files(&dir), expected, "{written}");
        // The line goes on.
        next.write(b"ur\n", &mut Vec::new());
        let text = fs::read_to_string(&second).expect("there");
        assert!(text.ends_with("\"message\":\"four\"}\n"), "{text}");
    }
}

#[test]
fn l02_a_line_is_never_split_at_the_change_of_the_date() {
    let dir = TempDir::new("dated-lines");
    let rules = rules(
        &dir.path("log-{date}"),
        LogOptions {
            utc: true,
            ..LogOptions::default()
        },
    );
    let now = sys::now().wall;
    let mut sink = open(&rules, true);
    write(&mut sink, now, b"one\ntw");
    write(&mut sink, Wall(now.0 + DAY), b"o, ");
    assert_eq!(files(&dir).len(), 1, "not at the end of a line");
    write(&mut sink, Wall(now.0 + DAY), b"still\nthree\nfo");
    let texts: Vec<_> = files(&dir).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["one\ntwo, still\n", "three\nfo"]);
    // Nothing is written, and still the file changes.
    write(&mut sink, Wall(now.0 + DAY), b"ur\n");
    sink.prepare(
        Now {
            mono: sys::now().mono,
            wall: Wall(now.0 + 2 * DAY),
        },
        &mut Vec::new(),
    );
    let texts: Vec<_> = files(&dir).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["one\ntwo, still\n", "three\nfour\n", ""]);
    assert_eq!(
        &*log_dates::live_path(&rules.path),
        &**sink.file.as_ref().expect("open").live()
    );
    // A clock that was set far back.
    write(&mut sink, now, b"back\n");
    assert!(files(&dir)[0].1.ends_with("still\nback\n"));
}

#[test]
fn l02_directories_with_a_date_are_made() {
    let dir = TempDir::new("dated-directories");
    let rules = rules(
        &dir.path("{date}/sub/web.log"),
        LogOptions {
            utc: true,
            ..LogOptions::default()
        },
    );
    let now = sys::now().wall;
    let mut sink = open(&rules, true);
    write(&mut sink, now, b"one\n");
    write(&mut sink, Wall(now.0 + DAY), b"two\n");
    let mut texts: Vec<_> = files(&dir)
        .into_iter()
        .map(|(name, _)| {
            (
                name.len(),
                fs::read_to_string(dir.path(&name).join("sub/web.log")).expect("there"),
            )
        })
        .collect();
    texts.sort();
    assert_eq!(texts, [(10, "one\n".to_owned()), (10, "two\n".to_owned())]);
    // After a restart, the log of a process that does not run is still found.
    let live = sink.file.as_ref().expect("open").live().clone();
    assert_eq!(&*log_dates::live_path(&rules.path), &*live);
    assert_eq!(
        crate::output::tail::read(&rules.path, 0, 0),
        Ok(b"two\n".to_vec())
    );
}

#[test]
fn l03_a_closed_file_gets_its_date_and_a_number_if_it_is_not_the_only_one() {
    let dir = TempDir::new("dated-names");
    let mut options = daily();
    options.utc = true;
    options.rotate.by_size = true;
    let mut rules = rules(&dir.path("log"), options);
    rules.maxbytes = Bytes(8);
    let now = sys::now().wall;
    let mut sink = open(&rules, true);
    write(&mut sink, now, b"one\n");
    write(&mut sink, now, b"two\n");
    write(&mut sink, now, b"three,lo");
    write(&mut sink, now, b"ng\nfour\n");
    write(&mut sink, Wall(now.0 + DAY), b"five\n");
    drop(sink);
    let names = files(&dir);
    let date = names[1].0.strip_prefix("log.").expect("a date").to_owned();
    let name = |suffix: &str| format!("log.{date}{suffix}");
    let expected = [
        ("log".to_owned(), "five\n"),
        (name(""), "one\ntwo\n"),
        (name(".1"), "three,long\n"),
        (name(".2"), "four\n"),
    ];
    assert_eq!(names, expected.map(|(name, text)| (name, text.to_owned())));
    // A file of an earlier day gets the date of its last line when the log is opened.
    let file = fs::File::options()
        .append(true)
        .open(dir.path("log"))
        .expect("there");
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 24 * 3600);
    file.set_modified(yesterday).expect("set");
    let mut sink = open(&rules, true);
    write(&mut sink, now, b"six\n");
    let names = files(&dir);
    assert_eq!(names.len(), 5);
    assert_eq!(names[0].1, "six\n");
    assert!(names[1].1 == "five\n" && names[1].0 < name(""), "{names:?}");
}

fn unpacked(path: &Path) -> String {
    let mut text = String::new();
    let file = fs::File::open(path).expect("there");
    std::io::Read::read_to_string(&mut flate2_reader(file), &mut text).expect("gzip");
    text
}

fn flate2_reader(file: fs::File) -> impl std::io::Read {
    crate::output::closed_logs::reader(file)
}

#[test]
fn l03_closed_files_are_compressed_and_the_oldest_removed() {
    let dir = TempDir::new("dated-keep");
    let options = LogOptions {
        utc: true,
        keep: LogKeep::Files(2),
        compress: true,
        mode: Some(0o640),
        ..daily()
    };
    let rules = rules(&dir.path("log"), options);
    // What is left of a daemon that was killed, and files of others.
    fs::write(dir.path("log.2020-01-01"), "old").expect("written");
    fs::write(dir.path("log.2020-01-01.gz.tmp"), "half").expect("written");
    fs::write(dir.path("log.txt"), "other").expect("written");
    let begin = std::time::SystemTime::now() - std::time::Duration::from_secs(365 * 24 * 3600);
    let file = fs::File::options()
        .append(true)
        .open(dir.path("log.2020-01-01"))
        .expect("there");
    file.set_modified(begin).expect("set");
    let now = sys::now().wall;
    let mut sink = open(&rules, true);
    let mut lines = Vec::new();
    sink.take_closed().expect("at the start").tidy(&mut lines);
    assert_eq!(unpacked(&dir.path("log.2020-01-01.gz")), "old");
    for day in 0..4 {
        write(
            &mut sink,
            Wall(now.0 + day * DAY),
            format!("day {day}\n").as_bytes(),
        );
        if let Some(closed) = sink.take_closed() {
            closed.tidy(&mut lines);
        }
    }
    assert_eq!(lines, []);
    let names: Vec<_> = files(&dir).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    assert_eq!((&*names[0], &*names[3]), ("log", "log.txt"));
    assert_eq!(unpacked(&dir.path(&names[1])), "day 1\n");
    assert_eq!(unpacked(&dir.path(&names[2])), "day 2\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(dir.path(&names[1]))
            .expect("there")
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn l03_numbered_backups_are_compressed_and_shifted() {
    let dir = TempDir::new("sized-gzip");
    let options = LogOptions {
        compress: true,
        ..LogOptions::default()
    };
    let mut rules = rules(&dir.path("log"), options);
    (rules.maxbytes, rules.backups) = (Bytes(1), 3);
    let mut sink = open(&rules, true);
    for number in 0..6 {
        write(&mut sink, sys::now().wall, format!("{number}\n").as_bytes());
        sink.take_closed().expect("rotated").tidy(&mut Vec::new());
    }
    let names: Vec<_> = files(&dir).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["log", "log.1.gz", "log.2.gz", "log.3.gz"]);
    for (number, text) in [(1, "5\n"), (2, "4\n"), (3, "3\n")] {
        assert_eq!(unpacked(&dir.path(&format!("log.{number}.gz"))), text);
    }
}

#[test]
fn l04_a_file_that_is_moved_away_is_noticed() {
    let dir = TempDir::new("moved");
    let rules = rules(&dir.path("log"), LogOptions::default());
    let mut sink = open(&rules, true);
    let later = |seconds: u64| Now {
        mono: Tick(sys::now().mono.0 + seconds * LOOK_NANOS),
        wall: sys::now().wall,
    };
    let mut lines = Vec::new();
    sink.prepare(later(0), &mut lines);
    sink.write(b"one\n", &mut lines);
    fs::rename(dir.path("log"), dir.path("log.old")).expect("there");
    sink.write(b"two\n", &mut lines);
    sink.prepare(later(2), &mut lines);
    sink.write(b"three\n", &mut lines);
    fs::remove_file(dir.path("log")).expect("there");
    sink.prepare(later(4), &mut lines);
    sink.write(b"four\n", &mut lines);
    assert_eq!(lines, []);
    let expected = [("log", "four\n"), ("log.old", "one\ntwo\n")];
    assert_eq!(
        files(&dir),
        expected.map(|(name, text)| (name.to_owned(), text.to_owned()))
    );
}

#[test]
fn l06_a_truncated_file_goes_on_with_a_whole_line() {
    let dir = TempDir::new("form-truncated");
    let rules = rules(&dir.path("log"), json());
    let mut sink = open(&rules, true);
    write(&mut sink, Wall(DAY), b"one\nbegun");
    fs::File::options()
        .write(true)
        .open(&rules.path)
        .expect("there")
        .set_len(0)
        .expect("cut");
    write(&mut sink, Wall(DAY), b" and ended\n");
    sink.close(&mut Vec::new());
    let text = fs::read_to_string(&rules.path).expect("there");
    let object: serde_json::Value = serde_json::from_str(&text).expect("one object");
    assert_eq!(object["message"], " and ended");
}

#[test]
fn l06_an_incomplete_line_is_ended_with_its_process() {
    let dir = TempDir::new("form-ended");
    let rules = rules(&dir.path("log"), json());
    let mut sink = open(&rules, true);
    write(&mut sink, Wall(DAY), b"no newline");
    sink.close(&mut Vec::new());
    let mut sink = open(&rules, true);
    write(&mut sink, Wall(DAY), b"next\n");
    // Killed with its daemon, and the machine.
    write(&mut sink, Wall(DAY), b"cut");
    drop(sink);
    let mut sink = open(&rules, true);
    write(&mut sink, Wall(DAY), b"last\n");
    let text = fs::read_to_string(&rules.path).expect("there");
    let messages: Vec<_> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["message"].clone()
        })
        .collect();
    assert_eq!(messages, ["no newline", "next", "cut", "last"]);
}

#[test]
fn l06_a_pipe_gets_whole_lines_and_the_rest_is_handed_over() {
    let dir = TempDir::new("form-pipe");
    let path = dir.path("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let mut reader = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opened");
    let rules = rules(&path, prefix());
    let mut sink = open(&rules, true);
    write(&mut sink, Wall(DAY), b"one\ntw");
    let mut state = StreamState::default();
    sink.hand_over(&mut state, &mut Connections::new(), &mut Vec::new());
    assert_eq!(state.line, b"tw");
    let state = serde_json::to_string(&state).expect("written");
    let mut state = serde_json::from_str(&state).expect("read");
    let mut sink = open(&rules, false);
    sink.resume(&mut state, &mut Vec::new());
    write(&mut sink, Wall(DAY), b"o\n");
    let mut text = vec![0; 4096];
    let count = std::io::Read::read(&mut reader, &mut text).expect("read");
    let text = String::from_utf8_lossy(&text[..count]).into_owned();
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.rsplit_once(": ").expect("a prefix").1)
        .collect();
    assert_eq!(lines, ["one", "two"]);
}

#[test]
fn the_mode_is_set_whatever_the_umask_and_stays_in_rotations() {
    let dir = TempDir::new("mode");
    let options = LogOptions {
        mode: Some(0o666),
        ..LogOptions::default()
    };
    let mut rules = rules(&dir.path("log"), options);
    (rules.maxbytes, rules.backups) = (Bytes(1), 1);
    let mut sink = open(&rules, true);
    let mode = |name: &str| {
        let meta = fs::metadata(dir.path(name)).expect("there");
        std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777
    };
    assert_eq!(mode("log"), 0o666);
    write(&mut sink, Wall(DAY), b"one\n");
    assert_eq!((mode("log"), mode("log.1")), (0o666, 0o666));
    // A file that exists keeps its mode.
    fs::set_permissions(
        dir.path("log"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .expect("set");
    let _again = open(&rules, true);
    assert_eq!(mode("log"), 0o600);
}

#[test]
fn owner_and_group_are_set_on_files_that_the_daemon_makes() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    let dir = TempDir::new("owner");
    let options = LogOptions {
        owner: Some(12345),
        group: Some(12346),
        ..LogOptions::default()
    };
    let rules = rules(&dir.path("log"), options.clone());
    let _sink = open(&rules, true);
    let meta = fs::metadata(dir.path("log")).expect("there");
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!((meta.uid(), meta.gid()), (12345, 12346));
    // A file that was there, behind a link for example, is not given away.
    fs::write(dir.path("secret"), "secret").expect("written");
    std::os::unix::fs::symlink("secret", dir.path("link")).expect("linked");
    let _sink = open(
        &LogRules {
            path: dir.path("link").into(),
            ..rules
        },
        true,
    );
    assert_eq!(fs::metadata(dir.path("secret")).expect("there").uid(), 0);
}
