#!/bin/bash
# zstd's cli-tests, each call also given to memnet compress: see README.md. `tests/zstd/run play` takes minutes more.
if [ ! -d "${MEMNET_SRC:-.}/build/deps/src/libzstd/tests/cli-tests" ] || ! command -v zstd >/dev/null; then
	echo "1..0 # SKIP no zstd, or no source of its tests"
	exit
fi
# What other versions' tests expect differs, and so would the lists of what is deliberate.
if ! zstd --version | grep -qF v1.5.4; then
	echo "1..0 # SKIP its lists are those of zstd 1.5.4"
	exit
fi
echo 1..1
if differs=$("$(dirname "$(readlink -f "$0")")/run" cli 2>&1); then
	echo "ok 1 - memnet compress does as zstd, or says why not"
else
	echo "not ok 1 - memnet compress does as zstd, or says why not"
fi
printf '%s\n' "$differs" | while IFS= read -r line; do echo "# $line"; done
