# shellcheck shell=bash
# Waiting for what another process brings about: for all tests that are bats files.

# until_true COMMAND… — until it succeeds, for at most UNTIL_S seconds (90). A failure shows the file ERR, or `err` of the
# test, if it is there: what the program under test has to say.
until_true() {
	local end=$((SECONDS + ${UNTIL_S:-90})) log=${ERR:-${BATS_TEST_TMPDIR-}/err}

	until "$@"; do
		if [ "$SECONDS" -gt "$end" ]; then
			echo "still not: $*" >&2
			[ ! -e "$log" ] || cat "$log" >&2
			return 1
		fi
		sleep 0.02
	done
}
