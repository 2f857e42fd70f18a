//! Writes lists directly into the buffer of a response, without a [`RpcValue`] for each member: as an array of structs
//! or as a table of text.
//!
//! A list of a thousand processes has 14,000 members. Building it from values took 30,000 allocations.

use std::borrow::Cow;

use super::xmlrpc::{self, RpcValue};

/// Receives the members of one struct, in order.
pub trait MemberSink {
    /// Adds a text.
    fn text(&mut self, name: &'static str, text: &str);
    /// Adds a number.
    fn int(&mut self, name: &'static str, number: i64);
    /// Adds a boolean.
    fn bool(&mut self, name: &'static str, truth: bool);
    /// Adds an array of numbers.
    fn ints(&mut self, name: &'static str, numbers: impl Iterator<Item = i64>);
}

/// Collects the members of a [`RpcValue::Struct`].
impl MemberSink for Vec<(String, RpcValue)> {
    fn text(&mut self, name: &'static str, text: &str) {
        self.push((name.to_owned(), RpcValue::text(text)));
    }

    fn int(&mut self, name: &'static str, number: i64) {
        self.push((name.to_owned(), RpcValue::Int(number)));
    }

    fn bool(&mut self, name: &'static str, truth: bool) {
        self.push((name.to_owned(), RpcValue::Bool(truth)));
    }

    fn ints(&mut self, name: &'static str, numbers: impl Iterator<Item = i64>) {
        let numbers = numbers.map(RpcValue::Int).collect();
        self.push((name.to_owned(), RpcValue::Array(numbers)));
    }
}

/// A response whose result is an array of structs. It writes the same bytes as [`xmlrpc::write_response`] for this
/// array.
#[derive(Debug)]
pub struct ListResponse {
    out: String,
}

impl ListResponse {
    /// Starts a response in `buffer`. The content of the buffer is discarded, its capacity is used.
    #[must_use]
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        let mut out = String::from_utf8(buffer).unwrap_or_default();
        out.push_str(xmlrpc::RESULT_BEGIN);
        out.push_str("<value><array><data>\n");
        Self { out }
    }

    /// Adds a struct. `fill` adds its members.
    pub fn push_struct(&mut self, fill: impl FnOnce(&mut MemberWriter<'_>)) {
        self.out.push_str("<value><struct>\n");
        fill(&mut MemberWriter(&mut self.out));
        self.out.push_str("</struct></value>\n");
    }

    /// Finishes the response.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.out.push_str("</data></array></value>\n");
        self.out.push_str(xmlrpc::RESULT_END);
        self.out.into_bytes()
    }
}

/// Writes the members of one struct of a [`ListResponse`].
#[derive(Debug)]
pub struct MemberWriter<'a>(&'a mut String);

impl MemberWriter<'_> {
    fn begin(&mut self, name: &str, value: &str) {
        self.0.push_str("<member>\n<name>");
        self.0.push_str(name);
        self.0.push_str("</name>\n<value>");
        self.0.push_str(value);
    }
}

impl MemberSink for MemberWriter<'_> {
    fn text(&mut self, name: &'static str, text: &str) {
        self.begin(name, "<string>");
        xmlrpc::escape_response(text, self.0);
        self.0.push_str("</string></value>\n</member>\n");
    }

    fn int(&mut self, name: &'static str, number: i64) {
        self.begin(name, "<int>");
        push_int(self.0, number);
        self.0.push_str("</int></value>\n</member>\n");
    }

    fn bool(&mut self, name: &'static str, truth: bool) {
        let digit = if truth {
            "<boolean>1</boolean></value>\n</member>\n"
        } else {
            "<boolean>0</boolean></value>\n</member>\n"
        };
        self.begin(name, digit);
    }

    fn ints(&mut self, name: &'static str, numbers: impl Iterator<Item = i64>) {
        self.begin(name, "<array><data>\n");
        for number in numbers {
            self.0.push_str("<value><int>");
            push_int(self.0, number);
            self.0.push_str("</int></value>\n");
        }
        self.0.push_str("</data></array></value>\n</member>\n");
    }
}

/// The members of the struct of one process, in order.
pub const PROCESS_MEMBERS: [&str; 14] = [
    "name",
    "group",
    "start",
    "stop",
    "now",
    "state",
    "statename",
    "spawnerr",
    "exitstatus",
    "logfile",
    "stdout_logfile",
    "stderr_logfile",
    "pid",
    "description",
];

/// Further members of a table, which only clients that name them get, because Supervisor's struct lacks them.
pub const DETAIL_MEMBERS: [&str; 6] = [
    "restarts",
    "lastexit",
    "nextattempt",
    "health",
    "logtargets",
    "progress",
];

/// The set of [`PROCESS_MEMBERS`] and [`DETAIL_MEMBERS`] that a table has as columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableColumns(u32);

/// The columns of a table without names.
const COLUMNS: u32 = (1 << PROCESS_MEMBERS.len()) - 1;

fn table_members() -> impl Iterator<Item = &'static str> {
    PROCESS_MEMBERS.into_iter().chain(DETAIL_MEMBERS)
}

