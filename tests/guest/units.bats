#!/usr/bin/env bats
# shellcheck disable=SC1091,SC2016 # sourced by a variable path; the guest expands
# share/systemd and share/tmpfiles.d as `make install` puts them, under a real systemd: the first process of a guest,
# which plays the host here. A space at boot needs no VM yet.

bats_require_minimum_version 1.5.0

programs='/lib/systemd/systemd systemctl systemd-tmpfiles systemd-escape'
targets='basic sysinit multi-user shutdown umount final reboot local-fs paths slices sockets timers'

# Asked by every test: Debian 12's bats takes a skip in setup_file for a failure.
can_run()
{
	# shellcheck disable=SC2086 # words
	type $programs >/dev/null 2>&1
}

setup_file()
{
	can_run || return 0
	export VM_DEADLINE=300
	source "$BATS_TEST_DIRNAME/vm.sh"
	vm_setup
	vm_host_open
	for program in $programs; do
		vm_add_program "$program"
	done
	vm_add /lib/systemd/systemd
	for target in $targets; do
		vm_add "/lib/systemd/system/$target.target"
	done
	vm_add /lib/systemd/system/systemd-tmpfiles-setup.service
	install_memnet "$VM_DIR/root"
	vm_start units
	vm_wait_boot units
	vm_run units 'until systemctl is-active -q multi-user.target; do usleep 50000; done'
}

# What an administrator's host would have: memnet, and a unit enabled for a space.
install_memnet()
{
	local root=$1 wants=$1/etc/systemd/system/multi-user.target.wants

	make -C "$MEMNET_SRC" install DESTDIR="$root" PREFIX=/usr >/dev/null
	mkdir -p "$root/lib/systemd" "$wants" "$root/etc/systemd/system/memnet-space@web1-boot.service.d" "$root/usr/sbin"
	ln -s /usr/lib/systemd/system/memnet-space@.service "$wants/memnet-space@web1-boot.service"
	printf '[Service]\nEnvironment=SIZE=2M "OPTIONS=--inodes 500 --huge never"\n' \
		>"$root/etc/systemd/system/memnet-space@web1-boot.service.d/size.conf"
	ln -s multi-user.target "$root/lib/systemd/system/default.target"
	ln -s /usr/lib/tmpfiles.d "$root/lib/tmpfiles.d"
	echo root:x:0:0::/:/bin/sh >"$root/etc/passwd"
	echo root:x:0: >"$root/etc/group"
	echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"
}

teardown_file()
{
	can_run || return 0
	source "$BATS_TEST_DIRNAME/vm.sh"
	vm_teardown
}

setup()
{
	can_run || skip "no systemd here"
	source "$BATS_TEST_DIRNAME/vm.sh"
}

