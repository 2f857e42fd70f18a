//! Compares with reference clients and the reference marshaller.

use super::*;

/// Runs a script in the Python of a reference Supervisor. `None`: there is no reference Supervisor.
fn reference_python(script: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let Some(oracle) = std::env::var_os("SUPERVISOR_ORACLE") else {
        eprintln!("skipped: SUPERVISOR_ORACLE names no venv with a reference Supervisor");
        return None;
    };
    let python = Path::new(&oracle).join("bin/python");
    let output = Command::new(python)
        .arg("-c")
        .arg(script)
        .args(arguments)
        .output();
    let output = output.expect("python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.stdout)
}

#[test]
fn rpc_08_responses_are_pythons_to_the_byte() {
    let script = "import sys, xmlrpc.client as x
v = {'i': -5, 'b': True, 's': 'a<&>\"\\'\\té\\n', 'd': 1.5, 'a': [], 'n': {'x': [1, [False]]}, 'y': x.Binary(bytes(range(200)))}
out = sys.stdout.buffer
for body in (x.dumps((v,), methodresponse=True), x.dumps(x.Fault(10, 'BAD_NAME: <x>'), methodresponse=True), x.dumps((1, 'é<'), 'a.b')):
    out.write(body.encode('utf-8') + b'\\0')";
    let Some(expected) = reference_python(script, &[]) else {
        return;
    };
    let value = RpcValue::Struct(vec![
        ("i".to_owned(), RpcValue::Int(-5)),
        ("b".to_owned(), RpcValue::Bool(true)),
        ("s".to_owned(), RpcValue::text("a<&>\"'\té\n")),
        ("d".to_owned(), RpcValue::Double(1.5)),
        ("a".to_owned(), RpcValue::Array(vec![])),
        (
            "n".to_owned(),
            RpcValue::Struct(vec![(
                "x".to_owned(),
                RpcValue::Array(vec![
                    RpcValue::Int(1),
                    RpcValue::Array(vec![RpcValue::Bool(false)]),
                ]),
            )]),
        ),
        ("y".to_owned(), RpcValue::Bytes((0..200).collect())),
    ]);
    let ours = [
        // Neither Supervisor nor `dumps` declares an encoding; neither do we.
        write_response(&Ok(value)),
        write_response(&Err(FaultCode::BadName.of("<x>"))),
        body("a.b", vec![RpcValue::Int(1), RpcValue::text("é<")]),
    ];
    let mut joined = Vec::new();
    for message in &ours {
        joined.extend_from_slice(message);
        joined.push(0);
    }
    assert_eq!(
        String::from_utf8_lossy(&joined),
        String::from_utf8_lossy(&expected)
    );
}

#[test]
fn reference_clients_are_served() {
    let world = TestServer::with(
        "clients",
        TestSetup {
            password: Some("p"),
            ..TestSetup::default()
        },
    );
    std::fs::write(world.scratch.0.join("main"), b"x\x1by\xff").expect("written");
    let script = "import sys, xmlrpc.client
from supervisor.xmlrpc import SupervisorTransport
unix, port = sys.argv[1:]
for url, server in (('unix://' + unix, None), ('http://127.0.0.1:' + port, None), (None, 'http://u:p@127.0.0.1:%s/RPC2' % port)):
    if server:
        s = xmlrpc.client.ServerProxy(server)
    else:
        s = xmlrpc.client.ServerProxy('http://127.0.0.1', transport=SupervisorTransport('u', 'p', url))
    assert s.supervisor.getPID() == 42
    assert s.supervisor.getIdentification() == 'esc \\ufffd[1m & <é>'
    assert s.supervisor.getVersion() == '3.0'
    assert s.supervisor.readLog(0, 0) == 'x\\ufffdy\\ufffd'
    assert len(s.supervisor.getAllProcessInfo()) == 2000
    assert len([m for m in s.system.listMethods() if not m.startswith('supervisord.')]) == 41
    assert s.supervisor.sendProcessStdin('cat', 'a\\r\\n') is True
    m = xmlrpc.client.MultiCall(s)
    assert s.system.multicall([{'methodName': 'supervisor.getPID'}]) == [42]
    try:
        s.supervisor.getProcessInfo('nope')
        assert False
    except xmlrpc.client.Fault as fault:
        assert (fault.faultCode, fault.faultString) == (10, 'BAD_NAME: nope')
bad = xmlrpc.client.ServerProxy('http://127.0.0.1', transport=SupervisorTransport('u', 'x', 'unix://' + unix))
try:
    bad.supervisor.getPID()
    assert False
except xmlrpc.client.ProtocolError as error:
    assert error.errcode == 401";
    let socket = world.socket.to_string_lossy().into_owned();
    reference_python(script, &[&socket, &world.inet.port().to_string()]);
}

/// A reference Supervisor on a unix socket. Dropping it kills the process.
struct Reference(std::process::Child);

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A response without the parts that differ from run to run or differ from Supervisor on purpose.
fn comparable(answer: &str) -> String {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let mut lines: Vec<_> = head
        .lines()
        .skip(1)
        .map(str::to_ascii_lowercase)
        .filter(|line| !line.starts_with("date: ") && !line.starts_with("last-modified: "))
        // We announce that we close the connection.
        .filter(|line| line != "connection: close")
        .collect();
    lines.sort_unstable();
    let status = head.lines().next().unwrap_or("");
    format!("{status}\n{}\n\n{body}", lines.join("\n"))
}

#[test]
fn rpc_04_and_rpc_05_answers_match_the_reference() {
    let Some(oracle) = std::env::var_os("SUPERVISOR_ORACLE") else {
        eprintln!("skipped: SUPERVISOR_ORACLE names no venv with a reference Supervisor");
        return;
    };
    let world = TestServer::with(
        "reference",
        TestSetup {
            password: Some("p"),
            ..TestSetup::default()
        },
    );
    let home = ScratchDir::new("reference-home");
    let socket = home.0.join("g.sock");
    let here = home.0.display();
    let config = home.0.join("g.conf");
    let text = format!(
        "[supervisord]\nlogfile={here}/g.log\npidfile={here}/g.pid\n[unix_http_server]\nfile={here}/g.sock\n\
         username=u\npassword=p\n[rpcinterface:supervisor]\n\
         supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
    );
    std::fs::write(&config, text).expect("written");
    let child = Command::new(Path::new(&oracle).join("bin/supervisord"))
        .args([Path::new("-n"), Path::new("-c"), &config])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    let reference = Reference(child.expect("started"));
    world.until("the reference one listens", |_| {
        UnixStream::connect(&socket).is_ok()
    });
    let ask = |socket: &Path, request: &str| {
        let mut stream = UnixStream::connect(socket).expect("connected");
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        stream.write_all(request.as_bytes()).expect("written");
        let (head, body) = receive(&mut stream);
        head + std::str::from_utf8(&body).expect("text")
    };
    let right = "Authorization: Basic dTpw\r\n";
    let call = |name: &str, params: Vec<RpcValue>| {
        let body = body(name, params);
        let text = std::str::from_utf8(&body).expect("text");
        let length = body.len();
        format!("POST /RPC2 HTTP/1.1\r\n{right}Content-Length: {length}\r\n\r\n{text}")
    };
    let text = |text: &str| vec![RpcValue::text(text)];
    let struct_of =
        |name: &str| RpcValue::Struct(vec![("methodName".to_owned(), RpcValue::text(name))]);
    let table = [
        "GET /ok.html HTTP/1.1\r\n\r\n".to_owned(),
        "GET /RPC2 HTTP/1.0\r\n\r\n".to_owned(),
        "GET /logtail/x HTTP/1.1\r\nAuthorization: Basic dTpx\r\n\r\n".to_owned(),
        "GET /nope HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n".to_owned(),
        format!("GET /ok.html HTTP/1.1\r\n{right}\r\n"),
        format!("GET /ok.html HTTP/1.0\r\n{right}\r\n"),
        format!("GET /ok.html HTTP/1.0\r\nConnection: keep-alive\r\n{right}\r\n"),
        format!("GET /ok.html?x HTTP/1.1\r\n{right}\r\n"),
        format!("GET /nope HTTP/1.1\r\n{right}\r\n"),
        format!("GET /a%2 HTTP/1.1\r\n{right}\r\n"),
        format!("PUT /nope HTTP/1.1\r\nContent-Length: 0\r\n{right}\r\n"),
        format!("GET /RPC2 HTTP/1.1\r\n{right}\r\n"),
        format!("POST /RPC2 HTTP/1.1\r\n{right}\r\n"),
        format!("POST /RPC2 HTTP/1.1\r\nContent-Length: 4\r\n{right}\r\njunk"),
        format!("POST /RPC2x HTTP/1.1\r\nContent-Length: 13\r\n{right}\r\n<methodCall/>"),
        format!("GET /logtail/nope HTTP/1.1\r\n{right}\r\n"),
        format!("GET /logtail/nope/nope HTTP/1.1\r\n{right}\r\n"),
        format!("GET /logtail/nope:* HTTP/1.1\r\n{right}\r\n"),
        format!("PUT /logtail/nope HTTP/1.1\r\nContent-Length: 0\r\n{right}\r\n"),
        call("supervisor.getState", vec![]),
        call("supervisor.getAPIVersion", vec![]),
        call("supervisor.getProcessInfo", text("a<b")),
        call("supervisor.stopProcess", text("nope:*")),
        call("supervisor.getPID", text("x")),
        call(
            "supervisor.readLog",
            vec![RpcValue::Int(-1), RpcValue::Int(1)],
        ),
        call("supervisor._x", vec![]),
        call("supervisor.a.b", vec![]),
        call("nope", vec![]),
        call("system.methodSignature", text("supervisor.startProcess")),
        call("system.methodSignature", text("nope")),
        call(
            "system.multicall",
            vec![RpcValue::Array(vec![
                struct_of("supervisor.getAPIVersion"),
                struct_of("system.multicall"),
                struct_of("supervisor.nope"),
                RpcValue::Struct(vec![]),
            ])],
        ),
    ];
    std::fs::write(world.scratch.0.join("main"), "log").expect("written");
    for request in table {
        let (ours, theirs) = (ask(&world.socket, &request), ask(&socket, &request));
        assert_eq!(comparable(&ours), comparable(&theirs), "{request}");
    }
    drop(reference);
}
