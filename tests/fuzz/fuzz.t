#!/bin/sh
# Runs each fuzz program for FUZZ_SECONDS, from the seeds in tests/fuzz/corpus/NAME/ and from what earlier
# runs found. An input that fails is kept as build/fuzz/NAME-crash-… or the like.
cd "$(dirname "$0")/../.." || exit

set -- tests/fuzz/*_fuzz.c
[ -e "$1" ] || set --
[ $# -gt 0 ] || { echo '1..0 # SKIP there are no fuzz programs' && exit; }
echo "1..$#"

for source; do
	name=$(basename "$source" _fuzz.c)
	found=build/fuzz/found/$name
	seeds=tests/fuzz/corpus/$name
	mkdir -p "$found"
	# With none in its folder it would begin from nothing, and say nothing of it.
	if [ ! -d "$seeds" ]; then
		echo "not ok - $name: no seeds in $seeds"
		continue
	fi
	if "build/fuzz/${source%.c}" -max_total_time="${FUZZ_SECONDS:-10}" -timeout=10 -verbosity=0 \
		-print_final_stats=1 -artifact_prefix="build/fuzz/$name-" "$found" "$seeds" >"$found.log" 2>&1
	then
		echo "ok - $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$found.log") inputs"
	else
		sed 's/^/# /' "$found.log" >&2
		echo "not ok - $name"
	fi
done
