#!/usr/bin/env bats
# memnet transcode-hook --inbox: each file that lands is worked on once, whatever happens to it, to us or to others.

# shellcheck disable=SC2016 # what is in single quotes is for another shell

bats_require_minimum_version 1.5.0

setup() {
	load space.bash
	: "${MEMNET:=$BATS_TEST_DIRNAME/../../build/memnet}"
	export MEMNET TMPDIR=$BATS_TEST_TMPDIR
}

# Runs the script on stdin inside a space of SIZE, beside an empty folder `in`; `hook` is the command under test.
script() {
	local text

	text="no() { if \"\$@\"; then return 1; fi; }
		hook() { \"$MEMNET\" transcode-hook --to \"\$space\" --inbox in \"\$@\"; }
		is() { local got=0; \"\$@\" || got=\$?; [ \$got = \$want ] || { echo \"\$*: \$got\" >&2; return 1; }; }
		. \"$BATS_TEST_DIRNAME/../until.bash\"
		mkdir in; $(cat)"
	in_space "$1" bash -ec "$text"
}

@test "what lies there is done once, and then lies in done/" {
	script 8M <<-'END'
		echo one >in/a.txt; echo two >$'in/b\nc'; echo three >'in/-x {} %s'; mkdir in/sub; ln -s a.txt in/link; echo no >in/.hidden
		hook --once --jobs 2 --name '{}.out' -- sh -c 'cat "$1"; echo "$MEMNET_INPUT $MEMNET_OBJECT"; cat' - {}
		[ "$(cat "$space/a.txt.out")" = "one"$'\n'"$PWD/in/a.txt a.txt.out" ]
		[ "$(head -1 "$space/"$'b\nc.out')" = two ]
		[ "$(head -1 "$space/-x {} %s.out")" = three ]
		[ "$(ls in/done | wc -l)" = 4 ]	# one name has two lines
		[ "$(ls -A in | tr '\n' ' ')" = ".hidden done failed link sub " ]
		[ "$(cat "$space"/.memnet/jobs/* | grep -c '"bytes_in":4,')" = 2 ]
		hook --once --name '{}.out' -- false
	END
}

@test "{.} is the name without its suffix; with --files, the folder's" {
	script 8M <<-'END'
		echo 1 >in/a.tar.gz; echo 2 >in/b
		hook --once --rm --name 'x/{.}.ts' -- cat {}
		[ "$(cat "$space/x/a.tar.ts")$(cat "$space/x/b.ts")" = 12 ]
		[ "$(ls -A in)" = failed ]
		echo 3 >in/c.mkv
		hook --once --files -- cp {} {output}/index.m3u8
		[ "$(cat "$space/c/index.m3u8")" = 3 ]
	END
}

@test "what lands later is noticed: closed, renamed into place, or written anew" {
	script 8M <<-'END'
		"$MEMNET" transcode-hook --to "$space" --inbox in -f --name '{}' -- cat {} & job=$!
		until_true test -d in/done
		exec 9>in/slow; echo half >&9
		echo quick >in/quick
		echo moved >elsewhere; mv elsewhere in/moved
		until_true test -e "$space/quick" -a -e "$space/moved"
		[ ! -e "$space/slow" ]
		echo whole >&9; exec 9>&-
		until_true test -e in/done/slow
		[ "$(cat "$space/slow")" = half$'\n'whole ]
		echo again >in/quick
		until_true grep -qx again "$space/quick"
		until_true test -e in/done/quick.~1~
		kill $job
		wait $job || [ $? = 143 ]
	END
}

@test "an input that is written anew while its command runs is done anew, and nothing mixed published" {
	script 8M <<-'END'
		echo old-old >in/a
		"$MEMNET" transcode-hook --to "$space" --inbox in --name '{}' -- sh -c '
			head -c 4 "$1"; : >begun; until [ -e go ]; do sleep 0.01; done; tail -c +5 "$1"' - {} & job=$!
		until_true test -e begun
		echo new-new >in/a
		: >go
		until_true test -e in/done/a
		[ "$(cat "$space/a")" = new-new ]
		[ -z "$(ls in/failed)" ]
		kill $job
		wait $job || [ $? = 143 ]
		# And for the next run, with --once.
		rm begun go; echo old-old >in/b
		hook --once --name '{}' -- sh -c 'head -c 4 "$1"; echo new-new >"$1"; tail -c +5 "$1"' - {}
		[ -e in/b -a ! -e "$space/b" ]
		hook --once --name '{}' -- cat {}
		[ "$(cat "$space/b")" = new-new ]
	END
}

@test "half a file that is open when the hook starts waits for its writer, and for the next run with --once" {
	script 8M <<-'END'
		exec 9>in/open; echo half >&9
		hook --once --name '{}' -- cat {} 9>&-
		[ -e in/open -a ! -e "$space/open" ]
		"$MEMNET" transcode-hook --to "$space" --inbox in --name '{}' -- cat {} 9>&- & job=$!
		echo mark >in/mark
		until_true test -e in/done/mark
		[ -e in/open ]
		exec 9>&-
		until_true test -e in/done/open
		kill $job
	END
}

@test "a command that fails is tried again with back-off; then its input lies in failed/, and 3 says so" {
	script 8M <<-'END'
		echo bad >in/bad; echo good >in/good; echo second >in/second
		want=3 is hook --once --retries 1 --json --name '{}' -- sh -c '
			case $MEMNET_OBJECT$MEMNET_ATTEMPT in bad*) exit 9;; second1) exit 1;; esac; cat "$1"' - {} >lines 2>errors
		[ "$(ls in/failed)" = bad ]
		[ "$(ls in/done | tr '\n' ' ')" = "good second " ]
		[ "$(ls "$space" | tr '\n' ' ')" = "good second " ]
		grep -q '^memnet transcode-hook: bad: sh: exit status 9 (moved to failed/' errors
		[ "$(grep -c '"event":"retry"' lines)" = 2 ]
		grep -q '"event":"fail","input":"bad","error":"sh: exit status 9","status":9,"attempts":2,' lines
		grep -q '"event":"done","input":"second","attempts":2,' lines
		mv in/failed/bad in/bad
		hook --once --name '{}' -- cat {}
		[ "$(cat "$space/bad")" = bad ]
	END
}

