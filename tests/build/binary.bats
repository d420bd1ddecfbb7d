#!/usr/bin/env bats
# What kind of file build/memnet is.

bats_require_minimum_version 1.5.0

setup() {
	memnet=${MEMNET:-$BATS_TEST_DIRNAME/../../build/memnet}
}

@test "one static-pie file that needs no interpreter and no library" {
	readelf -hW "$memnet" | grep -q 'Type: *DYN'
	readelf -dW "$memnet" | grep -q 'FLAGS_1.* PIE'
	run ! grep -E 'INTERP|NEEDED' <(readelf -lW "$memnet" && readelf -dW "$memnet")
}

@test "relocations are read-only once it runs, and nothing is writable and executable" {
	readelf -lW "$memnet" | grep -q GNU_RELRO
	readelf -dW "$memnet" | grep -q 'FLAGS_1.* NOW'
	run ! grep -E ' (RWE|WE) ' <(readelf -lW "$memnet")
}

@test "the stack is protected, and threads have 1 MiB of it" {
	nm "$memnet.debug" | grep -q ' __stack_chk_fail$'
	readelf -lW "$memnet" | grep -q 'GNU_STACK.* 0x100000 RW '
}

@test "less than 1 MB, and nothing of the place where it was built" {
	[ "$(stat -c %s "$memnet")" -lt 1000000 ]
	run ! grep -aF "$(realpath "$BATS_TEST_DIRNAME/../..")" "$memnet" "$memnet.debug"
}

@test "zstd has its threads" {
	nm "${memnet%/*}/deps/static/libzstd.a" 2>/dev/null | grep -q ' T ZSTDMT_createCCtx_advanced$'
}

@test "--version names the dependencies" {
	run -0 "$memnet" --version
	for each in memnet zstd cJSON libnl; do
		[[ $output =~ "$each "[0-9]+\.[0-9]+\.[0-9]+ ]]
	done
}

