#!/usr/bin/env bats
# make install and make uninstall, below a DESTDIR with a space in its name.

setup() {
	root="$BATS_TEST_TMPDIR/dest dir"
	cd "$BATS_TEST_DIRNAME/../.." || return
}

make_() {
	make "$1" DESTDIR="$root" PREFIX=/usr
}

@test "every command is installed: its link works, its manual page is there" {
	make_ install
	"$root/usr/bin/memnet" --version
	for command in $("$root/usr/bin/memnet" --list-commands); do
		"$root/usr/bin/memnet-$command" --help | grep -q "^usage: memnet $command"
		[ -s "$root/usr/share/man/man1/memnet-$command.1" ]
	done
}

@test "uninstall removes all of that, and nothing else" {
	mkdir -p "$root/usr/share/memnet" "$root/usr/bin"
	echo mine | tee "$root/usr/share/memnet/mine" >"$root/usr/bin/memnet-mine"
	make_ install
	make_ install
	make_ uninstall
	make_ uninstall
	run find "$root" ! -type d
	[ "$(sort <<<"$output")" = "$root/usr/bin/memnet-mine
$root/usr/share/memnet/mine" ]
}
