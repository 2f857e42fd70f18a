//! Temporary directories with short paths (a unix socket's path holds 107 bytes), removed at the end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory of one test.
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    /// A fresh directory, readable by everybody (programs with `user=` live in it).
    pub fn new() -> Result<Self, String> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sv{}-{number}", std::process::id()));
        fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let path = path.canonicalize().map_err(|e| e.to_string())?;
        allow_all(&path)?;
        Ok(Self { path })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory as text.
    pub fn text(&self) -> String {
        self.path.display().to_string()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf, String> {
        let path = self.join(name);
        fs::write(&path, content).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(path)
    }

    /// The content of a file, empty if it is missing.
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.join(name)).unwrap_or_default()).into_owned()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if std::env::var_os("KEEP").is_none() {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

fn allow_all(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(|e| e.to_string())
}
