# Spaces for the tests of the guest's commands: tmpfs mounts in a mount namespace of the test's own.

# Runs the function or command in a fresh namespace with a space of SIZE mounted at $space, cwd a scratch folder.
#	in_space SIZE COMMAND…
in_space() {
	local size=$1

	shift
	export space=$BATS_TEST_TMPDIR/space size
	mkdir -p "$space" "$BATS_TEST_TMPDIR/work"
	export -f new_space
	# shellcheck disable=SC2016 # expanded inside
	unshare -Urm --propagation private timeout "${SPACE_TIMEOUT:-300}" bash -c 'set -e; new_space; cd "$0"; "$@"' \
		"$BATS_TEST_TMPDIR/work" "$@"
}

new_space() {
	mount -t tmpfs -o "size=$size" space "$space"
	mkdir -p "$space"/.memnet/{part,live,jobs}
}
