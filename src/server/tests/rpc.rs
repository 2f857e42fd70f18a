//! XML-RPC: calls, faults, multicalls and log lines.

use super::*;

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

#[test]
fn a_client_that_connects_before_the_server_starts_is_answered() {
    let mut world = TestServer::before_it_begins("begins", TestSetup::default());
    let mut early = world.unix();
    early
        .write_all(&post(&body("supervisor.getState", vec![])))
        .expect("written");
    assert!(world.seen.lock().expect("whole").asked.is_empty());
    let server = world.server.as_mut().expect("started");
    server.start();
    server.start();
    let (head, _) = receive(&mut early);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    // A server that is never started stops as well.
    drop(TestServer::before_it_begins(
        "never-begins",
        TestSetup::default(),
    ));
}

#[test]
fn rpc_08_an_answer_matches_the_reference() {
    let world = TestServer::new("answer");
    let mut stream = world.unix();
    let (head, answer) = exchange(&mut stream, &post(&body("supervisor.getState", vec![])));
    let mut lines: Vec<_> = head
        .lines()
        .filter(|line| !line.starts_with("Date: "))
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "",
            "Content-Length: 279",
            "Content-Type: text/xml",
            "HTTP/1.1 200 OK",
            "Server: Medusa/1.12"
        ]
    );
    assert_eq!(answer.len(), 279);
    // The same connection serves the next request.
    let (_, answer) = exchange(&mut stream, &post(&body("supervisor.getPID", vec![])));
    assert_eq!(read_response(&answer), Ok(Ok(RpcValue::Int(42))));
    let asked = &world.seen.lock().expect("whole").asked[0].0;
    assert_eq!(asked.transport, Transport::Unix);
    assert_eq!(
        asked.uid,
        Some(std::os::unix::fs::MetadataExt::uid(
            &world.scratch.0.metadata().expect("stat")
        ))
    );
    assert_eq!(asked.pid, i32::try_from(std::process::id()).ok());
}

#[test]
fn server_log_lines_are_supervisors() {
    let world = TestServer::new("lines");
    world.call("supervisor.getPID", vec![]).expect("answered");
    world.call("nope", vec![]).expect_err("a fault");
    world.get("POST /RPC2 HTTP/1.1\r\nContent-Length: 4\r\n\r\njunk");
    world.get("POST /RPC2 HTTP/1.1\r\nContent-Length: 13\r\n\r\n<methodCall/>");
    assert_eq!(
        world.lines(Level::Error),
        [
            "XML-RPC request data 'junk' is invalid: unmarshallable",
            "XML-RPC request data '<methodCall/>' is invalid: no method name"
        ]
    );
    let traces = world.lines(Level::Trace);
    for expected in [
        "XML-RPC method called: supervisor.getPID()",
        "XML-RPC method supervisor.getPID() returned successfully",
        "XML-RPC method called: nope()",
        "XML-RPC method nope() returned fault: [1] UNKNOWN_METHOD",
    ] {
        assert!(
            traces.iter().any(|line| line == expected),
            "{expected}: {traces:?}"
        );
    }
    // The reference Supervisor counts 391 and 268 bytes for these responses.
    let access: Vec<_> = traces
        .iter()
        .filter(|line| line.starts_with("localhost:0 - - ["))
        .collect();
    assert!(
        access[1].ends_with("] \"POST /RPC2 HTTP/1.1\" 200 391"),
        "{access:?}"
    );
    assert!(
        access[2].ends_with("] \"POST /RPC2 HTTP/1.1\" 400 268"),
        "{access:?}"
    );
}

#[test]
fn a_panic_ends_one_connection_only() {
    let world = TestServer::new("panic");
    let mut stream = world.unix();
    let request = post(&body(
        "supervisor.removeProcessGroup",
        vec![RpcValue::text("panic")],
    ));
    stream.write_all(&request).expect("written");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert_eq!(
        world.call("supervisor.getPID", vec![]),
        Ok(RpcValue::Int(42))
    );
    world.until("the panic is logged", |seen| {
        seen.lines
            .iter()
            .any(|line| matches!(line, Line::MethodFailed { .. }))
    });
}

