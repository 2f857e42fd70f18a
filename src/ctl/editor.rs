//! A text that the user changes with an editor.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::Command;

/// The editor if `VISUAL` and `EDITOR` are not set.
const DEFAULT_EDITOR: &str = "vi";

/// A text in a temporary file that only the user can read. The file is removed when this value drops.
#[derive(Debug)]
pub(super) struct EditedText {
    path: PathBuf,
    is_kept: bool,
}

impl EditedText {
    /// Writes the text to a new file, whose name contains `name`.
    ///
    /// # Errors
    /// The file exists, or it cannot be written.
    pub(super) fn new(name: &str, text: &str) -> io::Result<Self> {
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .take(64)
            .collect();
        let name = format!("supervisorctl-{}-{name}.conf", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let made = Self {
            path,
            is_kept: false,
        };
        file.write_all(text.as_bytes())?;
        Ok(made)
    }

    /// Runs the user's editor, and returns the text after it. Its command is read by the shell, so it may have options.
    ///
    /// # Errors
    /// The editor fails, or the file cannot be read.
    pub(super) fn ask_editor(&self) -> io::Result<String> {
        let set = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let editor = set("VISUAL").or_else(|| set("EDITOR"));
        let editor = editor.as_deref().unwrap_or(DEFAULT_EDITOR);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{editor} \"$1\""), "sh"]);
        let status = command.arg(&self.path).status()?;
        match status.success() {
            true => fs::read_to_string(&self.path),
            false => Err(io::Error::other(format!("{editor}: {status}"))),
        }
    }

    /// Leaves the file, and returns its path.
    pub(super) fn keep(mut self) -> PathBuf {
        self.is_kept = true;
        self.path.clone()
    }
}

impl Drop for EditedText {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}
