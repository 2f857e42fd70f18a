//! Parses HTTP/1.1 responses incrementally: httparse reads heads and chunk size lines, this module finds their ends and
//! limits them. It performs no I/O and does not know XML-RPC.
//!
//! # Source
//! RFC 9112.

use httparse::{EMPTY_HEADER, Error, ParserConfig, Response, Status};

/// Maximum size of the status line and header fields (or trailers), in bytes.
const HEAD_MAX: usize = 64 << 10;
/// Maximum number of header fields. Python's http.client, which Supervisor's client uses, has the same.
const FIELDS_MAX: usize = 100;
/// Maximum length of a chunk size line, in bytes.
const CHUNK_LINE_MAX: usize = 1 << 10;

/// Why a response is invalid.
pub(super) type HttpError = &'static str;

/// The head of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResponseHead {
    /// The status code.
    pub(super) status: u16,
    /// The reason phrase.
    pub(super) reason: String,
    /// Whether the connection can carry another request after this response.
    pub(super) keep: bool,
    /// The file of a followed log, `X-Log-File`. `None`: not named, or not in the form of such names.
    pub(super) log_file: Option<String>,
}

/// What the decoder expects next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecoderState {
    /// The status line and the header fields.
    Head,
    /// The rest of a body of known length: this many bytes.
    Body(u64),
    /// A chunk size line.
    ChunkLine,
    /// The rest of a chunk: this many bytes.
    Chunk(u64),
    /// The line end after a chunk.
    ChunkEnd,
    /// Trailer fields after the last chunk.
    Trailer,
    /// Bytes until the connection closes.
    UntilClose,
    /// Nothing: the response is complete.
    Nothing,
}

/// Decodes one response.
#[derive(Debug)]
pub(super) struct ResponseDecoder {
    expect: DecoderState,
    /// The bytes of an incomplete head or line.
    line: Vec<u8>,
    head: Option<ResponseHead>,
}

impl ResponseDecoder {
    /// Creates a decoder at the start of a response.
    pub(super) const fn new() -> Self {
        Self {
            expect: DecoderState::Head,
            line: Vec::new(),
            head: None,
        }
    }

    /// The head. `None`: not complete yet.
    pub(super) const fn head(&self) -> Option<&ResponseHead> {
        self.head.as_ref()
    }

    /// Whether the response is complete.
    pub(super) fn is_whole(&self) -> bool {
        self.expect == DecoderState::Nothing
    }

    /// Whether any bytes have arrived.
    pub(super) const fn has_begun(&self) -> bool {
        self.head.is_some() || !self.line.is_empty()
    }

