//! Messages about Python plug-ins, which cannot run here: the plug-in, what is missing without it, and the alternative.
//! Each is a warning, or an error with `--strict`.

/// Whether the value is a Python callable: `module:callable`, each possibly with dots.
pub(super) fn is_callable(text: &str) -> bool {
    let is_word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .is_some_and(|c| c.is_alphabetic() || c == '_')
            && letters.all(|c| c.is_alphanumeric() || c == '_')
    };
    let is_path = |path: &str| path.split('.').all(is_word);
    text.split_once(':')
        .is_some_and(|(module, name)| is_path(module) && is_path(name))
}

/// Whether the value names a callable outside of Supervisor's own package. A callable inside that package is either
/// built in here or a mistake.
pub(super) fn is_foreign(text: &str) -> bool {
    let module = text.split([':', '.']).next();
    is_callable(text) && module != Some("supervisor")
}

/// The message about an XML-RPC namespace.
pub(super) fn interface_text(section: &str, factory: &str) -> String {
    format!(
        "[{section}] is a Python plug-in ({factory}), which is not supported; its methods are not available \
             (use an event listener or an API client)"
    )
}

/// The message about actions of the client.
pub(super) fn actions_text(section: &str, factory: &str) -> String {
    format!(
        "[{section}] is a Python plug-in ({factory}), which is not supported; its actions are not available \
             (use a script that calls supervisorctl or the API)"
    )
}

/// The message about a handler of event listener results.
pub(super) fn result_handler_text(section: &str, handler: &str) -> String {
    format!(
        "result_handler of [{section}] is a Python function ({handler}), which is not supported; the result FAIL \
             rejects an event, any other result accepts it"
    )
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::lookup::Fake;
    use super::super::options::DaemonOptions;
    use super::*;

    const FILE: &str = "[supervisord]\n[rpcinterface:cache]\nsupervisor.rpcinterface_factory = \
                        supervisor_cache.rpcinterface:make_cache_rpcinterface\n[ctlplugin:cache]\n\
                        supervisor.ctl_factory=supervisor_cache.controllerplugin:make\n[eventlistener:l]\ncommand=c\n\
                        events=EVENT\nresult_handler=my.handlers:judge\n[rpcinterface:supervisor]\n\
                        supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n";

    const TOLD: [(&str, &str); 3] = [
        (
            "9",
            "result_handler of [eventlistener:l] is a Python function (my.handlers:judge), which is not supported; the \
                 result FAIL rejects an event, any other result accepts it",
        ),
        (
            "3",
            "[rpcinterface:cache] is a Python plug-in (supervisor_cache.rpcinterface:make_cache_rpcinterface), which \
                 is not supported; its methods are not available (use an event listener or an API client)",
        ),
        (
            "5",
            "[ctlplugin:cache] is a Python plug-in (supervisor_cache.controllerplugin:make), which is not supported; its \
                 actions are not available (use a script that calls supervisorctl or the API)",
        ),
    ];

    #[test]
    fn cfg_65_each_python_plug_in_gives_one_warning_with_its_position() {
        let machine = Fake::default().with("/etc/s.conf", FILE);
        let config = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid");
        let mut notes: Vec<String> = config.notes.iter().map(ToString::to_string).collect();
        let column = |line| match line {
            "9" => 16,
            "3" => 35,
            _ => 24,
        };
        let mut expected =
            TOLD.map(|(line, text)| format!("/etc/s.conf:{line}:{}: {text}", column(line)));
        notes.sort();
        expected.sort();
        assert_eq!(notes, expected);
        assert_eq!(config.rpc_interfaces, ["supervisor"]);
    }

    #[test]
    fn cfg_65_strict_refuses_python_plug_ins() {
        let machine = Fake::default().with("/etc/s.conf", FILE);
        let options = DaemonOptions {
            strict: true,
            ..DaemonOptions::default()
        };
        let errors = load("/etc/s.conf", &options, &machine).expect_err("strict");
        let mut found: Vec<(String, String)> = errors
            .all
            .into_iter()
            .map(|problem| (problem.line.to_string(), problem.message))
            .collect();
        let mut expected = TOLD.map(|(line, text)| (line.to_owned(), text.to_owned()));
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }

    #[test]
    fn cfg_57_cfg_65_a_value_that_is_no_callable_is_an_error() {
        for (text, sentence) in [
            (
                "[rpcinterface:x]\nsupervisor.rpcinterface_factory=no callable\n",
                "no callable cannot be resolved within [rpcinterface:x]",
            ),
            (
                "[eventlistener:x]\ncommand=c\nevents=EVENT\nresult_handler=here\n",
                "here cannot be resolved within [eventlistener:x]",
            ),
            (
                "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterace:make\n",
                "supervisor.rpcinterace:make cannot be resolved within [rpcinterface:supervisor]",
            ),
            (
                "[eventlistener:x]\ncommand=c\nevents=EVENT\nresult_handler=supervisor.dispatcher:default_handler\n",
                "supervisor.dispatcher:default_handler cannot be resolved within [eventlistener:x]",
            ),
        ] {
            let machine = Fake::default().with("/etc/s.conf", &format!("[supervisord]\n{text}"));
            let errors =
                load("/etc/s.conf", &DaemonOptions::default(), &machine).expect_err("wrong");
            assert_eq!(errors.first, sentence);
        }
        for (text, is) in [
            ("a.b_1:c.D", true),
            ("a:b", true),
            ("a", false),
            ("a:", false),
            (":b", false),
            ("a..b:c", false),
            ("1a:b", false),
            ("a:b:c", false),
            ("a b:c", false),
            ("", false),
        ] {
            assert_eq!(is_callable(text), is, "{text}");
        }
    }

    #[test]
    fn cfg_65_the_twiddler_is_built_in() {
        let text = "[supervisord]\n[rpcinterface:twiddler]\nsupervisor.rpcinterface_factory=\
                    supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface\n";
        let machine = Fake::default().with("/etc/s.conf", text);
        let options = DaemonOptions {
            strict: true,
            ..DaemonOptions::default()
        };
        let config = load("/etc/s.conf", &options, &machine).expect("valid");
        assert_eq!(config.rpc_interfaces, ["twiddler"]);
        assert_eq!(config.notes, []);
    }
}
