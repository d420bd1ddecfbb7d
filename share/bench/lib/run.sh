# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the settings are memnet-bench's
# One run: clients that fetch what was made earlier from one server, and meanwhile a job in the guest.

# figure METRIC VALUE: a line of runs.tsv, for the run that is described by $scenario $way $cap $round
figure() {
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$scenario" "$way" "$cap" "$round" "$1" "$2" >>"$out/runs.tsv"
}

# What a run leaves: DIR/raw/SCENARIO.WAY.CAP.ROUND.*
raw() {
	echo "$out/raw/$scenario.$way.$cap.$round"
}

# Whether there is time for another run; --quick and --smoke promise an end.
in_time() {
	[ $((SECONDS - began_s)) -ge "$limit_s" ] || return 0
	say "time is up: without $scenario${cap:+, $cap}, $way"
	left_out+="${left_out:+; }$scenario, $way${cap:+, $cap}"
	return 1
}

now() {
	echo "${EPOCHREALTIME/,/.}"
}

minus() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a - b }'
}

plus() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", a + b }'
}

# --- clients and energy ----------------------------------------------------------------------------------------------

# start_clients COUNT RAMP
start_clients() {
	ip netns exec clients "$helpers/client_bench" -n "$1" -u "$2" -t 1h -o "$(raw)." "$(url_of "$way" earlier)" \
		>"$(raw).sums.tsv" 2>"$work/clients.log" &
	clients_pid=$!
	start_power
}

stop_clients() {
	local status

	kill -TERM "$clients_pid" 2>/dev/null
	wait "$clients_pid"
	status=$?
	stop_power
	[ "$status" = 0 ] || no_bytes || die "the clients failed: $(cat "$work/clients.log")"
	figure late_s "$(awk -F '\t' 'NR == 2 { print $NF }' "$(raw).sums.tsv")"
}

# Not a single byte for all clients: an answer, if it is the emulated guest's.
no_bytes() {
	[ "$way" = guest ] && [ "$(awk -F '\t' 'NR == 2 { print $3 }' "$(raw).sums.tsv")" = 0 ] && unstick
}

start_power() {
	"$helpers/power_bench" 3600 "$vm_process" "$stream_pid" "$nginx_pid" ${clients_pid:+"$clients_pid"} >"$(raw).power.tsv" 2>"$work/power.log" &
	power_pid=$!
}

stop_power() {
	kill "$power_pid"
	wait "$power_pid" 2>/dev/null
	clients_pid=''
	[ -s "$(raw).power.tsv" ] || die "no figures of energy: $(cat "$work/power.log")"
}

# --- CPU -------------------------------------------------------------------------------------------------------------

# "VCPU OTHER": CPU seconds so far of the vCPU, and of all else that is QEMU's, vhost included: as the cgroup counts it,
# or without one as the process does.
qemu_cpu() {
	vm_cpu "$vm" | awk -v all="$(cgroup_cpu)" '{ other = all == "" ? $2 : all - $1; print $1, (other > 0 ? other : 0) }'
}

cgroup_cpu() {
	if [ -f "$cgroup/cpu.stat" ] && grep -q usage_usec "$cgroup/cpu.stat"; then
		awk '$1 == "usage_usec" { printf "%.6f", $2 / 1e6 }' "$cgroup/cpu.stat"
	elif [ -f "$cgroup/cpuacct.usage" ]; then
		awk '{ printf "%.6f", $1 / 1e9 }' "$cgroup/cpuacct.usage"
	fi
}

# "VCPU OTHER SERVER ALL": CPU seconds so far of the vCPU, the rest of QEMU, what serves on the host, and the machine
cpu_so_far() {
	local pid server=0

	for pid in "$stream_pid" "$nginx_pid" ${virtiofsd_pid:-}; do
		server="$server + $(vm_process_cpu "$pid")"
	done
	echo "$(qemu_cpu) $(awk "BEGIN { print $server }")" \
		"$(awk -v hz="$(getconf CLK_TCK)" '/^cpu / { print ($2 + $3 + $4 + $7 + $8) / hz }' /proc/stat)"
}

