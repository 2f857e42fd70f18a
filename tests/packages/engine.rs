//! The engine that runs containers: podman, else docker, else a root directory in its own namespaces. The first test
//! that needs the image builds it. The end of the run removes everything.
//!
//! `CONTAINER_ENGINE`: `podman`, `docker` or `namespaces`, instead of the first that works.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::made::{QUICK, patient_build, top};
use crate::support::daemon::{Finished, Marked, run, wait_exit};
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::{LIMIT, is_root, proc, wait_for};

/// The user of [`Manner::Confined`].
pub(crate) const STRANGER: u32 = 12345;

/// How to run a container.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// With the defaults of the image.
    Plain,
    /// As a user without an entry in passwd and without capabilities; only `/run` is writable.
    Confined,
}

enum Kind {
    /// The process that holds the mount namespace in which all commands of podman run.
    Podman(Child),
    Docker,
    Namespaces,
}

/// An engine with the image. Fields drop in order: all marked processes, then the files.
pub(crate) struct Engine {
    kind: Kind,
    image: String,
    /// The test child and its libraries: their paths on the host and in the container.
    mounts: Vec<(PathBuf, String)>,
    marked: Marked,
    place: TempDir,
}

/// The engine. `Err(Ok)`: the reason to skip; `Err(Err)`: an error.
type Ready = Result<Engine, Result<String, String>>;

/// The engines in the order in which they are tried.
const NAMES: [&str; 3] = ["podman", "docker", "namespaces"];

static ENGINE: Mutex<Option<Arc<Ready>>> = Mutex::new(None);
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A test that uses the engine.
pub(crate) fn trial(
    name: impl Into<String>,
    test: impl FnOnce(&Engine) -> Result<(), String> + Send + 'static,
) -> Trial {
    skippable(name, |engine| test(engine).map(|()| Outcome::Passed))
}

/// A test that uses the engine and may be skipped for another reason.
pub(crate) fn skippable(
    name: impl Into<String>,
    test: impl FnOnce(&Engine) -> Result<Outcome, String> + Send + 'static,
) -> Trial {
    Trial::new(name, move || {
        let ready = {
            let mut slot = ENGINE.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slot.get_or_insert_with(|| Arc::new(Engine::new())))
        };
        match &*ready {
            Ok(engine) => test(engine),
            Err(Ok(reason)) => Ok(Outcome::Skipped(reason.clone())),
            Err(Err(error)) => Err(error.clone()),
        }
    })
}

/// Removes everything that the tests created.
pub(crate) fn down() {
    drop(ENGINE.lock().unwrap_or_else(PoisonError::into_inner).take());
}

impl Engine {
    fn new() -> Ready {
        if !is_root() {
            return Err(Ok("containers need root here".to_owned()));
        }
        let wanted = std::env::var("CONTAINER_ENGINE").unwrap_or_default();
        if !wanted.is_empty() && !NAMES.contains(&wanted.as_str()) {
            return Err(Err(format!("CONTAINER_ENGINE is none of {NAMES:?}")));
        }
        let place = TempDir::new().map_err(Err)?;
        let marked = Marked::new();
        let mounts = test_child().map_err(Err)?;
        let mut engine = Self {
            kind: Kind::Docker,
            image: format!("localhost/supervisord-test-{}", std::process::id()),
            mounts,
            marked,
            place,
        };
        engine.unpack().map_err(Err)?;
        let mut refusals = Vec::new();
        for name in NAMES {
            if !wanted.is_empty() && wanted != name {
                continue;
            }
            match engine.try_kind(name) {
                Ok(version) => {
                    println!("containers are run by {name} {version}");
                    return Ok(engine);
                }
                Err(EngineError::CannotHere(why)) => {
                    println!("containers are not run by {name}: {why}");
                    refusals.push(format!("{name}: {why}"));
                }
                Err(EngineError::Broken(why)) => return Err(Err(format!("{name}: {why}"))),
            }
        }
        Err(Ok(refusals.join("; ")))
    }

