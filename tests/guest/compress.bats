#!/usr/bin/env bats
# The processing module in a real guest: what it assumes of 9p, back-pressure, turns, and what a killed job leaves.

# shellcheck disable=SC2016 # what is in single quotes is for another shell

bats_require_minimum_version 1.5.0

load ../until.bash
export UNTIL_S=120

setup_file() {
	load vm.sh
	vm_setup_memnet
	vm_start_memnet web
	vm_wait_boot web
	share create web/out --size 32M
	vm_run web 'memnet share mount'
	vm_run web 'head -c 6000000 /dev/urandom >/tmp/random; yes some words to compress | head -c 20000000 >/tmp/words'
}

teardown_file() {
	load vm.sh
	vm_teardown
}

setup() {
	load vm.sh
	space=$MEMNET_RUNTIME_DIR/web/out
	vm_run web 'rm -rf /mnt/memnet/out/*'
	share resize web/out 32M
}

share() {
	vm_host "$MEMNET" share "$@"
}

# Objects, and what lies beside them, as the host sees it.
objects() {
	vm_host find "$space" -path "$space/.memnet" -prune -o -type f -printf '%P\n'
}

parts() {
	vm_host find "$space/.memnet/part" "$space/.memnet/live" -type f
}

records() {
	vm_host sh -c 'cat "$1"/.memnet/jobs/*.json' - "$space"
}

sum_in_guest() {
	vm_run web "sha256sum <$1"
}

sum_of_object() {
	vm_host cat "$space/$1" | zstd -dc | sha256sum
}

@test "an object is published whole, with a record" {
	vm_run web 'memnet compress --to /mnt/memnet/out/ /tmp/words /tmp/random'
	[ "$(objects | sort)" = "random.zst"$'\n'"words.zst" ]
	[ "$(sum_of_object words.zst)" = "$(sum_in_guest /tmp/words)" ]
	[ "$(sum_of_object random.zst)" = "$(sum_in_guest /tmp/random)" ]
	records | grep -q '"status":"done".*"bytes_in":26000000.*"objects":2}'
	[ -z "$(parts)" ]
}

@test "a name that is taken stays another's on 9p too" {
	vm_run web 'memnet compress --to /mnt/memnet/out -o one /tmp/words'
	run -1 vm_run web 'memnet compress --to /mnt/memnet/out -o one /tmp/random 2>&1'
	[[ $output = *"one: already in the space (-f replaces it)"* ]]
	[ "$(sum_of_object one)" = "$(sum_in_guest /tmp/words)" ]
	vm_run web 'memnet compress -f --to /mnt/memnet/out -o one /tmp/random'
	[ "$(sum_of_object one)" = "$(sum_in_guest /tmp/random)" ]
	[ "$(objects)" = one ]
}

@test "the tail of an object fits into room that statfs rounds away" {
	# 12 pieces of 507904 bytes is what the guest believes a space of 6.1 MB to have.
	share resize web/out $((6000000 + 64 * 1024))
	vm_run web 'memnet compress --fast=1 --max-wait 20s --to /mnt/memnet/out /tmp/random'
	[ "$(sum_of_object random.zst)" = "$(sum_in_guest /tmp/random)" ]
}

@test "a full space delays a job by no byte" {
	share resize web/out 3M
	vm_run web 'memnet compress --fast=1 --live --to /mnt/memnet/out /tmp/random' 3>&- &
	job=$!
	until_true space_is_full
	[ "$(objects)" = random.zst ]
	[ -n "$(vm_host ls "$space/.memnet/live")" ]
	share resize web/out 5M
	share resize web/out 32M
	wait "$job"
	[ "$(sum_of_object random.zst)" = "$(sum_in_guest /tmp/random)" ]
	[ -z "$(parts)" ]
}

space_is_full() {
	[ "$(vm_host stat -f -c '%f' "$space")" = 0 ]
}

@test "a live object beats" {
	share resize web/out 3M
	vm_run web 'memnet compress --fast=1 --live --to /mnt/memnet/out /tmp/random' 3>&- &
	job=$!
	until_true space_is_full
	before=$(vm_host stat -c %y "$space/.memnet/live/random.zst")
	until_true beaten "$before"
	share resize web/out 32M
	wait "$job"
}

beaten() {
	[ "$(vm_host stat -c %y "$space/.memnet/live/random.zst")" != "$1" ]
}

# messages COMMAND: how many messages of 9p the guest sends while it runs it, and how many of them are writes.
messages() {
	vm_run web "cd /sys/kernel/tracing/events/9p/9p_client_req && echo hist:keys=type >trigger && { $1; } && cat hist
		echo '!hist:keys=type' >trigger" | awk '/type:/ && /hitcount:/ { n[$3] = $NF; all += $NF } END { print all + 0, n[118] + 0 }'
}

