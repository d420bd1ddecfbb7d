#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031 # what a test sets is its own
# The control socket of memnet stream: what it tells of each space, rates that are lent over it, and
# the file it leaves. A space is a folder here.

load stream.bash

setup() {
	stream_begin
	type socat jq curl >/dev/null 2>&1 || skip "no socat, jq or curl"
	RUN=$BATS_TEST_TMPDIR/run
	head -c 3000000 /dev/urandom >"$D/x"
}

teardown() {
	for pid in $SERVER "${PIDS[@]}"; do
		kill -KILL "$pid" 2>/dev/null || continue
		wait "$pid" || true
	done
}

# ask LINE… — of $SERVER; the answers.
ask() {
	printf '%s\n' "$@" | timeout 20 socat -t 20 - "UNIX-CONNECT:$RUN/.stream/$SERVER.sock,shut-down"
}

# field NAME — of vm1/out's line.
field() {
	ask get | sed -n "s/^space name=vm1\/out .*\<$1=\([0-9]*\).*/\1/p"
}

is() {
	test "$(field "$1")" "$2" "$3"
}

# slow SECONDS URL — fetching it takes so long at least.
slow() {
	local took
	took=$(get -o /dev/null -w '%{time_total}\n' "$2")
	awk "BEGIN { exit !($1 <= $took) }" || { echo "in $took s: $2"; return 1; }
}

# fast URL — fetching it does not take the half a minute that x takes at 100 kB a second: get's patience is 20 s.
fast() {
	get -o /dev/null "$1"
}

@test "the socket is its user's alone, gone at the end, and what was killed is removed" {
	serve
	[ "$(stat -c %a "$RUN/.stream")" = 700 ]
	[ "$(stat -c %a "$RUN/.stream/$SERVER.sock")" = 600 ]
	first=$SERVER
	kill -KILL "$SERVER"
	wait "$SERVER" || true
	[ -e "$RUN/.stream/$first.sock" ]
	rm "$BATS_TEST_TMPDIR/err" # serve waits for what is in it
	serve
	[ ! -e "$RUN/.stream/$first.sock" ]
	second=$SERVER
	PIDS+=("$second")
	rm "$BATS_TEST_TMPDIR/err"
	serve # beside the other one
	[ -e "$RUN/.stream/$second.sock" ]
	[ "$(ask get | head -n 1 | cut -d ' ' -f 2)" = "pid=$SERVER" ]
	stop
	[ "$(ls "$RUN/.stream")" = "$second.sock" ]
}

@test "as another user, with the few rights that are left, it is gone at the end, too" {
	[ "$(id -u)" = 0 ] || skip "not root"
	serve --user nobody
	ask get | grep -q '^end$'
	control=$RUN/.stream/$SERVER.sock
	stop
	[ ! -e "$control" ]
}

@test "a folder that is no space has no socket, and where none can be made it serves as well" {
	memnet stream --runtime-dir "$RUN" --listen http://127.0.0.1:0 "$D" 2>"$BATS_TEST_TMPDIR/err" 3>&- &
	SERVER=$!
	until_true grep -q 'listening on' "$BATS_TEST_TMPDIR/err"
	[ ! -e "$RUN/.stream" ]
	stop
	: >"$RUN/.stream"
	serve
	grep -q 'memnet tune will not find this stream' "$BATS_TEST_TMPDIR/err"
	get "$URL/x" | cmp - "$D/x"
}

@test "it tells what each space's clients take" {
	head -c 30000000 /dev/zero >"$D/long"
	serve --rate 8MB
	is sent = 0
	get -o /dev/null "$URL/long" &
	client=$!
	reads() { is clients = 1 && is backlog -gt 0; }
	until_true reads
	wait "$client"
	until_true is sent -ge 30000000
	until_true is clients = 0
	is backlog = 0
	[ "$(ask get | head -n 1)" = "stream pid=$SERVER listen=${URL:7:-8} rate=8000000 client=0 lease=0" ]
}

@test "a client at a live object's edge is told of" {
	# shellcheck disable=SC2016 # the inner shell expands
	memnet transcode-hook --to "$D" --name live --live -- sh -c 'echo begun; while kill -0 $PPID; do sleep 0.1; done' \
		>/dev/null 2>&1 </dev/null 3>&- 4>&- &
	PIDS+=($!)
	serve
	until_true test -s "$D/live"
	curl -sN -o /dev/null "$URL/live" 3>&- 4>&- &
	client=$!
	until_true is edge = 1
	is clients = 1
	is backlog = 0
	kill "$client"
}

@test "a space's rate holds, is not another one's, and lapses by itself" {
	mkdir -p "$RUN/vm2/out"
	cp "$D/x" "$RUN/vm2/out/x"
	serve vm2/out
	[ "$(ask 'rate vm1/out total=2000000 lease=60000')" = end ]
	is rate = 2000000
	slow 1.2 "$URL/x"
	[ "$(ask 'rate vm1/out total=100000 lease=60000')" = end ]
	is rate = 100000
	fast "${URL%/vm1/out}/vm2/out/x"
	[ "$(ask 'rate vm1/out total=100000 lease=300')" = end ]
	until_true is rate = 0
	fast "$URL/x"
	[ "$(ask 'rate vm1/out total=1000 lease=60000' 'rate vm1/out total=0')" = $'end\nend' ]
	is rate = 0
	fast "$URL/x"
}

