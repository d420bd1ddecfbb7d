# shellcheck shell=bash
# For all tests that are bats files: waiting for what another process brings about, and ports for servers that cannot
# choose one, or would not tell it.

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

# free_ports COUNT — on a line: so many of TCP that nobody listens at, below those that the kernel gives to clients and to
# who asks for any; those of two tests at a time are others, as each takes its own by chance.
free_ports() {
	python3 - "$1" <<-'END'
		import random, socket, sys
		free = []
		while len(free) < int(sys.argv[1]):
		    try:
		        free.append(socket.create_server(('127.0.0.1', random.randrange(10000, 30000))))
		    except OSError:
		        pass
		ports = [s.getsockname()[1] for s in free]
		for s in free:
		    s.close()  # before who reads this goes on
		print(*ports)
	END
}
