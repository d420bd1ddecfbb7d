#!/bin/sh
# Builds, tests and shows memnet on Debian, and fetches by itself whatever is missing for that:
# packages through the system's apt, everything else through a private apt beneath build/.
# What is there is not looked at again: a second run needs neither network nor privileges.
set -eu

usage() {
	cat <<-'EOF'
	usage: ./build.sh [COMMAND]
	  build      build/memnet, one static binary (the default)
	  test       build, then run every test
	  demo       build, then run the main job in a real QEMU guest
	  bench      build, then measure
	  deps       only what build installs, fetches and compiles first
	  clean      remove what was compiled, keep what was fetched
	  distclean  remove build/ altogether
	  help       this text
	EOF
}

# The Debian packages each part needs. None of them starts a daemon.
packages_of() {
	case $1 in
	build)
		echo gcc binutils musl-tools linux-libc-dev make patch xz-utils debian-archive-keyring
		;;
	demo)
		echo "qemu-system-$qemu" busybox-static curl zstd jq iproute2 socat
		;;
	test)
		echo perl python3-minimal bats git clang libclang-rt-dev libc6-dev clang-format clang-tidy cppcheck \
			shellcheck mandoc bash zsh fish openssl wget aria2 wrk fio
		;;
	bench)
		echo ffmpeg gnuplot-nox procps "$(virtiofsd)"
		;;
	esac
}

# Its package; in Debian 12 and Ubuntu 22.04 it is part of QEMU's.
virtiofsd() {
	case $(cat /etc/debian_version) in
	12* | bookworm*) ;;
	*) echo virtiofsd ;;
	esac
}

say() { echo "build.sh: $*" >&2; }
die() { say "$@" && exit 1; }

# Debian packages, installed ---------------------------------------------------------------------

# Install what the named parts need and the system lacks.
packages() {
	wanted=$(for part; do packages_of "$part"; done | tr ' ' '\n')
	# shellcheck disable=SC2086,SC2016 # a list of names; dpkg-query's own variables
	installed=$(dpkg-query -Wf '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
		sed -n 's/^installed //p')
	missing=$(echo "$wanted" | grep -vxF "$installed" | paste -sd ' ')
	[ "$missing" ] || return 0

	if [ "$(id -u)" -eq 0 ]; then
		sudo=
	elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
		sudo=sudo
	else
		die "packages are missing, and it takes root or sudo to install them. Type:
su -c 'apt-get update && apt-get install -y --no-install-recommends $missing'"
	fi
	say "installing $missing"
	# shellcheck disable=SC2086
	{
		# Lists that are absent, or that name files the mirror has dropped since.
		system_apt install --simulate $missing >/dev/null 2>&1 || system_apt update || :
		system_apt install $missing || { system_apt update && system_apt install $missing; }
	} >/dev/null
}

