//! How the code is arranged: files use each other in one direction, and files and functions are short.

use std::collections::{BTreeMap, BTreeSet};

use super::sources;

/// Rooms in which no files use each other in a circle.
const ROOMS: &[&str] = &["core", "output", "ctl", "server", "hub", "web"];

/// Maximum number of code lines of a file: without tests, comments and blank lines.
const FILE_LINES_MAX: usize = 500;
/// Maximum number of code lines of a function, with its signature.
const FUNCTION_LINES_MAX: usize = 80;

/// The text without its `#[cfg(test)]` items.
fn without_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start() != "#[cfg(test)]" {
            code.push_str(line);
            code.push('\n');
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_end = |line: &str| {
            let rest = line.strip_prefix(indent).unwrap_or_default();
            let is_first = !rest.starts_with([' ', '#', '}']) && rest.ends_with([';', '}']);
            is_first || rest == "}" || rest == "};"
        };
        // The item ends on its own first line, or with a bracket below it.
        let _ = lines.by_ref().find(|line| is_end(line));
    }
    code
}

fn is_code(line: &str) -> bool {
    let line = line.trim_start();
    !line.is_empty() && !line.starts_with("//")
}

/// The sources without tests, by path below `src`.
fn code_files() -> BTreeMap<String, String> {
    let is_test = |file: &str| {
        file.contains("/tests/") || file.ends_with("/tests.rs") || file.ends_with("_tests.rs")
    };
    sources()
        .into_iter()
        .filter(|(file, _)| !is_test(file))
        .map(|(file, text)| (file, without_tests(&text)))
        .collect()
}

/// The functions of a file with their numbers of code lines. Of several with one name, the longest counts.
fn functions(text: &str) -> BTreeMap<String, usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = BTreeMap::new();
    for (begin, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let words: Vec<&str> = line.split_whitespace().collect();
        let Some(place) = words.iter().position(|word| *word == "fn") else {
            continue;
        };
        let is_qualifier = |word: &str| {
            word.starts_with("pub")
                || matches!(word, "const" | "async" | "unsafe" | "in")
                || word.ends_with(')')
                || word.starts_with('"')
                || word == "extern"
        };
        if !words[..place].iter().all(|word| is_qualifier(word)) {
            continue;
        }
        let name = words.get(place + 1).copied().unwrap_or_default();
        let name = name.split(['(', '<']).next().unwrap_or_default();
        let end = format!("{indent}}}");
        let is_short = line.ends_with(['}', ';']);
        let length = match is_short {
            true => 1,
            false => {
                let body = lines[begin..].iter().take_while(|line| **line != end);
                body.filter(|line| is_code(line)).count() + 1
            }
        };
        let longest: &mut usize = found.entry(name.to_owned()).or_default();
        *longest = length.max(*longest);
    }
    found
}

#[test]
fn files_are_short() {
    let lengths = code_files()
        .into_iter()
        .map(|(file, text)| (file, text.lines().filter(|line| is_code(line)).count()));
    let long = lengths.filter(|(_, lines)| *lines > FILE_LINES_MAX);
    let long: BTreeMap<_, _> = long.collect();
    assert!(
        long.is_empty(),
        "more than {FILE_LINES_MAX} lines: {long:#?}"
    );
}

#[test]
fn functions_are_short() {
    let mut long = BTreeMap::new();
    for (file, text) in code_files() {
        let of_file = functions(&text).into_iter();
        let too_long = of_file.filter(|(_, lines)| *lines > FUNCTION_LINES_MAX);
        long.extend(too_long.map(|(name, lines)| (format!("{file}: {name}"), lines)));
    }
    assert!(
        long.is_empty(),
        "more than {FUNCTION_LINES_MAX} lines: {long:#?}"
    );
}

/// The paths of a `use` tree, without names after `as`: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn use_paths(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return Vec::from_iter((!path.is_empty()).then(|| path.to_owned()));
    };
    let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
    let mut depth = 0;
    let branches = inside.split(|c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    });
    let paths = branches.flat_map(use_paths);
    paths
        .map(|path| format!("{}{path}", prefix.trim()))
        .collect()
}

/// Joins the paths of a module and of something in it.
fn joined(module: &str, name: &str) -> String {
    match (module, name) {
        ("", path) | (path, "") => path.to_owned(),
        _ => format!("{module}::{name}"),
    }
}

/// One file of a room.
#[derive(Default)]
struct Module {
    /// The paths that it names, as they are written.
    paths: BTreeSet<String>,
    /// The paths that it only passes on, with `pub use`.
    passed_on: Vec<String>,
}

impl Module {
    fn read(text: &str) -> Self {
        let mut module = Self::default();
        let code: String = text
            .lines()
            .filter(|line| is_code(line))
            .map(|line| format!("{line}\n"))
            .collect();
        for (place, word) in code.match_indices("use ") {
            let before = code[..place].rsplit(['\n', ';', '{', '}']).next();
            let before = before.unwrap_or_default().trim();
            let is_passed_on =
                before == "pub" || before.starts_with("pub(") && before.ends_with(')');
            let tree = code[place + word.len()..].split(';').next();
            let paths = use_paths(tree.unwrap_or_default());
            match is_passed_on {
                true => module.passed_on.extend(paths),
                false if before.is_empty() => module.paths.extend(paths),
                false => {}
            }
        }
        let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
        let in_code = code.split(|c| !is_path(c));
        let in_code = in_code.filter(|path| path.contains("::") && !path.ends_with(':'));
        module.paths.extend(in_code.map(str::to_owned));
        for path in &module.passed_on {
            module.paths.remove(path);
        }
        module
    }
}

