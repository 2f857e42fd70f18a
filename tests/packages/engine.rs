//! What runs containers: podman, else docker, else a root directory in namespaces of its own. The image is built once, for the
//! first test that asks, and nothing of it is left afterwards.
//!
//! `CONTAINER_ENGINE`: `podman`, `docker` or `namespaces`, instead of the first that works here.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::support::daemon::{Finished, Marked, run, wait_exit};
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::{LIMIT, is_root, proc, wait_for};

/// The user of [`Manner::Confined`].
pub(crate) const STRANGER: u32 = 12345;

/// How a container is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As the image says.
    Plain,
    /// As a user whom no file knows, without any right, with nothing to write but `/run`.
    Confined,
}

enum Kind {
    /// With the process that holds the mount namespace in which all of its commands run.
    Podman(Child),
    Docker,
    Namespaces,
}

/// An engine that has the image. Fields drop in order: everything marked, then the files.
pub(crate) struct Engine {
    kind: Kind,
    image: String,
    /// The test child and the libraries that it needs: where they are, and where they are seen.
    mounts: Vec<(PathBuf, String)>,
    marked: Marked,
    place: TempDir,
}

/// The engine; or why there is none: a reason to skip, or an error.
type Ready = Result<Engine, Result<String, String>>;

/// In the order in which they are tried.
const NAMES: [&str; 3] = ["podman", "docker", "namespaces"];

static ENGINE: Mutex<Option<Arc<Ready>>> = Mutex::new(None);
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A trial with the engine.
pub(crate) fn trial(
    name: impl Into<String>,
    test: impl FnOnce(&Engine) -> Result<(), String> + Send + 'static,
) -> Trial {
    skippable(name, |engine| test(engine).map(|()| Outcome::Passed))
}

/// The same where something else may be missing.
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

/// Removes all that was made for the tests.
pub(crate) fn down() {
    drop(ENGINE.lock().unwrap_or_else(PoisonError::into_inner).take());
}