system_apt() {
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# Everything else, fetched into build/ -----------------------------------------------------------

# apt-get or apt-cache on the system's mirrors of Debian's main archive, sources included, but with
# lists and cache of our own, so that anyone may use it. Debian's key must have signed them: other
# archives, and those that cannot be reached, draw a warning and no more. With $suite it is that
# one, from the same mirrors.
private_apt() {
	apt=$top/build/apt/${suite:-system}
	key=/usr/share/keyrings/debian-archive-keyring.gpg
	if [ ! -d "$apt" ]; then
		mkdir -p "$apt/lists/partial" "$apt/archives/partial"
		# No sandbox, as _apt may not enter here. Hooks are for the system's own lists.
		cat >"$apt/conf" <<-EOF
			Dir::State::lists "$apt/lists";
			Dir::Cache "$apt";
			Dir::Etc::sourcelist "$apt/sources.list";
			Dir::Etc::sourceparts "/dev/null";
			Acquire::Languages "none";
			Acquire::http::Timeout "20";
			APT::Sandbox::User "root";
			#clear APT::Update;
		EOF
		# apt tells what it would fetch, which spares us the formats of sources.list(5).
		apt-get --print-uris update |
			sed -n "s|^'\(.*\)/dists/\(.*\)/main/binary-$arch/Packages.*|\1 \2 main|p" |
			grep -ve ^cdrom: -e -backports | of_suite |
			sed "s|.*|deb [arch=$arch target=Packages signed-by=$key] &\\n\
deb-src [target=Sources signed-by=$key] &|" >"$apt/sources.list"
		[ -s "$apt/sources.list" ] || die "apt knows no mirror of Debian: see sources.list(5)"
		say "fetching package lists"
		apt-get -qq -c "$apt/conf" update || :
		ls "$apt/lists/"*_Sources* >/dev/null 2>&1 ||
			die "no mirror of Debian answered: is there a network? See apt's words above"
	fi
	command=$1
	shift
	"$command" -qq -c "$apt/conf" "$@"
}

# Of lines "MIRROR SUITE main" those of $suite: of the mirrors that have a release, not its updates.
of_suite() {
	if [ "${suite-}" ]; then
		sed -n "s|^\([^ ]*\) [^ -]* main$|\1 $suite main|p" | sort -u
	else
		cat
	fi
}

# The third-party sources, with Debian's security fixes. None of Debian's patches to libnl3 is
# about what memnet uses of it.
sources() {
	[ -d build/deps/src ] && return
	part=build/deps/src.part
	rm -rf $part && mkdir -p $part && cd $part
	private_apt apt-get --download-only --only-source --tar-only source libnl3
	private_apt apt-get --download-only --only-source source cjson libzstd
	say "unpacking $(echo ./*.orig.tar.?z | sed 's|\./||g; s|\.orig\.tar\..z||g')"
	for name in libnl3 cjson libzstd; do
		mkdir $name
		tar --no-same-owner --strip-components 1 -C $name -xf "$(echo ${name}_*.orig.tar.?z)"
		[ $name = libnl3 ] && continue
		tar --no-same-owner -C $name -xf "$(echo ${name}_*.debian.tar.?z)"
		grep -v '^#' $name/debian/patches/series | while read -r patch; do
			patch -d $name -sp1 <"$name/debian/patches/$patch"
		done
	done
	cd "$top"
	mv $part build/deps/src
}

# The guest's kernel: Debian's own, which has 9p; the cloud kernel has not.
guest() {
	kernel build/guest
}

# That of Debian 13, for one test; where it cannot be had, that is skipped.
guest13() {
	mkdir -p build/guest13
	(suite=trixie && kernel build/guest13) || say "no kernel of Debian 13: one test will be skipped"
}

kernel() {
	unpack "$1/linux" "linux-image-$arch" depends || return
	# Where /lib is /usr/lib.
	[ -e "$1/linux/lib" ] || ln -s usr/lib "$1/linux/lib"
}

# nginx, to compare with; unpacked, for its package would start it.
web_server() {
	unpack build/tools/nginx nginx
}

# unpack DIR PACKAGE [depends]: the package, or the one it depends on, as DIR.deb and unpacked in DIR.
# It is also called in a condition, where set -e means nothing.
unpack() {
	[ -d "$1" ] && return
	name=$2
	[ "${3-}" ] && name=$(private_apt apt-cache depends "$2" | sed -n 's/^ *Depends: //p')
	say "fetching $name"
	part=$1.part
	rm -rf "$part" && mkdir -p "$part"
	(cd "$part" && private_apt apt-get download "$name") &&
		mv "$part"/*.deb "$1.deb" &&
		dpkg-deb -x "$1.deb" "$part" &&
		mv "$part" "$1"
}

# Commands ---------------------------------------------------------------------------------------

compile() {
	make --no-print-directory -j"$(nproc)" "$@" 9<&-
}

# The rest of the run is another program's: neither the lock nor our traps go with it.
become() {
	rm -rf build/apt
	exec "$@" 9<&-
}

top=$(dirname "$(readlink -f "$0")")
cd "$top"
arch=$(dpkg --print-architecture)
case $arch in arm64) qemu=arm ;; *) qemu=x86 ;; esac

command=${1-build}
[ $# -eq 0 ] || shift
case $command in
build | deps | test | demo | bench | clean | distclean) ;;
help | --help | -h) usage && exit ;;
*) usage >&2 && exit 2 ;;
esac

# One build.sh at a time in this tree; the folder itself is the lock.
exec 9<.
flock -n 9 || { say "waiting for another build.sh" && flock 9; }
rm -rf build/apt
trap 'rm -rf "$top/build/apt"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

case $command in
build)
	packages build
	sources
	compile
	;;
deps)
	packages build
	sources
	compile deps
	;;
test)
	packages build demo test bench
	sources
	guest
	guest13
	web_server
	compile tests
	become tests/run
	;;
demo)
	packages build demo
	sources
	guest
	compile
	become tests/run -- tests/demo/demo.sh "$@"
	;;
bench)
	packages build demo bench
	sources
	guest
	web_server
	compile
	become make --no-print-directory bench
	;;
clean)
	[ ! -d build ] || find build -mindepth 1 -maxdepth 1 \
		! -name deps ! -name 'guest*' ! -name tools -exec rm -rf {} +
	;;
distclean)
	rm -rf build
	;;
esac
