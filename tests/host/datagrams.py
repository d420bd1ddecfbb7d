"""A peer for memnet stream --push udp:// and rtp://: datagrams.py KIND FOLDER [GROUP] prints its port. The
payload is appended to FOLDER/got, the time since the first datagram and the payload's size to FOLDER/times;
of RTP, what is wrong goes to FOLDER/odd and each report, as "PACKETS OCTETS [BYE]", to FOLDER/reports.
FOLDER/ttl has the TTL that the first one came with."""
import select, socket, struct, sys

kind, folder = sys.argv[1:3]
group = sys.argv[3] if len(sys.argv) > 3 else None
SO_TIMESTAMPNS = 35


def receiver(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    try:
        s.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE: what comes while we have no CPU is not lost
    except PermissionError:
        pass
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
    s.bind((group or '127.0.0.1', port))
    if group:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                     socket.inet_aton(group) + socket.inet_aton('127.0.0.1'))
    return s


def pair():
    while True:
        first = receiver(0)
        try:
            return first, receiver(first.getsockname()[1] + 1)
        except (OSError, OverflowError):
            pass


def note(name, text, mode='a'):
    with open('%s/%s' % (folder, name), mode) as f:
        f.write(text + '\n')


stream, reports = pair()
print(stream.getsockname()[1], flush=True)
got = open(folder + '/got', 'ab', buffering=0)
began = sequence = source = None
while True:
    for s in select.select([reports, stream], [], [])[0]:
        data, more, _, _ = s.recvmsg(2000, 128)
        if s is reports:
            if data[:2] != b'\x80\xc8' or data[28:30] != b'\x81\xca':
                note('odd', 'report %r' % data)
            note('reports', '%d %d' % struct.unpack('>II', data[20:28]) + (' BYE' if data[-7:-6] == b'\xcb' else ''))
            continue
        # When it arrived, which need not be when we have a CPU to take it.
        told = {what: value for _, what, value in more}
        now = struct.unpack('qq', told[SO_TIMESTAMPNS])
        now = now[0] + now[1] / 1e9
        if began is None:
            began = now
            note('ttl', str(struct.unpack('i', told[socket.IP_TTL])[0]), 'w')
        if kind == 'rtp':
            head, number, _, who = struct.unpack('>HHII', data[:12])
            if head != 0x8021 or sequence is not None and (number != sequence + 1 & 0xffff or who != source):
                note('odd', 'packet %r behind %r' % (data[:12], sequence))
            sequence, source, data = number, who, data[12:]
        if len(data) % 188 or len(data) > 1316:
            note('odd', 'size %d' % len(data))
        note('times', '%.4f %d' % (now - began, len(data)))
        got.write(data)
