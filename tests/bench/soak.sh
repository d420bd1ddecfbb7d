#!/bin/bash
# memnet stream under all of its work at once for SOAK_SECONDS (3600): see soak.py, which does it and prints the
# figures. Its status says whether every byte was right, and memory and descriptors stayed what they were. As root
# one of the spaces is a tmpfs that comes, is resized and goes.
#
#   make soak      or      SOAK_SECONDS=60 tests/run -- tests/bench/soak.sh
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)

# shellcheck disable=SC2317 # called by the trap
cleanup() {
	umount -l "$work/run/vm1/tmp" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

python3 tests/bench/soak.py "${MEMNET:-$PWD/build/memnet}" "$work" "${SOAK_SECONDS:-3600}"
