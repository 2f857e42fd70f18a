//! Runs every recipe of `man/guide/recipes.md` with the real program.

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::guides::{Block, Session, blocks};
use crate::support::daemon::oracle;
use crate::support::is_root;
use crate::support::runner::{Outcome, Trial};

/// The page.
pub(crate) const PAGE: &str = "man/guide/recipes.md";

/// One recipe: its heading, and what it needs to run here.
struct Recipe {
    heading: &'static str,
    /// Prepares the directory. An error is the reason to skip.
    prepare: fn(&mut Session) -> Result<(), String>,
}

const RECIPES: &[Recipe] = &[
    // The commands that follow any recipe.
    Recipe {
        heading: "Recipes",
        prepare: |_| Ok(()),
    },
    Recipe {
        heading: "gunicorn",
        prepare: |session| venv(session, "shop", "gunicorn"),
    },
    Recipe {
        heading: "celery",
        prepare: |session| {
            let redis = find("redis-server")?;
            venv(session, "tasks", "celery")?;
            let port = free_port(session, "127.0.0.1:6379")?;
            let section = format!(
                "[program:redis]\ncommand={} --port {port} --save '' --bind 127.0.0.1\n",
                redis.display()
            );
            std::fs::write(session.directory().join("conf.d/redis.conf"), section)
                .map_err(|e| e.to_string())
        },
    },
    Recipe {
        heading: "Node.js",
        prepare: |session| {
            let node = find("node")?;
            find("curl")?;
            session.change("/usr/bin/node", &node.display().to_string());
            let port = free_port(session, "127.0.0.1:3000")?;
            session.change("listen(3000", &format!("listen({port}"));
            Ok(())
        },
    },
    Recipe {
        heading: "php-fpm",
        prepare: |session| {
            as_root()?;
            let fpm = find("php-fpm8.2").or_else(|_| find("php-fpm"))?;
            session.change("/usr/sbin/php-fpm8.2", &fpm.display().to_string());
            Ok(())
        },
    },
    Recipe {
        heading: "nginx",
        prepare: |session| {
            as_root()?;
            let nginx = find("nginx")?;
            find("curl")?;
            session.change("/usr/sbin/nginx", &nginx.display().to_string());
            free_port(session, "127.0.0.1:8080").map(drop)
        },
    },
    Recipe {
        heading: "A pool of workers",
        prepare: |_| Ok(()),
    },
    Recipe {
        heading: "A job that runs again and again",
        prepare: |_| Ok(()),
    },
    Recipe {
        heading: "A docker container",
        prepare: container,
    },
];

/// A test for each recipe.
pub(crate) fn tests() -> Vec<Trial> {
    let test = |recipe: &'static Recipe| {
        let name = recipe.heading.to_lowercase().replace(' ', "_");
        Trial::new(format!("recipes::{name}"), move || run(recipe))
    };
    let mut trials: Vec<Trial> = RECIPES.iter().map(test).collect();
    trials.push(Trial::new("recipes::each_has_a_test", each_has_a_test));
    trials
}

fn run(recipe: &Recipe) -> Result<Outcome, String> {
    let mut session = Session::new()?;
    if let Err(why) = (recipe.prepare)(&mut session) {
        return Ok(Outcome::Skipped(why));
    }
    session.start("")?;
    let blocks: Vec<Block> = blocks(PAGE)?
        .into_iter()
        .filter(|block| block.heading == recipe.heading)
        .collect();
    for block in &blocks {
        session.run(PAGE, block)?;
    }
    match blocks.is_empty() {
        false => Ok(Outcome::Passed),
        true => Err(format!("{PAGE}: nothing below {:?}", recipe.heading)),
    }
}

fn each_has_a_test() -> Result<Outcome, String> {
    for block in blocks(PAGE)? {
        let is_known = RECIPES.iter().any(|recipe| recipe.heading == block.heading);
        if !is_known && block.not_run.is_none() {
            return Err(format!(
                "{PAGE}:{}: {} has no test",
                block.line, block.heading
            ));
        }
    }
    Ok(Outcome::Passed)
}

/// The path of an installed program: in the venv of the tests, or in PATH.
fn find(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = oracle().map(|venv| venv.join("bin")).into_iter().collect();
    directories.extend(std::env::split_paths(&path));
    directories.extend(["/usr/sbin", "/usr/local/bin"].map(PathBuf::from));
    directories
        .into_iter()
        .map(|directory| directory.join(name))
        .find(|path| path.exists())
        .ok_or_else(|| format!("{name} is not installed"))
}