impl TableColumns {
    /// Returns the columns with these names, in the order of the two lists. Without names: all [`PROCESS_MEMBERS`].
    ///
    /// # Errors
    /// The first name that is not a member.
    pub fn of(names: &[String]) -> Result<Self, &str> {
        let mut set = 0;
        for name in names {
            let at = table_members().position(|member| member == name);
            set |= 1 << at.ok_or(name.as_str())?;
        }
        Ok(Self(if set == 0 { COLUMNS } else { set }))
    }

    /// Returns whether the table has the member at this position of [`PROCESS_MEMBERS`], followed by
    /// [`DETAIL_MEMBERS`].
    #[must_use]
    pub const fn has(self, at: usize) -> bool {
        self.0 >> at & 1 == 1
    }
}

/// Appends a text.
type AppendFn = fn(&str, &mut String);

/// A table with one line per process and a tab between two members. The first line contains the names of the members.
/// In members, a backslash, a tab and line breaks are written as `\\`, `\t`, `\n` and `\r`.
#[derive(Debug)]
pub struct TableWriter {
    out: String,
    columns: TableColumns,
    append: AppendFn,
}

impl TableWriter {
    /// Starts a table as the result of a response, in `buffer`. The content of the buffer is discarded, its capacity is
    /// used.
    #[must_use]
    pub fn response_table(mut buffer: Vec<u8>, columns: TableColumns) -> Self {
        buffer.clear();
        let mut out = String::from_utf8(buffer).unwrap_or_default();
        out.push_str(xmlrpc::RESULT_BEGIN);
        out.push_str("<value><string>");
        Self::begin(out, columns, xmlrpc::escape_response)
    }

    /// Starts a table without a response around it.
    #[must_use]
    pub fn text_table(columns: TableColumns) -> Self {
        Self::begin(String::new(), columns, |text, out| out.push_str(text))
    }

    fn begin(out: String, columns: TableColumns, append: AppendFn) -> Self {
        let mut table = Self {
            out,
            columns,
            append,
        };
        table.push_row(|row| {
            for name in table_members() {
                row.text(name, name);
            }
        });
        table
    }

    /// Whether a column is one of [`DETAIL_MEMBERS`].
    #[must_use]
    pub const fn has_details(&self) -> bool {
        self.columns.0 > COLUMNS
    }

    /// Adds a line. `fill` adds all of [`PROCESS_MEMBERS`], in their order, and with [`TableWriter::has_details`] also all
    /// of [`DETAIL_MEMBERS`].
    pub fn push_row(&mut self, fill: impl FnOnce(&mut RowWriter<'_>)) {
        fill(&mut RowWriter {
            out: &mut self.out,
            columns: self.columns,
            append: self.append,
            at: 0,
            is_first: true,
        });
        self.out.push('\n');
    }

    /// Finishes the response.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.out.push_str("</string></value>\n");
        self.out.push_str(xmlrpc::RESULT_END);
        self.out.into_bytes()
    }

    /// Returns the table without a response around it.
    #[must_use]
    pub fn into_text(self) -> String {
        self.out
    }
}

/// Writes one line of a [`TableWriter`]. Members that are not columns are left out.
#[derive(Debug)]
pub struct RowWriter<'a> {
    out: &'a mut String,
    columns: TableColumns,
    append: AppendFn,
    at: usize,
    is_first: bool,
}

impl RowWriter<'_> {
    /// Starts the next member. Returns whether it is a column.
    fn begin(&mut self) -> bool {
        let has = self.columns.has(self.at);
        self.at += 1;
        if has && !std::mem::take(&mut self.is_first) {
            self.out.push('\t');
        }
        has
    }
}

impl MemberSink for RowWriter<'_> {
    fn text(&mut self, _: &'static str, text: &str) {
        if !self.begin() {
            return;
        }
        let escaped = |c: char| matches!(c, '\\' | '\t' | '\n' | '\r');
        let mut rest = text;
        while let Some(at) = rest.find(escaped) {
            let (plain, from) = rest.split_at(at);
            (self.append)(plain, self.out);
            self.out.push_str(match from.as_bytes().first() {
                Some(b'\t') => "\\t",
                Some(b'\n') => "\\n",
                Some(b'\r') => "\\r",
                _ => "\\\\",
            });
            rest = &from[1..];
        }
        (self.append)(rest, self.out);
    }

    fn int(&mut self, _: &'static str, number: i64) {
        if self.begin() {
            push_int(self.out, number);
        }
    }

    fn bool(&mut self, name: &'static str, truth: bool) {
        self.int(name, i64::from(truth));
    }

    fn ints(&mut self, _: &'static str, numbers: impl Iterator<Item = i64>) {
        if !self.begin() {
            return;
        }
        for (at, number) in numbers.enumerate() {
            if at > 0 {
                self.out.push(' ');
            }
            push_int(self.out, number);
        }
    }
}

/// The members of one line of a table.
type TableRow<'a> = Vec<Cow<'a, str>>;

