//! Terminal output as text with styles: colours, bold and underline. Other escape sequences and control characters are left
//! out. Pure.
//!
//! Colours become classes of the style sheet, because the content security policy forbids styles in the page, and because
//! each of them must be readable on a light and on a dark page. So the colours of the 256-colour palette and true colours are
//! shown as the nearest of the sixteen basic ones. `log.js` has the same rules for text that arrives later.
//!
//! # Source
//! ECMA-48, 8.3.117 (SGR) and 5.4 (control sequences); ISO 8613-6 for `38` and `48`.

/// Maximum length of a control sequence, in characters. A longer one ends there.
const SEQUENCE_MAX: usize = 64;
/// Maximum number of changes of the style in one text. After them the text has the last one.
const CHANGES_MAX: usize = 50_000;
const ESCAPE: char = '\u{1b}';

/// How characters are drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TextStyle {
    /// The colour of the characters, 0 to 15. `None`: that of the page.
    front: Option<u8>,
    /// The colour behind them, 0 to 7. `None`: that of the page.
    back: Option<u8>,
    is_bold: bool,
    is_underlined: bool,
}

impl TextStyle {
    /// The classes in the style sheet, separated by blanks. Empty: the style of the page.
    pub(crate) fn classes(self) -> String {
        let mut classes = Vec::new();
        classes.extend(self.front.map(|colour| format!("f{colour}")));
        classes.extend(self.back.map(|colour| format!("b{colour}")));
        classes.extend(self.is_bold.then(|| "bold".to_owned()));
        classes.extend(self.is_underlined.then(|| "under".to_owned()));
        classes.join(" ")
    }

    /// Applies the parameters of an SGR sequence.
    fn apply(&mut self, parameters: &str) {
        // A colon separates the parts of one parameter.
        let numbers: Vec<Option<u16>> = parameters
            .split([';', ':'])
            .map(|number| match number {
                "" => Some(0),
                number => number.parse().ok(),
            })
            .collect();
        let mut numbers = numbers.as_slice();
        while let [first, rest @ ..] = numbers {
            numbers = rest;
            let Some(number) = *first else { continue };
            let small = u8::try_from(number).unwrap_or(u8::MAX);
            match number {
                0 => *self = Self::default(),
                1 => self.is_bold = true,
                4 => self.is_underlined = true,
                22 => self.is_bold = false,
                24 => self.is_underlined = false,
                30..=37 => self.front = Some(small - 30),
                90..=97 => self.front = Some(small - 90 + 8),
                39 => self.front = None,
                40..=47 => self.back = Some(small - 40),
                100..=107 => self.back = Some(small - 100),
                49 => self.back = None,
                38 | 48 => {
                    let (colour, rest) = extended_colour(numbers);
                    numbers = rest;
                    match (colour, number) {
                        (Some(colour), 38) => self.front = Some(colour),
                        (Some(colour), _) => self.back = Some(colour % 8),
                        (None, _) => {}
                    }
                }
                _ => {}
            }
        }
    }
}

/// Reads what follows 38 or 48: `5;INDEX` or `2;RED;GREEN;BLUE`. Returns the nearest basic colour and the rest.
fn extended_colour(numbers: &[Option<u16>]) -> (Option<u8>, &[Option<u16>]) {
    match numbers {
        [Some(5), index, rest @ ..] => {
            let index = index.and_then(|index| u8::try_from(index).ok());
            (index.map(indexed_colour), rest)
        }
        [Some(2), red, green, blue, rest @ ..] => {
            let part = |part: &Option<u16>| part.map(|part| u8::try_from(part).unwrap_or(u8::MAX));
            let colour = match (part(red), part(green), part(blue)) {
                (Some(red), Some(green), Some(blue)) => Some(nearest_colour([red, green, blue])),
                _ => None,
            };
            (colour, rest)
        }
        // Without a known kind of colour, what follows cannot be told apart.
        _ => (None, &[]),
    }
}

/// The nearest basic colour of an entry in the palette: 16 basic colours, a cube of six steps, and 24 greys.
fn indexed_colour(index: u8) -> u8 {
    match index {
        0..=15 => index,
        16..=231 => {
            let step = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
            let cube = index - 16;
            nearest_colour([step(cube / 36), step(cube / 6 % 6), step(cube % 6)])
        }
        232..=255 => nearest_colour([8 + 10 * (index - 232); 3]),
    }
}

/// The basic colour of the same hue. The brighter half of each hue counts as bright.
fn nearest_colour([red, green, blue]: [u8; 3]) -> u8 {
    let greatest = red.max(green).max(blue);
    let least = red.min(green).min(blue);
    if greatest - least < 48 {
        return match greatest {
            0..=63 => 0,
            64..=143 => 8,
            144..=207 => 7,
            208..=255 => 15,
        };
    }
    // A part is in the hue if it is in the upper half between the least and the greatest.
    let middle = least + (greatest - least) / 2;
    let bit = |part: u8, bit: u8| if part > middle { bit } else { 0 };
    let hue = bit(red, 1) | bit(green, 2) | bit(blue, 4);
    if greatest > 215 { hue + 8 } else { hue }
}

