//! Expands `%(name)s` like Python's `%` operator with a mapping, with Supervisor's messages for errors.

use std::collections::BTreeMap;

use super::python::is_space;
use crate::domain::python_repr;

/// The value of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpandValue {
    /// A text. It is not expanded again.
    Text(String),
    /// A number, for `%(process_num)02d`.
    Number(i64),
}

impl From<&str> for ExpandValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Names and their values.
pub type ExpandNames = BTreeMap<String, ExpandValue>;

/// Maximum width and precision in characters. Python has no limit and would fill the memory.
pub const WIDTH_MAX: usize = 65_536;

/// Expands the names in `text`. If several layers have a name, the last one wins. `place` is for messages.
///
/// # Errors
/// Supervisor's message: an unknown name, or a format that Python refuses.
///
/// # Source
/// Python's "printf-style String Formatting".
pub fn expand(text: &str, layers: &[&ExpandNames], place: &str) -> Result<String, ExpandError> {
    if !text.contains('%') {
        return Ok(text.to_owned());
    }
    let refused = |sentence, unknown| ExpandError { sentence, unknown };
    Formatter::new(text, layers).format().map_err(|error| match error {
        FormatError::Unknown(name) => {
            let mut known: Vec<&str> = layers
                .iter()
                .flat_map(|layer| layer.keys().map(String::as_str))
                .collect();
            known.sort_unstable();
            known.dedup();
            let sentence = format!(
                "Format string {} for {} contains names ({}) which cannot be expanded. Available names: {}",
                python_repr(text),
                python_repr(place),
                python_repr(&name),
                known.join(", ")
            );
            refused(sentence, Some(name))
        }
        FormatError::Bad(reason) => {
            let sentence = format!(
                "Format string {} for {} is badly formatted: {reason}",
                python_repr(text),
                python_repr(place)
            );
            refused(sentence, None)
        }
    })
}

/// An error of [`expand`]. `Display` gives Supervisor's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct ExpandError {
    sentence: String,
    /// The unknown name. `None`: the format is bad.
    unknown: Option<String>,
}

impl ExpandError {
    /// The environment variable that is not set, if that is the error.
    #[must_use]
    pub fn unset_variable(&self) -> Option<&str> {
        self.unknown_name()?.strip_prefix(VARIABLE)
    }

    /// The name that is not known, if that is the error.
    #[must_use]
    pub fn unknown_name(&self) -> Option<&str> {
        self.unknown.as_deref()
    }
}

/// The prefix of names of environment variables.
pub const VARIABLE: &str = "ENV_";
/// Separates a variable from its default, which applies if the variable is unset or empty, as in a shell.
const DEFAULT: &str = ":-";

enum FormatError {
    Unknown(String),
    Bad(String),
}

fn bad<T>(reason: impl Into<String>) -> Result<T, FormatError> {
    Err(FormatError::Bad(reason.into()))
}

/// The argument of the next conversion. Python keeps one pending argument, which at first is the mapping itself.
#[derive(Clone)]
enum FormatArgument {
    Mapping,
    Value(ExpandValue),
}

impl FormatArgument {
    fn kind(&self) -> &'static str {
        match self {
            Self::Mapping => "dict",
            Self::Value(ExpandValue::Text(_)) => "str",
            Self::Value(ExpandValue::Number(_)) => "int",
        }
    }
}

#[derive(Default)]
struct FormatFlags {
    left: bool,
    sign: bool,
    blank: bool,
    alternate: bool,
    zero: bool,
}

struct Formatter<'a> {
    text: Vec<char>,
    /// The index of the next character.
    at: usize,
    layers: &'a [&'a ExpandNames],
    pending: Option<FormatArgument>,
    out: String,
}

