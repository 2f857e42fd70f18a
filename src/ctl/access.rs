//! Advice for users who may not use the daemon's socket, derived from the owner and mode of its file.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User};

/// Mode bit: the group may write to the socket, which is the permission to use it.
const GROUP_WRITES: u32 = 0o020;

/// Who may use the socket at `path`, and how to become one of them, in one line.
pub(super) fn advice(path: &Path) -> String {
    // Its directory may be inaccessible too.
    let Ok(socket) = path.metadata() else {
        return format!("permission denied: {} (use sudo)", path.display());
    };
    let group = (socket.mode() & GROUP_WRITES != 0)
        .then(|| Group::from_gid(Gid::from_raw(socket.gid())))
        .and_then(|found| found.ok().flatten())
        .map(|group| group.name);
    let owner = match User::from_uid(Uid::from_raw(socket.uid())) {
        Ok(Some(owner)) => owner.name,
        _ => socket.uid().to_string(),
    };
    advice_text(path, &owner, group.as_deref())
}

fn advice_text(path: &Path, owner: &str, group: Option<&str>) -> String {
    let path = path.display();
    match group {
        // Users should not be added to the group root.
        Some(group) if group != "root" => format!(
            "permission denied: {path} is open to {owner} and group {group} (use sudo, or join the group: usermod -aG {group} NAME, then log in again)"
        ),
        _ => format!("permission denied: {path} is open to {owner} only (use sudo)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_user_gets_a_remedy() {
        let path = Path::new("/run/supervisor.sock");
        for (group, expected) in [
            (
                Some("supervisor"),
                "permission denied: /run/supervisor.sock is open to root and group supervisor (use sudo, or join the group: usermod -aG supervisor NAME, then log in again)",
            ),
            (
                Some("root"),
                "permission denied: /run/supervisor.sock is open to root only (use sudo)",
            ),
            (
                None,
                "permission denied: /run/supervisor.sock is open to root only (use sudo)",
            ),
        ] {
            assert_eq!(advice_text(path, "root", group), expected);
        }
        let nowhere = advice(Path::new("/proc/1/nowhere/s"));
        assert_eq!(nowhere, "permission denied: /proc/1/nowhere/s (use sudo)");
    }
}
