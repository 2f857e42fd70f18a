//! Followed logs.

use super::*;

/// Reads until `text` has arrived.
fn until_text(stream: &mut impl Read, text: &str) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let seen = String::from_utf8_lossy(&all).into_owned();
        if seen.contains(text) {
            return seen;
        }
        let count = stream.read(&mut buffer).expect("more");
        assert_ne!(count, 0, "ended before {text:?}: {seen}");
        all.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn rpc_38_a_growing_log_is_followed() {
    let mut world = TestServer::new("growing");
    let path = world.scratch.0.join("cat");
    std::fs::write(&path, format!("{}{}", "x".repeat(2000), "end")).expect("written");
    let mut stream = world.tcp();
    stream
        .write_all(b"GET /logtail/c%61t HTTP/1.1\r\n\r\n")
        .expect("written");
    let head = until_text(&mut stream, "end");
    for line in [
        "HTTP/1.1 200 OK",
        "Content-Type: text/plain;charset=utf-8",
        "X-Accel-Buffering: no",
        "Transfer-Encoding: chunked",
    ] {
        assert!(
            head.to_lowercase().contains(&line.to_lowercase()),
            "{line}: {head}"
        );
    }
    assert!(
        head.contains("Last-Modified: ") && head.contains("\r\n400\r\nxxx"),
        "{head}"
    );
    let append = |text: &str| {
        let file = std::fs::OpenOptions::new().append(true).open(&path);
        file.expect("opened")
            .write_all(text.as_bytes())
            .expect("written");
    };
    append("appended");
    until_text(&mut stream, "8\r\nappended\r\n");
    std::fs::write(&path, "").expect("truncated");
    until_text(&mut stream, "==> File truncated <==\n");
    // HTTP/1.0 has no chunked encoding.
    append("unchunked");
    let mut old = world.tcp();
    old.write_all(b"GET /logtail/cat/stderr HTTP/1.0\r\n\r\n")
        .expect("written");
    assert!(until_text(&mut old, "unchunked").ends_with("\r\n\r\nunchunked"));
    // A client that disconnects frees its slot even if the log is silent.
    let mut gone = world.unix();
    gone.write_all(b"GET /logtail/cat HTTP/1.1\r\n\r\n")
        .expect("written");
    until_text(&mut gone, "unchunked");
    gone.shutdown(Shutdown::Write).expect("ended");
    let mut rest = Vec::new();
    gone.read_to_end(&mut rest).expect("closed");
    // The server ends the stream properly when it stops.
    world.server.take().expect("there").stop();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("closed");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
}

#[test]
fn rpc_38_the_main_log_is_followed() {
    let world = TestServer::new("main");
    std::fs::write(world.scratch.0.join("main"), "first\n").expect("written");
    let mut stream = world.unix();
    stream
        .write_all(b"GET /mainlogtail HTTP/1.1\r\n\r\n")
        .expect("written");
    let head = until_text(&mut stream, "first\n");
    assert!(!head.to_lowercase().contains("x-accel"), "{head}");
}
