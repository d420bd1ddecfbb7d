# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the settings are memnet-bench's
# The scenario of memory: jobs arrive in the guest by chance (Poisson), each makes an object that one client fetches at
# MEMORY_RATE, and its memory is free when that is done. How much memory does the space have? Without control what the
# highest arrival rate asks for (memnet tune --plan); with it what memnet tune gives it.

memory_rate=4MB			# 32 Mbit/s
memory_space=$vm/mem
memory_least_mb=16

scenario_memory() {
	local way cap static_mb

	scenario=memory
	static_mb=$(static_size) || die "memnet tune --plan failed"
	for cap in $rates; do
		for way in $(turns static tune); do
			in_time || continue
			say "round $round of $rounds: memory, $way, $cap jobs a second"
			memory_run
		done
	done
}

# What holds all at the highest rate, 99 % of the time; in MB.
static_size() {
	local bytes

	bytes=$(guest 'stat -c %s /in/earlier.compress') || return
	"$MEMNET" tune -j --plan "${rates##* },$bytes,0.1,1GB,$memory_rate" |
		sed -n 's/.*"q99_bytes":\([0-9]*\).*/\1/p' | awk '{ print int($1 / 1048576) + 1 }'
}

memory_run() {
	local stream tune='' sampler size=$static_mb

	[ "$way" = static ] || size=$memory_least_mb
	"$MEMNET" share create "$memory_space" --size "${size}M" >/dev/null || die "cannot create $memory_space"
	"$MEMNET" stream -q --listen "http://$host_ip:8005" --client-rate "$memory_rate" --release delivered \
		--metrics 127.0.0.1:9100 --congestion "$congestion" "$memory_space" >"$work/memory-stream.log" 2>&1 &
	stream=$!
	await "memnet stream" answers "http://$host_ip:8005/"
	if [ "$way" = tune ]; then
		"$MEMNET" tune -H --stream 127.0.0.1:9100 "$memory_space,min=${memory_least_mb}M,max=$((2 * static_mb))M" \
			>"$(raw).tune.tsv" 2>"$work/tune.log" &
		tune=$!
	fi
	sample_memory >"$(raw).memory.tsv" &
	sampler=$!
	arrivals
	kill "$sampler" $tune
	wait "$sampler" $tune 2>/dev/null
	kill "$stream"
	wait "$stream" 2>/dev/null
	"$MEMNET" share destroy --force "$memory_space" >/dev/null || die "cannot destroy $memory_space"
	memory_figures
}

# Seconds, and the space's size and use in bytes, four times a second.
sample_memory() {
	local began

	began=$(now)
	echo "seconds	size	used"
	while :; do
		echo "$(minus "$(now)" "$began") $(stat -f -c '%b %f %S' "$MEMNET_RUNTIME_DIR/$memory_space")" |
			awk -v OFS='\t' '{ print $1, $2 * $4, ($2 - $3) * $4 }'
		sleep 0.25
	done
}

# The same times for each way.
arrivals() {
	local n=0 gap jobs=()

	: >"$(raw).jobs.tsv"
	while read -r gap; do
		sleep "$gap"
		n=$((n + 1))
		memory_job "$n" &
		jobs+=($!)
	done < <(awk -v lambda="$cap" -v seed="$round" -v time="$memory_s" 'BEGIN {
		srand(seed)
		while ((t += gap = -log(1 - rand()) / lambda) < time) printf "%.3f\n", gap
	}')
	for job in "${jobs[@]}"; do
		wait "$job" || die "a job or its client failed: $(cat "$work/memory.log")"
	done
}

memory_job() {
	local began

	began=$(now)
	{
		guest "memnet compress -q --fast=20 --to /mnt/memnet/mem -o job$1 /in/input" &&
			in_clients curl -sS --fail --max-time 300 -o /dev/null "http://$host_ip:8005/$memory_space/job$1"
	} >>"$work/memory.log" 2>&1 || return
	echo "$1	$began	$(minus "$(now)" "$began")" >>"$(raw).jobs.tsv"
}

memory_figures() {
	local name value

	while read -r name value; do
		figure "$name" "$value"
	done < <(awk -F '\t' '$1 != "seconds" { size += $2; used += $3; n++; if ($3 > most) most = $3 }
		END { printf "memory_mb %.2f\nused_mb %.2f\npeak_mb %.2f\n", size / n / 1e6, used / n / 1e6, most / 1e6 }' "$(raw).memory.tsv"
		sort -t '	' -k 3,3g "$(raw).jobs.tsv" | awk -F '\t' '{ v[NR] = $3 }
		END { printf "jobs %d\nresponse_s %.3f\nresponse_p95_s %.3f\n", NR, v[int((NR + 1) / 2)], v[int(NR * 0.95 + 0.999)] }')
}
