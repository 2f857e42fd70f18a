# Sends calls of one user over many connections to a bus, as fast as the bus accepts them, without end. After CALLS-OF-EACH
# calls a new connection replaces the old one. Prints `ready` when the first connections have sent their calls.
# usage: bus_flood.py PATH-OF-SOCKET UID CONNECTIONS CALLS-OF-EACH
import os, select, socket, struct, sys

path, (uid, many, each) = sys.argv[1], map(int, sys.argv[2:5])
# The script changes the user itself, because only root may be able to run this interpreter.
if os.getuid() != uid:
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
NAME = 'org.supervisord.Supervisor1'


def string(text):
    data = text.encode()
    return struct.pack('<I', len(data)) + data + b'\0'


def field(code, signature, data):
    return bytes([code, 1]) + signature + b'\0' + data


def message(serial, destination, path, interface, member):
    fields = b''
    for code, signature, text in (
        (1, b'o', path), (6, b's', destination), (2, b's', interface), (3, b's', member),
    ):
        fields += b'\0' * (-len(fields) % 8) + field(code, signature, string(text))
    head = b'l\1\0\1' + struct.pack('<III', 0, serial, len(fields)) + fields
    return head + b'\0' * (-len(head) % 8)


HELLO = message(1, 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'Hello')
CALLS = b''.join(
    message(serial, NAME, '/org/supervisord/Supervisor1', NAME + '.Manager', 'GetState')
    for serial in range(2, each + 2)
)


def connect():
    bus = socket.socket(socket.AF_UNIX)
    bus.connect(path)
    bus.sendall(b'\0AUTH EXTERNAL ' + str(os.getuid()).encode().hex().encode() + b'\r\n')
    assert bus.recv(4096).startswith(b'OK')
    bus.sendall(b'BEGIN\r\n' + HELLO)
    bus.setblocking(False)
    return bus


class Client:
    def __init__(self):
        self.bus, self.out, self.heard = connect(), CALLS, 0


clients = [Client() for _ in range(many)]
sent = 0
while True:
    readable, writable, _ = select.select(
        [c.bus for c in clients], [c.bus for c in clients if c.out], [], 1)
    readable, writable = set(readable), set(writable)
    for number, client in enumerate(clients):
        try:
            if client.bus in readable:
                got = client.bus.recv(1 << 20)
                client.heard += len(got)
                if not got:
                    raise OSError
            if client.bus in writable:
                client.out = client.out[client.bus.send(client.out):]
                if not client.out:
                    sent += 1
                    if sent == many:
                        print('ready', flush=True)
            # About the length of the refusals of all calls.
            if not client.out and client.heard > 100 * each:
                client.bus.close()
                clients[number] = Client()
        except OSError:
            client.bus.close()
            clients[number] = Client()
