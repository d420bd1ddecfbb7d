# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034 # the settings are memnet-bench's
# From DIR/runs.tsv: the medians and what they amount to, DIR/summary.tsv; the figures; and DIR/report.md.

make_report() {
	awk -f "$lib/lib/derive.awk" "$out/runs.tsv" | cat "$out/runs.tsv" - | awk -f "$lib/lib/summary.awk" >"$out/summary.tsv"
	make_figures
	write_report | cat -s >"$out/report.md"
	say "$out/report.md is the report"
}

# known NAME: a line of versions.tsv
known() {
	sed -n "s/^$1	//p" "$out/versions.tsv"
}

# spread SCENARIO WAY CASE METRIC FORMAT: "median (least to most)"; a dash where it was not measured
spread() {
	local median

	median=$(median_of "$1" "$2" "$3" "$4")
	[ -n "$median" ] || { echo "–"; return; }
	if [ "$(median_of "$1" "$2" "$3" "$4" 5)" = 1 ]; then
		# shellcheck disable=SC2059 # a format is what is given
		printf "$5" "$median"
	else
		# shellcheck disable=SC2059
		printf "$5 ($5 to $5)" "$median" "$(median_of "$1" "$2" "$3" "$4" 7)" "$(median_of "$1" "$2" "$3" "$4" 8)"
	fi
}

# percent SCENARIO WAY CASE METRIC: a ratio as how much more or less, "-32 %"
percent() {
	local median

	median=$(median_of "$1" "$2" "$3" "$4")
	[ -n "$median" ] || { echo "–"; return; }
	awk -v m="$median" -v a="$(median_of "$1" "$2" "$3" "$4" 7)" -v b="$(median_of "$1" "$2" "$3" "$4" 8)" \
		-v n="$(median_of "$1" "$2" "$3" "$4" 5)" 'BEGIN {
		printf "%s %%", more(m)
		if (n > 1) printf " (%s to %s)", more(a), more(b)
	}
	function more(ratio, percent) {
		percent = (ratio - 1) * 100
		percent = percent < 0 ? int(percent - 0.5) : int(percent + 0.5)
		return percent ? sprintf("%+d", percent) : "0"
	}'
}

# verdict SCENARIO WAY CASE METRIC least|most GOAL
verdict() {
	local median

	median=$(median_of "$1" "$2" "$3" "$4")
	[ -n "$median" ] || { echo "–"; return; }
	awk -v m="$median" -v how="$5" -v goal="$6" 'BEGIN { print ((how == "least" ? m >= goal : m <= goal) ? "yes" : "**no**") }'
}

write_report() {
	cat <<-HEAD
		# memnet-bench

		$(where_it_ran)

		## Beside the paper

		$(paper_table)

		$(cautions)

		$(against_report)

		## Transcoding and streaming

		$(scenario_report transcode)

		## Compression and delivery

		$(scenario_report compress)

		$(files_report)

		## The VM's CPU capped

		$(caps_report)

		## Most clients

		$(capacity_report)

		## Memory

		$(memory_report)

		## Energy

		$(energy_report)

		## What ran

		$(versions_table)
	HEAD
}

where_it_ran() {
	cat <<-TEXT
		$(known date), $(known mode) mode, $(known rounds) round(s), ways in turns; $(known cores) CPUs ($(known cpu)), $(accelerator)$(known seconds | sed 's/.*/, & s in all/').
		The VM has one vCPU, on CPU $(known vm_cpu); clients and servers share CPU $(known other_cpus); QEMU's other threads run where there is time.
		$(known clients) clients want 2 Mbit/s each. Figures are medians, with the least and the most of all rounds behind them.
	TEXT
}

accelerator() {
	case $(known accelerator) in
	kvm) echo "KVM" ;;
	*) echo "TCG: no usable KVM, so that the guest's CPU is emulated and several times slower" ;;
	esac
}

# The kinds of job that were run beside clients.
kinds() {
	local kind

	for kind in transcode compress files; do
		[ -z "$(median_of "$kind" memnet clients job_s)" ] || echo "$kind"
	done
}

