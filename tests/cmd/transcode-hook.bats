#!/usr/bin/env bats
# memnet transcode-hook: what a command makes becomes objects, and nothing of it outlives the hook.

# shellcheck disable=SC2016 # what is in single quotes is for another shell

bats_require_minimum_version 1.5.0

setup() {
	load space.bash
	: "${MEMNET:=$BATS_TEST_DIRNAME/../../build/memnet}"
	export MEMNET TMPDIR=$BATS_TEST_TMPDIR
}

# Runs the script on stdin inside a space of SIZE; `hook` is the command under test.
script() {
	local text

	text="no() { if \"\$@\"; then return 1; fi; }; hook() { \"$MEMNET\" transcode-hook --to \"\$space\" \"\$@\"; }; $(cat)"
	in_space "$1" bash -ec "$text"
}

@test "the command's stdout becomes the object, and its status ours" {
	script 8M <<-'END'
		hook --name a -- printf '%s|' 'one  word' '*' '$HOME'
		[ "$(cat "$space/a")" = 'one  word|*|$HOME|' ]
		for status in 1 7 42; do
			hook --name b -- sh -c "echo half; exit $status" && exit 1 || [ $? = $status ]
		done
		hook --name b -- sh -c 'echo half; kill -SEGV $$' && exit 1 || [ $? = 139 ]
		hook --name b -- /no/such/program && exit 1 || [ $? = 1 ]
		[ "$(ls "$space")" = a ]
		[ -z "$(ls "$space/.memnet/part")" ]
		[ "$(cat "$space"/.memnet/jobs/* | grep -c '"kind":"transcode","status":"failed"')" = 5 ]
		grep -q '"status":"done".*"objects":1}' "$space"/.memnet/jobs/*
	END
}

@test "the command gets stdin, and the environment the manual names" {
	script 8M <<-'END'
		echo input | hook --name a -- sh -c 'cat; env'
		grep -qx input "$space/a"
		for line in MEMNET_OBJECT=a MEMNET_SPACE=$space MEMNET_PROGRESS=pipe:3 MEMNET_ATTEMPT=1; do
			grep -qx "$line" "$space/a"
		done
	END
}

@test "a name that is taken stays another's, but with -f" {
	script 8M <<-'END'
		hook --name a -- echo one
		hook --name a -- echo two && exit 1 || [ $? = 1 ]
		[ "$(cat "$space/a")" = one ]
		hook -f --name a -- echo two
		[ "$(cat "$space/a")" = two ]
	END
}

@test "a live object is in sight from the start, and without its marker at the end" {
	script 8M <<-'END'
		mkfifo go
		"$MEMNET" transcode-hook --to "$space" --live --name a -- sh -c 'echo one; read x <go; echo two' & job=$!
		until [ "$(cat "$space/a" 2>&1)" = one ]; do sleep 0.01; done
		[ -e "$space/.memnet/live/a" ]
		echo >go
		wait $job
		[ "$(cat "$space/a")" = $'one\ntwo' ]
		[ -z "$(ls "$space/.memnet/live")" ]
	END
}

@test "a live object grows with a command that never pauses" {
	script 8M <<-'END'
		"$MEMNET" transcode-hook --to "$space" --live --name a -- sh -c 'until [ -e go ]; do echo a; sleep 0.02; done' & job=$!
		until [ -s "$space/a" ]; do sleep 0.01; done
		>go
		wait $job
	END
}

@test "a full space stops the command, room lets it go on, and no byte is lost" {
	script 2M <<-'END'
		head -c 6000000 /dev/urandom >data
		"$MEMNET" transcode-hook --to "$space" --live --json --name a -- sh -c 'echo $$ >pid; exec cat data' >result & job=$!
		until [ -s pid ] && grep -q '^State:.T' "/proc/$(cat pid)/status"; do sleep 0.01; done
		mount -o remount,size=4M "$space"
		mount -o remount,size=16M "$space"
		wait $job
		cmp data "$space/a"
		no grep -q '"blocked_seconds":0,' result
	END
}

@test "the time a command is held is not the time it takes" {
	script 2M <<-'END'
		head -c 6000000 /dev/urandom >data
		"$MEMNET" transcode-hook --to "$space" --live --timeout 8s --json --name a -- sh -c 'echo $$ >pid; exec cat data' >result & job=$!
		until [ -s pid ] && grep -q '^State:.T' "/proc/$(cat pid)/status"; do sleep 0.01; done
		sleep 8.5	# longer than --timeout
		mount -o remount,size=16M "$space"
		wait $job
		cmp data "$space/a"
		grep -qE '"blocked_seconds":(8\.[4-9]|9|[1-9][0-9])' result
	END
}

@test "a space that nobody drains is filled to the last byte, held or not" {
	script 64M <<-'END'
		# Past the low mark by more than a pipe holds, and less than the space.
		head -c 66500000 /dev/zero >data
		hook --name a -- cat data
		cmp data "$space/a"
	END
}

@test "--staging-size holds a command that is ahead, and ends one with too large a file" {
	script 32M <<-'END'
		hook --files --staging-size 1M --json -- sh -c 'cd "$1"; for i in 1 2 3 4 5 6 7 8 9; do head -c 600000 /dev/zero >$i; done' - {output} >result
		grep -q '"objects":9,"bytes_out":5400000,' result
		hook --files --staging-size 1M -- sh -c 'exec 9>"$1/y"; head -c 2000000 /dev/zero >&9; exec sleep 1000' - {output} 2>error && exit 1 || [ $? = 1 ]
		grep -q 'files that are not complete take more than --staging-size' error
		[ ! -e "$space/y" ]
	END
}

@test "--json tells progress in lines, and records have it" {
	script 8M <<-'END'
		hook --name a --json -- sh -c '
			printf "frame=1\nout_time_us=40000\nspeed=1.5x\nprogress=continue\n" >&3; until [ -s lines ]; do sleep 0.01; done
			printf "frame=2\nout_time_us=80000\nprogress=end\n" >&3' >lines
		[ "$(head -1 lines | grep -c '"event":"progress",.*"frames":1,"media_seconds":0.04,')" = 1 ]
		[ "$(tail -1 lines | grep -c '"event":"end","status":0,.*"frames":2,')" = 1 ]
		grep -q '"frames":2,"media_us":80000,"speed_milli":1500}' "$space"/.memnet/jobs/*
	END
}

@test "what memnet and its keeper leave, killed at once, the next run removes" {
	script 8M <<-'END'
		"$MEMNET" transcode-hook --to "$space" --files -- sh -c 'echo $PPID >keeper; echo $$ >pid; exec sleep 1000' & job=$!
		until [ -s pid ]; do sleep 0.01; done
		# Stopped first, or the one that lives a moment longer would clean up.
		kill -STOP "$(cat keeper)" $job
		kill -9 "$(cat keeper)" $job
		wait $job || true
		while kill -0 "$(cat pid)" 2>/dev/null; do sleep 0.01; done
		[ "$(find "$TMPDIR" -maxdepth 1 -name 'memnet-*' | wc -l)" = 1 ]
		hook --files -- true
		[ -z "$(find "$TMPDIR" -maxdepth 1 -name 'memnet-*')" ]
	END
}

@test "files are published as they become complete, a playlist behind what it names" {
	script 8M <<-'END'
		mkfifo go
		"$MEMNET" transcode-hook --to "$space" --files --name set -- sh -ec '
			cd "$MEMNET_OUTPUT"
			printf 1 >one.ts; printf one.ts >list.m3u8.tmp; mv list.m3u8.tmp list.m3u8
			printf half >two.ts.part; exec 9>three.ts; printf open >&9
			read x <"$0"
			mkdir sub; printf deep >sub/deep.ts' "$PWD/go" & job=$!
		until [ -e "$space/set/list.m3u8" ]; do sleep 0.01; done
		[ "$(cat "$space/set/one.ts")" = 1 ]
		[ ! -e "$space/set/three.ts" ]
		echo >go
		wait $job
		[ "$(cat "$space/set/three.ts")" = open ]
		[ "$(cat "$space/set/sub/deep.ts")" = deep ]
		[ -z "$(find "$TMPDIR" -maxdepth 1 -name 'memnet-*')" ]
	END
}

@test "{output} stands for the folder; a command that fails leaves what was complete" {
	script 8M <<-'END'
		published='until [ -e "$MEMNET_SPACE/a.ts" ]; do sleep 0.01; done'
		hook --files -- sh -c "echo a >\"\$1\"; $published; exec 9>\"\$2\"; echo b >&9; exit 3" - {output}/a.ts x={output}/b.ts && exit 1 || true
		rm "$space/a.ts"
		hook --files -- sh -c "echo a >\"\$1\"; $published; exec 9>\"\$2\"; echo b >&9; exit 3" - {output}/a.ts {output}/b.ts && exit 1 || [ $? = 3 ]
		[ "$(ls "$space")" = a.ts ]
	END
}

@test "--timeout ends the command with TERM, then KILL, and is 6" {
	script 8M <<-'END'
		# Again, where the time was up before the shell had got so far.
		until [ -s got ]; do
			hook --name a --timeout 200ms -- sh -c 'trap "echo term >got; exit 1" TERM; while :; do sleep 0.02; done' && exit 1 || [ $? = 6 ]
		done
		[ "$(cat got)" = term ]
		until [ -s pid ]; do
			hook --name a --timeout 200ms --kill-after 200ms -- sh -c 'trap "" TERM; echo $$ >pid; while :; do sleep 0.02; done' && exit 1 || [ $? = 6 ]
		done
		no kill -0 "$(cat pid)"
		[ -z "$(ls "$space")" ]
	END
}

@test "a record that cannot be written is told of, and the command's status is ours still" {
	script 8M <<-'END'
		hook --name a --json -- sh -c 'cd "$MEMNET_SPACE/.memnet" && rmdir jobs && : >jobs && echo x' >lines 2>errors
		[ "$(cat "$space/a")" = x ]
		grep -q "^memnet transcode-hook: record [0-9a-f]*: lost: Not a directory" errors
		no grep -q '"record"' lines
	END
}

@test "--retries runs a failing command again" {
	script 8M <<-'END'
		hook --name a --retries 2 --json -- sh -c 'echo $MEMNET_ATTEMPT; [ $MEMNET_ATTEMPT = 2 ]' >result
		[ "$(cat "$space/a")" = 2 ]
		grep -q '"attempts":2' result
	END
}

@test "TERM and INT reach the command, also a stopped one" {
	script 1M <<-'END'
		"$MEMNET" transcode-hook --to "$space" --name a -- sh -c 'echo $$ >pid; exec cat /dev/zero' & job=$!
		until [ -s pid ] && grep -q '^State:.T' "/proc/$(cat pid)/status"; do sleep 0.01; done
		kill $job
		wait $job && exit 1 || [ $? = 143 ]
		no kill -0 "$(cat pid)"
		[ -z "$(ls "$space" "$space/.memnet/part" | grep -v :)" ]
		grep -q '"status":"interrupted"' "$space"/.memnet/jobs/*
	END
}

@test "kill -9 of memnet ends the command, its group and what left the group" {
	script 8M <<-'END'
		"$MEMNET" transcode-hook --to "$space" --files -- sh -c '
			setsid sh -c "echo \$\$ >left; exec sleep 1000" &
			(trap "" TERM HUP INT; echo $BASHPID >/dev/null; exec sh -c "echo \$\$ >group; exec sleep 1000") &
			echo $$ >leader; echo x >"$MEMNET_OUTPUT/x"; exec sleep 1000' & job=$!
		until [ -s left ] && [ -s group ] && [ -s leader ] && [ -e "$space/x" ]; do sleep 0.01; done
		kill -9 $job
		wait $job || true
		for name in left group leader; do
			while kill -0 "$(cat $name)" 2>/dev/null; do sleep 0.01; done
		done
		while [ "$(find "$TMPDIR" -maxdepth 1 -name 'memnet-*')" ]; do sleep 0.01; done
	END
}

@test "what the command leaves running in the background ends with it" {
	script 8M <<-'END'
		hook --name a -- sh -c 'setsid sh -c "echo \$\$ >pid; exec sleep 1000" >/dev/null & until [ -s pid ]; do sleep 0.01; done'
		no kill -0 "$(cat pid)"
	END
}

@test "ffmpeg makes MPEG-TS and HLS; each frame arrives, and its progress is told" {
	command -v ffmpeg || skip "no ffmpeg"
	script 32M <<-'END'
		frames() { ffprobe -v error -select_streams v -count_frames -show_entries stream=nb_read_frames -of csv=p=0 "$1" | grep -m 1 -o '[0-9]*'; }
		clip="-v error -nostdin -f lavfi -i testsrc=d=4:s=320x240:r=25"
		hook --name a.ts --json -- ffmpeg $clip -progress pipe:3 -f mpegts - >result
		[ "$(frames "$space/a.ts")" = 100 ]
		grep -q '"frames":100,' result
		hook --files --name hls --json -- ffmpeg $clip -g 25 -progress pipe:3 -f hls -hls_time 1 -hls_list_size 0 {output}/p.m3u8 >result
		[ "$(frames "$space/hls/p.m3u8")" = 100 ]
		hook --files --name dash -- ffmpeg $clip -g 25 -f dash -seg_duration 1 {output}/p.mpd
		[ "$(frames "$space/dash/p.mpd")" = 100 ]
	END
}

@test "bad usage is 2" {
	for bad in "" "--name a" "--name a --" "-- true" "--files --live -- true" "word --name a -- true" "--timeout x --name a -- true"; do
		# shellcheck disable=SC2086 # words
		run -2 "$MEMNET" transcode-hook $bad
	done
}
