"""Peers for memnet stream --push: receiver.py KIND FOLDER prints its port. What is being received is in
FOLDER/part, the Nth object in object.N; FOLDER/log has a line for each, that says how it ended."""
import os, random, socket, sys, time

kind, folder = sys.argv[1:]
count = 0


class Torn(Exception):
    pass


def end(name, how, body=b''):
    global count
    count += 1
    with open('%s/object.%d' % (folder, count), 'wb') as f:
        f.write(body)
    with open(folder + '/log', 'a') as f:
        f.write('%s %s\n' % (name, how))


def part(data):
    with open(folder + '/part', 'ab') as f:
        f.write(data)


def raw(c):
    body = b''
    try:
        while True:
            data = c.recv(1 << 16)
            if not data:
                return end('RAW -', 'whole', body)
            body += data
            part(data)
            if kind == 'slow':
                time.sleep(0.05)
    except ConnectionError:
        end('RAW -', 'torn', body)


def chunks(f):
    while True:
        n = int(f.readline() or b'x', 16)
        while n:
            data = f.read1(n)
            if not data:
                raise Torn
            n -= len(data)
            yield data
            if not n:
                n = -1
                break
        if f.readline() != b'\r\n':
            raise Torn
        if n == 0:
            return


def request(c, f):
    line = f.readline()
    if not line:
        return False
    name = ' '.join(line.decode().split()[:2])
    length = None
    while (field := f.readline()) not in (b'\r\n', b''):
        if field.lower().startswith(b'content-length:'):
            length = int(field.split(b':')[1])
    turn = count if kind == 'flaky' else 9
    if turn == 0:
        c.sendall(b'HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
        end(name, '503')
        return False
    if turn == 1:
        f.read(1000)
        end(name, 'cut')
        return False
    body = b''
    try:
        for data in chunks(f) if length is None else [f.read(length)]:
            body += data
            part(data)
    except (Torn, ValueError, ConnectionError):
        end(name, 'torn', body)
        return False
    if length is not None and len(body) != length:
        end(name, 'torn', body)
        return False
    if turn == 2:
        end(name, 'silent', body)
        return False
    end(name, 'whole', body)
    c.sendall(b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok')
    return True


if kind == 'unix':
    s = socket.socket(socket.AF_UNIX)
    s.bind(folder + '/sock')
    s.listen()
elif kind == 'closed':
    # below those that the kernel gives out: so that it is still nobody's when the test listens there
    s = socket.create_server(('127.0.0.1', random.randrange(10000, 30000)))
else:
    s = socket.create_server(('127.0.0.1', 0))
    if kind == 'slow':
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
print(0 if kind == 'unix' else s.getsockname()[1], flush=True)
if kind == 'closed':
    sys.exit()
while True:
    c, _ = s.accept()
    with c:
        if kind in ('http', 'flaky'):
            with c.makefile('rb') as f:
                try:
                    while request(c, f):
                        pass
                except ConnectionError:
                    pass
        else:
            raw(c)