name_of() {
	case $1 in
	transcode) echo transcoding ;;
	compress) echo compression ;;
	files) echo "a set of files" ;;
	esac
}

paper_table() {
	local kinds kind

	mapfile -t kinds < <(kinds)
	[ ${#kinds[@]} = 0 ] || jobs_table
	if [ -n "$(caps_row)$(memory_row)" ]; then
		echo
		echo "| | the paper | MemNet | nginx in the guest | goal | reached |"
		echo "|---|---|---|---|---|---|"
		caps_row
		memory_row
	fi
}

jobs_table() {
	echo "| | the paper |$(for kind in "${kinds[@]}"; do printf ' %s |' "$(name_of "$kind")"; done) goal | reached |"
	echo "|---|---|${kinds[*]//*/---|}---|---|" | tr -d ' '
	fed_row
	paper_row "clients fed during the job, MemNet against nginx in the guest" "+70 %" memnet fed_by_guest least 1.7
	paper_row "clients fed during the job, MemNet against nginx on the host (plain 9p)" "" memnet fed_by_9p least 0.95
	[ -z "$(median_of "${kinds[0]}" memnet clients fed_by_bare)" ] ||
		paper_row "clients fed during the job, MemNet against job and nginx on the host, no VM" "near bare metal" memnet fed_by_bare least 0.95
	paper_row "time of the job, MemNet with clients against MemNet without" "similar" memnet job_by_alone most 1.03
	paper_row "CPU time of the vCPU for the job, MemNet with clients against without" "" memnet vcpu_by_alone most 1.03
	paper_row "time of the job, MemNet against nginx in the guest" "-27 %" memnet job_by_guest most 0.73
	paper_row "energy for each client fed ($(energy_source)), MemNet against nginx in the guest" "-32 %" memnet energy_by_guest most 0.68
	paper_row "self-interference: clients that nginx in the guest feeds during the job, against before it" "-40 %" guest fed_by_stream
	paper_row "self-interference: time of the job beside nginx in the guest, with clients against without" "+10 to +18 %" guest job_by_alone
	echo
	echo "A client is *fed* that gets the 2 Mbit/s it wants: the bytes that all got in a time, divided by that, and never more than there are clients. A goal is *reached* if the median is."
}

# In figures what the next row is in percent.
fed_row() {
	local kind way words row=''

	for kind in "${kinds[@]}"; do
		words=''
		for way in memnet guest 9p virtiofs; do
			words+="${words:+ / }$(median_of "$kind" "$way" clients hybrid_fed | awk '{ printf "%.0f", $1 } END { if (!NR) print "–" }')"
		done
		row+=" $words |"
	done
	echo "| clients fed during the job: MemNet / nginx in the guest / on the host by 9p / by virtiofs | 130 / 76 |$row | |"
}

# paper_row TITLE PAPER WAY METRIC [least|most GOAL]
paper_row() {
	local kind row='' goal='' reached=''

	for kind in "${kinds[@]}"; do
		row+=" $(percent "$kind" "$3" clients "$4") |"
	done
	if [ $# -gt 4 ]; then
		goal=$(awk -v g="$6" 'BEGIN { printf "%+.0f %%", (g - 1) * 100 }')
		[ "$5" = least ] && goal="at least $goal" || goal="at most $goal"
		reached=$(reached "${@:3}")
	fi
	echo "| $1 | $2 |$row $goal | $reached |"
}

# reached WAY METRIC least|most GOAL: "yes", if it is so for all jobs, or for which ones it is
reached() {
	local kind verdict last=– words=() verdicts=''

	for kind in "${kinds[@]}"; do
		verdict=$(verdict "$kind" "$1" clients "${@:2}")
		[ "$verdict" != – ] || continue
		last=$verdict
		words+=("$(name_of "$kind"): $verdict")
		[[ $verdicts == *"$verdict;"* ]] || verdicts+="$verdict;"
	done
	if [ ${#words[@]} = 0 ] || [ "$verdicts" = "$last;" ]; then
		echo "$last"
	else
		printf '%s, ' "${words[@]}" | sed 's/, $//'
	fi
}

caps_row() {
	[ -z "$(median_of caps memnet 25 fed_by_uncapped)" ] ||
		echo "| clients fed with the VM at 25 % of a CPU, against 100 % | falls without MemNet | $(percent caps memnet 25 fed_by_uncapped) | $(percent caps guest 25 fed_by_uncapped) | at least -10 % | $(verdict caps memnet 25 fed_by_uncapped least 0.9) |"
}

memory_row() {
	local rate

	rate=$(awk -F '\t' '$1 == "memory" { print $3 }' "$out/runs.tsv" | sort -gu | head -n 1)
	[ -z "$rate" ] ||
		echo "| memory of the space, \`memnet tune\` against a static size, at $rate jobs a second | \"moderate\" | $(percent memory tune "$rate" memory_by_static) | | | |"
}

# Said where they are so: a report must not be believed more than it deserves.
cautions() {
	[ "$(known accelerator)" = kvm ] || echo "- Under TCG all that the guest does costs several times what it does under KVM, its network stack included, and so does the interference that MemNet takes away. Ratios on a KVM host differ."
	[ "$(energy_source)" != model ] || echo "- Energy is from a model (2.5 W for each CPU and 5 W more for each busy one, unless the configuration says otherwise), not measured: it sees nothing but CPU time."
	echo "- The clients run on this host and take part of its CPU; the paper's were other machines. Energy is the whole machine's, theirs included."
	[ "$(known rounds)" -ge 5 ] || echo "- $(known rounds) round(s) tell no spread: run the full mode before you believe a few percent."
	contended
	wide
	unsteady
	quicker
	limits
	awk -F '\t' '$4 == "late_s" && $8 > most { most = $8 } END { if (most > 0.5) printf "- The program that is the clients got no CPU for up to %.1f s: stalls, and peaks behind them, are not all the servers'"'"' doing.\n", most }' "$out/summary.tsv"
	awk -F '\t' '$5 == "stuck" { n++ } END { if (n) printf "- After %d run(s) the network of the guest stood still until its card was reset.\n", n }' "$out/runs.tsv"
	awk -F '\t' '$5 ~ /_gaps$/ { n++ } END { if (n) printf "- Figures of energy are partial: their source could not be read for a time in %d phase(s), and what was used then is missing.\n", n }' "$out/runs.tsv"
	[ -n "$(known seconds)" ] || echo "- It ended before all was measured, by a failure or a signal."
	[ -z "$(known left_out)" ] || echo "- Time was up before all was measured; left out: $(known left_out)."
}

# Busy CPU that is neither QEMU's, nor a server's, nor what the kernel did for them: by the jobs alone.
contended() {
	awk -F '\t' '$2 == "bare" { next } $3 == "alone" && $4 == "machine_s" { m += $6 } $3 == "alone" && $4 ~ /^(vcpu|qemu_other|server)_s$/ { o += $6 } $3 == "alone" && $4 == "job_s" { t += $6 }
		END { if (t && (m - o) / t > 0.15) printf "- Other programs took %.0f %% of a CPU while jobs ran alone: the machine was not quiet.\n", (m - o) / t * 100 }' "$out/summary.tsv"
}

# Ratios of the first table whose spread is more than 25 points, and more than a quarter of themselves.
wide() {
	awk -F '\t' '$4 !~ /_by_/ || $2 !~ /^(guest|memnet)$/ || $4 ~ /power_by/ || $5 < 2 || $8 - $7 <= 0.25 || $8 - $7 <= $6 / 4 { next }
		{ words = words sprintf("%s%s, %s%s: %s (%.2f to %.2f)", words ? "; " : "", $1, $2, $3 == "clients" ? "" : " " $3, $4, $7, $8) }
		END { if (words) printf "- Ratios with so wide a spread that no more than their direction is to be believed: %s.\n", words }' "$out/summary.tsv"
}

# The same job with nobody beside it is as quick as the machine just was.
unsteady() {
	awk -F '\t' '$3 == "alone" && $4 == "job_s" && $5 > 1 && $8 > 1.3 * $7 {
			words = words sprintf("%s%.1f to %.1f s (%s, %s)", words ? ", " : "", $7, $8, $1, $2) }
		END { if (words) printf "- The machine was not equally fast throughout: the same job alone took %s.\n", words }' "$out/summary.tsv"
}

# What cannot be by what is compared: clients do not make a job quicker.
quicker() {
	awk -F '\t' '$4 == "job_by_alone" && $5 > 1 && $6 < 0.95 && $8 < 1 {
		printf "- In each round the job (%s, %s) was quicker with clients than without, by %.0f %%: something else differed between these runs, such as what the host gave the VM.\n", $1, $2, (1 - $6) * 100 }' "$out/summary.tsv"
}

# Why a figure falls short that is no server's fault.
limits() {
	local kind

	for kind in $(kinds); do
		echo "$kind	$(known clients)	$(median_of "$kind" guest clients hybrid_fed)	$(median_of "$kind" 9p clients stream_fed)"
	done | awk -F '\t' '$3 != "" && $3 >= 0.95 * $2 { printf "- Beside the job (%s) nginx in the guest still fed %.0f of %d clients: with so few there is little to gain (raise --clients).\n", $1, $3, $2 }
		$4 != "" && $4 < 0.95 * $2 { printf "- Before the job (%s) nginx on the host fed only %.0f of %d clients: the CPUs of the host are the limit, and all ways look alike (lower --clients).\n", $1, $4, $2 }'
}

# Before anything is measured: whether there is a spread to compare with, in a place that stays.
check_against() {
	local runs

	[ -s "$against/summary.tsv" ] && [ -s "$against/versions.tsv" ] || die "$against: no results of memnet-bench there"
	runs=$(sed -n 's/^rounds	//p' "$against/versions.tsv")
	[ "$runs" -ge 3 ] || die "$against has $runs round(s), which have no spread: want one of at least 3 for --against"
	against=$(readlink -f "$against")
	[ -n "$report" ] || [[ $against/ != /run/* ]] || die "$against: not below /run, which is made private (copy it elsewhere)"
}

# Of each ratio: whether its median lies in the spread of the earlier run.
against_report() {
	[ -n "$against" ] || return
	echo "### Against an earlier run"
	echo
	not_alike
	echo
	echo "| | this run | the earlier one | within its spread |"
	echo "|---|---|---|---|"
	awk -F '\t' '$4 !~ /_by_/ { next }
		{ key = $1 SUBSEP $2 SUBSEP $3 SUBSEP $4 }
		NR != FNR { now[key] = $6; next }
		{ order[++keys] = key; n[key] = $5; median[key] = $6; least[key] = $7; most[key] = $8 }
		END { for (i = 1; i <= keys; i++) row(order[i]) }
		function row(key, part) {
			split(key, part, SUBSEP)
			printf "| %s, %s, %s: %s | %s | %.3f (%.3f to %.3f) | %s |\n", part[1], part[2], part[3], part[4],
				key in now ? sprintf("%.3f", now[key]) : "not measured", median[key], least[key], most[key], verdict(key)
		}
		function verdict(key) {
			if (!(key in now)) return "–"
			if (n[key] < 3) return "– (" n[key] " round(s))"
			return now[key] >= least[key] && now[key] <= most[key] ? "yes" : "**no**"
		}' "$against/summary.tsv" "$out/summary.tsv"
}

# What differs between the two runs, of all that ratios depend on.
not_alike() {
	{
		sed 's/^/then	/' "$against/versions.tsv"
		echo "then	energy	$(out=$against energy_source)"
		sed 's/^/now	/' "$out/versions.tsv"
		echo "now	energy	$(energy_source)"
	} | awk -F '\t' '{ v[$1, $2] = $3 }
		END {
			n = split("accelerator|clients|job|energy|cores|cpu|vhost|congestion|host kernel|guest kernel|qemu|memnet|nginx|ffmpeg|virtiofsd|cgroup", name, "|")
			for (i = 1; i <= n; i++) {
				now = v["now", name[i]]; then = v["then", name[i]]
				if (now != then && (("now", name[i]) in v) && (("then", name[i]) in v))
					printf "- They differ in %s: %s now, %s then.\n", name[i], now == "" ? "none" : now, then == "" ? "none" : then
			}
		}'
	awk -F '\t' '$3 != "alone" || $4 != "job_s" || $2 == "bare" { next }
		NR == FNR { then[$1, $2] = $6; next }
		($1, $2) in then && ($6 > 1.1 * then[$1, $2] || $6 < then[$1, $2] / 1.1) {
			words = words sprintf("%s%.1f s now, %.1f s then (%s, %s)", words ? "; " : "", $6, then[$1, $2], $1, $2) }
		END { if (words) printf "- The machine was not equally fast: the same job alone took %s.\n", words }' \
		"$against/summary.tsv" "$out/summary.tsv"
}

scenario_report() {
	local kind=$1 way

	[ -n "$(median_of "$kind" guest clients job_s)" ] || { echo "Not run."; return; }
	echo "| | clients fed, nothing else | clients fed during the job | players that play, on average | clients without a stall | job, s | job alone, s | vCPU, s | other QEMU, s | servers, s |"
	echo "|---|---|---|---|---|---|---|---|---|---|"
	for way in guest 9p virtiofs memnet bare; do
		[ -z "$(median_of "$kind" "$way" clients job_s)" ] || way_row "$kind" "$way"
	done
	figures "throughput-$kind" "Throughput over time (the paper's figure 1)" completion-"$kind" "Job completion (figures 2, 6 and 7)" \
		"cdf-$kind" "Throughput, distribution (figure 9)" "power-$kind" "Power over time (figure 10)" "energy-$kind" "Power for each client (figure 11)"
}

way_row() {
	echo "| $(title_of "$2") | $(spread "$1" "$2" clients stream_fed %.0f) | $(spread "$1" "$2" clients hybrid_fed %.0f) | $(spread "$1" "$2" clients hybrid_playing %.0f) | $(spread "$1" "$2" clients hybrid_unstalled %.0f) | $(spread "$1" "$2" clients job_s %.2f) | $(spread "$1" "$2" alone job_s %.2f) | $(spread "$1" "$2" clients vcpu_s %.2f) | $(spread "$1" "$2" clients qemu_other_s %.2f) | $(spread "$1" "$2" clients server_s %.2f) |"
}

figures() {
	while [ $# -gt 1 ]; do
		[ ! -s "$out/figures/$1.svg" ] || printf '\n![%s](figures/%s.svg)\n' "$2" "$1"
		shift 2
	done
}

files_report() {
	[ -n "$(median_of files guest clients job_s)" ] || return
	echo "A set of files, each compressed by itself: the job takes $(spread files memnet clients job_s %.2f) s with MemNet and $(spread files guest clients job_s %.2f) s beside nginx in the guest ($(spread files guest alone job_s %.2f) s alone); clients fed meanwhile: $(spread files memnet clients hybrid_fed %.0f) and $(spread files guest clients hybrid_fed %.0f)."
}

caps_report() {
	local cap

	[ -n "$(median_of caps memnet 100 hybrid_fed)" ] || { echo "Not run."; return; }
	echo "All of QEMU, held to a part of one CPU by a cgroup (\`$(known cgroup)\`), a job running."
	echo
	echo "| cap | clients fed by nginx in the guest | by MemNet |"
	echo "|---|---|---|"
	for cap in 100 75 50 25; do
		[ -z "$(median_of caps guest "$cap" hybrid_fed)" ] ||
			echo "| $cap % | $(spread caps guest "$cap" hybrid_fed %.0f) | $(spread caps memnet "$cap" hybrid_fed %.0f) |"
	done
	figures caps "Throughput under caps, distribution (figure 3)"
}

capacity_report() {
	local way

	[ -n "$(median_of capacity guest ramp fed)" ] || { echo "Not run."; return; }
	echo "More and more clients while a job runs, $(($(known clients) * 4)) at the end: how many there were when 95 % of them still played."
	echo
	echo "| | clients |"
	echo "|---|---|"
	for way in guest 9p virtiofs memnet; do
		[ -z "$(median_of capacity "$way" ramp fed)" ] || echo "| $(title_of "$way") | $(spread capacity "$way" ramp fed %.0f) |"
	done
}

memory_report() {
	local rate

	[ -s "$out/figures/memory.tsv" ] || { echo "Not run."; return; }
	echo "| jobs a second | static, MB | tuned, MB | in use, MB | 95 % of jobs delivered within, static, s | tuned, s | rounds |"
	echo "|---|---|---|---|---|---|---|"
	while read -r rate _; do
		echo "| $rate | $(spread memory static "$rate" memory_mb %.0f) | $(spread memory tune "$rate" memory_mb %.0f) | $(spread memory tune "$rate" used_mb %.1f) | $(spread memory static "$rate" response_p95_s %.2f) | $(spread memory tune "$rate" response_p95_s %.2f) | $(median_of memory tune "$rate" memory_mb 5) |"
	done <"$out/figures/memory.tsv"
	figures memory "Memory against arrival rate (figure 8)"
}

energy_report() {
	local kind way

	echo "Source: $(energy_source) ($(awk '/^# source: / { sub(/^# source: [a-z]*: /, ""); print; exit }' "$out"/raw/*.power.tsv 2>/dev/null))."
	echo
	echo "| | J for a job beside clients | J for a job alone | J/GB delivered during the job | mW for each client, nothing else | mW for each client, job running | without what the clients' program used | J for each client during the job |"
	echo "|---|---|---|---|---|---|---|---|"
	for kind in transcode compress; do
		for way in guest 9p virtiofs memnet; do
			[ -z "$(median_of "$kind" "$way" clients hybrid_joules)" ] || energy_row "$kind" "$way"
		done
	done
	for kind in transcode compress; do
		[ -z "$(median_of "$kind" bare clients hybrid_watts)" ] || bare_report "$kind"
	done
}

# bare_report KIND
bare_report() {
	echo
	echo "What the machine uses while one of both runs, or both, nginx and job on the host (the VM is idle) or in the VM; $(name_of "$1"):"
	echo
	echo "| | on the host, W | in the VM, W | more | the paper | with MemNet, W | more |"
	echo "|---|---|---|---|---|---|---|"
	bare_row "$1" "streaming alone" clients stream "+22 %"
	bare_row "$1" "the job alone" alone alone "+18 %"
	bare_row "$1" "both" clients hybrid "+31 %"
	figures "bare-$1" "Power on the host and in the VM (figure 4)"
}

# bare_row KIND TITLE CASE PHASE PAPER
bare_row() {
	echo "| $2 | $(spread "$1" bare "$3" "$4_watts" %.1f) | $(spread "$1" guest "$3" "$4_watts" %.1f) | $(percent "$1" guest "$3" "$4_power_by_bare") | $5 | $(spread "$1" memnet "$3" "$4_watts" %.1f) | $(percent "$1" memnet "$3" "$4_power_by_bare") |"
}

energy_row() {
	echo "| $1, $(title_of "$2") | $(spread "$1" "$2" clients hybrid_joules %.0f) | $(spread "$1" "$2" alone alone_joules %.0f) | $(spread "$1" "$2" clients hybrid_joules_per_gb %.0f) | $(milli "$1" "$2" stream_watts_per_client) | $(milli "$1" "$2" hybrid_watts_per_client) | $(milli "$1" "$2" hybrid_own_watts_per_client) | $(spread "$1" "$2" clients hybrid_joules_per_client %.2f) |"
}

milli() {
	median_of "$1" "$2" clients "$3" | awk '{ printf "%.1f", $1 * 1000 } END { if (!NR) print "–" }'
}

versions_table() {
	echo "| | |"
	echo "|---|---|"
	sed 's/^/| /; s/	/ | /; s/$/ |/' "$out/versions.tsv"
}
