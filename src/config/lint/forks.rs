//! Programs that go into the background, which the daemon cannot supervise.

use super::explained::Explained;
use super::input::{Findings, LintInput, LintProgram};
use super::rule::Rule;
use super::words::{Executed, shell_text};

/// A program that can go into the background.
struct ForkingProgram {
    /// Its names. One that ends in `*` is the beginning of a name.
    names: &'static [&'static str],
    /// Arguments one of which keeps it in the foreground. Empty: it stays there by itself.
    foreground: &'static [&'static str],
    /// Arguments of which each sends it into the background.
    background: &'static [&'static str],
    /// Lines of its own configuration of which one does the same as `foreground`, or as `background` if that is empty.
    /// Blanks count as one.
    settings: &'static [&'static str],
    /// What to do.
    remedy: &'static str,
}

const fn needs(
    names: &'static [&'static str],
    foreground: &'static [&'static str],
    remedy: &'static str,
) -> ForkingProgram {
    ForkingProgram {
        names,
        foreground,
        background: &[],
        settings: &[],
        remedy,
    }
}

const fn avoids(
    names: &'static [&'static str],
    background: &'static [&'static str],
    remedy: &'static str,
) -> ForkingProgram {
    ForkingProgram {
        names,
        foreground: &[],
        background,
        settings: &[],
        remedy,
    }
}

/// The programs. Words of two or more letters after one dash are not split: `-DFOREGROUND` is a word of its own. In a
/// pattern with a blank, the second word is the next argument.
const PROGRAMS: &[ForkingProgram] = &[
    ForkingProgram {
        settings: &["daemon off;"],
        ..needs(
            &["nginx", "openresty", "tengine"],
            &["daemon off"],
            "add -g \"daemon off;\"",
        )
    },
    ForkingProgram {
        settings: &["daemonize yes"],
        ..avoids(
            &[
                "redis-server",
                "valkey-server",
                "redis-sentinel",
                "keydb-server",
            ],
            &["--daemonize yes"],
            "write --daemonize no",
        )
    },
    avoids(
        &["gunicorn*"],
        &["-D", "--daemon"],
        "remove -D and --daemon",
    ),
    avoids(
        &["uwsgi*"],
        &["-d", "--daemonize", "--daemonize2"],
        "remove --daemonize",
    ),
    avoids(
        &["celery"],
        &["multi", "-D", "--detach"],
        "write celery worker without --detach",
    ),
    needs(
        &["php-fpm*"],
        &["-F", "--nodaemonize", "-t", "-v", "-i"],
        "add -F (--nodaemonize)",
    ),
    needs(
        &["apache2", "httpd", "apache2ctl", "apachectl"],
        &[
            "-DFOREGROUND",
            "-D FOREGROUND",
            "-DNO_DETACH",
            "-D NO_DETACH",
            "-X",
        ],
        "add -DFOREGROUND",
    ),
    avoids(&["memcached"], &["-d", "--daemon"], "remove -d"),
    avoids(&["haproxy"], &["-D"], "remove -D"),
    needs(
        &["keepalived"],
        &["-n", "--dont-fork", "-nl", "-ln", "-nD"],
        "add -n (--dont-fork)",
    ),
    needs(&["sshd"], &["-D", "-d", "-De", "-eD", "-t", "-T"], "add -D"),
    needs(&["cron"], &["-f"], "add -f"),
    needs(
        &["crond"],
        &["-n", "-f"],
        "add -n, or -f for the crond of busybox",
    ),
    needs(&["atd"], &["-f", "-d"], "add -f"),
    needs(&["rsyslogd"], &["-n"], "add -n"),
    needs(&["syslog-ng"], &["-F", "--foreground"], "add -F"),
    needs(
        &["dnsmasq"],
        &["-k", "--keep-in-foreground", "-d", "--no-daemon"],
        "add --keep-in-foreground",
    ),
    needs(&["named"], &["-f", "-g"], "add -f"),
    needs(&["ntpd"], &["-n", "--nofork", "-ng", "-gn", "-d"], "add -n"),
    needs(&["chronyd"], &["-n", "-d"], "add -n"),
    needs(&["snmpd"], &["-f", "-Lo", "-Le"], "add -f"),
    needs(&["lighttpd"], &["-D", "-DD", "-t"], "add -D"),
    needs(&["varnishd"], &["-F", "-d", "-C"], "add -F"),
    needs(
        &["squid"],
        &["-N", "--foreground", "-NYC", "-NYCd"],
        "add --foreground",
    ),
    needs(
        &["smbd", "nmbd", "winbindd"],
        &["-F", "--foreground", "-FS", "-i"],
        "add --foreground",
    ),
    needs(&["proftpd"], &["-n", "--nodaemon", "-q"], "add --nodaemon"),
    needs(
        &["twistd*"],
        &["-n", "--nodaemon", "-noy", "-ny"],
        "add --nodaemon",
    ),
    needs(
        &["supervisord"],
        &["-n", "--nodaemon", "-h", "-v"],
        "add -n",
    ),
    needs(&["slapd"], &["-d"], "add -d 0"),
    needs(&["unbound"], &["-d", "-dd"], "add -d"),
    needs(
        &["exim", "exim4"],
        &["-bdf", "-bp"],
        "write -bdf in place of -bd",
    ),
    avoids(&["mongod", "mongos"], &["--fork"], "remove --fork"),
    avoids(
        &["mysqld", "mariadbd"],
        &["--daemonize", "-D"],
        "remove --daemonize",
    ),
    avoids(&["pgbouncer"], &["-d", "--daemon"], "remove -d"),
    avoids(&["pg_ctl"], &["start"], "write postgres -D DIRECTORY"),
    avoids(&["openvpn"], &["--daemon"], "remove --daemon"),
    avoids(
        &["salt-minion", "salt-master"],
        &["-d", "--daemon"],
        "remove -d",
    ),
    avoids(&["elasticsearch"], &["-d", "--daemonize"], "remove -d"),
    avoids(&["*-server-start.sh"], &["-daemon"], "remove -daemon"),
    avoids(&["rabbitmq-server"], &["-detached"], "remove -detached"),
    avoids(&["catalina.sh"], &["start"], "write catalina.sh run"),
    avoids(
        &["zkServer.sh"],
        &["start"],
        "write zkServer.sh start-foreground",
    ),
    avoids(&["postfix"], &["start"], "write postfix start-fg"),
    avoids(&["pm2"], &["start", "restart"], "write pm2-runtime"),
    avoids(&["caddy"], &["start"], "write caddy run"),
    avoids(
        &["docker", "podman"],
        &["-d", "--detach", "--detach=true"],
        "remove --detach",
    ),
    avoids(
        &["docker-compose", "podman-compose"],
        &["-d", "--detach"],
        "remove --detach",
    ),
    avoids(
        &["aria2c"],
        &["-D", "--daemon", "--daemon=true"],
        "remove --daemon",
    ),
    avoids(
        &["screen"],
        &["-dmS", "-dm"],
        "run the program without screen, or write screen -D -m",
    ),
    avoids(
        &["tmux"],
        &["new-session", "new"],
        "run the program without tmux",
    ),
    avoids(
        &["start-stop-daemon"],
        &["-b", "--background"],
        "run the program without start-stop-daemon",
    ),
    avoids(
        &["service", "systemctl"],
        &["start", "restart"],
        "run the program of the service itself",
    ),
    avoids(
        &["ssserver"],
        &["-d start", "--daemonize"],
        "remove -d start",
    ),
    avoids(&["ss-server", "ss-local"], &["-f"], "remove -f"),
];