impl<'a> Formatter<'a> {
    fn new(text: &str, layers: &'a [&'a ExpandNames]) -> Self {
        Self {
            text: text.chars().collect(),
            at: 0,
            layers,
            pending: Some(FormatArgument::Mapping),
            out: String::with_capacity(text.len()),
        }
    }

    fn format(mut self) -> Result<String, FormatError> {
        while let Some(&c) = self.text.get(self.at) {
            self.at += 1;
            if c == '%' {
                self.conversion()?;
            } else {
                self.out.push(c);
            }
        }
        Ok(self.out)
    }

    fn next(&mut self) -> Result<char, FormatError> {
        let Some(&c) = self.text.get(self.at) else {
            return bad("incomplete format");
        };
        self.at += 1;
        Ok(c)
    }

    fn next_argument(&mut self) -> Result<FormatArgument, FormatError> {
        match self.pending.take() {
            Some(argument) => Ok(argument),
            None => bad("not enough arguments for format string"),
        }
    }

    fn conversion(&mut self) -> Result<(), FormatError> {
        let mut c = self.next()?;
        // Only adjacent: `%5%` is an error.
        if c == '%' {
            self.out.push('%');
            return Ok(());
        }
        if c == '(' {
            let name = self.name()?;
            match self.value(&name) {
                Some(value) => self.pending = Some(FormatArgument::Value(value)),
                None => return Err(FormatError::Unknown(name)),
            }
            c = self.next()?;
        }
        let mut flags = FormatFlags::default();
        loop {
            match c {
                '-' => flags.left = true,
                '+' => flags.sign = true,
                ' ' => flags.blank = true,
                '#' => flags.alternate = true,
                '0' => flags.zero = true,
                _ => break,
            }
            c = self.next()?;
        }
        let width = self.number(&mut c, "width too big")?.unwrap_or(0);
        let mut precision = None;
        if c == '.' {
            c = self.next()?;
            precision = Some(self.number(&mut c, "precision too big")?.unwrap_or(0));
        }
        if matches!(c, 'h' | 'l' | 'L') {
            c = self.next()?;
        }
        let argument = self.next_argument()?;
        let (sign, body) = self.convert(c, &argument, &flags, precision)?;
        let numeric = matches!(
            c,
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G'
        );
        self.pad(&sign, &body, width, flags.left, flags.zero && numeric);
        Ok(())
    }

    /// The value of a name. `ENV_X:-text` is the variable, or the text if the variable is unset or empty.
    // Differs: Supervisor has no defaults. A variable that is really named `X:-text` still has priority.
    fn value(&self, name: &str) -> Option<ExpandValue> {
        let known = |name: &str| {
            let mut layers = self.layers.iter().rev();
            layers.find_map(|layer| layer.get(name)).cloned()
        };
        known(name).or_else(|| {
            let (variable, default) = name.split_once(DEFAULT)?;
            let is_set = |value: &ExpandValue| *value != ExpandValue::Text(String::new());
            variable.strip_prefix(VARIABLE)?;
            Some(
                known(variable)
                    .filter(is_set)
                    .unwrap_or_else(|| ExpandValue::from(default)),
            )
        })
    }

    /// The name after `(`. It may contain balanced parentheses.
    fn name(&mut self) -> Result<String, FormatError> {
        let mut depth = 1;
        let start = self.at;
        while let Some(&c) = self.text.get(self.at) {
            self.at += 1;
            match c {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Ok(self.text[start..self.at - 1].iter().collect());
            }
        }
        bad("incomplete format key")
    }

    /// Parses digits from `c` on, or `*`, which takes an argument that never exists.
    fn number(&mut self, c: &mut char, too_big: &str) -> Result<Option<usize>, FormatError> {
        if *c == '*' {
            let number = match self.next_argument()? {
                FormatArgument::Value(ExpandValue::Number(number)) => number,
                _ => return bad("* wants int"),
            };
            *c = self.next()?;
            let number = usize::try_from(number).unwrap_or(0);
            return if number > WIDTH_MAX {
                bad(too_big)
            } else {
                Ok(Some(number))
            };
        }
        let mut number = None;
        while let Some(digit) = c.to_digit(10) {
            let next = number.unwrap_or(0) * 10 + digit as usize;
            // Differs: Python has no limit and would fill the memory.
            if next > WIDTH_MAX {
                return bad(too_big);
            }
            number = Some(next);
            *c = self.next()?;
        }
        Ok(number)
    }

    /// Converts the argument of the conversion `c`. Returns the sign with its prefix, and the body.
    fn convert(
        &self,
        c: char,
        argument: &FormatArgument,
        flags: &FormatFlags,
        precision: Option<usize>,
    ) -> Result<(String, String), FormatError> {
        match c {
            's' | 'r' | 'a' => {
                let text = self.text_of(c, argument);
                let text = match precision {
                    Some(precision) => text.chars().take(precision).collect(),
                    None => text,
                };
                Ok((String::new(), text))
            }
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' => integer(c, argument, flags, precision),
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                let FormatArgument::Value(ExpandValue::Number(number)) = argument else {
                    return bad(format!("must be real number, not {}", argument.kind()));
                };
                Ok((
                    sign(*number < 0, flags).to_owned(),
                    float(number.unsigned_abs(), c, precision.unwrap_or(6), flags),
                ))
            }
            'c' => Ok((String::new(), character(argument)?)),
            _ => {
                let shown = if ('\x1f'..='~').contains(&c) { c } else { '?' };
                bad(format!(
                    "unsupported format character '{shown}' ({:#x}) at index {}",
                    u32::from(c),
                    self.at - 1
                ))
            }
        }
    }

    /// The argument as `%s`, `%r` or `%a` prints it.
    fn text_of(&self, c: char, argument: &FormatArgument) -> String {
        match (argument, c) {
            (FormatArgument::Value(ExpandValue::Text(text)), 's') => text.clone(),
            (FormatArgument::Value(ExpandValue::Text(text)), 'r') => python_repr(text),
            (FormatArgument::Value(ExpandValue::Text(text)), _) => ascii(&python_repr(text)),
            (FormatArgument::Value(ExpandValue::Number(number)), _) => number.to_string(),
            (FormatArgument::Mapping, 'a') => ascii(&self.mapping()),
            (FormatArgument::Mapping, _) => self.mapping(),
        }
    }

    /// The mapping as Python prints it, for a conversion without a name.
    fn mapping(&self) -> String {
        let mut all = ExpandNames::new();
        for layer in self.layers {
            all.extend(
                layer
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
        }
        let pairs: Vec<String> = all
            .iter()
            .map(|(name, value)| match value {
                ExpandValue::Text(text) => format!("{}: {}", python_repr(name), python_repr(text)),
                ExpandValue::Number(number) => format!("{}: {number}", python_repr(name)),
            })
            .collect();
        format!("{{{}}}", pairs.join(", "))
    }

    fn pad(&mut self, sign: &str, body: &str, width: usize, left: bool, zero: bool) {
        let fill = width.saturating_sub(sign.chars().count() + body.chars().count());
        let blanks = |out: &mut String, c: char| out.extend(std::iter::repeat_n(c, fill));
        if left {
            self.out.push_str(sign);
            self.out.push_str(body);
            blanks(&mut self.out, ' ');
        } else if zero {
            self.out.push_str(sign);
            blanks(&mut self.out, '0');
            self.out.push_str(body);
        } else {
            blanks(&mut self.out, ' ');
            self.out.push_str(sign);
            self.out.push_str(body);
        }
    }
}

