//! Warnings about what Supervisor passes over in silence: keys and sections it does not know, comments that cut a quoted
//! text in two; and about the plug-ins of Python that it would load.

use super::key::{CTL_FACTORY, SectionKind};
use super::parse::{At, Reader};
use super::plugin;
use super::problem::Span;

/// The most edits at which a known word is suggested for an unknown one.
const DISTANCE_MAX: usize = 2;

/// Adds the warnings; with `strict`, unknown keys and sections and plug-ins of Python are errors instead.
pub(super) fn lint(reader: &mut Reader<'_>, strict: bool) {
    let mut unknown: Vec<(Span, String, String)> = Vec::new();
    let mut cuts = Vec::new();
    for section in reader.ini.sections() {
        let Some(kind) = SectionKind::of(&section.name) else {
            let (_, prefix) = split(&section.name);
            let close = closest(prefix, SectionKind::prefixes());
            unknown.push((
                section.span,
                format!("unknown section [{}]", section.name),
                close.map_or_else(String::new, |word| format!("did you mean [{word}]?")),
            ));
            continue;
        };
        for entry in &section.entries {
            if let Some(cut) = entry.cut {
                cuts.push((cut, entry.key.clone()));
            }
            if !kind.is_open() && !kind.keys().any(|key| key.name == entry.key) {
                let close = closest(&entry.key, kind.keys().map(|key| key.name));
                unknown.push((
                    entry.key_span,
                    format!("unknown key {} in [{}]", entry.key, section.name),
                    close.map_or_else(String::new, |word| format!("did you mean {word}?")),
                ));
            }
        }
    }
    for (span, text, hint) in unknown {
        if strict {
            reader.report.add(span, text, &hint);
        } else {
            let tail = if hint.is_empty() {
                String::new()
            } else {
                format!("; {hint}")
            };
            let place = reader.place(span);
            reader.warn(format!("{place}: {text} is ignored{tail}"));
        }
    }
    plugins_of_the_client(reader);
    for (span, text) in std::mem::take(&mut reader.foreign) {
        if strict {
            reader.report.add(span, text, "");
        } else {
            let place = reader.place(span);
            reader.warn(format!("{place}: {text}"));
        }
    }
    // Whoever can write a root daemon's configuration can run commands as root.
    for file in reader.files.clone() {
        if let Some(why) = reader.lookup.other_writer(&file) {
            reader.warn(format!("{file} can be changed by others than root: {why}"));
        }
    }
    for (span, key) in cuts {
        let place = reader.place(span);
        reader.warn(format!(
            "{place}: {key} is cut in the middle of quotes, for a blank before ; or # begins a comment there too"
        ));
    }
}

/// The daemon does not care for them, but who checks the file wants to hear of them.
fn plugins_of_the_client(reader: &mut Reader<'_>) {
    let is_plugin = |name: &str| SectionKind::of(name) == Some(SectionKind::CtlPlugin);
    for section in reader.names_of(is_plugin) {
        let at = At::new(&section, SectionKind::CtlPlugin);
        if let Some(factory) = reader.raw(at, CTL_FACTORY) {
            reader.foreign(at, CTL_FACTORY, plugin::actions(&section, &factory));
        }
    }
}

/// A section's name after its colon, and what stands up to it.
fn split(name: &str) -> (&str, &str) {
    match name.find(':') {
        Some(at) => (&name[at + 1..], &name[..=at]),
        None => ("", name),
    }
}

/// The word that is the fewest edits away, if that is near enough.
fn closest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let lower = word.to_lowercase();
    known
        .map(|candidate| (distance(&lower, candidate), candidate))
        .filter(|&(edits, candidate)| edits <= DISTANCE_MAX && edits < candidate.len())
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, left out or replaced to turn one word into the other; anything beyond
/// [`DISTANCE_MAX`] is told as one more than that, without the work.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    if from.chars().count().abs_diff(to.len()) > DISTANCE_MAX {
        return DISTANCE_MAX + 1;
    }
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, c) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, &other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(c != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::lookup::Fake;
    use super::super::options::DaemonOptions;

    const FILE: &str = "[supervisord]\nlogfil=x\nsetlocale=1\n[progam:x]\n[program:y]\ncommand=sh -c \"a ; b\"\n\
                        autostrt=1\n[rpcinterface:supervisor]\n\
                        supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\nany=1\n";

    #[test]
    fn cfg_14_unknown_words_are_warned_of_with_a_suggestion() {
        let machine = Fake::default().with("/etc/s.conf", FILE);
        let config = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid");
        let notes: Vec<String> = config.notes.iter().map(ToString::to_string).collect();
        assert_eq!(
            notes,
            [
                "/etc/s.conf:2: unknown key logfil in [supervisord] is ignored; did you mean logfile?",
                "/etc/s.conf:3: unknown key setlocale in [supervisord] is ignored",
                "/etc/s.conf:4: unknown section [progam:x] is ignored; did you mean [program:]?",
                "/etc/s.conf:7: unknown key autostrt in [program:y] is ignored; did you mean autostart?",
                "/etc/s.conf:6: command is cut in the middle of quotes, for a blank before ; or # begins a comment \
                 there too",
            ]
        );
    }

    #[test]
    fn a_file_that_others_can_change_is_warned_of() {
        let text = "[supervisord]\n";
        for (path, count) in [("/etc/everybodys.conf", 1), ("/etc/s.conf", 0)] {
            let machine = Fake::default().with(path, text);
            let config = load(path, &DaemonOptions::default(), &machine).expect("valid");
            assert_eq!(config.notes.len(), count, "{:?}", config.notes);
        }
    }

    #[test]
    fn strict_takes_them_for_errors() {
        let machine = Fake::default().with("/etc/s.conf", FILE);
        let options = DaemonOptions {
            strict: true,
            ..DaemonOptions::default()
        };
        let errors = load("/etc/s.conf", &options, &machine).expect_err("strict");
        assert_eq!(errors.first, "unknown key logfil in [supervisord]");
        assert_eq!(errors.all.len(), 4);
        assert_eq!(
            errors.all[3].to_string(),
            "/etc/s.conf:7:1: unknown key autostrt in [program:y]; did you mean autostart?"
        );
    }
}
