//! Which files a program comes from, and where a new program belongs.

use super::super::glob::matches_name;
use super::super::key::SectionKind;
use super::super::path::{basename, dirname, join};
use super::super::plan::KeyPlaces;
use super::super::python::{strip, words};
use super::error::EditPlace;

/// The file name patterns of directories in which each program may have a file of its own.
const PATTERNS: [&str; 2] = ["*.conf", "*.ini"];

/// Where the section of a program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramOrigin {
    /// The whole name of the section, as written between the brackets.
    pub section: String,
    /// Its headers in the order of reading; at least one.
    pub places: Vec<OriginPlace>,
}

/// One header of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPlace {
    /// The index of the file in the order of reading; 0 is the main file.
    pub file: usize,
    /// The file and the line.
    pub place: EditPlace,
}

/// Where a new program belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewProgramPlace {
    /// At the end of the file with this index.
    Append(usize),
    /// In a new file at this path, which an `[include]` pattern matches.
    NewFile(String),
}

/// Where a program of the configuration comes from. `None`: no file has it.
#[must_use]
pub fn origin_of(places: &KeyPlaces, program: &str) -> Option<ProgramOrigin> {
    let prefix = SectionKind::Program.prefix();
    let exact = places.ini.section(&format!("{prefix}{}", strip(program)));
    let section = exact.or_else(|| {
        let mut sections = places.ini.sections().iter();
        sections.find(|section| {
            let title = section.name.strip_prefix(prefix);
            title.is_some_and(|title| strip(title) == strip(program))
        })
    })?;
    let place = |span: &super::super::SourceSpan| OriginPlace {
        file: span.file,
        place: EditPlace {
            file: places.files.get(span.file).cloned().unwrap_or_default(),
            line: span.line,
        },
    };
    Some(ProgramOrigin {
        section: section.name.clone(),
        places: section.places.iter().map(place).collect(),
    })
}

/// Where a new program belongs: in the remote text, if the configuration has one (`remote`: its index); else in a file
/// of its own, in the directory of the first `[include]` pattern of the form `DIR/*.conf` or `DIR/*.ini`; else in the
/// main file. If the file of its own was read already, the program is appended to it.
///
/// Patterns with expansions other than `%(here)s`, and directories with wildcards, are passed over.
#[must_use]
pub fn place_of_new(places: &KeyPlaces, name: &str, remote: Option<usize>) -> NewProgramPlace {
    if let Some(remote) = remote {
        return NewProgramPlace::Append(remote);
    }
    let patterns = places.ini.get(SectionKind::Include.prefix(), "files");
    let patterns = patterns.map_or("", |entry| &entry.value);
    let path = words(patterns).find_map(|pattern| {
        let (directory, file_pattern) = (dirname(pattern), basename(pattern));
        let is_plain = !directory.contains(['*', '?', '[', '%']);
        let extension = file_pattern.strip_prefix('*')?;
        let file_name = format!("{name}{extension}");
        // A name that begins with a dot matches no pattern.
        let is_read = !file_name.starts_with('.') && matches_name(file_pattern, &file_name);
        let is_it = is_plain && PATTERNS.contains(&file_pattern) && is_read;
        is_it.then(|| join(&join(&places.here, directory), &file_name))
    });
    let Some(path) = path else {
        return NewProgramPlace::Append(0);
    };
    match places.files.iter().position(|file| *file == path) {
        Some(file) => NewProgramPlace::Append(file),
        None => NewProgramPlace::NewFile(path),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::load_with_places;
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;
    use super::*;

    fn places(files: &[(&str, &str)]) -> KeyPlaces {
        let machine = files.iter().fold(Fake::default(), |machine, (path, text)| {
            machine.with(path, text)
        });
        let read = load_with_places(files[0].0, &DaemonOptions::default(), &machine);
        read.expect("valid").1
    }

    #[test]
    fn a_program_comes_from_all_files_with_its_section() {
        let places = places(&[
            (
                "/etc/s.conf",
                "[supervisord]\n[program:a]\ncommand=a\n[include]\nfiles=d/*.conf\n",
            ),
            (
                "/etc/d/b.conf",
                "[program: b ]\ncommand=b\n\n[program:a]\nautostart=no\n",
            ),
        ]);
        let shown = |program: &str| {
            let origin = origin_of(&places, program)?;
            let shown = |place: &OriginPlace| format!("{} {}", place.file, place.place);
            let shown: Vec<String> = origin.places.iter().map(shown).collect();
            Some(format!("{}: {}", origin.section, shown.join(", ")))
        };
        let both = "program:a: 0 /etc/s.conf:2, 1 /etc/d/b.conf:4";
        assert_eq!(shown("a").as_deref(), Some(both));
        assert_eq!(
            shown("b").as_deref(),
            Some("program: b : 1 /etc/d/b.conf:1")
        );
        assert_eq!(shown("c"), None);
    }

    #[test]
    fn a_new_program_gets_a_file_of_its_own_if_a_pattern_reads_it() {
        let new_file = |path: &str| NewProgramPlace::NewFile(path.to_owned());
        for (include, expected) in [
            ("", NewProgramPlace::Append(0)),
            ("[include]\nfiles=d/*.conf\n", new_file("/etc/d/new.conf")),
            (
                "[include]\nfiles=%(here)s/x/*.ini d/*.conf\n",
                new_file("/etc/x/new.ini"),
            ),
            (
                "[include]\nfiles=/srv/*/p/*.conf p*.conf d/?.conf\n",
                NewProgramPlace::Append(0),
            ),
            (
                "[include]\nfiles=%(host_node_name)s/*.conf /srv/*.conf\n",
                new_file("/srv/new.conf"),
            ),
            ("[include]\nfiles=e/*.conf\n", NewProgramPlace::Append(1)),
        ] {
            let main = format!("[supervisord]\n{include}");
            let places = places(&[
                ("/etc/s.conf", &main),
                ("/etc/e/new.conf", "[program:a]\ncommand=a\n"),
            ]);
            assert_eq!(place_of_new(&places, "new", None), expected, "{include}");
            assert_eq!(
                place_of_new(&places, "new", Some(7)),
                NewProgramPlace::Append(7)
            );
        }
        let text = "[supervisord]\n[include]\nfiles=d/*.conf\n";
        let machine = Fake::default().with("/start/s.conf", text);
        let read = load_with_places("s.conf", &DaemonOptions::default(), &machine);
        let (_, places) = read.expect("valid");
        let new = |name: &str| place_of_new(&places, name, None);
        assert_eq!(new("new"), new_file("/start/d/new.conf"));
        assert_eq!(new(".new"), NewProgramPlace::Append(0));
    }
}
