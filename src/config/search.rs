//! Finds the configuration file if none is given.

use super::lookup::Lookup;
use super::path::{dirname, join};

/// The warning on standard error before a search as root.
pub const ROOT_WARNING: &str = "UserWarning: Supervisord is running as root and it is searching for its configuration \
    file in default locations (including its current working directory); you probably want to specify a \"-c\" argument \
    specifying an absolute path to a configuration file for improved security.";

/// The paths that are searched, in order. The first two depend on the path of the program.
#[must_use]
pub fn search_paths(argv0: &str) -> [String; 6] {
    let base = dirname(dirname(argv0));
    [
        join(base, "etc/supervisord.conf"),
        join(base, "supervisord.conf"),
        "supervisord.conf".to_owned(),
        "etc/supervisord.conf".to_owned(),
        "/etc/supervisord.conf".to_owned(),
        "/etc/supervisor/supervisord.conf".to_owned(),
    ]
}

/// The path the program was started by. For a name without a slash, it is the first such program in `PATH`.
///
/// Supervisor is a script, for which the kernel passes the path that the shell found.
#[must_use]
pub fn started_as(argv0: &str, lookup: &dyn Lookup) -> String {
    if argv0.contains('/') {
        return argv0.to_owned();
    }
    let env = lookup.env();
    let path = env.iter().find(|(name, _)| name == "PATH");
    let directories = path.map_or("", |(_, value)| value).split(':');
    directories
        // An empty item is the working directory.
        .map(|directory| join(directory, argv0))
        .find(|path| lookup.is_program(path))
        .unwrap_or_else(|| argv0.to_owned())
}

/// The first path that exists. `None`: there is none.
#[must_use]
pub fn find_config(argv0: &str, lookup: &dyn Lookup) -> Option<String> {
    let program = started_as(argv0, lookup);
    let mut places = search_paths(&program).into_iter();
    places.find(|path| lookup.exists(path))
}

/// The daemon's message if there is none.
#[must_use]
pub fn not_found(argv0: &str, lookup: &dyn Lookup) -> String {
    let program = started_as(argv0, lookup);
    format!(
        "No config file found at default paths ({}); use the -c option to specify a config file at a different path",
        search_paths(&program).join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::lookup::Fake;
    use super::*;

    #[test]
    fn cfg_01_six_paths_are_searched_in_order() {
        assert_eq!(
            search_paths("/opt/s/bin/supervisord")[..2],
            ["/opt/s/etc/supervisord.conf", "/opt/s/supervisord.conf"]
        );
        assert_eq!(search_paths("bin/supervisord")[0], "etc/supervisord.conf");
        assert_eq!(search_paths("/supervisord")[0], "/etc/supervisord.conf");
        let machine = Fake::default()
            .with("/etc/supervisor/supervisord.conf", "")
            .with("/start/etc/supervisord.conf", "");
        assert_eq!(
            find_config("/usr/bin/supervisord", &machine).as_deref(),
            Some("etc/supervisord.conf")
        );
        assert_eq!(find_config("supervisord", &Fake::default()), None);
    }

    #[test]
    fn cfg_01_a_program_found_in_path_is_searched_from_its_directory() {
        let mut machine = Fake::default()
            .with("/usr/local/bin/supervisord", "")
            .with("/usr/local/etc/supervisord.conf", "")
            .with("/etc/supervisord.conf", "");
        machine
            .env
            .push(("PATH".to_owned(), "/bin:/usr/local/bin:/usr/bin".to_owned()));
        assert_eq!(
            find_config("supervisord", &machine).as_deref(),
            Some("/usr/local/etc/supervisord.conf")
        );
        assert_eq!(started_as("./supervisord", &machine), "./supervisord");
        assert_eq!(started_as("nosuch", &machine), "nosuch");
    }

    #[test]
    fn cfg_02_the_message_lists_all_paths() {
        assert_eq!(
            not_found("supervisord", &Fake::default()),
            "No config file found at default paths (etc/supervisord.conf, supervisord.conf, supervisord.conf, \
             etc/supervisord.conf, /etc/supervisord.conf, /etc/supervisor/supervisord.conf); use the -c option to \
             specify a config file at a different path"
        );
    }
}
