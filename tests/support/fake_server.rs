//! The test child as a server that programs under test talk to: a web server with a status to order, a mail server that
//! keeps what it gets.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Answers every request on `port` with the status that `file` holds at that moment.
pub(super) fn web(port: u16, file: &str) {
    for stream in listen(port) {
        let mut lines = BufReader::new(&stream).lines();
        while lines
            .next()
            .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
        {}
        let status = std::fs::read_to_string(file).unwrap_or_default();
        let text = format!(
            "HTTP/1.0 {} as ordered\r\nContent-Length: 0\r\n\r\n",
            status.trim()
        );
        drop((&stream).write_all(text.as_bytes()));
    }
}

/// Takes mail on `port` as SMTP has it and appends each message to `file`.
pub(super) fn mail(port: u16, file: &str) {
    for stream in listen(port) {
        drop(one_mail(&stream, file));
    }
}

fn one_mail(stream: &TcpStream, file: &str) -> std::io::Result<()> {
    let reply = |text: &str| (&*stream).write_all(format!("{text}\r\n").as_bytes());
    let mut lines = BufReader::new(stream).lines();
    reply("220 ready")?;
    while let Some(line) = lines.next().transpose()? {
        if line.eq_ignore_ascii_case("data") {
            reply("354 go on")?;
            let mut message = String::new();
            for line in lines.by_ref() {
                let line = line?;
                if line == "." {
                    break;
                }
                message.push_str(&line);
                message.push('\n');
            }
            let mut out = OpenOptions::new().append(true).create(true).open(file)?;
            out.write_all(format!("{message}(end)\n").as_bytes())?;
            reply("250 taken")?;
        } else if line.eq_ignore_ascii_case("quit") {
            return reply("221 bye");
        } else {
            reply("250 ok")?;
        }
    }
    Ok(())
}

fn listen(port: u16) -> impl Iterator<Item = TcpStream> {
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
    std::iter::repeat_with(move || listener.accept())
        .flatten()
        .map(|(stream, _)| stream)
}
