#!/bin/sh
# Every shell script, bats file and completion of the tree, through the checker of its language.
set -eu
cd "$(dirname "$0")/../.."

scripts=$(find . \( -path ./build -o -path ./.git \) -prune -o -type f -exec \
	awk 'FNR == 1 && /^#!.*[\/ ](sh|bash|bats)$/ { print FILENAME } { nextfile }' {} +)
# shellcheck disable=SC2086 # a list of paths
shellcheck $scripts

for file in completions/*; do
	case $file in
	*.bash) shellcheck -s bash "$file" ;;
	*/_*) zsh -n "$file" ;;
	*.fish) fish -n "$file" ;;
	esac
done
