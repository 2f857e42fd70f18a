//! Lines with a prefix and JSON lines, also in pieces.

use serde_json::Value;

use super::*;
use crate::domain::{GroupName, ProcessName};

/// 2026-11-30T22:39:51.123Z.
const TIME: Wall = Wall(1_796_078_391_123_456_789);

fn form(options: &LogOptions) -> LineForm {
    let name = ProcessName::parse("web_00").expect("a name");
    let group = GroupName::parse("web").expect("a name");
    let spec = ProcessSpec::new(name, group);
    let zone = || TimeZone::fixed(jiff::tz::offset(2));
    let mut form = LineForm::new(&spec, Channel::Stdout, options, zone).expect("a form");
    form.set_pid(42);
    form
}

fn json() -> LogOptions {
    LogOptions {
        form: LogForm::Json,
        program: Some(Arc::from("web")),
        utc: true,
        ..LogOptions::default()
    }
}

/// Renders chunks one after the other, each with a state that is learnt from the file, as after a crash.
fn file_of(form: &mut LineForm, chunks: &[&[u8]]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut kept = LineState::START;
    for &chunk in chunks {
        let mut state = LineState::of_tail(&file[file.len().saturating_sub(TAIL_BYTES)..]);
        assert_eq!(state, kept, "what the file tells is what the sink knows");
        let mut rest = chunk;
        while !rest.is_empty() {
            let mut piece = Vec::new();
            let used = form.render(&mut state, TIME, rest, &mut piece);
            assert!(used > 0);
            rest = &rest[used..];
            file.append(&mut piece);
        }
        kept = state;
    }
    if kept.is_open() {
        form.finish(&mut kept, &mut file);
    }
    file
}

