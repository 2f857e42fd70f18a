//! The snapshot: the text that was applied last, for a start without the server, and the one before it.
//!
//! A snapshot is a file with the text and nothing else, and a file of the same name and `.meta` with the MD5s of the last
//! texts. The `.meta` file is written first, so it knows the text at any time: a text that it does not know was cut or
//! edited and is not used.

use std::io;
use std::path::{Path, PathBuf};

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use crate::agent::protocol::TEXT_BYTES_MAX;
use crate::config::source::{SourceOrigin, SourceSettings};
use crate::domain::percent_encoded;
use crate::sys::{effective_uid, read_secret_file, replace_secret_file};

/// Characters of names that file names have as they are.
const KEPT: &[u8] = b"-_.";
/// Maximum size of a `.meta` file in bytes.
const META_BYTES_MAX: usize = 16 << 10;
/// Number of texts in a `.meta` file.
const TEXTS_MAX: usize = 3;
/// The end of the name of the text before the last one.
const PREVIOUS: &str = ".prev";
/// The end of the name of the file that knows the texts.
const META: &str = ".meta";

/// The MD5 of a text in lower-case hexadecimal digits, as Nacos has it.
#[must_use]
pub fn md5_of(text: &str) -> String {
    format!("{:x}", Md5::digest(text.as_bytes()))
}

/// A stored text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// The text.
    pub(super) text: String,
    /// Its MD5.
    pub(super) md5: String,
    /// When it was applied, in seconds since 1970.
    pub(super) time: i64,
}

/// What the `.meta` file says of one text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KnownText {
    md5: String,
    time: i64,
    server: String,
}

/// The files of one item.
#[derive(Debug, Clone)]
pub(super) struct SnapshotFiles {
    path: PathBuf,
}

impl SnapshotFiles {
    /// The files for the source of these settings.
    #[must_use]
    pub(super) fn of(settings: &SourceSettings) -> Self {
        let encoded = |text: &str| percent_encoded(text, KEPT);
        let name = match &settings.origin {
            SourceOrigin::Nacos(item) => {
                let namespace = match item.namespace.as_str() {
                    "" => "public",
                    namespace => namespace,
                };
                [namespace, &item.group, &item.dataid].map(encoded)
            }
            // The same program prints other texts with other arguments, which may be long and secret.
            SourceOrigin::Command(command) => {
                let program = command.program().rsplit('/').next().unwrap_or_default();
                let arguments = md5_of(&command.argv.join("\0"));
                ["command", program, &arguments].map(encoded)
            }
        };
        Self {
            path: directory(settings).join(name.join("@@")),
        }
    }

    /// The path of the text.
    #[must_use]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn with_end(&self, end: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(end);
        path.into()
    }

    /// Reads the text, or the one before it if that is damaged. `None`: there is none.
    ///
    /// # Errors
    /// Why no text can be used: one line.
    pub(super) fn read(&self) -> Result<Option<Snapshot>, String> {
        let known = self.known_texts();
        match self.read_text(&self.path, &known) {
            Ok(None) => Ok(None),
            Ok(snapshot) => Ok(snapshot),
            Err(error) => match self.read_text(&self.with_end(PREVIOUS), &known) {
                Ok(Some(previous)) => Ok(Some(previous)),
                Ok(None) | Err(_) => Err(error),
            },
        }
    }

    fn read_text(&self, path: &Path, known: &[KnownText]) -> Result<Option<Snapshot>, String> {
        use crate::sys::SmallFileError::Missing;
        let shown = path.display();
        let bytes = match read_secret_file(path, TEXT_BYTES_MAX, None) {
            Ok(read) => read.map(|(_, bytes)| bytes).unwrap_or_default(),
            Err(Missing) => return Ok(None),
            Err(error) => return Err(format!("{shown}: {error}")),
        };
        let text = String::from_utf8(bytes).map_err(|_| format!("{shown}: it is not UTF-8"))?;
        let md5 = md5_of(&text);
        let found = known.iter().find(|known| known.md5 == md5);
        match found {
            Some(known) => Ok(Some(Snapshot {
                text,
                md5,
                time: known.time,
            })),
            None => Err(format!(
                "{shown}: it was cut or edited since it was written"
            )),
        }
    }

    fn known_texts(&self) -> Vec<KnownText> {
        let read = read_secret_file(&self.with_end(META), META_BYTES_MAX, None);
        let bytes = read.ok().flatten().map(|(_, bytes)| bytes);
        let parsed = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        parsed.unwrap_or_default()
    }

    /// Stores an applied text. The last one is kept as the previous one.
    ///
    /// # Errors
    /// ENOSPC, EACCES, EROFS, …
    pub(super) fn write(&self, text: &str, server: &str, time: i64) -> io::Result<()> {
        let md5 = md5_of(text);
        let mut known = self.known_texts();
        if let Ok(Some(last)) = self.read_text(&self.path, &known) {
            if last.md5 == md5 {
                return Ok(());
            }
            replace_secret_file(&self.with_end(PREVIOUS), last.text.as_bytes())?;
        } else if let Some(parent) = self.path.parent() {
            make_directory(parent)?;
        }
        known.retain(|known| known.md5 != md5);
        known.insert(
            0,
            KnownText {
                md5,
                time,
                server: server.to_owned(),
            },
        );
        known.truncate(TEXTS_MAX);
        let meta = serde_json::to_vec(&known).map_err(io::Error::from)?;
        replace_secret_file(&self.with_end(META), &meta)?;
        replace_secret_file(&self.path, text.as_bytes())
    }
}