impl Engine {
    fn new() -> Ready {
        if !is_root() {
            return Err(Ok("containers are made by root here".to_owned()));
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

    /// Makes this the engine, with the image; says what it is.
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
        // Docker has a client without a server, which refuses to tell the server's version.
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

    /// podman mounts its containers' files; those mounts are to go with us. Its runtime does not bear a cgroup2 with controllers
    /// beside a cgroup1, so there the former is hidden from it.
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

    /// Whether it can run anything here, apart from our image.
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

    /// `packaging/build image`, where the engine's mounts are.
    fn build_image(&self) -> Result<(), EngineError> {
        let mut command;
        match &self.kind {
            Kind::Podman(holder) => {
                command = Command::new("nsenter");
                command
                    .args(["-t", &holder.id().to_string(), "-m", "--", BUILD])
                    .env("CONTAINER_ENGINE", self.podman().join(" "));
            }
            _ => {
                command = Command::new(BUILD);
                command.env("CONTAINER_ENGINE", "docker");
            }
        }
        command.arg("image").env("IMAGE", &self.image);
        self.finish(command).map_err(EngineError::Broken)
    }

    /// Makes the tarball and unpacks it to [`Self::unpacked`].
    fn unpack(&self) -> Result<(), String> {
        let mut command = Command::new(BUILD);
        command.arg("tar").arg(self.place.path());
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

    /// What the tarball holds.
    pub(crate) fn unpacked(&self) -> PathBuf {
        self.place.join("unpacked")
    }

    /// A directory for a test's own files.
    pub(crate) fn place(&self) -> &TempDir {
        &self.place
    }

    /// Runs a step of building, with our own environment.
    fn finish(&self, mut command: Command) -> Result<(), String> {
        command.stdin(Stdio::null());
        let shown = format!("{command:?}");
        let got = run(command, self.place.path(), None, BUILD_LIMIT)?;
        match got.code {
            0 => Ok(()),
            code => Err(format!("{shown}: {code}: {}", got.stderr)),
        }
    }

    /// podman with a store of our own.
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

    /// The engine's command.
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

    /// What each container of ours is run with.
    fn options(&self) -> Vec<String> {
        let mut options: Vec<String> = ["--network=none"].map(str::to_owned).to_vec();
        if let Kind::Podman(_) = self.kind {
            // Its own limits are higher than a root without CAP_SYS_RESOURCE may set; and a container that we could not remove
            // ends at some time.
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

    /// Starts a container with these programs (a file below the configuration's [include]) and does not wait for it.
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
                    // Nothing beyond what is asked for: no /tmp, no line in /etc/passwd. What runs health checks regularly is
                    // systemd, which need not be there.
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

    /// The image's files and the test child as a root directory; the entry point as PID 1 in it.
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
            // What is still mounted below its store goes with this.
            drop(holder.kill());
            drop(holder.wait());
            // podman's monitors stay for a moment.
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

/// The cgroup that holds podman's.
fn cgroup() -> String {
    format!("supervisord-test-{}", std::process::id())
}

/// Where that is, in one hierarchy or many.
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

/// A container that runs, or ran.
pub(crate) struct Container<'a> {
    engine: &'a Engine,
    name: String,
    /// The engine's command in the foreground; it ends with the container, and with its exit code.
    child: Child,
}

impl Container<'_> {
    /// What came out of it so far.
    pub(crate) fn output(&self) -> String {
        self.engine.place.read(&self.name)
    }

    /// What the engine kept of that.
    pub(crate) fn logs(&self) -> Result<String, String> {
        match self.engine.kind {
            Kind::Namespaces => Ok(self.output()),
            _ => self
                .engine
                .tell(&["logs", &self.name])
                .map(|got| got.stdout + &got.stderr),
        }
    }

    /// Waits until its output has a text.
    pub(crate) fn wait_output(&self, text: &str) -> Result<(), String> {
        self.wait_that(&format!("{text:?} comes out"), |output| {
            output.contains(text)
        })
    }

    /// Waits until its output is as it should.
    pub(crate) fn wait_that(
        &self,
        what: &str,
        condition: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        wait_for(what, LIMIT, || condition(&self.output()))
            .map_err(|why| format!("{why}; it said:\n{}", self.output()))
    }

    /// Runs a command inside.
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
            .ok_or("it has ended")?;
        let mut enter = engine
            .marked
            .command(Path::new("/usr/bin/nsenter"), engine.place.path());
        enter.args(["-t", &pid, "-p", "-m", "-u", "-r", "-w", "-S", &user, "--"]);
        enter.args(command);
        run(enter, engine.place.path(), None, LIMIT)
    }

    /// Waits until `supervisorctl status NAME` says so.
    pub(crate) fn wait_state(&self, program: &str, state: &str) -> Result<(), String> {
        let mut last = String::new();
        wait_for(&format!("{program} is {state}"), LIMIT, || {
            last = match self.exec(&["/usr/bin/supervisorctl", "status", program]) {
                Ok(got) => got.stdout + &got.stderr,
                Err(why) => why,
            };
            last.split_whitespace().nth(1) == Some(state)
        })
        .map_err(|why| format!("{why} ({last:?}); it said:\n{}", self.output()))
    }

    /// The process that is PID 1 inside.
    pub(crate) fn pid(&self) -> Result<i32, String> {
        match self.engine.kind {
            Kind::Namespaces => proc::children(i32::try_from(self.child.id()).unwrap_or(-1))
                .first()
                .map(|(pid, _)| *pid)
                .ok_or_else(|| "it has ended".to_owned()),
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

    /// Whether the image's health check finds it well.
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
            // Docker looks when it likes; what it does then is this.
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

    /// Has the engine stop it, as its users do.
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

    /// Sends PID 1 a signal through the engine.
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

    /// Its exit code, once it has one.
    pub(crate) fn wait(&mut self) -> Result<i32, String> {
        wait_exit(&mut self.child, LIMIT)
            .map(|status| status.code().unwrap_or(-1))
            .map_err(|why| format!("{why}; it said:\n{}", self.output()))
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

/// Why an engine is not taken.
enum EngineError {
    /// It does not run on this machine: the next may.
    CannotHere(String),
    /// What we make is wrong.
    Broken(String),
}

/// This test and the libraries that it needs, none of which the image has.
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

/// Compiling takes that long at most, on a machine that others use too.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// Holds a mount namespace until standard input ends, which it does with the test.
const HOLD: &str = "\
set -e
if grep -qs . /sys/fs/cgroup/unified/cgroup.controllers; then umount -l /sys/fs/cgroup/unified; fi
printf .
read -r _
";

/// IMAGE ROOT CONFIGURATION MANNER (FROM TO)…: lays out ROOT, and becomes the entry point in it.
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
