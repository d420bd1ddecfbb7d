#!/usr/bin/env bats
# shellcheck disable=SC1091,SC2013,SC2016,SC2030,SC2031,SC2317 # sourced by a variable path; an inner shell
# expands; what a test sets is its own
# The live loop of memnet tune, on real tmpfs spaces in a namespace, with real producers (memnet
# compress --to) and a real drain (memnet stream --release delivered).

bats_require_minimum_version 1.5.0

load ../until.bash

setup_file()
{
	type jq curl busybox socat >/dev/null 2>&1 || skip "no jq, curl, busybox or socat"
	export VM_DIR=$BATS_FILE_TMPDIR
	source "$BATS_TEST_DIRNAME/../guest/vm.sh"
	vm_host_open || skip "no namespaces"
	export MEMNET_RUNTIME_DIR=$VM_DIR/run
	head -c 4194304 /dev/urandom >"$VM_DIR/4M"
}

teardown_file()
{
	source "$BATS_TEST_DIRNAME/../guest/vm.sh"
	vm_host_close
}

setup()
{
	source "$BATS_TEST_DIRNAME/../guest/vm.sh"
	export MEMNET_CONF=$BATS_TEST_TMPDIR/conf
	: >"$MEMNET_CONF"
	LOG=$BATS_TEST_TMPDIR/log ERR=$BATS_TEST_TMPDIR/err
	PIDS=()
}

teardown()
{
	local pid space

	for pid in "${PIDS[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	until_true no_watchdog
	for space in $(vm_host "$MEMNET" share list -H | cut -f 1); do
		vm_host "$MEMNET" share destroy --force "$space"
	done
}

# A process of ours in the namespace, in $PID; stopped at the end of the test.
begin()
{
	"${VM_ENTER[@]}" "$@" 3>&- 4>&- &
	PID=$!
	PIDS+=("$PID")
}

# The loop, with a quick clock; its log in $LOG and $ERR.
start_tune()
{
	begin setpriv --pdeathsig KILL "$MEMNET" tune -j --set period=400ms --set guard=50ms "$@" >"$LOG" 2>"$ERR"
	TUNE=$PID
}

# The same, and its first decision.
tune()
{
	start_tune "$@"
	until_true decided
}

decided()
{
	[ -s "$LOG" ] || { ! kill -0 "$TUNE" 2>/dev/null && cat "$ERR"; }
}

# Ends the loop as a service manager does, and has its exit status.
stop_tune()
{
	local status=0

	kill -TERM "$TUNE"
	wait "$TUNE" || status=$?
	return $status
}

# Of this test: those of others live in namespaces of their own.
no_watchdog()
{
	local comm ns

	ns=$(readlink "/proc/$VM_HOST_PID/ns/mnt")
	for comm in $(grep -lxs memnet-watchdog /proc/[0-9]*/comm); do
		[ "$(readlink "${comm%comm}ns/mnt")" != "$ns" ] || return 1
	done
}

create()
{
	vm_host "$MEMNET" share create "$1" --size "$2" --no-attach
}

# figure VM/SPACE FIELD, of share show
figure()
{
	vm_host "$MEMNET" share show -j "$1" | jq ".$2"
}

# is VM/SPACE FIELD OP NUMBER
is()
{
	test "$(figure "$1" "$2")" "$3" "$4"
}

# in_space VM/SPACE COMMAND…: run by sh in its root
in_space()
{
	local root=$MEMNET_RUNTIME_DIR/$1

	shift
	vm_host sh -c "cd '$root' && $*"
}

# saw FILTER: whether a decision is in the log for which this is true
saw()
{
	jq -e -n "[inputs | select($1)] | length > 0" "$LOG" >/dev/null
}

said()
{
	grep -qF -- "$1" "$ERR"
}

refused()
{
	local status=0 want=$1 words=$2 output

	shift 2
	output=$(vm_host timeout 120 "$MEMNET" tune "$@" 2>&1 >/dev/null) || status=$?
	if [ "$status" != "$want" ] || [[ $output != *"$words"* ]] || [ "$(wc -l <<<"$output")" != 1 ]; then
		echo "tune $*: exit $status, wanted $want; said: $output" >&2
		return 1
	fi
}

M=$((1024 * 1024))

@test "what is wrong with a command line is said, exit 2" {
	refused 2 'no space to size'
	refused 2 'bad space name "web1"' web1
	refused 2 'a max is wanted' vm1/out
	refused 2 'wants a --budget' vm1/out,max=1G vm2/out,max=1G
	refused 2 'below the sum of the minima' --budget 100M vm1/out vm2/out
	refused 2 'unknown key "mx"' vm1/out,mx=1G
	refused 2 'want KEY=VALUE' vm1/out,max
	refused 2 'bad objective "p95>8s"' 'vm1/out,max=1G,slo=p95>8s'
	refused 2 'bad objective "p100<8s"' 'vm1/out,max=1G,slo=p100<8s'
	refused 2 'bad objective "p0.95<8s"' 'vm1/out,max=1G,slo=p0.95<8s'
	refused 2 'bad objective "p95<0s"' 'vm1/out,max=1G,slo=p95<0s'
	refused 2 'reserve must be less than 100%' --set reserve=1 vm1/out,max=1G
	refused 2 'slo.margin must be' --set slo.margin=95 vm1/out,max=1G
	refused 2 'shrink.hold and headroom.factor must be more than 0' --set headroom.factor=0 vm1/out,max=1G
	refused 2 'period must be a day at most' --interval 50000d vm1/out,max=1G
	refused 2 'bad size "12Q"' vm1/out,max=12Q
	refused 2 'at most max: they are 2.00G and 1.00G' vm1/out,min=2G,max=1G
	refused 2 'they are 64.0M and 16.0M' vm1/out,max=16M
	refused 2 'stand alone' --simulate scenario:S0 --budget 1G
	refused 2 'stand alone' --simulate scenario:S0 vm1/out
	refused 2 'stand alone' --plan 1.5,24M,1,60MB,8MB --once
	refused 2 'stand alone' --plan 1.5,24M,1,60MB,8MB --simulate scenario:S0
	refused 2 'no memory is so large' --plan 1,24M,100000000,60MB,8MB
	refused 2 'weight must be' vm1/out,max=1G,weight=0
	refused 2 'unknown key "periodd"' --set periodd=1s vm1/out,max=1G
	refused 2 'at most a period' --interval 1s --set guard=2s vm1/out,max=1G
	refused 2 'bad address' --stream 1.2.3:x vm1/out,max=1G
	refused 2 'bad address "localhost:9101": want an IP address' --stream localhost:9101 vm1/out,max=1G
	refused 2 'bad address "localhost:9102": want an IP address' --metrics localhost:9102 vm1/out,max=1G
	refused 2 'headroom.min must be 1M or more' --set headroom.min=0 vm1/out,max=1G
	refused 2 'min must be 1M or more' vm1/out,min=4K,max=1G
	refused 2 'unknown option' --frobnicate
}