can_count() {
	vm_run web 'mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; cd /sys/kernel/tracing/events/9p/9p_client_req &&
		echo hist:keys=type >trigger && echo "!hist:keys=type" >trigger'
}

@test "a write is one message of 9p, and as large as one can be" {
	can_count || skip "the guest's kernel does not count messages of 9p"
	read -r all writes < <(messages 'memnet compress -q --fast=1 --to /mnt/memnet/out /tmp/random')
	# 6000000 bytes that do not compress, 480 KiB each, and two of the record.
	[ "$writes" -le $((6000000 / (480 * 1024) + 1 + 2)) ]
	# And one for each two of them to ask for the size, where the kernel does not tell the truth (space/publish.h).
	[ "$all" -le $((writes + writes / 2 + FIXED)) ]
}

# What an object costs besides: the job, its page and record, the name.
FIXED=54

@test "a job is some fifty messages of 9p besides its writes" {
	can_count || skip "the guest's kernel does not count messages of 9p"
	# A space's first job makes the lock file, too.
	vm_run web ': >/tmp/empty; memnet compress --to /mnt/memnet/out -o first /tmp/empty'
	read -r all writes < <(messages 'memnet compress -q --to /mnt/memnet/out /tmp/empty')
	[ "$writes" = 3 ]
	[ "$all" -le $((3 + FIXED)) ]
}

