//! HTTP: endpoints, refusals, misbehaving connections and shutdown.

use super::*;

#[test]
fn rpc_01_every_path_asks_for_the_password() {
    let world = TestServer::with(
        "auth",
        TestSetup {
            password: Some("p"),
            ..TestSetup::default()
        },
    );
    for path in [
        "/",
        "/RPC2",
        "/logtail/cat",
        "/mainlogtail",
        "/ok.html",
        "/metrics",
        "/nope",
    ] {
        for header in [
            "",
            "Authorization: Basic dTpx\r\n",
            "Authorization: Bearer x\r\n",
            "Authorization: Basic dQ==\r\n",
        ] {
            let answer = world.get(&format!("GET {path} HTTP/1.1\r\n{header}\r\n"));
            assert!(
                answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"),
                "{path} {answer}"
            );
            assert!(
                answer.contains("\r\nWww-Authenticate: Basic realm=\"default\"\r\n"),
                "{answer}"
            );
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
            assert!(
                answer.ends_with("<p>Message: Unauthorized.\r\n</body>\r\n"),
                "{answer}"
            );
        }
    }
    let right = world.get("GET /ok.html HTTP/1.1\r\nAuthorization: Basic dTpw\r\n\r\n");
    assert!(
        right.starts_with("HTTP/1.1 200 OK\r\n") && right.ends_with("\r\n\r\nOK"),
        "{right}"
    );
    let bad = world.get("GET /ok.html HTTP/1.1\r\nAuthorization: Basic !!!\r\n\r\n");
    assert!(bad.starts_with("HTTP/1.1 400 "), "{bad}");
    assert!(world.seen.lock().expect("whole").asked.is_empty());
    assert!(world.lines(Level::Critical).is_empty());
    let body = body("supervisor.getPID", vec![]);
    let head = format!(
        "POST /RPC2 HTTP/1.0\r\nAuthorization: Basic dTpw\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = world.get(&(head + std::str::from_utf8(&body).expect("text")));
    assert!(answer.contains("<int>42</int>"), "{answer}");
    assert_eq!(
        world.seen.lock().expect("whole").asked[0]
            .0
            .login
            .as_deref(),
        Some("u")
    );
}

#[test]
fn rpc_04_bad_requests_have_supervisors_statuses() {
    let world = TestServer::new("refusals");
    let table = [
        ("GET /RPC2 HTTP/1.1\r\n\r\n", 400),
        ("HEAD / HTTP/1.1\r\n\r\n", 200),
        ("GET /nope HTTP/1.1\r\n\r\n", 404),
        ("HEAD /nope HTTP/1.1\r\n\r\n", 404),
        ("GET //RPC2 HTTP/1.1\r\n\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        ("PUT /nope HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /nope HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /RPC2 HTTP/1.1\r\n\r\n", 411),
        ("POST /RPC2 HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        ("POST /RPC2 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /RPC2xyz HTTP/1.1\r\nContent-Length: 1\r\n\r\n<", 400),
        (
            "POST /RPC2 HTTP/1.1\r\nContent-Length: 5\r\n\r\n<a\x1b/>",
            400,
        ),
        (
            "POST /RPC2 HTTP/1.1\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n",
            403,
        ),
        (
            "POST /logtail/cat HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            400,
        ),
        ("GET /logtail HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/nope HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/nolog HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/cat HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/cat/nope HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/cat/stdout/x HTTP/1.1\r\n\r\n", 404),
        ("GET /mainlogtail HTTP/1.1\r\n\r\n", 404),
        ("GARBAGE\r\n\r\n", 400),
        ("GET /metrics HTTP/1.1\r\n\r\n", 200),
        ("HEAD /metrics HTTP/1.1\r\n\r\n", 200),
        ("GET /metrics/ HTTP/1.1\r\n\r\n", 404),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        ("GET /ok.html HTTP/1.1\r\n\r\n", 200),
        ("GET /ok.html?x=1 HTTP/1.0\r\n\r\n", 200),
    ];
    for (request, status) in table {
        let answer = world.get(request);
        let found = answer.split(' ').nth(1).expect("a status line");
        assert_eq!(found, status.to_string(), "{request}: {answer}");
    }
}

#[test]
fn rpc_03_keep_alive_is_supervisors() {
    let world = TestServer::new("keep");
    let mut stream = world.tcp();
    let (head, _) = exchange(
        &mut stream,
        b"GET /ok.html HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
    );
    assert!(
        head.starts_with("HTTP/1.0 200") && head.contains("\r\nConnection: Keep-Alive\r\n"),
        "{head}"
    );
    let (head, _) = exchange(&mut stream, b"GET /ok.html HTTP/1.0\r\n\r\n");
    assert!(!head.to_lowercase().contains("keep-alive"), "{head}");
    assert_eq!(stream.read(&mut [0]).expect("closed"), 0);
    let mut stream = world.tcp();
    for _ in 0..3 {
        let (head, _) = exchange(&mut stream, b"GET /ok.html HTTP/1.1\r\n\r\n");
        assert!(!head.contains("Connection:"), "{head}");
    }
    exchange(
        &mut stream,
        b"GET /ok.html HTTP/1.1\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(stream.read(&mut [0]).expect("closed"), 0);
    // An error does not close the connection.
    let mut stream = world.tcp();
    let (head, _) = exchange(&mut stream, b"GET /nope HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    exchange(&mut stream, b"GET /ok.html HTTP/1.1\r\n\r\n");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = TestServer::new("pipeline");
    let mut stream = world.unix();
    let request = |name: &str| {
        post(&body(
            "supervisor.getProcessInfo",
            vec![RpcValue::text(name)],
        ))
    };
    stream
        .write_all(&[request("a"), request("cat"), request("b")].concat())
        .expect("written");
    let texts: Vec<_> = (0..3)
        .map(|_| String::from_utf8(receive(&mut stream).1).expect("text"))
        .collect();
    assert!(texts[0].contains("BAD_NAME: a") && texts[2].contains("BAD_NAME: b"));
    assert!(texts[1].contains("pid 7, uptime 0:00:01"), "{}", texts[1]);
}

#[test]
fn half_closed_and_chunked_requests_are_answered() {
    let world = TestServer::new("half");
    let call = body("supervisor.getPID", vec![]);
    let head = "POST /RPC2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let text = std::str::from_utf8(&call).expect("text");
    let answer = world.get(&format!("{head}{:x}\r\n{text}\r\n0\r\n\r\n", call.len()));
    assert!(answer.contains("<int>42</int>"), "{answer}");
}

#[test]
fn huge_bodies_are_refused_with_an_answer() {
    let world = TestServer::new("huge");
    let mut stream = world.tcp();
    let length = 100_u64 << 20;
    let head = format!("POST /RPC2 HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    let block = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        stream.write_all(&block).expect("written");
    }
    let (head, _) = receive(&mut stream);
    assert!(
        head.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{head}"
    );
    // Without a Content-Length the same limit applies.
    let mut stream = world.tcp();
    stream
        .write_all(b"POST /RPC2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .expect("written");
    for _ in 0..17 {
        stream.write_all(b"100000\r\n").expect("written");
        stream.write_all(&block).expect("written");
        stream.write_all(b"\r\n").expect("written");
    }
    stream.write_all(b"0\r\n\r\n").expect("written");
    assert!(receive(&mut stream).0.starts_with("HTTP/1.1 413 "));
    assert_eq!(
        world.call("supervisor.getPID", vec![]),
        Ok(RpcValue::Int(42))
    );
}

#[test]
fn xml_bombs_are_refused() {
    let world = TestServer::new("bomb");
    let entities: String = (1..30)
        .map(|n| format!("<!ENTITY e{n} \"&e{};&e{};\">", n - 1, n - 1))
        .collect();
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY e0 \"x\">{entities}]><methodCall><methodName>&e29;</methodName></methodCall>"
    );
    let answer = world.get(std::str::from_utf8(&post(bomb.as_bytes())).expect("text"));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let deep = "<value><array><data>".repeat(500_000);
    let deep = format!("<methodCall><methodName>a</methodName><params><param>{deep}");
    let answer = world.get(std::str::from_utf8(&post(deep.as_bytes())).expect("text"));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn slow_and_vanished_clients_do_not_delay_others() {
    let limits = ServerLimits {
        connections_max: 8,
        head_within: Duration::from_secs(60),
    };
    let world = TestServer::with(
        "slow",
        TestSetup {
            limits,
            ..TestSetup::default()
        },
    );
    // More connections than the server has room for, each with half a request. The newest ones evict the oldest.
    let mut slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = world.tcp();
            let _ = stream.write_all(b"POST /RPC2 HT");
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(
            world.call("supervisor.getPID", vec![]),
            Ok(RpcValue::Int(42))
        );
    }
    let ended = match slow[0].read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    assert!(ended, "the oldest one is closed");
    // Clients that disconnect in the middle, with and without a reset.
    for _ in 0..50 {
        let mut stream = world.tcp();
        let _ = stream.write_all(&post(&body("supervisor.getAllProcessInfo", vec![])));
        drop(stream);
    }
    assert_eq!(
        world.call("supervisor.getPID", vec![]),
        Ok(RpcValue::Int(42))
    );
}

#[test]
fn a_missing_request_head_times_out() {
    let limits = ServerLimits {
        connections_max: 8,
        head_within: Duration::from_millis(200),
    };
    let world = TestServer::with(
        "head",
        TestSetup {
            limits,
            ..TestSetup::default()
        },
    );
    let mut stream = world.tcp();
    stream
        .write_all(b"GET /ok.html HTTP/1.1\r\nX: ")
        .expect("written");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("closed");
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
    // The next request of a connection that had one gets no answer either.
    let mut stream = world.tcp();
    exchange(&mut stream, b"GET /ok.html HTTP/1.1\r\n\r\n");
    assert_eq!(stream.read(&mut [0]).expect("closed"), 0);
}

#[test]
fn busy_connections_are_not_closed() {
    let limits = ServerLimits {
        connections_max: 3,
        head_within: Duration::from_secs(60),
    };
    let world = TestServer::with(
        "busy",
        TestSetup {
            limits,
            ..TestSetup::default()
        },
    );
    let start = post(&body(
        "supervisor.startProcess",
        vec![RpcValue::text("slow")],
    ));
    let mut waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = world.unix();
            stream.write_all(&start).expect("written");
            stream
        })
        .collect();
    world.until("both wait", |seen| seen.deferred.len() == 2);
    for _ in 0..10 {
        assert_eq!(
            world.call("supervisor.getPID", vec![]),
            Ok(RpcValue::Int(42))
        );
    }
    for asked in world.seen.lock().expect("whole").deferred.drain(..) {
        (asked.answer)(Ok(Reply::Done));
    }
    for stream in &mut waiting {
        assert_eq!(
            read_response(&receive(stream).1),
            Ok(Ok(RpcValue::Bool(true)))
        );
    }
    // Waiting calls take all connections, but one of these clients has disconnected.
    for _ in 0..3 {
        waiting.push(world.unix());
        waiting
            .last_mut()
            .expect("pushed")
            .write_all(&start)
            .expect("written");
    }
    waiting.drain(..2);
    world.until("three wait", |seen| seen.deferred.len() == 3);
    waiting.pop();
    assert_eq!(
        world.call("supervisor.getPID", vec![]),
        Ok(RpcValue::Int(42))
    );
}

#[test]
fn stopping_finishes_requests_and_removes_the_socket() {
    let mut world = TestServer::new("stop");
    let mut waiting = world.unix();
    let start = post(&body(
        "supervisor.startProcess",
        vec![RpcValue::text("slow")],
    ));
    waiting.write_all(&start).expect("written");
    let idle = world.unix();
    world.until("it waits", |seen| seen.deferred.len() == 1);
    let server = world.server.take().expect("there");
    let stopping = std::thread::spawn(move || server.stop());
    let mut idle = idle;
    assert_eq!(idle.read(&mut [0]).expect("closed"), 0);
    let asked = world.seen.lock().expect("whole").deferred.remove(0);
    (asked.answer)(Ok(Reply::Done));
    assert_eq!(
        read_response(&receive(&mut waiting).1),
        Ok(Ok(RpcValue::Bool(true)))
    );
    stopping.join().expect("stopped");
    assert!(!world.socket.exists());
    assert!(TcpStream::connect(world.inet).is_err());
}

#[test]
fn stopping_has_a_time_limit() {
    let mut world = TestServer::new("stop-hung");
    let mut waiting = world.unix();
    let start = post(&body(
        "supervisor.startProcess",
        vec![RpcValue::text("slow")],
    ));
    waiting.write_all(&start).expect("written");
    world.until("it waits", |seen| seen.deferred.len() == 1);
    let begun = Instant::now();
    world.server.take().expect("there").stop();
    assert!(begun.elapsed() < Duration::from_secs(5));
}
