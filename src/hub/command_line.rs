//! The command line of the hub, as a clap command. Options that Cesi has are Cesi's.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

use super::settings::check_address;

/// The name of the program, also as a link to `supervisord-agent`.
pub(super) const NAME: &str = "supervisord-hub";
/// The word with which `supervisord-agent` becomes the hub.
const WORD: &str = "hub";
/// The subcommand that reads Cesi's users.
const IMPORT: &str = "import-cesi";
const ABOUT: &str = "show and control the processes of many hosts";

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HubArguments {
    /// The settings file.
    pub(super) config: PathBuf,
    /// `host:port` of `--host` and `--port`, where one is given: the other is as in the settings. `None`: none is.
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) task: HubTask,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HubTask {
    /// Serve.
    Serve,
    /// Check the settings.
    Check,
    /// Read the users of a database. `None`: of the one in the settings.
    ImportCesi(Option<PathBuf>),
}

impl HubArguments {
    /// The addresses to listen at. `bind`: those of the settings.
    ///
    /// # Errors
    /// The options make no address.
    pub(super) fn addresses(&self, bind: &[String]) -> Result<Vec<String>, String> {
        if self.host.is_none() && self.port.is_none() {
            return Ok(bind.to_vec());
        }
        let first = bind.first().and_then(|first| first.rsplit_once(':'));
        let (host, port) = first.unwrap_or(("127.0.0.1", "5000"));
        let host = self.host.as_deref().unwrap_or(host);
        let is_v6 = host.contains(':') && !host.starts_with('[');
        let host = if is_v6 {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let port = self
            .port
            .map_or_else(|| port.to_owned(), |port| port.to_string());
        let address = format!("{host}:{port}");
        check_address(&address).map(|()| vec![address])
    }
}

/// The arguments behind the name of the hub, if a program was called as the hub.
pub(super) fn hub_arguments(args: &[String]) -> Option<&[String]> {
    let (name, rest) = args.split_first()?;
    if name.rsplit('/').next() == Some(NAME) {
        return Some(rest);
    }
    match rest.split_first() {
        Some((word, rest)) if word == WORD => Some(rest),
        _ => None,
    }
}

fn config_arg() -> Arg {
    Arg::new("config")
        .short('c')
        .long("config")
        .alias("config-file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .required(true)
        .help("the settings: Cesi's TOML file, with a table [hub]")
}

pub(super) fn command() -> Command {
    let flag = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .action(ArgAction::SetTrue)
            .help(help)
    };
    let import = Command::new(IMPORT)
        .about("read the users of Cesi's database once (needs the program sqlite3)")
        .arg(config_arg())
        .arg(
            Arg::new("database")
                .value_name("DATABASE")
                .value_parser(value_parser!(PathBuf))
                .help("the file; default: that of the key database"),
        );
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .arg(config_arg())
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("HOST")
                .help("listen at this host instead of that of bind"),
        )
        .arg(
            Arg::new("port")
                .short('p')
                .long("port")
                .value_name("PORT")
                .value_parser(value_parser!(u16))
                .help("listen at this port instead of that of bind"),
        )
        .arg(flag("check", "check the settings and exit"))
        .subcommand(import)
}

/// Its options with their descriptions, for the manual.
pub(super) fn options() -> Vec<(String, String)> {
    let command = command();
    let options = command.get_arguments().map(|arg| {
        let short = arg.get_short().map(|short| format!("`-{short}`, "));
        let value = arg.get_value_names().and_then(|names| names.first());
        let value = value.filter(|_| arg.get_action().takes_values());
        let value = value.map(|value| format!(" *{value}*"));
        let help = arg.get_help().map(ToString::to_string);
        (
            format!(
                "{}`--{}`{}",
                short.unwrap_or_default(),
                arg.get_long().unwrap_or_default(),
                value.unwrap_or_default()
            ),
            help.unwrap_or_default(),
        )
    });
    options.collect()
}

/// Parses the arguments behind the name.
///
/// # Errors
/// The exit status, after printing what the arguments ask for, or what is wrong with them.
pub(super) fn parse(args: &[String]) -> Result<HubArguments, u8> {
    let words = [NAME.to_owned()].into_iter().chain(args.iter().cloned());
    let matches = match command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => {
            // A closed output changes nothing.
            let _ = error.print();
            return Err(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let path = |matches: &clap::ArgMatches, name| matches.get_one::<PathBuf>(name).cloned();
    if let Some(import) = matches.subcommand_matches(IMPORT) {
        return Ok(HubArguments {
            config: path(import, "config").unwrap_or_default(),
            host: None,
            port: None,
            task: HubTask::ImportCesi(path(import, "database")),
        });
    }
    Ok(HubArguments {
        config: path(&matches, "config").unwrap_or_default(),
        host: matches.get_one::<String>("host").cloned(),
        port: matches.get_one::<u16>("port").copied(),
        task: match matches.get_flag("check") {
            true => HubTask::Check,
            false => HubTask::Serve,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_hub_is_told_by_name_or_word() {
        command().debug_assert();
        for (line, expected) in [
            ("/usr/bin/supervisord-hub -c x", Some("-c x")),
            ("supervisord-agent hub -c x", Some("-c x")),
            ("supervisord-agent", None),
            ("supervisord-agent -c hub", None),
        ] {
            let args = words(line);
            let found = hub_arguments(&args).map(|args| args.join(" "));
            assert_eq!(found.as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn options_are_those_of_cesi() {
        let parse = |line: &str| parse(&words(line));
        for option in ["-c", "--config", "--config-file"] {
            let parsed = parse(&format!("{option} f.toml")).expect("valid");
            assert_eq!(
                (parsed.config, parsed.task),
                (PathBuf::from("f.toml"), HubTask::Serve)
            );
        }
        let parsed = parse("-c f --host :: -p 80").expect("valid");
        let bind = ["127.0.0.1:5000".to_owned()];
        assert_eq!(parsed.addresses(&bind), Ok(vec!["[::]:80".to_owned()]));
        let parsed = parse("-c f -p 81").expect("valid");
        assert_eq!(parsed.addresses(&bind), Ok(vec!["127.0.0.1:81".to_owned()]));
        assert_eq!(parse("-c f --check").expect("valid").task, HubTask::Check);
        let import = parse("import-cesi -c f users.db").expect("valid");
        assert_eq!(
            import.task,
            HubTask::ImportCesi(Some(PathBuf::from("users.db")))
        );
        for (line, status) in [("", 2), ("-c f x", 2), ("--help", 0), ("--version", 0)] {
            assert_eq!(parse(line), Err(status), "{line}");
        }
    }
}