/// The files of a room as a tree of modules.
struct Modules<'a> {
    room: &'a str,
    /// By path below the room, such as `dbus::bus`; the file of the room itself has the empty path.
    files: BTreeMap<String, Module>,
}

impl<'a> Modules<'a> {
    fn of(room: &'a str) -> Self {
        let files = code_files().into_iter().filter_map(|(file, text)| {
            let path = file.strip_prefix(room)?.strip_prefix('/')?;
            let path = path.strip_suffix(".rs")?.replace('/', "::");
            let path = match path.strip_suffix("mod") {
                Some(directory) => directory.trim_end_matches(':').to_owned(),
                None => path,
            };
            Some((path, Module::read(&text)))
        });
        let files: BTreeMap<_, _> = files.collect();
        assert!(!files.is_empty(), "{room} has no files");
        Self { room, files }
    }

    /// The module to which `path`, seen from the module `from`, leads. An item that a module only passes on belongs to
    /// the module that it comes from. `None`: it leads out of the room.
    fn find(&self, from: &str, path: &[&str]) -> Option<String> {
        let mut module = from.to_owned();
        let mut rest = path;
        while let Some((first, behind)) = rest.split_first() {
            let below = joined(&module, first);
            if !self.files.contains_key(&below) {
                break;
            }
            (module, rest) = (below, behind);
        }
        let file = self.files.get(&module)?;
        let is_item = |path: &&String| {
            rest.first()
                .is_some_and(|item| path.rsplit("::").next() == Some(item))
        };
        match file.passed_on.iter().find(is_item) {
            Some(path) => self.follow(&module, path),
            None => Some(module),
        }
    }

    /// Like [`Modules::find`], for a path as it is written in `module`.
    fn follow(&self, module: &str, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split("::").collect();
        let mut from = module;
        match parts.as_slice() {
            // Without a rest, a visibility: `pub(in crate::room)`.
            ["crate", room, rest @ ..] if *room == self.room && !rest.is_empty() => {
                self.find("", rest)
            }
            ["self", rest @ ..] => self.find(module, rest),
            ["super", ..] => {
                let ups = parts.iter().take_while(|part| **part == "super").count();
                for _ in 0..ups {
                    // Above the room are other rooms.
                    (!from.is_empty()).then_some(())?;
                    from = from.rsplit_once("::").map_or("", |(above, _)| above);
                }
                self.find(from, &parts[ups..])
            }
            // A module names the modules below it without a prefix.
            [first, ..] if self.files.contains_key(&joined(module, first)) => {
                self.find(module, &parts)
            }
            _ => None,
        }
    }

    /// The other modules that a module uses.
    fn used_by(&self, module: &str) -> BTreeSet<String> {
        let paths = self.files[module].paths.iter();
        let used = paths.filter_map(|path| self.follow(module, path));
        used.filter(|used| used != module).collect()
    }

    /// The modules that use each other in circles: those that are left after all others have been taken away, one by one,
    /// that use none of the rest or are used by none of it. Each with what it uses of the rest.
    fn circles(&self) -> BTreeMap<String, BTreeSet<String>> {
        let names = self.files.keys();
        let mut left: BTreeMap<String, BTreeSet<String>> = names
            .map(|name| (name.clone(), self.used_by(name)))
            .collect();
        loop {
            let there: BTreeSet<String> = left.keys().cloned().collect();
            for used in left.values_mut() {
                used.retain(|used| there.contains(used));
            }
            let wanted: BTreeSet<String> = left.values().flatten().cloned().collect();
            left.retain(|name, used| !used.is_empty() && wanted.contains(name));
            if left.len() == there.len() {
                return left;
            }
        }
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut found = BTreeMap::new();
    for room in ROOMS {
        let circles = Modules::of(room).circles();
        if !circles.is_empty() {
            found.insert(*room, circles);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn circles_are_found_behind_what_a_module_passes_on() {
    let text = |text: &str| Module::read(text);
    let room = Modules {
        room: "room",
        files: BTreeMap::from([
            (String::new(), text("pub use a::A;\nmod a;")),
            (
                "a".to_owned(),
                text("use super::dir::{self, inner::{C, D}};\nfn f() { dir::g() }"),
            ),
            (
                "dir".to_owned(),
                text("pub(super) use inner::g;\nmod inner;"),
            ),
            (
                "dir::inner".to_owned(),
                text("fn h() -> crate::room::A { super::super::b::X }"),
            ),
            (
                "b".to_owned(),
                text("use std::fmt;\nuse crate::domain::a;\n// use super::a;"),
            ),
        ]),
    };
    let used = |module| Vec::from_iter(room.used_by(module));
    assert_eq!(used("a"), ["dir", "dir::inner"]);
    assert_eq!(used("dir::inner"), ["a", "b"]);
    assert!(used("b").is_empty() && used("").is_empty());
    assert_eq!(
        Vec::from_iter(room.circles().into_keys()),
        ["a", "dir::inner"]
    );
}

#[test]
fn lines_of_code_are_counted_without_tests() {
    let text = "//! Doc.\n\nfn short() {}\n\nimpl A {\n    pub(in crate::a) async fn long(\n        x: u8,\n    ) -> u8 {\n        // Why.\n        x\n    }\n}\n\n#[cfg(test)]\nmod a_tests;\nconst A: u8 = 1;\n\n#[cfg(test)]\nmod tests {\n    fn other() {\n    }\n}\n";
    let code = without_tests(text);
    assert!(code.ends_with("const A: u8 = 1;\n\n"), "{code}");
    assert_eq!(code.lines().filter(|line| is_code(line)).count(), 9);
    let expected = [("long", 5), ("short", 1)].map(|(name, lines)| (name.to_owned(), lines));
    assert_eq!(functions(&code), BTreeMap::from(expected));
}
