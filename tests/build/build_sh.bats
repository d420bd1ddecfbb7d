#!/usr/bin/env bats
# build.sh where it must not, or cannot, fetch. Its fetching is tested by whoever runs it first.

load helper
bats_require_minimum_version 1.5.0

setup() {
	top=$(realpath "$BATS_TEST_DIRNAME/../..")
	tree="$BATS_TEST_TMPDIR/tree"
	fake="$BATS_TEST_TMPDIR/bin"
	mkdir "$fake"
}

# fake NAME: a program of that name, its script on stdin, found before the real one.
fake() {
	{ echo '#!/bin/sh' && cat; } >"$fake/$1"
	chmod +x "$fake/$1"
}

fakes() {
	PATH="$fake:$PATH" "$@"
}

@test "a second run fetches nothing, and works without a network" {
	for each in apt-get apt-cache sudo; do
		fake $each <<<"echo $each was called; exit 1"
	done
	offline='unshare -rn'
	$offline true 2>/dev/null || offline=
	start=$(date +%s%N)
	# shellcheck disable=SC2086 # a command, or none
	run -0 fakes $offline "$top/build.sh"
	echo "# ${offline:-with a network}: $((($(date +%s%N) - start) / 1000000)) ms" >&3
	run ! grep -v -e CC -e AR -e LINK -e "^$" <<<"$output"
}

@test "without root or sudo it names what is missing, in one command to type" {
	copy_tree "$tree"
	ln -s /usr/bin/* "$fake/"
	rm -f "$fake/sudo" "$fake/id" "$fake/dpkg-query"
	fake id <<<'echo 1000'
	fake dpkg-query <<<'echo installed make; echo not-installed gcc'
	PATH=$fake run -1 "$tree/build.sh" </dev/null
	[[ ${lines[0]} == *"root or sudo"* ]]
	[[ ${lines[1]} == "su -c 'apt-get update && apt-get install -y --no-install-recommends gcc "*"'" ]]
	[[ ${lines[1]} != *" make "* ]]
	[ ! -e "$tree/build" ]

	fake sudo <<<'exit 1'
	PATH=$fake run -1 "$tree/build.sh" </dev/null
	[[ ${lines[1]} == "su -c "* ]]
}

@test "with sudo it installs what is missing, and only that" {
	copy_tree "$tree"
	fake id <<<'echo 1000'
	fake dpkg-query <<<'echo installed make; echo config-files gcc'
	# shellcheck disable=SC2016 # the script's own
	fake sudo <<<'echo "sudo $*" >&2; [ "$1" = -n ]'
	run ! fakes "$tree/build.sh" </dev/null
	[[ $output == *"sudo env DEBIAN_FRONTEND=noninteractive apt-get "*" install gcc binutils "* ]]
	[[ $output != *" make "* ]]
}

@test "a download that fails leaves nothing that looks complete" {
	copy_tree "$tree"
	mkdir -p "$tree/build/deps/src.part/libnl3"
	fake dpkg-query <<<"exec $(command -v dpkg-query) \"\$@\""
	fake apt-get <<-'EOF'
		case $* in
		*--print-uris*) echo "'http://mirror.invalid/debian/dists/s/main/binary-$(dpkg --print-architecture)/Packages.xz' x" ;;
		*source*) : >libnl3_1.orig.tar.gz && exit 100 ;;
		esac
	EOF
	run ! fakes "$tree/build.sh"
	[ ! -e "$tree/build/deps/src" ]
	[ ! -e "$tree/build/apt" ]
	run ! make -C "$tree"
	[[ $output == *'run ./build.sh'* ]]
}

@test "mirrors are taken from every kind of apt's source files" {
	copy_tree "$tree"
	parts=$BATS_TEST_TMPDIR/parts
	mkdir "$parts"
	cat >"$parts/one.list" <<-'EOF'
		deb cdrom:[Debian GNU/Linux]/ suite main
		deb [arch=amd64,arm64 trusted=yes] http://one.invalid/debian suite main contrib
		deb http://one.invalid/debian suite-backports main
		# deb http://commented.invalid/debian suite main
		deb http://flat.invalid/debian ./
		deb http://third.invalid/apt any stable
	EOF
	cat >"$parts/two.sources" <<-'EOF'
		Types: deb deb-src
		URIs: https://two.invalid/debian
		Suites: suite suite-updates
		Components: main non-free-firmware
		Signed-By:
		 -----BEGIN PGP PUBLIC KEY BLOCK-----
		 .
		 mQINBFyy5ecBEADX
		 -----END PGP PUBLIC KEY BLOCK-----

		Types: deb
		Enabled: no
		URIs: http://disabled.invalid/debian
		Suites: suite
		Components: main
	EOF
	cat >"$BATS_TEST_TMPDIR/conf" <<-EOF
		Dir::Etc::sourcelist "/dev/null";
		Dir::Etc::sourceparts "$parts";
	EOF
	# Only the question goes to the real apt-get; the list it led to is kept.
	fake apt-get <<-EOF
		case \$* in
		*--print-uris*) APT_CONFIG=$BATS_TEST_TMPDIR/conf exec $(command -v apt-get) "\$@" ;;
		*update*) cp $tree/build/apt/system/sources.list $BATS_TEST_TMPDIR/found ;;
		*) exit 100 ;;
		esac
	EOF
	run ! fakes "$tree/build.sh"
	run sed 's/\[.*signed-by=[^ ]*debian[^ ]*\] //' "$BATS_TEST_TMPDIR/found"
	[ "$(sort -u <<<"$output")" = "deb http://one.invalid/debian suite main
deb https://two.invalid/debian suite main
deb https://two.invalid/debian suite-updates main
deb-src http://one.invalid/debian suite main
deb-src https://two.invalid/debian suite main
deb-src https://two.invalid/debian suite-updates main" ]
}

@test "two at once: the second waits for the first" {
	copy_tree "$tree"
	exec 8<"$tree"
	flock 8
	"$tree/build.sh" clean 2>"$BATS_TEST_TMPDIR/said" 3>&- 8<&- &
	until grep -q waiting "$BATS_TEST_TMPDIR/said"; do
		kill -0 $!
		sleep 0.05
	done
	exec 8<&-
	wait $!
}

@test "clean keeps what was fetched, distclean keeps nothing" {
	copy_tree "$tree"
	mkdir -p "$tree"/build/{deps/src,guest,guest13,tools,obj,tests}
	"$tree/build.sh" clean
	[ "$(ls "$tree/build")" = $'deps\nguest\nguest13\ntools' ]
	"$tree/build.sh" distclean
	[ ! -e "$tree/build" ]
}

@test "a command it does not know is a usage error" {
	run -2 "$top/build.sh" instal
	[[ $output == usage:* ]]
	run -0 "$top/build.sh" help
	[[ $output == usage:* ]]
}
