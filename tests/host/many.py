"""Many clients of one server: many.py PORT PATH FILE COUNT [SECONDS] — each asks for its own range of FILE, and for
another one on the same connection. Says `connected`, `asked` and `done` on its standard output, each time waits for a line
on its standard input, and fails if a byte is wrong or SECONDS (60) are over."""
import resource, select, socket, sys, time

port, path, file, count = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
late = time.monotonic() + float(sys.argv[5] if len(sys.argv) > 5 else 60)
data = open(file, 'rb').read()
size = 8192
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def say(what):
    print(what, flush=True)
    sys.stdin.readline()


def first_of(n, turn):
    return (n * 4099 + turn * 7919) % (len(data) - size)


def ask(n, turn):
    a = first_of(n, turn)
    socks[n].sendall(b'GET %s HTTP/1.1\r\nHost: a\r\nRange: bytes=%d-%d\r\n\r\n' % (path.encode(), a, a + size - 1))


def take(n):
    """What has come; true when it is all."""
    got[n] += socks[n].recv(1 << 16)
    head, end, body = got[n].partition(b'\r\n\r\n')
    if not end or len(body) < size:
        return False
    assert head.startswith(b'HTTP/1.1 206 '), head
    a = first_of(n, turn)
    assert body == data[a:a + size], 'client %d: other bytes' % n
    got[n] = b''
    return True


socks = []
for n in range(count):
    s = socket.create_connection(('127.0.0.1', port), timeout=20)
    socks.append(s)
got = [b''] * count
poll = select.epoll()
by_fd = {s.fileno(): n for n, s in enumerate(socks)}
for s in socks:
    poll.register(s, select.EPOLLIN)
say('connected')
for turn in (0, 1):
    for n in range(count):
        ask(n, turn)
    if turn == 0:
        say('asked')
    left = count
    while left:
        assert time.monotonic() < late, '%d clients still wait' % left
        for fd, _ in poll.poll(1):
            left -= take(by_fd[fd])
say('done')
