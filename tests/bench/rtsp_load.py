"""Sessions of RTP that a server sends to at once, for rtsp.sh; arguments: the server's pid, the object's URL, how many,
udp or tcp, for how many seconds. Prints the server's CPU time in us and the bytes of RTP payload it sent in that time.

What comes by UDP is not read: there is no room for it, and the kernel counts what it drops. What comes by TCP is read and counted."""
import re, select, socket, sys, time

pid, url, sessions, transport, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5])
host, port = re.match(r'rtsp://([^:/]+):(\d+)/', url).groups()
PAYLOAD = 7 * 188


def ask(s, f, cseq, method, to, *fields):
    s.sendall('\r\n'.join(['%s %s RTSP/1.0' % (method, to), 'CSeq: %d' % cseq, *fields, '', '']).encode())
    status = f.readline()
    assert b' 200 ' in status, (method, status)
    head = {}
    while (line := f.readline()) != b'\r\n':
        name, value = line.decode().split(':', 1)
        head[name.lower()] = value.strip()
    return head, f.read(int(head.get('content-length', 0))).decode()


def pair():
    """An even port and the next one, and room for no more than a packet."""
    while True:
        rtp, rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        rtp.bind((host, 0))
        even = rtp.getsockname()[1]
        try:
            if even % 2 == 0:
                rtcp.bind((host, even + 1))
                return rtp, rtcp
        except OSError:
            pass
        rtp.close()
        rtcp.close()


def begin():
    """A session that is set up; gives what plays it."""
    s = socket.create_connection((host, int(port)), timeout=20)
    f = s.makefile('rb', buffering=0)
    head, sdp = ask(s, f, 1, 'DESCRIBE', url, 'Accept: application/sdp')
    control = re.findall(r'a=control:(\S+)', sdp)[-1]
    base = head.get('content-base', url).rstrip('/') + '/'
    track = control if control.startswith('rtsp:') else base + control
    if transport == 'tcp':
        keep, way = (), 'RTP/AVP/TCP;unicast;interleaved=0-1'
    else:
        keep = pair()
        way = 'RTP/AVP;unicast;client_port=%d-%d' % tuple(k.getsockname()[1] for k in keep)
    head, _ = ask(s, f, 2, 'SETUP', track, 'Transport: ' + way)
    play = ['PLAY %s RTSP/1.0' % base, 'CSeq: 3', 'Session: ' + head['session'].split(';')[0], 'Range: npt=0-', '', '']
    return s, keep, '\r\n'.join(play).encode()


def cpu_us():
    with open('/proc/%s/schedstat' % pid) as f:
        return int(f.read().split()[0]) // 1000


def datagrams():
    """Those that have come: what is sent in one piece is counted as one."""
    with open('/proc/net/snmp') as f:
        names, values = (line.split() for line in f if line.startswith('Udp:'))
        return int(values[names.index('RcvbufErrors')])


def read_for(all_of, length):
    """Takes what there is, for so long; gives how much it was."""
    got, poll, by_fd, room = 0, select.epoll(), {s.fileno(): s for s, _, _ in all_of}, bytearray(1 << 20)
    for fd in by_fd:
        poll.register(fd, select.EPOLLIN)
    end = time.monotonic() + length
    while (left := end - time.monotonic()) > 0:
        for fd, _ in poll.poll(left):
            n = by_fd[fd].recv_into(room)
            got += n
            if not n:
                poll.unregister(fd)
    return got


all_of = [begin() for _ in range(sessions)]
for s, _, play in all_of:
    s.sendall(play)
read_for(all_of, 1)  # its answers, and what a server sends at once
before, sent = cpu_us(), datagrams()
got = read_for(all_of, seconds)
print(cpu_us() - before, got if transport == 'tcp' else (datagrams() - sent) * PAYLOAD)