@test "a bad configuration is refused with file and line" {
	printf '[tune]\nperiod = 2s\n\n[space vm1/out]\nmin = 64M\nmxa = 1G\n' >"$MEMNET_CONF"
	refused 2 "$MEMNET_CONF:6: unknown key \"mxa\""
	printf '[tune]\nperiod = fast\n' >"$MEMNET_CONF"
	refused 2 "$MEMNET_CONF:2: bad duration \"fast\""
	printf '[spaec vm1/out]\nmin = 64M\n' >"$MEMNET_CONF"
	refused 2 "$MEMNET_CONF:1: unknown section [spaec vm1/out]"
	printf '[space vm1]\nmin = 64M\n' >"$MEMNET_CONF"
	refused 2 "$MEMNET_CONF:1: bad space name"
	printf '[tune]\nbudget = 1G\n[space vm1]\n' >"$MEMNET_CONF"
	refused 2 "$MEMNET_CONF:3: bad space name"
	printf '[space vm1/out]\n' >"$MEMNET_CONF"
	refused 2 'vm1/out: a max is wanted'
	printf '[tune]\n\nreserve = 150%%\n' >"$MEMNET_CONF"
	refused 2 "$MEMNET_CONF:3: reserve must be less than 100%"
	printf '[tune]\nstream = localhost:9101\n' >"$MEMNET_CONF"
	refused 2 "$MEMNET_CONF:2: bad address \"localhost:9101\""
	printf '[tune]\nmetrics = localhost:9102\n' >"$MEMNET_CONF"
	refused 2 "$MEMNET_CONF:2: bad address \"localhost:9102\""
	printf '[space vm1/out]\nweight = 0\n' >"$MEMNET_CONF"
	refused 2 "$MEMNET_CONF:2: weight must be more than 0"
	# Which of two that do not go together is wrong, no line tells.
	printf '[tune]\nguard = 5s\nperiod = 4s\n[space vm1/out]\nmax = 1G\n' >"$MEMNET_CONF"
	refused 2 'guard must be at most a period'
}

@test "SIGHUP reads the configuration again; a bad one is refused, the old one stays" {
	create vm1/out 64M
	printf '[space vm1/out]\nmin = 32M\nmax = 256M\n' >"$MEMNET_CONF"
	tune
	until_true is vm1/out size_bytes = $((32 * M))
	printf '[space vm1/out]\nmin = 16M\nmax = 256M\nmini = 1\n' >"$MEMNET_CONF"
	kill -HUP "$TUNE"
	until_true said "$MEMNET_CONF:4: unknown key"
	said 'the old configuration stays'
	kill -0 "$TUNE"
	is vm1/out size_bytes = $((32 * M))
	create vm2/out 64M
	printf '[tune]\nbudget=1G\n[space vm1/out]\nmin = 16M\n[space vm2/out]\nmin = 16M\n' >"$MEMNET_CONF"
	kill -HUP "$TUNE"
	until_true is vm1/out size_bytes = $((16 * M))
	until_true is vm2/out size_bytes = $((16 * M))
	# The watchdog is another one now, and knows both.
	kill -KILL "$TUNE"
	wait "$TUNE" || true
	until_true said 'of 2 spaces'
}