fn sign(negative: bool, flags: &FormatFlags) -> &'static str {
    match (negative, flags.sign, flags.blank) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

/// Formats an integer: its sign with the prefix of its base, and its digits.
fn integer(
    c: char,
    argument: &FormatArgument,
    flags: &FormatFlags,
    precision: Option<usize>,
) -> Result<(String, String), FormatError> {
    let FormatArgument::Value(ExpandValue::Number(number)) = argument else {
        let wanted = if matches!(c, 'o' | 'x' | 'X') {
            "an integer"
        } else {
            "a real number"
        };
        return bad(format!(
            "%{c} format: {wanted} is required, not {}",
            argument.kind()
        ));
    };
    let magnitude = number.unsigned_abs();
    let (prefix, digits) = match c {
        'o' => ("0o", format!("{magnitude:o}")),
        'x' => ("0x", format!("{magnitude:x}")),
        'X' => ("0X", format!("{magnitude:X}")),
        _ => ("", magnitude.to_string()),
    };
    let mut sign = sign(*number < 0, flags).to_owned();
    if flags.alternate {
        sign.push_str(prefix);
    }
    Ok((sign, format!("{digits:0>0$}", precision.unwrap_or(0))))
}

/// The character that `%c` prints.
fn character(argument: &FormatArgument) -> Result<String, FormatError> {
    match argument {
        FormatArgument::Value(ExpandValue::Text(text)) if text.chars().count() == 1 => {
            Ok(text.clone())
        }
        FormatArgument::Value(ExpandValue::Number(number)) => {
            match u32::try_from(*number).ok().and_then(char::from_u32) {
                Some(character) => Ok(character.to_string()),
                None => bad("%c arg not in range(0x110000)"),
            }
        }
        _ => bad("%c requires int or char"),
    }
}