/// Options that mean the background in many programs.
const COMMON: &[&str] = &[
    "--daemonize",
    "--detach",
    "--background",
    "--daemonize=true",
    "--daemon=true",
];

/// Checks the commands.
pub(super) fn check(input: &LintInput<'_>, found: &mut Findings) {
    for program in &input.programs {
        let words = &program.words;
        let is_pidproxy = words
            .first()
            .is_some_and(|word| word.text.ends_with("pidproxy"));
        if is_pidproxy || shell_text(words).is_some() {
            continue;
        }
        if let Some(executed) = Executed::of(words)
            && let Some((part, text, remedy)) = mistake(input, &executed)
        {
            let name = executed.name();
            let text = format!(
                "command: {text}, so {name} goes into the background and supervisord sees it exit"
            );
            let part = if part.is_empty() { name } else { &part };
            let explained = Explained::new(Rule::ForkingDaemon, text).key("command");
            found.push((span(program, part), explained.remedy(remedy)));
        }
    }
}

fn span(program: &LintProgram<'_>, part: &str) -> super::super::problem::SourceSpan {
    program.span_of_part("command", part)
}

/// The argument that is wrong (empty: one is missing), why, and the remedy.
fn mistake(input: &LintInput<'_>, executed: &Executed<'_>) -> Option<(String, String, String)> {
    let known = PROGRAMS.iter().find(|row| row.is_named(executed.name()));
    let Some(row) = known else {
        let option = executed.texts().find(|text| COMMON.contains(text))?;
        let text = format!("{option} is set");
        return Some((option.to_owned(), text, format!("remove {option}")));
    };
    let remedy = || row.remedy.to_owned();
    let background = row.background.iter().find(|pattern| has(executed, pattern));
    if let Some(pattern) = background {
        let part = pattern.split(' ').next().unwrap_or_default();
        return Some((part.to_owned(), format!("{pattern} is set"), remedy()));
    }
    let is_set = row.has_setting(input, executed);
    if row.foreground.is_empty() {
        let text = "its own configuration says so".to_owned();
        return is_set.then(|| (String::new(), text, remedy()));
    }
    let is_foreground = is_set || row.foreground.iter().any(|pattern| has(executed, pattern));
    let option = row.foreground.first().copied().unwrap_or_default();
    (!is_foreground).then(|| (String::new(), format!("{option} is missing"), remedy()))
}