fn as_root() -> Result<(), String> {
    match is_root() {
        true => Ok(()),
        false => Err("needs root".to_owned()),
    }
}

/// Makes `/srv/DIRECTORY/venv/bin/NAME`.
fn venv(session: &mut Session, directory: &str, name: &str) -> Result<(), String> {
    let program = find(name)?;
    let bin = session
        .directory()
        .join("srv")
        .join(directory)
        .join("venv/bin");
    std::fs::create_dir_all(&bin).map_err(|e| e.to_string())?;
    symlink(program, bin.join(name)).map_err(|e| e.to_string())?;
    if name == "gunicorn" {
        find("curl")?;
        free_port(session, "127.0.0.1:8000")?;
    }
    Ok(())
}

/// Replaces an address of the page with an unused port.
fn free_port(session: &mut Session, address: &str) -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    session.change(address, &format!("127.0.0.1:{port}"));
    Ok(port)
}

/// A server that is the only file of the image. It prints a line and waits for SIGTERM.
const SERVER: &str = "#include <signal.h>\n#include <stdio.h>\n#include <unistd.h>\n\
    static void end(int n) { (void)n; _exit(0); }\n\
    int main(void) { signal(SIGTERM, end); puts(\"ready\"); fflush(stdout); for (;;) pause(); }\n";

/// podman under the name docker, with its own store and a private mount namespace. Its runtime does not support cgroup2
/// with controllers beside cgroup1, so the script hides cgroup2 there.
const DOCKER: &str = r#"#!/bin/sh
podman() {
	command podman --root HERE/store --runroot HERE/runroot --tmpdir HERE/tmp --cgroup-manager=cgroupfs --log-level=error "$@"
}
case $1 in
run)
	shift
	set -- --root HERE/store --runroot HERE/runroot --tmpdir HERE/tmp --cgroup-manager=cgroupfs --log-level=error \
		run --pull=never --network=none --timeout=600 --ulimit=nofile=1024:4096 --ulimit=nproc=4096 "$@"
	exec unshare --mount sh -c '
		if grep -qs . /sys/fs/cgroup/unified/cgroup.controllers; then umount -l /sys/fs/cgroup/unified; fi
		exec podman "$@"' sh "$@"
	;;
*) podman "$@" ;;
esac
"#;

/// Needs podman and a C compiler. The test builds the image itself, because it cannot pull one.
fn container(session: &mut Session) -> Result<(), String> {
    as_root()?;
    find("podman")?;
    find("unshare")?;
    let compiler = find("cc")?;
    let here = session.directory().to_owned();
    let image = here.join("image");
    std::fs::create_dir(&image).map_err(|e| e.to_string())?;
    std::fs::write(here.join("server.c"), SERVER).map_err(|e| e.to_string())?;
    let done = |command: &mut Command| -> Result<(), String> {
        let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.success() {
            true => Ok(()),
            false => Err(said.lines().last().unwrap_or_default().to_owned()),
        }
    };
    done(
        Command::new(compiler)
            .args(["-static", "-O1", "-o"])
            .arg(image.join("server"))
            .arg(here.join("server.c")),
    )?;
    done(
        Command::new("tar")
            .arg("-C")
            .arg(&image)
            .arg("-cf")
            .arg(here.join("image.tar"))
            .arg("."),
    )?;
    let script = DOCKER.replace("HERE", &here.display().to_string());
    session.executable("bin/docker", &script)?;
    done(
        Command::new(here.join("bin/docker"))
            .args(["import", "-c", "CMD [\"/server\"]"])
            .arg(here.join("image.tar"))
            .arg("localhost/redis:7"),
    )?;
    // Runs an empty container to find out whether podman works here.
    done(Command::new(here.join("bin/docker")).args([
        "run",
        "--rm",
        "--entrypoint",
        "/server",
        "--timeout=1",
        "localhost/redis:7",
    ]))
    .or_else(|why| match why.is_empty() {
        // The timeout stopped it.
        true => Ok(()),
        false => Err(format!("podman runs nothing here: {why}")),
    })?;
    session.change("redis:7", "localhost/redis:7");
    Ok(())
}
