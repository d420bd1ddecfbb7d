"""Packs its input as a seekable zstd object, right or wrong: seekable.py FRAME NAME [WHAT] (the name is not used)."""
import struct
import subprocess
import sys

try:
    import zstandard

    def pack(data):
        return zstandard.ZstdCompressor(write_checksum=False, write_content_size=False).compress(data)
except ImportError:

    def pack(data):
        return subprocess.run(['zstd', '-q', '--no-check'], input=data, stdout=subprocess.PIPE, check=True).stdout

MASK = 2**64 - 1
P = [11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261]


def rotate(x, n):
    return (x << n | x >> 64 - n) & MASK


def xxh64(data):
    """The checksum that the table's entries have the low half of."""
    at = 0
    if len(data) >= 32:
        lanes = [P[0] + P[1] & MASK, P[1], 0, -P[0] & MASK]
        whole = len(data) & ~31
        for a, b, c, d in struct.iter_unpack('<4Q', data[:whole]):
            for i, word in enumerate((a, b, c, d)):
                lanes[i] = rotate(lanes[i] + word * P[1] & MASK, 31) * P[0] & MASK
        h = sum(rotate(lane, n) for lane, n in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            h = (h ^ rotate(lane * P[1] & MASK, 31) * P[0] & MASK) * P[0] + P[3] & MASK
        at = whole
    else:
        h = P[4]
    h = h + len(data) & MASK
    while at + 8 <= len(data):
        word, = struct.unpack_from('<Q', data, at)
        h = rotate(h ^ rotate(word * P[1] & MASK, 31) * P[0] & MASK, 27) * P[0] + P[3] & MASK
        at += 8
    if at + 4 <= len(data):
        word, = struct.unpack_from('<I', data, at)
        h = rotate(h ^ word * P[0] & MASK, 23) * P[1] + P[2] & MASK
        at += 4
    for byte in data[at:]:
        h = rotate(h ^ byte * P[4] & MASK, 11) * P[0] & MASK
    h = (h ^ h >> 33) * P[1] & MASK
    h = (h ^ h >> 29) * P[2] & MASK
    return h ^ h >> 32


size = int(sys.argv[1])
what = sys.argv[3] if len(sys.argv) > 3 else ''
data = sys.stdin.buffer.read()
frames, entries = [], []

for at in range(0, len(data), size):
    content = data[at:at + size]
    if what == 'empty':
        frames.append(pack(b''))
        entries.append([len(frames[-1]), 0, xxh64(b'')])
    frames.append(pack(content))
    entries.append([len(frames[-1]), len(content), xxh64(content) if size < 10**6 else 0])
if what == 'empty':
    frames.append(pack(b''))
    entries.append([len(frames[-1]), 0, xxh64(b'')])

checked = what != 'unchecked' and size < 10**6
second = entries[1] if len(entries) > 1 else None
if what == 'more':
    second[1] += 1
elif what == 'less':
    second[1] -= 1
elif what == 'checksum':
    second[2] ^= 1
elif what == 'broken':
    frames[1] = frames[1][:20] + bytes(b ^ 0x55 for b in frames[1][20:40]) + frames[1][40:]
elif what == 'swapped':
    entries[1], entries[2] = entries[2], entries[1]
    entries[1][1] += 5
elif what == 'sum':
    second[0] -= 1
elif what == 'gap':
    frames.append(b'gap')
elif what == 'size':
    second[1] = 1 << 31
elif what == 'packed':
    second[1] = 0
    frames[1] += bytes(100000)
    second[0] += 100000

body = b''.join(frames)
if what != 'tableless':
    table = b''.join(struct.pack('<III', a, b, c & 0xffffffff)[:12 if checked else 8] for a, b, c in entries)
    descriptor = (0x80 if checked else 0) | (0x04 if what == 'reserved' else 0)
    count = len(entries) + (1 if what == 'count' else 0)
    footer = struct.pack('<IBI', count, descriptor, 0x8F92EAB1 ^ (1 if what == 'magic' else 0))
    body += struct.pack('<II', 0x184D2A5E, len(table) + 9) + table + footer
if what == 'short':
    body = body[5:]
sys.stdout.buffer.write(body)
