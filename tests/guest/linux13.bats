#!/usr/bin/env bats
# The main job on Debian 13's kernel: its 9p once claimed to have written to a full space what it had put elsewhere.

bats_require_minimum_version 1.5.0

setup() {
	: "${MEMNET_SRC:=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)}"
	export MEMNET_GUEST=$MEMNET_SRC/build/guest13
	[ -d "$MEMNET_GUEST/linux" ] || skip "Debian 13's kernel was not fetched (./build.sh test does)"
}

# Those tests of job.bats in which the guest writes into a full space and the client compares what it gets.
@test "on Linux 6.12, what the client gets of a job that filled the space decompresses to the input" {
	run -0 bats --filter 'decompresses to the input|nothing is lost' "$BATS_TEST_DIRNAME/job.bats" 3>&-
	[ "$(grep -c '^ok' <<<"$output")" = 2 ]
	[[ $output != *skip* ]]
}

# There, reading a part that is set aside was told of the failed write before it.
@test "on Linux 6.12, eight jobs in a space that holds one object" {
	run -0 bats --filter 'eight jobs' "$BATS_TEST_DIRNAME/compress.bats" 3>&-
	[[ $output == *'ok 1 '* && $output != *skip* ]]
}

# There, a write(2) is a message for each page, and asks for the file's capabilities.
@test "on Linux 6.12, a large write is one message, and a job has no more of them than on 6.1" {
	run -0 bats --filter 'messages? of 9p' "$BATS_TEST_DIRNAME/compress.bats" 3>&-
	[[ $output == *'ok 2 '* && $output != *skip* ]]
}

@test "on Linux 6.12, the host empties the space in mid-job" {
	run -0 bats --filter 'empties the space' "$BATS_TEST_DIRNAME/compress.bats" 3>&-
	[[ $output == *'ok 1 '* && $output != *skip* ]]
}
