#!/bin/sh
# The controller's gates, simulated: what memnet tune would have done in each scenario, against what
# it must reach. Deterministic. usage: control.sh [FIRST [LAST]], seeds 1 to 3 by default.
#
# The oracle's memory is in reference.csv for seeds 1 to 3. For others it is estimated from the use
# with max memory, by the ratio of the two that the scenario has in seeds 1 to 3; and so is M8's C0,
# the smallest budget with which a clairvoyant would not block, by a simulation's own.
set -eu
here=$(dirname "$(readlink -f "$0")")
memnet=${MEMNET:-$here/../../build/memnet}
reference=$here/../control/reference.csv
first=${1:-1}
last=${2:-$((first == 1 ? 3 : first))}
seeds=$(seq "$first" "$last")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# One line a run: LABEL SEED jobs windows xv mean …, cut from the JSON before its first array.
run() {
	label=$1 seed=$2 spec=$3
	"$memnet" tune --simulate "scenario:$spec,seed=$seed" --json |
		sed -e 's/,"alarms":.*//' -e 's/[{}"]//g' -e "s/^/label:$label,/"
}

# The windows a VM (counted from 1) lost, to leave it out.
run_without() {
	label=$1 seed=$2 spec=$3 vm=$4
	"$memnet" tune --simulate "scenario:$spec,seed=$seed" --json |
		sed -e 's/.*"vms":\[//' -e 's/},{/}\n{/g' | sed -e "${vm}d" -e 's/[]{}"]//g' \
		-e "s/^/label:$label,seed:$seed,scenario:M8,/"
}

c0() {
	case $1 in
	1) echo 4600000000 ;;
	2) echo 7011000000 ;;
	3) echo 7194000000 ;;
	*) "$memnet" tune --simulate "scenario:M8,seed=$1,policy=static" --json |
		sed 's/.*"clairvoyant_bytes":\([0-9]*\).*/\1/' ;;
	esac
}

part() { awk "BEGIN { printf \"%.0f\", $1 * $2 }"; }

singles='S1 S2 S3 S4 S5 S6 S7 S8 S9 S11 S12'
for seed in $seeds; do
	run steady "$seed" S0
	for scenario in $singles; do
		run guard "$seed" "$scenario"
		run blind "$seed" "$scenario,guard=0"
		run skip "$seed" "$scenario,skip=0.5"
		run threshold "$seed" "$scenario,policy=threshold"
	done
	run liar "$seed" S2,liar=1
	run truth "$seed" S2
	budget=$(c0 "$seed")
	for share in 1.1 0.8 0.6 0.45; do
		run "M8_$share" "$seed" "M8,budget=$(part "$budget" $share)"
	done
	for vm in 1 2 3 4 5 6 7 8; do
		run_without hoarder_1.0 "$seed" "M8,budget=$budget,hoarder=$vm" "$vm"
		run_without hoarder_0.5 "$seed" \
			"M8,budget=$(part "$budget" 0.5),hoarder=$vm" "$vm"
	done
done >"$scratch/runs"

awk -F'[:,]' '
function show(what, figure, unit, gate, pass) {
	printf "%-4s  %-52s %9.3f %-2s  <= %s\n", pass ? "ok" : "MISS", what, figure, unit, gate
	missed += !pass
}
function at_most(what, figure, unit, gate) { show(what, figure, unit, gate, figure <= gate) }
function percent(label) { return windows[label] ? 100 * xv[label] / windows[label] : 0 }
function mean_ratio(label) { return exp(logs[label] / runs[label]) }

FNR == NR {
	if ($3 ~ /^[0-9]+$/) {	# reference.csv
		oracle[$1, $2] = $5 * 1e6
		part_sum[$1] += $5 / $8
		part_n[$1]++
	}
	next
}
{
	for (i = 1; i < NF; i += 2) f[$i] = $(i + 1)
	label = f["label"]; name = f["scenario"]; seed = f["seed"]
	runs[label]++
	windows[label] += f["windows"]
	xv[label] += f["xv"]
	if (f["xv"] > xv_most[label]) xv_most[label] = f["xv"]
	over += f["over_budget"]
	mean[label, name] += f["mean_bytes"]
	resizes[label] += f["resizes"]
	reversals[label] += f["reversals"]
	if (f["resizes"] > resizes_most[label]) resizes_most[label] = f["resizes"]
	if (f["reversals"] > reversals_most[label]) reversals_most[label] = f["reversals"]
	if (!(name in part_sum)) next
	best = (name, seed) in oracle ? oracle[name, seed] \
				      : f["unlimited_track_bytes"] * part_sum[name] / part_n[name]
	ratio = f["mean_bytes"] / best
	logs[label] += log(ratio)
	static_logs[label] += log(f["mean_bytes"] / f["unlimited_peak_bytes"])
	kind = label (name ~ /^S(9|12)$/ ? " S9 S12" : "")
	if (ratio > ratio_most[kind]) ratio_most[kind] = ratio
}
END {
	at_most("xv, S1-S9, S11, S12", percent("guard"), "%", 0.3)
	at_most("  the worst run", xv_most["guard"], "", 1)
	at_most("mean memory, times the oracle, geometric mean", mean_ratio("guard"), "x", 1.25)
	at_most("  the worst run", ratio_most["guard"], "x", 1.5)
	at_most("  the worst of S9 and S12", ratio_most["guard S9 S12"], "x", 1.75)
	at_most("against a static peak, geometric mean", \
		exp(static_logs["guard"] / runs["guard"]), "x", 0.20)
	at_most("without guard: xv", percent("blind"), "%", 1)
	at_most("  mean memory", mean_ratio("blind"), "x", 1.45)
	at_most("resizes an hour", resizes["guard"] / runs["guard"], "", 2600)
	at_most("  the worst run", resizes_most["guard"], "", 2600)
	at_most("reversals an hour", reversals["guard"] / runs["guard"], "", 750)
	at_most("  the worst run", reversals_most["guard"], "", 1000)
	at_most("resizes of S0", resizes_most["steady"], "", 10)
	at_most("M8 xv at 1.1 C0", percent("M8_1.1"), "%", 0.3)
	at_most("M8 xv at 0.8 C0", percent("M8_0.8"), "%", 1)
	at_most("M8 xv at 0.6 C0", percent("M8_0.6"), "%", 2)
	at_most("M8 xv at 0.45 C0", percent("M8_0.45"), "%", 5)
	at_most("guard intervals over the budget", over, "", 0)
	at_most("a hoarder, each VM in turn, the others at 1.0 C0", percent("hoarder_1.0"), "%", 0.5)
	at_most("a hoarder, each VM in turn, the others at 0.5 C0", percent("hoarder_0.5"), "%", 4)
	d = mean["liar", "S2"] / mean["truth", "S2"] - 1
	at_most("a liar: mean memory off the truthful run", 100 * (d < 0 ? -d : d), "%", 5)
	d = mean["guard", "S8"] / mean["guard", "S2"] - 1
	at_most("S8 against S2: mean memory", 100 * (d < 0 ? -d : d), "%", 5)
	at_most("half of the guard checks skipped: xv", percent("skip"), "%", 1)
	at_most("S12 against S2: mean memory", mean["guard", "S12"] / mean["guard", "S2"], "x", 0.6)
	printf "      for comparison, an 80/40 threshold rule: %.2fx, xv %.2f %%\n", \
		mean_ratio("threshold"), percent("threshold")
	exit missed > 0
}' "$reference" "$scratch/runs"