@test "a small file of many is sixteen messages of 9p, however deep its folder" {
	can_count || skip "the guest's kernel does not count messages of 9p"
	vm_run web 'rm -rf /tmp/set /tmp/one; mkdir -p /tmp/set/x/y/z /tmp/one/x/y/z; for i in 0 1 2 3 4 5 6 7 8 9 a; do echo $i >/tmp/set/x/y/z/$i; done
		cp /tmp/set/x/y/z/0 /tmp/one/x/y/z; memnet compress -q -r --to /mnt/memnet/out /tmp/one /tmp/set; rm -r /mnt/memnet/out/*'
	read -r one _ < <(messages 'memnet compress -q -r --to /mnt/memnet/out /tmp/one')
	read -r all _ < <(messages 'memnet compress -q -r --to /mnt/memnet/out /tmp/set')
	[ $(((all - one) / 10)) -le 16 ]
}

@test "the host removes the folder of a job's objects between two of them" {
	share resize web/out 3M
	vm_run web 'mkdir /mnt/memnet/out/a; memnet compress -q --fast=1 --to /mnt/memnet/out/a /tmp/words /tmp/random' 3>&- &
	job=$!
	until_true space_is_full
	vm_host rm -r "$space/a"
	share resize web/out 32M
	wait "$job"
	[ "$(objects)" = a/random.zst ]
	[ "$(sum_of_object a/random.zst)" = "$(sum_in_guest /tmp/random)" ]
	[ -z "$(parts)" ]
}

@test "a long wait asks for room, and for little else" {
	can_count || skip "the guest's kernel does not count messages of 9p"
	share resize web/out 3M
	vm_run web 'memnet compress --fast=1 --live --to /mnt/memnet/out /tmp/random' 3>&- &
	job=$!
	until_true space_is_full
	vm_run web 'sleep 2'
	# A second's are about 115 in the first seconds; a slow machine sends fewer.
	read -r all _ < <(messages 'sleep 3')
	[ "$all" -gt 0 ]
	[ "$all" -le 450 ]
	share resize web/out 32M
	wait "$job"
	[ "$(sum_of_object random.zst)" = "$(sum_in_guest /tmp/random)" ]
}

@test "too long a wait ends with 6, and leaves nothing" {
	share resize web/out 2M
	run -6 vm_run web 'memnet compress --rm --max-wait 500ms --to /mnt/memnet/out /tmp/random 2>&1'
	[[ $output = *"random.zst: no room in the space"* ]]
	[ -z "$(objects)$(parts)" ]
	vm_run web 'test -e /tmp/random'
	records | grep -q '"status":"failed"'
}

@test "the next job removes what a killed one left, and nothing of one that lives" {
	share resize web/out 3M
	vm_run web 'memnet compress --fast=1 --live --to /mnt/memnet/out -o dead /tmp/random & echo $! >/tmp/pid; wait' 3>&- &
	until_true space_is_full
	[ "$(objects)" = dead ]
	vm_run web 'kill -9 $(cat /tmp/pid)'
	wait
	[ "$(objects)" = dead ]
	share resize web/out 32M
	vm_run web 'memnet compress --to /mnt/memnet/out /tmp/words'
	[ "$(objects)" = words.zst ]
	[ -z "$(parts)" ]

	# One that lives: its marker and its page are locked, which another process of the guest sees through 9p.
	vm_run web '(sleep 10; echo end) | memnet compress --live --to /mnt/memnet/out -o alive' 3>&- &
	until_true has_alive
	vm_run web 'memnet compress -f --to /mnt/memnet/out /tmp/words'
	objects | grep -qx alive
	wait
	[ "$(vm_host cat "$space/alive" | zstd -dc)" = end ]
	[ -z "$(parts)" ]
}

has_alive() { objects | grep -qx alive; }

@test "a killed guest leaves what its next life cleans up" {
	share resize web/out 3M
	# Nobody answers it: the deadline is how long the test waits.
	VM_DEADLINE=30 vm_run web 'memnet compress --fast=1 --to /mnt/memnet/out /tmp/random' 3>&- &
	until_true space_is_full
	vm_reboot web
	wait || true
	[ -n "$(parts)" ]
	vm_run web 'memnet share mount && echo again >/tmp/again && memnet compress --to /mnt/memnet/out /tmp/again'
	[ -z "$(parts)" ]
	vm_run web 'head -c 6000000 /dev/urandom >/tmp/random; yes some words to compress | head -c 20000000 >/tmp/words'
}

@test "eight jobs in a space that holds one object" {
	share resize web/out 8M
	vm_run web 'for i in 1 2 3 4 5 6 7 8; do memnet compress --fast=1 --to /mnt/memnet/out -o job$i /tmp/random & done; wait' 3>&- &
	want=$(sum_in_guest /tmp/random)
	taken=0
	while [ $taken -lt 8 ]; do
		until_true has_objects
		for object in $(objects); do
			[ "$(sum_of_object "$object")" = "$want" ]
			vm_host rm "$space/$object"
			taken=$((taken + 1))
		done
	done
	wait
	[ -z "$(parts)" ]
}

has_objects() { [ -n "$(objects)" ]; }


@test "a transcoder in the guest is held while the space is full, and ends with a killed memnet" {
	share resize web/out 3M
	vm_run web 'memnet transcode-hook --to /mnt/memnet/out --live --name copy -- sh -c "echo \$\$ >/tmp/pid; exec cat /tmp/random"' 3>&- &
	until_true vm_run web 'grep -q "^State:.T" /proc/$(cat /tmp/pid)/status'
	share resize web/out 32M
	wait
	[ "$(vm_host cat "$space/copy" | sha256sum)" = "$(sum_in_guest /tmp/random)" ]
	[ -z "$(parts)" ]

	vm_run web 'memnet transcode-hook --to /mnt/memnet/out --name dead -- sh -c "setsid sleep 1000 & echo \$\$ >/tmp/pid; exec sleep 1000" & echo $! >/tmp/memnet; wait' 3>&- &
	until_true vm_run web 'pidof sleep'
	vm_run web 'kill -9 $(cat /tmp/memnet)'
	until_true none_sleeps
	wait || true
}

none_sleeps() { ! vm_run web 'pidof sleep'; }

# What the host does to the space while jobs are in the middle of an object, which are then let go on. Of two that begin
# anew at once, one may find the other's folders half made.
empty_space() {
	vm_host find "$space" -mindepth 1 -delete
}

in_mid_job() {
	[ "$(vm_host sh -c 'cat "$1"/.memnet/part/*.0 2>/dev/null' - "$space" | wc -c)" = $((4 * 2 * 960 * 1024)) ]
}

@test "the host empties the space in mid-job, which costs only time" {
	vm_run web 'rm -f /tmp/go; cat >/tmp/slowly <<"END"
head -c 2000000 /tmp/random
until [ -e /tmp/go ]; do sleep 0.1; done
tail -c +2000001 /tmp/random
END
for i in 1 2 3 4; do memnet transcode-hook --to /mnt/memnet/out --name mid$i -- sh /tmp/slowly || echo $? & done; wait' 3>&- >"$BATS_TEST_TMPDIR/said" &
	jobs=$!
	until_true in_mid_job
	empty_space
	vm_run web 'touch /tmp/go'
	wait "$jobs"
	[ -z "$(cat "$BATS_TEST_TMPDIR/said")" ]
	want=$(sum_in_guest /tmp/random)
	for i in 1 2 3 4; do
		[ "$(vm_host cat "$space/mid$i" | sha256sum)" = "$want" ]
	done
	[ -z "$(parts)" ]
	[ "$(records | grep -c '"status":"done"')" = 4 ]
}
