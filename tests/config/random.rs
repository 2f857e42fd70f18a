//! Random input for the parsers of the small languages: INI, `%` formats, `environment`.

use serde_json::{Value, json};
use supervisord::config::environment;
use supervisord::config::expand::{self, ExpandNames, expand};
use supervisord::config::ini::{Ini, universal_newlines};

use supervisord::config::check_config;
use supervisord::config::lint::Severity;
use supervisord::config::options::DaemonOptions;
use supervisord::daemon::check;
use supervisord::daemon::machine::Machine;

use super::oracle::Oracle;

/// Number of inputs in one request to the oracle.
const BATCH: usize = 1000;

/// Marsaglia's xorshift: the same inputs in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }

    fn text(&mut self, pieces: &[&str], most: usize) -> String {
        (0..self.roll(most + 1))
            .map(|_| pieces[self.roll(pieces.len())])
            .collect()
    }
}

fn seed() -> u64 {
    std::env::var("CONFIG_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0x5eed_0005)
}

const INI: &[&str] = &[
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r",
    " ",
    " ",
    "\t",
    "  ",
    "[",
    "]",
    "[s]\n",
    "[t]\n",
    "[DEFAULT]\n",
    "=",
    "=",
    ":",
    ";",
    "#",
    " ;",
    " #",
    "a",
    "b",
    "Key",
    "a=1\n",
    "b = x;y\n",
    " c:2\n",
    "\u{a0}",
    "\x1c",
    "\x0b",
    "\x0c",
    "\u{85}",
    "é",
    "\"",
    "'",
    "%",
    "\u{2028}",
    "\\",
];

fn ours(texts: &[String]) -> Value {
    let mut ini = Ini::default();
    for (number, text) in texts.iter().enumerate() {
        if let Err(error) = ini.read(&format!("f{number}"), number, &universal_newlines(text)) {
            assert!(!error.lines.is_empty());
            return json!({"error": error.sentence});
        }
    }
    let pairs = |entries: &[supervisord::config::ini::IniEntry]| {
        entries
            .iter()
            .map(|entry| json!([*entry.key, entry.value]))
            .collect::<Vec<_>>()
    };
    let sections: Vec<Value> = ini
        .sections()
        .iter()
        .map(|section| json!([section.name, pairs(&section.entries)]))
        .collect();
    json!({"defaults": pairs(&ini.defaults.entries), "sections": sections})
}

#[test]
fn cfg_07_to_16_random_files_are_read_as_in_python() {
    let Some(mut oracle) = Oracle::start("random INI texts") else {
        return;
    };
    let mut dice = Dice(seed());
    let mut valid = 0;
    for _ in 0..120 {
        let cases: Vec<Vec<String>> = (0..BATCH)
            .map(|_| {
                (0..=dice.roll(2))
                    .map(|_| {
                        // Inputs that begin with a section pass more checks than others.
                        let start = if dice.roll(4) == 0 { "" } else { "[s]\n" };
                        let most = [5, 10, 24][dice.roll(3)];
                        start.to_owned() + &dice.text(INI, most)
                    })
                    .collect()
            })
            .collect();
        let asked: Vec<Value> = cases.iter().map(|case| json!(case)).collect();
        for (case, expected) in cases.iter().zip(oracle.ask("parse", &asked)) {
            valid += usize::from(expected.get("error").is_none());
            assert_eq!(ours(case), expected, "{case:?}");
        }
    }
    assert!(
        valid > 20_000,
        "too few valid texts to prove anything: {valid}"
    );
}

#[test]
fn cfg_17_to_20_random_formats_expand_as_in_python() {
    let Some(mut oracle) = Oracle::start("random formats") else {
        return;
    };
    const PIECES: &[&str] = &[
        "%",
        "%",
        "%(x)",
        "%(n)",
        "%(c)",
        "%(nosuch)s",
        "%%",
        "(",
        ")",
        "s",
        "d",
        "x",
        "X",
        "o",
        "i",
        "u",
        "c",
        "r",
        "a",
        "e",
        "f",
        "g",
        "G",
        "0",
        "2",
        "5",
        ".",
        "-",
        "+",
        " ",
        "#",
        "*",
        "l",
        "Y",
        "é",
        "text",
    ];
    let (x, c, n) = ("aé'b", "z", 42);
    let names = ExpandNames::from([
        ("x".to_owned(), expand::ExpandValue::from(x)),
        ("c".to_owned(), expand::ExpandValue::from(c)),
        ("n".to_owned(), expand::ExpandValue::Number(n)),
    ]);
    let mut dice = Dice(seed());
    let mut valid = 0;
    for _ in 0..40 {
        let texts: Vec<String> = (0..BATCH).map(|_| dice.text(PIECES, 8)).collect();
        let asked: Vec<Value> = texts
            .iter()
            // In the order of our names, because a conversion without a name prints all of them.
            .map(|text| json!({"text": text, "names": [["c", c], ["n", n], ["x", x]]}))
            .collect();
        for (text, expected) in texts.iter().zip(oracle.ask("expand", &asked)) {
            valid += usize::from(expected.get("ok").is_some());
            let ours = match expand(text, &[&names], "place") {
                Ok(done) => json!({"ok": done}),
                Err(error) => json!({"error": error.to_string()}),
            };
            assert_eq!(ours, expected, "{text:?}");
        }
    }
    assert!(
        valid > 5_000,
        "too few valid formats to prove anything: {valid}"
    );
}

#[test]
fn cfg_40_cfg_41_random_environments_are_read_as_in_supervisor() {
    let Some(mut oracle) = Oracle::start("random environments") else {
        return;
    };
    const PIECES: &[&str] = &[
        "A",
        "B",
        "x",
        "1",
        "=",
        "=",
        ",",
        ",",
        "\"",
        "'",
        " ",
        "\n",
        "\t",
        "#",
        "/",
        ".",
        "-",
        "(",
        ":",
        "@",
        "\\",
        "é",
        "A=1",
        "B=\"b c\"",
        ",A='q'",
    ];
    let mut dice = Dice(seed());
    let mut valid = 0;
    for _ in 0..40 {
        let texts: Vec<String> = (0..BATCH).map(|_| dice.text(PIECES, 12)).collect();
        let asked: Vec<Value> = texts.iter().map(|text| json!(text)).collect();
        for (text, expected) in texts.iter().zip(oracle.ask("environment", &asked)) {
            valid += usize::from(expected.get("ok").is_some());
            let ours = match environment::parse(text) {
                Ok(pairs) => json!({"ok": pairs}),
                Err(error) => json!({"error": error.to_string()}),
            };
            assert_eq!(ours, expected, "{text:?}");
        }
    }
    assert!(
        valid > 2_000,
        "too few valid texts to prove anything: {valid}"
    );
}

/// Needs no oracle: any file gives a result, and the report of its errors can be rendered.
#[test]
fn no_input_makes_the_reader_or_the_report_panic() {
    const PIECES: &[&str] = &[
        "[supervisord]\n",
        "[program:a]\n",
        "[program:b c]\n",
        "[group:g]\n",
        "[eventlistener:l]\n",
        "[fcgi-program:f]\n",
        "[unix_http_server]\n",
        "[inet_http_server]\n",
        "[rpcinterface:x]\n",
        "[include]\n",
        "[DEFAULT]\n",
        "[supervisrd]\n",
        "command=c\n",
        "command=%(process_num)d é\n",
        "numprocs=3\n",
        "numprocs=-9999999999999999999\n",
        "numprocs_start=9999999999999999999\n",
        "process_name=%(process_num)d\n",
        "programs=a,f,nosuch\n",
        "events=TICK,\u{2028}\n",
        "socket=tcp://é:99999\n",
        "environment=A=\"é\n",
        "environment=A=1\n",
        "port=é:\n",
        "file=~nosuch/x\n",
        "files=/nosuch/[*\n",
        "user=\n",
        "umask=-1\n",
        "stdout_logfile_maxbytes=99999999999999999999GB\n",
        "startsecs=%\n",
        "  é ; \"\n",
        "\t\n",
        "é\n",
        "=\n",
        "\r",
        "\x0b",
        "\u{85}",
        "\0\n",
    ];
    let path = std::env::temp_dir().join(format!("supervisord-random-{}.conf", std::process::id()));
    let name = path.to_str().expect("UTF-8").to_owned();
    let machine = Machine::new().expect("a working directory");
    let mut dice = Dice(seed());
    let (mut valid, mut wrong) = (0, 0);
    for _ in 0..3000 {
        // Without this section nearly no file is valid.
        let head = ["", "[supervisord]\n"][usize::from(dice.roll(4) != 0)];
        let text = head.to_owned() + &dice.text(PIECES, 14);
        std::fs::write(&path, text).expect("written");
        let report = check_config(&name, &DaemonOptions::default(), &machine);
        match report.count(Severity::Error) {
            0 => valid += 1,
            _ => wrong += 1,
        }
        let shown = check::report(&name, &report, dice.roll(2) == 0);
        let last = shown.lines().last().unwrap_or_default();
        assert!(last.starts_with(&format!("{name}: ")), "{shown}");
        let json: serde_json::Value =
            serde_json::from_str(&check::json(&name, &report)).expect("JSON");
        assert!(json["problems"].is_array());
    }
    let _ = std::fs::remove_file(&path);
    assert!(valid > 100 && wrong > 100, "{valid} valid, {wrong} wrong");
}
