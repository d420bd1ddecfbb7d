#!/usr/bin/env bats
# ffmpeg in a real guest: what it makes of a clip arrives whole at players on the host, while it is made and after.

# shellcheck disable=SC2016 # what is in single quotes is for the guest

bats_require_minimum_version 1.5.0

load ../until.bash

# Asked by every test: Debian 12's bats takes a skip in setup_file for a failure.
can_run() {
	type ffmpeg ffprobe >/dev/null 2>&1
}

setup_file() {
	can_run || return 0
	load vm.sh
	vm_setup_memnet
	vm_tools ffmpeg
	# shellcheck disable=SC2046 # words are what it prints
	VM_MEM=1G VM_CPUS=2 vm_start_memnet web $(vm_tools_args)
	vm_wait_boot web
	vm_host "$MEMNET" share create web/out --size 32M
	vm_run web 'memnet share mount'
	vm_mount_tools web
	vm_host setpriv --pdeathsig KILL "$MEMNET" stream --listen http://127.0.0.1:8080 web/out >"$VM_DIR/stream.log" 2>&1 3>&- &
	export stream=$!
	until_true vm_host curl -s -o /dev/null http://127.0.0.1:8080/
}

teardown_file() {
	can_run || return 0
	load vm.sh
	kill -TERM "$stream" 2>/dev/null || true
	vm_teardown
}

setup() {
	can_run || skip "no ffmpeg"
	load vm.sh
	space=$MEMNET_RUNTIME_DIR/web/out
}

# 40 frames, small, for a guest without hardware support is slow.
clip="-v error -nostdin -f lavfi -i testsrc=d=4:s=160x120:r=10"

# hook OPTION… -- ARGUMENT…: runs the hook with ffmpeg in the guest.
hook() {
	vm_run web "memnet transcode-hook --to /mnt/memnet/out $*"
}

# Whether somebody is connected to the stream.
has_client() {
	vm_host sh -c 'cat /proc/net/tcp' | awk '$2 ~ /:1F90$/ && $4 == "01" { found = 1 } END { exit !found }'
}

# The frames that a player on the host finds in the stream.
frames() {
	vm_host timeout 240 ffprobe -v error -select_streams v -count_frames -show_entries stream=nb_read_frames \
		-of csv=p=0 "http://127.0.0.1:8080/web/out/$1" | grep -m 1 -o '[0-9]*'
}

@test "MPEG-TS: every frame arrives, and the record tells of them" {
	hook --name film.ts --json -- /tools/ffmpeg "$clip" -progress pipe:3 -f mpegts - >"$BATS_TEST_TMPDIR/lines"
	[ "$(frames film.ts)" = 40 ]
	tail -1 "$BATS_TEST_TMPDIR/lines" | grep -q '"event":"end","status":0,.*"frames":40,'
	vm_host sh -c 'cat "$1"/.memnet/jobs/*.json' - "$space" | grep -q '"objects":1,"frames":40,"media_us":[1-9][0-9]*,"speed_milli":[1-9]'
}

@test "MPEG-TS, live: a player that begins in mid-job gets every frame" {
	# It ends no sooner than the player is there, which begins with the first of four seconds.
	hook --live --name live.ts -- sh -c "'/tools/ffmpeg ${clip/-f lavfi/-re -f lavfi} -flush_packets 1 -f mpegts -
		until [ -e /tmp/go ]; do sleep 0.1; done'" 3>&- &
	job=$!
	until_true vm_host test -s "$space/live.ts"
	kill -0 "$job"
	frames live.ts >"$BATS_TEST_TMPDIR/frames" 3>&- &
	player=$!
	until_true has_client
	vm_run web 'touch /tmp/go'
	wait "$player"
	[ "$(cat "$BATS_TEST_TMPDIR/frames")" = 40 ]
	wait "$job"
}

@test "HLS and DASH: playlists name only what is there, and every frame arrives" {
	hook --files --name hls -- /tools/ffmpeg "$clip" -g 10 -f hls -hls_time 1 -hls_list_size 0 '{output}/index.m3u8' 3>&- &
	job=$!
	# Each time the playlist is seen, so are its segments.
	until_true vm_host test -e "$space/hls/index.m3u8"
	while kill -0 "$job" 2>/dev/null; do
		for segment in $(vm_host grep -v '^#' "$space/hls/index.m3u8"); do
			vm_host test -e "$space/hls/$segment"
		done
	done
	wait "$job"
	[ "$(vm_host grep -cv '^#' "$space/hls/index.m3u8")" -ge 4 ]
	[ "$(frames hls/index.m3u8)" = 40 ]
	hook --files --name dash -- /tools/ffmpeg "$clip" -g 10 -f dash -seg_duration 1 '{output}/index.mpd'
	[ "$(frames dash/index.mpd)" = 40 ]
}

@test "an inbox in the guest: a clip that lands is served as HLS" {
	vm_run web "mkdir /tmp/in; /tools/ffmpeg $clip -f mpegts /tmp/in/clip.ts"
	hook --inbox /tmp/in --once --files -- /tools/ffmpeg -v error -nostdin -i '{}' -c copy -f hls -hls_time 1 -hls_list_size 0 \
		'{output}/index.m3u8'
	vm_run web '[ -e /tmp/in/done/clip.ts ]'
	[ "$(frames clip/index.m3u8)" = 40 ]
}
