#!/usr/bin/env bats
# shellcheck disable=SC1091,SC2016 # sourced by a variable path; the guest expands
# What others' file system exercisers find on a space that is being resized, beside plain tmpfs in the guest and plain
# 9p: fio --verify, fsx and pjdfstest. A space may fail nothing that plain 9p does not fail. tests/README.md has the
# table, which the tests print anew.
#
#   FSX         a static fsx (xfstests, ltp/fsx.c)
#   PJDFSTEST   a tree of pjdfstest, with the static program built in it
#   POSIX_DIRS  the parts of pjdfstest, all by default: an hour without KVM

bats_require_minimum_version 1.5.0

setup_file()
{
	export POSIX_DIRS=${POSIX_DIRS:-chmod chown ftruncate link mkdir mkfifo mknod open posix_fallocate rename rmdir symlink truncate unlink utimensat}
	source "$BATS_TEST_DIRNAME/vm.sh"
	vm_setup
	vm_host_open
	export MEMNET_RUNTIME_DIR=$VM_DIR/run VM_DEADLINE=1800
	! command -v fio >/dev/null || vm_add_program fio
	[ -z "${FSX:-}" ] || vm_add "$FSX" /bin/fsx
	[ -z "${PJDFSTEST:-}" ] || add_pjdfstest
	vm_host sh -c 'mkdir "$1" && mount -t tmpfs -o size=256M plain "$1"' sh "$VM_DIR/plain"
	model=$(vm_host "$MEMNET" share check -H | sed -n 's/^OK\tattributes\t.*: \(mapped-[a-z]*\)$/\1/p')
	VM_MEM=1G vm_start_memnet posix -fsdev "local,id=plain,path=$VM_DIR/plain,security_model=$model,multidevs=remap" \
		-device virtio-9p-pci,fsdev=plain,mount_tag=plain
	vm_wait_boot posix
	share create posix/space --size 256M
	share attach posix
	vm_run posix 'set -e
		memnet share mount; memnet share mount plain /mnt/plain
		mkdir -p /mnt/tmpfs; mount -t tmpfs -o size=256M tmpfs /mnt/tmpfs
		ln -s /mnt/memnet/space /mnt/space
		chmod 755 /mnt/plain /mnt/tmpfs /mnt/memnet/space'
}

teardown_file()
{
	source "$BATS_TEST_DIRNAME/vm.sh"
	vm_teardown
}

setup()
{
	source "$BATS_TEST_DIRNAME/vm.sh"
}

share()
{
	vm_host "$MEMNET" share "$@"
}

# pjdfstest starts a dozen processes for each test, a name of which openssl is one: half the time that a guest without
# KVM takes. Its shell does here what they do.
add_pjdfstest()
{
	local tree=$VM_DIR/root/pjdfstest

	mkdir -p "$tree"
	cp -r "$PJDFSTEST/pjdfstest" "$PJDFSTEST/tests" "$tree/"
	printf '#!/bin/sh\nread -r name </proc/sys/kernel/random/uuid\necho "${name//-/}"\n' >"$VM_DIR/root/bin/openssl"
	chmod 755 "$VM_DIR/root/bin/openssl"
	printf '%s:x:%d:%d::/:/bin/sh\n' root 0 0 nobody 65534 65534 >"$VM_DIR/root/etc/passwd"
	sed -i '/^require posix_fallocate/d' "$tree/tests/posix_fallocate"/*.t # for FreeBSD only, it says
	cat >>"$tree/tests/conf" <<-'END'
		GREP=match
		match() { local line; IFS= read -r line; [[ $line =~ $2 ]]; }
		tail() { local line last=; while IFS= read -r line; do last=$line; done; echo "$last"; }
	END
}

# on PLACE COMMAND: in the guest, in a fresh folder of the place; a space changes its size all the while
on()
{
	local place=$1 status=0 guest size=128M

	vm_run posix "mkdir -p /mnt/$place/d && chmod 755 /mnt/$place/d && cd /mnt/$place/d && { $2
		}; status=\$?; cd /; rm -rf /mnt/$place/d; exit \$status" >"$BATS_TEST_TMPDIR/$place" 2>&1 3>&- &
	guest=$!
	while [ "$place" = space ] && kill -0 "$guest" 2>/dev/null; do
		share resize posix/space "$size"
		[ $size = 128M ] && size=256M || size=128M
		sleep 0.1
	done
	wait "$guest" || status=$?
	return $status
}

say()
{
	echo "# $*" >&3
}

@test "fio --verify" {
	command -v fio >/dev/null || skip "no fio"
	for place in tmpfs plain space; do
		on $place 'fio --name=v --directory=. --size=16m --nrfiles=4 --rw=randwrite --bsrange=4k-256k --ioengine=psync \
			--verify=crc32c --verify_fatal=1 --do_verify=1 --loops=3 --fallocate=none'
		grep -q 'err= 0' "$BATS_TEST_TMPDIR/$place"
		say "fio --verify, 3 times 16 MB: $place verified"
	done
}

# Shared mappings need cache=mmap: -R and -W leave them out. What a file system lacks, fsx finds out by itself.
@test "fsx" {
	[ -n "${FSX:-}" ] || skip "FSX names no fsx"
	for place in tmpfs plain space; do
		for seed in 1 2 3; do
			on $place "fsx -q -S $seed -N 5000 -l 4000000 -R -W file" || {
				tail -n 30 "$BATS_TEST_TMPDIR/$place"
				return 1
			}
		done
		say "fsx, 3 times 5000 operations: $place is right"
	done
}

# Each line that fails, as FILE NUMBER, and how many there were.
pjdfstest()
{
	on "$1" 'for part in '"$POSIX_DIRS"'; do
			for file in /pjdfstest/tests/$part/*.t; do
				sh $file 2>&1 | sed "s,^,$part/${file##*/} ,"
			done
		done' || true
	awk '$2 == "ok" { good++ } $2 == "not" && !/# TODO/ { bad++ } END { print good + 0, bad + 0 }' "$BATS_TEST_TMPDIR/$1"
}

@test "pjdfstest: a space fails nothing that plain 9p does not" {
	[ -n "${PJDFSTEST:-}" ] || skip "PJDFSTEST names no pjdfstest"
	for place in tmpfs plain space; do
		say "pjdfstest: $place: $(pjdfstest $place) (passed, failed)"
		grep -v '# TODO' "$BATS_TEST_TMPDIR/$place" | awk '$2 == "not" { print $1, $4 }' | sort >"$BATS_TEST_TMPDIR/$place.bad"
		for part in $POSIX_DIRS; do
			say "  $place $part $(grep -c "^$part/[^ ]* ok" "$BATS_TEST_TMPDIR/$place") $(grep -c "^$part/" "$BATS_TEST_TMPDIR/$place.bad")"
		done
	done
	[ -s "$BATS_TEST_TMPDIR/plain" ]
	[ "$(grep -c 'ok [0-9]' "$BATS_TEST_TMPDIR/space")" = "$(grep -c 'ok [0-9]' "$BATS_TEST_TMPDIR/plain")" ]
	run comm -13 "$BATS_TEST_TMPDIR/plain.bad" "$BATS_TEST_TMPDIR/space.bad"
	[ -z "$output" ] || { echo "$output" | head -50; return 1; }
}
