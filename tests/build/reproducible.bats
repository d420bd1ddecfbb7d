#!/usr/bin/env bats
# The same sources make the same file, wherever they lie.

load helper

@test "two builds in different folders are the same to the last byte" {
	built=$(realpath "$BATS_TEST_DIRNAME/../../build/deps")
	here=$BATS_TEST_TMPDIR/here
	there="$BATS_TEST_TMPDIR/a longer way/there"
	for tree in "$here" "$there"; do
		copy_tree "$tree"
		mkdir -p "$tree/build/deps"
		ln -s "$built/src" "$tree/build/deps/src"
	done
	# One with the libraries at hand, the other makes its own: they are reproducible as well.
	cp -a "$built/static" "$built/kernel" "$built/static-pie.specs" "$here/build/deps/"
	make -C "$here"
	make -C "$there" -j"$(nproc)"
	sha256sum "$here/build/memnet" "$there/build/memnet"
	cmp "$here/build/memnet" "$there/build/memnet"
	cmp "$here/build/memnet.debug" "$there/build/memnet.debug"
}