    /// Prepares this engine and builds the image. Returns the version.
    fn try_kind(&mut self, name: &str) -> Result<String, EngineError> {
        match name {
            "podman" => {
                self.kind = Kind::Podman(self.hold_mounts()?);
                let version = self.version()?;
                self.probe_podman()?;
                self.build_image()?;
                Ok(version)
            }
            "docker" => {
                self.kind = Kind::Docker;
                let version = self.version()?;
                self.build_image()?;
                Ok(version)
            }
            _ => {
                self.probe_namespaces()?;
                self.kind = Kind::Namespaces;
                Ok(String::new())
            }
        }
    }

    fn version(&self) -> Result<String, EngineError> {
        // A docker client without a server fails to print the server's version.
        let of = match self.kind {
            Kind::Docker => "{{.Server.Version}}",
            _ => "{{.Client.Version}}",
        };
        let got = self
            .tell(&["version", "--format", of])
            .map_err(EngineError::CannotHere)?;
        match got.code {
            0 => Ok(got.stdout.trim().to_owned()),
            _ => Err(EngineError::CannotHere(last_line(&got.stderr))),
        }
    }

    /// podman mounts the files of its containers in a mount namespace that ends with the test. Its runtime does not
    /// support cgroup2 with controllers beside cgroup1, so the script hides cgroup2 there.
    fn hold_mounts(&self) -> Result<Child, EngineError> {
        let mut command = self
            .marked
            .command(Path::new("/usr/bin/unshare"), self.place.path());
        command
            .args(["--mount", "/bin/sh", "-c", HOLD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut holder = command
            .spawn()
            .map_err(|e| EngineError::CannotHere(format!("unshare: {e}")))?;
        let mut ready = [0];
        let answer = holder.stdout.take().map(|mut out| out.read(&mut ready));
        match answer {
            Some(Ok(1)) => Ok(holder),
            _ => {
                drop(holder.kill());
                drop(holder.wait());
                Err(EngineError::CannotHere("no mount namespace".to_owned()))
            }
        }
    }

    /// Checks that podman can run a container here, without our image.
    fn probe_podman(&self) -> Result<(), EngineError> {
        let root = self.place.join("probe");
        std::fs::create_dir(&root).map_err(|e| EngineError::Broken(e.to_string()))?;
        let mut args = vec!["run".to_owned(), "--rm".to_owned()];
        args.extend(self.options());
        args.extend(["--rootfs".to_owned(), root.display().to_string()]);
        args.extend(["/test_child", "test_child", "exit", "7"].map(str::to_owned));
        let got = self.tell(&args).map_err(EngineError::CannotHere)?;
        match got.code {
            7 => Ok(()),
            _ => Err(EngineError::CannotHere(last_line(&got.stderr))),
        }
    }

    fn probe_namespaces(&self) -> Result<(), EngineError> {
        let mut command = self
            .marked
            .command(Path::new("/usr/bin/unshare"), self.place.path());
        command.args(["-pfmu", "--mount-proc", "/bin/true"]);
        let got = run(command, self.place.path(), None, LIMIT).map_err(EngineError::CannotHere)?;
        match got.code {
            0 => Ok(()),
            _ => Err(EngineError::CannotHere(last_line(&got.stderr))),
        }
    }

    /// Runs `packaging/build image` in the engine's mount namespace.
    fn build_image(&self) -> Result<(), EngineError> {
        let mut command;
        match &self.kind {
            Kind::Podman(holder) => {
                command = Command::new("nsenter");
                command
                    .args(["-t", &holder.id().to_string(), "-m", "--"])
                    .args(["nice", "-n", "19", BUILD])
                    .env("CONTAINER_ENGINE", self.podman().join(" "));
            }
            _ => {
                command = patient_build(top());
                command.env("CONTAINER_ENGINE", "docker");
            }
        }
        command.arg("image").env("IMAGE", &self.image).envs(QUICK);
        self.finish(command).map_err(EngineError::Broken)
    }

    /// Builds the tarball and unpacks it to [`Self::unpacked`].
    fn unpack(&self) -> Result<(), String> {
        let mut command = patient_build(top());
        command.arg("tar").arg(self.place.path()).envs(QUICK);
        self.finish(command)?;
        let tarball = std::fs::read_dir(self.place.path())
            .map_err(|e| e.to_string())?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.to_string_lossy().ends_with(".tar.gz"))
            .ok_or("no tarball was made")?;
        std::fs::create_dir(self.unpacked()).map_err(|e| e.to_string())?;
        let mut tar = Command::new("tar");
        tar.args(["--strip-components=1", "-xpf"]).arg(&tarball);
        tar.arg("-C").arg(self.unpacked());
        self.finish(tar)
    }

    /// The directory with the files of the tarball.
    pub(crate) fn unpacked(&self) -> PathBuf {
        self.place.join("unpacked")
    }

    /// A directory for a test's own files.
    pub(crate) fn place(&self) -> &TempDir {
        &self.place
    }

    /// Runs a build step with the environment of the test.
    fn finish(&self, mut command: Command) -> Result<(), String> {
        command.stdin(Stdio::null());
        let shown = format!("{command:?}");
        let got = run(command, self.place.path(), None, BUILD_LIMIT)?;
        match got.code {
            0 => Ok(()),
            code => Err(format!("{shown}: {code}: {}", got.stderr)),
        }
    }

    /// The podman command with its own store.
    fn podman(&self) -> Vec<String> {
        let store = self.place.text();
        [
            "podman",
            "--root",
            &format!("{store}/store"),
            "--runroot",
            &format!("{store}/run"),
            "--tmpdir",
            &format!("{store}/tmp"),
            "--cgroup-manager=cgroupfs",
            "--log-level=error",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// The command of the engine.
    fn command(&self) -> Command {
        match &self.kind {
            Kind::Podman(holder) => {
                let mut command = self
                    .marked
                    .command(Path::new("/usr/bin/nsenter"), self.place.path());
                command.args(["-t", &holder.id().to_string(), "-m", "--"]);
                command.args(self.podman());
                command
            }
            _ => {
                let mut command = self.marked.command(Path::new("docker"), self.place.path());
                if let Some(host) = std::env::var_os("DOCKER_HOST") {
                    command.env("DOCKER_HOST", host);
                }
                command
            }
        }
    }

    /// Runs a command of the engine.
    fn tell(&self, args: &[impl AsRef<std::ffi::OsStr>]) -> Result<Finished, String> {
        let mut command = self.command();
        command.args(args);
        run(command, self.place.path(), None, LIMIT)
    }

    /// Options for every container.
    fn options(&self) -> Vec<String> {
        let mut options: Vec<String> = ["--network=none"].map(str::to_owned).to_vec();
        if let Kind::Podman(_) = self.kind {
            // podman's default limits are higher than a root without CAP_SYS_RESOURCE may set. The timeout ends a
            // container that the test could not remove.
            options.extend(
                [
                    "--ulimit=nofile=1024:4096",
                    "--ulimit=nproc=4096",
                    "--timeout=600",
                ]
                .map(str::to_owned),
            );
            options.push(format!("--cgroup-parent=/{}", cgroup()));
        }
        for (from, to) in &self.mounts {
            options.push(format!("--volume={}:{to}:ro", from.display()));
        }
        options
    }

    /// Starts a container with these programs (a file for [include]), and does not wait for it.
    pub(crate) fn start(&self, programs: &str, manner: Manner) -> Result<Container<'_>, String> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("supervisord-test-{}-{number}", std::process::id());
        let configuration = self.place.join(&format!("conf{number}"));
        std::fs::create_dir(&configuration).map_err(|e| e.to_string())?;
        std::fs::write(configuration.join("programs.conf"), programs).map_err(|e| e.to_string())?;
        let output = File::create(self.place.join(&name)).map_err(|e| e.to_string())?;
        let mut command = match &self.kind {
            Kind::Namespaces => self.in_namespaces(&configuration, &name, manner),
            _ => {
                let mut command = self.command();
                command.args(["run", "--pull=never", "--name", &name, "--hostname=box"]);
                command.args(self.options());
                command.arg(format!(
                    "--volume={}:/etc/supervisor/conf.d:ro",
                    configuration.display()
                ));
                if manner == Manner::Confined {
                    command.args(["--read-only", "--tmpfs=/run", "--cap-drop=all"]);
                    command.arg("--security-opt=no-new-privileges");
                    command.arg(format!("--user={STRANGER}"));
                }
                if let Kind::Podman(_) = self.kind {
                    // Nothing beyond the image: no /tmp, no entry in /etc/passwd. systemd would run the health checks,
                    // and it may be missing.
                    command.args(["--passwd=false", "--health-interval=disable"]);
                    if manner == Manner::Confined {
                        command.arg("--read-only-tmpfs=false");
                    }
                }
                command.arg(&self.image);
                command
            }
        };
        command.stderr(output.try_clone().map_err(|e| e.to_string())?);
        let child = command
            .stdout(output)
            .spawn()
            .map_err(|e| format!("{command:?}: {e}"))?;
        Ok(Container {
            engine: self,
            name,
            child,
        })
    }

    /// Builds a root directory from the image's files and the test child, and runs the entry point as PID 1 in it.
    fn in_namespaces(&self, configuration: &Path, name: &str, manner: Manner) -> Command {
        let mut command = self
            .marked
            .command(Path::new("/usr/bin/unshare"), self.place.path());
        command
            .args(["--pid", "--fork", "--kill-child", "--mount", "--uts"])
            .args(["/bin/sh", "-c", NAMESPACES, "sh"])
            .args([&self.unpacked(), &self.place.join(&format!("{name}.root"))])
            .arg(configuration)
            .arg(match manner {
                Manner::Plain => "plain",
                Manner::Confined => "confined",
            });
        for (from, to) in &self.mounts {
            command.arg(from).arg(to);
        }
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        match self.kind {
            Kind::Podman(_) => drop(self.tell(&["system", "reset", "--force"])),
            Kind::Docker => drop(self.tell(&["rmi", "--force", &self.image])),
            Kind::Namespaces => {}
        }
        if let Kind::Podman(holder) = &mut self.kind {
            // This also unmounts everything below its store.
            drop(holder.kill());
            drop(holder.wait());
            // podman's monitor processes exit a moment later.
            let ours = cgroups();
            drop(wait_for("its cgroups are empty", LIMIT, || {
                for path in &ours {
                    drop(std::fs::remove_dir(path.join("conmon")));
                    drop(std::fs::remove_dir(path));
                }
                !ours.iter().any(|path| path.exists())
            }));
        }
    }
}

/// The parent cgroup of podman's containers.
fn cgroup() -> String {
    format!("supervisord-test-{}", std::process::id())
}

/// The directories of this cgroup in all hierarchies.
fn cgroups() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    hierarchies
        .chain([root.to_owned()])
        .map(|hierarchy| hierarchy.join(cgroup()))
        .filter(|path| path.exists())
        .collect()
}

/// A container that runs or has exited.
pub(crate) struct Container<'a> {
    engine: &'a Engine,
    name: String,
    /// The engine's command in the foreground. It exits with the container, with the same exit code.
    child: Child,
}

