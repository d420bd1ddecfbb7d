#!/usr/bin/env bats
# memnet compress: as zstd(1) in ordinary files, and into spaces of the host's own.

# shellcheck disable=SC2016,SC2030,SC2031,SC2094 # what is in single quotes is for another shell

bats_require_minimum_version 1.5.0

setup() {
	load space.bash
	: "${MEMNET:=$BATS_TEST_DIRNAME/../../build/memnet}"
	export MEMNET
	cd "$BATS_TEST_TMPDIR" || return
	{ yes 'some words, to be compressed' || true; } | head -c 3000000 >words
	head -c 2000000 /dev/urandom >random
	: >empty
}

memnet() {
	"$MEMNET" "$@"
}

# Runs what follows on stdin as a bash script inside a space of SIZE: `script 8M <<'END'`.
script() {
	local text

	text="memnet() { \"$MEMNET\" \"\$@\"; }; $(cat)"
	in_space "$1" bash -ec "$text"
}

same() {
	zstd -dcq "$1" | cmp - "$2"
}

# --- as zstd ---------------------------------------------------------------------------------------------------------

@test "each level makes a frame that zstd reads, with checksum and content size" {
	for level in -1 -3 -9 -19 --fast --fast=5 "--ultra -22" "-3 --long" "-6 -T2" "-6T0" "-4f"; do
		# shellcheck disable=SC2086 # words
		memnet compress $level -f words random empty
		for file in words random empty; do
			zstd -tq $file.zst
			same $file.zst $file
			zstd -lv $file.zst | grep -q 'Check: XXH64'
			[ "$(zstd -lv $file.zst | sed -n 's/^Decompressed Size: .*(\([0-9]*\) B)/\1/p')" = "$(stat -c %s $file)" ]
		done
	done
}

@test "higher levels make smaller files" {
	memnet compress -1 -o one words
	memnet compress -19 -o nineteen words
	memnet compress --fast=9 -o fast words
	[ "$(stat -c %s nineteen)" -lt "$(stat -c %s one)" ]
	[ "$(stat -c %s one)" -lt "$(stat -c %s fast)" ]
}

@test "zstd's frames are decompressed: files, several in one, stdin, holes" {
	zstd -q words random
	cat words.zst random.zst | memnet compress -dc >both
	cat words random | cmp - both
	memnet compress -d -o again words.zst
	cmp words again
	truncate -s 30M holes
	zstd -q holes
	memnet compress -df holes.zst
	[ "$(du -k holes | cut -f 1)" -lt 1000 ]
	truncate -s 30M want
	cmp want holes
}

@test "the mode and the times of the input are kept, and the input" {
	chmod 640 words
	touch -d '2020-02-02 02:02' words
	memnet compress words
	[ "$(stat -c '%a %Y' words.zst)" = "640 $(date -d '2020-02-02 02:02' +%s)" ]
	[ -e words ]
}

@test "what is there is not overwritten but with -f" {
	memnet compress words
	run -1 memnet compress words
	[[ $output == *"words.zst: already exists (-f overwrites)" ]]
	memnet compress -f words
}

@test "stdin to stdout, and --rm leaves stdin alone" {
	memnet compress <words | zstd -dc | cmp - words
	memnet compress --rm <words -c >out.zst
	same out.zst words
}

@test "--rm removes an input behind its output, and not when that failed" {
	memnet compress --rm words
	[ ! -e words ]
	touch random.zst
	run -1 memnet compress --rm random
	[ -e random ]
}

@test "damaged, short and foreign input is told apart, and leaves no output" {
	memnet compress -o good.zst words
	head -c 100 good.zst >short.zst
	cp good.zst damaged.zst
	printf X | dd of=damaged.zst bs=1 seek=60 conv=notrunc status=none
	cp random foreign.zst
	for case in "short:ends too early" "damaged:damaged" "foreign:not in zstd format" "absent:No such file"; do
		run -1 memnet compress -d "${case%%:*}.zst"
		[[ $output == *"${case%%:*}.zst: ${case#*:}"* ]]
		[ ! -e "${case%%:*}" ]
		run -1 memnet compress -t "${case%%:*}.zst"
	done
	memnet compress -t good.zst
}

@test "some of several failing is 3, all is 1" {
	run -3 memnet compress words absent random
	[ -e words.zst ] && [ -e random.zst ]
	run -1 memnet compress absent absent2
}

