"""A client of RTSP, for what the tests of memnet stream --rtsp put behind it; arguments: the port, the control socket."""
import re, socket, struct, sys, time
port = int(sys.argv[1])
url = 'rtsp://127.0.0.1:%d/vm1/out/' % port
s = socket.create_connection(('127.0.0.1', port), timeout=10)
f = s.makefile('rb')
cseq = 0
def reply():
    while True:
        c = f.read(1)
        if c != b'$':
            break
        packet()
    text = (c + f.readline()).decode()
    length = 0
    while (line := f.readline()) != b'\r\n':
        text += line.decode()
        if line.lower().startswith(b'content-length:'):
            length = int(line.split()[1])
    return int(text.split()[1]), text + f.read(length).decode()
def packet():
    head = f.read(3)
    return head[0], f.read(head[1] << 8 | head[2])
def ask(method, path, *fields):
    global cseq
    cseq += 1
    head = ['%s %s RTSP/1.0' % (method, path if path == '*' else url + path), 'CSeq: %d' % cseq, *fields]
    s.sendall(('\r\n'.join(head) + '\r\n\r\n').encode())
    status, text = reply()
    assert 'CSeq: %d\r\n' % cseq in text, text
    return status, text
def told(**want):
    """Waits until the control socket tells these of vm1/out; gives all it tells."""
    for _ in range(1000):
        with socket.socket(socket.AF_UNIX) as u:
            u.connect(sys.argv[2])
            u.sendall(b'get\n')
            lines = u.makefile()
            next(lines)
            space = dict(w.split('=') for w in next(lines).split()[2:])
        if all(int(space[k]) == v for k, v in want.items()):
            return {k: int(v) for k, v in space.items()}
        time.sleep(0.02)
    assert 0, (space, want)
TCP = 'Transport: RTP/AVP/TCP;unicast;interleaved=4-5'
