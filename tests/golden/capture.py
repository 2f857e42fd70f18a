"""Fills the queues of the daemon of tests/golden/capture: events for a busy listener, and standard input."""
import socket

NUMBER = "<value><string>%s</string></value>"


def call(method, *arguments):
    params = "".join("<param>" + NUMBER % argument + "</param>" for argument in arguments)
    body = "<?xml version='1.0'?><methodCall><methodName>%s</methodName><params>%s</params></methodCall>"
    body = body % (method, params)
    request = "POST /RPC2 HTTP/1.0\r\nContent-Type: text/xml\r\nContent-Length: %d\r\n\r\n%s"
    peer = socket.socket(socket.AF_UNIX)
    peer.connect("/run/supervisor/supervisor.sock")
    peer.sendall((request % (len(body), body)).encode())
    answer = b""
    while piece := peer.recv(65536):
        answer += piece
    assert b"fault" not in answer, answer


for number in range(4):
    call("supervisor.sendRemoteCommEvent", "golden", "event %d" % number)
call("supervisor.sendProcessStdin", "stdin", "0123456789abcdef" * 4352)
