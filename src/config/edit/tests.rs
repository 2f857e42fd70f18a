//! Edits of small texts, with what must change and what must not.

use super::*;

fn one(text: &str) -> ConfigTexts<'_> {
    ConfigTexts::new([("f", text)]).expect("readable")
}

/// The new text of the only file, or the old one.
fn made(text: &str, edit: Result<TextEdit, EditError>) -> String {
    match edit {
        Ok(edit) => edit
            .files
            .into_iter()
            .next()
            .map_or(text.to_owned(), |file| file.text),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_section_is_added_after_the_last_line() {
    const NEW: &str = "[program:x]\ncommand=c\n";
    for (text, expected) in [
        ("", "[program:x]\ncommand=c\n"),
        ("\n\n", "[program:x]\ncommand=c\n\n\n"),
        ("[s]\na=1\n", "[s]\na=1\n\n[program:x]\ncommand=c\n"),
        ("[s]\na=1", "[s]\na=1\n\n[program:x]\ncommand=c"),
        ("[s]\na=1\n\n\n", "[s]\na=1\n\n[program:x]\ncommand=c\n\n\n"),
        (
            "[s]\r\na=1\r\n",
            "[s]\r\na=1\r\n\r\n[program:x]\r\ncommand=c\r\n",
        ),
        ("[s]\ra=1\r", "[s]\ra=1\r\r[program:x]\rcommand=c\r"),
        (
            "\u{feff}[s]\n; c\n",
            "\u{feff}[s]\n; c\n\n[program:x]\ncommand=c\n",
        ),
    ] {
        let added = made(text, one(text).add(0, NEW));
        assert_eq!(added, expected, "{text:?}");
        assert_eq!(made(&added, one(&added).remove("x")), text, "{text:?}");
    }
}

#[test]
fn a_text_is_one_section_of_a_program() {
    for (text, expected) in [
        ("", "line 1: expected the header [program:NAME]"),
        (
            "; c\ncommand=c\n[program:x]\n",
            "line 2: expected the header [program:NAME]",
        ),
        (
            "[program:x]\n[program:y]\n",
            "line 2: expected one section, found a second header",
        ),
        (
            "\n[group:x]\n",
            "line 2: expected [program:NAME], found another kind of section",
        ),
        (
            "[program:x]\nautostart\n",
            "line 2: expected `key = value` or a comment that begins with ; or #",
        ),
        (
            "[program:x]\n=1\n",
            "line 2: expected `key = value` or a comment that begins with ; or #",
        ),
        (
            "[program:a b]\n",
            "Invalid name: 'a b' because of character: ' ' (names cannot contain blanks, colons, slashes or control characters)",
        ),
        (
            "[program:]\n",
            "the name is empty (names cannot contain blanks, colons, slashes or control characters)",
        ),
        ("[program:a]\n", "a exists already: [program:a] at f:2"),
        ("[program:g]\n", "g exists already: [group:g] at f:4"),
    ] {
        let old = "\n[program:a]\ncommand=a\n[group:g]\nprograms=a\n";
        assert_eq!(made(old, one(old).add(0, text)), expected, "{text:?}");
    }
    assert_eq!(one("").add(1, "[program:x]\n"), Err(EditError::NoFile(1)));
}

#[test]
fn blank_lines_and_indentation_of_a_text_cannot_tear_it_from_its_comments() {
    let text = "\n\n; above\n\n  [program:x]\n  command=c\n\n\n; below\n\n";
    let old = "[s]\na=1\n";
    let expected = "[s]\na=1\n\n; above\n[program:x]\n  command=c\n; below\n";
    let added = made(old, one(old).add(0, text));
    assert_eq!(added, expected);
    assert_eq!(made(&added, one(&added).remove("x")), old);
}

#[test]
fn a_removal_removes_the_section_with_its_comments() {
    for (row, text, expected) in [
        (
            "comments above and below",
            "[a]\nk=1\n\n; x\n;\n[program:x]\ncommand=c\n; y\n\n[b]\n",
            "[a]\nk=1\n\n[b]\n",
        ),
        (
            "a blank line separates comments from the section",
            "[a]\n\n; x\n\n[program:x]\ncommand=c\n\n; y\n\n[b]\n",
            "[a]\n\n; x\n\n; y\n\n[b]\n",
        ),
        (
            "comments between two sections belong to the lower one",
            "[program:x]\ncommand=c\n; of b\n[b]\nk=1\n",
            "; of b\n[b]\nk=1\n",
        ),
        (
            "a commented-out key belongs to the section above",
            "[b]\nk=1\n;other=2\n; of x\n[program:x]\ncommand=c\n;autostart=no\n[c]\n",
            "[b]\nk=1\n;other=2\n[c]\n",
        ),
        (
            "first in the file",
            "[program:x]\ncommand=c\n\n\n[b]\n",
            "[b]\n",
        ),
        (
            "a value of several lines, with comments and blank lines inside",
            "[a]\n\n[program:x]\nenvironment=A=1,\n ; c\n\n  B=2\n\n[b]\n",
            "[a]\n\n[b]\n",
        ),
        (
            "last, without a line end",
            "[a]\n\n[program:x]\ncommand=c",
            "[a]",
        ),
        (
            "several times",
            "[program:x]\ncommand=c\n\n[a]\n\n[program:x]\nnumprocs=2\n\n[b]\n",
            "[a]\n\n[b]\n",
        ),
        ("blanks in the header", "[a]\n[program: x ]\nk=1\n", "[a]\n"),
        (
            "lines that cannot be parsed",
            "nothing\n[a]\nfoo\n[program:x]\nbar\n[b]\n",
            "nothing\n[a]\nfoo\n[b]\n",
        ),
    ] {
        assert_eq!(made(text, one(text).remove("x")), expected, "{row}");
    }
    assert_eq!(
        one("").remove("x"),
        Err(EditError::NotFound("x".to_owned()))
    );
}

#[test]
fn a_removed_program_leaves_its_groups() {
    let program = "[program:x]\ncommand=c\n";
    for (group, expected) in [
        ("programs=x", ""),
        ("priority=1\nprograms = x,x", ""),
        ("programs=x,b", "[group:g]\nprograms=b\n"),
        (
            "programs = a, x , b ; all",
            "[group:g]\nprograms = a, b ; all\n",
        ),
        ("programs=a,x", "[group:g]\nprograms=a\n"),
        ("programs=a, x ; all", "[group:g]\nprograms=a ; all\n"),
        ("programs=xx,x,x-y", "[group:g]\nprograms=xx,x-y\n"),
        (
            "Programs:\n  a,\n  x, ; mine\n  b",
            "[group:g]\nPrograms:\n  a,\n  b\n",
        ),
        (
            "programs=\n  a,\n  ; two\n  x",
            "[group:g]\nprograms=\n  a\n  ; two\n",
        ),
        ("programs=a\n  ,x", "[group:g]\nprograms=a\n"),
        ("programs=x,\n  a", "[group:g]\nprograms=\n  a\n"),
        ("programs=a,b", "[group:g]\nprograms=a,b\n"),
    ] {
        let text = format!("{program}\n[group:g]\n{group}\n");
        assert_eq!(made(&text, one(&text).remove("x")), expected, "{group}");
    }
    let text = "[program:x]\n\n[group:g]\nprograms=x,a\n\n[group:h]\nprograms=x\n";
    let notes = one(text).remove("x").expect("removed").notes;
    let notes: Vec<String> = notes.iter().map(EditNote::to_string).collect();
    assert_eq!(
        notes,
        [
            "changed the programs of [group:g] at f:3",
            "removed [group:h] at f:6, which has no other program",
        ]
    );
}

#[test]
fn a_program_that_others_need_stays() {
    for (others, expected) in [
        (
            "[program:a]\ndepends_on=y x:healthy\n",
            "depends_on of [program:a] at f:3",
        ),
        (
            "[program:a]\nrestart_with=x\n",
            "restart_with of [program:a] at f:3",
        ),
        (
            "[program:a]\ndepends_on=x:x:ready\n",
            "depends_on of [program:a] at f:3",
        ),
        (
            "[program:a]\ndepends_on=x:*\n",
            "depends_on of [program:a] at f:3",
        ),
        (
            "[program:a]\ndependent_startup_wait_for=y:exited x\n",
            "dependent_startup_wait_for of [program:a] at f:3",
        ),
        (
            "[program-default]\ndepends_on=x\n",
            "depends_on of [program-default] at f:3",
        ),
        (
            "[DEFAULT]\ndepends_on=x\n",
            "depends_on of [DEFAULT] at f:3",
        ),
        (
            "[supervisord]\nexit_when=x\n",
            "exit_when of [supervisord] at f:3",
        ),
        (
            "[group:g]\nprograms=x\n[program:a]\ndepends_on=g\n",
            "depends_on of [program:a] at f:5",
        ),
        (
            "[group:g]\nprograms=x,b\n[program:a]\ndepends_on=g:x_01\n",
            "depends_on of [program:a] at f:5",
        ),
        (
            "[group:g]\nprograms=x,b\n[program:a]\ndepends_on=g g:b g:* y\n",
            "",
        ),
        ("[program:a]\ndepends_on=xx\nrestart_with=x2\n", ""),
        ("[supervisord]\nexit_when=all-exited\n", ""),
    ] {
        let text = format!("[program:x]\n{others}");
        match one(&text).remove("x") {
            Ok(_) => assert_eq!(expected, "", "{others}"),
            Err(error) => {
                assert_eq!(
                    error.to_string(),
                    format!("x is needed by {expected}"),
                    "{others}"
                );
                let renamed = one(&text).replace("x", "[program:z]\n");
                assert_eq!(renamed, Err(error), "{others}");
            }
        }
    }
    let own = "[program:x]\ndepends_on=x\n";
    assert_eq!(made(own, one(own).remove("x")), "");
}

#[test]
fn a_replacement_changes_only_the_section() {
    for (row, text, new, expected) in [
        (
            "the comment above stays",
            "[a]\n\n; x\n[program:x]\ncommand=c\n; y\n\n; z\n[b]\n",
            "[program:x]\ncommand=d\nnumprocs=2\n",
            "[a]\n\n; x\n[program:x]\ncommand=d\nnumprocs=2\n\n; z\n[b]\n",
        ),
        (
            "comments of the new text replace it",
            "[a]\n; x\n[program:x]\ncommand=c\n[b]\n",
            "; new\n[program:x]\ncommand=d\n; below\n",
            "[a]\n\n; new\n[program:x]\ncommand=d\n; below\n\n[b]\n",
        ),
        (
            "a comment at the end does not become that of the next section when a second place goes",
            "[program:x]\n\n[program:x]\n[b]\n",
            "[program:x]\ncommand=d\n; below\n",
            "[program:x]\ncommand=d\n; below\n\n[b]\n",
        ),
        (
            "line ends of the file",
            "[a]\r\n[program:x]\r\ncommand=c\r\n[b]\r\n",
            "[program:x]\ncommand=d\n",
            "[a]\r\n[program:x]\r\ncommand=d\r\n[b]\r\n",
        ),
        (
            "another name renames the program in its groups",
            "[program:x]\ncommand=c\n[group:g]\nprograms=a, x,x2 ; c\n",
            "[program:new]\ncommand=c\n",
            "[program:new]\ncommand=c\n[group:g]\nprograms=a, new,x2 ; c\n",
        ),
        (
            "a name that exists",
            "[program:x]\n[program:a]\n",
            "[program:a]\n",
            "a exists already: [program:a] at f:2",
        ),
        (
            "the lines below would be read as a part of the value",
            "[program:x]\n  command=c\n  [b]\n  k=1\n",
            "[program:x]\ncommand=c\n",
            "f:3: the edit would change the meaning of [b] (check the indentation of its lines)",
        ),
    ] {
        let replaced = made(text, one(text).replace("x", new));
        assert_eq!(replaced, expected, "{row}");
        if replaced.contains("command=d") {
            assert_eq!(
                made(&replaced, one(&replaced).replace("x", new)),
                expected,
                "{row}"
            );
        }
    }
}

#[test]
fn a_section_in_several_files_is_joined() {
    let main = "[program:x]\ncommand=c\nnumprocs=1\n\n[a]\n\n[program:x]\n  autostart=no\n";
    let texts = [
        ("main", main),
        ("more", "[b]\n\n; more\n[program:x]\nnumprocs=2\n"),
    ];
    let texts = ConfigTexts::new(texts).expect("readable");
    let text = texts.section_text("x").expect("there");
    // The indented key would continue the value before it.
    assert_eq!(text, "[program:x]\ncommand=c\nnumprocs=2\nautostart=no\n");
    let edit = texts.replace("x", &text).expect("replaced");
    let files: Vec<&str> = edit.files.iter().map(|file| file.text.as_str()).collect();
    assert_eq!(files, [format!("{text}\n[a]\n").as_str(), "[b]\n"]);
    assert_eq!(
        edit.notes[0].to_string(),
        "[program:x] was in several places; removed those at main:7, more:4"
    );
    let set = |key, value| {
        let edit = texts.set_keys("x", &[KeyEdit { key, value }]).expect("set");
        let files = edit.files.into_iter();
        files.map(|file| (file.file, file.text)).collect::<Vec<_>>()
    };
    assert_eq!(
        set("numprocs", Some("3")),
        [(1, "[b]\n\n; more\n[program:x]\nnumprocs=3\n".to_owned())]
    );
    assert_eq!(
        set("startsecs", Some("3")),
        [(0, main.replace("numprocs=1\n", "numprocs=1\nstartsecs=3\n"))]
    );
    let without = |text: &str| text.replace("numprocs=1\n", "");
    assert_eq!(
        set("numprocs", None),
        [
            (0, without(main)),
            (1, "[b]\n\n; more\n[program:x]\n".to_owned())
        ]
    );
    let removed = texts.remove("x").expect("removed");
    let files: Vec<&str> = removed
        .files
        .iter()
        .map(|file| file.text.as_str())
        .collect();
    assert_eq!(files, ["[a]\n", "[b]\n"]);
}

#[test]
fn a_copy_has_a_new_name() {
    let text = "[group:g]\nprograms=x\n\n; about x\n[program:x] ; mine\ncommand=c ; c\n;k=v\n\n[b]";
    let texts = one(text);
    assert_eq!(
        made(text, texts.copy("x", "y", 0)),
        format!("{text}\n\n[program:y] ; mine\ncommand=c ; c\n;k=v")
    );
    let copied = texts.copy_text("x", "y");
    assert_eq!(
        copied.as_deref(),
        Ok("[program:y] ; mine\ncommand=c ; c\n;k=v\n")
    );
    assert_eq!(texts.suggest_copy("x"), "x-copy");
    let more = "[program:x]\n[program:x-copy]\n[eventlistener:x-copy-2]\n[fcgi-program:x-copy-3]\n";
    assert_eq!(one(more).suggest_copy("x"), "x-copy-4");
    for name in ["", "a b", "a:b", "a/b", "a\nb", "a\t;b"] {
        let error = texts.copy("x", name, 0).expect_err("refused");
        assert!(
            matches!(error, EditError::InvalidName { .. }),
            "{name:?}: {error}"
        );
    }
    let error = texts.copy("x", "g", 0).expect_err("refused");
    assert_eq!(error.to_string(), "g exists already: [group:g] at f:1");
}

#[test]
fn a_key_is_set_in_its_own_lines() {
    for (row, text, value, expected) in [
        ("plain", "k=1\nl=2\n", Some("3"), "k=3\nl=2\n"),
        ("the spelling stays", "K  :  1\n", Some("3"), "K  :  3\n"),
        (
            "the comment stays",
            "k = 1   ; why\n",
            Some("a b"),
            "k = a b   ; why\n",
        ),
        ("empty before", "k = ; why\n", Some("3"), "k = 3 ; why\n"),
        ("empty after", "k=1 ; why\n", Some(""), "k= ; why\n"),
        ("percent", "k=1\n", Some("%(x)s 50%"), "k=%(x)s 50%\n"),
        (
            "several lines before",
            "k=1\n ; c\n\n  2 ; d\nl=3\n",
            Some("4"),
            "k=4\n ; c\nl=3\n",
        ),
        (
            "several lines after",
            "k=1\nl=2\n",
            Some("a\r\n\nb"),
            "k=a\n\n    b\nl=2\n",
        ),
        (
            "a value on its own lines",
            "  k=1\n",
            Some("\na\nb"),
            "  k=\n      a\n      b\n",
        ),
        ("the last one counts", "k=1\nk=2\n", Some("3"), "k=1\nk=3\n"),
        (
            "new",
            "l=2\n  m\n;n=1\n\n",
            Some("3"),
            "l=2\n  m\nk=3\n;n=1\n\n",
        ),
        (
            "new, as written above",
            "  l = 2\n",
            Some("3"),
            "  l = 2\n  k = 3\n",
        ),
        ("new and first", "; c\n", Some("3"), "k=3\n; c\n"),
        (
            "a comment that the new value would hide",
            "k=1 ;cut #d\n",
            Some("x;y"),
            ";cut #d\nk=x;y\n",
        ),
        ("removed", "k=1\n ; c\n 2\nl=2\nK=3\n", None, " ; c\nl=2\n"),
        ("nothing to remove", "l=2\n", None, "l=2\n"),
        ("no line end", "k=1", Some("3"), "k=3"),
    ] {
        let text = format!("[s]\na=1\n\n[program:x]\n{text}");
        let edit = one(&text).set_keys("x", &[KeyEdit { key: "k", value }]);
        let expected = format!("[s]\na=1\n\n[program:x]\n{expected}");
        assert_eq!(made(&text, edit), expected, "{row}");
    }
}

#[test]
fn keys_and_values_that_a_file_cannot_express_are_refused() {
    const COMMENT: &str = "`;` and `#` at the beginning or after a blank begin a comment, which the file format cannot quote";
    const BLANK: &str = "the file format loses blanks at the beginning and the end of a line, and line feeds at the end";
    let text = "[program:x]\ncommand=c\n";
    for (key, value, expected) in [
        ("k", "a ;b", format!("k, line 1 of the value: {COMMENT}")),
        (
            "k",
            "\"a ; b\"",
            format!("k, line 1 of the value: {COMMENT}"),
        ),
        ("k", "a\n#b", format!("k, line 2 of the value: {COMMENT}")),
        ("k", ";a", format!("k, line 1 of the value: {COMMENT}")),
        ("k", " a", format!("k, line 1 of the value: {BLANK}")),
        ("k", "a\n b", format!("k, line 2 of the value: {BLANK}")),
        ("k", "a\n", format!("k, line 2 of the value: {BLANK}")),
        ("k", "\n", format!("k, line 2 of the value: {BLANK}")),
        (
            "k",
            "a\0",
            "k, line 1 of the value: it contains a control character".to_owned(),
        ),
        (
            "",
            "a",
            "invalid key: \"\" (a key has letters, digits, `_`, `-` and `.`)".to_owned(),
        ),
        (
            "a=b",
            "a",
            "invalid key: \"a=b\" (a key has letters, digits, `_`, `-` and `.`)".to_owned(),
        ),
        (
            ";a",
            "a",
            "invalid key: \";a\" (a key has letters, digits, `_`, `-` and `.`)".to_owned(),
        ),
    ] {
        let edit = KeyEdit {
            key,
            value: Some(value),
        };
        assert_eq!(
            made(text, one(text).set_keys("x", &[edit])),
            expected,
            "{key} {value:?}"
        );
    }
    for value in ["a;b", "a#b", "[x]", "a=b:c", "\"a b\"", "日本", ""] {
        let edit = KeyEdit {
            key: "k",
            value: Some(value),
        };
        let expected = format!("{text}k={value}\n");
        assert_eq!(made(text, one(text).set_keys("x", &[edit])), expected);
    }
}

#[test]
fn mixed_line_ends_that_would_join_are_refused() {
    let error = ConfigTexts::new([("f", "[a]\nb=1\rc=2\n")])
        .err()
        .expect("refused");
    assert_eq!(
        error.to_string(),
        "f:2: line ends are mixed: this line ends in a carriage return without a line feed"
    );
    assert!(ConfigTexts::new([("f", "[a]\r\nb=1\nc=2\r\n")]).is_ok());
}

#[test]
fn an_edit_has_a_difference_for_people() {
    let text = "[a]\nk=1\n\n[program:x]\ncommand=c\n\n[group:g]\nprograms=x,b\n";
    let edit = one(text).remove("x").expect("removed");
    assert_eq!(
        edit.files[0].diff.to_string(),
        "@@ -1,8 +1,5 @@\n [a]\n k=1\n \n-[program:x]\n-command=c\n-\n [group:g]\n-programs=x,b\n+programs=b\n"
    );
    let nothing = one(text)
        .replace("x", "[program:x]\ncommand=c\n")
        .expect("equal");
    assert_eq!(nothing.files, []);
}