@test "SIGHUP: metrics that cannot be served are refused, and those there were are served on" {
	create vm1/out 64M
	with() { printf '[tune]\nmetrics = %s\n[space vm1/out]\nmin = %s\nmax = 256M\n' "$BATS_TEST_TMPDIR/$1" "$2" >"$MEMNET_CONF"; }
	served() { vm_host curl -sf --unix-socket "$BATS_TEST_TMPDIR/$1" http://x/metrics | grep -q "size_bytes{space=\"vm1/out\"} $(($2 * M))\$"; }
	begin socat -u "UNIX-LISTEN:$BATS_TEST_TMPDIR/taken,fork" OPEN:/dev/null
	until_true test -S "$BATS_TEST_TMPDIR/taken"
	with one 32M
	tune
	until_true served one 32
	with taken 16M
	kill -HUP "$TUNE"
	until_true said "metrics on $BATS_TEST_TMPDIR/taken"
	until_true said 'the old configuration stays'
	served one 32
	is vm1/out size_bytes = $((32 * M))
	run ! said 'configuration read again'
	# At another place, and at the same.
	with two 16M
	kill -HUP "$TUNE"
	until_true served two 16
	[ ! -e "$BATS_TEST_TMPDIR/one" ]
	with two 24M
	kill -HUP "$TUNE"
	until_true served two 24
	stop_tune
	[ ! -e "$BATS_TEST_TMPDIR/two" ]
}

@test "a section without keys is a space that has the defaults" {
	create vm1/out 128M
	create vm2/out 128M
	printf '[tune]\nbudget = 1G\n[space vm1/out]\n[space vm2/out]\nmin = 32M\n' >"$MEMNET_CONF"
	vm_host "$MEMNET" tune -n -j --once --interval 200ms >"$LOG"
	saw '.space == "vm1/out"'
	saw '.space == "vm2/out"'
}

@test "a space that SIGHUP takes out of the configuration is left with a safe size" {
	create vm1/out 64M
	create vm2/out 64M
	create vm3/out 64M
	printf '[tune]\nbudget=1G\n[space vm1/out]\nmin = 16M\n' >"$MEMNET_CONF"
	cp "$MEMNET_CONF" "$BATS_TEST_TMPDIR/less"
	printf '[space vm2/out]\nmin = 16M\nfailsafe = 200M\n[space vm3/out]\nmin = 16M\nfailsafe = off\n' >>"$MEMNET_CONF"
	tune
	until_true is vm2/out size_bytes = $((16 * M))
	until_true is vm3/out size_bytes = $((16 * M))
	cp "$BATS_TEST_TMPDIR/less" "$MEMNET_CONF"
	kill -HUP "$TUNE"
	until_true said 'configuration read again'
	is vm2/out size_bytes = $((200 * M))
	is vm3/out size_bytes = $((16 * M))
	# It is nobody's now.
	vm_host "$MEMNET" tune --once --interval 100ms vm2/out,max=1G >/dev/null
	until_true is vm1/out size_bytes = $((16 * M))
	stop_tune
}

@test "between SIGHUP and the next period the watchdog knows the sizes, and a quicker clock holds" {
	create vm1/out 64M
	printf '[tune]\nguard = 0\nperiod = 1h\n[space vm1/out]\nmin = 16M\nmax = 256M\nfailsafe = 200M\n' >"$MEMNET_CONF"
	begin setpriv --pdeathsig KILL "$MEMNET" tune -j >"$LOG" 2>"$ERR"
	TUNE=$PID
	until_true decided
	kill -HUP "$TUNE"
	until_true said 'configuration read again'
	kill -KILL "$TUNE"
	wait "$TUNE" || true
	until_true said 'the controller died: 1 of 1'
	is vm1/out size_bytes = $((200 * M))
	until_true no_watchdog
	begin setpriv --pdeathsig KILL "$MEMNET" tune -j >"$LOG" 2>"$ERR"
	TUNE=$PID
	until_true decided
	sed -i s/1h/100ms/ "$MEMNET_CONF"
	kill -HUP "$TUNE"
	until_true eval '[ "$(wc -l <"$LOG")" -ge 3 ]'
	stop_tune
}

@test "systemd is told by every look that the loop lives, once a second at most" {
	local start=${EPOCHREALTIME/./}

	create vm1/out 64M
	begin socat -u "UNIX-RECV:$BATS_TEST_TMPDIR/notify" "CREATE:$BATS_TEST_TMPDIR/words"
	until_true test -S "$BATS_TEST_TMPDIR/notify"
	export NOTIFY_SOCKET=$BATS_TEST_TMPDIR/notify
	alive() { grep -o WATCHDOG=1 "$BATS_TEST_TMPDIR/words" | wc -l; }
	tune --set period=1h vm1/out,max=256M
	unset NOTIFY_SOCKET
	until_true eval '[ "$(alive)" -ge 3 ]'
	[ "$(alive)" -le $(((${EPOCHREALTIME/./} - start) / 1000000 + 1)) ]
	stop_tune
}

@test "a step in load is followed within one guard interval plus one period" {
	create vm1/out 32M
	begin "$MEMNET" stream --release delivered --listen http://127.0.0.1:18180 --metrics 127.0.0.1:18181 vm1/out 2>"$BATS_TEST_TMPDIR/stream"
	until_true grep -q 'listening on' "$BATS_TEST_TMPDIR/stream"
	tune --stream 127.0.0.1:18181 vm1/out,min=32M,max=512M
	# A producer writes more than there is room for, and nobody fetches it.
	local began=$EPOCHREALTIME
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		vm_host "$MEMNET" compress --fast=5 --to "$MEMNET_RUNTIME_DIR/vm1/out" -o "$i" "$VM_DIR/4M"
	done
	local ended=$EPOCHREALTIME
	is vm1/out size_bytes -gt $((48 * M))
	until_true saw '.why == "guard" and .size_bytes > .from_bytes'
	# The loop's own account of it: from the first look that saw the step to a size that holds it. The step takes as long as
	# the producer does.
	jq -e -n --argjson began "$began" --argjson ended "$ended" '[inputs] | (map(select(.used_bytes > 8000000))[0].time) as $step |
		(map(select(.size_bytes > 48000000))[0].time) as $grown | $grown - $step <= 0.45 + 1 + $ended - $began' "$LOG"
	# The records arrived, were believed, and are gone.
	until_true saw '.guest == "ok" and .p95_s > 0'
	no_records() { [ "$(in_space vm1/out 'ls .memnet/jobs | wc -l')" = 0 ]; }
	until_true no_records
	# Delivered and released, the load is gone, and so is the memory.
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		vm_host curl -s -o /dev/null "http://127.0.0.1:18180/vm1/out/$i"
	done
	until_true saw '.out_bytes_per_s > 0'
	until_true is vm1/out used_bytes -lt $((4 * M))
	until_true is vm1/out size_bytes -lt $((48 * M))
	stop_tune
}

@test "a reader of the decisions that does not read holds up nobody" {
	create vm1/out 64M
	LOG=$BATS_TEST_TMPDIR/fifo
	mkfifo "$LOG"
	# shellcheck disable=SC2217 # it holds the pipe open, and reads nothing
	sleep 60 <"$LOG" 3>&- 4>&- &
	PIDS+=("$!")
	start_tune --set period=20ms --set guard=10ms vm1/out,min=16M,max=256M
	until_true is vm1/out size_bytes = $((16 * M))
	until_true said 'standard output is not read'
	head -c $((14 * M)) /dev/zero | in_space vm1/out 'cat >a'
	until_true is vm1/out size_bytes -gt $((17 * M))
	# One that reads again gets whole lines.
	cat "$LOG" >"$BATS_TEST_TMPDIR/log" 3>&- 4>&- &
	PIDS+=("$!")
	LOG=$BATS_TEST_TMPDIR/log
	until_true saw '.used_bytes > 14000000'
	stop_tune
	wait "${PIDS[-1]}"
	saw '.space == "vm1/out"'
}

@test "kill -9 of the loop leaves sizes that are safe" {
	create vm1/out 64M
	create vm2/out 64M
	tune --budget 400M vm1/out,min=16M vm2/out,min=16M
	until_true is vm1/out size_bytes = $((16 * M))
	head -c $((12 * M)) /dev/zero | in_space vm1/out 'cat >a'
	until_true saw '.period and .used_bytes > 12000000'
	kill -KILL "$TUNE"
	wait "$TUNE" || true
	until_true said 'the controller died'
	until_true no_watchdog
	# Fifteen seconds of the fastest inflow, within the budget; and what the quiet one is entitled to.
	is vm1/out size_bytes -gt $((64 * M))
	is vm2/out size_bytes -gt $((190 * M))
	[ $(($(figure vm1/out size_bytes) + $(figure vm2/out size_bytes))) -le $((400 * M)) ]
	# Whoever comes next may have the spaces.
	tune --budget 400M vm1/out,min=16M vm2/out,min=16M
	stop_tune
}

@test "a watchdog that dies is replaced" {
	create vm1/out 64M
	tune vm1/out,min=16M,max=400M
	until_true is vm1/out size_bytes = $((16 * M))
	# The loop's child, among those of other tests.
	kill -KILL "$(cat "/proc/$TUNE/task/$TUNE/children")"
	until_true said 'another one is started'
	head -c $((12 * M)) /dev/zero | in_space vm1/out 'cat >a'
	until_true saw '.period and .used_bytes > 12000000'
	kill -KILL "$TUNE"
	wait "$TUNE" || true
	until_true said 'the controller died: 1 of 1'
	is vm1/out size_bytes -gt $((64 * M))
}

@test "a loop that ends leaves safe sizes, a fixed one, or none" {
	create vm1/out 64M
	tune vm1/out,min=16M,max=512M,failsafe=200M
	until_true is vm1/out size_bytes = $((16 * M))
	stop_tune
	is vm1/out size_bytes = $((200 * M))
	tune vm1/out,min=16M,max=512M,failsafe=off
	until_true is vm1/out size_bytes = $((16 * M))
	stop_tune
	is vm1/out size_bytes = $((16 * M))
	no_watchdog
	in_space vm1/out 'test ! -e .memnet/pace'
}

@test "two loops on one space refuse each other, exit 5" {
	create vm1/out 64M
	create vm2/out 64M
	tune vm1/out,max=512M
	refused 5 'vm1/out: another memnet tune sizes it' vm1/out,max=1G
	refused 5 'vm1/out: another memnet tune sizes it' --budget 1G vm2/out vm1/out
	vm_host "$MEMNET" tune --once --interval 100ms vm2/out,max=1G >/dev/null
	vm_host "$MEMNET" tune -n --once --interval 100ms vm1/out,max=1G >/dev/null
	stop_tune
}

@test "spaces come, go, and come back as others" {
	start_tune --budget 1G vm1/out,min=16M vm2/out,min=16M
	create vm1/out 64M
	until_true is vm1/out size_bytes = $((16 * M))
	# Nothing of a space is held: destroy never finds it busy.
	for _ in 1 2 3 4 5; do
		vm_host "$MEMNET" share destroy vm1/out
		create vm1/out 64M
	done
	until_true is vm1/out size_bytes = $((16 * M))
	vm_host "$MEMNET" share destroy vm1/out
	create vm2/out 64M
	until_true is vm2/out size_bytes = $((16 * M))
	stop_tune
}

@test "--once looks for one interval and leaves safe sizes" {
	create vm1/out 256M
	head -c $((20 * M)) /dev/zero | in_space vm1/out 'cat >a'
	vm_host "$MEMNET" tune --once --interval 2s --set guard=50ms vm1/out,min=16M,max=512M >"$LOG"
	[ "$(wc -l <"$LOG")" -ge 2 ]
	is vm1/out size_bytes -ge $((20 * M))
	is vm1/out size_bytes -lt $((64 * M))
}

@test "every key of the manual with its default is taken, and the example" {
	local page=$MEMNET_SRC/man/memnet-tune.1

	{
		echo '[tune]'
		sed '/^\.Ss Configuration/,/^A section$/!d' "$page" | sed -n 's/^\.It Cm \(.*\) Li \(.*\)/\1 = \2/p'
		echo 'budget = 4G'
		echo '[space vm1/out]'
		sed '/^A section$/,/^\.Ss Decisions/!d' "$page" | sed -n 's/^\.It Cm \(.*\) Li \(.*\)/\1 = \2/p'
	} >"$MEMNET_CONF"
	[ "$(wc -l <"$MEMNET_CONF")" -ge 18 ]
	vm_host "$MEMNET" tune -n --once --interval 200ms
	grep -q '^slo.margin = ' "$MEMNET_CONF"
	# Also what is commented out in the example.
	sed 's/^#\(\[.*\]\|[a-z_]* = .*\)$/\1/' "$MEMNET_SRC/share/memnet.conf.example" >"$MEMNET_CONF"
	grep -q '^uplink = ' "$MEMNET_CONF"
	grep -q '^core_watts = ' "$MEMNET_CONF"
	vm_host "$MEMNET" tune -n --once --interval 200ms --set uplink=lo --set metrics="$BATS_TEST_TMPDIR/sock" \
		--set textfile="$BATS_TEST_TMPDIR/prom"
	sed -i 's/^guard = /gaurd = /' "$MEMNET_CONF"
	refused 2 'unknown key "gaurd"' -n --once
}

@test "who may not is told who may" {
	[ "$(id -u)" = 0 ] || skip "not root"
	mkdir -m 700 "$BATS_TEST_TMPDIR"/.{lock,qmp}
	run -1 setpriv --reuid 65534 --clear-groups --inh-caps=+dac_read_search --ambient-caps=+dac_read_search \
		"$MEMNET" tune --runtime-dir "$BATS_TEST_TMPDIR" vm1/out,max=1G
	echo "$output"
	[[ $output == *'.lock/vm1@out: Permission denied (run as root)' ]]
}

@test "--once tells cron of what was named and is not there, or cannot be written" {
	create vm1/out 64M
	refused 4 'vm1/otu: no such space (see memnet share list)' --once --interval 50ms --set guard=50ms vm1/otu,max=1G
	refused 3 'vm1/otu: no such space' --once --interval 50ms --set guard=50ms --budget 1G vm1/out vm1/otu
	refused 1 '/nonexistent/x: No such file' --once --interval 50ms --set guard=50ms --textfile /nonexistent/x vm1/out,max=1G
	# Those of the configuration may be of VMs that do not run now.
	printf '[space vm1/otu]\nmax = 1G\n' >"$MEMNET_CONF"
	vm_host "$MEMNET" tune --once --interval 50ms --set guard=50ms
}

@test "--dry-run touches nothing and marks what follows from what it did not do" {
	create vm1/out 256M
	in_space vm1/out 'echo "{}" >.memnet/jobs/x.json'
	vm_host "$MEMNET" tune -n -j --once --interval 3s --set guard=50ms --set shrink.hold=0.1 vm1/out,min=16M,max=512M >"$LOG"
	saw '.size_bytes < .from_bytes and (.counterfactual | not)'
	saw '.counterfactual'
	is vm1/out size_bytes = $((256 * M))
	in_space vm1/out 'test -e .memnet/jobs/x.json && test ! -e .memnet/pace'
}

# rss PID: its resident memory in kB
rss()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

# The memnet process that a namespace's command became: nsenter and setpriv execute it.
@test "a hostile guest costs bounded memory and time" {
	create vm1/out 64M
	create vm2/out 64M
	tune --budget 1G vm1/out,min=16M,max=128M vm2/out,min=16M,max=128M
	local before after
	before=$(rss "$TUNE")
	# As many records as there are inodes, all nonsense; folders, links, FIFOs and giants among them.
	in_space vm1/out 'cd .memnet/jobs && mkdir d e.json && mkdir e.json/x && ln -s /etc/passwd l.json && mkfifo f.json &&
		truncate -s 1T g.json && echo "[[[[" >n.json && i=0 && while [ $i -lt 3000 ]; do : >$i.json; i=$((i + 1)); done'
	in_space vm1/out 'i=0; while [ $i -lt 3000 ]; do : >o$i; i=$((i + 1)); done; mkdir -p a/b/c/d/e/f/g/h/i/j/k'
	in_space vm1/out 'rm -r .memnet/part && rm -r .memnet/live && mkdir -p .memnet/part && truncate -s 1T giant'
	until_true said 'what is no record was found'
	names() { [ "$(in_space vm1/out 'ls .memnet/jobs | wc -l')" -le 1 ]; }
	until_true names # but the folder that is not empty, which is its guest's loss
	# The other space is still looked after within its guard interval and period.
	head -c $((14 * M)) /dev/zero | in_space vm2/out 'cat >a'
	until_true is vm2/out size_bytes -gt $((17 * M))
	in_space vm1/out 'rm -rf .memnet'
	head -c $((2 * M)) /dev/zero | in_space vm1/out 'cat >b'
	until_true saw '.space == "vm1/out" and .used_bytes > 2000000'
	after=$(rss "$TUNE")
	echo "before $before kB, after $after kB" >&2
	[ "$after" -lt 4096 ]
	[ $((after - before)) -lt 1024 ]
	saw '.space == "vm1/out" and .size_bytes <= 134217728'
	stop_tune
}

# cpu PID: the nanoseconds of CPU time that it has used
cpu()
{
	cut -d ' ' -f 1 "/proc/$1/schedstat"
}

@test "10^6 files among the records cost bounded memory and time" {
	vm_host "$MEMNET" share create vm1/out --size 64M --no-attach --inodes 1100000
	create vm2/out 64M
	tune --budget 1G vm1/out,min=16M,max=128M vm2/out,min=16M,max=128M
	local before start used elapsed
	start=${EPOCHREALTIME/./} before=$(cpu "$TUNE")
	# They come while the loop looks: more events than the kernel keeps for it.
	in_space vm1/out 'cd .memnet/jobs && seq 1000000 | sed s/$/.json/ | xargs touch'
	until_true said 'what is no record was found'
	until_true said 'faster than they can be counted'
	# All but those that it has taken meanwhile, 64 a look, are there and do not hold it up.
	[ "$(figure vm1/out inodes_used)" -gt 500000 ]
	head -c $((14 * M)) /dev/zero | in_space vm2/out 'cat >a'
	until_true is vm2/out size_bytes -gt $((17 * M))
	until_true saw '.space == "vm1/out" and .period'
	# A tenth of a core, at four times the usual pace.
	used=$(($(cpu "$TUNE") - before)) elapsed=$((${EPOCHREALTIME/./} - start))
	echo "$used ns of CPU in $elapsed us, $(rss "$TUNE") kB" >&2
	[ $((used / 100)) -lt $elapsed ]
	[ "$(rss "$TUNE")" -lt 4096 ]
	stop_tune
}

record()
{
	printf '{"schema":1,"id":"%s","kind":"compress","status":"done","arrival_ns":%s,"start_ns":%s,"end_ns":%s,"blocked_ns":%s,"cpu_ns":0,"bytes_in":1,"bytes_out":%s,"objects":1}\n' "$@"
}

@test "records that lie are counted and not believed" {
	create vm1/out 64M
	tune --metrics "$BATS_TEST_TMPDIR/sock" vm1/out,min=16M,max=128M
	figures() { vm_host curl -s --unix-socket "$BATS_TEST_TMPDIR/sock" http://x/metrics; }
	rejected() { figures | grep -q "rejected_records_total{space=\"vm1/out\",reason=\"$1\"} $2\$"; }
	put() { record "$@" | in_space vm1/out "cat >.memnet/part/$1 && mv .memnet/part/$1 .memnet/jobs/$1.json"; }
	put giant 1 2 3 0 9007199254740992
	put none 1 2 3 0 0
	until_true rejected size 2
	put backwards 3 2 1 0 1
	put future 0 0 9007199254740993 0 1
	put blocked 1 2 3 100 1
	until_true rejected nonsense 2
	until_true rejected old 1
	for i in $(seq 40); do put "many$i" 1 2 3 0 4096; done
	until_true rejected 'too many' 20
	saw '.size_bytes <= 134217728'
	stop_tune
}

@test "the figures are those of the decisions" {
	create vm1/out 64M
	head -c 3000000 /dev/zero | in_space vm1/out 'cat >a'
	tune --metrics "$BATS_TEST_TMPDIR/sock" --budget 256M vm1/out,min=16M,slo=p90\<3s
	figures() { vm_host curl -s --unix-socket "$BATS_TEST_TMPDIR/sock" http://x/metrics; }
	figure() { [ "$(figures | sed -n "s/^memnet_tune_$1 //p")" = "$2" ]; }
	of_space() { figure "space_$1{space=\"vm1\/out\"}" "$(tail -n 1 "$LOG" | jq "$2")"; }
	until_true of_space present 1
	until_true of_space size_bytes "$((16 * M))"
	until_true of_space resizes_total 1
	until_true of_space used_bytes .used_bytes
	until_true of_space headroom_bytes .headroom_bytes
	until_true of_space entitlement_bytes .entitlement_bytes
	until_true of_space growing_objects .growing
	until_true of_space deliverable_objects .deliverable
	until_true of_space deliverable_objects 1
	until_true of_space objective_seconds 3
	until_true of_space guest_stale 0
	until_true of_space lent_bytes_per_second 0
	until_true figure budget_bytes $((256 * M))
	until_true figure host_memory_bytes "$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024))"
	vm_host "$MEMNET" share destroy --force vm1/out
	until_true of_space present 0
	stop_tune
}

@test "a guest is told its pace" {
	create vm1/out 64M
	tune vm1/out,min=16M,max=16M
	pace() { in_space vm1/out 'cat .memnet/pace'; }
	told() { pace | jq -e "$1" >/dev/null 2>&1; }
	until_true told ".schema == 1 and .size_bytes == $((16 * M)) and .level == 0"
	head -c $((20 * M)) /dev/zero | in_space vm1/out 'cat >a' || true
	until_true told '.free_bytes < 1048576 and .level == 1'
	# The word stays whole while it is written anew and the space is full.
	for _ in $(seq 50); do told '.serial > 0'; done
	stop_tune
	in_space vm1/out 'test ! -e .memnet/pace'
}

# All records are taken, and a decision has been made since.
taken_and_decided() {
	local lines

	[ -z "$(vm_host ls "$MEMNET_RUNTIME_DIR/vm1/out/.memnet/jobs")" ] || return
	lines=$(wc -l <"$LOG")
	until_true eval "[ \$(wc -l <'$LOG') -gt $lines ]"
}

@test "a recording is played again, decision for decision, and through other policies" {
	create vm1/out 64M
	tune --record "$BATS_TEST_TMPDIR/rec" --textfile "$BATS_TEST_TMPDIR/prom" vm1/out,min=16M,max=256M
	for i in 1 2 3; do
		vm_host "$MEMNET" compress -q --to "$MEMNET_RUNTIME_DIR/vm1/out" -o "$i" "$VM_DIR/4M"
	done
	until_true taken_and_decided
	grep -q '^memnet_tune_space_used_bytes{space="vm1/out"} [0-9]' "$BATS_TEST_TMPDIR/prom"
	stop_tune
	"$MEMNET" tune -j --simulate "$BATS_TEST_TMPDIR/rec" |
		jq -e '.policy == "memnet" and .jobs == 3 and (has("counterfactual_from_s") | not) and .mean_bytes > 0'
	"$MEMNET" tune -j --simulate "$BATS_TEST_TMPDIR/rec,policy=static,size=20M" |
		jq -e '.jobs == 3 and .counterfactual_from_s >= 0 and .peak_bytes == 20971520'
	refused 2 'unknown policy "best"' --simulate "$BATS_TEST_TMPDIR/rec,policy=best"
	refused 1 'No such file' --simulate "$BATS_TEST_TMPDIR/none"
}

# stream OPTION… — a stream of both spaces, which the loop is to find; $STREAM.
stream()
{
	begin "$MEMNET" stream --release delivered --listen http://127.0.0.1:18180 "$@" vm1/out vm2/out 2>"$BATS_TEST_TMPDIR/stream"
	STREAM=$PID
	until_true grep -q 'listening on' "$BATS_TEST_TMPDIR/stream"
}

# ask REQUEST — of $STREAM's control socket
ask()
{
	echo "$1" | vm_host socat -t 30 - "UNIX-CONNECT:$MEMNET_RUNTIME_DIR/.stream/$STREAM.sock,shut-down"
}

# lent VM/SPACE OP NUMBER — the rate that a stream has been lent
lent()
{
	test "$(ask get | sed -n "s|^space name=$1 .*rate=||p")" "$2" "$3"
}

# put_and_fetch SPACE N — N objects of 4M, compressed by the guest's command, each fetched once it is
# there. A job that waits for room ends with the test.
put_and_fetch()
{
	local i

	for ((i = 1; i <= $2; i++)); do
		begin sh -c "until curl -sf -o /dev/null http://127.0.0.1:18180/$1/$i; do sleep 0.1; done"
	done
	begin sh -c "for i in $(seq -s ' ' "$2"); do
		setpriv --pdeathsig KILL '$MEMNET' compress -q --to '$MEMNET_RUNTIME_DIR/$1' -o \$i '$VM_DIR/4M'; done"
}

@test "streams are found, and tell the drain of each of several spaces" {
	create vm1/out 64M
	create vm2/out 64M
	printf '[energy]\nsource = model\n' >"$MEMNET_CONF"
	# One that was killed has left its socket.
	stream --client-rate 40MB
	kill -KILL "$STREAM"
	wait "$STREAM" || true
	stale=$MEMNET_RUNTIME_DIR/.stream/$STREAM.sock
	vm_host test -S "$stale"
	tune --metrics "$BATS_TEST_TMPDIR/sock" --budget 400M vm1/out,min=16M vm2/out,min=16M
	gone() { ! vm_host test -e "$stale"; }
	until_true gone
	stream --rate 8MB
	put_and_fetch vm2/out 8
	until_true saw '.space == "vm2/out" and .drain_bytes_per_s > 2000000 and .drain_bytes_per_s <= 8000000'
	until_true saw '.space == "vm2/out" and .out_bytes_per_s > 0'
	figures() { vm_host curl -s --unix-socket "$BATS_TEST_TMPDIR/sock" http://x/metrics; }
	figures >"$BATS_TEST_TMPDIR/figures"
	grep -q '^memnet_tune_space_drain_bytes_per_second{space="vm2/out"} [1-9]' "$BATS_TEST_TMPDIR/figures"
	grep -q '^memnet_tune_energy_joules_total{source="model"} [0-9.]*[1-9]' "$BATS_TEST_TMPDIR/figures"
	run ! grep -q '^memnet_tune_vm_energy_joules_total' "$BATS_TEST_TMPDIR/figures"
	grep -q '^memnet_tune_vm_joules_per_job{vm="vm2",source="model"} NaN$' "$BATS_TEST_TMPDIR/figures"
	grep -q '^memnet_tune_host_memory_available_bytes [1-9]' "$BATS_TEST_TMPDIR/figures"
	grep -q '^memnet_tune_stream_clients{stream="127.0.0.1:18180"} [0-9]' "$BATS_TEST_TMPDIR/figures"
	# One that goes is done without, and one that comes is found.
	kill -KILL "$STREAM"
	wait "$STREAM" || true
	stream
	until_true eval 'figures | grep -q "stream_clients{"'
	run ! said 'no figures'
	stop_tune	# All of the log is there.
	saw '.space == "vm2/out" and .client_bytes_per_s > 0'
	[ "$(jq -n '[inputs | select(.space == "vm1/out") | .drain_bytes_per_s] | max' "$LOG")" = 0 ]
	# No monitor tells which process the VM is: its energy is unknown, and not 0.
	jq -e -n '[inputs.energy] | all(.source == "model" and .joules == null and .joules_per_gigabyte == null)' "$LOG"
}

@test "a push is found, and tells the drain of its space" {
	create vm1/out 64M
	create vm2/out 64M
	mkdir "$BATS_TEST_TMPDIR/got"
	begin python3 "$MEMNET_SRC/tests/host/receiver.py" tcp "$BATS_TEST_TMPDIR/got" >"$BATS_TEST_TMPDIR/port"
	until_true test -s "$BATS_TEST_TMPDIR/port"
	begin "$MEMNET" stream --push "tcp://127.0.0.1:$(cat "$BATS_TEST_TMPDIR/port")" --rate 8MB \
		--release delivered vm2/out 2>"$BATS_TEST_TMPDIR/stream"
	STREAM=$PID
	until_true grep -q pushing "$BATS_TEST_TMPDIR/stream"
	tune --budget 400M vm1/out,min=16M vm2/out,min=16M
	begin sh -c "for i in 1 2 3 4 5 6 7 8; do
		setpriv --pdeathsig KILL '$MEMNET' compress -q --to '$MEMNET_RUNTIME_DIR/vm2/out' -o \$i '$VM_DIR/4M'; done"
	until_true saw '.space == "vm2/out" and .drain_bytes_per_s > 2000000 and .drain_bytes_per_s <= 8000000'
	until_true saw '.space == "vm2/out" and .client_bytes_per_s > 2000000'
	until_true saw '.space == "vm2/out" and .out_bytes_per_s > 2000000'
	stop_tune
	[ "$(jq -n '[inputs | select(.space == "vm1/out") | .drain_bytes_per_s] | max' "$LOG")" = 0 ]
	[[ $(ask get) == "stream pid=$STREAM listen= rate=8000000 "* ]]
}

@test "a space with room to spare makes way for one without; a dead loop's rates lapse" {
	create vm1/out 16M
	create vm2/out 64M
	stream --rate 8MB
	tune --budget 400M vm1/out,min=16M,max=16M vm2/out,min=16M,max=256M
	put_and_fetch vm2/out 16
	put_and_fetch vm1/out 12
	# One answer, for the next may be of when all has been fetched.
	asked() { ask get >"$BATS_TEST_TMPDIR/answer" && [ "$(told vm2/out)" -gt 0 ]; }
	told() { sed -n "s|^space name=$1 .*rate=||p" "$BATS_TEST_TMPDIR/answer"; }
	until_true asked
	[ "$(told vm1/out)" = 0 ]
	# At the least half of its share, and never more than the stream's own limit.
	[ "$(head -n 1 "$BATS_TEST_TMPDIR/answer" | cut -d ' ' -f 4)" = rate=8000000 ]
	[ "$(told vm2/out)" -ge 2000000 ]
	until_true saw '.space == "vm2/out" and .lent_bytes_per_s >= 2000000'
	# The one that is full is drained meanwhile.
	until_true saw '.space == "vm1/out" and .out_bytes_per_s > 2000000'
	kill -KILL "$TUNE"
	wait "$TUNE" || true
	until_true lent vm2/out = 0
	until_true said 'the controller died'
}

@test "a stream that says nothing, or nonsense without end, holds nobody up" {
	create vm1/out 64M
	vm_host mkdir -m 700 -p "$MEMNET_RUNTIME_DIR/.stream"
	begin socat UNIX-LISTEN:"$MEMNET_RUNTIME_DIR/.stream/11.sock",fork SYSTEM:'sleep 60' 2>/dev/null
	begin socat UNIX-LISTEN:"$MEMNET_RUNTIME_DIR/.stream/12.sock",fork SYSTEM:'tr "\\\\0" x </dev/zero' 2>/dev/null
	begin socat UNIX-LISTEN:"$MEMNET_RUNTIME_DIR/.stream/13.sock",fork SYSTEM:'yes "space name=vm1/out sent=18446744073709551615 clients=-1 backlog=x"' 2>/dev/null
	begin socat UNIX-LISTEN:"$MEMNET_RUNTIME_DIR/.stream/14.sock",fork SYSTEM:'yes end' 2>/dev/null
	until_true vm_host test -S "$MEMNET_RUNTIME_DIR/.stream/14.sock"
	tune vm1/out,min=16M,max=256M
	until_true is vm1/out size_bytes = $((16 * M))
	until_true said 'no figures from the stream of process 12: its answer is too long'
	until_true said 'no figures from the stream of process 11: it does not answer'
	until_true said 'no figures from the stream of process 14: it says what nobody asked for'
	head -c $((14 * M)) /dev/zero | in_space vm1/out 'cat >a'
	until_true is vm1/out size_bytes -gt $((17 * M))
	[ "$(rss "$TUNE")" -lt 4096 ]
	stop_tune
}

@test "no memory is taken from the system while it runs: records, figures and all" {
	command -v strace >/dev/null || skip "no strace"
	create vm1/out 64M
	create vm2/out 64M
	stream
	tune --budget 400M --set period=100ms --set guard=25ms --metrics "$BATS_TEST_TMPDIR/sock" \
		--textfile "$BATS_TEST_TMPDIR/prom" --record "$BATS_TEST_TMPDIR/rec" vm1/out,min=16M vm2/out,min=16M
	periods() { vm_host curl -s --unix-socket "$BATS_TEST_TMPDIR/sock" http://x/metrics | sed -n 's/^memnet_tune_periods_total //p'; }
	past() { [ "$(periods)" -gt "$1" ]; }
	put_and_fetch vm1/out 2
	until_true past 20
	strace -qq -p "$TUNE" -o "$BATS_TEST_TMPDIR/calls" 3>&- &
	PIDS+=("$!")
	until_true test -s "$BATS_TEST_TMPDIR/calls"
	local first
	first=$(periods)
	put_and_fetch vm2/out 6
	until_true past $((first + 100))
	until_true saw '.space == "vm2/out" and .p95_s > 0'
	kill -TERM "${PIDS[@]: -1}" 2>/dev/null || true
	grep -q '^statfs(' "$BATS_TEST_TMPDIR/calls"
	run ! grep -E '^(brk|mmap|mremap|munmap)\(' "$BATS_TEST_TMPDIR/calls"
	stop_tune
}

@test "Prometheus' own tool takes the rules and the figures" {
	command -v promtool >/dev/null || skip "no promtool (Debian package prometheus)"
	cp "$MEMNET_SRC/share/prometheus/memnet-tune.rules.yml" "$BATS_TEST_DIRNAME/tune.rules.yml" "$BATS_TEST_TMPDIR"
	promtool check rules "$BATS_TEST_TMPDIR/memnet-tune.rules.yml"
	(cd "$BATS_TEST_TMPDIR" && promtool test rules tune.rules.yml)
	create vm1/out 64M
	tune --metrics "$BATS_TEST_TMPDIR/sock" --textfile "$BATS_TEST_TMPDIR/prom" vm1/out,min=16M,max=256M
	until_true test -s "$BATS_TEST_TMPDIR/prom"
	promtool check metrics <"$BATS_TEST_TMPDIR/prom"
	# Every figure that a rule asks for is there, but the energy, which wants a meter.
	# shellcheck disable=SC2013 # words are meant
	for name in $(grep -v 'record:' "$MEMNET_SRC/share/prometheus/memnet-tune.rules.yml" |
		grep -o '[a-z:]*memnet_tune_[a-z0-9_]*' | grep -v : | sort -u); do
		echo "$name" >&2
		[ "$name" = memnet_tune_vm_energy_joules_total ] || grep -q "^# TYPE $name " "$BATS_TEST_TMPDIR/prom"
	done
	stop_tune
}