/// Whether the arguments have the words of a pattern one after another, or one argument contains a pattern of several
/// words.
fn has(executed: &Executed<'_>, pattern: &str) -> bool {
    let words: Vec<&str> = pattern.split(' ').collect();
    let texts: Vec<&str> = executed.texts().collect();
    texts.windows(words.len()).any(|window| window == words)
        || words.len() > 1 && texts.iter().any(|text| text.contains(pattern))
}

impl ForkingProgram {
    fn is_named(&self, name: &str) -> bool {
        self.names.iter().any(
            |known| match (known.strip_suffix('*'), known.strip_prefix('*')) {
                (Some(beginning), _) => name.starts_with(beginning),
                (_, Some(end)) => name.ends_with(end),
                _ => *known == name,
            },
        )
    }

    /// Whether a file that the arguments name, or the usual one of nginx, has a setting of this row.
    fn has_setting(&self, input: &LintInput<'_>, executed: &Executed<'_>) -> bool {
        if self.settings.is_empty() {
            return false;
        }
        let named = executed.texts().filter(|text| text.starts_with('/'));
        let usual = self
            .names
            .contains(&"nginx")
            .then_some("/etc/nginx/nginx.conf");
        let named: Vec<&str> = named.collect();
        let files = match named.is_empty() {
            true => usual.into_iter().collect(),
            false => named,
        };
        files.iter().any(|file| {
            let bytes = input.lookup.first_bytes(file).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            text.lines().any(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                let line = words.join(" ");
                self.settings
                    .iter()
                    .any(|setting| line.starts_with(setting))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::testing::reports;

    #[test]
    fn programs_that_fork_are_found() {
        for (command, part) in [
            ("/bin/nginx", Some("/bin/nginx")),
            ("/bin/nginx -g 'daemon off;'", None),
            ("/bin/nginx -c /etc/front.conf", None),
            ("/bin/nginx -c /etc/other.conf", Some("nginx")),
            ("/bin/redis-server", None),
            ("/bin/redis-server --daemonize yes", Some("--daemonize")),
            ("/bin/redis-server /etc/redis.conf", Some("redis")),
            ("/bin/gunicorn app:app --daemon", Some("--daemon")),
            ("/bin/gunicorn app:app", None),
            ("/bin/php-fpm8.2", Some("php")),
            ("/bin/php-fpm8.2 -F", None),
            ("env A=b /bin/apache2 -D FOREGROUND", None),
            ("/bin/apache2ctl start", Some("apache")),
            ("/bin/memcached -d -u me", Some("-d")),
            ("/bin/haproxy -f /etc/x -D", Some("-D")),
            ("/bin/keepalived -l", Some("keep")),
            ("/bin/sshd", Some("sshd")),
            ("/bin/sshd -D -e", None),
            ("/bin/cron", Some("cron")),
            ("/bin/x-server-start.sh -daemon", Some("-daemon")),
            ("/bin/any --daemonize", Some("--daemonize")),
            ("/bin/any -d", None),
            ("/bin/sh -c 'exec nginx'", None),
        ] {
            let mut machine = Fake::default()
                .with("/etc/front.conf", "user  x;\ndaemon   off;\n")
                .with("/etc/redis.conf", "port 1\ndaemonize yes\n");
            for word in command.split(' ').filter(|word| word.starts_with("/bin/")) {
                machine = machine.with(word, "\u{0}");
            }
            machine = machine.with("/bin/env", "\u{0}");
            let text = format!("[program:a]\ncommand={command}\n");
            let found = reports(machine, &text);
            assert_eq!(
                found.len(),
                usize::from(part.is_some()),
                "{command}: {found:?}"
            );
            assert!(
                found
                    .iter()
                    .all(|it| it.explained.rule.code() == "forking-daemon")
            );
        }
    }
}