/// Makes the directory if it does not exist, for the user of this process alone.
fn make_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(path)
}

/// The directory of snapshots.
fn directory(settings: &SourceSettings) -> PathBuf {
    let variable = |name: &str| {
        let value = std::env::var_os(name)?;
        let first = value.to_str()?.split(':').next()?.to_owned();
        first.starts_with('/').then(|| PathBuf::from(first))
    };
    if let Some(directory) = &settings.rules.cache_dir {
        return PathBuf::from(directory);
    }
    if let Some(directory) = variable("STATE_DIRECTORY") {
        return directory;
    }
    if effective_uid() == 0 {
        return PathBuf::from("/var/lib/supervisord/nacos");
    }
    let state = variable("XDG_STATE_HOME");
    let state = state.or_else(|| Some(variable("HOME")?.join(".local/state")));
    state
        .unwrap_or_else(|| PathBuf::from("/var/tmp"))
        .join("supervisord/nacos")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(name: &str) -> (PathBuf, SnapshotFiles) {
        let dir = std::env::temp_dir().join(format!(
            "supervisord-snapshot-{name}-{}",
            std::process::id()
        ));
        let path = dir.join("a/ns@@G@@id");
        (dir, SnapshotFiles { path })
    }

    #[test]
    fn the_last_text_and_the_one_before_it_are_kept() {
        let (dir, files) = files("kept");
        assert_eq!(files.read(), Ok(None));
        for (time, text) in [(1, "one"), (2, "two"), (3, "two"), (4, "three")] {
            files.write(text, "http://s", time).expect("written");
            let snapshot = files.read().expect("whole").expect("there");
            assert_eq!(snapshot.text, text);
            assert_eq!(snapshot.md5, md5_of(text));
        }
        let previous = std::fs::read_to_string(files.with_end(PREVIOUS)).expect("there");
        assert_eq!(previous, "two");
        use std::os::unix::fs::PermissionsExt as _;
        for end in ["", PREVIOUS, META] {
            let meta = std::fs::metadata(files.with_end(end)).expect("there");
            assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{end}");
        }
        std::fs::remove_dir_all(dir).expect("removed");
    }

    /// Names the directory for a process that writes snapshots until it is killed.
    const WRITER: &str = "SNAPSHOT_WRITER";

    /// A text whose lines all have the number, and of which there are as many as the number says: a part or a mixture of
    /// texts differs from all of them.
    fn text_of(number: usize) -> String {
        format!("; {number}\n").repeat(1 + number % 5000)
    }

    /// Kills a process that writes one snapshot after another, at random moments within the writes.
    ///
    /// It proves that no order of the system calls of [`SnapshotFiles::write`] leaves a text that is cut, mixed or unknown to
    /// the `.meta` file, as the next process sees it. It does not prove what a power failure leaves, for which the calls
    /// sync files before they rename them.
    #[test]
    fn a_writer_that_is_killed_leaves_a_whole_text() {
        use std::io::Read as _;
        if let Some(dir) = std::env::var_os(WRITER) {
            let path = PathBuf::from(dir).join("a/ns@@G@@id");
            let files = SnapshotFiles { path };
            for number in (1..).cycle() {
                files.write(&text_of(number), "s", 1).expect("written");
                println!("written");
            }
        }
        let is_full = std::env::var("KILLS").is_ok_and(|word| word == "full");
        let (dir, files) = files("killed");
        let own = std::env::current_exe().expect("known");
        let name = "source::snapshot::tests::a_writer_that_is_killed_leaves_a_whole_text";
        for round in 0..if is_full { 200 } else { 20 } {
            let mut writer = std::process::Command::new(&own)
                .args(["--exact", name, "--nocapture"])
                .env(WRITER, &dir)
                .stdout(std::process::Stdio::piped())
                .spawn()
                .expect("started");
            // It writes: the header of the tests, and then its first text.
            let mut said = Vec::new();
            let mut stdout = writer.stdout.take().expect("piped");
            while !said.ends_with(b"written\n") {
                let mut byte = [0];
                stdout.read_exact(&mut byte).expect("it writes");
                said.push(byte[0]);
            }
            let random = crate::sys::random_seed().expect("random") % 3000;
            std::thread::sleep(std::time::Duration::from_micros(random));
            writer.kill().expect("killed");
            writer.wait().expect("reaped");
            let known = files.known_texts();
            let last = files.read_text(&files.path, &known);
            let last = last.unwrap_or_else(|error| panic!("round {round}: {error}"));
            let last = last.expect("there is one");
            let number = last
                .text
                .lines()
                .next()
                .and_then(|line| line[2..].parse().ok());
            assert_eq!(
                Some(&last.text),
                number.map(text_of).as_ref(),
                "round {round}"
            );
            // The one before it may be missing in the first round only.
            let previous = files.read_text(&files.with_end(PREVIOUS), &known);
            assert!(previous.is_ok(), "round {round}: {previous:?}");
        }
        std::fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn a_damaged_text_is_not_used_but_the_one_before_it() {
        let (dir, files) = files("damaged");
        files.write("one", "s", 1).expect("written");
        std::fs::write(&files.path, "on").expect("cut");
        let error = files.read().expect_err("damaged");
        assert!(error.ends_with("it was cut or edited since it was written"));
        files.write("two", "s", 2).expect("written");
        files.write("three", "s", 3).expect("written");
        std::fs::write(&files.path, "three and more").expect("edited");
        assert_eq!(files.read().expect("previous").expect("there").text, "two");
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
