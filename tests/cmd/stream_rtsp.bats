#!/usr/bin/env bats
# memnet stream --rtsp, with real ffmpeg and ffprobe, and with requests by hand.

load rtsp.bash

setup_file() {
	clip "$BATS_FILE_TMPDIR/clip.ts"
	frames "$BATS_FILE_TMPDIR/clip.ts" >"$BATS_FILE_TMPDIR/frames"
	[ "$(wc -l <"$BATS_FILE_TMPDIR/frames")" = 75 ]
}

@test "ffmpeg has every frame, over UDP and over TCP, in the time it takes" {
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/a b.ts"
	serve
	for transport in udp tcp; do
		SECONDS=0
		frames "$URL/a%20b.ts" -rtsp_transport $transport | diff - "$BATS_FILE_TMPDIR/frames"
		[ "$SECONDS" -ge 2 ]
	done
	run ffprobe -v error -rtsp_transport tcp -show_entries stream=codec_name,width:format=duration -of compact "$URL/a%20b.ts"
	[[ $output == *"codec_name=mpeg2video|width=320"* && $output == *"duration=2.9"* ]]
}

@test "a live object is followed as it grows, to its end" {
	echo -n 1 >"$D/.memnet/live/l.ts"
	head -c 60160 "$BATS_FILE_TMPDIR/clip.ts" >"$D/l.ts"
	serve
	frames "$URL/l.ts" -rtsp_transport tcp >"$BATS_TEST_TMPDIR/got" 3>&- &
	client=$!
	by_hand <<<'told(clients=1, rtsp=1)'
	tail -c +60161 "$BATS_FILE_TMPDIR/clip.ts" >>"$D/l.ts"
	rm "$D/.memnet/live/l.ts"
	wait $client
	diff "$BATS_TEST_TMPDIR/got" "$BATS_FILE_TMPDIR/frames"
}

@test "a session by hand: play a range, pause, go on, tear down" {
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/c.ts"
	serve
	SIZE=$(stat -c %s "$D/c.ts") by_hand <<-'END'
		import os
		assert 'TEARDOWN' in ask('OPTIONS', '*')[1]
		status, sdp = ask('DESCRIBE', 'c.ts')
		assert 'm=video 0 RTP/AVP 33' in sdp and 'a=range:npt=0-2.9' in sdp, sdp
		assert ask('PLAY', 'c.ts')[0] == 454
		assert ask('SETUP', 'c.ts/track1', 'Transport: RTP/AVP;multicast')[0] == 461
		status, text = ask('SETUP', 'c.ts/track1', 'Transport: RTP/AVP;multicast,RTP/AVP/TCP;interleaved=4-5')
		assert status == 200 and 'interleaved=4-5' in text, text
		session = 'Session: ' + text.split('Session: ')[1].split(';')[0]
		assert ask('SETUP', 'c.ts/track1', TCP)[0] == 455
		assert ask('PLAY', 'c.ts', 'Session: 1')[0] == 454
		assert ask('PLAY', 'c.ts', session, 'Range: npt=99-')[0] == 457
		began = time.time()
		status, text = ask('PLAY', 'c.ts', session, 'Range: npt=1-1.5')
		assert status == 200 and 'npt=1.000-' in text and 'seq=' in text, text
		seq = int(text.split('seq=')[1].split(';')[0])
		octets, bye = 0, False
		while not bye:
		    assert f.read(1) == b'$'
		    channel, data = packet()
		    if channel == 4:
		        assert data[:2] == b'\x80\x21' and struct.unpack('>H', data[2:4])[0] == seq & 0xffff
		        assert len(data) % 188 == 12 and data[12] == 0x47
		        seq += 1
		        octets += len(data) - 12
		    else:
		        assert data[:2] == b'\x80\xc8'
		        assert struct.unpack('>I', data[24:28])[0] == octets
		        bye = data[-8:-6] == b'\x81\xcb'
		# a sixth of it, in half a second at least
		part = octets / int(os.environ['SIZE'])
		assert time.time() - began > 0.3 and 0.1 < part < 0.3, (time.time() - began, part)
		for path in 'c.ts/', 'c.ts/track1':
		    base = ask('DESCRIBE', path)[1].split('Content-Base: ')[1].split('\r\n')[0]
		    assert base == url + 'c.ts/', base
		    text = ask('PLAY', path, session, 'Range: npt=2.9-')[1]
		    assert 'RTP-Info: url=%sc.ts/track1;' % url in text, text
		    assert ask('PAUSE', 'c.ts', session)[0] == 200
		assert ask('PLAY', 'c.ts', session, 'Range: npt=0-')[0] == 200
		assert ask('PAUSE', 'c.ts', session)[0] == 200
		s.settimeout(0.4)
		try:
		    s.recv(1)
		    assert 0
		except TimeoutError:
		    pass
		s.settimeout(10)
		f = s.makefile('rb')
		assert ask('GET_PARAMETER', 'c.ts', session)[0] == 200
		assert ask('PLAY', 'c.ts', session)[0] == 200
		assert ask('TEARDOWN', 'c.ts', session)[0] == 200
		assert ask('PLAY', 'c.ts', session)[0] == 454
	END
}