impl Container<'_> {
    /// The output so far.
    pub(crate) fn output(&self) -> String {
        self.engine.place.read(&self.name)
    }

    /// The output that the engine has stored.
    pub(crate) fn logs(&self) -> Result<String, String> {
        match self.engine.kind {
            Kind::Namespaces => Ok(self.output()),
            _ => self
                .engine
                .tell(&["logs", &self.name])
                .map(|got| got.stdout + &got.stderr),
        }
    }

    /// Waits until the output contains a string.
    pub(crate) fn wait_output(&self, text: &str) -> Result<(), String> {
        self.wait_that(&format!("{text:?} is printed"), |output| {
            output.contains(text)
        })
    }

    /// Waits until the output fulfils a condition.
    pub(crate) fn wait_that(
        &self,
        what: &str,
        condition: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        wait_for(what, LIMIT, || condition(&self.output()))
            .map_err(|why| format!("{why}; output:\n{}", self.output()))
    }

    /// Runs a command in the container.
    pub(crate) fn exec(&self, command: &[&str]) -> Result<Finished, String> {
        let engine = self.engine;
        let Kind::Namespaces = engine.kind else {
            let mut args = vec!["exec", &self.name];
            args.extend(command);
            return engine.tell(&args);
        };
        let pid = self.pid()?.to_string();
        let user = proc::status(self.pid()?, "Uid")
            .and_then(|uids| uids.split(' ').next().map(str::to_owned))
            .ok_or("it has exited")?;
        let mut enter = engine
            .marked
            .command(Path::new("/usr/bin/nsenter"), engine.place.path());
        enter.args(["-t", &pid, "-p", "-m", "-u", "-r", "-w", "-S", &user, "--"]);
        enter.args(command);
        run(enter, engine.place.path(), None, LIMIT)
    }

    /// Waits until `supervisorctl status NAME` prints this state.
    pub(crate) fn wait_state(&self, program: &str, state: &str) -> Result<(), String> {
        let mut last = String::new();
        wait_for(&format!("{program} is {state}"), LIMIT, || {
            last = match self.exec(&["/usr/bin/supervisorctl", "status", program]) {
                Ok(got) => got.stdout + &got.stderr,
                Err(why) => why,
            };
            last.split_whitespace().nth(1) == Some(state)
        })
        .map_err(|why| format!("{why} ({last:?}); output:\n{}", self.output()))
    }

    /// The host's PID of PID 1 in the container.
    pub(crate) fn pid(&self) -> Result<i32, String> {
        match self.engine.kind {
            Kind::Namespaces => proc::children(i32::try_from(self.child.id()).unwrap_or(-1))
                .first()
                .map(|(pid, _)| *pid)
                .ok_or_else(|| "it has exited".to_owned()),
            _ => {
                let format = ["inspect", "--format", "{{.State.Pid}}", &self.name];
                let got = self.engine.tell(&format)?;
                got.stdout
                    .trim()
                    .parse()
                    .map_err(|_| format!("no pid: {got:?}"))
            }
        }
    }

    /// Runs the health check of the image.
    pub(crate) fn is_healthy(&self) -> Result<bool, String> {
        match self.engine.kind {
            Kind::Podman(_) => {
                let got = self.engine.tell(&["healthcheck", "run", &self.name])?;
                match got.code {
                    0 => Ok(true),
                    1 => Ok(false),
                    _ => Err(format!("{got:?}")),
                }
            }
            // Docker runs the health check at its own times, so the test runs the same command.
            Kind::Docker => {
                let format =
                    "{{range $i, $w := .Config.Healthcheck.Test}}{{if $i}}{{$w}} {{end}}{{end}}";
                let got = self
                    .engine
                    .tell(&["inspect", "--format", format, &self.name])?;
                let words: Vec<&str> = got.stdout.split_whitespace().collect();
                Ok(self.exec(&words)?.code == 0)
            }
            Kind::Namespaces => Ok(self.exec(&["/usr/bin/supervisorctl", "pid"])?.code == 0),
        }
    }

    /// Stops the container with the engine, as users do.
    pub(crate) fn stop(&self) -> Result<(), String> {
        match self.engine.kind {
            Kind::Namespaces => self.signal("TERM"),
            _ => {
                let got = self.engine.tell(&["stop", &self.name])?;
                if got.code == 0 {
                    Ok(())
                } else {
                    Err(format!("{got:?}"))
                }
            }
        }
    }

    /// Sends PID 1 a signal with the engine.
    pub(crate) fn signal(&self, name: &str) -> Result<(), String> {
        match self.engine.kind {
            Kind::Namespaces => {
                let signal = format!("SIG{name}").parse().map_err(|_| "no such signal")?;
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()?), Some(signal))
                    .map_err(|e| e.to_string())
            }
            _ => {
                let got = self.engine.tell(&["kill", "--signal", name, &self.name])?;
                if got.code == 0 {
                    Ok(())
                } else {
                    Err(format!("{got:?}"))
                }
            }
        }
    }

    /// Waits until the container exits. Returns its exit code.
    pub(crate) fn wait(&mut self) -> Result<i32, String> {
        wait_exit(&mut self.child, LIMIT)
            .map(|status| status.code().unwrap_or(-1))
            .map_err(|why| format!("{why}; output:\n{}", self.output()))
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        match self.engine.kind {
            Kind::Podman(_) => drop(self.engine.tell(&["rm", "--force", "--time=0", &self.name])),
            Kind::Docker => drop(self.engine.tell(&["rm", "--force", &self.name])),
            Kind::Namespaces => {}
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Why an engine cannot be used.
enum EngineError {
    /// It does not run on this machine. The next engine may.
    CannotHere(String),
    /// Our image or tarball is wrong.
    Broken(String),
}

/// This test binary and its libraries, because the image has none.
fn test_child() -> Result<Vec<(PathBuf, String)>, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let text = Command::new("ldd")
        .arg(&me)
        .output()
        .map_err(|e| format!("ldd: {e}"))?;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    // `libc.so.6 => /lib/libc.so.6 (0x…)`, `/lib64/ld-linux.so.2 (0x…)`
    let libraries = text
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(|path| (PathBuf::from(path), path.to_owned()));
    let mut mounts: Vec<(PathBuf, String)> = libraries.collect();
    mounts.push((me, "/test_child".to_owned()));
    Ok(mounts)
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().to_owned()
}

/// The script under test.
const BUILD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/build");

/// The time limit of a build that gets the processor time which the tests beside it leave.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);

/// Holds a mount namespace until standard input ends, that is, until the test exits.
const HOLD: &str = "\
set -e
if grep -qs . /sys/fs/cgroup/unified/cgroup.controllers; then umount -l /sys/fs/cgroup/unified; fi
printf .
read -r _
";

/// IMAGE ROOT CONFIGURATION MANNER (FROM TO)…: fills ROOT, and executes the entry point in it.
const NAMESPACES: &str = r#"
set -e
image=$1 root=$2 configuration=$3 manner=$4
shift 4
hostname box
mkdir -p "$root/usr/bin" "$root/proc" "$root/dev"
cp -a "$image/root/." "$root"
cp -a "$image/bin/." "$root/usr/bin"
cp "$configuration"/* "$root/etc/supervisor/conf.d"
while [ $# -gt 0 ]; do
	mkdir -p "$root$(dirname "$2")"
	cp "$1" "$root$2"
	shift 2
done
mount --bind "$root" "$root"
if [ "$manner" = confined ]; then
	mount -o remount,bind,ro "$root"
	mount -t tmpfs -o mode=1777 tmpfs "$root/run"
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
set -- "$root" /usr/bin/supervisord -n -c /etc/supervisor/supervisord.conf
[ "$manner" = plain ] || exec setpriv --no-new-privs chroot --userspec=12345:0 --groups= "$@"
exec chroot "$@"
"#;
