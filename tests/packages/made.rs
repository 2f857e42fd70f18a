//! Packages of this working tree. A run builds each of them once. cargo compiles only what has changed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::support::machine::Unmade;

/// Settings of cargo for builds of which a test needs the program and not its speed: a third of the time of a release build.
/// Only the packages of our own version are built as they are shipped.
pub(crate) const QUICK: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

/// A higher version than ours. It is built with [`QUICK`].
pub(crate) const HIGHER: &str = "5.0.1";
/// Our own version.
pub(crate) const OURS: &str = env!("CARGO_PKG_VERSION");

/// The kinds of packages, with their build commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Deb,
    Rpm,
}

impl Kind {
    const fn verb(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Rpm => "rpm",
        }
    }

    const fn tool(self) -> &'static str {
        match self {
            Self::Deb => "dh",
            Self::Rpm => "rpmbuild",
        }
    }

    /// The file name of the package of the daemon.
    pub(crate) fn file(self, version: &str) -> String {
        self.file_of("supervisord", version)
    }

    /// The file name of the package of the hub.
    pub(crate) fn hub_file(self, version: &str) -> String {
        self.file_of("supervisord-hub", version)
    }

    fn file_of(self, package: &str, version: &str) -> String {
        match self {
            Self::Deb => format!("{package}_{version}_amd64.deb"),
            Self::Rpm => format!("{package}-{version}-1.x86_64.rpm"),
        }
    }
}

/// The root of the working tree.
pub(crate) fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `packaging/build`, for the processor time that nobody else wants: the builds are a third of all work of a run, and the tests
/// beside them have limits of time.
pub(crate) fn patient_build(tree: &Path) -> Command {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(tree.join("packaging/build"));
    command
}

/// Whether a command is in PATH.
pub(crate) fn has(command: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .any(|directory| Path::new(directory).join(command).exists())
}

/// The directory with this package in both versions.
///
/// # Errors
/// The reason to skip, or the error.
pub(crate) fn both(kind: Kind) -> Result<PathBuf, Unmade> {
    type Made = Mutex<[Option<Result<PathBuf, String>>; 2]>;
    static MADE: OnceLock<Made> = OnceLock::new();
    if !has(kind.tool()) {
        return Err(Ok(format!("{} is not installed", kind.tool())));
    }
    let made = MADE.get_or_init(Default::default);
    // One build at a time, because builds share the compiler's output directory.
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    let made = made[kind as usize].get_or_insert_with(|| {
        let out = top().join("target/package/out");
        for version in [OURS, HIGHER] {
            build(kind, version, top(), &out, None)?;
        }
        Ok(out)
    });
    made.clone().map_err(Err)
}

/// Builds one package from the sources in `tree` into `out`. `target`: cargo's output directory. `None`: the usual one.
pub(crate) fn build(
    kind: Kind,
    version: &str,
    tree: &Path,
    out: &Path,
    target: Option<&Path>,
) -> Result<(), String> {
    let mut command = patient_build(tree);
    command
        .arg(kind.verb())
        .arg(out)
        .env("VERSION", version)
        .env_remove("SOURCE_DATE_EPOCH")
        .env_remove("CARGO_TARGET_DIR");
    if version == HIGHER {
        command.envs(QUICK);
    }
    if let Some(target) = target {
        // Simulates another user in another directory with the same compiler and crates.
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        for (name, usual) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            let place = std::env::var_os(name).map_or_else(|| home.join(usual), PathBuf::from);
            command.env(name, place);
        }
        command
            .env("CARGO_TARGET_DIR", target)
            .env("HOME", target)
            .env("TZ", "Pacific/Auckland")
            .env("LC_ALL", "C");
    }
    let done = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let file = out.join(kind.file(version));
    if done.status.success() && file.is_file() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&done.stderr);
        Err(format!("{command:?}: {:?}: {said}", done.status))
    }
}
