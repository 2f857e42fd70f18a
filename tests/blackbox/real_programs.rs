//! Real programs under supervision: redis-server, nginx and gunicorn, as other users, reloaded, killed, rotated.

use std::path::Path;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::host::{Host, free_port};
use crate::programs::{self, Program};
use crate::support::daemon::run;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("real_programs::redis_runs_as_its_user", redis),
        Trial::new("real_programs::nginx_reloads_and_rotates", nginx),
        Trial::new("real_programs::gunicorn_reloads", gunicorn),
        Trial::new(
            "real_programs::g45_an_unhealthy_gunicorn_is_restarted",
            health,
        ),
        Trial::new(
            "real_programs::g27_nginx_reloads_when_its_file_changes",
            nginx_file,
        ),
        Trial::new(
            "real_programs::g29_postgresql_is_ready_before_its_migration",
            postgresql,
        ),
        Trial::new(
            "real_programs::g26_a_push_to_a_repository_deploys",
            deployment,
        ),
    ]
}

/// A daemon with this program only, once it answers. `None`: the program is not installed.
fn running(
    lay_out: fn(&Host) -> Result<Option<Program>, String>,
) -> Result<Option<(Host, Program)>, String> {
    let mut host = Host::new("")?;
    let Some(program) = lay_out(&host)? else {
        return Ok(None);
    };
    host.configure(&program.section)?;
    host.go()?;
    wait_for(&format!("{} answers", program.name), LIMIT, || {
        program.answers()
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    Ok(Some((host, program)))
}

fn missing(name: &str) -> Result<Outcome, String> {
    Ok(Outcome::Skipped(format!("{name} is not installed")))
}

fn runs_as(pid: i32, uid: Option<u32>) -> Result<(), String> {
    let Some(uid) = uid else { return Ok(()) };
    let uids = proc::status(pid, "Uid").unwrap_or_default();
    expect(
        uids.split(' ').all(|field| field == uid.to_string()),
        format!("{pid} runs as {uids}, not as {uid}"),
    )
}

/// Kills the program. It must restart and answer.
fn survives_kills(host: &Host, program: &Program, times: usize) -> Result<(), String> {
    let name = program.name;
    for n in 0..times {
        host.daemon()?.wait_state(name, "RUNNING")?;
        let old = host.daemon()?.pid_of(name);
        let _ = kill(Pid::from_raw(old), program.fatal);
        wait_for(&format!("{name} restarts after kill {n}"), LIMIT, || {
            let new = host.daemon().map(|d| d.pid_of(name)).unwrap_or(0);
            new > 0 && new != old && program.answers()
        })
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    }
    Ok(())
}

fn redis() -> Result<Outcome, String> {
    let Some((mut host, program)) = running(programs::redis)? else {
        return missing("redis-server");
    };
    runs_as(host.daemon()?.pid_of("redis"), program.uid)?;
    survives_kills(&host, &program, 3)?;
    host.expect_ctl(&["stop", "redis"], 0, &["redis: stopped"])?;
    host.wait_file("redis.log", "User requested shutdown")?;
    host.expect_ctl(&["status"], 3, &["STOPPED"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn nginx() -> Result<Outcome, String> {
    let Some((mut host, program)) = running(programs::nginx)? else {
        return missing("nginx");
    };
    let pid = host.daemon()?.pid_of("nginx");
    let workers = proc::children(pid);
    expect(!workers.is_empty(), "nginx has no workers")?;
    for (worker, _) in workers {
        runs_as(worker, program.uid)?;
    }
    let second = programs::nginx_conf(&program.dir, program.uid.is_some(), "second");
    std::fs::write(program.dir.join("conf"), second).map_err(|e| e.to_string())?;
    host.expect_ctl(&["signal", "HUP", "nginx"], 0, &["nginx: signalled"])?;
    wait_for("the new configuration", LIMIT, || {
        program.ask().contains("second")
    })?;
    expect(
        host.daemon()?.pid_of("nginx") == pid,
        "a reload is no restart",
    )?;
    for _ in 0..300 {
        program.ask();
    }
    wait_for("rotation of the access log", LIMIT, || {
        host.place.join("access.log.2").exists()
    })?;
    survives_kills(&host, &program, 2)?;
    host.expect_ctl(&["stop", "nginx"], 0, &["nginx: stopped"])?;
    wait_for("no worker is left", LIMIT, || program.ask().is_empty())?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn gunicorn() -> Result<Outcome, String> {
    let Some((mut host, program)) = running(programs::gunicorn)? else {
        return missing("gunicorn");
    };
    let pid = host.daemon()?.pid_of("gunicorn");
    runs_as(pid, program.uid)?;
    host.expect_ctl(&["signal", "HUP", "gunicorn"], 0, &["gunicorn: signalled"])?;
    host.wait_file("g.err", "Handling signal: hup")?;
    wait_for("it answers after the reload", LIMIT, || program.answers())?;
    expect(
        host.daemon()?.pid_of("gunicorn") == pid,
        "a reload is no restart",
    )?;
    survives_kills(&host, &program, 2)?;
    host.expect_ctl(
        &["restart", "gunicorn"],
        0,
        &["gunicorn: stopped", "gunicorn: started"],
    )?;
    wait_for("it answers after the restart", LIMIT, || program.answers())?;
    host.expect_ctl(&["stop", "gunicorn"], 0, &["gunicorn: stopped"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The health URL of an application answers 503 while a file exists; the restart removes it.
fn health() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    let Some(program) = programs::gunicorn(&host)? else {
        return missing("gunicorn");
    };
    let port = free_port()?;
    let sick = program.dir.join("sick").display().to_string();
    let app = format!(
        "import os\ndef application(environ, start_response):\n    sick = os.path.exists('{sick}')\n    \
         start_response('503 Sick' if sick else '200 OK', [('Content-Type', 'text/plain')])\n    \
         return [b'hello from gunicorn\\r\\n']\n"
    );
    std::fs::write(program.dir.join("wsgi.py"), app).map_err(|e| e.to_string())?;
    host.configure(&format!(
        "{}health_http=127.0.0.1:{port}/health -H 'Host: app'\nhealth_interval=1\nhealth_retries=2\n\
         pre_start_hook=rm -f {sick}\n\
         [program:client]\ncommand=/bin/sleep 1000\ndepends_on=gunicorn:healthy\n",
        program.section.replace("-w 2", &format!("-w 2 --bind 127.0.0.1:{port}"))
    ))?;
    host.go()?;
    let shows = |text: &str| {
        wait_for(text, LIMIT, || {
            let shown = host.ctl(&["status", "gunicorn"]);
            shown.is_ok_and(|shown| shown.stdout.contains(text))
        })
        .map_err(|why| format!("{why}; log:\n{}", host.log_end()))
    };
    shows(", healthy")?;
    host.daemon()?.wait_state("client", "RUNNING")?;
    let before = host.daemon()?.pid_of("gunicorn");
    let client = host.daemon()?.pid_of("client");
    std::fs::write(&sick, "").map_err(|e| e.to_string())?;
    host.wait_file("log", "failed its health check: HTTP status 503")?;
    wait_for("a restart", LIMIT, || {
        let pid = host.daemon().map_or(0, |daemon| daemon.pid_of("gunicorn"));
        pid != 0 && pid != before
    })?;
    shows(", healthy")?;
    wait_for("it answers", LIMIT, || program.answers())?;
    expect(
        host.daemon()?.pid_of("client") == client,
        "a restart of a dependency restarts who depends on it",
    )?;
    host.expect_ctl(&["stop", "gunicorn"], 0, &["gunicorn: stopped"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The file of nginx is watched; and `supervisorctl reload nginx` reloads it in place.
fn nginx_file() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    let Some(program) = programs::nginx(&host)? else {
        return missing("nginx");
    };
    host.configure(&format!(
        "{}restart_directory_monitor={d}\nrestart_file_pattern=conf\nrestart_signal_when_file_changed=HUP\n\
         restart_change_delay=0\nreload_signal=HUP\n",
        program.section,
        d = program.dir.display()
    ))?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    wait_for("nginx answers", LIMIT, || program.answers())?;
    host.wait_file("log", "nginx: watching")?;
    let pid = host.daemon()?.pid_of("nginx");
    let write = |text: &str| {
        let conf = programs::nginx_conf(&program.dir, program.uid.is_some(), text);
        std::fs::write(program.dir.join("conf"), conf).map_err(|e| e.to_string())
    };
    write("second")?;
    wait_for("the changed file", LIMIT, || {
        program.ask().contains("second")
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    write("third")?;
    host.expect_ctl(&["reload", "nginx"], 0, &["nginx: reloaded"])?;
    wait_for("the reload", LIMIT, || program.ask().contains("third"))?;
    expect(
        host.daemon()?.pid_of("nginx") == pid,
        "a reload is no restart",
    )?;
    host.expect_ctl(&["stop", "nginx"], 0, &["nginx: stopped"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A database that is made, started, migrated and used, in this order; then the same with a migration that fails.
fn postgresql() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    let Some(bin) = programs::postgresql() else {
        return missing("postgresql");
    };
    if is_root() && programs::uid_of("postgres").is_none() {
        return Ok(Outcome::Skipped("there is no user postgres".to_owned()));
    }
    let (bin, data) = (bin.display(), programs::open_to_all(&host, "data")?);
    let data = data.display();
    let user = if is_root() { "user=postgres\n" } else { "" };
    host.configure(&format!(
        "[program-default]\nstdout_logfile=/dev/null\nstdout_logfile_maxbytes=0\n\
         [program:initdb]\ncommand={bin}/initdb -D {data}/pg -A trust -U app --no-sync --no-locale\n{user}\
         startsecs=0\nautorestart=false\ndirectory={data}\nstderr_logfile={{dir}}/initdb.err\n\
         [program:db]\ncommand={bin}/postgres -D {data}/pg -k {data} -c listen_addresses= -c fsync=off\n{user}\
         depends_on=initdb:exited-ok\nready_check={bin}/pg_isready -h {data} -U app -d postgres\nstopsignal=INT\n\
         directory={data}\nstderr_logfile={{dir}}/db.err\n\
         [program:migrate]\ncommand={bin}/psql -h {data} -U app -v ON_ERROR_STOP=1 -f {{dir}}/migrate.sql postgres\n{user}\
         depends_on=db:ready\nstartsecs=0\nautorestart=false\ndirectory={data}\nstderr_logfile={{dir}}/migrate.err\n\
         [program:web]\ncommand=/bin/sh -c \"{bin}/psql -h {data} -U app -c 'insert into visits values (1)' postgres && \
         exec sleep 1000\"\n{user}depends_on=migrate:exited-ok\nstartsecs=0\nautorestart=false\ndirectory={data}\n\
         stderr_logfile={{dir}}/web.err\n\
         [program:late]\ncommand=/bin/sleep 1000\ndepends_on=bad:exited-ok\nautostart=false\n\
         [program:bad]\ncommand={bin}/psql -h {data} -U app -v ON_ERROR_STOP=1 -c 'select nosuch' postgres\n{user}\
         depends_on=db\nstartsecs=0\nautorestart=false\nautostart=false\ndirectory={data}\n"
    ))?;
    let sql = host
        .place
        .write("migrate.sql", "create table visits (n int);\n")?;
    let counted = |host: &Host| -> Result<String, String> {
        let mut command = host
            .marked
            .command(Path::new(&format!("{bin}/psql")), host.place.path());
        let data = data.to_string();
        command.args(["-h", &data, "-U", "app", "-Atc"]);
        command.args(["select count(*) from visits", "postgres"]);
        Ok(run(command, host.place.path(), None, LIMIT)?.stdout)
    };
    host.go()?;
    let all = |host: &Host| {
        ["initdb", "migrate", "web", "db"]
            .map(|name| host.place.read(&format!("{name}.err")))
            .join("\n")
    };
    host.daemon()?
        .wait_state("web", "RUNNING")
        .map_err(|why| format!("{why}; {}\n{}", all(&host), host.log_end()))?;
    wait_for("the row of the program", LIMIT, || {
        counted(&host).is_ok_and(|count| count == "1\n")
    })
    .map_err(|why| format!("{why}; {}", all(&host)))?;
    let log = host.place.read("log");
    let order =
        ["initdb", "db", "migrate", "web"].map(|name| log.find(&format!("spawned: '{name}'")));
    expect(
        order.iter().all(Option::is_some) && order.is_sorted(),
        format!("{order:?}:\n{log}"),
    )?;
    let got = host.ctl(&["start", "late"])?;
    expect(
        got.code == 7 && got.stdout.contains("dependency bad is EXITED"),
        format!("{got:?}"),
    )?;
    // A restart of the database restarts nobody, and who starts again waits until it is ready.
    let web = host.daemon()?.pid_of("web");
    host.expect_ctl(&["restart", "db"], 0, &["db: started"])?;
    expect(counted(&host)? == "1\n", "it is RUNNING and not ready")?;
    expect(host.daemon()?.pid_of("web") == web, "web was restarted")?;
    drop(sql);
    host.expect_ctl(&["stop", "all"], 0, &["web: stopped", "db: stopped"])?;
    let log = host.place.read("log");
    expect(
        log.rfind("stopped: web") < log.rfind("stopped: db"),
        "the database stops first",
    )?;
    host.wait_file("db.err", "database system is shut down")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A push runs a hook that checks the commit out beside the others and moves the link with `ln -sfn`.
fn deployment() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[program:app]\ncommand=/bin/sh current/run.sh\ndirectory={dir}\nrestart_directory_monitor={dir}/current\n\
         restart_change_delay=1\nstartsecs=0\nautorestart=false\nstdout_logfile={dir}/app.out\n",
    )?;
    let Some(git) = programs::installed("git") else {
        return missing("git");
    };
    let (git, dir) = (git.display(), host.place.text());
    let shell = |host: &Host, script: &str| -> Result<(), String> {
        let mut command = host.marked.command(Path::new("/bin/sh"), host.place.path());
        command.args(["-ec", script]);
        let done = run(command, host.place.path(), None, LIMIT)?;
        expect(done.code == 0, format!("{done:?}"))
    };
    let push = |host: &Host, version: &str| {
        shell(
            host,
            &format!(
                "cd work; echo \"echo {version}; exec sleep 1000\" > run.sh; {git} add run.sh\n\
                 {git} -c user.name=app -c user.email=app@localhost commit -qm {version}\n{git} push -q ../bare HEAD:refs/heads/main"
            ),
        )
    };
    shell(
        &host,
        &format!(
            "{git} init -q --bare bare; {git} init -q work; mkdir releases\ncat > bare/hooks/post-receive <<'END'\n\
             #!/bin/sh -e\nread old new name\nmkdir -p {dir}/releases/$new\n\
             {git} --work-tree={dir}/releases/$new checkout -qf $new\nln -sfn releases/$new {dir}/current\nEND\n\
             chmod 755 bare/hooks/post-receive"
        ),
    )?;
    push(&host, "one")?;
    host.go_with(|command| {
        command.args(["-e", "debug"]);
    })?;
    host.wait_file("app.out", "one\n")?;
    host.wait_file("log", "app: watching")?;
    push(&host, "two")?;
    host.wait_file("app.out", "one\ntwo\n")?;
    // Several in a row: what runs in the end is the last one.
    for version in ["three", "four", "five"] {
        push(&host, version)?;
    }
    wait_for("the last version", LIMIT, || {
        host.place.read("app.out").ends_with("five\n")
    })
    .map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    host.daemon()?.wait_state("app", "RUNNING")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
