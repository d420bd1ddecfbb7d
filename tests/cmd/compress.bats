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

	text="memnet() { \"$MEMNET\" \"\$@\"; }; usleep_for() { sleep \$(printf '%d.%06d' \$((\$1 / 1000000)) \$((\$1 % 1000000))); }; $(cat)"
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

@test "-o NAME gets them too; from several inputs, or standard input, it is an ordinary new file" {
	umask 027
	chmod 604 words random
	touch -d '2020-02-02 02:02' words
	memnet compress -o one words
	[ "$(stat -c '%a %Y' one)" = "604 $(date -d '2020-02-02 02:02' +%s)" ]
	memnet compress -d -o again one
	[ "$(stat -c '%a %Y' again)" = "604 $(date -d '2020-02-02 02:02' +%s)" ]
	memnet compress -o both words random
	memnet compress -o stdin <words
	mkfifo -m 600 fifo
	cat words >fifo &
	memnet compress fifo
	for file in both stdin fifo.zst; do
		[ "$(stat -c %a $file)" = 640 ]
		[ "$(stat -c %Y $file)" -gt "$(stat -c %Y words)" ]
	done
}

@test "what is there is not overwritten but with -f" {
	memnet compress words
	run -1 memnet compress words
	[[ $output == *"words.zst: already exists (-f overwrites)" ]]
	memnet compress -f words
	run -1 memnet compress -o words.zst random empty
	[ "$output" = "memnet compress: words.zst: already exists (-f overwrites)" ]
	same words.zst words
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

# changes WHILE: --rm of the file `input` while it is read; WHILE is run when its first bytes have come out
changes() {
	local job status=0

	cp random input
	rm -f pipe
	mkfifo pipe
	"$MEMNET" compress --rm -o pipe input 2>message & job=$!
	exec 9<pipe
	head -c 1000 <&9 >/dev/null
	eval "$1"
	cat <&9 >/dev/null
	exec 9<&-
	wait $job || status=$?
	return $status
}

@test "--rm keeps an input that changed while it was read" {
	changes true
	[ ! -e input ]
	for change in 'echo more >>input' 'printf X | dd of=input conv=notrunc status=none' 'mv input old; echo new >input'; do
		run -1 changes "$change"
		[ -e input ]
		grep -q 'input: changed while it was read, and is kept (compress it again with -f)' message
	done
	cmp old random
	script 1M <<-'END'
		cp ../random .
		"$MEMNET" compress --rm --to "$space" random & job=$!
		until [ "$(stat -fc %f "$space")" = 0 ]; do sleep 0.01; done
		echo more >>random
		mount -o remount,size=8M "$space"
		wait $job && exit 1 || [ $? = 1 ]
		[ -e random ]
		zstd -dcq "$space/random.zst" | cmp - ../random
	END
}

@test "--rm keeps what is no regular file" {
	mkfifo fifo
	cat words >fifo &
	run -0 memnet compress --rm -o fifo.zst fifo
	[[ $output == *"fifo: is kept: --rm is for regular files" ]]
	[ -p fifo ]
	ln -s words link
	memnet compress -f --rm link
	[ ! -L link ]
	[ -e words ]
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
	[ -e words.zst ]
	[ -e random.zst ]
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
	[ -e words.zst ]
	[ -e random.zst ]
	printf 'tree/\nwords\n' >folders
	run -3 memnet compress -f --filelist folders
	[[ $output == *"tree/: is a folder, ignored (-r goes into it)"* ]]
	rm -f "tree/a b/new
line.zst" tree/c/-dash.zst
	memnet compress -fr --filelist folders
	same "tree/a b/new
line.zst" words
	same tree/c/-dash.zst random
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

@test "a file is not made from itself, however it is named" {
	cp words same
	ln same other
	for output in same ./same other; do
		run -1 memnet compress -fo $output same
		[[ $output == *"is the output itself"* ]] || [[ ${lines[0]} == *"is the output itself"* ]]
		cmp same words
	done
	for inputs in "same random" "random same"; do
		# shellcheck disable=SC2086 # words
		run -1 memnet compress -fo other $inputs
		[ "$output" = "memnet compress: same: is the output itself (-o names another)" ]
		cmp same words
	done
	run -1 memnet compress -fdo same same
	# shellcheck disable=SC2094 # that is what is tested
	run -1 bash -c '"$MEMNET" compress -c same >>same'
	cmp same words
}

@test "-f makes a new file: what else has the name's inode or is linked to keeps its bytes" {
	cp words same
	for link in "ln -s" ln; do
		$link same same.zst
		run -1 memnet compress -f same
		[[ $output == *"same: is the output itself (-o names another)" ]]
		cmp same words
		rm same.zst
	done
	memnet compress -o x.zst words
	ln x.zst x
	run -1 memnet compress -df x.zst
	zstd -dcq x.zst | cmp - words
	rm x
	for link in "ln -s" ln; do
		echo precious >old
		$link old random.zst
		run -1 memnet compress random
		memnet compress -f random
		same random.zst random
		[ "$(cat old)" = precious ]
		rm random.zst
	done
	ln -s nowhere random.zst
	run -1 memnet compress random
	[[ $output == *"random.zst: already exists (-f overwrites)" ]]
	memnet compress -f random
	same random.zst random
	[ ! -e nowhere ]
}

@test "-f overwrites a file in a folder that cannot be changed" {
	[ "$(id -u)" = 0 ] || skip "not root"
	chmod 755 .
	mkdir folder
	cp "$MEMNET" here
	cp random folder/words.zst
	chown 65534 folder/words.zst
	setpriv --reuid 65534 --clear-groups ./here compress -fo folder/words.zst words
	same folder/words.zst words
}

@test "inputs are kept where --rm could lose them: standard output, shared outputs, tests" {
	cp words a
	cp random b
	memnet compress --rm -c a >a.zst
	memnet compress --rm -fo both.zst a b
	memnet compress -t --rm a.zst both.zst
	[ -e a ]
	[ -e b ]
	[ -e a.zst ]
	[ -e both.zst ]
	cat words random | cmp - <(zstd -dcq both.zst)
	run -1 bash -c '"$MEMNET" compress --rm -fo /dev/full a'
	[ -e a ]
	memnet compress --rm -fo one.zst a
	[ ! -e a ]
	mv one.zst one.zstd
	memnet compress -d one.zstd
	cmp one words
}

@test "what is no zstd passes through where zstd lets it" {
	memnet compress words
	memnet compress -dcf random words.zst | cmp - <(cat random words)
	memnet compress -df <random | cmp - random
	memnet compress -dc --pass-through random | cmp - random
	run -1 memnet compress -dcf --no-pass-through random
	run -1 memnet compress -dc random
	printf abc | memnet compress -dcf | cmp - <(printf abc)
}

@test "a checksum is not read when it is not wanted" {
	memnet compress words
	printf XXXX | dd of=words.zst bs=1 seek=$(($(stat -c %s words.zst) - 4)) conv=notrunc status=none
	run -1 memnet compress -t words.zst
	memnet compress -t --no-check words.zst
	run -1 memnet compress -t --no-check --check words.zst
}

@test "holes are made, or not" {
	truncate -s 4M holes
	memnet compress holes
	memnet compress -dfo sparse holes.zst
	memnet compress -dfo full --no-sparse holes.zst
	cmp sparse full
	[ "$(du -k sparse | cut -f 1)" -lt 100 ]
	[ "$(du -k full | cut -f 1)" -ge 4096 ]
}

@test "a named pipe is read as a file" {
	mkfifo fifo
	cat words >fifo &
	memnet compress -o fifo.zst fifo
	same fifo.zst words
}

@test "seekable: any frame of it is a file of its own, and all of it is zstd" {
	for options in "--seekable=1M" "--seekable=64K -T2" "--seekable=300K --adapt" "--seekable -19"; do
		# shellcheck disable=SC2086 # words
		memnet compress $options -fo seek.zst words random
		cat words random | cmp - <(zstd -dcq seek.zst)
		memnet compress -lv seek.zst | grep -qx 'Seekable: yes'
	done
	memnet compress --seekable=1M -fo seek.zst random
	# The second of two frames, where the table says: the footer is 9 bytes, an entry 12.
	first=$(tail -c 33 seek.zst | od -An -v -tu4 -N 4)
	size=$(tail -c 21 seek.zst | od -An -v -tu4 -N 4)
	tail -c +$((first + 1)) seek.zst | head -c $((size)) | zstd -dcq | cmp - <(tail -c +1048577 random)
	for bad in --seekable=1 --seekable=2G --seekable=x; do
		run -2 memnet compress $bad words
	done
}

@test "-l tells what zstd -l tells" {
	memnet compress -o one.zst words
	memnet compress --no-check -o two.zst random
	cat one.zst two.zst >both.zst
	memnet compress < <(cat words) >unknown.zst
	for file in one two both unknown; do
		ours=$(memnet compress -lv $file.zst | grep -E '^(# |Check|Ratio)|B\)$' | sed 's/:.*(/: (/')
		[ "$ours" = "$(zstd -lv $file.zst | grep -E '^(# |Check|Ratio)|B\)$' | sed 's/:.*(/: (/; s/Check: XXH64$/&/')" ] ||
			[ $file = both ]	# a checksum in some of its frames: zstd says all
	done
	run -0 memnet compress -l one.zst two.zst
	[ "${#lines[@]}" = 5 ]
	[[ ${lines[4]} == *" 2 files" ]]
	run -0 memnet compress -lj both.zst unknown.zst
	[[ $output == *'"frames":2,"skippable":0,'*'"content_bytes":5000000,'*'"content_bytes":null,'* ]]
	run -3 memnet compress -l one.zst words
	[[ $output == *"words: not in zstd format"* ]]
	head -c 100 one.zst >short.zst
	run -1 memnet compress -l short.zst
	[[ $output == *"short.zst: ends too early"* ]]
	run -2 memnet compress -l
	name=$'new\nline.zst'
	cp one.zst "$name"
	run -0 memnet compress -l "$name"
	[ "${#lines[@]}" = 2 ]
	name=$'caf\xe9 \e[2J \xc2\x9b.zst'
	cp one.zst "$name"
	run -0 memnet compress -l "$name"
	[[ ${lines[1]} == *$'  caf\xe9 ?[2J ??.zst' ]]
	[ "$(memnet compress -lj "$name" | jq -r '.list[0].file')" = $'caf\ufffd \e[2J \u009b.zst' ]
}

@test "--adapt: bounds, and what cannot be" {
	memnet compress --adapt=min=2,max=4 -fo out.zst words
	same out.zst words
	memnet compress --adapt -T2 -c random | zstd -dcq | cmp - random
	run -0 memnet compress --json -9 --adapt=max=5 -fo out.zst words
	[[ $output == *'"level":'[1-5]* ]]
	for bad in --adapt= --adapt=min=9,max=3 --adapt=max=20 --adapt=min --adapt=x=1 --adapt=min=99; do
		run -2 memnet compress $bad -c words
	done
	memnet compress --ultra --adapt=max=22 -fo out.zst words
}

@test "inputs that cannot be read are said, and the rest is done" {
	mkdir closed
	cp words closed/x
	cp words no
	chmod 0 no closed
	as_nobody=()
	[ "$(id -u)" != 0 ] || { chmod 777 . && as_nobody=(setpriv --reuid 65534 --clear-groups); }
	if "${as_nobody[@]}" cat no 2>/dev/null; then skip "everything can be read here"; fi
	cp "$MEMNET" here	# the tree may be where nobody passes
	run -3 "${as_nobody[@]}" ./here compress -rk no closed random -o all.zst
	[[ $output == *"no: Permission denied"* ]]
	[[ $output == *"1 folders could not be read"* ]]
	same all.zst random
	run -3 "${as_nobody[@]}" ./here compress -rk closed random -fo all.zst
	run -1 "${as_nobody[@]}" ./here compress -rk closed -fo all.zst
	chmod 700 closed
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

@test "a space that one may not enter is told from none" {
	[ "$(id -u)" = 0 ] || skip "not root"
	chmod 777 .
	cp "$MEMNET" here
	mkdir -p space/.memnet/part inbox
	chmod 700 space
	chmod 777 inbox
	for words in "compress --to space words" "transcode-hook --to space --name x -- true" \
		"transcode-hook --to space --inbox inbox --once --name {} -- true"; do
		# shellcheck disable=SC2086 # words
		run -1 setpriv --reuid 65534 --clear-groups ./here $words
		[[ $output == *"space: Permission denied (run as root, "* ]]
	done
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

@test "a live object does not replace the object it is made from" {
	script 16M <<-'END'
		mkdir "$space/folder"
		memnet compress --to "$space/folder" -o x ../words
		memnet compress -f --live --to "$space/folder" -o x "$space/folder/x" 2>message && exit 1 || [ $? = 1 ]
		grep -q 'folder/x: is the output itself' message
		zstd -dcq "$space/folder/x" | cmp - ../words
		memnet compress -fd --to "$space/folder" -o x "$space/folder/x"
		cmp "$space/folder/x" ../words
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

@test "killed at 200 instants: no visible partial object, no input lost, and the next job cleans up" {
	export SPACE_TIMEOUT=1200
	script 24M <<-'END'
		cp ../random .
		cat random random >large
		cp large keep
		# The instants spread over what a job takes here, when nothing else holds it up.
		took=100000000
		for i in 1 2 3 4 5; do
			begin=$(date +%s%N)
			memnet compress --to "$space" large
			us=$((($(date +%s%N) - begin) / 1000))
			[ $us -ge $took ] || took=$us
			rm "$space/large.zst"
		done
		left=0 gone=0
		for i in $(seq 200); do
			[ -e large ] || cp keep large
			"$MEMNET" compress -f --rm --to "$space" large 2>/dev/null & job=$!
			usleep_for $((took * (i % 50) / 60))
			kill -9 $job 2>/dev/null || true
			wait $job 2>/dev/null || true
			# What is visible is whole, and the input is gone only when it is.
			if [ -e "$space/large.zst" ]; then zstd -tq <"$space/large.zst"; fi
			if [ ! -e large ]; then
				gone=$((gone + 1))
				zstd -dcq <"$space/large.zst" | cmp - keep
			fi
			left=$((left + $(ls "$space/.memnet/part" | wc -l)))
			# One dead job's leavings at most: each job removes those before it.
			[ "$(ls "$space/.memnet/part" | wc -l)" -le 2 ]
			rm -f "$space/large.zst" "$space"/.memnet/jobs/*
		done
		echo "# $gone of 200 were done first, $left files were left to the next" >&3
		[ $left -gt 0 ]
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

@test "INT and TERM while there is no room for the record end it with 128 and the signal" {
	script 1M <<-'END'
		head -c 2000000 /dev/zero >"$space/filler" 2>/dev/null || true
		for signal in INT TERM; do
			perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$MEMNET" compress --to "$space" ../words 2>message & job=$!
			until [ -e "$space/.memnet/lock" ] && grep -q "^SigCgt:.*4..3$" /proc/$job/status; do sleep 0.01; done
			kill -s $signal $job
			wait $job && exit 1 || [ $? = $((128 + $(kill -l $signal))) ]
			[ "$(cat message)" = "memnet compress: $space: interrupted" ]
		done
	END
}

@test "a record that cannot be left is said" {
	script 1M <<-'END'
		mkfifo fifo
		memnet compress --json --to "$space" -o x fifo 2>message >json & job=$!
		exec 9>fifo
		rmdir "$space/.memnet/jobs"
		touch "$space/.memnet/jobs"
		exec 9>&-
		wait $job
		grep -qx 'memnet compress: record [0-9a-f]*: lost: Not a directory (memnet tune does not learn of this job)' message
		grep -q '"files":1,' json
		[[ $(cat json) != *record* ]]
		[ -e "$space/x" ]
	END
}

@test "several inputs in one object: one that fails half-way, or a signal, leaves none of it" {
	script 1M <<-'END'
		cp ../words ../random .
		mkfifo fifo
		for signal in TERM INT; do
			perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$MEMNET" compress --json --to "$space" -o all words fifo words >json 2>message & job=$!
			exec 9>fifo
			kill -s $signal $job
			exec 9>&-
			wait $job && exit 1 || [ $? = $((128 + $(kill -l $signal))) ]
			[ ! -e "$space/all" ]
			grep -q '"files":0,.*"bytes_in":0,"bytes_out":0,' json
		done
		[ -z "$(ls "$space/.memnet/part")" ]
		grep -q '"status":"interrupted"' "$space"/.memnet/jobs/*
		rm "$space"/.memnet/jobs/*
		memnet compress --json --max-wait 100ms --to "$space" -o all words random absent >json 2>message && exit 1 || [ $? = 6 ]
		[ "$(tail -n 1 message)" = "memnet compress: all: is given up: an input failed half-way" ]
		grep -q 'all: no room in the space' message
		grep -q '"files":0,"failed":2,"bytes_in":0,"bytes_out":0,' json
		[ ! -e "$space/all" ]
		grep -q '"status":"failed".*"objects":0}' "$space"/.memnet/jobs/*
		rm "$space"/.memnet/jobs/*
		memnet compress --to "$space" -o all words words
		cat words words | cmp - <(zstd -dcq "$space/all")
		grep -q '"status":"done".*"objects":1}' "$space"/.memnet/jobs/*
		rm "$space/all" "$space"/.memnet/jobs/*
		memnet compress --json --to "$space" -o all words fifo >json 2>message & job=$!
		exec 9>fifo
		memnet compress --to "$space" -o all words
		exec 9>&-
		wait $job && exit 1 || [ $? = 1 ]
		grep -q '"files":0,"failed":2,' json
		cmp words <(zstd -dcq "$space/all")
	END
	mkfifo fifo
	"$MEMNET" compress -o all words fifo & job=$!
	exec 9>fifo
	kill $job
	exec 9>&-
	wait $job || [ $? = 143 ]
	[ ! -e all ]
}

@test "what several inputs write to standard output goes on behind one that fails" {
	memnet compress words random
	head -c 1500000 random.zst >short.zst
	run -3 bash -c '"$MEMNET" compress -dc short.zst words.zst 2>message >out'
	tail -c 3000000 out | cmp - words
	[ "$(cat message)" = "memnet compress: short.zst: ends too early" ]
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
	name=$'sl\e[2Jow'
	mkfifo "$name"
	export name
	(exec 9>"$name"; cat random >&9; sleep 1.2; cat words >&9) &
	TERM=xterm command script -qec '"$MEMNET" compress -fo out.zst "$name"' /dev/null >messages
	grep -qF 'sl?[2Jow: ' messages
}

@test "--exclude-compressed leaves out what its suffix says" {
	cp random movie.MKV
	memnet compress --exclude-compressed words movie.MKV
	[ -e words.zst ]
	[ ! -e movie.MKV.zst ]
}