/// Reads a table: the names of its columns and its lines. `None`: the text is not a table.
#[must_use]
pub fn read_table(text: &str) -> Option<(Vec<&str>, Vec<TableRow<'_>>)> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let names: Vec<&str> = lines.next()?.split('\t').collect();
    let rows = lines
        .map(|line| {
            let mut row = Vec::with_capacity(names.len());
            for member in line.split('\t') {
                row.push(unescape_member(member)?);
            }
            (row.len() == names.len()).then_some(row)
        })
        .collect::<Option<Vec<_>>>()?;
    Some((names, rows))
}

/// Writes the characters that end a member or a line as `\\\\`, `\\t`, `\\n` and `\\r`.
#[must_use]
pub fn escape_member(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 16);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c => out.push(c),
        }
    }
    out
}

/// Removes the escapes from a member. `None`: an invalid escape.
#[must_use]
pub fn unescape_member(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            c => c,
        });
    }
    Some(Cow::Owned(out))
}

/// Appends a number in decimal. It takes a tenth of the time of `write!`.
pub fn push_int(out: &mut String, number: i64) {
    // Up to 19 digits and a sign.
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push('-');
    }
    out.push_str(std::str::from_utf8(&digits[at..]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::xmlrpc::write_response;

    /// Writes one struct per text and number through [`MemberSink`].
    fn fill(members: &mut impl MemberSink, text: &str, number: i64) {
        members.text("name", text);
        members.int("pid", number);
        members.bool("inuse", number % 2 == 0);
        members.ints("exitcodes", [number, 0].into_iter());
        members.ints("none", std::iter::empty());
    }

    fn both(rows: &[(String, i64)]) -> (Vec<u8>, Vec<u8>) {
        let mut list = ListResponse::new(b"left over".to_vec());
        let mut values = Vec::new();
        for (text, number) in rows {
            list.push_struct(|members| fill(members, text, *number));
            let mut members = Vec::new();
            fill(&mut members, text, *number);
            values.push(RpcValue::Struct(members));
        }
        (list.finish(), write_response(&Ok(RpcValue::Array(values))))
    }

    #[test]
    fn empty_lists_and_extreme_numbers_equal_rendered_values() {
        for rows in [
            vec![],
            vec![
                (String::new(), i64::MIN),
                ("a<b>&\r\n\t\u{1b}é\u{fffe}\u{1f600}".to_owned(), i64::MAX),
                ("x".repeat(100), -1),
            ],
        ] {
            let (list, tree) = both(&rows);
            assert_eq!(String::from_utf8(list), String::from_utf8(tree));
        }
    }

    #[test]
    fn unknown_columns_are_refused() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(TableColumns::of(&[]), Ok(TableColumns(COLUMNS)));
        assert_eq!(
            TableColumns::of(&names(&["pid", "name", "pid"])),
            Ok(TableColumns(1 << 12 | 1))
        );
        assert_eq!(TableColumns::of(&names(&["name", "uptime"])), Err("uptime"));
    }

    /// Returns the table of these names and numbers.
    fn table(columns: &[&str], rows: &[(String, i64)]) -> String {
        let columns: Vec<_> = columns.iter().map(|name| (*name).to_owned()).collect();
        let columns = TableColumns::of(&columns).expect("members");
        let fill = |mut table: TableWriter| {
            for (text, number) in rows {
                table.push_row(|row| {
                    for name in PROCESS_MEMBERS {
                        match name {
                            "pid" => row.int(name, *number),
                            _ => row.text(name, text),
                        }
                    }
                });
            }
            table
        };
        let plain = fill(TableWriter::text_table(columns)).into_text();
        let response = fill(TableWriter::response_table(b"left over".to_vec(), columns)).finish();
        let value = RpcValue::Text(plain.clone());
        let as_value = write_response(&Ok(value));
        assert_eq!(String::from_utf8(response), String::from_utf8(as_value));
        plain
    }

    #[test]
    fn a_table_has_the_requested_columns() {
        let rows = [("a\tb\n\\<&\r".to_owned(), -7), (String::new(), 0)];
        assert_eq!(
            table(&["pid", "name"], &rows),
            "name\tpid\na\\tb\\n\\\\<&\\r\t-7\n\t0\n"
        );
        assert_eq!(table(&[], &[]), PROCESS_MEMBERS.join("\t") + "\n");
    }

    #[test]
    fn a_malformed_table_is_refused() {
        for text in ["", "x", "a\tb\nc\n", "a\nc\td\n", "a\n\\x\n", "a\n\\\n"] {
            assert_eq!(read_table(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_written_table_reads_back(
            rows in proptest::collection::vec(("[\\PC\\\\\t\n\r]*", any::<i64>()), 0..5)
        ) {
            let text = table(&["name", "pid", "description"], &rows);
            let expected: Vec<Vec<String>> = rows
                .iter()
                .map(|(text, number)| vec![text.clone(), number.to_string(), text.clone()])
                .collect();
            let (names, read) = read_table(&text).expect("a table");
            prop_assert_eq!(names, ["name", "pid", "description"]);
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn a_streamed_list_equals_a_rendered_value(rows in proptest::collection::vec((".*", any::<i64>()), 0..5)) {
            let (list, tree) = both(&rows);
            prop_assert_eq!(list, tree);
        }
    }
}
