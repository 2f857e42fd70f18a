//! Finds the program `supervisord-agent`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The name of the program.
pub(super) const NAME: &str = "supervisord-agent";
/// Where packages install it.
const PACKAGED: [&str; 2] = [
    "/usr/libexec/supervisord-agent",
    "/usr/lib/supervisord/supervisord-agent",
];
/// What the kernel appends to the path of an executable that was replaced.
const DELETED: &[u8] = b" (deleted)";

/// The path of the agent: beside the running executable, or where packages install it. `None`: it is not installed.
#[must_use]
pub fn find_program() -> Option<PathBuf> {
    let own = std::fs::read_link("/proc/self/exe").ok();
    let beside = own.as_deref().and_then(program_beside);
    beside
        .into_iter()
        .chain(PACKAGED.map(PathBuf::from))
        .find(|path| path.is_file())
}

/// The path that the agent has if it is in the directory of `executable`, as `/proc/self/exe` names that.
fn program_beside(executable: &Path) -> Option<PathBuf> {
    let bytes = executable.as_os_str().as_bytes();
    let bytes = bytes.strip_suffix(DELETED).unwrap_or(bytes);
    let directory = Path::new(OsStr::from_bytes(bytes)).parent()?;
    Some(directory.join(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_is_beside_an_executable_that_was_replaced_too() {
        for own in [
            "/opt/x/supervisord",
            "/opt/x/supervisord (deleted)",
            "/opt/x/supervisord-5.0 (deleted)",
        ] {
            let found = program_beside(Path::new(own));
            assert_eq!(found, Some(PathBuf::from("/opt/x/supervisord-agent")));
        }
        let found = program_beside(Path::new("/opt/x (deleted)/supervisord"));
        assert_eq!(
            found,
            Some(PathBuf::from("/opt/x (deleted)/supervisord-agent"))
        );
    }
}
