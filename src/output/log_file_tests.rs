//! Rotation, special targets, and symbolic links that other users plant.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::testing::TempDir;
use super::*;
use crate::sys::safe_open::REFUSED;

fn rules(path: &Path, maxbytes: i64, backups: i64) -> LogRules {
    LogRules {
        path: path.into(),
        maxbytes: Bytes(maxbytes),
        backups,
        private: false,
        options: None,
    }
}

fn open(path: &Path, maxbytes: i64, backups: i64) -> LogFile {
    LogFile::open(rules(path, maxbytes, backups)).expect("opened")
}

fn put(file: &mut LogFile, data: &[u8]) {
    assert_eq!(file.write(data), (data.len(), None));
    file.rotate_if_due().expect("rotated or not");
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[test]
fn out_04_rotates_after_the_write_that_reaches_the_size() {
    let dir = TempDir::new("rotate");
    let path = dir.path("log");
    let mut file = open(&path, 10, 2);
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    put(&mut file, b"123456789");
    assert_eq!(read(&numbered(&path, 1)), None);
    put(&mut file, b"0");
    assert_eq!(read(&numbered(&path, 1)).as_deref(), Some("1234567890"));
    assert_eq!(read(&path).as_deref(), Some(""));
    put(&mut file, &[b'x'; 50]);
    put(&mut file, &[b'y'; 10]);
    assert_eq!(read(&numbered(&path, 1)), Some("y".repeat(10)));
    assert_eq!(read(&numbered(&path, 2)), Some("x".repeat(50)));
    assert_eq!(read(&numbered(&path, 3)), None);
}

#[test]
fn a_replaced_large_backup_is_held_for_its_deletion() {
    let dir = TempDir::new("replaced");
    for (maxbytes, is_held) in [(1 << 20, true), (1000, false)] {
        let path = dir.path(&format!("log{maxbytes}"));
        let mut file = open(&path, maxbytes, 2);
        let chunk = vec![b'x'; usize::try_from(maxbytes).expect("small")];
        for _ in 0..2 {
            assert_eq!(file.write(&chunk), (chunk.len(), None));
            let rotation = file.rotate_if_due();
            assert!(matches!(rotation, Ok(Rotation::Done(None))), "none yet");
        }
        let oldest = std::fs::metadata(numbered(&path, 2)).expect("there").ino();
        assert_eq!(file.write(&chunk), (chunk.len(), None));
        let Ok(Rotation::Done(replaced)) = file.rotate_if_due() else {
            panic!("not rotated");
        };
        assert_eq!(replaced.is_some(), is_held);
        if let Some(replaced) = replaced {
            let stat = fstat(&replaced).expect("open");
            assert_eq!((stat.st_ino, stat.st_nlink), (oldest, 0));
        }
    }
}

#[test]
fn out_05_backups_0_truncates_and_maxbytes_0_never_rotates() {
    let dir = TempDir::new("truncate");
    let path = dir.path("log");
    let mut file = open(&path, 10, 0);
    put(&mut file, b"12345");
    let before = std::fs::metadata(&path).expect("there").ino();
    put(&mut file, b"67890");
    let after = std::fs::metadata(&path).expect("there");
    assert_eq!((after.len(), after.ino()), (0, before));
    assert!(!numbered(&path, 1).exists());
    for never in [0, -5] {
        let mut file = open(&path, never, 1);
        put(&mut file, &[b'x'; 1000]);
        assert!(!numbered(&path, 1).exists());
    }
}

#[test]
fn out_03_existing_content_is_kept_and_counted() {
    let dir = TempDir::new("append");
    let path = dir.path("log");
    std::fs::write(&path, "12345").expect("written");
    let mut file = open(&path, 10, 1);
    put(&mut file, b"678");
    assert!(!numbered(&path, 1).exists());
    put(&mut file, b"90");
    let old = std::fs::read_to_string(numbered(&path, 1)).expect("rotated");
    assert_eq!(old, "1234567890");
}

#[test]
fn out_06_missing_base_and_backups_are_tolerated() {
    let dir = TempDir::new("missing");
    let path = dir.path("log");
    let mut file = open(&path, 5, 5);
    std::fs::write(numbered(&path, 3), "third").expect("written");
    std::fs::remove_file(&path).expect("there");
    put(&mut file, b"12345");
    assert!(!numbered(&path, 1).exists());
    assert!(numbered(&path, 4).exists());
    put(&mut file, b"678");
    assert_eq!(std::fs::read(&path).expect("made anew"), b"678");
}

#[test]
fn a_failed_rotation_loses_nothing_and_is_retried() {
    let dir = TempDir::new("stuck");
    let path = dir.path("log");
    std::fs::create_dir(numbered(&path, 1)).expect("made");
    let mut file = open(&path, 5, 1);
    assert_eq!(file.write(b"12345"), (5, None));
    assert!(file.rotate_if_due().is_err());
    assert_eq!(file.write(b"6"), (1, None));
    assert!(
        matches!(file.rotate_if_due(), Ok(Rotation::NotDue)),
        "not at every chunk"
    );
    assert_eq!(std::fs::read(&path).expect("there"), b"123456");
    std::fs::remove_dir(numbered(&path, 1)).expect("there");
    put(&mut file, b"7890");
    assert_eq!(
        std::fs::read(numbered(&path, 1)).expect("rotated"),
        b"1234567890"
    );
}

#[test]
fn a_million_backups_cost_nothing() {
    let dir = TempDir::new("million");
    let path = dir.path("log");
    let mut file = open(&path, 1, i64::MAX);
    for byte in b"abc" {
        put(&mut file, &[*byte]);
    }
    let all: Vec<_> = (1..=4)
        .map(|number| std::fs::read(numbered(&path, number)).ok())
        .collect();
    assert_eq!(
        all,
        [
            Some(b"c".to_vec()),
            Some(b"b".to_vec()),
            Some(b"a".to_vec()),
            None
        ]
    );
}

#[test]
fn out_11_devices_are_written_and_never_rotated() {
    let mut null = open(Path::new("/dev/null"), 1, 1);
    put(&mut null, b"gone");
    assert!(!null.cannot_rotate(), "nothing to say of it");
    let dir = TempDir::new("fifo");
    let path = dir.path("fifo");
    nix::unistd::mkfifo(&path, Mode::S_IRWXU).expect("made");
    let _reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opened");
    let mut fifo = open(&path, 1, 1);
    put(&mut fifo, b"12345");
    assert!(fifo.cannot_rotate());
    let mut rest = vec![0; 1 << 20];
    let (written, stop) = fifo.write(&rest);
    assert_eq!(stop, Some(WriteStop::Full));
    rest.truncate(written);
    assert!(!numbered(&path, 1).exists());
    assert_eq!(remove(&path), Ok(()));
    assert!(path.exists(), "others use a pipe");
}

#[test]
fn a_shared_descriptor_never_blocks_and_keeps_its_flags() {
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    let (peer, socket) = std::os::unix::net::UnixStream::pair().expect("a pair");
    for (fd, _other) in [(writer, reader), (socket.into(), peer.into())] {
        let same = fd.try_clone().expect("a duplicate");
        let mut file = LogFile::with(rules(Path::new("/dev/stdout"), 1, 1), fd, true)
            .expect("of a known kind");
        assert!(file.cannot_rotate());
        put(&mut file, b"12345");
        let much = vec![b'x'; 4 << 20];
        let (written, stop) = file.write(&much);
        assert_eq!(stop, Some(WriteStop::Full));
        assert!(written > 4096, "as much as there is room for: {written}");
        assert_eq!(file.write(b"more"), (0, Some(WriteStop::Full)));
        assert_eq!(file.reopen(), Ok(()), "it stays what it is");
        let flags = nix::fcntl::fcntl(&same, nix::fcntl::FcntlArg::F_GETFL).expect("open");
        assert_eq!(flags & OFlag::O_NONBLOCK.bits(), 0);
    }
}

#[test]
fn disk_errors_are_reported() {
    let mut full = open(Path::new("/dev/full"), 0, 0);
    assert_eq!(
        full.write(b"x"),
        (
            0,
            Some(WriteStop::Failed(Errno(nix::errno::Errno::ENOSPC as i32)))
        )
    );
    let dir = TempDir::new("isdir");
    let error = LogFile::open(rules(dir.root(), 0, 0)).expect_err("a directory");
    assert_eq!(error.name(), "EISDIR");
    let error = LogFile::open(rules(&dir.path("no/log"), 0, 0)).expect_err("no directory");
    assert_eq!(error, Errno::NOENT);
}

#[test]
fn dmn_20_auto_logs_are_private_and_never_links() {
    let dir = TempDir::new("auto");
    let path = dir.path("log");
    create_private(&path).expect("created");
    create_private(&path).expect("there already");
    let mode = std::fs::metadata(&path)
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let link = dir.path("link");
    symlink(&path, &link).expect("linked");
    let mut private = rules(&link, 0, 0);
    private.private = true;
    assert_eq!(LogFile::open(private).expect_err("a link").name(), "ELOOP");
}

/// (name, function that makes the path in the directory, whether it is followed). 12345 and 54321 are other users.
type Planted = (&'static str, fn(&Path) -> PathBuf, bool);

#[test]
fn links_of_other_users_are_followed_only_to_files_they_may_write() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can plant files of other users");
        return;
    }
    fn home(dir: &Path, uid: u32) -> PathBuf {
        let home = dir.join(format!("home-{uid}"));
        std::fs::create_dir(&home).expect("made");
        chown(&home, Some(uid), None).expect("root may");
        home
    }
    fn link(target: &Path, link: &Path, uid: u32) {
        symlink(target, link).expect("linked");
        std::os::unix::fs::lchown(link, Some(uid), None).expect("root may");
    }
    let cases: [Planted; 9] = [
        (
            "a plain file in a user's directory",
            |dir| home(dir, 12345).join("log"),
            true,
        ),
        (
            "our own link",
            |dir| {
                link(&dir.join("real"), &dir.join("link"), 0);
                dir.join("link")
            },
            true,
        ),
        (
            "a user's link to a file of root",
            |dir| {
                std::fs::write(dir.join("secret"), "").expect("written");
                let log = home(dir, 12345).join("log");
                link(&dir.join("secret"), &log, 12345);
                log
            },
            false,
        ),
        (
            "a user's link to a file that root would create",
            |dir| {
                let log = home(dir, 12345).join("log");
                link(&dir.join("made-by-attack"), &log, 12345);
                log
            },
            false,
        ),
        (
            "a user's directory link into a directory of root",
            |dir| {
                let logs = home(dir, 12345).join("logs");
                link(dir, &logs, 12345);
                logs.join("log")
            },
            false,
        ),
        (
            "a user's directory link into his own directory",
            |dir| {
                let home = home(dir, 12345);
                std::fs::create_dir(home.join("release-1")).expect("made");
                chown(home.join("release-1"), Some(12345), None).expect("root may");
                link("release-1".as_ref(), &home.join("current"), 12345);
                home.join("current/log")
            },
            true,
        ),
        (
            "a user's link into another user's directory",
            |dir| {
                let victim = home(dir, 54321);
                let log = home(dir, 12345).join("log");
                link(&victim.join("log"), &log, 12345);
                log
            },
            false,
        ),
        (
            "a second name for a file of root",
            |dir| {
                std::fs::write(dir.join("secret"), "").expect("written");
                let log = home(dir, 12345).join("log");
                std::fs::hard_link(dir.join("secret"), &log).expect("linked");
                log
            },
            false,
        ),
        (
            "a root link to a device",
            |dir| {
                link("/dev/null".as_ref(), &dir.join("log"), 0);
                dir.join("log")
            },
            true,
        ),
    ];
    for (name, plant, followed) in cases {
        let dir = TempDir::new("planted");
        let path = plant(dir.root());
        match LogFile::open(rules(&path, 0, 0)) {
            Ok(mut file) => {
                assert!(followed, "{name}");
                put(&mut file, b"x");
            }
            Err(error) => {
                assert!(!followed, "{name}: {error}");
                assert_eq!(error, REFUSED, "{name}");
            }
        }
        assert!(!dir.path("made-by-attack").exists(), "{name}");
        assert!(!dir.path("home-54321/log").exists(), "{name}");
    }
}

