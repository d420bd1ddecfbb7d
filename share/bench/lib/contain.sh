# shellcheck shell=bash
# shellcheck disable=SC2034 # signal is for those who load this
# Namespaces of which nothing is left: for memnet-bench and the demo.

# contain COMMAND… — runs it as the first process of mount, PID and network namespaces, and of a user namespace if we
# are not root. Whatever ends us ends it (PR_SET_PDEATHSIG twice: setpriv for unshare, --kill-child for the process
# below it), with it every process in there, and with the last of them the mounts and the network. Returns its status
# when that last one is gone; $signal is then INT or TERM if one of them (or HUP) ended it, or empty.
contain() {
	local user=() keeper inner status

	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	# All inside hold descriptor 9 open: this cat ends when the last of them has.
	exec 9> >(exec cat >/dev/null)
	keeper=$!
	setpriv --pdeathsig KILL unshare "${user[@]}" --mount --pid --net --fork --kill-child --mount-proc "$@" &
	inner=$!
	exec 9>&-
	signal=''
	trap 'signal=INT' INT
	trap 'signal=TERM' TERM HUP
	wait "$inner"
	status=$?
	[ -z "$signal" ] || kill -KILL "$inner" 2>/dev/null
	wait "$inner" "$keeper" 2>/dev/null
	return "$status"
}
