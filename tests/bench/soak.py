"""What tests/bench/soak.sh runs: soak.py MEMNET FOLDER SECONDS

Three memnet stream: one serves by HTTP and RTSP, one releases what it has delivered, one pushes. Meanwhile objects
are published, replaced and removed, live ones grow, end and break, a space comes, is resized and goes, and clients of
all kinds read, break off, read slowly and talk nonsense. What an object holds follows from its name, so every byte is
looked at. After a tenth of the time all rest for a moment: the memory that a server holds then, and its descriptors,
must be the same at the end."""
import http.client, itertools, os, random, re, signal, socket, struct, subprocess, sys, threading, time, traceback

memnet, work, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
run = work + '/run'
stop = threading.Event()
lock = threading.Lock()
counts, errors = {}, []


def count(what, n=1):
    with lock:
        counts[what] = counts.get(what, 0) + n


def check(right, *what):
    if not right:
        raise AssertionError(' '.join(str(w) for w in what))


# ---- objects ----

PACKET, PACKETS = 188, 1200


def transport_stream(name):
    """Of 1.2 seconds: a packet each ms, a PCR in each 20th."""
    payload = block(name)
    stream = b''
    for i in range(PACKETS):
        head = b'\x47\x01\x00' + bytes([0x10 | i & 15])
        if i % 20 == 0:
            pcr = (i * 90 << 15) | 0x7e00
            head = b'\x47\x01\x00' + bytes([0x30 | i & 15]) + b'\x07\x10' + pcr.to_bytes(6, 'big')
        at = i * PACKET % (len(payload) - PACKET)
        stream += head + payload[at:at + PACKET - len(head)]
    return stream


def block(name):
    return random.Random(name).randbytes(65521)


