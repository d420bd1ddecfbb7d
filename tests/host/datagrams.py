"""A peer for memnet stream --push udp:// and rtp://: datagrams.py KIND FOLDER [GROUP] prints its port. The
payload is appended to FOLDER/got, the time since the first datagram and the payload's size to FOLDER/times;
of RTP, what is wrong goes to FOLDER/odd and each report, as "PACKETS OCTETS [BYE]", to FOLDER/reports.
FOLDER/ttl has the TTL that the first one came with."""
import os, select, socket, struct, sys, time

kind, folder = sys.argv[1:3]
group = sys.argv[3] if len(sys.argv) > 3 else None


def receiver(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
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
        data, more, _, _ = s.recvmsg(2000, 64)
        if s is reports:
            if data[:2] != b'\x80\xc8' or data[28:30] != b'\x81\xca':
                note('odd', 'report %r' % data)
            note('reports', '%d %d' % struct.unpack('>II', data[20:28]) + (' BYE' if data[-7:-6] == b'\xcb' else ''))
            continue
        if began is None:
            began = time.monotonic()
            note('ttl', str(struct.unpack('i', more[0][2])[0]), 'w')
        if kind == 'rtp':
            head, number, _, who = struct.unpack('>HHII', data[:12])
            if head != 0x8021 or sequence is not None and (number != sequence + 1 & 0xffff or who != source):
                note('odd', 'packet %r behind %r' % (data[:12], sequence))
            sequence, source, data = number, who, data[12:]
        if len(data) % 188 or len(data) > 1316:
            note('odd', 'size %d' % len(data))
        got.write(data)
        note('times', '%.4f %d' % (time.monotonic() - began, len(data)))
