//! The command line of `supervisord-agent`, as a clap command.

use clap::{Arg, ArgAction, Command};

use super::find::NAME;

/// What it does, in one line.
pub(super) const ABOUT: &str = "connect to foreign servers for supervisord";
/// What it does, in full, in lines of at most 79 columns, because clap does not wrap.
const LONG_ABOUT: &str = "\
Connects to foreign servers, such as Nacos, for supervisord, without any
privilege. supervisord starts it with a socket as standard input; it is not for
use by hand. It exits when the socket is closed.";

fn command() -> Command {
    let help = "print this help and exit";
    let version = "print the version and exit";
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .arg(option("help", 'h', ArgAction::HelpLong, help))
        .arg(option("version", 'v', ArgAction::Version, version))
}

fn option(name: &'static str, short: char, action: ArgAction, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .short(short)
        .action(action)
        .help(help)
}

/// Its options with their descriptions, for the manual.
pub(super) fn options() -> Vec<(String, String)> {
    let command = command();
    let options = command.get_arguments().map(|arg| {
        let short = arg.get_short().map(|short| format!("`-{short}`, "));
        let long = arg.get_long().unwrap_or_default();
        let help = arg.get_help().map(ToString::to_string);
        (
            format!("{}`--{long}`", short.unwrap_or_default()),
            help.unwrap_or_default(),
        )
    });
    options.collect()
}

/// Parses the arguments, the program's name first.
///
/// # Errors
/// The exit status after printing what the arguments ask for, or what is wrong with them.
pub(super) fn parse(args: &[String]) -> Result<(), u8> {
    let Err(error) = command().try_get_matches_from(args) else {
        return Ok(());
    };
    // A closed output changes nothing.
    let _ = error.print();
    Err(u8::try_from(error.exit_code()).unwrap_or(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
        assert_eq!(options().len(), 2);
    }

    #[test]
    fn the_exit_status_tells_help_from_mistakes() {
        let parse = |args: &[&str]| {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            parse(&args)
        };
        assert_eq!(parse(&["agent"]), Ok(()));
        assert_eq!(parse(&["agent", "--help"]), Err(0));
        assert_eq!(parse(&["agent", "--version"]), Err(0));
        assert_eq!(parse(&["agent", "--serve"]), Err(2));
        assert_eq!(parse(&["agent", "x"]), Err(2));
    }
}