# cpu_figures BEFORE AFTER
cpu_figures() {
	local name value

	while read -r name value; do
		figure "$name" "$value"
	done < <(awk -v before="$1" -v after="$2" 'BEGIN {
		split(before, b); n = split("vcpu_s qemu_other_s server_s machine_s", name); split(after, a)
		for (i = 1; i <= n; i++) printf "%s %.3f\n", name[i], (a[i] > b[i] ? a[i] - b[i] : 0)
	}')
}

# --- the job ---------------------------------------------------------------------------------------------------------

# timed_job COMMAND: sets job_began, job_ended, and writes the figures of the job by itself
timed_job() {
	local before after times=1

	[ "$way" != bare ] || times=${bare_times[$scenario]}
	before=$(cpu_so_far)
	job_began=$(now)
	many_times "$times" "$1" >"$work/job.log" 2>&1 || die "the job failed ($scenario, $way): $(tail -n 5 "$work/job.log")"
	job_ended=$(now)
	after=$(cpu_so_far)
	figure job_s "$(awk -v a="$job_ended" -v b="$job_began" -v n="$times" 'BEGIN { printf "%.3f", (a - b) / n }')"
	cpu_figures "$before" "$after"
}

# many_times N COMMAND
many_times() {
	local i

	for ((i = 0; i < $1; i++)); do
		at_way "$2" || return
	done
}

# fetch PATH…: what a client gets for them, one behind the other
fetch() {
	local path urls=()

	for path; do
		urls+=("$(url_of "$way" "$path")")
	done
	in_clients curl -sS --fail --connect-timeout 10 --max-time 120 "${urls[@]}"
}

# An emulated guest's network was seen to stand still under more clients than it can feed. The run counts as it was; it
# is told, and the next one begins afresh.
unstick() {
	[ "$way" = guest ] || return
	say "the guest's network stands still: its card is reset"
	figure stuck 1
	guest_network_anew || die "the guest's network card cannot be reset"
	await "nginx in the guest" answers "http://$guest_ip/"
}

# check_result KIND PATH…: every way makes the same bytes: what is served is what the first one served.
check_result() {
	local kind=$1 sum

	shift
	set -o pipefail
	sum=$(fetch "$@" | sha256sum) || { unstick && sum=$(fetch "$@" | sha256sum); } || die "cannot fetch the result ($scenario, $way)"
	set +o pipefail
	[ -s "$work/$kind.sum" ] || echo "$sum" >"$work/$kind.sum"
	[ "$sum" = "$(cat "$work/$kind.sum")" ] || die "what $way serves is not what the others do ($kind)"
	at_way "rm -rf $(folder_of "$way")/out/*"
}

# --- phases ----------------------------------------------------------------------------------------------------------

# phase NAME FROM TO: figures of what clients got and the machine used between two times of the wall clock
phase() {
	local name value

	while read -r name value; do
		figure "$1_$name" "$value"
	done < <(awk -v from="$2" -v to="$3" -v clients="$count" -f "$lib/lib/phase.awk" \
		"$(raw).series.tsv" "$(raw).stalls.tsv" "$(raw).power.tsv")
}

# delivered COUNT JOB: clients alone, then with the job, then alone again
delivered() {
	local count=$1 job=$2 began settled

	start_clients "$count" 1
	began=$(now)
	sleep "$lead_s"
	timed_job "$job"
	sleep "$tail_s"
	stop_clients
	settled=$(plus "$began" "$settle_s")
	phase stream "$settled" "$job_began"
	phase hybrid "$job_began" "$job_ended"
	printf 'settled\t%s\njob_began\t%s\njob_ended\t%s\n' "$settled" "$job_began" "$job_ended" >"$(raw).phases.tsv"
}

# The job with nobody to fetch anything.
undisturbed() {
	local name value

	start_power
	sleep 0.5	# the first intervals of the energy's figures
	timed_job "$1"
	sleep 0.5
	stop_power
	while read -r name value; do
		figure "alone_$name" "$value"
	done < <(awk -v from="$job_began" -v to="$job_ended" -v clients=0 -f "$lib/lib/phase.awk" "$(raw).power.tsv")
}