@test "a failing input keeps no other waiting" {
	script 8M <<-'END'
		echo bad >in/a; for i in 1 2 3 4; do echo $i >in/b$i; done
		hook --once --retries 3 --json --name '{}' -- sh -c '[ "$MEMNET_OBJECT" != a ] && cat "$1"' - {} >lines || [ $? = 3 ]
		# Its last attempt, seven seconds after its first, came after all the others.
		[ "$(grep -n '"event":"done"' lines | tail -1 | cut -d: -f1)" -lt "$(grep -n '"event":"fail"' lines | cut -d: -f1)" ]
	END
}

@test "more inputs wait for another attempt than files may be open: none is forgotten" {
	script 8M <<-'END'
		for i in $(seq 60); do echo $i >in/$i; done
		tried_all() { [ "$(ls in/failed 2>/dev/null | wc -l)" = 60 ]; }
		# The soft limit is ours to raise, but not for the command.
		(ulimit -Sn 40; want=3 is hook --once --jobs 4 --retries 1 --name '{}' -- sh -c 'ulimit -Sn >>limits; exit 1') 2>errors
		tried_all
		[ "$(sort -u limits)" = 40 ]
		mv in/failed/* in
		(ulimit -n 40; exec "$MEMNET" transcode-hook --to "$space" --inbox in --jobs 4 --retries 1 --name '{}' -- false 2>>errors) & job=$!
		until_true tried_all
		no grep 'Too many' errors
		kill $job
		wait $job || [ $? = 143 ]
	END
}

@test "started with SIGCHLD ignored, it sees its workers end" {
	script 8M <<-'END'
		echo 1 >in/a
		timeout -s KILL 120 env --ignore-signal=CHLD "$MEMNET" transcode-hook --to "$space" --inbox in --once --name '{}' -- cat {}
		[ "$(cat "$space/a")" = 1 -a -e in/done/a ]
	END
}

@test "a name that is no UTF-8 makes no line of JSON that is not" {
	script 8M <<-'END'
		for name in $'caf\xe9' $'a\e[2Jb"c'; do echo x >in/"$name"; : >"$space/$name"; done
		want=3 is hook --once --json --name '{}' -- true >lines 2>errors
		[ "$(grep -c '"event":"fail".*"error":' lines)" = 2 ]
		iconv -f UTF-8 -t UTF-8 lines >/dev/null
		no grep -q $'\e' lines errors
	END
}

@test "never more jobs at once than --jobs, and as many" {
	script 8M <<-'END'
		for i in $(seq 12); do echo $i >in/$i; done; mkdir run
		hook --once --jobs 3 --name '{}' -- sh -c '
			: >"run/$MEMNET_OBJECT"
			# Until there were as many as there may be, once.
			until [ -e full ]; do ls run | wc -l >>counts; [ "$(ls run | wc -l)" -lt 3 ] || : >full; sleep 0.01; done
			sleep 0.1; ls run | wc -l >>counts; rm "run/$MEMNET_OBJECT"; cat "$1"' - {}
		[ "$(sort -n counts | tail -1)" = 3 ]
		[ "$(ls in/done | wc -l)" = 12 ]
	END
}

@test "two hooks share an inbox: each input is done once" {
	script 8M <<-'END'
		for i in $(seq 40); do echo $i >in/$i; done
		for i in 1 2; do
			"$MEMNET" transcode-hook --to "$space" --inbox in --jobs 2 --name '{}' -- sh -c 'echo "$MEMNET_OBJECT" >>did; sleep 0.02; cat "$1"' - {} & jobs="$jobs $!"
		done
		done_all() { [ "$(ls in/done 2>/dev/null | wc -l)" = 40 ]; }
		until_true done_all
		kill $jobs
		[ "$(sort did | uniq -d)" = "" ]
		[ "$(ls "$space" | wc -l)" = 40 ]
	END
}

@test "a command keeps nothing locked but its own input" {
	script 8M <<-'END'
		echo 1 >in/a; until [ "$(stat -c %Z in/a)" != "$(date +%s)" ]; do sleep 0.05; done; echo 2 >in/b
		"$MEMNET" transcode-hook --to "$space" --inbox in --jobs 2 --name '{}' -- sh -c '
			case $MEMNET_OBJECT in
			a) until [ -e begun ]; do sleep 0.01; done; [ -e again ] || exit 1 ;;
			b) : >begun; until [ -e end ]; do sleep 0.01; done ;;
			esac' & job=$!
		until_true test -e in/failed/a
		: >again
		mv in/failed/a in/a	# the very file whose lock the other command must not have
		until_true test -e in/done/a
		[ ! -e in/done/b ]
		: >end
		until_true test -e in/done/b
		kill $job
	END
}

@test "unreadable inputs stay, vanished ones are forgotten, a vanished folder ends it" {
	script 8M <<-'END'
		echo secret >in/secret; chmod 0 in/secret; echo fine >in/fine; echo gone >in/gone
		want=3 is setpriv --bounding-set -dac_override,-dac_read_search "$MEMNET" transcode-hook --to "$space" --inbox in --once \
			--name '{}' -- sh -c 'rm -f in/gone; cat "$1"' - {} 2>errors
		grep -q '^memnet transcode-hook: secret: Permission denied (left where it is' errors
		[ -e in/secret -a -e in/done/fine -a ! -e in/failed/gone ]
		rm -rf in/*
		watched() { grep -qs '^inotify wd' /proc/$1/fdinfo/*; }
		"$MEMNET" transcode-hook --to "$space" --inbox in --name '{}' -- cat {} 2>errors & job=$!
		until_true watched $job
		mv in out
		wait $job && exit 1 || [ $? = 1 ]
		grep -q '^memnet transcode-hook: in: the folder is gone' errors
		mkdir in
		"$MEMNET" transcode-hook --to "$space" --inbox in --name '{}' -- cat {} 2>errors & job=$!
		until_true watched $job
		rm -r in
		wait $job && exit 1 || [ $? = 1 ]
		grep -q '^memnet transcode-hook: in: the folder is gone' errors
	END
}

@test "without room inputs are left, not blamed; a name that is taken is" {
	script 1M <<-'END'
		head -c 3000000 /dev/zero >in/large
		want=3 is hook --once --max-wait 100ms --name '{}' -- cat {} 2>errors
		grep -q 'large: no room in the space.*(left where it is' errors
		[ -e in/large ]
		mount -o remount,size=8M "$space"
		hook --once --name '{}' -- cat {}
		[ -e in/done/large ]
		echo x >in/large
		want=3 is hook --once --name '{}' -- cat {} 2>errors
		grep -q 'already in the space (-f replaces it) (moved to failed/' errors
		[ -e in/failed/large ]
	END
}

@test "TERM ends the commands, within --kill-after; their inputs stay and are done by the next run" {
	script 8M <<-'END'
		echo 1 >in/a; echo 2 >in/b
		"$MEMNET" transcode-hook --to "$space" --inbox in --jobs 2 --kill-after 200ms --name '{}' -- \
			sh -c 'trap "" TERM; echo $$ >"pid.$MEMNET_OBJECT"; while :; do sleep 0.05; done' & job=$!
		until_true test -s pid.a -a -s pid.b
		kill $job
		wait $job && exit 1 || [ $? = 143 ]
		no kill -0 "$(cat pid.a)"
		no kill -0 "$(cat pid.b)"
		[ -e in/a -a -e in/b -a -z "$(ls "$space")" ]
		[ "$(cat "$space"/.memnet/jobs/* | grep -c '"status":"interrupted"')" = 2 ]
		hook --once --name '{}' -- cat {}
		[ "$(cat "$space/a")$(cat "$space/b")" = 12 ]
	END
}

@test "kill -9 of the hook ends its workers and what they run" {
	script 8M <<-'END'
		echo 1 >in/a
		"$MEMNET" transcode-hook --to "$space" --inbox in --name '{}' -- sh -c 'setsid sh -c "echo \$\$ >pid; exec sleep 1000" & exec sleep 1000' & job=$!
		until_true test -s pid
		kill -9 $job
		wait $job || true
		until_true no kill -0 "$(cat pid)" 2>/dev/null
		# The keeper may hold the lock on the input a moment longer.
		until [ -e "$space/a" ]; do hook --once --name '{}' -- cat {}; done
		[ "$(cat "$space/a")" = 1 ]
		[ -z "$(ls "$space/.memnet/part")" ]
	END
}

@test "an input whose object was published, but that was not moved, is only moved" {
	script 8M <<-'END'
		echo one >in/a
		hook --once --name '{}' -- cat {}
		# As if killed right behind the publishing: the note tells of the object that is there.
		mv in/done/a in/a
		ln -s "$(stat -c %i:%s "$space/a")" in/.a.memnet
		hook --once --name '{}' --json -- false >lines
		grep -q '"event":"skip","input":"a"' lines
		[ -e in/done/a -a ! -e in/.a.memnet -a ! -L in/.a.memnet ]
		# A note of anything else is none, and one whose input is gone goes too.
		mv in/done/a in/a
		ln -s 1:4 in/.a.memnet; ln -s 1:4 in/.b.memnet
		hook --once -f --name '{}' -- echo two
		[ "$(cat "$space/a")" = two ]
		[ -z "$(find in -name '*.memnet')" ]
	END
}

# A hook is killed at any instant, 200 times. What clients see is whole, and one more run leaves nothing behind.
@test "200 kills at random instants" {
	export SPACE_TIMEOUT=1200
	script 64M <<-'END'
		head -c 300000 /dev/zero >data
		RANDOM=1
		command='cat "$1"'
		not_whole() { find "$space" -path "$space/.memnet" -prune -o -type f ! -size 300000c -print; }
		for i in $(seq 200); do
			[ $((i % 2)) = 1 ] || cp data "in/$i"
			case $((i % 4)) in
			0) mode="--live" ;;
			1) mode="--files --name {}.d" ;;
			*) mode= ;;
			esac
			case $mode in --files*) set -- cp {} {output}/x ;; *) set -- --name {} -- sh -c "$command" - {} ;; esac
			[ "$1" != cp ] || set -- -- "$@"
			setsid "$MEMNET" transcode-hook --to "$space" --inbox in --jobs 2 -q $mode "$@" & job=$!
			sleep 0.0$((RANDOM % 60 + 10))
			kill -9 $job
			wait $job 2>/dev/null || true
			# What is not whole is live, with a marker, or has been ended since by a worker that dies last.
			for object in $(not_whole); do
				[ -e "$space/.memnet/live/${object##*/}" ] || [ "$(stat -c %s "$object" || echo gone)" = 300000 ] ||
					[ ! -e "$object" ]
			done
		done
		while :; do
			hook --once -q --name '{}' -- sh -c "$command" - {}
			[ "$(ls in | tr '\n' ' ')" != "done failed " ] || break
			sleep 0.02	# keepers of the last one killed may still hold their locks
		done
		hook --once -q --files -- true
		[ "$(ls -A in | tr '\n' ' ')" = "done failed " ]
		[ -z "$(ls in/failed)" ]
		[ "$(ls in/done | wc -l)" = 100 ]
		[ -z "$(find "$space/.memnet/part" "$space/.memnet/live" -type f)" ]
		[ -z "$(find "$TMPDIR" -maxdepth 1 -name 'memnet-hook-*')" ]
		[ -z "$(not_whole)" ]
	END
}

@test "bad usage is 2, no space 4, no folder 1" {
	mkdir "$BATS_TEST_TMPDIR/in"
	for bad in "--name x" "--name {} --jobs 0" "--name {} --jobs x" "--once"; do
		# shellcheck disable=SC2086 # words
		run -2 "$MEMNET" transcode-hook --inbox "$BATS_TEST_TMPDIR/in" $bad -- true
	done
	run -2 "$MEMNET" transcode-hook --name x --once -- true
	run -4 "$MEMNET" transcode-hook --to "$BATS_TEST_TMPDIR" --inbox "$BATS_TEST_TMPDIR/in" --name '{}' -- true
	script 1M <<-'END'
		rmdir in
		want=1 is hook --name '{}' -- true 2>errors
		grep -q 'in: No such file or directory' errors
	END
}