fn objects(file: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(file).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'));
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

/// The messages of a file with divided lines joined.
fn messages(file: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    let mut begun = String::new();
    for object in objects(file) {
        begun.push_str(object["message"].as_str().expect("a message"));
        if object["partial"] != true {
            all.push(std::mem::take(&mut begun));
        }
    }
    assert_eq!(begun, "");
    all
}

#[test]
fn l06_a_prefix_names_time_process_stream_and_pid() {
    let mut options = LogOptions {
        form: LogForm::Prefix,
        ..LogOptions::default()
    };
    let file = file_of(&mut form(&options), &[b"one\ntw", b"o\n", b"\n"]);
    let head = "2026-12-01T00:39:51.123+02:00 web_00 stdout 42: ";
    let expected = format!("{head}one\n{head}two\n{head}\n");
    assert_eq!(String::from_utf8(file).expect("text"), expected);
    options.prefix = Some(Arc::from("[web]"));
    let file = file_of(&mut form(&options), &[b"one\ntw", b"o\n"]);
    assert_eq!(file, b"[web] one\n[web] two\n");
}

#[test]
fn l06_json_has_all_fields_and_the_message_is_intact() {
    let text = "a \"quoted\" \\ line\twith\u{7f}\u{1}\u{0} and \u{4f60}\u{597d} \u{1f600}\r\n";
    let file = file_of(&mut form(&json()), &[text.as_bytes()]);
    assert_eq!(
        objects(&file),
        [serde_json::json!({
            "ts": "2026-11-30T22:39:51.123Z",
            "program": "web",
            "group": "web",
            "process": "web_00",
            "pid": 42,
            "stream": "stdout",
            "message": text.trim_end_matches('\n'),
        })]
    );
    assert!(
        file.iter()
            .all(|&byte| byte == b'\n' || (byte >= 0x20 && byte != 0x7f))
    );
    let mut options = json();
    options.json_time_key = Arc::from("@timestamp");
    let file = file_of(&mut form(&options), &[b"x\n"]);
    assert_eq!(objects(&file)[0]["@timestamp"], "2026-11-30T22:39:51.123Z");
}

#[test]
fn l06_every_line_parses_wherever_it_is_divided() {
    let text = "\u{4f60}\"\\\u{1f600}\n\u{e9}x\n\nend".as_bytes();
    let expected = messages(&file_of(&mut form(&json()), &[text]));
    for first in 0..text.len() {
        for second in first..text.len() {
            let chunks = [&text[..first], &text[first..second], &text[second..]];
            let file = file_of(&mut form(&json()), &chunks);
            assert_eq!(messages(&file), expected, "{first} {second}");
        }
    }
}

#[test]
fn l06_bytes_that_are_no_utf_8_are_replaced() {
    let messages_of = |chunks: &[&[u8]]| messages(&file_of(&mut form(&json()), chunks));
    assert_eq!(messages_of(&[b"a\xffb\xe4\xbd\n"]), ["a\u{fffd}b\u{fffd}"]);
    assert_eq!(messages_of(&[b"\xc0\x80\n"]), ["\u{fffd}\u{fffd}"]);
    // Cut between two chunks, and then not continued.
    for start in [
        &b"\xe4"[..],
        b"\xe4\xbd",
        b"\xf0",
        b"\xf0\x9f\x98",
        b"\xe0",
        b"\xed",
        b"\xc3",
        b"\xf4\x8f",
    ] {
        for end in [&b"x\n"[..], b"\n", b"", b"\xff\n", b"\xe4\xbd\xa0\n"] {
            let got = messages_of(&[start, end]);
            assert_eq!(got.len(), 1, "{start:?} {end:?}");
            assert!(got[0].contains('\u{fffd}'), "{start:?} {end:?}: {got:?}");
        }
    }
    // Every byte after every beginning, in one chunk and in two.
    for lead in 0x80..=0xff_u8 {
        for next in 0..=0xff_u8 {
            let whole = [lead, next, b'\n'];
            let _ = messages_of(&[&whole]);
            let _ = messages_of(&[&whole[..1], &whole[1..]]);
        }
    }
}

#[test]
fn l06_a_long_line_is_divided_and_says_so() {
    let mut line = "\u{4f60}".repeat(3 * LINE_BYTES_MAX).into_bytes();
    line.push(b'\n');
    let whole = String::from_utf8(line.clone()).expect("text");
    for size in [line.len(), 1000, 16 << 10] {
        let chunks: Vec<&[u8]> = line.chunks(size).collect();
        let file = file_of(&mut form(&json()), &chunks);
        assert_eq!(messages(&file), [whole.trim_end()], "{size}");
        let lines = file.split(|&byte| byte == b'\n');
        assert!(lines.clone().count() > 9);
        assert!(lines.map(<[u8]>::len).max() < Some(LINE_BYTES_MAX + 1024));
    }
    // Escapes are longer than what they stand for; the end of a file must still tell where the line began.
    let escapes = [&[1; 3 * LINE_BYTES_MAX][..], b"\n"].concat();
    let file = file_of(&mut form(&json()), &[&escapes]);
    assert!(file.split(|&byte| byte == b'\n').map(<[u8]>::len).max() < Some(TAIL_BYTES));
}

#[test]
fn l06_objects_of_the_program_are_merged() {
    let mut options = json();
    options.json_merge = true;
    let mut form = form(&options);
    let file = file_of(
        &mut form,
        &[b"{\"level\":\"info\",\"n\":{\"a\":1}}\n{}\n {\"b\": 2 } \r\n[1]\n{broken}\nplain\n"],
    );
    let objects = objects(&file);
    assert_eq!(objects[0]["level"], "info");
    assert_eq!(objects[0]["n"]["a"], 1);
    for merged in &objects[..3] {
        assert_eq!(merged["supervisor.ts"], "2026-11-30T22:39:51.123Z");
        assert_eq!(merged["supervisor.program"], "web");
        assert_eq!(merged["supervisor.pid"], 42);
        assert!(merged["message"].is_null());
    }
    assert_eq!(objects[2]["b"], 2);
    let rest: Vec<_> = objects[3..]
        .iter()
        .map(|object| &object["message"])
        .collect();
    assert_eq!(rest, ["[1]", "{broken}", "plain"]);
}

#[test]
fn l06_names_cannot_break_an_object() {
    let options = LogOptions {
        program: Some(Arc::from("a,\"b\\")),
        json_merge: true,
        json_time_key: Arc::from("t\"s"),
        ..json()
    };
    let file = file_of(&mut form(&options), &[b"x\n{\"a\":1}\n"]);
    let objects = objects(&file);
    assert_eq!(objects[0]["program"], "a,\"b\\");
    assert_eq!(objects[1]["supervisor.program"], "a,\"b\\");
    assert!(objects[0]["t\"s"].is_string() && objects[1]["supervisor.t\"s"].is_string());
}

#[test]
fn an_incomplete_line_of_another_process_is_ended() {
    let form = form(&json());
    let mut end = Vec::new();
    form.close_foreign(b"old\n{\"ts\":\"x\",\"message\":\"abc\xe4", &mut end);
    assert_eq!(end, b"\x80\x80\xef\xbf\xbd\"}\n");
    end.clear();
    form.close_foreign(b"old\nplain", &mut end);
    assert_eq!(end, b"\n");
}

#[test]
fn escapes_are_those_of_serde() {
    for code in 0..0x250_u32 {
        let Some(c) = char::from_u32(code) else {
            continue;
        };
        for text in [
            format!("{c}"),
            format!("1234567{c}"),
            format!("12345678{c}90{c}{c}12345678"),
        ] {
            let mut ours = Vec::new();
            escape_valid(text.as_bytes(), &mut ours);
            let quoted = format!("\"{}\"", String::from_utf8(ours).expect("UTF-8"));
            let back: String = serde_json::from_str(&quoted).expect("a JSON string");
            assert_eq!(back, text);
            assert!(
                !quoted.contains(char::is_control) || code >= 0x80,
                "{quoted:?}"
            );
        }
    }
    for at in 0..40 {
        let mut text = vec![b'x'; 40];
        text[at] = b'\n';
        assert_eq!(find_newline(&text), Some(at));
        assert_eq!(find_newline(&text[..at]), None);
    }
}