#[test]
fn a_directory_replaced_after_opening_is_refused() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can plant files of other users");
        return;
    }
    let dir = TempDir::new("exchanged");
    let (home, secret) = (dir.path("home"), dir.path("secret"));
    for path in [&home, &secret] {
        std::fs::create_dir(path).expect("made");
    }
    chown(&home, Some(12345), None).expect("root may");
    let logs = home.join("logs");
    std::fs::create_dir(&logs).expect("made");
    let mut file = open(&logs.join("log"), 5, 1);
    // The user replaces the directory after the log was opened.
    std::fs::rename(&logs, home.join("away")).expect("renamed");
    symlink(&secret, &logs).expect("linked");
    std::os::unix::fs::lchown(&logs, Some(12345), None).expect("root may");
    std::fs::write(secret.join("log"), "secret").expect("written");
    assert_eq!(file.write(b"12345"), (5, None));
    assert_eq!(file.rotate_if_due().err(), Some(REFUSED));
    assert_eq!(remove(&logs.join("log")), Err(REFUSED));
    assert_eq!(std::fs::read(secret.join("log")).expect("there"), b"secret");
    assert!(!secret.join("log.1").exists());
    assert_eq!(
        std::fs::read(home.join("away/log")).expect("there"),
        b"12345"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn rotation_loses_nothing_when_backups_suffice(
        sizes in proptest::collection::vec(1usize..60, 1..40),
        maxbytes in 1i64..100,
    ) {
        let dir = TempDir::new("rotation");
        let path = dir.path("log");
        let mut file = open(&path, maxbytes, 40);
        let mut all = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            let chunk = vec![u8::try_from(number).expect("few"); *size];
            put(&mut file, &chunk);
            all.extend_from_slice(&chunk);
        }
        let mut found = Vec::new();
        for number in (1..=40).rev() {
            if let Ok(data) = std::fs::read(numbered(&path, number)) {
                prop_assert!(data.len() as i64 >= maxbytes);
                found.extend(data);
            }
        }
        let base = std::fs::read(&path).expect("there");
        prop_assert!((base.len() as i64) < maxbytes);
        found.extend(base);
        prop_assert_eq!(found, all);
    }
}
