#!/usr/bin/env bats
# memnet stream --rtsp with the players that people have: GStreamer, openRTSP and VLC, finished and growing
# objects; and by multicast, in a network namespace of its own. ffmpeg is in stream_rtsp.bats.

load rtsp.bash

teardown() {
	[ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null || true
	[ -z "${VLC-}" ] || rm -r "$VLC"
}

setup_file() {
	clip "$BATS_FILE_TMPDIR/clip.ts"
	frames "$BATS_FILE_TMPDIR/clip.ts" >"$BATS_FILE_TMPDIR/frames"
	[ "$(wc -l <"$BATS_FILE_TMPDIR/frames")" = 75 ]
}

# begin_live, end_live — l.ts, in two halves, by a writer that lives as long as a player takes to begin
begin_live() {
	echo -n 1 >"$D/.memnet/live/l.ts"
	head -c 60160 "$BATS_FILE_TMPDIR/clip.ts" >"$D/l.ts"
	{
		while [ -e "$D/.memnet/live/l.ts" ]; do
			touch -c "$D/.memnet/live/l.ts"
			sleep 0.5
		done
	} 3>&- &
}

end_live() {
	tail -c +60161 "$BATS_FILE_TMPDIR/clip.ts" >>"$D/l.ts"
	rm "$D/.memnet/live/l.ts"
}

# gst PROTOCOL URL FILE — what it wrote is compared, not its status: at the end its own TEARDOWN can overtake its
# PAUSE, which it then calls an error ("Received end-of-file") with every byte there.
gst() {
	timeout 30 gst-launch-1.0 -q rtspsrc location="$2" protocols="$1" ! rtpmp2tdepay ! filesink buffer-mode=2 location="$3" 3>&- || true
}

# vlc ARG… — as another user: it does not run as root.
vlc() {
	set -- cvlc -q "$@"
	[ "$(id -u)" != 0 ] || set -- setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
	HOME=/nonexistent timeout 60 "$@" 2>"$BATS_TEST_TMPDIR/vlc" 3>&-
}

# dump URL FILE — by VLC; its status at its own end says nothing: the bytes do.
dump() {
	vlc --demux dump --demuxdump-file "$2" "$1" vlc://quit || true
}

# open_rtsp PROTOCOL URL FILE — ends by the server's BYE, or five seconds without a packet.
open_rtsp() {
	local by=()
	[ "$1" = udp ] || by=(-t)
	timeout 60 openRTSP -v -V -D 5 "${by[@]}" "$2" >"$3" 2>"$BATS_TEST_TMPDIR/openRTSP" 3>&-
}

# has_every_byte CLIENT — which is given a protocol, a URL and a file
has_every_byte() {
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/c.ts"
	serve
	for protocol in udp tcp; do
		"$1" $protocol "$URL/c.ts" "$BATS_TEST_TMPDIR/got"
		cmp "$BATS_TEST_TMPDIR/got" "$D/c.ts"
		begin_live
		"$1" $protocol "$URL/l.ts" "$BATS_TEST_TMPDIR/live" &
		client=$!
		until_true test -s "$BATS_TEST_TMPDIR/live"
		end_live
		wait $client
		cmp "$BATS_TEST_TMPDIR/live" "$BATS_FILE_TMPDIR/clip.ts"
		rm "$BATS_TEST_TMPDIR/live"
	done
}

@test "GStreamer has every byte, over UDP and over TCP, of a finished and of a growing object" {
	gst-inspect-1.0 rtspsrc >/dev/null 2>&1 || skip "no GStreamer with rtspsrc here"
	has_every_byte gst
}

@test "openRTSP has every byte, over UDP and over TCP, of a finished and of a growing object" {
	command -v openRTSP >/dev/null || skip "no openRTSP of live555 here"
	has_every_byte open_rtsp
}

@test "VLC has every byte of a finished and of a growing object" {
	vlc --version >/dev/null || skip "no VLC here"
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/c.ts"
	serve
	VLC=$(mktemp -d)
	chmod 777 "$VLC"
	dump "$URL/c.ts" "$VLC/c.ts"
	cmp "$VLC/c.ts" "$BATS_FILE_TMPDIR/clip.ts"
	begin_live
	dump "$URL/l.ts" "$VLC/l.ts" &
	client=$!
	until_true test -s "$VLC/l.ts"
	end_live
	wait $client
	cmp "$VLC/l.ts" "$BATS_FILE_TMPDIR/clip.ts"
}

by_multicast() {
	ip link set lo up multicast on
	ip route add 239.0.0.0/8 dev lo
	"$@"
	kill "$SERVER"
	wait "$SERVER" || true
}

in_namespace() {
	unshare -Urn true || skip "no network namespaces here"
	export -f by_multicast serve until_true by_hand frames gst players groups
	export D BATS_FILE_TMPDIR BATS_TEST_TMPDIR
	unshare -Urn bash -ec "by_multicast $*"
}

players() {
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/c.ts"
	serve --multicast 239.192.0.0/24 --ttl 3
	frames "$URL/c.ts" -rtsp_transport udp_multicast | diff - "$BATS_FILE_TMPDIR/frames"
	! gst-inspect-1.0 rtspsrc >/dev/null 2>&1 || {
		gst udp-mcast "$URL/c.ts" "$BATS_TEST_TMPDIR/got"
		cmp "$BATS_TEST_TMPDIR/got" "$D/c.ts"
	}
}

@test "multicast: ffmpeg and GStreamer have every frame" {
	in_namespace players
}

groups() {
	cat "$BATS_FILE_TMPDIR"/{clip,clip,clip,clip,clip}.ts >"$D/c.ts" # longer than this takes
	cp "$D/c.ts" "$D/d.ts" # longer than what is read ahead
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/e.ts"
	serve --multicast 239.192.7.0/31 --ttl 3 --interface lo
	by_hand <<-'END'
		WANT = 'Transport: RTP/AVP;multicast'
		def set_up(name):
		    status, text = ask('SETUP', name + '/track1', WANT + ';port=9-10;destination=127.0.0.1')
		    assert status == 200, text
		    line = [x for x in text.split('\r\n') if x.startswith('Transport:')][0]
		    return line.split(';ssrc')[0], 'Session: ' + text.split('Session: ')[1].split(';')[0]
		def client():
		    global s, f
		    s = socket.create_connection(('127.0.0.1', port), timeout=10)
		    f = s.makefile('rb')
		    return s, f
		def use(c):
		    global s, f
		    s, f = c
		def listen(group, port):
		    r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		    r.bind((group, port))
		    r.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton('127.0.0.1'))
		    r.settimeout(10)
		    return r
		rtp, rtcp, other = listen('239.192.7.0', 5004), listen('239.192.7.0', 5005), listen('239.192.7.1', 5006)
		a = s, f
		to, session = set_up('c.ts')
		assert to == 'Transport: RTP/AVP;multicast;destination=239.192.7.0;port=5004-5005;ttl=3', to
		b = client()
		assert set_up('c.ts')[0] == to
		d = client()
		assert set_up('d.ts')[0] == 'Transport: RTP/AVP;multicast;destination=239.192.7.1;port=5006-5007;ttl=3'
		e = client()
		assert ask('SETUP', 'e.ts/track1', WANT)[0] == 503
		assert ask('SETUP', 'e.ts/track1', WANT + ',RTP/AVP/TCP;interleaved=0-1')[0] == 503
		assert ask('SETUP', 'e.ts/track1', TCP)[0] == 200
		# one sender for both; the second one's range is not heeded
		use(a)
		assert ask('PLAY', 'c.ts', 'Range: npt=0-')[0] == 200
		def next_number():
		    data = rtp.recv(2000)
		    assert data[:2] == b'\x80\x21'
		    return struct.unpack('>H', data[2:4])[0], data[8:12]
		number, source = next_number()
		use(b)
		status, text = ask('PLAY', 'c.ts', 'Range: npt=2-')
		assert status == 200 and 'Range' not in text, text
		for i in range(20):
		    after, same = next_number()
		    assert after == number + 1 & 0xffff and same == source
		    number = after
		told(clients=1, rtsp=1)
		# one pauses, one's connection breaks: it ends with the last one that plays, with a BYE
		assert ask('PAUSE', 'c.ts')[0] == 200
		for i in range(3):
		    next_number()
		a[0].close(), a[1].close()
		rtp.settimeout(0.5)
		try:
		    while True:
		        next_number()
		except TimeoutError:
		    pass
		rtp.settimeout(10)
		assert ask('PLAY', 'c.ts')[0] == 200
		next_number()
		assert ask('TEARDOWN', 'c.ts')[0] == 200
		while rtcp.recv(2000)[-8:-6] != b'\x81\xcb':
		    pass
		told(clients=0)
		# its group is free again
		assert 'destination=239.192.7.0' in set_up('e.ts')[0]
		use(d)
		assert ask('PLAY', 'd.ts')[0] == 200
		other.recv(2000)
	END
	# what was truncated ends for all
	by_hand <<-END
		status, text = ask('SETUP', 'd.ts/track1', 'Transport: RTP/AVP;multicast')
		assert status == 200
		assert ask('PLAY', 'd.ts')[0] == 200
		open('$D/d.ts', 'w').close()
		assert f.read() == b''
	END
	kill -0 "$SERVER"
}

@test "multicast: one sender for all of an object's clients, a group for each object" {
	in_namespace groups
}

@test "multicast: only with a range, and one of the same kind" {
	run memnet stream --multicast 239.1.1.0/24 vm1/out
	[[ $status = 2 && $output == *"--multicast is for --rtsp"* ]]
	run memnet stream --rtsp 127.0.0.1:0 --multicast 10.0.0.0/8 vm1/out
	[[ $status = 2 && $output == *"want multicast addresses"* ]]
	run memnet stream --listen http://127.0.0.1:0 --rtsp 127.0.0.1:0 --multicast ff15::/112 vm1/out
	[[ $status = 2 && $output == *"of one kind"* ]]
	run memnet stream --listen http://127.0.0.1:0 --rtsp 127.0.0.1:0 --multicast 239.1.1.1 --interface none vm1/out
	[[ $status = 2 && $output == *"no such interface"* ]]
	run memnet stream --rtsp 127.0.0.1:0 --ttl 3 vm1/out
	[ "$status" = 2 ]
}
