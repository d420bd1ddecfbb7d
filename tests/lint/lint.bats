#!/usr/bin/env bats
# `make lint`, a test for each step, and the steps of our own seen to fail.

lint() {
	make -C "$BATS_TEST_DIRNAME/../.." -j"$(nproc)" "lint-$1"
}

@test "no compiler warning" {
	lint warnings
}

@test "clang-format would change nothing" {
	# Versions format differently; .clang-format was written for this one.
	clang-format --version | grep -q 'version 14\.' || skip "clang-format is not version 14"
	lint format
}

@test "cppcheck and clang-tidy find nothing" {
	lint bugs
}

@test "includes point downwards" {
	lint includes
}

@test "shell scripts and completions are clean" {
	lint shell
}

@test "manual pages are clean" {
	lint man
}

@test "an include that points upwards, or that spells no layer, is found" {
	tree=$BATS_TEST_TMPDIR
	mkdir -p "$tree/core/space" "$tree/core/base"
	check="$BATS_TEST_DIRNAME/includes.sh"

	echo '#include "base/error.h"' >"$tree/core/space/good.c"
	"$check" "$tree"

	echo '#include "space/record.h"' >"$tree/core/base/upwards.c"
	run "$check" "$tree"
	[ "$status" -eq 1 ]
	[[ $output == *'core/base/upwards.c: "space/record.h": base may not include space'* ]]
	rm "$tree/core/base/upwards.c"

	echo ' # include "record.h"' >"$tree/core/space/bare.c"
	run "$check" "$tree"
	[ "$status" -eq 1 ]
	[[ $output == *'space may not include no layer'* ]]
}

@test "a line by which a test cannot fail is found" {
	check="$BATS_TEST_DIRNAME/forgiven.sh"
	printf '%s\n' '@test "x" {' '	[ 1 = 1 ]' '	[ 1 = 1 ] && [ 1 = 1 ]' '}' >"$BATS_TEST_TMPDIR/x.bats"
	"$check" "$BATS_TEST_TMPDIR"
	for line in '[ 1 = 2 ] && [ 1 = 1 ]' '[[ a == b ]] && [ 1 = 1 ]' '! true'; do
		printf '%s\n' '@test "x" {' "	$line" '	[ 1 = 1 ]' '}' >"$BATS_TEST_TMPDIR/x.bats"
		run "$check" "$BATS_TEST_TMPDIR"
		[ "$status" -eq 1 ]
		[[ $output == *"/x.bats:2:	$line" ]]
	done
}
