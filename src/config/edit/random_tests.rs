//! Edits of random texts: an addition is undone by a removal, and no other section changes.

use proptest::prelude::*;

use super::super::ini::{Ini, universal_newlines};
use super::file_lines::{FileLine, FileLines};
use super::*;

/// Lines that matter to the dialect.
const LINES: &[&str] = &[
    "",
    "",
    "  ",
    "; comment",
    "# comment",
    ";key=old",
    "  ; indented",
    "[s]",
    "[t] ; comment",
    "  [u]",
    "[program:x]",
    "[program:y]",
    "[program: z]",
    "[group:g]",
    "[DEFAULT]",
    "programs=x",
    "programs=y, x ; both",
    "programs=y,",
    "  x",
    "a=1",
    "A = 2 ; comment",
    " b:3",
    "    continued",
    "c=",
    "d=x;y ;cut #d",
    "bad line",
    "=1",
    "depends_on=x",
];

fn text() -> impl Strategy<Value = String> {
    let line = prop::sample::select(LINES);
    let end = prop::sample::select(&["\n", "\r\n", "\r"][..]);
    let mark = prop::sample::select(&["", "", "", "\u{feff}"][..]);
    let parts = (mark, prop::collection::vec(line, 0..25), end, any::<bool>());
    parts.prop_map(|(mark, lines, end, is_bare)| {
        let mut text = lines.join(end);
        if !is_bare && !lines.is_empty() {
            text.push_str(end);
        }
        format!("{mark}{text}")
    })
}

/// The sections as the parser reads them, without those that `is_hidden` names.
fn sections(text: &str, is_hidden: impl Fn(&str) -> bool) -> Vec<String> {
    let mut ini = Ini::default();
    let _ = ini.read("f", 0, &universal_newlines(text));
    let sections = ini.sections().iter().chain([&ini.defaults]);
    sections
        .filter(|section| !is_hidden(&section.name))
        .map(|section| {
            let entries = section.entries.iter();
            let entries: Vec<_> = entries.map(|entry| (&entry.key, &entry.value)).collect();
            format!("{} {entries:?}", section.name)
        })
        .collect()
}

/// Whether all bytes before the first place of `[program:x]` and behind its last one are the same.
fn is_equal_outside(old: &str, new: &str) -> bool {
    let file = FileLines::new(old);
    let mut places = file.blocks.iter().filter(|block| block.name == "program:x");
    let bytes = |lines: &[FileLine<'_>]| lines.iter().map(|line| line.text.len()).sum::<usize>();
    let Some(first) = places.next() else {
        return old == new;
    };
    let last = places.next_back().unwrap_or(first);
    let before = old.len() - bytes(&file.lines[first.header..]);
    let behind = old.len() - bytes(&file.lines[last.end..]);
    new.starts_with(&old[..before]) && new.ends_with(&old[behind..])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_addition_is_undone_by_a_removal(old in text(), body in text()) {
        let new = format!("; above\n[program:new]\ncommand=c\n{}", body.replace(['[', '\u{feff}'], "e="));
        let texts = ConfigTexts::new([("f", old.as_str())]).expect("one line end");
        match texts.add(0, &new) {
            Ok(edit) => {
                let added = &edit.files[0].text;
                prop_assert!(added.contains("[program:new]"));
                let is_new = |name: &str| name == "program:new";
                prop_assert_eq!(sections(&old, |_| false), sections(added, is_new));
                let again = ConfigTexts::new([("f", added.as_str())]).expect("one line end");
                let removed = again.remove("new").expect("removable");
                prop_assert_eq!(&removed.files[0].text, &old);
            }
            Err(error) => {
                let is_expected = matches!(
                    error,
                    EditError::SectionText { problem: SectionTextProblem::NotKey, .. }
                );
                prop_assert!(is_expected, "{}", error);
            }
        }
    }

    #[test]
    fn a_removal_changes_nothing_else(old in text()) {
        let texts = ConfigTexts::new([("f", old.as_str())]).expect("one line end");
        let Ok(edit) = texts.remove("x") else { return Ok(()) };
        let new = &edit.files[0].text;
        let is_own = |name: &str| name == "program:x" || name.starts_with("group:");
        prop_assert_eq!(sections(&old, is_own), sections(new, is_own));
        prop_assert!(ConfigTexts::new([("f", new.as_str())]).expect("one line end").section_text("x").is_err());
    }

    #[test]
    fn the_same_text_changes_nothing_and_is_read_the_same(old in text()) {
        let texts = ConfigTexts::new([("f", old.as_str())]).expect("one line end");
        let Ok(text) = texts.section_text("x") else { return Ok(()) };
        let before = sections(&old, |_| false);
        match texts.replace("x", &text) {
            Ok(edit) => {
                let new = edit.files.first().map_or(old.as_str(), |file| &file.text);
                let mut after = sections(new, |_| false);
                let mut before = before;
                // The keys of several places may change their order.
                after.retain(|section| !section.starts_with("program:x"));
                before.retain(|section| !section.starts_with("program:x"));
                prop_assert_eq!(before, after);
                if edit.notes.is_empty() {
                    prop_assert_eq!(edit.files, []);
                }
            }
            Err(error) => {
                let is_expected = matches!(error, EditError::SectionText { .. } | EditError::Entangled { .. });
                prop_assert!(is_expected, "{}", error);
            }
        }
    }

    #[test]
    fn a_key_changes_only_its_lines(old in text(), value in "[a-c;#%=\\[\n ]{0,8}") {
        let texts = ConfigTexts::new([("f", old.as_str())]).expect("one line end");
        let edits = [KeyEdit { key: "a", value: Some(&value) }];
        let Ok(edit) = texts.set_keys("x", &edits) else { return Ok(()) };
        let Some(file) = edit.files.first() else { return Ok(()) };
        let is_own = |name: &str| name == "program:x";
        prop_assert_eq!(sections(&old, is_own), sections(&file.text, is_own));
        let mut ini = Ini::default();
        let _ = ini.read("f", 0, &universal_newlines(&file.text));
        let entry = ini.get("program:x", "a").expect("set");
        prop_assert_eq!(&entry.value, &value);
        prop_assert!(is_equal_outside(&old, &file.text));
    }

    #[test]
    fn a_replacement_changes_only_the_section(old in text(), body in text()) {
        let texts = ConfigTexts::new([("f", old.as_str())]).expect("one line end");
        let new = format!("[program:x]\ncommand=c\n{}", body.replace(['[', '\u{feff}'], "e="));
        let Ok(edit) = texts.replace("x", &new) else { return Ok(()) };
        let changed = edit.files.first().map_or(old.as_str(), |file| &file.text);
        let is_own = |name: &str| name == "program:x";
        prop_assert_eq!(sections(&old, is_own), sections(changed, is_own));
        prop_assert!(is_equal_outside(&old, changed), "{}", changed);
        let again = ConfigTexts::new([("f", changed)]).expect("one line end");
        prop_assert_eq!(again.replace("x", &new).expect("replaceable").files, []);
    }
}