# guest COMMAND: in the guest, as a script that ends at the first failure
guest()
{
	vm_run units "set -e
no() { if \"\$@\"; then return 1; fi; }
$1"
}

@test "the run-time folder and an enabled space are there after boot" {
	guest '[ "$(readlink /proc/1/exe | grep -o "systemd$")" = systemd ]
		[ "$(stat -c %a /run/memnet /run/memnet/.qmp /run/memnet/.lock | tr "\n" " ")" = "711 711 700 " ]
		systemctl is-active memnet-space@web1-boot.service'
	[ "$(guest 'memnet share list -Hp')" = "$(printf 'web1/boot\t2097152\t0\t2097152\t0\t0\t')$(guest 'memnet share list -Hp' | cut -f 7-)" ]
	guest 'memnet share show web1/boot -j | grep -q "\"inodes\": *500"'
}

@test "start, restart and stop of a unit are create, both, and destroy" {
	guest 'unit=$(systemd-escape --template=memnet-space@.service web1/out)
		[ "$unit" = memnet-space@web1-out.service ]
		systemctl start $unit
		memnet share list -Hp | grep "^web1/out	67108864	"
		systemctl start $unit; systemctl restart $unit
		memnet share list -Hp | grep "^web1/out	67108864	"
		systemctl stop $unit
		no memnet share show web1/out'
}

@test "a reload gives the space the size that the unit says now" {
	guest 'systemctl start memnet-space@web1-re.service
		echo x >/run/memnet/web1/re/x
		mkdir -p /run/systemd/system/memnet-space@web1-re.service.d
		printf "[Service]\nEnvironment=SIZE=1M\n" >/run/systemd/system/memnet-space@web1-re.service.d/size.conf
		systemctl daemon-reload
		systemctl reload memnet-space@web1-re.service
		memnet share list -Hp | grep "^web1/re	1048576	"
		rm /run/memnet/web1/re/x; systemctl stop memnet-space@web1-re.service'
}

@test "a stop loses nothing: a space with objects stays, and the next start takes it" {
	guest 'systemctl start memnet-space@web1-kept.service
		echo kept >/run/memnet/web1/kept/object
		systemctl stop memnet-space@web1-kept.service
		[ "$(systemctl is-active memnet-space@web1-kept.service)" = inactive ]
		systemctl start memnet-space@web1-kept.service
		[ "$(cat /run/memnet/web1/kept/object)" = kept ]'
}

@test "a unit that cannot make its space fails" {
	guest 'mkdir -p /run/systemd/system/memnet-space@web1-bad.service.d
		printf "[Service]\nEnvironment=SIZE=12Q\n" >/run/systemd/system/memnet-space@web1-bad.service.d/size.conf
		systemctl daemon-reload
		no systemctl start memnet-space@web1-bad.service
		systemctl is-failed memnet-space@web1-bad.service
		no memnet share show web1/bad'
}

@test "systemd finds no fault in any unit, nor in the tmpfiles" {
	command -v systemd-analyze >/dev/null || skip "no systemd-analyze"
	root=$BATS_TEST_TMPDIR/root
	make -C "$MEMNET_SRC" install DESTDIR="$root" PREFIX=/usr >/dev/null
	for unit in "$root"/usr/lib/systemd/system/*; do
		name=$(basename "$unit")
		cp "$unit" "$BATS_TEST_TMPDIR/${name/@./@web1-out.}"
		sed -i "s|^\(Exec[A-Za-z]*=-\{0,1\}\)memnet |\1$root/usr/bin/memnet |" "$BATS_TEST_TMPDIR/${name/@./@web1-out.}"
		run systemd-analyze verify --man=no "$BATS_TEST_TMPDIR/${name/@./@web1-out.}"
		[ "$status" = 0 ]
		[[ $output != *"$BATS_TEST_TMPDIR"*:* ]] || { echo "$output"; return 1; }
	done
	[ "$(id -u)" = 0 ] || skip "not root: the rest makes root's folders"
	systemd-tmpfiles --create --root="$root" "$root/usr/lib/tmpfiles.d/memnet.conf"
	[ "$(stat -c %a "$root"/run/memnet{,/.qmp,/.lock} | tr '\n' ' ')" = "711 711 700 " ]
}

# --- memnet-tune.service ---

# Two spaces, and a loop of them. What lies between its end and its successor's start is time to look at what it left.
tune_ready()
{
	guest 'mkdir -p /etc/memnet /run/systemd/system/memnet-tune.service.d
		printf "[tune]\nperiod = 500ms\nbudget = 128M\n[space web2/a]\nmin = 16M\n[space web2/b]\nmin = 16M\nfailsafe = 40M\n" >/etc/memnet/memnet.conf
		printf "[Service]\nWatchdogSec=120\nRestartSec=15\n" >/run/systemd/system/memnet-tune.service.d/quick.conf
		systemctl daemon-reload
		for s in a b; do memnet share show web2/$s >/dev/null 2>&1 || memnet share create web2/$s --size 32M --no-attach; done
		systemctl is-active -q memnet-tune.service || systemctl start memnet-tune.service
		size() { memnet share list -Hp | sed -n "s,^web2/$1	\([0-9]*\).*,\1,p"; }
		until [ $(size b) = 16777216 ]; do usleep 50000; done'
}

# Runs it with the functions of these tests before it.
#	pid                   of the loop; restarted PID: until it is another one's
#	size a, until_size b BYTES
tune_guest()
{
	guest 'pid() { systemctl show -p MainPID --value memnet-tune.service; }
		size() { memnet share list -Hp | sed -n "s,^web2/$1	\([0-9]*\).*,\1,p"; }
		until_size() { until [ "$(size $1)" = $2 ]; do usleep 20000; done; }
		restarted() { until systemctl is-active -q memnet-tune.service && [ "$(pid)" != $1 ]; do usleep 50000; done; }
		no_watchdog() { ! grep -lxs memnet-watchdog /proc/[0-9]*/comm | grep -q .; }
'"$1"
}

@test "the controller's unit is ready once it looks, and its stop leaves safe sizes" {
	tune_ready
	tune_guest '[ "$(systemctl show -p NotifyAccess --value memnet-tune.service)" = main ]
		[ "$(cat /proc/$(pid)/comm)" = memnet ]
		systemctl stop memnet-tune.service
		[ "$(systemctl show -p Result --value memnet-tune.service)" = success ]
		[ $(size b) = 41943040 ]
		no_watchdog'
}

@test "a reload takes the new configuration, and refuses a bad one" {
	tune_ready
	tune_guest 'before=$(pid)
		sed -i "s/^min = 16M/min = 12M/" /etc/memnet/memnet.conf
		systemctl reload memnet-tune.service
		until_size b 12582912
		echo "mini = 1" >>/etc/memnet/memnet.conf
		systemctl reload memnet-tune.service
		sleep 1
		systemctl is-active memnet-tune.service
		[ $(pid) = $before ]
		systemctl stop memnet-tune.service
		no systemctl start memnet-tune.service
		systemctl reset-failed memnet-tune.service'
}

@test "a controller that is killed leaves safe sizes, and another one is started" {
	tune_ready
	# Its watchdog is not to be killed with it, however long it takes.
	tune_guest 'until_size b 16777216
		before=$(pid)
		watchdog=$(dirname $(grep -lxs memnet-watchdog /proc/[0-9]*/comm))
		kill -STOP ${watchdog#/proc/}
		kill -KILL $before
		while [ "$(pid)" = $before ]; do usleep 20000; done
		usleep 300000
		kill -CONT ${watchdog#/proc/}
		until [ ! -e $watchdog ] || [ "$(size b)" = 41943040 ]; do usleep 20000; done
		[ "$(size b)" = 41943040 ]
		restarted $before'
}

@test "a controller that stands still is ended, its spaces made safe, and another one started" {
	tune_ready
	# It is to answer within six seconds, from its next start on.
	tune_guest 'sed -i s/WatchdogSec=.*/WatchdogSec=6/ /run/systemd/system/memnet-tune.service.d/quick.conf
		systemctl daemon-reload
		systemctl restart memnet-tune.service
		until_size b 16777216
		before=$(pid)
		kill -STOP $before
		until_size b 41943040
		restarted $before
		until_size b 16777216
		rm -r /run/systemd/system/memnet-tune.service.d
		systemctl stop memnet-tune.service
		memnet share destroy web2/a
		memnet share destroy web2/b'
}