    /// Consumes `input` and appends body bytes to `body`. Bytes after the end of the response are ignored, because
    /// the client sends one request at a time.
    ///
    /// # Errors
    /// The bytes are not an HTTP response.
    pub(super) fn feed(&mut self, mut input: &[u8], body: &mut Vec<u8>) -> Result<(), HttpError> {
        while !input.is_empty() {
            match self.expect {
                DecoderState::Nothing => {
                    // The extra bytes belong to no request, so never use this connection again.
                    if let Some(head) = &mut self.head {
                        head.keep = false;
                    }
                    return Ok(());
                }
                DecoderState::UntilClose => {
                    body.extend_from_slice(input);
                    return Ok(());
                }
                DecoderState::Body(left) => {
                    let left = take_bytes(&mut input, left, body);
                    self.expect = if left == 0 {
                        DecoderState::Nothing
                    } else {
                        DecoderState::Body(left)
                    };
                }
                DecoderState::Chunk(left) => {
                    let left = take_bytes(&mut input, left, body);
                    self.expect = if left == 0 {
                        DecoderState::ChunkEnd
                    } else {
                        DecoderState::Chunk(left)
                    };
                }
                DecoderState::Head => {
                    self.take_line(&mut input, HEAD_MAX)?;
                    if self.line.ends_with(b"\n\r\n") || self.line.ends_with(b"\n\n") {
                        let head = std::mem::take(&mut self.line);
                        self.read_head(&head)?;
                    }
                }
                DecoderState::ChunkLine => {
                    if self.take_line(&mut input, CHUNK_LINE_MAX)? {
                        let line = std::mem::take(&mut self.line);
                        let size = chunk_size(&line)?;
                        self.expect = if size == 0 {
                            DecoderState::Trailer
                        } else {
                            DecoderState::Chunk(size)
                        };
                    }
                }
                DecoderState::ChunkEnd => {
                    if self.take_line(&mut input, CHUNK_LINE_MAX)? {
                        if !self.line.trim_ascii().is_empty() {
                            return Err("a chunk is longer than it says");
                        }
                        self.line.clear();
                        self.expect = DecoderState::ChunkLine;
                    }
                }
                DecoderState::Trailer => {
                    if self.take_line(&mut input, HEAD_MAX)? {
                        let last = self.line.trim_ascii().is_empty();
                        self.line.clear();
                        if last {
                            self.expect = DecoderState::Nothing;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Handles the closing of the connection. Returns whether the response is complete.
    pub(super) fn close(&mut self) -> bool {
        if self.expect == DecoderState::UntilClose {
            self.expect = DecoderState::Nothing;
        }
        self.is_whole()
    }

    /// Moves bytes up to a line end into `line`. Returns whether the line is complete.
    fn take_line(&mut self, input: &mut &[u8], max: usize) -> Result<bool, HttpError> {
        let end = input.iter().position(|&byte| byte == b'\n');
        let (line, rest) = input.split_at(end.map_or(input.len(), |at| at + 1));
        if self.line.len() + line.len() > max {
            return Err("a line of its head is too long");
        }
        self.line.extend_from_slice(line);
        *input = rest;
        Ok(end.is_some())
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<(), HttpError> {
        let mut fields = [EMPTY_HEADER; FIELDS_MAX];
        let mut response = Response::new(&mut fields);
        // Supervisor's client accepts all of these.
        let mut parser = ParserConfig::default();
        parser
            .ignore_invalid_headers_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .allow_multiple_spaces_in_response_status_delimiters(true);
        match parser.parse_response(&mut response, bytes) {
            Ok(Status::Complete(_)) => {}
            Err(Error::Status) => return Err("it has no status code"),
            Err(Error::TooManyHeaders) => return Err("it has too many header fields"),
            Ok(Status::Partial) | Err(_) => return Err("it is not HTTP"),
        }
        let status = response
            .code
            .filter(|status| *status >= 100)
            .ok_or("it has no status code")?;
        let reason = reason_phrase(bytes);
        let mut keep = response.version != Some(0);
        let (mut length, mut chunked, mut log_file) = (None, false, None);
        for field in response.headers.iter() {
            let value = std::str::from_utf8(field.value).unwrap_or_default().trim();
            if field.name.eq_ignore_ascii_case("content-length") {
                length = Some(value.parse().map_err(|_| "its length is not a number")?);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value.to_ascii_lowercase().contains("chunked");
            } else if field.name.eq_ignore_ascii_case("connection") {
                keep = keep && !value.to_ascii_lowercase().contains("close");
            } else if field.name.eq_ignore_ascii_case("x-log-file") {
                // It becomes a part of the next request.
                let is_name = value
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
                log_file = is_name.then(|| value.to_owned());
            }
        }
        // Informational responses precede the final one.
        if (100..200).contains(&status) {
            return Ok(());
        }
        self.expect = match (chunked, length) {
            _ if status == 204 || status == 304 => DecoderState::Nothing,
            (true, _) => DecoderState::ChunkLine,
            (false, Some(0)) => DecoderState::Nothing,
            (false, Some(length)) => DecoderState::Body(length),
            (false, None) => {
                keep = false;
                DecoderState::UntilClose
            }
        };
        self.head = Some(ResponseHead {
            status,
            reason,
            keep,
            log_file,
        });
        Ok(())
    }
}

/// The reason phrase in a head with a valid status line. Empty: none.
// httparse drops a phrase with bytes outside ASCII. They are read as Latin-1, as in http.client.
fn reason_phrase(head: &[u8]) -> String {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let words = line.trim_ascii().splitn(2, |&byte| byte == b' ');
    let behind_version = words.last().unwrap_or_default().trim_ascii_start();
    let mut words = behind_version.splitn(2, |&byte| byte == b' ');
    let phrase = words.nth(1).unwrap_or_default().trim_ascii();
    let chars = phrase.iter().map(|&byte| char::from(byte));
    // The phrase is printed on a terminal, and Latin-1 has control characters too.
    chars
        .map(|c| {
            if c.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// Moves at most `left` bytes to `body`. Returns how many are still to come.
fn take_bytes(input: &mut &[u8], left: u64, body: &mut Vec<u8>) -> u64 {
    let count = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
    let (now, rest) = input.split_at(count);
    body.extend_from_slice(now);
    *input = rest;
    left - count as u64
}

/// Parses a chunk size line. Extensions are ignored.
fn chunk_size(line: &[u8]) -> Result<u64, HttpError> {
    // httparse takes a line without digits for the last chunk.
    let has_digits = line.first().is_some_and(u8::is_ascii_hexdigit);
    match httparse::parse_chunk_size(line) {
        Ok(Status::Complete((_, size))) if has_digits => Ok(size),
        _ => Err("the length of a chunk is not a number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `bytes` in pieces of `size`, and returns "status reason keep whole body".
    fn decode(bytes: &[u8], size: usize) -> Result<String, HttpError> {
        let mut decoder = ResponseDecoder::new();
        let mut body = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.feed(piece, &mut body)?;
        }
        let whole = decoder.close();
        let head = decoder.head().map_or("none".to_owned(), |head| {
            format!("{} {} {}", head.status, head.reason, head.keep)
        });
        Ok(format!("{head} {whole} {}", String::from_utf8_lossy(&body)))
    }

    #[test]
    fn responses_are_decoded_from_chunks_of_any_size() {
        let table: [(&str, Result<&str, HttpError>); 12] = [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                Ok("200 OK true true abc"),
            ),
            ("HTTP/1.0 200 OK\r\n\r\nabc", Ok("200 OK false true abc")),
            (
                "HTTP/1.1 200 Fine day\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                Ok("200 Fine day true true abcde"),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab",
                Ok("200 OK true false ab"),
            ),
            (
                "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                Ok("401 Unauthorized false true "),
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
                Ok("200 OK true true x"),
            ),
            (
                "HTTP/1.1 200\r\nContent-Length: 9\r\n\r\nabc",
                Ok("200  true false abc"),
            ),
            ("", Ok("none false ")),
            ("SSH-2.0-x\r\n\r\n", Err("it is not HTTP")),
            ("HTTP/1.1 abc\r\n\r\n", Err("it has no status code")),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
                Err("its length is not a number"),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                Err("the length of a chunk is not a number"),
            ),
        ];
        for (given, expected) in table {
            for size in [1, 2, 7, 1000] {
                assert_eq!(
                    decode(given.as_bytes(), size),
                    expected.map(str::to_owned),
                    "{given:?} by {size}"
                );
            }
        }
    }

    #[test]
    fn a_head_split_over_reads_is_parsed_once_it_is_complete() {
        let mut decoder = ResponseDecoder::new();
        let mut body = Vec::new();
        let pieces = ["HTT", "P/1.1 200 O", "K\r\nContent-Len", "gth: 2\r", "\n\r"];
        for piece in pieces {
            assert_eq!(decoder.feed(piece.as_bytes(), &mut body), Ok(()));
            assert!(decoder.has_begun() && decoder.head().is_none(), "{piece:?}");
        }
        assert_eq!(decoder.feed(b"\nab", &mut body), Ok(()));
        let head = ResponseHead {
            status: 200,
            reason: "OK".to_owned(),
            keep: true,
            log_file: None,
        };
        assert_eq!(decoder.head(), Some(&head));
        assert!(decoder.is_whole() && body == b"ab");
    }

    #[test]
    fn heads_of_sloppy_servers_are_accepted() {
        for (given, expected) in [
            // Lines may end without CR.
            (
                "HTTP/1.1 200 OK\nContent-Length: 1\n\nx",
                "200 OK true true x",
            ),
            // A line that is not a field.
            (
                "HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 1\r\n\r\nx",
                "200 OK true true x",
            ),
        ] {
            assert_eq!(
                decode(given.as_bytes(), 3),
                Ok(expected.to_owned()),
                "{given:?}"
            );
        }
        for (given, expected) in [
            ("\r\n\r\n", "it is not HTTP"),
            ("HTTP/2.0 200 OK\r\n\r\n", "it is not HTTP"),
            ("HTTP/1.1 099 x\r\n\r\n", "it has no status code"),
        ] {
            assert_eq!(decode(given.as_bytes(), 3), Err(expected), "{given:?}");
        }
    }

    /// Python's http.client, which Supervisor's client uses, accepts all of these heads.
    #[test]
    fn responses_that_supervisors_client_accepts_are_accepted() {
        let status = |line: &str| format!("{line}\r\nContent-Length: 1\r\n\r\nx").into_bytes();
        let fields = |text: &str| format!("HTTP/1.1 200 OK\r\n{text}\r\n\r\nx").into_bytes();
        let latin_1 = b"HTTP/1.1 500 Tsch\xfcss\r\nContent-Length: 1\r\nX: \xfc\r\n\r\nx";
        for (given, expected) in [
            // Without a reason phrase, with and without a space in its place.
            (status("HTTP/1.1 200 "), "200  true true x"),
            (status("HTTP/1.1 200"), "200  true true x"),
            (b"HTTP/1.1 200\nContent-Length: 1\n\nx".to_vec(), "200  true true x"),
            // A reason phrase outside ASCII.
            (latin_1.to_vec(), "500 Tsch\u{fc}ss true true x"),
            (status("HTTP/1.1 404 Not \u{e9}"), "404 Not \u{c3}\u{a9} true true x"),
            (b"HTTP/1.1 500 \x9b1m\r\nContent-Length: 1\r\n\r\nx".to_vec(), "500 \u{fffd}1m true true x"),
            // Several spaces.
            (status("HTTP/1.1  200  Fine  day"), "200 Fine  day true true x"),
            // HTTP/1.0.
            (status("HTTP/1.0 200 OK"), "200 OK false true x"),
            // Names in any case, and values without a space.
            (fields("content-length: 1"), "200 OK true true x"),
            (fields("CONTENT-LENGTH:1"), "200 OK true true x"),
            // Folded lines (RFC 9112, 5.2).
            (fields("X: a\r\n b\r\n\tc\r\nContent-Length: 1"), "200 OK true true x"),
            (fields("Content-Length:\r\n 1"), "200 OK true true x"),
            // Unusual fields: bytes outside ASCII, a control character, names with spaces, an empty name.
            (fields("X: \u{e9}\r\nContent-Length: 1"), "200 OK true true x"),
            (fields("X: \u{1}\r\nContent-Length: 1"), "200 OK true true x"),
            (fields("Set Cookie: a\r\nContent-Length: 1"), "200 OK true true x"),
            (fields(": a\r\nContent-Length: 1"), "200 OK true true x"),
            (fields("Content-Length : 1"), "200 OK false true x"),
            // `close` among other words.
            (fields("Connection: X, Close\r\nContent-Length: 1"), "200 OK false true x"),
            // A chunk size that the server pads with spaces, and a trailer.
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\n1  \r\nx\r\n0\r\nX: y\r\n\r\n".to_vec(),
                "200 OK true true x",
            ),
        ] {
            for size in [1, 3, 1000] {
                let given_text = String::from_utf8_lossy(&given);
                assert_eq!(decode(&given, size), Ok(expected.to_owned()), "{given_text:?}");
            }
        }
    }

    #[test]
    fn the_number_of_header_fields_is_limited() {
        let response = |fields: usize| {
            let fields = "X: y\r\n".repeat(fields - 1);
            format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n")
        };
        let most = decode(response(FIELDS_MAX).as_bytes(), 100);
        assert_eq!(most, Ok("200 OK true true ".to_owned()));
        let more = decode(response(FIELDS_MAX + 1).as_bytes(), 100);
        assert_eq!(more, Err("it has too many header fields"));
    }

    #[test]
    fn the_size_of_a_head_is_limited() {
        let response = |size: usize| {
            let start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: ";
            let filler = "y".repeat(size - start.len() - 4);
            format!("{start}{filler}\r\n\r\n")
        };
        let most = decode(response(HEAD_MAX).as_bytes(), 1000);
        assert_eq!(most, Ok("200 OK true true ".to_owned()));
        let more = decode(response(HEAD_MAX + 1).as_bytes(), 1000);
        assert_eq!(more, Err("a line of its head is too long"));
    }

    #[test]
    fn chunk_size_lines_are_strict_and_extensions_are_ignored() {
        let bad = Err("the length of a chunk is not a number");
        for (line, expected) in [
            ("a\r\n", Ok(10)),
            ("0A \r\n", Ok(10)),
            ("a;x=\"y;z\";w\r\n", Ok(10)),
            ("a ; x\r\n", Ok(10)),
            ("ffffffffffffffff\r\n", Ok(u64::MAX)),
            ("10000000000000000\r\n", bad),
            ("\r\n", bad),
            (";x\r\n", bad),
            (" a\r\n", bad),
            ("-1\r\n", bad),
            ("+1\r\n", bad),
            ("0x1\r\n", bad),
            ("1 2\r\n", bad),
            // A line end without CR could hide a chunk from another parser.
            ("a\n", bad),
            ("a;x\n", bad),
            ("a\r\r\n", bad),
        ] {
            assert_eq!(chunk_size(line.as_bytes()), expected, "{line:?}");
        }
        let long = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{}",
            "x".repeat(CHUNK_LINE_MAX)
        );
        let refused = decode(long.as_bytes(), 100);
        assert_eq!(refused, Err("a line of its head is too long"));
    }

    #[test]
    fn an_endless_header_is_refused() {
        let mut decoder = ResponseDecoder::new();
        let mut body = Vec::new();
        let piece = [b'a'; 4096];
        let mut fed = 0;
        while decoder.feed(&piece, &mut body).is_ok() {
            fed += piece.len();
            assert!(fed <= HEAD_MAX, "no bound");
        }
    }
}