@test "all clients' rate, and that of each, for several workers and connections under way, too" {
	serve --workers 3
	ask 'rate total=2000000 lease=60000' >/dev/null
	slow 1.2 "$URL/x"
	ask 'rate total=0' >/dev/null
	ask 'rate client=2000000 lease=60000' >/dev/null
	slow 0.8 "$URL/x"
	# What is slow becomes fast when it lapses.
	ask 'rate client=100000 lease=60000' >/dev/null
	until_true is clients = 0
	fast "$URL/x" 3>&- &
	client=$!
	until_true is clients = 1
	ask 'rate client=100000 lease=300' >/dev/null
	wait "$client"
}

@test "what is lent is never above what the options allow" {
	serve --rate 2MB --client-rate 3MB
	ask 'rate total=500000000 client=500000000 lease=60000' >/dev/null
	[[ $(ask get) == *" rate=2000000 client=3000000 "* ]]
	ask 'rate total=1000000 client=1000000 lease=60000' >/dev/null
	[[ $(ask get) == *" rate=1000000 client=1000000 "* ]]
}

@test "requests that are none are answered so, and nobody is held up by a peer that is silent" {
	serve
	[ "$(ask frobnicate)" = 'error unknown request: want get, or rate' ]
	[ "$(ask 'rate total=5')" = 'error a lease is wanted: lease=MS' ]
	[ "$(ask 'rate vm9/out total=5 lease=5')" = 'error that space is not served here' ]
	[ -z "$(head -c 1000 /dev/zero | tr '\0' x | timeout 20 socat -t 20 - "UNIX-CONNECT:$RUN/.stream/$SERVER.sock,shut-down")" ]
	for _ in 1 2 3; do
		socat -u PIPE:"$BATS_TEST_TMPDIR/silent" UNIX-CONNECT:"$RUN/.stream/$SERVER.sock" 3>&- &
		PIDS+=($!)
	done
	ask get | grep -q '^end$'
	get "$URL/x" | cmp - "$D/x"
	# A thousand questions at once are a thousand answers.
	[ "$(yes get | head -n 1000 | timeout 20 socat -t 20 - "UNIX-CONNECT:$RUN/.stream/$SERVER.sock,shut-down" | grep -c '^end$')" = 1000 ]
}

# joules: what /metrics says of energy
joules() {
	get "http://$METRICS/metrics" | grep '^memnet_energy'
}

@test "energy is counted, from what the configuration says, and never a silent 0" {
	export MEMNET_CONF=$BATS_TEST_TMPDIR/conf
	printf '[energy]\nsource = model\nidle_watts = 50\n' >"$MEMNET_CONF"
	METRICS=127.0.0.1:$(free_ports 1)
	serve --metrics "$METRICS"
	# Some time of its own, to have a share.
	counted() {
		get -o /dev/null "$URL/x"
		joules | grep -q '^memnet_energy_joules_total{source="model"} 0*[.0]*[1-9]'
	}
	until_true counted
	joules | grep -q '^memnet_energy_joules_per_gigabyte{source="model"} [0-9.]*[1-9]'
	joules | grep -q '^memnet_energy_joules_per_client{source="model"} [0-9.]*[1-9]'
	stop
	printf '[energy]\nsource = none\n' >"$MEMNET_CONF"
	serve --metrics "$METRICS"
	get -o /dev/null "$URL/x"
	[ "$(joules)" = $'memnet_energy_joules_per_gigabyte{source="none"} NaN\nmemnet_energy_joules_per_client{source="none"} NaN' ]
	stop
	printf '[energy]\nsource = solar\n' >"$MEMNET_CONF"
	run memnet stream --runtime-dir "$RUN" --listen http://127.0.0.1:0 vm1/out
	[ "$status" = 2 ]
	[[ $output == *"$MEMNET_CONF:2: bad source \"solar\""* ]]
}

@test "RAPL counters that are opened at the start are read when all rights are given up" {
	[ "$(id -u)" = 0 ] || skip "not root"
	unshare -m true 2>/dev/null || skip "no mount namespaces"
	export MEMNET_CONF=$BATS_TEST_TMPDIR/conf TREE=$BATS_TEST_TMPDIR/class
	mkdir -p "$TREE/powercap/intel-rapl:0"
	echo package-0 >"$TREE/powercap/intel-rapl:0/name"
	echo 1000000 >"$TREE/powercap/intel-rapl:0/energy_uj"
	echo 262143328850 >"$TREE/powercap/intel-rapl:0/max_energy_range_uj"
	printf '[energy]\nsource = rapl\n' >"$MEMNET_CONF"
	run memnet stream --runtime-dir "$RUN" --listen http://127.0.0.1:0 vm1/out
	[ "$status" = 1 ] || [ -e /sys/class/powercap ]
	METRICS=127.0.0.1:$(free_ports 1)
	# shellcheck disable=SC2016 # the inner shell expands
	unshare -m sh -c 'mount --bind "$TREE" /sys/class && exec memnet stream --user nobody "$@"' sh \
		--runtime-dir "$RUN" --listen http://127.0.0.1:0 --metrics "$METRICS" vm1/out \
		2>"$BATS_TEST_TMPDIR/err" 3>&- &
	SERVER=$!
	until_true grep -q 'listening on' "$BATS_TEST_TMPDIR/err"
	echo 31000000 >"$TREE/powercap/intel-rapl:0/energy_uj"
	URL=$(sed -n 's/.*listening on //p' "$BATS_TEST_TMPDIR/err")/vm1/out
	# Some time of its own, to have a share.
	served() {
		for _ in 1 2 3 4 5 6 7 8 9 10; do get -o /dev/null "$URL/x"; done
		echo $(($(cat "$TREE/powercap/intel-rapl:0/energy_uj") + 5000000)) >"$TREE/powercap/intel-rapl:0/energy_uj"
		joules | grep -q '^memnet_energy_joules_total{source="rapl"} 0*[.0]*[1-9]'
	}
	until_true served
}