@test "folders with -r, lists, links and names with newlines" {
	mkdir -p 'tree/a b' tree/c
	cp words "tree/a b/new
line"
	cp random tree/c/-dash
	ln -s ../words tree/link
	run -3 memnet compress tree words
	[[ $output == *"tree: is a folder, ignored (-r goes into it)"* ]]
	memnet compress -r tree
	same "tree/a b/new
line.zst" words
	same tree/c/-dash.zst random
	[ ! -e tree/link.zst ]
	run -1 memnet compress tree/link
	memnet compress -f tree/link
	rm -f ./*.zst
	printf 'words\nrandom\n' >list
	memnet compress --filelist list
	[ -e words.zst ] && [ -e random.zst ]
	printf 'tree/a b/new\nline\0' >list0
	memnet compress -f0 --filelist list0
	(cd tree/c && memnet compress -f -- -dash)
}

@test "levels and threads come from the environment, and options go first" {
	ZSTD_CLEVEL=19 memnet compress -o env words
	memnet compress -19 -o opt words
	cmp env opt
	ZSTD_CLEVEL=19 memnet compress -1 -o env -f words
	[ "$(stat -c %s env)" -gt "$(stat -c %s opt)" ]
	ZSTD_NBTHREADS=2 memnet compress -f -o env words
	same env words
	ZSTD_CLEVEL=x run -2 memnet compress words
}

@test "bad usage is 2 and says what is wanted" {
	for bad in "-99" "--live words" "-T x words" "--to . -c words" "--nosuch" "--max-wait 1s words" "--fast=0 words"; do
		# shellcheck disable=SC2086 # words
		run -2 memnet compress $bad
	done
}

@test "the JSON line tells files and bytes" {
	run -0 memnet compress --json words random
	[[ $output == '{"schema":1,"command":"compress","files":2,"failed":0,"bytes_in":5000000,'* ]]
}

# --- into a space ----------------------------------------------------------------------------------------------------

@test "objects lie below the folder --to names, and a record is left" {
	script 16M <<-'END'
		cp ../words ../random .
		mkdir -p tree/sub "$space/folder"; cp words tree/sub/w
		memnet compress --to "$space/folder" words random
		memnet compress --to "$space" -r tree -o all.zst
		memnet compress --to "$space" -r tree/
		memnet compress --to "$space/folder" -o deep/er/name <words
		zstd -dcq "$space/folder/words.zst" | cmp - words
		zstd -dcq "$space/folder/random.zst" | cmp - random
		zstd -dcq "$space/all.zst" | cmp - words
		zstd -dcq "$space/tree/sub/w.zst" | cmp - words
		zstd -dcq "$space/folder/deep/er/name" | cmp - words
		[ "$(ls "$space"/.memnet/jobs | wc -l)" = 4 ]
		grep -q '"kind":"compress","status":"done"' "$space"/.memnet/jobs/*
		[ -z "$(ls "$space"/.memnet/part "$space"/.memnet/live | grep -v :)" ]
	END
}

@test "a folder in no space is 4, with the next step" {
	run -4 memnet compress --to "$BATS_TEST_TMPDIR" words
	[[ $output == *"in no memnet space (on the host: memnet share create; here: memnet share mount)" ]]
}

@test "reserved names are refused" {
	script 16M <<-'END'
		for name in .memnet/x ../x /x a//b .memnet/jobs/x .virtfs_metadata/x; do
			memnet compress --to "$space" -o "$name" ../words && exit 1 || [ $? = 1 ]
		done
		[ -z "$(ls "$space")" ]
	END
}

@test "a name that is taken stays another's, but with -f" {
	script 16M <<-'END'
		memnet compress --to "$space" -o x ../words
		memnet compress --to "$space" -o x ../random && exit 1 || [ $? = 1 ]
		zstd -dcq "$space/x" | cmp - ../words
		memnet compress -f --to "$space" -o x ../random
		zstd -dcq "$space/x" | cmp - ../random
	END
}

@test "a full space at every size: the job waits, and the object is whole" {
	script 40K <<-'END'
		head -c 200000 ../random >small
		for kb in $(seq 40 4 280); do
			mount -o "remount,size=${kb}K" "$space"
			"$MEMNET" compress --to "$space" -o x small &
			job=$!
			# Whether it waits or not depends on the size; no half object is seen either way.
			for look in 1 2 3; do
				if [ -e "$space/x" ]; then zstd -tq <"$space/x"; fi
				sleep 0.01
			done
			mount -o remount,size=1M "$space"
			wait $job
			zstd -dcq <"$space/x" | cmp - small
			[ -z "$(ls "$space/.memnet/part")" ]
			rm "$space/x" "$space"/.memnet/jobs/*
		done
	END
}

@test "no room within --max-wait is 6, keeps the input and leaves nothing but a record" {
	script 1M <<-'END'
		cp ../random .
		memnet compress --rm --max-wait 300ms --to "$space" random && exit 1 || [ $? = 6 ]
		[ -e random ]
		[ -z "$(ls "$space" "$space/.memnet/part" | grep -v :)" ]
		grep -q '"status":"failed"' "$space"/.memnet/jobs/*
	END
}

@test "killed at any instant: no visible partial object, and the next job cleans up" {
	script 64M <<-'END'
		cp ../random .
		cat random random random random random random >large
		for i in $(seq 60); do
			cp random input
			"$MEMNET" compress --rm --to "$space" large -f & job=$!
			"$MEMNET" compress --rm --to "$space" input -f & job2=$!
			sleep "0.0$((RANDOM % 90 + 10))"
			kill -9 $job $job2 || true
			wait $job $job2 || true
			for name in large input; do
				[ ! -e "$space/$name.zst" ] || zstd -tq <"$space/$name.zst"
				# The input is gone only when the object is there.
				[ -e $name ] || [ -e "$space/$name.zst" ]
			done
			[ -e large ] || cat random random random random random random >large
			rm -f "$space"/*.zst
		done
		memnet compress --to "$space" random
		[ -z "$(ls "$space/.memnet/part")" ]
	END
}

@test "a live object of a killed job is removed by the next one" {
	script 2M <<-'END'
		head -c 4000000 /dev/urandom >large
		"$MEMNET" compress --live --to "$space" large & job=$!
		until [ -e "$space/large.zst" ] && [ "$(stat -fc %f "$space")" = 0 ]; do sleep 0.01; done
		[ -e "$space/.memnet/live/large.zst" ]
		kill -9 $job
		wait $job || true
		mount -o remount,size=16M "$space"
		memnet compress --to "$space" ../words
		[ ! -e "$space/large.zst" ]
		[ -z "$(ls "$space/.memnet/live" "$space/.memnet/part" | grep -v :)" ]
	END
}

@test "INT and TERM leave nothing and end with 128 and the signal" {
	script 1M <<-'END'
		for signal in INT TERM; do
			# Jobs in the background of a script ignore INT.
			perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$MEMNET" compress --to "$space" ../random & job=$!
			until [ "$(stat -fc %f "$space")" = 0 ]; do sleep 0.01; done
			kill -s $signal $job
			wait $job && exit 1 || [ $? = $((128 + $(kill -l $signal))) ]
			[ -z "$(ls "$space" "$space/.memnet/part" | grep -v :)" ]
		done
		grep -q '"status":"interrupted"' "$space"/.memnet/jobs/*
	END
}

@test "eight jobs in a space that holds one object: all finish" {
	export TMPDIR=$BATS_TEST_TMPDIR
	script 3M <<-'END'
		for i in 1 2 3 4 5 6 7 8; do
			"$MEMNET" compress --to "$space" -o $i ../random &
		done
		taken=0
		while [ $taken -lt 8 ]; do
			for object in "$space"/*; do
				[ -e "$object" ] || continue
				zstd -dcq <"$object" | cmp - ../random
				rm "$object"
				taken=$((taken + 1))
			done
			sleep 0.02
		done
		wait
		[ "$(ls "$space"/.memnet/jobs | wc -l)" = 8 ]
	END
}

@test "an object larger than its whole space passes its turn on" {
	export TMPDIR=$BATS_TEST_TMPDIR
	script 3M <<-'END'
		head -c 4000000 /dev/urandom >large
		"$MEMNET" compress --to "$space" large 2>warning & large=$!
		until [ "$(stat -fc %f "$space")" = 0 ]; do sleep 0.01; done
		memnet compress --to "$space" ../random
		grep -q 'large.zst: fills its whole space' warning
		rm "$space/random.zst"
		mount -o remount,size=8M "$space"
		wait $large
		zstd -dcq <"$space/large.zst" | cmp - large
	END
}


@test "a host that empties the space in mid-job costs time only" {
	export TMPDIR=$BATS_TEST_TMPDIR
	script 3M <<-'END'
		head -c 4000000 /dev/urandom >data
		"$MEMNET" compress --to "$space" data & job=$!
		until [ "$(stat -fc %f "$space")" = 0 ]; do sleep 0.01; done
		rm -rf "$space"/* "$space"/.memnet
		mount -o remount,size=16M "$space"
		wait $job
		zstd -dcq <"$space/data.zst" | cmp - data
		grep -q '"status":"done"' "$space"/.memnet/jobs/*
	END
}

@test "progress is shown on a terminal only, and not with -q" {
	mkfifo slow
	(exec 9>slow; cat random >&9; sleep 1.2; cat words >&9) &
	memnet compress -fo out.zst slow 2>messages
	[ ! -s messages ]
	(exec 9>slow; cat random >&9; sleep 1.2; cat words >&9) &
	TERM=xterm command script -qec '"$MEMNET" compress -fo out.zst slow' /dev/null >messages
	grep -q 'slow: .* to .* %), .*/s' messages
}

@test "--exclude-compressed leaves out what its suffix says" {
	cp random movie.MKV
	memnet compress --exclude-compressed words movie.MKV
	[ -e words.zst ]
	[ ! -e movie.MKV.zst ]
}
