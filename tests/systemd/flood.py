# Sends calls over one connection as fast as the bus accepts them, and counts the answers.
# usage: flood.py COUNT MEMBER
import collections, os, socket, struct, sys

count, member = int(sys.argv[1]), sys.argv[2]
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


bus = socket.socket(socket.AF_UNIX)
bus.connect('/run/dbus/system_bus_socket')
bus.sendall(b'\0AUTH EXTERNAL ' + str(os.getuid()).encode().hex().encode() + b'\r\n')
assert bus.recv(4096).startswith(b'OK')
bus.sendall(b'BEGIN\r\n')
bus.sendall(message(1, 'org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus', 'Hello'))
bus.setblocking(False)

out = b''.join(
    message(serial, NAME, '/org/supervisord/Supervisor1', NAME + '.Manager', member)
    for serial in range(2, count + 2)
)
heard, answers = b'', collections.Counter()
import select
while sum(answers.values()) < count:
    readable, writable, _ = select.select([bus], [bus] if out else [], [], 30)
    assert readable or writable, answers
    if writable:
        out = out[bus.send(out[:65536]):]
    if readable:
        got = bus.recv(1 << 20)
        assert got, 'the bus has thrown us out'
        heard += got
    while len(heard) >= 16:
        body, serial, fields = struct.unpack_from('<III', heard, 4)
        length = 16 + fields + -fields % 8 + body
        if len(heard) < length:
            break
        kind, whole, heard = heard[1], heard[:length], heard[length:]
        text = whole[16:16 + fields]
        if kind == 3:
            answers[text[text.find(b'org.'):].split(b'\0')[0].decode()] += 1
        elif kind == 2 and b'\x05\x01u\0' + struct.pack('<I', 1) not in text:
            answers['ok'] += 1
for name, number in sorted(answers.items()):
    print(name, number)