@test "a client that is slow to read what it plays is answered, and not hung up on" {
	# Without a clock: sent as fast as any.
	python3 -c 'import sys; sys.stdout.buffer.write((b"\x47\x1f\xff\x10" + 184 * b"x") * 200000)' >"$D/long.ts"
	serve
	by_hand <<-'END'
		s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
		ask('SETUP', 'long.ts/track1', TCP)
		ask('PLAY', 'long.ts')
		# What fits into the sockets goes; then it stands.
		left = [told(clients=1)['backlog'], 0]
		while left[-1] != left[-2]:
		    time.sleep(1)
		    left.append(told(clients=1)['backlog'])
		assert left[-1] > 0
		for i in range(8):
		    s.sendall(b'DESCRIBE %slong.ts RTSP/1.0\r\nCSeq: %d\r\n\r\n' % (url.encode(), 80 + i))
		for i in range(8):
		    assert 'CSeq: %d\r\n' % (80 + i) in reply()[1]
		assert ask('TEARDOWN', 'long.ts')[0] == 200
	END
}

@test "what is not there, is no transport stream, or is malformed" {
	echo text >"$D/x.txt"
	: >"$D/empty.ts"
	: >"$D/soon.ts"
	: >"$D/.memnet/live/soon.ts"
	serve
	by_hand <<-'END'
		assert ask('DESCRIBE', 'none.ts')[0] == 404
		assert ask('DESCRIBE', '../../x')[0] == 404
		assert ask('DESCRIBE', '.memnet/lock')[0] == 404
		assert ask('DESCRIBE', 'x.txt')[0] == 415
		assert ask('DESCRIBE', 'empty.ts')[0] == 415
		assert ask('DESCRIBE', 'soon.ts')[0] == 503
		assert ask('RECORD', 'x.txt')[0] == 501
		status, text = ask('OPTIONS', '*', 'Require: play.scale')
		assert status == 551 and '\r\nUnsupported: play.scale\r\n' in text, text
		assert ask('GET_PARAMETER', '*', 'Content-Length: 0')[0] == 200
		s.sendall(b'$\x05\x00\x04abcdGET_PARAMETER * RTSP/1.0\r\nCSeq: 70\r\nContent-Length: 5\r\n\r\n12345')
		assert 'CSeq: 70' in reply()[1]
		s.sendall(b'DESCRIBE rtsp://h/a%0 RTSP/1.0\r\n\r\n')
		assert reply()[0] == 400
		assert f.read() == b''
	END
	kill -0 "$SERVER"
}

@test "an object that is truncated costs its own clients" {
	# longer than what is read ahead
	for _ in 1 2 3 4 5; do
		cat "$BATS_FILE_TMPDIR/clip.ts"
	done >"$D/c.ts"
	cp "$BATS_FILE_TMPDIR/clip.ts" "$D/d.ts"
	serve
	frames "$URL/d.ts" -rtsp_transport tcp >"$BATS_TEST_TMPDIR/got" 3>&- &
	client=$!
	by_hand <<-END
		assert ask('SETUP', 'c.ts/track1', TCP)[0] == 200
		assert ask('PLAY', 'c.ts')[0] == 200
		open('$D/c.ts', 'w').close()
		while f.read(1):
		    channel, data = packet()
		    assert data[-8:-6] != b'\x81\xcb'
	END
	wait $client
	diff "$BATS_TEST_TMPDIR/got" "$BATS_FILE_TMPDIR/frames"
}