/// Escapes every non-ASCII character.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            0..=0x7f => out.push(c),
            code @ 0x80..=0xff => out.push_str(&format!("\\x{code:02x}")),
            code @ 0x100..=0xffff => out.push_str(&format!("\\u{code:04x}")),
            code => out.push_str(&format!("\\U{code:08x}")),
        }
    }
    out
}

/// Formats an integer like C's `%e`, `%f` or `%g`.
fn float(magnitude: u64, c: char, precision: usize, flags: &FormatFlags) -> String {
    #[expect(
        clippy::cast_precision_loss,
        reason = "Python converts to a double here too"
    )]
    let number = magnitude as f64;
    let scientific = |precision: usize| {
        let text = format!("{number:.precision$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        (
            mantissa.to_owned(),
            exponent.parse::<usize>().unwrap_or_default(),
        )
    };
    let dot = |text: String| {
        if flags.alternate && !text.contains('.') {
            text + "."
        } else {
            text
        }
    };
    let text = match c.to_ascii_lowercase() {
        'f' => dot(format!("{number:.precision$}")),
        'e' => {
            let (mantissa, exponent) = scientific(precision);
            format!("{}e+{exponent:02}", dot(mantissa))
        }
        _ => {
            let digits = precision.max(1);
            let (mantissa, exponent) = scientific(digits - 1);
            let trim = |text: String| {
                if flags.alternate {
                    dot(text)
                } else if text.contains('.') {
                    text.trim_end_matches('0').trim_end_matches('.').to_owned()
                } else {
                    text
                }
            };
            if exponent < digits {
                let places = digits - 1 - exponent;
                trim(format!("{number:.places$}"))
            } else {
                format!("{}e+{exponent:02}", trim(mantissa))
            }
        }
    };
    if c.is_ascii_uppercase() {
        text.to_uppercase()
    } else {
        text
    }
}

