#!/usr/bin/env bats
# memnet stream's rates, with real curl. What a rate allows is a least time: a busy machine only
# makes it longer.

load stream.bash

# takes MS COMMAND… — it succeeds, and not in less than that.
takes() {
	local least=$1 start
	start=$(date +%s%N)
	shift
	"$@"
	took=$((($(date +%s%N) - start) / 1000000))
	[ "$took" -ge "$least" ] || { echo "in $took ms: $*" >&2 && false; }
}

# fetch NAME… — all of them at the same time; each is the object.
fetch() {
	local n=0 pids=() name
	for name; do
		n=$((n + 1))
		get -o "$BATS_TEST_TMPDIR/$n" "$URL/$name" 3>&- &
		pids+=($!)
	done
	wait "${pids[@]}" || return
	n=0
	for name; do
		n=$((n + 1))
		cmp "$BATS_TEST_TMPDIR/$n" "$D/$name" || return
	done
}

@test "a client's rate" {
	head -c 3000000 /dev/urandom >"$D/x"
	serve --client-rate 2MB
	takes 950 fetch x
	takes 950 fetch x x
}

@test "a client's rate is for all it asks for on its connection, however small" {
	head -c 4000 /dev/urandom >"$D/x"
	serve --client-rate 20kB
	# 45 kB, the heads included.
	takes 1600 get -o /dev/null "$URL/x" -o /dev/null "$URL/x" -o /dev/null "$URL/x" \
		-o /dev/null "$URL/x" -o /dev/null "$URL/x" -o /dev/null "$URL/x" \
		-o /dev/null "$URL/x" -o /dev/null "$URL/x" -o /dev/null "$URL/x" \
		-o /dev/null "$URL/x"
}

@test "the least rates that can be asked for" {
	head -c 1000 /dev/urandom >"$D/x"
	serve --client-rate 500B
	takes 1300 fetch x
	stop
	serve --rate 500B
	takes 1800 get -o /dev/null "$URL/x" -o /dev/null "$URL/x"
}

@test "an object's rate is that of all its clients together" {
	head -c 1000000 /dev/urandom >"$D/x"
	head -c 1000000 /dev/urandom >"$D/y"
	for workers in 1 3; do
		serve --object-rate 1MB --workers "$workers"
		takes 900 fetch x
		takes 1900 fetch x x
		takes 3800 fetch x x y x x
		stop
	done
}

@test "an object's rate while objects are released" {
	head -c 1000000 /dev/urandom >"$D/x"
	serve --object-rate 1MB --release ttl:1h
	takes 1900 fetch x x
}

@test "the rate of all together" {
	head -c 1000000 /dev/urandom >"$D/x"
	head -c 1000000 /dev/urandom >"$D/y"
	serve --rate 2MB --workers 3
	takes 1900 fetch x y x y
}

@test "rates together: the lowest holds" {
	head -c 1000000 /dev/urandom >"$D/x"
	serve --rate 100MB --object-rate 1MB --client-rate 100MB
	takes 900 fetch x
	stop
	serve --rate 100MB --object-rate 100MB --client-rate 500kB
	takes 1400 fetch x
}
