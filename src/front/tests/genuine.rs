//! Genuine clients and a genuine marshaller.

use super::*;

/// Runs a script in the Python of a genuine Supervisor; none if there is none.
fn genuine_python(script: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let Some(oracle) = std::env::var_os("SUPERVISOR_ORACLE") else {
        eprintln!("skipped: SUPERVISOR_ORACLE names no venv with a genuine Supervisor");
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
    let Some(expected) = genuine_python(script, &[]) else {
        return;
    };
    let value = Value::Struct(vec![
        ("i".to_owned(), Value::Int(-5)),
        ("b".to_owned(), Value::Bool(true)),
        ("s".to_owned(), Value::text("a<&>\"'\té\n")),
        ("d".to_owned(), Value::Double(1.5)),
        ("a".to_owned(), Value::Array(vec![])),
        (
            "n".to_owned(),
            Value::Struct(vec![(
                "x".to_owned(),
                Value::Array(vec![Value::Int(1), Value::Array(vec![Value::Bool(false)])]),
            )]),
        ),
        ("y".to_owned(), Value::Bytes((0..200).collect())),
    ]);
    let ours = [
        // Supervisor declares its answers without an encoding, as we do; so does `dumps`.
        write_response(&Ok(value)),
        write_response(&Err(FaultCode::BadName.of("<x>"))),
        body("a.b", vec![Value::Int(1), Value::text("é<")]),
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
fn genuine_clients_are_served() {
    let world = World::with(
        "clients",
        Setup {
            password: Some("p"),
            ..Setup::default()
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
    assert len(s.system.listMethods()) == 41
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
    genuine_python(script, &[&socket, &world.inet.port().to_string()]);
}