/// What is read at present.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reading {
    #[default]
    Text,
    /// Behind ESC.
    Escape,
    /// Behind ESC and intermediate characters, such as in `ESC ( B`.
    Intermediate,
    /// In a control sequence, behind `ESC [`.
    Control,
    /// In a command string, such as a title, up to BEL or `ESC \`.
    Command,
    /// Behind ESC in a command string.
    CommandEscape,
}

/// A text without escape sequences, and its styles.
#[derive(Debug, Default)]
pub(crate) struct StyledText {
    /// The text. Its lines end with `\n`.
    pub(crate) text: String,
    /// Where the style changes: the offset in the text, in bytes, and the style from there.
    changes: Vec<(usize, TextStyle)>,
    style: TextStyle,
    reading: Reading,
    /// The unfinished control sequence without its beginning.
    sequence: String,
    /// The last character was a carriage return, whose line end is not written yet.
    has_return: bool,
}

impl StyledText {
    /// Reads a text. A control sequence that its end cuts off is left out.
    pub(crate) fn parse(raw: &str) -> Self {
        let mut parsed = Self {
            text: String::with_capacity(raw.len()),
            ..Self::default()
        };
        for c in raw.chars() {
            parsed.push(c);
        }
        if std::mem::take(&mut parsed.has_return) {
            parsed.text.push('\n');
        }
        parsed
    }

    /// The classes of the style at the end, with which following text begins.
    pub(crate) fn last_classes(&self) -> String {
        self.style.classes()
    }

    /// The beginning of a control sequence that the end cuts off, without ESC. `None`: the text ends with a character.
    pub(crate) fn unfinished(&self) -> Option<String> {
        match self.reading {
            Reading::Escape => Some(String::new()),
            Reading::Control => Some(format!("[{}", self.sequence)),
            Reading::Text | Reading::Intermediate | Reading::Command | Reading::CommandEscape => {
                None
            }
        }
    }

