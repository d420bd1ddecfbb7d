#!/usr/bin/env bats
# The manual says what the tables say: no command, verb or option is missing, and none is invented.

setup() {
	MEMNET_SRC=${MEMNET_SRC:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}
	MEMNET=${MEMNET:-$MEMNET_SRC/build/memnet}
	MAN=${MEMNET_MAN:-$MEMNET_SRC/man}
	cd "$BATS_TEST_TMPDIR" || return
}

# The commands that do something; the others say "not yet", and a page would pretend.
commands() {
	"$MEMNET" --help | sed -n '/^Commands:/,/^$/{/(not yet)/!s/^  \([a-z-]*\) .*/\1/p}'
}

verbs_of() {
	"$MEMNET" "$1" --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z-]*\) .*/\1/p'
}

# "-x" and "--name", one a line, of a command and all of its verbs.
options_of() {
	local verb
	for verb in $(verbs_of "$1") ''; do
		# shellcheck disable=SC2086 # a verb, or none
		"$MEMNET" "$1" $verb --help
	done | sed -nE -e 's/^  (-[A-Za-z0-9])[, ].*/\1\n&/' -e '/^-/P' \
		-e 's/^(-.\n)?  .{4}(--[a-z-]+).*/\2/p' | grep '^-' | sort -u
}

# The options that are items of a page's lists: "-x" and "--name", one a line. Levels are numbers.
documented() {
	sed -nE 's/^\.It (Fl .*)/\1/p' "$@" | sed 's/, Fl/ Fl/g' |
		grep -oE '(Fl|,) -?[A-Za-z0][a-z-]*' | sed -E 's/^(Fl|,) /-/' | sort -u
}

# Those and the ones that the text behind the synopsis explains.
mentioned() {
	documented "$@"
	sed '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/d' "$@" | grep -oE '\bFl -?[A-Za-z0][a-z-]*' |
		sed 's/^Fl /-/'
}

@test "what the tests read from memnet and the manual is there" {
	commands | grep -qx share
	verbs_of share | grep -qx create
	options_of share >options
	grep -qx -- --size options
	grep -qx -- -n options
	grep -qx -- --dry-run options
	options_of compress | grep -qx -- -o
	documented "$MAN/memnet.1" >options
	grep -qx -- -j options
	grep -qx -- --runtime-dir options
}

@test "each command has its page" {
	for command in $(commands); do
		echo "$command"
		[ -s "$MAN/memnet-$command.1" ]
	done
}

@test "each page has its command" {
	for page in "$MAN"/memnet-*.1; do
		[ -e "$page" ] || continue
		echo "$page"
		commands | grep -qx "$(basename "$page" .1 | cut -d - -f 2-)"
	done
}

@test "memnet(1) names each command" {
	for command in $("$MEMNET" --list-commands); do
		echo "$command"
		grep -qx "\.It Cm $command" "$MAN/memnet.1"
	done
}

@test "each option is documented, in its page or with those for all" {
	for command in $(commands); do
		[ -e "$MAN/memnet-$command.1" ] || continue
		mentioned "$MAN/memnet-$command.1" "$MAN/memnet.1" | sort -u >said
		options_of "$command" | comm -23 - said >missing
		echo "memnet-$command.1 lacks: $(xargs <missing)"
		[ ! -s missing ]
	done
}

@test "memnet-bench(8) has the options of memnet-bench" {
	"$MEMNET_SRC/share/bench/memnet-bench" --help | grep -oE '^  -.{17}' | grep -oE -- '-[-a-z]+' | grep -vxE -- '-h|--help' |
		sort -u >options
	[ "$(wc -l <options)" -ge 10 ]
	documented "$MAN/memnet-bench.8" | diff options -
}

@test "each option documented is one" {
	{ for command in $(commands); do options_of "$command"; done &&
		printf '%s\n' --version -V --list-commands; } | sort -u >all
	documented "$MAN/memnet.1" | comm -23 - all >invented
	echo "memnet.1 invents: $(xargs <invented)"
	[ ! -s invented ]
	for command in $(commands); do
		[ -e "$MAN/memnet-$command.1" ] || continue
		options_of "$command" >options
		documented "$MAN/memnet-$command.1" | comm -23 - options >invented
		echo "memnet-$command.1 invents: $(xargs <invented)"
		[ ! -s invented ]
	done
}

@test "the options for all commands are in memnet(1)" {
	documented "$MAN/memnet.1" >said
	# What every command has, and the switches that some take.
	options_of "$(commands | head -n 1)" >common
	for command in $(commands); do
		options_of "$command" | comm -12 - common >both && mv both common
	done
	printf '%s\n' -j --json -H -p -n --dry-run | cat - common | sort -u | comm -23 - said >missing
	echo "memnet.1 lacks: $(xargs <missing)"
	[ ! -s missing ]
	[ "$(wc -l <common)" -ge 6 ]
}

@test "each verb is in its command's page" {
	for command in $(commands); do
		[ -e "$MAN/memnet-$command.1" ] || continue
		for verb in $(verbs_of "$command"); do
			echo "$command $verb"
			grep -Eq "^\.(It|Ss) (Cm )?$verb( |$)" "$MAN/memnet-$command.1"
		done
	done
}