#[test]
fn rpc_36_multicall_answers_each_call() {
    let world = TestServer::new("multi");
    let call = |name: &str, params: Vec<RpcValue>| {
        RpcValue::Struct(vec![
            ("methodName".to_owned(), RpcValue::text(name)),
            ("params".to_owned(), RpcValue::Array(params)),
        ])
    };
    let calls = vec![
        call("supervisor.getPID", vec![]),
        RpcValue::Struct(vec![(
            "methodName".to_owned(),
            RpcValue::text("supervisor.getPID"),
        )]),
        call("supervisor.foo", vec![]),
        RpcValue::Struct(vec![]),
        call("system.multicall", vec![RpcValue::Array(vec![])]),
        call("supervisor.getPID", vec![RpcValue::Int(1)]),
        RpcValue::Int(5),
        call(
            "supervisor.readLog",
            vec![RpcValue::Int(-1), RpcValue::Int(1)],
        ),
        call("system.methodHelp", vec![RpcValue::text("x")]),
    ];
    let fault = |code, text: &str| RpcValue::fault(code, text);
    std::fs::write(world.scratch.0.join("main"), "log").expect("written");
    assert_eq!(
        world.call("system.multicall", vec![RpcValue::Array(calls)]),
        Ok(RpcValue::Array(vec![
            RpcValue::Int(42),
            RpcValue::Int(42),
            fault(1, "UNKNOWN_METHOD"),
            fault(2, "INCORRECT_PARAMETERS: No methodName"),
            fault(
                2,
                "INCORRECT_PARAMETERS: Recursive system.multicall forbidden"
            ),
            fault(2, "INCORRECT_PARAMETERS"),
            fault(2, "INCORRECT_PARAMETERS"),
            fault(3, "BAD_ARGUMENTS"),
            fault(4, "SIGNATURE_UNSUPPORTED"),
        ]))
    );
    // One after the other: the second call starts only when the first has been answered.
    let mut stream = world.unix();
    let start = call("supervisor.startProcess", vec![RpcValue::text("slow")]);
    let calls = RpcValue::Array(vec![start.clone(), start]);
    stream
        .write_all(&post(&body("system.multicall", vec![calls])))
        .expect("written");
    for _ in 0..2 {
        world.until("one waits", |seen| seen.deferred.len() == 1);
        let asked = world.seen.lock().expect("whole").deferred.remove(0);
        (asked.answer)(Ok(Reply::Done));
    }
    let answer = read_response(&receive(&mut stream).1);
    assert_eq!(
        answer,
        Ok(Ok(RpcValue::Array(vec![
            RpcValue::Bool(true),
            RpcValue::Bool(true)
        ])))
    );
}

#[test]
fn rpc_13_only_system_methods_work_while_stopping() {
    let world = TestServer::new("stopping");
    world.seen.lock().expect("whole").stopping = true;
    let fault = Err((6, "SHUTDOWN_STATE".to_owned()));
    for method in [
        "supervisor.getAPIVersion",
        "supervisor.getPID",
        "supervisor.getSupervisorVersion",
    ] {
        assert_eq!(world.call(method, vec![]), fault, "{method}");
    }
    let read = vec![RpcValue::Int(0), RpcValue::Int(0)];
    assert_eq!(world.call("supervisor.readLog", read), fault);
    assert!(world.call("system.listMethods", vec![]).is_ok());
}

#[test]
fn without_an_rpc_interface_only_system_methods_exist() {
    let world = TestServer::with(
        "absent",
        TestSetup {
            interfaces: vec![],
            ..TestSetup::default()
        },
    );
    let unknown = Err((1, "UNKNOWN_METHOD".to_owned()));
    assert_eq!(world.call("supervisor.getPID", vec![]), unknown);
    let name = vec![RpcValue::text("supervisor.getPID")];
    assert_eq!(
        world.call("system.methodHelp", name),
        Err((4, "SIGNATURE_UNSUPPORTED".to_owned()))
    );
    assert!(world.call("system.listMethods", vec![]).is_ok());
    assert!(world.lines(Level::Info).is_empty());
}