@test "what is being played is not released" {
	clip "$BATS_TEST_TMPDIR/clip.ts" 6
	cp "$BATS_TEST_TMPDIR/clip.ts" "$D/c.ts"
	serve --release delivered
	http=$(sed -n 's/.*listening on \(http.*\)/\1/p' "$BATS_TEST_TMPDIR/err")
	frames "$URL/c.ts" -rtsp_transport tcp >"$BATS_TEST_TMPDIR/got" 3>&- &
	client=$!
	by_hand <<<'told(clients=1, rtsp=1)'
	curl -s "$http/vm1/out/c.ts" | cmp - "$BATS_TEST_TMPDIR/clip.ts"
	[ -e "$D/c.ts" ]
	wait $client
	frames "$BATS_TEST_TMPDIR/clip.ts" | diff "$BATS_TEST_TMPDIR/got" -
	until_true test ! -e "$D/c.ts"
	[ "$(curl -s -o /dev/null -w '%{http_code}' "$http/vm1/out/c.ts")" = 404 ]
}

@test "SIGTERM ends sessions with a BYE, and is not waited for by them" {
	for _ in 1 2 3 4 5 6 7 8; do # longer than we wait
		cat "$BATS_FILE_TMPDIR/clip.ts"
	done >"$D/c.ts"
	serve
	# Of what comes on the channel of RTCP, the type of each packet; 203 is a BYE.
	by_hand <<-'END' >"$BATS_TEST_TMPDIR/types" 3>&- &
		session = re.search('Session: ([^;\r]*)', ask('SETUP', 'c.ts/track1', TCP)[1])[1]
		assert ask('PLAY', 'c.ts', 'Session: ' + session)[0] == 200
		while f.read(1) == b'$':
		    channel, data = packet()
		    while channel == 5 and data:
		        print('type', data[1], flush=True)
		        data = data[(data[2] << 8 | data[3]) * 4 + 4:]
	END
	client=$!
	until_true grep -q '^type 200$' "$BATS_TEST_TMPDIR/types"
	kill "$SERVER"
	timeout 15 tail --pid="$SERVER" -f /dev/null
	wait "$SERVER"
	wait $client
	[ "$(tail -n 1 "$BATS_TEST_TMPDIR/types")" = 'type 203' ]
}

@test "a session is a client on the control socket and in the figures while it plays" {
	cat "$BATS_FILE_TMPDIR"/{clip,clip,clip}.ts >"$D/c.ts"
	metrics=127.0.0.1:$(free_ports 1)
	serve --metrics "$metrics"
	by_hand <<-END
		import urllib.request
		def figure(name):
		    text = urllib.request.urlopen('http://$metrics/metrics').read().decode()
		    return [int(l.split()[-1]) for l in text.split('\n') if l.startswith('memnet_stream_' + name)][0]
		told(clients=0, rtsp=0)
		accepted = [figure('accepted_total'), figure('accepted_total')]
		with socket.create_connection(('127.0.0.1', port)) as other:
		    other.sendall(b'OPTIONS * RTSP/1.0\r\n\r\n')
		    other.recv(1)
		    assert figure('accepted_total') - accepted[1] == accepted[1] - accepted[0] + 1
		assert ask('SETUP', 'c.ts/track1', TCP)[0] == 200
		session = told(clients=0)
		assert ask('PLAY', 'c.ts')[0] == 200
		before = told(clients=1, edge=0, rtsp=1)
		assert 0 < before['backlog'] < $(stat -c %s "$D/c.ts"), before
		assert figure('space_clients') == 1 and figure('space_rtsp_clients') == 1
		assert figure('clients') == 2 # and the one who asks
		after = told(clients=1)
		while after['sent'] < before['sent'] + 50000:
		    assert f.read(1) == b'$' and packet()
		    after = told(clients=1)
		assert after['backlog'] < before['backlog']
		assert ask('PAUSE', 'c.ts')[0] == 200
		told(clients=0, rtsp=0, backlog=0)
	END
}

@test "a rate does not slow a session down, and the others get what it leaves" {
	clip "$D/c.ts" 8
	frames "$D/c.ts" >"$BATS_TEST_TMPDIR/frames"
	bps=$(($(stat -c %s "$D/c.ts") / 8))
	head -c $((bps * 3 / 2)) /dev/urandom >"$D/x"
	serve --rate $((bps * 3 / 2))B
	http=$(sed -n 's/.*listening on \(http.*\)/\1/p' "$BATS_TEST_TMPDIR/err")
	frames "$URL/c.ts" -rtsp_transport tcp >"$BATS_TEST_TMPDIR/got" 3>&- &
	client=$!
	by_hand <<<'told(clients=1)'
	# A second, without the session; it leaves a third of the rate.
	took=$(curl -s -o /dev/null -w '%{time_total}' "$http/vm1/out/x")
	awk "BEGIN { exit !($took > 1.7) }" || { echo "took $took"; false; }
	wait $client
	diff "$BATS_TEST_TMPDIR/got" "$BATS_TEST_TMPDIR/frames"
}
