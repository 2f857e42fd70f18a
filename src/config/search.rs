//! Which configuration file is read when none is named.

use super::lookup::Lookup;
use super::path::{dirname, join};

/// What the daemon says on standard error before it searches as root.
pub const ROOT_WARNING: &str = "UserWarning: Supervisord is running as root and it is searching for its configuration \
    file in default locations (including its current working directory); you probably want to specify a \"-c\" argument \
    specifying an absolute path to a configuration file for improved security.";

/// The places searched, in order; the first two depend on where the program was started from.
#[must_use]
pub fn places(argv0: &str) -> [String; 6] {
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

/// The first place at which there is a file, if there is one.
#[must_use]
pub fn find(argv0: &str, lookup: &dyn Lookup) -> Option<String> {
    places(argv0).into_iter().find(|path| lookup.exists(path))
}

/// The daemon's sentence when there is none.
#[must_use]
pub fn not_found(argv0: &str) -> String {
    format!(
        "No config file found at default paths ({}); use the -c option to specify a config file at a different path",
        places(argv0).join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::super::lookup::Fake;
    use super::*;

    #[test]
    fn cfg_01_six_places_in_order() {
        assert_eq!(
            places("/opt/s/bin/supervisord")[..2],
            ["/opt/s/etc/supervisord.conf", "/opt/s/supervisord.conf"]
        );
        assert_eq!(places("bin/supervisord")[0], "etc/supervisord.conf");
        assert_eq!(places("/supervisord")[0], "/etc/supervisord.conf");
        let machine = Fake::default()
            .with("/etc/supervisor/supervisord.conf", "")
            .with("/start/etc/supervisord.conf", "");
        assert_eq!(
            find("/usr/bin/supervisord", &machine).as_deref(),
            Some("etc/supervisord.conf")
        );
        assert_eq!(find("supervisord", &Fake::default()), None);
    }

    #[test]
    fn cfg_02_sentence_lists_all_places() {
        assert_eq!(
            not_found("supervisord"),
            "No config file found at default paths (etc/supervisord.conf, supervisord.conf, supervisord.conf, \
             etc/supervisord.conf, /etc/supervisord.conf, /etc/supervisor/supervisord.conf); use the -c option to \
             specify a config file at a different path"
        );
    }
}