    /// The parts of a range of the text that have one style each.
    pub(crate) fn parts(
        &self,
        range: std::ops::Range<usize>,
    ) -> impl Iterator<Item = (TextStyle, std::ops::Range<usize>)> {
        let next = self.changes.partition_point(|(at, _)| *at <= range.start);
        let mut style = next
            .checked_sub(1)
            .map_or_else(TextStyle::default, |last| self.changes[last].1);
        let mut changes = self.changes[next..].iter();
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= range.end {
                return None;
            }
            let change = changes.next().filter(|(change, _)| *change < range.end);
            let end = change.map_or(range.end, |(change, _)| *change);
            let part = (style, at..end);
            at = end;
            style = change.map_or(style, |(_, style)| *style);
            Some(part)
        })
    }

    fn push(&mut self, c: char) {
        // No sequence goes over the end of a line, so that a broken one hides no more than its line.
        if c == '\n' {
            self.reading = Reading::Text;
            self.has_return = false;
            return self.text.push('\n');
        }
        match self.reading {
            Reading::Text => self.push_text(c),
            Reading::Escape => self.push_escape(c),
            Reading::Intermediate => match c {
                ' '..='/' => {}
                _ => self.reading = Reading::Text,
            },
            Reading::Control => match c {
                '@'..='~' => {
                    if c == 'm' {
                        let sequence = std::mem::take(&mut self.sequence);
                        self.change_style(&sequence);
                    }
                    self.reading = Reading::Text;
                }
                ESCAPE => self.reading = Reading::Escape,
                _ if self.sequence.len() >= SEQUENCE_MAX => self.reading = Reading::Text,
                _ => self.sequence.push(c),
            },
            Reading::Command | Reading::CommandEscape => {
                self.reading = match (self.reading, c) {
                    (_, '\u{7}') | (Reading::CommandEscape, '\\') => Reading::Text,
                    (_, ESCAPE) => Reading::CommandEscape,
                    _ => Reading::Command,
                };
            }
        }
    }

    fn push_text(&mut self, c: char) {
        match c {
            ESCAPE => self.reading = Reading::Escape,
            // A line of its own: programs draw progress over their last line.
            '\r' => self.has_return = true,
            '\u{9b}' => self.begin_control(),
            '\t' => self.write('\t'),
            _ if c.is_control() => {}
            c => self.write(c),
        }
    }

    fn write(&mut self, c: char) {
        if std::mem::take(&mut self.has_return) {
            self.text.push('\n');
        }
        self.text.push(c);
    }

    fn push_escape(&mut self, c: char) {
        match c {
            '[' => self.begin_control(),
            ']' | 'P' | 'X' | '^' | '_' => self.reading = Reading::Command,
            ' '..='/' => self.reading = Reading::Intermediate,
            ESCAPE => {}
            _ => self.reading = Reading::Text,
        }
    }

    fn begin_control(&mut self) {
        self.sequence.clear();
        self.reading = Reading::Control;
    }

    fn change_style(&mut self, parameters: &str) {
        // Private sequences, such as `ESC [ > 4 m`, are no styles.
        let is_style = |c: char| c.is_ascii_digit() || matches!(c, ';' | ':');
        if !parameters.chars().all(is_style) || self.changes.len() >= CHANGES_MAX {
            return;
        }
        let mut style = self.style;
        style.apply(parameters);
        if style != self.style {
            self.style = style;
            self.changes.push((self.text.len(), style));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with the classes of each part in braces.
    fn shown(raw: &str) -> String {
        let parsed = StyledText::parse(raw);
        parsed
            .parts(0..parsed.text.len())
            .filter(|(_, range)| !range.is_empty())
            .map(|(style, range)| format!("{{{}}}{}", style.classes(), &parsed.text[range]))
            .collect()
    }

    #[test]
    fn styles_become_classes() {
        for (raw, expected) in [
            ("plain", "{}plain"),
            ("a\u{1b}[31mb\u{1b}[0mc", "{}a{f1}b{}c"),
            ("\u{1b}[1;4;92mx", "{f10 bold under}x"),
            ("\u{1b}[1m\u{1b}[22mx\u{1b}[my", "{}xy"),
            ("\u{1b}[41;97mx\u{1b}[49;39my", "{f15 b1}x{}y"),
            ("\u{1b}[38;5;9mx", "{f9}x"),
            ("\u{1b}[38;5;196mx\u{1b}[38;5;22my", "{f9}x{f2}y"),
            ("\u{1b}[48;5;240mx", "{b0}x"),
            ("\u{1b}[38;2;255;60;0mx", "{f9}x"),
            ("\u{1b}[38;2;30;144;255mx", "{f14}x"),
            ("\u{1b}[38:2:0:0:128mx", "{f4}x"),
            ("\u{1b}[38;2;250;250;250;4mx", "{f15 under}x"),
            ("\u{1b}[38;9;1mx", "{}x"),
            ("\u{1b}[7;3;5mx", "{}x"),
            ("\u{9b}32mx", "{f2}x"),
        ] {
            assert_eq!(shown(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn all_other_sequences_are_left_out() {
        for (raw, expected) in [
            ("a\u{1b}[2Kb\u{1b}[10;20Hc", "abc"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            (
                "a\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\b",
                "alinkb",
            ),
            ("a\u{1b}(Bb\u{1b}=c\u{1b}>d", "abcd"),
            ("a\u{1b}Pq#0\u{1b}\\b", "ab"),
            ("a\u{1b}[>4mb", "ab"),
            ("bell\u{7} and \u{8}\u{0}zero\u{85}", "bell and zero"),
            ("tab\tstays", "tab\tstays"),
            ("one\r\ntwo\r\n", "one\ntwo\n"),
            ("10%\r20%\r\n", "10%\n20%\n"),
            ("end\r", "end\n"),
            // Broken ones end with their line.
            ("a\u{1b}]0;title\nb", "a\nb"),
            ("a\u{1b}[31\nb", "a\nb"),
            ("\u{1b}\u{1b}[1mx", "x"),
        ] {
            assert_eq!(StyledText::parse(raw).text, expected, "{raw:?}");
        }
        let long = format!("\u{1b}[{}x", "1;".repeat(100));
        assert!(StyledText::parse(&long).text.len() < 200);
    }

    #[test]
    fn text_that_follows_goes_on_with_the_style() {
        let parsed = StyledText::parse("\u{1b}[1;31mx\u{1b}[3");
        assert_eq!(parsed.last_classes(), "f1 bold");
        assert_eq!(parsed.unfinished().as_deref(), Some("[3"));
        assert_eq!(StyledText::parse("x").unfinished(), None);
    }

    #[test]
    fn changes_of_the_style_are_bounded() {
        let raw = "\u{1b}[31mx\u{1b}[32my".repeat(CHANGES_MAX);
        let parsed = StyledText::parse(&raw);
        assert_eq!(parsed.changes.len(), CHANGES_MAX);
        assert_eq!(parsed.text.len(), 2 * CHANGES_MAX);
    }

    #[test]
    fn a_range_has_the_style_in_which_it_begins() {
        let parsed = StyledText::parse("\u{1b}[31mred\ngo\u{1b}[0mon\nend");
        let of = |range| {
            let parts = parsed.parts(range);
            parts
                .map(|(style, range)| (style.classes(), parsed.text[range].to_owned()))
                .collect::<Vec<_>>()
        };
        let pair = |classes: &str, text: &str| (classes.to_owned(), text.to_owned());
        assert_eq!(of(1..3), [pair("f1", "ed")]);
        assert_eq!(of(4..9), [pair("f1", "go"), pair("", "on\n")]);
        assert_eq!(of(9..12), [pair("", "end")]);
    }
}
