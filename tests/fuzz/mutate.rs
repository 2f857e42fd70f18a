//! Inputs that are nearly valid: pieces of valid input, cut, joined, repeated and damaged.

use crate::rng::Rng;

/// Numbers at the limits of types.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999999",
    "1e400",
    "0x10",
    "٣",
];

/// Characters that parsers, terminals and logs often handle wrongly.
const CHARACTERS: &[&str] = &[
    "\0",
    "\n",
    "\r",
    "\r\n",
    "\t",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{85}",
    "\u{9b}",
    "\u{a0}",
    "\u{ad}",
    "\u{2028}",
    "\u{202e}",
    "\u{feff}",
    "é",
    "中文",
    "\u{10ffff}",
    "%",
    "%%",
    "\"",
    "'",
    "\\",
    "<",
    "&",
    ";",
    "=",
    ":",
    ",",
    "*",
    "/",
    "..",
];

fn at(rng: &mut Rng, below: usize) -> usize {
    usize::try_from(rng.below(below.max(1) as u64)).expect("fits")
}

/// A text of one to `most` of these pieces, sometimes damaged.
pub(crate) fn text(rng: &mut Rng, pieces: &[&str], most: u64) -> String {
    let mut text = String::new();
    for _ in 0..=rng.below(most) {
        match rng.below(40) {
            0 => text.push_str(rng.pick(NUMBERS)),
            1 => text.push_str(rng.pick(CHARACTERS)),
            2 => {
                let piece = rng.pick(pieces);
                let times = 1 << rng.below(9);
                text.push_str(&piece.repeat(times));
            }
            _ => text.push_str(rng.pick(pieces)),
        }
    }
    text
}

/// `bytes` with up to `most` changes: bits and bytes flipped, pieces removed, repeated or moved, limits and numbers
/// inserted.
pub(crate) fn bytes(rng: &mut Rng, mut bytes: Vec<u8>, most: u64) -> Vec<u8> {
    for _ in 0..rng.below(most + 1) {
        let length = bytes.len();
        let place = at(rng, length);
        let end = place + at(rng, (length - place).min(64) + 1);
        match rng.below(8) {
            0 if length > 0 => bytes[place] ^= 1 << rng.below(8),
            1 if length > 0 => bytes[place] = u8::try_from(rng.below(256)).expect("a byte"),
            2 => drop(bytes.drain(place..end)),
            3 => {
                let piece = bytes[place..end].to_vec();
                let to = at(rng, length);
                bytes.splice(to..to, piece);
            }
            4 => {
                let piece = rng.pick(NUMBERS);
                bytes.splice(place..end, piece.bytes());
            }
            5 => {
                let piece = rng.pick(CHARACTERS);
                bytes.splice(place..place, piece.bytes());
            }
            6 => bytes.truncate(place),
            _ => {
                let piece = bytes[place..end].repeat(1 << rng.below(7));
                bytes.splice(place..place, piece);
            }
        }
    }
    bytes
}

/// JSON with one change, which is still JSON: numbers become limits, strings become other strings, members and items
/// are removed, repeated or moved.
pub(crate) fn json(rng: &mut Rng, value: &mut serde_json::Value) {
    use serde_json::Value;
    let is_inner = match value {
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => false,
    };
    if is_inner && !rng.one_in(12) {
        match value {
            Value::Array(items) => {
                let place = at(rng, items.len());
                json(rng, &mut items[place]);
            }
            Value::Object(members) => {
                let place = at(rng, members.len());
                if let Some((_, member)) = members.iter_mut().nth(place) {
                    json(rng, member);
                }
            }
            _ => {}
        }
        return;
    }
    match value {
        Value::Array(items) if !items.is_empty() => {
            let (one, other) = (at(rng, items.len()), at(rng, items.len()));
            match rng.below(4) {
                0 => drop(items.remove(one)),
                1 => items.insert(other, items[one].clone()),
                2 => items.swap(one, other),
                _ => items.clear(),
            }
        }
        Value::Object(members) if !members.is_empty() => {
            let place = at(rng, members.len());
            if let Some(name) = members.keys().nth(place).cloned() {
                members.remove(&name);
            }
        }
        Value::Number(_) => {
            let edges = [
                0,
                1,
                2,
                7,
                u64::MAX,
                u64::MAX / 2,
                1 << 32,
                (1 << 32) - 1,
                1 << 31,
            ];
            *value = match rng.below(3) {
                0 => Value::from(-1),
                1 => Value::from(rng.below(8)),
                _ => Value::from(rng.pick(&edges)),
            };
        }
        Value::String(text) => {
            *text = rng
                .pick(&["", "a", "g1", "g2", "x:y", "\0", "Running"])
                .to_owned()
        }
        Value::Bool(truth) => *truth = !*truth,
        Value::Null => *value = Value::from(0),
        Value::Array(_) | Value::Object(_) => *value = Value::Null,
    }
}