def content(name, size):
    """Begins with who it is, as a pushed object has no other name."""
    head = b'%s %d\n' % (name.encode(), size)
    b = block(name)
    return (head + b * (size // len(b) + 1))[:max(size, len(head))]


def path(space, name):
    return '%s/vm1/%s/%s' % (run, space, name)


def make_space(space):
    for folder in ('part', 'live', 'jobs'):
        os.makedirs('%s/vm1/%s/.memnet/%s' % (run, space, folder), exist_ok=True)


def publish(space, name, data):
    part = path(space, '.memnet/part/' + name)
    with open(part, 'wb') as f:
        f.write(data)
    os.rename(part, path(space, name))


class Names:
    """The objects that there are, name to bytes."""

    def __init__(self):
        self.known = {}

    def put(self, name, data):
        with lock:
            self.known[name] = data

    def any(self):
        with lock:
            return random.choice(list(self.known.items())) if self.known else (None, None)

    def drop(self, name):
        with lock:
            self.known.pop(name, None)


def size_of_one():
    return random.choice((random.randrange(100, 5000), random.randrange(5000, 200000), random.randrange(200000, 3000000)))


objects, streams, growing = Names(), Names(), Names()


# ---- a client ----

def differs(body, data):
    """Where it first does, and how far."""
    wrong = [i for i in range(0, min(len(body), len(data)), 64) if body[i:i + 64] != data[i:i + 64]]
    return 'other bytes from %d to %d (%s)' % (wrong[0], wrong[-1], body[wrong[0]:wrong[0] + 70].hex()) if wrong else ''


class Gone(Exception):
    """The server broke it off."""


def connect(server):
    return http.client.HTTPConnection('127.0.0.1', server.port, timeout=30)


def ask(c, target, **fields):
    try:
        c.request('GET', target, headers={k.replace('_', '-'): v for k, v in fields.items()})
        r = c.getresponse()
        return r, r.read()
    except (http.client.IncompleteRead, ConnectionError, http.client.BadStatusLine):
        raise Gone from None


def whole(c, target, data):
    r, body = ask(c, target)
    check(r.status == 200 and body == data, target, 'whole:', r.status, len(body), 'of', len(data), differs(body, data))
    count('bytes', len(body))


def ranges(c, target, data):
    a = random.randrange(len(data))
    b = random.randrange(a, len(data))
    r, body = ask(c, target, Range='bytes=%d-%d' % (a, b))
    check(r.status == 206 and body == data[a:b + 1], target, 'range', a, b, r.status, len(body), differs(body, data[a:b + 1]))
    check(r.headers['Content-Range'] == 'bytes %d-%d/%d' % (a, b, len(data)), target, r.headers['Content-Range'])
    count('bytes', len(body))


def several(c, target, data):
    if len(data) < 1000:
        return
    r, body = ask(c, target, Range='bytes=0-9,500-509,-7')
    check(r.status == 206, target, 'ranges', r.status)
    parts = [p.split(b'\r\n\r\n', 1)[1] for p in body.split(b'\r\n--' + r.headers['Content-Type'].split('=')[1].encode())[1:-1]]
    check(parts == [data[:10], data[500:510], data[-7:]], target, 'parts')


def raw(server, request):
    s = socket.create_connection(('127.0.0.1', server.port), timeout=30)
    s.sendall(request)
    return s


def abort(server, target):
    s = raw(server, b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n' % target.encode())
    s.recv(random.choice((1, 1000, 100000)))
    if random.random() < 0.7:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    s.close()
    count('broken off')


def nonsense(server, target):
    request = random.choice((b'GET %s HTTP/1.1\r\n' % target.encode(), b'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde',
                             b'\x16\x03\x01' + random.randbytes(200), b'GET /../ HTTP/1.1\r\nHost: a\r\n\r\n', b'A' * 9000,
                             b'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n'))
    s = raw(server, request)
    s.settimeout(0.2)
    try:
        s.recv(1000)
    except (socket.timeout, ConnectionError):
        pass
    s.close()
    count('nonsense')


def slow(server, target, data):
    s = raw(server, b'GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' % target.encode())
    got = b''
    while b := s.recv(65536):
        got += b
        if len(got) < 2000000:
            time.sleep(0.01)
    head, body = got.split(b'\r\n\r\n', 1)
    check(body == data if b' 200 ' in head[:20] else b' 404 ' in head[:20], target, 'read slowly', head[:20])
    s.close()
    count('read slowly')


# ---- those who work ----

object_numbers = itertools.count()  # behind the rest, too: a name has one content


def publisher():
    while not stop.is_set():
        n = next(object_numbers)
        name = 'o%d' % n
        data = content(name, size_of_one())
        publish('out', name, data)
        objects.put(name, data)
        count('published')
        if random.random() < 0.2:
            publish('out', name, data)
            count('replaced')
        if n >= 19:
            old = 'o%d' % (n - 19)
            objects.drop(old)
            time.sleep(0.3)  # for those who have just chosen it
            os.unlink(path('out', old))
        stop.wait(0.05)


def client():
    c = connect(servers[0])
    while not stop.is_set():
        name, data = objects.any()
        if name:
            target = '/vm1/out/' + name
            kind = random.random()
            try:
                if kind < 0.3:
                    whole(c, target, data)
                elif kind < 0.6:
                    ranges(c, target, data)
                elif kind < 0.7:
                    several(c, target, data)
                elif kind < 0.8:
                    abort(servers[0], target)
                elif kind < 0.85:
                    nonsense(servers[0], target)
                elif kind < 0.9:
                    slow(servers[0], target, data)
                else:
                    r, body = ask(c, '/vm1/out/nope')
                    check(r.status == 404, 'nope', r.status)
                count('requests')
            except AssertionError:
                # Removed meanwhile, if it is not there now.
                if os.path.exists(path('out', name)):
                    raise
            if random.random() < 0.05:
                c.close()
        stop.wait(0.01)
    c.close()


def grow(space, name, data, breaks):
    live = path(space, '.memnet/live/' + name)
    with open(live, 'w') as f:
        f.write('\n')
    with open(path(space, name), 'wb', buffering=0) as f:
        at = 0
        while at < len(data):
            n = random.randrange(1, 200000)
            at += f.write(data[at:at + n])
            time.sleep(random.random() * 0.1)
            if breaks and at > len(data) / 2:
                os.unlink(path(space, name))
                os.unlink(live)
                return
    os.unlink(live)


def live_one(server, space, breaks):
    n = 0
    while not stop.is_set():
        name = '%s%d' % ('b' if breaks else 'l', n)
        n += 1
        data = content(name, random.randrange(300000, 2000000))
        writer = threading.Thread(target=grow, args=(space, name, data, breaks))
        writer.start()
        while not os.path.exists(path(space, name)) and writer.is_alive():
            time.sleep(0.001)
        c = connect(server)
        try:
            r, body = ask(c, '/vm1/%s/%s' % (space, name))
            check(not breaks or r.status == 404, name, 'a broken one ends cleanly, with', r.status, len(body), 'of', len(data))
            check(breaks or r.status == 200 and body == data, name, 'live:', r.status, len(body), 'of', len(data), differs(body, data))
            if not breaks:
                count('bytes', len(body))
                count('followed')
        except Gone:
            check(breaks, name, 'was broken off')
            count('seen to break')
        c.close()
        writer.join()
        if server is servers[1]:
            gone(space, name)
        elif not breaks:
            os.unlink(path(space, name))


def live_ends():
    live_one(servers[0], 'out', False)


def live_breaks():
    live_one(servers[0], 'out', True)


def live_released():
    live_one(servers[1], 'rel', False)


def gone(space, name):
    late = time.monotonic() + 30
    while os.path.exists(path(space, name)):
        check(time.monotonic() < late, name, 'was delivered, and is still there')
        time.sleep(0.005)


def released():
    c, n = connect(servers[1]), 0
    while not stop.is_set():
        name = 'r%d' % n
        data = content(name, size_of_one())
        n += 1
        publish('rel', name, data)
        ranges(c, '/vm1/rel/' + name, data)
        check(os.path.getsize(path('rel', name)) == len(data), name, 'is not there, or not whole')
        whole(c, '/vm1/rel/' + name, data)
        gone('rel', name)
        count('released')
        stop.wait(0.02)
    c.close()


def patiently(what, *args):
    """As a guest does: what the server has open is room for a second longer."""
    late = time.monotonic() + 30
    while True:
        try:
            return what(*args)
        except (OSError, subprocess.CalledProcessError):
            if time.monotonic() > late:
                raise
            time.sleep(0.05)


def remount(root, size):
    subprocess.run(['mount', '-o', 'remount,size=%dm' % size, root], check=True, stderr=subprocess.DEVNULL)


def space_comes_and_goes():
    root = path('tmp', '')
    mounts, n = os.getuid() == 0, 0
    while not stop.is_set():
        os.makedirs(root, exist_ok=True)
        if mounts and subprocess.call(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'memnet-soak', root], stderr=subprocess.DEVNULL):
            mounts = False
        make_space('tmp')
        c = connect(servers[0])
        for size in (6, 3, 8):
            name = 't%d' % n
            n += 1
            data = content(name, random.randrange(1000, 1500000))
            patiently(publish, 'tmp', name, data)
            whole(c, '/vm1/tmp/' + name, data)
            if mounts:
                patiently(remount, root, size)
                count('resizes')
            ranges(c, '/vm1/tmp/' + name, data)
            os.unlink(path('tmp', name))
        patiently(publish, 'tmp', 'last', data)
        abort(servers[0], '/vm1/tmp/last')
        if mounts:
            subprocess.check_call(['umount', '-l', root])
        else:
            subprocess.check_call(['rm', '-r', root])
        late = time.monotonic() + 10
        while (r := ask(c, '/vm1/tmp/last')[0]).status == 200 and time.monotonic() < late:
            pass
        check(r.status == 404, 'a space that is gone:', r.status)
        c.close()
        count('spaces')
        stop.wait(0.2)


def compress():
    """Before all else, as a job sweeps away what others left behind: our live objects have no jobs."""
    data = b''.join(b'%d\n' % i for i in range(400000))
    subprocess.run([memnet, 'compress', '--seekable', '--to', path('out', ''), '-o', 'z.zst'], input=data, check=True,
                   stderr=subprocess.DEVNULL)
    return data


def unpacked():
    """Ranges of what is compressed."""
    c = connect(servers[0])
    while not stop.is_set():
        ranges(c, '/vm1/out/z', numbers)
        count('unpacked')
        stop.wait(0.1)
    c.close()


# ---- RTSP ----

def exactly(s, n):
    data = b''
    while len(data) < n:
        b = s.recv(n - len(data))
        check(b, 'RTSP: the connection ended')
        data += b
    return data


class Rtsp:
    def __init__(self, name):
        self.s = socket.create_connection(('127.0.0.1', servers[0].rtsp), timeout=30)
        self.url = 'rtsp://127.0.0.1:%d/vm1/out/%s' % (servers[0].rtsp, name)
        self.number = 0

    def ask(self, method, *fields):
        self.number += 1
        self.s.sendall('\r\n'.join(['%s %s RTSP/1.0' % (method, self.url), 'CSeq: %d' % self.number, *fields, '', '']).encode())
        while (b := exactly(self.s, 1)) == b'$':
            self.packet()
        while not b.endswith(b'\r\n\r\n'):
            b += exactly(self.s, 1)
        length = re.search(rb'(?i)content-length: *(\d+)', b)
        exactly(self.s, int(length[1]) if length else 0)
        check(b' 200 ' in b[:20], method, b[:60])
        return b.decode()

    def packet(self):
        channel, size = struct.unpack('>BH', exactly(self.s, 3))
        return channel, exactly(self.s, size)


def rtsp():
    n = 0
    for i in range(3):
        data = transport_stream('s%d' % i)
        publish('out', 's%d.ts' % i, data)
        streams.put('s%d.ts' % i, data)
    while not stop.is_set():
        name, data = streams.any()
        r = Rtsp(name)
        r.ask('DESCRIBE')
        session = re.search(r'Session: (\w+)', r.ask('SETUP', 'Transport: RTP/AVP/TCP;unicast;interleaved=0-1'))[1]
        r.ask('PLAY', 'Session: ' + session)
        n += 1
        got, most = b'', len(data) // 3 if n % 3 == 0 else len(data)
        while len(got) < most:
            check(exactly(r.s, 1) == b'$', 'RTSP: no packet')
            channel, packet = r.packet()
            if channel == 0:
                got += packet[12:]
        check(got == data[:len(got)], name, 'RTSP: other bytes')
        if n % 2:
            r.ask('TEARDOWN', 'Session: ' + session)
        r.s.close()
        count('bytes', len(got))
        count('played')


# ---- push ----

pushed = {}


def receive(listener):
    while True:
        try:
            s = listener.accept()[0]
        except OSError:
            return
        s.settimeout(30)
        try:
            got = b''
            torn = random.random() < 0.1
            while b := s.recv(1 << 20):
                got += b
                if torn:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
                    count('pushes refused')
                    break
            if not torn:
                name, size = got.split(b'\n', 1)[0].decode().split(' ')
                right = got == content(name, int(size))
                with lock:
                    pushed[name] = right
                check(right, name, 'was pushed with other bytes')
                count('bytes', len(got))
        except ConnectionError:
            pass
        except (AssertionError, ValueError) as e:
            errors.append('push: %s' % e)
        s.close()


def pusher():
    n = 0
    while not stop.is_set():
        name = 'p%d' % n
        n += 1
        publish('push', name, content(name, size_of_one()))
        gone_by = time.monotonic() + 60
        while os.path.exists(path('push', name)):
            check(time.monotonic() < gone_by, name, 'is not pushed')
            time.sleep(0.01)
        check(pushed.pop(name, False), name, 'is gone without having come')
        count('pushed')
        stop.wait(0.05)


# ---- servers ----

class Server:
    def __init__(self, name, *words):
        self.name = name
        self.log = '%s/%s.log' % (work, name)
        self.p = subprocess.Popen([memnet, 'stream', '--runtime-dir', run, *words], stderr=open(self.log, 'w'))
        self.port = self.rtsp = 0
        self.busy = self.most = 0
        while not re.search('listening on http|pushing', self.said()):
            check(self.p.poll() is None, self.said())
            time.sleep(0.02)
        for scheme, port in re.findall(r'listening on (\w+)://[^:]*:(\d+)', self.said()):
            if scheme == 'http':
                self.port = int(port)
            else:
                self.rtsp = int(port)

    def said(self):
        return open(self.log).read()

    def fds(self):
        return len(os.listdir('/proc/%d/fd' % self.p.pid)) if self.p.poll() is None else -1

    def open(self):
        return sorted(os.readlink('/proc/%d/fd/%s' % (self.p.pid, f)) for f in os.listdir('/proc/%d/fd' % self.p.pid))

    def held(self, what):
        found = re.search(what + r':\s*(\d+)', open('/proc/%d/status' % self.p.pid).read())
        return int(found[1]) if found else 0

    def cpu(self):
        return sum(int(x) for x in open('/proc/%d/stat' % self.p.pid).read().rsplit(') ', 1)[1].split()[11:13]) / 100

    def end(self):
        self.p.send_signal(signal.SIGTERM)
        check(self.p.wait(40) == 0, self.name, 'ended with', self.p.returncode, self.said())


def worker(what):
    try:
        what()
    except Exception as e:
        if not (stop.is_set() and isinstance(e, (OSError, Gone))):
            errors.append('%s: %s: %s (line %d)' % (what.__name__, type(e).__name__, e, e.__traceback__.tb_next.tb_lineno))
            stop.set()


def settle(s, want):
    """For what is kept for some seconds to be closed."""
    late = time.monotonic() + 30
    while s.fds() > want and time.monotonic() < late:
        time.sleep(0.1)
    return s.fds()


for space in ('out', 'rel', 'push'):
    make_space(space)
numbers = compress()
listener = socket.create_server(('127.0.0.1', 0))
servers = [Server('serve', '--listen', 'http://127.0.0.1:0', '--rtsp', '127.0.0.1:0', 'vm1/out', 'vm1/tmp'),
           Server('release', '--listen', 'http://127.0.0.1:0', '--release', 'delivered', 'vm1/rel'),
           Server('push', '-v', '--push', 'tcp://127.0.0.1:%d' % listener.getsockname()[1], '--release', 'delivered', 'vm1/push')]
idle = [s.fds() for s in servers]
threading.Thread(target=receive, args=(listener,), daemon=True).start()


def work_for(seconds):
    """Then, when all is idle again: what each server holds."""
    stop.clear()
    threads = [threading.Thread(target=worker, args=(w,), name=w.__name__, daemon=True)
               for w in (publisher, client, client, client, client, live_ends, live_breaks, live_released, released,
                         space_comes_and_goes, unpacked, rtsp, pusher)]
    for t in threads:
        t.start()
    end = time.monotonic() + seconds
    while not errors and time.monotonic() < end:
        time.sleep(0.5)
        for s in servers:
            s.busy = max(s.busy, s.fds())
            s.most = max(s.most, s.held('VmRSS'))
    stop.set()
    for t in threads:
        t.join(60)
        if t.is_alive():
            errors.append('%s hangs: %s' % (t.name, traceback.format_stack(sys._current_frames()[t.ident])))
    return [(settle(s, fds), s.held('RssAnon')) for s, fds in zip(servers, idle)]


began = time.monotonic()
warm = work_for(max(4, seconds / 10))
took = time.monotonic() - began
after = work_for(seconds - took) if not errors else warm
took = time.monotonic() - began

print('%.0f s: %s' % (took, ', '.join('%s %s' % (v if k != 'bytes' else '%.1f GB' % (v / 1e9), k) for k, v in sorted(counts.items()))
                      .replace(' GB bytes', ' GB compared')))
for s, fds, (_, first), (left, last) in zip(servers, idle, warm, after):
    if s.p.poll() is not None:
        errors.append('%s ended: %s' % (s.name, s.said()))
        continue
    print('%-8s idle: %d KB of its own after the warm-up, %d KB at the end; %d descriptors at the start, %d at the end. '
          'busy: %d KB resident and %d descriptors at most, %.1f s of CPU' % (s.name, first, last, fds, left, s.most, s.busy, s.cpu()))
    if last > first + 128:
        errors.append('%s: memory grows' % s.name)
    if left != fds:
        errors.append('%s: descriptors are left: %s' % (s.name, s.open()))
    try:
        s.end()
    except (AssertionError, subprocess.TimeoutExpired) as e:
        errors.append(str(e))
for e in errors:
    print('soak: ' + e, file=sys.stderr)
sys.exit(1 if errors else 0)