#[test]
fn scaling_needs_a_password_or_the_daemons_user() {
    let scale = |answer: String| {
        if answer.contains("<name>faultCode</name>") {
            assert!(answer.contains("FAILED: permission denied: "), "{answer}");
            false
        } else {
            answer.contains("<boolean>1</boolean>")
        }
    };
    let ask = |stream: &mut dyn ReadWrite, head: &str| {
        let body = body(
            "supervisord.setNumprocs",
            vec![RpcValue::text("web"), RpcValue::Int(2)],
        );
        let head = format!(
            "POST /RPC2 HTTP/1.0\r\n{head}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("written");
        stream.write_all(&body).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("read");
        scale(answer)
    };
    let open = TestServer::new("configure-open");
    // The peer has the daemon's own user.
    assert!(ask(&mut open.unix(), ""));
    assert!(!ask(&mut open.tcp(), ""));
    // Unverified credentials from the client do not count.
    assert!(!ask(&mut open.tcp(), "Authorization: Basic dTpw\r\n"));
    assert_eq!(open.seen.lock().expect("whole").asked.len(), 1);
    let closed = TestServer::with(
        "configure-password",
        TestSetup {
            password: Some("p"),
            ..TestSetup::default()
        },
    );
    assert!(ask(&mut closed.tcp(), "Authorization: Basic dTpw\r\n"));
    let request = closed.seen.lock().expect("whole").asked[0].clone();
    assert_eq!(request.0.login.as_deref(), Some("u"));
}

#[test]
fn twiddler_exists_when_it_is_configured() {
    let unknown = Err((1, "UNKNOWN_METHOD".to_owned()));
    let world = TestServer::new("no-twiddler");
    assert_eq!(world.call("twiddler.getAPIVersion", vec![]), unknown);
    let with = |name, list: &[&str]| {
        let twiddler = Some(list.iter().map(|name| (*name).to_owned()).collect());
        TestServer::with(
            name,
            TestSetup {
                twiddler,
                ..TestSetup::default()
            },
        )
    };
    let world = with("twiddler", &[]);
    assert_eq!(
        world.call("twiddler.getAPIVersion", vec![]),
        Ok(RpcValue::text("1.0"))
    );
    assert_eq!(
        world.call("twiddler.log", vec![RpcValue::text("x")]),
        Ok(RpcValue::Bool(true))
    );
    let world = with("twiddler-list", &["getAPIVersion"]);
    assert!(world.call("twiddler.getAPIVersion", vec![]).is_ok());
    let fault = Err((230, "UNKNOWN: log".to_owned()));
    assert_eq!(world.call("twiddler.log", vec![RpcValue::text("x")]), fault);
    // The method name is checked before the caller and the arguments.
    assert_eq!(world.call("twiddler.log", vec![]), fault);
}

#[test]
fn rpc_19_a_fault_names_the_wildcard_as_given() {
    let world = TestServer::new("wildcard");
    assert_eq!(
        world.call("supervisor.stopProcess", vec![RpcValue::text("nope:*")]),
        Err((10, "BAD_NAME: nope:*".to_owned()))
    );
}

#[test]
fn rpc_26_logs_are_read_with_bad_bytes_replaced() {
    let world = TestServer::new("logs");
    let read = |method: &str, name: &str| {
        world.call(
            method,
            vec![RpcValue::text(name), RpcValue::Int(0), RpcValue::Int(100)],
        )
    };
    assert_eq!(
        read("supervisor.readProcessStdoutLog", "cat"),
        Err((
            20,
            format!("NO_FILE: {}", world.scratch.0.join("cat").display())
        ))
    );
    assert_eq!(
        read("supervisor.readProcessLog", "nolog"),
        Err((20, "NO_FILE".to_owned()))
    );
    let tail = |text: &str, size| {
        Ok(RpcValue::Array(vec![
            RpcValue::text(text),
            RpcValue::Int(size),
            RpcValue::Bool(false),
        ]))
    };
    assert_eq!(read("supervisor.tailProcessLog", "nolog"), tail("", 0));
    std::fs::write(world.scratch.0.join("cat"), b"a\xff\x1bb\n").expect("written");
    assert_eq!(
        read("supervisor.readProcessStderrLog", "cat"),
        Ok(RpcValue::text("a\u{fffd}\u{fffd}b\n"))
    );
    assert_eq!(
        read("supervisor.tailProcessStderrLog", "cat"),
        tail("a\u{fffd}\u{fffd}b\n", 5)
    );
    assert_eq!(
        read("supervisor.tailProcessLog", "x"),
        Err((10, "BAD_NAME: x".to_owned()))
    );
    // A sparse file, so that the test needs no disk space.
    let file = std::fs::File::create(world.scratch.0.join("cat")).expect("created");
    file.set_len(1 << 40).expect("sparse");
    let fault = world.call(
        "supervisor.readProcessLog",
        vec![RpcValue::text("cat"), RpcValue::Int(0), RpcValue::Int(0)],
    );
    assert!(fault.is_err_and(|(code, text)| code == 30 && text.contains("read the log in parts")));
}

#[test]
fn a_long_list_equals_a_rendered_value() {
    let world = TestServer::new("list");
    let mut stream = world.unix();
    let request = post(&body("supervisor.getAllProcessInfo", vec![]));
    let reply = engine(&Request::AllProcessInfo, Path::new("/")).expect("answered");
    let result = crate::server::calls::method_result::MethodResult::Reply(reply);
    let tree = crate::server::xmlrpc::render::render_result(result, crate::api::WireType::Array);
    let expected = write_response(&Ok(tree));
    // The second response is written into the buffer of the first.
    for _ in 0..2 {
        let (head, answer) = exchange(&mut stream, &request);
        assert!(answer == expected, "{} bytes", answer.len());
        assert!(head.contains(&format!("Content-Length: {}\r\n", expected.len())));
    }
    // A shorter response in the same buffer contains nothing of the earlier ones.
    let (_, answer) = exchange(
        &mut stream,
        &post(&body(
            "supervisord.getProcessTable",
            vec![
                RpcValue::Array(vec![]),
                RpcValue::Array(vec![RpcValue::text("pid")]),
            ],
        )),
    );
    let text = format!("pid\n{}", "7\n".repeat(2000));
    assert_eq!(read_response(&answer), Ok(Ok(RpcValue::Text(text))));
}

#[test]
fn a_table_has_the_requested_processes_and_members() {
    let world = TestServer::new("table");
    let texts =
        |texts: &[&str]| RpcValue::Array(texts.iter().map(|text| RpcValue::text(*text)).collect());
    let ask = |names: &[&str], members: &[&str]| {
        let params = vec![texts(names), texts(members)];
        world.call("supervisord.getProcessTable", params)
    };
    let table = "name\tstate\tpid\ncat\t20\t7\n";
    assert_eq!(
        ask(&["cat"], &["state", "pid", "name"]),
        Ok(RpcValue::text(table))
    );
    assert_eq!(ask(&["dog"], &["name"]), Ok(RpcValue::text("name\n")));
    assert_eq!(
        ask(&["cat"], &["uptime"]),
        Err((2, "INCORRECT_PARAMETERS: no member uptime".to_owned()))
    );
    assert_eq!(ask(&["a\nb"], &[]).expect_err("no name").0, 10);
    // The same within a multicall.
    let call = RpcValue::Struct(vec![
        (
            "methodName".to_owned(),
            RpcValue::text("supervisord.getProcessTable"),
        ),
        (
            "params".to_owned(),
            RpcValue::Array(vec![texts(&["cat"]), texts(&["state", "pid", "name"])]),
        ),
    ]);
    assert_eq!(
        world.call("system.multicall", vec![RpcValue::Array(vec![call])]),
        Ok(RpcValue::Array(vec![RpcValue::text(table)]))
    );
    let asked = &world.seen.lock().expect("whole").asked;
    let requests: Vec<_> = asked.iter().map(|(_, request)| request).collect();
    assert!(
        requests
            .iter()
            .all(|request| matches!(request, Request::SomeProcessInfo(_))),
        "{requests:?}"
    );
}