/// Whether the text has a conversion without a name, such as the `%s` of `date +%s`, which Supervisor replaces by all
/// names and values.
#[must_use]
pub fn has_nameless(text: &str) -> bool {
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        if c != '%' {
            continue;
        }
        while characters
            .next_if(|c| matches!(c, '-' | '+' | ' ' | '#' | '.' | '0'..='9'))
            .is_some()
        {}
        match characters.next() {
            Some('(' | '%') | None => {}
            Some(c) => {
                if c.is_alphabetic() && !is_space(c) {
                    return true;
                }
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str, layers: &[&ExpandNames], place: &str) -> Result<String, String> {
        super::expand(text, layers, place).map_err(|error| error.to_string())
    }

    #[test]
    fn a_variable_may_have_a_default() {
        let mut known = ExpandNames::from([
            ("ENV_SET".to_owned(), ExpandValue::from("x")),
            ("ENV_EMPTY".to_owned(), ExpandValue::from("")),
            ("here".to_owned(), ExpandValue::from("/etc")),
        ]);
        for (text, expected) in [
            ("%(ENV_SET:-d)s", "x"),
            ("%(ENV_UNSET:-d)s", "d"),
            ("%(ENV_EMPTY:-d)s|%(ENV_EMPTY)s", "d|"),
            ("%(ENV_UNSET:-)s|%(ENV_UNSET:-a:-b)5s", "| a:-b"),
            ("%(ENV_UNSET:-a (b) %(c))s", "a (b) %(c)"),
        ] {
            assert_eq!(
                expand(text, &[&known], "p").as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        // Only variables have defaults.
        assert!(expand("%(there:-d)s", &[&known], "p").is_err());
        // A variable that is really named so keeps its meaning in existing files.
        known.insert("ENV_SET:-d".to_owned(), ExpandValue::from("odd"));
        assert_eq!(
            expand("%(ENV_SET:-d)s", &[&known], "p").as_deref(),
            Ok("odd")
        );
        let error = super::expand("%(ENV_NO)s", &[&known], "p").expect_err("unset");
        assert_eq!(error.unset_variable(), Some("NO"));
    }

    fn names() -> ExpandNames {
        ExpandNames::from([
            ("x".to_owned(), ExpandValue::from("ab")),
            ("n".to_owned(), ExpandValue::Number(7)),
            ("e".to_owned(), ExpandValue::from("ä\n")),
        ])
    }

    #[test]
    fn cfg_17_printf_formats_expand_as_in_python() {
        for (text, expected) in [
            ("plain", "plain"),
            ("%(x)s-%(n)02d", "ab-07"),
            ("%(n)d%(n)i%(n)u", "777"),
            ("%(n)-4d|%(n)+d|%(n) d|%(n)5.3d", "7   |+7| 7|  007"),
            ("%(n)x %(n)#x %(n)#06x %(n)#o %(n)X", "7 0x7 0x0007 0o7 7"),
            ("%(n)s %(n)5s %(x).1s %(x)05s", "7     7 a    ab"),
            ("%(e)r %(e)a", "'ä\\n' '\\xe4\\n'"),
            ("100%%", "100%"),
            ("%(n)f %(n).0e %(n)g %(n)#g", "7.000000 7e+00 7 7.00000"),
            ("%(n)ld", "7"),
            ("%(n)c", "\x07"),
        ] {
            assert_eq!(
                expand(text, &[&names()], "p"),
                Ok(expected.to_owned()),
                "{text}"
            );
        }
        assert_eq!(
            expand(
                "a %s",
                &[&ExpandNames::from([(
                    "k".to_owned(),
                    ExpandValue::Number(1)
                )])],
                "p"
            ),
            Ok("a {'k': 1}".to_owned())
        );
    }

    #[test]
    fn cfg_18_cfg_19_expansion_errors_have_pythons_messages() {
        for (text, reason) in [
            ("%", "incomplete format"),
            ("%(x", "incomplete format key"),
            ("%(x)", "incomplete format"),
            ("a %Y", "unsupported format character 'Y' (0x59) at index 3"),
            ("%(x)d", "%d format: a real number is required, not str"),
            ("%(x)x", "%x format: an integer is required, not str"),
            ("%(x)c", "%c requires int or char"),
            ("%(x)s %s", "not enough arguments for format string"),
            ("%*d", "* wants int"),
            (
                "%(x)%",
                "unsupported format character '%' (0x25) at index 4",
            ),
            ("%(n)999999999d", "width too big"),
        ] {
            assert_eq!(
                expand(text, &[&names()], "place"),
                Err(format!(
                    "Format string '{text}' for 'place' is badly formatted: {reason}"
                )),
            );
        }
        assert_eq!(
            expand("%(y)s", &[&names(), &names()], "s.k"),
            Err(
                "Format string '%(y)s' for 's.k' contains names ('y') which cannot be expanded. \
                 Available names: e, n, x"
                    .to_owned()
            )
        );
    }

    #[test]
    fn later_layers_win_and_values_are_not_expanded() {
        let other = ExpandNames::from([("x".to_owned(), ExpandValue::from("%(n)d"))]);
        assert_eq!(
            expand("%(x)s", &[&names(), &other], "p"),
            Ok("%(n)d".to_owned())
        );
    }

    #[test]
    fn nameless_conversions_are_found() {
        for (text, expected) in [
            ("date +%s", true),
            ("%(x)s 100%%", false),
            ("%-5d", true),
            ("%%s", false),
        ] {
            assert_eq!(has_nameless(text), expected, "{text}");
        }
    }
}
