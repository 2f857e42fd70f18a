//! Starts helper programs that gain nothing if they are attacked: without capabilities, without a way to get one, in a
//! session of their own, and as another user if this process is root.

use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::helper::RegisteredChild;
use super::limits::{Limit, Resource};
use super::own_capabilities::own_capabilities;
use super::plan::{CStrings, ChildBounds, ChildIds, ConfiguredValue, RawPlan};
use super::spawn::Spawner;
use super::stdio::ChildStdio;
use crate::domain::Capabilities;

/// A program, and how it runs.
#[derive(Debug)]
pub struct UnprivilegedProgram<'a> {
    /// The file to execute.
    pub path: &'a Path,
    /// The arguments, the program's name first.
    pub argv: &'a [&'a OsStr],
    /// Its whole environment.
    pub environment: &'a [(OsString, OsString)],
    /// Its user and groups.
    pub ids: ChildIds,
    /// Whether it keeps the privileges of this process: the configuration names root as its user.
    pub keeps_privileges: bool,
    /// Its file mode creation mask.
    pub umask: u32,
    /// Maximum number of its open files.
    pub files_max: u64,
}

/// A started program.
#[derive(Debug)]
pub struct StartedProgram {
    /// It is no supervised process.
    pub child: RegisteredChild,
    /// Its PID, which is also the ID of its process group and its session.
    pub pid: i32,
    /// Its pidfd.
    pub pidfd: OwnedFd,
}

impl UnprivilegedProgram<'_> {
    /// Starts the program in `/` with these descriptors and no others. Works with and without threads, and returns when
    /// the program is executed. Blocks while the kernel blocks that, as [`Spawner::spawn`] does.
    ///
    /// A program that cannot be executed exits with status 127 and a message on its descriptor 2.
    ///
    /// # Errors
    /// ENOENT, EACCES: there is no such file. `InvalidInput`: an embedded null byte. EAGAIN, EMFILE, ENOMEM.
    pub fn start(self, stdio: ChildStdio) -> io::Result<StartedProgram> {
        // The child could only exit with a status.
        drop(File::open(self.path)?);
        let plan = self.plan()?;
        let mut child = RegisteredChild::announce();
        // A thread with this name marks children that have not called exec yet, see `is_before_exec`.
        let spawning = std::thread::Builder::new().name(super::SPAWNER_THREAD.to_owned());
        let spawning = spawning.spawn(move || Spawner::new()?.spawn(&plan, stdio))?;
        let spawned = spawning
            .join()
            .map_err(|_| io::Error::other("the thread that starts the program panicked"))?;
        let (pid, pidfd) = spawned?;
        child.started(pid);
        Ok(StartedProgram { child, pid, pidfd })
    }

    fn plan(self) -> io::Result<RawPlan> {
        let no_nul = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let mut argv = CStrings::default();
        for word in self.argv {
            argv.push(&[word.as_bytes()]).map_err(no_nul)?;
        }
        let mut envp = CStrings::default();
        for (name, value) in self.environment {
            let parts: [&OsStr; 3] = [name, OsStr::new("="), value];
            envp.push(&parts.map(OsStr::as_bytes)).map_err(no_nul)?;
        }
        let limit = |resource, most| ConfiguredValue {
            value: (
                resource,
                Limit {
                    soft: most,
                    hard: most,
                },
            ),
            text: "limit of a helper".to_owned(),
        };
        let limits = vec![
            limit(Resource::Files, self.files_max),
            limit(Resource::Core, 0),
        ];
        let bounds = match self.keeps_privileges {
            true => ChildBounds {
                limits,
                ..ChildBounds::default()
            },
            false => ChildBounds {
                limits,
                bounding: may_drop_bounding_set().then_some(0),
                ambient: Some(0),
                no_new_privileges: true,
                ..ChildBounds::default()
            },
        };
        Ok(RawPlan {
            path: CString::new(self.path.as_os_str().as_bytes())?,
            argv,
            envp,
            directory: Some(c"/".to_owned()),
            umask: Some(self.umask),
            limits: Vec::new(),
            ids: self.ids,
            bounds,
            has_session: true,
            has_keyring: true,
        })
    }
}

/// Whether this process may drop capabilities from the bounding set of a child. Without this right the child has none
/// either, and `no_new_privs` keeps it from getting one.
fn may_drop_bounding_set() -> bool {
    own_capabilities().is_ok_and(|own| {
        let needed = Capabilities::named("CAP_SETPCAP").unwrap_or(Capabilities::from_bits(0));
        needed.without(own).is_none()
    })
}
