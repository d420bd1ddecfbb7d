#!/bin/sh
# Includes point one way, from cmd down to base, and spell the layer: "space/record.h".
# usage: includes.sh TREE
set -eu
cd "$1"

# What each layer may include besides itself.
below() {
	case $1 in
	cmd) echo base qmp space guest host control energy ;;
	guest) echo space base ;;
	host) echo space energy base ;;
	control) echo space qmp energy base ;;
	qmp | space | energy) echo base ;;
	base) ;;
	*) echo "tests/lint/includes.sh does not know the layer $1" >&2 && exit 1 ;;
	esac
}

wrong=0
for file in cmd/*.[ch] core/*/*.[ch]; do
	[ -e "$file" ] || continue
	layer=${file#core/}
	layer=${layer%%/*}
	allowed=" $layer $(below "$layer") "
	# shellcheck disable=SC2013 # an include has no spaces
	for include in $(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/\1/p' "$file"); do
		case $include in
		*/*) to=${include%%/*} ;;
		*) to="no layer" ;;
		esac
		case $allowed in *" $to "*) continue ;; esac
		echo "$file: \"$include\": $layer may not include $to" >&2
		wrong=1
	done
done
exit $wrong
