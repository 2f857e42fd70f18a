//! What comes over a socket: heads of HTTP, bodies of XML-RPC.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use supervisord::api::xmlrpc::{self, RpcCall, RpcValue};

use crate::chance::Chance;
use crate::host::Host;
use crate::mutate;
use crate::session::{Budget, run};

const HEADS: &[&str] = &[
    "POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: 10\r\n\r\n<a></a>   ",
    "POST /RPC2 HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HEAD /index.html HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpw\r\n\r\n",
    "GET /index.html?processname=web&action=stop HTTP/1.1\r\nSec-Fetch-Site: none\r\n\r\n",
    "GET /logtail/web/stdout?from=0 HTTP/1.1\r\nRange: bytes=0-\r\n\r\n",
    "GET /tail.html?processname=web&limit=9999999999 HTTP/1.1\r\n\r\n",
    "POST /actions HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\ntoken=%zz",
    "GET /%2e%2e/%00/../stylesheets/supervisor.css HTTP/1.1\r\nHost: [::1]:99999\r\n\r\n",
    "POST /RPC2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<a/> \r\n0\r\n\r\n",
    "Connection: keep-alive\r\n",
    "Expect: 100-continue\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "X: ",
    "\r\n",
    " ",
    "/",
    "?",
];

const XML: &[&str] = &[
    "<?xml version='1.0'?>\n",
    "<methodCall>",
    "</methodCall>",
    "<methodName>supervisor.getState</methodName>",
    "<methodName>supervisor.getProcessInfo</methodName>",
    "<methodName>system.multicall</methodName>",
    "<methodName>twiddler.log</methodName>",
    "<methodName>",
    "</methodName>",
    "<params>",
    "</params>",
    "<param>",
    "</param>",
    "<value>",
    "</value>",
    "<value><string>web</string></value>",
    "<value><int>-2147483648</int></value>",
    "<value><i8>9223372036854775807</i8></value>",
    "<value><boolean>2</boolean></value>",
    "<value><double>1e999</double></value>",
    "<value><base64>////</base64></value>",
    "<value><dateTime.iso8601>19980717T14:08:55</dateTime.iso8601></value>",
    "<value><nil/></value>",
    "<array><data>",
    "</data></array>",
    "<struct><member><name>methodName</name>",
    "</member></struct>",
    "<![CDATA[",
    "]]>",
    "<!-- ",
    " -->",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "&b;",
    "&#0;",
    "&#xD800;",
    "&amp;",
    "web",
];

fn value(chance: &mut Chance, depth: u64) -> RpcValue {
    let text = |chance: &mut Chance| mutate::text(chance, &["web", "a:b", "*", "é", " "], 4);
    match chance.below(if depth > 4 { 5 } else { 7 }) {
        0 => RpcValue::Int(i64::try_from(chance.next() >> 32).expect("32 bits")),
        1 => RpcValue::Bool(chance.one_in(2)),
        2 => RpcValue::Text(text(chance)),
        3 => RpcValue::Bytes(text(chance).into_bytes()),
        4 => RpcValue::Double(chance.next() as f64),
        5 => RpcValue::Array(
            (0..chance.below(4))
                .map(|_| value(chance, depth + 1))
                .collect(),
        ),
        _ => RpcValue::Struct(
            (0..chance.below(4))
                .map(|_| (text(chance), value(chance, depth + 1)))
                .collect(),
        ),
    }
}

/// The codec alone: any text has an answer, and what was read is written so that it reads the same.
pub(crate) fn codec(budget: Budget) -> Result<u64, String> {
    run("codec", budget, |chance, shown| {
        let bytes = if chance.one_in(3) {
            let call = RpcCall {
                method: mutate::text(chance, &["supervisor.", "getState", "system.multicall"], 3),
                params: (0..chance.below(3)).map(|_| value(chance, 0)).collect(),
            };
            xmlrpc::write_call(&call)
        } else {
            mutate::text(chance, XML, 24).into_bytes()
        };
        let bytes = mutate::bytes(chance, bytes, 3);
        shown.note(&bytes);
        let _ = xmlrpc::read_response(&bytes);
        let Ok(call) = xmlrpc::read_call(&bytes) else {
            return Ok(());
        };
        let again = xmlrpc::read_call(&xmlrpc::write_call(&call));
        // NaN is not itself; nothing else differs.
        match again {
            Ok(again) if format!("{again:?}") == format!("{call:?}") => Ok(()),
            other => Err(format!("read {call:?}, wrote it, and read {other:?}")),
        }
    })
}

/// Whole conversations with a daemon, over its socket. After each it must answer others.
pub(crate) fn http(budget: Budget) -> Result<u64, String> {
    let host = Host::start(
        "[program:web]\ncommand={test_child} forever\nstartsecs=0\n[rpcinterface:twiddler]\nsupervisor.rpcinterface_factory=supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface\n",
    )?;
    let socket = host.place.join("s");
    let daemon = host.daemon()?;
    let cases = run("http", budget, |chance, shown| {
        let mut bytes = Vec::new();
        for _ in 0..=chance.below(3) {
            if chance.one_in(2) {
                let body = mutate::text(chance, XML, 16).into_bytes();
                let body = mutate::bytes(chance, body, 2);
                let length = if chance.one_in(8) {
                    chance.below(1 << 20)
                } else {
                    body.len() as u64
                };
                let head = format!("POST /RPC2 HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
                bytes.extend(mutate::bytes(chance, head.into_bytes(), 1));
                bytes.extend(body);
            } else {
                let head = mutate::text(chance, HEADS, 4).into_bytes();
                bytes.extend(mutate::bytes(chance, head, 3));
            }
        }
        shown.note(&bytes);
        converse(&socket, &bytes, chance)?;
        // A caller of whatever we hit may have stopped the daemon; anything else must not.
        match daemon.call("supervisor.getState", &[]) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!(
                "nobody else is answered: {error}; log:\n{}",
                host.log_end()
            )),
        }
    })?;
    Ok(cases)
}

/// Sends it in pieces, and reads what comes until the daemon is done with us or has nothing to say.
fn converse(socket: &std::path::Path, bytes: &[u8], chance: &mut Chance) -> Result<(), String> {
    let mut stream = UnixStream::connect(socket).map_err(|error| format!("connect: {error}"))?;
    let limit = Some(Duration::from_secs(20));
    stream
        .set_write_timeout(limit)
        .map_err(|error| error.to_string())?;
    for piece in bytes.chunks(1 + usize::try_from(chance.below(4000)).expect("fits")) {
        // A daemon that has heard enough closes.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
    let mut answer = [0; 4096];
    while matches!(stream.read(&mut answer), Ok(count) if count > 0) {}
    Ok(())
}
