#!/usr/bin/env bats
# What memnet share takes for granted of QEMU.

bats_require_minimum_version 1.5.0

setup_file()
{
	type qemu-system-x86_64 socat jq >/dev/null 2>&1 || skip "no QEMU, socat or jq"
	mkdir "$BATS_FILE_TMPDIR/pool"
	qemu-system-x86_64 -S -machine q35 -accel tcg -m 32 -nodefaults -display none -daemonize -pidfile "$BATS_FILE_TMPDIR/pid" \
		-device pcie-root-port,id=root7 -qmp "unix:$BATS_FILE_TMPDIR/qmp.sock,server=on,wait=off" \
		-fsdev "local,id=memnet,path=$BATS_FILE_TMPDIR/pool,security_model=mapped-file,multidevs=remap" 3>&-
}

teardown_file()
{
	kill "$(cat "$BATS_FILE_TMPDIR/pid")"
}

# ask COMMAND ARGUMENTS…: the answers, without greeting and events
ask()
{
	local lines=('{"execute":"qmp_capabilities"}')

	while [ $# -gt 0 ]; do
		lines+=("{\"execute\":\"$1\",\"arguments\":$2,\"id\":1}")
		shift 2
	done
	# QEMU ends the connection when it has answered all: -t is for how long it may take to.
	printf '%s\n' "${lines[@]}" | socat -t 30 - UNIX-CONNECT:"$BATS_FILE_TMPDIR/qmp.sock" | jq -c 'select(.id)'
}

plug='{"driver":"virtio-9p-pci","id":"ID","fsdev":"memnet","mount_tag":"memnet","bus":"BUS"}'

@test "q35's own bus takes nothing while the VM runs" {
	[[ $(ask device_add "${plug//BUS/pcie.0}") == *"does not support hotplugging"* ]]
}

@test "an occupied root port may answer success: look before" {
	first=${plug//ID/first}
	second=${plug//ID/second}
	run ask device_add "${first//BUS/root7}" device_add "${second//BUS/root7}"
	jq -e '.return == {}' <<<"${lines[0]}"
	# QEMU 7.2 takes the second without a word; QEMU 10 does not.
	jq -e '.return == {} or (.error.desc | contains("already occupied"))' <<<"${lines[1]}"
	ask qom-list '{"path":"/machine/peripheral/root7/root7"}' | jq -r '.return[].name' | grep -q '^child\['
}

@test "query-pci sees nothing behind a port that no guest has set up" {
	[ "$(ask query-pci '{}' | grep -c '"qdev_id": *"first"')" = 0 ]
}

@test "the virtio status begins with the names of its bits" {
	ask x-query-virtio-status '{"path":"/machine/peripheral/first/virtio-backend"}' |
		jq -e '.return.status.statuses | type == "array"'
}

@test "device_del answers at once, a second one says that it is under way" {
	[ "$(ask device_del '{"id":"first"}' | jq -c .return)" = '{}' ]
	[[ $(ask device_del '{"id":"first"}') == *"in the process of unplug"* ]]
	[[ $(ask qom-list '{"path":"/machine/peripheral"}') == *'"first"'* ]]
}

@test "nothing lists the fsdevs" {
	[ "$(ask query-qmp-schema '{}' | grep -c fsdev)" = 0 ]
}
