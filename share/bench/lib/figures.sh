# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the settings are memnet-bench's
# The paper's figures. The data of each is DIR/figures/NAME.tsv: blocks, each with its title in the first line and two
# empty lines behind it, or rows with a title in front.

make_figures() {
	mkdir -p "$out/figures"
	for kind in transcode compress; do
		[ -s "$out/raw/$kind.guest.clients.1.phases.tsv" ] || continue
		over_time "$kind"
		distribution "$kind"
		completion "$kind"
		energy "$kind"
		bare "$kind"
	done
	caps_figure
	memory_figure
}

# plot NAME SCRIPT ARG…: NAME.png and NAME.svg of NAME.tsv, if that has any numbers; ARGs are gnuplot's, such as
# "title='…'". It runs beside the data, so that no quoting is asked of the folder's name.
plot() {
	local name=$1 script=$2 format words

	shift 2
	command -v gnuplot >/dev/null || return 0
	sed 's/^"[^"]*"//' "$out/figures/$name.tsv" | grep -q '[0-9]' || return 0
	words=$(printf '%s; ' "data='$name.tsv'" "blocks=$(grep -c '^"' "$out/figures/$name.tsv")" "$@")
	for format in png svg; do
		(cd "$out/figures" && gnuplot -e "$words out='$name.$format'; format='$format'" "$lib/plots/style.gp" "$lib/plots/$script.gp") ||
			say "gnuplot cannot draw $name.$format"
	done
}

# When things happened in a run.
moment() {
	sed -n "s/^$2	//p" "$1.phases.tsv"
}

raws() {
	find "$out/raw" -name "$1.phases.tsv" 2>/dev/null | sed 's/\.phases\.tsv$//' | sort
}

block() {
	echo "\"$1\""
	cat
	printf '\n\n'
}

median_of() {
	awk -F '\t' -v s="$1" -v w="$2" -v c="$3" -v m="$4" -v f="${5:-6}" \
		'$1 == s && $2 == w && $3 == c && $4 == m { print $f; exit }' "$out/summary.tsv"
}

# --- throughput and power over time: the paper's figures 1 and 10 -------------------------------------------------

over_time() {
	local kind=$1 way base n=0

	rm -f "$out/figures/throughput-$kind.tsv" "$out/figures/power-$kind.tsv" "$out/figures/jobs-$kind.tsv"
	for way in guest 9p virtiofs memnet; do
		base=$out/raw/$kind.$way.clients.1
		[ -s "$base.phases.tsv" ] || continue
		n=$((n + 1))
		awk -F '\t' 'NR > 2 { b += $4; if ($1 - t >= 0.1) { print $1, b * 8 / 1e6 / ($1 - t); t = $1; b = 0 } }' "$base.series.tsv" |
			block "$(title_of "$way")" >>"$out/figures/throughput-$kind.tsv"
		shifted_power "$base" | block "$(title_of "$way")" >>"$out/figures/power-$kind.tsv"
		echo "$n $(minus "$(moment "$base" job_began)" "$(epoch_of "$base")") $(moment "$base" job_ended) $(moment "$base" job_began)" |
			awk '{ print $1, $2, $3 - $4 }' >>"$out/figures/jobs-$kind.tsv"
	done
	plot "throughput-$kind" over_time "jobs='jobs-$kind.tsv'" "label='Mbit/s to all clients'"
	plot "power-$kind" over_time "jobs='jobs-$kind.tsv'" \
		"label='W, the whole machine ($(energy_source))'"
}

epoch_of() {
	sed -n '1s/# epoch //p' "$1.series.tsv"
}

# Power, with the clients' clock; over half a second each, as CPU time is counted in ticks.
shifted_power() {
	awk -F '\t' -v began="$(epoch_of "$1")" '/^# epoch/ { split($0, w, " "); shift = w[3] - began }
		/^[0-9]/ && $4 ~ /^[0-9.]+$/ && $1 - t >= 0.49 { print $1 + shift, ($4 - joules) / ($1 - t); t = $1; joules = $4 }' "$1.power.tsv"
}

energy_source() {
	awk -F '\t' '$5 ~ /_source$/ { found = $6; exit } END { print (found ? found : "none") }' "$out/runs.tsv"
}

# --- how throughput is distributed: 3 and 9 --------------------------------------------------------------------------

# samples SCENARIO WAY CASE FROM TO: of all rounds, sorted, with the part that is not above
samples() {
	local base

	for base in $(raws "$1.$2.$3.*"); do
		awk -v from="$(moment "$base" "$4")" -v to="$(moment "$base" "$5")" -f "$lib/lib/samples.awk" "$base.series.tsv"
	done | sort -g | awk '{ v[NR] = $1 } END { if (NR) print v[1], 0; for (i = 1; i <= NR; i++) print v[i], i / NR }'
}

distribution() {
	local kind=$1

	{
		samples "$kind" guest clients job_began job_ended | block "Interference"
		samples "$kind" guest clients settled job_began | block "No interference"
		samples "$kind" memnet clients job_began job_ended | block "MemNet"
	} >"$out/figures/cdf-$kind.tsv"
	plot "cdf-$kind" cdf "types='1 2 4'"
}

caps_figure() {
	local cap types=()

	[ -n "$(raws 'caps.*')" ] || return 0
	for cap in 100 75 50 25; do
		[ -n "$(raws "caps.guest.$cap.*")" ] || continue
		types+=($((cap == 25 ? 5 : (125 - cap) / 25)))
		samples caps guest "$cap" job_began job_ended | block "in the guest, $cap % of a CPU"
	done >"$out/figures/caps.tsv"
	for cap in 100 25; do
		samples caps memnet "$cap" job_began job_ended | block "MemNet, $cap % of a CPU"
	done >>"$out/figures/caps.tsv"
	plot caps cdf "types='${types[*]} 6 7'"
}

# --- completion: 2, 6 and 7; energy: 4 and 11; memory: 8 -------------------------------------------------------------------

# bar TITLE SCENARIO WAY CASE METRIC [FACTOR]: a row with median and spread
bar() {
	[ -z "$(median_of "$2" "$3" "$4" "$5")" ] ||
		printf '"%s"\t%s\t%s\t%s\n' "$1" "$(median_of "$2" "$3" "$4" "$5")" "$(median_of "$2" "$3" "$4" "$5" 7)" "$(median_of "$2" "$3" "$4" "$5" 8)"
}

completion() {
	local kind=$1

	{
		bar "alone" "$kind" guest alone job_s
		bar "alone,\\nMemNet" "$kind" memnet alone job_s
		bar "interference" "$kind" guest clients job_s
		bar "host nginx,\\nplain 9p" "$kind" 9p clients job_s
		bar "host nginx,\\nvirtiofs" "$kind" virtiofs clients job_s
		bar "MemNet" "$kind" memnet clients job_s
	} >"$out/figures/completion-$kind.tsv"
	plot "completion-$kind" bars "label='s until the job is done'"
}

energy() {
	local kind=$1 phase way
	local -A titles=([stream]=streaming [hybrid]="with job")

	for phase in stream hybrid; do
		for way in guest 9p virtiofs memnet; do
			bar "${titles[$phase]},\\n${way/memnet/MemNet}" "$kind" "$way" clients "${phase}_watts_per_client"
		done
	done | awk -F '\t' -v OFS='\t' '{ print $1, $2 * 1000, $3 * 1000, $4 * 1000 }' >"$out/figures/energy-$kind.tsv"
	plot "energy-$kind" bars "label='mW for each client of 2 Mbit/s ($(energy_source))'"
}

bare() {
	local kind=$1

	{
		bar "streaming,\\non the host" "$kind" bare clients stream_watts
		bar "streaming,\\nin the VM" "$kind" guest clients stream_watts
		bar "job,\\non the host" "$kind" bare alone alone_watts
		bar "job,\\nin the VM" "$kind" guest alone alone_watts
		bar "both,\\non the host" "$kind" bare clients hybrid_watts
		bar "both,\\nin the VM" "$kind" guest clients hybrid_watts
		bar "both,\\nMemNet" "$kind" memnet clients hybrid_watts
	} >"$out/figures/bare-$kind.tsv"
	plot "bare-$kind" bars "label='W, the whole machine ($(energy_source))'"
}

memory_figure() {
	local rate row words field

	rm -f "$out/figures/memory.tsv"
	while read -r rate; do
		row=$rate
		for words in "static memory_mb" "tune memory_mb" "tune used_mb"; do
			for field in 6 7 8; do
				row+=$'\t'$(median_of memory "${words% *}" "$rate" "${words#* }" "$field" | grep . || echo nan)
			done
		done
		echo "$row" >>"$out/figures/memory.tsv"
	done < <(awk -F '\t' '$1 == "memory" && !seen[$3]++ { print $3 }' "$out/runs.tsv" | sort -g)
	! grep -qs '[0-9]	[0-9].*	[0-9]' "$out/figures/memory.tsv" || plot memory memory
}