@test "the environment and the exit statuses that the code has" {
	grep -ohE 'MEMNET_[A-Z_]+' "$MEMNET_SRC"/cmd/command.c | sort -u >names
	[ "$(wc -l <names)" -ge 2 ]
	while read -r name; do
		echo "$name"
		grep -qx "\.It Ev $name" "$MAN/memnet.1"
	done <names
	sed -nE 's/^\tMN_[A-Z]+ = ([0-9]+),.*/\1/p' "$MEMNET_SRC/core/base/error.h" >statuses
	[ "$(wc -l <statuses)" -ge 8 ]
	while read -r status; do
		echo "$status"
		grep -qx "\.It $status" "$MAN/memnet.1"
	done <statuses
}

# has PAGE NAME…: each name, from standard input, is a word of the page
has() {
	echo "$1 lacks: $(grep -vwFf <(grep -oE '[A-Za-z0-9_.]+' "$MAN/$1" | sed 's/[.]$//') | xargs)" >lacks
	cat lacks
	grep -qx "$1 lacks: " lacks
}

# keys FILE…: the members of JSON that these sources print
keys() {
	tr -d '\n\t' < <(cat "$@") | {
		# What is added; what is printed; rows of tables: {"key", "TITLE", COLUMN…} or {"key", value}.
		grep -oE -e 'cJSON_Add[A-Za-z]*ToObject\([^,"]*, *"[a-z_0-9]+"' -e '\\"[a-z_0-9]+\\":' \
			-e '[{]"[a-z_0-9]+", ("[^"]*", COLUMN|[^"])'
	} | sed -E 's/[^"]*"([a-z_0-9]+).*/\1/' | sort -u
}

@test "each member of the JSON that commands print" {
	cd "$MEMNET_SRC/cmd"
	keys share*.c >"$BATS_TEST_TMPDIR/share"
	keys compress*.c >"$BATS_TEST_TMPDIR/compress"
	keys transcode_hook.c >"$BATS_TEST_TMPDIR/transcode-hook"
	keys tune*.c >"$BATS_TEST_TMPDIR/tune"
	keys ../core/host/{listing,access_log}.c >"$BATS_TEST_TMPDIR/stream"
	cd "$BATS_TEST_TMPDIR"
	grep -qx available_bytes share
	grep -qx content_bytes compress
	grep -qx retry_seconds transcode-hook
	grep -qx from_bytes tune
	grep -qx counterfactual tune
	grep -qx entries stream
	for command in $(commands); do
		grep -vxE 'schema|command|event' "$command" | has "memnet-$command.1"
	done
}

@test "each figure" {
	cd "$MEMNET_SRC/core"
	{
		sed -nE 's/.*counter\(f, "memnet_stream_([a-z_]+)".*/\1_total/p' host/metrics.c
		sed -nE 's/.*"memnet_stream_([a-z_]+_(total|seconds|gigabyte|bytes)|[a-z]+)".*"gauge".*/\1/p' host/metrics.c
		sed -nE -e 's/^\t\{"([a-z_]+)", "counter".*/space_\1_total/p' -e 's/^\t\{"([a-z_]+)", "gauge".*/space_\1/p' host/metrics.c
		grep -ohE 'memnet_energy_[a-z_]+' host/own_energy.c
	} | sort -u >"$BATS_TEST_TMPDIR/stream"
	{
		sed -nE -e 's/.*"([a-z_0-9]+)", "counter".*/\1_total/p' -e 's/.*"([a-z_0-9]+)", "gauge".*/\1/p' control/figures.c
		sed -nE 's/.*PUT_CONNECTIONS\(p, t, "([a-z_]+)".*/\1/p' control/figures.c
	} | sort -u >"$BATS_TEST_TMPDIR/tune"
	cd "$BATS_TEST_TMPDIR"
	[ "$(wc -l <stream)" -ge 20 ]
	[ "$(wc -l <tune)" -ge 40 ]
	grep -v '^memnet_energy_joules$' stream | has memnet-stream.1
	has memnet-tune.1 <tune
}

@test "each key of the configuration, and no other" {
	cd "$MEMNET_SRC/cmd"
	sed -nE -e 's/.*TUNING\("([a-z.]+)".*/\1/p' -e 's/.*strcmp\(key, "([a-z]+)"\).*/\1/p' tune_config.c |
		sort -u >"$BATS_TEST_TMPDIR/tune"
	sed -nE 's/.*strcmp\(key, "([a-z_]+)"\).*/\1/p' config.c energy_config.c | sort -u >"$BATS_TEST_TMPDIR/others"
	cd "$BATS_TEST_TMPDIR"
	[ "$(wc -l <tune)" -ge 20 ]
	[ "$(wc -l <others)" -ge 6 ]
	sed '/^\.Ss Configuration/,/^\.Ss Decisions/!d' "$MAN/memnet-tune.1" | sed -n 's/^\.It Cm //p' | sed 's/ Li .*//' |
		tr ',' '\n' | tr -d ' ' | sort -u | diff - tune
	while read -r key; do
		echo "$key"
		grep -qx "\.It Cm $key" "$MAN/memnet.1"
	done <others
}
