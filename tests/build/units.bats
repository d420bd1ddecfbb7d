#!/usr/bin/env bats
# The installed systemd units: understood by systemd, and naming only what is installed with them.

setup() {
	command -v systemd-analyze >/dev/null || skip "no systemd"
	D=$BATS_TEST_TMPDIR/units
	mkdir "$D"
}

@test "systemd understands every unit" {
	for unit in "$MEMNET_SRC"/share/systemd/*.service; do
		# It looks for programs in its own path only.
		sed "s|^\(Exec[A-Za-z]*=-*\)memnet |\1$MEMNET |" "$unit" >"$D/$(basename "$unit")"
	done
	cp "$D/memnet-stream@.service" "$D/memnet-stream@web1-out.service"
	cp "$D/memnet-space@.service" "$D/memnet-space@web1-out.service"
	rm "$D"/*@.service
	sed 's/^Type=.*/Type=nonsense/' "$D/memnet-tune.service" >"$D/wrong.service"
	run systemd-analyze verify --man=no "$D/wrong.service"
	[[ $output == *wrong.service*nonsense* ]]
	rm "$D/wrong.service"
	for unit in "$D"/*.service; do
		run systemd-analyze verify --man=no "$unit"
		echo "$output"
		[[ $output != *"$(basename "$unit")"* ]]
	done
}

@test "units are ordered after units that exist" {
	# shellcheck disable=SC2013 # words are meant
	for name in $(sed -n 's/^\(After\|Before\|Requires\|Wants\)=//p' "$MEMNET_SRC"/share/systemd/*.service); do
		case $name in
		memnet-*) [ -e "$MEMNET_SRC/share/systemd/${name/@%i/@}" ] || { echo "no $name"; false; } ;;
		esac
	done
}
