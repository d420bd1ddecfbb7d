#!/usr/bin/env bats
# The multicall skeleton: dispatch, links, help, exit statuses, lost output.

setup() {
	MEMNET_SRC=${MEMNET_SRC:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
	MEMNET=${MEMNET:-$MEMNET_SRC/build/memnet}
	unset MEMNET_CONF MEMNET_RUNTIME_DIR
	cd "$BATS_TEST_TMPDIR" || return
}

# "COMMAND" or "COMMAND VERB", one a line, as the tables have them.
every_command() {
	local command verbs
	for command in $("$MEMNET" --list-commands); do
		# A verb has no dash in front, and a command without verbs completes no such words.
		verbs=$("$MEMNET" "$command" --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
		if [ -z "$verbs" ]; then
			echo "$command"
		fi
		for verb in $verbs; do
			echo "$command $verb"
		done
	done
}

# Runs memnet with the arguments; $status, and both outputs apart in $out and $err.
apart() {
	status=0
	"$MEMNET" "$@" >out 2>err || status=$?
	out=$(cat out) err=$(cat err)
}

@test "--version names memnet and what it is built of" {
	apart --version
	[ "$status" -eq 0 ]
	[ -z "$err" ]
	[[ $out =~ ^memnet\ [0-9]+\.[0-9]+\.[0-9]+ ]]
	for part in zstd cJSON libnl; do
		grep -Eq "^$part [0-9.]+$" out
	done
	cp out long
	apart -V
	cmp out long
}

@test "--list-commands and --help list the same commands" {
	apart --list-commands
	[ "$status" -eq 0 ]
	[ -z "$err" ]
	cp out list
	grep -qx share list
	apart --help
	[ "$status" -eq 0 ]
	[ -z "$err" ]
	sed -n '/^Commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' out | cmp - list
	cp out long
	apart -h
	[ "$status" -eq 0 ]
	cmp out long
}

@test "every command and verb has --help on stdout, and exit status 0" {
	[ "$(every_command | wc -l)" -ge 5 ]
	every_command | while read -r words; do
		echo "$words"
		# shellcheck disable=SC2086 # a command and its verb
		apart $words --help
		[ "$status" -eq 0 ]
		[ -z "$err" ]
		[[ $out == "usage: memnet $words "* ]]
		grep -q -- '--runtime-dir DIR' out
		cp out long
		# shellcheck disable=SC2086
		apart $words -h
		cmp out long
	done
	for command in $("$MEMNET" --list-commands); do
		apart "$command" --help
		[ "$status" -eq 0 ]
		[ -z "$err" ]
		[ -n "$out" ]
	done
}

@test "a link named memnet-COMMAND is that command" {
	for command in $("$MEMNET" --list-commands); do
		ln -s "$MEMNET" "memnet-$command"
		"./memnet-$command" --help | cmp - <("$MEMNET" "$command" --help)
		run "./memnet-$command" --no-such-option
		[ "$status" -eq 2 ]
		[[ $output == "memnet $command"* ]]
	done
	ln -s "$MEMNET" memnet-nothing
	./memnet-nothing --version | grep -q ^memnet
	"$MEMNET" --complete share '' >want
	./memnet-share --complete '' | cmp - want
}

@test "what is no command" {
	apart nothing
	[ "$status" -eq 2 ]
	[ -z "$out" ]
	[ "$err" = 'memnet: unknown command "nothing" (see memnet --help)' ]
	apart --nothing
	[ "$status" -eq 2 ]
	apart ''
	[ "$status" -eq 2 ]
	apart $'a\nb\033[2J'
	[ "$err" = 'memnet: unknown command "a?b?[2J" (see memnet --help)' ]
	apart "$(printf '%10000s' x)"
	[ "$status" -eq 2 ]
	[ "$(wc -c <err)" -lt 200 ]
}

@test "no command at all" {
	apart
	[ "$status" -eq 2 ]
	[ -z "$out" ]
	[[ $err == usage:* ]]
	apart share
	[ "$status" -eq 2 ]
	[ -z "$out" ]
	(exec -a '' "$MEMNET" --version) | grep -q ^memnet
}

@test "an unknown option is refused by every command and verb" {
	every_command | while read -r words; do
		# shellcheck disable=SC2086
		apart $words --no-such-option
		echo "$words: $err"
		[ "$status" -eq 2 ]
		[ -z "$out" ]
		[ "$err" = "memnet $words: unknown option \"--no-such-option\" (see memnet $words --help)" ]
	done
}

@test "a relative run-time folder is refused by every command and verb" {
	every_command | while read -r words; do
		# shellcheck disable=SC2086
		apart $words --runtime-dir here
		echo "$words: $err"
		[ "$status" -eq 2 ]
		[[ $err == *'absolute path'*'"here"'* ]]
	done
}

@test "an unknown verb" {
	apart share nothing
	[ "$status" -eq 2 ]
	[ "$err" = 'memnet share: unknown verb "nothing" (see memnet share --help)' ]
}

@test "output that cannot be written is a failure, and said" {
	for words in --version --help --list-commands 'share --help' 'compress --help' 'tune --simulate scenario:S0' \
		'tune --plan 1.5,24M,1,60MB,8MB'; do
		status=0
		# shellcheck disable=SC2086
		"$MEMNET" $words >/dev/full 2>err || status=$?
		[ "$status" -eq 1 ]
		grep -q 'standard output: ' err
		[ "$(wc -l <err)" -eq 1 ]
	done
}

@test "a reader that went away is a failure, not a death" {
	status=0
	{ "$MEMNET" --help 2>err || echo $? >status; } | true
	# It may have been quick enough for the pipe to take it all.
	[ ! -e status ] || [ "$(cat status)" -eq 1 ]
}

@test "a reader that went away early is a failure without a word, however much was to be said" {
	mkfifo gone
	echo x | "$MEMNET" compress -qo x.zst
	for words in --version "compress -l $(yes x.zst | head -n 200 | xargs)" "tune --simulate scenario:S0"; do
		# shellcheck disable=SC2086
		{ read -r _ <gone; "$MEMNET" $words 2>err || echo $? >status; } | { exec <&-; echo >gone; }
		[ "$(cat status)" -eq 1 ]
		cat err
		[ ! -s err ]
	done
}

@test "closed standard descriptors" {
	status=0
	"$MEMNET" --version >&- 2>err || status=$?
	[ "$status" -eq 1 ]
	grep -q 'standard output: ' err
	"$MEMNET" --version <&- | grep -q ^memnet
	status=0
	"$MEMNET" nothing 2>&- || status=$?
	[ "$status" -eq 2 ]
	status=0
	"$MEMNET" nothing <&- >&- 2>&- || status=$?
	[ "$status" -eq 2 ]
}

@test "--complete is silent, whatever is wrong" {
	for words in '' nothing 'nothing x' 'share nothing x' '--' '-- --' 'share create --='; do
		# shellcheck disable=SC2086
		apart --complete $words
		[ "$status" -eq 0 ]
		[ -z "$err" ]
	done
	"$MEMNET" --complete '' >/dev/full 2>err
	"$MEMNET" --complete '' >&- 2>>err
	[ ! -s err ]
	MEMNET_RUNTIME_DIR=/proc/self/nothing apart --complete share create ''
	[ "$status" -eq 0 ]
	[ -z "$out$err" ]
}
